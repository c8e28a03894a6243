// SPDX-License-Identifier: GPL-2.0

//! The metrics for Prometheus, which must not say more than the loader says.

use crate::common::{
    sha256,
    Machine,
    Output,
    HOST, //
};
use crate::levels;
use std::collections::BTreeSet;

const HISTORY: &str = "var/lib/rlp/history.jsonl";

/// The output must have this line.
fn line(output: &Output, line: &str) {
    assert!(
        output.out.lines().any(|it| it == line),
        "{line}: {output:?}"
    );
}

/// The output must not have a number for this metric.
fn none(output: &Output, metric: &str) {
    let mut lines = output.out.lines();
    let has_number = lines.any(|line| {
        let rest = line.strip_prefix(metric);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    });
    assert!(!has_number, "{metric}: {output:?}");
    line(output, &format!("# TYPE {metric} gauge"));
}

/// The metrics. node_exporter drops a file that has a series twice.
fn metrics(machine: &Machine) -> Output {
    machine.json(&["metrics"]);
    let output = machine.run(&["metrics"]);
    let samples = output.out.lines().filter(|line| !line.starts_with('#'));
    let mut series = BTreeSet::new();
    for sample in samples {
        let (name, _number) = sample.rsplit_once(' ').unwrap();
        assert!(series.insert(name), "twice: {name}: {output:?}");
    }
    output
}

#[test]
fn metrics_of_a_patched_machine() {
    let machine = levels::canary();
    levels::timed(&machine);
    machine.patch("level7", 1);
    assert_eq!(machine.run(&["heartbeat"]).status, 0);
    let output = metrics(&machine);
    assert_eq!(output.status, 0, "{output:?}");
    let last = machine.read(HISTORY);
    let seq = last.lines().count();
    let last = sha256(format!("{}\n", last.lines().last().unwrap()));
    for expected in [
        "rlp_verdict 0",
        "rlp_loader_readable 1",
        "rlp_loader_loaded 1",
        "rlp_patches{state=\"in-effect\"} 1",
        "rlp_patches{state=\"probation\"} 0",
        "rlp_patches_forced 0",
        "rlp_transition_tasks 0",
        "rlp_unit_enabled{unit=\"rlp-apply.timer\"} 1",
        "rlp_unit_enabled{unit=\"rlp-heartbeat.timer\"} 0",
        "rlp_level_readable 1",
        "rlp_level_installed 7",
        "rlp_level_published_time_seconds 1795996800",
        "rlp_level_in_effect 7",
        "rlp_level_decision{kind=\"adopt\"} 1",
        "rlp_level_ring{ring=\"canary\"} 1",
        "rlp_clock_in_doubt 0",
        &format!("rlp_evidence_records {seq}"),
        &format!("rlp_evidence_head{{seq=\"{seq}\",sha256=\"{last}\"}} 1"),
        &format!("rlp_host_info{{host=\"{HOST}\",release=\"7.3.4+test\",version=\"0.1.0\"}} 1"),
    ] {
        line(&output, expected);
    }
    none(&output, "rlp_level_quarantined");
    none(&output, "rlp_feed_signed_time_seconds");
    assert!(output.out.contains("\nrlp_heartbeat_time_seconds 1"));
}

/// "systemctl mask --runtime" makes a link in /run. A guest shows a timer that is stopped.
#[test]
fn a_timer_that_is_masked_until_the_next_boot() {
    let machine = levels::canary();
    levels::timed(&machine);
    let path = "run/systemd/system/rlp-apply.timer";
    std::os::unix::fs::symlink("/dev/null", machine.path(path)).unwrap();
    line(
        &metrics(&machine),
        "rlp_unit_enabled{unit=\"rlp-apply.timer\"} 0",
    );
    let status = machine.run(&["level", "status"]);
    status.has("rlp-apply.timer is masked: no run applies or takes back levels\n");
    status.has("  next: systemctl unmask rlp-apply.timer; systemctl enable --now rlp-apply.timer");
    assert_eq!(machine.json(&["level", "status"])["timer_missing"], true);
}

/// A patch counts as in effect only if it is in effect for all tasks, and confirmed.
#[test]
fn less_than_the_loaders_word_is_not_in_effect() {
    for (file, value, other) in [
        ("enabled", "0", "held"),
        ("transition", "1", "enabling"),
        ("confirmed", "0", "probation"),
    ] {
        let machine = Machine::new();
        machine.patch("live_fix", 1);
        machine.set("live_fix", file, value);
        machine.set("live_fix", "progress", "3 8");
        let output = metrics(&machine);
        line(&output, "rlp_patches{state=\"in-effect\"} 0");
        line(&output, &format!("rlp_patches{{state=\"{other}\"}} 1"));
        line(&output, "rlp_level_in_effect 0");
        let left = if file == "transition" { 5 } else { 0 };
        line(&output, &format!("rlp_transition_tasks {left}"));
        line(&output, "rlp_verdict 1");
    }
}

