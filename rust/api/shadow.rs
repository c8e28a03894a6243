// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: fields added to objects that exist already.
//!
//! C source: [`kernel/livepatch/shadow.c`](srctree/kernel/livepatch/shadow.c)

use crate::abi;
use core::{marker::PhantomData, mem, ptr};
use kernel::{alloc::Flags, bindings, prelude::*};

/// A field of type `T` that a patch adds to objects of type `O`.
///
/// The rules are those of a field, with the object's borrow as the proof: who may look at the
/// object may look at the field; who has the object to himself may change it or take it out.
///
/// | with      | one may                                                                     |
/// |-----------|-----------------------------------------------------------------------------|
/// | `&O`      | [`get`](Self::get), [`alloc`](Self::alloc), [`get_or_alloc`](Self::get_or_alloc) |
/// | `&mut O`  | [`get_mut`](Self::get_mut), [`remove`](Self::remove)                        |
///
/// Hence a value is never freed while a reference to it is in use, and never twice. What stays
/// with the author is to make the `&O` or `&mut O` out of the kernel's pointer truthfully: a
/// `&mut O` where the object is about to be freed, and nobody else can reach it any more.
///
/// The object is a key: it is its address that counts, nothing is read from it. An object that is
/// freed without [`remove`](Self::remove) leaves its variable behind for the next one at that
/// address. Variables outlive the module that made them, so that the next version of a patch
/// finds them; the last one takes them all out with [`free_all`](Self::free_all).
///
/// Values do not stay where they are made, hence a lock goes into a box: `Pin<KBox<Mutex<T>>>`.
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
    /// The loader's header is made of words, and that is how it aligns what follows.
    const FITS: () = assert!(
        mem::align_of::<T>() <= mem::align_of::<c_ulong>(),
        "a shadow variable is aligned as a word, and no better",
    );

    /// Objects without a size share their addresses, so that a borrow of one proves nothing.
    const IS_KEY: () = assert!(
        mem::size_of::<O>() > 0,
        "an object needs an address of its own"
    );

    /// The shadow variable of number `id`.
    ///
    /// # Safety
    ///
    /// In every patch that is loaded before the variables of this number are freed, of this author
    /// or another, in Rust or in C, shadow variables of number `id` must be valid values of `T`,
    /// and looked up, freed and changed under the rules above.
    pub const unsafe fn new(id: c_ulong) -> Self {
        let () = Self::FITS;
        let () = Self::IS_KEY;
        Self {
            id,
            _types: PhantomData,
        }
    }

    /// The variable of `object`.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub fn get<'a>(&self, object: &'a O) -> Option<&'a T> {
        // SAFETY: By the contract of `new()` this is NULL or a `T`. It stays, and is not changed,
        // while `object` is borrowed: that takes `&mut O`.
        unsafe { self.find(object).as_ref() }
    }

    /// The variable of `object`, to change.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub fn get_mut<'a>(&self, object: &'a mut O) -> Option<&'a mut T> {
        // SAFETY: By the contract of `new()` this is NULL or a `T`. To reach it otherwise takes a
        // borrow of `object`, of which there is no other.
        unsafe { self.find(object).as_mut() }
    }

    /// Gives `object` a variable of the value `value`.
    ///
    /// # Errors
    ///
    /// - `EEXIST`: it has one already.
    /// - `ENOMEM`: there is no memory, as far as `flags` allow to look for it.
    ///
    /// In both cases `value` is dropped.
    ///
    /// # Context
    ///
    /// What `flags` asks for: process context for `GFP_KERNEL`, any but NMI for `GFP_ATOMIC`.
    #[inline]
    pub fn alloc<'a>(&self, object: &'a O, flags: Flags, value: T) -> Result<&'a T> {
        let mut value = Some(value);
        let variable = self.attach(object, flags, &mut value)?;
        match value {
            None => Ok(variable),
            Some(_) => Err(EEXIST),
        }
    }

    /// The variable of `object`, which gets one of the value `init()` if it has none.
    ///
    /// `init` may be called in vain if somebody else comes first: there is one variable per object
    /// whatever happens, and what is not used is dropped. It is called without any lock held.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory, as far as `flags` allow to look for it.
    /// - Those of `init`.
    ///
    /// # Context
    ///
    /// What `flags` and `init` ask for, at most any but NMI.
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

    /// Takes the variable of `object` out; it is dropped in the caller's context, if dropped.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub fn remove(&self, object: &mut O) -> Option<T> {
        let variable = self.find(object);
        if variable.is_null() {
            return None;
        }
        // SAFETY: By the contract of `new()` this is a `T`, and nobody else can reach it, since
        // `object` is borrowed by us alone. It is freed below without being dropped.
        let value = unsafe { variable.read() };
        // SAFETY: No destructor is given, and the variable is not used any more.
        unsafe { abi::rlp_shadow_free(Self::key(object), self.id, None) };
        Some(value)
    }

    /// Drops and frees the variables of this number of all objects.
    ///
    /// Values are dropped under a spin lock of the loader with interrupts off: dropping a `T` must
    /// not sleep, and must not use shadow variables.
    ///
    /// # Safety
    ///
    /// No reference to a variable of this number may be in use, and none may be taken until this
    /// returns. In the `drop` of the module that is so if all objects are used in functions of
    /// this patch only, since by then no task is left in these.
    ///
    /// # Context
    ///
    /// Any, NMI excepted.
    #[inline]
    pub unsafe fn free_all(&self) {
        // SAFETY: By the contract of `new()` and of this function the destructor gets every `T`
        // of this number, and each for the last time.
        unsafe { abi::rlp_shadow_free_all(self.id, Some(drop_value::<T>)) };
    }

    /// The variable of `object`, or NULL.
    fn find(&self, object: &O) -> *mut T {
        // SAFETY: May be called with any address.
        unsafe { abi::rlp_shadow_get(Self::key(object), self.id) }.cast()
    }

    /// The variable of `object`, which becomes that in `value` if it has none: then `value` is
    /// taken.
    fn attach<'a>(&self, object: &'a O, flags: Flags, value: &mut Option<T>) -> Result<&'a T> {
        // SAFETY: `move_value()` is called before this returns, if at all, with `value`.
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
        // SAFETY: NULL or a `T`: one that was there, by the contract of `new()`, or the one that
        // `move_value()` put there. It stays while `object` is borrowed.
        unsafe { variable.cast::<T>().as_ref() }.ok_or(ENOMEM)
    }

    fn key(object: &O) -> *mut c_void {
        ptr::from_ref(object).cast_mut().cast()
    }
}

/// The loader's constructor: moves the value into place. Runs under its spin lock.
///
/// # Safety
///
/// `data` must be aligned, free memory of the size of `T`; `value` must be valid.
unsafe extern "C" fn move_value<T>(_: *mut c_void, data: *mut c_void, value: *mut c_void) -> c_int {
    // SAFETY: `attach()` passes this.
    match unsafe { &mut *value.cast::<Option<T>>() }.take() {
        Some(value) => {
            // SAFETY: By the contract; `Shadow::FITS` has it aligned.
            unsafe { data.cast::<T>().write(value) };
            0
        }
        None => EINVAL.to_errno(),
    }
}

/// The loader's destructor. Runs under its spin lock.
///
/// # Safety
///
/// `data` must be a `T` that is not used any more.
unsafe extern "C" fn drop_value<T>(_: *mut c_void, data: *mut c_void) {
    // SAFETY: By the contract.
    unsafe { data.cast::<T>().drop_in_place() };
}

/// The C value of allocation flags, which the kernel crate keeps to itself.
///
/// Flags are made of these, see `kernel::alloc::flags`.
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
