// SPDX-License-Identifier: GPL-2.0

//! The view: the state that the ftrace handler and the probes read through one pointer.
//!
//! Everything that must change together is in the view, and the view is replaced as a whole under
//! RCU. So a call sees the redirects, the records and the affected code of one moment. A view with
//! records belongs to a running transition. In a view without records both universes are alike.

use crate::{
    ranges::Ranges,
    records::Records,
    redirects::Redirects,
    universe::Universe, //
};
use kernel::sync::Arc;
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

/// The part of a view that belongs to a running transition.
pub(crate) struct RunningTransition {
    /// The universe of each task.
    pub(crate) records: Arc<Records>,
    /// Code that must not be on the stack of a task that is switched to the target universe.
    pub(crate) affected: Ranges,
}

/// A view. See the module's documentation.
pub(crate) struct View {
    /// The destinations of the calls of hooked functions.
    pub(crate) redirects: Redirects,
    /// The transition, if one runs.
    pub(crate) transition: Option<RunningTransition>,
}

/// The view that the handler and the probes read. Each change publishes a new view here. A reader's
/// view stays valid while its [`ReadSide`] lives.
pub(crate) static VIEW: RcuBox<View> = RcuBox::empty();

/// The ftrace handler: returns the destination of a call of the function at `site` by `task`, or
/// `None` for the original code.
///
/// # Context
///
/// Any, with preemption off; see [`kernel_ext::ftrace_target!`].
#[inline(always)]
pub(crate) fn target(site: Site, task: TaskId, proof: &ReadSide<'_>) -> Option<CallTarget> {
    let view = VIEW.read(proof)?;
    let Some(targets) = view.redirects.find_at_once(site) else {
        return target_slowly(view, site, task);
    };
    if targets.are_alike() {
        return targets.choose(Universe::New);
    }
    let universe = match &view.transition {
        Some(running) => running.records.universe_at_once(task.as_usize()),
        None => Some(Universe::Old),
    };
    match universe {
        Some(universe) => targets.choose(universe),
        None => target_slowly(view, site, task),
    }
}

/// Does the same as [`target`] when the first slot of a look-up does not have the key.
///
/// This is a separate function that starts the look-up again. So the fast path in [`target`] need
/// not save the state of its look-up for this function.
#[cold]
#[inline(never)]
fn target_slowly(view: &View, site: Site, task: TaskId) -> Option<CallTarget> {
    let targets = view.redirects.find(site)?;
    let universe = match &view.transition {
        Some(running) => universe_of_caller(&running.records, task),
        None => Universe::Old,
    };
    targets.choose(universe)
}

/// Returns the universe of `task`, which is `current`.
///
/// A task without a record was forked during the transition, or it is exiting. A forked task is in
/// the target universe: its parent was there, too, or there was no room for the child's record. An
/// exiting task may have left the task list, so it cannot be found, and no record can be made for
/// it. An interrupt handler that runs on top of the task must not see the universe change. So an
/// exiting task follows its CPU: it is in the universe of the CPU's idle record. A CPU is switched
/// at a moment when no code that runs there would notice the change.
pub(crate) fn universe_of_caller(records: &Records, task: TaskId) -> Universe {
    records
        .recorded(task.as_usize())
        .unwrap_or_else(|| match task::exiting_on() {
            Some(cpu) => records.universe_on(cpu),
            None => records.target(),
        })
}

kernel_ext::ftrace_target!(crate::view::target);
