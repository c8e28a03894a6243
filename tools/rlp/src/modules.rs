// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading modules.

use crate::boot;
use crate::failure::{
    error_text,
    on_file,
    Failure,
    Result, //
};
use crate::interrupt;
use crate::kmsg::Log;
use crate::loader;
use crate::program;
use crate::reasons;
use crate::store::{
    self,
    State,
    Verified, //
};
use crate::stored_loader;
use crate::system::System;
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::time::{
    Duration,
    Instant, //
};

/// `O_NONBLOCK`: do not wait for users of a module.
const NONBLOCK: i32 = 0o4000;

/// The time for the last users of a module to leave it.
const LAST_USERS: Duration = Duration::from_secs(10);

fn refuse_other_root(system: &System) -> Result<()> {
    if system.is_real() {
        return Ok(());
    }
    Err(Failure::refused(
        "with --root no module is loaded or unloaded",
    ))
}

/// Whether the kernel neither loads nor unloads modules.
pub(crate) fn are_disabled(system: &System) -> bool {
    system.has_value("/proc/sys/kernel/modules_disabled", "1")
}

fn no_loader(why: String) -> Failure {
    Failure::error("the loader cannot be loaded")
        .why(why)
        .next("rlp check --kernel names what is missing")
}

/// The level whose loader is loaded if no package has one.
fn level_with_loader(system: &System) -> Result<Option<Verified>> {
    let (state, not_booted) = (State::read(system)?, boot::quarantined(system)?);
    Ok(stored_loader::for_other_patches(
        system,
        &state,
        &not_booted,
        &[],
    ))
}

/// Checks that there is a loader that can be loaded.
pub(crate) fn check_loader(system: &System) -> Result<()> {
    let release = system.release();
    let is_packaged = stored_loader::of_package(system, &release).is_some();
    if is_packaged || level_with_loader(system)?.is_some() {
        return Ok(());
    }
    Err(no_loader(format!(
        "the loader is not installed for {release}"
    )))
}

/// Loads the loader, if it is not loaded: that of a package, or that of a verified level.
pub(crate) fn load_loader(system: &System) -> Result<()> {
    if loader::is_loaded(system) {
        return Ok(());
    }
    refuse_other_root(system)?;
    if stored_loader::of_package(system, &system.release()).is_none() {
        if let Some(level) = level_with_loader(system)? {
            return load_loader_of(system, store::stored_loader(system, &level)?.as_deref());
        }
    }
    let messages = program::run("modprobe", &[loader::MODULE]).map_err(no_loader)?;
    if !loader::is_loaded(system) {
        return Err(no_loader(messages));
    }
    Ok(())
}

/// Loads the loader of a level, if no loader is loaded, and if no package has one.
pub(crate) fn load_loader_of(system: &System, path: Option<&Path>) -> Result<()> {
    let is_packaged = || stored_loader::of_package(system, &system.release()).is_some();
    match path {
        _ if loader::is_loaded(system) => Ok(()),
        Some(path) if !is_packaged() => load(system, path, loader::MODULE, &[])
            .map_err(|failure| no_loader(failure.why.unwrap_or(failure.what))),
        _ => load_loader(system),
    }
}

/// The parameters of a module, as the kernel parses them: a value with a space is quoted.
fn parameter_text(parameters: &[String]) -> String {
    let quoted: Vec<_> = parameters
        .iter()
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if value.contains(char::is_whitespace) => {
                format!("{name}=\"{value}\"")
            }
            _ => parameter.clone(),
        })
        .collect();
    quoted.join(" ")
}

/// Loads a patch module. On failure, the reason is what the loader has logged. If nothing was
/// logged, the reason is the kernel's error.
pub(crate) fn load(system: &System, path: &Path, name: &str, parameters: &[String]) -> Result<()> {
    refuse_other_root(system)?;
    let file = File::open(path).map_err(on_file(path))?;
    let parameters = CString::new(parameter_text(parameters))
        .map_err(|error| Failure::refused(format!("the parameters are not valid: {error}")))?;
    let mut log = Log::from_now(system);
    rustix::system::finit_module(&file, &parameters, 0)
        .map_err(|errno| load_failure(name, errno, &log.problems(name)))
}

fn load_failure(name: &str, errno: Errno, log: &[String]) -> Failure {
    let error = std::io::Error::from(errno);
    let kind: fn(String) -> Failure = match errno {
        Errno::NOMEM | Errno::INTR => Failure::error,
        _ => Failure::refused,
    };
    let (why, next) = reasons::explain(log);
    let why = if log.is_empty() {
        match errno {
            Errno::NOEXEC => "the module does not fit this kernel".to_owned(),
            Errno::NOENT => "the kernel lacks a symbol that the module uses; see dmesg".to_owned(),
            Errno::KEYREJECTED | Errno::NOKEY => {
                "it is not signed with a key that the kernel trusts".to_owned()
            }
            Errno::PERM => {
                "the kernel does not allow it (lockdown, or modules are disabled)".to_owned()
            }
            Errno::EXIST => "a module of that name is loaded".to_owned(),
            _ => error_text(&error),
        }
    } else {
        why
    };
    let failure = kind(format!("{name} was not loaded")).why(why);
    if let Some(next) = next {
        return failure.next(next);
    }
    match errno {
        Errno::BUSY => failure.next("rlp status shows what else is going on"),
        Errno::NOMEM => failure.next("try again when memory is free"),
        Errno::KEYREJECTED | Errno::NOKEY => failure.next("rlp check FILE names the key"),
        _ => failure,
    }
}

/// Unloads the module of a patch that has left. Its last users may take a moment.
pub(crate) fn unload(system: &System, name: &str) -> Result<()> {
    refuse_other_root(system)?;
    let failed = |why: String| Failure::error(format!("module {name} was not unloaded")).why(why);
    let c_name = CString::new(name).map_err(|error| failed(error.to_string()))?;
    let until = Instant::now() + LAST_USERS;
    loop {
        match rustix::system::delete_module(&c_name, NONBLOCK) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // The kernel has no event for the last put of a module.
            Err(Errno::AGAIN | Errno::BUSY)
                if Instant::now() < until && !interrupt::is_pending() =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(Errno::AGAIN | Errno::BUSY) => {
                return Err(failed("it is still in use".to_owned()).next(
                    "lsmod shows what uses it; if tasks were forced, it stays until the next boot",
                ))
            }
            Err(errno) => return Err(failed(error_text(&errno.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let parameters = ["a=1", "b=two words", "flag"].map(str::to_owned);
        assert_eq!(parameter_text(&parameters), "a=1 b=\"two words\" flag");
        assert_eq!(parameter_text(&[]), "");
    }

    #[test]
    fn the_loaders_reason_comes_first() {
        let message = "symbol 'x' not found in symbol table".to_owned();
        let failure = load_failure("fix", Errno::INVAL, &[message.clone()]);
        let why = failure.why.unwrap();
        let (first, words) = why.split_once('\n').unwrap();
        assert_eq!(first, message);
        assert!(words.contains("no such function"), "{words}");
        assert!(failure.next.unwrap().contains("rlp check"));
        let failure = load_failure("fix", Errno::KEYREJECTED, &[]);
        assert!(failure.why.unwrap().contains("is not signed with a key"));
        let failure = load_failure("fix", Errno::NOMEM, &[]);
        assert_eq!(failure.kind, crate::failure::Kind::Error);
    }
}
