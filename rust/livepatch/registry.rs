// SPDX-License-Identifier: GPL-2.0

//! The patches that are enabled or move.
//!
//! One lock over all of it. Only the handler and the probe do without, see [`crate::view`].
//! Directories in sysfs take the lock in their files, so they are dropped outside of it: patches
//! that go are handed out as [`RetiredPatches`], for [`release`].
//!
//! What is done to them is in files of its own, one for each operation. They use the methods here:
//! the fields are private, so that what must change together is in one place.

use crate::{
    directory::{
        PatchDirectory,
        Root, //
    },
    hooks::{
        Hooks,
        Mode, //
    },
    patch::{
        Object,
        Patch,
        Presence, //
    },
    plan::Plan,
    retire::RetiredPatches,
    states::PreviousStates,
    step::{
        Move,
        PatchId, //
    },
    transition::{
        self,
        Probe,
        Transition, //
    },
    universe::Universe,
    view::{
        View,
        VIEW, //
    }, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};
use kernel_ext::{
    ftrace::Site,
    ftrace_switch::FtraceEnabled,
    gate::Gate,
    kallsyms,
    klp::CallbackToken,
    sched::SchedSwitch,
    statics::ModuleMutex, //
};

/// The one registry.
pub(crate) static REGISTRY: ModuleMutex<Registry> = ModuleMutex::new();

/// A patch and its directory, whose files ask for the patch here.
struct Registered {
    patch: Patch,
    directory: PatchDirectory,
}

/// See the module's documentation.
pub(crate) struct Registry {
    /// For what a transition looks up and registers.
    gate: Gate,
    /// Oldest first: where two have a function, the later one's replacement is called.
    entries: KVec<Registered>,
    /// How many patches have left the list and still have their modules.
    retired: usize,
    transition: Option<Transition>,
    hooks: Hooks,
    /// Held since the first function was hooked, for as long as there is a patch.
    ftrace_on: Option<FtraceEnabled>,
    /// Modules whose coming was announced, and whose going was not.
    announced: KVec<CString>,
    /// What callbacks may ask for while a transition is prepared, runs and ends.
    previous_states: Option<PreviousStates>,
    root: Root,
    /// Registered for a transition, and kept for the next until all has settled: to remove it takes
    /// longer than most transitions do.
    probe: Option<SchedSwitch<Probe>>,
    /// Since when nothing has changed, while some function may still come to jump.
    settling: Option<Instant<Monotonic>>,
    /// The right to call callbacks, which the lock protects.
    callbacks: CallbackToken,
}

impl Registry {
    /// Without patches. `root` is the directory for theirs. `ENOMEM`.
    pub(crate) fn new(gate: Gate, root: Root) -> Result<Self> {
        Ok(Self {
            gate,
            entries: KVec::new(),
            retired: 0,
            transition: None,
            hooks: Hooks::new()?,
            ftrace_on: None,
            announced: KVec::new(),
            previous_states: None,
            root,
            probe: None,
            settling: None,
            callbacks: CallbackToken::claim()?,
        })
    }

    /// The patches, oldest first.
    pub(crate) fn patches(&self) -> impl DoubleEndedIterator<Item = &Patch> + ExactSizeIterator {
        self.entries.iter().map(|entry| &entry.patch)
    }

    /// The patch `id`. `ENODEV` if it is gone.
    pub(crate) fn patch(&self, id: PatchId) -> Result<&Patch> {
        self.patches().find(|patch| patch.id == id).ok_or(ENODEV)
    }

    /// As [`patch`](Self::patch), to be changed.
    pub(crate) fn patch_mut(&mut self, id: PatchId) -> Result<&mut Patch> {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        patches.find(|patch| patch.id == id).ok_or(ENODEV)
    }

    /// As [`patch_mut`](Self::patch_mut), with the right to call the patch's callbacks.
    pub(crate) fn patch_and_callbacks(
        &mut self,
        id: PatchId,
    ) -> Result<(&mut Patch, &CallbackToken)> {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        let patch = patches.find(|patch| patch.id == id).ok_or(ENODEV)?;
        Ok((patch, &self.callbacks))
    }

    /// The right to call callbacks.
    pub(crate) fn callbacks(&self) -> &CallbackToken {
        &self.callbacks
    }

    /// The directory for the patches' own.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Makes room for one more patch. `ENOMEM`.
    pub(crate) fn reserve(&mut self) -> Result {
        Ok(self.entries.reserve(1, GFP_KERNEL)?)
    }

