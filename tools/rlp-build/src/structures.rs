// SPDX-License-Identifier: GPL-2.0

//! The layout of a unit's structures, unions and variables, read from its debug information.
//!
//! The members of a structure without a name are listed as members of the structure or of the
//! variable that contains it. The members of a structure with a name are listed once, for the
//! structure itself. A `typedef` gives a name to a structure that has none.

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
    Type, //
};
use crate::refusal::{
    tool_failure,
    Result, //
};
use crate::signatures::{
    section_addresses,
    Reader, //
};
use gimli::{
    AttributeValue,
    Dwarf,
    Unit,
    UnitOffset, //
};
use std::collections::{
    BTreeMap,
    HashMap, //
};

/// How deep types may refer to types.
const DEPTH: usize = 64;

/// The kinds of items that have a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// A structure or a union.
    Structure,
    /// The typedef of a structure that has no name.
    Typedef,
    /// A global or a static variable, which exists as long as its kernel or module is loaded.
    Variable,
}

/// The name of something that has a layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) sort: Sort,
    /// The function that declares it, if it is declared inside of one.
    pub(crate) function: Option<String>,
    pub(crate) name: String,
}

/// The size of a structure or of a variable, and its members.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) is_union: bool,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) members: Vec<Member>,
}

/// A member, or the variable itself.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// A member's name, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// "b", or "a.b" if the structure of the member `a` has no name.
    pub(crate) name: String,
    /// Bits from the beginning of the structure.
    pub(crate) at: u64,
    pub(crate) bits: u64,
    pub(crate) is_bit_field: bool,
}

/// The type of a member, as far as existing objects depend on it.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A structure or a union, which has a layout of its own.
    Structure(Key),
    /// A structure or a union without a name. Its members follow in the list.
    Unnamed,
    Enum(Type, Enumerators),
    Array(u64, Box<Kind>),
    Other(Type),
}

/// The names of an enumeration, and their values.
pub(crate) type Enumerators = BTreeMap<String, i128>;

/// The layouts of a unit. A function may declare several variables or structures of one name, in
/// different blocks.
pub(crate) type Layouts = BTreeMap<Key, Vec<Layout>>;

/// Reads the layouts of a unit.
pub(crate) fn layouts(object: &Elf) -> Result<Layouts> {
    if object.section(".debug_info").is_none() {
        return Err(tool_failure(
            "a unit has no debug information, so the layout of its structures cannot be compared",
        ));
    }
    let addresses = section_addresses(object);
    let sections = dwarf::sections_at(object, &addresses);
    let dwarf = dwarf::load(&sections)?;
    // The addresses of the variables that the kernel can write.
    let writable: Vec<_> = object
        .sections
        .iter()
        .zip(&addresses)
        .filter(|(section, _)| is_for_variables(&section.name))
        .map(|(section, start)| *start..start + section.size)
        .collect();
    let mut found = Layouts::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().map_err(dwarf::failed)? {
        let unit = dwarf.unit(header).map_err(dwarf::failed)?;
        let structures = Structures::new(&dwarf, &unit).map_err(dwarf::failed)?;
        let is_variable = |addr: u64| writable.iter().any(|range| range.contains(&addr));
        structures
            .collect(&is_variable, &mut found)
            .map_err(dwarf::failed)?;
    }
    Ok(found)
}

/// A section of variables that can be written, and that a running kernel does not discard.
fn is_for_variables(section: &str) -> bool {
    let is = |name: &str| {
        section
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (is(".data") || is(".bss")) && !section.starts_with(".data.rel.ro")
}

/// A structure without a name, to which a type leads.
struct Inner {
    structure: UnitOffset,
    /// Between the name of the outer member and those of the inner ones: ".", "[]." or "->".
    link: String,
    /// The structure is not a part of the outer one, but a pointer leads to it.
    is_elsewhere: bool,
}

impl Inner {
    fn of_array(self) -> Self {
        Self {
            link: format!("[]{}", self.link),
            ..self
        }
    }
}

/// A type or a variable of the debug information.
struct Declaration {
    at: UnitOffset,
    /// The function that declares it, if a function does.
    function: Option<String>,
}

/// All types and variables of one unit.
fn declarations<'u>(
    dwarf: &'u Dwarf<Slice<'u>>,
    unit: &'u Unit<Slice<'u>>,
    reader: &Reader<'u>,
) -> gimli::Result<Vec<Declaration>> {
    let mut list = Vec::new();
    let mut entries = unit.entries();
    let mut depth = 0;
    // The function around an entry, and how deep the function's own entry is.
    let mut function: Option<(isize, String)> = None;
    while let Some((step, entry)) = entries.next_dfs()? {
        depth += step;
        function = function.filter(|(own, _)| depth > *own);
        match entry.tag() {
            gimli::DW_TAG_subprogram if function.is_none() => {
                let origin = unit.entry(reader.origin(entry.offset())?)?;
                function = Some((depth, name(dwarf, unit, &origin)?.unwrap_or_default()));
            }
            gimli::DW_TAG_structure_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_variable => list.push(Declaration {
                at: entry.offset(),
                function: function.as_ref().map(|(_, name)| name.clone()),
            }),
            _ => {}
        }
    }
    Ok(list)
}

