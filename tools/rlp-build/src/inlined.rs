// SPDX-License-Identifier: GPL-2.0

//! Checks that the compiler inlines the same functions in a unit with and without a section for
//! each function.
//!
//! objtool looks for changes in units that were compiled with each function in a section of its
//! own. If a function were inlined into its caller in the shipped unit only, objtool would replace
//! the function, and the shipped caller would keep the old code. So both units must have the same
//! functions, and each function must call the same functions of the unit, the same number of times.
//!
//! The assembler resolves calls inside of a section without a relocation, so the calls are read
//! from the disassembly.

use crate::command::{
    program,
    run, //
};
use crate::compile::kbuild_object;
use crate::elf::Elf;
use crate::functions::Functions;
use crate::refusal::{
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use crate::units::Unit;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::path::Path;

/// The functions of a unit. For each: the functions of the unit that it calls or jumps to, and how
/// many times.
type Calls = BTreeMap<String, BTreeMap<String, usize>>;

/// Refuses a unit if the compiler has not inlined the same functions as in the shipped unit.
pub(crate) fn check(tree: &Tree, unit: &Unit) -> Result {
    let shipped = read(tree, &kbuild_object(unit))?;
    let sections = read(tree, &unit.cached.join("sections.o"))?;
    match difference(&shipped, &sections) {
        None => Ok(()),
        Some((function, detail)) => Err(Refusal::Inlined {
            function,
            unit: unit.source.clone(),
            detail,
        }
        .into()),
    }
}

fn read(tree: &Tree, path: &Path) -> Result<Calls> {
    let object = Elf::read(path)?;
    let text = run(program("objdump", &tree.work)
        .args(["-d", "-w", "--no-show-raw-insn"])
        .arg(path))?;
    calls(&object, &text).ok_or_else(|| {
        tool_failure(format!(
            "objdump of {} does not have the expected form",
            path.display()
        ))
    })
}

/// The first function that differs, and how.
fn difference(shipped: &Calls, sections: &Calls) -> Option<(String, String)> {
    let names: BTreeSet<_> = shipped.keys().chain(sections.keys()).collect();
    names.into_iter().find_map(|name| {
        let (Some(before), Some(after)) = (shipped.get(name), sections.get(name)) else {
            let place = if shipped.contains_key(name) {
                "only the shipped unit has it"
            } else {
                "the shipped unit does not have it"
            };
            return Some((name.clone(), place.to_owned()));
        };
        let callees: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        callees.into_iter().find_map(|callee| {
            let times = |calls: &BTreeMap<String, usize>| calls.get(callee).copied().unwrap_or(0);
            let (old, new) = (times(before), times(after));
            (old != new).then(|| {
                let detail = format!("calls of {callee}(): {new}, and {old} as shipped");
                (name.clone(), detail)
            })
        })
    })
}

/// The function that a cold part belongs to.
fn without_cold(name: &str) -> &str {
    name.strip_suffix(".cold").unwrap_or(name)
}

/// Reads the calls from the output of "objdump -d -w --no-show-raw-insn".
fn calls(object: &Elf, text: &str) -> Option<Calls> {
    let functions = Functions::of(object);
    let mut calls: Calls = functions
        .all()
        .map(|(_, symbol)| (without_cold(&symbol.name).to_owned(), BTreeMap::new()))
        .collect();

    let mut section = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line
            .strip_prefix("Disassembly of section ")
            .and_then(|rest| rest.strip_suffix(':'))
        {
            // The sections are in the order of the file. Several may have the same name.
            let from = section.map_or(0, |last| last + 1);
            let next = object.sections[from..]
                .iter()
                .position(|section| section.name == name)?;
            section = Some(from + next);
            continue;
        }
        let Some((offset, code)) = instruction(line) else {
            continue;
        };
        let section = section?;
        let Some((_, caller)) = functions.at(section, offset) else {
            continue;
        };
        let Some(operand) = branch(code) else {
            continue;
        };
        let next = lines.peek().and_then(|next| instruction(next));
        let end = next.map_or(caller.range().end, |(next, _)| next);
        let reloc = object
            .relocs(section)
            .iter()
            .find(|reloc| (offset + 1..end).contains(&reloc.offset));
        let callee = match reloc {
            Some(reloc) => {
                // The relocation fills in the last four bytes of the instruction. The target is
                // relative to the end of the instruction.
                let target = &object.symbols[reloc.symbol];
                functions.at(
                    target.section,
                    target.value.wrapping_add_signed(reloc.addend + 4),
                )
            }
            None => functions.at(section, u64::from_str_radix(operand, 16).ok()?),
        };
        // A cold part counts as a part of its function.
        let (caller, callee) = (
            without_cold(&caller.name),
            callee.map(|(_, f)| without_cold(&f.name)),
        );
        if let Some(callee) = callee.filter(|callee| *callee != caller) {
            *calls
                .entry(caller.to_owned())
                .or_default()
                .entry(callee.to_owned())
                .or_default() += 1;
        }
    }
    Some(calls)
}

