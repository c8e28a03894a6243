// SPDX-License-Identifier: GPL-2.0

//! Checks that a unit that was compiled here is the unit that was linked into the shipped image.
//!
//! Each function of the unit is looked up in the image by its name and compared byte by byte.
//! Where the unit has a relocation, the image has the relocation's result. The result yields the
//! address of the symbol that the relocation refers to, and all relocations of the unit must
//! agree on that address. Read-only data of the unit that a function refers to must be equal, too.

use crate::elf::{Elf, Reloc, Symbol};
use crate::image::Image;
use std::collections::{BTreeMap, HashMap};

/// A place in the image where a function's bytes are, and the addresses that its relocations
/// yield there.
#[derive(Debug, Clone)]
struct Candidate {
    addr: u64,
    targets: Vec<(Reloc, u64)>,
    /// The number of relocations whose read-only data was compared.
    constants: usize,
}

/// The result of comparing one function of the unit with the image.
#[derive(Debug)]
struct Comparison {
    candidates: Vec<Candidate>,
    /// How the function differs from the last place in the image that has its name.
    difference: Option<Difference>,
}

/// Why a function is not the shipped one.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The address in the image with which the function was compared, if there is one.
    pub(crate) addr: Option<u64>,
    pub(crate) detail: String,
}

/// The comparison of one unit with the shipped image.
#[derive(Debug)]
pub(crate) struct Verified<'a> {
    pub(crate) unit: String,
    pub(crate) object: Elf,
    image: &'a Image,
    comparisons: BTreeMap<usize, Comparison>,
    /// The address of each symbol, as proved by relocations and functions.
    symbols: HashMap<usize, u64>,
    /// The addresses at which each section may begin, and how many relocations and functions yield
    /// each address.
    sections: HashMap<usize, BTreeMap<u64, usize>>,
    /// Names of symbols for which two relocations yield different addresses.
    pub(crate) conflicts: Vec<String>,
}

impl<'a> Verified<'a> {
    pub(crate) fn new(unit: &str, object: Elf, image: &'a Image) -> Self {
        let mut this = Self {
            unit: unit.into(),
            image,
            comparisons: BTreeMap::new(),
            symbols: HashMap::new(),
            sections: HashMap::new(),
            conflicts: Vec::new(),
            object,
        };
        this.compare_all();
        this
    }

    fn compare_all(&mut self) {
        let functions: Vec<_> = self
            .object
            .functions()
            .map(|(index, symbol)| (index, symbol.clone()))
            .collect();
        for (index, symbol) in &functions {
            let mut addrs = self.image.names.addrs(&symbol.name);
            addrs.sort_unstable();
            addrs.dedup();
            let mut comparison = Comparison {
                candidates: Vec::new(),
                difference: None,
            };
            for addr in addrs {
                match self.compare(symbol, addr) {
                    Ok(candidate) => comparison.candidates.push(candidate),
                    Err(detail) => {
                        comparison.difference = Some(Difference {
                            addr: Some(addr),
                            detail,
                        })
                    }
                }
            }
            self.comparisons.insert(*index, comparison);
        }

        // A function with one candidate yields the addresses of the symbols that it refers to.
        // These addresses decide between the candidates of the other functions.
        for (index, _) in &functions {
            if let [candidate] = &self.comparisons[index].candidates[..] {
                let candidate = candidate.clone();
                self.place(*index, &candidate);
            }
        }
        loop {
            let mut placed = false;
            for (index, symbol) in &functions {
                let candidates = &self.comparisons[index].candidates;
                if candidates.len() < 2 {
                    continue;
                }
                let fitting: Vec<_> = candidates
                    .iter()
                    .filter(|c| self.fits(*index, symbol, c))
                    .cloned()
                    .collect();
                if let [candidate] = &fitting[..] {
                    self.place(*index, candidate);
                    if let Some(comparison) = self.comparisons.get_mut(index) {
                        comparison.candidates = fitting;
                    }
                    placed = true;
                }
            }
            if !placed {
                break;
            }
        }
    }

