// SPDX-License-Identifier: GPL-2.0

//! The application of levels, as far as it needs no kernel: the decision, the checks of the files,
//! a patch that is on probation already, and what an earlier run has left.

use crate::common::{
    sha256,
    traced,
    with_full_disk,
    Machine,
    Output,
    KERNEL,
    RELEASE, //
};
use crate::elf;
use serde_json::{
    json,
    Value, //
};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub(crate) const PACKAGE: &str = "usr/share/rlp/level";
pub(crate) const STATE: &str = "var/lib/rlp/level";
const VERMAGIC: &str = "7.3.4+test SMP preempt mod_unload";

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes of a patch of a level.
fn patch(level: u32) -> Vec<u8> {
    let info = [
        format!("name=level{level}"),
        format!("vermagic={VERMAGIC}"),
        format!("level={level}"),
        "cves=CVE-2026-0001 CVE-2026-0002".to_owned(),
    ];
    elf::module(&info, "rlp_enable_patch", b"same")
}

/// The loader of a level.
pub(crate) fn loader(level: u32) -> Vec<u8> {
    loader_with(format!("{level:04}").as_bytes())
}

/// A loader with this build id.
pub(crate) fn loader_with(build_id: &[u8]) -> Vec<u8> {
    let info = [
        "name=rust_livepatch".to_owned(),
        format!("vermagic={VERMAGIC}"),
    ];
    elf::module(&info, "printk", build_id)
}

/// The description of a level, and its files in the package.
pub(crate) fn install(machine: &Machine, level: u32) -> Value {
    let loader = loader(level);
    let described = json!({
        "schema": 1,
        "level": level,
        "published": "2026-11-30T00:00:00Z",
        "architecture": "amd64",
        "kernels": [{
            "release": RELEASE,
            "build_id": hex(&KERNEL),
            "vermagic": VERMAGIC,
            "patch": {
                "name": format!("level{level}"),
                "file": format!("{RELEASE}/level{level}.ko"),
                "sha256": sha256(patch(level)),
                "build_id": hex(b"same"),
                "functions": 1,
            },
            "loader": {
                "file": format!("{RELEASE}/rust_livepatch.ko"),
                "sha256": sha256(&loader),
                "build_id": hex(format!("{level:04}").as_bytes()),
            },
        }],
        "fixes": [{
            "cve": "CVE-2026-0001",
            "severity": "high",
            "disclosed": null,
            "fixed_in": [],
            "releases": [RELEASE],
        }],
        "blocked": [],
    });
    machine.write_bytes(
        &format!("{PACKAGE}/{RELEASE}/level{level}.ko"),
        &patch(level),
    );
    machine.write_bytes(&format!("{PACKAGE}/{RELEASE}/rust_livepatch.ko"), &loader);
    machine.write_bytes(&format!("files/level{level}.ko"), &patch(level));
    describe(machine, &described);
    described
}

pub(crate) fn describe(machine: &Machine, level: &Value) {
    machine.write(&format!("{PACKAGE}/level.json"), &level.to_string());
}

pub(crate) fn policy(machine: &Machine, text: &str) {
    machine.write("etc/rlp/policy.d/10-test.toml", text);
}

/// A machine with level 7, which a canary applies at once.
pub(crate) fn canary() -> Machine {
    let machine = Machine::new();
    machine.write("proc/uptime", "100.00 0.00\n");
    install(&machine, 7);
    policy(&machine, "ring = 'canary'\nhealth.settle = 0\n");
    machine
}

/// The patch of the level is loaded, and on probation.
pub(crate) fn on_probation(machine: &Machine, level: u32) {
    let name = format!("level{level}");
    machine.patch(&name, level);
    machine.set(&name, "confirmed", "0");
    machine.set(&name, "probation", "900");
    machine.set(&name, "replace", "1");
    machine.set(&name, "cves", "CVE-2026-0001");
}

/// Each run executes this script as a check of a level.
pub(crate) fn check(machine: &Machine, name: &str, script: &str) {
    let path = format!("etc/rlp/health.d/{name}");
    machine.write(&path, &format!("#!/bin/sh\n{script}\n"));
    let mode = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(machine.path(&path), mode).unwrap();
}

