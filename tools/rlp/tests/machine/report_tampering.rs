// SPDX-License-Identifier: GPL-2.0

//! Nothing that is done to exported files makes a host look protected that was not.

use crate::common::Machine;
use crate::evidence::{
    key,
    with_ssh, //
};
use crate::fleet::{
    host,
    json,
    level,
    row,
    with_arguments,
    History, //
};
use serde_json::{
    json,
    Value, //
};
use std::collections::BTreeMap;
use std::process::Command;

const CVE: &str = "CVE-2026-0001";
/// The host whose evidence says that it is protected. The others are not.
const PROTECTED: u8 = 1;
const HOSTS: [u8; 4] = [1, 2, 3, 4];

/// The same random numbers in each run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

/// One host that is protected, and three that were not, or are not any more.
fn histories() -> Vec<History> {
    let mut histories: Vec<_> = HOSTS.map(History::of).into_iter().collect();
    let [one, never, lost, silent] = &mut histories[..] else {
        unreachable!()
    };
    let last = "2026-11-29T12:00:00Z";
    one.load("2026-11-04T06:00:00Z")
        .beat("2026-11-04T12:00:00Z", "in-effect", &[CVE])
        .beat(last, "in-effect", &[CVE]);
    never
        .load("2026-11-04T06:00:00Z")
        .beat("2026-11-20T12:00:00Z", "probation", &[CVE])
        .machine(last, &json!([]));
    lost.load("2026-11-04T06:00:00Z")
        .beat("2026-11-28T12:00:00Z", "in-effect", &[CVE])
        .machine(last, &json!([]));
    silent
        .load("2026-11-04T06:00:00Z")
        .beat("2026-11-04T12:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-05T12:00:00Z", "in-effect", &[CVE]);
    histories
}

/// The files of the evidence, by their names.
type Files = BTreeMap<String, Vec<u8>>;

fn files(fleet: &Machine) -> Files {
    let tree = fleet.tree("evidence").into_iter();
    tree.filter_map(|(path, content)| Some((path, content?)))
        .collect()
}

fn write(fleet: &Machine, files: &Files) {
    std::fs::remove_dir_all(fleet.path("evidence")).unwrap();
    fleet.folder("evidence");
    for (path, content) in files {
        fleet.write_bytes(path, content);
    }
}

/// Changes bytes, lines or names, at random places.
fn tamper(random: &mut Random, files: &mut Files) {
    let names: Vec<_> = files.keys().cloned().collect();
    let (name, other) = (random.of(&names).clone(), random.of(&names).clone());
    let bytes = &files[&name];
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let mut lines: Vec<_> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let mut bytes = bytes.clone();
    let (one, two) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(12) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => drop(bytes.remove(at)),
        2 => bytes.truncate(at),
        3 => drop(lines.remove(one)),
        4 => lines.swap(one, two),
        5 => lines.insert(one, lines[two].clone()),
        6 => {
            let foreign = &files[&other];
            let foreign: Vec<_> = foreign.split_inclusive(|&byte| byte == b'\n').collect();
            lines[one] = random.of(&foreign).to_vec();
        }
        // Left out, moved to another host's name, or copied over another file.
        7 => {
            files.remove(&name);
            return;
        }
        8 | 9 => {
            let [mine, theirs] = [random.of(&HOSTS), random.of(&HOSTS)].map(|&nr| host(nr));
            let moved = name.replace(&mine, &theirs);
            files.insert(moved, bytes);
            return;
        }
        10 => {
            files.insert(other, bytes);
            return;
        }
        // The meaning is changed, and the line stays well-formed.
        _ => {
            let words = [
                ("probation", "in-effect"),
                ("\"patches\":[]", "\"patches\":null"),
                ("11-05", "11-29"),
            ];
            let text = String::from_utf8(bytes).unwrap();
            let (from, to) = random.of(&words);
            files.insert(name, text.replace(from, to).into_bytes());
            return;
        }
    }
    let edited = lines.concat();
    let original = files[&name].clone();
    files.insert(name, if edited == original { bytes } else { edited });
}

/// The states of the CVE on the hosts.
fn states(report: &Value) -> Vec<String> {
    let state = |nr: u8| row(report, CVE, nr)["state"].as_str().unwrap().to_owned();
    HOSTS.map(state).to_vec()
}

fn operator_files(fleet: &Machine) -> [String; 2] {
    let hosts: String = HOSTS.map(|nr| host(nr) + "\n").concat();
    fleet.write("inventory", &hosts);
    fleet.write("level.json", &level().to_string());
    ["inventory", "level.json"].map(|name| fleet.path(name).to_str().unwrap().to_owned())
}

#[test]
fn no_tampering_protects_a_host() {
    let fleet = Machine::new();
    for history in &mut histories() {
        history.export(&fleet);
    }
    let [inventory, level] = operator_files(&fleet);
    let arguments = ["--inventory", &*inventory, "--level", &*level];
    assert_eq!(
        states(&json(&fleet, &arguments)),
        ["verified", "open", "lost", "silent"]
    );
    let original = files(&fleet);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut seen = BTreeMap::new();
    for _ in 0..600 {
        let mut files = original.clone();
        for _ in 0..=random.below(2) {
            tamper(&mut random, &mut files);
        }
        write(&fleet, &files);
        let after = states(&json(&fleet, &arguments));
        for (&nr, state) in HOSTS.iter().zip(&after) {
            assert!(
                nr == PROTECTED || !["verified", "restarted"].contains(&state.as_str()),
                "host {nr} is {state}: {}",
                fleet.path("evidence").display()
            );
            *seen.entry((nr, state.clone())).or_insert(0) += 1;
        }
    }
    // Most edits are of another host's files, so each state is seen.
    let count = |nr, state: &str| seen.get(&(nr, state.to_owned())).copied().unwrap_or(0);
    for nr in HOSTS {
        assert!(count(nr, "not-verified") > 50, "{seen:?}");
        assert!(
            count(nr, "no-evidence") + count(nr, "not-verified") < 500,
            "{seen:?}"
        );
    }
    assert!(count(PROTECTED, "verified") > 100, "{seen:?}");
}

