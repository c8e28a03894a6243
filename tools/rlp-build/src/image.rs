// SPDX-License-Identifier: GPL-2.0

//! The shipped objects: the kernel's image and its modules.
//!
//! Both are brought into one form: a linked ELF file with its symbols in the order of
//! /proc/kallsyms. A vmlinuz is unpacked, and its symbols are decoded from it. A module is
//! linked here to made-up addresses, so that code can be compared in the same way.

use crate::elf::{
    Elf,
    Section,
    Symbol, //
};
use crate::kallsyms::{
    self,
    Ksym,
    Names, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Result, //
};
use object::elf;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{
    Command,
    Stdio, //
};

/// A shipped object, vmlinux or a module.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) object: String,
    pub(crate) elf: Elf,
    pub(crate) names: Names,
}

impl Image {
    /// Reads a vmlinuz, or a vmlinux that is unpacked already.
    pub(crate) fn kernel(path: &Path) -> Result<Self> {
        let data = std::fs::read(path).map_err(io_error_at(path))?;
        let data = if data.starts_with(&elf::ELFMAG) {
            data
        } else {
            unpack_kernel(path, &data)?
        };
        let elf = Elf::parse(data)
            .map_err(|error| tool_failure(format!("{}: {error}", path.display())))?;
        let names = kallsyms::decode(&elf).ok_or_else(|| {
            tool_failure(format!(
                "{} has no symbol table that can be decoded",
                path.display()
            ))
        })?;
        Ok(Self {
            object: "vmlinux".into(),
            elf,
            names,
        })
    }

    /// Reads a module, which may be compressed.
    pub(crate) fn module(object: &str, path: &Path) -> Result<Self> {
        let data = std::fs::read(path).map_err(io_error_at(path))?;
        let data = match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => filter(&["xz", "-dc"], &data)?,
            Some("zst") => filter(&["zstd", "-dc"], &data)?,
            Some("gz") => filter(&["gzip", "-dc"], &data)?,
            _ => data,
        };
        let mut elf = Elf::parse(data)
            .map_err(|error| tool_failure(format!("{}: {error}", path.display())))?;
        let addrs = link(&mut elf);
        let names = Names::new(module_names(&elf, &addrs));
        Ok(Self {
            object: object.into(),
            elf,
            names,
        })
    }

    pub(crate) fn is_kernel(&self) -> bool {
        self.object == "vmlinux"
    }

    /// Whether a running kernel has freed the section, in a file of this object. The exit sections
    /// of a module stay until it is unloaded (`module_init_layout_section()` in
    /// `kernel/module/main.c`), because the loader needs CONFIG_MODULE_UNLOAD.
    pub(crate) fn has_freed(&self, section: &Section) -> bool {
        section.is_init() || self.is_kernel() && section.is_exit()
    }

    /// The address is in a section that a running kernel has freed.
    pub(crate) fn is_freed(&self, addr: u64) -> bool {
        let found = self.elf.section_at(addr);
        found.is_some_and(|(section, _)| self.has_freed(&self.elf.sections[section]))
    }

    /// The kernel's release, from the banner in its read-only data.
    pub(crate) fn release(&self) -> Option<String> {
        const BANNER: &[u8] = b"Linux version ";
        let bytes = self.elf.bytes(self.elf.section(".rodata")?);
        let at = bytes
            .windows(BANNER.len())
            .position(|window| window == BANNER)?
            + BANNER.len();
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b' ')?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

/// The ELF file inside of a bzImage; Documentation/arch/x86/boot.rst describes the header.
fn unpack_kernel(path: &Path, data: &[u8]) -> Result<Vec<u8>> {
    let not = || {
        tool_failure(format!(
            "{} is neither a bzImage nor an ELF file",
            path.display()
        ))
    };
    let word = |at: usize| {
        data.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
            .ok_or_else(not)
    };
    if data.get(0x202..0x206) != Some(b"HdrS") {
        return Err(not());
    }
    let setup = match data[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup + 1) * 512 + word(0x248)? as usize;
    // The last four bytes of the payload are its unpacked size.
    let end = (start + word(0x24c)? as usize).saturating_sub(4);
    let payload = data.get(start..end).ok_or_else(not)?;

    let command: &[&str] = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => &["zstd", "-dc"],
        [0xfd, b'7', b'z', b'X', ..] => &["xz", "-dc"],
        [0x1f, 0x8b, ..] => &["gzip", "-dc"],
        [0x02, 0x21, 0x4c, 0x18, ..] => &["lz4", "-dc"],
        _ => {
            return Err(tool_failure(format!(
                "{}: the compression is not known",
                path.display()
            )))
        }
    };
    filter(command, payload)
}

