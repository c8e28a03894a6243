// SPDX-License-Identifier: GPL-2.0

//! Redirecting functions, with one `ftrace_ops` for any number of functions.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use crate::{
    atomic::{
        AtomicBool,
        AtomicUsize,
        Ordering, //
    },
    module::Module,
    rcu, //
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
    /// Returns the address, which is that of the `call`, `jmp` or `nop` at the function's start.
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

/// The address of a function to which a handler or a jump may send the calls of another function.
///
/// The address becomes a program counter. [`CallTarget::new`] makes it from a function in the text
/// of a module. The contract of [`CallTarget::new`] is the reason why [`ftrace_target!`],
/// [`Batches`] and [`Jump`] are safe.
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
    /// Makes a target of the function at `address`. Returns `None` unless the address is in the
    /// text of `module` that is kept after its init.
    ///
    /// # Safety
    ///
    /// - A function begins at `address`.
    /// - A copy of the value is only used for the site of a function that the target can replace:
    ///   the target can be called with the arguments, and in the context, of each caller of the
    ///   replaced function.
    /// - `module` is not freed before the last use of a copy. If a use of a copy has sent a task to
    ///   the function, `module` is not freed before that task has left the function.
    pub unsafe fn new(module: Module<'_>, address: usize) -> Option<Self> {
        let (start, size) = module.text();
        // INVARIANT: By the contract.
        NonZeroUsize::new(address)
            .filter(|_| address.wrapping_sub(start) < size)
            .map(Self)
    }

    /// Makes the target of an anchor, which is never called.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the address of `rlp_anchor_handler()` is 0, which it never is.
    pub(crate) fn of_anchor() -> Result<Self> {
        // INVARIANT: `rlp_anchor_handler()` does nothing, and is in this module. The anchor that
        // jumps to it is never called.
        NonZeroUsize::new(rlp_bindings::rlp_anchor_handler as *const () as usize)
            .map(Self)
            .ok_or(ENOENT)
    }

    /// Returns the address, for look-ups and comparisons.
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

/// Returns the fentry site of the function of `size` bytes at `addr`, or `None` if ftrace has none.
///
/// Rust functions and functions that are marked `notrace` have no site. The range of a symbol may
/// include later functions that have no symbol. The sites of those functions are not returned; see
/// `rlp_ftrace_site()`.
///
/// # Context
///
/// Any.
pub fn site_of(addr: usize, size: usize) -> Option<Site> {
    // SAFETY: The function accepts any range (`ftrace_location_range()` in
    // `kernel/trace/ftrace.c`).
    let site = unsafe { rlp_bindings::rlp_ftrace_site(addr, size) };
    // INVARIANT: `ftrace_location_range()` returns 0 or the address of a record.
    NonZeroUsize::new(site).map(Site)
}

/// Emits the function that the C handler calls for each call of a hooked function. The emitted
/// function calls `$decide(site, task, proof) -> Option<CallTarget>`, which returns the target of
/// the call.
///
/// `$decide` runs in any context in which a hooked function is called. It must allocate nothing,
/// take no lock, print nothing, not panic, and call no function that ftrace can trace.
#[macro_export]
macro_rules! ftrace_target {
    ($decide:path) => {
        /// # Safety
        ///
        /// `rlp_ftrace_handler()` calls this, with preemption off, for a function that is hooked at
        /// `site` and called by `task`. Either a grace period of RCU waits for this section
        /// (`rcu_waits_for_this_cpu()` in `rust/helpers/ftrace.c`), or this is a call by
        /// `rlp_ftrace_target_unwatched()`.
        #[no_mangle]
        #[inline(never)]
        unsafe extern "C" fn rlp_ftrace_target(
            site: usize,
            task: *mut ::kernel::bindings::task_struct,
        ) -> usize {
            // SAFETY: ftrace calls the handler with the address of a record.
            let site = unsafe { $crate::ftrace::Site::from_raw(site) };
            // SAFETY: By the contract preemption is off, and RCU waits for this section, or an
            // `UnwatchedSection` exists in the caller.
            let proof = unsafe { $crate::rcu::ReadSide::assume() };
            let task = $crate::task::TaskId::from_raw(task);
            $crate::ftrace::CallTarget::address_or_zero($decide(site, task, &proof))
        }

        /// Does the same as `rlp_ftrace_target()` where RCU does not wait for the section.
        ///
        /// # Safety
        ///
        /// `rlp_ftrace_handler()` alone calls this, with preemption off, for a function that is
        /// hooked at `site` and called by `task`.
        #[no_mangle]
        #[cold]
        unsafe extern "C" fn rlp_ftrace_target_unwatched(
            site: usize,
            task: *mut ::kernel::bindings::task_struct,
        ) -> usize {
            let section = $crate::rcu::UnwatchedSection::enter();
            // SAFETY: By the contract; `section` exists until the call has returned.
            let target = unsafe { rlp_ftrace_target(site, task) };
            drop(section);
            target
        }
    };
}

