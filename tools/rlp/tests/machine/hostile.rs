// SPDX-License-Identifier: GPL-2.0

//! The program in a hostile world: odd names, links, a full or read-only disk, a huge history, a
//! terminal that is gone, several users at once, and a user that is not root.

use crate::common::{Machine, Output, RELEASE};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIST: &str = "var/lib/rlp/boot/7.3.4+test/list";
const HISTORY: &str = "var/lib/rlp/history.jsonl";

/// Runs a command of the shell, in which "rlp" is the program.
fn shell(machine: &Machine, command: &str) -> Output {
    let script = format!(
        "rlp() {{ {} \"$@\"; }}\n{command}",
        env!("CARGO_BIN_EXE_rlp")
    );
    machine.run_with(Command::new("bash").args(["-o", "pipefail", "-c", &script]))
}

/// A disk of its own for the state of a machine. It is gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(machine: &Machine, size: &str) -> Self {
        let folder = machine.path("var/lib/rlp");
        std::fs::create_dir_all(&folder).unwrap();
        let disk = Self(folder);
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn mount(&self, arguments: &[&str]) {
        let mut mount = Command::new("mount");
        assert!(mount
            .args(arguments)
            .arg(&self.0)
            .status()
            .unwrap()
            .success());
    }

    fn make_read_only(&self) {
        self.mount(&["-o", "remount,ro"]);
    }

    /// Fills the disk. Returns the file that does so.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut size = 1 << 20;
        let mut content = Vec::new();
        while size > 0 {
            content.resize(content.len() + size, b'x');
            if std::fs::write(&path, &content).is_err() {
                content.truncate(content.len() - size);
                size /= 2;
            }
        }
        let _ = std::fs::write(&path, &content);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn file(machine: &Machine, name: &str) -> String {
    let path = machine.module(name, RELEASE, "rlp_enable_patch");
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_full_disk() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    let disk = Disk::new(&machine, "128k");
    machine.run(&["install", &file(&machine, "fix")]);
    // The last page of the history has room for a part of a record.
    let records = machine.read(HISTORY);
    let line = records.lines().next().unwrap();
    let mut padded = records.clone();
    while padded.len() + line.len() < 4000 {
        padded = padded + line + "\n";
    }
    machine.write(HISTORY, &padded);
    let filler = disk.fill();
    let before = machine.tree("var/lib/rlp/boot");

    let output = machine.run(&["install", &file(&machine, "second")]);
    output.fails(1, "No space left on device");
    assert_eq!(machine.tree("var/lib/rlp/boot"), before);
    let output = machine.run(&["confirm"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.out.contains("the history was not written"),
        "{output:?}"
    );
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
    let output = machine.run(&["boot"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output
            .out
            .contains("no patch is loaded: a boot that does not last"),
        "{output:?}"
    );
    machine.json(&["status"]);

    std::fs::remove_file(filler).unwrap();
    assert_eq!(machine.json(&["history"])["damaged"], 0);
    assert!(machine.read(HISTORY).starts_with(&padded));
    machine.run(&["install", &file(&machine, "second")]);
    assert_eq!(machine.read(LIST), "fix\nsecond\n");
}

#[test]
fn a_read_only_disk() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    let disk = Disk::new(&machine, "128k");
    machine.run(&["install", &file(&machine, "fix")]);
    disk.make_read_only();
    let before = machine.tree("var/lib/rlp");
    for arguments in [
        &["install", &file(&machine, "second")][..],
        &["uninstall", "fix"],
    ] {
        machine.run(arguments).fails(1, "Read-only file system");
    }
    let output = machine.run(&["confirm"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.out.contains("Read-only file system"), "{output:?}");
    let output = machine.run(&["boot"]);
    assert!(
        output
            .out
            .contains("no patch is loaded: a boot that does not last"),
        "{output:?}"
    );
    assert_eq!(machine.json(&["status"])["installed"][0], "fix");
    assert_eq!(machine.tree("var/lib/rlp"), before);
}

#[test]
fn an_output_that_cannot_be_written() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let output = shell(&machine, "rlp status --json >/dev/full");
    output.fails(1, "the output cannot be written: No space left on device");
    shell(&machine, "rlp completion bash >/dev/full").fails(1, "the output cannot be written");
    machine.set("live_fix", "confirmed", "0");
    shell(&machine, "rlp confirm >/dev/full").fails(1, "the output cannot be written");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
    // A terminal that is gone ends nothing half-way.
    machine.set("live_fix", "transition", "1");
    let output = shell(&machine, "rlp reverse --timeout 6 2>/dev/full");
    assert_eq!(output.status, 4, "{output:?}");
    let records = machine.json(&["history"])["records"].clone();
    assert_eq!(
        records.as_array().unwrap().last().unwrap()["result"],
        "not complete"
    );
    let output = shell(&machine, "rlp force live_fix 2>/dev/full");
    assert_eq!(output.status, 3, "{output:?}");
    let output = shell(&machine, "rlp signal 2>/dev/full");
    assert_eq!(output.status, 2, "{output:?}");
}

#[test]
fn a_user_who_interrupts() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "transition", "1");
    for signal in ["INT", "TERM", "HUP"] {
        let command = format!("timeout --preserve-status -s {signal} 2 \"$0\" reverse --json");
        let mut shell = Command::new("bash");
        shell.args(["-c", &command, env!("CARGO_BIN_EXE_rlp")]);
        let output = machine.run_with(&mut shell);
        assert_eq!(output.status, 4, "{signal}: {output:?}");
        assert!(
            output
                .out
                .contains("live_fix: reverse was interrupted, and the transition continues"),
            "{output:?}"
        );
        let records = machine.json(&["history"])["records"].clone();
        assert_eq!(records.as_array().unwrap().last().unwrap()["phase"], "end");
    }
    // nohup
    let output = shell(
        &machine,
        "(trap '' HUP; rlp reverse --timeout 4 & sleep 2; kill -HUP $!; wait $!)",
    );
    output.fails(4, "reverse has not waited longer");
}

