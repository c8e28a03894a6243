// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel` and `kernel_ext` that need no machine if there is one
//! thread.

/// `kernel::str`
pub(crate) mod str {
    use crate::prelude::*;
    pub(crate) use std::ffi::CStr;
    use std::ops::Deref;

    pub(crate) struct CString(std::ffi::CString);

    impl CString {
        /// `fmt!` keeps no arguments here, so the string is empty.
        pub(crate) fn try_from_fmt(_arguments: ()) -> Result<Self> {
            Self::try_from(c"")
        }
    }

    impl TryFrom<&CStr> for CString {
        type Error = Error;

        fn try_from(from: &CStr) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self(from.into()))
        }
    }

    impl Deref for CString {
        type Target = CStr;

        fn deref(&self) -> &CStr {
            &self.0
        }
    }

    pub(crate) struct BStr;

    impl BStr {
        pub(crate) fn from_bytes(_bytes: &[u8]) -> Self {
            Self
        }
    }
}

/// `kernel::sync`
pub(crate) mod sync {
    pub(crate) use crate::kernel_parts::sync::*;

    pub(crate) mod rcu {
        pub(crate) struct Guard;

        pub(crate) fn read_lock() -> Guard {
            Guard
        }
    }
}

/// `kernel_ext::clock`
pub(crate) mod clock {
    use crate::time::Delta;

    pub(crate) fn since_epoch() -> Delta {
        Delta::from_secs(0)
    }
}

/// `kernel_ext::panic_mark`
pub(crate) mod panic_mark {
    use crate::{
        prelude::*,
        str::CStr, //
    };

    pub(crate) struct PanicMark;

    impl PanicMark {
        pub(crate) fn register() -> Result<Self> {
            Ok(Self)
        }

        pub(crate) fn set(&mut self, _patch: Option<&CStr>) {}
    }
}

/// `kernel_ext::statics`
pub(crate) mod statics {
    use crate::prelude::*;
    use std::{
        cell::{
            RefCell,
            RefMut, //
        },
        ops::{
            Deref,
            DerefMut, //
        }, //
    };

    pub(crate) struct ModuleMutex<T>(RefCell<Option<T>>);

    // SAFETY: The explorations take turns, see `requests::alone()`.
    unsafe impl<T> Sync for ModuleMutex<T> {}

    impl<T> ModuleMutex<T> {
        pub(crate) const fn new() -> Self {
            Self(RefCell::new(None))
        }

        pub(crate) fn replace(&self, value: Option<T>) {
            let old = self.0.replace(value);
            drop(old);
        }

        pub(crate) fn lock(&'static self) -> Result<Locked<T>> {
            Ok(Locked(self.0.borrow_mut()))
        }
    }

    pub(crate) struct Locked<T: 'static>(RefMut<'static, Option<T>>);

    impl<T> Deref for Locked<T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for Locked<T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }
}

/// `kernel_ext::rcu`
pub(crate) mod rcu {
    use crate::{
        prelude::*,
        sync::rcu::Guard, //
    };
    use std::{
        marker::PhantomData,
        ptr::null_mut,
        sync::atomic::{
            AtomicPtr,
            Ordering, //
        }, //
    };

    pub(crate) struct ReadSide<'a>(PhantomData<&'a ()>);

    impl ReadSide<'_> {
        pub(crate) fn new() -> Self {
            Self(PhantomData)
        }
    }

    impl<'a> From<&'a Guard> for ReadSide<'a> {
        fn from(_guard: &'a Guard) -> Self {
            Self(PhantomData)
        }
    }

    pub(crate) struct RcuBox<T>(AtomicPtr<T>);

    pub(crate) struct Retired<T>(Option<Box<T>>);

    impl<T> RcuBox<T> {
        pub(crate) const fn empty() -> Self {
            Self(AtomicPtr::new(null_mut()))
        }

        pub(crate) fn read<'a>(&'a self, _proof: &'a ReadSide<'_>) -> Option<&'a T> {
            // SAFETY: There is one thread, which publishes nothing while it reads.
            unsafe { self.0.load(Ordering::Relaxed).as_ref() }
        }

        pub(crate) fn publish(&self, new: Option<KBox<T>>) -> Retired<T> {
            let new = new.map_or(null_mut(), |new| Box::into_raw(new.into_inner()));
            let old = self.0.swap(new, Ordering::Relaxed);
            // SAFETY: `old` was made from such a box, and nothing else refers to it any more.
            Retired((!old.is_null()).then(|| unsafe { Box::from_raw(old) }))
        }
    }

    pub(crate) fn synchronize() {}

    pub(crate) fn synchronize_tasks() {}
}
