// SPDX-License-Identifier: GPL-2.0

//! Redirecting functions with one `ftrace_ops` for any number of them.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use crate::{
    atomic::{
        AtomicBool,
        AtomicUsize,
        Ordering, //
    },
    module::Module,
    rcu,
};
use core::{
    mem::ManuallyDrop,
    num::NonZeroUsize, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// The address of a function's fentry site.
///
/// # Invariants
///
/// ftrace had a record of this address when the value was made.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site(NonZeroUsize);

impl Site {
    /// Returns the address.
    #[inline(always)]
    pub fn address(self) -> usize {
        self.0.get()
    }

    /// Wraps an address that ftrace passes to a handler. For [`ftrace_target!`].
    ///
    /// # Safety
    ///
    /// ftrace has a record of `address`.
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn from_raw(address: usize) -> Self {
        // INVARIANT: By the contract.
        // SAFETY: By the contract: ftrace has no record of address 0.
        Self(unsafe { NonZeroUsize::new_unchecked(address) })
    }
}

/// The address of a function that a handler or a jump may send calls of another function to.
///
/// The address becomes a program counter. Only [`CallTarget::new`] makes one, from a function in the
/// text of a module; its contract is what makes [`ftrace_target!`], [`Batches`] and [`Jump`] safe to
/// use.
///
/// [`Batches`]: crate::direct::Batches
/// [`Jump`]: crate::direct::Jump
///
/// # Invariants
///
/// The address is that of a function for which the contract of [`CallTarget::new`] holds.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTarget(NonZeroUsize);

impl CallTarget {
    /// Makes a target of the function at `address`. Returns `None` if that is not in the text of
    /// `module` that stays after its init.
    ///
    /// # Safety
    ///
    /// - A function begins at `address`.
    /// - The value, and each copy of it, is only used for sites of functions that this function may
    ///   be called in place of, with the arguments and in the context of any of their callers.
    /// - `module` is not freed before the last of these uses, nor before every task has left the
    ///   function that was sent there by one.
    pub unsafe fn new(module: Module<'_>, address: usize) -> Option<Self> {
        let (start, size) = module.text();
        // INVARIANT: By the contract.
        NonZeroUsize::new(address)
            .filter(|_| address.wrapping_sub(start) < size)
            .map(Self)
    }

    /// Makes the target of an anchor, which is never called.
    pub(crate) fn of_anchor() -> Result<Self> {
        // INVARIANT: `rlp_anchor_handler()` does nothing, and is in this module. Nothing calls the
        // anchor that jumps to it.
        NonZeroUsize::new(rlp_bindings::rlp_anchor_handler as *const () as usize)
            .map(Self)
            .ok_or(ENOENT)
    }

    /// Returns the address.
    #[inline(always)]
    pub fn address(self) -> usize {
        self.0.get()
    }

    /// Returns the address of a target, or 0 for none.
    #[inline(always)]
    pub fn address_or_zero(target: Option<Self>) -> usize {
        target.map_or(0, Self::address)
    }
}

/// A [`CallTarget`], or none, that is loaded and stored atomically.
///
/// # Invariants
///
/// Holds 0 or the address of a [`CallTarget`].
#[derive(Debug, Default)]
pub struct AtomicCallTarget(AtomicUsize);

impl AtomicCallTarget {
    /// Makes a cell that holds `target`.
    pub fn new(target: Option<CallTarget>) -> Self {
        // INVARIANT: The address of a target, or 0.
        Self(AtomicUsize::new(CallTarget::address_or_zero(target)))
    }

    /// Loads the target.
    ///
    /// # Context
    ///
    /// Any; inlines to a load.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> Option<CallTarget> {
        // INVARIANT: By the type invariant of `Self`.
        NonZeroUsize::new(self.0.load(order)).map(CallTarget)
    }

    /// Stores that there is no target.
    pub fn clear(&self, order: Ordering) {
        // INVARIANT: 0.
        self.0.store(0, order);
    }
}

/// The fentry site of the function of `size` bytes at `addr`, if it has one that ftrace may use.
///
/// Rust functions have none, nor have those marked `notrace`. One further inside, where the symbol
/// has swallowed what comes behind it, is not taken for it.
///
/// Context: any.
pub fn site_of(addr: usize, size: usize) -> Option<Site> {
    // SAFETY: Any range may be asked for (`ftrace_location_range()` in `kernel/trace/ftrace.c`).
    let site = unsafe { rlp_bindings::rlp_ftrace_site(addr, size) };
    // INVARIANT: What `ftrace_location_range()` returns is 0 or the address of a record.
    NonZeroUsize::new(site).map(Site)
}

