// SPDX-License-Identifier: GPL-2.0

//! Files that survive a power cut: after each step, the old or the new content is on the disk, and
//! never a part of it.

use crate::failure::{on, Result};
use rustix::fs::{flock, FlockOperation};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Makes a folder and the folders above it. Each entry is on the disk before this returns.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (),
        result => result.map_err(on(folder))?,
    }
    sync_entry(folder)
}

/// Waits until the entry of `path` in its folder is on the disk.
fn sync_entry(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(on(folder))
}

/// Replaces a file by one with this content.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".rlp-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(on(folder))?;
    file.write_all(content).map_err(on(path))?;
    file.as_file().sync_all().map_err(on(path))?;
    file.persist(path).map_err(|error| on(path)(error.error))?;
    sync_entry(path)
}

/// Removes a file, if it exists.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(on(path))?,
    }
    sync_entry(path)
}

/// Appends a line to a file. If a power cut has left a part of a line at its end, the part is ended
/// first.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<()> {
    make_folder(path.parent().unwrap_or(Path::new("/")))?;
    let is_new = !path.exists();
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(on(path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| on(path)(error.into()))?;
    let mut text = String::new();
    if !ends_with_newline(&mut file).map_err(on(path))? {
        text.push('\n');
    }
    text += line;
    text.push('\n');
    file.write_all(text.as_bytes()).map_err(on(path))?;
    file.sync_all().map_err(on(path))?;
    if is_new {
        sync_entry(path)?;
    }
    Ok(())
}

/// Whether the file is empty or ends with a newline.
fn ends_with_newline(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        // Nothing else is left in the folder.
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_torn_line_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lines");
        append_line(&path, "one").unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"tor")
            .unwrap();
        append_line(&path, "two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntor\ntwo\n");
    }
}
