// SPDX-License-Identifier: GPL-2.0

//! Memory attached to objects from the side: a hash table by address and number, read under RCU.
//!
//! There is one table, with one lock. The memory is plain bytes, and only its users know their
//! meaning. This file is responsible for finding the memory, and for freeing it no earlier than a
//! grace period after it was removed.
//!
//! C header: [`include/linux/hashtable.h`](srctree/include/linux/hashtable.h)

use crate::atomic::{
    AtomicPtr,
    Ordering, //
};
use core::{
    ffi::c_void,
    mem,
    ptr,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    sync::rcu,
    types::NotThreadSafe, //
};
use rlp_bindings::rlp_side;

/// The number of bits of a hash, as for `klp_shadow_hash` in-tree.
const BITS: u32 = 12;

/// Identifies attached memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The address of the object; never followed.
    pub object: usize,
    /// The number of the variable.
    pub id: usize,
}

/// Allocation flags from a C caller.
#[derive(Clone, Copy)]
pub struct Gfp(bindings::gfp_t);

impl Gfp {
    /// Wraps the C value.
    pub fn from_raw(gfp: bindings::gfp_t) -> Self {
        Self(gfp)
    }
}

/// Attached memory: passed to C, and never followed here.
#[derive(Clone, Copy)]
pub struct Memory(NonNull<c_void>);

