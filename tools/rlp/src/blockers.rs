// SPDX-License-Identifier: GPL-2.0

//! The tasks that hold up a transition, explained in words.

use crate::failure::{
    on_file,
    Result, //
};
use crate::loader;
use crate::system::System;
use serde::Serialize;
use std::io::ErrorKind;

/// The kernel's flag of a kernel thread, in `/proc/PID/stat`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The maximum number of tasks that are shown one by one. The counts include all tasks.
const MAX_SHOWN_TASKS: usize = 5;

/// The result of the loader's last check of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    Unknown,
    Running,
    Unreliable,
    Inside,
}

impl Reason {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "unknown" => Some(Self::Unknown),
            "running" => Some(Self::Running),
            "unreliable" => Some(Self::Unreliable),
            "inside" => Some(Self::Inside),
            _ => None,
        }
    }
}

/// The kind of a task, on which the remedy depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A CPU's idle task.
    Idle,
    KernelThread,
    Process,
    /// The task has ended meanwhile.
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Task {
    pub(crate) pid: u64,
    pub(crate) comm: String,
    pub(crate) reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    pub(crate) kind: Kind,
    /// The task waits in the kernel, and signals do not wake it (D in ps).
    pub(crate) uninterruptible: bool,
    /// The systemd service that the task belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// The functions on the task's stack, the innermost first.
    pub(crate) stack: Vec<String>,
}

/// The number of tasks for a reason and a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) tasks: u64,
    pub(crate) reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Blockers {
    pub(crate) counts: Vec<Count>,
    /// At most `MAX_SHOWN_TASKS` of the tasks. Tasks that are inside a function are first.
    pub(crate) tasks: Vec<Task>,
}

/// Splits a line that ends with "REASON FUNCTION". "-" stands for no function. Returns the text
/// before the reason, too.
fn split(line: &str) -> Option<(&str, Reason, Option<String>)> {
    let (rest, function) = line.rsplit_once(' ')?;
    let (rest, reason) = rest.rsplit_once(' ')?;
    let function = (function != "-").then(|| function.to_owned());
    Some((rest, Reason::parse(reason)?, function))
}

/// Parses the file `blockers`, which has the counts, and the pid, the name, the reason and the
/// function of each task. `add_proc_details` adds the other fields of a task later. The kind of a
/// task is `Ended` until that function finds the task in `/proc`. An idle task is not in `/proc`:
/// its kind is `Idle` from the beginning.
pub(crate) fn parse(text: &str) -> Blockers {
    let mut blockers = Blockers::default();
    for line in text.lines() {
        let Some((start, reason, function)) = split(line) else {
            continue;
        };
        // The name of a task may contain spaces, and may be "tasks".
        let Some((first, comm)) = start.split_once(' ') else {
            continue;
        };
        if let Ok(pid) = first.parse() {
            blockers.tasks.push(Task {
                pid,
                comm: comm.to_owned(),
                reason,
                function,
                kind: if pid == 0 { Kind::Idle } else { Kind::Ended },
                uninterruptible: false,
                unit: None,
                stack: Vec::new(),
            });
        } else if let (Ok(tasks), "tasks") = (comm.parse(), first) {
            blockers.counts.push(Count {
                tasks,
                reason,
                function,
            });
        }
    }
    blockers
}

/// Adds what `/proc` knows about a task.
fn add_proc_details(system: &System, task: &mut Task) {
    if task.kind == Kind::Idle {
        return;
    }
    let Ok(stat) = system.read(&format!("/proc/{}/stat", task.pid)) else {
        return;
    };
    // The name is in parentheses, and may contain any character.
    let fields: Vec<_> = match stat.rsplit_once(") ") {
        Some((_, fields)) => fields.split(' ').collect(),
        None => return,
    };
    let flags = fields.get(6).and_then(|flags| flags.parse::<u64>().ok());
    task.kind = if flags.is_some_and(|flags| flags & PF_KTHREAD != 0) {
        Kind::KernelThread
    } else {
        Kind::Process
    };
    task.uninterruptible = fields.first() == Some(&"D");
    if let Ok(cgroup) = system.read(&format!("/proc/{}/cgroup", task.pid)) {
        task.unit = cgroup
            .lines()
            .filter_map(|line| line.rsplit('/').find(|part| part.ends_with(".service")))
            .map(str::to_owned)
            .next();
    }
    if let Ok(stack) = system.read(&format!("/proc/{}/stack", task.pid)) {
        task.stack = stack
            .lines()
            .map(|line| line.trim_start_matches("[<0>] ").to_owned())
            .collect();
    }
}

/// Reads the blockers of a patch, or returns `None` if this user may not see them. A patch that the
/// loader has removed has none.
pub(crate) fn read(system: &System, patch: &str) -> Result<Option<Blockers>> {
    let path = loader::file(patch, "blockers");
    let text = match system.read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
        Err(_) if !system.exists(&loader::file(patch, "enabled")) => {
            return Ok(Some(Blockers::default()))
        }
        Err(error) => return Err(on_file(&system.path(&path))(error)),
    };
    let mut blockers = parse(&text);
    // Tasks that are inside a function are shown first: they hold up the transition the longest.
    blockers
        .tasks
        .sort_by_key(|task| (task.reason != Reason::Inside, task.pid));
    blockers.tasks.truncate(MAX_SHOWN_TASKS);
    for task in &mut blockers.tasks {
        add_proc_details(system, task);
    }
    Ok(Some(blockers))
}

