// SPDX-License-Identifier: GPL-2.0

//! The prototypes of functions, and the sizes of structures, from the debug information of a
//! module in C or in Rust.

use crate::dwarf::{
    self,
    name,
    number,
    Entry,
    Slice, //
};
use crate::elf::Elf;
use crate::prototype::{
    Language,
    Prototype,
    Type, //
};
use crate::refusal::Result;
use gimli::{
    AttributeValue,
    Dwarf,
    Unit,
    UnitOffset, //
};
use std::collections::BTreeMap;

/// How deep types may refer to types.
const DEPTH: usize = 64;

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) addr: u64,
    pub(crate) language: Language,
    pub(crate) prototype: Prototype,
}

/// A module's sections at addresses that do not overlap. The address of a section that is not
/// loaded is 0.
pub(crate) fn section_addresses(module: &Elf) -> Vec<u64> {
    let mut next = 1 << 32;
    let place = |section: &crate::elf::Section| {
        if !section.is_loaded() {
            return 0;
        }
        let base = next;
        next += (section.size + 0xfff) & !0xfff;
        base
    };
    module.sections.iter().map(place).collect()
}

/// The functions that `wanted` accepts, by name and address. `bases` has the address of each
/// section.
pub(crate) fn functions(
    module: &Elf,
    bases: &[u64],
    wanted: impl Fn(&str, u64) -> bool,
) -> Result<Vec<Function>> {
    let sections = dwarf::sections_at(module, bases);
    let dwarf = dwarf::load(&sections)?;
    let mut found = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().map_err(dwarf::failed)? {
        let unit = dwarf.unit(header).map_err(dwarf::failed)?;
        collect(&dwarf, &unit, &wanted, &mut found).map_err(dwarf::failed)?;
    }
    Ok(found)
}

fn collect<'u>(
    dwarf: &'u Dwarf<Slice<'u>>,
    unit: &'u Unit<Slice<'u>>,
    wanted: &impl Fn(&str, u64) -> bool,
    found: &mut Vec<Function>,
) -> gimli::Result<()> {
    let mut language = Language::C;
    let mut entries = unit.entries();
    while let Some((_, entry)) = entries.next_dfs()? {
        if entry.tag() == gimli::DW_TAG_compile_unit {
            if let Some(AttributeValue::Language(gimli::DW_LANG_Rust)) =
                entry.attr_value(gimli::DW_AT_language)?
            {
                language = Language::Rust;
            }
            continue;
        }
        if entry.tag() != gimli::DW_TAG_subprogram {
            continue;
        }
        let Some(low) = entry.attr_value(gimli::DW_AT_low_pc)? else {
            continue;
        };
        let Some(addr) = dwarf.attr_address(unit, low)? else {
            continue;
        };
        let reader = Reader {
            dwarf,
            unit,
            language,
        };
        let origin = reader.origin(entry.offset())?;
        let name = name(dwarf, unit, &unit.entry(origin)?)?.unwrap_or_default();
        if wanted(&name, addr) {
            found.push(Function {
                name,
                addr,
                language,
                prototype: reader.prototype(origin, 0)?,
            });
        }
    }
    Ok(())
}

/// The sizes of these structures, as far as the debug information has them.
pub(crate) fn sizes(module: &Elf, structures: &[&str]) -> Result<BTreeMap<String, u64>> {
    let sections = dwarf::sections(module);
    let dwarf = dwarf::load(&sections)?;
    let mut found = BTreeMap::new();
    let mut search = || -> gimli::Result<()> {
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            let unit = dwarf.unit(header)?;
            let mut entries = unit.entries();
            while let Some((_, entry)) = entries.next_dfs()? {
                if entry.tag() != gimli::DW_TAG_structure_type {
                    continue;
                }
                let Some(size) = number(entry, gimli::DW_AT_byte_size)? else {
                    continue;
                };
                if let Some(name) = name(&dwarf, &unit, entry)? {
                    if structures.contains(&name.as_str()) {
                        found.insert(name, size);
                    }
                }
            }
        }
        Ok(())
    };
    search().map_err(dwarf::failed)?;
    Ok(found)
}

/// Reads types of one unit.
pub(crate) struct Reader<'u> {
    pub(crate) dwarf: &'u Dwarf<Slice<'u>>,
    pub(crate) unit: &'u Unit<Slice<'u>>,
    pub(crate) language: Language,
}

impl<'u> Reader<'u> {
    /// The entry that has a function's name and its arguments. A function that is also inlined, and
    /// a method in Rust, have two entries: the first refers to the second, which has the name and
    /// the arguments.
    pub(crate) fn origin(&self, mut at: UnitOffset) -> gimli::Result<UnitOffset> {
        for _ in 0..DEPTH {
            let entry = self.unit.entry(at)?;
            let mut next = entry.attr_value(gimli::DW_AT_abstract_origin)?;
            if next.is_none() {
                next = entry.attr_value(gimli::DW_AT_specification)?;
            }
            match next {
                Some(AttributeValue::UnitRef(other)) => at = other,
                _ => break,
            }
        }
        Ok(at)
    }

