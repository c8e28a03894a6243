// SPDX-License-Identifier: GPL-2.0

//! A transition: switching every task from one universe to the other, each at its own safe point.
//!
//! [`enrol`] makes a record for every task and publishes a view with these records. From then on
//! the handler looks up the record of the task that calls a hooked function.
//!
//! A record is switched when its task's stack is proved to have no affected code. Four places try
//! to make this proof:
//!
//! - [`Transition::sweep`] walks the stacks of tasks that are off the CPU, each held still.
//! - It then interrupts each CPU that runs a task which is not switched yet, or whose idle task is
//!   not switched yet. Busy kthreads and tasks in user mode are checked there, if the kernel could
//!   have preempted them. The record of the idle task stands for the CPU, too: tasks without a
//!   record that exit there are switched with it. A CPU whose task is still pending is made to
//!   reschedule.
//! - [`Probe`] checks a task as the task leaves the CPU.
//! - After a while, and rarely from then on, [`Transition::sweep`] nudges the tasks that are left,
//!   and [`Probe`] also checks tasks that leave a system call. Without that, a task whose system
//!   call is restarted would go back to sleep in the same function.
//!
//! The place that switches the last record kicks the worker, which completes the transition.
//!
//! A child starts in the universe of its parent. If the parent is not switched yet, [`Probe`] makes
//! a record for the child.

use crate::{
    debug,
    plan::Plan,
    records::{
        Blocker,
        Full,
        Inherited,
        Records,
        Switched, //
    },
    step::Step,
    universe::Universe,
    view::{
        self,
        RunningTransition,
        View,
        VIEW, //
    },
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    sync::{
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
        AfterInterrupt,
        CpuSet,
        Interrupted,
        Running, //
    },
    gate::Gate,
    rcu::{
        self,
        ReadSide, //
    },
    sched::{
        LeaveSyscall,
        NewTask,
        SchedSwitch,
        SwitchOut,
        SyscallExit,
        TaskNewtask, //
    },
    stack::{
        self,
        Verdict, //
    },
    task::{
        self,
        Held,
        NewTaskLock,
        Quiescent,
        TaskId,
        TaskList, //
    }, //
};

/// The first pause between two sweeps. It doubles up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u32 = 10;
/// The longest pause between two sweeps.
const LONGEST_PAUSE_MS: u32 = 1000;

/// The least room that a new table has for the records of children, for each possible CPU. When
/// half of the room is used, the worker replaces the table.
const CHILDREN_PER_CPU: usize = 16;

/// The time after the start or a reversal of a transition at which tasks are nudged first. Nudges
/// should be rare: some system calls return to user space when their sleep is interrupted.
const FIRST_NUDGE: Delta = Delta::from_secs(3);
/// The time after which tasks that are still not switched are nudged again, as in-tree
/// (`klp_send_signals()` in `kernel/livepatch/transition.c`).
const NUDGE_PERIOD: Delta = Delta::from_secs(15);

/// Whether the loader reverses a transition at the deadline of its patch, or so that another patch
/// can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The transition is not reversed.
    None,
    /// The transition need not be reversed yet.
    Ahead,
    /// The transition must be reversed, which was logged. It could not be reversed yet.
    Passed,
}

/// A transition, from [`start`](Self::start) until [`conclude`](Self::conclude) has made its target
/// universe the only one.
pub(crate) struct Transition {
    /// The patch that is in transition, and the difference between the universes.
    pub(crate) step: Step,
    /// Whether a task was switched by force.
    pub(crate) forced: bool,
    /// Whether it was logged that the completion failed and is retried.
    pub(crate) warned: bool,
    /// Whether it was reported that the transition takes long.
    pub(crate) reported: bool,
    pub(crate) deadline: Deadline,
    /// The universe to which tasks are switched.
    pub(crate) target: Universe,
    gate: Gate,
    records: Arc<Records>,
    /// The number of children without room for a record, in the tables before `records`.
    left_out: usize,
    /// The probe for system calls, once tasks have been nudged.
    syscall_probe: Option<SyscallExit<Probe>>,
    started: Instant<Monotonic>,
    /// The time of the start, of the last reversal or of the last nudge, whichever is latest.
    nudge_clock: Instant<Monotonic>,
    /// Tasks are nudged when `nudge_clock` is older than this.
    nudge_after: Delta,
    pause_ms: u32,
    /// The CPUs that the current sweep interrupts.
    cpus: CpuSet,
}