/// Runs a program that reads its input and writes its output.
fn filter(command: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| tool_failure(format!("{}: {error}", command[0]));
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut stdin = child.stdin.take().ok_or_else(|| tool_failure("no pipe"))?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // If the program fails, its exit status shows that.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output()
    })
    .map_err(failed)?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(tool_failure(format!(
            "{} failed: {}",
            command[0],
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(output.stdout)
}

/// Gives each section of a module and each undefined symbol an address of its own, and applies
/// the relocations. Returns each symbol's address.
fn link(module: &mut Elf) -> Vec<u64> {
    const SECTIONS: u64 = 0xffff_ffff_a000_0000;
    const UNDEFINED: u64 = 0xffff_ffff_b000_0000;

    let mut next = SECTIONS;
    for section in &mut module.sections {
        if section.is_loaded() {
            section.addr = next;
            next = (next + section.size + 0xffff) & !0xfff;
        }
    }
    let mut undefined: HashMap<&str, u64> = HashMap::new();
    let addrs: Vec<u64> = module
        .symbols
        .iter()
        .map(|symbol| match symbol.section {
            0 => {
                let place = UNDEFINED + 64 * undefined.len() as u64;
                *undefined.entry(&symbol.name).or_insert(place)
            }
            _ if symbol.is_defined() => module.sections[symbol.section]
                .addr
                .wrapping_add(symbol.value),
            _ => symbol.value,
        })
        .collect();

    let mut writes = Vec::new();
    for (index, list) in module.relocated() {
        let section = &module.sections[index];
        if !section.is_loaded() || !section.has_bytes() {
            continue;
        }
        for reloc in list {
            let Some((width, relative)) = reloc.field() else {
                continue;
            };
            let mut value = addrs[reloc.symbol].wrapping_add_signed(reloc.addend);
            if relative {
                value = value.wrapping_sub(section.addr + reloc.offset);
            }
            writes.push((section.offset + reloc.offset as usize, width, value));
        }
    }
    for (place, width, value) in writes {
        if let Some(field) = module.data.get_mut(place..place + width) {
            field.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    addrs
}

/// The symbols of a loaded module, in the order of its symbol table.
fn module_names(module: &Elf, addrs: &[u64]) -> Vec<Ksym> {
    let kind = |symbol: &Symbol| {
        let code = module.sections[symbol.section].is_code();
        let kind = if code { 't' } else { 'd' };
        if symbol.is_local() {
            kind
        } else {
            kind.to_ascii_uppercase()
        }
    };
    module
        .symbols
        .iter()
        .zip(addrs)
        .filter(|(symbol, _)| {
            !symbol.name.is_empty()
                && !symbol.is_section()
                && !symbol.is_file()
                && symbol.is_defined()
                && module.sections[symbol.section].is_loaded()
        })
        .map(|(symbol, addr)| Ksym {
            addr: *addr,
            kind: kind(symbol),
            name: symbol.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_keeps_its_exit_code() {
        let freed = |object: &str| {
            let sections = [".text", ".init.text", ".exit.text"];
            let contents = sections.map(|name| (name, elf::SHF_ALLOC, 0, 0, &[][..]));
            let image = Image {
                object: object.into(),
                elf: Elf::for_test(&contents, Vec::new(), HashMap::new()),
                names: Names::new(Vec::new()),
            };
            [1, 2, 3].map(|section| image.has_freed(&image.elf.sections[section]))
        };
        assert_eq!(freed("vmlinux"), [false, true, true]);
        assert_eq!(freed("pktgen"), [false, true, false]);
    }
}
