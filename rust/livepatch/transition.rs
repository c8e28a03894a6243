// SPDX-License-Identifier: GPL-2.0

//! Moving every task from one universe to the other, each at its own safe point.
//!
//! [`enrol`] makes a record for every task and publishes the view that the target universe belongs
//! to; from then on the handler asks the records. A record is switched on proof that its task's
//! stack holds no affected code, by whichever comes first:
//!
//! - [`Transition::sweep`] looks at tasks that are off the CPU, each held still,
//! - and interrupts every CPU: idle tasks, busy kthreads and tasks in user mode check themselves,
//!   and with its idle task a CPU is moved, for the sake of those who are about to die there;
//! - [`Probe`] sees a task as it leaves the CPU;
//! - after a while [`Transition::sweep`] wakes stragglers, and [`Probe`] sees tasks leave system
//!   calls, too: one that is interrupted in its sleep goes back to sleep in the same function when
//!   the call is restarted.
//!
//! Whoever switches the last record kicks the worker, which completes the transition.

use crate::{
    plan::Plan,
    records::{
        Blocker,
        Full,
        Records,
        Switched, //
    },
    step::Move,
    universe::Universe,
    view::{
        Moving,
        TaskRecords,
        View,
        VIEW, //
    },
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        UniqueArc, //
    },
    task::Task,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use kernel_ext::{
    cpu::{
        self,
        Interrupted, //
    },
    gate::Gate,
    rcu::{
        self,
        ReadSide, //
    },
    sched::{
        LeaveSyscall,
        SchedSwitch,
        SwitchOut,
        SyscallExit, //
    },
    stack::{
        self,
        Verdict, //
    },
    task::{
        self,
        Quiescent,
        TaskId,
        TaskList, //
    }, //
};

/// First pause between two sweeps; it doubles up to the second.
const FIRST_PAUSE_MS: u32 = 10;
const LONGEST_PAUSE_MS: u32 = 1000;

/// How long tasks are left alone before they are woken: some system calls that are interrupted in
/// their sleep return to user space, so it should be rare.
const NUDGE_AFTER: Delta = Delta::from_secs(3);

/// A transition that runs.
pub(crate) struct Transition {
    /// What moves.
    pub(crate) step: Move,
    /// Whether somebody ended it by force.
    pub(crate) forced: bool,
    /// Whether the log has it that it could not be completed at once.
    pub(crate) warned: bool,
    /// Where tasks are moved to.
    pub(crate) target: Universe,
    gate: Gate,
    records: Arc<TaskRecords>,
    /// Once stragglers are woken.
    exits: Option<SyscallExit<Probe>>,
    started: Instant<Monotonic>,
    pause_ms: u32,
}

impl Transition {
    /// Starts moving tasks to [`Universe::New`]. `plan` is of the same step; its functions are
    /// hooked, and a [`Probe`] is registered.
    ///
    /// Context: process context, may sleep; the registry is locked. `ENOMEM`; nothing has changed.
    pub(crate) fn start(plan: &Plan<'_>, step: Move, gate: Gate) -> Result<Self> {
        let started = Instant::now();
        let records = enrol(plan, Universe::New, None, gate)?;
        Ok(Self {
            step,
            forced: false,
            warned: false,
            target: Universe::New,
            gate,
            records,
            exits: None,
            started,
            pause_ms: FIRST_PAUSE_MS,
        })
    }

    /// Turns round: tasks go back to where they came from.
    ///
    /// Context: as [`start`](Self::start). `ENOMEM`; the transition then goes on as before.
    pub(crate) fn reverse(&mut self, plan: &Plan<'_>) -> Result {
        let target = self.target.other();
        self.records.freeze();
        rcu::synchronize();
        let records = enrol(plan, target, Some(&self.records), self.gate)
            .inspect_err(|_| self.records.thaw())?;
        self.records = records;
        self.target = target;
        self.pause_ms = FIRST_PAUSE_MS;
        Ok(())
    }

    /// Makes the view of a moment in this transition, after objects came or went.
    pub(crate) fn view(&self, plan: &Plan<'_>) -> Result<View> {
        Ok(View {
            redirects: plan.redirects()?,
            moving: Some(Moving {
                records: self.records.clone(),
                affected: plan.affected(self.target.other())?,
            }),
        })
    }

    /// Makes the target universe, in which everybody is, the only one. Nobody uses the records any
    /// more when this returns. `plan` is of the same step.
    ///
    /// Context: as [`start`](Self::start). `ENOMEM`; nothing has changed.
    pub(crate) fn conclude(&self, plan: &Plan<'_>) -> Result {
        let view = View {
            redirects: plan.settled(self.target)?,
            moving: None,
        };
        drop(VIEW.publish(Some(KBox::new(view, GFP_KERNEL)?)));
        Ok(())
    }

