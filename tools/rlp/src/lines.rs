// SPDX-License-Identifier: GPL-2.0

//! The lines of a history, with the hash of each. A file may be large, and is not kept in memory.

use crate::digest::{
    Digest,
    Sum, //
};
use std::io::{
    BufRead,
    Read as _,
    Result, //
};

/// The longest line that is kept. No record is that long.
const LONGEST: u64 = 1 << 20;

/// A line of a file.
pub(crate) struct Line<'a> {
    /// The line without the newline, or its beginning if no record is that long.
    pub(crate) text: &'a [u8],
    pub(crate) is_whole: bool,
    /// The hash of the line with its newline. The last line has one even if the file ends before
    /// it: the next record begins with that newline.
    pub(crate) sha256: Digest,
}

/// What `take` does with the bytes of a line: a marked line begins the bytes between two marks
/// anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Marked,
    Unmarked,
}

/// All bytes of a file, and those behind the last marked line. They have a newline at their end
/// even if the file has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    pub(crate) all: Sum,
    pub(crate) unmarked: Sum,
}

/// Passes each line to `take`. Returns what was read.
pub(crate) fn each(
    mut file: impl BufRead,
    mut take: impl FnMut(&Line<'_>) -> Mark,
) -> Result<Read> {
    let mut before = Read::default();
    let mut text = Vec::new();
    loop {
        text.clear();
        (&mut file).take(LONGEST).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(before);
        }
        let mut after = before.clone();
        let mut line = Sum::default();
        let mut add = |bytes: &[u8]| {
            after.all.add(bytes);
            after.unmarked.add(bytes);
            line.add(bytes);
        };
        add(&text);
        let mut is_ended = text.last() == Some(&b'\n');
        let is_whole = is_ended || file.fill_buf()?.is_empty();
        while !is_ended {
            let part = file.fill_buf()?;
            if part.is_empty() {
                add(b"\n");
                break;
            }
            let newline = part.iter().position(|&byte| byte == b'\n');
            is_ended = newline.is_some();
            let len = newline.map_or(part.len(), |at| at + 1);
            add(&part[..len]);
            file.consume(len);
        }
        let mark = take(&Line {
            text: text.strip_suffix(b"\n").unwrap_or(&text),
            is_whole,
            sha256: line.digest(),
        });
        if mark == Mark::Marked {
            after.unmarked = Sum::default();
        }
        before = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn digests(text: &[u8], capacity: usize) -> (Vec<(bool, Digest)>, Read) {
        let mut lines = Vec::new();
        let file = BufReader::with_capacity(capacity, text);
        let read = each(file, |line| {
            lines.push((line.is_whole, line.sha256));
            if line.text == b"mark" {
                Mark::Marked
            } else {
                Mark::Unmarked
            }
        });
        (lines, read.unwrap())
    }

    #[test]
    fn lines() {
        let of = |text: &str| Digest::of(text.as_bytes());
        for capacity in [1, 2, 100] {
            let (lines, read) = digests(b"one\nmark\n\ntorn", capacity);
            assert_eq!(
                lines,
                [
                    (true, of("one\n")),
                    (true, of("mark\n")),
                    (true, of("\n")),
                    (true, of("torn\n")),
                ]
            );
            assert_eq!(read.all.digest(), of("one\nmark\n\ntorn\n"));
            assert_eq!(read.unmarked.digest(), of("\ntorn\n"));
        }
        assert_eq!(digests(b"", 1).0, []);
    }

    #[test]
    fn a_long_line() {
        for end in ["", "\n"] {
            let long = "x".repeat(3 << 20);
            let (lines, _) = digests(format!("{long}{end}").as_bytes(), 8192);
            let whole = Digest::of(format!("{long}\n").as_bytes());
            assert_eq!(lines, [(false, whole)]);
        }
    }
}
