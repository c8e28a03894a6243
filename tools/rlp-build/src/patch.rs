// SPDX-License-Identifier: GPL-2.0

//! The source patch: what it touches, what its header says, and the source with it applied.
//!
//! A series is applied in order to copies of the files that it touches. The kernel's
//! fix-patch-lines then adds #line directives to the whole difference. With them, code below a
//! change keeps its line numbers, so a moved line alone does not change the code.

use crate::command::{
    excerpt,
    output,
    program,
    run, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::{
    hex,
    Tree, //
};
use crate::unified::{
    self,
    FilePatch, //
};
use sha2::{
    Digest,
    Sha256, //
};
use std::collections::BTreeSet;
use std::path::{
    Path,
    PathBuf, //
};

/// The information in the header of a patch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) description: Option<String>,
    pub(crate) cves: BTreeSet<String>,
    pub(crate) fixes: Vec<String>,
}

/// A patch or a series, read and checked.
#[derive(Debug)]
pub(crate) struct Series {
    /// The files' contents, in order.
    patches: Vec<(PathBuf, Vec<u8>)>,
    pub(crate) header: Header,
    /// Files of C code and headers that the series touches.
    pub(crate) files: BTreeSet<String>,
    /// SHA-256 of all patches.
    pub(crate) hash: String,
}

impl Series {
    /// Reads patches, and folders that have a file `series`.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut patches = Vec::new();
        for path in paths {
            for path in members(path)? {
                let content = std::fs::read(&path).map_err(io_error_at(&path))?;
                patches.push((path, content));
            }
        }
        let mut hash = Sha256::new();
        let mut header = Header::default();
        let mut files = BTreeSet::new();
        for (path, content) in &patches {
            hash.update(content);
            header.add(&String::from_utf8_lossy(content));
            let changes = parse(path, content)?;
            changes.iter().try_for_each(refuse_copy)?;
            for file in changes.iter().flat_map(names).collect::<BTreeSet<_>>() {
                match kind_of(&file) {
                    Kind::Code => {
                        files.insert(file);
                    }
                    Kind::Other => {}
                    Kind::Refused(kind) => {
                        return Err(Refusal::UnsupportedFile { file, kind }.into())
                    }
                }
            }
        }
        if files.is_empty() {
            return Err(Refusal::ChangesNothing.into());
        }
        Ok(Self {
            patches,
            header,
            files,
            hash: hex(&hash.finalize()),
        })
    }

    /// Applies the series to copies of the files, and returns the folder with the patched copies.
    /// The source stays as it is.
    pub(crate) fn prepare(&self, tree: &Tree) -> Result<PathBuf> {
        let (before, after) = (tree.folder("patch/a")?, tree.folder("patch/b")?);
        for file in &self.files {
            let original = tree.source.join(file);
            if !original.exists() {
                continue;
            }
            for copy in [before.join(file), after.join(file)] {
                copy_file(&original, &copy)?;
            }
        }
        for (path, content) in &self.patches {
            let input = tree.work.join("patch/input");
            // Leave out the parts for other files, which were not copied to `after`.
            let filtered = self.filter(path, content)?;
            std::fs::write(&input, filtered).map_err(io_error_at(&input))?;
            let mut command = program("patch", &after);
            command
                .args([
                    "-p1",
                    "--fuzz=0",
                    "--force",
                    "--no-backup-if-mismatch",
                    "-r",
                    "-",
                    "-i",
                ])
                .arg(&input);
            let result = output(&mut command)?;
            if !result.status.success() {
                let text = String::from_utf8_lossy(&result.stdout).into_owned();
                let detail = text
                    .lines()
                    .find(|line| {
                        line.contains("FAILED")
                            || line.contains("can't find")
                            || line.contains("malformed")
                    })
                    .map_or_else(|| excerpt(&result, 1), str::to_owned);
                return Err(Refusal::DoesNotApply {
                    patch: name_of(path),
                    detail,
                }
                .into());
            }
        }

        // Make one patch of the whole series. fix-patch-lines adds directives to it that keep the
        // line numbers.
        let difference =
            output(program("diff", &tree.work.join("patch")).args(["-urN", "a", "b"]))?.stdout;
        if difference.is_empty() {
            return Err(Refusal::ChangesNothing.into());
        }
        let whole = tree.work.join("patch/whole.patch");
        std::fs::write(&whole, difference).map_err(io_error_at(&whole))?;
        let fixed = run(program(
            tree.source.join("scripts/livepatch/fix-patch-lines"),
            &tree.work,
        )
        .arg(&whole))?;
        let fixed_path = tree.work.join("patch/fixed.patch");
        std::fs::write(&fixed_path, recount(&fixed)).map_err(io_error_at(&fixed_path))?;

        let patched = tree.folder("patch/c")?;
        for file in &self.files {
            if before.join(file).exists() {
                copy_file(&before.join(file), &patched.join(file))?;
            }
        }
        run(program("patch", &patched)
            .args(["-p1", "--fuzz=0", "--force", "--silent", "-i"])
            .arg(&fixed_path))?;
        Ok(patched)
    }

    /// The parts of a patch that concern code.
    fn filter(&self, path: &Path, content: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for patch in parse(path, content)? {
            if names(&patch).iter().any(|name| self.files.contains(name)) {
                bytes.extend(patch.bytes);
            }
        }
        Ok(bytes)
    }
}

