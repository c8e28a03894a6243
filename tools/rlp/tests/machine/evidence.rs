// SPDX-License-Identifier: GPL-2.0

//! The chain of the history, and what was done to it: verify finds each kind of tampering, and does
//! not report a power cut as tampering.

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
use std::path::PathBuf;
use std::process::Command;

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

/// The head as verify prints it.
fn head(machine: &Machine) -> String {
    let head = machine.json(&["verify"])["head"].clone();
    format!("{}:{}", head["seq"], head["sha256"].as_str().unwrap())
}

#[test]
fn a_chain() {
    let machine = machine(6);
    let lines = lines(&machine);
    let mut prev = sha256("");
    for (nr, line) in lines.iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], nr as u64 + 1);
        assert_eq!(record["prev"], *prev);
        assert_eq!(record["host"], HOST);
        prev = sha256(line);
    }
    machine.run(&["verify"]).is(
        0,
        &format!(
            "/{HISTORY} is whole
  records in the chain: 6, of the host {HOST}
  head: 6:{prev}
  note: records that are missing at the end would not be noticed: name the head of an earlier \
             verify (--head), or the signature of an export (--signature)
"
        ),
    );
    for head in [prev.clone(), format!("6:{prev}"), sha256(&lines[2])] {
        let verified = machine.json(&["verify", "--head", &head]);
        assert_eq!(verified["whole"], true);
        assert_eq!(verified["anchored"], true);
    }
    // An earlier head says nothing about the records after it.
    let verified = machine.json(&["verify", "--head", &sha256(&lines[2])]);
    assert_eq!(verified["anchored_seq"], 3);
    machine
        .run(&["verify", "--head", &sha256(&lines[2])])
        .has("covers the records up to 3: later ones may be missing");
    let last = machine.run(&["verify", "--head", &prev]);
    assert!(!last.out.contains("note:"), "{last:?}");
    // The machine's id itself is nowhere.
    assert!(!machine
        .read(HISTORY)
        .contains("00112233445566778899aabbccddeeff"));
    machine
        .run(&["verify", "--head", "x"])
        .fails(2, "a hash has 64 digits");
    machine.run(&["verify", "nowhere"]).fails(1, "No such file");
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

/// A line is torn at each of its bytes. The next record notes that, unless the line is whole but
/// for its newline.
#[test]
fn a_torn_line() {
    let machine = machine(4);
    let whole = machine.read(HISTORY);
    let last = lines(&machine).pop().unwrap();
    let heads = [3, 4].map(|nr| sha256(&lines(&machine)[nr - 1]));
    for len in 0..last.len() {
        let torn = &whole[..whole.len() - last.len() + len];
        machine.write(HISTORY, torn);
        // Before the next record, and after it.
        let is_whole_line = len == last.len() - 1;
        for is_ended in [false, true] {
            if is_ended {
                record(&machine);
            }
            let verified = machine.json(&["verify", "--head", &heads[0]]);
            assert_eq!(verified["whole"], true, "{len}: {verified:#}");
            let count = u64::from(len != 0 && !is_whole_line);
            let torn = verified["torn"].as_array().unwrap();
            assert_eq!(torn.len() as u64, count, "{len}: {verified:#}");
            if count == 1 {
                assert_eq!(torn[0]["line"], 4);
            }
            // A line that was on the disk once cannot have been torn.
            let verified = machine.json(&["verify", "--head", &format!("4:{}", heads[1])]);
            assert_eq!(verified["whole"], is_whole_line, "{len}: {verified:#}");
        }
        let history = machine.json(&["history"]);
        assert_eq!(history["damaged"], u64::from(len != 0 && !is_whole_line));
    }
}

/// The power cuts have left the beginnings of two records, a record with zero bytes in it, or only
/// zero bytes.
#[test]
fn lines_that_are_torn_more_than_once() {
    let machine = machine(2);
    let whole = machine.read(HISTORY);
    for torn in [
        "{\"seq\":3,\"pr\n{\"seq\":3",
        "{\"seq\":3\0\0\0\0\0\"}\n",
        "\0\0",
    ] {
        machine.write(HISTORY, &(whole.clone() + torn));
        record(&machine);
        let verified = machine.json(&["verify"]);
        assert_eq!(verified["whole"], true, "{torn:?}: {verified:#}");
        assert_eq!(verified["torn"].as_array().unwrap().len(), 1);
        // The part itself is protected by the record after it.
        let text = machine
            .read(HISTORY)
            .replacen("{\"seq\":3", "{\"seq\":4", 1);
        machine.write(HISTORY, &text.replacen("\0\0", "\0", 1));
        let verified = machine.json(&["verify"]);
        assert_eq!(verified["findings"][0]["kind"], "changed", "{verified:#}");
    }
}

