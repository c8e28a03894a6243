// SPDX-License-Identifier: GPL-2.0

//! By which means functions come to jump: all at once, one by one, or not at all.

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

/// Why a function does not jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerReason {
    /// Not yet: it was hooked, or took part in a transition, a short while ago.
    Settling,
    /// It goes its original way: there is nothing to jump to.
    Original,
    /// The parameter `promote` is off.
    Off,
    /// The kernel has no means, or none for so many or for such a target.
    Unsupported,
    /// Another user of direct targets, such as a bpf program, is on it.
    Taken,
}

/// Sites and their targets, as two arrays for ftrace.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) sites: KVVec<Site>,
    pub(crate) targets: KVVec<CallTarget>,
}

impl Batch {
    /// Adds one. `ENOMEM`.
    pub(crate) fn push(&mut self, site: Site, target: CallTarget) -> Result {
        self.sites.push(site, GFP_KERNEL)?;
        Ok(self.targets.push(target, GFP_KERNEL)?)
    }
}

/// What jumps, and how it was made to.
pub(crate) enum Jumps {
    /// In batches.
    Batched(Batches),
    /// One by one, for what the kernel lacks.
    Single(KVec<(Site, Jump)>),
}

/// How many functions jump if each is made to by itself: to undo that takes a wait for RCU-tasks
/// for each, and an operator waits for that when a patch is disabled.
const MOST_SINGLE: usize = 16;

impl Jumps {
    /// None yet. `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(match Batches::anchored()? {
            Some(batches) => Self::Batched(batches),
            None => Self::Single(KVec::with_capacity(MOST_SINGLE, GFP_KERNEL)?),
        })
    }

    /// Makes those of `sites` jump to their `targets` that can, and tells what became of each.
    ///
    /// Context: may sleep. `ENOMEM`, or `ENODEV` where ftrace has shut itself down; some may jump
    /// then, as was told.
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
                    // As for a batch: nobody knows.
                    if result == Err(ENODEV) {
                        report(site, Ok(target));
                    }
                    report(site, result?);
                }
                Ok(())
            }
        }
    }

    /// Undoes that for all of `batch`, which jump where it says.
    ///
    /// Context: may sleep, also to wait for memory. Fails where ftrace has shut itself down.
    pub(crate) fn remove(&mut self, batch: &Batch) -> Result {
        match self {
            Self::Batched(batches) => batches.remove(&batch.sites, &batch.targets),
            Self::Single(_) if batch.sites.is_empty() => Ok(()),
            Self::Single(jumps) => {
                jumps.retain(|(site, _)| !batch.sites.contains(site));
                // Dropped, they cannot tell.
                ftrace::alive()
            }
        }
    }
}

/// Halves the batch until only those are left out that cannot.
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
        // If ftrace has shut itself down, nobody knows: what is taken to jump keeps its patch.
        _ => {
            for (&site, &target) in sites.iter().zip(targets) {
                report(site, Ok(target));
            }
            result
        }
    }
}

fn add_single(
    jumps: &mut KVec<(Site, Jump)>,
    site: Site,
    target: CallTarget,
) -> Result<Result<CallTarget, HandlerReason>> {
    if jumps.len() == MOST_SINGLE {
        return Ok(Err(HandlerReason::Unsupported));
    }
    match Jump::new(site, target) {
        Ok(jump) => {
            // There is room: it was made for so many.
            jumps.push((site, jump), GFP_KERNEL)?;
            Ok(Ok(target))
        }
        Err(e) if e == ENOMEM || e == ENODEV => Err(e),
        Err(e) if is_unsupported(e) => Ok(Err(HandlerReason::Unsupported)),
        Err(_) => Ok(Err(HandlerReason::Taken)),
    }
}
