// SPDX-License-Identifier: GPL-2.0

//! Tables that the kernel reads only when it boots, or when it loads a module.
//!
//! A new initcall is a pointer in such a table. A running kernel has read the table already, and a
//! live patch brings no table of its own. "objtool klp diff" would leave the pointer out without a
//! word, because no function refers to it.
//!
//! Any section of a unit is taken for such a table, unless it is code, data that functions refer
//! to, or a section that objtool makes or reads.

use crate::content::part;
use crate::elf::{
    Elf,
    Section,
    Symbol, //
};
use crate::functions::Functions;
use crate::refusal::{
    Refusal,
    Result, //
};
use std::collections::BTreeSet;

/// Sections that are not compared here. "objtool klp diff" finds changes of code and of data, and
/// `crate::unnoticed` finds changes of the entries that belong to a function. The other sections
/// are made from these, or have no effect.
const OTHERS: [&str; 34] = [
    ".altinstructions",
    ".annotate",
    ".bss",
    ".call_sites",
    ".cfi_sites",
    ".data",
    ".discard",
    ".eh_frame",
    ".exit.",
    ".exitcall.exit",
    ".ibt_endbr_seal",
    ".init.data",
    ".init.rodata",
    ".modinfo",
    ".note",
    ".orc_",
    ".parainstructions",
    ".printk_index",
    ".ref.data",
    ".retpoline_sites",
    ".return_sites",
    ".rodata",
    ".smp_locks",
    ".static_call_sites",
    "__bug_table",
    "__dyndbg",
    "__ex_table",
    "__jump_table",
    "__klp_",
    "__mcount_loc",
    "__patchable_function_entries",
    "__tracepoints",
    "__tracepoint_check",
    "runtime_",
];

/// Tables whose new entries a patched kernel can do without: exported symbols and trace events.
const DISPENSABLE: [&str; 5] = [
    ".export_symbol",
    "__bpf_raw_tp_map",
    "__syscalls_metadata",
    "_ftrace_eval_map",
    "_ftrace_events",
];

/// Refuses a patch that changes a table on which its effect may depend. Returns a sentence for each
/// other table that changes.
pub(crate) fn check(original: &Elf, patched: &Elf) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let is_table = |section: &&Section| {
        section.is_loaded()
            && !section.is_code()
            && !OTHERS.iter().any(|other| section.name.starts_with(other))
    };
    let both = original.sections.iter().chain(&patched.sections);
    let names: BTreeSet<_> = both.filter(is_table).map(|table| &table.name).collect();
    for name in names {
        if content(original, name) == content(patched, name) {
            continue;
        }
        let (old, new) = (entries(original, name), entries(patched, name));
        let changed: Vec<_> = old.symmetric_difference(&new).map(String::as_str).collect();
        let table = match &changed[..] {
            [] => name.clone(),
            entries => format!("{name}: {}", entries.join(", ")),
        };
        if !DISPENSABLE.contains(&name.as_str()) {
            return Err(Refusal::BootTable { table }.into());
        }
        notes.push(format!(
            "a running kernel does not read what the patch changes in {table}"
        ));
    }
    Ok(notes)
}

/// The content of the section of this name.
fn content(elf: &Elf, name: &str) -> Option<(String, Vec<u8>)> {
    let section = elf.section(name)?;
    Some(part(elf, section, 0..elf.sections[section].size))
}

/// The names to which the entries of the section refer: functions, or else its own variables.
fn entries(elf: &Elf, name: &str) -> BTreeSet<String> {
    let Some(section) = elf.section(name) else {
        return BTreeSet::new();
    };
    let functions = Functions::of(elf);
    let named = elf.relocs(section).iter().filter_map(|reloc| {
        let symbol = &elf.symbols[reloc.symbol];
        let place = symbol.value.wrapping_add_signed(reloc.addend);
        let (_, function) = functions.at(symbol.section, place)?;
        Some(function.name.clone())
    });
    let named: BTreeSet<_> = named.collect();
    if !named.is_empty() {
        return named;
    }
    let own = |symbol: &&Symbol| symbol.section == section && !symbol.is_section();
    let symbols = elf.symbols.iter().filter(own);
    symbols.map(|symbol| symbol.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;
    use crate::refusal::Failure;

    /// An object with a function that has an entry in this section.
    fn object(section: &str) -> Elf {
        let text = format!(
            "static int first(void) {{ return 1; }}\n\
             static int second(void) {{ return 2; }}\n\
             static int (*const a)(void) __attribute__((used, section(\".x\"))) = first;\n\
             static int (*const b)(void) __attribute__((used, section(\"{section}\"))) = second;\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.o");
        compile_for_test(&text, &["-O2", "-fno-pie"], &path);
        Elf::read(&path).unwrap()
    }

    fn checked(section: &str) -> std::result::Result<Vec<String>, String> {
        check(&object(".rodata.b"), &object(section)).map_err(|failure| match failure {
            Failure::Refused(refusal) => refusal.to_string(),
            Failure::Tool(sentence) => panic!("{sentence}"),
        })
    }

    #[test]
    fn a_new_entry_is_noticed() {
        assert_eq!(checked(".rodata.c"), Ok(Vec::new()));
        for section in [".initcall7.init", ".init.setup", "__param", ".x"] {
            let sentence = checked(section).unwrap_err();
            let table = format!("({section}: second)");
            assert!(sentence.contains(&table), "{sentence}");
        }
        let notes = checked(".export_symbol").unwrap();
        assert!(notes[0].ends_with(".export_symbol: second"), "{notes:?}");
    }
}
