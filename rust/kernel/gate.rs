// SPDX-License-Identifier: GPL-2.0

//! Symbols that vmlinux has and does not export; see `rust/helpers/gate.c`.
//!
//! Until the gate is open, the functions of this crate that use these symbols fail. Look-ups find
//! no symbol, no module, no fentry site and no idle task. `with_quiescent()` does not call its
//! closure, and every stack is unreliable. Functions that cannot return such a result take a
//! [`Gate`].

use crate::{
    atomic::{
        AtomicBool,
        Ordering, //
    },
    cpu,
    kobject::{
        Parent,
        Releases, //
    },
    rcu,
    tracepoint_probe, //
};
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr, //
};

/// The proof that the gate is open. Copies of it are not used after [`OpenGate`] was dropped, by
/// the contract of [`open`].
#[derive(Clone, Copy)]
pub struct Gate(());

impl Gate {
    /// Returns `/sys/kernel`, as the parent of a directory of this module.
    pub fn sysfs(self) -> Parent<'static> {
        // SAFETY: By the contract of `open()`, the directories are dropped before `OpenGate`, and
        // the module is not freed until that drop has called `RELEASES.wait()`.
        unsafe { Parent::kernel(&RELEASES) }
    }
}

static RELEASES: Releases = Releases::new();

/// The open gate.
///
/// The drop waits until no CPU stopper, no tracepoint probe and no kobject of this crate needs code
/// of the module any more. Functions that request a stopper, register a probe or make a directory
/// take a [`Gate`], which only this value returns.
///
/// # Context
///
/// The drop may sleep. The caller must not hold a lock that another task needs.
pub struct OpenGate(());

impl OpenGate {
    /// Returns a copy of the proof. The contract of [`open`] limits its use to the life of `self`.
    pub fn gate(&self) -> Gate {
        Gate(())
    }
}

impl Drop for OpenGate {
    fn drop(&mut self) {
        cpu::wait_for_reschedules();
        tracepoint_probe::synchronize();
        RELEASES.wait();
        // The last release may have been preempted between its decrement and its return.
        rcu::synchronize_tasks();
    }
}

/// Set by the first call of [`open`], even if the call fails, and never cleared.
static OPENED: AtomicBool = AtomicBool::new(false);

/// Looks up every symbol. Logs each missing symbol, with the loss that it causes.
///
/// # Context
///
/// Process context, may sleep.
///
/// # Errors
///
/// `EBUSY` if this was called before; the error of `register_kprobe()`, for the kprobe on
/// `kallsyms_lookup_name`; `ENOENT` if the kernel lacks a symbol that the loader needs.
///
/// # Safety
///
/// When the returned value is dropped, every value that was made with a [`Gate`] was dropped
/// earlier, and no [`Gate`] is used any more. The module's text stays until the drop has returned.
pub unsafe fn open() -> Result<OpenGate> {
    // ORDERING: Relaxed. The partner is this line in other threads. Only the swap itself must be
    // atomic: exactly one caller reads false.
    if OPENED.swap(true, Ordering::Relaxed) {
        return Err(EBUSY);
    }
    // SAFETY: Process context; `OPENED` lets this be called once.
    to_result(unsafe { rlp_bindings::rlp_gate_open() }).inspect_err(|_| {
        pr_err!("cannot look up symbols: failed to register a kprobe on kallsyms_lookup_name\n");
    })?;

    let mut complete = true;
    for nr in 0.. {
        // SAFETY: The function accepts any number.
        let symbol = unsafe { rlp_bindings::rlp_gate_symbol(nr) };
        // SAFETY: The pointer is null or into a static table of the C helper.
        let Some(symbol) = (unsafe { symbol.as_ref() }) else {
            break;
        };
        if symbol.found {
            continue;
        }
        // SAFETY: The name is a literal.
        let name = unsafe { CStr::from_char_ptr(symbol.name) };
        if symbol.without.is_null() {
            complete = false;
            pr_err!("the kernel lacks '{}', which the loader needs\n", name);
        } else {
            // SAFETY: Not null, and a literal.
            let lost = unsafe { CStr::from_char_ptr(symbol.without) };
            pr_notice!("the kernel lacks '{}': {}\n", name, lost);
        }
    }
    if complete {
        Ok(OpenGate(()))
    } else {
        Err(ENOENT)
    }
}
