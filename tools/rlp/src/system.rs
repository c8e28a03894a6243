// SPDX-License-Identifier: GPL-2.0

//! The machine: its files, its kernel, and the user.

use crate::digest::hex;
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use std::io::{
    ErrorKind,
    Read,
    Seek,
    SeekFrom, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// The folder of this program's own files.
pub(crate) const STATE: &str = "/var/lib/rlp";

/// The machine that a command looks at. All paths are below `root`: tests look at a folder with
/// copies of the files of a machine.
#[derive(Debug, Clone)]
pub(crate) struct System {
    root: PathBuf,
}

impl System {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether this is the running machine.
    pub(crate) fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Puts the root before the absolute path that a file has on the machine.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Reads a text file, without the white space at its end.
    pub(crate) fn read(&self, absolute: &str) -> std::io::Result<String> {
        read_text(&self.path(absolute))
    }

    /// Whether a file can be read, and has this value.
    pub(crate) fn has_value(&self, absolute: &str, value: &str) -> bool {
        self.read(absolute).is_ok_and(|text| text == value)
    }

    pub(crate) fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The sorted names in a folder. A folder that does not exist has none.
    pub(crate) fn names(&self, absolute: &str) -> Result<Vec<String>> {
        names_in(&self.path(absolute))
    }

    /// Writes a value to a file of the kernel, in one write.
    pub(crate) fn write(&self, absolute: &str, value: &str) -> std::io::Result<()> {
        use std::io::Write;
        let mut options = std::fs::OpenOptions::new();
        // A file of the kernel is never created. A copy of such a file, below another root, is
        // truncated. Otherwise it would keep the end of an old value that is longer.
        options.write(true).truncate(!self.is_real());
        options
            .open(self.path(absolute))?
            .write_all(value.as_bytes())
    }

    /// The release of the running kernel.
    pub(crate) fn release(&self) -> String {
        self.read("/proc/sys/kernel/osrelease").unwrap_or_else(|_| {
            rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned()
        })
    }

    /// The number that is different for each boot, or an empty string.
    pub(crate) fn boot_id(&self) -> String {
        self.read("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
    }

    /// The build id of the running kernel, in hexadecimal digits.
    pub(crate) fn kernel_build_id(&self) -> Option<String> {
        build_id(&std::fs::read(self.path("/sys/kernel/notes")).ok()?)
    }

    /// The build id of a loaded module.
    pub(crate) fn module_build_id(&self, module: &str) -> Option<String> {
        let path = format!("/sys/module/{module}/notes/.note.gnu.build-id");
        build_id(&std::fs::read(self.path(&path)).ok()?)
    }

    pub(crate) fn has_module(&self, module: &str) -> bool {
        // A module that is built in has a folder, too, but no state.
        self.exists(&format!("/sys/module/{module}/initstate"))
    }

    /// The words of the kernel's command line.
    pub(crate) fn command_line(&self) -> Vec<String> {
        let line = self.read("/proc/cmdline").unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// Checks that this user may change the machine.
    pub(crate) fn needs_root(&self, what: &str) -> Result<()> {
        if !self.is_real() || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::refused(format!("only root may {what}"))
            .next("run this command again with sudo"))
    }
}

pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Reads an open file of the kernel from its start.
pub(crate) fn read_again(file: &mut std::fs::File) -> std::io::Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(on_file(folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(on_file(folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Finds the build id in the bytes of ELF notes.
pub(crate) fn build_id(notes: &[u8]) -> Option<String> {
    const TYPE: u32 = 3; // NT_GNU_BUILD_ID
    let word = |at: usize| {
        let bytes = notes.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let padded = |size: u32| usize::try_from(size).ok()?.checked_next_multiple_of(4);
    let mut at = 0;
    loop {
        let (name, size, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let name_at = at + 12;
        let id_at = name_at.checked_add(padded(name)?)?;
        if kind == TYPE && notes.get(name_at..name_at + 4)? == b"GNU\0" {
            let id = notes.get(id_at..id_at.checked_add(usize::try_from(size).ok()?)?)?;
            return (!id.is_empty()).then(|| hex(id));
        }
        at = id_at.checked_add(padded(size)?)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], desc: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [name.len() as u32, desc.len() as u32, kind] {
            bytes.extend(word.to_ne_bytes());
        }
        for part in [name, desc] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn build_ids() {
        let mut notes = note(0x100, b"Linux\0", b"\0\0\0\0\0\0\0\0");
        notes.extend(note(3, b"GNU\0", &[0xab, 0xcd, 1]));
        assert_eq!(build_id(&notes).as_deref(), Some("abcd01"));
        for len in 0..notes.len() - 1 {
            assert_eq!(build_id(&notes[..len]), None, "{len} bytes");
        }
        assert_eq!(build_id(&note(3, b"GNU\0", &[])), None, "an empty one");
        // A size that does not fit must not be followed.
        let mut huge = note(1, b"GNU\0", b"");
        huge[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(build_id(&huge), None);
    }
}
