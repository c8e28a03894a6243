// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: fields added to objects that exist already.
//!
//! C source: [`kernel/livepatch/shadow.c`](srctree/kernel/livepatch/shadow.c)

use crate::abi;
use core::{
    marker::PhantomData,
    mem,
    ptr, //
};
use kernel::{
    alloc::Flags,
    bindings,
    prelude::*, //
};

/// A field of type `T` that a patch adds to objects of type `O`.
///
/// The rules are those of a field, with a borrow of the object as the proof. With a shared borrow
/// of the object, a caller may read the field. With an exclusive borrow, it may change or remove
/// the field.
///
/// | borrow    | allowed                                                                     |
/// |-----------|-----------------------------------------------------------------------------|
/// | `&O`      | [`get`](Self::get), [`alloc`](Self::alloc), [`get_or_alloc`](Self::get_or_alloc) |
/// | `&mut O`  | [`get_mut`](Self::get_mut), [`remove`](Self::remove)                        |
///
/// Hence a value is never freed twice, and never while a reference to it is in use. The author has
/// to make the right borrow from the kernel's pointer: a `&mut O` is only right where the object is
/// about to be freed and no other thread can reach it any more.
///
/// The object is a key: only its address is used, and nothing is read from it. If an object is
/// freed without [`remove`](Self::remove), its variable stays, and the next object at that address
/// has it. Variables outlive the module that made them, so that the next version of a patch finds
/// them. The last version frees all of them with [`free_all`](Self::free_all).
///
/// Values are moved after they were made, so a lock must be in a box: `Pin<KBox<Mutex<T>>>`.
///
/// # Examples
///
/// ```ignore
/// // SAFETY: The other patches of this series use 1 for the same.
/// const READS: Shadow<Session, Atomic<i32>> = unsafe { Shadow::new(1) };
///
/// extern "C" fn show(session: &Session) {
///     if let Ok(reads) = READS.get_or_alloc(session, GFP_KERNEL, || Ok(Atomic::new(0))) {
///         reads.add(1, Relaxed);
///     }
/// }
///
/// extern "C" fn free(session: &mut Session) {
///     let reads: Option<Atomic<i32>> = READS.remove(session);
///     ...
/// }
/// ```
pub struct Shadow<O, T> {
    id: c_ulong,
    _types: PhantomData<fn(&O) -> T>,
}