/// Emits the function that the C handler calls for each call of a hooked function:
/// `$decide(site, task, proof) -> Option<CallTarget>`.
///
/// The function runs wherever a hooked function is called: no allocation, no lock, no printing, no
/// panic, nothing that ftrace can trace.
#[macro_export]
macro_rules! ftrace_target {
    ($decide:path) => {
        /// # Safety
        ///
        /// `rlp_ftrace_handler()` alone calls this, with preemption off, for a function that is
        /// hooked at `site` and called by `task`.
        #[no_mangle]
        unsafe extern "C" fn rlp_ftrace_target(
            site: usize,
            task: *mut ::kernel::bindings::task_struct,
        ) -> usize {
            // SAFETY: ftrace calls the handler with the address of a record.
            let site = unsafe { $crate::ftrace::Site::from_raw(site) };
            // SAFETY: Preemption is off by the contract. RCU watches: what runs where it does not is
            // noinstr, but for little that is not for patching (Documentation/ordering.rst, "What is
            // not claimed").
            let proof = unsafe { $crate::rcu::ReadSide::assume() };
            let task = $crate::task::TaskId::from_raw(task);
            $crate::ftrace::CallTarget::address_or_zero($decide(site, task, &proof))
        }
    };
}

/// Whether the function at `site` has a direct target, as of a bpf program. Stale at once.
pub fn has_direct_target(site: Site) -> bool {
    // SAFETY: Any address may be asked for.
    unsafe { rlp_bindings::rlp_ftrace_has_direct(site.address()) }
}

/// The site of a function of this module that nobody calls: something to keep in a filter. `ENOMEM`
/// if ftrace lacked memory when this module was loaded, which it did not tell the one who loads
/// (`ftrace_module_init()` in `kernel/trace/ftrace.c`).
pub(crate) fn anchor(function: unsafe extern "C" fn()) -> Result<Site> {
    let (start, size) = crate::kallsyms::extent_of(function as usize).ok_or(ENOENT)?;
    site_of(start, size).ok_or(ENOMEM).inspect_err(|_| {
        pr_err!("ftrace has no records of this module: it had no memory for them\n");
    })
}

/// An `ftrace_ops` whose handler asks the function given to [`ftrace_target!`]. Dropping it waits
/// for users of its trampoline, and for RCU-tasks.
///
/// # Invariants
///
/// `ops` is registered.
pub(crate) struct Registered {
    /// Freed when ftrace has let go of it, if it does.
    ops: ManuallyDrop<Pin<KBox<Opaque<bindings::ftrace_ops>>>>,
}

// SAFETY: ftrace locks what it does with an ops; the methods that change it take `&mut self`.
unsafe impl Send for Registered {}

impl Registered {
    /// Hooks all of `sites`, or none. `flags`: `FTRACE_OPS_FL_*`, beside that of a dynamic one.
    ///
    /// Context: may sleep. Errors: those of `register_ftrace_function()`; `ENOMEM`.
    pub(crate) fn new(flags: u32, sites: &mut [Site]) -> Result<Self> {
        let ops = bindings::ftrace_ops {
            func: Some(rlp_bindings::rlp_ftrace_handler),
            flags: (bindings::FTRACE_OPS_FL_DYNAMIC | flags) as usize,
            ..Default::default()
        };
        let ops = KBox::pin(Opaque::new(ops), GFP_KERNEL)?;
        let result = filter(&ops, sites, false).and_then(|()| {
            // SAFETY: `ops` is pinned and initialised, and is freed when ftrace has let go of it.
            // Its handler is in this module, which does not go before it is unregistered; or, if
            // ftrace has shut itself down, before all but its anchor is: see `change_result()`.
            to_result(unsafe { bindings::register_ftrace_function(ops.get()) })
        });
        if let Err(e) = result {
            if e == ENODEV {
                // What is left of it when ftrace has shut itself down, is ftrace's.
                core::mem::forget(ops);
                return Err(e);
            }
            // It was on the list for a moment, and who walks that has preemption off
            // (`__ftrace_ops_list_func()`). Where it is refused, `ftrace_startup()` does not wait.
            rcu::synchronize();
            // SAFETY: `ops` is not registered, and nobody looks at it any more.
            unsafe { bindings::ftrace_free_filter(ops.get()) };
            return Err(e);
        }
        Ok(Self {
            ops: ManuallyDrop::new(ops),
        })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: By the type invariant `ops` is registered.
        let ret = unsafe { bindings::unregister_ftrace_function(self.ops.get()) };
        if change_result(ret).is_ok() {
            // SAFETY: The filter is nobody's now, nor is the ops.
            unsafe {
                bindings::ftrace_free_filter(self.ops.get());
                ManuallyDrop::drop(&mut self.ops);
            }
        }
    }
}

