// SPDX-License-Identifier: GPL-2.0

//! status: what is in effect since when, what is in transition, what blocks it, and what cannot be
//! undone before a reboot.

use crate::blockers::{
    self,
    Blockers, //
};
use crate::boot;
use crate::cli;
use crate::failure::{
    on_file,
    Result, //
};
use crate::feed::Feeds;
use crate::kmsg;
use crate::leftovers::{
    self,
    Hold,
    Leftover, //
};
use crate::loader::{
    self,
    Patch,
    State, //
};
use crate::modules;
use crate::output::{
    Outcome,
    Paint,
    Report, //
};
use crate::panics;
use crate::reasons;
use crate::system::System;
use crate::time;
use crate::units;
use serde::Serialize;
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write as _;
use std::io::ErrorKind;

/// The state of the machine, with the exit statuses of plugins of Nagios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Ok,
    Warning,
    Critical,
}

/// Reasons that `check` and `doctor` report, too.
pub(crate) const DEAD_FTRACE: &str =
    "ftrace has shut itself down: nothing can be patched, and no jump can be removed";
pub(crate) const NO_MODULES: &str =
    "the kernel neither loads nor unloads modules (kernel.modules_disabled)";
pub(crate) const NO_MODULES_NEXT: &str =
    "plan a reboot, and load the patches before kernel.modules_disabled is set";

/// The exit status of a plugin that cannot find out the state.
pub(crate) const UNKNOWN: u8 = 3;

impl Verdict {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// Something that an operator should know, and how bad it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A patch, and what holds up its transition.
#[derive(Debug)]
struct PatchWithBlockers {
    patch: Patch,
    /// `None` if this user may not see the blockers.
    blockers: Option<Blockers>,
}

#[derive(Debug)]
pub(crate) struct Status {
    release: String,
    is_loaded: bool,
    patches: Vec<PatchWithBlockers>,
    leftovers: Vec<Leftover>,
    installed: Vec<String>,
    installed_elsewhere: Vec<boot::Installed>,
    /// The boot units of this program (`units::BOOT`, `units::SURVIVED`) that are not enabled.
    missing_units: Vec<&'static str>,
    pub(crate) reasons: Vec<Reason>,
    /// The facts that this user may not see, and the reasons.
    pub(crate) unseen: Vec<String>,
    /// The errors and warnings that the loader has logged in this boot, and what the kernel lacks.
    /// The verdict does not consider them: they may be about a patch that was loaded since.
    logged: Vec<Logged>,
}

/// A message of the loader, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Logged {
    /// The time since the boot, in microseconds.
    uptime_us: u64,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) words: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'static str>,
}

impl Logged {
    /// The time as the kernel's log shows it.
    pub(crate) fn time(&self) -> String {
        format!(
            "[{}.{:06}]",
            self.uptime_us / 1_000_000,
            self.uptime_us % 1_000_000
        )
    }
}

/// How many messages of the log are shown.
const MAX_LOGGED: usize = 20;

/// The last errors and warnings that the loader has logged in this boot, each text once.
pub(crate) fn logged(system: &System) -> Result<Vec<Logged>> {
    let messages = match kmsg::since_boot(system) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        messages => messages.map_err(on_file(&system.path(kmsg::DEVICE)))?,
    };
    let mut logged: Vec<Logged> = Vec::new();
    for message in messages.into_iter().rev() {
        if !message.is_problem() && !message.is_loss() {
            continue;
        }
        if logged.len() == MAX_LOGGED {
            break;
        }
        if logged.iter().any(|later| later.text == message.text) {
            continue;
        }
        let reason = reasons::find(&message.text);
        logged.push(Logged {
            uptime_us: message.us,
            text: message.text,
            words: reason.map(|(_, words, _)| *words),
            next: reason
                .map(|(.., next)| *next)
                .filter(|next| !next.is_empty()),
        });
    }
    logged.reverse();
    Ok(logged)
}

/// A result that this user may not see is empty, and is noted.
fn or_unseen<T: Default>(result: Result<T>, what: &str, unseen: &mut Vec<String>) -> Result<T> {
    match result {
        Err(failure) if failure.is_denied => {
            unseen.push(format!("{what} ({})", failure.what));
            Ok(T::default())
        }
        result => result,
    }
}