    /// Adds `patch` as the newest, after [`reserve`](Self::reserve).
    pub(crate) fn add(&mut self, patch: Patch, directory: PatchDirectory) -> Result {
        let entry = Registered { patch, directory };
        self.entries.push_within_capacity(entry).map_err(|_| ENOMEM)
    }

    /// Removes the patch `id` from the list, for [`retire`](Self::retire).
    pub(crate) fn remove(&mut self, id: PatchId) -> Option<(Patch, PatchDirectory)> {
        let at = self.patches().position(|patch| patch.id == id)?;
        let Registered { patch, directory } = self.entries.remove(at).ok()?;
        Some((patch, directory))
    }

    /// Hands `patch`, which is not on the list any more, to `retired`, which have room for it.
    /// `forced`: some task may still be in its code.
    pub(crate) fn retire(
        &mut self,
        (patch, directory): (Patch, PatchDirectory),
        forced: bool,
        retired: &mut RetiredPatches,
    ) {
        self.retired = self.retired.saturating_add(1);
        retired.take(patch, directory, forced, &self.callbacks);
    }

    /// Lets those patches go that `universe` does not have in `step`. `retired` have room for all.
    pub(crate) fn retire_outside(
        &mut self,
        universe: Universe,
        step: Move,
        forced: bool,
        retired: &mut RetiredPatches,
    ) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            if step.has(entry.patch.id, universe) {
                at += 1;
            } else if let Ok(Registered { patch, directory }) = self.entries.remove(at) {
                self.retire((patch, directory), forced, retired);
            }
        }
    }

    /// Whether some patch has left the list and still has its module.
    pub(crate) fn has_retired(&self) -> bool {
        self.retired != 0
    }

    /// The transition, if one runs.
    pub(crate) fn transition(&self) -> Option<&Transition> {
        self.transition.as_ref()
    }

    /// As [`transition`](Self::transition), to go on with.
    pub(crate) fn transition_mut(&mut self) -> Option<&mut Transition> {
        self.transition.as_mut()
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
    fn step(&self) -> Move {
        self.transition.as_ref().map_or(Move::Still, |t| t.step)
    }

    /// The patch that moves, if one does.
    pub(crate) fn moving_patch(&self) -> Option<&Patch> {
        let step = self.step();
        self.patches().find(|patch| step.moves(patch.id))
    }

    /// One at a time: `EBUSY`, with a line in the log, if another patch than `name` moves.
    pub(crate) fn check_no_transition(&self, name: &CStr) -> Result {
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

    /// Shows callbacks the states of the patches that are older than `id`, until
    /// [`withdraw_previous_states`](Self::withdraw_previous_states). `ENOMEM`.
    pub(crate) fn publish_previous_states(&mut self, id: PatchId) -> Result {
        self.previous_states = Some(PreviousStates::show(self.patches(), id)?);
        Ok(())
    }

    /// No callback asks for states any more. Context: may sleep.
    pub(crate) fn withdraw_previous_states(&mut self) {
        self.previous_states = None;
    }

    /// Puts the functions whose calls change in `step` under the handler. Errors: see
    /// [`Hooks::demote`].
    pub(crate) fn demote_changing(&mut self, step: Move) -> Result {
        let plan = plan(&self.entries, step)?;
        self.hooks.demote(plan.changing())
    }

    /// Registers the probe that a transition needs. Context: may sleep. `ENOMEM`.
    pub(crate) fn register_probe(&mut self) -> Result {
        transition::register_probe(&mut self.probe, self.gate)
    }

    /// Removes the probe. No transition runs. Context: may sleep.
    pub(crate) fn unregister_probe(&mut self) {
        self.probe = None;
    }

    /// Starts a transition, after [`demote_changing`](Self::demote_changing) and
    /// [`register_probe`](Self::register_probe). Errors: see [`Transition::start`].
    pub(crate) fn start_transition(&mut self, step: Move) -> Result {
        let plan = plan(&self.entries, step)?;
        self.transition = Some(Transition::start(&plan, step, self.gate)?);
        Ok(())
    }

    /// Reverses the transition. `EINVAL` if none runs; other errors: see [`Transition::reverse`].
    pub(crate) fn reverse_transition(&mut self) -> Result {
        let transition = self.transition.as_mut().ok_or(EINVAL)?;
        let plan = plan(&self.entries, transition.step)?;
        transition.reverse(&plan)
    }

    /// Ends the transition, all of whose tasks are switched, and hands it out. `EINVAL` if none
    /// runs; other errors: see [`Transition::conclude`].
    pub(crate) fn conclude_transition(&mut self) -> Result<Transition> {
        let transition = self.transition.as_ref().ok_or(EINVAL)?;
        transition.conclude(&plan(&self.entries, transition.step)?)?;
        self.transition.take().ok_or(EINVAL)
    }

    /// How the function at `site` is hooked, if it is.
    pub(crate) fn mode(&self, site: Site) -> Option<Mode> {
        self.hooks.mode(site)
    }

    /// Whether one of the sites that `is_meant` is hooked.
    pub(crate) fn is_any_hooked(&self, is_meant: impl Fn(Site) -> bool) -> bool {
        self.hooks.any(is_meant)
    }

    /// Hooks the functions of `id`, whose objects are present. A line in the log on failure.
    pub(crate) fn hook(&mut self, id: PatchId) -> Result {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        let patch = patches.find(|patch| patch.id == id).ok_or(ENODEV)?;
        let sites = patch.active().map(|(_, original)| original.site);
        hold_ftrace_on(&mut self.ftrace_on, patch)
            .and_then(|()| self.hooks.hook(sites))
            .inspect_err(|&e| report_hook_failure(&self.hooks, patch, e))?;
        for object in &mut patch.objects {
            if object.presence == Presence::Present {
                object.presence = Presence::Patched;
            }
        }
        Ok(())
    }

    /// Unhooks what no patch has any more. `ENOMEM`; what stays hooked goes its original way.
    pub(crate) fn unhook_unused(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
        let both = Iterator::chain(plan.sites(Universe::Old), plan.sites(Universe::New));
        self.hooks.retain(both)
    }

    /// Unhooks what only `retired` had, who are not among the patches any more.
    pub(crate) fn unhook_retired(&mut self, retired: &mut RetiredPatches) {
        if let Err(e) = self.unhook_unused() {
            pr_warn!(
                "some functions stay hooked, without effect ({})\n",
                e.to_errno()
            );
        }
        if self.entries.is_empty() {
            retired.hold_ftrace_until_release(self.ftrace_on.take());
        }
    }

    /// Lets the hooked functions jump to where the patches lead them. Errors: see
    /// [`Hooks::promote`].
    pub(crate) fn promote(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
        self.hooks.promote(plan.steady())
    }

    /// Puts all hooked functions under the handler. Errors: see [`Hooks::demote_all`].
    pub(crate) fn demote_all(&mut self) -> Result {
        self.hooks.demote_all()
    }

    /// Publishes what the patches say now, after objects came or went.
    pub(crate) fn publish(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
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

    /// Modules whose coming was announced, and whose going was not.
    pub(crate) fn announced(&self) -> &[CString] {
        &self.announced
    }

    /// Notes that the module `name` comes. `ENOMEM`.
    pub(crate) fn announce(&mut self, name: &CStr) -> Result {
        Ok(self.announced.push(CString::try_from(name)?, GFP_KERNEL)?)
    }

    /// The module `name` is gone, or does not come after all.
    pub(crate) fn forget_announced(&mut self, name: &CStr) {
        self.announced.retain(|other| **other != *name);
    }

    /// Since when nothing has changed, while some function may still come to jump.
    pub(crate) fn settling_since(&self) -> Option<Instant<Monotonic>> {
        self.settling
    }

    /// Something changes now: functions are to settle anew.
    pub(crate) fn start_settling(&mut self) {
        self.settling = Some(Instant::now());
    }

    /// No function will come to jump.
    pub(crate) fn stop_settling(&mut self) {
        self.settling = None;
    }
}

/// What the patches of `entries` make of the two universes. `ENOMEM`.
fn plan(entries: &[Registered], step: Move) -> Result<Plan<'_>> {
    Plan::new(entries.iter().map(|entry| &entry.patch), step)
}

/// Parts with patches that have left the list, and counts them off.
///
/// Context: may sleep; the registry is not locked.
pub(crate) fn release(retired: RetiredPatches) {
    let count = retired.part();
    if count == 0 {
        return;
    }
    if let Ok(mut registry) = REGISTRY.lock() {
        registry.retired = registry.retired.saturating_sub(count);
    }
}

/// Holds ftrace on if `patch` has a function to hook. `EBUSY` where it is off; `ENOMEM`.
fn hold_ftrace_on(ftrace_on: &mut Option<FtraceEnabled>, patch: &Patch) -> Result {
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
