// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: fields that patches add to objects that exist already.
//!
//! As `kernel/livepatch/shadow.c`, but that they end with the loader. Patch modules use the loader,
//! so that by then nobody is left who could look for one.

use kernel_ext::{
    klp_shadow::{self, Constructor, Destructor, Shadows},
    side_table::{Fresh, Gfp, Key, Memory, SideTable},
};

static TABLE: SideTable = SideTable::new();

/// All of them. Dropping it frees them, without their destructors, which are gone.
pub(crate) struct Variables;

/// What became of the wish for a variable.
enum Attached {
    /// There was one.
    Before(Memory),
    /// There is one now.
    Now(Memory),
}

/// The variable for `key`, a new one if there is none; `None` if it could not be made.
fn attach(key: Key, size: usize, gfp: Gfp, constructor: &Constructor) -> Option<Attached> {
    if let Some(memory) = TABLE.find(key) {
        return Some(Attached::Before(memory));
    }
    // The lock does not allow for `gfp` to sleep, so what is allocated may be in vain.
    let mut fresh = Fresh::new(key, size, gfp)?;
    let mut table = TABLE.lock();
    if let Some(memory) = table.find(key) {
        return Some(Attached::Before(memory));
    }
    if let Err(errno) = constructor.run(&mut fresh, &table) {
        drop(table);
        klp_shadow::report_failure(key, errno);
        return None;
    }
    Some(Attached::Now(table.add(fresh)))
}

impl Shadows for Variables {
    fn get(key: Key) -> Option<Memory> {
        TABLE.find(key)
    }

    fn alloc(key: Key, size: usize, gfp: Gfp, constructor: Constructor) -> Option<Memory> {
        match attach(key, size, gfp, &constructor)? {
            Attached::Now(memory) => Some(memory),
            Attached::Before(_) => {
                klp_shadow::report_duplicate(key);
                None
            }
        }
    }

    fn get_or_alloc(key: Key, size: usize, gfp: Gfp, constructor: Constructor) -> Option<Memory> {
        match attach(key, size, gfp, &constructor)? {
            Attached::Now(memory) | Attached::Before(memory) => Some(memory),
        }
    }

    fn free(key: Key, destructor: Destructor) {
        TABLE.lock().remove(key, |removed| destructor.run(removed));
    }

    fn free_all(id: usize, destructor: Destructor) {
        TABLE
            .lock()
            .remove_all(|key| key.id == id, |removed| destructor.run(removed));
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        TABLE.lock().remove_all(|_| true, drop);
    }
}
