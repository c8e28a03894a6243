// SPDX-License-Identifier: GPL-2.0

//! The parts of a unified diff: one for each file that it changes.

/// The names of one file, and the lines that change it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePatch {
    /// The name after "--- ", with its first folder.
    pub(crate) old_name: String,
    /// The name after "+++ ".
    pub(crate) new_name: String,
    /// The lines as they are in the diff, from "--- " to the end of the last hunk.
    pub(crate) bytes: Vec<u8>,
}

/// The text of a line after this prefix, without the white space at its end.
fn after<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    Some(line.strip_prefix(prefix)?.trim_ascii_end())
}

/// The name in a line "--- NAME" or "+++ NAME", which a tab and a time may follow.
fn name(line: &[u8], prefix: &[u8]) -> Option<String> {
    let name = after(line, prefix)?.split(|&byte| byte == b'\t').next()?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

/// How many old and new lines a hunk has, by its first line: 7 and 8 for "@@ -10,7 +10,8 @@".
fn counts(line: &[u8]) -> Option<(usize, usize)> {
    let text =
        std::str::from_utf8(after(line, b"@@ -")?.split(|&byte| byte == b'@').next()?).ok()?;
    let (old, new) = text.strip_suffix(' ')?.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        Some((start, count)) => start.parse::<usize>().ok().and(count.parse().ok()),
        None => range.parse::<usize>().ok().and(Some(1)),
    };
    Some((count(old)?, count(new)?))
}

/// The index of the line after a hunk. `at` is the index of the line after the hunk's header.
fn end_of_hunk(
    lines: &[&[u8]],
    mut at: usize,
    (mut old, mut new): (usize, usize),
) -> Option<usize> {
    while (old, new) != (0, 0) {
        match lines.get(at)?.first()? {
            b'-' => old = old.checked_sub(1)?,
            b'+' => new = new.checked_sub(1)?,
            // Mail programs remove the space of an empty line.
            b' ' | b'\n' | b'\r' => {
                old = old.checked_sub(1)?;
                new = new.checked_sub(1)?;
            }
            // "\ No newline at end of file"
            b'\\' => (),
            _ => return None,
        }
        at += 1;
    }
    while lines.get(at).is_some_and(|line| line.starts_with(b"\\")) {
        at += 1;
    }
    Some(at)
}

/// Whether a line behind a hunk shows that the hunk is longer than its first line says. The next
/// file and the signature of a mail begin with "--", too.
fn is_change(line: &[u8]) -> bool {
    line.starts_with(b"+") || line.starts_with(b"-") && !line.starts_with(b"--")
}

/// Splits a diff. The text around the parts, such as the header of a mail, is left out. Returns
/// what is wrong if the diff is damaged.
pub(crate) fn parse(content: &[u8]) -> Result<Vec<FilePatch>, String> {
    let lines: Vec<_> = content.split_inclusive(|&byte| byte == b'\n').collect();
    let mut patches = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let is_binary =
            after(line, b"Binary files ").is_some_and(|rest| rest.ends_with(b" differ"));
        if is_binary || after(line, b"GIT binary patch") == Some(b"") {
            return Err("it changes a binary file".to_owned());
        }
        let names = name(line, b"--- ").zip(lines.get(at + 1).and_then(|line| name(line, b"+++ ")));
        let Some((old_name, new_name)) = names else {
            at += 1;
            // The text before the first file may quote a hunk.
            if !patches.is_empty() && counts(line).is_some() {
                return Err(format!("the hunk in line {at} does not follow its file"));
            }
            continue;
        };
        let start = at;
        at += 2;
        while let Some(line) = lines.get(at).filter(|line| line.starts_with(b"@@ ")) {
            let hunk = at + 1;
            at = counts(line)
                .and_then(|counts| end_of_hunk(&lines, hunk, counts))
                .filter(|&end| !lines.get(end).is_some_and(|line| is_change(line)))
                .ok_or_else(|| format!("the hunk in line {hunk} is damaged"))?;
        }
        if at == start + 2 {
            return Err(format!("no hunk follows line {at}"));
        }
        patches.push(FilePatch {
            old_name,
            new_name,
            bytes: lines[start..at].concat(),
        });
    }
    Ok(patches)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const MAIL: &str = "\
From: a
Subject: [PATCH] x

--- a line of the text
---
 x.c | 2 +-

diff --git a/x.c b/x.c
index 1..2 100644
--- a/x.c
+++ b/x.c\t2026-11-30
@@ -1,3 +1,3 @@ f
 a
--- b

+++ c
@@ -9 +9,2 @@
-d
\\ No newline at end of file
+e
+f
\\ No newline at end of file
diff --git a/y.c b/y.c
--- /dev/null
+++ b/y.c
@@ -0,0 +1 @@
+--- a
-- \n2.50\n";

    #[test]
    fn each_file_is_a_part() {
        let parts = parse(MAIL.as_bytes()).unwrap();
        let names: Vec<_> = parts
            .iter()
            .map(|part| (&part.old_name[..], &part.new_name[..]))
            .collect();
        assert_eq!(names, [("a/x.c", "b/x.c"), ("/dev/null", "b/y.c")]);
        let bytes = String::from_utf8(parts[0].bytes.clone()).unwrap();
        assert!(
            bytes.starts_with("--- a/x.c\n")
                && bytes.ends_with("+f\n\\ No newline at end of file\n")
        );
        assert!(MAIL.contains(&bytes));
        assert_eq!(
            parts[1].bytes,
            b"--- /dev/null\n+++ b/y.c\n@@ -0,0 +1 @@\n+--- a\n"
        );
        assert_eq!(parse(b"no diff\n").unwrap(), []);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn damaged_diffs_are_refused() {
        let start = "--- a/x.c\n+++ b/x.c\n";
        for (rest, wrong) in [
            ("", "no hunk follows line 2"),
            ("text\n", "no hunk follows line 2"),
            ("@@ -1,2 +1,2 @@\n a\n", "the hunk in line 3 is damaged"),
            (
                "@@ -1 +1 @@\n a\n@@ -9,x +9 @@\n b\n",
                "the hunk in line 5 is damaged",
            ),
            ("@@ -1,2 +1 @@\n a\n+b\n", "the hunk in line 3 is damaged"),
            ("@@ -1 +1 @@\n*a\n", "the hunk in line 3 is damaged"),
            ("@@ -1 +1 @@\n a\n+b\n", "the hunk in line 3 is damaged"),
            ("@@ -1 +1 @@\n a\n-b\n", "the hunk in line 3 is damaged"),
            (
                "@@ -1 +1 @@\n a\n\n@@ -9 +9 @@\n-b\n+c\n",
                "the hunk in line 6 does not follow its file",
            ),
            (
                "@@ -1 +1 @@\n a\nBinary files a and b differ\n",
                "it changes a binary file",
            ),
            (
                "@@ -1 +1 @@\n a\nGIT binary patch\n",
                "it changes a binary file",
            ),
        ] {
            assert_eq!(
                parse((start.to_owned() + rest).as_bytes()).unwrap_err(),
                wrong,
                "{rest}"
            );
        }
        // Each beginning of a diff is a diff or is refused, and nothing panics.
        for len in 0..MAIL.len() {
            let _ = parse(&MAIL.as_bytes()[..len]);
        }
    }
}
