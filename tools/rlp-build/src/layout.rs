// SPDX-License-Identifier: GPL-2.0

//! Compares the layout of a unit's structures before and after the patch. The layout is read from
//! the debug information.
//!
//! Objects that exist when the patch is loaded have the old layout. A patch that moves a member,
//! or changes a size, would misread them.

use crate::dwarf::{
    self,
    name,
    number,
    Slice, //
};
use crate::elf::Elf;
use crate::refusal::Result;
use gimli::{
    AttributeValue,
    Unit,
    UnitOffset, //
};
use std::collections::BTreeMap;

/// A structure's size, and where each member is.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    size: u64,
    members: Vec<(String, u64, u64)>,
}

/// A structure whose layout differs, and how.
pub(crate) fn change(before: &Elf, after: &Elf) -> Result<Option<(String, String)>> {
    let (before, after) = (layouts(before)?, layouts(after)?);
    Ok(before.iter().find_map(|(name, old)| {
        let new = after.get(name)?;
        Some((name.clone(), difference(old, new)?))
    }))
}

fn difference(old: &Layout, new: &Layout) -> Option<String> {
    let moved = old.members.iter().find_map(|member| {
        let same = new.members.iter().find(|other| other.0 == member.0);
        match same {
            None => Some(format!("member {} is gone", member.0)),
            Some(other) if other.1 != member.1 => Some(format!(
                "member {} is at {} instead of {}",
                member.0, other.1, member.1
            )),
            Some(other) if other.2 != member.2 => Some(format!(
                "member {} has {} bytes instead of {}",
                member.0, other.2, member.2
            )),
            Some(_) => None,
        }
    });
    let added = || {
        let member = new
            .members
            .iter()
            .find(|m| !old.members.iter().any(|other| other.0 == m.0))?;
        Some(format!("member {} is new", member.0))
    };
    let grown =
        || (old.size != new.size).then(|| format!("{} bytes instead of {}", new.size, old.size));
    moved.or_else(added).or_else(grown)
}

/// The structures and unions that have a name, of one unit.
fn layouts(object: &Elf) -> Result<BTreeMap<String, Layout>> {
    let sections = dwarf::sections(object);
    let dwarf = dwarf::load(&sections)?;
    let mut found = BTreeMap::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().map_err(dwarf::failed)? {
        let unit = dwarf.unit(header).map_err(dwarf::failed)?;
        collect(&dwarf, &unit, &mut found).map_err(dwarf::failed)?;
    }
    Ok(found)
}

fn collect(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    found: &mut BTreeMap<String, Layout>,
) -> gimli::Result<()> {
    let mut tree = unit.entries_tree(None)?;
    let root = tree.root()?;
    let mut children = root.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if !matches!(
            entry.tag(),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type
        ) {
            continue;
        }
        let (Some(structure), Some(size)) = (
            name(dwarf, unit, entry)?,
            number(entry, gimli::DW_AT_byte_size)?,
        ) else {
            continue;
        };
        let mut members = Vec::new();
        let mut inner = child.children();
        while let Some(member) = inner.next()? {
            let member = member.entry();
            if member.tag() != gimli::DW_TAG_member {
                continue;
            }
            let at = match number(member, gimli::DW_AT_data_bit_offset)? {
                Some(bits) => bits,
                None => number(member, gimli::DW_AT_data_member_location)?.unwrap_or(0) * 8,
            } / 8;
            let bytes = match member.attr_value(gimli::DW_AT_type)? {
                Some(AttributeValue::UnitRef(kind)) => size_of(unit, kind, 0)?,
                _ => 0,
            };
            let label =
                name(dwarf, unit, member)?.unwrap_or_else(|| format!("number {}", members.len()));
            members.push((label, at, bytes));
        }
        found.insert(structure, Layout { size, members });
    }
    Ok(())
}

/// The size of a type, from its entry and the entries that it refers to. 0 if they do not have it.
fn size_of(unit: &Unit<Slice<'_>>, kind: UnitOffset, depth: usize) -> gimli::Result<u64> {
    let entry = unit.entry(kind)?;
    if let Some(size) = number(&entry, gimli::DW_AT_byte_size)? {
        return Ok(size);
    }
    let inner = match entry.attr_value(gimli::DW_AT_type)? {
        Some(AttributeValue::UnitRef(inner)) if depth < 16 => size_of(unit, inner, depth + 1)?,
        _ => return Ok(0),
    };
    if entry.tag() != gimli::DW_TAG_array_type {
        return Ok(inner);
    }
    let mut count = 1;
    let mut tree = unit.entries_tree(Some(kind))?;
    let root = tree.root()?;
    let mut children = root.children();
    while let Some(child) = children.next()? {
        let child = child.entry();
        count *= match number(child, gimli::DW_AT_count)? {
            Some(count) => count,
            None => number(child, gimli::DW_AT_upper_bound)?.map_or(0, |last| last.wrapping_add(1)),
        };
    }
    Ok(inner * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: u64, members: &[(&str, u64, u64)]) -> Layout {
        let members = members
            .iter()
            .map(|(name, at, size)| ((*name).to_owned(), *at, *size))
            .collect();
        Layout { size, members }
    }

    #[test]
    fn the_member_is_named() {
        let old = layout(16, &[("a", 0, 8), ("b", 8, 8)]);
        assert_eq!(
            difference(&old, &layout(16, &[("a", 0, 8), ("b", 8, 8)])),
            None
        );
        assert_eq!(
            difference(&old, &layout(24, &[("a", 0, 8), ("n", 8, 8), ("b", 16, 8)])).as_deref(),
            Some("member b is at 16 instead of 8")
        );
        assert_eq!(
            difference(&old, &layout(24, &[("a", 0, 8), ("b", 8, 8), ("c", 16, 8)])).as_deref(),
            Some("member c is new")
        );
        assert_eq!(
            difference(&old, &layout(8, &[("a", 0, 8)])).as_deref(),
            Some("member b is gone")
        );
    }
}