/// The loader removes the folder of a patch that is disabled.
fn disables(machine: &Machine, patch: &str) -> std::thread::JoinHandle<()> {
    let folder = machine.path(&format!("sys/kernel/rust_livepatch/{patch}"));
    std::thread::spawn(move || {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(300);
        let enabled = folder.join("enabled");
        while std::fs::read_to_string(&enabled).unwrap().trim() != "0" {
            assert!(std::time::Instant::now() < until, "{folder:?} is enabled");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::fs::remove_dir_all(folder).unwrap();
    })
}

/// A run applies what is due, and the loader disables this patch.
pub(crate) fn apply_and_disable(machine: &Machine, patch: &str) -> Output {
    let loader = disables(machine, patch);
    let output = machine.run(&["level", "apply"]);
    loader.join().unwrap();
    output
}

pub(crate) fn leaves(machine: &Machine, patch: &str) {
    let folder = machine.path(&format!("sys/kernel/rust_livepatch/{patch}"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A machine on which the levels 6 and 7 were verified, and 7 is in effect.
pub(crate) fn six_and_seven() -> Machine {
    let machine = canary();
    for level in [6, 7] {
        install(&machine, level);
        on_probation(&machine, level);
        machine
            .run(&["level", "apply"])
            .says(0, "is in effect and confirmed");
        if level == 6 {
            leaves(&machine, "level6");
        }
    }
    machine
}

fn records(machine: &Machine) -> Vec<Value> {
    let history = machine.json(&["history"]);
    history["records"].as_array().unwrap().clone()
}

/// The actions in the history that are about a level, with their results.
fn actions(machine: &Machine) -> Vec<String> {
    let records = records(machine).into_iter();
    records
        .filter(|record| record["level"] == 7)
        .map(|record| {
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            [text("action"), text("phase"), text("result")]
                .join(" ")
                .trim()
                .to_owned()
        })
        .collect()
}

#[test]
fn decisions_are_shown_and_change_nothing() {
    let machine = canary();
    timed(&machine);
    let shows = |text: &str, kind: &str| {
        let before = machine.tree("");
        let status = machine.run(&["level", "status"]);
        status.says(0, text);
        assert_eq!(machine.json(&["level", "status"])["decision"]["kind"], kind);
        let dry = machine.run(&["level", "apply", "--dry-run"]);
        dry.says(0, text);
        dry.has("  next: ");
        assert_eq!(
            machine.json(&["level", "apply", "-n"])["decision"]["kind"],
            kind
        );
        assert_eq!(machine.tree(""), before, "{text}");
    };
    shows("level 7 is due", "apply");
    policy(&machine, "ring = 'late'");
    shows(
        "level 7 waits: the ring late waits 72 h for a fix of severity high",
        "wait",
    );
    machine
        .run(&["level", "apply", "-n", "--now"])
        .says(0, "level 7 is due");
    policy(&machine, "blocked = [7]");
    shows(
        "level 7 is blocked: the policy of this machine blocks it",
        "blocked",
    );
    policy(
        &machine,
        "hold = { until = '2999-01-01', reason = 'sales' }",
    );
    shows("level 7 is held: sales", "hold");
    policy(&machine, "ring = 'canary'");
    machine.write_bytes("sys/kernel/notes", &elf::build_id_note(&[1, 2]));
    shows(
        "its patch is for another build of 7.3.4+test",
        "not-covered",
    );
    machine.write("proc/sys/kernel/osrelease", "7.4.0\n");
    shows(
        "level 7 does not cover this kernel: it has no patch for 7.4.0",
        "not-covered",
    );
    std::fs::remove_dir_all(machine.path(PACKAGE)).unwrap();
    shows("no level is installed", "nothing");
}

/// systemd runs, and rlp-apply.timer is enabled.
pub(crate) fn timed(machine: &Machine) {
    machine.folder("run/systemd/system");
    machine.write("etc/systemd/system/timers.target.wants/rlp-apply.timer", "");
}

/// Without the timer, nothing happens by itself. That is said.
#[test]
fn the_timer_is_missing() {
    let machine = canary();
    let missing = |machine: &Machine| machine.json(&["level", "status"])["timer_missing"].clone();
    assert_eq!(missing(&machine), false, "without systemd");
    machine.folder("run/systemd/system");
    let text = "rlp-apply.timer is not enabled: no run applies or takes back levels";
    // The next run of the timer is no next step then.
    let applies = "the next run of rlp-apply.timer applies it";
    let output = machine.run(&["level", "status"]);
    output.says(0, text);
    assert!(!output.out.contains(applies), "{output:?}");
    assert!(!machine.run(&["level", "apply", "-n"]).out.contains("next:"));
    let decision = machine.json(&["level", "apply", "-n"])["decision"].clone();
    assert_eq!(decision["next"], Value::Null);
    assert_eq!(missing(&machine), true);
    timed(&machine);
    machine.run(&["level", "status"]).says(0, applies);
    machine.run(&["level", "apply", "-n"]).says(0, applies);
    machine.write("proc/cmdline", "quiet livepatch.off\n");
    assert!(!machine.run(&["level", "status"]).out.contains(applies));
    machine.write("proc/cmdline", "quiet\n");
    assert!(!machine.run(&["level", "status"]).out.contains(text));
    assert_eq!(missing(&machine), false);
}

/// A level is in effect for the build of the kernel that it was verified for, and for no other
/// build with the same release.
#[test]
fn a_level_of_another_build_of_the_kernel() {
    let machine = six_and_seven();
    machine
        .run(&["boot", "-n"])
        .says(0, "level7: is loaded already");
    machine.write_bytes("sys/kernel/notes", &elf::build_id_note(&[0xbb, 1, 2, 3]));
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["in_effect"], Value::Null);
    for command in [&["level", "status"][..], &["level", "apply", "-n"]] {
        machine.run(command).says(
            0,
            "level7 is loaded, and is level 7 for another build of this kernel: rlp unload level7",
        );
    }
    leaves(&machine, "level7");
    machine
        .run(&["boot", "-n"])
        .says(0, "it was installed for another build of 7.3.4+test");
}

#[test]
fn a_level_waits_for_the_delay() {
    let machine = canary();
    policy(&machine, "ring = 'early'");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 waits: the ring early waits 24 h");
    assert_eq!(actions(&machine), ["available state"]);
    let kept = machine.read(&format!("{STATE}/7/level.json"));
    assert!(kept.contains("\"level\": 7"), "{kept}");
    // The time that the machine runs is counted, whatever the boot.
    machine.write("proc/uptime", "43300.00 0.00\n");
    machine.run(&["level", "apply"]).says(0, "level 7 waits");
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
    machine.write("proc/uptime", "43190.00 0.00\n");
    machine.run(&["level", "apply"]).says(0, "level 7 waits");
    machine.write("proc/uptime", "43210.00 0.00\n");
    machine
        .run(&["level", "apply", "-n"])
        .says(0, "level 7 is due");
    assert_eq!(actions(&machine), ["available state"]);
}

#[test]
fn a_level_is_verified_and_stored() {
    let machine = canary();
    on_probation(&machine, 7);
    check(
        &machine,
        "10-good",
        "test \"level$RLP_LEVEL\" = \"$RLP_PATCH\"",
    );
    let output = machine.run(&["level", "apply"]);
    output.says(
        0,
        "level 7: level7 is in effect and confirmed, and is loaded at each boot\n",
    );
    assert_eq!(machine.get("level7", "confirmed"), "1");
    assert_eq!(
        machine.read(&format!("var/lib/rlp/boot/{RELEASE}/list")),
        "level7\n"
    );
    for path in [
        format!("{STATE}/7/{RELEASE}/level7.ko"),
        format!("var/lib/rlp/boot/{RELEASE}/level7.ko"),
    ] {
        assert_eq!(
            std::fs::read(machine.path(&path)).unwrap(),
            patch(7),
            "{path}"
        );
    }
    assert!(!machine.path(&format!("{STATE}/intent")).exists());
    assert_eq!(
        actions(&machine),
        ["available state", "apply begin", "apply end verified"]
    );
    let records = records(&machine);
    let seen = &records.last().unwrap()["machine"]["patches"][0];
    assert_eq!(
        (&seen["state"], &seen["cves"][0]),
        (&json!("in-effect"), &json!("CVE-2026-0001"))
    );
    let status = machine.json(&["level", "status"]);
    assert_eq!(
        status["in_effect"],
        json!({ "level": 7, "patch": "level7" })
    );
    assert_eq!(status["verified"], json!([7]));
    // A second run has nothing to do.
    let before = machine.tree("var/lib/rlp/boot");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is in effect\n");
    assert_eq!(machine.tree("var/lib/rlp/boot"), before);
    assert_eq!(actions(&machine).len(), 3);
    // The next level replaces it at boot.
    install(&machine, 8);
    std::fs::remove_dir_all(machine.path("sys/kernel/rust_livepatch/level7")).unwrap();
    on_probation(&machine, 8);
    machine
        .run(&["level", "apply"])
        .says(0, "level 8: level8 is in effect and confirmed");
    assert_eq!(
        machine.read(&format!("var/lib/rlp/boot/{RELEASE}/list")),
        "level8\n"
    );
    assert_eq!(
        machine.json(&["level", "status"])["verified"],
        json!([7, 8])
    );
    assert_eq!(machine.json(&["verify"])["whole"], true);
}

/// The fake machine cannot unload a module. So the patch is not taken back, and that is said.
#[test]
fn a_level_that_fails_is_quarantined() {
    let machine = canary();
    on_probation(&machine, 7);
    check(&machine, "10-good", "true");
    check(&machine, "20-bad", "exit 3");
    let output = apply_and_disable(&machine, "level7");
    output.fails(1, "level 7 has failed, and was not taken back");
    assert!(
        output
            .err
            .contains("the check 20-bad has failed: exit status: 3"),
        "{output:?}"
    );
    output.has("level 7 is quarantined: the check 20-bad has failed");
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["quarantined"][0]["level"], 7);
    assert_eq!(status["unfinished"]["phase"], "taking-back");
    assert!(!machine
        .path(&format!("var/lib/rlp/boot/{RELEASE}/list"))
        .exists());
    // The next run finishes that, and does not apply the level again. The cause is still named.
    machine.run(&["level", "apply"]).says(
        0,
        "level 7 is blocked: it has failed on this machine: the check 20-bad has failed",
    );
    assert!(actions(&machine).contains(&"quarantine state".to_owned()));
    assert_eq!(
        machine.json(&["level", "status"])["unfinished"],
        Value::Null
    );
    machine
        .run(&["level", "release", "--level", "7", "-n"])
        .says(0, "may be applied again");
    machine
        .run(&["level", "release", "--level", "7"])
        .says(0, "level 7 may be applied again");
    machine
        .run(&["level", "release", "--level", "7"])
        .says(0, "level 7 is not quarantined");
    machine.run(&["level", "status"]).says(0, "level 7 is due");
    assert!(actions(&machine).contains(&"release end done".to_owned()));
}

fn intent(machine: &Machine, boot: &str, phase: &str) {
    let intent = json!({
        "boot": boot,
        "level": 7,
        "phase": phase,
        "patch": "level7",
        "build_id": hex(b"same"),
        "before": { "log": null, "failed_units": [] },
    });
    machine.write(&format!("{STATE}/intent"), &intent.to_string());
    machine.write_bytes(&format!("{STATE}/7/{RELEASE}/level7.ko"), &patch(7));
}

/// A run was killed, and the next one is in the same boot.
#[test]
fn a_run_that_was_killed() {
    for phase in ["loading", "checking", "confirmed"] {
        let machine = canary();
        on_probation(&machine, 7);
        intent(&machine, "boot-1", phase);
        machine
            .run(&["level", "apply", "-n"])
            .says(0, "an earlier run has not ended");
        machine
            .run(&["level", "apply"])
            .says(0, "level7 is in effect and confirmed");
        assert!(!machine.path(&format!("{STATE}/intent")).exists());
        // The patch was confirmed already.
        let machine = canary();
        on_probation(&machine, 7);
        machine.set("level7", "confirmed", "1");
        intent(&machine, "boot-1", phase);
        let line = if phase == "confirmed" {
            "an earlier run was ended, and is finished"
        } else {
            "an earlier run was ended, and this one continues it"
        };
        machine.run(&["level", "apply"]).says(0, line);
        assert_eq!(machine.json(&["level", "status"])["verified"], json!([7]));
        assert_eq!(
            machine.read(&format!("var/lib/rlp/boot/{RELEASE}/list")),
            "level7\n"
        );
    }
    // The loader has taken the patch back.
    let machine = canary();
    intent(&machine, "boot-1", "checking");
    let output = machine.run(&["level", "apply"]);
    output.says(
        0,
        "level 7 is quarantined: it was taken back before it was confirmed",
    );
    output.has("level 7 is blocked: it has failed on this machine");
    // Its module is left.
    let machine = canary();
    intent(&machine, "boot-1", "loading");
    machine.folder("sys/module/rust_livepatch/holders/level7");
    machine.write("sys/module/level7/refcnt", "0\n");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is quarantined");
    // Nothing was loaded yet.
    let machine = canary();
    policy(&machine, "ring = 'late'");
    intent(&machine, "boot-1", "loading");
    machine.run(&["level", "apply"]).says(0, "level 7 waits");
    assert!(!machine.path(&format!("{STATE}/intent")).exists());
}

/// A run was killed during its checks, and an operator has confirmed the patch. The next run makes
/// the checks before it stores the level.
#[test]
fn a_level_that_was_confirmed_by_hand() {
    let confirmed = || {
        let machine = canary();
        on_probation(&machine, 7);
        intent(&machine, "boot-1", "checking");
        machine
            .run(&["confirm", "level7"])
            .says(0, "level7: confirmed");
        machine
    };
    let verified = |machine: &Machine| machine.json(&["level", "status"])["verified"].clone();
    let machine = confirmed();
    check(&machine, "10-good", "echo ran >${0%/*}/../ran");
    let output = machine.run(&["level", "apply"]);
    output.says(0, "level7 is in effect and confirmed");
    assert_eq!(machine.read("etc/rlp/ran"), "ran\n");
    assert_eq!(verified(&machine), json!([7]));
    // A check fails.
    let machine = confirmed();
    check(&machine, "10-bad", "exit 3");
    let output = apply_and_disable(&machine, "level7");
    output.has("level 7 is quarantined: the check 10-bad has failed");
    assert_eq!(verified(&machine), json!([]));
    // A signal says nothing about the level, and does not undo what the operator has done.
    let machine = confirmed();
    check(&machine, "10-signal", "kill -TERM $PPID; sleep 9");
    let output = machine.run(&["level", "apply"]);
    output.fails(4, "level 7 is in effect, and its checks were interrupted");
    assert_eq!(machine.get("level7", "confirmed"), "1");
    assert_eq!(machine.get("level7", "enabled"), "1\n");
    assert_eq!(verified(&machine), json!([]));
    assert!(actions(&machine).contains(&"apply end interrupted".to_owned()));
    check(&machine, "10-signal", "exit 0");
    machine
        .run(&["level", "apply"])
        .says(0, "level7 is in effect and confirmed");
    assert_eq!(verified(&machine), json!([7]));
}

#[test]
fn a_boot_that_was_not_survived() {
    for phase in ["loading", "checking"] {
        let machine = canary();
        intent(&machine, "boot-0", phase);
        let output = machine.run(&["level", "apply"]);
        output.says(
            0,
            "the machine was started again before the level was confirmed",
        );
        output.has("level 7 is blocked");
        assert!(actions(&machine).contains(&"apply end quarantined".to_owned()));
        assert!(!machine.path(&format!("{STATE}/intent")).exists());
    }
    // The level was confirmed. That the boot has ended since says nothing.
    let machine = canary();
    policy(&machine, "ring = 'late'");
    intent(&machine, "boot-0", "confirmed");
    machine.run(&["level", "apply"]).says(0, "level 7 waits");
    // The boot has quarantined the patch of the level.
    let machine = canary();
    machine.write("var/lib/rlp/boot/quarantine", "level7\n");
    machine
        .run(&["level", "status"])
        .says(0, "the machine failed after a boot with it");
    machine
        .run(&["level", "release", "--level", "7"])
        .says(0, "may be applied again");
    machine.run(&["level", "status"]).says(0, "level 7 is due");
}

/// The power was cut while the patch of the level replaced the one before in the list of the boot.
/// The boot has loaded both, and the next run removes the old one.
#[test]
fn a_boot_that_has_loaded_two_levels() {
    let machine = six_and_seven();
    let boot = format!("var/lib/rlp/boot/{RELEASE}");
    machine.write_bytes(&format!("{boot}/level6.ko"), &patch(6));
    machine.write(&format!("{boot}/list"), "level6\nlevel7\n");
    intent(&machine, "boot-0", "confirmed");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7: an earlier run was ended, and is finished");
    assert_eq!(machine.read(&format!("{boot}/list")), "level7\n");
    assert!(!machine.path(&format!("{STATE}/intent")).exists());
}

/// A level that does not fit is refused. A dry run refuses it with the same words if it makes the
/// same check.
#[test]
fn wrong_files_are_refused() {
    let ko = format!("{PACKAGE}/{RELEASE}/level7.ko");
    let refuses = |machine: &Machine, why: &str| {
        let output = machine.run(&["level", "apply"]);
        output.fails(3, why);
        assert!(!machine.path(&format!("{STATE}/intent")).exists());
        assert_eq!(actions(machine), ["available state"]);
    };
    let machine = canary();
    machine.write(&ko, "something else");
    refuses(&machine, "and level.json has");
    machine
        .run(&["level", "apply", "-n"])
        .fails(3, "is not the file of the level");
    for (field, value, why) in [
        (
            "level",
            json!(8),
            "the level of the patch is 7, and level.json has 8",
        ),
        ("vermagic", json!("7.3.4+test SMP"), "its vermagic is"),
        ("build_id", json!("abcd"), "its build id is another one"),
        ("name", json!("level9"), "the name of the patch is level7"),
    ] {
        let machine = canary();
        let mut level = install(&machine, 7);
        match field {
            "level" => level["level"] = value,
            "vermagic" => level["kernels"][0]["vermagic"] = value,
            "build_id" => level["kernels"][0]["patch"]["build_id"] = value,
            _ => {
                level["kernels"][0]["patch"]["name"] = value;
                let file = format!("{RELEASE}/level9.ko");
                level["kernels"][0]["patch"]["file"] = json!(file);
                machine.write_bytes(&format!("{PACKAGE}/{file}"), &patch(7));
            }
        }
        describe(&machine, &level);
        for arguments in [&["level", "apply", "-n"][..], &["level", "apply"]] {
            machine.run(arguments).fails(3, why);
        }
    }
    let machine = canary();
    machine.write("proc/sys/kernel/ftrace_enabled", "0\n");
    refuses(&machine, "ftrace is switched off");
    machine
        .run(&["level", "apply", "-n"])
        .fails(3, "ftrace is switched off");
}

#[test]
fn a_level_that_was_revoked() {
    let machine = canary();
    on_probation(&machine, 7);
    machine
        .run(&["level", "apply"])
        .says(0, "level7 is in effect");
    // Level 8 has no patch for this kernel, and revokes level 7.
    let mut eight = install(&machine, 8);
    eight["blocked"] = json!([7]);
    eight["kernels"][0]["release"] = json!("7.4.0");
    for (part, file) in [("patch", "level8"), ("loader", "rust_livepatch")] {
        eight["kernels"][0][part]["file"] = json!(format!("7.4.0/{file}.ko"));
    }
    eight["kernels"][0]["vermagic"] = json!("7.4.0 SMP");
    eight["fixes"] = json!([]);
    describe(&machine, &eight);
    let status = machine.run(&["level", "status"]);
    status.says(0, "level 7 is taken back: its publisher has revoked it");
    status.has("no earlier level is stored, so its patch is unloaded");
    // The fake machine unloads nothing. The level is removed from the boot before.
    let output = apply_and_disable(&machine, "level7");
    output.has("level 7 is blocked, and is not loaded at boot any more");
    assert_eq!(
        machine.read(&format!("var/lib/rlp/boot/{RELEASE}/list")),
        ""
    );
    assert!(actions(&machine).contains(&"take-back begin".to_owned()));
    // The level stays revoked, even if the package of level 7 is installed again.
    install(&machine, 7);
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is blocked: its publisher has revoked it");
}

/// The boot has quarantined the patch of level 7. That stays known when level 6 is installed for
/// the boot. Otherwise the machine would apply level 7 and fail again, for ever.
#[test]
fn a_level_that_has_failed_at_boot_is_not_applied_again() {
    let machine = six_and_seven();
    leaves(&machine, "level7");
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n");
    machine.write("var/lib/rlp/boot/quarantine", "level7\n");
    on_probation(&machine, 6);
    let output = machine.run(&["level", "apply"]);
    output.says(
        0,
        "no level is in effect, and level 6 was verified on this machine",
    );
    output.has("level 7 is quarantined: the machine failed after a boot with it");
    assert_eq!(
        machine.read(&format!("var/lib/rlp/boot/{RELEASE}/list")),
        "level6\n"
    );
    assert_eq!(machine.read("var/lib/rlp/boot/quarantine"), "");
    machine.run(&["level", "apply"]).says(
        0,
        "is blocked: it has failed on this machine: the machine failed after a boot with it",
    );
    assert!(actions(&machine).contains(&"quarantine state".to_owned()));
    machine
        .run(&["level", "release", "--level", "7"])
        .says(0, "level 7 may be applied again");
    machine.run(&["level", "status"]).says(0, "level 7 is due");
}

/// Level 8 revokes level 7, and its own patch is refused. Level 7 does not stay because of that.
/// In this machine, level 6 does not replace level 7. So the patch of level 7 is disabled.
#[test]
fn a_revoked_level_does_not_stay_because_the_next_one_is_refused() {
    let machine = six_and_seven();
    let mut eight = install(&machine, 8);
    eight["blocked"] = json!([7]);
    describe(&machine, &eight);
    machine.write(&format!("{PACKAGE}/{RELEASE}/level8.ko"), "something else");
    on_probation(&machine, 6);
    let output = apply_and_disable(&machine, "level7");
    output.fails(3, "and level.json has");
    output.has("level 7 is taken back: its publisher has revoked it");
    output.has("level 6: level6 is in effect and confirmed");
    assert_eq!(
        machine.json(&["level", "status"])["in_effect"]["level"],
        json!(6)
    );
}

/// A stored patch that is damaged does not keep a revoked level in effect: another one is used.
#[test]
fn a_stored_patch_that_is_damaged() {
    let machine = six_and_seven();
    machine.write(&format!("{STATE}/6/{RELEASE}/level6.ko"), "damaged");
    policy(&machine, "ring = 'canary'\nblocked = [7]");
    let status = machine.run(&["level", "status"]);
    status.says(0, "no earlier level is stored, so its patch is unloaded");
    status.has("the stored patch of level 6 is damaged, and is not used");
    let output = apply_and_disable(&machine, "level7");
    output.has("the stored patch of level 6 is damaged, and is not used");
}

/// A file that cannot be written, as on a full disk, does not keep a revoked level in effect, and
/// neither does an earlier run that cannot be finished.
#[test]
fn a_revoked_level_does_not_stay_because_the_disk_is_full() {
    for broken in ["description", "boot", "intent"] {
        let machine = canary();
        on_probation(&machine, 7);
        machine
            .run(&["level", "apply"])
            .says(0, "level7 is in effect");
        let mut eight = install(&machine, 8);
        eight["blocked"] = json!([7]);
        eight["kernels"][0]["build_id"] = json!("abcd");
        describe(&machine, &eight);
        match broken {
            "boot" => {
                std::fs::remove_file(machine.path("run/rlp/boot.lock")).unwrap();
                machine.folder("run/rlp/boot.lock");
            }
            "intent" => machine.write(&format!("{STATE}/intent"), "damaged"),
            _ => machine.write(&format!("{STATE}/8"), "no folder"),
        }
        let output = apply_and_disable(&machine, "level7");
        output.has("level 7 is taken back: its publisher has revoked it");
    }
}

/// On a full disk, the way back to a level that was verified is not closed.
#[test]
fn a_stored_level_is_applied_although_the_disk_is_full() {
    let machine = six_and_seven();
    policy(
        &machine,
        "ring = 'canary'\nhealth.settle = 0\nblocked = [7]",
    );
    on_probation(&machine, 6);
    let loader = disables(&machine, "level7");
    let output = with_full_disk(&machine, &["level", "apply"]);
    loader.join().unwrap();
    assert_eq!(output.status, 1, "{output:?}");
    output.has("level 7 is taken back: the policy of this machine blocks it");
    output.has(
        "level 6: the intent was not written, and the level is applied nevertheless, because it \
         was verified on this machine: ",
    );
    output.has("level 6: level6 is in effect and confirmed, and that was not stored\n");
    assert_eq!(machine.get("level6", "confirmed"), "1");
    let list = format!("var/lib/rlp/boot/{RELEASE}/list");
    assert_eq!(machine.read(&list), "");
    // When there is room again, the next run lets each boot load that level.
    machine
        .run(&["level", "apply"])
        .says(0, "level 6 is loaded at each boot from now on\n");
    assert_eq!(machine.read(&list), "level6\n");
    let again = machine.run(&["level", "apply"]);
    assert!(!again.out.contains("from now on"), "{again:?}");
}

/// The stored level fails its checks, and the loader puts the revoked one in effect again.
#[test]
fn a_revoked_level_does_not_stay_because_the_stored_one_fails() {
    let machine = six_and_seven();
    check(&machine, "10-not-6", "test $RLP_LEVEL != 6");
    policy(
        &machine,
        "ring = 'canary'\nhealth.settle = 0\nblocked = [7]",
    );
    on_probation(&machine, 6);
    let loaders = ["level6", "level7"].map(|patch| disables(&machine, patch));
    let output = machine.run(&["level", "apply"]);
    loaders.map(|loader| loader.join().unwrap());
    output.has("level 6 is quarantined: the check 10-not-6 has failed");
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["in_effect"], Value::Null);
}

/// The disk was full when the level failed. So neither its quarantine nor its phase was written.
#[test]
fn a_level_that_fails_while_the_disk_is_full() {
    let machine = canary();
    check(&machine, "10-bad", "exit 3");
    on_probation(&machine, 7);
    intent(&machine, "boot-1", "loading");
    let loader = disables(&machine, "level7");
    let output = with_full_disk(&machine, &["level", "apply"]);
    loader.join().unwrap();
    output.has("level 7 is quarantined: the check 10-bad has failed");
    assert!(!machine.path(&format!("{STATE}/intent")).exists());
    // Nobody applies it again, whether there is room or not.
    let blocked = "level 7 is blocked: it has failed on this machine: it has failed while nothing \
                   could be written to the disk";
    machine.run(&["level", "status"]).says(0, blocked);
    with_full_disk(&machine, &["level", "apply"]).has(blocked);
    let released = machine.copy();
    released
        .run(&["level", "release", "--level", "7"])
        .says(0, "level 7 may be applied again");
    released.run(&["level", "status"]).says(0, "level 7 is due");
    machine.run(&["level", "apply"]).says(0, blocked);
    assert!(!machine.path(&format!("{STATE}/failed")).exists());
    assert!(actions(&machine).contains(&"quarantine state".to_owned()));
    machine.run(&["level", "apply"]).says(0, blocked);
    let actions = actions(&machine).into_iter();
    assert_eq!(actions.filter(|it| it == "quarantine state").count(), 1);
}

/// A run whose calls with this name fail if they are about the intent.
fn with_broken_intent(machine: &Machine, call: &str) -> Output {
    let path = machine.path(&format!("{STATE}/intent"));
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error=EIO");
    let options = ["-P", path.to_str().unwrap(), "-e", &trace, "-e", &inject];
    let options = [&options[..], &["-o", "/dev/null"]].concat();
    machine.run_with(&mut traced(&options, &["level", "apply"]))
}

const RENAMES: &str = "rename,renameat,renameat2";

/// The quarantine is written, and the intent is not. The run names the one that is not.
#[test]
fn a_level_that_fails_while_its_intent_cannot_be_written() {
    let machine = canary();
    check(&machine, "10-bad", "exit 3");
    on_probation(&machine, 7);
    intent(&machine, "boot-1", "loading");
    let loader = disables(&machine, "level7");
    let output = with_broken_intent(&machine, RENAMES);
    loader.join().unwrap();
    output.fails(1, "the intent was not written: ");
    output.has("the intent was not written: ");
    for text in [&output.out, &output.err] {
        assert!(
            !text.contains("the quarantine was not written"),
            "{output:?}"
        );
        assert!(!text.contains("the history was not written"), "{output:?}");
    }
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["quarantined"][0]["level"], 7);
    // The next run finishes the rest.
    machine.run(&["level", "apply"]).says(
        0,
        "level 7 is blocked: it has failed on this machine: the check 10-bad has failed",
    );
}

