// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/rust_livepatch/`: a directory for each patch, in it one for each object, in that one
//! for each function. See `Documentation/ABI/sysfs-kernel-rust-livepatch`.
//!
//! A file knows its patch by number alone and asks the registry: a patch that is gone is `ENODEV`,
//! not a dangling reference.

use crate::{
    control,
    hooks::Mode,
    jumps::Why,
    patch::{Ended, Patch, PatchId, Presence},
    records::Blocker,
    registry::REGISTRY,
};
use kernel::{
    prelude::*,
    str::{kstrtobool_bytes, BStr, CStr, CString},
    time::{Delta, NSEC_PER_SEC, NSEC_PER_USEC},
};
use kernel_ext::{
    gate::Gate,
    kallsyms,
    kobject::{Attribute, Directory, Entry, Page, Parent},
    task,
};

/// The directory of all patches.
pub(crate) type Root = Directory<RootEntry>;

/// It has no files of its own: tools count what is in it.
pub(crate) struct RootEntry;

impl Entry for RootEntry {
    const ATTRIBUTES: &'static [&'static Attribute<Self>] = &[];
}

/// Makes `/sys/kernel/rust_livepatch`. `ENOMEM`, `EEXIST`.
pub(crate) fn root(gate: Gate) -> Result<Root> {
    Root::new(Parent::kernel(gate), c"rust_livepatch", RootEntry)
}

/// A patch's directory with all below it. Fields in the order of removal.
///
/// Files take the registry's lock, so this is never dropped under it; on failure neither.
#[derive(Default)]
pub(crate) struct PatchDirectory {
    funcs: KVec<Directory<FuncEntry>>,
    objects: KVec<Directory<ObjectEntry>>,
    patch: Option<Directory<PatchEntry>>,
}

/// Whether a directory of that name would be in the way of a patch's own file.
pub(crate) fn is_taken(name: &CStr) -> bool {
    PatchEntry::ATTRIBUTES
        .iter()
        .any(|attribute| attribute.name() == name)
}

impl PatchDirectory {
    /// Makes the directories of `patch`. Context: may sleep. What was made by then is in `self` on
    /// failure: `ENOMEM`, `EEXIST`, and `EBUSY` if a patch of that name is not quite gone.
    pub(crate) fn fill(&mut self, root: &Root, patch: &Patch) -> Result {
        let entry = PatchEntry(patch.id);
        let directory = Directory::new(root.as_parent(), patch.name(), entry).map_err(|e| {
            // None of that name is registered: one is leaving, in the module that asks once more.
            if e != EEXIST {
                return e;
            }
            pr_err!(
                "patch '{}' has to wait: it is still leaving\n",
                patch.name()
            );
            EBUSY
        })?;
        let directory = self.patch.insert(directory);
        directory.add_files()?;
        for (nr, object) in patch.objects.iter().enumerate() {
            let entry = ObjectEntry {
                patch: patch.id,
                nr,
            };
            let directory = Directory::new(directory.as_parent(), object.label(), entry)?;
            let directory = keep(&mut self.objects, directory)?;
            for (nr, func) in object.funcs.iter().enumerate() {
                let entry = FuncEntry { object: entry, nr };
                let name = CString::try_from_fmt(fmt!("{},{}", *func.name, func.position()))?;
                let func = Directory::new(directory.as_parent(), &name, entry)?;
                keep(&mut self.funcs, func)?;
            }
        }
        Ok(())
    }
}

/// Keeps `directory`, and gives it its files then.
fn keep<T: Entry>(all: &mut KVec<Directory<T>>, directory: Directory<T>) -> Result<&Directory<T>> {
    // Without files yet, it may be dropped here.
    all.push(directory, GFP_KERNEL)?;
    let directory = all.last().ok_or(ENOMEM)?;
    directory.add_files()?;
    Ok(directory)
}

/// The files of a patch.
pub(crate) struct PatchEntry(PatchId);

static ENABLED: Attribute<PatchEntry> =
    Attribute::read_write(c"enabled", show_enabled, store_enabled);
static TRANSITION: Attribute<PatchEntry> = Attribute::read_only(c"transition", show_transition);
static FORCE: Attribute<PatchEntry> = Attribute::write_only(c"force", store_force);
static REPLACE: Attribute<PatchEntry> = Attribute::read_only(c"replace", show_replace);
static STACK_ORDER: Attribute<PatchEntry> = Attribute::read_only(c"stack_order", show_stack_order);
static PROGRESS: Attribute<PatchEntry> = Attribute::read_only(c"progress", show_progress);
static BLOCKERS: Attribute<PatchEntry> = Attribute::owner_only(c"blockers", show_blockers);
static TRANSITION_US: Attribute<PatchEntry> =
    Attribute::read_only(c"transition_us", show_transition_us);
static TRANSITION_END: Attribute<PatchEntry> =
    Attribute::read_only(c"transition_end", show_transition_end);
static TRANSITION_FORCED: Attribute<PatchEntry> =
    Attribute::read_only(c"transition_forced", show_transition_forced);

impl Entry for PatchEntry {
    const ATTRIBUTES: &'static [&'static Attribute<Self>] = &[
        &ENABLED,
        &TRANSITION,
        &FORCE,
        &REPLACE,
        &STACK_ORDER,
        &PROGRESS,
        &BLOCKERS,
        &TRANSITION_US,
        &TRANSITION_END,
        &TRANSITION_FORCED,
    ];
}

