// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel::prelude`: the parts that the tested files use.
//!
//! A vector from `with_capacity()` has exactly the requested capacity; the kernel's has at least
//! that. Any allocation can be made to fail.

use std::{
    cell::Cell,
    mem::MaybeUninit,
    ops::{
        Deref,
        DerefMut, //
    }, //
};

pub(crate) use std::{
    iter::Iterator,
    prelude::v1::*, //
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(i32);

impl Error {
    pub(crate) fn to_errno(self) -> i32 {
        -self.0
    }
}

pub(crate) const ENOENT: Error = Error(2);
pub(crate) const EAGAIN: Error = Error(11);
pub(crate) const ENOMEM: Error = Error(12);
pub(crate) const EBUSY: Error = Error(16);
pub(crate) const EEXIST: Error = Error(17);
pub(crate) const ENODEV: Error = Error(19);
pub(crate) const EINVAL: Error = Error(22);
pub(crate) const EOPNOTSUPP: Error = Error(95);

pub(crate) type Result<T = (), E = Error> = core::result::Result<T, E>;

#[derive(Clone, Copy)]
pub(crate) struct Flags;

pub(crate) const GFP_KERNEL: Flags = Flags;

thread_local! {
    static FAIL_AT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `f`, and lets its allocation number `nth` fail (0 is the first). The second value says
/// whether an allocation failed.
pub(crate) fn with_failure<T>(nth: usize, f: impl FnOnce() -> T) -> (T, bool) {
    FAIL_AT.set(Some(nth));
    let value = f();
    (value, FAIL_AT.replace(None).is_none())
}

/// Runs `f`. The second value is the number of its allocations.
pub(crate) fn count_allocations<T>(f: impl FnOnce() -> T) -> (T, usize) {
    FAIL_AT.set(Some(usize::MAX));
    let value = f();
    (
        value,
        FAIL_AT.replace(None).map_or(0, |left| usize::MAX - left),
    )
}

fn allocate() -> Result {
    match FAIL_AT.get() {
        Some(0) => {
            FAIL_AT.set(None);
            Err(ENOMEM)
        }
        left => {
            FAIL_AT.set(left.map(|n| n - 1));
            Ok(())
        }
    }
}

#[derive(Debug)]
pub(crate) struct KVVec<T> {
    items: Vec<T>,
    capacity: usize,
}

pub(crate) type KVec<T> = KVVec<T>;
pub(crate) type VVec<T> = KVVec<T>;

impl<T> KVVec<T> {
    pub(crate) const fn new() -> Self {
        Self {
            items: Vec::new(),
            capacity: 0,
        }
    }

    pub(crate) fn with_capacity(capacity: usize, flags: Flags) -> Result<Self> {
        let mut this = Self::new();
        this.reserve(capacity, flags)?;
        Ok(this)
    }

    pub(crate) fn from_elem(value: T, len: usize, flags: Flags) -> Result<Self>
    where
        T: Clone,
    {
        let mut this = Self::with_capacity(len, flags)?;
        this.items.resize(len, value);
        Ok(this)
    }

    pub(crate) fn reserve(&mut self, additional: usize, _flags: Flags) -> Result {
        let wanted = self.items.len().checked_add(additional).ok_or(ENOMEM)?;
        if wanted > self.capacity {
            allocate()?;
            self.capacity = wanted.max(self.capacity * 2);
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, item: T, flags: Flags) -> Result {
        self.reserve(1, flags)?;
        self.items.push(item);
        Ok(())
    }

    pub(crate) fn push_within_capacity(&mut self, item: T) -> Result<(), T> {
        if self.items.len() == self.capacity {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    pub(crate) fn extend_from_slice(&mut self, items: &[T], flags: Flags) -> Result
    where
        T: Clone,
    {
        self.reserve(items.len(), flags)?;
        self.items.extend_from_slice(items);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
    }

    pub(crate) fn remove(&mut self, at: usize) -> Result<T> {
        if at < self.items.len() {
            Ok(self.items.remove(at))
        } else {
            Err(EINVAL)
        }
    }

    pub(crate) fn retain(&mut self, f: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(f);
    }
}

impl<T> Default for KVVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for KVVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for KVVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<'a, T> IntoIterator for &'a KVVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut KVVec<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter_mut()
    }
}

impl<T> IntoIterator for KVVec<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<T> From<Vec<T>> for KVVec<T> {
    fn from(items: Vec<T>) -> Self {
        let capacity = items.len();
        Self { items, capacity }
    }
}

pub(crate) struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    pub(crate) fn new(value: T, _flags: Flags) -> Result<Self> {
        allocate()?;
        Ok(Self(Box::new(value)))
    }

    pub(crate) fn new_uninit(flags: Flags) -> Result<KBox<MaybeUninit<T>>> {
        KBox::new(MaybeUninit::uninit(), flags)
    }

    pub(crate) fn into_inner(self) -> Box<T> {
        self.0
    }
}

impl<T> KBox<MaybeUninit<T>> {
    pub(crate) fn write(_room: Self, value: T) -> KBox<T> {
        KBox(Box::new(value))
    }
}