/// A file that is older than the chain can be read, and cannot be changed unnoticed any more.
#[test]
fn an_old_file() {
    let machine = machine(0);
    machine.write(HISTORY, &OLD.repeat(3));
    let verified = machine.json(&["verify"]);
    assert_eq!(verified["findings"][0]["kind"], "unchained");
    record(&machine);
    let history = machine.json(&["history"]);
    assert_eq!(history["records"].as_array().unwrap().len(), 5);
    assert_eq!(history["records"][3]["before"], 3 * OLD.len());
    assert_eq!(history["records"][3]["prev"], sha256(OLD.repeat(3)));
    let verified = machine.json(&["verify"]);
    assert_eq!(verified["whole"], true, "{verified:#}");
    assert_eq!(verified["unchained"]["last_line"], 3);
    machine
        .run(&["verify"])
        .has("lines 1 to 3: older than the chain");
    for spoilt in [
        machine.read(HISTORY).replacen("old_fix", "new_fix", 1),
        machine.read(HISTORY).replacen(OLD, "", 1),
        machine.read(HISTORY).replacen(OLD, &OLD.repeat(2), 1),
        machine.read(HISTORY).replace(OLD, ""),
    ] {
        machine.write("spoilt", &spoilt);
        let verified = machine.json(&["verify", machine.path("spoilt").to_str().unwrap()]);
        assert_eq!(verified["findings"][0]["kind"], "changed", "{verified:#}");
    }
    // A file that is longer than the part that is read first.
    machine.write(HISTORY, &OLD.repeat(10_000));
    record(&machine);
    record(&machine);
    assert_eq!(machine.json(&["verify"])["whole"], true);
    assert_eq!(machine.json(&["verify"])["records"], 4);
}

/// An older version does not continue the chain. Its records are readable, and are no evidence.
#[test]
fn a_version_without_the_chain() {
    let machine = machine(2);
    machine.write(HISTORY, &(machine.read(HISTORY) + OLD));
    for records in [3, 5] {
        let verified = machine.json(&["verify"]);
        assert_eq!(verified["findings"][0]["kind"], "added", "{verified:#}");
        assert_eq!(verified["findings"][0]["line"], 3);
        let history = machine.json(&["history"]);
        assert_eq!(history["records"].as_array().unwrap().len(), records);
        record(&machine);
    }
}

