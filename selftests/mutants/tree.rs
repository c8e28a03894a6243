// SPDX-License-Identifier: GPL-2.0

//! The files that are changed: those of the loader and of its wrappers, without their tests.

use crate::{
    collect,
    mutant::Mutant,
    Result, //
};
use std::{
    fs,
    path::Path, //
};

const FOLDERS: [&str; 2] = ["rust/livepatch", "rust/kernel"];

/// Returns all mutants of the tree `top`, in the order of the files and of their text.
pub(crate) fn mutants(top: &Path) -> Result<Vec<Mutant>> {
    let mut found = Vec::new();
    for file in files(top)? {
        let source = fs::read_to_string(top.join(&file))?;
        let mutants = collect::mutants(&file, &source)
            .map_err(|error| format!("{file} cannot be parsed: {error}"))?;
        found.extend(mutants);
    }
    Ok(found)
}

/// Returns the files, relative to `top` and sorted. The folders below have tests.
pub(crate) fn files(top: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        let entries =
            fs::read_dir(top.join(folder)).map_err(|error| format!("{folder}: {error}"))?;
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".rs") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    files.sort();
    Ok(files)
}