pub(crate) fn read(system: &System) -> Result<Status> {
    let release = system.release();
    let mut unseen = Vec::new();
    let mut patches = Vec::new();
    for patch in loader::patches(system)? {
        let blockers = if patch.state.is_in_transition() {
            blockers::read(system, &patch.name)?
        } else {
            Some(Blockers::default())
        };
        patches.push(PatchWithBlockers { patch, blockers });
    }
    let mut status = Status {
        is_loaded: loader::is_loaded(system),
        leftovers: leftovers::all(system)?,
        installed: or_unseen(
            boot::installed(system, &release),
            "the patches that are installed",
            &mut unseen,
        )?,
        installed_elsewhere: or_unseen(
            boot::installed_elsewhere(system, &release),
            "the patches that are installed for other kernels",
            &mut unseen,
        )?,
        missing_units: units::missing(system),
        release,
        patches,
        reasons: Vec::new(),
        unseen: Vec::new(),
        logged: Vec::new(),
    };
    let quarantined = or_unseen(
        boot::quarantined(system),
        "the patches that are not loaded at boot any more",
        &mut unseen,
    )?;
    let (panics, denied) = panics::read(system);
    let what = "whether the kernel has panicked while a patch was on probation";
    unseen.extend(
        denied
            .iter()
            .map(|failure| format!("{what} ({})", failure.what)),
    );
    status.unseen = unseen;
    status.add_reasons(boot::is_off(system), &quarantined);
    status.add_kernel_reasons(system);
    status.add_feed_reasons(&Feeds::read(system));
    for panic in panics {
        let next = Some(panics::ADVICE.to_owned());
        status.reason(Verdict::Critical, panic.words(), next);
    }
    Ok(status)
}

impl Status {
    fn reason(&mut self, verdict: Verdict, text: String, next: Option<String>) {
        self.reasons.push(Reason {
            verdict,
            text,
            next,
        });
    }

    /// Collects what an operator should know.
    fn add_reasons(&mut self, is_off: bool, quarantined: &[String]) {
        use Verdict::{
            Critical,
            Warning, //
        };
        if !self.is_loaded {
            self.reason(
                Warning,
                "the loader is not loaded, so nothing is patched".to_owned(),
                Some("rlp load FILE loads it, too".to_owned()),
            );
        } else if !self.patches.iter().any(|shown| is_in_effect(&shown.patch)) {
            self.reason(Warning, "no patch is in effect".to_owned(), None);
        }
        for unit in self.missing_units.clone() {
            if !self.installed.is_empty() {
                self.reason(
                    Critical,
                    format!("patches are installed, and {unit} is not enabled"),
                    Some(units::ENABLE.to_owned()),
                );
            }
        }
        if is_off && !self.installed.is_empty() {
            self.reason(
                Warning,
                "livepatch.off is on the kernel's command line: nothing was loaded at boot"
                    .to_owned(),
                Some("reboot without it, or load the patches by hand".to_owned()),
            );
        }
        for name in quarantined {
            self.reason(
                Critical,
                format!(
                    "{name} is not loaded at boot any more: the machine failed while it was loaded"
                ),
                Some(format!(
                    "find out why (journalctl -b -1), then rlp install or uninstall {name}"
                )),
            );
        }
        for name in self.installed.clone() {
            let state = self
                .patches
                .iter()
                .find(|shown| shown.patch.name == name)
                .map(|shown| shown.patch.state);
            if state.is_none() && !is_off && !quarantined.contains(&name) {
                self.reason(
                    Critical,
                    format!("{name} is installed for this kernel, and is not loaded"),
                    Some("journalctl -u rlp-boot, then rlp load FILE".to_owned()),
                );
            }
        }
        let patches: Vec<_> = self
            .patches
            .iter()
            .map(|shown| shown.patch.clone())
            .collect();
        for patch in &patches {
            self.add_patch_reasons(patch);
        }
        for left in self.leftovers.clone() {
            let name = &left.name;
            let lsmod = format!(
                "lsmod shows what uses it; rlp unload {name} unloads it when nothing uses it any \
                 more"
            );
            let (what, next) = match left.hold {
                Hold::Free => continue,
                Hold::Used => (
                    format!("the module {name} is still in use, although its patch was removed"),
                    lsmod,
                ),
                Hold::MaybeForced => (
                    format!(
                        "the module {name} is still in use, perhaps until the next boot: tasks \
                         were forced"
                    ),
                    lsmod,
                ),
                Hold::Forced => (
                    format!("the module {name} stays until the next boot: tasks were forced"),
                    "plan a reboot".to_owned(),
                ),
            };
            self.reason(Warning, what, Some(next));
        }
    }

    /// Adds the problems of the kernel that only a reboot solves.
    fn add_kernel_reasons(&mut self, system: &System) {
        match system.read("/proc/sys/kernel/ftrace_enabled") {
            // A kernel without ftrace has no such file. After an error of ftrace, the file cannot
            // be read.
            Err(error) if error.kind() != ErrorKind::NotFound => self.reason(
                Verdict::Critical,
                DEAD_FTRACE.to_owned(),
                Some("plan a reboot".to_owned()),
            ),
            _ => (),
        }
        if modules::are_disabled(system) {
            self.reason(
                Verdict::Warning,
                NO_MODULES.to_owned(),
                Some(NO_MODULES_NEXT.to_owned()),
            );
        }
    }

