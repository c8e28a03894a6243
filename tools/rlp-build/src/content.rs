// SPDX-License-Identifier: GPL-2.0

//! A form of a section's content that does not depend on places in the object. The contents of two
//! objects can be compared in this form.

use crate::elf::{
    Elf,
    Reloc, //
};
use std::ops::Range;

/// A part of a section: the targets of its relocations, and its bytes. The fields that relocations
/// fill in are zero.
pub(crate) fn part(elf: &Elf, section: usize, range: Range<u64>) -> (String, Vec<u8>) {
    let relocs = elf.relocs_in(section, &range);
    let whole = range.start as usize..range.end as usize;
    let mut bytes = elf.bytes(section).get(whole).unwrap_or_default().to_vec();
    for reloc in relocs {
        let at = (reloc.offset - range.start) as usize;
        let width = reloc.field().map_or(0, |(width, _)| width);
        bytes.iter_mut().skip(at).take(width).for_each(|b| *b = 0);
    }
    (described(elf, relocs, range.start), bytes)
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
