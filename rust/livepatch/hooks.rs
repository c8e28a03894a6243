// SPDX-License-Identifier: GPL-2.0

//! The hooked functions. Each is hooked by the handler or by a jump.
//!
//! A transition needs the handler, which chooses the destination of each call. While no
//! transition runs there is nothing to decide. Then a hooked function can jump to its replacement,
//! which costs one instruction. All changes are made in batches, since ftrace scans all its records
//! for each change.

use crate::{
    handlers::{
        collect_sorted,
        Handlers, //
    },
    jumps::{
        Batch,
        HandlerReason,
        Jumps, //
    }, //
};
use kernel::prelude::*;
use kernel_ext::{
    direct,
    ftrace::{
        CallTarget,
        Site, //
    },
    sort, //
};

/// How a function is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By the handler.
    Handler(HandlerReason),
    /// By the handler and by a jump to this address. The jump wins.
    HandlerAndJump(CallTarget),
    /// By a jump to this address.
    Jump(CallTarget),
}

#[derive(Clone, Copy)]
struct Hook {
    site: Site,
    mode: Mode,
}

/// The mode of each hooked function, and the handlers and jumps that implement the modes.
pub(crate) struct Hooks {
    jumps: Jumps,
    handlers: Handlers,
    /// Sorted by site.
    hooks: KVVec<Hook>,
}

