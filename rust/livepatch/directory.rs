// SPDX-License-Identifier: GPL-2.0

//! The directories of a patch in sysfs. The directory of the patch contains a directory for each
//! object. The directory of an object contains a directory for each function.
//!
//! The files in the directories look up the patch in the registry, so their functions are in a
//! higher layer. The caller passes the files as [`Files`].

use crate::{
    events::{
        self,
        Event,
        State, //
    },
    patch::Patch,
    step::PatchId, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    gate::Gate,
    kobject::{
        Attribute,
        Directory,
        Entry,
        EventRoot,
        LongText, //
    }, //
};

/// The directory of all patches. It has no files: tools count its entries.
pub(crate) type Root = EventRoot;

/// The data of a patch's directory.
pub(crate) struct PatchEntry(pub(crate) PatchId);

impl Entry for PatchEntry {}

/// The data of an object's directory.
#[derive(Clone, Copy)]
pub(crate) struct ObjectEntry {
    pub(crate) patch: PatchId,
    /// The index in the patch's list of objects.
    pub(crate) nr: usize,
}

impl Entry for ObjectEntry {}

/// The data of a function's directory.
pub(crate) struct FuncEntry {
    pub(crate) object: ObjectEntry,
    /// The index in the object's list of functions.
    pub(crate) nr: usize,
}

impl Entry for FuncEntry {}

/// The files for each kind of directory.
pub(crate) struct Files {
    pub(crate) patch: &'static [&'static Attribute<PatchEntry>],
    /// The author's statements about a patch.
    pub(crate) info: &'static [&'static LongText<PatchEntry>],
    pub(crate) object: &'static [&'static Attribute<ObjectEntry>],
    pub(crate) func: &'static [&'static Attribute<FuncEntry>],
    /// The files of a patch that can be polled.
    pub(crate) polled: &'static [&'static Attribute<PatchEntry>],
}

impl Files {
    /// Whether a patch's directory has a file `name`. An object must not have that name.
    pub(crate) fn has(&self, name: &CStr) -> bool {
        self.patch.iter().any(|file| file.name() == name)
            || self.info.iter().any(|file| file.name() == name)
    }
}

/// Makes `/sys/kernel/rust_livepatch`.
///
/// # Errors
///
/// `ENOMEM`, `EEXIST`.
pub(crate) fn root(gate: Gate) -> Result<Root> {
    Root::new(gate.sysfs(), c"rust_livepatch")
}

/// The directory of a patch with all directories below it. The fields are in the order of removal.
///
/// The files take the registry's lock, and removing a file waits for its readers and writers. So
/// this is never dropped with the registry locked, not even if [`fill`](Self::fill) has failed.
#[derive(Default)]
pub(crate) struct PatchDirectory {
    funcs: KVec<Directory<FuncEntry>>,
    objects: KVec<Directory<ObjectEntry>>,
    patch: Option<Directory<PatchEntry>>,
    polled: &'static [&'static Attribute<PatchEntry>],
}

impl PatchDirectory {
    /// Makes the directories of `patch`, with `files` in them.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST`; `EBUSY` if the directory of an earlier patch of the same name is still
    /// there. On failure `self` has the directories that were made.
    pub(crate) fn fill(&mut self, root: &Root, files: &Files, patch: &Patch) -> Result {
        let entry = PatchEntry(patch.id);
        let directory = Directory::new(root.as_parent(), patch.name(), entry).map_err(|e| {
            // No patch of that name is registered. So an earlier patch of this module is retired,
            // and its directory is not removed yet.
            if e != EEXIST {
                return e;
            }
            pr_err!(
                "patch '{}' cannot be enabled: its old directory is not removed yet\n",
                patch.name()
            );
            EBUSY
        })?;
        self.polled = files.polled;
        let directory = self.patch.insert(directory);
        directory.add_files(files.patch)?;
        directory.add_texts(files.info)?;
        for (nr, object) in patch.objects.iter().enumerate() {
            let entry = ObjectEntry {
                patch: patch.id,
                nr,
            };
            let directory = Directory::new(directory.as_parent(), object.label(), entry)?;
            let directory = add_directory(&mut self.objects, directory, files.object)?;
            for (nr, func) in object.funcs.iter().enumerate() {
                let entry = FuncEntry { object: entry, nr };
                let name = CString::try_from_fmt(fmt!("{},{}", *func.name, func.position()))?;
                let func = Directory::new(directory.as_parent(), &name, entry)?;
                add_directory(&mut self.funcs, func, files.func)?;
            }
        }
        Ok(())
    }

    /// Reports an event of the patch: see [`events::report`]. Does nothing if there is no directory
    /// yet.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    pub(crate) fn report(&self, event: Event, state: State, us: i64) {
        if let Some(directory) = &self.patch {
            events::report(directory, self.polled, (event, state), us);
        }
    }
}

/// Adds `directory` to `all`, and then adds `files` to it.
///
/// # Errors
///
/// `ENOMEM`, and those of [`Directory::add_files`].
fn add_directory<'a, T: Entry>(
    all: &'a mut KVec<Directory<T>>,
    directory: Directory<T>,
    files: &'static [&'static Attribute<T>],
) -> Result<&'a Directory<T>> {
    // If there is no memory, the directory is dropped here. It has no files yet, so the drop does
    // not wait.
    all.push(directory, GFP_KERNEL)?;
    let directory = all.last().ok_or(ENOMEM)?;
    directory.add_files(files)?;
    Ok(directory)
}
