// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/rust_livepatch/`.
//!
//! See `Documentation/ABI/sysfs-kernel-rust-livepatch`.
//!
//! A file has the number of its patch and looks it up in the registry. If the patch is not
//! registered, the result is `ENODEV`: there is no pointer that could dangle.

use crate::{
    blockers,
    control,
    directory::{
        Files,
        FuncEntry,
        ObjectEntry,
        PatchEntry, //
    },
    hooks::Mode,
    jumps::HandlerReason,
    patch::{
        Presence,
        TransitionEnd, //
    },
    probation,
    records::Blocker,
    registry::REGISTRY, //
};
use kernel::{
    prelude::*,
    str::{
        kstrtobool_bytes,
        CStr, //
    },
    time::{
        Delta,
        NSEC_PER_SEC,
        NSEC_PER_USEC, //
    }, //
};
use kernel_ext::{
    kobject::{
        Attribute,
        LongText,
        Page, //
    },
    task, //
};

/// The files in the directories of a patch, of its objects and of its functions.
pub(crate) static FILES: Files = Files {
    patch: &[
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
        &DEADLINE,
        &PROBATION,
        &CONFIRMED,
    ],
    info: &[&LEVEL, &CVES],
    object: &[&PATCHED],
    func: &[&MODE],
    polled: &[&ENABLED, &TRANSITION, &CONFIRMED],
};

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
static DEADLINE: Attribute<PatchEntry> =
    Attribute::read_write(c"deadline", show_deadline, store_deadline);
static PROBATION: Attribute<PatchEntry> = Attribute::read_only(c"probation", show_probation);
static CONFIRMED: Attribute<PatchEntry> =
    Attribute::read_write(c"confirmed", show_confirmed, store_confirmed);
static LEVEL: LongText<PatchEntry> = LongText::new(c"level", level);
static CVES: LongText<PatchEntry> = LongText::new(c"cves", cves);

fn show_enabled(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    print_flag(page, registry.is_enabled(entry.0))
}

fn store_enabled(entry: &PatchEntry, text: &[u8]) -> Result {
    control::set_enabled(entry.0, parse_bool(entry, &ENABLED, text)?)
}

fn parse_bool(entry: &PatchEntry, file: &Attribute<PatchEntry>, text: &[u8]) -> Result<bool> {
    kstrtobool_bytes(text).inspect_err(|_| {
        let Ok(registry) = REGISTRY.lock() else {
            return;
        };
        if let Ok(patch) = registry.patch(entry.0) {
            pr_err!(
                "patch '{}': the value of {} must be 0 or 1\n",
                patch.name(),
                file.name()
            );
        }
    })
}

fn show_transition(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    print_flag(page, registry.transition_of(entry.0).is_some())
}

fn store_force(entry: &PatchEntry, text: &[u8]) -> Result {
    if parse_bool(entry, &FORCE, text)? {
        control::force(entry.0)
    } else {
        Ok(())
    }
}

fn show_replace(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let replace = REGISTRY.lock()?.patch(entry.0)?.replace;
    print_flag(page, replace)
}

fn show_stack_order(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let at = registry.patches().position(|p| p.id == entry.0);
    print_line(page, at.ok_or(ENODEV)?.saturating_add(1))
}

fn show_progress(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    let (pending, total) = registry
        .transition_of(entry.0)
        .map_or((0, 0), |t| (t.records().pending(), t.records().len()));
    page.print(fmt!("{} {}\n", total.saturating_sub(pending), total))
}

/// The length of the longest line of `blockers`. A line has pid, comm, reason, and the name of a
/// function. The name is cut to half of this length.
const BLOCKER_LINE: usize = 256;

fn show_blockers(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    registry.patch(entry.0)?;
    let Some(transition) = registry.transition_of(entry.0) else {
        return Ok(());
    };
    let pending = || transition.records().iter_pending();
    // The page may not have room for all tasks, so it begins with the number of tasks for each
    // blocker.
    for &(blocker, count) in &blockers::count_by_function(pending().map(|record| record.blocker()))?
    {
        if page.room() < BLOCKER_LINE {
            return page.print(fmt!("...\n"));
        }
        page.print(fmt!("tasks {} ", count))?;
        print_blocker(page, blocker)?;
    }
    for record in pending() {
        if page.room() < BLOCKER_LINE {
            return page.print(fmt!("...\n"));
        }
        let task = record.task();
        page.print(fmt!("{} {} ", task.pid(), task::comm(task).name()))?;
        print_blocker(page, record.blocker())?;
    }
    Ok(())
}

fn print_blocker(page: &mut Page<'_>, blocker: Blocker) -> Result {
    blockers::name(blocker, BLOCKER_LINE / 2, |reason, function| {
        page.print(fmt!("{} {}\n", reason, function))
    })
}

