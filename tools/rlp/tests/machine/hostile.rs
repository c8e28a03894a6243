// SPDX-License-Identifier: GPL-2.0

//! The program in a hostile world: odd names, links, a full or read-only disk, a huge history, a
//! terminal that is gone, several users at once, and a user that is not root.

use crate::common::{
    traced,
    Machine,
    Output,
    RELEASE, //
};
use crate::elf;
use std::os::unix::fs::{
    symlink,
    PermissionsExt, //
};
use std::path::{
    Path,
    PathBuf, //
};
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
fn names_with_odd_characters() {
    let machine = Machine::new();
    for name in [
        "a\nb",
        "\x1b[31m",
        "..",
        ".",
        "",
        "a/b",
        "a b",
        "ü",
        &"x".repeat(70),
    ] {
        for release in [RELEASE, "../up"] {
            let name = if release == RELEASE { name } else { "fix" };
            let info = [format!("name={name}"), format!("vermagic={release} SMP")];
            let bytes = elf::module(&info, "rlp_enable_patch", b"same");
            machine.write_bytes("files/odd.ko", &bytes);
            let path = machine.path("files/odd.ko");
            let path = path.to_str().unwrap();
            for verb in ["install", "load"] {
                let output = machine.run(&[verb, path]);
                output.fails(3, "its name or its release is not valid");
            }
        }
    }
    assert!(!machine.path("var/lib/rlp").exists());
    machine
        .run(&["uninstall", "--release", "../..", "fix"])
        .fails(3, "'../..' is not a kernel release");

    // The fields of a module are printed. Their control characters must not reach a terminal.
    let info = [
        "name=fix".to_owned(),
        format!("vermagic={RELEASE} SMP"),
        "cves=CVE-2026-0001\x1b[2J".to_owned(),
    ];
    machine.write_bytes(
        "files/fix.ko",
        &elf::module(&info, "rlp_enable_patch", b"same"),
    );
    let output = machine.run(&["load", "-n", machine.path("files/fix.ko").to_str().unwrap()]);
    assert_eq!(
        (output.status, output.out.contains('\x1b')),
        (0, false),
        "{output:?}"
    );

    // The path of a file may have any character.
    let folder = machine.path("files/a b\n'\"$x ü");
    std::fs::create_dir(&folder).unwrap();
    let odd = folder.join("live fix.ko");
    std::fs::copy(machine.path("files/fix.ko"), &odd).unwrap();
    machine.json(&["install", odd.to_str().unwrap()]);
    assert_eq!(machine.read(LIST), "fix\n");
    assert_eq!(machine.json(&["history"])["damaged"], 0);
    machine
        .run(&["info", "\x1b[2J\n../.."])
        .fails(3, "the loader has no patch");
}

#[test]
fn links_in_the_state() {
    let machine = Machine::new();
    // The whole state may be on another disk.
    machine.folder("other");
    machine.folder("var/lib");
    symlink(machine.path("other"), machine.path("var/lib/rlp")).unwrap();
    machine.run(&["install", &file(&machine, "fix")]);
    assert_eq!(machine.read("other/boot/7.3.4+test/list"), "fix\n");

    // A file is replaced, and what it links to is left alone.
    machine.write("victim", "precious");
    std::fs::remove_file(machine.path(LIST)).unwrap();
    symlink(machine.path("victim"), machine.path(LIST)).unwrap();
    machine.run(&["install", &file(&machine, "second")]);
    assert_eq!(machine.read("victim"), "precious");
    assert!(machine.read(LIST).ends_with("second\n"));

    // Links that lead nowhere, and in a circle.
    machine.patch("live_fix", 1);
    for target in ["nowhere/file", "other/history.jsonl"] {
        let _ = std::fs::remove_file(machine.path(HISTORY));
        symlink(machine.path(target), machine.path(HISTORY)).unwrap();
        machine.set("live_fix", "confirmed", "0");
        let output = machine.run(&["confirm", "live_fix"]);
        output.says(0, "the history was not written");
    }
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
    output.says(0, "the history was not written");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
    let output = machine.run(&["boot"]);
    output.says(0, "no patch is loaded: the next boot could not detect");
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
    output.says(0, "Read-only file system");
    let output = machine.run(&["boot"]);
    output.has("no patch is loaded: the next boot could not detect");
    assert_eq!(machine.json(&["status"])["installed"][0], "fix");
    assert_eq!(machine.tree("var/lib/rlp"), before);
}

