// SPDX-License-Identifier: GPL-2.0

use crate::{
    check,
    prelude::*,
    records::{
        Blocker,
        Inherited,
        Records,
        Switched, //
    },
    task::{
        NewTaskLock,
        Task, //
    },
    universe::Universe::{
        self,
        New,
        Old, //
    }, //
};
use proptest::{
    collection::vec,
    prop_assert,
    prop_assert_eq, //
};
use std::collections::BTreeMap;

/// Makes a table of `tasks`, each with its universe, for a transition to `target`.
fn table(tasks: &[(usize, Universe)], target: Universe) -> Records {
    let mut records = Records::with_capacity(tasks.len(), target).unwrap();
    for &(key, universe) in tasks {
        records.insert(&Task(key), universe).unwrap();
    }
    records
}

#[test]
fn a_task_without_record_is_in_the_target_universe() {
    for target in [Old, New] {
        let records = table(&[(8, target.other())], target);
        assert_eq!(records.universe_of(8), target.other());
        assert_eq!(records.universe_of(16), target);
        assert!(records.find(16).is_none());
        assert!(records.universe_at_once(16).is_none());
        assert_eq!(records.universe_at_once(8), Some(target.other()));
    }
}

#[test]
fn an_idle_task_stands_for_its_cpu() {
    let mut records = Records::with_capacity(4, New).unwrap();
    records.insert_idle(3, &Task(8), Old).unwrap();
    records.insert_idle(1, &Task(16), New).unwrap();
    records.insert(&Task(24), Old).unwrap();
    let on = |cpu| records.universe_on(cpu);
    assert_eq!(
        [on(0), on(1), on(2), on(3), on(4)],
        [New, New, New, Old, New]
    );
    for (key, idle) in [(8, true), (16, true), (24, false)] {
        assert_eq!(records.find(key).unwrap().is_idle(), idle);
    }
    assert_eq!(records.switch(&records.find(8).unwrap()), Switched::Now);
    assert_eq!(records.universe_on(3), New);
    assert_eq!(records.recorded(24), Some(Old));
    assert_eq!(records.recorded(32), None);
}

#[test]
fn empty_table_has_no_pending_record() {
    let records = table(&[], New);
    assert_eq!((records.pending(), records.len()), (0, 0));
    assert_eq!(records.universe_of(8), New);
}

#[test]
fn last_switch_is_reported() {
    let records = table(&[(8, Old), (16, New), (24, Old)], New);
    let of = |key| records.find(key).unwrap();
    assert_eq!(records.pending(), 2);
    assert_eq!(records.switch(&of(16)), Switched::Before);
    assert_eq!(records.switch(&of(24)), Switched::Now);
    assert_eq!(records.switch(&of(24)), Switched::Before);
    assert_eq!(records.switch(&of(8)), Switched::NowLast);
    assert_eq!(records.switch(&of(8)), Switched::Before);
    assert_eq!(records.pending(), 0);
    assert_eq!(records.iter_pending().count(), 0);
}

#[test]
fn insert_into_full_table_fails() {
    let mut records = table(&[(8, Old), (16, Old)], New);
    assert!(records.insert(&Task(24), Old).is_err());
    assert_eq!((records.len(), records.pending()), (2, 2));
    assert!(records.find(24).is_none());
    assert_eq!(records.find(8).map(|record| record.task().0), Some(8));
    assert_eq!(records.find(16).map(|record| record.task().0), Some(16));
}

/// The child of a task that is not switched yet gets a record. Any other child needs none.
#[test]
fn a_child_inherits() {
    for target in [Old, New] {
        let mut records = Records::with_capacity(6, target).unwrap();
        records.insert(&Task(8), target.other()).unwrap();
        records.insert(&Task(16), target).unwrap();
        let inherit = |key, universe| records.inherit(&Task(key), universe, &NewTaskLock);
        assert_eq!(inherit(24, target), Inherited::Done);
        assert_eq!(
            (records.recorded(24), records.child_changes(&NewTaskLock)),
            (None, 0)
        );
        assert_eq!(inherit(32, target.other()), Inherited::Done);
        assert_eq!(records.recorded(32), Some(target.other()));
        assert_eq!(records.find(32).unwrap().task(), &Task(32));
        assert_eq!((records.pending(), records.len()), (2, 3));
        assert_eq!(records.child_changes(&NewTaskLock), 1);
        // The second birth of a task changes nothing.
        assert_eq!(inherit(32, target.other()), Inherited::Done);
        assert_eq!((records.pending(), records.len()), (2, 3));
        assert_eq!(records.switch(&records.find(32).unwrap()), Switched::Now);
        assert_eq!(records.switch(&records.find(8).unwrap()), Switched::NowLast);
    }
}

/// Enrolment may find a child before its parent passes the probe.
#[test]
fn a_child_with_a_record_is_switched_with_its_parent() {
    let records = table(&[(8, Old), (16, New), (24, Old)], New);
    let inherit = |key, universe| records.inherit(&Task(key), universe, &NewTaskLock);
    assert_eq!(inherit(8, Old), Inherited::Done);
    assert_eq!(records.recorded(8), Some(Old));
    assert_eq!(records.child_changes(&NewTaskLock), 0);
    assert_eq!(inherit(8, New), Inherited::Done);
    assert_eq!(records.recorded(8), Some(New));
    assert_eq!(records.child_changes(&NewTaskLock), 1);
    assert_eq!(inherit(16, New), Inherited::Done);
    assert_eq!(records.child_changes(&NewTaskLock), 1);
    assert_eq!(inherit(24, New), Inherited::DoneLast);
    assert_eq!(records.pending(), 0);
}

