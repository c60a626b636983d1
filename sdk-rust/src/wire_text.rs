//! Texts for the operator on the wire.

/// Longest text that is sent, in bytes (what a dead letter keeps of it).
const LONGEST: usize = 1024;

/// The text, cut at a character where it is too long.
pub(crate) fn shortened(text: &str) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(LONGEST);

        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&text).len(), LONGEST);
        assert_eq!(shortened(&format!("a{text}")).len(), LONGEST - 1);
    }
}
