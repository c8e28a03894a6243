// SPDX-License-Identifier: GPL-2.0

//! Explorations of the record table alone, shared by threads that switch records.

use crate::{
    explore,
    must_fail,
    records::{
        Records,
        Switched, //
    },
    task::TaskId,
    universe::Universe::{
        New,
        Old, //
    },
    world::{
        Broken,
        Task, //
    }, //
};
use loom::{
    cell::UnsafeCell,
    thread, //
};
use std::sync::Arc;

struct Shared {
    records: Records,
    tasks: Vec<Task>,
    /// The work of each task before its record is switched. loom reports a read that is too early.
    done: [UnsafeCell<u8>; 2],
}

// SAFETY: loom checks each access to the cells.
unsafe impl Sync for Shared {}

fn shared(tasks: usize) -> Arc<Shared> {
    let mut records = Records::with_capacity(tasks, New).unwrap();
    let tasks: Vec<_> = (0..tasks).map(|_| Task::new()).collect();
    for task in &tasks {
        records.insert(task, Old).unwrap();
    }
    Arc::new(Shared {
        records,
        tasks,
        done: [UnsafeCell::new(0), UnsafeCell::new(0)],
    })
}

fn switch(shared: &Shared, key: usize) -> Switched {
    let key = TaskId::from(&shared.tasks[key - 1]).as_usize();
    shared.records.switch(&shared.records.find(key).unwrap())
}

/// The probe, the sweep and an interrupt compete to switch two records. Each record is counted
/// once, and exactly one switch is the last.
fn one_is_the_last() {
    let table = shared(2);
    let (a, b) = (table.clone(), table.clone());
    let probe = thread::spawn(move || [switch(&a, 1), switch(&a, 2)]);
    let sweep = thread::spawn(move || [switch(&b, 2), switch(&b, 1)]);
    let interrupt = switch(&table, 1);
    let mut all = vec![interrupt];
    all.extend(probe.join().unwrap());
    all.extend(sweep.join().unwrap());
    let count = |what| all.iter().filter(|&&switched| switched == what).count();
    assert_eq!(count(Switched::NowLast), 1, "number of last switches");
    assert_eq!(count(Switched::Now), 1, "number of other switches");
    assert_eq!(table.records.pending(), 0);
}

#[test]
fn one_switch_is_the_last() {
    explore(None, None, one_is_the_last);
}

#[test]
fn one_switch_is_the_last_not_with_load_and_store() {
    let expected = ["number of", "attempt to subtract"];
    must_fail(Broken::SwitchTwice, None, one_is_the_last, &expected);
}

/// A thread that sees no pending record also sees the work of each task before its switch.
fn none_pending() {
    let table = shared(2);
    let threads = [1, 2].map(|key| {
        let table = table.clone();
        thread::spawn(move || {
            // SAFETY: loom checks the access.
            table.done[key - 1].with_mut(|done| unsafe { *done = 1 });
            switch(&table, key);
        })
    });
    if table.records.pending() == 0 {
        for done in &table.done {
            // SAFETY: loom checks the access.
            assert_eq!(done.with(|done| unsafe { *done }), 1);
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn none_pending_means_all_are_done() {
    explore(None, None, none_pending);
}

#[test]
fn none_pending_means_all_are_done_not_when_relaxed() {
    must_fail(
        Broken::Orderings,
        None,
        none_pending,
        &["Causality violation"],
    );
}
