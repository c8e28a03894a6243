// SPDX-License-Identifier: GPL-2.0

//! A 64-bit little-endian ELF file: its sections, its symbols, its relocations.
//!
//! The crate `object` reads the file. This module keeps sections, symbols and relocations in plain
//! vectors for the other modules. The indexes are those of the file.

use crate::refusal::{
    tool_failure,
    Result, //
};
use crate::tree::hex;
use object::elf::{
    self,
    FileHeader64, //
};
use object::read::elf::{
    FileHeader,
    Rela,
    SectionHeader,
    Sym, //
};
use object::{
    Endianness,
    SectionIndex,
    SymbolIndex, //
};
use std::collections::HashMap;
use std::path::Path;

/// One section header, and where the section's bytes are in the file.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) addr: u64,
    pub(crate) offset: usize,
    pub(crate) size: u64,
    pub(crate) info: u32,
    /// The size of one entry, if all entries of the section have the same size. Otherwise 0.
    pub(crate) entry: u64,
}

impl Section {
    /// The section occupies memory in a running kernel.
    pub(crate) fn is_loaded(&self) -> bool {
        self.flags & u64::from(elf::SHF_ALLOC) != 0
    }

    pub(crate) fn is_code(&self) -> bool {
        self.flags & u64::from(elf::SHF_EXECINSTR) != 0
    }

    /// The section has bytes in the file.
    pub(crate) fn has_bytes(&self) -> bool {
        self.kind != elf::SHT_NOBITS && self.kind != elf::SHT_NULL
    }

    /// The linker may merge equal constants or strings of this section.
    pub(crate) fn is_merged(&self) -> bool {
        self.flags & u64::from(elf::SHF_MERGE) != 0
    }

    /// The section has strings. `entry` is then the size of one character.
    pub(crate) fn has_strings(&self) -> bool {
        self.flags & u64::from(elf::SHF_STRINGS) != 0
    }

    /// The section is a part of the init sections, which a running kernel has freed.
    pub(crate) fn is_init(&self) -> bool {
        self.name.starts_with(".init")
    }

    pub(crate) fn is_exit(&self) -> bool {
        self.name.starts_with(".exit")
    }
}

/// One entry of the symbol table.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) bind: u8,
    /// The section's index, or one of the reserved values.
    pub(crate) section: usize,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

impl Symbol {
    pub(crate) fn is_local(&self) -> bool {
        self.bind == elf::STB_LOCAL
    }

    pub(crate) fn is_defined(&self) -> bool {
        self.section != 0 && self.section < usize::from(elf::SHN_LORESERVE)
    }

    pub(crate) fn is_function(&self) -> bool {
        self.kind == elf::STT_FUNC && self.is_defined()
    }

    pub(crate) fn is_section(&self) -> bool {
        self.kind == elf::STT_SECTION
    }

    pub(crate) fn is_file(&self) -> bool {
        self.kind == elf::STT_FILE
    }

    /// The symbol's place, counted from the beginning of its section.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        self.value..self.value + self.size
    }
}

/// One relocation with an explicit addend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reloc {
    pub(crate) offset: u64,
    pub(crate) kind: u32,
    pub(crate) symbol: usize,
    pub(crate) addend: i64,
}

impl Reloc {
    /// How many bytes the relocation fills in, and whether the value is relative to its place.
    /// `None` for a kind that neither the kernel's modules nor its image use.
    pub(crate) fn field(&self) -> Option<(usize, bool)> {
        match self.kind {
            elf::R_X86_64_64 => Some((8, false)),
            elf::R_X86_64_PC64 => Some((8, true)),
            elf::R_X86_64_32 | elf::R_X86_64_32S => Some((4, false)),
            elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Some((4, true)),
            _ => None,
        }
    }
}

/// A file that was read completely.
#[derive(Debug)]
pub(crate) struct Elf {
    pub(crate) data: Vec<u8>,
    pub(crate) sections: Vec<Section>,
    pub(crate) symbols: Vec<Symbol>,
    relocs: HashMap<usize, Vec<Reloc>>,
}

