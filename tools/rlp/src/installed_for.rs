// SPDX-License-Identifier: GPL-2.0

//! The build of the kernel that an installed patch is for. Two builds of a kernel can have the same
//! release, and a patch for one of them does not fit the code of the other. The proof of a patch
//! names its build, but the proof is not beside the installed file, and a patch need not have one.
//!
//! `NAME.kernel` beside `NAME.ko` has a line for each content of the module: its SHA-256, and the
//! build id of the kernel, or `-` if that is not known. `install` adds the line of the new module
//! and keeps that of the old one, and then replaces the module. So the file has a line for the
//! module that is there, even after a power cut between the two steps.

use crate::digest::{
    is_hex,
    Digest, //
};
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::image;
use crate::module_file::ModuleFile;
use crate::system::System;
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};

/// The word for a build id that is not known.
const UNKNOWN: &str = "-";

/// The file beside an installed module.
pub(crate) fn file(module: &Path) -> PathBuf {
    module.with_extension("kernel")
}

/// The build of the kernel that a module is installed for: that of its proof, that of the running
/// kernel, or that of the kernel's image in /boot. The caller has checked that the module fits the
/// running kernel if it is for that release.
pub(crate) fn wanted(system: &System, module: &ModuleFile) -> Option<String> {
    let release = &module.release;
    module.kernel_build_id.clone().or_else(|| {
        if *release == system.release() {
            return system.kernel_build_id();
        }
        image::build_id(&system.path(&format!("/boot/vmlinuz-{release}"))).ok()
    })
}

fn line(sha256: Digest, build_id: Option<&str>) -> String {
    format!("{sha256} {}\n", build_id.unwrap_or(UNKNOWN))
}

/// Finds the build id in the line of a module.
fn find(text: &str, sha256: Digest) -> Option<Option<String>> {
    let sha256 = sha256.to_string();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, id) = lines.find(|(own, _)| *own == sha256)?;
    match id {
        UNKNOWN => Some(None),
        id => (!id.is_empty() && is_hex(id, id.len())).then(|| Some(id.to_owned())),
    }
}

/// The build of the kernel that the module at this path was installed for. `None`: the module is
/// not installed, or the build was not known.
pub(crate) fn read(module: &Path, bytes: &[u8]) -> Result<Option<String>> {
    let path = file(module);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(on_file(&path))?,
    };
    find(&String::from_utf8_lossy(&text), Digest::of(bytes)).ok_or_else(|| {
        Failure::refused(format!("{} is not loaded", module.display()))
            .why(format!("{} does not name this file", path.display()))
            .next("install the patch again: rlp install FILE")
    })
}

/// Writes the build of the kernel for a module that is about to be installed at this path.
pub(crate) fn write(module: &Path, bytes: &[u8], build_id: Option<&str>) -> Result<()> {
    let new = Digest::of(bytes);
    let old = match std::fs::read(module) {
        Ok(old) => Digest::of(&old),
        Err(error) if error.kind() == ErrorKind::NotFound => new,
        Err(error) => return Err(on_file(module)(error)),
    };
    let path = file(module);
    let mut text = line(new, build_id);
    if old != new {
        let before = std::fs::read(&path).unwrap_or_default();
        // A module that an older version of rlp has installed has no line, and may be loaded.
        let before = find(&String::from_utf8_lossy(&before), old).flatten();
        text += &line(old, before.as_deref());
    }
    Ok(durable::replace(&path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_of_a_module_has_its_build() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("fix.ko");
        assert_eq!(read(&module, b"one").unwrap(), None);
        write(&module, b"one", Some("aa01")).unwrap();
        assert_eq!(read(&module, b"one").unwrap().as_deref(), Some("aa01"));
        std::fs::write(&module, b"one").unwrap();
        // A power cut before the module is replaced leaves the old one, which has its own line.
        write(&module, b"two", Some("bb01")).unwrap();
        assert_eq!(read(&module, b"one").unwrap().as_deref(), Some("aa01"));
        assert_eq!(read(&module, b"two").unwrap().as_deref(), Some("bb01"));
        std::fs::write(&module, b"two").unwrap();
        write(&module, b"two", None).unwrap();
        assert_eq!(read(&module, b"two").unwrap(), None);
        assert!(read(&module, b"one").is_err());
        for damaged in ["", "bb01", "x y"] {
            std::fs::write(file(&module), damaged).unwrap();
            assert!(read(&module, b"two").is_err(), "{damaged}");
        }
    }
}
