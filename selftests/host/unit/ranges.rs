// SPDX-License-Identifier: GPL-2.0

use crate::{
    check,
    ranges::{
        Range,
        Ranges, //
    }, //
};
use proptest::{
    collection::vec,
    prop_assert_eq, //
};

fn set(ranges: &[(usize, usize)]) -> Ranges {
    let ranges: Vec<_> = ranges
        .iter()
        .map(|&(start, end)| Range { start, end })
        .collect();
    Ranges::new(ranges.into())
}

#[test]
fn empty_set_contains_nothing() {
    let none = set(&[]);
    assert!(![0, 1, usize::MAX].iter().any(|&addr| none.contains(addr)));
}

#[test]
fn both_ends_are_contained() {
    let one = set(&[(10, 20)]);
    let found: Vec<_> = (0..30).filter(|&addr| one.contains(addr)).collect();
    assert_eq!(found, (10..=20).collect::<Vec<_>>());
}

#[test]
fn of_includes_the_end_address() {
    assert_eq!(Range::of(10, 5), Range { start: 10, end: 15 });
    let top = Range::of(usize::MAX - 2, 100);
    assert_eq!(top.end, usize::MAX);
}

#[test]
fn highest_address() {
    let top = set(&[(usize::MAX - 1, usize::MAX), (0, 0)]);
    assert!(top.contains(usize::MAX) && top.contains(0));
    assert!(!top.contains(usize::MAX - 2) && !top.contains(1));
}

#[test]
fn range_inside_another_does_not_shorten_it() {
    let both = set(&[(10, 100), (20, 30)]);
    assert!(both.contains(31) && both.contains(100) && !both.contains(101));
}

#[test]
fn a_return_address_belongs_to_the_call_before() {
    let two = set(&[(10, 20), (30, 40)]);
    let calls = [20, 15, 11].map(|addr| two.instruction_of(addr));
    assert_eq!(calls, [19, 14, 10]);
    assert_eq!(two.instruction_of(40), 39);
}

#[test]
fn a_task_that_was_interrupted_at_the_start_is_there() {
    let two = set(&[(10, 20), (30, 40)]);
    assert_eq!([10, 30].map(|addr| two.instruction_of(addr)), [10, 30]);
}

#[test]
fn same_as_a_naive_set() {
    // With few addresses, ranges often touch, overlap, repeat and contain each other.
    check(vec((0usize..60, 0usize..12), 0..24), |cases| {
        let cases: Vec<_> = cases.iter().map(|&(at, len)| (at, at + len)).collect();
        let ranges = set(&cases);
        for addr in 0..80 {
            let naive = cases.iter().any(|&(a, b)| a <= addr && addr <= b);
            prop_assert_eq!(ranges.contains(addr), naive, "{:#x}", addr);
        }
        Ok(())
    });
}

#[test]
fn order_does_not_matter() {
    check(vec((0usize..1000, 0usize..50), 0..40), |cases| {
        let cases: Vec<_> = cases.iter().map(|&(at, len)| (at, at + len)).collect();
        let mut turned = cases.clone();
        turned.reverse();
        let (a, b) = (set(&cases), set(&turned));
        for addr in 0..1100 {
            prop_assert_eq!(a.contains(addr), b.contains(addr));
        }
        Ok(())
    });
}
