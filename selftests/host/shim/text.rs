// SPDX-License-Identifier: GPL-2.0

//! A model of the kernel's text for [`crate::hooks`]: the users of each function's fentry site.
//!
//! A change of the text may fail. Another user may attach to a site after it. ftrace may shut
//! itself down, before or after the change takes effect. After each change, a function of the
//! exploration checks the destinations of calls.

use crate::prelude::*;
use std::{
    cell::RefCell,
    collections::{
        BTreeMap,
        BTreeSet, //
    }, //
};

pub(crate) use crate::address::{
    CallTarget,
    Site, //
};

/// A failure at a change of the text. Changes are counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The change is refused with this error, if it may fail.
    Refused(usize, Error),
    /// A bpf program is attached to the site after the change, if the site is free for it.
    Attached(usize, Site),
    /// ftrace shuts itself down. It has made either nothing or all of the change.
    Death { at: usize, changed: bool },
}

/// A defect of the machine, or of the code that uses the loader's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A function that jumps does not get the handler, although the call succeeds.
    HandlerLost,
    /// If ftrace shuts itself down in a removal, the removal does not return an error.
    DeathNotReported,
    /// A promoted function gets another target without being demoted first.
    Undemoted,
    /// Targets at odd addresses are accepted.
    Odd,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// The sites of each of the loader's ftrace ops. Number 0 is the ops with the anchor.
    pub(crate) handled: BTreeMap<usize, BTreeSet<Site>>,
    /// The sites that jump, and their targets.
    pub(crate) jumps: BTreeMap<Site, CallTarget>,
    /// The sites to which a bpf program is attached.
    pub(crate) bpf: BTreeSet<Site>,
    pub(crate) dead: bool,
}

impl Text {
    pub(crate) fn is_handled(&self, site: Site) -> bool {
        self.handled.values().any(|sites| sites.contains(&site))
    }

    /// Attaches a bpf program to `site`, which is impossible while the loader's jump is there.
    /// Returns whether the program was attached.
    pub(crate) fn attach(&mut self, site: Site) -> bool {
        !self.dead && !self.jumps.contains_key(&site) && self.bpf.insert(site)
    }

    fn has_direct(&self, site: Site) -> bool {
        self.jumps.contains_key(&site) || self.bpf.contains(&site)
    }
}

struct Machine {
    text: Text,
    /// Whether functions can be promoted in batches.
    batches: bool,
    fault: Option<Fault>,
    changes: usize,
    look: fn(&Text),
    broken: Option<Broken>,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine {
        text: Text::default(),
        batches: false,
        fault: None,
        changes: 0,
        look: |_| (),
        broken: None,
    });
}

pub(crate) fn set_broken(broken: Option<Broken>) {
    MACHINE.with_borrow_mut(|machine| machine.broken = broken);
}

pub(crate) fn is(broken: Broken) -> bool {
    MACHINE.with_borrow(|machine| machine.broken == Some(broken))
}

/// Starts a new machine. `look` is called with its text after each change.
pub(crate) fn boot(batches: bool, look: fn(&Text)) {
    MACHINE.with_borrow_mut(|machine| {
        machine.text = Text::default();
        machine.batches = batches;
        machine.look = look;
    });
}

/// Returns a copy of the present text.
pub(crate) fn text() -> Text {
    MACHINE.with_borrow(|machine| machine.text.clone())
}

/// Changes the text without the loader.
pub(crate) fn disturb<T>(f: impl FnOnce(&mut Text) -> T) -> T {
    MACHINE.with_borrow_mut(|machine| f(&mut machine.text))
}

/// Runs `f` with `fault`, if any. The second value is the number of changes of the text.
pub(crate) fn with_fault<T>(fault: Option<Fault>, f: impl FnOnce() -> T) -> (T, usize) {
    MACHINE.with_borrow_mut(|machine| {
        machine.fault = fault;
        machine.changes = 0;
    });
    let value = f();
    MACHINE.with_borrow_mut(|machine| {
        machine.fault = None;
        (value, machine.changes)
    })
}

/// Whether a change of the text can be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    /// For lack of memory, or because of other users.
    BeRefused,
    /// For lack of memory only.
    LackMemory,
    Not,
}

/// Makes a change of the text.
fn change(may: May, effect: impl FnOnce(&mut Text) -> Result) -> Result {
    MACHINE.with_borrow_mut(|machine| {
        let at = machine.changes;
        machine.changes += 1;
        if machine.text.dead {
            return Err(ENODEV);
        }
        let result = match machine.fault {
            Some(Fault::Refused(nr, error))
                if nr == at
                    && (may == May::BeRefused || may == May::LackMemory && error == ENOMEM) =>
            {
                return Err(error);
            }
            Some(Fault::Attached(nr, site)) if nr == at => {
                let result = effect(&mut machine.text);
                machine.text.attach(site);
                result
            }
            Some(Fault::Death { at: nr, changed }) if nr == at => {
                let result = if changed {
                    effect(&mut machine.text)
                } else {
                    Ok(())
                };
                machine.text.dead = true;
                match machine.broken {
                    Some(Broken::DeathNotReported) if may != May::BeRefused => result,
                    _ => result.and(Err(ENODEV)),
                }
            }
            _ => effect(&mut machine.text),
        };
        (machine.look)(&machine.text);
        result
    })
}

/// `kernel_ext::ftrace`
pub(crate) mod ftrace {
    use super::{
        change,
        disturb,
        is,
        text,
        Broken,
        May, //
    };
    pub(crate) use crate::address::*;
    use crate::prelude::*;
    use std::collections::BTreeSet;

