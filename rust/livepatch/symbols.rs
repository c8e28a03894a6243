// SPDX-License-Identifier: GPL-2.0

//! Finding the functions that a patch names, and their sizes. In a module, one walk finds all
//! functions. In vmlinux, each function is a search of its own.

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

/// The suffix that gcc and clang give to the part of a function that they move to `.text.unlikely`.
const COLD: &[u8] = b".cold";

/// A function to be found.
pub(crate) struct SymbolQuery<'a> {
    /// The function's name.
    pub(crate) name: &'a CStr,
    /// The function's position among those of that name, from 1. 0 means that there is only one.
    pub(crate) sympos: usize,
    matches: usize,
    address: usize,
    cold: KVec<usize>,
}

/// A function that was found.
pub(crate) struct Found {
    /// The address of the first instruction.
    pub(crate) address: usize,
    /// The size in bytes.
    pub(crate) size: usize,
    /// The function's code.
    pub(crate) code: Range,
    /// The code that was moved out of all functions of that name. The symbol table does not say to
    /// which function each part belongs. A part of another function does no harm: it only delays
    /// the switch of tasks that are in it.
    pub(crate) cold: KVec<Range>,
}

impl<'a> SymbolQuery<'a> {
    /// Creates a query for the function `name` at position `sympos`.
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

/// The sorted start addresses of a module's symbols. Each is also the end of the previous symbol.
///
/// This list saves time: kallsyms walks all symbols of the module to find the size of one symbol.
pub(crate) struct Extents(KVVec<usize>);

impl Extents {
    /// If the distance from a symbol to the next symbol is below this limit, it is the size of the
    /// symbol. Otherwise kallsyms is asked for the size: the next symbol may be in another section.
    const DISTANCE_LIMIT: usize = kernel::page::PAGE_SIZE;

    /// Collects the symbols of the loaded module `name`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`kallsyms::each_in_module`].
    pub(crate) fn of_module(name: &CStr) -> Result<Self> {
        let mut extents = Self(KVVec::new());
        let mut result = Ok(());
        kallsyms::each_in_module(name, |symbol, address| {
            result = extents.add(symbol.to_bytes(), address);
            result.is_ok()
        })?;
        result?;
        extents.sort();
        Ok(extents)
    }

    /// Adds a symbol. Leaves out a symbol whose name kallsyms ignores (`is_mapping_symbol()` in
    /// `include/linux/module_symbol.h`): it does not end a function.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn add(&mut self, symbol: &[u8], address: usize) -> Result {
        match symbol {
            [] | [b'.', b'L', ..] | [b'L', b'0', ..] | [b'$', ..] => Ok(()),
            _ => Ok(self.0.push(address, GFP_KERNEL)?),
        }
    }

    fn sort(&mut self) {
        sort::by_key(&mut self.0, |&address| address);
    }

    /// Returns the start and the size in bytes of the symbol that contains `addr`.
    pub(crate) fn of(&self, addr: usize) -> Option<(usize, usize)> {
        let after = self.0.partition_point(|&start| start <= addr);
        let start = after.checked_sub(1).and_then(|at| self.0.get(at));
        let end = self.0.get(after);
        match (start, end) {
            (Some(&start), Some(&end)) if end.wrapping_sub(start) < Self::DISTANCE_LIMIT => {
                Some((start, end.wrapping_sub(start)))
            }
            _ => kallsyms::extent_of(addr),
        }
    }
}

/// Finds all functions of `queries` in `module`, or in vmlinux, and passes each to `each` with its
/// index.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// `EINVAL` with a line in the log that names the first function that does not exist, is ambiguous
/// or has no such position; `ENOENT` if the size of a function is unknown; `ENOMEM`; and the errors
/// of `each`.
pub(crate) fn find<'a>(
    module: Option<&CStr>,
    mut queries: KVec<SymbolQuery<'a>>,
    mut each: impl FnMut(usize, Found) -> Result,
) -> Result {
    let extents = match module {
        Some(module) => search_module(module, &mut queries)?,
        None => search_vmlinux(&mut queries)?,
    };
    let object = module.unwrap_or(c"vmlinux");
    for (nr, query) in queries.into_iter().enumerate() {
        each(nr, query.found(object, &extents)?)?;
    }
    Ok(())
}

/// Finds the `.cold` parts of all functions in `module` that have a name of `queries`, and passes
/// the address of each to `each` with the index of the query.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// `ENOMEM`, and the errors of `each` and of [`kallsyms::each_in_module`].
pub(crate) fn find_cold<'a>(
    module: &CStr,
    mut queries: KVec<SymbolQuery<'a>>,
    mut each: impl FnMut(usize, usize) -> Result,
) -> Result {
    search_module(module, &mut queries)?;
    for (nr, query) in queries.iter().enumerate() {
        for &address in &query.cold {
            each(nr, address)?;
        }
    }
    Ok(())
}

/// Searches vmlinux. kallsyms has its symbols sorted by name, so each query is a search of its own.
///
/// # Errors
///
/// `ENOMEM`.
fn search_vmlinux(queries: &mut KVec<SymbolQuery<'_>>) -> Result<Extents> {
    for query in queries.iter_mut() {
        kallsyms::each_in_vmlinux(query.name, |address| {
            query.matched(address);
            true
        });
        let cold = CString::try_from_fmt(fmt!("{}.cold", query.name))?;
        let mut result = Ok(());
        kallsyms::each_in_vmlinux(&cold, |address| {
            result = query.matched_cold(address);
            result.is_ok()
        });
        result?;
    }
    Ok(Extents(KVVec::new()))
}

/// Searches a module. Its symbols are not sorted, so one walk passes each symbol to a binary search
/// in the queries.
///
/// # Errors
///
/// `ENOMEM`, and those of [`kallsyms::each_in_module`].
fn search_module(module: &CStr, queries: &mut KVec<SymbolQuery<'_>>) -> Result<Extents> {
    let mut order: KVec<usize> = (0..queries.len()).try_fold(KVec::new(), |mut order, nr| {
        order.push(nr, GFP_KERNEL)?;
        Ok::<_, Error>(order)
    })?;
    sort::by_key(&mut order, |&nr| name_of(queries, nr));

    let mut extents = Extents(KVVec::new());
    let mut result = Ok(());
    kallsyms::each_in_module(module, |symbol, address| {
        let symbol = symbol.to_bytes();
        result = extents.add(symbol, address);
        let (name, is_cold) = match symbol.strip_suffix(COLD) {
            Some(parent) => (parent, true),
            None => (symbol, false),
        };
        let first = order.partition_point(|&nr| name_of(queries, nr) < name);
        for &nr in order.get(first..).unwrap_or_default() {
            if result.is_err() || name_of(queries, nr) != name {
                break;
            }
            let Some(query) = queries.get_mut(nr) else {
                break;
            };
            if is_cold {
                result = query.matched_cold(address);
            } else {
                query.matched(address);
            }
        }
        result.is_ok()
    })?;
    result?;
    extents.sort();
    Ok(extents)
}

fn name_of<'a>(queries: &[SymbolQuery<'a>], nr: usize) -> &'a [u8] {
    queries.get(nr).map_or(&[], |query| query.name.to_bytes())
}
