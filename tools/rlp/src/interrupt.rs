// SPDX-License-Identifier: GPL-2.0

//! A user who interrupts a command that waits. The command ends its wait, and says what continues
//! without it. A second signal ends the program at once.

use crate::failure::{
    error_text,
    Failure,
    Result, //
};
use rustix::event::{
    poll,
    PollFd,
    PollFlags, //
};
use signal_hook::consts::{
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM, //
};
use signal_hook::{
    flag,
    low_level, //
};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::{
    Arc,
    LazyLock,
    OnceLock, //
};
use std::time::Duration;

static PENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The two ends of a stream. A signal handler writes to the second end, which makes the first end
/// readable and ends a sleep. Nothing is read from the stream, so the first end stays readable, and
/// each later sleep ends at once. Without the stream, a signal that arrives after a check of
/// `PENDING` and before the sleep would not end that sleep. The second end must stay open: if it
/// were closed, the first end would be readable, and each sleep would end at once. The handlers
/// have copies of the second end. But if this process ignores all signals that `watch()` notes,
/// there is no handler, and the end that is stored here is the only one.
static WAKE: OnceLock<(UnixStream, UnixStream)> = OnceLock::new();

/// Whether this process ignores a signal, as it does under nohup(1). `status` is the content of
/// `/proc/self/status`.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// Notes signals from now on. Before that, they end the program.
pub(crate) fn watch() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let failed = |error: std::io::Error| {
        Failure::error(format!("signals cannot be handled: {}", error_text(&error)))
    };
    let (wake, writer) = UnixStream::pair().map_err(failed)?;
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        if is_ignored(&status, signal) {
            continue;
        }
        // The shell's status for a program that a signal has ended.
        let status = 128 + signal;
        flag::register_conditional_shutdown(signal, status, Arc::clone(&PENDING))
            .and_then(|_| flag::register(signal, Arc::clone(&PENDING)))
            .and_then(|_| low_level::pipe::register(signal, writer.try_clone()?))
            .map_err(failed)?;
    }
    // A process calls this function at most once, so `WAKE` is not set yet.
    let _ = WAKE.set((wake, writer));
    Ok(())
}

/// Sleeps until the file has these events, a signal has arrived, or the time is over.
pub(crate) fn sleep(file: impl AsFd, events: PollFlags, time: Option<Duration>) {
    let mut files = vec![PollFd::new(&file, events)];
    if let Some((wake, _)) = WAKE.get() {
        files.push(PollFd::new(wake, PollFlags::IN));
    }
    // poll() counts whole milliseconds. With 0, it would not wait at all.
    let ms = time.map_or(-1, |time| {
        i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
    });
    // The result is not needed: the caller checks what has happened.
    let _ = poll(&mut files, ms);
}

/// Whether a signal has arrived.
pub(crate) fn is_pending() -> bool {
    // The signal handler writes no other memory that this program reads, so `Relaxed` suffices.
    PENDING.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals() {
        let status = "Name:\tx\nSigBlk:\t0000000000004000\nSigIgn:\t0000000000000001\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(!is_ignored(status, SIGINT));
        assert!(!is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGHUP));
    }
}
