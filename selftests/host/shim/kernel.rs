// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel` that need no machine.

/// `kernel::sync`
pub(crate) mod sync {
    use crate::prelude::*;
    use std::ops::{
        Deref,
        DerefMut, //
    };

    pub(crate) mod aref {
        use std::ops::Deref;

        #[derive(Clone)]
        pub(crate) struct ARef<T>(T);

        impl<T: Clone> From<&T> for ARef<T> {
            fn from(value: &T) -> Self {
                Self(value.clone())
            }
        }

        impl<T> Deref for ARef<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    }

    pub(crate) struct Arc<T>(std::rc::Rc<T>);

    impl<T> Clone for Arc<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> Deref for Arc<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    pub(crate) struct UniqueArc<T>(T);

    impl<T> UniqueArc<T> {
        pub(crate) fn new(value: T, flags: Flags) -> Result<Self> {
            KBox::new((), flags)?;
            Ok(Self(value))
        }
    }

    impl<T> Deref for UniqueArc<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for UniqueArc<T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    impl<T> From<UniqueArc<T>> for Arc<T> {
        fn from(unique: UniqueArc<T>) -> Self {
            Self(std::rc::Rc::new(unique.0))
        }
    }
}

/// `kernel::time`, in which no time passes.
pub(crate) mod time {
    use std::{
        cell::Cell,
        marker::PhantomData,
        ops::Sub, //
    };

    std::thread_local! {
        static ELAPSED: Cell<Delta> = const { Cell::new(Delta(0)) };
    }

    /// From now on, [`Instant::elapsed`] returns `elapsed`.
    pub(crate) fn set_elapsed(elapsed: Delta) {
        ELAPSED.set(elapsed);
    }

    /// In microseconds.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Delta(i64);

    impl Delta {
        pub(crate) const ZERO: Self = Self(0);

        pub(crate) const fn from_secs(secs: i64) -> Self {
            Self(secs * 1_000_000)
        }

        pub(crate) const fn from_millis(millis: i64) -> Self {
            Self(millis * 1000)
        }

        pub(crate) fn as_micros_ceil(self) -> i64 {
            self.0
        }

        pub(crate) fn as_millis(self) -> i64 {
            self.0 / 1000
        }

        pub(crate) fn as_nanos(self) -> i64 {
            self.0 * 1000
        }

        pub(crate) fn is_negative(self) -> bool {
            self.0 < 0
        }

        pub(crate) fn is_zero(self) -> bool {
            self.0 == 0
        }
    }

    impl Sub for Delta {
        type Output = Self;

        fn sub(self, other: Self) -> Self {
            Self(self.0 - other.0)
        }
    }

    pub(crate) struct Monotonic;

    pub(crate) struct Instant<C>(PhantomData<C>);

    impl<C> Clone for Instant<C> {
        fn clone(&self) -> Self {
            *self
        }
    }

    impl<C> Copy for Instant<C> {}

    impl<C> Instant<C> {
        pub(crate) fn now() -> Self {
            Self(PhantomData)
        }

        pub(crate) fn elapsed(&self) -> Delta {
            ELAPSED.get()
        }
    }

    pub(crate) mod delay {
        use std::cell::Cell;

        std::thread_local! {
            static MEANWHILE: Cell<fn()> = const { Cell::new(|| ()) };
        }

        /// From now on, [`fsleep`] calls `meanwhile`.
        pub(crate) fn set_meanwhile(meanwhile: fn()) {
            MEANWHILE.set(meanwhile);
        }

        pub(crate) fn fsleep(_delta: super::Delta) {
            MEANWHILE.get()();
        }
    }
}
