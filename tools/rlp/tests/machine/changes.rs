// SPDX-License-Identifier: GPL-2.0

//! The commands that change a machine, as far as that needs no kernel: dry runs, single writes,
//! what is refused, and what is on the disk afterwards.

use crate::common::{
    Machine,
    RELEASE, //
};
use crate::elf;
use serde_json::json;

#[test]
fn dry_runs_change_nothing() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    let dry = |arguments: &[&str], out: &str| {
        let before = machine.tree("");
        let arguments = [arguments, &["-n"]].concat();
        machine.run(&arguments).is(0, out);
        let value = machine.json(&arguments);
        assert_eq!(value["dry_run"], true);
        assert_eq!(machine.tree(""), before, "{arguments:?}");
    };
    dry(
        &["load", file],
        "fix: would be loaded\n  fixes CVE-2026-0001 CVE-2026-0002\n",
    );
    dry(
        &[
            "load",
            "--probation",
            "60",
            "--deadline",
            "9",
            "--test",
            "touch /x",
            file,
        ],
        "fix: would be loaded\n  fixes CVE-2026-0001 CVE-2026-0002\n  it would be on probation \
         for 60 s\n  then: sh -c 'touch /x'\n  it would be confirmed if that succeeds, and taken \
         back if not\n  the loader would reverse the transition if it is not complete after 9 s\n",
    );
    dry(
        &["load", "--test", "true", file],
        "fix: would be loaded\n  fixes CVE-2026-0001 CVE-2026-0002\n  it would be on probation \
         for 300 s\n  then: sh -c 'true'\n  it would be confirmed if that succeeds, and taken \
         back if not\n",
    );
    dry(
        &["install", file],
        "fix: would be installed\n  to load it now: rlp load /files/fix.ko\n  systemd does not run \
         here: each boot must run rlp boot\n",
    );
    dry(&["uninstall", "fix"], "fix: is not installed\n");
    dry(&["confirm"], "nothing to do\n");
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    dry(&["confirm"], "live_fix: would be confirmed\n");
    dry(&["unload", "live_fix"], "live_fix: would be unloaded\n");
    dry(
        &["unload", "--deadline", "9", "live_fix"],
        "live_fix: would be unloaded\n  the loader would reverse the transition if it is not \
         complete after 9 s\n",
    );
    dry(&["unload", "--all"], "live_fix: would be unloaded\n");
    machine.set("live_fix", "transition", "1");
    dry(
        &["reverse"],
        "live_fix: would be reversed\n  it would not be in effect\n",
    );
    dry(
        &["force", "live_fix"],
        "live_fix: would be forced\n  only with --yes-i-know\n",
    );
    dry(
        &["load", file],
        "fix: would be loaded\n  it would wait for live_fix, which is in transition\n  fixes \
         CVE-2026-0001 CVE-2026-0002\n",
    );
    dry(
        &["force", "live_fix", "--yes-i-know"],
        "live_fix: would be forced\n",
    );
    machine.run(&["install", file]);
    dry(
        &["install", file],
        "fix: is installed already\n  to load it now: rlp load /files/fix.ko\n  systemd does not \
         run here: each boot must run rlp boot\n",
    );
    dry(&["uninstall", "fix"], "fix: would be uninstalled\n");
}

/// Each command that changes something has a dry run. The command for udev is not for people.
#[test]
fn each_change_has_a_dry_run() {
    let machine = Machine::new();
    let help = machine.run(&["--help"]).out;
    let verbs = help.lines().filter_map(|line| line.strip_prefix("  "));
    let mut verbs: Vec<_> = verbs.filter_map(|line| line.split(' ').next()).collect();
    verbs.retain(|verb| !verb.is_empty() && !["evidence", "level"].contains(verb));
    verbs.extend(["level status", "level covers", "boot", "heartbeat"]);
    let groups = [
        "evidence export",
        "level apply",
        "level build",
        "level hold",
        "level release",
    ];
    verbs.extend(groups);
    let changes = "load unload confirm reverse force install uninstall boot heartbeat";
    for verb in verbs {
        let arguments: Vec<_> = verb.split(' ').chain(["--help"]).collect();
        let options = machine.run(&arguments).out;
        let is_change = groups.contains(&verb) || changes.split(' ').any(|word| word == verb);
        assert_eq!(options.contains("--dry-run"), is_change, "{verb}");
    }
}