/// Everything is stored, and only the intent stays.
#[test]
fn an_intent_that_cannot_be_removed() {
    let machine = canary();
    on_probation(&machine, 7);
    let output = with_broken_intent(&machine, "unlink,unlinkat");
    output.fails(1, "the intent was not removed: ");
    output.has("level 7: level7 is in effect and confirmed, and is loaded at each boot\n");
    assert!(actions(&machine).contains(&"apply end verified".to_owned()));
    assert_eq!(machine.json(&["level", "status"])["verified"], json!([7]));
    machine
        .run(&["level", "apply"])
        .says(0, "level 7: an earlier run was ended, and is finished");
    // The load is refused, and the reason stays the first one.
    let machine = canary();
    let output = with_broken_intent(&machine, "unlink,unlinkat");
    output.fails(3, "with --root no module is loaded");
    output.fails(3, "the intent was not removed: ");
    assert!(actions(&machine).contains(&"apply end refused".to_owned()));
}

/// A transition that does not end. A run waits for a minute longer than the deadline.
fn endless() -> Machine {
    let machine = canary();
    policy(
        &machine,
        "ring = 'canary'\nhealth.settle = 0\nhealth.deadline = 1\n",
    );
    on_probation(&machine, 7);
    machine.set("level7", "transition", "1");
    machine.set("level7", "progress", "3 8");
    machine
}

