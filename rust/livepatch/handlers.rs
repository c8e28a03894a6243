// SPDX-License-Identifier: GPL-2.0

//! Which functions are hooked by the handler.
//!
//! Functions are hooked in batches. A batch has an `ftrace_ops` of its own if one of its functions
//! may have a direct target of another user, such as that of a bpf program. All other functions
//! share one `ftrace_ops`.

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kernel_ext::{
    ftrace::{
        may_have_direct_target,
        Redirection,
        Site, //
    },
    sort, //
};

/// The functions that are hooked by the handler.
pub(crate) struct Handlers {
    redirection: Redirection,
    /// ftrace asks the owner of a direct target to share the function when an `ftrace_ops` is
    /// registered, and not when a function is added later. So each batch of such functions has an
    /// `ftrace_ops` of its own.
    shared: KVec<Shared>,
}

/// Functions that are shared with the owners of direct targets.
struct Shared {
    redirection: Redirection,
    sites: KVVec<Site>,
}

/// The number of attempts to register an `ftrace_ops` while the owner of a direct target is busy.
const REGISTER_TRIES: u32 = 10;
/// The pause between two attempts.
const REGISTER_PAUSE: Delta = Delta::from_millis(2);

impl Handlers {
    /// Creates the handler without functions.
    ///
    /// # Errors
    ///
    /// Those of [`Redirection::anchored`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            redirection: Redirection::anchored()?,
            shared: KVec::new(),
        })
    }

    /// Returns the address of another user's function to which the function at `site` is
    /// redirected; see [`Redirection::other_holder`].
    pub(crate) fn other_holder(&self, site: Site) -> Option<usize> {
        self.redirection.other_holder(site)
    }

    /// Hooks all of `sites`, or none. None of them is hooked yet.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the owner of a direct target stays busy, `ENOMEM`, and those of
    /// [`Redirection::hook`] and [`Redirection::register`].
    pub(crate) fn hook(&mut self, sites: &mut [Site]) -> Result {
        if !sites.iter().copied().any(may_have_direct_target) {
            self.redirection.hook(sites)?;
            // A direct target may have been registered in between.
            if !sites.iter().copied().any(may_have_direct_target) {
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

    /// Like [`hook`](Self::hook), for promoted functions: their direct targets are the loader's
    /// own.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Redirection::hook`].
    pub(crate) fn hook_under_jumps(&mut self, sites: &mut [Site]) -> Result {
        self.redirection.hook(sites)
    }

    /// Unhooks `sites`, which are sorted, each from the `ftrace_ops` that has it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Redirection::unhook`].
    pub(crate) fn unhook(&mut self, sites: &[Site]) -> Result {
        let is_selected = |site: &Site| sites.binary_search(site).is_ok();
        let is_shared = |site: &Site| self.shared.iter().any(|s| s.sites.contains(site));
        let mut unshared = collect_sorted(sites.iter().copied().filter(|site| !is_shared(site)))?;
        // All memory is allocated first: a call that failed half-way could not be repeated.
        let mut parts = KVec::with_capacity(self.shared.len(), GFP_KERNEL)?;
        for shared in &self.shared {
            let part = collect_sorted(shared.sites.iter().copied().filter(is_selected))?;
            parts.push(part, GFP_KERNEL)?;
        }
        for (shared, mut part) in self.shared.iter_mut().zip(parts) {
            // The last functions of an `ftrace_ops` are unhooked when it is dropped, below.
            if part.len() < shared.sites.len() {
                shared.redirection.unhook(&mut part)?;
                shared.sites.retain(|site| !is_selected(site));
            }
        }
        self.redirection.unhook(&mut unshared)?;
        self.shared
            .retain(|shared| !shared.sites.iter().all(is_selected));
        Ok(())
    }
}

/// Registers an `ftrace_ops` for `sites`, and retries while the owner of a direct target is busy.
fn register_with_retries(sites: &mut [Site]) -> Result<Redirection> {
    for _ in 0..REGISTER_TRIES {
        match Redirection::register(sites) {
            Err(e) if e == EAGAIN => fsleep(REGISTER_PAUSE),
            result => return result,
        }
    }
    Err(EBUSY)
}

/// Returns `sites` sorted and without duplicates.
///
/// # Errors
///
/// `ENOMEM`.
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