/// A dry run refuses what the command itself refuses, with the same words.
#[test]
fn dry_runs_are_refused_alike() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    let alike = |arguments: &[&str], status: i32, why: &str| {
        let dry = machine.run(&[arguments, &["--dry-run"]].concat());
        dry.fails(status, why);
        let real = machine.run(arguments);
        assert_eq!(
            (real.status, real.err),
            (dry.status, dry.err),
            "{arguments:?}"
        );
    };
    let set = |path: &str, value: &str| machine.write(path, value);
    let load = ["load", file];
    for (path, bad, good, why) in [
        (
            "proc/sys/kernel/modules_disabled",
            "1",
            "0",
            "the kernel neither loads nor unloads modules",
        ),
        (
            "proc/sys/kernel/ftrace_enabled",
            "0",
            "1",
            "next: sysctl kernel.ftrace_enabled=1",
        ),
        (
            "sys/module/rust_livepatch/parameters/require_signed",
            "Y",
            "N",
            "it is not signed, and the loader requires a signature",
        ),
    ] {
        set(path, bad);
        alike(&load, 3, why);
        set(path, good);
    }
    assert_eq!(machine.run(&["load", "-n", file]).status, 0);

    // A module of that name that cannot be unloaded.
    machine.folder("sys/module/rust_livepatch/holders/fix");
    set("sys/module/fix/refcnt", "1\n");
    alike(&load, 3, "its old module is still in use");
    alike(&["unload", "fix"], 3, "its old module is still in use");
    set("sys/module/fix/refcnt", "0\n");
    set("proc/sys/kernel/modules_disabled", "1");
    alike(
        &["unload", "fix"],
        3,
        "the kernel neither loads nor unloads modules",
    );
    set("proc/sys/kernel/modules_disabled", "0");
    std::fs::remove_dir_all(machine.path("sys/module/fix")).unwrap();

    // Patches that another one holds.
    machine.patch("old_fix", 1);
    machine.set("old_fix", "enabled", "0");
    machine.patch("live_fix", 2);
    machine.set("live_fix", "replace", "1");
    machine.set("live_fix", "confirmed", "0");
    alike(&load, 3, "live_fix is on probation, and holds the patches");
    alike(&["unload", "old_fix"], 3, "live_fix has replaced it");
    machine.set("live_fix", "transition", "1");
    alike(
        &["confirm", "live_fix"],
        3,
        "not in effect for all tasks yet",
    );

    // There is no loader.
    std::fs::remove_dir_all(machine.path("sys/kernel/rust_livepatch")).unwrap();
    machine
        .run(&["load", "-n", file])
        .fails(1, "the loader is not installed for 7.3.4+test");
    set(
        &format!("lib/modules/{RELEASE}/updates/rust_livepatch.ko"),
        "",
    );
    machine
        .run(&["load", "-n", file])
        .says(0, "the loader would be loaded first");
}

/// The dry run of a boot.
#[test]
fn dry_runs_of_a_boot() {
    let machine = Machine::new();
    for name in ["bad", "fix", "tried"] {
        let file = machine.module(name, RELEASE, "rlp_enable_patch");
        machine.run(&["install", file.to_str().unwrap()]);
    }
    machine.write(
        "var/lib/rlp/boot/intent",
        r#"{"boot": "boot-0", "patches": ["tried"]}"#,
    );
    machine.write(
        "sys/fs/pstore/dmesg-ramoops-0",
        "<0>[   12.5] rust_livepatch: the kernel panics while patch 'bad' is on probation\n",
    );
    let dry = |arguments: &[&str], out: &str| {
        let before = machine.tree("");
        machine
            .run(&[arguments, &["--dry-run"]].concat())
            .is(0, out);
        let value = machine.json(&[arguments, &["--dry-run"]].concat());
        assert_eq!(value["dry_run"], true);
        assert_eq!(machine.tree(""), before, "{arguments:?}");
    };
    dry(
        &["boot"],
        "bad: the kernel has panicked while it was on probation, so it is not loaded any more\n\
         tried: the machine failed after the last boot with it, so it is not loaded any more\n\
         fix: would be loaded\n",
    );
    dry(&["boot", "--survived"], "");
    let output = machine.run(&["boot"]);
    output.has("tried: the machine failed after the last boot with it");
    output.has("bad: the kernel has panicked");
    dry(
        &["boot", "--survived"],
        "this boot would count as survived\n",
    );
    dry(
        &["boot"],
        "bad: is quarantined, and would not be loaded\n\
         tried: is quarantined, and would not be loaded\nfix: would be loaded\n",
    );
    // The boot would find a patch that is loaded.
    machine.patch("fix", 1);
    machine.write_bytes(
        "sys/module/fix/notes/.note.gnu.build-id",
        &elf::build_id_note(b"same"),
    );
    dry(
        &["boot"],
        "bad: is quarantined, and would not be loaded\n\
         tried: is quarantined, and would not be loaded\nfix: is loaded already\n",
    );
    machine.write("proc/cmdline", "quiet livepatch.off\n");
    dry(
        &["boot"],
        "livepatch.off is on the kernel's command line: nothing is loaded\n",
    );
}