impl Memory {
    /// Returns the C pointer, which is aligned at least as a word.
    pub fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// `side` is from `rlp_side_alloc()` and was not freed.
    unsafe fn of(side: NonNull<rlp_side>) -> Self {
        // SAFETY: By the contract; the memory follows its header, in the same allocation.
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

/// Zeroed memory that is not in the table. Dropping it frees it.
pub(crate) struct Detached(NonNull<rlp_side>);

impl Detached {
    /// Allocates memory of `size` bytes for `key`. Returns `None` if there is no memory.
    ///
    /// # Context
    ///
    /// The context that `gfp` requires.
    pub(crate) fn new(key: Key, size: usize, gfp: Gfp) -> Option<Self> {
        // SAFETY: The function accepts any size and flags.
        let side = NonNull::new(unsafe { rlp_bindings::rlp_side_alloc(size, gfp.0) })?;
        // SAFETY: Just allocated, and owned by this function.
        unsafe {
            (*side.as_ptr()).obj = key.object as *mut c_void;
            (*side.as_ptr()).id = key.id;
        }
        Some(Self(side))
    }

    /// Returns the key that the memory is for.
    pub(crate) fn key(&self) -> Key {
        // SAFETY: Owned by this value.
        unsafe { key_of(self.0) }
    }

    /// Returns the memory, which no reader sees yet.
    pub(crate) fn memory(&mut self) -> Memory {
        // SAFETY: Owned by this value.
        unsafe { Memory::of(self.0) }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // SAFETY: Owned by this value, and not in the table: `Locked::add()` forgets what it adds.
        unsafe { rlp_bindings::rlp_side_free(self.0.as_ptr()) }
    }
}

/// Memory that was removed from the table: readers may still see it, writers do not. Dropping it
/// frees it a grace period later.
pub(crate) struct Removed(NonNull<rlp_side>);

impl Removed {
    /// Returns the key that the memory was for.
    pub(crate) fn key(&self) -> Key {
        // SAFETY: Not freed before the drop.
        unsafe { key_of(self.0) }
    }

    /// Returns the memory, which stays valid until this is dropped.
    pub(crate) fn memory(&mut self) -> Memory {
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

/// The buckets of the one table, by the hash of the object's address.
///
/// # Invariants
///
/// Each bucket is the head of a list, linked by `next` and ended by null, of nodes that were a
/// [`Detached`]. Links are only written while [`Locked`] is held. A node that was unlinked is not
/// freed before a grace period has passed.
static BUCKETS: [AtomicPtr<rlp_side>; 1 << BITS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; 1 << BITS];

fn bucket(object: usize) -> &'static AtomicPtr<rlp_side> {
    // As hash_long(): multiplication by GOLDEN_RATIO_64. The high bits of the product depend on all
    // bits of the address.
    let hash = (object as u64).wrapping_mul(0x61c8_8646_80b5_83eb) >> (u64::BITS - BITS);
    // The shift leaves `BITS` bits, as many as the index of a bucket has.
    &BUCKETS[hash as usize & ((1 << BITS) - 1)]
}

/// Finds the memory for `key`.
///
/// The memory may be removed and freed as soon as this returns, unless the caller excludes that.
///
/// # Context
///
/// Any.
pub fn find(key: Key) -> Option<Memory> {
    let _guard = rcu::read_lock();
    let mut link = bucket(key.object);
    loop {
        // ORDERING: Acquire, pairs with Release in `add()` and `remove_from()`: a reader that sees
        // the node sees its key, its `next` and what its constructor wrote.
        let side = NonNull::new(link.load(Ordering::Acquire))?;
        // SAFETY: The node was linked a moment ago, under the guard. So by the invariant of the
        // table it is valid while the guard lives.
        unsafe {
            if key_of(side) == key {
                return Some(Memory::of(side));
            }
            link = next_of(side);
        }
    }
}

/// Locks the table against changes by others.
///
/// # Context
///
/// Any but NMI; on PREEMPT_RT, a context that may sleep.
///
/// The lock is not recursive. A thread that holds a [`Locked`] must not call this, or a function
/// that locks the table itself (`Destructor::run()` and `free_remaining()` of
/// [`klp_shadow`](crate::klp_shadow)): the thread would wait for itself for ever. The same is true
/// for the author's constructors and destructors, which run with the table locked.
///
/// # Examples
///
/// ```
/// use kernel_ext::side_table::{
///     self,
///     Key, //
/// };
///
/// let key = Key {
///     object: 0x1000,
///     id: 1,
/// };
/// let table = side_table::lock();
/// // The memory stays while the table is locked.
/// let memory = table.find(key);
/// drop(table);
/// ```
pub fn lock() -> Locked {
    Locked {
        // SAFETY: Unlocked in the drop.
        flags: unsafe { rlp_bindings::rlp_side_lock() },
        _same_thread: NotThreadSafe,
    }
}

/// # Safety
///
/// `side` is valid during `'a`.
unsafe fn next_of<'a>(side: NonNull<rlp_side>) -> &'a AtomicPtr<rlp_side> {
    // SAFETY: By the contract; the member is only accessed through this function.
    unsafe { AtomicPtr::from_ptr(&raw mut (*side.as_ptr()).next) }
}

/// The locked table. Interrupts are off, except on PREEMPT_RT.
pub struct Locked {
    flags: usize,
    _same_thread: NotThreadSafe,
}

impl Locked {
    /// Finds the memory for `key`. The memory stays while the table is locked.
    pub fn find(&self, key: Key) -> Option<Memory> {
        find(key)
    }

    /// Adds `detached` to the table, where every reader finds it from now on.
    pub(crate) fn add(&mut self, mut detached: Detached) -> Memory {
        let memory = detached.memory();
        let bucket = bucket(detached.key().object);
        // SAFETY: `detached` is owned by this function.
        let next = unsafe { next_of(detached.0) };
        // ORDERING: Relaxed: under the lock, and published below.
        next.store(bucket.load(Ordering::Relaxed), Ordering::Relaxed);
        // ORDERING: Release, pairs with Acquire in `find()`.
        bucket.store(detached.0.as_ptr(), Ordering::Release);
        mem::forget(detached);
        memory
    }

    /// Removes the memory for `key`, and passes it to `removed`.
    pub(crate) fn remove(&mut self, key: Key, removed: impl FnOnce(Removed)) {
        let mut removed = Some(removed);
        Self::remove_from(
            bucket(key.object),
            |other| other == key,
            |side| {
                if let Some(removed) = removed.take() {
                    removed(side);
                }
            },
        );
    }

    /// Removes the memory of all keys for which `wanted` returns true, and passes each to
    /// `removed`.
    pub(crate) fn remove_all(
        &mut self,
        wanted: impl Fn(Key) -> bool,
        mut removed: impl FnMut(Removed),
    ) {
        for bucket in &BUCKETS {
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
            // SAFETY: The node is linked, and stays so until it is unlinked here: the lock is held.
            let (key, next) = unsafe { (key_of(side), next_of(side)) };
            if !wanted(key) {
                link = next;
                continue;
            }
            // ORDERING: Release, pairs with Acquire in `find()`: a reader that reaches the next
            // node by this link sees all of that node. (In the kernel's memory model, Relaxed would
            // be enough: the lock orders the thread that added the next node before this thread.) A
            // reader that is at the removed node continues from there, because the removed node
            // keeps its link.
            link.store(next.load(Ordering::Relaxed), Ordering::Release);
            removed(Removed(side));
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock()`, by this thread.
        unsafe { rlp_bindings::rlp_side_unlock(self.flags) }
    }
}
