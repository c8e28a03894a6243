// SPDX-License-Identifier: GPL-2.0

//! Finds files: those that are named, and those in the folders that are named.

use crate::failure::{
    on_file,
    Result, //
};
use std::collections::BTreeSet;
use std::path::{
    Path,
    PathBuf, //
};

/// The files that are named, and each `wanted` file below the folders that are named. Below a
/// folder, links to folders are not followed, and pipes and devices are left out. Each file is in
/// the result once, and the order is always the same.
pub(crate) fn find(paths: &[PathBuf], wanted: fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for path in paths {
        let path = std::fs::canonicalize(path).map_err(on_file(path))?;
        if path.is_dir() {
            below(path, wanted, &mut found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(found.into_iter().collect())
}

fn below(folder: PathBuf, wanted: fn(&Path) -> bool, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(on_file(&folder))? {
            let entry = entry.map_err(on_file(&folder))?;
            let path = entry.path();
            if entry.file_type().map_err(on_file(&path))?.is_dir() {
                folders.push(path);
            } else if wanted(&path) && path.is_file() {
                found.insert(path);
            }
        }
    }
    Ok(())
}