impl Transition {
    /// Starts to switch tasks to [`Universe::New`].
    ///
    /// `plan` is a plan of `step`. Its functions are hooked, and a [`Probe`] is registered.
    ///
    /// # Context
    ///
    /// Process context, with the registry locked. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn start(plan: &Plan<'_>, step: Step, gate: Gate) -> Result<Self> {
        let started = Instant::now();
        let cpus = CpuSet::new()?;
        let records = enrol(plan, Universe::New, None, gate)?;
        Ok(Self {
            step,
            forced: false,
            warned: false,
            reported: false,
            deadline: Deadline::Ahead,
            target: Universe::New,
            gate,
            records,
            left_out: 0,
            syscall_probe: None,
            started,
            nudge_clock: started,
            nudge_after: FIRST_NUDGE,
            pause_ms: FIRST_PAUSE_MS,
            cpus,
        })
    }

    /// Reverses the transition: the target universe is now the other one.
    ///
    /// # Context
    ///
    /// As for [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// `ENOMEM`. The transition then continues as before.
    pub(crate) fn reverse(&mut self, plan: &Plan<'_>) -> Result {
        let target = self.target.other();
        self.renew(plan, target)?;
        self.target = target;
        // A reversed transition is not reversed at a deadline. Otherwise it could be reversed again
        // and again.
        self.deadline = Deadline::None;
        self.nudge_clock = Instant::now();
        self.nudge_after = FIRST_NUDGE;
        self.pause_ms = FIRST_PAUSE_MS;
        Ok(())
    }

    /// Makes a larger record table, if the room for children of tasks that are not switched yet is
    /// running short. Each task keeps its universe.
    ///
    /// # Context
    ///
    /// As for [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// `ENOMEM`. The transition then continues as before.
    pub(crate) fn grow_records(&mut self, plan: &Plan<'_>) -> Result {
        self.renew(plan, self.target)
    }

    /// Whether [`grow_records`](Self::grow_records) should be called.
    pub(crate) fn is_crowded(&self) -> bool {
        self.records.is_crowded()
    }

    /// Makes a new record table, with the universes of the present table.
    ///
    /// # Context
    ///
    /// Process context, with the registry locked. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. The transition then continues with the present table.
    fn renew(&mut self, plan: &Plan<'_>, target: Universe) -> Result {
        self.records.freeze();
        rcu::synchronize();
        let records = enrol(plan, target, Some(&self.records), self.gate)
            .inspect_err(|_| self.records.thaw())?;
        self.left_out = self.left_out.saturating_add(self.records.left_out());
        self.records = records;
        Ok(())
    }

    /// Makes a view of `plan` for this transition, after objects have become present or absent.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn view(&self, plan: &Plan<'_>) -> Result<View> {
        Ok(View {
            redirects: plan.redirects()?,
            transition: Some(RunningTransition {
                records: self.records.clone(),
                affected: plan.affected(self.target.other())?,
            }),
        })
    }

    /// Makes the target universe the only one. Called when every task is in it. `plan` is a plan of
    /// this transition's step. When this returns, no reader uses the records any more.
    ///
    /// # Context
    ///
    /// As for [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    pub(crate) fn conclude(&self, plan: &Plan<'_>) -> Result {
        let view = View {
            redirects: plan.settled(self.target)?,
            transition: None,
        };
        drop(VIEW.publish(Some(KBox::new(view, GFP_KERNEL)?)));
        Ok(())
    }

    /// Whether the patch in transition is enabled when this transition completes.
    pub(crate) fn patching(&self) -> bool {
        match (self.step, self.target) {
            (Step::Disable(_) | Step::Restore(_), Universe::New) => false,
            (Step::Disable(_) | Step::Restore(_), Universe::Old) => true,
            (_, Universe::New) => true,
            (_, Universe::Old) => false,
        }
    }

    /// Whether every task is in the target universe.
    pub(crate) fn is_done(&self) -> bool {
        self.records.pending() == 0
    }

    /// Returns the records of tasks.
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// Returns the number of children that started in the target universe although their parents
    /// were not switched yet, because there was no room for their records.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out.saturating_add(self.records.left_out())
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Delta {
        self.started.elapsed()
    }

    /// Returns the time since the start in microseconds.
    pub(crate) fn elapsed_us(&self) -> i64 {
        self.elapsed().as_micros_ceil()
    }

    /// Tries to switch every task that is not switched yet.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    pub(crate) fn sweep(&mut self) {
        self.sweep_idle_of_offline_cpus();
        self.cpus.clear();
        for cpu in cpu::possible() {
            if self.records.universe_on(cpu) != self.target {
                self.cpus.add(cpu);
            }
        }
        for record in self.records.iter_pending() {
            if record.is_idle() {
                continue;
            }
            // If the task leaves this CPU before the interrupt, the probe checks it.
            if let Some(cpu) = sweep_task(record.task()) {
                self.cpus.add(cpu);
            }
        }
        if !self.cpus.is_empty() {
            cpu::interrupt(self.gate, &self.cpus, sweep_cpu);
        }
        if !self.is_done() && self.nudge_clock.elapsed() > self.nudge_after {
            self.nudge();
        }
    }

    /// Wakes the tasks that are not switched yet, and schedules the next nudge.
    fn nudge(&mut self) {
        self.nudge_clock = Instant::now();
        self.nudge_after = NUDGE_PERIOD;
        if self.syscall_probe.is_none() {
            // If this fails, tasks are still switched when they leave their system call for good.
            self.syscall_probe = SyscallExit::register(self.gate).ok();
        }
        for record in self.records.iter_pending() {
            task::nudge(record.task());
        }
    }

    /// Switches the idle tasks of offline CPUs. They start on an empty stack when their CPUs are
    /// brought online.
    fn sweep_idle_of_offline_cpus(&self) {
        let hotplug = cpu::HotplugLock::read();
        for cpu in cpu::possible().filter(|&cpu| !hotplug.is_online(cpu)) {
            let idle = task::idle_task(cpu);
            let record = idle.and_then(|idle| self.records.find(TaskId::from(&*idle).as_usize()));
            if let Some(record) = record {
                self.records.switch(&record);
            }
        }
    }

    /// Requests the next sweep. This does not delay the run that is requested by the CPU that
    /// switches the last record.
    pub(crate) fn schedule(&mut self) {
        WORKER.after(self.pause_ms);
        self.pause_ms = self.pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
    }

    /// Switches all tasks that are left, without proof. If a task was left, the patch is not
    /// applied consistently.
    pub(crate) fn force(&mut self) {
        for record in self.records.iter_pending() {
            self.forced |= self.records.switch(&record) != Switched::Before;
        }
    }
}

