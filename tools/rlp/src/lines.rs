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
    /// The first line has the number 1.
    pub(crate) nr: u64,
    /// The line without the newline. If the line is longer than any record, only its beginning.
    pub(crate) text: &'a [u8],
    pub(crate) is_whole: bool,
    /// The hash of the line with its newline. If the file ends without a newline, the hash still
    /// includes one, because the next record begins with that newline.
    pub(crate) sha256: Digest,
    /// The content before this line.
    pub(crate) before: &'a Read,
}

/// Whether `take` marks a line. After a marked line, [`Read::unmarked`] starts again at 0 bytes.
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

/// Whether the text of a line was kept as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Whole,
    /// The line is longer than any record.
    Beginning,
}

/// Reads the next line, and keeps its text without the newline. Passes all of its bytes to `add`,
/// with a newline at the end even if the file has none. Returns `None` at the end of the file.
pub(crate) fn next(
    file: &mut impl BufRead,
    text: &mut Vec<u8>,
    mut add: impl FnMut(&[u8]),
) -> Result<Option<Kept>> {
    text.clear();
    (&mut *file).take(LONGEST).read_until(b'\n', text)?;
    if text.is_empty() {
        return Ok(None);
    }
    add(text);
    if text.last() == Some(&b'\n') {
        text.pop();
        return Ok(Some(Kept::Whole));
    }
    let mut kept = Kept::Whole;
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            add(b"\n");
            return Ok(Some(kept));
        }
        kept = Kept::Beginning;
        let newline = part.iter().position(|&byte| byte == b'\n');
        let len = newline.map_or(part.len(), |at| at + 1);
        add(&part[..len]);
        file.consume(len);
        if newline.is_some() {
            return Ok(Some(kept));
        }
    }
}

/// Passes each line to `take`. Returns what was read.
pub(crate) fn each(
    mut file: impl BufRead,
    mut take: impl FnMut(&Line<'_>) -> Mark,
) -> Result<Read> {
    let mut before = Read::default();
    let mut text = Vec::new();
    for nr in 1.. {
        let mut after = before.clone();
        let mut line = Sum::default();
        let kept = next(&mut file, &mut text, |bytes| {
            after.all.add(bytes);
            after.unmarked.add(bytes);
            line.add(bytes);
        })?;
        let Some(kept) = kept else {
            break;
        };
        let mark = take(&Line {
            nr,
            text: &text,
            is_whole: kept == Kept::Whole,
            sha256: line.digest(),
            before: &before,
        });
        if mark == Mark::Marked {
            after.unmarked = Sum::default();
        }
        before = after;
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn digests(text: &[u8], capacity: usize) -> Vec<(u64, bool, Digest, u64, u64)> {
        let mut lines = Vec::new();
        let file = BufReader::with_capacity(capacity, text);
        let read = each(file, |line| {
            lines.push((
                line.nr,
                line.is_whole,
                line.sha256,
                line.before.all.bytes(),
                line.before.unmarked.bytes(),
            ));
            if line.text == b"mark" {
                Mark::Marked
            } else {
                Mark::Unmarked
            }
        });
        let Read { all, unmarked } = read.unwrap();
        lines.push((0, true, all.digest(), all.bytes(), unmarked.bytes()));
        lines
    }

    #[test]
    fn lines() {
        let of = |text: &str| Digest::of(text.as_bytes());
        for capacity in [1, 2, 100] {
            assert_eq!(
                digests(b"one\nmark\n\ntorn", capacity),
                [
                    (1, true, of("one\n"), 0, 0),
                    (2, true, of("mark\n"), 4, 4),
                    (3, true, of("\n"), 9, 0),
                    (4, true, of("torn\n"), 10, 1),
                    (0, true, of("one\nmark\n\ntorn\n"), 15, 6),
                ]
            );
        }
        assert_eq!(digests(b"", 1).len(), 1);
    }

    #[test]
    fn a_long_line() {
        for end in ["", "\n"] {
            let long = "x".repeat(3 << 20);
            let lines = digests(format!("{long}{end}").as_bytes(), 8192);
            let whole = Digest::of(format!("{long}\n").as_bytes());
            assert_eq!(lines[0], (1, false, whole, 0, 0));
        }
    }
}
