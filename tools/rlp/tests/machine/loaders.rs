// SPDX-License-Identifier: GPL-2.0

//! Each level has its own loader: which one the next boot loads, and the way back from one that
//! does not work.

use crate::common::{
    sha256,
    Machine,
    RELEASE, //
};
use crate::elf;
use crate::levels::{
    apply_and_disable,
    canary,
    check,
    describe,
    install,
    leaves,
    loader_with,
    on_probation,
    policy,
    PACKAGE,
    STATE, //
};
use serde_json::{
    json,
    Value, //
};

const LIST: &str = "var/lib/rlp/boot/7.3.4+test/list";
const QUARANTINE: &str = "var/lib/rlp/boot/quarantine";

fn loader_of(level: u32) -> String {
    format!("{STATE}/{level}/{RELEASE}/rust_livepatch.ko")
}

/// The package of a level that brings a loader with this build id.
fn install_with(machine: &Machine, level: u32, build_id: &[u8]) {
    let mut described = install(machine, level);
    described["kernels"][0]["loader"]["sha256"] = json!(sha256(loader_with(build_id)));
    machine.write_bytes(
        &format!("{PACKAGE}/{RELEASE}/rust_livepatch.ko"),
        &loader_with(build_id),
    );
    describe(machine, &described);
}

/// The loader with this build id is loaded.
fn runs(machine: &Machine, build_id: &[u8]) {
    machine.write_bytes(
        "sys/module/rust_livepatch/notes/.note.gnu.build-id",
        &elf::build_id_note(build_id),
    );
}

/// Applies a level whose patch is loaded. Returns what was printed.
fn verify(machine: &Machine, level: u32) -> String {
    on_probation(machine, level);
    let output = machine.run(&["level", "apply"]);
    output.says(0, "is in effect and confirmed");
    leaves(machine, &format!("level{level}"));
    output.out
}

/// Another boot begins: no loader and no patch is loaded.
fn reboot(machine: &Machine, boot: &str) {
    machine.write("proc/sys/kernel/random/boot_id", &format!("{boot}\n"));
    for folder in [
        "sys/kernel/rust_livepatch",
        "sys/module/rust_livepatch/notes",
    ] {
        let _ = std::fs::remove_dir_all(machine.path(folder));
    }
}

/// The last boot has not survived what it has loaded.
fn fails(machine: &Machine, patches: &[&str], loader: Value) {
    let intent = json!({ "boot": "failed", "patches": patches, "loader": loader });
    machine.write("var/lib/rlp/boot/intent", &intent.to_string());
}

/// The levels 6 and 7 were verified with the loader of level 6, which is loaded.
fn six_and_seven() -> Machine {
    let machine = canary();
    runs(&machine, b"old!");
    install_with(&machine, 6, b"old!");
    let said = verify(&machine, 6);
    assert!(!said.contains("another loader"), "{said}");
    install_with(&machine, 7, b"new!");
    let said = verify(&machine, 7);
    let expected = "level 7: another loader is loaded, and that of the level is loaded at the \
                    next boot\n";
    assert!(said.contains(expected), "{said}");
    machine
}

#[test]
fn a_level_that_is_not_verified_does_not_change_the_next_boot() {
    let machine = canary();
    runs(&machine, b"old!");
    install_with(&machine, 6, b"old!");
    verify(&machine, 6);
    let next_boot = || {
        let machine = machine.copy();
        reboot(&machine, "boot-2");
        machine.run(&["boot", "-n"]).is(
            0,
            "the loader of level 6 would be loaded first\nlevel6: would be loaded\n",
        );
    };
    next_boot();
    // The files of level 7 are in the store, and its patch is being checked.
    install_with(&machine, 7, b"new!");
    on_probation(&machine, 7);
    check(&machine, "10-bad", "exit 1");
    let output = apply_and_disable(&machine, "level7");
    output.has("level 7 is quarantined: the check 10-bad has failed");
    assert_eq!(
        std::fs::read(machine.path(&loader_of(7))).unwrap(),
        loader_with(b"new!")
    );
    assert_eq!(
        std::fs::read(machine.path(&loader_of(6))).unwrap(),
        loader_with(b"old!")
    );
    next_boot();
}

#[test]
fn a_boot_that_fails_with_a_new_loader() {
    let machine = six_and_seven();
    reboot(&machine, "boot-2");
    machine.run(&["boot", "-n"]).is(
        0,
        "the loader of level 7 would be loaded first\nlevel7: would be loaded\n",
    );
    fails(&machine, &["level7"], json!("level7"));
    reboot(&machine, "boot-3");
    machine.run(&["boot", "-n"]).is(
        0,
        "level7: the machine failed after the last boot with it, so it is not loaded any more\n\
         level 6 was verified before, and is loaded in the place of the one that has failed\n\
         the loader of level 6 would be loaded first\n\
         level6: would be loaded\n",
    );
    // The boot has loaded level 6, and the next run keeps that.
    machine.patch("level6", 1);
    runs(&machine, b"old!");
    let boot = machine.run(&["boot"]);
    boot.says(0, "level6: is loaded already");
    let intent: Value = serde_json::from_str(&machine.read("var/lib/rlp/boot/intent")).unwrap();
    assert_eq!(intent, json!({ "boot": "boot-3", "patches": ["level6"] }));
    machine.run(&["boot", "--survived"]);
    assert_eq!(machine.read(QUARANTINE), "level7\n");
    let output = machine.run(&["level", "apply"]);
    output.says(0, "level 6 is loaded at each boot from now on\n");
    output.has("level 7 is blocked: it has failed on this machine");
    assert_eq!(machine.read(LIST), "level6\n");
    reboot(&machine, "boot-4");
    machine.run(&["boot", "-n"]).is(
        0,
        "the loader of level 6 would be loaded first\nlevel6: would be loaded\n",
    );
    // Level 6 has failed, too. There is no other one.
    fails(&machine, &["level6"], Value::Null);
    machine.run(&["boot", "-n"]).is(
        0,
        "level6: the machine failed after the last boot with it, so it is not loaded any more\n",
    );
}

