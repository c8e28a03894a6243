// SPDX-License-Identifier: GPL-2.0

use crate::{
    address::{
        CallTarget,
        Site, //
    },
    check,
    patch::{
        code_of,
        part_of,
        replacement_of,
        site_of,
        text_of,
        Patch,
        STRIDE, //
    },
    plan::Plan,
    prelude::*,
    redirects::Targets,
    step::{
        PatchId,
        Step, //
    },
    universe::Universe::{
        self,
        New,
        Old, //
    }, //
};
use proptest::{
    collection::btree_set,
    collection::vec,
    prop_assert_eq, //
};

const STEPS: [Step; 4] = [
    Step::None,
    Step::Enable(PatchId(1)),
    Step::Replace(PatchId(1)),
    Step::Disable(PatchId(1)),
];

fn address(target: Option<CallTarget>) -> usize {
    CallTarget::address_or_zero(target)
}

/// Returns the old and the new destination of calls to function `nr`; 0 is the original.
fn targets(plan: &Plan<'_>, nr: usize) -> Option<(usize, usize)> {
    let found = plan.redirects().unwrap().find(site_of(nr))?;
    Some((address(found.old), address(found.new)))
}

fn sites(plan: &Plan<'_>, universe: Universe) -> Vec<Site> {
    plan.sites(universe).collect()
}

#[test]
fn patches_of_each_universe() {
    let (it, other) = (PatchId(1), PatchId(2));
    // ((in old, in new) for the patch of the step, (in old, in new) for another patch)
    let expected = [
        ((true, true), (true, true)),
        ((false, true), (true, true)),
        ((false, true), (true, false)),
        ((true, false), (true, true)),
    ];
    for (step, (its, others)) in STEPS.into_iter().zip(expected) {
        assert_eq!((step.has(it, Old), step.has(it, New)), its, "{step:?}");
        let found = (step.has(other, Old), step.has(other, New));
        assert_eq!(found, others, "{step:?}");
        assert_eq!(step.is_transition_of(it), step != Step::None);
        assert!(!step.is_transition_of(other));
    }
}

#[test]
fn first_patch_is_enabled() {
    let patches = [Patch::of(1, [3, 5])];
    let plan = Plan::new(patches.iter(), Step::Enable(PatchId(1))).unwrap();
    assert_eq!(targets(&plan, 3), Some((0, replacement_of(1, 3))));
    assert_eq!(targets(&plan, 4), None);
    assert_eq!(sites(&plan, Old), []);
    assert_eq!(sites(&plan, New), [site_of(3), site_of(5)]);
    assert!(plan.changing().eq([site_of(3), site_of(5)]));
}

#[test]
fn the_last_in_the_list_wins() {
    let patches = [Patch::of(2, [3, 4]), Patch::of(7, [3]), Patch::of(1, [3])];
    let plan = Plan::new(patches.iter(), Step::None).unwrap();
    assert_eq!(
        targets(&plan, 3),
        Some((replacement_of(1, 3), replacement_of(1, 3)))
    );
    assert_eq!(
        targets(&plan, 4),
        Some((replacement_of(2, 4), replacement_of(2, 4)))
    );
    assert_eq!(plan.changing().count(), 0);
    let targets = plan.targets_after();
    let targets: Vec<_> = targets
        .map(|(site, target)| (site, address(target)))
        .collect();
    assert_eq!(
        targets,
        [
            (site_of(3), replacement_of(1, 3)),
            (site_of(4), replacement_of(2, 4))
        ]
    );
}

#[test]
fn patch_on_top_is_enabled_and_disabled() {
    let patches = [Patch::of(1, [3]), Patch::of(2, [3])];
    let coming = Plan::new(patches.iter(), Step::Enable(PatchId(2))).unwrap();
    let (below, above) = (replacement_of(1, 3), replacement_of(2, 3));
    assert_eq!(targets(&coming, 3), Some((below, above)));
    let going = Plan::new(patches.iter(), Step::Disable(PatchId(2))).unwrap();
    assert_eq!(targets(&going, 3), Some((above, below)));
}

