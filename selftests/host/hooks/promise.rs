// SPDX-License-Identifier: GPL-2.0

//! The promises of [`crate::hooks`] to its caller: at every moment, and after each request.

use crate::{
    caller::{
        is_in,
        Op,
        SITES, //
    },
    hooks::{
        Hooks,
        Mode, //
    },
    jumps::HandlerReason,
    prelude::*,
    text::{
        self,
        CallTarget,
        Site,
        Text, //
    }, //
};
use std::{
    cell::RefCell,
    collections::BTreeMap, //
};

/// The promises that the caller relies on at this moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promise {
    /// The sites whose calls must reach the handler or jump to a replacement.
    pub(crate) held: Vec<Site>,
    /// The sites that may jump, each with the target that was requested last. `None` is the
    /// original code, to which no jump is allowed.
    pub(crate) requested: BTreeMap<Site, Option<CallTarget>>,
}

thread_local! {
    static PROMISE: RefCell<Promise> = RefCell::default();
}

/// Changes the promises that the caller relies on from now on.
pub(crate) fn change(f: impl FnOnce(&mut Promise)) {
    PROMISE.with_borrow_mut(f);
}

pub(crate) fn now() -> Promise {
    PROMISE.with_borrow(Promise::clone)
}

/// Checks the destinations of calls that are made at this moment.
pub(crate) fn check_calls(text: &Text) {
    let promise = now();
    for site in promise.held {
        let reached = text.is_handled(site) || text.jumps.contains_key(&site);
        assert!(reached, "{site} runs the original code for a moment");
    }
    for (site, target) in &text.jumps {
        let requested = promise.requested.get(site).copied();
        assert_eq!(
            requested,
            Some(Some(*target)),
            "{site} jumps to a target that was not requested"
        );
    }
}

/// Returns the mode of each of [`SITES`], as `hooks` reports it.
pub(crate) fn modes(hooks: &Hooks) -> Vec<Option<Mode>> {
    SITES.iter().map(|&site| hooks.mode(site)).collect()
}

/// Checks that the reported modes match the text. If ftrace is dead, it is enough that each jump in
/// the text is reported: then the patch that is the target of the jump is kept.
pub(crate) fn check_modes(hooks: &Hooks, text: &Text) {
    for (site, mode) in SITES.into_iter().zip(modes(hooks)) {
        let reported = match mode {
            None => (false, None),
            Some(Mode::Handler(_)) => (true, None),
            Some(Mode::HandlerAndJump(target)) => (true, Some(target)),
            Some(Mode::Jump(target)) => (false, Some(target)),
        };
        let found = (text.is_handled(site), text.jumps.get(&site).copied());
        if text.dead {
            assert!(
                found.1.is_none() || reported.1 == found.1,
                "{site} is reported as {mode:?}, but may jump"
            );
        } else {
            assert_eq!(reported, found, "{site} is reported as {mode:?}");
        }
    }
}

/// Checks the result of `op`. The modes were `before` when `op` started. `refused` is true if
/// the failure in this step was a refused change of the text.
pub(crate) fn check_result(
    op: Op,
    result: Result,
    refused: bool,
    before: &[Option<Mode>],
    hooks: &Hooks,
) {
    let text = text::text();
    if text.dead {
        return;
    }
    for ((site, was), mode) in SITES.into_iter().zip(before).zip(modes(hooks)) {
        match (op, result) {
            (Op::Hook(_), Err(_)) => {
                assert_eq!(mode, *was, "{site}: a failed request changed its mode")
            }
            (Op::Hook(set), Ok(())) => {
                assert_eq!(mode.is_some(), was.is_some() || is_in(set, site))
            }
            (Op::Retain(set), Ok(())) => {
                assert_eq!(mode.is_some(), was.is_some() && is_in(set, site))
            }
            (Op::Demote(set), Ok(())) if is_in(set, site) => assert!(!jumps(mode)),
            (Op::DemoteAll, Ok(())) => {
                assert!(mode.is_none() || mode == Some(Mode::Handler(HandlerReason::Off)))
            }
            (Op::Promote(targets), Ok(())) => {
                assert!(
                    !matches!(mode, Some(Mode::HandlerAndJump(_))),
                    "{site} has the handler and jumps"
                );
                let Some(target) = targets.of(site).filter(|_| was.is_some()) else {
                    continue;
                };
                let expected = match target {
                    None => Mode::Handler(HandlerReason::Original),
                    Some(odd) if odd.address() & 1 == 1 => {
                        Mode::Handler(HandlerReason::Unsupported)
                    }
                    Some(_) if text.bpf.contains(&site) => Mode::Handler(HandlerReason::Taken),
                    Some(target) => Mode::Jump(target),
                };
                let somebody = refused && mode == Some(Mode::Handler(HandlerReason::Taken));
                assert!(
                    somebody || mode == Some(expected),
                    "{site}: {mode:?}, not {expected:?}"
                );
            }
            _ => (),
        }
    }
}

pub(crate) fn jumps(mode: Option<Mode>) -> bool {
    matches!(mode, Some(Mode::HandlerAndJump(_) | Mode::Jump(_)))
}
