// SPDX-License-Identifier: GPL-2.0

//! The functions that are hooked by the handler.
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
    /// The shared `ftrace_ops`. Its filter also has an anchor: a function of the loader that is
    /// never called, and that keeps the `ftrace_ops` registered.
    main: OpsAndSites,
    /// ftrace asks the owner of a direct target to share the function only when an `ftrace_ops` is
    /// registered, so each batch of such functions has an `ftrace_ops` of its own.
    shared: KVec<OpsAndSites>,
}

/// An `ftrace_ops`, and the functions in its filter, except the anchor.
struct OpsAndSites {
    redirection: Redirection,
    sites: KVVec<Site>,
}

/// The number of attempts to register an `ftrace_ops` while the owner of a direct target is busy.
const REGISTER_TRIES: u32 = 10;
/// The pause between two attempts.
const REGISTER_PAUSE: Delta = Delta::from_millis(2);
/// The number of attempts to undo a change while memory is short.
const UNDO_TRIES: u32 = 100;
/// The pause between two attempts.
const UNDO_PAUSE: Delta = Delta::from_millis(10);

impl OpsAndSites {
    /// Adds `sites` to the filter, all or none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Redirection::hook`].
    fn hook(&mut self, sites: &mut [Site]) -> Result {
        self.sites.reserve(sites.len(), GFP_KERNEL)?;
        self.redirection.hook(sites)?;
        Ok(self.sites.extend_from_slice(sites, GFP_KERNEL)?)
    }

    /// Removes the selected sites from the filter, all or none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Redirection::unhook`].
    fn unhook(&mut self, is_selected: impl Fn(Site) -> bool) -> Result {
        let selected = self.sites.iter().copied().filter(|&site| is_selected(site));
        self.redirection.unhook(&mut collect_sorted(selected)?)?;
        self.sites.retain(|&mut site| !is_selected(site));
        Ok(())
    }

    fn any(&self, is_selected: impl Fn(Site) -> bool) -> bool {
        self.sites.iter().any(|&site| is_selected(site))
    }
}

impl Handlers {
    /// Creates the handler without functions.
    ///
    /// # Errors
    ///
    /// Those of [`Redirection::anchored`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            main: OpsAndSites {
                redirection: Redirection::anchored()?,
                sites: KVVec::new(),
            },
            shared: KVec::new(),
        })
    }

    /// Returns the address of the handler with which another user redirects the function at `site`;
    /// see [`Redirection::other_holder`].
    pub(crate) fn other_holder(&self, site: Site) -> Option<usize> {
        self.main.redirection.other_holder(site)
    }

    /// Whether a site for which `is_selected` returns true has the handler.
    pub(crate) fn any(&self, is_selected: impl Fn(Site) -> bool) -> bool {
        self.main.any(&is_selected) || self.shared.iter().any(|shared| shared.any(&is_selected))
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
    /// [`Redirection::hook`] and [`Redirection::register`]. If memory stays short, functions may
    /// have the handler after an error. [`unhook`](Self::unhook) removes it.
    pub(crate) fn hook(&mut self, sites: &mut [Site]) -> Result {
        if !sites.iter().copied().any(may_have_direct_target) {
            self.main.hook(sites)?;
            // A direct target may have been registered in between.
            if !sites.iter().copied().any(may_have_direct_target) {
                return Ok(());
            }
            self.undo_hook(sites)?;
        }
        let mut kept = KVVec::with_capacity(sites.len(), GFP_KERNEL)?;
        kept.extend_from_slice(sites, GFP_KERNEL)?;
        self.shared.reserve(1, GFP_KERNEL)?;
        let shared = OpsAndSites {
            redirection: register_with_retries(sites)?,
            sites: kept,
        };
        Ok(self.shared.push(shared, GFP_KERNEL)?)
    }

    fn undo_hook(&mut self, sites: &[Site]) -> Result {
        for _ in 0..UNDO_TRIES {
            // `sites` are sorted: `Hooks::hook()` has made the list.
            match self.main.unhook(|site| sites.binary_search(&site).is_ok()) {
                Err(e) if e == ENOMEM => fsleep(UNDO_PAUSE),
                result => return result,
            }
        }
        Err(ENOMEM)
    }

    /// Like [`hook`](Self::hook), for functions that the loader has made jump: their direct targets
    /// are the loader's own.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Redirection::hook`].
    pub(crate) fn hook_under_jumps(&mut self, sites: &mut [Site]) -> Result {
        self.main.hook(sites)
    }

    /// Unhooks the selected sites, each from the `ftrace_ops` that has it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Redirection::unhook`]. Some of the sites may be unhooked then. The
    /// call can be repeated.
    pub(crate) fn unhook(&mut self, is_selected: impl Fn(Site) -> bool) -> Result {
        self.main.unhook(&is_selected)?;
        // An `ftrace_ops` whose functions are all selected is dropped, which unhooks them.
        self.shared
            .retain(|shared| shared.any(|site| !is_selected(site)));
        for shared in self.shared.iter_mut() {
            shared.unhook(&is_selected)?;
        }
        Ok(())
    }
}

/// Registers an `ftrace_ops` for `sites`, and retries while the owner of a direct target is busy.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `EBUSY` if the owner stays busy, and those of [`Redirection::register`].
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
