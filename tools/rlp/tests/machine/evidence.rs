// SPDX-License-Identifier: GPL-2.0

//! The chain of the history.

use crate::common::{
    sha256,
    Machine,
    HOST, //
};
use serde_json::{
    json,
    Value, //
};
use std::os::unix::net::UnixDatagram;

const HISTORY: &str = "var/lib/rlp/history.jsonl";

/// A record of a version without the chain.
const OLD: &str = "{\"time\":\"2025-11-30T01:02:03Z\",\"boot\":\"b\",\"release\":\"r\",\
    \"phase\":\"event\",\"action\":\"complete\",\"patch\":\"old_fix\"}\n";

/// Records a command: one line when it begins, and one when it has ended.
fn record(machine: &Machine) {
    machine.set("live_fix", "confirmed", "0");
    let output = machine.run(&["confirm", "live_fix"]);
    output.is(0, "live_fix: confirmed\n");
}

/// A machine with this number of lines in its history.
fn machine(lines: usize) -> Machine {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    for _ in 0..lines / 2 {
        record(&machine);
    }
    machine
}

fn lines(machine: &Machine) -> Vec<String> {
    let text = machine.read(HISTORY);
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// Each record names the line before it.
#[test]
fn a_chain() {
    let machine = machine(6);
    let mut prev = sha256("");
    for (nr, line) in lines(&machine).iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], nr as u64 + 1);
        assert_eq!(record["prev"], *prev);
        assert_eq!(record["host"], HOST);
        prev = sha256(line);
    }
    // The machine's id itself is nowhere.
    let history = machine.read(HISTORY);
    assert!(!history.contains("00112233445566778899aabbccddeeff"));
}

/// The record after a torn line names that line, and the record before it.
#[test]
fn a_torn_line_is_named() {
    let machine = machine(4);
    let whole = machine.read(HISTORY);
    let before = sha256(&lines(&machine)[2]);
    let last = lines(&machine).pop().unwrap();
    for len in [1, last.len() / 2, last.len() - 2] {
        let torn = &last[..len];
        machine.write(
            HISTORY,
            &(whole[..whole.len() - last.len()].to_owned() + torn),
        );
        record(&machine);
        let lines = lines(&machine);
        assert_eq!(lines[3], format!("{torn}\n"));
        let next: Value = serde_json::from_str(&lines[4]).unwrap();
        let part = json!({ "bytes": len + 1, "sha256": sha256(&lines[3]) });
        assert_eq!(
            (&next["seq"], &next["prev"]),
            (&json!(4), &json!(before)),
            "{next:#}"
        );
        assert_eq!(next["torn"], part);
    }
    // A line that lacks nothing but its newline is not torn.
    machine.write(HISTORY, whole.trim_end());
    record(&machine);
    let next: Value = serde_json::from_str(&lines(&machine)[4]).unwrap();
    assert_eq!(
        (&next["seq"], &next["prev"]),
        (&json!(5), &json!(sha256(&last)))
    );
    assert_eq!(next.get("torn"), None);
}

/// The first record of a chain names all lines that are older.
#[test]
fn an_older_file() {
    for count in [3, 10_000] {
        let machine = machine(0);
        machine.write(HISTORY, &OLD.repeat(count));
        record(&machine);
        let records = machine.json(&["history", "--last", "2"])["records"].clone();
        assert_eq!(records[0]["before"], count * OLD.len());
        assert_eq!(records[0]["prev"], sha256(OLD.repeat(count)));
        assert_eq!(
            (&records[0]["seq"], &records[1]["seq"]),
            (&json!(1), &json!(2))
        );
    }
}

/// The journal has each record as it is in the file, and its hash.
#[test]
fn the_journal() {
    let machine = machine(0);
    machine.folder("run/systemd/journal");
    let socket = UnixDatagram::bind(machine.path("run/systemd/journal/socket")).unwrap();
    record(&machine);
    let mut bytes = [0; 4096];
    for line in lines(&machine) {
        let len = socket.recv(&mut bytes).unwrap();
        let fields = std::str::from_utf8(&bytes[..len]).unwrap();
        assert!(fields.contains(&format!("\nRLP_RECORD={line}")), "{fields}");
        assert!(
            fields.contains(&format!("\nRLP_SHA256={}\n", sha256(&line))),
            "{fields}"
        );
        assert!(fields.starts_with("MESSAGE=live_fix: confirm"), "{fields}");
    }
    // A record that is not on the disk is in the journal, and has no hash.
    std::fs::remove_file(machine.path(HISTORY)).unwrap();
    machine.folder(HISTORY);
    machine.set("live_fix", "confirmed", "0");
    machine.run(&["confirm"]).has("the history was not written");
    let len = socket.recv(&mut bytes).unwrap();
    let fields = std::str::from_utf8(&bytes[..len]).unwrap();
    assert!(
        fields.contains("\nRLP_RECORD={") && !fields.contains("RLP_SHA256"),
        "{fields}"
    );
}
