//! What others wrote, made safe to show.
//!
//! Keys, codes, messages and names come from connectors, producers, brokers and
//! callers. Shown as they are, they could steer the terminal that they are read on
//! (escape sequences), forge lines of a log (line ends), turn text around
//! (directional marks), or fill the screen. [`Foreign`] shows them in one line of
//! bounded length, with all of that escaped. Machines get them unchanged: JSON has
//! its own escapes.

mod log;

use std::fmt::{self, Write as _};

pub use log::{JsonLines, log_fields};

/// Longest that is shown of one text, in bytes.
pub const LONGEST: usize = 1024;

/// What somebody else wrote: shown in one line, escaped, [`LONGEST`] bytes at most
/// and how many are left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Foreign<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping::new(f, LONGEST);
        escaping.write_str(self.0.as_ref())?;
        escaping.finish()
    }
}

impl<T: AsRef<str>> fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Passes on what is written to it, escaped and up to a bound.
pub struct Escaping<W> {
    out: W,
    room: usize,
    left_out: usize,
}

impl<W: fmt::Write> Escaping<W> {
    /// At most `most` bytes of what is written get through.
    pub fn new(out: W, most: usize) -> Self {
        Self { out, room: most, left_out: 0 }
    }

    /// Says how much was left out, if anything was.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn finish(mut self) -> fmt::Result {
        match self.left_out {
            0 => Ok(()),
            bytes => write!(self.out, "… ({bytes} bytes more)"),
        }
    }

    fn pass(&mut self, c: char) -> fmt::Result {
        let length = c.len_utf8();
        if self.left_out > 0 || length > self.room {
            self.left_out += length;
            return Ok(());
        }
        self.room -= length;
        if steers(c) { write!(self.out, "{}", c.escape_default()) } else { self.out.write_char(c) }
    }
}

impl<W: fmt::Write> fmt::Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.pass(c))
    }
}

/// Several lines that somebody else wrote, each escaped and behind `margin`, which
/// no line of ours begins with.
pub fn block(margin: &str, text: &str) -> String {
    text.lines().fold(String::new(), |mut lines, line| {
        lines.push_str(margin);
        line.chars().for_each(|c| match c {
            '\t' => lines.push(c),
            c if steers(c) => lines.extend(c.escape_default()),
            c => lines.push(c),
        });
        lines + "\n"
    })
}

/// Whether a character does something else than to be seen: control characters
/// (with line ends), line and paragraph separators, marks of direction and of no width.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_forges_a_line_is_seen_as_what_it_is() {
        let hostile =
            "a\x1b]0;title\x07\x1b[2J\r\n2026-11-30 ERROR forged\u{9b}31m\u{202e}\u{2028}";
        let shown = Foreign(hostile).to_string();
        assert!(!shown.chars().any(steers), "{shown:?}");
        assert!(shown.starts_with(r"a\u{1b}]0;title\u{7}"), "{shown}");
        assert!(shown.contains(r"\r\n2026-11-30 ERROR forged"), "{shown}");
    }

    #[test]
    fn ordinary_text_of_any_language_is_shown_as_it_is() {
        for text in ["", "orders-7", "naïve", "日本語", "👍", r"C:\temp"] {
            assert_eq!(Foreign(text).to_string(), text);
        }
        assert_eq!(format!("{:?}", Foreign("a b")), "`a b`");
    }

    #[test]
    fn megabytes_are_cut_at_a_character_and_counted() {
        let shown = Foreign("é".repeat(1 << 20)).to_string();
        assert!(shown.len() < LONGEST + 40, "{} bytes", shown.len());
        assert!(shown.ends_with(&format!("é… ({} bytes more)", (2 << 20) - LONGEST)));
    }

    #[test]
    fn lines_of_a_block_stay_lines_and_stand_behind_their_margin() {
        assert_eq!(block("| ", "a\tb\n\x1b[2Jforged\n"), "| a\tb\n| \\u{1b}[2Jforged\n");
    }
}