/// Each kind of tampering is named, with its line.
#[test]
fn tampering() {
    let machine = machine(6);
    let own = lines(&machine);
    let head = head(&machine);
    let other = Machine::new();
    other.write("etc/machine-id", "a0112233445566778899aabbccddeeff\n");
    other.patch("live_fix", 1);
    for _ in 0..3 {
        record(&other);
    }
    let foreign = lines(&other);
    let of = |numbers: &[usize]| -> String {
        let lines = numbers.iter().map(|&nr| own[nr - 1].as_str());
        lines.collect()
    };
    let changed = own[2].replace("\"uid\":0", "\"uid\":7");
    assert_ne!(changed, own[2]);
    let junk = "{\"action\":\"load\"}\n".to_owned();
    let spaced = own[5].replace('}', " }");
    let [first, second, third] = [&own[0], &own[1], &foreign[2]];
    for (spoilt, kind, line, last_line) in [
        (of(&[1, 2]) + &changed + &of(&[4, 5, 6]), "changed", 3, 3),
        (of(&[1, 2]) + &junk + &of(&[4, 5, 6]), "changed", 3, 3),
        (of(&[1, 2, 3, 4, 5]) + &spaced, "changed", 6, 6),
        (of(&[1, 2, 4, 5, 6]), "left-out", 3, 3),
        (of(&[1, 2, 5, 6]), "left-out", 3, 3),
        (of(&[2, 3, 4, 5, 6]), "left-out", 1, 1),
        (of(&[1, 2, 4, 3, 5, 6]), "reordered", 3, 5),
        (of(&[1, 3, 4, 2, 5, 6]), "reordered", 2, 2),
        (of(&[1, 2, 3, 3, 4, 5, 6]), "added", 4, 4),
        (of(&[1, 2, 3, 4, 2, 5, 6]), "added", 5, 5),
        (of(&[1, 2, 3]) + &junk + &of(&[4, 5, 6]), "added", 4, 4),
        (of(&[1, 2, 3]) + "\n" + &of(&[4, 5, 6]), "added", 4, 4),
        (of(&[1, 2, 3]) + OLD + &of(&[4, 5, 6]), "added", 4, 4),
        (of(&[1, 2, 3, 4]), "cut", 4, 4),
        (String::new(), "cut", 0, 0),
        (
            format!("{first}{second}{third}") + &of(&[4, 5, 6]),
            "other-host",
            3,
            3,
        ),
        (of(&[1, 2]) + third + &of(&[3, 4, 5, 6]), "other-host", 3, 3),
        (foreign.concat(), "other-host", 1, 6),
    ] {
        machine.write(HISTORY, &spoilt);
        let verified = machine.json(&["verify", "--head", &head]);
        let finding = &verified["findings"][0];
        assert_eq!(verified["status"], 6);
        let found = (&finding["kind"], &finding["line"], &finding["last_line"]);
        let wanted = (
            &Value::from(kind),
            &Value::from(line),
            &Value::from(last_line),
        );
        assert_eq!(found, wanted, "{verified:#}\n{spoilt}");
        // Without an anchor, verify cannot detect that the end was cut off, or that the last line
        // was changed.
        let verified = machine.json(&["verify"]);
        let is_unknown = kind == "cut" && !spoilt.is_empty() || last_line == 6 && kind == "changed";
        assert_eq!(verified["whole"], is_unknown, "{verified:#}");
    }
    // The file is gone.
    std::fs::remove_file(machine.path(HISTORY)).unwrap();
    let verified = machine.json(&["verify"]);
    assert_eq!(verified["records"], 0);
    assert_eq!(verified["findings"][0]["kind"], "empty", "{verified:#}");
    let verified = machine.json(&["verify", "--head", &head]);
    assert_eq!(verified["findings"][0]["kind"], "cut", "{verified:#}");
}

/// A file that is written anew has a valid chain of its own, but this chain does not fit the head.
#[test]
fn a_file_that_is_written_anew() {
    let machine = machine(6);
    let head = head(&machine);
    std::fs::remove_file(machine.path(HISTORY)).unwrap();
    // The new records may be of the same second as the old ones. With the same boot id, they would
    // then be the same bytes.
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
    for (count, kind) in [(2, "cut"), (4, "cut"), (6, "changed")] {
        record(&machine);
        assert_eq!(machine.json(&["verify"])["whole"], true);
        let verified = machine.json(&["verify", "--head", &head]);
        assert_eq!(verified["records"], count);
        assert_eq!(verified["findings"][0]["kind"], kind, "{verified:#}");
        let (_, hash) = head.split_once(':').unwrap();
        let verified = machine.json(&["verify", "--head", hash]);
        assert_eq!(verified["findings"][0]["kind"], "cut", "{verified:#}");
    }
}

/// A machine that was made from the disk of another one begins a chain of its own.
#[test]
fn a_cloned_machine() {
    let machine = machine(4);
    machine.write("etc/machine-id", "a0112233445566778899aabbccddeeff\n");
    record(&machine);
    let verified = machine.json(&["verify"]);
    assert_eq!(
        verified["findings"].as_array().unwrap().len(),
        1,
        "{verified:#}"
    );
    assert_eq!(verified["findings"][0]["kind"], "other-host");
    assert_eq!(verified["findings"][0]["last_line"], 4);
    assert_eq!(verified["head"]["seq"], 2);
    // A machine whose id is not known yet continues the chain.
    machine.write("etc/machine-id", "uninitialized\n");
    record(&machine);
    assert_eq!(machine.json(&["verify"])["head"]["seq"], 4);
}

/// The folder with the package of ssh-keygen(1), from the same suite of Debian as the build root.
fn ssh() -> PathBuf {
    let ssh = std::env::var_os("RLP_SSH");
    PathBuf::from(ssh.expect("RLP_SSH: run scripts/checks/test-programs.sh"))
}

pub(crate) fn with_ssh(command: &mut Command) -> &mut Command {
    let path = std::env::var("PATH").unwrap();
    command
        .env(
            "PATH",
            format!("{}:{path}", ssh().join("usr/bin").display()),
        )
        .env("LD_LIBRARY_PATH", ssh().join("usr/lib/x86_64-linux-gnu"))
}

