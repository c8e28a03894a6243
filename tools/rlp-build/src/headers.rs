// SPDX-License-Identifier: GPL-2.0

//! Which units may include a header that the patch changes.
//!
//! The conditions around an #include and the compiler's search path are ignored. So the result may
//! have units that do not include the header. Units whose code does not change are left out later.

use crate::refusal::{on, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Folders that have no code of this kernel.
const OTHERS: [&str; 7] = [
    "Documentation",
    "tools",
    "samples",
    "scripts",
    "rust",
    "usr",
    ".git",
];

/// The units that may include one of the headers, directly or not.
pub(crate) fn users(source: &Path, headers: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut includes: HashMap<String, Vec<Include>> = HashMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = source.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(on(&path))? {
            let entry = entry.map_err(on(&path))?;
            let kind = entry.file_type().map_err(on(&path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            if kind.is_dir() {
                let other =
                    OTHERS.contains(&name.as_str()) || folder == "arch" && name != "arch/x86";
                if !other {
                    folders.push(name);
                }
            } else if kind.is_file() && (name.ends_with(".c") || name.ends_with(".h")) {
                let text = std::fs::read(entry.path()).map_err(on(&entry.path()))?;
                includes.insert(name, parse(&text));
            }
        }
    }

    // The files that include a file of this name, whatever its folder.
    let mut by_name: HashMap<&str, Vec<(&str, &Include)>> = HashMap::new();
    for (file, list) in &includes {
        for include in list {
            by_name
                .entry(base(&include.path))
                .or_default()
                .push((file, include));
        }
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = headers.iter().map(String::as_str).collect();
    while let Some(header) = open.pop() {
        for (file, include) in by_name.get(base(header)).into_iter().flatten() {
            if include.may_include(file, header, |path| includes.contains_key(path))
                && found.insert(file)
            {
                open.push(file);
            }
        }
    }
    Ok(found
        .into_iter()
        .filter(|file| file.ends_with(".c"))
        .map(str::to_owned)
        .collect())
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
        let line = std::str::from_utf8(line)
            .ok()?
            .trim_start()
            .strip_prefix('#')?;
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

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path below a folder, without "." and "..".
fn resolved(folder: &str, path: &str) -> String {
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
        let list = parse(b"#include <linux/fs.h>\n # include \"../internal.h\"\nint x;\n");
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
}
