// SPDX-License-Identifier: GPL-2.0

//! Redirecting functions with one `ftrace_ops` for any number of them.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use crate::{
    atomic::{AtomicBool, Ordering},
    rcu,
};
use core::mem::ManuallyDrop;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    time::{delay::fsleep, Delta},
    types::Opaque, //
};

/// The address of a function's fentry site, as [`site_of`] found it.
pub type Site = usize;

/// The fentry site of the function of `size` bytes at `addr`, if it has one that ftrace may use.
///
/// Rust functions have none, nor have those marked `notrace`. One further inside, where the symbol
/// has swallowed what comes behind it, is not taken for it.
///
/// Context: any.
pub fn site_of(addr: usize, size: usize) -> Option<Site> {
    // SAFETY: Any range may be asked for (`ftrace_location_range()` in `kernel/trace/ftrace.c`).
    match unsafe { rlp_bindings::rlp_ftrace_site(addr, size) } {
        0 => None,
        site => Some(site),
    }
}

/// Emits what the C handler calls: `$decide(site, task, proof) -> Option<NonZeroUsize>`.
///
/// The function runs wherever a hooked function is called: no allocation, no lock, no printing, no
/// panic, nothing that ftrace can trace.
#[macro_export]
macro_rules! ftrace_target {
    ($decide:path) => {
        #[no_mangle]
        extern "C" fn rlp_ftrace_target(
            site: usize,
            task: *mut ::kernel::bindings::task_struct,
        ) -> usize {
            // SAFETY: `rlp_ftrace_handler()` calls this with preemption off. RCU watches: what
            // runs where it does not is noinstr, but for little that is not for patching
            // (Documentation/ordering.rst, "What is not claimed").
            let proof = unsafe { $crate::rcu::ReadSide::assume() };
            $decide(site, $crate::task::TaskId::from_raw(task), &proof)
                .map_or(0, ::core::num::NonZeroUsize::get)
        }
    };
}

/// Whether the function at `site` has a direct target, as of a bpf program. Stale at once.
pub fn has_direct_target(site: Site) -> bool {
    // SAFETY: Any address may be asked for.
    unsafe { rlp_bindings::rlp_ftrace_has_direct(site) }
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
            // ftrace has shut itself down, before all but its anchor is: see `outcome()`.
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
        if outcome(ret).is_ok() {
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
        surely(|| filter(&self.0.ops, sites, true))
    }

    /// The handler of whoever else redirects the function at `site`, as an address to be printed
    /// by [`crate::kallsyms::name_of`]. Stale at once: for messages alone.
    pub fn other_holder(&self, site: Site) -> Option<usize> {
        // SAFETY: `ops` is only compared with.
        match unsafe { rlp_bindings::rlp_ftrace_holder(site, self.0.ops.get()) } {
            0 => None,
            handler => Some(handler),
        }
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
    // SAFETY: `ops` is initialised, and `sites` has `nr` elements, which are read alone.
    outcome(unsafe {
        bindings::ftrace_set_filter_ips(ops.get(), sites.as_mut_ptr(), nr, i32::from(remove), 0)
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
pub(crate) fn outcome(ret: c_int) -> Result {
    let result = to_result(ret).and_then(|()| alive());
    // ORDERING: Relaxed, partner this same line: one of those that get here wins.
    if result == Err(ENODEV) && !STAYS.swap(true, Ordering::Relaxed) {
        // SAFETY: It has no contract.
        if unsafe { rlp_bindings::rlp_pin_loader() } {
            pr_err!("ftrace has shut itself down: the loader cannot be unloaded any more\n");
        }
    }
    result
}

static STAYS: AtomicBool = AtomicBool::new(false);

/// Does what takes something of this module, or of one that goes, out of ftrace. ftrace allocates
/// to take away, and must not keep it for want of memory.
pub(crate) fn surely(mut take_out: impl FnMut() -> Result) -> Result {
    loop {
        match take_out() {
            Err(e) if e == ENOMEM => fsleep(Delta::from_millis(10)),
            result => return result,
        }
    }
}
