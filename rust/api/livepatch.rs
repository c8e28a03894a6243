// SPDX-License-Identifier: GPL-2.0

//! Live patches for `rust_livepatch.ko`, written in Rust.
//!
//! A patch is a declaration: [`patch!`] takes the objects to change, the functions of each and
//! their replacements, and defines the type that `module!` needs.
//!
//! # Examples
//!
//! A complete module, which replaces the text of `/proc/cmdline`:
//!
//! ```ignore
//! //! Replaces the text of `/proc/cmdline`.
//!
//! use kernel::{
//!     prelude::*,
//!     seq_file::SeqFile,
//!     seq_print, //
//! };
//!
//! module! {
//!     type: Cmdline,
//!     name: "my_patch",
//!     authors: ["..."],
//!     description: "Replaces the text of /proc/cmdline",
//!     license: "GPL",
//! }
//!
//! livepatch::patch! {
//!     struct Cmdline;
//!
//!     vmlinux {
//!         // SAFETY: `int cmdline_proc_show(struct seq_file *, void *)` in fs/proc/cmdline.c;
//!         // the seq_file is valid, and only this thread uses it.
//!         unsafe fn cmdline_proc_show(m: &SeqFile, v: *mut c_void) -> c_int = show;
//!     }
//! }
//!
//! extern "C" fn show(m: &SeqFile, _v: *mut c_void) -> c_int {
//!     seq_print!(m, "this has been live patched\n");
//!     0
//! }
//! ```
//!
//! # What the compiler cannot check
//!
//! A patch only has the name of the kernel's function. So the author must promise the function's
//! type. The keyword `unsafe` in front of the declaration is the promise that
//!
//! - the declared type has the ABI of the function of that name, in the source of the kernel (or
//!   module) that will be patched; and
//! - every caller of that function passes arguments that are valid for the declared type: a
//!   declared `&SeqFile` is never null, lives for the whole call, and is shared as `SeqFile`
//!   allows. If that is not certain, declare a raw pointer.
//!
//! The compiler checks the rest: the replacement must have exactly the declared type.
//!
//! Everything in this crate is generic, `#[inline]`, or evaluated by the compiler. So a patch
//! module contains all of its Rust code, and only needs the C functions of [`abi`] from the loader.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

pub mod abi;
mod callbacks;
mod info;
mod shadow;
mod state;

pub use self::{
    callbacks::{
        Callbacks,
        Context, //
    },
    shadow::Shadow,
    state::State, //
};

#[doc(hidden)]
pub use self::{
    abi::Table,
    callbacks::{
        callbacks,
        no_callbacks, //
    },
    info::terminated, //
};

use self::abi::{
    klp_callbacks,
    klp_func,
    klp_object,
    klp_patch,
    klp_state, //
};
use core::{
    mem::MaybeUninit,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        AtomicFlag,
        Relaxed, //
    },
    types::Opaque, //
};

/// The description of a patch for the loader. [`patch!`] makes one for its module.
///
/// # Invariants
///
/// `raw` holds a `klp_patch` whose external part is as the loader requires: its module is the
/// module that contains this value, and all tables are terminated and live as long as that module.
#[doc(hidden)]
pub struct Patch {
    raw: Opaque<klp_patch>,
    enabled: AtomicFlag,
}

// SAFETY: `raw` is only passed to the loader, which has its own locks.
unsafe impl Sync for Patch {}

impl Patch {
    /// Describes a patch.
    ///
    /// # Safety
    ///
    /// - This may only be called in the initialiser of a `static`.
    /// - Each replacement in `objects` must be a function of the same module, and it must be
    ///   possible to call it in place of the function that it replaces.
    #[doc(hidden)]
    pub const unsafe fn new<const OBJECTS: usize, const STATES: usize>(
        objects: &'static Table<klp_object, OBJECTS>,
        states: &'static Table<klp_state, STATES>,
        replace: bool,
    ) -> Self {
        // INVARIANT: A `Table` is terminated; its entries point to `'static` tables as well, see
        // `function()` and `object()`; `enable()` sets the module first.
        Self {
            raw: Opaque::new(klp_patch {
                r#mod: core::ptr::null_mut(),
                objs: objects.as_ptr(),
                states: states.as_ptr(),
                replace,
                internal: MaybeUninit::zeroed(),
            }),
            enabled: AtomicFlag::new(false),
        }
    }