impl Count {
    /// "3 tasks are inside nfs_read(), which the transition changes".
    pub(crate) fn words(&self) -> String {
        let tasks = match self.tasks {
            1 => "1 task".to_owned(),
            many => format!("{many} tasks"),
        };
        let (is, was) = match self.tasks {
            1 => ("is", "was"),
            _ => ("are", "were"),
        };
        match (self.reason, self.function.as_deref()) {
            (Reason::Inside, Some("?") | None) => {
                format!("{tasks} {is} inside code that the transition changes")
            }
            (Reason::Inside, Some(function)) => {
                format!("{tasks} {is} inside {function}(), which the transition changes")
            }
            (Reason::Running, _) => format!("{tasks} {was} running when the loader looked"),
            (Reason::Unreliable, _) => {
                format!("{tasks}: the kernel cannot prove what is on the stack")
            }
            (Reason::Unknown, _) => format!("{tasks} {is} not checked yet"),
        }
    }
}

impl Task {
    /// An operator's remedy for this task.
    pub(crate) fn advice(&self) -> String {
        let restart = match &self.unit {
            Some(unit) => format!("systemctl restart {unit}"),
            None => format!("end or restart process {}", self.pid),
        };
        match (self.kind, self.reason) {
            (Kind::Ended, _) => "it has ended".to_owned(),
            (Kind::Idle, _) => "the loader wakes the CPU by itself: no action is needed".to_owned(),
            (Kind::KernelThread, Reason::Inside) => {
                "a kernel thread: wait until its work there ends, or reverse the transition"
                    .to_owned()
            }
            (Kind::KernelThread, _) => "a kernel thread: the loader retries by itself".to_owned(),
            (Kind::Process, Reason::Inside) if self.uninterruptible => {
                "it waits for a device or a server, and no signal wakes it: restore the \
                 device or the server, or reverse the transition"
                    .to_owned()
            }
            (Kind::Process, Reason::Inside) => {
                format!("it sleeps there, and waits for an event: {restart}")
            }
            (Kind::Process, Reason::Running) => {
                "it is checked again when it leaves the CPU, or when the loader interrupts it"
                    .to_owned()
            }
            (Kind::Process, _) => "the loader retries by itself".to_owned(),
        }
    }
}

impl Blockers {
    /// The lines that a person reads.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.counts.iter().map(Count::words).collect();
        for task in &self.tasks {
            lines.push(format!("  {} ({}): {}", task.comm, task.pid, task.advice()));
            if task.reason == Reason::Inside {
                lines.extend(task.stack.iter().map(|entry| format!("      {entry}")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_that_has_left_has_no_blockers() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        assert_eq!(read(&system, "fix").unwrap(), Some(Blockers::default()));
    }

    #[test]
    fn lines_of_the_loader() {
        let blockers = parse(
            "tasks 2 inside sleep_show\ntasks 1 running -\n12 tasks 7 inside sleep_show\n\
             0 swapper/1 running -\n99 a b c inside ?\n...\n",
        );
        assert_eq!(blockers.counts.len(), 2);
        assert_eq!(
            blockers.counts[0].words(),
            "2 tasks are inside sleep_show(), which the transition changes"
        );
        assert_eq!(
            blockers.counts[1].words(),
            "1 task was running when the loader looked"
        );
        let comms: Vec<_> = blockers.tasks.iter().map(|task| &task.comm[..]).collect();
        assert_eq!(comms, ["tasks 7", "swapper/1", "a b c"]);
        assert_eq!(blockers.tasks[1].kind, Kind::Idle);
        assert_eq!(blockers.tasks[2].function.as_deref(), Some("?"));
    }

    #[test]
    fn advice_for_each_kind_of_task() {
        let mut task = parse("7 my daemon inside do_it").tasks.remove(0);
        assert_eq!(task.advice(), "it has ended");
        task.kind = Kind::Process;
        assert!(task.advice().contains("end or restart process 7"));
        task.unit = Some("my.service".to_owned());
        assert!(task.advice().contains("systemctl restart my.service"));
        task.uninterruptible = true;
        assert!(task.advice().contains("no signal wakes it"));
        task.kind = Kind::KernelThread;
        assert!(task.advice().contains("a kernel thread: wait"));
        task.reason = Reason::Unreliable;
        assert!(task.advice().contains("retries by itself"));
    }

    #[test]
    fn damaged_lines_are_left_out() {
        for text in [
            "",
            "...",
            "tasks",
            "tasks x inside f",
            "1 a new-reason f",
            "1 inside f",
        ] {
            let blockers = parse(text);
            assert!(
                blockers.counts.is_empty() && blockers.tasks.is_empty(),
                "{text}"
            );
        }
    }
}