impl Elf {
    /// The build id in hexadecimal digits.
    pub(crate) fn build_id(&self) -> Option<String> {
        const NOTE_GNU_BUILD_ID: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
        self.sections
            .iter()
            .enumerate()
            .find_map(|(index, section)| {
                if !section.name.starts_with(".note") {
                    return None;
                }
                let bytes = self.bytes(index);
                let at = bytes
                    .windows(NOTE_GNU_BUILD_ID.len())
                    .position(|window| window == NOTE_GNU_BUILD_ID)?;
                let id = bytes.get(at + NOTE_GNU_BUILD_ID.len()..)?.get(..20)?;
                Some(hex(id))
            })
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let data = std::fs::read(path)
            .map_err(|error| tool_failure(format!("{} cannot be read: {error}", path.display())))?;
        Self::parse(data).map_err(|error| tool_failure(format!("{}: {error}", path.display())))
    }

    pub(crate) fn parse(data: Vec<u8>) -> std::result::Result<Self, object::Error> {
        let bytes = &data[..];
        let header = FileHeader64::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let table = header.sections(endian, bytes)?;

        let mut sections = Vec::with_capacity(table.len());
        for section in table.iter() {
            sections.push(Section {
                name: text(table.section_name(endian, section)?),
                kind: section.sh_type(endian),
                flags: section.sh_flags(endian),
                addr: section.sh_addr(endian),
                offset: section.sh_offset(endian) as usize,
                size: section.sh_size(endian),
                info: section.sh_info(endian),
                entry: section.sh_entsize(endian),
            });
        }

        let symtab = table.symbols(endian, bytes, elf::SHT_SYMTAB)?;
        let mut symbols = Vec::with_capacity(symtab.len());
        for (index, symbol) in symtab.enumerate() {
            let section = match symbol.st_shndx(endian) {
                elf::SHN_XINDEX => {
                    symtab
                        .symbol_section(endian, symbol, index)?
                        .unwrap_or(SectionIndex(0))
                        .0
                }
                shndx => usize::from(shndx),
            };
            symbols.push(Symbol {
                name: text(symtab.symbol_name(endian, symbol)?),
                kind: symbol.st_type(),
                bind: symbol.st_bind(),
                section,
                value: symbol.st_value(endian),
                size: symbol.st_size(endian),
            });
        }

        let mut relocs: HashMap<usize, Vec<Reloc>> = HashMap::new();
        for section in table.iter() {
            let Some((list, _)) = section.rela(endian, bytes)? else {
                continue;
            };
            let target = relocs.entry(section.sh_info(endian) as usize).or_default();
            for rela in list {
                let symbol = rela.symbol(endian, false).unwrap_or(SymbolIndex(0));
                target.push(Reloc {
                    offset: rela.r_offset(endian),
                    kind: rela.r_type(endian, false),
                    symbol: symbol.0,
                    addend: rela.r_addend(endian),
                });
            }
        }
        for list in relocs.values_mut() {
            list.sort_by_key(|reloc| reloc.offset);
        }

        Ok(Self {
            data,
            sections,
            symbols,
            relocs,
        })
    }

    pub(crate) fn section(&self, name: &str) -> Option<usize> {
        self.sections
            .iter()
            .position(|section| section.name == name)
    }

    /// A section's bytes in the file. Empty if the section has no bytes in the file.
    pub(crate) fn bytes(&self, section: usize) -> &[u8] {
        let section = &self.sections[section];
        if !section.has_bytes() {
            return &[];
        }
        self.data
            .get(section.offset..section.offset + section.size as usize)
            .unwrap_or(&[])
    }

    /// The relocations of a section, by offset.
    pub(crate) fn relocs(&self, section: usize) -> &[Reloc] {
        self.relocs.get(&section).map_or(&[], Vec::as_slice)
    }

    /// The relocations of a part of a section.
    pub(crate) fn relocs_in(&self, section: usize, range: &std::ops::Range<u64>) -> &[Reloc] {
        let list = self.relocs(section);
        let from = list.partition_point(|reloc| reloc.offset < range.start);
        let to = list.partition_point(|reloc| reloc.offset < range.end);
        &list[from..to]
    }