#[test]
fn loading_again_is_no_error() {
    let machine = Machine::new();
    let file = machine.module("live_fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    machine.patch("live_fix", 1);
    machine
        .run(&["load", file])
        .is(0, "live_fix: is loaded already\n");
    machine
        .run(&["unload", "other"])
        .is(0, "other: is not loaded\n");
    // A patch that is just leaving: its files are removed before its folder.
    let folder = machine.path("sys/kernel/rust_livepatch/leaving_fix");
    std::fs::create_dir(&folder).unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::remove_dir(folder).unwrap();
    });
    machine.folder("sys/module/rust_livepatch/holders/leaving_fix");
    machine.write("sys/module/leaving_fix/refcnt", "0\n");
    machine.run(&["unload", "--dry-run", "leaving_fix"]).is(
        0,
        "leaving_fix: would be unloaded\n  only its module is still loaded\n",
    );
    machine.set("live_fix", "confirmed", "0");
    machine.set("live_fix", "probation", "20");
    machine.run(&["load", file]).is(
        0,
        "live_fix: is loaded already\n  on probation: the loader takes it back in 20 s, unless: \
         rlp confirm live_fix\n",
    );
    let changed = machine.json(&["load", "--confirm", file]);
    assert_eq!(changed["changes"][0]["result"], "already-loaded");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");

    // Another build of the same name.
    std::fs::write(
        machine.path("sys/module/live_fix/notes/.note.gnu.build-id"),
        b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0diff",
    )
    .unwrap();
    machine
        .run(&["load", file])
        .fails(3, "another build of live_fix is loaded");
    // A module without a build id may be anything.
    std::fs::remove_file(machine.path("sys/module/live_fix/notes/.note.gnu.build-id")).unwrap();
    machine.run(&["load", file]).fails(
        3,
        "nothing shows that the patch live_fix that is loaded is the one in the file",
    );
}

/// Some options have no effect on a patch that is loaded already. `load` names them, and uses the
/// other options.
#[test]
fn options_for_a_patch_that_is_loaded() {
    let machine = Machine::new();
    let file = machine.module("live_fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    machine.patch("live_fix", 1);
    let arguments = ["load", "--probation", "9", "--deadline", "7", file];
    machine.run(&arguments).is(
        0,
        "live_fix: is loaded already\n  --probation has no effect: the patch is loaded already\n  \
         --deadline has no effect: the transition is complete\n",
    );
    assert_eq!(machine.get("live_fix", "deadline"), "600\n");

    // Nothing ends the transition here. The loader would, after the deadline.
    machine.set("live_fix", "transition", "1");
    machine
        .run(&["load", "--timeout", "0", "--deadline", "7", file])
        .fails(4, "and the transition continues");
    assert_eq!(machine.get("live_fix", "deadline"), "7");
}

#[test]
fn confirm_and_reverse() {
    let machine = Machine::new();
    machine.run(&["confirm"]).is(0, "nothing to do\n");
    machine
        .run(&["confirm", "other"])
        .fails(3, "the loader has no patch other");
    machine
        .run(&["reverse"])
        .fails(3, "no patch is in transition");
    machine.patch("live_fix", 1);
    machine
        .run(&["confirm", "live_fix"])
        .is(0, "live_fix: is confirmed already\n");
    machine
        .run(&["reverse", "live_fix"])
        .fails(3, "live_fix is not in transition");
    machine.json(&["reverse"]);
    machine.set("live_fix", "transition", "1");
    // Nothing ends the transition here.
    machine
        .run(&["reverse", "--timeout", "0"])
        .fails(4, "and the transition continues");
    assert_eq!(machine.get("live_fix", "enabled"), "0");
    let value = machine.json(&["reverse", "--timeout", "0"]);
    assert_eq!(value["error"]["kind"], "in-progress");
    assert_eq!(machine.get("live_fix", "enabled"), "1");
}

#[test]
fn force_needs_words_and_a_record() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "force", "");
    machine
        .run(&["force", "live_fix", "--yes-i-know"])
        .fails(3, "is not in transition");
    machine.set("live_fix", "transition", "1");
    machine.set(
        "live_fix",
        "blockers",
        "tasks 1 inside do_it\n7 a inside do_it",
    );
    machine.run(&["force", "live_fix"]).fails(3, "--yes-i-know");
    machine.run(&["force"]).fails(3, "live_fix was not forced");
    // A folder in place of the file: it cannot be written, even by root.
    machine.folder("var/lib/rlp/history.jsonl");
    machine
        .run(&["force", "live_fix", "--yes-i-know"])
        .fails(1, "the history cannot be written");
    assert_eq!(machine.get("live_fix", "force"), "\n");
    std::fs::remove_dir(machine.path("var/lib/rlp/history.jsonl")).unwrap();
    machine.run(&["force", "live_fix", "--yes-i-know"]).is(
        0,
        "live_fix: forced\n  modules that this retires stay until the next boot\n",
    );
    assert_eq!(machine.get("live_fix", "force"), "1");
    let history = machine.json(&["history"]);
    assert_eq!(
        history["records"][0]["detail"],
        "1 task is inside do_it(), which the transition changes"
    );
    assert_eq!(history["records"][1]["result"], "forced");
}

