// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: fields that patches add to objects that exist already.
//!
//! As `kernel/livepatch/shadow.c`, but that they end with the loader. Patch modules use the loader,
//! so that by then nobody is left who could look for one.

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

/// All of them. Dropping it frees them, without their destructors, which are gone.
pub(crate) struct Variables;

/// What became of the wish for a variable.
enum Attached {
    /// There was one.
    Existing(Memory),
    /// There is one now.
    New(Memory),
}

/// The variable that `constructor` is for, a new one if there is none; `None` if it could not be
/// made.
fn attach(gfp: Gfp, constructor: Constructor<'_>) -> Option<Attached> {
    let key = constructor.key();
    if let Some(memory) = side_table::find(key) {
        return Some(Attached::Existing(memory));
    }
    // The lock does not allow for `gfp` to sleep, so what is allocated may be in vain.
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

    fn free(destructor: Destructor) {
        destructor.run();
    }

    fn free_all(destructor: Destructor) {
        destructor.run();
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        #[expect(
            unsafe_code,
            reason = "which modules are loaded is not a matter of types"
        )]
        // SAFETY: Each patch module has a reference to this module, so that none is loaded when this is
        // dropped.
        unsafe {
            klp_shadow::free_remaining();
        }
    }
}
