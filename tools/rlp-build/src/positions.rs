// SPDX-License-Identifier: GPL-2.0

//! Corrects the positions of symbols in the difference that objtool has written: each becomes the
//! position in the shipped object.
//!
//! Live patching finds a function or a variable by its name and, if several have that name, by its
//! position among them. objtool counts in the object that it is given, which has only the units of
//! the patch. Here, the address of each symbol is found in the shipped image, and the position
//! follows from the address. This file also checks each function to be replaced: it must be equal
//! to the shipped function, byte for byte, and must begin with a call of ftrace.

use crate::command::{
    program,
    run, //
};
use crate::elf::{
    Elf,
    Symbol, //
};
use crate::explain;
use crate::image::Image;
use crate::objtool::Difference;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::{
    hex,
    Tree, //
};
use crate::units::Unit;
use crate::verify::Verified;
use object::elf;
use sha2::{
    Digest,
    Sha256, //
};
use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap, //
};
use std::iter;

const PREFIX: &str = ".klp.sym.";
/// The size of struct klp_func_ext, and where its sympos is.
const FUNC_SIZE: u64 = 24;
const FUNC_SYMPOS: usize = 16;

/// A function that the patch replaces.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    pub(crate) object: String,
    pub(crate) unit: String,
    pub(crate) name: String,
    pub(crate) position: u64,
    /// An address of vmlinux, or a section and an offset of a module.
    pub(crate) place: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// The number of the function's relocations, which were compared by their results.
    pub(crate) relocations: usize,
    /// The number of those relocations whose read-only data was compared, too.
    pub(crate) constants: usize,
}

/// The data that is needed to correct the positions in the difference of one object.
pub(crate) struct Positions<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) image: &'a Image,
    /// The kernel's image, for symbols and constants of vmlinux.
    pub(crate) kernel: &'a Image,
    pub(crate) units: &'a [Unit],
    /// Print the first function that differs, and the shipped function beside it.
    pub(crate) explain: bool,
    pub(crate) verified: &'a [Verified<'a>],
}

