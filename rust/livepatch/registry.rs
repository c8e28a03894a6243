// SPDX-License-Identifier: GPL-2.0

//! The registered patches: those that are enabled, in transition or held.
//!
//! One mutex protects the registry. The ftrace handler and the probes do not take it: they read the
//! view (see [`crate::view`]).
//!
//! The files in a patch's directory take the mutex, and removing a directory waits for the readers
//! and writers of its files. So a directory is never removed with the registry locked. Patches that
//! leave the registry are returned as [`RetiredPatches`], which [`release`] takes when the registry
//! is unlocked.
//!
//! Each operation on the registry has a file of its own. The registry's fields are private, and the
//! operations use the methods in this file. So all code that changes these fields is in one place,
//! and related fields change together. Operations also change fields of one [`Patch`], through
//! [`Registry::patch_mut`]. The files in sysfs only call operations.

use crate::{
    directory::{
        PatchDirectory,
        Root, //
    },
    events::{
        Event,
        State, //
    },
    hooks::{
        Hooks,
        Mode, //
    },
    patch::{
        Object,
        Patch,
        Presence,
        Probation, //
    },
    plan::Plan,
    retire::RetiredPatches,
    states::PreviousStates,
    step::{
        PatchId,
        Step, //
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
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use kernel_ext::{
    direct::AttachRequest,
    ftrace::Site,
    ftrace_switch::FtraceEnabled,
    gate::Gate,
    kallsyms,
    klp::CallbackToken,
    panic_mark::PanicMark,
    sched::SchedSwitch,
    statics::ModuleMutex, //
};

/// The one registry.
pub(crate) static REGISTRY: ModuleMutex<Registry> = ModuleMutex::new();

/// A registered patch, and its directory, whose files look up the patch in the registry.
struct Registered {
    patch: Patch,
    directory: PatchDirectory,
}

/// The patches that were replaced by a patch on probation, and are kept until it is confirmed.
#[derive(Clone, Copy)]
struct Held {
    /// The patch on probation.
    by: PatchId,
    /// Whether tasks were forced when the patches were replaced.
    forced: bool,
}

/// The registry. See the module's documentation.
///
/// # Context
///
/// Methods that take `&mut self`, in this file and in the files of the operations: process context,
/// with the mutex held. They may sleep.
pub(crate) struct Registry {
    /// The proof that the gate is open, which a transition needs.
    gate: Gate,
    /// Oldest first. If several patches replace a function, the newest of them wins.
    entries: KVec<Registered>,
    /// The number of patches that have left `entries` and still hold their modules.
    retired: usize,
    /// The retired patches that the second worker has not taken yet.
    unreleased: RetiredPatches,
    transition: Option<Transition>,
    /// `Some` if a patch on probation has replaced all other patches, which are held. There is at
    /// least one such patch.
    held: Option<Held>,
    hooks: Hooks,
    /// Keeps ftrace from being switched off, from the first hook until the last patch is released.
    ftrace_on: Option<FtraceEnabled>,
    /// The modules for which the notifier was called at the load, and not yet at the unload.
    announced: KVec<CString>,
    /// Shown to callbacks while a transition is prepared, runs and ends.
    previous_states: Option<PreviousStates>,
    root: Root,
    /// Registered for a transition, and kept until functions have settled: unregistering the probe
    /// takes longer than most transitions.
    probe: Option<SchedSwitch<Probe>>,
    /// The time of the last change, and the quiet time that must follow it before functions are
    /// promoted. `None` when functions have settled.
    settling: Option<(Instant<Monotonic>, Delta)>,
    /// The last time when another user was about to attach a direct target to a hooked function.
    last_attach_request: Option<Instant<Monotonic>>,
    /// The right to call callbacks. The mutex serializes the calls.
    callbacks: CallbackToken,
    /// Names the patch on probation if the kernel panics.
    panic_mark: PanicMark,
}

impl Registry {
    /// Creates a registry without patches. Their directories are made in `root`.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::new`], [`CallbackToken::claim`] and [`PanicMark::register`].
    pub(crate) fn new(gate: Gate, root: Root) -> Result<Self> {
        Ok(Self {
            gate,
            entries: KVec::new(),
            retired: 0,
            unreleased: RetiredPatches::empty(),
            transition: None,
            held: None,
            hooks: Hooks::new()?,
            ftrace_on: None,
            announced: KVec::new(),
            previous_states: None,
            root,
            probe: None,
            settling: None,
            last_attach_request: None,
            callbacks: CallbackToken::claim()?,
            panic_mark: PanicMark::register()?,
        })
    }

    /// Returns the patches, oldest first.
    pub(crate) fn patches(&self) -> impl DoubleEndedIterator<Item = &Patch> + ExactSizeIterator {
        self.entries.iter().map(|entry| &entry.patch)
    }

    /// Returns the patch `id`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the patch is not registered.
    pub(crate) fn patch(&self, id: PatchId) -> Result<&Patch> {
        self.patches().find(|patch| patch.id == id).ok_or(ENODEV)
    }

    /// Returns the patch `id` for a change.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the patch is not registered.
    pub(crate) fn patch_mut(&mut self, id: PatchId) -> Result<&mut Patch> {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        patches.find(|patch| patch.id == id).ok_or(ENODEV)
    }

    /// Returns the patch `id` for a change, and the right to call its callbacks.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the patch is not registered.
    pub(crate) fn patch_and_callbacks(
        &mut self,
        id: PatchId,
    ) -> Result<(&mut Patch, &CallbackToken)> {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        let patch = patches.find(|patch| patch.id == id).ok_or(ENODEV)?;
        Ok((patch, &self.callbacks))
    }

    /// Returns the right to call callbacks.
    pub(crate) fn callbacks(&self) -> &CallbackToken {
        &self.callbacks
    }

    /// Returns the directory in which patches have their directories.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Makes room for one more patch.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve(&mut self) -> Result {
        Ok(self.entries.reserve(1, GFP_KERNEL)?)
    }

    /// Adds `patch` as the newest, after [`reserve`](Self::reserve).
    ///
    /// # Errors
    ///
    /// `ENOMEM` if no room was reserved.
    pub(crate) fn add(&mut self, patch: Patch, directory: PatchDirectory) -> Result {
        let entry = Registered { patch, directory };
        self.entries.push_within_capacity(entry).map_err(|_| ENOMEM)
    }

    /// Removes the patch `id` from the list. The caller passes the result to
    /// [`retire`](Self::retire).
    pub(crate) fn remove(&mut self, id: PatchId) -> Option<(Patch, PatchDirectory)> {
        let at = self.patches().position(|patch| patch.id == id)?;
        let Registered { patch, directory } = self.entries.remove(at).ok()?;
        Some((patch, directory))
    }

    /// Moves `patch` to `retired`, which has room for it. The patch was [removed](Self::remove)
    /// from the list, or was never added to it. If tasks were `forced`, some task may still run the
    /// patch's code.
    pub(crate) fn retire(
        &mut self,
        (patch, directory): (Patch, PatchDirectory),
        forced: bool,
        retired: &mut RetiredPatches,
    ) {
        self.retired = self.retired.saturating_add(1);
        retired.add(patch, directory, forced, &self.callbacks);
    }

    /// Ends `step`: every task is in `universe`. The patches that do not belong to `universe` are
    /// moved to `retired`, which has room for them, or are held.
    ///
    /// A patch that is not `confirmed` may be taken back. So the patches that it has replaced, if
    /// any, are held until this patch is confirmed or taken back.
    pub(crate) fn end_step(
        &mut self,
        step: Step,
        universe: Universe,
        confirmed: bool,
        forced: bool,
        retired: &mut RetiredPatches,
    ) {
        match (step, universe) {
            (Step::Replace(by), Universe::New) if !confirmed && self.has_others(by) => {
                self.held = Some(Held { by, forced });
                // A held patch is not in effect. If it is restored, its probation begins again.
                let patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
                for patch in patches.filter(|patch| patch.id != by) {
                    if !matches!(patch.probation, Probation::Passed) {
                        patch.probation = Probation::Ahead;
                    }
                }
            }
            // The patches stay held. A task that was forced may be in their code.
            (Step::Restore(_), Universe::Old) if !confirmed => {
                if let Some(held) = &mut self.held {
                    held.forced |= forced;
                }
            }
            _ => {
                let forced = self.held.take().is_some_and(|held| held.forced) || forced;
                self.retire_outside(universe, step, forced, retired);
            }
        }
    }

    /// Retires the patches that are held, now that the patch on probation is confirmed.
    pub(crate) fn retire_held(&mut self, retired: &mut RetiredPatches) {
        if let Some(held) = self.held.take() {
            let step = Step::Trial(held.by);
            self.retire_outside(Universe::New, step, held.forced, retired);
        }
    }

    /// Retires the patch `id`. Called while the patch is held.
    pub(crate) fn retire_one_held(&mut self, id: PatchId, retired: &mut RetiredPatches) {
        let forced = self.held.is_some_and(|held| held.forced);
        if let Some(entry) = self.remove(id) {
            self.retire(entry, forced, retired);
        }
        // Without a held patch, nothing keeps other patches from being enabled.
        if self.held.is_some_and(|held| !self.has_others(held.by)) {
            self.held = None;
        }
    }

    /// Whether there is a patch other than `id`.
    fn has_others(&self, id: PatchId) -> bool {
        self.patches().any(|patch| patch.id != id)
    }

    /// Returns the patch on probation for which other patches are held.
    pub(crate) fn held_by(&self) -> Option<&Patch> {
        self.patch(self.held?.by).ok()
    }

    /// Whether the patch `id` is held, and so is in no universe.
    pub(crate) fn is_held(&self, id: PatchId) -> bool {
        self.transition.is_none() && !self.step().has(id, Universe::New)
    }

    /// Lets a panic name the newest patch on probation, if there is one. To be called after a
    /// probation begins or ends.
    pub(crate) fn update_panic_mark(&mut self) {
        let mut patches = self.entries.iter().map(|entry| &entry.patch);
        let newest = patches.rfind(|patch| matches!(state_in_effect(patch), State::Probation));
        self.panic_mark.set(newest.map(Patch::name));
    }

    /// Reports an event of the patch `id` to user space: see [`PatchDirectory::report`].
    pub(crate) fn report(&self, id: PatchId, event: Event) {
        let state = match (self.transition_of(id), self.patch(id)) {
            (Some(transition), _) if transition.patching() => State::Patching,
            (Some(_), _) => State::Unpatching,
            (None, Ok(patch)) => state_in_effect(patch),
            (None, Err(_)) => return,
        };
        self.report_as(id, event, state);
    }

    /// As [`report`](Self::report), with the state in which the patch is after the event.
    pub(crate) fn report_as(&self, id: PatchId, event: Event, state: State) {
        let Some(entry) = self.entries.iter().find(|entry| entry.patch.id == id) else {
            return;
        };
        let last = entry.patch.last_transition;
        let us = match self.transition_of(id) {
            Some(transition) => transition.elapsed_us(),
            None => last.map_or(0, |ended| ended.took_us),
        };
        entry.directory.report(event, state, us);
    }

    /// Removes the patches that do not belong to `universe` in `step`, and moves them to `retired`,
    /// which has room for them.
    fn retire_outside(
        &mut self,
        universe: Universe,
        step: Step,
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

    /// Whether some patch has left the list and still holds its module.
    pub(crate) fn has_retired(&self) -> bool {
        self.retired != 0
    }

    /// Takes the retired patches that are to be released by the second worker.
    pub(crate) fn take_unreleased(&mut self) -> RetiredPatches {
        core::mem::replace(&mut self.unreleased, RetiredPatches::empty())
    }

    /// Leaves `retired` to the second worker. This is the list that
    /// [`take_unreleased`](Self::take_unreleased) returned, and to which the caller may have added
    /// patches. The registry has stayed locked since that call.
    pub(crate) fn put_unreleased(&mut self, retired: RetiredPatches) {
        self.unreleased = retired;
    }

    /// Returns the transition, if one runs.
    pub(crate) fn transition(&self) -> Option<&Transition> {
        self.transition.as_ref()
    }

    /// Returns the transition for a change, if one runs.
    pub(crate) fn transition_mut(&mut self) -> Option<&mut Transition> {
        self.transition.as_mut()
    }

    /// Returns the transition if it is that of the patch `id`.
    pub(crate) fn transition_of(&self, id: PatchId) -> Option<&Transition> {
        self.transition
            .as_ref()
            .filter(|t| t.step.is_transition_of(id))
    }

    /// Whether the patch `id` is enabled, or will be when its transition completes.
    pub(crate) fn is_enabled(&self, id: PatchId) -> bool {
        match &self.transition {
            // As in-tree, patches that are being replaced count as enabled until that is complete.
            Some(t) if matches!(t.step, Step::Replace(_)) && !t.step.is_transition_of(id) => true,
            Some(t) => t.step.has(id, t.target),
            None => self.step().has(id, Universe::New),
        }
    }

    /// Returns the step of the transition that runs. Without a transition, the returned step says
    /// which patches are in effect.
    fn step(&self) -> Step {
        match (&self.transition, self.held) {
            (Some(transition), _) => transition.step,
            (None, Some(held)) => Step::Trial(held.by),
            (None, None) => Step::None,
        }
    }

    /// Returns the patch in transition, if there is one.
    pub(crate) fn patch_in_transition(&self) -> Option<&Patch> {
        let step = self.step();
        self.patches().find(|patch| step.is_transition_of(patch.id))
    }

    /// Checks that no transition runs, since there can be one at a time.
    ///
    /// # Errors
    ///
    /// `EBUSY`, with a line in the log that names `name` and the patch in transition.
    pub(crate) fn check_no_transition(&self, name: &CStr) -> Result {
        let Some(busy) = self.patch_in_transition() else {
            return Ok(());
        };
        pr_err!(
            "patch '{}' cannot start a transition: '{}' is in transition\n",
            name,
            busy.name()
        );
        Err(EBUSY)
    }

    /// Lets callbacks look up the states of the patches that are older than `id`, until
    /// [`withdraw_previous_states`](Self::withdraw_previous_states).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn publish_previous_states(&mut self, id: PatchId) -> Result {
        self.previous_states = Some(PreviousStates::publish(self.patches(), id)?);
        Ok(())
    }

    /// Ends the look-up of states. The caller calls no further callback of the transition.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn withdraw_previous_states(&mut self) {
        self.previous_states = None;
    }

    /// Demotes the functions whose calls change in `step`: they call the handler again.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::demote`].
    pub(crate) fn demote_changing(&mut self, step: Step) -> Result {
        let plan = plan(&self.entries, step)?;
        self.hooks.demote(plan.changing())
    }

    /// Registers the scheduler probe unless it is registered.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`SchedSwitch::register`].
    pub(crate) fn register_probe(&mut self) -> Result {
        transition::register_probe(&mut self.probe, self.gate)
    }

    /// Unregisters the scheduler probe. Called while no transition runs.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn unregister_probe(&mut self) {
        self.probe = None;
    }

    /// Starts a transition, after [`demote_changing`](Self::demote_changing) and
    /// [`register_probe`](Self::register_probe).
    ///
    /// # Errors
    ///
    /// Those of [`Transition::start`].
    pub(crate) fn start_transition(&mut self, step: Step) -> Result {
        let plan = plan(&self.entries, step)?;
        self.transition = Some(Transition::start(&plan, step, self.gate)?);
        Ok(())
    }

    /// Starts to switch tasks to the other universe, with a new record table.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no transition runs, and those of [`Transition::reverse`].
    pub(crate) fn reverse_transition(&mut self) -> Result {
        let transition = self.transition.as_mut().ok_or(EINVAL)?;
        let plan = plan(&self.entries, transition.step)?;
        transition.reverse(&plan)
    }

    /// Makes room for the records of children, if it is running short.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. The transition then continues as before.
    pub(crate) fn grow_records(&mut self) -> Result {
        let Some(transition) = self.transition.as_mut().filter(|t| t.is_crowded()) else {
            return Ok(());
        };
        let plan = plan(&self.entries, transition.step)?;
        transition.grow_records(&plan)
    }

    /// Ends the transition, and returns it. Called when every task is switched.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no transition runs, and those of [`Transition::conclude`].
    pub(crate) fn conclude_transition(&mut self) -> Result<Transition> {
        let transition = self.transition.as_ref().ok_or(EINVAL)?;
        transition.conclude(&plan(&self.entries, transition.step)?)?;
        self.transition.take().ok_or(EINVAL)
    }

    /// Returns how the function at `site` is hooked, if it is.
    pub(crate) fn mode(&self, site: Site) -> Option<Mode> {
        self.hooks.mode(site)
    }

    /// Whether a site for which `is_selected` returns true is hooked.
    pub(crate) fn is_any_hooked(&self, is_selected: impl Fn(Site) -> bool) -> bool {
        self.hooks.any(is_selected)
    }

    /// Hooks the functions of the present objects of `id`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if ftrace is switched off, `ENODEV` if the patch is not registered, and those of
    /// [`Hooks::hook`], with lines in the log that name the function.
    pub(crate) fn hook(&mut self, id: PatchId) -> Result {
        let mut patches = self.entries.iter_mut().map(|entry| &mut entry.patch);
        let patch = patches.find(|patch| patch.id == id).ok_or(ENODEV)?;
        let sites = patch.active().map(|(_, original)| original.site);
        if self.ftrace_on.is_none() {
            self.ftrace_on = self.unreleased.take_ftrace();
        }
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

    /// Unhooks the functions that no patch has any more.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::retain`]. Functions that stay hooked run their original code.
    pub(crate) fn unhook_unused(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
        if self.held.is_some() {
            // The functions of held patches stay hooked. So these patches can be restored without
            // an error.
            return self.hooks.retain(plan.all_sites());
        }
        let both = Iterator::chain(plan.sites(Universe::Old), plan.sites(Universe::New));
        self.hooks.retain(both)
    }

    /// Unhooks the functions that only the patches in `retired` had.
    pub(crate) fn unhook_retired(&mut self, retired: &mut RetiredPatches) {
        if let Err(e) = self.unhook_unused() {
            pr_warn!(
                "some functions were not unhooked, and run their original code ({})\n",
                e.to_errno()
            );
        }
        if self.entries.is_empty() {
            retired.hold_ftrace_until_release(self.ftrace_on.take());
        }
    }

    /// Promotes the hooked functions: they jump to their replacements.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::promote`].
    pub(crate) fn promote(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
        self.hooks.promote(plan.targets_after())
    }

    /// Demotes all hooked functions: they call the handler.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::demote_all`].
    pub(crate) fn demote_all(&mut self) -> Result {
        self.hooks.demote_all()
    }

    /// Demotes the hooked functions to which another user is about to attach a direct target.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::demote`].
    pub(crate) fn demote_for(&mut self, request: AttachRequest) -> Result {
        self.hooks.demote_if(|site| request.includes(site))
    }

    /// Whether a hooked function has the direct target of another user, and so does not jump.
    pub(crate) fn is_any_taken(&self) -> bool {
        self.hooks.is_any_taken()
    }

    /// Publishes a view of the patches after objects have become present or absent.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn publish(&mut self) -> Result {
        let plan = plan(&self.entries, self.step())?;
        let view = match &self.transition {
            Some(transition) => transition.view(&plan)?,
            None => View {
                redirects: plan.redirects()?,
                transition: None,
            },
        };
        drop(VIEW.publish(Some(KBox::new(view, GFP_KERNEL)?)));
        Ok(())
    }

    /// Returns the names of the announced modules: the notifier was called for their load, and not
    /// yet for their unload.
    pub(crate) fn announced(&self) -> &[CString] {
        &self.announced
    }

    /// Notes that the module `name` is being loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn announce(&mut self, name: &CStr) -> Result {
        Ok(self.announced.push(CString::try_from(name)?, GFP_KERNEL)?)
    }

    /// Forgets the module `name`, which is being unloaded, or whose load is refused.
    pub(crate) fn forget_announced(&mut self, name: &CStr) {
        self.announced.retain(|other| **other != *name);
    }

    /// Returns the time of the last change, and the quiet time that must follow it before functions
    /// are promoted. Returns `None` when functions have settled.
    pub(crate) fn settling(&self) -> Option<(Instant<Monotonic>, Delta)> {
        self.settling
    }

    /// Notes that a change was made now: functions have to settle for `quiet`.
    pub(crate) fn start_settling(&mut self, quiet: Delta) {
        self.settling = Some((Instant::now(), quiet));
    }

    /// Returns the time of the last [`note_attach_request`](Self::note_attach_request).
    pub(crate) fn last_attach_request(&self) -> Option<Instant<Monotonic>> {
        self.last_attach_request
    }

    /// Notes that another user is about to attach a direct target to a hooked function.
    pub(crate) fn note_attach_request(&mut self) {
        self.last_attach_request = Some(Instant::now());
    }

    /// Notes that functions have settled.
    pub(crate) fn stop_settling(&mut self) {
        self.settling = None;
    }
}

/// Returns the state of a patch that is in effect.
fn state_in_effect(patch: &Patch) -> State {
    match patch.probation {
        Probation::Since(_) | Probation::Failed => State::Probation,
        Probation::Ahead | Probation::Passed => State::Enabled,
    }
}

/// Makes the plan of the patches of `entries` in `step`.
///
/// # Errors
///
/// `ENOMEM`.
fn plan(entries: &[Registered], step: Step) -> Result<Plan<'_>> {
    Plan::new(entries.iter().map(|entry| &entry.patch), step)
}

/// Releases patches that have left the registry, and subtracts them from the count of retired
/// patches.
///
/// # Context
///
/// Process context, with the registry unlocked. May sleep.
pub(crate) fn release(retired: RetiredPatches) {
    let count = retired.release();
    if count == 0 {
        return;
    }
    if let Ok(mut registry) = REGISTRY.lock() {
        registry.retired = registry.retired.saturating_sub(count);
    }
}

/// Keeps ftrace from being switched off, if `patch` has a function to hook.
///
/// # Errors
///
/// `EBUSY` if ftrace is switched off, with a line in the log, and the other errors of
/// [`FtraceEnabled::new`].
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

/// Logs which function could not be hooked, and the handler of the other user that redirects it.
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