fn last_end(entry: &PatchEntry) -> Result<Option<TransitionEnd>> {
    Ok(REGISTRY.lock()?.patch(entry.0)?.last_transition)
}

fn show_transition_us(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    print_line(page, last_end(entry)?.map_or(0, |ended| ended.took_us))
}

fn show_transition_end(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let at = last_end(entry)?.map_or(Delta::ZERO, |ended| ended.at);
    let micros = at.as_nanos() % NSEC_PER_SEC / NSEC_PER_USEC;
    page.print(fmt!("{}.{:06}\n", at.as_nanos() / NSEC_PER_SEC, micros))
}

fn show_transition_forced(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    print_flag(page, last_end(entry)?.is_some_and(|ended| ended.forced))
}

fn show_deadline(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    print_line(page, REGISTRY.lock()?.patch(entry.0)?.deadline_s)
}

fn store_deadline(entry: &PatchEntry, text: &[u8]) -> Result {
    let mut registry = REGISTRY.lock()?;
    let patch = registry.patch(entry.0)?;
    let seconds = parse_seconds(text).inspect_err(|_| {
        pr_err!(
            "patch '{}': the value of deadline must be a number of seconds\n",
            patch.name()
        );
    })?;
    registry.set_deadline(entry.0, seconds)
}

/// Parses a decimal number with or without a newline.
///
/// # Errors
///
/// `EINVAL` for any other text.
fn parse_seconds(text: &[u8]) -> Result<u32> {
    let text = core::str::from_utf8(text.strip_suffix(b"\n").unwrap_or(text));
    text.ok().and_then(|text| text.parse().ok()).ok_or(EINVAL)
}

fn show_probation(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let left = REGISTRY.lock()?.patch(entry.0)?.probation_left();
    let ns = left.map_or(0, |left| left.as_nanos());
    print_line(page, ns.saturating_add(NSEC_PER_SEC - 1) / NSEC_PER_SEC)
}

fn show_confirmed(entry: &PatchEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let patch = registry.patch(entry.0)?;
    print_flag(page, patch.is_confirmed())
}

fn store_confirmed(entry: &PatchEntry, text: &[u8]) -> Result {
    if parse_bool(entry, &CONFIRMED, text)? {
        return probation::confirm(entry.0);
    }
    if let Ok(patch) = REGISTRY.lock()?.patch(entry.0) {
        pr_err!(
            "patch '{}': the value of confirmed must be 1\n",
            patch.name()
        );
    }
    Err(EINVAL)
}

fn level(entry: &PatchEntry) -> Result<KVVec<u8>> {
    info(entry, c"rlp_info_level")
}

fn cves(entry: &PatchEntry) -> Result<KVVec<u8>> {
    info(entry, c"rlp_info_cves")
}

/// Returns the string `symbol` of the patch's module as a line. Returns nothing if there is no such
/// string.
///
/// # Errors
///
/// `ENODEV` if the patch is not registered, and those of `string()`.
fn info(entry: &PatchEntry, symbol: &CStr) -> Result<KVVec<u8>> {
    let registry = REGISTRY.lock()?;
    let Some(mut line) = registry.patch(entry.0)?.desc.module().string(symbol)? else {
        return Ok(KVVec::new());
    };
    line.push(b'\n', GFP_KERNEL)?;
    Ok(line)
}

static PATCHED: Attribute<ObjectEntry> = Attribute::read_only(c"patched", show_patched);

fn show_patched(entry: &ObjectEntry, page: &mut Page<'_>) -> Result {
    let registry = REGISTRY.lock()?;
    let object = registry.patch(entry.patch)?.objects.get(entry.nr);
    let patched = object.ok_or(ENODEV)?.presence == Presence::Patched;
    print_flag(page, patched)
}

static MODE: Attribute<FuncEntry> = Attribute::read_only(c"mode", show_mode);

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
        .and_then(|original| registry.mode(original.site));
    print_line(
        page,
        match mode {
            None => "unhooked",
            Some(Mode::Jump(_) | Mode::HandlerAndJump(_)) => "jump",
            Some(Mode::Handler(HandlerReason::Settling)) => "handler settling",
            Some(Mode::Handler(HandlerReason::Original)) => "handler original",
            Some(Mode::Handler(HandlerReason::Off)) => "handler off",
            Some(Mode::Handler(HandlerReason::Unsupported)) => "handler unsupported",
            Some(Mode::Handler(HandlerReason::Taken)) => "handler taken",
        },
    )
}

fn print_line(page: &mut Page<'_>, value: impl kernel::fmt::Display) -> Result {
    page.print(fmt!("{}\n", value))
}

fn print_flag(page: &mut Page<'_>, value: bool) -> Result {
    print_line(page, u8::from(value))
}