    /// Whether the moving patch will be enabled when this ends.
    pub(crate) fn patching(&self) -> bool {
        match (self.step, self.target) {
            (Move::Out(_), Universe::New) => false,
            (Move::Out(_), Universe::Old) => true,
            (_, Universe::New) => true,
            (_, Universe::Old) => false,
        }
    }

    /// Whether every task is in the target universe.
    pub(crate) fn is_done(&self) -> bool {
        self.records.pending() == 0
    }

    /// Who is where.
    pub(crate) fn records(&self) -> &TaskRecords {
        &self.records
    }

    /// Microseconds since the start.
    pub(crate) fn elapsed_us(&self) -> i64 {
        self.started.elapsed().as_micros_ceil()
    }

    /// Looks at every task that is not switched yet. Context: process context, may sleep.
    pub(crate) fn sweep(&mut self) {
        self.sweep_idle_of_offline_cpus();
        for record in self.records.iter_pending() {
            if !self.records.is_idle(&record) {
                sweep_task(record.task());
            }
        }
        if !self.is_done() {
            cpu::interrupt_each(sweep_cpu);
        }
        if !self.is_done() && self.started.elapsed() > NUDGE_AFTER {
            self.nudge();
        }
    }

    /// Wakes the stragglers.
    fn nudge(&mut self) {
        if self.exits.is_none() {
            // Without it those that leave their system call for good are switched, at least.
            self.exits = SyscallExit::register(self.gate).ok();
        }
        for record in self.records.iter_pending() {
            task::nudge(record.task());
        }
    }

    /// An offline CPU's idle task starts on an empty stack when the CPU comes back.
    fn sweep_idle_of_offline_cpus(&self) {
        let hotplug = cpu::HotplugLock::read();
        for cpu in cpu::possible().filter(|&cpu| !hotplug.is_online(cpu)) {
            let idle = task::idle_task(cpu);
            let record = idle.and_then(|idle| self.records.find(TaskId::from(&*idle).as_usize()));
            if let Some(record) = record {
                self.records.switch(record);
            }
        }
    }

    /// Asks for the next sweep.
    pub(crate) fn schedule(&mut self) {
        WORKER.after(self.pause_ms);
        // Who switched the last record since the sweep has kicked the worker, and the line above
        // has put that off. Who does it from now on is behind that line.
        if self.is_done() {
            WORKER.after(0);
        }
        self.pause_ms = self.pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
    }

    /// Switches all that are left, without any proof. The consistency of the patch is lost, unless
    /// nobody was left.
    pub(crate) fn force(&mut self) {
        for record in self.records.iter_pending() {
            self.forced |= self.records.switch(record) != Switched::Before;
        }
    }
}

/// Records every task in the universe that it is in, by the records of the transition that is
/// turned round if it is one, and publishes the view in which all that come later are in `target`.
///
/// In one section under `tasklist_lock` every visible task has a record and the view is published.
/// A task that becomes visible afterwards saw its parent take that lock for writing: it sees the
/// view, has no record, and has never run. No hook on fork or exit is needed.
fn enrol(
    plan: &Plan<'_>,
    target: Universe,
    before: Option<&TaskRecords>,
    gate: Gate,
) -> Result<Arc<TaskRecords>> {
    let now = |task: TaskId| match before {
        Some(records) => records.universe_of(task.as_usize()),
        None => target.other(),
    };
    let redirects = plan.redirects()?;
    let affected = plan.affected(target.other())?;
    let room = KBox::<View>::new_uninit(GFP_KERNEL)?;
    let mut capacity = count_tasks(gate).max(before.map_or(0, Records::len));

    let (records, list) = loop {
        // Room for those that are forked while the memory is allocated.
        capacity = capacity.saturating_add(capacity / 8).saturating_add(16);
        let mut records = UniqueArc::new(Records::with_capacity(capacity, target)?, GFP_KERNEL)?;
        for cpu in cpu::possible() {
            if let Some(idle) = task::idle_task(cpu) {
                let id = TaskId::from(&*idle);
                records.insert_idle(cpu, id.as_usize(), idle, now(id))?;
            }
        }
        let list = TaskList::lock(gate);
        if record_all(&list, before, &mut records, now).is_ok()
            && record_exited(before, &mut records).is_ok()
        {
            break (Arc::from(records), list);
        }
        drop(list);
        capacity = capacity.saturating_mul(2).max(count_tasks(gate));
    };
    let moving = Some(Moving {
        records: records.clone(),
        affected,
    });
    let retired = VIEW.publish(Some(KBox::write(room, View { redirects, moving })));
    drop(list);
    drop(retired);
    Ok(records)
}

