// SPDX-License-Identifier: GPL-2.0

//! Memory attached from the side: a hash table by address and number that is read under RCU.
//!
//! The memory is plain bytes with a destiny that its users know; this type answers for finding it,
//! and for freeing it no earlier than a grace period after it was taken out.
//!
//! C header: [`include/linux/hashtable.h`](srctree/include/linux/hashtable.h)

use crate::atomic::{AtomicPtr, Ordering};
use core::{ffi::c_void, mem, ptr, ptr::NonNull};
use kernel::{bindings, sync::rcu, types::NotThreadSafe};
use rlp_bindings::rlp_side;

/// `klp_shadow_hash` has as many.
const BITS: u32 = 12;

/// What memory is found by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// An address; never followed.
    pub object: usize,
    /// A number.
    pub id: usize,
}

/// How to allocate, as C callers say it.
#[derive(Clone, Copy)]
pub struct Gfp(bindings::gfp_t);

impl Gfp {
    /// From the C value.
    pub fn from_raw(gfp: bindings::gfp_t) -> Self {
        Self(gfp)
    }
}

/// Attached memory: handed to C, never followed here.
#[derive(Clone, Copy)]
pub struct Memory(NonNull<c_void>);

impl Memory {
    /// The C pointer, aligned as a word.
    pub fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// `side` came from `rlp_side_alloc()` and was not freed.
    unsafe fn of(side: NonNull<rlp_side>) -> Self {
        // SAFETY: By the contract; the memory is behind its header, in the same allocation.
        Self(unsafe { side.add(1) }.cast())
    }
}

/// # Safety
///
/// `side` is valid.
unsafe fn key_of(side: NonNull<rlp_side>) -> Key {
    // SAFETY: By the contract; neither member changes once the memory is attached.
    let (object, id) = unsafe { ((*side.as_ptr()).obj as usize, (*side.as_ptr()).id) };
    Key { object, id }
}

/// Zeroed memory that nobody else knows of. Dropping it frees it.
pub struct Fresh(NonNull<rlp_side>);

impl Fresh {
    /// Memory of `size` bytes for `key`. `None` if there is none. Context: what `gfp` says.
    pub fn new(key: Key, size: usize, gfp: Gfp) -> Option<Self> {
        // SAFETY: Any size and flags may be asked for.
        let side = NonNull::new(unsafe { rlp_bindings::rlp_side_alloc(size, gfp.0) })?;
        // SAFETY: Just allocated, and ours.
        unsafe {
            (*side.as_ptr()).obj = key.object as *mut c_void;
            (*side.as_ptr()).id = key.id;
        }
        Some(Self(side))
    }

    /// What it is for.
    pub fn key(&self) -> Key {
        // SAFETY: Ours.
        unsafe { key_of(self.0) }
    }

    /// The memory.
    pub fn memory(&mut self) -> Memory {
        // SAFETY: Ours.
        unsafe { Memory::of(self.0) }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // SAFETY: Ours, and never attached: `Locked::add()` forgets what it attaches.
        unsafe { rlp_bindings::rlp_side_free(self.0.as_ptr()) }
    }
}

/// Memory that was taken out: readers may still see it, writers do not. Dropping it frees it a
/// grace period later.
pub struct Removed(NonNull<rlp_side>);

impl Removed {
    /// What it was for.
    pub fn key(&self) -> Key {
        // SAFETY: Not freed before the drop.
        unsafe { key_of(self.0) }
    }

    /// The memory.
    pub fn memory(&mut self) -> Memory {
        // SAFETY: Not freed before the drop.
        unsafe { Memory::of(self.0) }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        // SAFETY: Not in any list, by `Locked::remove_from()`, and this is its only owner.
        unsafe { rlp_bindings::rlp_side_free_rcu(self.0.as_ptr()) }
    }
}

/// The table. Lives in a `static`.
///
/// # Invariants
///
/// Each bucket leads to a list, linked by `next` and ended by null, of nodes that came from
/// [`Fresh`]. Links are written with [`Locked`] held alone. A node that was unlinked is not freed
/// before a grace period has passed.
pub struct SideTable {
    buckets: [AtomicPtr<rlp_side>; 1 << BITS],
}

