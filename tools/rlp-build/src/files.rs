// SPDX-License-Identifier: GPL-2.0

//! Results on disk.

use crate::refusal::{broken, on, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file that is complete or absent, also after a power cut.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| broken(format!("{} is no file name", path.display())))?;
    let partial = folder.join(format!(".{}.partial", name.to_string_lossy()));
    let mut file = File::create(&partial).map_err(on(&partial))?;
    file.write_all(content).map_err(on(&partial))?;
    file.sync_all().map_err(on(&partial))?;
    std::fs::rename(&partial, path).map_err(on(path))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(on(folder))
}