impl Positions<'_> {
    /// Corrects the object file of a difference. Returns the functions that it replaces.
    pub(crate) fn correct_positions(
        &self,
        difference: &Difference,
        file: &std::path::Path,
    ) -> Result<Vec<Replaced>> {
        let original = &difference.original;
        let unit_of = self.units_of_symbols(original);
        let mut out = Elf::read(file)?;
        let mut renames = BTreeMap::new();
        let mut taken: BTreeSet<String> = out
            .symbols
            .iter()
            .map(|symbol| symbol.name.clone())
            .collect();
        // For a symbol of the difference, the number to add to the relocations that refer to it.
        let mut shifts: HashMap<usize, u64> = HashMap::new();

        for (index, symbol) in out.symbols.iter().enumerate() {
            let Some((object, name, position)) = klp_symbol(&symbol.name) else {
                continue;
            };
            let (object, name, position) = (object.to_owned(), name.to_owned(), position);
            let (name, found) = if let Some(constant) = name.strip_prefix("__rlp_") {
                let (function, offset) = self.place_of_constant(constant, &taken)?;
                shifts.insert(index, offset);
                (function, 0)
            } else if object == difference.object {
                self.shipped_name(original, &unit_of, &name, position)?
            } else if object == "vmlinux" {
                let addr = self.kernel.names.global(&name);
                let found = addr.and_then(|addr| self.kernel.names.position(&name, addr));
                let found = found.ok_or_else(|| Refusal::UnknownPlace {
                    symbol: name.clone(),
                })?;
                (name, found)
            } else {
                continue;
            };
            let correct = format!("{PREFIX}{object}.{name},{found}");
            if correct != symbol.name {
                taken.insert(correct.clone());
                renames.insert(symbol.name.clone(), correct);
            }
        }

        let replaced = self.functions(original, &unit_of, &mut out)?;
        shift_addends(&mut out, &shifts);
        std::fs::write(file, &out.data).map_err(io_error_at(file))?;

        if !renames.is_empty() {
            let list = self.tree.work.join("renames");
            let lines = renames.iter().map(|(from, to)| format!("{from} {to}\n"));
            let text = lines.collect::<Vec<_>>().concat();
            std::fs::write(&list, text).map_err(io_error_at(&list))?;
            run(program("objcopy", &self.tree.work)
                .arg(format!("--redefine-syms={}", list.display()))
                .arg(file))?;
        }
        Ok(replaced)
    }

    /// Checks that each function to be replaced is the shipped one. Writes the positions of the
    /// functions, and returns the functions.
    fn functions(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        out: &mut Elf,
    ) -> Result<Vec<Replaced>> {
        let missing = || tool_failure("objtool has listed no function");
        let section = out.section(".init.klp_funcs").ok_or_else(missing)?;
        let (offset, size) = (out.sections[section].offset, out.sections[section].size);
        let names: HashMap<u64, String> = out
            .relocs(section)
            .iter()
            .filter(|reloc| reloc.offset % FUNC_SIZE == 0)
            .filter_map(|reloc| {
                let symbol = &out.symbols[reloc.symbol];
                let start = usize::try_from(symbol.value.wrapping_add_signed(reloc.addend)).ok()?;
                let text = out.bytes(symbol.section).get(start..)?;
                let end = text.iter().position(|byte| *byte == 0)?;
                Some((
                    reloc.offset,
                    String::from_utf8_lossy(&text[..end]).into_owned(),
                ))
            })
            .collect();

        let mut replaced = Vec::new();
        for at in (0..size).step_by(FUNC_SIZE as usize) {
            let name = names.get(&at).ok_or_else(missing)?;
            let field = offset + at as usize + FUNC_SYMPOS;
            let objtool_position = u64::from_le_bytes(
                out.data[field..field + 8]
                    .try_into()
                    .map_err(|_| missing())?,
            );
            let index = symbol_of(original, name, objtool_position).ok_or_else(|| {
                Refusal::UnknownPlace {
                    symbol: name.clone(),
                }
            })?;
            let function = self.function(original, unit_of, index)?;
            out.data[field..field + 8].copy_from_slice(&function.position.to_le_bytes());
            replaced.push(function);
        }
        Ok(replaced)
    }

    /// A function that is to be replaced, or why it cannot be.
    fn function(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        index: usize,
    ) -> Result<Replaced> {
        let name = original.symbols[index].name.clone();
        let (verified, own) = self
            .symbol_in_unit(original, unit_of, index)
            .ok_or_else(|| Refusal::UnknownPlace {
                symbol: name.clone(),
            })?;
        let symbol = &verified.object.symbols[own];
        let section = &verified.object.sections[symbol.section];
        if self.image.has_freed(section) {
            return Err(Refusal::Discarded { function: name }.into());
        }
        let Some(addr) = verified.identical(own) else {
            let difference = verified.difference(own);
            if let (true, Some(difference)) = (self.explain, &difference) {
                explain::show(self.tree, verified, own, difference)?;
            }
            let detail = difference.map_or_else(String::new, |difference| difference.detail);
            return Err(if self.image.names.addrs(&name).is_empty() {
                Refusal::NotFound {
                    function: name,
                    object: self.image.object.clone(),
                }
            } else if symbol.bind == elf::STB_WEAK {
                Refusal::OverriddenWeak { function: name }
            } else {
                Refusal::Differs {
                    function: name,
                    unit: verified.unit.clone(),
                    detail,
                }
            }
            .into());
        };
        if !verified.has_entry(symbol) {
            return Err(Refusal::NoFentry { function: name }.into());
        }
        if let Some(conflict) = verified.object.relocs_of(symbol).iter().find_map(|reloc| {
            let target = &verified.object.symbols[reloc.symbol].name;
            verified.conflicts.contains(target).then_some(target)
        }) {
            let detail = format!("{conflict} is at two places");
            return Err(Refusal::Differs {
                function: name,
                unit: verified.unit.clone(),
                detail,
            }
            .into());
        }
        let position =
            self.image
                .names
                .position(&name, addr)
                .ok_or_else(|| Refusal::UnknownPlace {
                    symbol: name.clone(),
                })?;
        let shipped = self
            .image
            .elf
            .bytes_at(addr, symbol.size as usize)
            .unwrap_or_default();
        let place = match self.image.elf.section_at(addr) {
            Some((section, offset)) if !self.image.is_kernel() => {
                format!("{}+{offset:#x}", self.image.elf.sections[section].name)
            }
            _ => format!("{addr:#x}"),
        };
        Ok(Replaced {
            object: self.image.object.clone(),
            unit: verified.unit.clone(),
            name,
            position,
            place,
            size: symbol.size,
            sha256: hex(&Sha256::digest(shipped)),
            relocations: verified.object.relocs_of(symbol).len(),
            constants: verified.constants(own),
        })
    }

    /// The name and the position, in the shipped object, of a symbol of the merged original. If the
    /// shipped object does not have the name, the name is that of another symbol at the same place:
    /// the kernel's build removes the aliases that `MODULE_DEVICE_TABLE()` makes.
    fn shipped_name(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        name: &str,
        objtool_position: u64,
    ) -> Result<(String, u64)> {
        let unknown = || Refusal::UnknownPlace {
            symbol: name.to_owned(),
        };
        let index = symbol_of(original, name, objtool_position).ok_or_else(unknown)?;
        for same in iter::once(index).chain(aliases(original, index)) {
            if let Some(position) = self.position(original, unit_of, same)? {
                return Ok((original.symbols[same].name.clone(), position));
            }
        }
        Err(unknown().into())
    }

    /// The position, in the shipped object, of a symbol of the merged original. `None` if the
    /// shipped object does not have the name at that place.
    fn position(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        index: usize,
    ) -> Result<Option<u64>> {
        let Some(addr) = self.address(original, unit_of, index) else {
            return Ok(None);
        };
        let name = &original.symbols[index].name;
        if self.image.is_freed(addr) {
            return Err(Refusal::Discarded {
                function: name.clone(),
            }
            .into());
        }
        Ok(self.image.names.position(name, addr))
    }

    /// Where a symbol of the merged original is in the image.
    fn address(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        index: usize,
    ) -> Option<u64> {
        let symbol = &original.symbols[index];
        if symbol.is_local() {
            let (verified, own) = self.symbol_in_unit(original, unit_of, index)?;
            return verified.address_of(own);
        }
        let mut addrs: Vec<_> = self
            .verified
            .iter()
            .flat_map(|verified| {
                let symbols = verified.object.symbols.iter().enumerate();
                symbols
                    .filter(|(_, own)| own.name == symbol.name && !own.is_local())
                    .filter_map(|(own, _)| verified.address_of(own))
            })
            .collect();
        addrs.sort_unstable();
        addrs.dedup();
        match addrs[..] {
            [addr] => Some(addr),
            _ => self.image.names.global(&symbol.name),
        }
    }

    /// The unit that a symbol of the merged original is from, and the symbol's index in the shipped
    /// object of that unit.
    fn symbol_in_unit(
        &self,
        original: &Elf,
        unit_of: &HashMap<usize, usize>,
        index: usize,
    ) -> Option<(&Verified<'_>, usize)> {
        let symbol = &original.symbols[index];
        let candidates = |verified: &Verified<'_>, local: bool| -> Vec<usize> {
            let symbols = verified.object.symbols.iter().enumerate();
            symbols
                .filter(|(_, own)| {
                    own.name == symbol.name && own.is_local() == local && own.is_defined()
                })
                .map(|(own, _)| own)
                .collect()
        };
        if !symbol.is_local() {
            return self
                .verified
                .iter()
                .find_map(|verified| Some((verified, *candidates(verified, false).first()?)));
        }
        let unit = *unit_of.get(&index)?;
        let verified = self.verified.get(unit)?;
        let namesakes: Vec<_> = original
            .symbols
            .iter()
            .enumerate()
            .filter(|(other, s)| {
                s.name == symbol.name && s.is_local() && unit_of.get(other) == Some(&unit)
            })
            .map(|(other, _)| other)
            .collect();
        let own = candidates(verified, true);
        // Local symbols of one name in one unit are matched by their order, so both objects must
        // have the same number of them.
        if namesakes.len() != own.len() {
            return None;
        }
        let nth = namesakes.iter().position(|other| *other == index)?;
        Some((verified, own[nth]))
    }

    /// The unit of each local symbol of the merged original. The symbols of each unit begin with a
    /// FILE symbol.
    fn units_of_symbols(&self, original: &Elf) -> HashMap<usize, usize> {
        let mut unit = None;
        let mut units = HashMap::new();
        for (index, symbol) in original.symbols.iter().enumerate() {
            if symbol.is_file() {
                let next = unit.map_or(0, |unit| unit + 1);
                unit = (next < self.units.len()).then_some(next);
            } else if let (true, Some(unit)) = (symbol.is_local(), unit) {
                units.insert(index, unit);
            }
        }
        units
    }

    /// Finds a place in the kernel's text where the kernel writes `constant` at boot. Returns the
    /// function and the offset in it. Skips functions to which the difference refers already.
    fn place_of_constant(&self, constant: &str, taken: &BTreeSet<String>) -> Result<(String, u64)> {
        let elf = &self.kernel.elf;
        let none = || Refusal::RuntimeConst {
            constant: constant.to_owned(),
        };
        let section = elf
            .section(&format!("runtime_{constant}"))
            .ok_or_else(none)?;
        let start = elf.sections[section].addr;
        let places = elf
            .bytes(section)
            .chunks_exact(4)
            .enumerate()
            .map(|(i, bytes)| {
                let relative = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                (start + 4 * i as u64).wrapping_add_signed(i64::from(relative))
            });
        for place in places {
            if self.kernel.is_freed(place) {
                continue;
            }
            let Some(function) = self.kernel.names.function_at(place) else {
                continue;
            };
            if !taken.contains(&format!("{PREFIX}vmlinux.{},0", function.name)) {
                return Ok((function.name.clone(), place - function.addr));
            }
        }
        Err(none().into())
    }
}

