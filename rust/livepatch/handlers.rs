// SPDX-License-Identifier: GPL-2.0

//! Which functions have the handler: all in one ops of ftrace's, but for those that had a direct
//! target, as of a bpf program, when they were hooked.

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kernel_ext::{
    ftrace::{
        has_direct_target,
        Redirection,
        Site, //
    },
    sort, //
};

/// The functions that have it.
pub(crate) struct Handlers {
    redirection: Redirection,
    /// The owner of a direct target is only asked to leave room when an ops is registered.
    shared: KVec<Shared>,
}

struct Shared {
    redirection: Redirection,
    sites: KVVec<Site>,
}

/// How often, and with what pause in milliseconds, a busy owner of a direct target is asked again.
const ASK_AGAIN: (u32, i64) = (10, 2);

impl Handlers {
    /// None yet. `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            redirection: Redirection::anchored()?,
            shared: KVec::new(),
        })
    }

    /// Who else redirects the function at `site`, see [`Redirection::other_holder`].
    pub(crate) fn other_holder(&self, site: Site) -> Option<usize> {
        self.redirection.other_holder(site)
    }

    /// Puts the handler on all of `sites`, or none; none has it. Context: may sleep.
    ///
    /// Errors: see [`Redirection::hook`] and [`Redirection::register`].
    pub(crate) fn hook(&mut self, sites: &mut [Site]) -> Result {
        if !sites.iter().copied().any(has_direct_target) {
            self.redirection.hook(sites)?;
            // One may have come in between.
            if !sites.iter().copied().any(has_direct_target) {
                return Ok(());
            }
            self.redirection.unhook(sites)?;
        }
        let mut kept = KVVec::with_capacity(sites.len(), GFP_KERNEL)?;
        kept.extend_from_slice(sites, GFP_KERNEL)?;
        self.shared.reserve(1, GFP_KERNEL)?;
        let shared = Shared {
            redirection: register_with_retries(sites)?,
            sites: kept,
        };
        Ok(self.shared.push(shared, GFP_KERNEL)?)
    }

    /// As [`hook`](Self::hook) for functions that jump for us: their direct target is ours.
    pub(crate) fn hook_under_jumps(&mut self, sites: &mut [Site]) -> Result {
        self.redirection.hook(sites)
    }

    /// Takes the handler off `sites`, which are sorted, in whichever ops each is. Context: may sleep.
    ///
    /// `ENOMEM`, and what [`Redirection::unhook`] fails with.
    pub(crate) fn unhook(&mut self, sites: &[Site]) -> Result {
        let is_meant = |site: &Site| sites.binary_search(site).is_ok();
        let is_shared = |site: &Site| self.shared.iter().any(|s| s.sites.contains(site));
        let mut rest = collect_sorted(sites.iter().copied().filter(|site| !is_shared(site)))?;
        // Memory first, then what cannot fail for want of it: half of this cannot be repeated.
        let mut parts = KVec::with_capacity(self.shared.len(), GFP_KERNEL)?;
        for shared in &self.shared {
            let part = collect_sorted(shared.sites.iter().copied().filter(is_meant))?;
            parts.push(part, GFP_KERNEL)?;
        }
        for (shared, mut part) in self.shared.iter_mut().zip(parts) {
            // The last ones go with their ops, below.
            if part.len() < shared.sites.len() {
                shared.redirection.unhook(&mut part)?;
                shared.sites.retain(|site| !is_meant(site));
            }
        }
        self.redirection.unhook(&mut rest)?;
        self.shared
            .retain(|shared| !shared.sites.iter().all(is_meant));
        Ok(())
    }
}

fn register_with_retries(sites: &mut [Site]) -> Result<Redirection> {
    let (times, pause_ms) = ASK_AGAIN;
    for _ in 0..times {
        match Redirection::register(sites) {
            Err(e) if e == EAGAIN => fsleep(Delta::from_millis(pause_ms)),
            result => return result,
        }
    }
    Err(EBUSY)
}

/// Each of `sites` once, in their order. `ENOMEM`.
pub(crate) fn collect_sorted(sites: impl Iterator<Item = Site>) -> Result<KVVec<Site>> {
    let mut sorted = KVVec::new();
    for site in sites {
        sorted.push(site, GFP_KERNEL)?;
    }
    sort::by_key(&mut sorted, |&site| site);
    let mut last = None;
    sorted.retain(|&mut site| last.replace(site) != Some(site));
    Ok(sorted)
}