fn takes_too_long(machine: &Machine) {
    let output = apply_and_disable(machine, "level7");
    output.fails(5, "level 7 was not confirmed, and is taken back");
    output.fails(5, "the transition was not complete after 61 s\n");
    output.fails(5, "3 of 8 tasks are switched");
    assert!(!output.err.contains("rlp was interrupted"), "{output:?}");
    assert!(actions(machine).contains(&"apply end not complete".to_owned()));
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["quarantined"], json!([]));
}

/// No signal has arrived, so none is recorded.
#[test]
fn a_transition_that_takes_too_long() {
    takes_too_long(&endless());
}

#[test]
fn a_transition_of_an_earlier_run_that_takes_too_long() {
    let machine = endless();
    intent(&machine, "boot-1", "loading");
    takes_too_long(&machine);
}

/// The loader has a deadline and a probation of its own, and logs which of them has passed.
#[test]
fn a_level_that_the_loader_takes_back() {
    // The patch leaves while a check runs.
    let leaves = "root=${0%/*}/../../..; rm -r $root/sys/kernel/rust_livepatch/level7";
    let log = "echo \"4,2,2,-;rust_livepatch: patch 'level7' was not confirmed within 900 s, and \
               is taken back\" >>$root/dev/kmsg";
    for (script, reason) in [
        (
            format!("{leaves}; {log}"),
            "its probation was over before its checks were complete",
        ),
        (
            leaves.to_owned(),
            "its transition was reversed, or the loader has taken it back",
        ),
    ] {
        let machine = canary();
        on_probation(&machine, 7);
        intent(&machine, "boot-1", "checking");
        machine.write("dev/kmsg", "6,1,1,-;fine\n");
        check(&machine, "10-slow", &script);
        machine
            .run(&["level", "apply"])
            .has(&format!("level 7 is quarantined: {reason}\n"));
    }
    // The transition was not complete when the deadline had passed.
    let machine = endless();
    intent(&machine, "boot-1", "loading");
    machine.write("dev/kmsg", "6,1,1,-;fine\n");
    let mut run = Command::new(env!("CARGO_BIN_EXE_rlp"));
    run.args(["level", "apply"]);
    let reversed = "6,1,1,-;fine\n4,2,2,-;rust_livepatch: patch 'level7': the transition is not \
                    complete after 1 s, and is reversed\n";
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_secs(3));
            machine.write("dev/kmsg", reversed);
            self::leaves(&machine, "level7");
        });
        machine.run_with(&mut run)
    });
    output.fails(
        5,
        "the loader has reversed the transition, because it was not complete in time",
    );
    assert!(actions(&machine).contains(&"apply end not complete".to_owned()));
    let status = machine.json(&["level", "status"]);
    assert_eq!(status["quarantined"], json!([]));
}

