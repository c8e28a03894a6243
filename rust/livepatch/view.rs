// SPDX-License-Identifier: GPL-2.0

//! What the ftrace handler and the scheduler probe see of the loader: one pointer to one view.
//!
//! Everything that must change together is in the view, and it is replaced as a whole under RCU: a
//! call sees the functions, the record table and the affected code of one moment. A view with
//! records belongs to a running transition; in one without, both universes are alike.

use crate::{
    ranges::Ranges,
    records::Records,
    redirects::Redirects,
    universe::Universe, //
};
use kernel::{
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task, //
};
use kernel_ext::{
    ftrace::{
        CallTarget,
        Site, //
    },
    rcu::{
        RcuBox,
        ReadSide, //
    },
    task::{
        self,
        TaskId, //
    }, //
};

/// The records of tasks.
pub(crate) type TaskRecords = Records<ARef<Task>>;

/// A running transition, as seen from the handler and the probe.
pub(crate) struct Moving {
    /// Who is in which universe.
    pub(crate) records: Arc<TaskRecords>,
    /// Code that must not be on the stack of a task that leaves its universe for the target.
    pub(crate) affected: Ranges,
}

/// See the module's documentation.
pub(crate) struct View {
    /// Where hooked functions lead.
    pub(crate) redirects: Redirects,
    /// The transition, if one runs.
    pub(crate) moving: Option<Moving>,
}

/// The view in force.
pub(crate) static VIEW: RcuBox<View> = RcuBox::empty();

/// Where `task`, which calls the function at `site`, is to go on; `None`: in the function itself.
///
/// This is the ftrace handler. Context: any, preemption off; see [`kernel_ext::ftrace_target!`].
#[inline(always)]
pub(crate) fn target(site: Site, task: TaskId, proof: &ReadSide<'_>) -> Option<CallTarget> {
    let view = VIEW.read(proof)?;
    let Some(targets) = view.redirects.find_at_once(site) else {
        return target_slowly(view, site, task);
    };
    if targets.are_alike() {
        return targets.choose(Universe::New);
    }
    let universe = match &view.moving {
        Some(moving) => moving.records.universe_at_once(task.as_usize()),
        None => Some(Universe::Old),
    };
    match universe {
        Some(universe) => targets.choose(universe),
        None => target_slowly(view, site, task),
    }
}

/// The same where several looks are needed. Apart, and begun anew, so that the short way above has
/// nothing to keep for it.
#[cold]
#[inline(never)]
fn target_slowly(view: &View, site: Site, task: TaskId) -> Option<CallTarget> {
    let targets = view.redirects.find(site)?;
    let universe = match &view.moving {
        Some(moving) => universe_of_caller(&moving.records, task),
        None => Universe::Old,
    };
    targets.choose(universe)
}

/// The universe of `task`, which is `current`.
///
/// Without a record it came later, or it was on its way out already. Nobody can hold up one of
/// those until it is moved, but interrupts on it must not see it move either: it is where its CPU
/// is, which is moved when nothing runs there that would notice.
fn universe_of_caller(records: &TaskRecords, task: TaskId) -> Universe {
    records
        .recorded(task.as_usize())
        .unwrap_or_else(|| match task::exiting_on() {
            Some(cpu) => records.universe_on(cpu),
            None => records.target(),
        })
}

kernel_ext::ftrace_target!(crate::view::target);