#[test]
fn other_changes_are_made_without_a_record() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    machine.folder("var/lib/rlp/history.jsonl");
    let output = machine.run(&["confirm"]);
    output.says(0, "the history was not written");
    assert_eq!(machine.get("live_fix", "confirmed"), "1");
}

/// Enables a unit, as "systemctl enable" does.
fn enable(machine: &Machine, unit: &str, target: &str) {
    let wants = format!("etc/systemd/system/{target}.target.wants");
    machine.folder(&wants);
    std::os::unix::fs::symlink(
        format!("/usr/lib/systemd/system/{unit}"),
        machine.path(&format!("{wants}/{unit}")),
    )
    .unwrap();
}

/// rlp does not enable the timer of the heartbeat. Its package or the operator does.
#[test]
fn no_heartbeat() {
    let machine = Machine::new();
    let lacks = || {
        let output = machine.run(&["doctor"]);
        output.out.contains("rlp-heartbeat.timer is not enabled")
    };
    assert!(!lacks(), "another init runs the heartbeat by itself");
    machine.folder("run/systemd/system");
    assert!(lacks());
    enable(&machine, "rlp-heartbeat.timer", "timers");
    assert!(!lacks());
}

/// Somebody has disabled the units that load the patches.
#[test]
fn no_unit_loads_the_patches() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    let install = ["install", file];
    machine.patch("fix", 1);
    machine.write_bytes(
        "sys/module/fix/notes/.note.gnu.build-id",
        &elf::build_id_note(b"same"),
    );
    let other = "systemd does not run here: each boot must run rlp boot";
    machine.run(&["install", "-n", file]).says(0, other);
    machine.folder("run/systemd/system");
    machine.run(&["install", "-n", file]).is(
        0,
        "fix: would be installed\n  rlp-boot.service would be enabled\n  \
         rlp-boot-survived.timer would be enabled\n",
    );
    let failed = machine.run(&install);
    failed.fails(1, "the installed patches are not loaded at boot");
    failed.has("fix: installed");
    let note = "it is loaded again at the next boot";
    let no = |unit: &str| format!("patches are installed, and {unit} is not enabled");
    assert!(!machine.run(&["unload", "-n", "fix"]).out.contains(note));
    let status = machine.run(&["status"]);
    status.has("installed, and not loaded at boot: fix");
    status.has(&no("rlp-boot.service"));
    status.has(&no("rlp-boot-survived.timer"));
    assert_eq!(machine.run(&["status", "--nagios"]).status, 2);
    assert_eq!(machine.run(&["doctor"]).status, 6);

    enable(&machine, "rlp-boot.service", "sysinit");
    machine.run(&["unload", "-n", "fix"]).has(note);
    let status = machine.run(&["status"]);
    status.has("\nloaded at each boot: fix\n");
    assert!(!status.out.contains(&no("rlp-boot.service")));
    status.has(&no("rlp-boot-survived.timer"));
    machine
        .run(&install)
        .fails(1, "with --root no unit is enabled");

    enable(&machine, "rlp-boot-survived.timer", "timers");
    machine.run(&install).is(0, "fix: is installed already\n");
    assert_eq!(machine.run(&["status", "--nagios"]).status, 0);
    std::os::unix::fs::symlink(
        "/dev/null",
        machine.path("etc/systemd/system/rlp-boot.service"),
    )
    .unwrap();
    machine.run(&["status"]).has(&no("rlp-boot.service"));
}

