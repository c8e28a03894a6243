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

use crate::content::part;
use crate::elf::{
    Elf,
    Reloc,
    Section, //
};
use crate::functions::Functions;
use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap, //
};

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

/// Changes the checksum of each function whose effect changes although its code does not.
pub(crate) fn mark(original: &Elf, patched: &mut Elf) {
    let Some(section) = patched.section(CHECKSUMS) else {
        return;
    };
    let start = patched.sections[section].offset;
    let places: Vec<_> = {
        let (before, after) = (Object::of(original), Object::of(patched));
        let (old, new) = (before.parts(), after.parts());
        let changes = |reloc: &&Reloc| {
            let symbol = &patched.symbols[reloc.symbol];
            let function = after.functions.at(symbol.section, symbol.value);
            function.is_some_and(|(index, _)| {
                let key = &after.keys[&index];
                old.get(key) != new.get(key)
            })
        };
        let relocs = patched.relocs(section).iter();
        relocs
            .filter(changes)
            .map(|reloc| start + reloc.offset as usize + CHECKSUM)
            .collect()
    };
    for place in &places {
        for byte in patched.data.iter_mut().skip(*place).take(CHECKSUM) {
            *byte = !*byte;
        }
    }
}

/// An object, and its functions.
struct Object<'a> {
    elf: &'a Elf,
    functions: Functions<'a>,
    keys: HashMap<usize, Key>,
}

impl<'a> Object<'a> {
    fn of(elf: &'a Elf) -> Self {
        Self {
            elf,
            functions: Functions::of(elf),
            keys: keys(elf),
        }
    }

    fn parts(&self) -> Parts {
        let mut parts = Parts::new();
        self.add_constants(&mut parts);
        for (index, section) in self.elf.sections.iter().enumerate() {
            if let Some((_, size)) = TABLES.iter().find(|(name, _)| *name == section.name) {
                self.add_entries(index, *size, &mut parts);
            }
        }
        for list in parts.values_mut() {
            list.sort_unstable();
        }
        parts
    }

    /// Adds the tables of constants to which functions refer.
    fn add_constants(&self, parts: &mut Parts) {
        for (index, symbol) in self.elf.functions() {
            for reloc in self.elf.relocs_of(symbol) {
                let section = self.elf.symbols[reloc.symbol].section;
                let Some(table) = self.elf.sections.get(section) else {
                    continue;
                };
                if table.name.contains("CSWTCH.") {
                    let part = part(self.elf, section, 0..table.size);
                    parts
                        .entry(self.keys[&index].clone())
                        .or_default()
                        .push(part);
                }
            }
        }
    }

    /// Adds the entries of a section to the functions that they belong to.
    fn add_entries(&self, section: usize, size: Option<usize>, parts: &mut Parts) {
        let whole = self.elf.sections[section].size;
        let starts: Vec<u64> = match size {
            Some(size) => (0..whole).step_by(size).collect(),
            None => {
                let relocs = self.elf.relocs(section).iter();
                relocs
                    .filter(|reloc| self.is_code(reloc))
                    .map(|reloc| reloc.offset)
                    .collect()
            }
        };
        let ends = starts.iter().skip(1).copied().chain([whole]);
        for range in starts.iter().zip(ends).map(|(start, end)| *start..end) {
            // The first field of an entry is the place in the function's code.
            let Some(first) = self.elf.relocs_in(section, &range).first() else {
                continue;
            };
            let symbol = &self.elf.symbols[first.symbol];
            let place = symbol.value.wrapping_add_signed(first.addend);
            if let Some((index, _)) = self.functions.at(symbol.section, place) {
                let part = part(self.elf, section, range);
                parts
                    .entry(self.keys[&index].clone())
                    .or_default()
                    .push(part);
            }
        }
    }

    /// Whether a relocation refers to code.
    fn is_code(&self, reloc: &Reloc) -> bool {
        let section = self.elf.symbols[reloc.symbol].section;
        self.elf.sections.get(section).is_some_and(Section::is_code)
    }
}

/// The key of each function symbol. A cold part has the key of its function.
fn keys(elf: &Elf) -> HashMap<usize, Key> {
    let mut files = 0;
    let mut keys = HashMap::new();
    for (index, symbol) in elf.symbols.iter().enumerate() {
        if symbol.is_file() {
            files += 1;
        } else if symbol.is_function() {
            let file = if symbol.is_local() { files } else { 0 };
            keys.insert(index, (file, symbol.name.clone()));
        }
    }
    let known: BTreeSet<Key> = keys.values().cloned().collect();
    for key in keys.values_mut() {
        if let Some(name) = key.1.strip_suffix(".cold") {
            let local = (key.0, name.to_owned());
            *key = if known.contains(&local) {
                local
            } else {
                (0, name.to_owned())
            };
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;

    /// Two functions: one with two names and an entry in each table, and one with a table of
    /// constants.
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
             void alias(void) __attribute__((alias(\"f\")));\n\
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
        mark(original, &mut patched);
        let section = patched.section(CHECKSUMS).unwrap();
        let sum = |at: u64| patched.bytes(section)[at as usize + CHECKSUM];
        patched
            .relocs(section)
            .iter()
            .filter(|reloc| sum(reloc.offset) != 1)
            .map(|reloc| patched.symbols[reloc.symbol].name.clone())
            .collect()
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