#[test]
fn patch_in_the_middle_is_disabled() {
    let patches = [
        Patch::of(1, [3, 4]),
        Patch::of(2, [3, 4, 5]),
        Patch::of(3, [3]),
    ];
    let plan = Plan::new(patches.iter(), Step::Disable(PatchId(2))).unwrap();
    // Function 3 keeps the replacement of the patch above. Function 4 falls back to the patch
    // below, and function 5 to the original.
    let top = replacement_of(3, 3);
    assert_eq!(targets(&plan, 3), Some((top, top)));
    assert_eq!(
        targets(&plan, 4),
        Some((replacement_of(2, 4), replacement_of(1, 4)))
    );
    assert_eq!(targets(&plan, 5), Some((replacement_of(2, 5), 0)));
    assert!(plan.changing().eq([site_of(4), site_of(5)]));
    assert_eq!(sites(&plan, New), [site_of(3), site_of(4)]);
}

#[test]
fn patch_replaces_all_others() {
    let patches = [Patch::of(1, [3, 4]), Patch::of(2, [5]), Patch::of(9, [3])];
    let plan = Plan::new(patches.iter(), Step::Replace(PatchId(9))).unwrap();
    assert_eq!(
        targets(&plan, 3),
        Some((replacement_of(1, 3), replacement_of(9, 3)))
    );
    assert_eq!(targets(&plan, 4), Some((replacement_of(1, 4), 0)));
    assert_eq!(targets(&plan, 5), Some((replacement_of(2, 5), 0)));
    assert_eq!(sites(&plan, New), [site_of(3)]);
}

#[test]
fn settled_plan_has_one_universe() {
    let patches = [Patch::of(1, [3, 4]), Patch::of(2, [3])];
    let plan = Plan::new(patches.iter(), Step::Disable(PatchId(1))).unwrap();
    for universe in [Old, New] {
        let settled = plan.settled(universe).unwrap();
        for nr in [3, 4] {
            let both = plan.redirects().unwrap().find(site_of(nr)).unwrap();
            let only = both.choose(universe);
            let targets = Targets {
                old: only,
                new: only,
            };
            assert_eq!(settled.find(site_of(nr)), Some(targets));
        }
    }
}

/// A task that was stopped at the entry may have looked up its destination already, or not yet. So
/// the entry is affected in both directions.
#[test]
fn the_entry_is_affected_in_both_directions() {
    let patches = [Patch::of(1, [3]), Patch::of(2, [3])];
    for step in [Step::Enable(PatchId(2)), Step::Disable(PatchId(2))] {
        let plan = Plan::new(patches.iter(), step).unwrap();
        for from in [Old, New] {
            let affected = plan.affected(from).unwrap();
            // The call at the site is 5 bytes long: its return address is inside.
            let site = site_of(3).address();
            for addr in [code_of(3), site, site + 5] {
                assert!(affected.contains(addr), "{step:?} {from:?} {addr:#x}");
            }
            // The original is called neither before nor after, so only its entry is affected.
            assert!(!affected.contains(code_of(3) + 0x40), "{step:?} {from:?}");
            assert!(!affected.contains(code_of(3) - 1));
        }
    }
}

#[test]
fn the_original_is_affected_with_its_cold_part() {
    let patches = [Patch::of(1, [3])];
    let plan = Plan::new(patches.iter(), Step::Enable(PatchId(1))).unwrap();
    let affected = plan.affected(Old).unwrap();
    let cold = code_of(3) + STRIDE / 2 + 16;
    for addr in [code_of(3), code_of(3) + STRIDE / 2, cold, cold + STRIDE / 4] {
        assert!(affected.contains(addr), "{addr:#x}");
    }
    assert!(!affected.contains(cold - 1) && !affected.contains(cold + STRIDE / 4 + 1));
    assert!(!affected.contains(replacement_of(1, 3)));
    // In the other direction, the whole text of the patch is affected.
    let affected = plan.affected(New).unwrap();
    assert!(affected.contains(text_of(1)) && affected.contains(text_of(1) + 0x80_0000));
    assert!(affected.contains(replacement_of(1, 3)));
    assert!(!affected.contains(cold));
}