impl SideTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            buckets: [const { AtomicPtr::new(ptr::null_mut()) }; 1 << BITS],
        }
    }

    fn bucket(&self, object: usize) -> &AtomicPtr<rlp_side> {
        // As hash_long(): multiplication by 2^64 divided by the golden ratio, of which the high
        // bits depend on all bits of the address.
        let hash = (object as u64).wrapping_mul(0x61c8_8646_80b5_83eb) >> (u64::BITS - BITS);
        // The shift leaves as many bits as there are buckets.
        &self.buckets[hash as usize & ((1 << BITS) - 1)]
    }

    /// The memory for `key`.
    ///
    /// It may be taken out and freed as soon as this returns, unless the caller sees to it that
    /// nobody does. Context: any.
    pub fn find(&self, key: Key) -> Option<Memory> {
        let _guard = rcu::read_lock();
        let mut link = self.bucket(key.object);
        loop {
            // ORDERING: Acquire, pairs with Release in `add()` and `remove_from()`: who sees the
            // node sees its key, its next and what its constructor wrote.
            let side = NonNull::new(link.load(Ordering::Acquire))?;
            // SAFETY: Linked a moment ago, so by the type invariant it is valid while the guard
            // lives.
            unsafe {
                if key_of(side) == key {
                    return Some(Memory::of(side));
                }
                link = next_of(side);
            }
        }
    }

    /// Keeps others from changing the table. Context: as `spin_lock_irqsave()`.
    pub fn lock(&self) -> Locked<'_> {
        Locked {
            table: self,
            // SAFETY: Released in the drop.
            flags: unsafe { rlp_bindings::rlp_side_lock() },
            _same_thread: NotThreadSafe,
        }
    }
}

impl Default for SideTable {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
///
/// `side` is valid during `'a`.
unsafe fn next_of<'a>(side: NonNull<rlp_side>) -> &'a AtomicPtr<rlp_side> {
    // SAFETY: By the contract; the member is only accessed through this function.
    unsafe { AtomicPtr::from_ptr(&raw mut (*side.as_ptr()).next) }
}

/// The table, locked, with interrupts off.
pub struct Locked<'a> {
    table: &'a SideTable,
    flags: usize,
    _same_thread: NotThreadSafe,
}

impl Locked<'_> {
    /// The memory for `key`. It stays while the table is locked.
    pub fn find(&self, key: Key) -> Option<Memory> {
        self.table.find(key)
    }

    /// Shows `fresh` to all.
    pub fn add(&mut self, mut fresh: Fresh) -> Memory {
        let memory = fresh.memory();
        let bucket = self.table.bucket(fresh.key().object);
        // SAFETY: `fresh` is ours.
        let next = unsafe { next_of(fresh.0) };
        // ORDERING: Relaxed: under the lock, and published below.
        next.store(bucket.load(Ordering::Relaxed), Ordering::Relaxed);
        // ORDERING: Release, pairs with Acquire in `find()`.
        bucket.store(fresh.0.as_ptr(), Ordering::Release);
        mem::forget(fresh);
        memory
    }

    /// Takes out the memory for `key`.
    pub fn remove(&mut self, key: Key, removed: impl FnOnce(Removed)) {
        let mut removed = Some(removed);
        Self::remove_from(
            self.table.bucket(key.object),
            |other| other == key,
            |side| {
                if let Some(removed) = removed.take() {
                    removed(side);
                }
            },
        );
    }

    /// Takes out the memory of all keys that are `wanted`.
    pub fn remove_all(&mut self, wanted: impl Fn(Key) -> bool, mut removed: impl FnMut(Removed)) {
        for bucket in &self.table.buckets {
            Self::remove_from(bucket, &wanted, &mut removed);
        }
    }

    fn remove_from(
        mut link: &AtomicPtr<rlp_side>,
        wanted: impl Fn(Key) -> bool,
        mut removed: impl FnMut(Removed),
    ) {
        // ORDERING: Relaxed: links are written under the lock, which is held.
        while let Some(side) = NonNull::new(link.load(Ordering::Relaxed)) {
            // SAFETY: Linked, and stays so while the lock is held, or until it is unlinked here.
            let (key, next) = unsafe { (key_of(side), next_of(side)) };
            if !wanted(key) {
                link = next;
                continue;
            }
            // ORDERING: Release, pairs with Acquire in `find()`: whoever comes to the next node by
            // this link sees it whole. The lock, which its writer had before, would do for that. The
            // removed one leads there still.
            link.store(next.load(Ordering::Relaxed), Ordering::Release);
            removed(Removed(side));
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock()`, by this thread.
        unsafe { rlp_bindings::rlp_side_unlock(self.flags) }
    }
}