/// Makes a key. Returns the line of its public part.
pub(crate) fn key(machine: &Machine, file: &str) -> String {
    let path = machine.path(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut ssh_keygen = Command::new("ssh-keygen");
    let output = with_ssh(&mut ssh_keygen)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "host", "-f"])
        .arg(&path)
        .output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
    machine.read(&format!("{file}.pub"))
}

/// Runs the program with ssh-keygen, and with --json.
fn json(machine: &Machine, arguments: &[&str]) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
    let output = machine.run_with(with_ssh(program.args(arguments).arg("--json")));
    let value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
    crate::common::Schema::read().check(&value);
    value
}

#[test]
fn an_export_that_is_signed() {
    let machine = machine(4);
    let public = key(&machine, "etc/ssh/ssh_host_ed25519_key");
    let folder = machine.path("export");
    let exported = json(&machine, &["evidence", "export", folder.to_str().unwrap()]);
    assert_eq!(exported["status"], 0, "{exported:#}");
    let file = |ending: &str| format!("{}/{HOST}.{ending}", folder.display());
    let below = |ending: &str| format!("export/{HOST}.{ending}");
    assert_eq!(machine.read(&below("jsonl")), machine.read(HISTORY));

    let hash = &sha256(&lines(&machine)[3])[..8];
    let head_file = format!("4.{hash}.head");
    let (records, signature) = (file("jsonl"), file(&format!("{head_file}.sig")));
    let allowed = machine.path("allowed");
    let allowed = allowed.to_str().unwrap();
    machine.write(
        "allowed",
        &format!("{HOST} namespaces=\"evidence\" {public}"),
    );
    let arguments = [
        "verify",
        &records,
        "--signature",
        &signature,
        "--key",
        allowed,
    ];
    let verified = json(&machine, &arguments);
    assert_eq!(verified["whole"], true, "{verified:#}");
    assert_eq!(verified["anchored"], true);
    let signer = verified["key"].as_str().unwrap();
    assert!(signer.starts_with("SHA256:"), "{signer}");
    assert_eq!(
        verified["signed"],
        serde_json::from_str::<Value>(&machine.read(&below(&head_file))).unwrap()["time"]
    );
    // The records continue after the export.
    record(&machine);
    let later = ["verify", "--signature", &signature, "--key", allowed];
    let verified = json(&machine, &later);
    assert_eq!(verified["whole"], true, "{verified:#}");
    assert_eq!(verified["records"], 6);

    let kinds = |machine: &Machine| -> Vec<String> {
        let verified = json(machine, &arguments);
        let findings = verified["findings"]
            .as_array()
            .unwrap_or_else(|| panic!("{verified:#}"));
        let kinds = findings
            .iter()
            .map(|found| found["kind"].as_str().unwrap().to_owned());
        kinds.collect()
    };
    // Cut at the end.
    let lines = lines(&machine);
    machine.write(&below("jsonl"), &lines[..3].concat());
    assert_eq!(kinds(&machine), ["cut"]);
    // The head is changed, so that it fits.
    let head = machine.read(&below(&head_file));
    let fitting = head
        .replace(&sha256(&lines[3]), &sha256(&lines[2]))
        .replace("\"seq\":4", "\"seq\":3");
    assert_ne!(head, fitting);
    machine.write(&below(&head_file), &fitting);
    assert_eq!(kinds(&machine), ["unsigned"]);
    // The changed head is signed with a key that is not the host's.
    let stranger = key(&machine, "stranger");
    let mut ssh_keygen = Command::new("ssh-keygen");
    std::fs::remove_file(&signature).unwrap();
    let output = with_ssh(&mut ssh_keygen)
        .args(["-q", "-Y", "sign", "-n", "evidence", "-f"])
        .args([machine.path("stranger"), file(&head_file).into()])
        .output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
    assert_eq!(kinds(&machine), ["unsigned"]);
    // A file that cannot be read says nothing about the signature.
    let missing = [&arguments[..5], &["/nowhere"][..]].concat();
    let failed = json(&machine, &missing);
    assert_eq!(failed["status"], 1, "{failed:#}");
    assert_eq!(
        failed["error"]["what"],
        "/nowhere: No such file or directory"
    );
    // A key of another host must not sign for this one.
    let list = machine.read("allowed");
    machine.write(
        "allowed",
        &format!("{list}another namespaces=\"evidence\" {stranger}"),
    );
    assert_eq!(kinds(&machine), ["unsigned"]);
    machine.write("allowed", &format!("{HOST} namespaces=\"git\" {stranger}"));
    assert_eq!(kinds(&machine), ["unsigned"]);
    machine.write(
        "allowed",
        &format!("{HOST} namespaces=\"evidence\" {stranger}"),
    );
    assert_eq!(kinds(&machine), [""; 0]);
}

