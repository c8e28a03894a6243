// SPDX-License-Identifier: GPL-2.0

//! The functions of an object by their places.

use crate::elf::{
    Elf,
    Symbol, //
};
use std::collections::HashMap;

/// The functions of an object by section, in the order of their places.
pub(crate) struct Functions<'a> {
    by_section: HashMap<usize, Vec<(usize, &'a Symbol)>>,
}

impl<'a> Functions<'a> {
    pub(crate) fn of(object: &'a Elf) -> Self {
        let mut by_section: HashMap<usize, Vec<(usize, &Symbol)>> = HashMap::new();
        for (index, symbol) in object.functions() {
            let functions = by_section.entry(symbol.section).or_default();
            functions.push((index, symbol));
        }
        // Of several names at one place, the first in the alphabet stands for all of them.
        for list in by_section.values_mut() {
            list.sort_by(|(_, a), (_, b)| (a.value, &a.name).cmp(&(b.value, &b.name)));
            list.dedup_by(|(_, later), (_, kept)| later.value == kept.value);
        }
        Self { by_section }
    }

    /// The function at a place, with the index of its symbol.
    pub(crate) fn at(&self, section: usize, offset: u64) -> Option<(usize, &'a Symbol)> {
        let list = self.by_section.get(&section)?;
        let next = list.partition_point(|(_, symbol)| symbol.value <= offset);
        let (index, symbol) = *list.get(next.checked_sub(1)?)?;
        symbol.range().contains(&offset).then_some((index, symbol))
    }

    /// All functions, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &'a Symbol)> + '_ {
        self.by_section.values().flatten().copied()
    }
}