/// Without the loader's files, no number says anything about patches. The file is written
/// nevertheless, so that an old number does not stay there.
#[test]
fn what_cannot_be_read_is_left_out() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let file = machine.path("rlp.prom");
    let write = ["metrics", "--output", file.to_str().unwrap()];
    machine.run(&write).is(0, "written: /rlp.prom\n");
    assert!(machine
        .read("rlp.prom")
        .contains("rlp_patches{state=\"in-effect\"} 1\n"));
    machine.set("live_fix", "confirmed", "maybe");
    machine.run(&write).fails(1, "confirmed reads 'maybe'");
    assert!(!machine.read("rlp.prom").contains("\nrlp_patches{"));
    assert_eq!(machine.json(&write)["output"], "/rlp.prom");
    let output = metrics(&machine);
    output.fails(1, "confirmed reads 'maybe'");
    line(&output, "rlp_loader_readable 0");
    line(&output, "rlp_verdict 3");
    for metric in [
        "rlp_patches",
        "rlp_patches_forced",
        "rlp_transition_tasks",
        "rlp_level_installed",
        "rlp_level_in_effect",
        "rlp_level_decision",
    ] {
        none(&output, metric);
    }
}

#[test]
fn a_policy_that_is_wrong_hides_no_patch() {
    let machine = levels::canary();
    machine.patch("live_fix", 1);
    levels::policy(&machine, "rings = 'canary'\n");
    let output = metrics(&machine);
    output.fails(3, "is not a valid policy file");
    line(&output, "rlp_level_readable 0");
    line(&output, "rlp_patches{state=\"in-effect\"} 1");
    none(&output, "rlp_level_ring");
}

#[test]
fn a_file_that_cannot_be_written() {
    let machine = Machine::new();
    machine.write("file", "");
    let below = machine.path("file/rlp.prom");
    machine
        .run(&["metrics", "--output", below.to_str().unwrap()])
        .fails(1, "file");
    machine.json(&["metrics", "--output", below.to_str().unwrap()]);
}

#[test]
fn problems_that_the_loader_has_logged() {
    let machine = Machine::new();
    machine.write(
        "dev/kmsg",
        "4,1,2,-;rust_livepatch: a warning\n3,2,3,-;rust_livepatch: an error\n\
         6,3,4,-;rust_livepatch: a notice\n3,4,5,-;other: an error\n",
    );
    line(&metrics(&machine), "rlp_loader_problems 2");
    std::fs::remove_file(machine.path("dev/kmsg")).unwrap();
    none(&metrics(&machine), "rlp_loader_problems");
}

/// apt keeps the last index that it has accepted.
#[test]
fn the_feed() {
    let machine = Machine::new();
    let release = |label: &str| {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: example\nLabel: {label}\n\
             Suite: canary\nDate: Mon, 30 Nov 2026 01:02:03 UTC\n\
             Valid-Until: Mon, 07 Dec 2026 01:02:03 UTC\n"
        )
    };
    let lists = "var/lib/apt/lists";
    machine.write(
        &format!("{lists}/deb.example.org_InRelease"),
        &release("Debian"),
    );
    none(&metrics(&machine), "rlp_feed_signed_time_seconds");
    machine.write(
        &format!("{lists}/levels.example.org_InRelease"),
        &release("rlp"),
    );
    let output = metrics(&machine);
    line(
        &output,
        "rlp_feed_signed_time_seconds{feed=\"example canary\"} 1796000523",
    );
    line(
        &output,
        "rlp_feed_valid_until_time_seconds{feed=\"example canary\"} 1796605323",
    );
}

/// Two mirrors of one repository. A mirror that is old must not hide behind the other.
#[test]
fn two_indexes_of_one_feed() {
    let machine = Machine::new();
    for (mirror, day) in [("one", 28), ("two", 30), ("three", 29)] {
        machine.write(
            &format!("var/lib/apt/lists/{mirror}.example.org_InRelease"),
            &format!(
                "Origin: example\nLabel: rlp\nSuite: canary\nDate: Mon, {day} Nov 2026 01:02:03 \
                 UTC\nValid-Until: Mon, 07 Dec 2026 01:02:{day} UTC\n"
            ),
        );
    }
    let output = metrics(&machine);
    line(&output, "rlp_feed_indexes 3");
    for (name, time) in [("signed", 1_795_827_723), ("valid_until", 1_796_605_348)] {
        let series = format!("rlp_feed_{name}_time_seconds{{feed=\"example canary\"}} {time}");
        line(&output, &series);
    }
}

