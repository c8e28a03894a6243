// SPDX-License-Identifier: GPL-2.0

//! Functions whose code is equal without and with the patch, but whose effect is not.
//!
//! "objtool klp checksum" hashes a function's instructions. It does not hash these parts of a
//! function:
//!
//! - The key of a static branch. It is in `__jump_table`; the code has only a NOP or a jump.
//! - The flags of a `WARN()`, in `__bug_table`, and the kind of a fixup, in `__ex_table`.
//! - The table that the compiler makes from a `switch` that only chooses constants (`CSWTCH.1`).
//!
//! "objtool klp diff" would leave such a function out, and the kernel would keep the old one. Here,
//! these parts are compared, and the checksum of each function in which they differ is changed.

use crate::elf::{
    Elf,
    Reloc, //
};
use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap, //
};
use std::ops::Range;

/// The sections whose entries belong to a function, and the sizes of their entries. The size in
/// `__bug_table` depends on the configuration; only the first field of an entry refers to code.
const TABLES: [(&str, Option<usize>); 3] = [
    ("__jump_table", Some(16)),
    ("__ex_table", Some(12)),
    ("__bug_table", None),
];

/// objtool's section of checksums: an address, which a relocation fills in, and a checksum.
const CHECKSUMS: &str = ".discard.sym_checksum";
const CHECKSUM: usize = 8;

/// A function: the number of its file symbol, or 0 if it is global, and its name.
type Key = (usize, String);

/// The parts that the checksum does not cover, for each function.
type Parts = BTreeMap<Key, Vec<(String, Vec<u8>)>>;

/// Changes the checksum of each function whose effect changes although its code does not. Returns
/// whether there is one.
pub(crate) fn mark(original: &Elf, patched: &mut Elf) -> bool {
    let (before, after) = (parts(original), parts(patched));
    let keys = keys(patched);
    let Some(section) = patched.section(CHECKSUMS) else {
        return false;
    };
    let start = patched.sections[section].offset;
    let places: Vec<_> = patched
        .relocs(section)
        .iter()
        .filter(|reloc| {
            let key = keys.get(&reloc.symbol);
            key.is_some_and(|key| before.get(key) != after.get(key))
        })
        .map(|reloc| start + reloc.offset as usize + CHECKSUM)
        .collect();
    for place in &places {
        for byte in patched.data.iter_mut().skip(*place).take(CHECKSUM) {
            *byte = !*byte;
        }
    }
    !places.is_empty()
}

/// The key of each function symbol. A cold part has the key of its function.
fn keys(elf: &Elf) -> HashMap<usize, Key> {
    let mut file = 0;
    let mut own = HashMap::new();
    for (index, symbol) in elf.symbols.iter().enumerate() {
        if symbol.is_file() {
            file = index;
        } else if symbol.is_function() {
            let file = if symbol.is_local() { file } else { 0 };
            own.insert(index, (file, symbol.name.clone()));
        }
    }
    // The index of a file symbol may differ between two objects, but not its number.
    let files: Vec<_> = (0..elf.symbols.len())
        .filter(|index| elf.symbols[*index].is_file())
        .collect();
    for key in own.values_mut() {
        key.0 = files.partition_point(|index| *index <= key.0 && key.0 != 0);
    }
    let known: BTreeSet<Key> = own.values().cloned().collect();
    for key in own.values_mut() {
        if let Some(name) = key.1.strip_suffix(".cold") {
            let local = (key.0, name.to_owned());
            *key = if known.contains(&local) {
                local
            } else {
                (0, name.to_owned())
            };
        }
    }
    own
}

fn parts(elf: &Elf) -> Parts {
    let keys = keys(elf);
    let mut by_section: HashMap<usize, Vec<(Range<u64>, &Key)>> = HashMap::new();
    let mut parts = Parts::new();
    for (index, symbol) in elf.functions() {
        let Some(key) = keys.get(&index) else {
            continue;
        };
        let functions = by_section.entry(symbol.section).or_default();
        functions.push((symbol.range(), key));
        for reloc in elf.relocs_of(symbol) {
            let section = elf.symbols[reloc.symbol].section;
            let is_table = elf.sections.get(section);
            if is_table.is_some_and(|section| section.name.contains("CSWTCH.")) {
                let text = described(elf, elf.relocs(section), 0);
                let bytes = without_fields(elf, section, 0..elf.sections[section].size);
                parts.entry(key.clone()).or_default().push((text, bytes));
            }
        }
    }
    let function_at = |section: usize, offset: u64| {
        let functions = by_section.get(&section)?;
        let found = functions
            .iter()
            .find(|(range, _)| range.contains(&offset))?;
        Some(found.1)
    };
    for (index, section) in elf.sections.iter().enumerate() {
        let Some((_, size)) = TABLES.iter().find(|(name, _)| *name == section.name) else {
            continue;
        };
        let relocs = elf.relocs(index);
        let starts: Vec<u64> = match size {
            Some(size) => (0..section.size).step_by(*size).collect(),
            None => relocs
                .iter()
                .filter(|reloc| is_code(elf, reloc))
                .map(|reloc| reloc.offset)
                .collect(),
        };
        for (number, start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(section.size);
            let from = relocs.partition_point(|reloc| reloc.offset < *start);
            let to = relocs.partition_point(|reloc| reloc.offset < end);
            let list = &relocs[from..to];
            let key = list.first().and_then(|reloc| {
                let symbol = &elf.symbols[reloc.symbol];
                let place = symbol.value.wrapping_add_signed(reloc.addend);
                function_at(symbol.section, place)
            });
            if let Some(key) = key {
                let bytes = without_fields(elf, index, *start..end);
                let part = (described(elf, list, *start), bytes);
                parts.entry(key.clone()).or_default().push(part);
            }
        }
    }
    for list in parts.values_mut() {
        list.sort_unstable();
    }
    parts
}