/// Enrolment for a larger table may find a child that has no record in the smaller table. It puts
/// this child into the target universe, although the parent may not be switched yet.
#[test]
fn a_child_with_a_record_is_switched_back_to_its_parent() {
    let records = table(&[(8, Old), (16, New)], New);
    let inherit = || records.inherit(&Task(16), Old, &NewTaskLock);
    assert_eq!([inherit(), inherit()], [Inherited::Done; 2]);
    assert_eq!(records.recorded(16), Some(Old));
    assert_eq!(
        (records.pending(), records.child_changes(&NewTaskLock)),
        (2, 1)
    );
    assert_eq!(records.switch(&records.find(16).unwrap()), Switched::Now);
}

#[test]
fn the_room_for_children_ends() {
    let mut records = Records::with_capacity(5, New).unwrap();
    records.insert(&Task(8), Old).unwrap();
    let inherit = |key| records.inherit(&Task(key), Old, &NewTaskLock);
    assert_eq!(records.room(), 4);
    assert_eq!([inherit(16), inherit(24)], [Inherited::Done; 2]);
    assert!(!records.is_crowded());
    assert_eq!([inherit(32), inherit(40)], [Inherited::Crowded; 2]);
    assert!(records.is_crowded());
    assert_eq!(records.left_out(), 0);
    assert_eq!([inherit(48), inherit(56)], [Inherited::NoRoom; 2]);
    assert_eq!((records.left_out(), records.len()), (2, 5));
    // A task that finds no room is in the target universe.
    assert_eq!(records.universe_of(48), New);
    assert_eq!(records.pending(), 5);
}

#[test]
fn a_task_can_be_placed_again() {
    let mut records = table(&[(8, Old), (16, New)], New);
    assert!(records.place(&Task(24), Old).is_err());
    records.place(&Task(8), New).unwrap();
    records.place(&Task(16), Old).unwrap();
    records.place(&Task(16), Old).unwrap();
    assert_eq!(
        [records.recorded(8), records.recorded(16)],
        [Some(New), Some(Old)]
    );
    assert_eq!((records.pending(), records.len()), (1, 2));
}

#[test]
fn frozen_until_thawed() {
    let records = table(&[(8, Old)], New);
    assert!(!records.is_frozen());
    records.freeze();
    assert!(records.is_frozen());
    records.thaw();
    assert!(!records.is_frozen());
}

#[test]
fn blockers_are_kept() {
    let records = table(&[(8, Old)], New);
    let record = records.find(8).unwrap();
    assert_eq!(record.blocker(), Blocker::Unknown);
    // The addresses of the kernel's code are in the upper half on x86, and in the middle on arm64.
    static CODE: [u8; 2] = [0; 2];
    let code = (&raw const CODE).addr();
    for blocker in [
        Blocker::Running,
        Blocker::Inside(code),
        Blocker::Inside(code + 0x4000_0000),
        Blocker::Inside(code - 0x4000_0000),
        Blocker::Unreliable,
        Blocker::Unknown,
    ] {
        record.set_blocker(blocker);
        assert_eq!(record.blocker(), blocker);
    }
}

#[test]
fn no_memory() {
    for nth in 0..2 {
        let (result, failed) = with_failure(nth, || Records::with_capacity(4, New));
        assert!(failed);
        assert_eq!(result.err(), Some(ENOMEM));
    }
    assert_eq!(Records::with_capacity(usize::MAX, New).err(), Some(ENOMEM));
}

/// Any sequence of switches and reversals has the same effect on the table as on a plain map.
#[test]
fn same_as_a_plain_map() {
    let tasks = vec((1usize..40, proptest::bool::ANY), 1..24);
    let steps = vec((1usize..50, 0usize..8), 0..60);
    check((tasks, steps), |(tasks, steps)| {
        let at_first = |new| if new { New } else { Old };
        // `task_struct`s are at multiples of 64 bytes.
        let tasks: BTreeMap<_, _> = tasks.iter().map(|&(k, n)| (k * 64, at_first(n))).collect();
        let mut model = tasks.clone();
        let mut target = New;
        let list: Vec<_> = model.iter().map(|(&k, &u)| (k, u)).collect();
        let mut records = table(&list, target);

        for (nr, action) in steps {
            if action == 0 {
                target = target.other();
                let list: Vec<_> = model.keys().map(|&k| (k, records.universe_of(k))).collect();
                records = table(&list, target);
            } else if let Some(record) = records.find(nr * 64) {
                let switched = records.switch(&record);
                let before = model.insert(nr * 64, target);
                let left = model.values().filter(|&&u| u != target).count();
                prop_assert_eq!(
                    switched,
                    match (before == Some(target), left) {
                        (true, _) => Switched::Before,
                        (false, 0) => Switched::NowLast,
                        (false, _) => Switched::Now,
                    }
                );
            } else {
                prop_assert!(!model.contains_key(&(nr * 64)));
            }
            let left = model.values().filter(|&&u| u != target).count();
            prop_assert_eq!(records.pending(), left);
            prop_assert_eq!(records.iter_pending().count(), left);
            prop_assert_eq!(records.iter().count(), model.len());
            for (&key, &universe) in &model {
                prop_assert_eq!(records.universe_of(key), universe);
                let at_once = records.universe_at_once(key);
                prop_assert!(at_once.is_none_or(|found| found == universe));
            }
        }
        Ok(())
    });
}