    /// Returns the site of a function that begins with an `endbr64`.
    pub(crate) fn site_of(addr: usize, _size: usize) -> Option<Site> {
        Some(Site(addr + 4))
    }

    pub(crate) fn may_have_direct_target(site: Site) -> bool {
        text().has_direct(site)
    }

    pub(crate) fn alive() -> Result {
        if text().dead {
            Err(ENODEV)
        } else {
            Ok(())
        }
    }

    /// An ftrace ops, with its number.
    pub(crate) struct Redirection(usize);

    impl Redirection {
        pub(crate) fn anchored() -> Result<Self> {
            Self::register(&mut [])
        }

        pub(crate) fn register(sites: &mut [Site]) -> Result<Self> {
            let mut number = 0;
            change(May::BeRefused, |text| {
                let is_free = |number: &usize| !text.handled.contains_key(number);
                number = (0..).find(is_free).unwrap();
                text.handled.insert(number, BTreeSet::new());
                add(text, number, sites)
            })?;
            Ok(Self(number))
        }

        pub(crate) fn hook(&mut self, sites: &mut [Site]) -> Result {
            let lost = |site: &Site| is(Broken::HandlerLost) && text().jumps.contains_key(site);
            if sites.is_empty() || sites.iter().any(lost) {
                return Ok(());
            }
            change(May::BeRefused, |text| add(text, self.0, sites))
        }

        pub(crate) fn unhook(&mut self, sites: &mut [Site]) -> Result {
            if sites.is_empty() {
                return Ok(());
            }
            change(May::LackMemory, |text| {
                let handled = text.handled.get_mut(&self.0).unwrap();
                for site in sites.iter() {
                    assert!(handled.remove(site), "{site} is not in these ops");
                }
                assert!(
                    self.0 == 0 || !handled.is_empty(),
                    "nothing is left of the filter"
                );
                Ok(())
            })
        }

        pub(crate) fn other_holder(&self, _site: Site) -> Option<usize> {
            None
        }
    }

    impl Drop for Redirection {
        fn drop(&mut self) {
            let _ = change(May::Not, |text| {
                text.handled.remove(&self.0);
                Ok(())
            });
        }
    }

    fn add(text: &mut super::Text, number: usize, sites: &[Site]) -> Result {
        for &site in sites {
            assert!(
                !text.is_handled(site),
                "{site} would have the handler twice"
            );
        }
        text.handled.get_mut(&number).unwrap().extend(sites);
        Ok(())
    }

    /// Detaches the bpf program from `site`, or attaches one. Returns whether that was possible.
    pub(crate) fn toggle_bpf(site: Site) -> bool {
        disturb(|text| !text.dead && (text.bpf.remove(&site) || text.attach(site)))
    }
}

/// `kernel_ext::direct`
pub(crate) mod direct {
    use super::{
        change,
        is,
        Broken,
        CallTarget,
        May,
        Site,
        Text,
        MACHINE, //
    };
    use crate::prelude::*;

    #[derive(Clone, Copy)]
    pub(crate) enum AttachRequest {
        One(Site),
        Any,
    }

    impl AttachRequest {
        pub(crate) fn includes(self, site: Site) -> bool {
            match self {
                Self::One(requested) => requested == site,
                Self::Any => true,
            }
        }
    }

    pub(crate) struct Batches;

    impl Batches {
        pub(crate) fn anchored() -> Result<Option<Self>> {
            Ok(MACHINE
                .with_borrow(|machine| machine.batches)
                .then_some(Self))
        }

        pub(crate) fn add(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
            if sites.is_empty() {
                return Ok(());
            }
            change(May::BeRefused, |text| {
                if sites.iter().any(|&site| text.has_direct(site)) {
                    return Err(EINVAL);
                }
                let pairs = sites.iter().zip(targets);
                pairs.for_each(|(&site, &target)| jump(text, site, target));
                Ok(())
            })
        }

        pub(crate) fn remove(&mut self, sites: &[Site], targets: &[CallTarget]) -> Result {
            if sites.is_empty() {
                return Ok(());
            }
            change(May::LackMemory, |text| {
                let pairs = sites.iter().zip(targets);
                pairs.for_each(|(&site, &target)| back(text, site, target));
                Ok(())
            })
        }
    }

    pub(crate) struct Jump(Site, CallTarget);

    impl Jump {
        pub(crate) fn new(site: Site, target: CallTarget) -> Result<Self> {
            change(May::BeRefused, |text| {
                if text.has_direct(site) {
                    return Err(EBUSY);
                }
                jump(text, site, target);
                Ok(())
            })?;
            Ok(Self(site, target))
        }
    }

    impl Drop for Jump {
        fn drop(&mut self) {
            let _ = change(May::Not, |text| {
                back(text, self.0, self.1);
                Ok(())
            });
        }
    }

    pub(crate) fn can_jump_to(target: CallTarget) -> bool {
        is(Broken::Odd) || target.address() & 1 == 0
    }

    fn jump(text: &mut Text, site: Site, target: CallTarget) {
        let target_address = target.address();
        assert_eq!(
            target_address & 1,
            0,
            "{site} jumps to the byte in front of {target_address}"
        );
        assert!(
            text.is_handled(site),
            "{site} jumps without a handler under it"
        );
        text.jumps.insert(site, target);
    }

    fn back(text: &mut Text, site: Site, target: CallTarget) {
        let jumped = text.jumps.remove(&site);
        assert_eq!(jumped, Some(target), "{site} did not jump there");
    }

    pub(crate) fn is_unsupported(error: Error) -> bool {
        error == EOPNOTSUPP
    }
}