/// Makes a record for every task and publishes the view in which tasks without a record are in
/// `target`.
///
/// If the transition runs already, `before` is its table: each task stays in the universe that
/// `before` has for the task. Otherwise every task is in the other universe.
///
/// One section under `tasklist_lock` records every visible task and publishes the view. When a task
/// becomes visible after that, its parent has taken `tasklist_lock` for writing. So the parent sees
/// the view in [`Probe`], and so does the task, which has never run.
///
/// # Context
///
/// Process context, with the registry locked. May sleep.
///
/// # Errors
///
/// `ENOMEM`. The view is as before then.
fn enrol(
    plan: &Plan<'_>,
    target: Universe,
    before: Option<&Records>,
    gate: Gate,
) -> Result<Arc<Records>> {
    let universe_of = |task: TaskId| match before {
        Some(records) => records.universe_of(task.as_usize()),
        None => target.other(),
    };
    let redirects = plan.redirects()?;
    let affected = plan.affected(target.other())?;
    let view_memory = KBox::<View>::new_uninit(GFP_KERNEL)?;
    // For children that are forked while the memory is allocated, and in the transition.
    let spare = cpu::possible().count().saturating_mul(CHILDREN_PER_CPU);
    let mut capacity = count_tasks(gate);

    let (records, new_tasks, list, locked) = loop {
        capacity = capacity.saturating_add(capacity / 8);
        capacity = capacity.saturating_add(spare.saturating_add(16));
        let mut records = UniqueArc::new(Records::with_capacity(capacity, target)?, GFP_KERNEL)?;
        for cpu in cpu::possible() {
            if let Some(idle) = task::idle_task(cpu) {
                records.insert_idle(cpu, &idle, universe_of(TaskId::from(&*idle)))?;
            }
        }
        let list = TaskList::lock(gate);
        let locked = Instant::<Monotonic>::now();
        if record_all(&list, before, &mut records, universe_of).is_ok() {
            if let Ok(new_tasks) = record_before(before, &mut records) {
                if records.room() >= spare {
                    break (Arc::from(records), new_tasks, list, locked);
                }
            }
        }
        drop(list);
        capacity = capacity.saturating_mul(2).max(count_tasks(gate));
    };
    let transition = Some(RunningTransition {
        records: records.clone(),
        affected,
    });
    let retired = VIEW.publish(Some(KBox::write(
        view_memory,
        View {
            redirects,
            transition,
        },
    )));
    drop(new_tasks);
    let held = locked.elapsed();
    drop(list);
    drop(retired);
    debug!(
        "recorded {} tasks, with the task list locked for {} us\n",
        records.len(),
        held.as_micros_ceil()
    );
    Ok(records)
}