/// A machine that never gets a level must not look like one that needs none.
#[test]
fn a_feed_that_has_never_arrived() {
    let machine = Machine::new();
    let output = metrics(&machine);
    line(&output, "rlp_feed_readable 1");
    none(&output, "rlp_feed_indexes");
    machine.write("etc/apt/sources.list.d/rlp.sources", "Types: deb\n");
    let output = metrics(&machine);
    line(&output, "rlp_feed_readable 1");
    line(&output, "rlp_feed_indexes 0");
    let index = "var/lib/apt/lists/levels.example.org_InRelease";
    machine.folder(index);
    let output = metrics(&machine);
    line(&output, "rlp_feed_readable 0");
    for metric in ["rlp_feed_indexes", "rlp_feed_signed_time_seconds"] {
        none(&output, metric);
    }
    std::fs::remove_dir(machine.path(index)).unwrap();
    machine.write(
        index,
        "Origin: example\nLabel: rlp\nSuite: canary\nDate: Mon, 30 Nov 2026 01:02:03 UTC\n",
    );
    line(&metrics(&machine), "rlp_feed_indexes 1");
}

#[test]
fn a_level_that_has_failed() {
    let machine = levels::canary();
    machine.write(
        "var/lib/rlp/level/state",
        "{\"clock\":null,\"seen\":[],\"revoked\":[],\"verified\":[],\
         \"quarantined\":[{\"level\":7,\"time\":1796000523,\"reason\":\"x\"}]}",
    );
    let output = metrics(&machine);
    line(&output, "rlp_level_quarantined{level=\"7\"} 1");
    line(&output, "rlp_level_decision{kind=\"blocked\"} 1");
}

/// A history without a chain has no head, and no number of records.
#[test]
fn the_head_of_the_evidence() {
    let machine = Machine::new();
    none(&metrics(&machine), "rlp_evidence_head");
    none(&metrics(&machine), "rlp_heartbeat_time_seconds");
    machine.write(HISTORY, "{\"a line of another program\n");
    none(&metrics(&machine), "rlp_evidence_records");
    // Two machines with as many records have two heads. Each record makes a new head.
    let head = |machine: &Machine| {
        let output = metrics(machine);
        let mut lines = output.out.lines();
        let head = lines.find_map(|line| line.strip_prefix("rlp_evidence_head{seq=\""));
        let (seq, rest) = head.unwrap().split_once("\",sha256=\"").unwrap();
        (
            seq.to_owned(),
            rest.strip_suffix("\"} 1").unwrap().to_owned(),
        )
    };
    let [one, other] = [Machine::new(), Machine::new()];
    other.patch("live_fix", 1);
    for machine in [&one, &other] {
        assert_eq!(machine.run(&["heartbeat"]).status, 0);
    }
    let (first, others) = (head(&one), head(&other));
    assert_eq!((&*first.0, &*others.0), ("1", "1"));
    assert_ne!(first.1, others.1);
    let copy = one.copy();
    assert_eq!(one.run(&["heartbeat"]).status, 0);
    let second = head(&one);
    assert_eq!(second.0, "2");
    assert_ne!(second.1, first.1);
    assert_eq!(head(&copy), first, "the machine was restored from a copy");
}

/// The words in a text that begin with `prefix` and continue with these characters.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let words = text.split(|character: char| !is_word(character));
    words.filter(|word| word.starts_with(prefix)).collect()
}

/// A metric that is renamed must be renamed in the rules, in their tests, and in the guide.
#[test]
fn the_rules_and_the_guide_have_the_same_names() {
    let rules = include_str!("../../../prometheus/rlp.rules.yml");
    let tests = include_str!("../../../prometheus/rlp.rules.test.yml");
    let guide = include_str!("../../../../Documentation/monitoring.rst");
    let output = metrics(&Machine::new());
    let types = output
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<_> = types
        .filter_map(|line| line.strip_suffix(" gauge"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for used in [rules, tests] {
        assert!(
            words(used, "rlp_").is_subset(&names),
            "{:?}",
            words(used, "rlp_")
        );
    }
    assert_eq!(words(guide, "rlp_"), names);
    let alerts: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    let records: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .collect();
    for (prefix, defined) in [("Rlp", &alerts), ("rlp:", &records)] {
        assert_eq!(words(guide, prefix), *defined);
        // A pattern such as RlpFeed.* in the tests is no alert.
        assert!(
            defined.is_subset(&words(tests, prefix)),
            "a rule has no test"
        );
    }
}