/// Reads the structures of one unit of the debug information.
struct Structures<'u> {
    dwarf: &'u Dwarf<Slice<'u>>,
    unit: &'u Unit<Slice<'u>>,
    reader: Reader<'u>,
    declarations: Vec<Declaration>,
    /// The function of each type that is declared in a function.
    functions: HashMap<UnitOffset, String>,
}

impl<'u> Structures<'u> {
    fn new(dwarf: &'u Dwarf<Slice<'u>>, unit: &'u Unit<Slice<'u>>) -> gimli::Result<Self> {
        let reader = Reader {
            dwarf,
            unit,
            language: Language::C,
        };
        let declarations = declarations(dwarf, unit, &reader)?;
        let functions = declarations
            .iter()
            .filter_map(|declared| Some((declared.at, declared.function.clone()?)))
            .collect();
        Ok(Self {
            dwarf,
            unit,
            reader,
            declarations,
            functions,
        })
    }

    /// Adds each structure that has a name, each typedef of a structure that has none, and each
    /// variable that `is_variable` accepts by its address.
    fn collect(
        &self,
        is_variable: &impl Fn(u64) -> bool,
        found: &mut Layouts,
    ) -> gimli::Result<()> {
        for declared in &self.declarations {
            let entry = self.unit.entry(declared.at)?;
            let layout = match entry.tag() {
                gimli::DW_TAG_typedef => self.typedef(&entry)?,
                gimli::DW_TAG_variable => self.variable(&entry, is_variable)?,
                _ => self.structure(&entry)?,
            };
            if let Some((sort, name, layout)) = layout {
                let function = declared.function.clone();
                let key = Key {
                    sort,
                    function,
                    name,
                };
                found.entry(key).or_default().push(layout);
            }
        }
        Ok(())
    }

    fn name_of(&self, entry: &Entry<'_, 'u>) -> gimli::Result<Option<String>> {
        name(self.dwarf, self.unit, entry)
    }

    fn structure(&self, entry: &Entry<'_, 'u>) -> gimli::Result<Option<(Sort, String, Layout)>> {
        let Some(name) = self.name_of(entry)? else {
            return Ok(None);
        };
        let layout = self.layout(entry.offset())?;
        Ok(layout.map(|layout| (Sort::Structure, name, layout)))
    }

    fn typedef(&self, entry: &Entry<'_, 'u>) -> gimli::Result<Option<(Sort, String, Layout)>> {
        let (Some(name), Some(at)) = (self.name_of(entry)?, type_of(entry)?) else {
            return Ok(None);
        };
        let named = self.unit.entry(at)?;
        if !is_structure(&named) || self.name_of(&named)?.is_some() {
            return Ok(None);
        }
        let layout = self.layout(at)?;
        Ok(layout.map(|layout| (Sort::Typedef, name, layout)))
    }

    /// The layout of a structure or a union; none if it is only declared.
    fn layout(&self, at: UnitOffset) -> gimli::Result<Option<Layout>> {
        let entry = self.unit.entry(at)?;
        let Some(size) = number(&entry, gimli::DW_AT_byte_size)? else {
            return Ok(None);
        };
        let mut members = Vec::new();
        self.members(at, 0, "", 0, &mut members)?;
        Ok(Some(Layout {
            is_union: entry.tag() == gimli::DW_TAG_union_type,
            size,
            members,
        }))
    }

