// SPDX-License-Identifier: GPL-2.0

//! Checks that a unit that was compiled here is the unit that was linked into the shipped image.
//!
//! Each function of the unit is looked up in the image by its name and compared byte by byte.
//! Where the unit has a relocation, the image has the relocation's result. The result yields the
//! address of the symbol that the relocation refers to, and all relocations of the unit must
//! agree on that address. Read-only data of the unit that a function refers to must be equal, too.

use crate::elf::{
    Elf,
    Reloc,
    Section,
    Symbol, //
};
use crate::image::Image;
use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap, //
};
use std::ops::Range;

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

/// Whether a unit is a part of the shipped image.
#[derive(Debug)]
pub(crate) enum Presence {
    /// A function of the unit is in the image. Or the unit has no function, and the image has the
    /// name of one of its variables.
    Equal,
    /// The image has names of the unit's functions, but none of the functions is equal.
    Differs {
        /// The symbol of the first function that differs.
        index: usize,
        difference: Difference,
    },
    /// The image has none of the unit's names.
    Absent,
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
        // These addresses decide between the candidates of the other functions. Weak functions come
        // last: a function that overrides one of them may differ from it in a relocation only.
        let is_weak = |symbol: &Symbol| symbol.bind == object::elf::STB_WEAK;
        let (weak, strong): (Vec<_>, Vec<_>) =
            functions.iter().partition(|(_, symbol)| is_weak(symbol));
        for (index, _) in strong {
            if let [candidate] = &self.comparisons[index].candidates[..] {
                let candidate = candidate.clone();
                self.record_candidate(*index, &candidate);
            }
        }
        for (index, symbol) in weak {
            self.place_weak(*index, symbol);
        }
        loop {
            let mut placed = false;
            for (index, symbol) in &functions {
                if self.comparisons[index].candidates.len() < 2 {
                    continue;
                }
                let (fitting, _) = self.fitting(*index, symbol);
                if let [candidate] = &fitting[..] {
                    self.record_candidate(*index, candidate);
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

    /// Leaves only the candidates of a weak function that fit the known addresses.
    fn place_weak(&mut self, index: usize, symbol: &Symbol) {
        let (fitting, others) = self.fitting(index, symbol);
        if let [candidate] = &fitting[..] {
            self.record_candidate(index, candidate);
        }
        if let Some(comparison) = self.comparisons.get_mut(&index) {
            if let Some(other) = others.last() {
                comparison.difference = Some(Difference {
                    addr: Some(other.addr),
                    detail: "it refers to other symbols".into(),
                });
            }
            comparison.candidates = fitting;
        }
    }

    /// The candidates of a function that fit the known addresses, and the others.
    fn fitting(&self, index: usize, symbol: &Symbol) -> (Vec<Candidate>, Vec<Candidate>) {
        let candidates = self.comparisons[&index].candidates.iter().cloned();
        candidates.partition(|candidate| self.agrees_with_known(index, symbol, candidate))
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
            .bytes_at(addr, size)
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
        if writable
            || section.is_code()
            || !section.has_bytes()
            || !section.name.starts_with(".rodata")
        {
            return Ok(false);
        }
        let bytes = self.object.bytes(symbol.section);

        if section.is_merged() {
            let (offset, place) = self.merged_at(reloc, symbol, section).ok_or_else(|| {
                format!("the place of a constant in {} is not known", section.name)
            })?;
            let equal = merged(section, bytes, offset).is_some_and(|mine| {
                let back = offset as u64 - mine.start as u64;
                let addr = place.wrapping_add(target).wrapping_sub(back);
                self.image.elf.bytes_at(addr, mine.len()) == Some(&bytes[mine])
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
            .bytes_at(start, mine.len())
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

    fn agrees_with_known(&self, index: usize, symbol: &Symbol, candidate: &Candidate) -> bool {
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
                // The linker moves each constant of a merged section by itself.
                self.object.sections[symbol.section].is_merged()
                    || self
                        .sections
                        .get(&symbol.section)
                        .is_none_or(|places| places.contains_key(target))
            } else {
                self.symbols
                    .get(&reloc.symbol)
                    .is_none_or(|known| known == target)
            }
        })
    }

    fn record_candidate(&mut self, index: usize, candidate: &Candidate) {
        self.record_address(index, candidate.addr);
        for (reloc, target) in &candidate.targets {
            self.record_address(reloc.symbol, *target);
        }
    }

    fn record_address(&mut self, index: usize, addr: u64) {
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
    pub(crate) fn bytes_to_compare(&self, symbol: &Symbol, addr: u64) -> (Vec<u8>, Vec<u8>) {
        let (from, size) = (symbol.value as usize, symbol.size as usize);
        let bytes = self.object.bytes(symbol.section);
        let mut here = bytes.get(from..from + size).unwrap_or_default().to_vec();
        let mut shipped = self
            .image
            .elf
            .bytes_at(addr, size)
            .unwrap_or_default()
            .to_vec();
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

    /// The addresses of the unit's functions that are in the image at one place.
    pub(crate) fn places(&self) -> BTreeSet<u64> {
        self.comparisons
            .values()
            .filter_map(|comparison| match &comparison.candidates[..] {
                [candidate] => Some(candidate.addr),
                _ => None,
            })
            .collect()
    }

    /// The functions whose names show that the unit is in the image. Other units may have local
    /// functions of the same names, so only global functions count if the unit has any.
    fn named_functions(&self) -> Vec<(usize, &Symbol)> {
        let has_global = self.object.functions().any(|(_, f)| !f.is_local());
        let counts = |symbol: &Symbol| !has_global || !symbol.is_local();
        self.object
            .functions()
            .filter(|(_, symbol)| counts(symbol) && !self.addrs_of(symbol).is_empty())
            .collect()
    }

    /// The addresses in the image that have the names of the unit's functions.
    pub(crate) fn places_of_names(&self) -> BTreeSet<u64> {
        let named = self.named_functions().into_iter();
        named
            .flat_map(|(_, symbol)| self.addrs_of(symbol))
            .collect()
    }

    /// The addresses that the image has for a symbol's name.
    fn addrs_of(&self, symbol: &Symbol) -> Vec<u64> {
        let names = &self.image.names;
        if symbol.is_local() {
            names.addrs(&symbol.name)
        } else {
            names.global_addrs(&symbol.name)
        }
    }

    pub(crate) fn presence(&self) -> Presence {
        if !self.places().is_empty() {
            return Presence::Equal;
        }
        let has_functions = self.object.functions().next().is_some();
        let has_data = || {
            let mut variables = self
                .object
                .symbols
                .iter()
                .filter(|symbol| symbol.kind == object::elf::STT_OBJECT && symbol.is_defined());
            variables.any(|symbol| !self.addrs_of(symbol).is_empty())
        };
        if !has_functions && has_data() {
            return Presence::Equal;
        }
        let mut named = self.named_functions();
        // A weak function that differs may be one that the kernel overrides.
        named.sort_by_key(|(_, symbol)| symbol.bind == object::elf::STB_WEAK);
        let first = named
            .into_iter()
            .find_map(|(index, _)| Some((index, self.difference(index)?)));
        match first {
            Some((index, difference)) => Presence::Differs { index, difference },
            None => Presence::Absent,
        }
    }

    /// The function begins with a call of ftrace's entry point. Only an endbr64 may be in front of
    /// the call.
    pub(crate) fn has_entry(&self, symbol: &Symbol) -> bool {
        const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
        let from = symbol.value as usize;
        let code = self.object.bytes(symbol.section).get(from..);
        let branch = code.is_some_and(|code| code.starts_with(&ENDBR64));
        let entry = symbol.value + if branch { ENDBR64.len() as u64 } else { 0 };
        self.calls_fentry(symbol, entry) || self.in_mcount_loc(symbol, entry)
    }

    /// There is a call of ftrace's entry point at this offset of the function's section.
    fn calls_fentry(&self, symbol: &Symbol, entry: u64) -> bool {
        const CALL: u8 = 0xe8;
        self.object.bytes(symbol.section).get(entry as usize) == Some(&CALL)
            && self.object.relocs_of(symbol).iter().any(|reloc| {
                reloc.offset == entry + 1 && self.object.symbols[reloc.symbol].name == "__fentry__"
            })
    }

    /// objtool has replaced the call at this offset by a NOP, and recorded the call's place in
    /// `__mcount_loc`.
    fn in_mcount_loc(&self, symbol: &Symbol, entry: u64) -> bool {
        let Some(section) = self.object.section("__mcount_loc") else {
            return false;
        };
        self.object.relocs(section).iter().any(|reloc| {
            let target = &self.object.symbols[reloc.symbol];
            target.section == symbol.section
                && target.value.wrapping_add_signed(reloc.addend) == entry
        })
    }

    /// The place of the merged constant that a relocation refers to: the constant's offset in its
    /// section of the unit, and its distance in the image from the relocation's target. The linker
    /// moves each merged constant by itself.
    ///
    /// None for a relative relocation that refers to the section. Its addend also counts the rest
    /// of the instruction, which may have an immediate operand behind the field. A guess could take
    /// another constant. Compilers make no such relocation: gas keeps the symbol, see
    /// `tc_i386_fix_adjustable()`.
    fn merged_at(&self, reloc: &Reloc, symbol: &Symbol, section: &Section) -> Option<(usize, u64)> {
        let relative = reloc.field().is_some_and(|(_, relative)| relative);
        match (relative, symbol.is_section()) {
            (true, true) => None,
            // The linker moves the symbol with its constant.
            (true, false) => Some((symbol.value as usize, 0)),
            // The addend is the offset of the constant from the symbol.
            (false, _) => {
                let offset = symbol.value.wrapping_add_signed(reloc.addend);
                (offset < section.size).then_some((offset as usize, reloc.addend as u64))
            }
        }
    }
}

/// The bytes of the constant at an offset of a section whose constants the linker merges: an entry,
/// or the rest of a string with its terminator.
fn merged(section: &Section, bytes: &[u8], offset: usize) -> Option<Range<usize>> {
    let entry = (section.entry as usize).max(1);
    if !section.has_strings() {
        let start = offset - offset % entry;
        let range = start..start + entry;
        return (range.end <= bytes.len()).then_some(range);
    }
    let characters = bytes.get(offset..)?.chunks_exact(entry);
    let length = characters
        .map(|character| character.iter().all(|byte| *byte == 0))
        .position(|terminator| terminator)?;
    Some(offset..offset + (length + 1) * entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kallsyms::{
        Ksym,
        Names, //
    };
    use object::elf;

    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const DATA: u64 = 0xffff_ffff_8200_0000;
    const CODE: u32 = elf::SHF_ALLOC | elf::SHF_EXECINSTR;

    fn symbol(name: &str, kind: u8, section: usize, size: u64) -> Symbol {
        Symbol {
            name: name.into(),
            kind,
            bind: elf::STB_GLOBAL,
            section,
            value: 0,
            size,
        }
    }

    fn image(code: &[u8], data: &[u8]) -> Image {
        Image {
            object: "vmlinux".into(),
            elf: Elf::for_test(
                &[
                    (".text", CODE, 0, TEXT, code),
                    (".rodata", elf::SHF_ALLOC, 0, DATA, data),
                ],
                Vec::new(),
                HashMap::new(),
            ),
            names: Names::new(vec![Ksym {
                addr: TEXT,
                kind: 'T',
                name: "f".into(),
            }]),
        }
    }

    /// A unit whose function loads the constant at the beginning of a section.
    fn unit(section: (&str, u32, u64, &[u8])) -> Elf {
        // movaps 0x0(%rip),%xmm0
        let code = [0x0f, 0x28, 0x05, 0, 0, 0, 0];
        let (name, flags, entry, bytes) = section;
        let reloc = Reloc {
            offset: 3,
            kind: elf::R_X86_64_PC32,
            symbol: 1,
            addend: -4,
        };
        Elf::for_test(
            &[
                (".text", CODE, 0, 0, &code),
                (
                    name,
                    elf::SHF_ALLOC | elf::SHF_MERGE | flags,
                    entry,
                    0,
                    bytes,
                ),
            ],
            vec![
                symbol("f", elf::STT_FUNC, 1, 7),
                symbol(".LC0", elf::STT_NOTYPE, 2, 0),
            ],
            HashMap::from([(1, vec![reloc])]),
        )
    }

    /// The same function, as it was linked: the constant is at DATA.
    fn linked() -> [u8; 7] {
        let [a, b, c, d] = ((DATA - (TEXT + 7)) as u32).to_le_bytes();
        [0x0f, 0x28, 0x05, a, b, c, d]
    }

    #[test]
    fn a_merged_constant_is_compared_completely() {
        let constant: Vec<u8> = (1..=32).collect();
        let section = (".rodata.cst32", 0, 32, &constant[..]);
        let equal = image(&linked(), &constant);
        assert_eq!(
            Verified::new("x.c", unit(section), &equal).identical(0),
            Some(TEXT)
        );

        for at in [0, 8, 31] {
            let mut shipped = constant.clone();
            shipped[at] ^= 1;
            let differs = image(&linked(), &shipped);
            let verified = Verified::new("x.c", unit(section), &differs);
            assert_eq!(verified.identical(0), None, "byte {at}");
            let detail = verified.difference(0).map(|difference| difference.detail);
            assert_eq!(
                detail.as_deref(),
                Some("a constant in .rodata.cst32 differs")
            );
        }
    }

    #[test]
    fn a_merged_string_is_compared_with_its_terminator() {
        let section = (".rodata.str1.1", elf::SHF_STRINGS, 1, &b"one\0two\0"[..]);
        for (shipped, equal) in [
            (&b"one\0more"[..], true),
            (&b"ones\0two\0"[..], false),
            (&b"on\0two\0"[..], false),
        ] {
            let image = image(&linked(), shipped);
            let identical = Verified::new("x.c", unit(section), &image).identical(0);
            assert_eq!(identical.is_some(), equal, "{shipped:?}");
        }
    }

    /// A relative relocation that refers to the section of the strings. In the image, the first
    /// string has another first byte. The rest of the string is equal, and must not be taken for
    /// the whole string.
    #[test]
    fn a_string_is_not_compared_from_its_second_byte_on() {
        let mut object = unit((".rodata.str1.1", elf::SHF_STRINGS, 1, &b"one\0two\0"[..]));
        object.symbols[1].kind = elf::STT_SECTION;
        let image = image(&linked(), b"0ne\0two\0");
        let verified = Verified::new("x.c", object, &image);
        assert_eq!(verified.identical(0), None);
        let detail = verified.difference(0).map(|difference| difference.detail);
        assert_eq!(
            detail.as_deref(),
            Some("the place of a constant in .rodata.str1.1 is not known")
        );
    }

    #[test]
    fn a_constant_is_an_entry_or_the_rest_of_a_string() {
        let elf = unit((".rodata.cst16", 0, 16, &[0; 32]));
        let section = &elf.sections[2];
        assert_eq!(merged(section, &[0; 32], 24), Some(16..32));
        assert_eq!(merged(section, &[0; 32], 40), None);
        let elf = unit((".rodata.str2.2", elf::SHF_STRINGS, 2, b"a\0b\0\0\0"));
        let section = &elf.sections[2];
        assert_eq!(merged(section, b"a\0b\0\0\0", 2), Some(2..6));
        assert_eq!(merged(section, b"a\0b\0", 0), None);
    }

    /// A unit with a function of this code, and a call of __fentry__ at an offset.
    fn entered(code: &[u8], call: u64) -> Elf {
        let reloc = Reloc {
            offset: call + 1,
            kind: elf::R_X86_64_PLT32,
            symbol: 1,
            addend: -4,
        };
        Elf::for_test(
            &[(".text", CODE, 0, 0, code)],
            vec![
                symbol("f", elf::STT_FUNC, 1, code.len() as u64),
                symbol("__fentry__", elf::STT_NOTYPE, 0, 0),
            ],
            HashMap::from([(1, vec![reloc])]),
        )
    }

    #[test]
    fn a_function_begins_with_the_call_of_ftrace() {
        let image = image(&[0x90; 64], &[]);
        let has_entry = |object: Elf| {
            let symbol = object.symbols[0].clone();
            Verified::new("x.c", object, &image).has_entry(&symbol)
        };
        let call = [0xe8, 0, 0, 0, 0, 0xc3];
        let endbr64 = [0xf3, 0x0f, 0x1e, 0xfa];
        assert!(has_entry(entered(&call, 0)));
        assert!(has_entry(entered(&[&endbr64[..], &call].concat(), 4)));
        // A push in front of the call.
        assert!(!has_entry(entered(&[&[0x55][..], &call].concat(), 1)));
        assert!(!has_entry(entered(
            &[&endbr64[..], &[0x55], &call].concat(),
            5
        )));
        // A jump instead of the call.
        assert!(!has_entry(entered(&[0xe9, 0, 0, 0, 0, 0xc3], 0)));
    }

    /// Two functions that jump to `thunk`. In the image, the jump of the weak function leads
    /// elsewhere: another function overrides it.
    #[test]
    fn an_overridden_weak_function_does_not_move_a_symbol() {
        let jump = |offset: u64| Reloc {
            offset: offset + 1,
            kind: elf::R_X86_64_PLT32,
            symbol: 2,
            addend: -4,
        };
        let code = [0xe9, 0, 0, 0, 0];
        let object = |weak_first: bool| {
            let mut weak = symbol("w", elf::STT_FUNC, 1, 5);
            let mut other = symbol("f", elf::STT_FUNC, 1, 5);
            weak.bind = elf::STB_WEAK;
            other.value = 5;
            let list = if weak_first {
                [weak, other]
            } else {
                [other, weak]
            };
            let [first, second] = list;
            Elf::for_test(
                &[(".text", CODE, 0, 0, &[code, code].concat())],
                vec![first, second, symbol("thunk", elf::STT_NOTYPE, 0, 0)],
                HashMap::from([(1, vec![jump(0), jump(5)])]),
            )
        };
        let ksym = |addr, name: &str| Ksym {
            addr,
            kind: 'T',
            name: name.into(),
        };
        let mut text = vec![0xe9, 0x10, 0, 0, 0, 0xe9, 0x20, 0, 0, 0];
        text.resize(64, 0x90);
        let mut image = image(&text, &[]);
        image.names = Names::new(vec![ksym(TEXT, "w"), ksym(TEXT + 5, "f")]);
        for weak_first in [true, false] {
            let verified = Verified::new("x.c", object(weak_first), &image);
            let (weak, other) = if weak_first { (0, 1) } else { (1, 0) };
            assert_eq!(verified.conflicts, [""; 0]);
            assert_eq!(verified.identical(weak), None);
            assert_eq!(verified.identical(other), Some(TEXT + 5));
        }
    }

    #[test]
    fn a_recorded_place_must_be_at_the_beginning() {
        let image = image(&[0x90; 64], &[]);
        for (place, entry) in [(0, true), (5, false), (32, false)] {
            let reloc = Reloc {
                offset: 0,
                kind: elf::R_X86_64_64,
                symbol: 1,
                addend: place,
            };
            let object = Elf::for_test(
                &[
                    (".text", CODE, 0, 0, &[0x90; 64]),
                    ("__mcount_loc", elf::SHF_ALLOC, 8, 0, &[0; 8]),
                ],
                vec![
                    symbol("f", elf::STT_FUNC, 1, 32),
                    symbol(".text", elf::STT_SECTION, 1, 0),
                ],
                HashMap::from([(2, vec![reloc])]),
            );
            let symbol = object.symbols[0].clone();
            let verified = Verified::new("x.c", object, &image);
            assert_eq!(verified.has_entry(&symbol), entry, "{place}");
        }
    }
}