/// The file in the store is not the one that was checked before it was loaded.
#[test]
fn a_stored_file_that_was_changed_while_the_level_was_applied() {
    let machine = canary();
    on_probation(&machine, 7);
    intent(&machine, "boot-1", "checking");
    let path = format!("{STATE}/intent");
    let mut value: Value = serde_json::from_str(&machine.read(&path)).unwrap();
    value["files"] = json!({ "patch": sha256("other"), "loader": null });
    machine.write(&path, &value.to_string());
    machine
        .run(&["level", "apply"])
        .fails(3, "and level.json has");
    assert_eq!(machine.json(&["level", "status"])["verified"], json!([]));
    assert!(!machine.path(&path).exists());
}

/// The files for the way back stay. The others are removed.
#[test]
fn files_that_nothing_needs_are_removed() {
    let machine = six_and_seven();
    machine.folder(&format!("lib/modules/{RELEASE}"));
    machine.folder("lib/modules/7.2.0");
    leaves(&machine, "level7");
    let state =
        || -> Value { serde_json::from_str(&machine.read(&format!("{STATE}/state"))).unwrap() };
    let mut changed = state();
    // Two other kernels have had level 6, and one of them is not installed any more.
    for release in ["7.2.0", "7.1.0"] {
        let mut level = changed["verified"][0].clone();
        level["release"] = json!(release);
        changed["verified"].as_array_mut().unwrap().push(level);
        for file in ["level6.ko", "level6.proof.json", "rust_livepatch.ko"] {
            machine.write(&format!("{STATE}/6/{release}/{file}"), "x");
        }
        machine.write(&format!("var/lib/rlp/boot/{release}/level6.ko"), "x");
        machine.write(&format!("var/lib/rlp/boot/{release}/list"), "level6\nfix\n");
    }
    machine.write(&format!("{STATE}/state"), &changed.to_string());
    // A level that has failed, and the one loader of an earlier version of rlp.
    machine.write(&format!("{STATE}/5/{RELEASE}/level5.ko"), "x");
    machine.write(&format!("{STATE}/5/level.json"), "x");
    machine.write(&format!("{STATE}/loader/{RELEASE}/rust_livepatch.ko"), "x");
    // A later run removes a module that this run cannot remove.
    let module = machine.path("var/lib/rlp/boot/7.1.0/level6.ko");
    std::fs::remove_file(&module).unwrap();
    std::fs::create_dir(&module).unwrap();
    for level in [8, 9] {
        install(&machine, level);
        on_probation(&machine, level);
        let output = machine.run(&["level", "apply"]);
        output.says(0, "is in effect and confirmed");
        if level == 8 {
            output.has("old files were not removed: ");
            std::fs::remove_dir(&module).unwrap();
            machine.write("var/lib/rlp/boot/7.1.0/level6.ko", "x");
            leaves(&machine, "level8");
        } else {
            output.has(
                "the levels for 7.1.0 are removed, because that kernel is not installed any more\n",
            );
        }
    }
    let tree = machine.tree(STATE);
    let files = tree.iter().filter(|(_, content)| content.is_some());
    let files: Vec<_> = files.map(|(path, _)| &path[STATE.len() + 1..]).collect();
    let mut expected = vec!["5/level.json".to_owned()];
    for file in ["level6.ko", "level6.proof.json", "rust_livepatch.ko"] {
        expected.push(format!("6/7.2.0/{file}"));
    }
    expected.push("6/level.json".to_owned());
    for level in [7, 8, 9] {
        expected.push(format!("{level}/{RELEASE}/level{level}.ko"));
        expected.push(format!("{level}/{RELEASE}/rust_livepatch.ko"));
        expected.push(format!("{level}/level.json"));
    }
    expected.push("state".to_owned());
    assert_eq!(files, expected);
    assert_eq!(machine.read("var/lib/rlp/boot/7.1.0/list"), "fix\n");
    assert_eq!(machine.read("var/lib/rlp/boot/7.2.0/list"), "level6\nfix\n");
    let kernels = state()["verified"].clone();
    let kernels = kernels.as_array().unwrap().iter();
    assert!(kernels.clone().any(|level| level["release"] == "7.2.0"));
    assert!(!kernels.clone().any(|level| level["release"] == "7.1.0"));
    assert_eq!(
        machine.json(&["level", "status"])["verified"],
        json!([7, 8, 9])
    );
}