    /// Passes the patch to the loader, which patches the objects that are loaded and starts the
    /// transition.
    ///
    /// Returns when the transition has started, not when it is complete. The loader keeps a
    /// reference to the module until the patch is disabled.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if this patch was passed before.
    /// - The error of `rlp_enable_patch()`. The reason is in the kernel log.
    ///
    /// # Context
    ///
    /// May sleep. Only during the init of the module, as `klp_enable_patch()`.
    #[doc(hidden)]
    #[inline]
    pub fn enable(&'static self, module: &'static ThisModule) -> Result {
        // ORDERING: Relaxed. The partner is this line in other threads. Only the swap itself must
        // be atomic: exactly one caller reads false.
        if self.enabled.xchg(true, Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: No other code accesses the structure yet.
        unsafe { (*self.raw.get()).r#mod = module.as_ptr() };
        // SAFETY: By the type invariants this is a well-formed patch in static memory. It is passed
        // once, so its internal part is still zeroed.
        kernel::error::to_result(unsafe { abi::rlp_enable_patch(self.raw.get()) })
    }
}

/// The module type that [`patch!`] defines.
#[doc(hidden)]
pub trait PatchModule: 'static {
    /// Returns the patch of this module.
    fn patch() -> &'static Patch;
}

/// Describes one function; used by [`patch!`].
#[doc(hidden)]
pub const fn function(name: &'static CStr, new: *mut c_void, sympos: c_ulong) -> klp_func {
    klp_func {
        old_name: name.to_bytes_with_nul().as_ptr(),
        new_func: new,
        old_sympos: sympos,
        internal: MaybeUninit::zeroed(),
    }
}

/// Describes one object, which is vmlinux if `name` is `None`; used by [`patch!`].
#[doc(hidden)]
pub const fn object<const N: usize>(
    name: Option<&'static CStr>,
    functions: &'static Table<klp_func, N>,
    callbacks: klp_callbacks,
) -> klp_object {
    klp_object {
        name: match name {
            Some(name) => name.to_bytes_with_nul().as_ptr(),
            None => ptr::null(),
        },
        funcs: functions.as_ptr(),
        callbacks,
        internal: MaybeUninit::zeroed(),
    }
}

/// Declares the patch of a module, and the type for the `type` of `module!`.
///
/// ```text
/// livepatch::patch! {
///     [#[attributes]] [pub] struct Name;
///     [replace: true;]
///     [states: [STATE, ...];]
///
///     [vmlinux [with Callbacks] { functions }]
///     [module "name" [with Callbacks] { functions }] ...
/// }
/// ```
///
/// where a function is
///
/// ```text
/// unsafe fn old_name(arguments) [-> type] = replacement [, sympos n];
/// ```
///
/// - `replace: true` makes a cumulative patch, which replaces all enabled patches. Without objects
///   it reverts all functions to their original code.
/// - `states` lists the [`State`]s that the patch changes.
/// - `module "name"` is a module, which need not be loaded.
/// - `with Callbacks` names a type that implements [`Callbacks`].
/// - `old_name` is an identifier, or a string for a symbol that is not one (`"show.isra.0"`).
/// - `sympos n` selects the n-th symbol of that name in the object, counted from 1 in the order of
///   `/proc/kallsyms`. Without it the name must be unique.
/// - The replacement is a function with exactly the type
///   `unsafe extern "C" fn(arguments) -> type`, or its safe counterpart.
///
/// The init of the module enables the patch. The module can be unloaded when the patch is disabled,
/// and `Name` is dropped then: implement [`Drop`] for it to clean up.
///
/// # Safety
///
/// The `unsafe` of each function is the promise in the [documentation of the crate](crate): the
/// function has the declared type, and its callers pass arguments that are valid for it. Without
/// the keyword the macro does not parse.
///
/// # Examples
///
/// Two functions of a module that change together. Two symbols have the name of the second
/// function:
///
/// ```ignore
/// livepatch::patch! {
///     struct Fix;
///     replace: true;
///
///     module "target" {
///         // SAFETY: `static int fill(char *)` in target.c; see there for the buffer.
///         unsafe fn fill(buf: *mut c_char) -> c_int = fill;
///         // SAFETY: `static void drain(void)` in b.c, the second one of target.ko.
///         unsafe fn drain() = drain, sympos 2;
///     }
/// }
/// ```
#[macro_export]
macro_rules! patch {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $patch:ident;
        $(replace: $replace:literal;)?
        $(states: [$($state:expr),* $(,)?];)?
        $(vmlinux $(with $vmlinux_callbacks:ty)? { $($vmlinux:tt)* })?
        $(module $name:literal $(with $callbacks:ty)? { $($module:tt)* })*
    ) => {
        $(#[$attribute])*
        $vis struct $patch;

        const _: () = {
            static OBJECTS: $crate::Table<
                $crate::abi::klp_object,
                { 1 $(+ $crate::__count!($($vmlinux)*))? $(+ $crate::__count!($($module)*))* },
            > = $crate::Table::new(&[
                $($crate::object(
                    ::core::option::Option::None,
                    $crate::__functions!($($vmlinux)*),
                    $crate::__callbacks!($patch $($vmlinux_callbacks)?),
                ),)?
                $($crate::object(
                    ::core::option::Option::Some($crate::__name!($name)),
                    $crate::__functions!($($module)*),
                    $crate::__callbacks!($patch $($callbacks)?),
                ),)*
            ]);

            static STATES: $crate::Table<
                $crate::abi::klp_state,
                { 1 $($(+ $crate::__count!($state))*)? },
            > = $crate::Table::new(&[$($($state.entry(),)*)?]);

            // SAFETY: This is a static of the module whose type is `$patch`. Replacements have the
            // declared types, which the author's `unsafe` promises to be those of the functions
            // that they replace.
            static PATCH: $crate::Patch = unsafe {
                $crate::Patch::new(
                    &OBJECTS,
                    &STATES,
                    false $(|| $replace)?,
                )
            };

            impl $crate::PatchModule for $patch {
                fn patch() -> &'static $crate::Patch {
                    &PATCH
                }
            }

            impl ::kernel::Module for $patch {
                fn init(module: &'static ::kernel::ThisModule) -> ::kernel::error::Result<Self> {
                    PATCH.enable(module)?;
                    Ok(Self)
                }
            }

            // Without CONFIG_LIVEPATCH the kernel refuses every module with this tag.
            #[cfg(all(MODULE, CONFIG_LIVEPATCH))]
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static LIVEPATCH: [u8; 12] = *b"livepatch=Y\0";
        };
    };
}