/// Makes a record for every task on `list`.
///
/// An exiting task without a record follows its CPU: it is in the universe of the CPU's idle
/// record. Such a task gets no record in the new table either, and so stays in that universe.
///
/// # Errors
///
/// [`Full`] if the table has no room.
fn record_all(
    list: &TaskList,
    before: Option<&Records>,
    records: &mut Records,
    universe_of: impl Fn(TaskId) -> Universe,
) -> Result<(), Full> {
    let mut result = Ok(());
    list.for_each(|task| {
        let id = TaskId::from(task);
        let had_no_record = before.is_some_and(|before| before.recorded(id.as_usize()).is_none());
        if !(had_no_record && task::is_exiting(task)) {
            result = records.insert(task, universe_of(id));
        }
        result.is_ok()
    });
    result
}

/// Places each task of `before` in the universe that the task has in `before`. Leaves out the tasks
/// that have left their CPU for good. Some of the placed tasks have left the task list since
/// `before` was made.
///
/// [`record_all`] may have found a child whose parent has not passed [`Probe`] yet. When the parent
/// passes it, [`Probe`] changes `before`. So if `before` has changed during a copy, this makes
/// another copy. The loop ends, because `tasklist_lock` is held: only tasks that became visible
/// earlier can still be changed, each once. The returned lock keeps [`Probe`] from changing
/// `before` until the new view is published.
///
/// # Context
///
/// With the task list locked. Returns with interrupts off.
///
/// # Errors
///
/// [`Full`] if the table has no room.
fn record_before(before: Option<&Records>, records: &mut Records) -> Result<NewTaskLock, Full> {
    let mut lock = NewTaskLock::lock();
    let Some(before) = before else {
        return Ok(lock);
    };
    loop {
        let changes = before.child_changes(&lock);
        drop(lock);
        for record in before.iter() {
            if !task::is_dead(record.task()) {
                records.place(record.task(), record.universe())?;
            }
        }
        lock = NewTaskLock::lock();
        if before.child_changes(&lock) == changes {
            return Ok(lock);
        }
    }
}

fn count_tasks(gate: Gate) -> usize {
    let mut count = 0usize;
    TaskList::lock(gate).for_each(|_| {
        count = count.saturating_add(1);
        true
    });
    count.saturating_add(cpu::possible().count())
}

/// Tries to switch a task that is off the CPU. Returns the CPU on which the task runs, if it does.
fn sweep_task(task: &Task) -> Option<u32> {
    let cpu = task::with_quiescent(task, |held, proof| match held {
        // `is_dead()` is called while the task is held still: the stack of a task that has died in
        // the meantime may be freed.
        Held::OffCpu(held) => {
            try_switch(&held, task::is_dead(task), proof);
            None
        }
        Held::OnCpu(cpu) => {
            note_blocker(TaskId::from(task), Blocker::Running, proof);
            Some(cpu)
        }
    });
    cpu.flatten()
}

/// Checks an interrupted CPU: the task that runs there, and the idle task, whose record stands for
/// the CPU, too.
///
/// All calls of a section that is not preempted are in one universe. So a task in such a section is
/// not switched here. The CPU reschedules after the section, and [`Probe`] then checks the task.
///
/// An exiting task without a record follows its CPU. Such a task is only found here, where it runs.
/// So the CPU is not switched while the task is in a section that is not preempted, or has affected
/// code on its stack.
fn sweep_cpu(here: &Interrupted<'_>, proof: &ReadSide<'_>) -> AfterInterrupt {
    let running = match &here.running {
        Running::Preemptible(task) => try_switch(task, false, proof),
        Running::Busy(task) => switch_if(*task, proof, |_| Err(Blocker::Running)),
    };
    if let Some(idle) = &here.idle {
        switch_if(idle.id(), proof, |transition| {
            let id = here.running.id().as_usize();
            if transition.records.recorded(id).is_none() {
                match &here.running {
                    Running::Preemptible(task) => {
                        walk(task, transition).map_err(|_| Blocker::Unreliable)?;
                    }
                    Running::Busy(_) => return Err(Blocker::Unreliable),
                }
            }
            walk(idle, transition)
        });
    }
    match running {
        Checked::Pending => AfterInterrupt::Reschedule,
        Checked::Done => AfterInterrupt::Resume,
    }
}