    /// Compares a function's bytes with those at an address of the image.
    fn compare(&self, symbol: &Symbol, addr: u64) -> Result<Candidate, String> {
        let size = symbol.size as usize;
        let from = symbol.value as usize;
        let mut mine = self
            .object
            .bytes(symbol.section)
            .get(from..from + size)
            .ok_or("it is larger than its section")?
            .to_vec();
        let mut shipped = self
            .image
            .elf
            .at(addr, size)
            .ok_or("the image has no bytes there")?
            .to_vec();

        let mut targets = Vec::new();
        for reloc in self.object.relocs_of(symbol) {
            if reloc.kind == object::elf::R_X86_64_NONE {
                continue;
            }
            let (width, relative) = reloc
                .field()
                .ok_or_else(|| format!("it has a relocation of type {}", reloc.kind))?;
            let at = (reloc.offset - symbol.value) as usize;
            let field = shipped
                .get(at..at + width)
                .ok_or("a relocation is beyond its end")?;
            let value = match width {
                8 => i64::from_le_bytes(field.try_into().map_err(|_| "a field is too short")?),
                _ => i64::from(i32::from_le_bytes(
                    field.try_into().map_err(|_| "a field is too short")?,
                )),
            };
            let mut target = (value as u64).wrapping_add_signed(reloc.addend.wrapping_neg());
            if relative {
                target = target.wrapping_add(addr + at as u64);
            }
            mine[at..at + width].fill(0);
            shipped[at..at + width].fill(0);
            targets.push((*reloc, target));
        }

        let differing = mine.iter().zip(&shipped).filter(|(a, b)| a != b).count();
        if let Some(first) = mine.iter().zip(&shipped).position(|(a, b)| a != b) {
            return Err(format!(
                "from byte {first:#x} on, {differing} of {size} bytes differ"
            ));
        }
        let mut constants = 0;
        for (reloc, target) in &targets {
            constants += usize::from(self.compare_data(reloc, *target)?);
        }
        Ok(Candidate {
            addr,
            targets,
            constants,
        })
    }

    /// Compares the read-only data that a relocation of the unit refers to. Returns whether it
    /// refers to such data.
    fn compare_data(&self, reloc: &Reloc, target: u64) -> Result<bool, String> {
        let symbol = &self.object.symbols[reloc.symbol];
        if !symbol.is_defined() {
            return Ok(false);
        }
        let section = &self.object.sections[symbol.section];
        let writable = section.flags & u64::from(object::elf::SHF_WRITE) != 0;
        let code = section.flags & u64::from(object::elf::SHF_EXECINSTR) != 0;
        if writable || code || !section.has_bytes() || !section.name.starts_with(".rodata") {
            return Ok(false);
        }
        let bytes = self.object.bytes(symbol.section);

        if section.is_merged() {
            // The linker may have moved each constant. A relative relocation counts from the end
            // of its instruction, whose immediate operand may be up to four bytes long.
            let strings = section.flags & u64::from(object::elf::SHF_STRINGS) != 0;
            let ends: &[i64] = if reloc.field().is_some_and(|(_, relative)| relative) {
                &[4, 5, 6, 8]
            } else {
                &[0]
            };
            let equal = ends.iter().any(|end| {
                let offset = symbol.value.wrapping_add_signed(reloc.addend + end) as usize;
                let Some(rest) = bytes.get(offset..) else {
                    return false;
                };
                let len = if strings {
                    rest.iter()
                        .position(|byte| *byte == 0)
                        .map_or(rest.len(), |zero| zero + 1)
                } else {
                    rest.len().min(8)
                };
                let place = target.wrapping_add_signed(reloc.addend + end);
                self.image.elf.at(place, len) == Some(&rest[..len])
            });
            return if equal {
                Ok(true)
            } else {
                Err(format!("a constant in {} differs", section.name))
            };
        }

        // The linker keeps the order of this section. Compare the object that the relocation names,
        // or the whole section if the relocation names no object.
        let (range, start) = if symbol.is_section() {
            (0..bytes.len(), target)
        } else {
            (
                symbol.value as usize..(symbol.value + symbol.size) as usize,
                target,
            )
        };
        let mut mine = bytes
            .get(range.clone())
            .ok_or("a constant is beyond its section")?
            .to_vec();
        let mut shipped = self
            .image
            .elf
            .at(start, mine.len())
            .ok_or("a constant is not in the image")?
            .to_vec();
        for inner in self.object.relocs(symbol.section) {
            let at = inner.offset as usize;
            let width = inner.field().map_or(0, |(width, _)| width);
            if range.start <= at && at + width <= range.end {
                mine[at - range.start..at - range.start + width].fill(0);
                shipped[at - range.start..at - range.start + width].fill(0);
            }
        }
        if mine == shipped {
            return Ok(true);
        }
        let what = if symbol.is_section() {
            &section.name
        } else {
            &symbol.name
        };
        Err(format!("the constant {what} differs"))
    }

    fn fits(&self, index: usize, symbol: &Symbol, candidate: &Candidate) -> bool {
        let begin = candidate.addr.wrapping_sub(symbol.value);
        if self
            .sections
            .get(&symbol.section)
            .is_some_and(|places| !places.contains_key(&begin))
        {
            return false;
        }
        if self
            .symbols
            .get(&index)
            .is_some_and(|known| *known != candidate.addr)
        {
            return false;
        }
        candidate.targets.iter().all(|(reloc, target)| {
            let symbol = &self.object.symbols[reloc.symbol];
            if symbol.is_section() {
                self.sections
                    .get(&symbol.section)
                    .is_none_or(|places| places.contains_key(target))
            } else {
                self.symbols
                    .get(&reloc.symbol)
                    .is_none_or(|known| known == target)
            }
        })
    }

