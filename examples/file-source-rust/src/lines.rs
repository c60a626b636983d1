//! The lines of a file that may grow.

use std::{
    io::{self, SeekFrom},
    path::Path,
};

use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, AsyncSeekExt as _, BufReader},
};

/// A line, and where the next one begins.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    /// In bytes from the beginning of the file.
    pub(crate) end: u64,
}

/// Reads lines. One that has no end yet is kept until it has.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    begun: Vec<u8>,
    position: u64,
}

impl Lines {
    /// Opens a file.
    pub(crate) async fn open(path: &Path) -> io::Result<Self> {
        let reader = BufReader::new(File::open(path).await?);
        Ok(Self { reader, begun: Vec::new(), position: 0 })
    }

    /// Goes on at this position. Where the file has become shorter it is
    /// another one: tells so, and begins at its beginning.
    pub(crate) async fn seek(&mut self, position: u64) -> io::Result<bool> {
        let length = self.reader.get_ref().metadata().await?.len();
        let fits = position <= length;
        self.position = if fits { position } else { 0 };
        self.begun.clear();
        self.reader.seek(SeekFrom::Start(self.position)).await?;
        Ok(fits)
    }

    /// The next complete line, or none at the end of the file.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        self.reader.read_until(b'\n', &mut self.begun).await?;
        if self.begun.last() != Some(&b'\n') {
            return Ok(None);
        }
        Ok(Some(self.finish()))
    }

    /// What stands at the end of the file without a line end.
    pub(crate) fn rest(&mut self) -> Option<Line> {
        (!self.begun.is_empty()).then(|| self.finish())
    }

    fn finish(&mut self) -> Line {
        let mut text = std::mem::take(&mut self.begun);
        self.position += text.len() as u64;
        while text.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            text.pop();
        }
        Line { text, end: self.position }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("it is written");
        file
    }

    fn line(text: &str, end: u64) -> Option<Line> {
        Some(Line { text: text.as_bytes().to_vec(), end })
    }

    #[tokio::test]
    async fn lines_come_with_the_place_behind_them() {
        let file = file("ab\r\n\nc\n");
        let mut lines = Lines::open(file.path()).await.expect("it opens");

        assert_eq!(lines.next().await.expect("a line"), line("ab", 4));
        assert_eq!(lines.next().await.expect("a line"), line("", 5));
        assert_eq!(lines.next().await.expect("a line"), line("c", 7));
        assert_eq!(lines.next().await.expect("the end"), None);
    }

    #[tokio::test]
    async fn a_line_without_an_end_waits_for_it() {
        let mut file = file("a\nbeg");
        let mut lines = Lines::open(file.path()).await.expect("it opens");
        lines.next().await.expect("a line");
        assert_eq!(lines.next().await.expect("the end"), None);
        file.write_all(b"un\n").expect("it is written");

        assert_eq!(lines.next().await.expect("a line"), line("begun", 8));
    }

    #[tokio::test]
    async fn reading_goes_on_at_a_position() {
        let file = file("a\nb\nc");
        let mut lines = Lines::open(file.path()).await.expect("it opens");

        assert!(lines.seek(2).await.expect("it seeks"));
        assert_eq!(lines.next().await.expect("a line"), line("b", 4));
        assert_eq!(lines.next().await.expect("the end"), None);
        assert_eq!(lines.rest(), line("c", 5));
        assert_eq!(lines.rest(), None);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_read_from_its_beginning() {
        let file = file("a\n");
        let mut lines = Lines::open(file.path()).await.expect("it opens");

        assert!(!lines.seek(100).await.expect("it seeks"));
        assert_eq!(lines.next().await.expect("a line"), line("a", 2));
    }
}
