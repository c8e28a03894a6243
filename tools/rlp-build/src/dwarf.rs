// SPDX-License-Identifier: GPL-2.0

//! The debug information of an object that is not linked.

use crate::elf::Elf;
use crate::refusal::{
    tool_failure,
    Failure,
    Result, //
};
use gimli::{
    EndianSlice,
    LittleEndian,
    Unit, //
};
use std::collections::BTreeMap;

pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The debug sections by name, with their relocations applied, each section at address 0.
pub(crate) fn sections(object: &Elf) -> BTreeMap<&str, Vec<u8>> {
    sections_at(object, &[])
}

/// Like `sections()`, but `bases` has the address of each section.
pub(crate) fn sections_at<'a>(object: &'a Elf, bases: &[u64]) -> BTreeMap<&'a str, Vec<u8>> {
    object
        .sections
        .iter()
        .enumerate()
        .filter(|(_, section)| section.name.starts_with(".debug_"))
        .map(|(index, section)| (section.name.as_str(), relocated(object, index, bases)))
        .collect()
}

pub(crate) fn load<'a>(sections: &'a BTreeMap<&str, Vec<u8>>) -> Result<gimli::Dwarf<Slice<'a>>> {
    gimli::Dwarf::load(|id| {
        let bytes = sections.get(id.name()).map_or(&[][..], Vec::as_slice);
        Ok::<_, gimli::Error>(Slice::new(bytes, LittleEndian))
    })
    .map_err(failed)
}

pub(crate) fn failed(error: gimli::Error) -> Failure {
    tool_failure(format!("the debug information cannot be read: {error}"))
}

pub(crate) type Entry<'a, 'u> = gimli::DebuggingInformationEntry<'a, 'u, Slice<'u>, usize>;

/// The name of an entry.
pub(crate) fn name<'u>(
    dwarf: &gimli::Dwarf<Slice<'u>>,
    unit: &Unit<Slice<'u>>,
    entry: &Entry<'_, 'u>,
) -> gimli::Result<Option<String>> {
    let Some(value) = entry.attr_value(gimli::DW_AT_name)? else {
        return Ok(None);
    };
    Ok(Some(
        dwarf
            .attr_string(unit, value)?
            .to_string_lossy()
            .into_owned(),
    ))
}

/// An attribute that is a number.
pub(crate) fn number(entry: &Entry<'_, '_>, attribute: gimli::DwAt) -> gimli::Result<Option<u64>> {
    Ok(entry
        .attr_value(attribute)?
        .and_then(|value| value.udata_value()))
}

/// A debug section with its relocations applied.
fn relocated(object: &Elf, section: usize, bases: &[u64]) -> Vec<u8> {
    let mut bytes = object.bytes(section).to_vec();
    for reloc in object.relocs(section) {
        let Some((width, false)) = reloc.field() else {
            continue;
        };
        let symbol = &object.symbols[reloc.symbol];
        let value = bases
            .get(symbol.section)
            .unwrap_or(&0)
            .wrapping_add(symbol.value)
            .wrapping_add_signed(reloc.addend);
        let at = reloc.offset as usize;
        if let Some(field) = bytes.get_mut(at..at + width) {
            field.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    bytes
}
