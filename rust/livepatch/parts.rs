// SPDX-License-Identifier: GPL-2.0

//! The parts of a replacement that its symbol does not contain.
//!
//! A task that sleeps in such a part may have no address of the replacement on its stack. This
//! matters if a later patch replaces the same function and the patch of this replacement stays. (If
//! the patch is removed, its whole text is affected code.)
//!
//! There are two kinds of parts:
//!
//! - unlikely code, which compilers move to a symbol `NAME.cold`;
//! - functions of the patch module that the replacement, or another part, calls by a tail call. The
//!   frame of the caller was removed then.
//!
//! Both are entered by a direct jump. A static branch into a `.cold` part may be a NOP at present,
//! so these parts are also found by their names. A tail call through a pointer is not found.

use crate::{
    patch::{
        Func,
        Object, //
    },
    ranges::Range,
    symbols::{
        self,
        Extents,
        SymbolQuery, //
    }, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    insn,
    kallsyms,
    module::Module,
    sort, //
};

/// Finds the parts of the replacements of `objects`, which are in `module`.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`, and those of [`kallsyms::each_in_module`].
pub(crate) fn find(module: Module<'_>, extents: &Extents, objects: &mut [Object]) -> Result {
    let cold = ColdParts::of(module.name(), objects)?;
    let (start, size) = module.text();
    let text = Range::of(start, size);
    let search = Search { text, extents };
    for func in objects.iter_mut().flat_map(|object| &mut object.funcs) {
        func.parts = search.parts_of(func, &cold)?;
    }
    Ok(())
}

/// The start of a replacement, and the address of a `.cold` part of it. Sorted.
struct ColdParts(KVVec<(usize, usize)>);

impl ColdParts {
    /// Finds the `.cold` parts of the replacements. If several functions have the name of a
    /// replacement, the parts of all of them are found: the symbol table does not say to which
    /// function each part belongs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`kallsyms::each_in_module`].
    fn of(module: &CStr, objects: &[Object]) -> Result<Self> {
        let mut starts = KVVec::new();
        for func in objects.iter().flat_map(|object| &object.funcs) {
            starts.push(func.replacement.start, GFP_KERNEL)?;
        }
        sort::by_key(&mut starts, |&start| start);

        let mut named = KVVec::new();
        let mut result = Ok(());
        kallsyms::each_in_module(module, |symbol, address| {
            if starts.binary_search(&address).is_ok() {
                result = add_named(&mut named, address, symbol);
            }
            result.is_ok()
        })?;
        result?;

        let mut queries = KVec::with_capacity(named.len(), GFP_KERNEL)?;
        for (_, name) in &named {
            queries.push(SymbolQuery::new(name, 0), GFP_KERNEL)?;
        }
        let mut parts = KVVec::new();
        symbols::find_cold(module, queries, |nr, part| {
            let (start, _) = named.get(nr).ok_or(EINVAL)?;
            Ok(parts.push((*start, part), GFP_KERNEL)?)
        })?;
        sort::by_key(&mut parts, |&entry| entry);
        Ok(Self(parts))
    }

    /// Returns the addresses of the parts of the replacement at `start`.
    fn parts_of(&self, start: usize) -> impl Iterator<Item = usize> + use<'_> {
        let first = self.0.partition_point(|&(owner, _)| owner < start);
        let rest = self.0.get(first..).unwrap_or_default().iter();
        rest.take_while(move |&&(owner, _)| owner == start)
            .map(|&(_, part)| part)
    }
}

fn add_named(named: &mut KVVec<(usize, CString)>, start: usize, name: &CStr) -> Result {
    Ok(named.push((start, CString::try_from(name)?), GFP_KERNEL)?)
}

/// The search for parts in the text of a patch module.
struct Search<'a> {
    text: Range,
    extents: &'a Extents,
}

impl Search<'_> {
    fn parts_of(&self, func: &Func, cold: &ColdParts) -> Result<KVec<Range>> {
        let mut parts = KVec::new();
        for part in cold.parts_of(func.replacement.start) {
            self.add(func, &mut parts, part)?;
        }
        self.follow_jumps(func, &mut parts, func.replacement)?;
        let mut at = 0;
        while let Some(&part) = parts.get(at) {
            self.follow_jumps(func, &mut parts, part)?;
            at += 1;
        }
        Ok(parts)
    }

    /// Adds the targets of the direct jumps that leave `code`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn follow_jumps(&self, func: &Func, parts: &mut KVec<Range>, code: Range) -> Result {
        let mut at = code.start;
        while at < code.end {
            let Some(found) = insn::decode(at, code.end.saturating_sub(at)) else {
                break;
            };
            match found.jump {
                Some(target) if !code.has_instruction(target) => self.add(func, parts, target)?,
                _ => (),
            }
            at = at.saturating_add(found.len.get());
        }
        Ok(())
    }

    /// Adds the code of the symbol that contains `address`, if it is in the patch module and not
    /// known yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn add(&self, func: &Func, parts: &mut KVec<Range>, address: usize) -> Result {
        if !self.text.has_instruction(address) {
            return Ok(());
        }
        let Some((start, size)) = self.extents.of(address) else {
            return Ok(());
        };
        let is_known = start == func.replacement.start || parts.iter().any(|p| p.start == start);
        if !is_known {
            parts.push(Range::of(start, size), GFP_KERNEL)?;
        }
        Ok(())
    }
}