#[test]
fn install_and_uninstall() {
    let machine = Machine::new();
    let first = machine.module("first", RELEASE, "rlp_enable_patch");
    let second = machine.module("second", RELEASE, "rlp_enable_patch");
    let later = machine.module("later", "8.0", "rlp_enable_patch");
    let [first, second, later] = [&first, &second, &later].map(|path| path.to_str().unwrap());
    let installed = machine.json(&["install", second, first]);
    assert_eq!(installed["changes"][1]["result"], "installed");
    let list = format!("var/lib/rlp/boot/{RELEASE}/list");
    assert_eq!(machine.read(&list), "second\nfirst\n");
    assert!(machine
        .path(&format!("var/lib/rlp/boot/{RELEASE}/first.ko"))
        .exists());
    let again = machine.json(&["install", first]);
    assert_eq!(again["changes"][0]["result"], "already-installed");
    let other = machine.json(&["install", later]);
    assert_eq!(
        other["changes"][0]["notes"],
        json!([
            "for the kernel 8.0",
            "its build of the kernel is not known: a boot compares only the release",
            "systemd does not run here: each boot must run rlp boot"
        ])
    );
    assert_eq!(machine.read("var/lib/rlp/boot/8.0/list"), "later\n");
    let output = machine.run(&["list"]);
    output.has("\nloaded at each boot: second first\nloaded at each boot of 8.0: later\n");
    let status = machine.json(&["status"]);
    assert_eq!(status["installed_elsewhere"][0]["release"], "8.0");
    // As with kpatch, a file for another release is refused if the release is given.
    let wrong = ["install", "-k", RELEASE, later];
    machine.run(&wrong).fails(3, "it is built for 8.0");
    let right = ["install", "--kernel-version=8.0", later];
    machine.run(&right).says(0, "later: is installed already");

    machine.patch("first", 1);
    let plan = machine.run(&["unload", "-n", "first"]);
    assert!(
        plan.out.contains("it is loaded again at the next boot"),
        "{plan:?}"
    );
    for folder in ["kernel/rust_livepatch/first", "module/first"] {
        std::fs::remove_dir_all(machine.path(&format!("sys/{folder}"))).unwrap();
    }

    // A patch that should be there, and is not, is bad news.
    let output = machine.run(&["status", "--nagios"]);
    assert_eq!(output.status, 2, "{output:?}");
    machine.write("proc/cmdline", "quiet livepatch.off\n");
    let output = machine.run(&["status", "--nagios"]);
    output.says(1, "livepatch.off");

    machine
        .run(&["uninstall", "second"])
        .is(0, "second: uninstalled\n");
    machine
        .run(&["uninstall", "second"])
        .is(0, "second: is not installed\n");
    assert_eq!(machine.read(&list), "first\n");
    assert!(!machine
        .path(&format!("var/lib/rlp/boot/{RELEASE}/second.ko"))
        .exists());
    machine
        .run(&["uninstall", "--release", "8.0", "later"])
        .is(0, "later: uninstalled\n");

    for (name, symbol, why) in [
        ("intree", "klp_enable_patch", "in-tree"),
        ("driver", "printk", "not a live patch"),
        ("../up", "rlp_enable_patch", "not valid"),
    ] {
        let file = machine.module(name, RELEASE, symbol);
        machine
            .run(&["install", file.to_str().unwrap()])
            .fails(3, why);
    }
}

