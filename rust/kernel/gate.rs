// SPDX-License-Identifier: GPL-2.0

//! Symbols that vmlinux has and does not export; see `rust/helpers/gate.c`.

use kernel::{error::to_result, prelude::*, str::CStr};

/// Looks up every symbol. Names in the log what is missing and what is lost without it.
///
/// Context: process context, may sleep; once, before anything else of this crate is used.
///
/// # Errors
///
/// `ENOENT` where the kernel has no kprobe on `kallsyms_lookup_name`, or lacks a symbol that the
/// loader cannot do without.
pub fn open() -> Result {
    // SAFETY: Process context; called once, by the loader's init.
    to_result(unsafe { rlp_bindings::rlp_gate_open() }).inspect_err(|_| {
        pr_err!("cannot look up symbols: no kprobe on kallsyms_lookup_name\n");
    })?;

    let mut complete = true;
    for nr in 0.. {
        // SAFETY: Any number may be asked for.
        let symbol = unsafe { rlp_bindings::rlp_gate_symbol(nr) };
        // SAFETY: The pointer is null or into a static table of the C helper.
        let Some(symbol) = (unsafe { symbol.as_ref() }) else {
            break;
        };
        if symbol.found {
            continue;
        }
        // SAFETY: The table holds literals.
        let name = unsafe { CStr::from_char_ptr(symbol.name) };
        if symbol.without.is_null() {
            complete = false;
            pr_err!("the kernel lacks '{}', which the loader needs\n", name);
        } else {
            // SAFETY: As above.
            let lost = unsafe { CStr::from_char_ptr(symbol.without) };
            pr_notice!("the kernel lacks '{}': {}\n", name, lost);
        }
    }
    if complete {
        Ok(())
    } else {
        Err(ENOENT)
    }
}
