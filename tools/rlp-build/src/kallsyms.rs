// SPDX-License-Identifier: GPL-2.0

//! The kernel's own symbol table, decoded from its image.
//!
//! scripts/kallsyms.c writes it into the image's read-only data: the number of symbols, their
//! compressed names, a marker for each 256th name, the table of tokens, the table of their indices,
//! and the table of addresses. An entry of the last table is the distance of a symbol from this
//! entry. The image has no symbols for these tables. The table of tokens is found by its tokens for
//! the ten digits: each of these tokens is the digit itself. The places of the other tables follow,
//! and are accepted only if they are consistent.

use crate::elf::Elf;
use std::collections::HashMap;

/// A symbol as /proc/kallsyms shows it, without KASLR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ksym {
    pub(crate) addr: u64,
    pub(crate) kind: char,
    pub(crate) name: String,
}

/// An object's symbols in the order in which live patching counts them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<Ksym>,
    by_name: HashMap<String, Vec<usize>>,
    by_addr: Vec<(u64, usize)>,
}

impl Names {
    pub(crate) fn new(list: Vec<Ksym>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, ksym) in list.iter().enumerate() {
            by_name.entry(ksym.name.clone()).or_default().push(index);
        }
        let mut by_addr: Vec<_> = list
            .iter()
            .enumerate()
            .filter(|(_, ksym)| matches!(ksym.kind, 't' | 'T'))
            .map(|(index, ksym)| (ksym.addr, index))
            .collect();
        by_addr.sort_unstable();
        Self {
            list,
            by_name,
            by_addr,
        }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Ksym> {
        self.by_name
            .get(name)
            .into_iter()
            .flatten()
            .map(|index| &self.list[*index])
    }

    /// Every address that has this name.
    pub(crate) fn addrs(&self, name: &str) -> Vec<u64> {
        self.named(name).map(|ksym| ksym.addr).collect()
    }

    /// The position among the symbols of one name: 0 if it is the only one, else counted from 1.
    /// `None` if the address does not have the name, or has it twice.
    pub(crate) fn position(&self, name: &str, addr: u64) -> Option<u64> {
        let addrs = self.addrs(name);
        if addrs == [addr] {
            return Some(0);
        }
        let mut at = addrs
            .iter()
            .enumerate()
            .filter(|(_, other)| **other == addr);
        let (first, _) = at.next()?;
        at.next().is_none().then_some(first as u64 + 1)
    }

    /// Every address at which a global symbol has this name.
    pub(crate) fn global_addrs(&self, name: &str) -> Vec<u64> {
        self.named(name)
            .filter(|ksym| ksym.kind.is_ascii_uppercase() || matches!(ksym.kind, 'v' | 'w'))
            .map(|ksym| ksym.addr)
            .collect()
    }

    /// The address of the only global symbol of a name.
    pub(crate) fn global(&self, name: &str) -> Option<u64> {
        match self.global_addrs(name)[..] {
            [addr] => Some(addr),
            _ => None,
        }
    }

    /// The function that contains an address, by a symbol whose name is unique. `None` if the
    /// function has no such symbol.
    pub(crate) fn function_at(&self, addr: u64) -> Option<&Ksym> {
        let end = self.by_addr.partition_point(|(start, _)| *start <= addr);
        let (start, _) = *self.by_addr.get(end.checked_sub(1)?)?;
        self.by_addr[..end]
            .iter()
            .rev()
            .take_while(|(other, _)| *other == start)
            .map(|(_, index)| &self.list[*index])
            .find(|ksym| !ksym.name.starts_with("__pfx_") && self.addrs(&ksym.name) == [start])
    }
}

/// The table of an image, or `None` if there is none.
pub(crate) fn decode(image: &Elf) -> Option<Names> {
    let section = image.section(".rodata")?;
    let data = image.bytes(section);
    let base = image.sections[section].addr;

    let (tokens, first, index) = tokens(data)?;
    let (names, count) = names(data, first, &tokens)?;
    let offsets = align4(index + 512);

    let list = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let place = offsets + 4 * i;
            let relative = i32::from_le_bytes(data.get(place..place + 4)?.try_into().ok()?);
            let mut chars = name.chars();
            Some(Ksym {
                addr: (base + place as u64).wrapping_add_signed(i64::from(relative)),
                kind: chars.next()?,
                name: chars.collect(),
            })
        })
        .collect::<Option<Vec<_>>>()?;
    (list.len() == count).then(|| Names::new(list))
}

fn align4(offset: usize) -> usize {
    (offset + 3) & !3
}