    fn prototype(&self, at: UnitOffset, depth: usize) -> gimli::Result<Prototype> {
        let returns = self.type_of(&self.unit.entry(at)?, depth)?;
        let (mut arguments, mut variadic) = (Vec::new(), false);
        let mut tree = self.unit.entries_tree(Some(at))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            match child.entry().tag() {
                gimli::DW_TAG_formal_parameter => {
                    arguments.push(self.type_of(child.entry(), depth)?);
                }
                gimli::DW_TAG_unspecified_parameters => variadic = true,
                _ => {}
            }
        }
        Ok(Prototype {
            returns,
            arguments,
            variadic,
        })
    }

    /// The type that an entry refers to.
    fn type_of(&self, entry: &Entry<'_, 'u>, depth: usize) -> gimli::Result<Type> {
        match entry.attr_value(gimli::DW_AT_type)? {
            None => Ok(Type::Void),
            Some(AttributeValue::UnitRef(at)) if depth < DEPTH => self.resolve(at, depth + 1),
            Some(_) => Ok(Type::Unknown),
        }
    }

    pub(crate) fn resolve(&self, at: UnitOffset, depth: usize) -> gimli::Result<Type> {
        let entry = self.unit.entry(at)?;
        let size = number(&entry, gimli::DW_AT_byte_size)?.unwrap_or(0);
        let name = name(self.dwarf, self.unit, &entry)?;
        Ok(match entry.tag() {
            // `!` and `()` of Rust.
            gimli::DW_TAG_base_type if size == 0 => Type::Void,
            gimli::DW_TAG_base_type => match entry.attr_value(gimli::DW_AT_encoding)? {
                Some(AttributeValue::Encoding(gimli::DW_ATE_float)) => Type::Float { size },
                encoding => Type::Integer {
                    name: name.unwrap_or_default(),
                    size,
                    signed: matches!(
                        encoding,
                        Some(AttributeValue::Encoding(
                            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char
                        ))
                    ),
                },
            },
            gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type => {
                // For Rust, the type that a pointer leads to is not compared, and may be deep. Its
                // name suffices.
                Type::Pointer(Box::new(match self.language {
                    Language::C => self.type_of(&entry, depth)?,
                    Language::Rust => self.pointee_by_name(&entry)?,
                }))
            }
            gimli::DW_TAG_array_type => Type::Array(Box::new(self.type_of(&entry, depth)?)),
            gimli::DW_TAG_enumeration_type => Type::Enum { name, size },
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                let inner = match self.language {
                    Language::C => None,
                    Language::Rust => self.only_member(at, size, depth)?,
                };
                inner.unwrap_or(Type::Aggregate {
                    union: entry.tag() == gimli::DW_TAG_union_type,
                    name,
                    size,
                })
            }
            gimli::DW_TAG_typedef => match self.type_of(&entry, depth)? {
                Type::Aggregate {
                    union,
                    name: None,
                    size,
                } => Type::Aggregate { union, name, size },
                other => other,
            },
            gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type => self.type_of(&entry, depth)?,
            gimli::DW_TAG_subroutine_type => Type::Function(Box::new(self.prototype(at, depth)?)),
            _ => Type::Unknown,
        })
    }

    /// The type to which a pointer of Rust leads, by the name alone.
    fn pointee_by_name(&self, pointer: &Entry<'_, 'u>) -> gimli::Result<Type> {
        let Some(AttributeValue::UnitRef(at)) = pointer.attr_value(gimli::DW_AT_type)? else {
            return Ok(Type::Void);
        };
        let entry = self.unit.entry(at)?;
        let name = name(self.dwarf, self.unit, &entry)?;
        Ok(match entry.tag() {
            gimli::DW_TAG_base_type => Type::Integer {
                name: name.unwrap_or_default(),
                size: 0,
                signed: false,
            },
            _ => Type::Aggregate {
                union: false,
                name,
                size: 0,
            },
        })
    }

    /// The only member of a structure in Rust, such as the pointer in a `KBox`, if the member has
    /// the size of the structure. For an `Option`: its payload, if the payload has the size of the
    /// `Option`.
    fn only_member(&self, at: UnitOffset, size: u64, depth: usize) -> gimli::Result<Option<Type>> {
        if depth >= DEPTH || size == 0 {
            return Ok(None);
        }
        let mut inner = Vec::new();
        let mut tree = self.unit.entries_tree(Some(at))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            match child.entry().tag() {
                gimli::DW_TAG_member => inner.push(self.type_of(child.entry(), depth)?),
                gimli::DW_TAG_variant_part => {
                    let mut variants = child.children();
                    while let Some(variant) = variants.next()? {
                        if variant.entry().tag() != gimli::DW_TAG_variant {
                            continue;
                        }
                        let mut members = variant.children();
                        while let Some(member) = members.next()? {
                            inner.push(self.type_of(member.entry(), depth)?);
                        }
                    }
                }
                _ => {}
            }
        }
        // Leave out `None`: this variant has the size of the whole `Option`, but no payload.
        inner.retain(|kind| match kind {
            Type::Aggregate { size: 0, .. } | Type::Void => false,
            Type::Aggregate { name, .. } => name.as_deref() != Some("None"),
            _ => true,
        });
        let one = if inner.len() == 1 { inner.pop() } else { None };
        Ok(one.filter(|kind| match kind {
            Type::Pointer(_) => size == 8,
            Type::Integer { size: own, .. }
            | Type::Enum { size: own, .. }
            | Type::Float { size: own }
            | Type::Aggregate { size: own, .. } => *own == size,
            _ => false,
        }))
    }
}
