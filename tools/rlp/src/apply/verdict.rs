// SPDX-License-Identifier: GPL-2.0

//! The checks of a level that is loaded, and what a run does after them.

use super::take_back::intent_unwritten;
use super::Run;
use crate::control;
use crate::failure::{
    Failure,
    Kind,
    Result, //
};
use crate::health::{
    self,
    Health, //
};
use crate::interrupt;
use crate::kmsg;
use crate::loader::{
    self,
    State, //
};
use crate::reasons;
use crate::store::{
    Intent,
    Phase, //
};
use crate::wait::{
    self,
    End, //
};
use std::time::{
    Duration,
    Instant, //
};

/// The time between two looks while a level settles.
const PAUSE: Duration = Duration::from_millis(100);
/// Why a run that a signal has ended says nothing about its level.
const INTERRUPTED: &str = "rlp was interrupted";

/// Why a run ends without a verdict on its level.
pub(super) enum NoVerdict {
    /// A signal has arrived. A reason has the tasks that were not switched then.
    Interrupted(Option<String>),
    /// The transition was not complete in time.
    TooLong(String),
}

impl NoVerdict {
    /// The result in the record.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Interrupted(_) => "interrupted",
            Self::TooLong(_) => Kind::InProgress.words(),
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Self::Interrupted(None) => INTERRUPTED.to_owned(),
            Self::Interrupted(Some(more)) => format!("{INTERRUPTED}\n{more}"),
            Self::TooLong(why) => why.clone(),
        }
    }
}

impl Run<'_> {
    /// Checks a patch that a run has loaded. Confirms it, or takes it back.
    pub(super) fn check_and_finish(&mut self, mut intent: Intent) -> Result<()> {
        intent.phase = Phase::Checking;
        // If this cannot be written, the intent still says that the patch is being loaded. If the
        // boot ends then, the level is quarantined in the same way.
        if let Err(failure) = intent.write(self.system) {
            self.lines.push(intent_unwritten(&failure));
        }
        self.judge(intent)
    }

    /// Checks a patch that is loaded. Stores its level, or takes the patch back.
    pub(super) fn judge(&mut self, intent: Intent) -> Result<()> {
        let end = match self.health(&intent)? {
            Health::Good => return self.finish(intent),
            Health::Bad(reason) => return Err(self.take_back(intent, &reason)),
            Health::Interrupted => NoVerdict::Interrupted(None),
            Health::Late(why) => NoVerdict::TooLong(why),
        };
        let patch = loader::patch(self.system, &intent.patch);
        let is_in_effect = matches!(patch, Ok(Some(patch)) if patch.state == State::InEffect);
        Err(if is_in_effect || intent.phase == Phase::Adopting {
            self.leave(&intent, &end)
        } else {
            self.stop(&intent, &end)
        })
    }

    /// Leaves a patch that an operator has loaded or confirmed as it is, because it could not be
    /// checked.
    fn leave(&mut self, intent: &Intent, end: &NoVerdict) -> Failure {
        let Intent { level, patch, .. } = intent;
        let removed = self.remove_intent();
        let why = end.why();
        self.end("apply", (*level, patch), end.result(), Some(&why));
        let what = match end {
            NoVerdict::Interrupted(_) => {
                format!("level {level} is in effect, and its checks were interrupted")
            }
            NoVerdict::TooLong(_) => format!("level {level} is in transition, and was not checked"),
        };
        Failure::in_progress(what)
            .why(why)
            .next("the next run checks it again")
            .also(removed.err().map(|other| other.what))
    }

    /// Waits until the level has settled, and checks it. The loader may take it back meanwhile.
    fn health(&mut self, intent: &Intent) -> Result<Health> {
        let mut messages = kmsg::Log::from_now(self.system);
        let health = match self.settled_health(intent)? {
            Some(Health::Good | Health::Late(_))
                if loader::patch(self.system, &intent.patch)?.is_none() =>
            {
                None
            }
            health => health,
        };
        Ok(health.unwrap_or_else(|| gone(&messages.problems(&intent.patch))))
    }

    /// As `health()`. Returns `None` if the loader has taken the patch back before it has settled.
    fn settled_health(&mut self, intent: &Intent) -> Result<Option<Health>> {
        let policy = self.view.policy.health;
        let until = wait::deadline_after(self.patience());
        match wait::until_settled(self.system, &intent.patch, until, self.progress)? {
            End::Settled(_) => (),
            End::Gone => return Ok(None),
            End::Late(patch) => {
                let why = control::timed_out(self.system, &patch, "apply").why;
                return Ok(Some(Health::Late(too_long(self.patience(), why))));
            }
            End::Interrupted(_) => return Ok(Some(Health::Interrupted)),
        }
        let mut log = intent.before.log(self.system);
        let until = Instant::now() + Duration::from_secs(u64::from(policy.settle));
        while Instant::now() < until {
            log.look();
            if interrupt::is_pending() {
                return Ok(Some(Health::Interrupted));
            }
            self.progress.update(&format!(
                "level {}: it settles for {} s before its checks",
                intent.level, policy.settle
            ));
            std::thread::sleep(PAUSE);
        }
        let subject = health::Subject {
            level: intent.level,
            patch: &intent.patch,
            limit: Duration::from_secs(u64::from(policy.timeout)),
        };
        let health = health::check(
            self.system,
            &intent.before,
            &mut log,
            subject,
            self.progress,
        );
        health.map(Some)
    }
}

/// Why the transition of a level has taken too long. The reason of the wait names the tasks.
pub(super) fn too_long(seconds: u64, why: Option<String>) -> String {
    let line = format!("the transition was not complete after {seconds} s");
    why.map_or(line.clone(), |why| format!("{line}\n{why}"))
}

/// The health of a level that the loader does not have any more. The loader's messages say why.
fn gone(messages: &[String]) -> Health {
    let has = |pattern: &str| {
        let mut found = messages.iter().filter_map(|message| reasons::find(message));
        found.any(|(found, ..)| *found == pattern)
    };
    if has(reasons::REVERSED_LATE) {
        let why = "the loader has reversed the transition, because it was not complete in time";
        return Health::Late(why.to_owned());
    }
    let why = if has(reasons::UNCONFIRMED) {
        "its probation was over before its checks were complete"
    } else {
        "its transition was reversed, or the loader has taken it back"
    };
    Health::Bad(why.to_owned())
}