/// Records that are added after the export fit the chain, and no signed head covers them.
#[test]
fn records_that_are_added_later() {
    let fleet = Machine::new();
    let mut histories = histories();
    for history in &mut histories {
        history.export(&fleet);
    }
    let [inventory, level] = operator_files(&fleet);
    let arguments = ["--inventory", &*inventory, "--level", &*level];
    let now = "2026-11-30T12:00:00Z";
    for history in &mut histories {
        history.load(now).beat(now, "in-effect", &[CVE]);
        fleet.write(&format!("evidence/{}.jsonl", history.host), &history.text());
    }
    assert_eq!(
        states(&json(&fleet, &arguments)),
        ["verified", "open", "lost", "silent"]
    );
    // But they can show that a host is not protected any more.
    histories[0].machine(now, &json!([]));
    fleet.write(&format!("evidence/{}.jsonl", host(1)), &histories[0].text());
    assert_eq!(
        states(&json(&fleet, &arguments)),
        ["lost", "open", "lost", "silent"]
    );
}

/// Without the newest head, the records behind an earlier head still take protection away.
#[test]
fn the_newest_head_is_left_out() {
    let fleet = Machine::new();
    let mut lost = History::of(1);
    lost.load("2026-11-04T06:00:00Z")
        .beat("2026-11-28T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet)
        .machine("2026-11-29T12:00:00Z", &json!([]))
        .export(&fleet);
    let newest = format!("evidence/{}", lost.head().0);
    assert_eq!(row(&json(&fleet, &[]), CVE, 1)["state"], "lost");
    std::fs::remove_file(fleet.path(&newest)).unwrap();
    assert_eq!(row(&json(&fleet, &[]), CVE, 1)["state"], "lost");
}

/// With --key, each host must have signed its newest head.
#[test]
fn signatures() {
    let fleet = Machine::new();
    let mut histories = histories();
    let public = key(&fleet, "key");
    let mut allowed = String::new();
    let sign = |fleet: &Machine, name: &str, key: &str| {
        let mut ssh_keygen = Command::new("ssh-keygen");
        let status = with_ssh(&mut ssh_keygen)
            .args(["-q", "-Y", "sign", "-n", "evidence", "-f"])
            .args([fleet.path(key), fleet.path(&format!("evidence/{name}"))])
            .output();
        assert!(status.as_ref().unwrap().status.success(), "{status:?}");
    };
    for history in &mut histories {
        history.export(&fleet);
        sign(&fleet, &history.head().0, "key");
        allowed += &format!("{} namespaces=\"evidence\" {public}", history.host);
    }
    fleet.write("allowed", &allowed);
    let [inventory, level] = operator_files(&fleet);
    let allowed = fleet.path("allowed");
    let arguments = [
        "--inventory",
        &*inventory,
        "--level",
        &*level,
        "--key",
        allowed.to_str().unwrap(),
        "--json",
    ];
    let seen = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
        let program = with_ssh(with_arguments(&mut program, &fleet, &arguments));
        let output = fleet.run_with(program);
        let value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
        crate::common::Schema::read().check(&value);
        value
    };
    let report = seen();
    assert_eq!(states(&report), ["verified", "open", "lost", "silent"]);
    assert!(report["hosts"][0]["key"]
        .as_str()
        .unwrap()
        .starts_with("SHA256:"));
    // The files of host 2 are written anew, with a head. Nobody can sign it for the host.
    let now = "2026-11-30T12:00:00Z";
    histories[1]
        .load(now)
        .beat(now, "in-effect", &[CVE])
        .export(&fleet);
    let why = |report: &Value| row(report, CVE, 2)["reason"].as_str().unwrap().to_owned();
    let report = seen();
    assert_eq!(
        states(&report),
        ["verified", "not-verified", "lost", "silent"]
    );
    assert!(
        why(&report).contains("the head is not signed"),
        "{report:#}"
    );
    key(&fleet, "stranger");
    sign(&fleet, &histories[1].head().0, "stranger");
    let report = seen();
    assert_eq!(states(&report)[1], "not-verified");
    assert!(
        why(&report).contains("the signature is not valid: "),
        "{report:#}"
    );
    // A signature of another head.
    let (signed, mine) = (histories[0].head().0, histories[1].head().0);
    let signature = std::fs::read(fleet.path(&format!("evidence/{signed}.sig"))).unwrap();
    fleet.write_bytes(&format!("evidence/{mine}.sig"), &signature);
    assert_eq!(states(&seen())[1], "not-verified");
    // A signature that is a pipe or a folder concerns its host alone, and nothing waits for it.
    let signature = fleet.path(&format!("evidence/{mine}.sig"));
    for command in ["mkfifo", "mkdir"] {
        std::fs::remove_file(&signature).unwrap();
        let made = Command::new(command).arg(&signature).status().unwrap();
        assert!(made.success());
        assert_eq!(states(&seen()), states(&report));
    }
    std::fs::remove_dir(&signature).unwrap();
    // So does a file that nobody can read, such as a link to itself.
    std::os::unix::fs::symlink(&signature, &signature).unwrap();
    assert_eq!(states(&seen()), states(&report));
}
