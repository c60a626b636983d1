//! Logs that nobody else can write in.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use tracing_subscriber::{
    field::MakeExt as _,
    fmt::format::{FormatFields, debug_fn},
};

use crate::{Escaping, steers};

/// Longest that is shown of one field, in bytes: errors name their causes.
const LONGEST_FIELD: usize = 4096;

/// How the fields of a line of text are written: `name=value`, each value escaped and
/// bounded, whoever wrote it.
pub fn log_fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|writer, field, value| {
        if field.name() != "message" {
            write!(writer, "{}=", field.name())?;
        }
        let mut escaping = Escaping::new(writer.by_ref(), LONGEST_FIELD);
        write!(escaping, "{value:?}")?;
        escaping.finish()
    })
    .delimited(" ")
}

/// Escapes in lines of JSON what JSON lets through and a terminal does not.
#[derive(Debug)]
pub struct JsonLines<W>(pub W);

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.chars().any(wanted) => self.0.write_all(escaped(text).as_bytes())?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Outside of ASCII; there JSON has escapes of its own, and line ends of ours.
fn wanted(c: char) -> bool {
    c >= '\u{7f}' && steers(c)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wanted(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            });
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_the_log_stays_one_line_whoever_wrote_its_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .fmt_fields(log_fields())
            .finish();
        let hostile = "x\x1b[2J\n2026-11-30 ERROR forged";
        tracing::subscriber::with_default(log, || {
            tracing::warn!(text = hostile, shown = %hostile, "refused: {hostile}");
            tracing::warn!(long = %"y".repeat(1 << 20), number = 7, "second");
        });
        let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(!said.contains('\x1b'), "{said}");
        assert!(said.contains("number=7") && said.contains("bytes more)"), "{said:.200}");
        assert!(said.len() < 3 * LONGEST_FIELD, "{} bytes", said.len());
    }

    #[test]
    fn json_with_terminal_controls_is_the_same_json_without_them() {
        let mut out = Vec::new();
        JsonLines(&mut out).write_all("{\"key\":\"a\u{9b}b\u{e0001}é\"}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"key\":\"a\\u009bb\\udb40\\udc01é\"}\n");
    }
}