/// Copies the patched files over the source. Only this build sees the copies.
pub(crate) fn install(tree: &Tree, patched: &Path, files: &BTreeSet<String>) -> Result {
    for file in files {
        let (new, place) = (patched.join(file), tree.source.join(file));
        if new.exists() {
            copy_file(&new, &place)?;
        } else if place.exists() {
            std::fs::remove_file(&place).map_err(io_error_at(&place))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
    }
    std::fs::copy(from, to).map_err(io_error_at(from))?;
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The patches that a path stands for.
pub(crate) fn members(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let series = path.join("series");
    let list = std::fs::read_to_string(&series).map_err(|_| {
        tool_failure(format!(
            "{} has no file \"series\" that lists its patches",
            path.display()
        ))
    })?;
    Ok(list
        .lines()
        .filter_map(|line| line.split('#').next()?.split_whitespace().next())
        .map(|name| path.join(name))
        .collect())
}

fn parse(path: &Path, content: &[u8]) -> Result<Vec<FilePatch>> {
    let not = |detail: String| Refusal::NotAPatch {
        patch: name_of(path),
        detail,
    };
    let patches = unified::parse(content).map_err(not)?;
    if patches.is_empty() {
        return Err(not("it changes no file".into()).into());
    }
    Ok(patches)
}

/// The old and the new name of a file, without the first folder; none for /dev/null.
fn names(patch: &FilePatch) -> Vec<String> {
    [&patch.old_name, &patch.new_name]
        .iter()
        .filter_map(|name| {
            let name = name.split_whitespace().next()?;
            (name != "/dev/null").then(|| name.split_once('/').map(|(_, rest)| rest.to_owned()))?
        })
        .collect()
}

/// Refuses a file of code whose name changes. git writes such a part for a copy, too, and `patch`
/// would change the file with the old name.
fn refuse_copy(patch: &FilePatch) -> Result {
    match &names(patch)[..] {
        [old, new] if old != new && matches!(kind_of(new), Kind::Code) => {
            Err(Refusal::UnsupportedFile {
                file: new.clone(),
                kind: "a copy of another file, or has another name with the patch",
            }
            .into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn touched(path: &Path, content: &[u8]) -> Result<BTreeSet<String>> {
    Ok(parse(path, content)?.iter().flat_map(names).collect())
}

enum Kind {
    Code,
    /// Not a part of the running kernel: documentation, user programs, selftests.
    Other,
    Refused(&'static str),
}

/// Why a file cannot be live patched, if the reason is the kind of the file.
pub(crate) fn refused_kind(file: &str) -> Option<&'static str> {
    match kind_of(file) {
        Kind::Refused(kind) => Some(kind),
        Kind::Code | Kind::Other => None,
    }
}

/// C files that kbuild compiles only to make headers of constants from them. The kernel does not
/// have their code.
const CONSTANTS: [&str; 5] = [
    "arch/x86/kernel/asm-offsets.c",
    "arch/x86/kernel/asm-offsets_32.c",
    "arch/x86/kernel/asm-offsets_64.c",
    "kernel/bounds.c",
    "kernel/sched/rq-offsets.c",
];

/// Whether a file has code that can be live patched.
fn kind_of(file: &str) -> Kind {
    let other = [
        "Documentation/",
        "tools/",
        "samples/",
        "scripts/",
        "LICENSES/",
        "usr/",
    ];
    if other.iter().any(|prefix| file.starts_with(prefix))
        || matches!(file, "MAINTAINERS" | "CREDITS" | ".mailmap")
    {
        return Kind::Other;
    }
    if file.contains("/vdso/") || file.starts_with("lib/vdso/") {
        return Kind::Refused("vdso code, which runs in user space");
    }
    if file.contains("/realmode/") || file.starts_with("arch/x86/boot/") {
        return Kind::Refused("code that runs before the kernel");
    }
    if CONSTANTS.contains(&file) {
        return Kind::Refused("a file from which kbuild makes constants for assembly code");
    }
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("c" | "h") => Kind::Code,
        Some("S" | "s") => Kind::Refused("assembly code"),
        Some("rs") => Kind::Refused("Rust code, whose functions have no fentry call"),
        Some("rst" | "txt" | "yaml" | "dts" | "dtsi") => Kind::Other,
        _ => Kind::Refused("neither a C file nor a header"),
    }
}

/// Counts the lines of each hunk again after #line directives were added.
fn recount(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut hunk: Option<(usize, usize, usize, usize, usize, String)> = None;
    // (line of the header, old start, new start, old count, new count, rest)
    let close = |hunk: &mut Option<(usize, usize, usize, usize, usize, String)>,
                 out: &mut Vec<String>| {
        if let Some((at, old, new, olds, news, rest)) = hunk.take() {
            out[at] = format!("@@ -{old},{olds} +{new},{news} @@{rest}");
        }
    };
    let mut shift = 0isize;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ ")) {
            close(&mut hunk, &mut out);
            shift = 0;
        } else if let Some((old, new, rest)) = hunk_header(line) {
            if let Some((_, _, _, olds, news, _)) = &hunk {
                shift += *news as isize - *olds as isize;
            }
            close(&mut hunk, &mut out);
            let new = if old == 0 || new == 0 {
                new
            } else {
                old.saturating_add_signed(shift)
            };
            hunk = Some((out.len(), old, new, 0, 0, rest.to_owned()));
        } else if let Some((_, _, _, olds, news, _)) = &mut hunk {
            match line.as_bytes().first() {
                Some(b'+') => *news += 1,
                Some(b'-') => *olds += 1,
                Some(b'\\') => {}
                Some(b' ') | None => {
                    *olds += 1;
                    *news += 1;
                }
                Some(_) => close(&mut hunk, &mut out),
            }
        }
        out.push(line.to_owned());
    }
    close(&mut hunk, &mut out);
    out.push(String::new());
    out.join("\n")
}

/// "@@ -10,7 +10,8 @@ rest" -> 10, 10, " rest"
fn hunk_header(line: &str) -> Option<(usize, usize, &str)> {
    let (ranges, rest) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let start = |range: &str| range.split(',').next()?.parse().ok();
    Some((start(old)?, start(new)?, rest))
}

impl Header {
    /// The header of one patch.
    pub(crate) fn of(text: &str) -> Self {
        let mut header = Self::default();
        header.add(text);
        header
    }

    /// Adds the information in the text before the first diff.
    fn add(&mut self, text: &str) {
        let end = text.lines().position(|line| {
            line == "---"
                || line.starts_with("--- ")
                || line.starts_with("diff ")
                || line.starts_with("Index: ")
        });
        let lines: Vec<_> = text.lines().take(end.unwrap_or(0)).collect();
        if self.description.is_none() {
            let subject = lines.iter().find_map(|line| line.strip_prefix("Subject: "));
            self.description = subject.map(|subject| {
                let plain = subject
                    .strip_prefix("[PATCH")
                    .and_then(|rest| rest.split_once("] "));
                plain.map_or(subject, |(_, rest)| rest).trim().to_owned()
            });
        }
        for line in &lines {
            if let Some(fixes) = line.strip_prefix("Fixes: ") {
                self.fixes.push(fixes.trim().to_owned());
            }
            let mut rest = *line;
            while let Some(at) = rest.find("CVE-") {
                rest = &rest[at..];
                let len = rest[4..]
                    .find(|c: char| !c.is_ascii_digit() && c != '-')
                    .map_or(rest.len(), |len| len + 4);
                let number = rest[..len].trim_end_matches('-');
                if number.len() >= "CVE-2026-0001".len() {
                    self.cves.insert(number.to_owned());
                }
                rest = &rest[4..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_what_it_fixes() {
        let mut header = Header::default();
        header.add(
            "From 1234 Mon Sep 17\nSubject: [PATCH 1/2] net: check the length\n\n\
             Closes CVE-2026-12345 and CVE-2025-0001.\n\nFixes: 0123456789ab (\"net: read it\")\n\
             ---\n net/x.c | 2 +-\nCVE-2024-9999\n",
        );
        assert_eq!(header.description.as_deref(), Some("net: check the length"));
        assert_eq!(
            header.cves.iter().collect::<Vec<_>>(),
            ["CVE-2025-0001", "CVE-2026-12345"]
        );
        assert_eq!(header.fixes, ["0123456789ab (\"net: read it\")"]);
    }

    #[test]
    fn hunks_are_counted_again() {
        let text = "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@ f\n a\n-b\n+c\n+#line 3\n d\n\
                    @@ -10,2 +10,3 @@\n a\n+b\n+#line 11\n c\n";
        let expected = "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,4 @@ f\n a\n-b\n+c\n+#line 3\n d\n\
                        @@ -10,2 +11,4 @@\n a\n+b\n+#line 11\n c\n";
        assert_eq!(recount(text), expected);
    }

    #[test]
    fn a_copy_is_refused() {
        let read = |old: &str, new: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.patch");
            let text = format!("--- {old}\n+++ {new}\n@@ -1 +1 @@\n-a\n+b\n");
            std::fs::write(&path, text).unwrap();
            Series::read(&[path]).map(|series| series.files.len()).ok()
        };
        assert_eq!(read("a/fs/x.h", "b/fs/x.h"), Some(1));
        assert_eq!(read("/dev/null", "b/fs/x.h"), Some(1));
        assert_eq!(read("a/fs/x.h", "b/fs/y.h"), None);
    }

    #[test]
    fn files_are_sorted_by_what_they_are() {
        assert!(matches!(kind_of("fs/proc/cmdline.c"), Kind::Code));
        assert!(matches!(kind_of("Documentation/x.rst"), Kind::Other));
        for file in [
            "arch/x86/lib/memcpy_64.S",
            "rust/kernel/lib.rs",
            "arch/x86/entry/vdso/vma.c",
            "mm/Makefile",
        ] {
            assert!(matches!(kind_of(file), Kind::Refused(_)), "{file}");
        }
    }
}
