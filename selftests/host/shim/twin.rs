// SPDX-License-Identifier: GPL-2.0

//! Twins of a search: in a twin one thing is broken, and the search must fail.

use std::{
    fmt::Debug,
    panic::{
        catch_unwind,
        UnwindSafe, //
    }, //
};

/// Runs `search`, in which `broken` is broken. It must panic with a message that contains one of
/// `expected`.
pub(crate) fn must_fail(broken: impl Debug, search: impl FnOnce() + UnwindSafe, expected: &[&str]) {
    let Err(why) = catch_unwind(search) else {
        panic!("the search does not find {broken:?}");
    };
    let text = why
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| why.downcast_ref::<&str>().map(|text| text.to_string()))
        .unwrap_or_default();
    let known = expected.iter().any(|part| text.contains(part));
    assert!(known, "{broken:?} is found, but as: {text}");
}
