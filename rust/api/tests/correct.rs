// SPDX-License-Identifier: GPL-2.0

//! Everything that the crate allows. Each source with a comment `// error:` has one mistake, and
//! must not compile. The comment has the error.

use kernel::{
    bindings,
    seq_file::SeqFile, //
};
use livepatch::{
    Context,
    Shadow,
    State, //
};

include!("module.inc");

// SAFETY: Never loaded.
const SHADOW: Shadow<Object, KBox<u32>> = unsafe { Shadow::new(1) };
// SAFETY: Never loaded.
const STATE: State<u32> = unsafe { State::new(1, 1) };

livepatch::patch! {
    /// A patch with documentation.
    struct Patch;
    replace: true;
    states: [STATE, STATE];

    vmlinux with Callbacks {
        // SAFETY: Never loaded.
        unsafe fn raw(m: *mut bindings::seq_file, v: *mut c_void) -> c_int = raw;
        // SAFETY: Never loaded.
        unsafe fn reference(&SeqFile, *mut c_void) -> c_int = reference, sympos 2;
        // SAFETY: Never loaded.
        unsafe fn "nothing.isra.0"() = inner::nothing;
    }
    module "one" {}
    module "two" with inner::Callbacks {
        // SAFETY: Never loaded.
        unsafe fn owned(object: KBox<Object>) = owned;
    }
}

#[repr(C)]
struct Object(u64);

struct Callbacks;

impl livepatch::Callbacks for Callbacks {
    fn pre_patch(cx: &mut Context<'_>) -> Result {
        if STATE.prev_version(cx) == Some(1) {
            return Ok(());
        }
        drop(STATE.set(cx, KBox::new(1, GFP_KERNEL)?)?);
        if let Some(data) = STATE.get_mut(cx) {
            *data += 1;
        }
        pr_info!("{} {:?}\n", cx.object(), STATE.get(cx));
        Ok(())
    }

    fn post_patch(cx: &mut Context<'_>) {
        drop(STATE.take_prev(cx));
    }

    fn post_unpatch(cx: &mut Context<'_>) {
        drop(STATE.take(cx));
    }
}

/// # Safety
///
/// Never called.
unsafe extern "C" fn raw(_m: *mut bindings::seq_file, _v: *mut c_void) -> c_int {
    0
}

extern "C" fn reference(_m: &SeqFile, _v: *mut c_void) -> c_int {
    0
}

extern "C" fn owned(mut object: KBox<Object>) {
    let made = SHADOW.get_or_alloc(&object, GFP_KERNEL, || Ok(KBox::new(1, GFP_KERNEL)?));
    let Ok(_) = made else {
        return;
    };
    if let Some(value) = SHADOW.get_mut(&mut object) {
        **value += 1;
    }
    if let Some(value) = SHADOW.remove(&mut object) {
        let _ = SHADOW.alloc(&object, GFP_ATOMIC | __GFP_NOWARN, value);
    }
    pr_info!("{} {:?}\n", object.0, SHADOW.get(&object));
}

impl Drop for Patch {
    fn drop(&mut self) {
        // SAFETY: Never loaded.
        unsafe { SHADOW.free_all() };
    }
}

mod inner {
    pub(crate) struct Callbacks;

    impl livepatch::Callbacks for Callbacks {}

    pub(crate) extern "C" fn nothing() {}
}