/// Functions whose calls go where [`ftrace_target!`]'s function says.
pub struct Redirection(Registered);

impl Redirection {
    /// Hooks all of `sites`, or none, with an ops of its own.
    ///
    /// Registering one, ftrace asks the owner of each direct target on the way to leave room for
    /// the redirection; adding a site later it does not.
    ///
    /// Context: may sleep. Errors of `register_ftrace_function()`: `EBUSY` where somebody else
    /// redirects one of them; `EAGAIN` where an owner could not be asked just now; `ENOMEM`. `EINVAL`
    /// for none, which to ftrace would be every function.
    pub fn register(sites: &mut [Site]) -> Result<Self> {
        if sites.is_empty() {
            return Err(EINVAL);
        }
        Registered::new(bindings::FTRACE_OPS_FL_IPMODIFY, sites).map(Self)
    }

    /// Hooks nothing yet, but for an anchor that keeps the ops registered for its life.
    pub fn anchored() -> Result<Self> {
        Self::register(&mut [anchor(rlp_bindings::rlp_anchor_handler)?])
    }

    /// Hooks all of `sites`, or none. None of them may be hooked already.
    ///
    /// One scan of the ftrace records and one batch of text changes, whatever the number.
    ///
    /// Context: may sleep. Errors of `ftrace_set_filter_ips()`: `EBUSY` where somebody else
    /// redirects one of them, `ENOMEM`.
    pub fn hook(&mut self, sites: &mut [Site]) -> Result {
        filter(&self.0.ops, sites, false)
    }

    /// Unhooks all of `sites`, which are hooked; one must be left.
    ///
    /// Context: may sleep, also to wait for memory. Fails where ftrace has shut itself down.
    pub fn unhook(&mut self, sites: &mut [Site]) -> Result {
        retry_enomem(|| filter(&self.0.ops, sites, true))
    }

    /// The handler of whoever else redirects the function at `site`, as an address to be printed
    /// by [`crate::kallsyms::name_of`]. Stale at once: for messages alone.
    pub fn other_holder(&self, site: Site) -> Option<usize> {
        // SAFETY: `ops` is only compared with.
        let handler = unsafe { rlp_bindings::rlp_ftrace_holder(site.address(), self.0.ops.get()) };
        (handler != 0).then_some(handler)
    }
}

fn filter(
    ops: &Pin<KBox<Opaque<bindings::ftrace_ops>>>,
    sites: &mut [Site],
    remove: bool,
) -> Result {
    let nr = u32::try_from(sites.len())?;
    if nr == 0 {
        return Ok(());
    }
    // CAST: `Site` is transparent over the address.
    let addresses = sites.as_mut_ptr().cast::<usize>();
    // SAFETY: `ops` is initialised, and `addresses` has `nr` elements, which are only read.
    change_result(unsafe {
        bindings::ftrace_set_filter_ips(ops.get(), addresses, nr, i32::from(remove), 0)
    })
}

/// Fails with `ENODEV` where ftrace has shut itself down, which it does when it finds the kernel's
/// text to be other than it should (`ftrace_bug()` in `kernel/trace/ftrace.c`).
///
/// Context: process context, may sleep.
pub fn alive() -> Result {
    // SAFETY: Nothing is asked of the caller but that it may sleep.
    match unsafe { rlp_bindings::rlp_ftrace_alive() } {
        true => Ok(()),
        false => Err(ENODEV),
    }
}

/// What a change of text that returned `ret` has come to: `ENODEV` also if ftrace has shut itself
/// down in the middle of it, of which it says nothing. Calls go on coming to this module then, which
/// stays for ever; but on its way out nothing is hooked, save its anchors, which nobody calls.
pub(crate) fn change_result(ret: c_int) -> Result {
    let result = to_result(ret).and_then(|()| alive());
    // ORDERING: Relaxed, partner this same line: one of those that get here wins.
    if result == Err(ENODEV) && !PINNED.swap(true, Ordering::Relaxed) {
        // SAFETY: It has no contract.
        if unsafe { rlp_bindings::rlp_pin_loader() } {
            pr_err!("ftrace has shut itself down: the loader cannot be unloaded any more\n");
        }
    }
    result
}

static PINNED: AtomicBool = AtomicBool::new(false);

/// Does what takes something of this module, or of one that goes, out of ftrace. ftrace allocates
/// to take away, and must not keep it for want of memory.
pub(crate) fn retry_enomem(mut take_out: impl FnMut() -> Result) -> Result {
    loop {
        match take_out() {
            Err(e) if e == ENOMEM => fsleep(Delta::from_millis(10)),
            result => return result,
        }
    }
}
