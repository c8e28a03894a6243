// SPDX-License-Identifier: GPL-2.0

//! The build id of a kernel's image in /boot. The image is a small program that unpacks the kernel;
//! the kernel itself, with its notes, is compressed in it (Documentation/arch/x86/boot.rst of the
//! kernel).

use crate::failure::error_text;
use crate::program;
use crate::system;
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{
    Endianness,
    Object,
    ObjectSection, //
};
use std::path::Path;
use std::process::Command;

/// The beginning of a compressed kernel, the program that unpacks it, and the bytes after the
/// compressed data: for all but gzip, the kernel's build appends the unpacked size.
const FORMATS: [(&[u8], &str, usize); 5] = [
    (b"\x1f\x8b", "gzip", 0),
    (b"\xfd7zXZ\0", "xz", 4),
    (b"\x28\xb5\x2f\xfd", "zstd", 4),
    (b"BZh", "bzip2", 4),
    (b"\x02\x21\x4c\x18", "lz4", 4),
];

/// The offsets of the fields of the header.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

fn word(image: &[u8], at: usize) -> Option<usize> {
    let bytes = image.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// The compressed kernel in an image.
fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let sectors = match image.get(SETUP_SECTORS)? {
        0 => 4,
        &sectors => usize::from(sectors),
    };
    let from = (sectors + 1) * 512 + word(image, PAYLOAD_OFFSET)?;
    image.get(from..from.checked_add(word(image, PAYLOAD_LENGTH)?)?)
}

/// Unpacks the kernel with the program for its format.
fn unpack(payload: &[u8]) -> Result<Vec<u8>, String> {
    let format = FORMATS
        .iter()
        .find(|(magic, ..)| payload.starts_with(magic));
    let (_, program, tail) = format.ok_or("it is compressed in an unknown way")?;
    let payload = &payload[..payload.len().saturating_sub(*tail)];
    let output = program::output(Command::new(program).arg("-dc"), payload, program::LIMIT);
    let output = output.map_err(|error| format!("{program}: {}", error_text(&error)))?;
    Ok(output.stdout)
}

/// The build id of the kernel in an image, or why it is not known.
pub(crate) fn build_id(path: &Path) -> Result<String, String> {
    let image = std::fs::read(path)
        .map_err(|error| format!("{}: {}", path.display(), error_text(&error)))?;
    let payload = payload(&image).ok_or("it is no image of a kernel for x86")?;
    let kernel = unpack(payload)?;
    let elf = ElfFile::<FileHeader64<Endianness>>::parse(&kernel[..])
        .map_err(|error| error.to_string())?;
    let notes = elf
        .section_by_name(".notes")
        .and_then(|notes| notes.data().ok());
    notes
        .and_then(system::build_id)
        .or_else(|| elf.build_id().ok().flatten().map(crate::digest::hex))
        .ok_or_else(|| "the kernel in it has no build id".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_have_no_build_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinuz");
        let why = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            build_id(&path).unwrap_err()
        };
        assert!(why(b"").contains("no image"));
        assert!(why(&[0; 4096]).contains("no image"));
        let mut image = vec![0; 8192];
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_LENGTH] = 100;
        assert!(why(&image).contains("an unknown way"));
        image[PAYLOAD_OFFSET + 3] = 0xff;
        assert!(why(&image).contains("no image"));
        assert!(build_id(Path::new("/nothing"))
            .unwrap_err()
            .contains("/nothing"));
    }
}
