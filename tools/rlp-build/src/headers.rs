// SPDX-License-Identifier: GPL-2.0

//! The units that may include a header, or another C file, that the patch changes.
//!
//! The conditions around an #include and the compiler's search path are ignored. So the result may
//! have units that do not include the header. Units whose code does not change are left out later.

use crate::refusal::{
    io_error_at,
    Result, //
};
use std::collections::{
    BTreeSet,
    HashMap, //
};
use std::path::Path;

/// Folders that have no code of this kernel, or only code of programs that run before it.
const SKIPPED_FOLDERS: [&str; 11] = [
    "Documentation",
    "tools",
    "samples",
    "scripts",
    "rust",
    "usr",
    ".git",
    "arch/x86/boot/compressed",
    "arch/x86/purgatory",
    "arch/x86/realmode/rm",
    "drivers/firmware/efi/libstub",
];

/// Folders of the tree that have headers which kbuild has made.
const GENERATED_FOLDERS: [&str; 2] = ["include/generated", "arch/x86/include/generated"];

/// The #include lines of each file.
type Includes = HashMap<String, Vec<Include>>;

/// The files that may include one of the headers, directly or not.
pub(crate) struct Users {
    /// C files.
    pub(crate) units: BTreeSet<String>,
    /// Assembly code, and linker scripts.
    pub(crate) assembly: BTreeSet<String>,
}

/// The users of these headers. `tree` has the headers that kbuild has made.
pub(crate) fn users(source: &Path, tree: &Path, headers: &BTreeSet<String>) -> Result<Users> {
    let mut includes = scan(source)?;
    includes.extend(scan_generated(tree)?);
    let found = includers(&includes, headers, |path| includes.contains_key(path));
    let ending = |end| {
        found
            .iter()
            .filter(move |file| file.ends_with(end))
            .cloned()
    };
    Ok(Users {
        units: ending(".c").collect(),
        assembly: ending(".S").collect(),
    })
}

/// The files that include one of these C files: units, and seldom headers. Reading the whole source
/// takes seconds, so the few #include lines that name a C file are kept in the cache.
pub(crate) fn users_of_sources(
    source: &Path,
    cache: &Path,
    files: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let list = cache.join("includes-of-sources");
    let kept = std::fs::read_to_string(&list).ok();
    let text = match kept.filter(|text| text.ends_with(END)) {
        Some(text) => text,
        None => {
            let text = to_text(&scan(source)?);
            durable::replace(&list, text.as_bytes())?;
            text
        }
    };
    let includes = from_text(&text);
    Ok(includers(&includes, files, |path| {
        source.join(path).exists()
    }))
}

/// The last line of the list. A list without it is torn, or was not written durably.
const END: &str = "end\n";

/// The #include lines that include a C file: file, path, and whether the path is in quotes.
fn to_text(includes: &Includes) -> String {
    let mut lines: Vec<_> = includes
        .iter()
        .flat_map(|(file, list)| list.iter().map(move |include| (file, include)))
        .filter(|(_, include)| include.path.ends_with(".c"))
        .map(|(file, include)| format!("{file}\t{}\t{}\n", include.path, include.quoted))
        .collect();
    lines.sort_unstable();
    lines.push(END.to_owned());
    lines.concat()
}

fn from_text(text: &str) -> Includes {
    let mut includes = Includes::new();
    for line in text.lines() {
        if let [file, path, quoted] = line.split('\t').collect::<Vec<_>>()[..] {
            includes.entry(file.to_owned()).or_default().push(Include {
                path: path.to_owned(),
                quoted: quoted == "true",
            });
        }
    }
    includes
}

/// Reads all C files, headers, assembly files and linker scripts of the source.
fn scan(source: &Path) -> Result<Includes> {
    let is_code = |name: &str| [".c", ".h", ".S"].iter().any(|end| name.ends_with(end));
    read_includes(source, files(source, is_code)?)
}

/// Reads the headers that kbuild has made in the tree, such as asm/mmiowb.h, which includes
/// asm-generic/mmiowb.h.
fn scan_generated(tree: &Path) -> Result<Includes> {
    let mut found = Vec::new();
    for folder in GENERATED_FOLDERS {
        if tree.join(folder).exists() {
            let below = files(&tree.join(folder), |name| name.ends_with(".h"))?;
            found.extend(below.into_iter().map(|file| format!("{folder}/{file}")));
        }
    }
    read_includes(tree, found)
}

fn read_includes(folder: &Path, files: Vec<String>) -> Result<Includes> {
    let read = |file: String| {
        let path = folder.join(&file);
        let text = std::fs::read(&path).map_err(io_error_at(&path))?;
        Ok((file, parse(&text)))
    };
    files.into_iter().map(read).collect()
}