#[test]
fn many_at_once() {
    let machine = Machine::new();
    let names: Vec<_> = (0..12).map(|nr| format!("fix_{nr}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let (machine, file) = (&machine, file(&machine, name));
            scope.spawn(move || {
                let output = machine.run(&["install", &file]);
                assert_eq!(output.status, 0, "{output:?}");
            });
        }
    });
    let list = machine.read(LIST);
    for name in &names {
        assert!(
            list.lines().any(|line| line == name),
            "{name} is lost: {list}"
        );
    }
    let history = machine.json(&["history"]);
    assert_eq!(history["damaged"], 0);
    assert_eq!(history["records"].as_array().unwrap().len(), 24);
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| machine.run(&["uninstall", name]));
        }
    });
    assert_eq!(machine.read(LIST), "");
}

/// A patch that is in quarantine, and is not installed for this kernel.
#[test]
fn a_quarantine_can_be_left() {
    let machine = Machine::new();
    machine.write("var/lib/rlp/boot/quarantine", "old_fix\n");
    assert_eq!(machine.run(&["status", "--nagios"]).status, 2);
    machine
        .run(&["uninstall", "old_fix"])
        .is(0, "old_fix: uninstalled\n");
    assert_eq!(machine.run(&["status", "--nagios"]).status, 1);
}

/// What root has written can be read by every user, whatever root's umask was.
#[test]
fn a_strict_umask() {
    let machine = Machine::new();
    let file = file(&machine, "fix");
    let output = shell(&machine, &format!("umask 077; rlp install {file}"));
    assert_eq!(output.status, 0, "{output:?}");
    for (path, content) in machine.tree("var/lib") {
        let wanted = if content.is_some() { 0o644 } else { 0o755 };
        assert_eq!(mode(&machine.path(&path)), wanted, "{path}");
    }
}