/// The kernel was built again, and has the same release. An installed patch without a proof is for
/// the build that it was installed for.
#[test]
fn a_boot_of_another_build_of_the_kernel() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    machine.run(&["install", file]);
    machine.run(&["boot", "-n"]).is(0, "fix: would be loaded\n");
    machine
        .run(&["doctor"])
        .has("fix is installed for this kernel");
    machine.write_bytes("sys/kernel/notes", &elf::build_id_note(&[0xbb, 1, 2, 3]));
    let why = "it was installed for another build of 7.3.4+test: the kernel's build id is \
               bb010203, and it was installed for aa010203";
    for boot in [&["boot", "-n"][..], &["boot"]] {
        machine.run(boot).says(0, why);
    }
    machine.run(&["doctor"]).says(6, why);
    // The operator says that it is for this build, too.
    machine
        .run(&["install", "-n", file])
        .has("fix: would be installed");
    machine.run(&["install", file]).has("fix: installed");
    machine.run(&["boot", "-n"]).is(0, "fix: would be loaded\n");
    // A module that was replaced by hand, and one that an older rlp has installed.
    let kernel = format!("var/lib/rlp/boot/{RELEASE}/fix.kernel");
    machine.write(&kernel, "");
    machine
        .run(&["boot", "-n"])
        .has("fix.kernel does not name this file");
    std::fs::remove_file(machine.path(&kernel)).unwrap();
    machine
        .run(&["doctor"])
        .has("fix: its build of the kernel is not known: a boot compares only the release");
    machine.run(&["install", file]).has("fix: installed");
    // With a proof, the build of the kernel is that of the proof.
    let later = machine.module("later", "8.0", "rlp_enable_patch");
    machine.write(
        "files/later.proof.json",
        r#"{"kernel": {"build_id": "cc01"}}"#,
    );
    machine.run(&["install", later.to_str().unwrap()]);
    let kernel = machine.read("var/lib/rlp/boot/8.0/later.kernel");
    assert!(kernel.ends_with(" cc01\n"), "{kernel}");
    machine.write("proc/sys/kernel/osrelease", "8.0\n");
    machine.run(&["boot", "-n"]).has("installed for cc01");
}

/// A patch that cannot be loaded does not keep the others from being loaded.
#[test]
fn a_boot_without_one_of_its_files() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    machine.run(&["install", file.to_str().unwrap()]);
    let list = format!("var/lib/rlp/boot/{RELEASE}/list");
    machine.write(&list, "lost\nfix\n");
    let output = machine.run(&["boot"]);
    assert_eq!(output.status, 0, "{output:?}");
    let lost = format!("/var/lib/rlp/boot/{RELEASE}/lost.ko: No such file");
    assert!(output.out.contains(&lost), "{output:?}");
    output.has("with --root no module is loaded");
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status, 6);
    assert!(output.out.contains(&lost), "{output:?}");
    // A file without a line in the list is not loaded. A power cut before the line is written
    // leaves such a file.
    machine.write(&list, "");
    machine
        .run(&["uninstall", "fix"])
        .is(0, "fix: is not installed\n");
    machine.run(&["boot"]).is(0, "");
}

/// If the machine fails after a boot, the patches of that boot are quarantined: the next boot does
/// not load them.
#[test]
fn a_boot_that_does_not_last() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    machine.run(&["boot"]).is(0, "");
    machine.run(&["install", file]);
    // Nothing can be loaded into this machine, and the boot does not fail.
    let output = machine.run(&["boot"]);
    assert_eq!((output.status, &output.err[..]), (0, ""), "{output:?}");
    output.has("with --root no module is loaded");
    let intent = "var/lib/rlp/boot/intent";
    assert_eq!(
        machine.read(intent),
        r#"{"boot":"boot-1","patches":["fix"]}"#
    );
    // The service runs once more in the same boot.
    assert!(!machine.run(&["boot"]).out.contains("last boot"));

    // The machine survives.
    assert!(machine
        .run(&["boot", "--survived"])
        .out
        .contains("survived"));
    assert!(!machine.path(intent).exists());
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
    assert!(machine.run(&["boot"]).out.contains("with --root"));

    // The machine panics: another boot finds the intent.
    machine.write("proc/sys/kernel/random/boot_id", "boot-3\n");
    let output = machine.run(&["boot"]);
    output.has("fix: the machine failed after the last boot with it");
    assert!(!output.out.contains("with --root"), "{output:?}");
    machine.json(&["boot"]);
    assert_eq!(machine.run(&["status", "--nagios"]).status, 2);
    assert_eq!(machine.run(&["doctor"]).status, 6);
    machine.write("proc/sys/kernel/random/boot_id", "boot-4\n");
    machine.run(&["boot"]).is(0, "");

    // The operator installs it once more.
    let again = machine.json(&["install", file]);
    assert_eq!(again["changes"][0]["result"], "installed");
    assert!(machine.run(&["boot"]).out.contains("with --root"));

    machine.write("proc/cmdline", "quiet livepatch.off\n");
    machine.run(&["boot"]).is(
        0,
        "livepatch.off is on the kernel's command line: nothing is loaded\n",
    );
}