fn show_enabled(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    flag(page, registry.is_enabled(entry.0))
}

fn store_enabled(entry: &PatchEntry, text: &[u8]) -> Result {
    control::set_enabled(entry.0, boolean(entry, &ENABLED, text)?)
}

fn boolean(entry: &PatchEntry, file: &Attribute<PatchEntry>, text: &[u8]) -> Result<bool> {
    kstrtobool_bytes(text).inspect_err(|_| {
        let Ok(registry) = REGISTRY.lock() else {
            return;
        };
        if let Ok(patch) = registry.patch(entry.0) {
            pr_err!("'{}': {} takes 0 or 1\n", patch.name(), file.name());
        }
    })
}

fn show_transition(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    flag(page, registry.transition_of(entry.0).is_some())
}

fn store_force(entry: &PatchEntry, text: &[u8]) -> Result {
    match boolean(entry, &FORCE, text)? {
        true => control::force(entry.0),
        false => Ok(()),
    }
}

fn show_replace(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let replace = REGISTRY.lock()?.patch(entry.0)?.replace;
    flag(page, replace)
}

fn show_stack_order(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let at = registry.patches.iter().position(|p| p.id == entry.0);
    line(page, at.ok_or(ENODEV)?.saturating_add(1))
}

fn show_progress(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    let (pending, total) = registry
        .transition_of(entry.0)
        .map_or((0, 0), |t| (t.records().pending(), t.records().len()));
    page.print(fmt!("{} {}\n", total.saturating_sub(pending), total))
}

fn show_blockers(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    /// The longest line: pid, comm, reason, and a function's name cut to what a line bears.
    const LINE: usize = 256;
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    let Some(transition) = registry.transition_of(entry.0) else {
        return Ok(());
    };
    for record in transition.records().iter_pending() {
        if page.room() < LINE {
            return page.print(fmt!("...\n"));
        }
        let task = record.task();
        let comm = task::comm(task);
        let comm = comm.split(|&byte| byte == 0).next().unwrap_or_default();
        page.print(fmt!("{} {} ", task.pid(), BStr::from_bytes(comm)))?;
        match record.blocker() {
            Blocker::Unknown => page.print(fmt!("unknown -\n")),
            Blocker::Running => page.print(fmt!("running -\n")),
            Blocker::Unreliable => page.print(fmt!("unreliable -\n")),
            Blocker::Inside(addr) => {
                let name = kallsyms::name_of(addr)?;
                let name = name.as_str().split('+').next().unwrap_or("?");
                let name = name.get(..LINE / 2).unwrap_or(name);
                page.print(fmt!("inside {}\n", name))
            }
        }?;
    }
    Ok(())
}

fn last_end(entry: &PatchEntry) -> Result<Option<Ended>> {
    Ok(REGISTRY.lock()?.patch(entry.0)?.ended)
}

fn show_transition_us(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    line(page, last_end(entry)?.map_or(0, |ended| ended.took_us))
}

fn show_transition_end(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let at = last_end(entry)?.map_or(Delta::ZERO, |ended| ended.at);
    let micros = at.as_nanos() % NSEC_PER_SEC / NSEC_PER_USEC;
    page.print(fmt!("{}.{:06}\n", at.as_nanos() / NSEC_PER_SEC, micros))
}

fn show_transition_forced(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    flag(page, last_end(entry)?.is_some_and(|ended| ended.forced))
}

/// The file of an object.
#[derive(Clone, Copy)]
pub(crate) struct ObjectEntry {
    patch: PatchId,
    nr: usize,
}

static PATCHED: Attribute<ObjectEntry> = Attribute::read_only(c"patched", show_patched);

impl Entry for ObjectEntry {
    const ATTRIBUTES: &'static [&'static Attribute<Self>] = &[&PATCHED];
}

fn show_patched(entry: &ObjectEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let object = registry.patch(entry.patch)?.objects.get(entry.nr);
    let patched = object.ok_or(ENODEV)?.presence == Presence::Patched;
    flag(page, patched)
}

/// The file of a function.
pub(crate) struct FuncEntry {
    object: ObjectEntry,
    nr: usize,
}

static MODE: Attribute<FuncEntry> = Attribute::read_only(c"mode", show_mode);

impl Entry for FuncEntry {
    const ATTRIBUTES: &'static [&'static Attribute<Self>] = &[&MODE];
}

fn show_mode(entry: &FuncEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let object = registry
        .patch(entry.object.patch)?
        .objects
        .get(entry.object.nr);
    let func = object
        .and_then(|object| object.funcs.get(entry.nr))
        .ok_or(ENODEV)?;
    let mode = func
        .original
        .as_ref()
        .and_then(|original| registry.hooks.mode(original.site));
    line(
        page,
        match mode {
            None => "unhooked",
            Some(Mode::Jump(_) | Mode::Both(_)) => "jump",
            Some(Mode::Handler(Why::Settling)) => "handler settling",
            Some(Mode::Handler(Why::Original)) => "handler original",
            Some(Mode::Handler(Why::Off)) => "handler off",
            Some(Mode::Handler(Why::Unsupported)) => "handler unsupported",
            Some(Mode::Handler(Why::Taken)) => "handler taken",
        },
    )
}

fn line(page: &mut Page<'_>, value: impl kernel::fmt::Display) -> Result {
    page.print(fmt!("{}\n", value))
}

fn flag(page: &mut Page<'_>, value: bool) -> Result {
    line(page, u8::from(value))
}