/// `torn` may name only a part of a record, and `host` must be the name of a machine. A record that
/// a newer version has written is a part of the chain.
#[test]
fn records_that_were_made_by_hand() {
    let machine = machine(2);
    let own = lines(&machine);
    let next =
        |prev: &str, rest: &str| format!("{{\"seq\":3,\"prev\":\"{}\",{rest}}}\n", sha256(prev));
    let torn = |text: &str| {
        format!(
            "\"torn\":{{\"bytes\":{},\"sha256\":\"{}\"}}",
            text.len(),
            sha256(text)
        )
    };
    let of = |rest: &str| next(&own[1], rest);
    let control = "\"host\":\"x\\u001b[2J\"";
    for (text, kind) in [
        (of("\"phase\":\"of a newer version\",\"new\":[1]"), None),
        ("{\"seq\":3\n".to_owned() + &of(&torn("{\"seq\":3\n")), None),
        (OLD.to_owned() + &of(&torn(OLD)), Some("added")),
        ("\n".to_owned() + &of(&torn("\n")), Some("added")),
        ("  \n".to_owned() + &of(&torn("  \n")), Some("added")),
        (of(control), Some("changed")),
    ] {
        machine.write(HISTORY, &(own.concat() + &text));
        let verified = machine.json(&["verify"]);
        let found = &verified["findings"][0]["kind"];
        assert_eq!(found.as_str(), kind, "{verified:#}\n{text}");
        let printed = machine.run(&["verify"]);
        assert!(!printed.out.contains('\x1b'), "{printed:?}");
    }
    // A file with very many findings.
    let line = of("\"before\":0").replace("\"seq\":3", "\"seq\":1");
    let lines: Vec<_> = (0..2000)
        .map(|nr| line.replace('}', &format!(",\"nr\":{nr}}}")))
        .collect();
    machine.write(HISTORY, &lines.concat());
    let verified = machine.json(&["verify"]);
    assert_eq!(verified["findings"].as_array().unwrap().len(), 1000);
    assert!(verified["more_findings"].as_u64() > Some(1000));
    machine.run(&["verify"]).has("and 900 more");
    // The head of another record.
    machine.write(HISTORY, &own.concat());
    let verified = machine.json(&["verify", "--head", &format!("1:{}", sha256(&own[1]))]);
    assert_eq!(verified["findings"][0]["line"], 2, "{verified:#}");
    // The largest number.
    let last = own[1].replace("\"seq\":2", &format!("\"seq\":{}", u64::MAX));
    assert_ne!(last, own[1]);
    machine.write(HISTORY, &(own[0].clone() + &last));
    record(&machine);
    assert_eq!(machine.json(&["verify"])["whole"], false);
}

/// The signed head of one host does not fit the records of another one.
#[test]
fn records_of_another_host() {
    let [machine, other] = [machine(2), machine(4)];
    other.write("etc/machine-id", "a0112233445566778899aabbccddeeff\n");
    std::fs::remove_file(other.path(HISTORY)).unwrap();
    record(&other);
    let public = key(&other, "etc/ssh/ssh_host_ed25519_key");
    let exported = json(
        &other,
        &["evidence", "export", other.path("to").to_str().unwrap()],
    );
    let host = exported["host"].as_str().unwrap();
    assert_ne!(host, HOST);
    let signature = exported["signature"].as_str().unwrap();
    machine.write("allowed", &format!("{host} {public}"));
    let verified = json(
        &machine,
        &[
            "verify",
            "--signature",
            other.path(&signature[1..]).to_str().unwrap(),
            "--key",
            machine.path("allowed").to_str().unwrap(),
        ],
    );
    assert_eq!(
        verified["findings"][0]["kind"], "other-host",
        "{verified:#}"
    );
}