/// The publisher has published two levels with the number 7.
#[test]
fn another_level_with_the_same_number() {
    let machine = canary();
    on_probation(&machine, 7);
    machine
        .run(&["level", "apply"])
        .says(0, "level7 is in effect and confirmed");
    let text = "the package has another level 7 than the one that this machine has seen first";
    // The same level, built at another time.
    let mut seven = install(&machine, 7);
    seven["published"] = json!("2026-11-30T01:00:00Z");
    describe(&machine, &seven);
    let status = machine.run(&["level", "status"]);
    assert!(!status.out.contains(text), "{status:?}");
    // Another loader.
    let other = loader(99);
    machine.write_bytes(&format!("{PACKAGE}/{RELEASE}/rust_livepatch.ko"), &other);
    seven["kernels"][0]["loader"]["sha256"] = json!(sha256(&other));
    describe(&machine, &seven);
    machine.run(&["level", "status"]).says(0, text);
    leaves(&machine, "level7");
    on_probation(&machine, 7);
    let output = machine.run(&["level", "apply"]);
    output.says(0, text);
    output.has("level 7: level7 is in effect and confirmed");
    // The files that were verified stay.
    let stored = machine.path(&format!("{STATE}/7/{RELEASE}/rust_livepatch.ko"));
    assert_eq!(std::fs::read(stored).unwrap(), loader(7));
    let details = |machine: &Machine| -> Vec<_> {
        let available = records(machine).into_iter();
        let available = available.filter(|record| record["action"] == "available");
        let detail = |record: Value| record["detail"].as_str().unwrap().to_owned();
        available.map(detail).collect()
    };
    assert_eq!(details(&machine).len(), 2);
    assert!(details(&machine)[1].starts_with("another level 7 of 2026-11-30T01:00:00Z"));
    machine.run(&["level", "apply"]).says(0, text);
    assert_eq!(details(&machine).len(), 2);
}