impl Hooks {
    /// Creates the hooks without functions.
    ///
    /// # Errors
    ///
    /// Those of [`Jumps::new`] and [`Handlers::new`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            jumps: Jumps::new()?,
            handlers: Handlers::new()?,
            hooks: KVVec::new(),
        })
    }

    fn position(&self, site: Site) -> Result<usize, usize> {
        position(&self.hooks, site)
    }

    /// Returns how the function at `site` is hooked, if it is.
    pub(crate) fn mode(&self, site: Site) -> Option<Mode> {
        Some(self.hooks.get(self.position(site).ok()?)?.mode)
    }

    fn set_mode(&mut self, site: Site, mode: Mode) {
        set_mode(&mut self.hooks, site, mode);
    }

    /// Whether a site for which `is_selected` returns true is hooked, or has the handler after a
    /// failure.
    pub(crate) fn any(&self, is_selected: impl Fn(Site) -> bool) -> bool {
        self.hooks.iter().any(|hook| is_selected(hook.site)) || self.handlers.any(is_selected)
    }

    /// Whether a function does not jump because another user has taken it.
    pub(crate) fn is_any_taken(&self) -> bool {
        let taken = Mode::Handler(HandlerReason::Taken);
        self.hooks.iter().any(|hook| hook.mode == taken)
    }

    /// Returns the address of the handler with which another user redirects the function at `site`.
    /// [`name_of`](kernel_ext::kallsyms::name_of) returns the name for that address.
    pub(crate) fn other_holder(&self, site: Site) -> Option<usize> {
        self.handlers.other_holder(site)
    }

    /// Hooks the functions at `sites` that are not hooked yet, by the handler: all of them, or
    /// none. `sites` may have duplicates.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Handlers::hook`].
    pub(crate) fn hook(&mut self, sites: impl Iterator<Item = Site>) -> Result {
        let mut fresh = collect_sorted(sites.filter(|&site| self.position(site).is_err()))?;
        let len = self.hooks.len().checked_add(fresh.len()).ok_or(ENOMEM)?;
        let mut hooks = KVVec::with_capacity(len, GFP_KERNEL)?;
        hooks.extend_from_slice(&self.hooks, GFP_KERNEL)?;
        for &site in &fresh {
            let mode = Mode::Handler(HandlerReason::Settling);
            hooks.push(Hook { site, mode }, GFP_KERNEL)?;
        }
        sort::by_key(&mut hooks, |hook| hook.site);
        self.handlers.hook(&mut fresh)?;
        self.hooks = hooks;
        Ok(())
    }

    /// Unhooks all functions whose sites are not in `wanted`. No view in use may send a call of
    /// these functions to a replacement.
    ///
    /// If this fails, some functions may stay hooked. The next call retries them.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`Jumps::remove`] and [`Handlers::unhook`].
    pub(crate) fn retain(&mut self, wanted: impl Iterator<Item = Site>) -> Result {
        let wanted = collect_sorted(wanted)?;
        let is_wanted = |site: Site| wanted.binary_search(&site).is_ok();
        let mut jumping = Batch::default();
        for hook in self.hooks.iter().filter(|hook| !is_wanted(hook.site)) {
            match hook.mode {
                Mode::Handler(_) => (),
                Mode::Jump(target) | Mode::HandlerAndJump(target) => {
                    jumping.push(hook.site, target)?;
                }
            }
        }
        self.jumps.remove(&jumping)?;
        self.hooks.retain(|hook| match hook.mode {
            Mode::Jump(_) => is_wanted(hook.site),
            _ => true,
        });
        for &site in &jumping.sites {
            self.set_mode(site, Mode::Handler(HandlerReason::Settling));
        }
        let result = self.handlers.unhook(|site| !is_wanted(site));
        // After a failure, some of the functions may still have the handler.
        let (hooks, handlers) = (&mut self.hooks, &self.handlers);
        hooks.retain(|hook| {
            is_wanted(hook.site) || result.is_err() && handlers.any(|site| site == hook.site)
        });
        result
    }

    /// Demotes the functions at `sites` that jump: they call the handler again.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another user has taken the handler's place in the meantime, `ENOMEM`, and those
    /// of [`Jumps::remove`]. On failure, functions that jump still jump, and calls have the same
    /// destinations as before.
    pub(crate) fn demote(&mut self, sites: impl Iterator<Item = Site>) -> Result {
        let sites = collect_sorted(sites)?;
        self.demote_if(|site| sites.binary_search(&site).is_ok())
    }

    /// Like [`demote`](Self::demote), for the functions at the sites for which `is_selected`
    /// returns true.
    ///
    /// This hooks the functions by the handler first, and then removes the jumps. So each call
    /// finds the handler or the jump.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`demote`](Self::demote).
    pub(crate) fn demote_if(&mut self, is_selected: impl Fn(Site) -> bool) -> Result {
        let mut jumping = Batch::default();
        let mut unhandled = KVVec::new();
        for hook in self.hooks.iter().filter(|hook| is_selected(hook.site)) {
            match hook.mode {
                Mode::Handler(_) => continue,
                Mode::HandlerAndJump(target) => jumping.push(hook.site, target)?,
                Mode::Jump(target) => {
                    jumping.push(hook.site, target)?;
                    unhandled.push(hook.site, GFP_KERNEL)?;
                }
            }
        }
        self.handlers.hook_under_jumps(&mut unhandled)?;
        for (&site, &target) in jumping.sites.iter().zip(jumping.targets.iter()) {
            self.set_mode(site, Mode::HandlerAndJump(target));
        }
        self.jumps.remove(&jumping)?;
        for &site in &jumping.sites {
            self.set_mode(site, Mode::Handler(HandlerReason::Settling));
        }
        Ok(())
    }

    /// Promotes functions that are hooked by the handler: they jump to their targets. The target
    /// `None` is the original code.
    ///
    /// A function that cannot jump stays under the handler, and [`mode`](Self::mode) returns the
    /// reason.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Jumps::add`] and [`Handlers::unhook`]. Some functions may jump then.
    pub(crate) fn promote(
        &mut self,
        targets: impl Iterator<Item = (Site, Option<CallTarget>)>,
    ) -> Result {
        let mut batch = Batch::default();
        for (site, target) in targets {
            let Some(Mode::Handler(_)) = self.mode(site) else {
                continue;
            };
            match target {
                None => self.set_mode(site, Mode::Handler(HandlerReason::Original)),
                Some(target) if !direct::can_jump_to(target) => {
                    self.set_mode(site, Mode::Handler(HandlerReason::Unsupported));
                }
                Some(target) => batch.push(site, target)?,
            }
        }
        let (jumps, hooks) = (&mut self.jumps, &mut self.hooks);
        let mut report = |site, result: Result<CallTarget, HandlerReason>| {
            let mode = match result {
                Ok(target) => Mode::HandlerAndJump(target),
                Err(reason) => Mode::Handler(reason),
            };
            set_mode(hooks, site, mode);
        };
        jumps.add(&batch.sites, &batch.targets, &mut report)?;
        self.unhook_jumping()
    }

    /// Removes the handler from the functions that jump.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Handlers::unhook`]. Functions that still have the handler stay in the mode
    /// [`Mode::HandlerAndJump`].
    fn unhook_jumping(&mut self) -> Result {
        let (hooks, handlers) = (&mut self.hooks, &mut self.handlers);
        let result = handlers.unhook(|site| {
            let hook = position(hooks, site).ok().and_then(|at| hooks.get(at));
            hook.is_some_and(|hook| matches!(hook.mode, Mode::HandlerAndJump(_)))
        });
        for hook in hooks {
            if let Mode::HandlerAndJump(target) = hook.mode {
                // After a failure, some of the functions may still have the handler.
                if result.is_ok() || !handlers.any(|site| site == hook.site) {
                    hook.mode = Mode::Jump(target);
                }
            }
        }
        result
    }

    /// Demotes all functions, because the parameter `promote` is off.
    ///
    /// # Errors
    ///
    /// Those of [`demote`](Self::demote).
    pub(crate) fn demote_all(&mut self) -> Result {
        self.demote_if(|_| true)?;
        for hook in &mut self.hooks {
            hook.mode = Mode::Handler(HandlerReason::Off);
        }
        Ok(())
    }
}

fn position(hooks: &[Hook], site: Site) -> Result<usize, usize> {
    hooks.binary_search_by_key(&site, |hook| hook.site)
}

fn set_mode(hooks: &mut [Hook], site: Site, mode: Mode) {
    if let Some(hook) = position(hooks, site).ok().and_then(|at| hooks.get_mut(at)) {
        hook.mode = mode;
    }
}