/// 100 MB of records, with 128 MB of address space.
#[test]
fn a_huge_history() {
    let machine = Machine::new();
    machine.run(&["install", &file(&machine, "fix")]);
    let records = machine.read(HISTORY);
    let line = records.lines().next().unwrap().to_owned() + "\n";
    let mut text = line.repeat(100_000_000 / line.len());
    // A line that is no record, and is as long as many records.
    text += &"x".repeat(3_000_000);
    text.push('\n');
    text += &records;
    machine.write(HISTORY, &text);
    let output = shell(&machine, "ulimit -v 131072; rlp history --last 2");
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(
        output
            .out
            .lines()
            .filter(|line| line.contains("install"))
            .count(),
        2,
        "{output:?}"
    );
    output.has("damaged lines");
    let output = shell(&machine, "ulimit -v 131072; rlp doctor");
    output.has("damaged lines in the history, as after a power cut: ");
}

/// A line that is longer than any record is one damaged line, even if its end looks like a record.
#[test]
fn a_record_at_the_end_of_a_long_line() {
    let machine = Machine::new();
    machine.run(&["install", &file(&machine, "fix")]);
    let records = machine.read(HISTORY);
    let before = machine.json(&["history"]);
    let last = records.lines().last().unwrap();
    // The program once read parts of 1 MiB.
    for filler in ["x", " "] {
        let long = filler.repeat(1 << 20) + last;
        machine.write(HISTORY, &format!("{records}{long}\n"));
        let after = machine.json(&["history"]);
        assert_eq!(after["records"], before["records"]);
        assert_eq!(after["damaged"], 1);
    }
}

/// The order of the records is that in which they were written, whatever the clock has said.
#[test]
fn a_clock_that_jumps_back() {
    let machine = Machine::new();
    machine.run(&["install", &file(&machine, "fix")]);
    let records = machine.read(HISTORY);
    let line = records.lines().next().unwrap();
    let (start, end) = line.split_once("\"time\":\"").unwrap();
    let (_, end) = end.split_once('"').unwrap();
    let at = |time: &str| format!("{start}\"time\":\"{time}\"{end}\n");
    machine.write(
        HISTORY,
        &(at("2026-11-30T01:00:00Z") + &at("2020-01-01T00:00:00Z")),
    );
    let last = machine.json(&["history", "--last", "1"]);
    assert_eq!(last["records"][0]["time"], "2020-01-01T00:00:00Z");
    let since = machine.json(&["history", "--since", "2026-11-30T00"]);
    assert_eq!(since["records"].as_array().unwrap().len(), 1);
    machine
        .run(&["history", "--since", "yesterday"])
        .fails(2, "a time is like 2026-11-30");
}

#[test]
fn an_output_that_cannot_be_written() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let output = shell(&machine, "rlp status --json >/dev/full");
    output.fails(1, "the output cannot be written: No space left on device");
    shell(&machine, "rlp completion bash >/dev/full").fails(1, "the output cannot be written");
    // A plugin of Nagios that cannot print its line ends with 3 (unknown).
    shell(&machine, "rlp status --nagios >/dev/full").fails(3, "the output cannot be written");
    machine.set("live_fix", "confirmed", "0");
    shell(&machine, "rlp status --nagios >/dev/full").fails(3, "the output cannot be written");
    shell(&machine, "rlp confirm >/dev/full").fails(1, "the output cannot be written");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
    // A command does not stop half-way because its terminal is gone.
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
    for (nr, signal) in ["INT", "TERM", "HUP"].iter().enumerate() {
        // The signal is sent when the program has recorded that it begins. The caller of these
        // tests, such as nohup(1), may have set signals to be ignored. env(1) undoes that.
        let history = "\"$RLP_ROOT/var/lib/rlp/history.jsonl\"";
        let command = format!(
            "(until (($(grep -c '\"begin\"' {history}) > {nr})); do sleep 0.1; done; \
             kill -{signal} $$) 2>/dev/null & exec env --default-signal \"$0\" reverse --json"
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &command, env!("CARGO_BIN_EXE_rlp")]);
        let output = machine.run_with(&mut shell);
        assert_eq!(output.status, 4, "{signal}: {output:?}");
        output.has("live_fix: reverse was interrupted, and the transition continues");
        let records = machine.json(&["history"])["records"].clone();
        assert_eq!(records.as_array().unwrap().last().unwrap()["phase"], "end");
    }
    // nohup
    let output = shell(
        &machine,
        "(trap '' HUP; rlp reverse --timeout 4 & sleep 2; kill -HUP $!; wait $!)",
    );
    output.fails(4, "reverse stopped waiting");
}