/// "  1f:\tcall   30 <f>" -> 0x1f, "call   30 <f>"
fn instruction(line: &str) -> Option<(u64, &str)> {
    let (offset, instruction) = line.split_once(":\t")?;
    Some((u64::from_str_radix(offset.trim(), 16).ok()?, instruction))
}

/// The operand of a direct call or jump.
fn branch(instruction: &str) -> Option<&str> {
    let mut words = instruction
        .split_whitespace()
        .skip_while(|word| matches!(*word, "bnd" | "cs" | "ds" | "data16" | "notrack"));
    let name = words.next()?;
    let operand = words.next()?;
    let direct = !operand.starts_with('*');
    ((name.starts_with("call") || name.starts_with('j')) && direct)
        .then(|| operand.split(',').next().unwrap_or(operand))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{
        Reloc,
        Symbol, //
    };
    use object::elf;
    use std::collections::HashMap;

    const CODE: u32 = elf::SHF_ALLOC | elf::SHF_EXECINSTR;

    fn function(name: &str, section: usize, value: u64, size: u64) -> Symbol {
        Symbol {
            name: name.into(),
            kind: elf::STT_FUNC,
            bind: elf::STB_LOCAL,
            section,
            value,
            size,
        }
    }

    /// f() calls g() and jumps to h(). The cold part of f() calls g() and jumps back to f().
    const SHIPPED: &str = "
x.o:     file format elf64-x86-64


Disassembly of section .text:

0000000000000000 <f>:
   0:\tcall   10 <g>
   5:\tjne    0 <f>
   7:\tjmp    20 <h>
   9:\tcs call *%rax

0000000000000010 <g>:
  10:\tret

0000000000000020 <h>:
  20:\tret

Disassembly of section .text.unlikely:

0000000000000000 <f.cold>:
   0:\tcall   5 <f.cold+0x5>
   5:\tjmp    a <f.cold+0xa>
";

    fn shipped() -> Elf {
        let reloc = |offset, addend| Reloc {
            offset,
            kind: elf::R_X86_64_PC32,
            symbol: 4,
            addend,
        };
        Elf::for_test(
            &[
                (".text", CODE, 0, 0, &[0x90; 0x30]),
                (".text.unlikely", CODE, 0, 0, &[0x90; 10]),
            ],
            vec![
                function("f", 1, 0, 0x10),
                function("g", 1, 0x10, 1),
                function("h", 1, 0x20, 1),
                function("f.cold", 2, 0, 10),
                Symbol {
                    kind: elf::STT_SECTION,
                    ..function("", 1, 0, 0)
                },
            ],
            // The targets of the cold part: g(), and a place in f().
            HashMap::from([(2, vec![reloc(1, 0x10 - 4), reloc(6, 7 - 4)])]),
        )
    }

    #[test]
    fn calls_are_read_from_the_disassembly() {
        let calls = calls(&shipped(), SHIPPED).unwrap();
        let of = |pairs: &[(&str, usize)]| -> BTreeMap<String, usize> {
            pairs
                .iter()
                .map(|(n, times)| ((*n).to_owned(), *times))
                .collect()
        };
        assert_eq!(
            calls,
            Calls::from([
                ("f".to_owned(), of(&[("g", 2), ("h", 1)])),
                ("g".to_owned(), of(&[])),
                ("h".to_owned(), of(&[])),
            ])
        );
    }

    #[test]
    fn a_unit_with_other_calls_differs() {
        let shipped = calls(&shipped(), SHIPPED).unwrap();
        assert_eq!(difference(&shipped, &shipped), None);

        let mut inlined = shipped.clone();
        inlined.get_mut("f").unwrap().insert("g".into(), 1);
        let detail = "calls of g(): 1, and 2 as shipped";
        assert_eq!(
            difference(&shipped, &inlined),
            Some(("f".to_owned(), detail.to_owned()))
        );

        let mut gone = shipped.clone();
        gone.remove("h");
        assert_eq!(
            difference(&shipped, &gone),
            Some(("h".to_owned(), "only the shipped unit has it".to_owned()))
        );
        assert_eq!(
            difference(&gone, &shipped),
            Some((
                "h".to_owned(),
                "the shipped unit does not have it".to_owned()
            ))
        );
    }
}