    /// Adds the feeds from which no newer level arrives.
    fn add_feed_reasons(&mut self, feeds: &Feeds) {
        for problem in feeds.problems(time::now()) {
            let verdict = if problem.is_expired {
                Verdict::Critical
            } else {
                Verdict::Warning
            };
            self.reason(verdict, problem.text, Some(problem.next.to_owned()));
        }
    }

    fn add_patch_reasons(&mut self, patch: &Patch) {
        use Verdict::Warning;
        let name = &patch.name;
        match patch.state {
            State::Enabling => self.reason(
                Warning,
                format!("{name} is not in effect for all tasks yet"),
                Some(format!("wait, or rlp reverse {name}")),
            ),
            State::Disabling => self.reason(
                Warning,
                format!("{name} is being disabled"),
                Some(format!("wait, or rlp reverse {name}")),
            ),
            State::Probation => self.reason(
                Warning,
                format!(
                    "{name} is on probation, and is taken back in {} s if it is not confirmed",
                    patch.probation_left
                ),
                Some(format!("rlp confirm {name}")),
            ),
            State::InEffect | State::Held => (),
        }
        if patch.forced {
            self.reason(
                Warning,
                format!(
                    "tasks were forced to switch in the last transition of {name}, without proof"
                ),
                Some("plan a reboot".to_owned()),
            );
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let verdicts = self.reasons.iter().map(|reason| reason.verdict);
        verdicts.max().unwrap_or(Verdict::Ok)
    }

    fn count(&self, is_counted: impl Fn(&Patch) -> bool) -> usize {
        let patches = self.patches.iter();
        patches.filter(|shown| is_counted(&shown.patch)).count()
    }

    /// One line for Nagios, with its performance data.
    fn nagios_line(&self) -> String {
        let in_effect = self.count(is_in_effect);
        let texts: Vec<_> = self
            .reasons
            .iter()
            .filter(|reason| reason.verdict == self.verdict())
            .map(|reason| reason.text.replace('|', "/"))
            .collect();
        let mut text = if texts.is_empty() {
            let level = self.patches.iter().rev().find_map(|shown| {
                let level = shown.patch.level.as_ref()?;
                Some(format!(", level {level}"))
            });
            let patches = match in_effect {
                1 => "1 patch".to_owned(),
                many => format!("{many} patches"),
            };
            format!("{patches} in effect{}", level.unwrap_or_default())
        } else {
            texts.join("; ")
        };
        if !self.unseen.is_empty() {
            text += &format!(" (not seen: {})", self.unseen.join("; ").replace('|', "/"));
        }
        format!(
            "LIVEPATCH {} - {text} | in_effect={in_effect} moving={} probation={}\n",
            self.verdict().word(),
            self.count(|patch| patch.state.is_in_transition()),
            self.count(|patch| patch.state == State::Probation),
        )
    }
}

/// Whether the loader says that the patch is in effect for all tasks, and confirmed.
fn is_in_effect(patch: &Patch) -> bool {
    patch.state == State::InEffect
}

/// The state of a patch in words.
pub(crate) fn state_words(patch: &Patch, paint: &Paint) -> String {
    let since = patch.since.map(time::readable);
    let since = since.map_or(String::new(), |since| format!(" since {since}"));
    match patch.state {
        State::InEffect => format!("{}in effect{:#}{since}", paint.good, paint.good),
        State::Probation => format!(
            "{}on probation{:#}, in effect{since}, {} left to confirm it",
            paint.warn,
            paint.warn,
            time::span(patch.probation_left)
        ),
        State::Enabling => format!(
            "{}being enabled{:#}: {} of {} tasks are switched",
            paint.warn, paint.warn, patch.switched, patch.tasks
        ),
        State::Disabling => format!(
            "{}being disabled{:#}: {} of {} tasks are switched",
            paint.warn, paint.warn, patch.switched, patch.tasks
        ),
        State::Held => "not in effect: replaced by a patch that is on probation".to_owned(),
    }
}

/// The objects and functions that the patch changes, in a line.
fn objects_words(patch: &Patch) -> String {
    let object = |object: &loader::Object| {
        let functions = object.functions.len();
        let noun = if functions == 1 {
            "function"
        } else {
            "functions"
        };
        let state = if object.patched {
            ""
        } else {
            " (not loaded; patched when it loads)"
        };
        format!("{functions} {noun} in {}{state}", object.name)
    };
    let objects: Vec<_> = patch.objects.iter().map(object).collect();
    objects.join(", ")
}

impl Report for Status {
    fn json(&self) -> Value {
        let patches = self.patches.iter().map(|shown| {
            let mut value = json!(shown.patch);
            if shown.patch.state.is_in_transition() {
                value["blockers"] = json!(shown.blockers);
            }
            value
        });
        json!({
            "release": self.release,
            "loader": { "loaded": self.is_loaded },
            "verdict": self.verdict(),
            "reasons": self.reasons,
            "patches": patches.collect::<Vec<_>>(),
            "leftovers": self.leftovers,
            "installed": self.installed,
            "installed_elsewhere": self.installed_elsewhere,
            "unseen": self.unseen,
            "logged": self.logged,
        })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "kernel {}", self.release);
        for PatchWithBlockers { patch, blockers } in &self.patches {
            let _ = write!(text, "\n{}{}{:#}", paint.bold, patch.name, paint.bold);
            if let Some(level) = &patch.level {
                let _ = write!(text, ", level {level}");
            }
            let _ = writeln!(text, "\n  {}", state_words(patch, paint));
            if !patch.cves.is_empty() {
                let _ = writeln!(text, "  fixes {}", patch.cves.join(" "));
            }
            let _ = writeln!(text, "  {}", objects_words(patch));
            match blockers {
                Some(blockers) => {
                    for line in blockers.lines() {
                        let _ = writeln!(text, "  {line}");
                    }
                }
                None => text.push_str("  only root may see what holds this up\n"),
            }
        }
        for left in self.leftovers.iter().filter(|left| left.hold == Hold::Free) {
            let _ = writeln!(
                text,
                "\n{0}: not in effect; its module is still loaded (rlp unload {0})",
                left.name
            );
        }
        if !self.installed.is_empty() || !self.installed_elsewhere.is_empty() {
            text.push('\n');
        }
        if !self.installed.is_empty() {
            let patches = self.installed.join(" ");
            let _ = if self.missing_units.contains(&units::BOOT) {
                writeln!(text, "installed, and not loaded at boot: {patches}")
            } else {
                writeln!(text, "loaded at each boot: {patches}")
            };
        }
        for other in &self.installed_elsewhere {
            let patches = other.patches.join(" ");
            let _ = writeln!(text, "loaded at each boot of {}: {patches}", other.release);
        }
        if !self.reasons.is_empty() || !self.unseen.is_empty() {
            text.push('\n');
        }
        for what in &self.unseen {
            let _ = writeln!(text, "{}not seen{:#}: {what}", paint.warn, paint.warn);
        }
        for reason in &self.reasons {
            let style = match reason.verdict {
                Verdict::Critical => paint.bad,
                Verdict::Warning | Verdict::Ok => paint.warn,
            };
            let word = reason.verdict.word().to_lowercase();
            let _ = writeln!(text, "{style}{word}{style:#}: {}", reason.text);
            if let Some(next) = &reason.next {
                let _ = writeln!(text, "  next: {next}");
            }
        }
        if !self.logged.is_empty() {
            text.push_str("\nlogged by the loader since the boot:\n");
        }
        for logged in &self.logged {
            let _ = writeln!(text, "{} {}", logged.time(), logged.text);
            if let Some(words) = logged.words {
                let _ = writeln!(text, "  {words}");
            }
            if let Some(next) = logged.next {
                let _ = writeln!(text, "  next: {next}");
            }
        }
        text
    }
}

