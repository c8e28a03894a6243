// SPDX-License-Identifier: GPL-2.0

//! The machine as the policy sees it: the level of the package, the levels on this machine, and
//! what the loader says is in effect.

use crate::boot;
use crate::clock::Reading;
use crate::failure::Result;
use crate::host;
use crate::level::{
    Kernel,
    Level,
    Number, //
};
use crate::loader::{
    self,
    Patch, //
};
use crate::policy::{
    self,
    Decision,
    Host,
    Policy,
    Quarantined, //
};
use crate::policy_file;
use crate::store::{
    self,
    Damage,
    Intent,
    State,
    Verified, //
};
use crate::system::System;
use crate::time;
use crate::window;

pub(crate) struct View {
    pub(crate) policy: Policy,
    /// The level of the package.
    pub(crate) level: Option<Level>,
    pub(crate) state: State,
    pub(crate) release: String,
    pub(crate) build_id: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) patches: Vec<Patch>,
    /// The patches that are not loaded at boot any more.
    not_booted: Vec<String>,
    /// The levels that are not used, because a stored file is damaged.
    damaged: Vec<(Number, Damage)>,
    /// The levels that the loader's patches name, for this kernel, as this machine has seen them.
    described: Vec<(Number, Kernel)>,
    /// Whether the level of the package was never seen before.
    pub(crate) is_new: bool,
    /// Whether this machine has seen another level with the number of the package's level.
    pub(crate) is_changed: bool,
    /// The level that has failed while its quarantine could not be written. The state has the
    /// quarantine, and the disk has it as soon as the state is written.
    pub(crate) failed: Option<Intent>,
}

/// How it is known that a patch belongs to a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was verified on this machine.
    Verified,
    /// A description of the level names it. So somebody has loaded it by hand.
    ByHand,
}

/// The descriptions of the levels that some patches name, for a kernel.
fn described(
    system: &System,
    patches: &[Patch],
    release: &str,
    build_id: Option<&str>,
) -> Vec<(Number, Kernel)> {
    let numbers = patches.iter().filter_map(|patch| patch.level.as_ref());
    let numbers = numbers.filter_map(|level| level.parse().ok());
    numbers
        .filter_map(|number| {
            let level = store::description(system, number)?;
            let entry = policy::entry(&level, release, build_id).ok()?;
            Some((number, entry.clone()))
        })
        .collect()
}

/// The reason of a quarantine that could not be written when the level failed.
pub(crate) const FAILED_UNWRITTEN: &str =
    "it has failed while nothing could be written to the disk";

impl View {
    /// Reads everything, and changes nothing on the disk. The state in the view already counts the
    /// time since the last run, and the level of the package as seen.
    pub(crate) fn read(system: &System) -> Result<Self> {
        let level = store::available(system)?;
        let mut state = State::read(system)?;
        let is_new = state.see(level.as_ref(), Reading::read(system));
        let failed = Intent::read_failed(system)?;
        let failed = failed.filter(|failed| !state.is_quarantined(failed.level));
        if let Some(failed) = &failed {
            state.quarantine(failed.level, FAILED_UNWRITTEN);
        }
        let release = system.release();
        let damaged = state.forget_damaged(system, &release);
        let (build_id, patches) = (system.kernel_build_id(), loader::patches(system)?);
        Ok(Self {
            described: described(system, &patches, &release, build_id.as_deref()),
            policy: policy_file::read(system)?,
            state,
            release,
            build_id,
            host: host::id(system),
            patches,
            not_booted: boot::quarantined(system)?,
            damaged,
            is_changed: level.as_ref().is_some_and(|level| {
                let first = store::description(system, level.level);
                first.is_some_and(|first| !first.is_same(level))
            }),
            level,
            is_new,
            failed,
        })
    }

    /// The entry of the package's level for the running kernel.
    pub(crate) fn entry(&self) -> Option<&Kernel> {
        let level = self.level.as_ref()?;
        policy::entry(level, &self.release, self.build_id.as_deref()).ok()
    }

    /// A verified level of this kernel whose files are stored.
    pub(crate) fn stored(&self, level: Number) -> Option<&Verified> {
        let mut stored = self.state.stored(&self.release, self.build_id.as_deref());
        stored.find(|verified| verified.level == level)
    }

    /// The patches that the loader says are in effect.
    pub(crate) fn patches_in_effect(&self) -> impl Iterator<Item = &Patch> {
        let patches = self.patches.iter();
        patches.filter(|patch| patch.state == loader::State::InEffect)
    }

    /// The level that a patch of the loader belongs to. The build ids must agree, because a patch
    /// that somebody has built by hand may have the name of a level's patch, or the number of a
    /// level.
    fn level_of(&self, patch: &Patch) -> Option<(Number, Origin)> {
        let is_same = |name: &str, build_id: Option<&str>| {
            name == patch.name && build_id.is_some() && build_id == patch.build_id.as_deref()
        };
        let verified = self.state.verified.iter().rev().find(|verified| {
            verified.release == self.release
                && Some(&verified.kernel_build_id) == self.build_id.as_ref()
                && is_same(&verified.patch, verified.build_id.as_deref())
        });
        if let Some(verified) = verified {
            return Some((verified.level, Origin::Verified));
        }
        let own = self.level.as_ref().map(|level| level.level);
        let described = own.zip(self.entry()).into_iter();
        let described = described.chain(self.described.iter().map(|(nr, entry)| (*nr, entry)));
        let mut described = described
            .filter(|(_, entry)| is_same(&entry.patch.name, entry.patch.build_id.as_deref()));
        described.next().map(|(nr, _)| (nr, Origin::ByHand))
    }