/// The machine dies in the first minutes of a boot, while a level is applied. The level is to
/// blame, once: if the next boot fails, too, its patches are quarantined.
#[test]
fn a_boot_that_a_level_has_ended() {
    for (phase, boot, is_blamed) in [
        ("loading", "boot-1", true),
        ("checking", "boot-1", true),
        ("confirmed", "boot-1", false),
        ("checking", "boot-0", false),
    ] {
        let machine = Machine::new();
        let file = machine.module("fix", RELEASE, "rlp_enable_patch");
        machine.run(&["install", file.to_str().unwrap()]);
        machine.run(&["boot"]).has("with --root");
        let level = format!(
            r#"{{"boot":"{boot}","level":7,"phase":"{phase}","patch":"level7","build_id":null,
                "before":{{"log":null,"failed_units":[]}}}}"#
        );
        machine.write("var/lib/rlp/level/intent", &level);
        machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
        let blames = "level 7: the machine failed while it was applied";
        let quarantines = "fix: the machine failed after the last boot with it";
        let boots = |words: &str| {
            for arguments in [&["boot", "-n"][..], &["boot"]] {
                machine.run(arguments).has(words);
            }
        };
        if is_blamed {
            boots(blames);
            assert!(!machine.path("var/lib/rlp/boot/quarantine").exists());
            machine.write("proc/sys/kernel/random/boot_id", "boot-3\n");
        }
        boots(quarantines);
        assert_eq!(machine.read("var/lib/rlp/boot/quarantine"), "fix\n");
    }
}

/// A panic while an installed patch is on probation quarantines the patch, once.
#[test]
fn a_panic_on_probation() {
    let machine = Machine::new();
    let file = machine.module("fix", RELEASE, "rlp_enable_patch");
    let file = file.to_str().unwrap();
    machine.run(&["install", file]);
    machine.run(&["boot", "--survived"]);
    let log = "var/lib/systemd/pstore/1/dmesg.txt";
    for name in ["other", "fix"] {
        machine.write(
            &format!("{log}-{name}"),
            &format!("<0>rust_livepatch: the kernel panics while patch '{name}' is on probation\n"),
        );
    }
    let output = machine.run(&["boot"]);
    output.has("fix: the kernel has panicked while it was on probation");
    assert!(!output.out.contains("with --root"), "{output:?}");
    assert!(!output.out.contains("other"), "{output:?}");
    let output = machine.run(&["status"]);
    output.has("the kernel has panicked while other was on probation");
    assert_eq!(machine.run(&["status", "--nagios"]).status, 2);
    let records = machine.json(&["history"])["records"].clone();
    let records = records.as_array().unwrap().iter();
    let panics = records.filter(|record| record["action"] == "panic");
    assert_eq!(panics.count(), 2);
    machine.run(&["boot"]).is(0, "");

    // The operator installs it once more. The log is still there, and another part of pstore has
    // it, too.
    machine.run(&["install", file]);
    let log = std::fs::read(machine.path(&format!("{log}-fix"))).unwrap();
    machine.write_bytes("sys/fs/pstore/console-ramoops-0", &log);
    std::fs::remove_dir_all(machine.path("var/lib/systemd/pstore")).unwrap();
    assert!(machine.run(&["boot"]).out.contains("with --root"));
}

