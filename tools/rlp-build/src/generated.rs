// SPDX-License-Identifier: GPL-2.0

//! Headers that kbuild makes for a unit, such as security/selinux/flask.h.
//!
//! kbuild makes them in the tree when it compiles the unit, and the tree is an overlay of this
//! build alone. A later build takes the unit from the cache, and compiles it in sections without
//! kbuild. So the headers are kept in the cache, too.

use crate::refusal::{
    io_error_at,
    Result, //
};
use crate::tree::Tree;
use crate::{
    cache,
    namespace, //
};
use std::path::Path;

/// The folder in the cache of a unit.
const FOLDER: &str = "generated";

/// Copies the headers that the saved command of kbuild names, and that this build has made, to the
/// cache.
pub(crate) fn save_headers(tree: &Tree, saved: &str, cached: &Path) -> Result {
    let folder = cached.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(io_error_at(&folder))?;
    let Some(made) = namespace::folder().map(|own| own.join("tree")) else {
        return Ok(());
    };
    let is_below_tree = |path: &&str| !path.starts_with('/') && !path.contains("..");
    for file in cache::inputs(saved).filter(is_below_tree) {
        if made.join(file).is_file() {
            copy(&tree.dir.join(file), &folder.join(file))?;
        }
    }
    Ok(())
}

/// Puts the headers of a unit into the tree.
pub(crate) fn restore_headers(tree: &Tree, cached: &Path) -> Result {
    let folder = cached.join(FOLDER);
    let mut open = vec![folder.clone()];
    while let Some(part) = open.pop() {
        for entry in std::fs::read_dir(&part).map_err(io_error_at(&part))? {
            let path = entry.map_err(io_error_at(&part))?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(file) = path.strip_prefix(&folder) {
                let place = tree.dir.join(file);
                if !place.exists() {
                    copy(&path, &place)?;
                }
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(io_error_at(parent))?;
    }
    std::fs::copy(from, to).map_err(io_error_at(from))?;
    Ok(())
}