#[test]
fn exports_that_fail() {
    let machine = machine(0);
    let folder = machine.path("to");
    let export = ["evidence", "export", folder.to_str().unwrap()];
    let none = "there is no record with a chain yet";
    machine.run(&export).fails(3, none);
    machine.write(HISTORY, OLD);
    machine.run(&export).fails(3, none);
    record(&machine);
    // There is no key.
    let failed = json(&machine, &export);
    assert_eq!(
        failed["error"]["what"], "the evidence was not signed",
        "{failed:#}"
    );
    assert!(!folder.exists());
    let unsigned = machine.json(&[&export[..], &["--unsigned"]].concat());
    assert_eq!(unsigned["signature"], Value::Null);
    // The next export leaves the earlier head, which is an anchor.
    record(&machine);
    let before = machine.tree("");
    let dry = machine.run(&[&export[..], &["--unsigned", "-n"]].concat());
    dry.says(0, "would be written: /to/");
    let dry = machine.json(&[&export[..], &["--unsigned", "-n"]].concat());
    assert_eq!(dry["dry_run"], true);
    assert_eq!(machine.tree(""), before);
    machine.json(&[&export[..], &["--unsigned"]].concat());
    let head = |seq: usize| {
        let hash = sha256(&lines(&machine)[seq]);
        format!("to/{HOST}.{seq}.{}.head", &hash[..8])
    };
    let first = machine.read(&head(2));
    // Another export of the same record leaves its head as it is.
    let old = machine
        .read(&head(4))
        .replace("\"time\":\"20", "\"time\":\"19");
    let old = old.replace("\"time\":\"192", "\"time\":\"199");
    machine.write(&head(4), &old);
    machine.json(&[&export[..], &["--unsigned"]].concat());
    assert_eq!(
        [machine.read(&head(2)), machine.read(&head(4))],
        [first, old.clone()]
    );
    // A file that no export has written is not signed: its time is in the future, or it has more.
    for (from, to) in [
        ("\"time\":\"1", "\"time\":\"2"),
        ("\"time\":", "\"more\":1,\"time\":"),
        ("\"time\":\"1", "\"time\":\"x1"),
    ] {
        let foreign = old.replace(from, to);
        assert_ne!(foreign, old);
        machine.write(&head(4), &foreign);
        machine.json(&[&export[..], &["--unsigned"]].concat());
        assert_ne!(machine.read(&head(4)), foreign);
    }
    machine
        .run(&["verify", "--signature", "x.head.sig"])
        .fails(2, "--key");
    machine
        .run(&["verify", "--signature", "x.head", "--key", "y"])
        .fails(3, "x.head is not the signature of a head");
    // A file that is not whole is written, and the exit status says so.
    machine.write(
        HISTORY,
        &machine.read(HISTORY).replace("\"uid\":0", "\"uid\":7"),
    );
    machine
        .run(&[&export[..], &["--unsigned"]].concat())
        .says(6, "one of these lines was changed");
    std::fs::remove_file(machine.path("etc/machine-id")).unwrap();
    machine.run(&export).fails(3, "this machine has no id");
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

/// A heartbeat has what the loader says, and no more.
#[test]
fn a_heartbeat() {
    let machine = Machine::new();
    machine.write("proc/uptime", "3725.10 7000.00\n");
    machine.write("proc/sys/kernel/tainted", "4096\n");
    machine.json(&["heartbeat"]);
    machine
        .run(&["heartbeat"])
        .is(0, "up for 1 h 2 min\nno patch is loaded\n");
    let before = machine.tree("");
    assert_eq!(machine.json(&["heartbeat", "-n"])["dry_run"], true);
    assert_eq!(machine.tree(""), before);
    machine.patch("live_fix", 1);
    machine.set("live_fix", "cves", "CVE-2026-0001");
    let beat = machine.json(&["heartbeat"]);
    assert_eq!(beat["machine"]["uptime"], 3725);
    assert_eq!(beat["machine"]["tainted"], 4096);
    assert_eq!(beat["machine"]["kernel_build_id"], "aa010203");
    assert_eq!(beat["machine"]["patches"][0]["state"], "in-effect");
    assert_eq!(beat["machine"]["patches"][0]["build_id"], "73616d65");
    let words = "live_fix: in effect; fixes CVE-2026-0001";
    machine.run(&["heartbeat"]).has(words);
    machine.run(&["history"]).has(words);
    let history = machine.json(&["history", "--last", "1"]);
    assert_eq!(history["records"][0]["machine"], beat["machine"]);
    assert_eq!(history["records"][0]["phase"], "state");
    // A patch whose files cannot be read is not in effect.
    machine.set("live_fix", "confirmed", "maybe");
    let beat = machine.json(&["heartbeat"]);
    assert_eq!(beat["machine"]["patches"], Value::Null);
    assert_eq!(beat["status"], 1);
    machine.run(&["history"]).has("the patches cannot be read");
    assert_eq!(machine.json(&["verify"])["whole"], true);
}