impl<O, T: Send + Sync + 'static> Shadow<O, T> {
    /// A variable is aligned at least as a word. The crate relies on no greater alignment.
    const FITS: () = assert!(
        mem::align_of::<T>() <= mem::align_of::<c_ulong>(),
        "the type of a shadow variable must not need a greater alignment than a word",
    );

    /// Objects without a size can share an address. A borrow of one such object is then no proof
    /// that no other borrow gives access to the variable.
    const IS_KEY: () = assert!(
        mem::size_of::<O>() > 0,
        "an object needs an address of its own"
    );

    /// Declares the shadow variable of number `id`.
    ///
    /// # Safety
    ///
    /// Shadow variables of number `id` must be valid values of `T`. They must be looked up, freed
    /// and changed under the rules above. This must hold for every patch that is loaded before
    /// these variables are freed, of this author or another, in Rust or in C.
    pub const unsafe fn new(id: c_ulong) -> Self {
        let () = Self::FITS;
        let () = Self::IS_KEY;
        Self {
            id,
            _types: PhantomData,
        }
    }

    /// Returns the variable of `object`.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub fn get<'a>(&self, object: &'a O) -> Option<&'a T> {
        // SAFETY: By the contract of `new()` this is NULL or a `T`. It is not freed and not changed
        // while `object` is borrowed: both need a `&mut O`.
        unsafe { self.find(object).as_ref() }
    }

    /// Returns the variable of `object`, to be changed.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub fn get_mut<'a>(&self, object: &'a mut O) -> Option<&'a mut T> {
        // SAFETY: By the contract of `new()` this is NULL or a `T`. Every access needs a borrow of
        // `object`, and there is no other borrow.
        unsafe { self.find(object).as_mut() }
    }

    /// Allocates a variable for `object`, with the value `value`.
    ///
    /// # Errors
    ///
    /// - `EEXIST` if the object has a variable already.
    /// - `ENOMEM` if an allocation with `flags` fails.
    ///
    /// On failure `value` is dropped.
    ///
    /// # Context
    ///
    /// The context that `flags` requires: process context for `GFP_KERNEL`. For `GFP_ATOMIC` any
    /// but NMI; on PREEMPT_RT, a context that may sleep.
    #[inline]
    pub fn alloc<'a>(&self, object: &'a O, flags: Flags, value: T) -> Result<&'a T> {
        let mut value = Some(value);
        let variable = self.attach(object, flags, &mut value)?;
        match value {
            None => Ok(variable),
            Some(_) => Err(EEXIST),
        }
    }

    /// Returns the variable of `object`. If there is none, allocates one with the value `init()`.
    ///
    /// `init` is called without a lock. If another thread allocates the variable at the same time,
    /// the value of one of the two is dropped: there is one variable per object.
    ///
    /// # Errors
    ///
    /// - `ENOMEM` if an allocation with `flags` fails.
    /// - The error of `init`.
    ///
    /// # Context
    ///
    /// The context that `flags` and `init` require, but not NMI.
    #[inline]
    pub fn get_or_alloc<'a>(
        &self,
        object: &'a O,
        flags: Flags,
        init: impl FnOnce() -> Result<T>,
    ) -> Result<&'a T> {
        match self.get(object) {
            Some(variable) => Ok(variable),
            None => self.attach(object, flags, &mut Some(init()?)),
        }
    }

    /// Removes the variable of `object` and returns its value.
    ///
    /// # Context
    ///
    /// Any but NMI; on PREEMPT_RT, a context that may sleep.
    #[inline]
    pub fn remove(&self, object: &mut O) -> Option<T> {
        let variable = self.find(object);
        if variable.is_null() {
            return None;
        }
        // SAFETY: By the contract of `new()` this is a `T`. No other thread can reach it: `object`
        // is borrowed exclusively. It is freed below without being dropped.
        let value = unsafe { variable.read() };
        // SAFETY: There is no destructor, and the variable is not used any more.
        unsafe { abi::rlp_shadow_free(Self::key(object), self.id, None) };
        Some(value)
    }

    /// Drops and frees all variables of this number, of any object.
    ///
    /// Values are dropped under a spin lock that the loader has locked with `spin_lock_irqsave()`.
    /// So dropping a `T` must not sleep, and must not use shadow variables.
    ///
    /// # Safety
    ///
    /// No reference to a variable of this number is in use, and none is made until this returns.
    /// That holds in the `drop` of the module if only functions of this patch use the variables: no
    /// task is in these functions then.
    ///
    /// # Context
    ///
    /// Any but NMI; on PREEMPT_RT, a context that may sleep.
    #[inline]
    pub unsafe fn free_all(&self) {
        // SAFETY: By the contract of `new()` and of this function, the destructor is called with
        // every `T` of this number, none of which is used after that.
        unsafe { abi::rlp_shadow_free_all(self.id, Some(drop_value::<T>)) };
    }

    /// Returns the variable of `object`, or NULL.
    fn find(&self, object: &O) -> *mut T {
        // SAFETY: The function accepts any address.
        unsafe { abi::rlp_shadow_get(Self::key(object), self.id) }.cast()
    }

    /// Returns the variable of `object`. If there is none, allocates one and takes its value out of
    /// `value`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. The value is still in `value` then.
    fn attach<'a>(&self, object: &'a O, flags: Flags, value: &mut Option<T>) -> Result<&'a T> {
        // SAFETY: `move_value()` is only called with `value`, and before this returns.
        let variable = unsafe {
            abi::rlp_shadow_get_or_alloc(
                Self::key(object),
                self.id,
                mem::size_of::<T>(),
                gfp(flags),
                Some(move_value::<T>),
                ptr::from_mut(value).cast(),
            )
        };
        // SAFETY: The pointer is NULL, or to a `T` by the contract of `new()`, or to the `T` that
        // `move_value()` has written. The `T` stays while `object` is borrowed.
        unsafe { variable.cast::<T>().as_ref() }.ok_or(ENOMEM)
    }

    fn key(object: &O) -> *mut c_void {
        ptr::from_ref(object).cast_mut().cast()
    }
}

/// A constructor for the loader: moves the value into the variable. Runs under the loader's spin
/// lock.
///
/// # Safety
///
/// `data` is aligned and unused memory of the size of `T`. `value` is a valid `Option<T>`.
unsafe extern "C" fn move_value<T>(_: *mut c_void, data: *mut c_void, value: *mut c_void) -> c_int {
    // SAFETY: By the contract.
    match unsafe { &mut *value.cast::<Option<T>>() }.take() {
        Some(value) => {
            // SAFETY: By the contract; `Shadow::FITS` checks the alignment.
            unsafe { data.cast::<T>().write(value) };
            0
        }
        None => EINVAL.to_errno(),
    }
}

/// A destructor for the loader. Runs under the loader's spin lock.
///
/// # Safety
///
/// `data` is a `T` that is not used any more.
unsafe extern "C" fn drop_value<T>(_: *mut c_void, data: *mut c_void) {
    // SAFETY: By the contract.
    unsafe { data.cast::<T>().drop_in_place() };
}

/// Returns the C value of allocation flags, which the kernel crate does not export.
///
/// The flags of `kernel::alloc::flags` that are not listed here are ignored: the loader zeroes the
/// memory, and cannot use high memory.
#[inline]
fn gfp(flags: Flags) -> bindings::gfp_t {
    [
        (GFP_ATOMIC, bindings::GFP_ATOMIC),
        (GFP_KERNEL, bindings::GFP_KERNEL),
        (GFP_KERNEL_ACCOUNT, bindings::GFP_KERNEL_ACCOUNT),
        (GFP_NOWAIT, bindings::GFP_NOWAIT),
        (__GFP_NOWARN, bindings::__GFP_NOWARN),
    ]
    .iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(0, |gfp, (_, raw)| gfp | raw)
}