/// Whether the function at `site` may have a direct target, such as that of a bpf program. The
/// answer may be stale at once. It is true for every function if the kernel lacks the symbol that
/// answers the question.
///
/// # Context
///
/// Any.
pub fn may_have_direct_target(site: Site) -> bool {
    // SAFETY: The function accepts any address.
    unsafe { rlp_bindings::rlp_ftrace_may_have_direct(site.address()) }
}

/// Returns the site of a function of this module that is never called, to be kept in a filter.
///
/// # Errors
///
/// `ENOENT` if the symbol is not found. `ENOMEM`, with a line in the log, if ftrace had no memory
/// for its records of this module: it lets a module load all the same (`ftrace_module_init()` in
/// `kernel/trace/ftrace.c`).
pub(crate) fn anchor(function: unsafe extern "C" fn()) -> Result<Site> {
    let (start, size) = crate::kallsyms::extent_of(function as usize).ok_or(ENOENT)?;
    site_of(start, size).ok_or(ENOMEM).inspect_err(|_| {
        pr_err!("ftrace has no records of this module: ftrace could not allocate them\n");
    })
}

/// An `ftrace_ops` whose handler calls the function that was given to [`ftrace_target!`]. The drop
/// unregisters it, and waits for tasks in its trampoline and for RCU-tasks.
///
/// # Invariants
///
/// `ops` is registered.
pub(crate) struct Registered {
    /// Freed if ftrace no longer uses it.
    ops: ManuallyDrop<Pin<KBox<Opaque<bindings::ftrace_ops>>>>,
}

// SAFETY: ftrace locks its accesses to an ops; the methods that change the ops take `&mut self`.
unsafe impl Send for Registered {}

impl Registered {
    /// Hooks all of `sites`, or none. `flags` are `FTRACE_OPS_FL_*`, in addition to
    /// `FTRACE_OPS_FL_DYNAMIC`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of `register_ftrace_function()`; `ENOMEM`.
    pub(crate) fn new(flags: u32, sites: &mut [Site]) -> Result<Self> {
        let ops = bindings::ftrace_ops {
            func: Some(rlp_bindings::rlp_ftrace_handler),
            flags: (bindings::FTRACE_OPS_FL_DYNAMIC | flags) as usize,
            ..Default::default()
        };
        let ops = KBox::pin(Opaque::new(ops), GFP_KERNEL)?;
        let result = filter(&ops, sites, false).and_then(|()| {
            // SAFETY: `ops` is pinned and initialised, and is only freed if ftrace no longer uses
            // it. Its handler is in this module. The module is not unloaded while the ops is
            // registered, with one exception: if ftrace has shut itself down, the ops of an anchor
            // may stay registered. No code calls the anchor (see `pin_after_shutdown()`).
            to_result(unsafe { bindings::register_ftrace_function(ops.get()) })
        });
        if let Err(e) = result {
            if e == ENODEV {
                // ftrace has shut itself down, and may still use the ops.
                core::mem::forget(ops);
                return Err(e);
            }
            // The ops was on the list for a moment, and the list is walked with preemption off
            // (`__ftrace_ops_list_func()`). `ftrace_startup()` does not wait if it refuses an ops.
            rcu::synchronize();
            // SAFETY: `ops` is not registered, and no CPU accesses it any more.
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
            // SAFETY: ftrace no longer uses the filter and the ops.
            unsafe {
                bindings::ftrace_free_filter(self.ops.get());
                ManuallyDrop::drop(&mut self.ops);
            }
        }
    }
}

/// Functions that the handler redirects: the function that was given to [`ftrace_target!`] returns
/// the target of each call.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     ftrace::{
///         self,
///         Redirection, //
///     },
///     kallsyms, //
/// };
///
/// let mut address = None;
/// kallsyms::each_in_vmlinux(c"cmdline_proc_show", |found| {
///     address = Some(found);
///     false
/// });
/// let (start, size) = address.and_then(kallsyms::extent_of).ok_or(ENOENT)?;
/// let site = ftrace::site_of(start, size).ok_or(EINVAL)?;
/// let redirection = Redirection::register(&mut [site])?;
/// // Unhooks the function.
/// drop(redirection);
/// # Ok::<(), Error>(())
/// ```
pub struct Redirection(Registered);

