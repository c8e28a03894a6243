// SPDX-License-Identifier: GPL-2.0

//! Finding the functions that a patch names, and where they end: all of an object in one walk.

use crate::ranges::Range;
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    kallsyms,
    sort, //
};

/// What gcc and clang append to the part of a function that they moved to `.text.unlikely`.
const COLD: &[u8] = b".cold";

/// A function that is looked for.
pub(crate) struct SymbolQuery<'a> {
    /// Its name.
    pub(crate) name: &'a CStr,
    /// Which of several of that name, from 1; 0: the only one.
    pub(crate) sympos: usize,
    matches: usize,
    address: usize,
    cold: KVec<usize>,
}

/// A function that was found.
pub(crate) struct Found {
    /// Its first instruction.
    pub(crate) address: usize,
    /// How many bytes it has.
    pub(crate) size: usize,
    /// Its code.
    pub(crate) code: Range,
    /// Code moved out of it. Of all functions of that name: which is whose, the table does not
    /// tell, and one too many only delays a task.
    pub(crate) cold: KVec<Range>,
}

impl<'a> SymbolQuery<'a> {
    /// Of a patch's words.
    pub(crate) fn new(name: &'a CStr, sympos: usize) -> Self {
        Self {
            name,
            sympos,
            matches: 0,
            address: 0,
            cold: KVec::new(),
        }
    }

    fn matched(&mut self, address: usize) {
        self.matches = self.matches.saturating_add(1);
        if self.sympos == 0 || self.sympos == self.matches {
            self.address = address;
        }
    }

    fn matched_cold(&mut self, address: usize) -> Result {
        Ok(self.cold.push(address, GFP_KERNEL)?)
    }

    fn found(self, object: &CStr, extents: &Extents) -> Result<Found> {
        let name = self.name;
        if self.matches == 0 {
            pr_err!("symbol '{}' not found in symbol table\n", name);
            return Err(EINVAL);
        }
        if self.sympos == 0 && self.matches > 1 {
            pr_err!(
                "unresolvable ambiguity for symbol '{}' in object '{}'\n",
                name,
                object
            );
            return Err(EINVAL);
        }
        if self.sympos > self.matches {
            pr_err!(
                "symbol position {} for symbol '{}' in object '{}' not found\n",
                self.sympos,
                name,
                object
            );
            return Err(EINVAL);
        }
        let Some((start, size)) = extents.of(self.address) else {
            pr_err!("kallsyms size lookup failed for '{}'\n", name);
            return Err(ENOENT);
        };
        let mut cold = KVec::with_capacity(self.cold.len(), GFP_KERNEL)?;
        for (start, size) in self.cold.iter().filter_map(|&addr| extents.of(addr)) {
            cold.push(Range::of(start, size), GFP_KERNEL)?;
        }
        Ok(Found {
            address: self.address,
            size,
            code: Range::of(start, size),
            cold,
        })
    }
}

/// Where the symbols of a module begin, and so where each ends.
///
/// kallsyms answers the same question by a look at all symbols of the module, each time.
pub(crate) struct Extents(KVVec<usize>);

impl Extents {
    /// From here on the next symbol may belong to another section, and kallsyms is asked.
    const LONGEST: usize = kernel::page::PAGE_SIZE;

    /// Of the loaded module `name`. Context: may sleep. `ENOMEM`.
    pub(crate) fn of_module(name: &CStr) -> Result<Self> {
        let mut extents = Self(KVVec::new());
        let mut result = Ok(());
        kallsyms::each_in_module(name, |symbol, address| {
            result = extents.note(symbol.to_bytes(), address);
            result.is_ok()
        })?;
        result?;
        extents.sort();
        Ok(extents)
    }