/// Whether a relocation refers to code.
fn is_code(elf: &Elf, reloc: &Reloc) -> bool {
    let section = elf.sections.get(elf.symbols[reloc.symbol].section);
    section.is_some_and(|section| section.flags & u64::from(object::elf::SHF_EXECINSTR) != 0)
}

/// Bytes of a section. The fields that relocations fill in are zero.
fn without_fields(elf: &Elf, section: usize, range: Range<u64>) -> Vec<u8> {
    let whole = range.start as usize..range.end as usize;
    let mut bytes = elf.bytes(section).get(whole).unwrap_or_default().to_vec();
    for reloc in elf.relocs(section) {
        if let (true, Some((width, _))) = (range.contains(&reloc.offset), reloc.field()) {
            let at = (reloc.offset - range.start) as usize;
            bytes.iter_mut().skip(at).take(width).for_each(|b| *b = 0);
        }
    }
    bytes
}

/// The targets of relocations: a string is described by its text, and all else by name and addend.
fn described(elf: &Elf, relocs: &[Reloc], start: u64) -> String {
    let one = |reloc: &Reloc| {
        let symbol = &elf.symbols[reloc.symbol];
        let section = elf.sections.get(symbol.section);
        let place = symbol.value.wrapping_add_signed(reloc.addend) as usize;
        let target = match section {
            Some(section) if section.has_strings() => {
                let rest = elf.bytes(symbol.section).get(place..).unwrap_or_default();
                let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
            Some(section) if symbol.is_section() => {
                format!("{}+{}", without_number(&section.name), reloc.addend)
            }
            _ => format!("{}+{}", without_number(&symbol.name), reloc.addend),
        };
        format!("{}:{target}\n", reloc.offset - start)
    };
    relocs.iter().map(one).collect()
}

/// A name without the number that the compiler gives to a static variable of a function.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;

    /// Two functions: one with an entry in a table, and one with a table of constants.
    fn object(key: &str, kind: u32, flags: u32, constant: u32) -> Elf {
        let text = format!(
            "extern char one, two;\n\
             char *keys[] = {{ &one, &two }};\n\
             void f(void);\n\
             void f(void)\n\
             {{\n\
             asm volatile(\"1: nop\\n\\t.pushsection __jump_table, \\\"aw\\\"\\n\\t\"\n\
             \".long 1b - ., 1b - .\\n\\t.quad {key} - .\\n\\t.popsection\");\n\
             asm volatile(\"1: nop\\n\\t.pushsection __ex_table, \\\"a\\\"\\n\\t\"\n\
             \".long 1b - ., 1b - ., {kind}\\n\\t.popsection\");\n\
             asm volatile(\"1: ud2\\n\\t.pushsection __bug_table, \\\"aw\\\"\\n\\t\"\n\
             \".long 1b - .\\n\\t.word 7, {flags}\\n\\t.popsection\");\n\
             }}\n\
             int g(unsigned int n);\n\
             int g(unsigned int n)\n\
             {{\n\
             switch (n) {{\n\
             case 0: return 17;\n\
             case 1: return 4;\n\
             case 2: return 99;\n\
             case 3: return 12;\n\
             case 4: return 55;\n\
             case 5: return {constant};\n\
             default: return 1;\n\
             }}\n\
             }}\n\
             unsigned long checksums[4] __attribute__((section(\"{CHECKSUMS}\"))) = \
             {{ (unsigned long)f, 1, (unsigned long)g, 1 }};\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.o");
        let options = ["-O2", "-ffunction-sections", "-fdata-sections", "-fno-pie"];
        compile_for_test(&text, &options, &path);
        Elf::read(&path).unwrap()
    }

    /// The functions whose checksums are changed.
    fn marked(original: &Elf, mut patched: Elf) -> Vec<String> {
        let any = mark(original, &mut patched);
        let section = patched.section(CHECKSUMS).unwrap();
        let sum = |at: u64| patched.bytes(section)[at as usize + CHECKSUM];
        let list: Vec<_> = patched
            .relocs(section)
            .iter()
            .filter(|reloc| sum(reloc.offset) != 1)
            .map(|reloc| patched.symbols[reloc.symbol].name.clone())
            .collect();
        assert_eq!(any, !list.is_empty());
        list
    }

    #[test]
    fn a_change_beside_the_code_marks_its_function() {
        let original = object("one", 3, 5, 7);
        assert_eq!(marked(&original, object("one", 3, 5, 7)), [""; 0]);
        assert_eq!(marked(&original, object("two", 3, 5, 7)), ["f"]);
        assert_eq!(marked(&original, object("one", 4, 5, 7)), ["f"]);
        assert_eq!(marked(&original, object("one", 3, 4, 7)), ["f"]);
        assert_eq!(marked(&original, object("one", 3, 5, 8)), ["g"]);
    }
}
