// SPDX-License-Identifier: GPL-2.0

//! The patches that are enabled or move.
//!
//! One lock over all of it. Only the handler and the probe do without, see [`crate::view`].
//! Directories in sysfs take the lock in their files, so they are dropped outside of it: patches
//! that go are handed out as [`Leavers`](crate::leave::Leavers).
//!
//! What is done to them has rooms of its own: [`crate::enable`], [`crate::control`],
//! [`crate::complete`], [`crate::modules`] and [`crate::settle`].

use crate::{
    hooks::Hooks,
    leave::Leavers,
    patch::{Object, Patch, PatchId, Presence},
    plan::{Move, Plan},
    states::Below,
    sysfs::Root,
    transition::{Probe, Transition},
    universe::Universe,
    view::{View, VIEW},
};
use kernel::{
    prelude::*,
    str::{CStr, CString},
    time::{Instant, Monotonic}, //
};
use kernel_ext::{
    ftrace_switch::FtraceEnabled,
    gate::Gate,
    kallsyms,
    klp::CallbackToken,
    sched::SchedSwitch,
    statics::ModuleMutex, //
};

/// The one registry.
pub(crate) static REGISTRY: ModuleMutex<Registry> = ModuleMutex::new();

/// See the module's documentation.
pub(crate) struct Registry {
    /// For what a transition looks up and registers.
    pub(crate) gate: Gate,
    /// Oldest first: where two have a function, the later one's replacement is called.
    pub(crate) patches: KVec<Patch>,
    /// How many patches have left the list and still have their modules.
    pub(crate) leaving: usize,
    pub(crate) transition: Option<Transition>,
    pub(crate) hooks: Hooks,
    /// Held since the first function was hooked, for as long as there is a patch.
    pub(crate) ftrace_on: Option<FtraceEnabled>,
    /// Modules whose coming was announced, and whose going was not.
    pub(crate) announced: KVec<CString>,
    /// What callbacks may ask for while a transition is prepared, runs and ends.
    pub(crate) below: Option<Below>,
    pub(crate) root: Root,
    /// Registered for a transition, and kept for the next until all has settled: to remove it takes
    /// longer than most transitions do.
    pub(crate) probe: Option<SchedSwitch<Probe>>,
    /// Since when nothing has changed, while some function may still come to jump.
    pub(crate) settling: Option<Instant<Monotonic>>,
    /// The right to call callbacks, which the lock protects.
    pub(crate) callbacks: CallbackToken,
}

impl Registry {
    /// Without patches. `root` is the directory for theirs. `ENOMEM`.
    pub(crate) fn new(gate: Gate, root: Root) -> Result<Self> {
        Ok(Self {
            gate,
            patches: KVec::new(),
            leaving: 0,
            transition: None,
            hooks: Hooks::new()?,
            ftrace_on: None,
            announced: KVec::new(),
            below: None,
            root,
            probe: None,
            settling: None,
            callbacks: CallbackToken::claim()?,
        })
    }

    /// The patch `id`. `ENODEV` if it is gone.
    pub(crate) fn patch(&self, id: PatchId) -> Result<&Patch> {
        self.patches.iter().find(|p| p.id == id).ok_or(ENODEV)
    }

    pub(crate) fn patch_mut(&mut self, id: PatchId) -> Result<&mut Patch> {
        self.patches.iter_mut().find(|p| p.id == id).ok_or(ENODEV)
    }

    /// The transition, if it is the patch `id` that moves.
    pub(crate) fn transition_of(&self, id: PatchId) -> Option<&Transition> {
        self.transition.as_ref().filter(|t| t.step.moves(id))
    }

    /// Whether `id` is enabled, or on its way to be.
    pub(crate) fn is_enabled(&self, id: PatchId) -> bool {
        self.transition_of(id)
            .is_none_or(|t| t.step.has(id, t.target))
    }

    /// What moves.
    pub(crate) fn step(&self) -> Move {
        self.transition.as_ref().map_or(Move::Still, |t| t.step)
    }

    pub(crate) fn moving_patch(&self) -> Option<&Patch> {
        let step = self.step();
        self.patches.iter().find(|p| step.moves(p.id))
    }