    /// Names that kallsyms leaves out as well (`is_mapping_symbol()` in
    /// `include/linux/module_symbol.h`) do not end a function.
    fn note(&mut self, symbol: &[u8], address: usize) -> Result {
        match symbol {
            [] | [b'.', b'L', ..] | [b'L', b'0', ..] | [b'$', ..] => Ok(()),
            _ => Ok(self.0.push(address, GFP_KERNEL)?),
        }
    }

    fn sort(&mut self) {
        sort::by_key(&mut self.0, |&address| address);
    }

    /// Start and size in bytes of the symbol that `addr` lies in.
    pub(crate) fn of(&self, addr: usize) -> Option<(usize, usize)> {
        let after = self.0.partition_point(|&start| start <= addr);
        let start = after.checked_sub(1).and_then(|at| self.0.get(at));
        let end = self.0.get(after);
        match (start, end) {
            (Some(&start), Some(&end)) if end.wrapping_sub(start) < Self::LONGEST => {
                Some((start, end.wrapping_sub(start)))
            }
            _ => kallsyms::extent_of(addr),
        }
    }
}

/// Finds all of `wanted` in `module`, or in vmlinux.
///
/// Context: may sleep. `EINVAL` with a line in the log that names the first that was not found, is
/// ambiguous or has no such position; `ENOMEM`.
pub(crate) fn find<'a>(
    module: Option<&CStr>,
    mut wanted: KVec<SymbolQuery<'a>>,
    mut each: impl FnMut(usize, Found) -> Result,
) -> Result {
    let extents = match module {
        Some(module) => search_module(module, &mut wanted)?,
        None => search_vmlinux(&mut wanted)?,
    };
    let object = module.unwrap_or(c"vmlinux");
    for (nr, wanted) in wanted.into_iter().enumerate() {
        each(nr, wanted.found(object, &extents)?)?;
    }
    Ok(())
}

/// kallsyms keeps vmlinux's symbols sorted, by name and by address: a search each.
fn search_vmlinux(wanted: &mut KVec<SymbolQuery<'_>>) -> Result<Extents> {
    for wanted in wanted.iter_mut() {
        kallsyms::each_in_vmlinux(wanted.name, |address| {
            wanted.matched(address);
            true
        });
        let cold = CString::try_from_fmt(fmt!("{}.cold", wanted.name))?;
        let mut result = Ok(());
        kallsyms::each_in_vmlinux(&cold, |address| {
            result = wanted.matched_cold(address);
            result.is_ok()
        });
        result?;
    }
    Ok(Extents(KVVec::new()))
}

/// A module's symbols are in no order: one walk over them, a binary search for each.
fn search_module(module: &CStr, wanted: &mut KVec<SymbolQuery<'_>>) -> Result<Extents> {
    let mut order: KVec<usize> = (0..wanted.len()).try_fold(KVec::new(), |mut order, nr| {
        order.push(nr, GFP_KERNEL)?;
        Ok::<_, Error>(order)
    })?;
    sort::by_key(&mut order, |&nr| bytes(wanted, nr));

    let mut extents = Extents(KVVec::new());
    let mut result = Ok(());
    kallsyms::each_in_module(module, |symbol, address| {
        let symbol = symbol.to_bytes();
        result = extents.note(symbol, address);
        let (name, is_cold) = match symbol.strip_suffix(COLD) {
            Some(parent) => (parent, true),
            None => (symbol, false),
        };
        let first = order.partition_point(|&nr| bytes(wanted, nr) < name);
        for &nr in order.get(first..).unwrap_or_default() {
            if result.is_err() || bytes(wanted, nr) != name {
                break;
            }
            let Some(wanted) = wanted.get_mut(nr) else {
                break;
            };
            if is_cold {
                result = wanted.matched_cold(address);
            } else {
                wanted.matched(address);
            }
        }
        result.is_ok()
    })?;
    result?;
    extents.sort();
    Ok(extents)
}

fn bytes<'a>(wanted: &[SymbolQuery<'a>], nr: usize) -> &'a [u8] {
    wanted.get(nr).map_or(&[], |wanted| wanted.name.to_bytes())
}