/// Only a patch of an operator is loaded at boot, with the loader of level 7.
#[test]
fn a_new_loader_is_to_blame_without_the_patch_of_its_level() {
    let machine = six_and_seven();
    let fix = machine.module("fix", RELEASE, "rlp_enable_patch");
    machine
        .run(&["install", fix.to_str().unwrap()])
        .says(0, "fix: installed");
    machine
        .run(&["uninstall", "level7"])
        .says(0, "level7: uninstalled");
    // The loader of level 6 has run here, and that of level 7 has not.
    reboot(&machine, "boot-2");
    let planned = machine.run(&["boot", "-n"]);
    planned.is(
        0,
        "the loader of level 6 would be loaded first\nfix: would be loaded\n",
    );
    fails(&machine, &["fix"], json!("level7"));
    let planned = machine.run(&["boot", "-n"]);
    planned.says(0, "fix: the machine failed after the last boot with it");
    planned.has(
        "level7: the machine failed after the first boot with the loader of its level, so neither \
         is loaded any more\n",
    );
}

/// The boot cannot load the loader of level 7. In this machine, it can load no other one either.
#[test]
fn a_loader_that_is_refused() {
    let machine = six_and_seven();
    reboot(&machine, "boot-2");
    let boot = machine.run(&["boot"]);
    boot.says(0, "the loader cannot be loaded\n");
    boot.has("level 6 was verified before, and is loaded in the place of the one that has failed");
    assert_eq!(
        boot.out.matches("the loader cannot be loaded").count(),
        2,
        "{boot:?}"
    );
    // Neither level is quarantined, because the machine has not failed.
    assert!(!machine.path(QUARANTINE).exists());
    // Before the loader of level 7 runs for the first time, the intent names it.
    let other = machine.copy();
    policy(&other, "blocked = [6]");
    other
        .run(&["boot"])
        .says(0, "the loader cannot be loaded\n");
    let intent: Value = serde_json::from_str(&other.read("var/lib/rlp/boot/intent")).unwrap();
    assert_eq!(
        intent,
        json!({ "boot": "boot-2", "patches": ["level7"], "loader": "level7" })
    );
    // The file of the loader is damaged.
    machine.write(&loader_of(7), "damaged");
    let boot = machine.run(&["boot"]);
    boot.says(0, "is not the file of the level\n");
    boot.has("level 6 was verified before");
    assert_eq!(machine.json(&["level", "status"])["verified"], json!([6]));
    machine.run(&["level", "status"]).says(
        0,
        "the stored loader of level 7 is damaged, and is not used\n",
    );
}

/// A loader that has run here is better than a newer one that has not, because the newer one may
/// be what has failed.
#[test]
fn the_way_back_leads_to_a_loader_that_has_run() {
    let machine = six_and_seven();
    install_with(&machine, 8, b"new!");
    verify(&machine, 8);
    reboot(&machine, "boot-2");
    fails(&machine, &["level8"], json!("level8"));
    let planned = machine.run(&["boot", "-n"]);
    planned.says(0, "level 6 was verified before");
    planned.has("level6: would be loaded\n");
    // The loader of 7 and 8 has run in a boot that was survived. So the patch was to blame.
    let machine = six_and_seven();
    install_with(&machine, 8, b"new!");
    verify(&machine, 8);
    reboot(&machine, "boot-2");
    machine.patch("level8", 1);
    runs(&machine, b"new!");
    machine.run(&["boot"]).says(0, "level8: is loaded already");
    // The boot is not survived yet.
    machine
        .run(&["level", "apply"])
        .says(0, "level 8 is in effect");
    let planned = || {
        let machine = machine.copy();
        reboot(&machine, "boot-3");
        fails(&machine, &["level8"], Value::Null);
        machine.run(&["boot", "-n"])
    };
    planned().says(0, "level 6 was verified before");
    machine.run(&["boot", "--survived"]).says(0, "has survived");
    machine
        .run(&["level", "apply"])
        .says(0, "level 8 is in effect");
    planned().says(0, "level 7 was verified before");
    // A level that is blocked is not used, and without a policy none is.
    policy(&machine, "ring = 'canary'\nblocked = [7]");
    planned().says(0, "level 6 was verified before");
    policy(&machine, "rnig = 'canary'");
    let planned = planned();
    planned.says(0, "no earlier level is loaded: ");
    planned.has("/etc/rlp/policy.d/10-test.toml is ");
}

/// If a package of the loader is installed, a boot loads no loader of a level. The way back to an
/// earlier level is the same.
#[test]
fn a_package_has_the_loader() {
    let machine = six_and_seven();
    machine.write_bytes(
        &format!("lib/modules/{RELEASE}/updates/rust_livepatch.ko"),
        &loader_with(b"pack"),
    );
    reboot(&machine, "boot-2");
    machine
        .run(&["boot", "-n"])
        .is(0, "level7: would be loaded\n");
    fails(&machine, &["level7"], Value::Null);
    let planned = machine.run(&["boot", "-n"]);
    planned.says(0, "level 6 was verified before");
    assert!(!planned.out.contains("the loader of level"), "{planned:?}");
}