/// The object, the name and the position of a live-patch symbol.
fn klp_symbol(symbol: &str) -> Option<(&str, &str, u64)> {
    let (object, rest) = symbol.strip_prefix(PREFIX)?.split_once('.')?;
    let (name, position) = rest.rsplit_once(',')?;
    Some((object, name, position.parse().ok()?))
}

/// The symbol that objtool means by a name and a position in the merged original.
fn symbol_of(original: &Elf, name: &str, position: u64) -> Option<usize> {
    let meant = |symbol: &Symbol| symbol.name == name && !symbol.is_section() && !symbol.is_file();
    let all: Vec<_> = original
        .symbols
        .iter()
        .enumerate()
        .filter(|(_, symbol)| meant(symbol))
        .collect();
    if let Some(nth) = position.checked_sub(1) {
        return all.get(usize::try_from(nth).ok()?).map(|(index, _)| *index);
    }
    if let [(index, _)] = all[..] {
        return Some(index);
    }
    let mut globals = all.iter().filter(|(_, symbol)| !symbol.is_local());
    let (index, _) = globals.next()?;
    globals.next().is_none().then_some(*index)
}

/// The other symbols at the place of a symbol.
fn aliases(original: &Elf, index: usize) -> impl Iterator<Item = usize> + '_ {
    let symbol = &original.symbols[index];
    let symbols = original.symbols.iter().enumerate();
    symbols
        .filter(move |(other, alias)| {
            *other != index
                && alias.is_defined()
                && !alias.is_section()
                && !alias.name.is_empty()
                && (alias.section, alias.value) == (symbol.section, symbol.value)
        })
        .map(|(other, _)| other)
}