#[test]
fn a_replacement_is_affected_with_its_parts() {
    let patches = [Patch::of(1, [3, 4]), Patch::of(2, [3])];
    let plan = Plan::new(patches.iter(), Step::Enable(PatchId(2))).unwrap();
    let affected = plan.affected(Old).unwrap();
    for addr in [replacement_of(1, 3), part_of(1, 3), part_of(1, 3) + 16] {
        assert!(affected.contains(addr), "{addr:#x}");
    }
    // The patch stays enabled, so no other part of it is affected.
    assert!(!affected.contains(part_of(1, 3) - 1) && !affected.contains(part_of(1, 3) + 17));
    assert!(!affected.contains(replacement_of(1, 4)) && !affected.contains(part_of(1, 4)));
    assert!(!affected.contains(text_of(1)));
}

#[test]
fn whole_text_of_removed_patches_is_affected() {
    let patches = [Patch::of(1, [3]), Patch::of(2, [4]), Patch::of(3, [5])];
    let has = |step, from| {
        let plan = Plan::new(patches.iter(), step).unwrap();
        let affected = plan.affected(from).unwrap();
        [1, 2, 3].map(|id| affected.contains(text_of(id)))
    };
    assert_eq!(has(Step::Enable(PatchId(3)), Old), [false, false, false]);
    assert_eq!(has(Step::Enable(PatchId(3)), New), [false, false, true]);
    assert_eq!(has(Step::Disable(PatchId(1)), Old), [true, false, false]);
    assert_eq!(has(Step::Disable(PatchId(1)), New), [false, false, false]);
    assert_eq!(has(Step::Replace(PatchId(3)), Old), [true, true, false]);
    assert_eq!(has(Step::Replace(PatchId(3)), New), [false, false, true]);
    assert_eq!(has(Step::None, Old), [false, false, false]);
}

/// For any patches and any step, the tables and lists match the definition.
#[test]
fn same_as_the_definition() {
    let patches = vec(btree_set(0usize..8, 0..5), 1..6);
    check((patches, 0usize..6, 0usize..4), |(patches, mover, kind)| {
        let patches: Vec<_> = (0..)
            .zip(&patches)
            .map(|(id, f)| Patch::of(id, f.iter().copied()))
            .collect();
        let mover = PatchId(mover % patches.len());
        let step = [
            Step::None,
            Step::Enable(mover),
            Step::Replace(mover),
            Step::Disable(mover),
        ][kind];
        let plan = Plan::new(patches.iter(), step).unwrap();
        let wins = |nr, universe| {
            let has = |patch: &&Patch| {
                step.has(patch.id, universe)
                    && patch
                        .active()
                        .any(|(_, original)| original.site == site_of(nr))
            };
            let winner = patches.iter().rev().find(has);
            winner.map_or(0, |patch| replacement_of(patch.id.0, nr))
        };
        for nr in 0..8 {
            let (old, new) = (wins(nr, Old), wins(nr, New));
            prop_assert_eq!(targets(&plan, nr).unwrap_or((0, 0)), (old, new));
            let site = site_of(nr);
            prop_assert_eq!(sites(&plan, Old).contains(&site), old != 0);
            prop_assert_eq!(sites(&plan, New).contains(&site), new != 0);
            prop_assert_eq!(plan.changing().any(|s| s == site), old != new);
            for (from, left) in [(Old, old), (New, new)] {
                let affected = plan.affected(from).unwrap();
                prop_assert_eq!(affected.contains(site.address()), old != new);
                if old != new {
                    let code = if left == 0 { code_of(nr) } else { left };
                    prop_assert_eq!(affected.contains(code + STRIDE / 4), true);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_allocation_fails_once() {
    let patches = [Patch::of(1, 0..40), Patch::of(2, 10..20)];
    let everything = || {
        let plan = Plan::new(patches.iter(), Step::Replace(PatchId(2)))?;
        plan.redirects()?;
        plan.settled(New)?;
        plan.affected(Old)?;
        Ok(())
    };
    let mut points = 0;
    loop {
        match with_failure(points, everything) {
            (result, false) => break assert_eq!(result, Ok(())),
            (result, true) => assert_eq!(result, Err(ENOMEM)),
        }
        points += 1;
    }
    assert!(points > 10, "{points}");
}