/// Somebody has loaded the patch of the level with insmod, or with "rlp load".
#[test]
fn a_level_that_was_loaded_by_hand() {
    let by_hand = || {
        let machine = canary();
        machine.patch("level7", 1);
        machine.set("level7", "level", "7");
        machine.set("level7", "cves", "CVE-2026-0001");
        machine
    };
    let text = "level 7 is in effect, and was not verified on this machine: it was loaded by hand";
    let machine = by_hand();
    machine.run(&["level", "status"]).says(0, text);
    assert_eq!(
        machine.json(&["level", "status"])["decision"]["kind"],
        "adopt"
    );
    let output = machine.run(&["level", "apply"]);
    output.says(0, text);
    output.has("level 7: level7 is in effect and confirmed, and is loaded at each boot\n");
    assert_eq!(machine.json(&["level", "status"])["verified"], json!([7]));
    assert!(actions(&machine).contains(&"apply end verified".to_owned()));
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is in effect\n");
    // A hold keeps everything as it is.
    let machine = by_hand();
    policy(&machine, "hold = { until = '2999-01-01', reason = 'x' }");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is in effect\n");
    assert_eq!(machine.json(&["level", "status"])["verified"], json!([]));
    // A level whose checks fail does not stay, whoever has loaded it.
    let machine = by_hand();
    check(&machine, "10-bad", "exit 3");
    let output = apply_and_disable(&machine, "level7");
    output.has("level 7 is quarantined: the check 10-bad has failed");
    // A run was killed while it checked the level. The next one begins again.
    let machine = by_hand();
    intent(&machine, "boot-1", "adopting");
    let output = machine.run(&["level", "apply"]);
    output.says(0, text);
    output.has("level 7: level7 is in effect and confirmed");
    // The machine did not survive that.
    let machine = by_hand();
    intent(&machine, "boot-0", "adopting");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is quarantined: the machine was started again");
}

/// The package has another level by now. The machine has seen level 7 before.
#[test]
fn an_earlier_level_that_was_loaded_by_hand() {
    let machine = canary();
    policy(&machine, "ring = 'late'");
    machine.run(&["level", "apply"]).says(0, "level 7 waits");
    let mut eight = install(&machine, 8);
    eight["kernels"][0]["build_id"] = json!("abcd");
    describe(&machine, &eight);
    machine.patch("level7", 1);
    let in_effect = |machine: &Machine| machine.json(&["level", "status"])["in_effect"].clone();
    assert_eq!(in_effect(&machine), Value::Null);
    // The loader says which level it is.
    machine.set("level7", "level", "7");
    assert_eq!(in_effect(&machine)["level"], json!(7));
    policy(&machine, "ring = 'late'\nblocked = [7]");
    let output = apply_and_disable(&machine, "level7");
    output.has("level 7 is taken back: the policy of this machine blocks it");
    // A patch of an operator with the number of a level, and another build.
    let other = machine.copy();
    other.patch("level7", 1);
    other.set("level7", "level", "7");
    other.write_bytes(
        "sys/module/level7/notes/.note.gnu.build-id",
        &elf::build_id_note(b"mine"),
    );
    assert_eq!(in_effect(&other), Value::Null);
}

/// A cumulative patch of a level would replace what an operator has loaded.
#[test]
fn a_fix_of_an_operator_is_not_dropped() {
    let machine = six_and_seven();
    leaves(&machine, "level7");
    machine.patch("hotfix", 1);
    machine.set("hotfix", "cves", "CVE-2026-4711");
    machine.write_bytes(
        "sys/module/hotfix/notes/.note.gnu.build-id",
        &elf::build_id_note(b"mine"),
    );
    let lacks = "it lacks fixes of an operator's patches that are in effect: CVE-2026-4711\n";
    let output = machine.run(&["level", "apply"]);
    output.says(0, &format!("level 7 is blocked: {lacks}"));
    output.has("rlp level apply --now replaces them");
    on_probation(&machine, 7);
    let output = machine.run(&["level", "apply", "--now"]);
    output.says(0, "level 7: no longer fixed with it: CVE-2026-4711\n");
    output.has("level 7: level7 is in effect and confirmed");
    let begun = records(&machine).into_iter();
    let begun = begun.filter(|it| it["action"] == "apply" && it["phase"] == "begin");
    let detail = begun.last().unwrap()["detail"].clone();
    assert!(
        detail
            .as_str()
            .unwrap()
            .ends_with("; no longer fixed with it: CVE-2026-4711"),
        "{detail}"
    );
}