/// The files of the source whose names are wanted.
pub(crate) fn files(source: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = source.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(io_error_at(&path))? {
            let entry = entry.map_err(io_error_at(&path))?;
            let kind = entry.file_type().map_err(io_error_at(&path))?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let is_wanted = is_wanted(&own);
            let name = if folder.is_empty() {
                own
            } else {
                format!("{folder}/{own}")
            };
            if kind.is_dir() {
                let other = SKIPPED_FOLDERS.contains(&name.as_str())
                    || folder == "arch" && name != "arch/x86";
                if !other {
                    folders.push(name);
                }
            } else if kind.is_file() && is_wanted {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Whether the C file `program` names `file` in an #include with quotes.
pub(crate) fn quotes(source: &Path, program: &str, file: &str) -> Result<bool> {
    let path = source.join(program);
    if !path.exists() {
        return Ok(false);
    }
    let text = std::fs::read(&path).map_err(io_error_at(&path))?;
    Ok(parse(&text).iter().any(|include| {
        include.quoted && include.may_include(program, file, |path| source.join(path).exists())
    }))
}

/// The files that may include one of the given files, directly or not.
fn includers(
    includes: &Includes,
    files: &BTreeSet<String>,
    exists: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    // The files that include a file of this name, whatever its folder.
    let mut by_name: HashMap<&str, Vec<(&str, &Include)>> = HashMap::new();
    for (file, list) in includes {
        for include in list {
            by_name
                .entry(file_name(&include.path))
                .or_default()
                .push((file, include));
        }
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = files.iter().map(String::as_str).collect();
    while let Some(header) = open.pop() {
        for (file, include) in by_name.get(file_name(header)).into_iter().flatten() {
            if include.may_include(file, header, &exists) && found.insert(file) {
                open.push(file);
            }
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

/// One #include.
#[derive(Debug, PartialEq, Eq)]
struct Include {
    path: String,
    quoted: bool,
}

impl Include {
    /// Whether this #include, in `file`, may include `header`.
    fn may_include(&self, file: &str, header: &str, exists: impl Fn(&str) -> bool) -> bool {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        if self.quoted {
            let beside = resolved(folder, &self.path);
            if exists(&beside) {
                return beside == header;
            }
        }
        let path = resolved("", self.path.trim_start_matches("../"));
        header == path
            || header
                .strip_suffix(path.as_str())
                .is_some_and(|before| before.ends_with('/'))
    }
}

fn parse(text: &[u8]) -> Vec<Include> {
    let line = |line: &[u8]| {
        let line = line.trim_ascii_start().strip_prefix(b"#")?;
        // A comment behind the path may be in another encoding.
        let line = String::from_utf8_lossy(line);
        let rest = line.trim_start().strip_prefix("include")?.trim_start();
        let quoted = rest.starts_with('"');
        let end = if quoted { '"' } else { '>' };
        let (path, _) = rest.strip_prefix(['"', '<'])?.split_once(end)?;
        Some(Include {
            path: path.to_owned(),
            quoted,
        })
    };
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path below a folder, without "." and "..".
pub(crate) fn resolved(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_include_is_found_by_its_path() {
        let list =
            parse(b"#include <linux/fs.h> /* \xe9 */\n # include \"../internal.h\"\nint x;\n");
        assert_eq!(list.len(), 2);
        assert!(list[0].may_include("fs/x.c", "include/linux/fs.h", |_| false));
        assert!(!list[0].may_include("fs/x.c", "include/linux/xfs.h", |_| false));
        assert!(
            list[1].may_include("fs/proc/x.c", "fs/internal.h", |path| path
                == "fs/internal.h")
        );
        assert!(
            !list[1].may_include("fs/proc/x.c", "mm/internal.h", |path| path
                == "fs/internal.h")
        );
    }

    #[test]
    fn a_generated_header_is_on_the_way_to_a_user() {
        let (source, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, path, text) in [
            (&source, "include/asm-generic/mmiowb.h", ""),
            (&source, "kernel/x.c", "#include <asm/mmiowb.h>\n"),
            (&source, "kernel/y.c", "#include <asm/other.h>\n"),
            (&source, "kernel/z.S", "#include <asm/mmiowb.h>\n"),
            (
                &tree,
                "arch/x86/include/generated/asm/mmiowb.h",
                "#include <asm-generic/mmiowb.h>\n",
            ),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let changed = BTreeSet::from(["include/asm-generic/mmiowb.h".to_owned()]);
        let users = users(source.path(), tree.path(), &changed).unwrap();
        assert_eq!(users.units, BTreeSet::from(["kernel/x.c".to_owned()]));
        assert_eq!(users.assembly, BTreeSet::from(["kernel/z.S".to_owned()]));
    }

    /// After a power cut, the list may be empty, or end anywhere.
    #[test]
    fn a_torn_list_is_made_again() {
        let (source, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (file, text) in [("a.c", ""), ("b.c", "#include \"a.c\"\n")] {
            std::fs::write(source.path().join(file), text).unwrap();
        }
        let changed = BTreeSet::from(["a.c".to_owned()]);
        let users = || users_of_sources(source.path(), cache.path(), &changed).unwrap();
        let expected = BTreeSet::from(["b.c".to_owned()]);
        assert_eq!(users(), expected);
        let list = cache.path().join("includes-of-sources");
        let whole = std::fs::read_to_string(&list).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&list, &whole[..end]).unwrap();
            assert_eq!(users(), expected, "{end}");
            assert_eq!(std::fs::read_to_string(&list).unwrap(), whole);
        }
    }

    #[test]
    fn a_c_file_that_is_included_has_users() {
        let includes = Includes::from([
            (
                "fs/compat_elf.c".to_owned(),
                parse(b"#include \"elf.c\"\n#include <linux/fs.h>\n"),
            ),
            ("mm/elf.c".to_owned(), parse(b"#include <linux/mm.h>\n")),
            ("mm/x.c".to_owned(), parse(b"#include \"elf.c\"\n")),
            ("fs/all.c".to_owned(), parse(b"#include \"compat_elf.c\"\n")),
        ]);
        let kept = from_text(&to_text(&includes));
        assert!(!kept.contains_key("mm/elf.c"), "{kept:?}");
        let exists = |path: &str| path.ends_with("elf.c");
        let users = includers(&kept, &BTreeSet::from(["fs/elf.c".to_owned()]), exists);
        assert_eq!(
            users.iter().map(String::as_str).collect::<Vec<_>>(),
            ["fs/all.c", "fs/compat_elf.c"]
        );
    }
}