    fn variable(
        &self,
        entry: &Entry<'_, 'u>,
        is_variable: &impl Fn(u64) -> bool,
    ) -> gimli::Result<Option<(Sort, String, Layout)>> {
        if !address(entry)?.is_some_and(is_variable) {
            return Ok(None);
        }
        // The entry of a variable that was declared before refers to the entry of the declaration.
        let declared = self.unit.entry(self.reader.origin(entry.offset())?)?;
        let kind = match type_of(entry)? {
            None => type_of(&declared)?,
            kind => kind,
        };
        let (Some(name), Some(kind)) = (self.name_of(&declared)?, kind) else {
            return Ok(None);
        };
        // The compiler numbers these variables, so a patch may give the name to another one.
        if name.starts_with("__UNIQUE_ID_") {
            return Ok(None);
        }
        let size = size_of(self.unit, kind, 0)?;
        let whole = Place {
            name: name.clone(),
            at: 0,
            bits: 8 * size,
            is_bit_field: false,
        };
        let mut members = Vec::new();
        self.member(whole, kind, 0, &mut members)?;
        let layout = Layout {
            is_union: false,
            size,
            members,
        };
        Ok(Some((Sort::Variable, name, layout)))
    }

    /// Lists the members of a structure. `start` is where the structure begins.
    fn members(
        &self,
        structure: UnitOffset,
        start: u64,
        prefix: &str,
        depth: usize,
        list: &mut Vec<Member>,
    ) -> gimli::Result<()> {
        let mut tree = self.unit.entries_tree(Some(structure))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            let (gimli::DW_TAG_member, Some(kind)) = (entry.tag(), type_of(entry)?) else {
                continue;
            };
            let size = size_of(self.unit, kind, 0)?;
            let at = start + place(entry, size)?;
            match self.name_of(entry)? {
                Some(name) => {
                    let field = number(entry, gimli::DW_AT_bit_size)?;
                    let place = Place {
                        name: format!("{prefix}{name}"),
                        at,
                        bits: field.unwrap_or(8 * size),
                        is_bit_field: field.is_some(),
                    };
                    self.member(place, kind, depth, list)?;
                }
                // The members of an anonymous member are members of the structure.
                None => {
                    if let (_, Some(inner)) = self.kind(kind, 0)? {
                        self.members(inner.structure, at, prefix, depth + 1, list)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a member, and the members of the structure without a name to which its type leads.
    fn member(
        &self,
        place: Place,
        kind: UnitOffset,
        depth: usize,
        list: &mut Vec<Member>,
    ) -> gimli::Result<()> {
        let (kind, inner) = self.kind(kind, 0)?;
        let (name, at) = (place.name.clone(), place.at);
        list.push(Member { place, kind });
        let Some(inner) = inner.filter(|_| depth < DEPTH) else {
            return Ok(());
        };
        let start = if inner.is_elsewhere { 0 } else { at };
        let prefix = format!("{name}{}", inner.link);
        self.members(inner.structure, start, &prefix, depth + 1, list)
    }

    /// A type, and the structure without a name to which it leads.
    fn kind(&self, at: UnitOffset, depth: usize) -> gimli::Result<(Kind, Option<Inner>)> {
        let entry = self.unit.entry(at)?;
        let inner = type_of(&entry)?.filter(|_| depth < DEPTH);
        Ok(match (entry.tag(), inner) {
            (gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type, _) => {
                match self.name_of(&entry)? {
                    Some(name) => (self.named(Sort::Structure, at, name), None),
                    None => {
                        let link = ".".into();
                        let inner = Inner {
                            structure: at,
                            link,
                            is_elsewhere: false,
                        };
                        (Kind::Unnamed, Some(inner))
                    }
                }
            }
            (gimli::DW_TAG_typedef, Some(inner)) => {
                match (self.kind(inner, depth + 1)?, self.name_of(&entry)?) {
                    ((Kind::Unnamed, _), Some(name)) => (self.named(Sort::Typedef, at, name), None),
                    (kind, _) => kind,
                }
            }
            (
                gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type,
                Some(inner),
            ) => self.kind(inner, depth + 1)?,
            (gimli::DW_TAG_array_type, Some(element)) => {
                let (of, inner) = self.kind(element, depth + 1)?;
                let counts = counts(self.unit, at)?;
                let array = counts
                    .into_iter()
                    .rev()
                    .fold(of, |of, count| Kind::Array(count, Box::new(of)));
                (array, inner.map(Inner::of_array))
            }
            (gimli::DW_TAG_enumeration_type, _) => (
                Kind::Enum(self.reader.resolve(at, 0)?, self.enumerators(at)?),
                None,
            ),
            (gimli::DW_TAG_pointer_type, Some(to)) => {
                let inner = match self.kind(to, depth + 1)? {
                    (Kind::Unnamed, inner) => inner,
                    _ => None,
                };
                let inner = inner.map(|inner| Inner {
                    link: "->".into(),
                    is_elsewhere: true,
                    ..inner
                });
                (Kind::Other(self.reader.resolve(at, 0)?), inner)
            }
            _ => (Kind::Other(self.reader.resolve(at, 0)?), None),
        })
    }

    fn named(&self, sort: Sort, at: UnitOffset, name: String) -> Kind {
        let function = self.functions.get(&at).cloned();
        Kind::Structure(Key {
            sort,
            function,
            name,
        })
    }

    fn enumerators(&self, at: UnitOffset) -> gimli::Result<Enumerators> {
        let mut values = Enumerators::new();
        let mut tree = self.unit.entries_tree(Some(at))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            let value = entry.attr_value(gimli::DW_AT_const_value)?;
            let value = value.and_then(|value| {
                let plain = value.udata_value().map(i128::from);
                plain.or_else(|| value.sdata_value().map(i128::from))
            });
            if let (Some(name), Some(value)) = (self.name_of(entry)?, value) {
                values.insert(name, value);
            }
        }
        Ok(values)
    }
}

fn is_structure(entry: &Entry<'_, '_>) -> bool {
    matches!(
        entry.tag(),
        gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type
    )
}

/// The type to which an entry refers.
fn type_of(entry: &Entry<'_, '_>) -> gimli::Result<Option<UnitOffset>> {
    Ok(match entry.attr_value(gimli::DW_AT_type)? {
        Some(AttributeValue::UnitRef(at)) => Some(at),
        _ => None,
    })
}

/// The address of a global or a static variable. `None` for any other variable.
fn address(entry: &Entry<'_, '_>) -> gimli::Result<Option<u64>> {
    let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location)? else {
        return Ok(None);
    };
    let bytes = expression.0.slice();
    Ok(match bytes.split_first() {
        Some((code, addr)) if *code == gimli::DW_OP_addr.0 => {
            addr.try_into().ok().map(u64::from_le_bytes)
        }
        _ => None,
    })
}

/// Where a member begins: bits from the beginning of its structure. `size` is that of its type.
fn place(member: &Entry<'_, '_>, size: u64) -> gimli::Result<u64> {
    if let Some(bits) = number(member, gimli::DW_AT_data_bit_offset)? {
        return Ok(bits);
    }
    let start = 8 * number(member, gimli::DW_AT_data_member_location)?.unwrap_or(0);
    // Before DWARF 5, the place of a bit-field is counted from the highest bit of the unit that
    // contains it.
    let (Some(bits), Some(before)) = (
        number(member, gimli::DW_AT_bit_size)?,
        number(member, gimli::DW_AT_bit_offset)?,
    ) else {
        return Ok(start);
    };
    let size = number(member, gimli::DW_AT_byte_size)?.unwrap_or(size);
    Ok((start + 8 * size).wrapping_sub(before + bits))
}

/// The size of a type, from its entry and the entries that it refers to. 0 if they do not have it.
fn size_of(unit: &Unit<Slice<'_>>, kind: UnitOffset, depth: usize) -> gimli::Result<u64> {
    let entry = unit.entry(kind)?;
    if let Some(size) = number(&entry, gimli::DW_AT_byte_size)? {
        return Ok(size);
    }
    let inner = match type_of(&entry)? {
        Some(inner) if depth < DEPTH => size_of(unit, inner, depth + 1)?,
        _ => return Ok(0),
    };
    if entry.tag() != gimli::DW_TAG_array_type {
        return Ok(inner);
    }
    let counts = counts(unit, kind)?;
    Ok(counts.into_iter().fold(inner, u64::wrapping_mul))
}

/// The number of elements of an array, for each of its dimensions. 0 if there is none.
fn counts(unit: &Unit<Slice<'_>>, array: UnitOffset) -> gimli::Result<Vec<u64>> {
    let mut counts = Vec::new();
    let mut tree = unit.entries_tree(Some(array))?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let child = child.entry();
        counts.push(match number(child, gimli::DW_AT_count)? {
            Some(count) => count,
            None => number(child, gimli::DW_AT_upper_bound)?.map_or(0, |last| last.wrapping_add(1)),
        });
    }
    Ok(counts)
}
