// SPDX-License-Identifier: GPL-2.0

//! Modules of patches that the loader does not have any more: whether they can be unloaded, and why
//! not.

use crate::failure::Result;
use crate::history;
use crate::kmsg;
use crate::loader::{
    self,
    CHECK_INTERVAL,
    GONE_CHECKS,
    MODULE, //
};
use crate::system::System;
use serde::ser::SerializeStruct as _;
use serde::{
    Serialize,
    Serializer, //
};

/// Whether the module of a patch that has left can be unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hold {
    Free,
    /// The module has users.
    Used,
    /// The module has users. Tasks were forced in this boot, but nothing shows whether these tasks
    /// may run code of this module.
    MaybeForced,
    /// The loader keeps the module until the next boot, because tasks were forced.
    Forced,
}

/// A module of a patch that the loader does not have any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) name: String,
    pub(crate) hold: Hold,
}

impl Leftover {
    /// Why the module cannot be unloaded, or `None` if it can be.
    pub(crate) fn why(&self) -> Option<&'static str> {
        match self.hold {
            Hold::Free => None,
            Hold::Used => Some("its old module is still in use"),
            Hold::MaybeForced => Some(
                "its old module is still in use, perhaps until the next boot: tasks were forced",
            ),
            Hold::Forced => Some("its old module stays until the next boot: tasks were forced"),
        }
    }
}

impl Serialize for Leftover {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("Leftover", 4)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("pinned", &(self.hold != Hold::Free))?;
        object.serialize_field("forced", &(self.hold == Hold::Forced))?;
        object.serialize_field("hold", &self.hold)?;
        object.end()
    }
}

/// Whether the module can be unloaded, or `None` if it is gone. The last users may take a moment to
/// leave it.
fn hold(system: &System, name: &str) -> Option<Hold> {
    for _ in 0..GONE_CHECKS {
        let count = system.read(&format!("/sys/module/{name}/refcnt")).ok()?;
        if count == "0" {
            return Some(Hold::Free);
        }
        std::thread::sleep(CHECK_INTERVAL);
    }
    Some(why_used(system, name))
}

/// Why a module still has users. If neither the kernel's log nor the history can be read, the
/// result is `Used`, even if tasks were forced.
fn why_used(system: &System, name: &str) -> Hold {
    let line = format!("patch '{name}': its module cannot be unloaded, because tasks were forced");
    let messages = kmsg::since_boot(system).unwrap_or_default();
    if messages.iter().any(|message| message.text == line) {
        Hold::Forced
    } else if history::has_forced(system) {
        // The line may have been overwritten. The history does not name the modules that are kept.
        Hold::MaybeForced
    } else {
        Hold::Used
    }
}

/// The modules that use the loader, and whose patches are gone.
pub(crate) fn all(system: &System) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for name in system.names(&format!("/sys/module/{MODULE}/holders"))? {
        // While a patch leaves, its folder may still be there, but its files cannot be read.
        if loader::patch(system, &name)?.is_none() {
            leftovers.extend(hold(system, &name).map(|hold| Leftover { name, hold }));
        }
    }
    Ok(leftovers)
}

/// The leftover module of this name, if there is one.
pub(crate) fn find(system: &System, name: &str) -> Result<Option<Leftover>> {
    Ok(all(system)?.into_iter().find(|left| left.name == name))
}