/// While a command waits, it sleeps until the loader or a signal wakes it. It does not look again
/// from time to time.
#[test]
fn a_wait_is_one_sleep() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "transition", "1");
    let log = machine.path("strace");
    let options = ["-e", "trace=poll,ppoll", "-o", log.to_str().unwrap()];
    let output = machine.run_with(&mut traced(&options, &["reverse", "--timeout", "4"]));
    output.fails(4, "reverse stopped waiting");
    let polls = machine.read("strace");
    let sleeps = polls
        .lines()
        .filter(|line| line.contains("POLLPRI"))
        .count();
    assert_eq!(sleeps, 1, "{polls}");
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

/// Every user can read the files that root has written, whatever root's umask was.
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

/// Each command says what a user that is not root may not see, and why.
#[test]
fn a_user_that_is_not_root() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.run(&["install", &file(&machine, "fix")]);
    machine.folder("var/lib/systemd/pstore");
    machine.folder("sys/fs/pstore");
    let chmod = |path: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(machine.path(path), permissions).unwrap();
    };
    let program = machine.path("rlp");
    std::fs::copy(env!("CARGO_BIN_EXE_rlp"), &program).unwrap();
    chmod("", 0o755);
    let nobody = |arguments: &[&str]| {
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program)
            .args(arguments);
        machine.run_with(&mut setpriv)
    };
    // These commands print the same as for root.
    for arguments in [
        &["status"][..],
        &["info"],
        &["history"],
        &["verify"],
        &["check", "--kernel"],
    ] {
        let (own, roots) = (nobody(arguments), machine.run(arguments));
        assert_eq!(
            (own.status, &own.out),
            (roots.status, &roots.out),
            "{own:?}"
        );
    }
    for (path, arguments, status) in [
        ("var/lib/rlp", &["status"][..], 0),
        ("var/lib/rlp", &["status", "--json"], 0),
        ("var/lib/rlp", &["doctor"], 0),
        ("var/lib/rlp", &["history"], 1),
        ("sys/fs/pstore", &["status"], 0),
        ("sys/fs/pstore", &["doctor"], 6),
        ("sys/kernel/rust_livepatch", &["status"], 1),
        ("sys/kernel/rust_livepatch", &["info"], 1),
        ("sys/kernel/rust_livepatch", &["status", "--nagios"], 3),
    ] {
        chmod(path, 0o700);
        let output = nobody(arguments);
        chmod(path, 0o755);
        let all = format!("{}{}", output.out, output.err);
        assert!(
            all.contains(&format!("/{path}")),
            "{arguments:?}: {output:?}"
        );
        assert!(
            all.contains("Permission denied"),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(output.status, status, "{arguments:?}: {output:?}");
        // The part that can be seen is shown.
        if path != "sys/kernel/rust_livepatch" && arguments[0] == "status" {
            output.has("live_fix");
        }
    }
}

#[test]
fn colours_are_for_terminals() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    let program = env!("CARGO_BIN_EXE_rlp");
    let terminal = |arguments: &str, no_color: &str| {
        let mut script = Command::new("script");
        let command = format!("{program} {arguments}");
        script.args(["-qec", &command, "/dev/null"]);
        script
            .env("NO_COLOR", no_color)
            .stdin(std::process::Stdio::null());
        machine.run_with(&mut script)
    };
    for arguments in [
        "status",
        "info",
        "history",
        "doctor",
        "confirm -n",
        "reverse",
    ] {
        let words: Vec<_> = arguments.split(' ').collect();
        let output = machine.run(&words);
        assert!(
            !output.out.contains('\x1b') && !output.err.contains('\x1b'),
            "{output:?}"
        );
        let output = terminal(arguments, "1");
        assert!(!output.out.contains('\x1b'), "{output:?}");
        if arguments != "history" {
            let output = terminal(arguments, "");
            assert!(output.out.contains("\x1b["), "{arguments}: {output:?}");
        }
        let output = terminal(&format!("{arguments} --json"), "");
        assert!(!output.out.contains('\x1b'), "{output:?}");
    }
}
