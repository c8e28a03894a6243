// SPDX-License-Identifier: GPL-2.0

//! The age of the feed, in each command that shows it.

use crate::common::Machine;
use crate::levels;
use serde_json::{
    json,
    Value, //
};
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

const LISTS: &str = "var/lib/apt/lists";
const DAY: u64 = 86_400;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// "Mon, 30 Nov 2026 01:02:03 UTC", by the program date.
fn date(seconds: u64) -> String {
    let mut command = std::process::Command::new("date");
    let command = command.args(["-u", "-d", &format!("@{seconds}")]);
    let output = command
        .arg("+%a, %d %b %Y %H:%M:%S UTC")
        .env("LC_ALL", "C")
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.trim_end().to_owned()
}

/// apt has accepted an index that was signed at this time, and is valid for a week.
fn accept(machine: &Machine, file: &str, label: &str, signed: u64) {
    let text = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: example\nLabel: {label}\n\
         Suite: stable\nCodename: stable\nDate: {}\nValid-Until: {}\nArchitectures: amd64\n",
        date(signed),
        date(signed + 7 * DAY)
    );
    machine.write(&format!("{LISTS}/{file}"), &text);
}

/// A machine with a level in effect.
fn machine() -> Machine {
    let machine = levels::canary();
    machine.patch("level7", 1);
    machine.set("level7", "level", "7");
    machine
}

fn age(machine: &Machine) -> Value {
    machine.json(&["level", "status"])["feeds"][0]["age"].clone()
}

#[test]
fn a_machine_without_a_feed() {
    let machine = machine();
    assert_eq!(machine.json(&["level", "status"])["feeds"], Value::Null);
    machine.run(&["status", "--nagios"]).has("LIVEPATCH OK");
    // The indexes of Debian are no feeds.
    accept(
        &machine,
        "deb.debian.org_debian_dists_trixie_InRelease",
        "Debian",
        0,
    );
    assert_eq!(machine.json(&["level", "status"])["feeds"], Value::Null);
    let beat = machine.json(&["heartbeat"]);
    assert_eq!(beat["machine"].get("feeds"), None);

    machine.write("etc/apt/sources.list.d/rlp.sources", "Types: deb\n");
    assert_eq!(machine.json(&["level", "status"])["feeds"], json!([]));
    let missing = "apt has no index of the repository in /etc/apt/sources.list.d/rlp.sources";
    machine.run(&["level", "status"]).has(missing);
    machine.run(&["status", "--nagios"]).says(1, missing);
    machine.run(&["doctor"]).has(missing);
}

#[test]
fn a_feed_gets_old_and_expires() {
    let machine = machine();
    let file = "levels.example.org_dists_stable_InRelease";
    accept(&machine, file, "rlp", now() - 3600);
    assert_eq!(age(&machine), "fresh");
    let line = "feed: example stable, signed 1 h";
    machine.run(&["level", "status"]).has(line);
    machine.run(&["doctor"]).has(&format!("ok     {line}"));
    machine.run(&["status", "--nagios"]).says(0, "LIVEPATCH OK");

    accept(&machine, file, "rlp", now() - 3 * DAY);
    assert_eq!(age(&machine), "old");
    let old = "the feed example stable is old";
    machine.run(&["level", "status"]).has(old);
    machine.run(&["doctor"]).has(&format!("note   {old}"));
    machine.run(&["status"]).has(old);
    machine.run(&["status", "--nagios"]).says(1, old);

    accept(&machine, file, "rlp", now() + DAY);
    assert_eq!(age(&machine), "future");
    let future = "the feed example stable is from the future";
    machine.run(&["level", "status"]).has(future);
    machine.run(&["doctor"]).has(&format!("note   {future}"));
    machine.run(&["status", "--nagios"]).says(1, future);

    accept(&machine, file, "rlp", now() - 8 * DAY);
    assert_eq!(age(&machine), "expired");
    let expired = "the feed example stable has expired";
    machine.run(&["level", "status"]).has(expired);
    machine
        .run(&["doctor"])
        .says(6, &format!("wrong  {expired}"));
    machine.run(&["status", "--nagios"]).says(2, expired);
    // The level that is in effect does not change because of that.
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["in_effect"]["level"], 7, "{status}");
}

/// The records have the feed. A reader can tell which levels the machine could know at that time.
#[test]
fn the_records_have_the_feed() {
    let machine = machine();
    let signed = now() - 3 * DAY;
    accept(
        &machine,
        "levels.example.org_dists_stable_Release",
        "rlp",
        signed,
    );
    let beat = machine.json(&["heartbeat"]);
    let feed = json!({
        "name": "example stable",
        "signed": signed,
        "valid_until": signed + 7 * DAY,
    });
    assert_eq!(beat["machine"]["feeds"], json!([feed]));
    let history = machine.json(&["history", "--last", "1"]);
    assert_eq!(history["records"][0]["machine"]["feeds"], json!([feed]));
    machine
        .run(&["history"])
        .has("feed: example stable, signed 20");
    assert_eq!(machine.json(&["verify"])["whole"], true);
}

/// Files that cannot be read change nothing else.
#[test]
fn files_that_cannot_be_read() {
    let machine = machine();
    machine.folder(&format!(
        "{LISTS}/levels.example.org_dists_stable_InRelease"
    ));
    let why = "the indexes of apt cannot be read: ";
    machine.run(&["level", "status"]).has(why);
    machine.run(&["status", "--nagios"]).says(1, why);
    assert_eq!(machine.json(&["heartbeat"])["status"], 0);
}
