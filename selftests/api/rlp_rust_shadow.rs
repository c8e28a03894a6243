// SPDX-License-Identifier: GPL-2.0

//! Calls each method of `livepatch::Shadow`, and logs the results.

use kernel::{
    fmt::Debug,
    prelude::*, //
};
use livepatch::{
    Context,
    Shadow, //
};

module! {
    type: ShadowTest,
    name: "rlp_rust_shadow",
    authors: ["The rust_livepatch authors"],
    description: "Selftest: shadow variables, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct ShadowTest;

    vmlinux with Calls {}
}

struct Object(#[expect(dead_code)] u64);

/// A shadow variable that logs its drop.
struct Value(u32);

impl Drop for Value {
    fn drop(&mut self) {
        pr_info!("dropped {}\n", self.0);
    }
}

// SAFETY: No other patch uses this number.
const ONE: Shadow<Object, Value> = unsafe { Shadow::new(0x746f6e65) };
// SAFETY: No other patch uses this number.
const TWO: Shadow<Object, Value> = unsafe { Shadow::new(0x7474776f) };

/// An object whose shadow variables exist until the module is unloaded.
static KEPT: Object = Object(0);

struct Calls;

impl livepatch::Callbacks for Calls {
    fn pre_patch(_cx: &mut Context<'_>) -> Result {
        let mut object = Object(1);
        let other = Object(2);

        log_result("get, before", ONE.get(&object));
        log_result("get_mut, before", ONE.get_mut(&mut object));
        log_result("alloc", ONE.alloc(&object, GFP_KERNEL, Value(1)));
        log_result("alloc again", ONE.alloc(&object, GFP_KERNEL, Value(2)));
        log_result("get", ONE.get(&object));
        log_result("get, other number", TWO.get(&object));
        log_result("get, other object", ONE.get(&other));
        log_result("get_mut, other number", TWO.get_mut(&mut object));
        if let Some(value) = ONE.get_mut(&mut object) {
            value.0 += 10;
        }
        log_result("get, changed", ONE.get(&object));

        let second = TWO.alloc(&object, GFP_ATOMIC, Value(3));
        log_result("alloc, other number", second);
        log_result("get, both", (ONE.get(&object), TWO.get(&object)));
        let existing = ONE.get_or_alloc(&object, GFP_KERNEL, || Ok(Value(4)));
        log_result("get_or_alloc, there", existing);
        let failed = ONE.get_or_alloc(&other, GFP_KERNEL, || Err(ENODEV));
        log_result("get_or_alloc, failed", failed);
        log_result("get, after that", ONE.get(&other));

        log_result("remove", ONE.remove(&mut object));
        log_result("remove again", ONE.remove(&mut object));
        log_result("get, removed", (ONE.get(&object), TWO.get(&object)));
        log_result("remove, other number", TWO.remove(&mut object));

        ONE.alloc(&KEPT, GFP_KERNEL, Value(5))?;
        TWO.alloc(&KEPT, GFP_KERNEL, Value(6))?;
        Ok(())
    }
}

impl Drop for ShadowTest {
    fn drop(&mut self) {
        // SAFETY: No reference to a variable is left.
        unsafe { ONE.free_all() };
        log_result("get, all freed", (ONE.get(&KEPT), TWO.get(&KEPT)));
        // SAFETY: As above.
        unsafe { TWO.free_all() };
    }
}

impl Debug for Value {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        self.0.fmt(f)
    }
}

fn log_result(what: &str, value: impl Debug) {
    pr_info!("{}: {:?}\n", what, value);
}
