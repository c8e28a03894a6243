// SPDX-License-Identifier: GPL-2.0

//! How functions are made to jump: in batches, or one by one. A function that does not jump has a
//! [`HandlerReason`].

use kernel::prelude::*;
use kernel_ext::{
    direct::{
        is_unsupported,
        Batches,
        Jump, //
    },
    ftrace::{
        self,
        CallTarget,
        Site, //
    }, //
};

/// Why a function is hooked by the handler and does not jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerReason {
    /// The function was hooked, or took part in a transition, a short while ago.
    Settling,
    /// The destination of the calls is the original code, so there is no jump.
    Original,
    /// The parameter `promote` is off.
    Off,
    /// The kernel does not support jumps, or no jump to this target. Or jumps are registered one by
    /// one, and the loader has made as many as it allows.
    Unsupported,
    /// Another user of direct targets, such as a bpf program, has the function.
    Taken,
}

/// Sites and their targets, as the two arrays that ftrace takes.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) sites: KVVec<Site>,
    pub(crate) targets: KVVec<CallTarget>,
}

impl Batch {
    /// Adds a site and its target.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, site: Site, target: CallTarget) -> Result {
        self.sites.push(site, GFP_KERNEL)?;
        Ok(self.targets.push(target, GFP_KERNEL)?)
    }
}

/// The functions that jump, and how their jumps are registered.
pub(crate) enum Jumps {
    /// In batches.
    Batched(Batches),
    /// One by one, if the kernel does not support batches.
    Single(KVec<(Site, Jump)>),
}

/// The maximum number of functions whose jumps are registered one by one. Unregistering one jump
/// waits for RCU-tasks, and an operator who disables a patch waits for all of the jumps.
const MAX_SINGLE_JUMPS: usize = 16;

impl Jumps {
    /// Creates the jumps without functions.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Batches::anchored`].
    pub(crate) fn new() -> Result<Self> {
        Ok(match Batches::anchored()? {
            Some(batches) => Self::Batched(batches),
            None => Self::Single(KVec::with_capacity(MAX_SINGLE_JUMPS, GFP_KERNEL)?),
        })
    }

    /// Makes the functions at `sites` jump to their `targets`, and reports the result for each.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `ENODEV` if ftrace has shut itself down. Some functions may jump then, as
    /// reported.
    pub(crate) fn add(
        &mut self,
        sites: &[Site],
        targets: &[CallTarget],
        report: &mut impl FnMut(Site, Result<CallTarget, HandlerReason>),
    ) -> Result {
        ftrace::alive()?;
        match self {
            Self::Batched(batches) => add_batch(batches, sites, targets, report),
            Self::Single(jumps) => {
                for (&site, &target) in sites.iter().zip(targets) {
                    let result = add_single(jumps, site, target);
                    // As in `add_batch()`: it is unknown whether the function jumps.
                    if result == Err(ENODEV) {
                        report(site, Ok(target));
                    }
                    report(site, result?);
                }
                Ok(())
            }
        }
    }

    /// Removes the jumps of `batch`, which has their targets.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: all functions still jump. `ENODEV` if ftrace has shut itself down.
    pub(crate) fn remove(&mut self, batch: &Batch) -> Result {
        match self {
            Self::Batched(batches) => batches.remove(&batch.sites, &batch.targets),
            Self::Single(_) if batch.sites.is_empty() => Ok(()),
            Self::Single(jumps) => {
                // If ftrace has shut itself down, the functions jump until the next boot.
                ftrace::alive()?;
                jumps.retain(|(site, _)| !batch.sites.contains(site));
                // Dropping a jump returns no error, so ask ftrace.
                ftrace::alive()
            }
        }
    }
}

/// Registers a batch of jumps. If that fails, splits the batch in halves, until only the functions
/// that cannot jump are left out.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`, or `ENODEV` if ftrace has shut itself down. The functions that were not passed to
/// `report` do not jump then.
fn add_batch(
    batches: &mut Batches,
    sites: &[Site],
    targets: &[CallTarget],
    report: &mut impl FnMut(Site, Result<CallTarget, HandlerReason>),
) -> Result {
    let result = batches.add(sites, targets);
    match result {
        Err(e) if e == ENOMEM => result,
        Err(e) if e != ENODEV => {
            let half = sites.len() / 2;
            match (sites.split_at_checked(half), targets.split_at_checked(half)) {
                (Some((a, b)), Some((c, d))) if half > 0 => {
                    add_batch(batches, a, c, report)?;
                    add_batch(batches, b, d, report)
                }
                _ => {
                    sites
                        .iter()
                        .for_each(|&site| report(site, Err(HandlerReason::Taken)));
                    Ok(())
                }
            }
        }
        // If ftrace has shut itself down, it is unknown whether the functions jump. They are
        // reported as jumping, so that the patch with their targets is not released.
        _ => {
            for (&site, &target) in sites.iter().zip(targets) {
                report(site, Ok(target));
            }
            result
        }
    }
}

/// Registers one jump. The inner error is the reason why the function stays under the handler.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`, or `ENODEV` if ftrace has shut itself down.
fn add_single(
    jumps: &mut KVec<(Site, Jump)>,
    site: Site,
    target: CallTarget,
) -> Result<Result<CallTarget, HandlerReason>> {
    if jumps.len() == MAX_SINGLE_JUMPS {
        return Ok(Err(HandlerReason::Unsupported));
    }
    match Jump::new(site, target) {
        Ok(jump) => {
            // There is room: the list was created with this capacity.
            jumps.push((site, jump), GFP_KERNEL)?;
            Ok(Ok(target))
        }
        Err(e) if e == ENOMEM || e == ENODEV => Err(e),
        Err(e) if is_unsupported(e) => Ok(Err(HandlerReason::Unsupported)),
        Err(_) => Ok(Err(HandlerReason::Taken)),
    }
}
