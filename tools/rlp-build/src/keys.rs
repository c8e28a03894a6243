// SPDX-License-Identifier: GPL-2.0

//! The keys of static branches and static calls that another unit of a module defines.
//!
//! The kernel reads the keys of a live patch while it loads the live patch. A key of a module that
//! is patched has no address yet then: the loader sets it later. The kernel would take a wrong
//! address for the key, and crash. So "objtool klp diff" refuses such a key, and leaves out a
//! tracepoint with such a key. But objtool takes only symbols of the type OBJECT for keys. If the
//! unit that defines the key does not change, the symbol is undefined here, and has no type. So
//! these symbols get the type.

use crate::elf::Elf;
use object::elf::{
    STT_NOTYPE,
    STT_OBJECT, //
};
use std::collections::BTreeSet;

/// The sections whose entries refer to keys.
const TABLES: [&str; 2] = ["__jump_table", ".static_call_sites"];

/// Gives the type OBJECT to the undefined keys of both objects. Each key has the same type in both.
pub(crate) fn set_types(original: &mut Elf, patched: &mut Elf) {
    let mut keys = undefined(original);
    keys.extend(undefined(patched));
    for object in [original, patched] {
        let of_keys = object.symbols.iter().enumerate().filter(|(_, symbol)| {
            !symbol.is_defined() && symbol.kind == STT_NOTYPE && keys.contains(&symbol.name)
        });
        let list: Vec<_> = of_keys.map(|(index, _)| index).collect();
        for index in list {
            object.set_kind(index, STT_OBJECT);
        }
    }
}

/// The names of the keys that the object does not define.
fn undefined(object: &Elf) -> BTreeSet<String> {
    TABLES
        .iter()
        .filter_map(|table| object.section(table))
        .flat_map(|table| object.relocs(table))
        .map(|reloc| &object.symbols[reloc.symbol])
        .filter(|symbol| !symbol.is_defined() && !symbol.name.is_empty())
        .map(|symbol| symbol.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;

    fn object(text: &str) -> Elf {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.o");
        compile_for_test(text, &["-O2", "-fno-pie"], &path);
        Elf::read(&path).unwrap()
    }

    #[test]
    fn an_undefined_key_becomes_an_object_in_both() {
        let entry = "extern char key, other;\n\
                     char *use[] = { &key, &other };\n\
                     asm(\".pushsection __jump_table, \\\"aw\\\"\\n\\t\"\n\
                     \".quad key - .\\n\\t.popsection\");\n";
        let (mut original, mut patched) = (
            object("extern char key; char *use[] = { &key };\n"),
            object(entry),
        );
        set_types(&mut original, &mut patched);
        // The types are in the bytes of the file.
        for elf in [original, patched] {
            let elf = Elf::parse(elf.data).unwrap();
            for symbol in elf.symbols.iter().filter(|symbol| !symbol.is_defined()) {
                assert_eq!(
                    symbol.kind == STT_OBJECT,
                    symbol.name == "key",
                    "{symbol:?}"
                );
            }
        }
    }
}
