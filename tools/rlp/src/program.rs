// SPDX-License-Identifier: GPL-2.0

//! Runs programs of the system that do one thing. Each of them has a limit of time: a program that
//! waits for ever, for example for a device or a server, must not stop this one.

use crate::failure::error_text;
use crate::interrupt;
use crate::output::{
    announce,
    ANNOUNCED, //
};
use rustix::event::PollFlags;
use rustix::process::{
    pidfd_open,
    Pid,
    PidfdFlags, //
};
use std::io::{
    Error,
    ErrorKind,
    Read,
    Result,
    Write, //
};
use std::process::{
    Child,
    Command,
    ExitStatus,
    Output,
    Stdio, //
};
use std::sync::mpsc::{
    channel,
    Receiver,
    RecvTimeoutError, //
};
use std::time::{
    Duration,
    Instant, //
};

/// The time between two looks at whether this program is interrupted.
const PAUSE: Duration = Duration::from_millis(100);

/// The limit for programs that usually take a second.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Runs a program, and returns its messages. If it fails, the error is the reason.
pub(crate) fn run(program: &str, arguments: &[&str]) -> std::result::Result<String, String> {
    let output = output(Command::new(program).args(arguments), b"", LIMIT)
        .map_err(|error| format!("{program}: {}", error_text(&error)))?;
    let messages = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        Ok(messages)
    } else {
        Err(messages)
    }
}

/// Runs a program with an input, and returns its output. After some seconds, says which program it
/// waits for. If the program is not complete after `limit`, or if a signal arrives, the program is
/// killed, and the result is an error. The result is an error, too, if the program has ended, and a
/// process that it has started keeps its output open until `limit`.
pub(crate) fn output(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let until = Instant::now() + limit;
    // If the program does not read all of its input, its output shows that.
    let (stdin, input) = (child.stdin.take(), input.to_vec());
    std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let (stdout, stderr) = (all(child.stdout.take()), all(child.stderr.take()));
    let status = end(&mut child, &name, limit)?;
    Ok(Output {
        status,
        stdout: received(&stdout, until)?,
        stderr: received(&stderr, until)?,
    })
}

/// Starts to read a pipe to its end. The thread ends when the pipe is closed: by the end of the
/// program, and of each process that it has started with the pipe. So nothing waits for the thread
/// without a limit.
fn all(pipe: Option<impl Read + Send + 'static>) -> Receiver<Result<Vec<u8>>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // After an error, nobody receives this.
        let _ = sender.send(result.map(|_| bytes));
    });
    receiver
}

fn received(from: &Receiver<Result<Vec<u8>>>, until: Instant) -> Result<Vec<u8>> {
    loop {
        match from.recv_timeout(PAUSE) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::other("its output was not read"));
            }
            Err(RecvTimeoutError::Timeout) if interrupt::is_pending() => return Err(interrupted()),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                let text = "it has ended, and a process that it has started has not";
                return Err(Error::new(ErrorKind::TimedOut, text));
            }
            Err(RecvTimeoutError::Timeout) => (),
        }
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "rlp was interrupted")
}

/// Waits for the end of a program, and kills it if that takes too long.
fn end(child: &mut Child, name: &str, limit: Duration) -> Result<ExitStatus> {
    let exits = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    let result = exits
        .map_err(Error::from)
        .and_then(|exits| exited(child, &exits, name, limit));
    if result.is_err() {
        child.kill()?;
        child.wait()?;
    }
    result
}

fn exited(
    child: &mut Child,
    exits: impl std::os::fd::AsFd,
    name: &str,
    limit: Duration,
) -> Result<ExitStatus> {
    let start = Instant::now();
    let mut is_announced = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let waited = start.elapsed();
        if interrupt::is_pending() {
            return Err(interrupted());
        }
        if waited >= limit {
            let seconds = limit.as_secs();
            let text = format!("it was not complete after {seconds} s, and was killed");
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
        if waited >= ANNOUNCED && !is_announced {
            is_announced = true;
            let seconds = limit.as_secs();
            announce(&format!("waiting for {name}, for at most {seconds} s"));
        }
        let next = if is_announced { limit } else { ANNOUNCED };
        let pause = next.min(limit).saturating_sub(waited);
        interrupt::sleep(&exits, PollFlags::IN, Some(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], limit: Duration) -> Result<Output> {
        output(Command::new("sh").args(["-c", script]), input, limit)
    }

    #[test]
    fn a_program_has_a_limit() {
        let start = Instant::now();
        let limit = Duration::from_millis(100);
        // The second process keeps the pipes open. The program is killed, or ends by itself.
        for script in ["exec sleep 100", "sleep 100; true", "sleep 100 &"] {
            let error = sh(script, b"", limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{script}");
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    /// More than a pipe holds goes in and out.
    #[test]
    fn a_program_has_its_input_and_output() {
        let input = vec![b'x'; 300_000];
        let output = sh("cat; echo no >&2; exit 3", &input, LIMIT).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, input);
        assert_eq!(output.stderr, b"no\n");
        assert!(sh("exit 0", &input, LIMIT).unwrap().status.success());
    }
}