/// A patch that is quarantined stays so as long as it is installed for any kernel.
#[test]
fn a_quarantine_is_for_all_kernels() {
    let machine = Machine::new();
    for release in [RELEASE, "7.3.5+test"] {
        let file = machine.module("fix", release, "rlp_enable_patch");
        machine.run(&["install", file.to_str().unwrap()]);
    }
    machine.run(&["boot", "--survived"]);
    machine.write("proc/sys/kernel/osrelease", "7.3.6+test\n");
    machine.write(
        "sys/fs/pstore/dmesg-ramoops-0",
        "<0>[   12.5] rust_livepatch: the kernel panics while patch 'fix' is on probation\n",
    );
    machine.run(&["boot"]);
    machine.write("proc/sys/kernel/osrelease", &format!("{RELEASE}\n"));
    machine.run(&["boot"]).is(0, "");
    let uninstall = |release| machine.json(&["uninstall", "fix", "--release", release]);
    let result = |output: &serde_json::Value| output["changes"][0]["result"].clone();
    assert_eq!(result(&uninstall("7.3.9+test")), "not-installed");
    assert_eq!(result(&uninstall("7.3.5+test")), "uninstalled");
    machine.run(&["boot"]).is(0, "");
    assert_eq!(result(&uninstall(RELEASE)), "uninstalled");
    let status = machine.run(&["status"]);
    assert!(!status.out.contains("not loaded"), "{status:?}");
}

#[test]
fn wrong_arguments() {
    let machine = Machine::new();
    for arguments in [
        &["load"][..],
        &["unload"],
        &["unload", "--all", "fix"],
        &["load", "--confirm", "--test", "true", "x.ko"],
        &["load", "--probation", "0", "x.ko"],
        &["no-such-verb"],
        &["status", "--bogus"],
        // Words of another tool.
        &["--update"],
    ] {
        let output = machine.run(arguments);
        assert_eq!((output.status, &output.out[..]), (2, ""), "{arguments:?}");
        assert!(!output.err.is_empty(), "{arguments:?}");
        let value = machine.json(arguments);
        assert_eq!(value["command"], json!(null), "{arguments:?}");
        assert_eq!(value["error"]["kind"], "usage", "{arguments:?}");
        let what = value["error"]["what"].as_str().unwrap();
        assert!(output.err.contains(what), "{arguments:?}: {value}");
    }
    assert_eq!(machine.run(&[]).status, 2);
    machine.json(&[]);
    let help = machine.run(&["--help"]);
    assert_eq!((help.status, &help.err[..]), (0, ""));

    // For Nagios, 2 would be a critical problem.
    for arguments in [
        &["status", "--nagios", "--bogus"][..],
        &["list", "--nagios", "x"],
    ] {
        let output = machine.run(arguments);
        output.says(3, "LIVEPATCH UNKNOWN - unexpected argument");
        assert_eq!(output.out.lines().count(), 1, "{output:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["load", "--help"]] {
        let text = machine.run(arguments);
        assert_eq!(machine.json(arguments)["text"], text.out);
        assert_eq!(text.status, 0);
    }
    let value = machine.json(&["status", "--nagios", "--bogus"]);
    assert_eq!(
        (&value["status"], &value["error"]["kind"]),
        (&json!(3), &json!("usage"))
    );
}

#[test]
fn pages_and_completion() {
    let machine = Machine::new();
    let folder = machine.path("man");
    machine.run(&["manual", folder.to_str().unwrap()]).is(0, "");
    let page = machine.read("man/rlp.8");
    for text in ["EXIT STATUS", "taken back", "rlp\\-load", "SEE ALSO"] {
        assert!(page.contains(text), "no '{text}' in {page}");
    }
    let page = machine.read("man/rlp-load.8");
    for text in ["EXIT STATUS", "probation"] {
        assert!(page.contains(text), "no '{text}' in {page}");
    }
    // Units run these verbs. The guide names them, too.
    for verb in ["boot", "heartbeat", "evidence-export"] {
        assert!(
            machine.path(&format!("man/rlp-{verb}.8")).exists(),
            "{verb}"
        );
    }
    assert!(!machine.path("man/rlp-event.8").exists(), "it is for udev");
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.run(&["completion", shell]);
        assert!(script.out.contains("nagios"), "{shell}");
    }
    // A script and pages are no JSON.
    for arguments in [&["completion", "bash"][..], &["manual", "/nowhere"]] {
        let value = machine.json(arguments);
        assert_eq!(value["error"]["kind"], "usage", "{arguments:?}");
    }
    machine
        .run_with(
            std::process::Command::new(env!("CARGO_BIN_EXE_rlp"))
                .args(["event", "--json"])
                .envs([("PATCH", "fix"), ("EVENT", "leave")]),
        )
        .says(0, "\"command\": \"event\"");
    assert_eq!(machine.json(&["event"])["status"], 1);
}
