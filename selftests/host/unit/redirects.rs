// SPDX-License-Identifier: GPL-2.0

use crate::{
    address::{
        CallTarget,
        Site, //
    },
    check,
    prelude::*,
    redirects::{
        Redirects,
        Slot,
        Targets,
        SPREAD, //
    },
    table::Table,
    universe::Universe, //
};
use proptest::{
    collection::btree_map,
    collection::vec,
    prop_assert,
    prop_assert_eq, //
};
use std::collections::BTreeMap;

fn table(entries: &BTreeMap<usize, Targets>) -> Redirects {
    let entries: Vec<_> = entries
        .iter()
        .map(|(&site, &targets)| (Site(site), targets))
        .collect();
    Redirects::new(entries.into_iter()).unwrap()
}

fn with(sites: impl IntoIterator<Item = usize>) -> BTreeMap<usize, Targets> {
    let targets = |site| Targets {
        old: CallTarget::at(site + 1),
        new: CallTarget::at(site + 2),
    };
    sites
        .into_iter()
        .map(|site| (site, targets(site)))
        .collect()
}

#[test]
fn empty_finds_nothing() {
    let none = table(&with([]));
    assert_eq!(none.find(Site(1)), None);
    assert_eq!(none.find(Site(usize::MAX)), None);
    none.restore_original(Site(1));
}

#[test]
fn no_target_means_the_original() {
    let targets = Targets {
        old: None,
        new: CallTarget::at(7),
    };
    assert_eq!(targets.choose(Universe::Old), None);
    assert_eq!(targets.choose(Universe::New), CallTarget::at(7));
}

/// The search for each of these sites begins at the last slot of the table, and wraps around.
#[test]
fn collisions_at_the_end_of_the_table() {
    let count = 16;
    let len = (count * SPREAD).next_power_of_two();
    let like_it = Table::<Slot>::new(count, SPREAD).unwrap();
    let sites = (1..).filter(|&site| like_it.first(site) == len - 1);
    let entries = with(sites.take(count));
    let redirects = table(&entries);
    for (&site, &targets) in &entries {
        assert_eq!(redirects.find(Site(site)), Some(targets));
    }
    let others = (1..).filter(|site| !entries.contains_key(site));
    assert!(others
        .take(10_000)
        .all(|site| redirects.find(Site(site)).is_none()));
}

#[test]
fn typical_kernel_sites() {
    let entries = with((0..4000).map(|nr| 0xffff_ffff_8100_0004 + nr * 16));
    let redirects = table(&entries);
    let mut at_once = 0;
    for (&site, &targets) in &entries {
        assert_eq!(redirects.find(Site(site)), Some(targets));
        assert_eq!(redirects.find(Site(site + 8)), None);
        assert_eq!(redirects.find_at_once(Site(site + 8)), None);
        at_once += usize::from(redirects.find_at_once(Site(site)).is_some());
    }
    assert!(at_once > 3000, "only {at_once} of 4000 are found at once");
}

#[test]
fn finds_exactly_the_entries() {
    let targets = |(old, new)| Targets {
        old: CallTarget::at(old),
        new: CallTarget::at(new),
    };
    let sites = btree_map(1usize..200, (0usize..9, 0usize..9), 0..60);
    check(sites, |cases| {
        let entries: BTreeMap<_, _> = cases.into_iter().map(|(s, t)| (s, targets(t))).collect();
        let redirects = table(&entries);
        for site in 1..250 {
            prop_assert_eq!(redirects.find(Site(site)), entries.get(&site).copied());
            let at_once = redirects.find_at_once(Site(site));
            prop_assert!(at_once.is_none() || at_once == entries.get(&site).copied());
        }
        Ok(())
    });
}

#[test]
fn restored_sites_call_the_original() {
    check(
        (vec(1usize..100, 1..40), vec(1usize..120, 0..40)),
        |(sites, forgotten)| {
            let entries = with(sites);
            let redirects = table(&entries);
            for &site in &forgotten {
                redirects.restore_original(Site(site));
            }
            for (&site, &targets) in &entries {
                let found = redirects.find(Site(site)).unwrap();
                if forgotten.contains(&site) {
                    prop_assert_eq!(found, Targets::default());
                    prop_assert!(found.choose(Universe::Old).is_none());
                    prop_assert!(found.choose(Universe::New).is_none());
                } else {
                    prop_assert_eq!(found, targets);
                }
            }
            Ok(())
        },
    );
}

#[test]
fn no_memory() {
    let entries = [(Site(4), Targets::default())];
    let (result, failed) = with_failure(0, || Redirects::new(entries.into_iter()));
    assert!(failed);
    assert_eq!(result.err(), Some(ENOMEM));
}