/// The state of a record after a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checked {
    /// The record is still to be switched.
    Pending,
    /// Nothing is left to switch: there is no record, it is switched, or switching is frozen.
    Done,
}

/// Switches the record of `task` if the task is dead or its stack has no affected code.
///
/// # Context
///
/// Interrupts off, maybe with a runqueue locked: this takes no lock, allocates and prints nothing,
/// and does not panic.
fn try_switch(task: &Quiescent<'_>, dead: bool, proof: &ReadSide<'_>) -> Checked {
    switch_if(task.id(), proof, |running| {
        if dead {
            Ok(())
        } else {
            walk(task, running)
        }
    })
}

fn walk(task: &Quiescent<'_>, running: &RunningTransition) -> Result<(), Blocker> {
    match stack::walk(task, |addr| running.affected.contains(addr)) {
        Verdict::Clear => Ok(()),
        Verdict::Hit(addr) => Err(Blocker::Inside(running.affected.instruction_of(addr))),
        Verdict::Unreliable => Err(Blocker::Unreliable),
    }
}

/// Switches the record of `task` if it is pending, unless `judge` returns a blocker.
///
/// # Context
///
/// As for [`try_switch`].
#[inline(always)]
fn switch_if(
    task: TaskId,
    proof: &ReadSide<'_>,
    judge: impl FnOnce(&RunningTransition) -> Result<(), Blocker>,
) -> Checked {
    let Some(running) = VIEW.read(proof).and_then(|view| view.transition.as_ref()) else {
        return Checked::Done;
    };
    let records = &running.records;
    let Some(record) = records.find(task.as_usize()) else {
        return Checked::Done;
    };
    if record.universe() == records.target() || records.is_frozen() {
        return Checked::Done;
    }
    if let Err(blocker) = judge(running) {
        record.set_blocker(blocker);
        return Checked::Pending;
    }
    if records.switch(&record) == Switched::NowLast {
        WORKER.kick();
    }
    Checked::Done
}

fn note_blocker(task: TaskId, blocker: Blocker, proof: &ReadSide<'_>) {
    let running = VIEW.read(proof).and_then(|view| view.transition.as_ref());
    if let Some(record) = running.and_then(|running| running.records.find(task.as_usize())) {
        record.set_blocker(blocker);
    }
}

/// Checks each task as it leaves the CPU or a system call, and places new tasks.
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

impl NewTask for Probe {
    /// Places `child` in the universe of its parent, which is the current task. Interrupts are off,
    /// so the parent is not switched meanwhile.
    ///
    /// The child became visible before this call. Since then a sweep may have switched it, whether
    /// its parent was switched or not. The sweep treats the child like any task that sleeps on an
    /// empty stack. In-tree livepatch switches such a child, too.
    fn new_task(child: &Task, parent: TaskId, proof: &ReadSide<'_>) {
        let running = || VIEW.read(proof).and_then(|view| view.transition.as_ref());
        if running().is_none() {
            // A transition that starts after this finds the child on the task list.
            return;
        }
        // The view is read again under the lock: `enrol()` holds the lock when it replaces the
        // view.
        let lock = NewTaskLock::lock();
        let inherited = running().map(|RunningTransition { records, .. }| {
            let universe = view::universe_of_caller(records, parent);
            records.inherit(child, universe, &lock)
        });
        drop(lock);
        match inherited {
            Some(Inherited::DoneLast | Inherited::Crowded | Inherited::NoRoom) => WORKER.kick(),
            Some(Inherited::Done) | None => (),
        }
    }
}

/// Registers the probe for new tasks, for as long as the returned value lives.
///
/// Without a transition this probe reads one pointer, which is little compared with a fork. So it
/// is registered once: registering a probe takes longer than most transitions.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// Those of [`TaskNewtask::register`].
pub(crate) fn watch_new_tasks(gate: Gate) -> Result<TaskNewtask<Probe>> {
    TaskNewtask::register(gate)
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
pub(crate) fn register_probe(probe: &mut Option<SchedSwitch<Probe>>, gate: Gate) -> Result {
    if probe.is_none() {
        *probe = Some(SchedSwitch::register(gate)?);
    }
    Ok(())
}