/// The line of `status --nagios`.
struct Nagios(Status);

impl Report for Nagios {
    fn json(&self) -> Value {
        self.0.json()
    }

    fn text(&self, _paint: &Paint) -> String {
        self.0.nagios_line()
    }

    fn status(&self) -> u8 {
        self.0.verdict().status()
    }

    fn unprinted_status(&self) -> Option<u8> {
        Some(UNKNOWN)
    }
}

/// The line of a plugin that cannot find out the state.
pub(crate) fn unknown_line(why: &str) -> String {
    format!("LIVEPATCH UNKNOWN - {}\n", why.replace('|', "/"))
}

/// The report of a plugin that cannot find out the state.
struct Unknown(String);

impl Report for Unknown {
    fn json(&self) -> Value {
        json!({ "unknown": self.0 })
    }

    fn text(&self, _paint: &Paint) -> String {
        unknown_line(&self.0)
    }

    fn status(&self) -> u8 {
        UNKNOWN
    }
}

pub(crate) fn run(system: &System, arguments: &cli::Status) -> Outcome {
    let status = read(system);
    match (arguments.nagios, status) {
        (true, Ok(status)) => Outcome::of(Nagios(status)),
        (true, Err(failure)) => Outcome::of(Unknown(failure.what)),
        (false, Ok(mut status)) => {
            // The log is an addition: the state of the patches does not depend on it.
            match logged(system) {
                Ok(logged) => status.logged = logged,
                Err(failure) => {
                    let unseen = format!("what the loader has logged ({})", failure.what);
                    status.unseen.push(unseen);
                }
            }
            Outcome::of(status)
        }
        (false, Err(failure)) => failure.into(),
    }
}