    /// The newest level that the loader says is in effect.
    fn newest(&self) -> Option<(Number, Origin, &Patch)> {
        self.patches_in_effect()
            .filter_map(|patch| {
                let (level, origin) = self.level_of(patch)?;
                Some((level, origin, patch))
            })
            .max_by_key(|(level, ..)| *level)
    }

    /// The CVEs that are fixed by patches that belong to no level.
    fn fixed_by_own_patches(&self) -> Vec<String> {
        self.patches_in_effect()
            .filter(|patch| self.level_of(patch).is_none())
            .flat_map(|patch| patch.cves.clone())
            .collect()
    }

    /// The patch of a level that the loader says is in effect.
    pub(crate) fn in_effect(&self) -> Option<(Number, &Patch)> {
        self.newest().map(|(level, _, patch)| (level, patch))
    }

    /// Lines for the reader about things that the operator or the publisher must mend.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.damaged_lines()
            .chain(self.changed_line())
            .chain(self.other_build_lines())
            .collect()
    }

    /// A line for each patch in effect that was verified here for another build of this kernel. It
    /// counts as no level: nothing shows that it fits the code of the running build.
    fn other_build_lines(&self) -> impl Iterator<Item = String> + '_ {
        self.patches_in_effect().filter_map(|patch| {
            let mut verified = self.state.verified.iter().rev();
            let other = verified.find(|verified| {
                verified.release == self.release
                    && verified.patch == patch.name
                    && verified.build_id.is_some()
                    && verified.build_id == patch.build_id
            })?;
            let (name, level) = (&patch.name, other.level);
            (Some(&other.kernel_build_id) != self.build_id.as_ref()).then(|| {
                format!(
                    "{name} is loaded, and is level {level} for another build of this kernel: rlp \
                     unload {name}"
                )
            })
        })
    }

    /// The levels that have failed on this machine, as an applied level or at boot.
    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        let mut all = self.state.quarantined.clone();
        let mut add = |level: Number, patch: &str| {
            if self.not_booted.iter().any(|name| name == patch) {
                all.push(Quarantined {
                    level,
                    time: self.now(),
                    reason: "the machine failed after a boot with it".to_owned(),
                });
            }
        };
        for verified in self.state.stored(&self.release, self.build_id.as_deref()) {
            add(verified.level, &verified.patch);
        }
        if let (Some(level), Some(entry)) = (&self.level, self.entry()) {
            add(level.level, &entry.patch.name);
        }
        all.sort_by_key(|quarantined| quarantined.level);
        all.dedup_by_key(|quarantined| quarantined.level);
        all
    }

    /// A line for each level with a damaged file.
    fn damaged_lines(&self) -> impl Iterator<Item = String> + '_ {
        self.damaged.iter().map(|(level, damage)| {
            let file = damage.words();
            format!("the stored {file} of level {level} is damaged, and is not used")
        })
    }

    /// A line if the publisher has published two levels with one number.
    fn changed_line(&self) -> Option<String> {
        let level = self.level.as_ref().filter(|_| self.is_changed)?.level;
        Some(format!(
            "the package has another level {level} than the one that this machine has seen first: \
             its publisher must give each level a number of its own"
        ))
    }

    /// The levels that must not be in effect, whoever says it.
    pub(crate) fn blocked(&self) -> Vec<Number> {
        let mut all = [&self.state.revoked[..], &self.policy.blocked[..]].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The time of day, as far as it is known.
    pub(crate) fn now(&self) -> u64 {
        let clock = self.state.clock.as_ref();
        clock.map_or_else(time::now, |clock| clock.now)
    }

    pub(crate) fn decide(&self, at_once: bool) -> Decision {
        self.decide_about(self.level.as_ref(), at_once)
    }

    /// The decision if the level of the package cannot be applied.
    pub(crate) fn decide_about_stored(&self) -> Decision {
        self.decide_about(None, false)
    }

    fn decide_about(&self, package: Option<&Level>, at_once: bool) -> Decision {
        // `read` has set the clock.
        let Some(clock) = &self.state.clock else {
            return Decision::NoLevel;
        };
        let stored: Vec<_> = self
            .state
            .stored(&self.release, self.build_id.as_deref())
            .map(|verified| verified.level)
            .collect();
        let fixed = self.patches_in_effect();
        let fixed: Vec<_> = fixed.flat_map(|patch| patch.cves.clone()).collect();
        let own = self.fixed_by_own_patches();
        let seen = self
            .level
            .as_ref()
            .and_then(|level| self.state.seen(level.level));
        let newest = self.newest();
        let host = Host {
            name: self.host.as_deref(),
            release: &self.release,
            build_id: self.build_id.as_deref(),
            in_effect: newest.map(|(level, ..)| level),
            is_verified: newest.is_some_and(|(_, origin, _)| origin == Origin::Verified),
            fixed: &fixed,
            own: &own,
            stored: &stored,
            quarantined: &self.quarantined(),
            revoked: &self.state.revoked,
            age: seen.map_or(0, |seen| seen.ran),
            clock,
            at_once,
        };
        policy::decide(&self.policy, package, &host, &window::machine_zone)
    }
}