/// The 256 tokens, where the first of them is, and where their indices are.
fn tokens(data: &[u8]) -> Option<(Vec<&[u8]>, usize, usize)> {
    const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";
    let mut from = 0;
    while let Some(found) = find(&data[from..], DIGITS) {
        let digits = from + found;
        from = digits + 1;
        // Token 0x30, the digit 0, begins here. Go back over the 0x30 tokens before it, each with
        // its terminator.
        let mut first = digits;
        for _ in 0..0x30 {
            let Some(end) = first.checked_sub(1) else {
                break;
            };
            first = data[..end]
                .iter()
                .rposition(|byte| *byte == 0)
                .map_or(0, |zero| zero + 1);
        }
        let mut tokens = Vec::with_capacity(256);
        let mut starts = Vec::with_capacity(512);
        let mut at = first;
        for _ in 0..256 {
            let Some(len) = data[at..].iter().position(|byte| *byte == 0) else {
                break;
            };
            starts.extend(((at - first) as u16).to_le_bytes());
            tokens.push(&data[at..at + len]);
            at += len + 1;
        }
        let index = align4(at);
        if tokens.len() == 256 && data.get(index..index + 512) == Some(&starts[..]) {
            return Some((tokens, first, index));
        }
    }
    None
}

/// The uncompressed names, each with its type in front. `end` is where the markers end.
fn names(data: &[u8], end: usize, tokens: &[&[u8]]) -> Option<(Vec<String>, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let mut first_marker = end.checked_sub(4)?;
    while word(first_marker)? != 0 {
        first_marker = first_marker.checked_sub(4)?;
    }
    let markers: Vec<usize> = (first_marker..end)
        .step_by(4)
        .map(|at| word(at).map(|m| m as usize))
        .collect::<Option<_>>()?;
    let last = *markers.last()?;

    // The names end at the markers; the last block has up to 256 names.
    let latest = first_marker.checked_sub(last)? & !3;
    for start in (latest.saturating_sub(256 * 64)..=latest).rev().step_by(4) {
        let count = word(start.checked_sub(4)?)? as usize;
        if count <= (markers.len() - 1) * 256 || count > markers.len() * 256 {
            continue;
        }
        if let Some((names, stop)) = expand(data, start, count, &markers, tokens) {
            if align4(stop) == first_marker {
                return Some((names, count));
            }
        }
    }
    None
}

fn expand(
    data: &[u8],
    start: usize,
    count: usize,
    markers: &[usize],
    tokens: &[&[u8]],
) -> Option<(Vec<String>, usize)> {
    let mut names = Vec::with_capacity(count);
    let mut at = start;
    for i in 0..count {
        if i % 256 == 0 && at - start != markers[i / 256] {
            return None;
        }
        let mut len = usize::from(*data.get(at)?);
        at += 1;
        if len & 0x80 != 0 {
            len = len & 0x7f | (usize::from(*data.get(at)?) << 7);
            at += 1;
        }
        let mut name = Vec::new();
        for code in data.get(at..at + len)? {
            name.extend_from_slice(tokens[usize::from(*code)]);
        }
        names.push(String::from_utf8_lossy(&name).into_owned());
        at += len;
    }
    Some((names, at))
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let first = from + data[from..].iter().position(|byte| *byte == what[0])?;
        if data[first..].starts_with(what) {
            return Some(first);
        }
        from = first + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let ksym = |addr, kind, name: &str| Ksym {
            addr,
            kind,
            name: name.into(),
        };
        Names::new(vec![
            ksym(0x100, 't', "show"),
            ksym(0x200, 'T', "show"),
            ksym(0x300, 't', "other"),
            ksym(0x300, 't', "alias"),
            ksym(0x400, 't', "twice"),
            ksym(0x400, 't', "twice"),
        ])
    }

    #[test]
    fn positions_count_from_one() {
        assert_eq!(names().position("show", 0x100), Some(1));
        assert_eq!(names().position("show", 0x200), Some(2));
        assert_eq!(names().position("other", 0x300), Some(0));
        assert_eq!(names().position("other", 0x100), None);
        assert_eq!(names().position("twice", 0x400), None);
    }

    #[test]
    fn only_one_global_has_the_name() {
        assert_eq!(names().global("show"), Some(0x200));
        assert_eq!(names().global("other"), None);
    }

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        assert_eq!(
            names().function_at(0x310).map(|ksym| ksym.addr),
            Some(0x300)
        );
        assert_eq!(names().function_at(0x80), None);
    }
}
