// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: fields that patches add to existing objects.
//!
//! They work as in `kernel/livepatch/shadow.c`, except that they are freed when the loader is
//! unloaded. Patch modules hold references to the loader, so no module that could look up a
//! variable is loaded then.

use kernel_ext::{
    klp_shadow::{
        self,
        Constructor,
        Destructor,
        Shadows, //
    },
    side_table::{
        self,
        Gfp,
        Key,
        Memory, //
    }, //
};

/// All shadow variables. Dropping this frees them. Their destructors are not called, since the
/// modules that have them are unloaded.
pub(crate) struct Variables;

/// The result of [`attach`].
enum Attached {
    /// The variable existed.
    Existing(Memory),
    /// The variable was created.
    New(Memory),
}

/// Returns the variable of `constructor`, and creates it if it does not exist. Returns `None` if it
/// could not be created.
fn attach(gfp: Gfp, constructor: Constructor<'_>) -> Option<Attached> {
    let key = constructor.key();
    if let Some(memory) = side_table::find(key) {
        return Some(Attached::Existing(memory));
    }
    // The allocation may sleep, depending on `gfp`, and must not do that under the lock. So the
    // memory is allocated before the lock is taken, even if it turns out not to be needed.
    let variable = constructor.allocate(gfp)?;
    let mut table = side_table::lock();
    if let Some(memory) = table.find(key) {
        return Some(Attached::Existing(memory));
    }
    let result = variable.construct(&mut table);
    drop(table);
    result
        .inspect_err(|&errno| klp_shadow::report_failure(key, errno))
        .ok()
        .map(Attached::New)
}

impl Shadows for Variables {
    fn get(key: Key) -> Option<Memory> {
        side_table::find(key)
    }

    fn alloc(gfp: Gfp, constructor: Constructor<'_>) -> Option<Memory> {
        let key = constructor.key();
        match attach(gfp, constructor)? {
            Attached::New(memory) => Some(memory),
            Attached::Existing(_) => {
                klp_shadow::report_duplicate(key);
                None
            }
        }
    }

    fn get_or_alloc(gfp: Gfp, constructor: Constructor<'_>) -> Option<Memory> {
        match attach(gfp, constructor)? {
            Attached::New(memory) | Attached::Existing(memory) => Some(memory),
        }
    }

    fn free(destructor: Destructor<'_>) {
        destructor.run();
    }

    fn free_all(destructor: Destructor<'_>) {
        destructor.run();
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "types cannot express which modules are loaded")]
        // SAFETY: Each patch module has a reference to this module, so none is loaded when this
        // is dropped.
        unsafe {
            klp_shadow::free_remaining();
        }
    }
}