/// Adds the shift of a symbol to each relocation in objtool's lists that refers to the symbol.
fn shift_addends(out: &mut Elf, shifts: &HashMap<usize, u64>) {
    const RELA: usize = 24;
    let lists: Vec<_> = out
        .sections
        .iter()
        .filter(|section| {
            section.kind == elf::SHT_RELA
                && out
                    .sections
                    .get(section.info as usize)
                    .is_some_and(|list| list.name.starts_with("__klp_relocs"))
        })
        .map(|section| (section.offset, section.size as usize))
        .collect();
    for (offset, size) in lists {
        for at in (offset..offset + size).step_by(RELA) {
            let Some(entry) = out.data.get_mut(at..at + RELA) else {
                continue;
            };
            let (_, rest) = entry.split_at_mut(8);
            let (info, addend) = rest.split_at_mut(8);
            let symbol = u32::from_le_bytes([info[4], info[5], info[6], info[7]]) as usize;
            if let Some(shift) = shifts.get(&symbol) {
                let mut value = [0; 8];
                value.copy_from_slice(addend);
                addend.copy_from_slice(
                    &i64::from_le_bytes(value)
                        .wrapping_add_unsigned(*shift)
                        .to_le_bytes(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_names_its_object_and_its_position() {
        assert_eq!(
            klp_symbol(".klp.sym.vmlinux.show,2"),
            Some(("vmlinux", "show", 2))
        );
        assert_eq!(
            klp_symbol(".klp.sym.ext4.a.isra.0,0"),
            Some(("ext4", "a.isra.0", 0))
        );
        assert_eq!(klp_symbol("show"), None);
    }
}
