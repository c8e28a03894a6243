// SPDX-License-Identifier: GPL-2.0

//! Runs an operator's command that says whether a patch is good, and ends it in time.

use crate::interrupt;
use rustix::event::PollFlags;
use rustix::process::{
    kill_process_group,
    pidfd_open,
    Pid,
    PidfdFlags,
    Signal, //
};
use std::process::{
    Child,
    Command,
    ExitStatus,
    Stdio, //
};
use std::time::{
    Duration,
    Instant, //
};

/// The time for a command to end after SIGTERM.
const ENDS: Duration = Duration::from_secs(2);

/// How a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// Its time was over.
    Late,
    /// A signal to this program has come first.
    Interrupted,
}

/// The command line of a trial. It has a session of its own, so that it can be ended with its
/// children. So it has no terminal: a question to the user fails, and does not stop the trial.
pub(crate) fn command() -> Command {
    let mut command = Command::new("setsid");
    command
        .stdin(Stdio::null())
        // The standard output is for this program's own report.
        .stdout(std::io::stderr());
    command
}

/// Runs a command that `command()` has made. If a signal arrives, or the command takes longer than
/// `limit`, all processes of the command's group are ended. After an error they are killed, too,
/// because nothing waits for them any more.
pub(crate) fn run(command: &mut Command, limit: Option<Duration>) -> std::io::Result<End> {
    let mut command = command.spawn()?;
    let result = end(&mut command, limit);
    if !matches!(result, Ok(End::Exited(_))) {
        // The group exists since setsid. ESRCH: all of its processes have ended.
        let _ = kill_process_group(Pid::from_child(&command), Signal::Kill);
        command.kill()?;
        command.wait()?;
    }
    result
}

/// Waits for the end of the command. If its time is over, or a signal arrives, sends SIGTERM to the
/// command's group, and waits a little longer.
fn end(command: &mut Child, limit: Option<Duration>) -> std::io::Result<End> {
    let process = Pid::from_child(command);
    let exits = pidfd_open(process, PidfdFlags::empty())?;
    let until = limit.map(|limit| Instant::now() + limit);
    let ended = loop {
        if interrupt::is_pending() {
            break End::Interrupted;
        }
        if let Some(status) = command.try_wait()? {
            return Ok(End::Exited(status));
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break End::Late;
        }
        interrupt::sleep(&exits, PollFlags::IN, left);
    };
    let _ = kill_process_group(process, Signal::Term);
    let until = Instant::now() + ENDS;
    while Instant::now() < until && command.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_limit() {
        let start = Instant::now();
        let limit = Some(Duration::from_millis(100));
        let run = |script: &str| run(command().args(["sh", "-c", script]), limit).unwrap();
        assert_eq!(run("sleep 100"), End::Late);
        assert_eq!(run("trap '' TERM; sleep 100 & wait"), End::Late);
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(matches!(run("exit 3"), End::Exited(status) if status.code() == Some(3)));
    }
}
