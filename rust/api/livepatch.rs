// SPDX-License-Identifier: GPL-2.0

//! Live patches for `rust_livepatch.ko`, written in Rust.
//!
//! A patch is a declaration: [`patch!`] takes the objects to change, the functions in each and
//! their replacements, and makes of them the type that `module!` asks for.
//!
//! # Examples
//!
//! A whole module; `/proc/cmdline` then reads the same text on every machine:
//!
//! ```ignore
//! //! Replaces what `/proc/cmdline` shows.
//!
//! use kernel::{prelude::*, seq_file::SeqFile, seq_print};
//!
//! module! {
//!     type: Cmdline,
//!     name: "my_patch",
//!     authors: ["..."],
//!     description: "Replaces what /proc/cmdline shows",
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
//! # What the compiler cannot see
//!
//! The kernel's own function is known to the patch by name alone, so that its type is the author's
//! word. That word is the keyword `unsafe` in front of the declaration, which promises that
//!
//! - the declared type has the ABI of the function of that name, in the source of the very kernel
//!   (or module) that will be patched; and
//! - every caller of that function passes what the declared type asks for: a declared `&SeqFile`
//!   is never null, lives for the whole call, and is shared as `SeqFile` allows. Where that is not
//!   certain, declare a raw pointer.
//!
//! From there on everything is checked: the replacement must have exactly the declared type.
//!
//! Everything in this crate is generic or `#[inline]`: a patch module holds all of its own Rust
//! code, and asks the loader for nothing but the C functions of [`abi`].
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

pub mod abi;
mod callbacks;
mod shadow;
mod state;

pub use self::{
    callbacks::{Callbacks, Context},
    shadow::Shadow,
    state::State, //
};

#[doc(hidden)]
pub use self::{
    abi::Table,
    callbacks::{callbacks, no_callbacks}, //
};

use self::abi::{
    klp_callbacks,
    klp_func,
    klp_object,
    klp_patch,
    klp_state, //
};
use core::{mem::MaybeUninit, ptr};
use kernel::{
    prelude::*,
    sync::atomic::{AtomicFlag, Relaxed},
    types::Opaque, //
};

/// A patch as the loader knows it; [`patch!`] makes the one of a module.
///
/// # Invariants
///
/// `raw` holds a `klp_patch` whose external part is what the loader asks for: its module is the
/// one that this value is in, and all tables are terminated and live as long as that module.
#[doc(hidden)]
pub struct Patch {
    raw: Opaque<klp_patch>,
    enabled: AtomicFlag,
}

// SAFETY: `raw` is only handed to the loader, which has its own locks.
unsafe impl Sync for Patch {}

impl Patch {
    /// Describes a patch.
    ///
    /// # Safety
    ///
    /// - This may only be called in the initialiser of a `static`.
    /// - Each replacement in `objects` must be a function of the same module which can be called as
    ///   the function that it replaces is.
    #[doc(hidden)]
    pub const unsafe fn new<const OBJECTS: usize, const STATES: usize>(
        objects: &'static Table<klp_object, OBJECTS>,
        states: &'static Table<klp_state, STATES>,
        replace: bool,
    ) -> Self {
        // INVARIANT: A `Table` is terminated; what its entries point to are `'static` tables as
        // well, see `function()` and `object()`; `enable()` sets the module first.
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

    /// Hands the patch to the loader, which patches what is loaded and starts the transition.
    ///
    /// Returns once the transition has started, not when it is complete. The loader keeps the
    /// module from being unloaded until the patch is disabled again.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: this patch was handed over before.
    /// - Whatever `rlp_enable_patch()` refuses the patch with. The kernel log says why.
    ///
    /// # Context
    ///
    /// May sleep. Module initialisation only, as `klp_enable_patch()`.
    #[doc(hidden)]
    #[inline]
    pub fn enable(&'static self, module: &'static ThisModule) -> Result {
        // ORDERING: Relaxed, with itself: it only lets the first caller through.
        if self.enabled.xchg(true, Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: Nobody else has the structure yet.
        unsafe { (*self.raw.get()).r#mod = module.as_ptr() };
        // SAFETY: By the type invariants this is a well-formed patch in static memory. It is
        // handed over once, so that the loader finds its internal part zeroed.
        kernel::error::to_result(unsafe { abi::rlp_enable_patch(self.raw.get()) })
    }
}

/// The module type that [`patch!`] defines.
#[doc(hidden)]
pub trait PatchModule: 'static {
    /// The patch of this module.
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

/// Describes one object, vmlinux if it has no name; used by [`patch!`].
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

/// Declares the patch of a module, and the type that `module!` takes as its `type`.
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
/// - `replace: true` makes a cumulative patch: all patches that are active are retired by it.
/// - `states` lists the [`State`]s that the patch changes.
/// - `module "name"` is a module that is loaded now, or will be, or never.
/// - `with Callbacks` names a type that implements [`Callbacks`].
/// - `old_name` is an identifier, or a string for a symbol that is none (`"show.isra.0"`).
/// - `sympos n` picks the n-th symbol of that name in the object, counted from 1 in the order of
///   `/proc/kallsyms`; without it the name must be unique.
/// - The replacement is a function with exactly the type
///   `unsafe extern "C" fn(arguments) -> type`, or its safe counterpart.
///
/// The module is initialised by enabling the patch, and is dropped when it is unloaded, which the
/// loader allows once the patch is disabled: implement [`Drop`] for `Name` to clean up there.
///
/// # Safety
///
/// The `unsafe` of each function is the promise in the [documentation of the crate](crate): the
/// declared type is what the function has, and what its callers mean. The macro does not parse
/// without it.
///
/// # Examples
///
/// Two functions of a module that change together, the second being the other of that name:
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

            // SAFETY: This is a static of the module that `$patch` is the type of. Replacements
            // have the declared types, which the author's `unsafe` promises to be those of the
            // functions that they replace.
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

            // Without CONFIG_LIVEPATCH the kernel refuses every module that says this.
            #[cfg(all(MODULE, CONFIG_LIVEPATCH))]
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static LIVEPATCH: [u8; 12] = *b"livepatch=Y\0";
        };
    };
}

/// The table of an object's functions.
#[doc(hidden)]
#[macro_export]
macro_rules! __functions {
    ($(
        unsafe fn $old:tt($($argument:tt)*) $(-> $return:ty)? = $new:expr $(, sympos $sympos:literal)?;
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

/// The callbacks of an object, if it has any.
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

/// A name, given as an identifier or as a string, as a C string.
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

/// One, for each thing counted.
#[doc(hidden)]
#[macro_export]
macro_rules! __count {
    ($($counted:tt)*) => {
        1
    };
}
