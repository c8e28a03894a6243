// SPDX-License-Identifier: GPL-2.0

//! The functions that a patch module declares as replacements.
//!
//! A patch in C or in Rust has a `struct klp_patch` with tables of objects and functions.
//! Relocations fill in the pointers of these tables. So the tables are found by their relocations:
//! a patch points to an array of objects, an object to an array of functions, and a function to its
//! name and to code.

use crate::elf::{
    Elf,
    Reloc,
    Symbol, //
};
use object::elf;
use std::collections::BTreeMap;

/// A section of the module, and an offset in it.
pub(crate) type Place = (usize, u64);

/// The sizes of the structures, which differ between configurations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) object: u64,
    pub(crate) func: u64,
}

/// One replacement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// vmlinux, or the name of a module.
    pub(crate) object: String,
    /// The function that is replaced.
    pub(crate) name: String,
    pub(crate) position: u64,
    /// The replacement.
    pub(crate) code: Place,
}

/// All replacements that the module declares, in the order of its tables.
pub(crate) fn replacements(module: &Elf, sizes: Sizes) -> Vec<Declared> {
    let tables = Tables::new(module, sizes);
    // The pointer to the array of objects is the second word of a `klp_patch`. The first word
    // points to the module, or is empty in Rust.
    let arrays: std::collections::BTreeSet<_> = tables
        .pointers
        .iter()
        .filter(|(place, _)| tables.is_patch(**place))
        .map(|(_, objects)| *objects)
        .collect();
    arrays
        .into_iter()
        .filter_map(|objects| tables.objects(objects))
        .flatten()
        .collect()
}

/// The function symbol at a place.
pub(crate) fn symbol_at(module: &Elf, place: Place) -> Option<&Symbol> {
    module
        .symbols
        .iter()
        .find(|symbol| symbol.is_function() && (symbol.section, symbol.value) == place)
}

struct Tables<'a> {
    module: &'a Elf,
    sizes: Sizes,
    /// The place to which each pointer in the module's data leads.
    pointers: BTreeMap<Place, Place>,
    /// The pointers to symbols that the module does not define, and to `__this_module`.
    outside: BTreeMap<Place, &'a str>,
}

impl<'a> Tables<'a> {
    fn new(module: &'a Elf, sizes: Sizes) -> Self {
        let (mut pointers, mut outside) = (BTreeMap::new(), BTreeMap::new());
        for (section, list) in module.relocated() {
            if !module.sections[section].is_loaded() || !module.sections[section].has_bytes() {
                continue;
            }
            let absolute = |reloc: &&Reloc| reloc.kind == elf::R_X86_64_64;
            for reloc in list.iter().filter(absolute) {
                let symbol = &module.symbols[reloc.symbol];
                let place = (section, reloc.offset);
                if symbol.is_defined() {
                    let offset = symbol.value.wrapping_add_signed(reloc.addend);
                    pointers.insert(place, (symbol.section, offset));
                    if symbol.name == "__this_module" {
                        outside.insert(place, symbol.name.as_str());
                    }
                } else {
                    outside.insert(place, symbol.name.as_str());
                }
            }
        }
        Self {
            module,
            sizes,
            pointers,
            outside,
        }
    }

    /// The word at this place may be the second word of a patch.
    fn is_patch(&self, (section, offset): Place) -> bool {
        let Some(first) = offset.checked_sub(8) else {
            return false;
        };
        let first = (section, first);
        let module = match self.outside.get(&first) {
            Some(name) => *name == "__this_module",
            None => !self.pointers.contains_key(&first),
        };
        module && !self.module.sections[section].is_init()
    }

    /// The replacements of an array of objects. `None` if the place has no such array, or if the
    /// array has no function.
    fn objects(&self, (section, mut offset): Place) -> Option<Vec<Declared>> {
        let mut all = Vec::new();
        loop {
            let (name, funcs) = ((section, offset), (section, offset + 8));
            if !self.is_inside((section, offset), self.sizes.object) {
                return None;
            }
            if !self.pointers.contains_key(&name) && !self.pointers.contains_key(&funcs) {
                return (!all.is_empty()).then_some(all);
            }
            let object = match self.pointers.get(&name) {
                Some(text) => self.text(*text)?,
                None => "vmlinux".to_owned(),
            };
            all.extend(self.funcs(&object, *self.pointers.get(&funcs)?)?);
            offset += self.sizes.object;
        }
    }

    /// The replacements of an array of functions.
    fn funcs(&self, object: &str, (section, mut offset): Place) -> Option<Vec<Declared>> {
        let mut all = Vec::new();
        loop {
            if !self.is_inside((section, offset), self.sizes.func) {
                return None;
            }
            let (name, code) = ((section, offset), (section, offset + 8));
            match (self.pointers.get(&name), self.pointers.get(&code)) {
                (None, None) => return Some(all),
                (Some(name), Some(code)) if self.is_code(*code) => all.push(Declared {
                    object: object.to_owned(),
                    name: self.text(*name)?,
                    position: self.word((section, offset + 16))?,
                    code: *code,
                }),
                _ => return None,
            }
            offset += self.sizes.func;
        }
    }

    fn is_inside(&self, (section, offset): Place, size: u64) -> bool {
        offset
            .checked_add(size)
            .is_some_and(|end| end <= self.module.sections[section].size)
    }

    fn is_code(&self, (section, _): Place) -> bool {
        self.module.sections[section].is_code()
    }

    fn word(&self, (section, offset): Place) -> Option<u64> {
        let at = offset as usize;
        let bytes = self.module.bytes(section).get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// A name: printable characters that end with NUL.
    fn text(&self, (section, offset): Place) -> Option<String> {
        let bytes = self.module.bytes(section).get(offset as usize..)?;
        let bytes = &bytes[..bytes.iter().position(|byte| *byte == 0)?];
        let printable = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
        printable.then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}