/// The growth of the history in a year, with a new level and a boot in each week, and 200 CVEs in
/// each level. evidence.rst has the number.
#[test]
fn a_year_of_evidence() {
    let machine = canary();
    let cves: Vec<_> = (0..200)
        .map(|nr| format!("CVE-2026-{:05}", 10_000 + nr))
        .collect();
    let mut seven = install(&machine, 7);
    let fix = seven["fixes"][0].clone();
    let fixes = cves.iter().map(|cve| {
        let mut fix = fix.clone();
        fix["cve"] = json!(cve);
        fix
    });
    seven["fixes"] = fixes.collect();
    describe(&machine, &seven);
    on_probation(&machine, 7);
    machine.set("level7", "cves", &cves.join(" "));
    let path = machine.path("var/lib/rlp/history.jsonl");
    let size = || std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let grows = |by: &dyn Fn()| {
        let before = size();
        by();
        size() - before
    };
    let apply = grows(&|| {
        machine
            .run(&["level", "apply"])
            .says(0, "is in effect and confirmed");
    });
    let beat = grows(&|| drop(machine.run(&["heartbeat"])));
    let event = grows(&|| {
        let mut event = Command::new(env!("CARGO_BIN_EXE_rlp"));
        event
            .arg("event")
            .envs([("PATCH", "level7"), ("EVENT", "complete"), ("US", "11151")])
            .env("STATE", "probation");
        assert_eq!(machine.run_with(&mut event).status, 0);
    });
    assert!(apply > 0 && beat > 0 && event > 0);
    // Loading a patch, and replacing the one before, has eight events. A record of "load" has the
    // CVEs, as the heartbeat has.
    let week = apply + 2 * beat + 8 * event;
    let year = 365 * beat + 52 * (beat + week);
    println!("level {apply}, heartbeat {beat}, event {event} bytes; {year} in a year");
    assert!(year < 4_000_000, "{year}");
}

#[test]
fn holds() {
    let machine = canary();
    let hold = [
        "level",
        "hold",
        "--until",
        "2999-12-24",
        "--reason",
        "incident \"4711\"",
    ];
    let before = machine.tree("");
    machine
        .run(&[&hold[..], &["-n"]].concat())
        .says(0, "no level is applied until 2999-12-24");
    assert_eq!(machine.tree(""), before);
    machine
        .run(&hold)
        .says(0, "no level is applied until 2999-12-24 00:00:00 UTC");
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is held: incident \"4711\"");
    machine.json(&["level", "release", "-n"]);
    // A run that has begun goes on.
    let busy = "a run applies a level now, and the hold does not stop it";
    assert!(!machine.run(&hold).out.contains(busy));
    let lock = std::fs::File::open(machine.path("run/rlp/level.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    machine.run(&hold).says(0, busy);
    drop(lock);
    machine
        .run(&["level", "release"])
        .says(0, "the hold is released\n");
    machine
        .run(&["level", "release"])
        .says(0, "there is no hold of rlp level hold\n");
    machine.run(&["level", "status"]).says(0, "level 7 is due");
    policy(&machine, "hold = { until = '2999-01-01', reason = 'x' }");
    machine.run(&["level", "release"]).says(
        0,
        "/etc/rlp/policy.d/10-test.toml has a hold: change that file",
    );
    // A hold of the policy that ends later counts.
    policy(
        &machine,
        "hold = { until = '3000-01-01', reason = 'fleet' }",
    );
    let longer = "10-test.toml has a hold that ends later, and counts: until 3000-01-01 00:00:00 \
                  UTC: fleet\n";
    machine.run(&[&hold[..], &["-n"]].concat()).says(0, longer);
    machine.run(&hold).says(0, longer);
    machine
        .run(&["level", "apply"])
        .says(0, "level 7 is held: fleet");
    let past = ["level", "hold", "--until", "2001-01-01", "--reason", "x"];
    machine
        .run(&past)
        .fails(3, "the end of the hold is in the past");
    let empty = ["level", "hold", "--until", "2999-01-01", "--reason", " "];
    machine.run(&empty).fails(3, "a hold needs a reason");
    let wrong = ["level", "hold", "--until", "tomorrow", "--reason", "x"];
    machine.run(&wrong).fails(2, "is no time such as");
}

#[test]
fn a_wrong_policy_stops_everything() {
    let machine = canary();
    policy(&machine, "rnig = 'late'");
    for arguments in [&["level", "apply"][..], &["level", "status"]] {
        let output = machine.run(arguments);
        output.fails(
            3,
            "/etc/rlp/policy.d/10-test.toml is not a valid policy file",
        );
        assert!(output.err.contains("unknown field `rnig`"), "{output:?}");
    }
    assert_eq!(machine.json(&["level", "apply"])["decision"], Value::Null);
}

#[test]
fn livepatch_off() {
    let machine = canary();
    machine.write("proc/cmdline", "quiet livepatch.off\n");
    let before = machine.tree("");
    machine.run(&["level", "apply"]).is(
        0,
        "livepatch.off is on the kernel's command line: nothing is loaded\n",
    );
    assert_eq!(machine.tree(""), before);
    machine
        .run(&["level", "status"])
        .says(0, "livepatch.off is on");
}

#[test]
fn kernels_that_are_about_to_be_installed() {
    let machine = canary();
    let covers = |release: &str| machine.run(&["level", "covers", release]);
    covers(RELEASE).is(
        0,
        "level 7 covers 7.3.4+test\n  the loader comes with the level\n",
    );
    covers("7.4.0").is(
        6,
        "level 7 does not cover 7.4.0: it has no patch for 7.4.0\n  after a boot into 7.4.0, \
         level 7 is not applied\n",
    );
    assert_eq!(
        machine.json(&["level", "covers", "7.4.0"])["covered"],
        false
    );
    // An earlier level is installed for that kernel.
    machine.write("var/lib/rlp/boot/7.4.0/list", "level6\n");
    let note = "  these installed patches are loaded by a boot into the build of 7.4.0 that they \
                are for: level6\n";
    covers("7.4.0").says(6, note);
    let image = machine.path("proc/cmdline");
    let image = image.to_str().unwrap();
    machine
        .run(&["level", "covers", RELEASE, "--image", image])
        .says(
            0,
            "the build id of the image is not known, and only the release was compared: it",
        );
    policy(&machine, "blocked = [7]");
    covers(RELEASE).says(
        0,
        "level 7 is blocked or has failed on this machine: rlp level status",
    );
    std::fs::remove_dir_all(machine.path(PACKAGE)).unwrap();
    covers("7.4.0").says(6, "no level is installed, so none covers 7.4.0");
    covers("7.4.0").says(6, note);
}