    /// One at a time: `EBUSY`, with a line in the log, if another patch than `name` moves.
    pub(crate) fn check_still(&self, name: &CStr) -> Result {
        let Some(busy) = self.moving_patch() else {
            return Ok(());
        };
        pr_err!(
            "patch '{}' has to wait: '{}' is in transition\n",
            name,
            busy.name()
        );
        Err(EBUSY)
    }

    /// Hooks the functions of `id`, whose objects are present. A line in the log on failure.
    pub(crate) fn hook(&mut self, id: PatchId) -> Result {
        let patch = self.patches.iter().find(|p| p.id == id).ok_or(ENODEV)?;
        let sites = patch.active().map(|(_, original)| original.site);
        hold_on(&mut self.ftrace_on, patch)
            .and_then(|()| self.hooks.hook(sites))
            .inspect_err(|&e| report_hook_failure(&self.hooks, patch, e))?;
        for object in &mut self.patch_mut(id)?.objects {
            if object.presence == Presence::Present {
                object.presence = Presence::Patched;
            }
        }
        Ok(())
    }

    /// Hands `patch`, which is not on the list any more, to `leavers`, which have room for it.
    /// `forced`: some task may still be in its code.
    pub(crate) fn let_go(&mut self, patch: Patch, forced: bool, leavers: &mut Leavers) {
        self.leaving = self.leaving.saturating_add(1);
        leavers.take(patch, forced, &self.callbacks);
    }

    /// Unhooks what no patch has any more. `ENOMEM`; what stays hooked goes its original way.
    pub(crate) fn unhook_unused(&mut self) -> Result {
        let plan = Plan::new(&self.patches, self.step())?;
        let both = Iterator::chain(plan.sites(Universe::Old), plan.sites(Universe::New));
        self.hooks.retain(both)
    }

    /// Unhooks what only `leavers` had, who are not among the patches any more.
    pub(crate) fn unhook_after(&mut self, leavers: &mut Leavers) {
        if let Err(e) = self.unhook_unused() {
            pr_warn!(
                "some functions stay hooked, without effect ({})\n",
                e.to_errno()
            );
        }
        if self.patches.is_empty() {
            leavers.take_hold(self.ftrace_on.take());
        }
        self.settle_later();
    }

    /// Publishes what the patches say now, after objects came or went.
    pub(crate) fn publish(&mut self) -> Result {
        let step = self.step();
        let plan = Plan::new(&self.patches, step)?;
        let view = match &self.transition {
            Some(transition) => transition.view(&plan)?,
            None => View {
                redirects: plan.redirects()?,
                moving: None,
            },
        };
        drop(VIEW.publish(Some(KBox::new(view, GFP_KERNEL)?)));
        Ok(())
    }
}

/// Holds ftrace on if `patch` has a function to hook. `EBUSY` where it is off; `ENOMEM`.
fn hold_on(ftrace_on: &mut Option<FtraceEnabled>, patch: &Patch) -> Result {
    if ftrace_on.is_none() && patch.active().next().is_some() {
        *ftrace_on = Some(FtraceEnabled::new().inspect_err(|&e| {
            if e == EBUSY {
                pr_err!("ftrace is switched off, see sysctl kernel.ftrace_enabled\n");
            }
        })?);
    }
    Ok(())
}

/// Names the function that could not be hooked, and who has it.
fn report_hook_failure(hooks: &Hooks, patch: &Patch, e: Error) {
    let held = patch.objects.iter().find_map(|object| {
        object.funcs.iter().find_map(|func| {
            let site = func.original.as_ref()?.site;
            if hooks.mode(site).is_some() {
                return None;
            }
            Some((object, func, hooks.other_holder(site)?))
        })
    });
    let first = || {
        let object = patch.present().next()?;
        Some((object, object.funcs.first()?))
    };
    let blamed: Option<(&Object, _)> = match held {
        Some((object, func, holder)) => {
            if let Ok(holder) = kallsyms::name_of(holder) {
                pr_err!(
                    "function '{}' is redirected by {}\n",
                    *func.name,
                    holder.as_str()
                );
            }
            Some((object, func))
        }
        None => first(),
    };
    if let Some((object, func)) = blamed {
        pr_err!(
            "failed to register ftrace handler for function '{}' ({})\n",
            *func.name,
            e.to_errno()
        );
        pr_warn!("failed to patch object '{}'\n", object.label());
    }
}