    fn place(&mut self, index: usize, candidate: &Candidate) {
        self.note(index, candidate.addr);
        for (reloc, target) in &candidate.targets {
            self.note(reloc.symbol, *target);
        }
    }

    fn note(&mut self, index: usize, addr: u64) {
        let symbol = &self.object.symbols[index];
        if symbol.is_section() {
            *self
                .sections
                .entry(symbol.section)
                .or_default()
                .entry(addr)
                .or_default() += 1;
            return;
        }
        if *self.symbols.entry(index).or_insert(addr) != addr {
            self.conflicts.push(symbol.name.clone());
        }
        if symbol.is_defined() && !self.object.sections[symbol.section].is_merged() {
            let begin = addr.wrapping_sub(symbol.value);
            *self
                .sections
                .entry(symbol.section)
                .or_default()
                .entry(begin)
                .or_default() += 1;
        }
    }

    /// A symbol's address in the image: proved by a relocation, or by its section's place.
    pub(crate) fn address_of(&self, index: usize) -> Option<u64> {
        if let Some(addr) = self.symbols.get(&index) {
            return Some(*addr);
        }
        let symbol = &self.object.symbols[index];
        if !symbol.is_defined() || self.object.sections[symbol.section].is_merged() {
            return None;
        }
        let places = self.sections.get(&symbol.section)?;
        let (begin, _) = places.first_key_value()?;
        (places.len() == 1).then(|| begin.wrapping_add(symbol.value))
    }

    /// The function's address in the image, if the image has the same bytes at exactly one place.
    pub(crate) fn identical(&self, index: usize) -> Option<u64> {
        match &self.comparisons.get(&index)?.candidates[..] {
            [candidate] => Some(candidate.addr),
            _ => None,
        }
    }

    /// The number of relocations of an identical function whose read-only data was compared.
    pub(crate) fn constants(&self, index: usize) -> usize {
        match self
            .comparisons
            .get(&index)
            .map(|comparison| &comparison.candidates[..])
        {
            Some([candidate]) => candidate.constants,
            _ => 0,
        }
    }

    /// Why a function is not in the image.
    pub(crate) fn difference(&self, index: usize) -> Option<Difference> {
        let comparison = self.comparisons.get(&index)?;
        match comparison.candidates.len() {
            0 => Some(comparison.difference.clone().unwrap_or(Difference {
                addr: None,
                detail: "the image has no function of that name".into(),
            })),
            1 => None,
            n => Some(Difference {
                addr: None,
                detail: format!("{n} functions of the image are equal to it"),
            }),
        }
    }

    /// A function's bytes in the unit, and those at an address of the image. Fields that
    /// relocations fill in are zero in both.
    pub(crate) fn both(&self, symbol: &Symbol, addr: u64) -> (Vec<u8>, Vec<u8>) {
        let (from, size) = (symbol.value as usize, symbol.size as usize);
        let bytes = self.object.bytes(symbol.section);
        let mut here = bytes.get(from..from + size).unwrap_or_default().to_vec();
        let mut shipped = self.image.elf.at(addr, size).unwrap_or_default().to_vec();
        for reloc in self.object.relocs_of(symbol) {
            let at = (reloc.offset - symbol.value) as usize;
            let width = reloc.field().map_or(0, |(width, _)| width);
            for side in [&mut here, &mut shipped] {
                if let Some(field) = side.get_mut(at..at + width) {
                    field.fill(0);
                }
            }
        }
        (here, shipped)
    }

    /// How many of the unit's functions are in the image, and how many functions the unit has.
    pub(crate) fn count(&self) -> (usize, usize) {
        let identical = self
            .comparisons
            .values()
            .filter(|c| c.candidates.len() == 1)
            .count();
        (identical, self.comparisons.len())
    }

    /// The function begins with a call of ftrace's entry point. Only an endbr64 may be in front of
    /// the call.
    pub(crate) fn has_entry(&self, symbol: &Symbol) -> bool {
        self.object.relocs_of(symbol).iter().any(|reloc| {
            self.object.symbols[reloc.symbol].name == "__fentry__"
                && reloc.offset < symbol.value + 16
        }) || self.in_mcount_loc(symbol)
    }

    /// objtool has replaced the call by a NOP, and recorded the call's place in `__mcount_loc`.
    fn in_mcount_loc(&self, symbol: &Symbol) -> bool {
        let Some(section) = self.object.section("__mcount_loc") else {
            return false;
        };
        self.object.relocs(section).iter().any(|reloc| {
            let target = &self.object.symbols[reloc.symbol];
            target.section == symbol.section
                && symbol
                    .range()
                    .contains(&target.value.wrapping_add_signed(reloc.addend))
        })
    }
}
