// SPDX-License-Identifier: GPL-2.0

//! The smallest ELF file that is a patch module for this program.

const HEADER: usize = 64;
const NULL: u32 = 0;
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NOTE: u32 = 7;

/// An ELF note with a build id.
pub(crate) fn build_id_note(id: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [4, id.len() as u32, 3] {
        note.extend(word.to_ne_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(id);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

fn string(table: &mut Vec<u8>, text: &str) -> u32 {
    let at = table.len() as u32;
    table.extend(text.as_bytes());
    table.push(0);
    at
}

/// A module that has these fields of modinfo and needs this symbol.
pub(crate) fn module(info: &[String], symbol: &str, build_id: &[u8]) -> Vec<u8> {
    module_with_symbols(info, &[symbol], &[], build_id)
}

/// A module that needs some symbols, and defines others.
pub(crate) fn module_with_symbols(
    info: &[String],
    needed: &[&str],
    defined: &[&str],
    build_id: &[u8],
) -> Vec<u8> {
    // st_info with the type and st_shndx: defined symbols are objects in the first section.
    const UNDEFINED: (u8, u16) = (0x10, 0);
    const DEFINED: (u8, u16) = (0x11, 1);
    let mut strings = vec![0];
    let mut symbols = vec![0; 24];
    let needed = needed.iter().map(|name| (name, UNDEFINED));
    let defined = defined.iter().map(|name| (name, DEFINED));
    for (name, (info, section)) in needed.chain(defined) {
        symbols.extend(string(&mut strings, name).to_le_bytes());
        // Global: st_info, st_other, st_shndx, st_value, st_size.
        symbols.extend([info, 0]);
        symbols.extend(section.to_le_bytes());
        symbols.extend([0; 16]);
    }

    let mut modinfo = Vec::new();
    for field in info {
        string(&mut modinfo, field);
    }

    let mut names = vec![0];
    // Name, type, content, sh_link, sh_info, sh_entsize.
    let sections = [
        (".modinfo", PROGBITS, modinfo, 0, 0, 0),
        (".note.gnu.build-id", NOTE, build_id_note(build_id), 0, 0, 0),
        (".symtab", SYMTAB, symbols, 4, 1, 24),
        (".strtab", STRTAB, strings, 0, 0, 0),
    ];
    let mut headers = section_header(0, NULL, 0, 0, (0, 0, 0));
    let mut content = Vec::new();
    for (name, kind, bytes, link, info, entry) in &sections {
        content.resize(content.len().next_multiple_of(8), 0);
        headers.extend(section_header(
            string(&mut names, name),
            *kind,
            HEADER + content.len(),
            bytes.len(),
            (*link, *info, *entry),
        ));
        content.extend(bytes);
    }
    let name = string(&mut names, ".shstrtab");
    let at = HEADER + content.len();
    headers.extend(section_header(name, STRTAB, at, names.len(), (0, 0, 0)));
    content.extend(&names);
    content.resize(content.len().next_multiple_of(8), 0);

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(1u16.to_le_bytes()); // relocatable
    file.extend(62u16.to_le_bytes()); // x86-64
    file.extend(1u32.to_le_bytes());
    file.extend([0; 16]); // no entry, no program headers
    file.extend(((HEADER + content.len()) as u64).to_le_bytes());
    file.extend([0; 4]);
    for half in [HEADER as u16, 0, 0, 64, 6, 5] {
        file.extend(half.to_le_bytes());
    }
    file.extend(content);
    file.extend(headers);
    file
}

fn section_header(
    name: u32,
    kind: u32,
    at: usize,
    size: usize,
    (link, info, entry): (u32, u32, u64),
) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(name.to_le_bytes());
    header.extend(kind.to_le_bytes());
    header.extend([0; 16]); // flags, address
    header.extend((at as u64).to_le_bytes());
    header.extend((size as u64).to_le_bytes());
    header.extend(link.to_le_bytes());
    header.extend(info.to_le_bytes());
    header.extend(8u64.to_le_bytes());
    header.extend(entry.to_le_bytes());
    header
}