/// Makes the table of an object's functions.
#[doc(hidden)]
#[macro_export]
macro_rules! __functions {
    ($(
        unsafe fn $old:tt($($argument:tt)*) $(-> $return:ty)?
            = $new:expr $(, sympos $sympos:literal)?;
    )*) => {{
        static FUNCTIONS: $crate::Table<
            $crate::abi::klp_func,
            { 1 $(+ $crate::__count!($old))* },
        > = $crate::Table::new(&[$({
            const NEW: unsafe extern "C" fn($($argument)*) $(-> $return)? = $new;
            $crate::function($crate::__name!($old), NEW as *mut _, 0 $(+ $sympos)?)
        },)*]);
        &FUNCTIONS
    }};
}

/// Makes the callbacks of an object, if it has any.
#[doc(hidden)]
#[macro_export]
macro_rules! __callbacks {
    ($patch:ident) => {
        $crate::no_callbacks()
    };
    ($patch:ident $callbacks:ty) => {
        $crate::callbacks::<$patch, $callbacks>()
    };
}

/// Makes a C string of an identifier or of a string.
#[doc(hidden)]
#[macro_export]
macro_rules! __name {
    ($name:literal) => {
        $crate::abi::c_string(::core::concat!($name, "\0"))
    };
    ($name:ident) => {
        $crate::abi::c_string(::core::concat!(::core::stringify!($name), "\0"))
    };
}

/// Expands to 1, for a sum of counted items.
#[doc(hidden)]
#[macro_export]
macro_rules! __count {
    ($($counted:tt)*) => {
        1
    };
}
