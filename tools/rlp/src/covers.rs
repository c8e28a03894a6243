// SPDX-License-Identifier: GPL-2.0

//! level covers: whether the level of the package has a patch for another kernel, which is about to
//! be installed.

use crate::boot;
use crate::cli;
use crate::failure::{
    Result,
    ANSWER_IS_NO, //
};
use crate::image;
use crate::level::Number;
use crate::output::{
    Outcome,
    Paint,
    Report, //
};
use crate::policy::{
    self,
    Gap, //
};
use crate::store;
use crate::stored_loader;
use crate::system::System;
use crate::view::View;
use serde_json::{
    json,
    Value, //
};

struct Covers {
    release: String,
    level: Option<Number>,
    /// Why the level does not cover the kernel.
    gap: Option<String>,
    notes: Vec<String>,
}

pub(crate) fn run(system: &System, arguments: &cli::LevelCovers) -> Outcome {
    match covers(system, arguments) {
        Ok(covers) => Outcome::of(covers),
        Err(failure) => failure.into(),
    }
}

fn covers(system: &System, arguments: &cli::LevelCovers) -> Result<Covers> {
    let release = arguments.release.clone();
    let mut covers = Covers {
        level: None,
        gap: None,
        notes: Vec::new(),
        release,
    };
    let Some(level) = store::available(system)? else {
        covers.notes.extend(boot_note(system, &covers.release));
        return Ok(covers);
    };
    covers.level = Some(level.level);
    let entry = level.kernel(&covers.release);
    let image = arguments.image.as_ref().map(|path| image::build_id(path));
    let gap = match (entry, image) {
        (None, _) => Some(Gap::Release(covers.release.clone())),
        (Some(_), Some(Ok(build_id))) => {
            policy::entry(&level, &covers.release, Some(&build_id)).err()
        }
        (Some(_), Some(Err(why))) => {
            covers.notes.push(format!(
                "the build id of the image is not known, and only the release was compared: {why}"
            ));
            None
        }
        (Some(_), None) => None,
    };
    covers.gap = gap.map(|gap| gap.words());
    if covers.gap.is_some() {
        covers.notes.extend(boot_note(system, &covers.release));
    }
    covers.notes.extend(stopped_note(system, level.level));
    if covers.gap.is_none() && stored_loader::of_package(system, &covers.release).is_none() {
        covers
            .notes
            .push("the loader comes with the level".to_owned());
    }
    Ok(covers)
}

/// A note about the patches that a boot of that kernel loads nevertheless, such as that of an
/// earlier level. If that is not known, there is no note.
fn boot_note(system: &System, release: &str) -> Option<String> {
    let quarantined = boot::quarantined(system).ok()?;
    let mut patches = boot::installed(system, release).ok()?;
    patches.retain(|name| !quarantined.contains(name));
    (!patches.is_empty()).then(|| {
        format!(
            "these installed patches are loaded by a boot into the build of {release} that they \
             are for: {}",
            patches.join(" ")
        )
    })
}

/// A note if this machine does not apply the level. If that is not known, there is no note.
fn stopped_note(system: &System, level: Number) -> Option<String> {
    let view = View::read(system).ok()?;
    let mut quarantined = view.quarantined().into_iter();
    let is_stopped =
        view.blocked().contains(&level) || quarantined.any(|failed| failed.level == level);
    is_stopped.then(|| {
        format!("level {level} is blocked or has failed on this machine: rlp level status")
    })
}

impl Report for Covers {
    fn json(&self) -> Value {
        json!({
            "release": self.release,
            "level": self.level,
            "covered": self.level.is_some() && self.gap.is_none(),
            "why": self.gap,
            "notes": self.notes,
        })
    }

    fn text(&self, _paint: &Paint) -> String {
        let release = &self.release;
        let mut text = match (self.level, &self.gap) {
            (None, _) => format!("no level is installed, so none covers {release}\n"),
            (Some(level), None) => format!("level {level} covers {release}\n"),
            (Some(level), Some(gap)) => {
                format!("level {level} does not cover {release}: {gap}\n")
                    + &format!("  after a boot into {release}, level {level} is not applied\n")
            }
        };
        for note in &self.notes {
            text += &format!("  {note}\n");
        }
        text
    }

    fn status(&self) -> u8 {
        if self.level.is_some() && self.gap.is_none() {
            0
        } else {
            ANSWER_IS_NO
        }
    }
}