    /// The relocations of one symbol's range.
    pub(crate) fn relocs_of(&self, symbol: &Symbol) -> &[Reloc] {
        self.relocs_in(symbol.section, &symbol.range())
    }

    /// The sections that have relocations.
    pub(crate) fn relocated(&self) -> impl Iterator<Item = (usize, &[Reloc])> {
        self.relocs
            .iter()
            .map(|(section, list)| (*section, list.as_slice()))
    }

    /// The bytes at an address of a linked file.
    pub(crate) fn bytes_at(&self, addr: u64, size: usize) -> Option<&[u8]> {
        let (section, offset) = self.section_at(addr)?;
        self.bytes(section).get(offset..offset.checked_add(size)?)
    }

    /// The section of a linked file that contains an address, and the offset in that section.
    pub(crate) fn section_at(&self, addr: u64) -> Option<(usize, usize)> {
        let index = self.sections.iter().position(|section| {
            section.is_loaded() && (section.addr..section.addr + section.size).contains(&addr)
        })?;
        Some((index, (addr - self.sections[index].addr) as usize))
    }

    /// The loaded sections of both files are equal, and so are their relocations.
    pub(crate) fn same_code(&self, other: &Self) -> bool {
        let parts = |elf: &Self| {
            elf.sections
                .iter()
                .enumerate()
                .filter(|(_, section)| section.is_loaded())
                .map(|(index, section)| {
                    let relocs = elf.relocs(index).iter().map(|reloc| {
                        let symbol = &elf.symbols[reloc.symbol];
                        let section = if symbol.is_section() {
                            elf.sections[symbol.section].name.clone()
                        } else {
                            symbol.name.clone()
                        };
                        (reloc.offset, reloc.kind, section, reloc.addend)
                    });
                    let relocs: Vec<_> = relocs.collect();
                    (
                        section.name.clone(),
                        section.size,
                        elf.bytes(index).to_vec(),
                        relocs,
                    )
                })
                .collect::<Vec<_>>()
        };
        parts(self) == parts(other)
    }

    /// Changes the type of a symbol, also in the file's bytes.
    pub(crate) fn set_kind(&mut self, index: usize, kind: u8) {
        const ENTRY: usize = 24;
        const INFO: usize = 4;

        let symtab = |section: &&Section| section.kind == elf::SHT_SYMTAB;
        let Some(symtab) = self.sections.iter().find(symtab) else {
            return;
        };
        let place = symtab.offset + index * ENTRY + INFO;
        if let Some(info) = self.data.get_mut(place) {
            *info = *info & 0xf0 | kind;
            self.symbols[index].kind = kind;
        }
    }

    /// The functions of an object that have a body.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (usize, &Symbol)> {
        self.symbols.iter().enumerate().filter(|(_, symbol)| {
            symbol.is_function() && symbol.size != 0 && !symbol.name.starts_with("__pfx_")
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
impl Elf {
    /// A file with these sections (the first is number 1), symbols and relocations.
    pub(crate) fn for_test(
        contents: &[(&str, u32, u64, u64, &[u8])],
        symbols: Vec<Symbol>,
        relocs: HashMap<usize, Vec<Reloc>>,
    ) -> Self {
        let mut data = Vec::new();
        let empty = Section {
            name: String::new(),
            kind: elf::SHT_NULL,
            flags: 0,
            addr: 0,
            offset: 0,
            size: 0,
            info: 0,
            entry: 0,
        };
        let mut sections = vec![empty.clone()];
        for (name, flags, entry, addr, bytes) in contents {
            sections.push(Section {
                name: (*name).to_owned(),
                kind: elf::SHT_PROGBITS,
                flags: u64::from(*flags),
                addr: *addr,
                offset: data.len(),
                size: bytes.len() as u64,
                entry: *entry,
                ..empty
            });
            data.extend_from_slice(bytes);
        }
        Self {
            data,
            sections,
            symbols,
            relocs,
        }
    }
}
