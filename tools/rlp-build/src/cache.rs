// SPDX-License-Identifier: GPL-2.0

//! The cache of compiled units.
//!
//! A unit of the cache stands for a unit of the shipped kernel. It depends on the tree, on its
//! configuration, on the options of this program, and on files of the source. The name of the
//! cache's folder is a hash of the first three. The files are checked one by one, as make does.

use crate::compile::RECIPE;
use crate::refusal::{
    io_error_at,
    Result, //
};
use crate::tree::hex;
use sha2::{
    Digest,
    Sha256, //
};
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};

/// The file that says what the folder is for. Each build writes it, so its time is that of the last
/// use.
const ABOUT: &str = "about";

/// The folder for units of this tree and this source. `loader` has headers that a unit may include.
pub(crate) fn folder(
    cache: &Path,
    release: &str,
    tree: &Path,
    source: &Path,
    loader: &Path,
) -> Result<PathBuf> {
    let config = tree.join(".config");
    let mut hash = Sha256::new()
        .chain_update(tree.as_os_str().as_encoded_bytes())
        .chain_update(source.as_os_str().as_encoded_bytes())
        .chain_update(std::fs::read(&config).map_err(io_error_at(&config))?)
        .chain_update(RECIPE.concat());
    for header in ["linux/livepatch.h", "rust_livepatch.h"] {
        let path = loader.join("include").join(header);
        hash.update(std::fs::read(&path).map_err(io_error_at(&path))?);
    }
    let folder = cache.join(format!("{release}-{}", &hex(&hash.finalize())[..8]));
    std::fs::create_dir_all(&folder).map_err(io_error_at(&folder))?;
    let about = format!("tree {}\nsource {}\n", tree.display(), source.display());
    durable::replace(&folder.join(ABOUT), about.as_bytes())?;
    Ok(folder)
}

/// The source file and the headers from which kbuild has made an object, in its saved command. A
/// path below the tree is relative.
pub(crate) fn inputs(saved: &str) -> impl Iterator<Item = &str> {
    let is_source = |line: &&str| line.starts_with("source_");
    let source = saved.lines().find(is_source);
    let source = source.and_then(|line| Some(line.split_once(" := ")?.1.trim()));
    let headers = saved
        .lines()
        .skip_while(|line| !line.starts_with("deps_"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim_end_matches('\\').trim())
        .filter(|path| !path.starts_with('$'));
    source.into_iter().chain(headers)
}

/// The state of each input, as text. `tree` is the folder of relative paths.
pub(crate) fn state(tree: &Path, inputs: impl Iterator<Item = impl AsRef<str>>) -> String {
    let line = |path: &str| {
        let state = match std::fs::metadata(tree.join(path)) {
            Ok(data) => format!("{} {}.{:09}", data.size(), data.mtime(), data.mtime_nsec()),
            Err(_) => "absent".to_owned(),
        };
        format!("{path}\t{state}\n")
    };
    inputs.map(|path| line(path.as_ref())).collect()
}

/// Whether the inputs are still in the state that the text describes.
pub(crate) fn is_unchanged(tree: &Path, text: &str) -> bool {
    let paths = text.lines().filter_map(|line| line.split('\t').next());
    state(tree, paths) == text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "savedcmd_a/b.o := gcc -c -o a/b.o /s/a/b.c\n\n\
                         source_a/b.o := /s/a/b.c\n\n\
                         deps_a/b.o := \\\n    $(wildcard include/config/X) \\\n  \
                         /s/include/x.h \\\n  a/made.h \\\n\na/b.o: $(deps_a/b.o)\n";

    #[test]
    fn the_source_and_the_headers_are_inputs() {
        let list: Vec<_> = inputs(SAVED).collect();
        assert_eq!(list, ["/s/a/b.c", "/s/include/x.h", "a/made.h"]);
    }

    #[test]
    fn a_changed_input_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        std::fs::write(tree.join("a.h"), "1").unwrap();
        let kept = state(tree, ["a.h", "none.h"].iter());
        assert!(is_unchanged(tree, &kept));
        std::fs::write(tree.join("a.h"), "22").unwrap();
        assert!(!is_unchanged(tree, &kept));
        std::fs::remove_file(tree.join("a.h")).unwrap();
        assert!(!is_unchanged(tree, &kept));
    }
}
