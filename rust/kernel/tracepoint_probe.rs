// SPDX-License-Identifier: GPL-2.0

//! Probes on tracepoints of vmlinux.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use core::{
    ffi::c_void,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    str::CStr, //
};

/// A tracepoint of vmlinux, which is never freed.
#[derive(Clone, Copy)]
pub struct Tracepoint(NonNull<bindings::tracepoint>);

// SAFETY: Any thread may use a tracepoint, which has a lock.
unsafe impl Send for Tracepoint {}
// SAFETY: As for `Send`.
unsafe impl Sync for Tracepoint {}

impl Tracepoint {
    /// Finds the tracepoint `name`. Most tracepoints are not exported to modules; all can be found.
    ///
    /// # Context
    ///
    /// Process context. Walks all tracepoints.
    pub fn find(name: &CStr) -> Option<Self> {
        let mut search = Search { name, found: None };
        // SAFETY: `Search::visit` gets the search, which lives until the walk has ended.
        unsafe {
            bindings::for_each_kernel_tracepoint(Some(Search::visit), (&raw mut search).cast());
        }
        search.found.map(Self)
    }
}

/// A search for a tracepoint.
struct Search<'a> {
    name: &'a CStr,
    found: Option<NonNull<bindings::tracepoint>>,
}

impl Search<'_> {
    /// # Safety
    ///
    /// `tracepoint` is one of vmlinux, and `search` is a `Self` that nothing else uses.
    unsafe extern "C" fn visit(tracepoint: *mut bindings::tracepoint, search: *mut c_void) {
        // SAFETY: By the contract. The name of a tracepoint is a literal.
        let (search, name) = unsafe {
            (
                &mut *search.cast::<Self>(),
                CStr::from_char_ptr((*tracepoint).name),
            )
        };
        if *name == *search.name {
            search.found = NonNull::new(tracepoint);
        }
    }
}

/// A probe on a tracepoint, without data of its own. The drop unregisters it.
///
/// After the drop, calls of the probe may be in progress until [`synchronize`] has returned. The
/// drop does not wait for them: a task that sleeps in another probe on a system call would delay
/// the wait, and the caller may hold locks.
///
/// # Examples
///
/// ```
/// use core::{
///     ffi::c_void,
///     sync::atomic::{
///         AtomicUsize,
///         Ordering, //
///     }, //
/// };
/// use kernel_ext::tracepoint_probe::{
///     synchronize,
///     Probe,
///     Tracepoint, //
/// };
///
/// static SWITCHES: AtomicUsize = AtomicUsize::new(0);
///
/// /// # Safety
/// ///
/// /// The tracepoint `sched_switch` calls this.
/// unsafe extern "C" fn count(
///     _data: *mut c_void,
///     _preempt: bool,
///     _prev: *mut kernel::bindings::task_struct,
///     _next: *mut kernel::bindings::task_struct,
///     _prev_state: kernel::ffi::c_uint,
/// ) {
///     SWITCHES.fetch_add(1, Ordering::Relaxed);
/// }
///
/// if let Some(tracepoint) = Tracepoint::find(c"sched_switch") {
///     // SAFETY: `count` has the type of the tracepoint. It is not freed before `synchronize()`.
///     let probe = unsafe { Probe::register(tracepoint, count as *mut c_void)? };
///     drop(probe);
///     synchronize();
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct Probe {
    tracepoint: Tracepoint,
    probe: *mut c_void,
}

// SAFETY: Tracepoints may be unregistered by any thread.
unsafe impl Send for Probe {}

// SAFETY: A shared reference gives access to nothing.
unsafe impl Sync for Probe {}

impl Probe {
    /// Registers `probe` on `tracepoint`.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` if the probe is registered already.
    ///
    /// # Safety
    ///
    /// - `probe` has the type of `TP_PROTO` of the tracepoint, with the data pointer in front.
    /// - After the drop, [`synchronize`] is called before the code of the probe is freed.
    pub unsafe fn register(tracepoint: Tracepoint, probe: *mut c_void) -> Result<Self> {
        // SAFETY: The tracepoint is never freed; `probe` has its type by the contract.
        to_result(unsafe {
            bindings::tracepoint_probe_register(tracepoint.0.as_ptr(), probe, null_mut())
        })?;
        Ok(Self { tracepoint, probe })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: Registered in `register()`, with these arguments.
        unsafe {
            bindings::tracepoint_probe_unregister(
                self.tracepoint.0.as_ptr(),
                self.probe,
                null_mut(),
            );
        }
    }
}

/// Waits until no call of a probe that was dropped is in progress.
///
/// # Context
///
/// Process context, sleeps. The caller must not hold a lock that another task needs.
pub fn synchronize() {
    // SAFETY: Process context.
    unsafe { rlp_bindings::rlp_tracepoint_synchronize() }
}
