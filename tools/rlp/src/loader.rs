// SPDX-License-Identifier: GPL-2.0

//! The loader's own words about its patches: the files below `/sys/kernel/rust_livepatch`.
//!
//! Nothing here is computed from anything else: if a file cannot be read, there is an error, and no
//! patch is reported as being in effect.

use crate::failure::{
    Failure,
    Result, //
};
use crate::system::System;
use serde::{
    Deserialize,
    Serialize, //
};
use std::io::ErrorKind;
use std::time::Duration;

/// The loader's folder.
pub(crate) const FOLDER: &str = "/sys/kernel/rust_livepatch";
/// The loader's module.
pub(crate) const MODULE: &str = "rust_livepatch";

const ENODEV: i32 = 19;

/// How many times this program checks whether a folder is gone or a module is no longer in use, and
/// the pause between two checks.
pub(crate) const GONE_CHECKS: u32 = 5;
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The state of a patch, from the files `enabled`, `transition` and `confirmed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Tasks are being switched to the patch.
    Enabling,
    /// Tasks are being switched away from the patch.
    Disabling,
    /// In effect, and taken back by the loader if it is not confirmed in time.
    Probation,
    /// In effect for all tasks, and confirmed.
    InEffect,
    /// Not in effect: it was replaced, and is in effect again if the other patch is taken back.
    Held,
}

impl State {
    fn of(enabled: bool, transition: bool, confirmed: bool) -> Self {
        match (enabled, transition, confirmed) {
            (true, true, _) => Self::Enabling,
            (false, true, _) => Self::Disabling,
            (true, false, false) => Self::Probation,
            (true, false, true) => Self::InEffect,
            (false, false, _) => Self::Held,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Enabling => "being enabled",
            Self::Disabling => "being disabled",
            Self::Probation => "on probation",
            Self::InEffect => "in effect",
            Self::Held => "held",
        }
    }

    pub(crate) fn is_in_transition(self) -> bool {
        matches!(self, Self::Enabling | Self::Disabling)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The position among the functions with this name.
    pub(crate) position: String,
    /// How calls are redirected now.
    pub(crate) mode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Object {
    /// "vmlinux" or a module.
    pub(crate) name: String,
    /// Whether the object is loaded and hooked.
    pub(crate) patched: bool,
    pub(crate) functions: Vec<Function>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Patch {
    pub(crate) name: String,
    pub(crate) state: State,
    /// When the last transition was completed, in seconds since the epoch.
    pub(crate) since: Option<u64>,
    /// The duration of the last transition that was completed, in microseconds.
    pub(crate) transition_us: u64,
    /// Whether tasks were switched without proof.
    pub(crate) forced: bool,
    pub(crate) confirmed: bool,
    /// The seconds that are left to confirm the patch; 0 if it is not on probation.
    pub(crate) probation_left: u64,
    /// The seconds after which a transition is reversed; 0 is never.
    pub(crate) deadline: u64,
    /// Whether the patch has replaced all patches before it.
    pub(crate) cumulative: bool,
    /// The position in the order in which patches were enabled.
    pub(crate) order: u64,
    /// The tasks that are switched, and all tasks.
    pub(crate) switched: u64,
    pub(crate) tasks: u64,
    pub(crate) level: Option<String>,
    pub(crate) cves: Vec<String>,
    /// The build id of the patch's module.
    pub(crate) build_id: Option<String>,
    pub(crate) objects: Vec<Object>,
}

impl Patch {
    /// Whether the patch holds the patches that it has replaced. If it is not confirmed, they take
    /// effect again.
    pub(crate) fn is_holder(&self) -> bool {
        self.cumulative && self.state == State::Probation
    }
}

/// Why a file of a patch was not read: the patch has left, or there was an error.
enum ReadFailure {
    Gone,
    Failed(Failure),
}

impl From<Failure> for ReadFailure {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

type ReadResult<T> = std::result::Result<T, ReadFailure>;

/// The folder of one patch.
struct Folder<'a> {
    system: &'a System,
    path: String,
}

impl Folder<'_> {
    fn text(&self, file: &str) -> ReadResult<String> {
        let path = format!("{}/{file}", self.path);
        self.system.read(&path).map_err(|error| {
            let gone = error.raw_os_error() == Some(ENODEV)
                || (error.kind() == ErrorKind::NotFound && self.is_being_removed());
            if gone {
                ReadFailure::Gone
            } else {
                ReadFailure::Failed(crate::failure::on_file(&self.system.path(&path))(error))
            }
        })
    }

    /// Whether the kernel is removing the folder. It removes the files first.
    fn is_being_removed(&self) -> bool {
        for _ in 0..GONE_CHECKS {
            if !self.system.exists(&self.path) {
                return true;
            }
            std::thread::sleep(CHECK_INTERVAL);
        }
        false
    }

    fn unknown_value(&self, file: &str, value: &str) -> ReadFailure {
        ReadFailure::Failed(Failure::error(format!(
            "{}/{file} reads '{value}', which this program does not know",
            self.path
        )))
    }

    fn flag(&self, file: &str) -> ReadResult<bool> {
        match self.text(file)?.as_str() {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(self.unknown_value(file, other)),
        }
    }

    fn number(&self, file: &str) -> ReadResult<u64> {
        let text = self.text(file)?;
        text.parse().map_err(|_| self.unknown_value(file, &text))
    }

    /// "3 8", or "1796000523.000042".
    fn pair(&self, file: &str, separator: char) -> ReadResult<(u64, u64)> {
        let text = self.text(file)?;
        let numbers = text
            .split_once(separator)
            .and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
        numbers.ok_or_else(|| self.unknown_value(file, &text))
    }

    fn objects(&self) -> ReadResult<Vec<Object>> {
        let mut objects = Vec::new();
        for name in self.system.names(&self.path)? {
            if !self.system.path(&format!("{}/{name}", self.path)).is_dir() {
                continue;
            }
            let mut functions = Vec::new();
            for entry in self.system.names(&format!("{}/{name}", self.path))? {
                let Some((function, position)) = entry.rsplit_once(',') else {
                    continue;
                };
                functions.push(Function {
                    name: function.to_owned(),
                    position: position.to_owned(),
                    mode: self.text(&format!("{name}/{entry}/mode"))?,
                });
            }
            objects.push(Object {
                patched: self.flag(&format!("{name}/patched"))?,
                name,
                functions,
            });
        }
        Ok(objects)
    }

    fn patch(&self, name: &str) -> ReadResult<Patch> {
        let (enabled, transition) = (self.flag("enabled")?, self.flag("transition")?);
        let confirmed = self.flag("confirmed")?;
        let (switched, tasks) = self.pair("progress", ' ')?;
        let since = self.pair("transition_end", '.')?.0;
        let level = self.text("level")?;
        let patch = Patch {
            name: name.to_owned(),
            state: State::of(enabled, transition, confirmed),
            since: (since != 0).then_some(since),
            transition_us: self.number("transition_us")?,
            forced: self.flag("transition_forced")?,
            confirmed,
            probation_left: self.number("probation")?,
            deadline: self.number("deadline")?,
            cumulative: self.flag("replace")?,
            order: self.number("stack_order")?,
            switched,
            tasks,
            level: (!level.is_empty()).then_some(level),
            cves: self
                .text("cves")?
                .split([' ', ','])
                .filter(|cve| !cve.is_empty())
                .map(str::to_owned)
                .collect(),
            build_id: self.system.module_build_id(name),
            objects: self.objects()?,
        };
        // A change between two reads must not make up a state that never was.
        let now = (self.flag("enabled")?, self.flag("transition")?);
        if now != (enabled, transition) || self.flag("confirmed")? != confirmed {
            return self.patch(name);
        }
        Ok(patch)
    }
}

/// Whether the loader is loaded.
pub(crate) fn is_loaded(system: &System) -> bool {
    system.exists(FOLDER)
}

/// Whether the loader refuses patches whose signature the kernel did not verify.
pub(crate) fn requires_signatures(system: &System) -> bool {
    system.has_value("/sys/module/rust_livepatch/parameters/require_signed", "Y")
}

/// The path of a file of a patch.
pub(crate) fn file(patch: &str, name: &str) -> String {
    format!("{FOLDER}/{patch}/{name}")
}

/// Reads one patch, or returns `None` if the loader does not have it.
pub(crate) fn patch(system: &System, name: &str) -> Result<Option<Patch>> {
    let path = format!("{FOLDER}/{name}");
    // The name must not lead to another folder.
    if name.is_empty() || name.starts_with('.') || name.contains('/') || !system.exists(&path) {
        return Ok(None);
    }
    match (Folder { system, path }).patch(name) {
        Ok(patch) => Ok(Some(patch)),
        Err(ReadFailure::Gone) => Ok(None),
        Err(ReadFailure::Failed(failure)) => Err(failure),
    }
}

/// Reads all patches, in the order in which they were enabled.
pub(crate) fn patches(system: &System) -> Result<Vec<Patch>> {
    let mut patches = Vec::new();
    for name in system.names(FOLDER)? {
        patches.extend(patch(system, &name)?);
    }
    patches.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.name.cmp(&b.name)));
    Ok(patches)
}

/// The patch that the user names: a name, or the file of a module.
pub(crate) fn name_of(argument: &str) -> String {
    let name = argument.rsplit('/').next().unwrap_or(argument);
    let name = name.strip_suffix(".ko").unwrap_or(name);
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loaders_word_is_in_effect() {
        for bits in 0..8u8 {
            let (enabled, transition, confirmed) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            assert_eq!(
                State::of(enabled, transition, confirmed) == State::InEffect,
                enabled && !transition && confirmed
            );
        }
    }

    #[test]
    fn names() {
        assert_eq!(name_of("./a/live-fix.ko"), "live_fix");
        assert_eq!(name_of("live_fix"), "live_fix");
    }
}