impl Redirection {
    /// Hooks all of `sites`, or none, with an ops of its own.
    ///
    /// When an ops is registered, ftrace asks the owner of a direct target on each function to
    /// share the function. When a site is added to a registered ops, ftrace does not ask.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of `register_ftrace_function()`: `EBUSY` if another ops redirects one of the
    /// functions; `EAGAIN` if an owner of a direct target is busy; `ENOMEM`. `EINVAL` if `sites` is
    /// empty: an empty filter means every function to ftrace.
    pub fn register(sites: &mut [Site]) -> Result<Self> {
        if sites.is_empty() {
            return Err(EINVAL);
        }
        // If ftrace has shut itself down before, it does not touch the sites. So this fails without
        // pinning this module.
        alive()?;
        Registered::new(bindings::FTRACE_OPS_FL_IPMODIFY, sites)
            .map(Self)
            .inspect_err(|&e| pin_after_shutdown(e))
    }

    /// Hooks an anchor, which keeps the ops registered until the drop, and no other function yet.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register); `ENOENT` if the symbol of the anchor is not found.
    pub fn anchored() -> Result<Self> {
        Self::register(&mut [anchor(rlp_bindings::rlp_anchor_handler)?])
    }

    /// Hooks all of `sites`, or none. No site may be hooked already.
    ///
    /// This takes one scan of the records of ftrace and one batch of text changes, for any number
    /// of sites.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of `ftrace_set_filter_ips()`: `EBUSY` if another ops redirects one of the functions;
    /// `ENOMEM`.
    pub fn hook(&mut self, sites: &mut [Site]) -> Result {
        filter(&self.0.ops, sites, false)
    }

    /// Unhooks all of `sites`, or none. Each site must be hooked, and at least one other site must
    /// stay hooked.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` if ftrace has shut itself down.
    pub fn unhook(&mut self, sites: &mut [Site]) -> Result {
        filter(&self.0.ops, sites, true)
    }

    /// Returns the handler of another ops that redirects the function at `site`, as an address for
    /// [`crate::kallsyms::name_of`]. Only for messages: the answer may be stale at once.
    ///
    /// # Context
    ///
    /// Process context.
    pub fn other_holder(&self, site: Site) -> Option<usize> {
        // SAFETY: `ops` is only used for comparisons.
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

/// Checks that ftrace has not shut itself down. ftrace shuts itself down when text of the kernel
/// does not hold what ftrace expects (`ftrace_bug()` in `kernel/trace/ftrace.c`).
///
/// # Context
///
/// Process context, may sleep.
///
/// # Errors
///
/// `ENODEV` if ftrace has shut itself down.
pub fn alive() -> Result {
    // SAFETY: The function only requires a context that may sleep.
    if unsafe { rlp_bindings::rlp_ftrace_alive() } {
        Ok(())
    } else {
        Err(ENODEV)
    }
}

/// Returns the result of a change of text for which ftrace returned `ret`.
///
/// The result is also `ENODEV` if ftrace has shut itself down during the change: ftrace returns 0
/// then. For `ENODEV` this does what [`pin_after_shutdown`] does.
///
/// # Context
///
/// Process context, may sleep.
///
/// # Errors
///
/// The error `ret`; `ENODEV` if ftrace has shut itself down.
pub(crate) fn change_result(ret: c_int) -> Result {
    to_result(ret)
        .and_then(|()| alive())
        .inspect_err(|&e| pin_after_shutdown(e))
}

/// Pins this module if a change of text has failed with `ENODEV`: ftrace has shut itself down, and
/// may keep calling into this module. The module can never be unloaded then. If the module is being
/// unloaded already, it cannot be pinned. Its anchors may stay hooked, but are never called. Its
/// stubs on functions of bpf (`rust/helpers/bpf.c`) may stay attached, and bpf still calls them.
fn pin_after_shutdown(error: Error) {
    // ORDERING: Relaxed. The partner is this line itself: one of the threads that reach it finds
    // false.
    if error == ENODEV && !PINNED.swap(true, Ordering::Relaxed) {
        // SAFETY: The function has no requirement.
        if unsafe { rlp_bindings::rlp_pin_loader() } {
            pr_err!("ftrace has shut itself down: the loader cannot be unloaded any more\n");
        }
    }
}

static PINNED: AtomicBool = AtomicBool::new(false);

/// Repeats `remove` while it fails with `ENOMEM`.
///
/// `remove` removes a part of this module, which is being unloaded, from ftrace. ftrace allocates
/// memory for a removal. If there is no memory, the removal must be repeated, because ftrace must
/// not keep the part.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// The errors of `remove`, except `ENOMEM`.
pub(crate) fn retry_enomem(mut remove: impl FnMut() -> Result) -> Result {
    loop {
        match remove() {
            Err(e) if e == ENOMEM => fsleep(Delta::from_millis(10)),
            result => return result,
        }
    }
}