fn record_all(
    list: &TaskList,
    before: Option<&TaskRecords>,
    records: &mut Records<ARef<Task>>,
    now: impl Fn(TaskId) -> Universe,
) -> Result<(), Full> {
    let mut result = Ok(());
    list.for_each(|task| {
        let id = TaskId::from(task);
        // Who had no record and is on the way out was where its CPU is, and stays there.
        let came_later = before.is_some_and(|before| before.recorded(id.as_usize()).is_none());
        if !(came_later && task::is_exiting(task)) {
            result = records.insert(id.as_usize(), ARef::from(task), now(id));
        }
        result.is_ok()
    });
    result
}

/// Also those that have left the list since, and not yet their CPU.
fn record_exited(
    before: Option<&TaskRecords>,
    records: &mut Records<ARef<Task>>,
) -> Result<(), Full> {
    for record in before.into_iter().flat_map(Records::iter) {
        let key = TaskId::from(&**record.task()).as_usize();
        if records.recorded(key).is_none() && !task::is_dead(record.task()) {
            records.insert(key, record.task().clone(), record.universe())?;
        }
    }
    Ok(())
}

fn count_tasks(gate: Gate) -> usize {
    let mut count = 0usize;
    TaskList::lock(gate).for_each(|_| {
        count = count.saturating_add(1);
        true
    });
    count.saturating_add(cpu::possible().count())
}

/// Tries to switch a task that is off the CPU.
fn sweep_task(task: &Task) {
    task::with_quiescent(task, |still, proof| match still {
        // Asked here and not before: the stack of one that has died in between is gone.
        Some(task_held) => try_switch(&task_held, task::is_dead(task), proof),
        None => note_blocker(TaskId::from(task), Blocker::Running, proof),
    });
}

/// Looks at a CPU that was interrupted: at the task that runs there, and at the idle task, whose
/// record stands for the CPU too. Only here is known what is where its CPU is.
fn sweep_cpu(here: &Interrupted<'_>, proof: &ReadSide<'_>) {
    try_switch(&here.task, false, proof);
    let Some(idle) = &here.idle else { return };
    switch_if(idle.id(), proof, |moving| {
        let apart = moving.records.recorded(here.task.id().as_usize()).is_some();
        match apart || walk(&here.task, moving) == Verdict::Clear {
            true => walk(idle, moving),
            false => Verdict::Unreliable,
        }
    });
}

/// Switches `task`'s record if its stack allows.
///
/// Context: interrupts off, maybe with a runqueue locked: no lock, no allocation, no printing, no
/// panic.
fn try_switch(task: &Quiescent<'_>, dead: bool, proof: &ReadSide<'_>) {
    switch_if(task.id(), proof, |moving| match dead {
        true => Verdict::Clear,
        false => walk(task, moving),
    });
}

fn walk(task: &Quiescent<'_>, moving: &Moving) -> Verdict {
    stack::walk(task, |addr| moving.affected.contains(addr))
}

/// Switches the record of `task`, if it has one that is to be switched, on the verdict of `judge`.
/// Context: as [`try_switch`].
#[inline(always)]
fn switch_if(task: TaskId, proof: &ReadSide<'_>, judge: impl FnOnce(&Moving) -> Verdict) {
    let Some(moving) = VIEW.read(proof).and_then(|view| view.moving.as_ref()) else {
        return;
    };
    let records = &moving.records;
    let Some(record) = records.find(task.as_usize()) else {
        return;
    };
    if record.universe() == records.target() || records.is_frozen() {
        return;
    }
    match judge(moving) {
        Verdict::Clear => {
            if records.switch(record) == Switched::Last {
                WORKER.kick();
            }
        }
        Verdict::Hit(addr) => record.set_blocker(Blocker::Inside(addr)),
        Verdict::Unreliable => record.set_blocker(Blocker::Unreliable),
    }
}

fn note_blocker(task: TaskId, blocker: Blocker, proof: &ReadSide<'_>) {
    let moving = VIEW.read(proof).and_then(|view| view.moving.as_ref());
    if let Some(record) = moving.and_then(|moving| moving.records.find(task.as_usize())) {
        record.set_blocker(blocker);
    }
}

/// Sees each task as it leaves the CPU or a system call.
pub(crate) struct Probe;

impl SwitchOut for Probe {
    #[inline(always)]
    fn switch_out(task: Quiescent<'_>, dead: bool, proof: &ReadSide<'_>) {
        try_switch(&task, dead, proof);
    }
}

impl LeaveSyscall for Probe {
    #[inline(always)]
    fn leave_syscall(task: Quiescent<'_>, proof: &ReadSide<'_>) {
        try_switch(&task, false, proof);
    }
}

/// Registers the probe if it is not. Context: may sleep. `ENOMEM`.
pub(crate) fn register_probe(probe: &mut Option<SchedSwitch<Probe>>, gate: Gate) -> Result {
    if probe.is_none() {
        *probe = Some(SchedSwitch::register(gate)?);
    }
    Ok(())
}
