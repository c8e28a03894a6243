// SPDX-License-Identifier: GPL-2.0

//! The commands that look at a machine: status, info, history, check and doctor.

use crate::common::{
    Machine,
    Schema,
    RELEASE, //
};
use serde_json::json;

#[test]
fn status_of_a_patched_machine() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "level", "7");
    machine.set("live_fix", "cves", "CVE-2026-0001 CVE-2026-0002");
    machine.run(&["status"]).is(
        0,
        "kernel 7.3.4+test

live_fix, level 7
  in effect since 2026-11-30 01:02:03 UTC
  fixes CVE-2026-0001 CVE-2026-0002
  1 function in pktgen (not loaded; patched when it loads), 1 function in vmlinux
",
    );
    machine.run(&["status", "--nagios"]).is(
        0,
        "LIVEPATCH OK - 1 patch in effect, level 7 | in_effect=1 moving=0 probation=0\n",
    );
    let status = machine.json(&["status"]);
    assert_eq!(status["verdict"], "ok");
    assert_eq!(status["patches"][0]["state"], "in-effect");
    assert_eq!(status["patches"][0]["build_id"], "73616d65");
    // The words of other tools.
    assert_eq!(machine.run(&["list"]).out, machine.run(&["status"]).out);
    assert_eq!(machine.run(&["--status"]).status, 0);
    machine.run(&["--update"]).fails(2, "rlp load FILE");
    machine.json(&["--update"]);
}

#[test]
fn status_without_patches() {
    let machine = Machine::new();
    machine.run(&["status"]).is(
        0,
        "kernel 7.3.4+test

warning: no patch is in effect
",
    );
    std::fs::remove_dir(machine.path("sys/kernel/rust_livepatch")).unwrap();
    machine.run(&["status", "--nagios"]).is(
        1,
        "LIVEPATCH WARNING - the loader is not loaded, so nothing is patched \
         | in_effect=0 moving=0 probation=0\n",
    );
    assert_eq!(machine.json(&["status"])["loader"]["loaded"], false);
}

/// A machine is protected only if the loader says so in all of its files.
#[test]
fn less_than_the_loaders_word_is_never_ok() {
    for (file, value) in [
        ("enabled", "0"),
        ("transition", "1"),
        ("confirmed", "0"),
        ("transition_forced", "1"),
    ] {
        let machine = Machine::new();
        machine.patch("live_fix", 1);
        machine.set("live_fix", file, value);
        let output = machine.run(&["status", "--nagios"]);
        assert_eq!(output.status, 1, "{file}={value}: {output:?}");
        assert_eq!(machine.json(&["status"])["verdict"], "warning");
    }
    // A file that is missing, or has a value that is not known, is no good news either.
    for (file, value) in [("confirmed", "maybe"), ("enabled", ""), ("progress", "1")] {
        let machine = Machine::new();
        machine.patch("live_fix", 1);
        machine.set("live_fix", file, value);
        let output = machine.run(&["status", "--nagios"]);
        assert_eq!(output.status, 3, "{file}={value}: {output:?}");
        assert!(output.out.starts_with("LIVEPATCH UNKNOWN - "), "{output:?}");
        machine.json(&["status", "--nagios"]);
        machine.run(&["status"]).fails(1, file);
        machine.json(&["status"]);
    }
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    std::fs::remove_file(machine.path("sys/kernel/rust_livepatch/live_fix/confirmed")).unwrap();
    machine.run(&["status"]).fails(1, "confirmed");
}

#[test]
fn status_of_a_transition_that_hangs() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "transition", "1");
    machine.set("live_fix", "progress", "117 120");
    machine.set(
        "live_fix",
        "blockers",
        "tasks 2 inside do_it\ntasks 1 running -\n0 swapper/1 running -\n\
         42 my daemon inside do_it\n43 worker inside do_it",
    );
    machine.write(
        "proc/42/stat",
        "42 (my daemon) D 1 42 42 0 -1 4194560 1 2\n",
    );
    machine.write("proc/42/cgroup", "0::/system.slice/my.service\n");
    machine.write(
        "proc/42/stack",
        "[<0>] do_it+0x1/0x2\n[<0>] do_syscall_64+0x1/0x2\n",
    );
    machine.write("proc/43/stat", "43 (worker) S 2 0 0 0 -1 2129984 0 0\n");
    machine.run(&["status"]).is(
        0,
        "kernel 7.3.4+test

live_fix
  being enabled: 117 of 120 tasks are switched
  1 function in pktgen (not loaded; patched when it loads), 1 function in vmlinux
  2 tasks are inside do_it(), which the transition changes
  1 task was running when the loader looked
    my daemon (42): it waits for a device or a server, and no signal wakes it: restore the \
         device or the server, or reverse the transition
        do_it+0x1/0x2
        do_syscall_64+0x1/0x2
    worker (43): a kernel thread: wait until its work there ends, or reverse the transition
    swapper/1 (0): the loader wakes the CPU by itself: no action is needed

warning: no patch is in effect
warning: live_fix is not in effect for all tasks yet
  next: wait, or rlp reverse live_fix
",
    );
    let blockers = &machine.json(&["status"])["patches"][0]["blockers"];
    assert_eq!(blockers["tasks"][0]["unit"], "my.service");
    assert_eq!(blockers["tasks"][0]["uninterruptible"], true);
    assert_eq!(blockers["tasks"][1]["kind"], "kernel-thread");
}

#[test]
fn status_names_what_needs_a_reboot() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.folder("sys/module/rust_livepatch/holders/live_fix");
    for (name, count) in [("old_fix", "0\n"), ("forced_fix", "1\n")] {
        machine.folder(&format!("sys/module/rust_livepatch/holders/{name}"));
        machine.write(&format!("sys/module/{name}/refcnt"), count);
    }
    let output = machine.run(&["status"]);
    output.has("old_fix: not in effect; its module is still loaded (rlp unload old_fix)");
    // Nothing says that tasks were forced.
    output.has("the module forced_fix is still in use, although its patch was removed");
    assert_eq!(machine.run(&["status", "--nagios"]).status, 1);
    let status = machine.json(&["status"]);
    assert_eq!(status["leftovers"][0]["pinned"], true);
    assert_eq!(status["leftovers"][0]["forced"], false);
    assert_eq!(status["leftovers"][1]["pinned"], false);
    let unload = ["unload", "forced_fix"];
    machine
        .run(&unload)
        .fails(3, "its old module is still in use");

    // The history says that tasks were forced, and not which modules stay for that reason. Another
    // boot does not count.
    let stays = "the module forced_fix stays until the next boot: tasks were forced";
    let perhaps = "the module forced_fix is still in use, perhaps until the next boot: tasks were \
                   forced";
    let record = |boot: &str, result: &str| {
        format!(
            "{{\"time\":\"2026-11-30T01:02:03Z\",\"boot\":\"{boot}\",\"release\":\"7.3\",\
             \"phase\":\"end\",\"action\":\"force\",\"patch\":\"x\",\"result\":\"{result}\"}}\n"
        )
    };
    for other in [record("boot-0", "forced"), record("boot-1", "refused")] {
        machine.write("var/lib/rlp/history.jsonl", &other);
        assert!(!machine.run(&["status"]).out.contains("forced:"));
    }
    machine.write("var/lib/rlp/history.jsonl", &record("boot-1", "forced"));
    machine.run(&["status"]).has(perhaps);
    assert_eq!(
        machine.json(&["status"])["leftovers"][0]["hold"],
        "maybe-forced"
    );
    machine
        .run(&unload)
        .fails(3, "perhaps until the next boot: tasks were forced");
    // The loader logs this for each module that it keeps.
    machine.write(
        "dev/kmsg",
        "5,1,2,-;rust_livepatch: patch 'forced_fix': its module cannot be unloaded, because \
         tasks were forced\n",
    );
    machine.run(&["status"]).has(stays);
    assert_eq!(machine.json(&["status"])["leftovers"][0]["hold"], "forced");
    machine
        .run(&unload)
        .fails(3, "until the next boot: tasks were forced");
}

/// The log is an addition: without it, the state of the patches is known all the same.
#[test]
fn status_without_the_log() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.folder("dev");
    std::os::unix::fs::symlink("kmsg", machine.path("dev/kmsg")).unwrap();
    machine
        .run(&["status"])
        .says(0, "not seen: what the loader has logged (");
}

#[test]
fn status_of_a_kernel_that_only_a_reboot_helps() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.write("proc/sys/kernel/modules_disabled", "1\n");
    let output = machine.run(&["status", "--nagios"]);
    output.says(
        1,
        "neither loads nor unloads modules (kernel.modules_disabled)",
    );
    // After an error of ftrace, a read of the file fails. A folder cannot be read either.
    std::fs::remove_file(machine.path("proc/sys/kernel/ftrace_enabled")).unwrap();
    assert_eq!(machine.run(&["status", "--nagios"]).status, 1);
    machine.folder("proc/sys/kernel/ftrace_enabled");
    let output = machine.run(&["status", "--nagios"]);
    output.says(2, "LIVEPATCH CRITICAL - ftrace has shut itself down");
    machine.run(&["status"]).has("next: plan a reboot");
    assert_eq!(machine.json(&["status"])["verdict"], "critical");
}

#[test]
fn status_of_a_probation() {
    let machine = Machine::new();
    machine.patch("old_fix", 1);
    machine.set("old_fix", "enabled", "0");
    machine.patch("live_fix", 2);
    machine.set("live_fix", "replace", "1");
    machine.set("live_fix", "confirmed", "0");
    machine.set("live_fix", "probation", "125");
    let output = machine.run(&["status"]);
    output.has("on probation, in effect since 2026-11-30 01:02:03 UTC, 2 min 5 s left");
    output.has("not in effect: replaced by a patch that is on probation");
    assert_eq!(machine.json(&["status"])["patches"][0]["state"], "held");

    machine
        .run(&["unload", "old_fix"])
        .fails(3, "live_fix has replaced it");
    let plan = machine.json(&["unload", "live_fix", "--dry-run"]);
    assert_eq!(
        plan["changes"][0]["notes"][0],
        "old_fix would be in effect again"
    );
}

#[test]
fn info() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "cves", "CVE-2026-0001");
    machine.run(&["info", "live-fix"]).is(
        0,
        "live_fix
  state         in effect since 2026-11-30 01:02:03 UTC
  fixes         CVE-2026-0001
  confirmed     yes
  cumulative    no
  forced        no
  transition    11.151 ms
  deadline      10 min
  build id      73616d65
  pktgen        not loaded
                pg_open,1: unhooked
  vmlinux       patched
                do_it,1: jump
",
    );
    machine.json(&["info"]);
    machine.run(&["info", "cve-2026-0001"]).is(
        0,
        "CVE-2026-0001: fixed
  live_fix: in effect since 2026-11-30 01:02:03 UTC
    pktgen is patched when it loads
",
    );
    machine
        .run(&["info", "CVE-2026-9999"])
        .is(6, "CVE-2026-9999: no patch that is loaded names it\n");
    machine.set("live_fix", "confirmed", "0");
    assert_eq!(machine.run(&["info", "CVE-2026-0001"]).status, 6);
    assert_eq!(machine.json(&["info", "CVE-2026-0001"])["fixed"], false);
    machine.set("live_fix", "confirmed", "1");
    machine.set("live_fix", "transition_forced", "1");
    let forced = machine.run(&["info", "CVE-2026-0001"]);
    forced.has("CVE-2026-0001: not fixed\n");
    forced.has("    tasks were forced, and may still run the old code\n");
    assert_eq!(forced.status, 6);
    assert_eq!(machine.json(&["info", "CVE-2026-0001"])["fixed"], false);
    machine
        .run(&["info", "other"])
        .fails(3, "the loader has no patch other");
    machine
        .run(&["info", "../rust_livepatch"])
        .fails(3, "no patch");
    machine.json(&["info", "other"]);
}

#[test]
fn history() {
    let machine = Machine::new();
    machine.run(&["history"]).is(0, "nothing is recorded\n");
    machine.patch("live_fix", 1);
    machine.set("live_fix", "confirmed", "0");
    machine.run(&["confirm"]).is(0, "live_fix: confirmed\n");
    // A power cut has left a part of a line.
    let file = "var/lib/rlp/history.jsonl";
    let text = machine.read(file) + "{\"time\":\"2026";
    machine.write(file, &text);
    machine.set("live_fix", "confirmed", "0");
    machine.run(&["confirm", "live_fix"]);
    let history = machine.json(&["history"]);
    assert_eq!(history["damaged"], 1);
    let records = history["records"].as_array().unwrap();
    let seen: Vec<_> = records
        .iter()
        .map(|record| (record["phase"].as_str().unwrap(), record["result"].as_str()))
        .collect();
    let once = [("begin", None), ("end", Some("confirmed"))];
    assert_eq!(seen, [once, once].concat());
    assert_eq!(records[0]["release"], RELEASE);
    assert_eq!(records[0]["boot"], "boot-1");
    assert!(machine
        .run(&["history"])
        .out
        .ends_with("damaged lines, which are left out: 1\n"));
    let last = machine.json(&["history", "--last", "1", "--patch", "live_fix"]);
    assert_eq!(last["records"].as_array().unwrap().len(), 1);
    let none = machine.json(&["history", "--patch", "other"]);
    assert_eq!(none["records"], json!([]));
    let none = machine.json(&["history", "--since", "2999-01-01"]);
    assert_eq!(none["records"], json!([]));
}

#[test]
fn a_file_is_checked() {
    let machine = Machine::new();
    let good = machine.module("fix", RELEASE, "rlp_enable_patch");
    let good = good.to_str().unwrap();
    let output = machine.run(&["check", good]);
    output.says(0, "/files/fix.ko is a live patch for 7.3.4+test");

    for (name, release, symbol, why) in [
        (
            "other",
            "7.4",
            "rlp_enable_patch",
            "it is built for 7.4, and the kernel is 7.3.4+test",
        ),
        (
            "intree",
            RELEASE,
            "klp_enable_patch",
            "it is built for in-tree livepatch",
        ),
        ("driver", RELEASE, "printk", "it is not a live patch"),
    ] {
        let file = machine.module(name, release, symbol);
        let file = file.to_str().unwrap();
        let output = machine.run(&["check", file]);
        assert_eq!(output.status, 6, "{output:?}");
        assert!(output.out.contains(why), "{output:?}");
        machine.json(&["check", file]);
        machine.run(&["load", file]).fails(3, why);
        machine.json(&["load", file]);
    }

    // The same release, and another build of it.
    machine.write(
        "files/fix.proof.json",
        r#"{"kernel": {"build_id": "aa010203"}}"#,
    );
    assert_eq!(machine.run(&["check", good]).status, 0);
    machine.write(
        "files/fix.proof.json",
        r#"{"kernel": {"build_id": "ffffffff"}}"#,
    );
    let output = machine.run(&["check", good]);
    output.says(6, "another build");
    machine.run(&["load", good]).fails(3, "another build");
    machine
        .run(&["check", "/nowhere.ko"])
        .is(6, "wrong  /nowhere.ko: No such file or directory\n");
}

#[test]
fn a_kernel_is_checked() {
    let machine = Machine::new();
    assert_eq!(machine.run(&["check", "--kernel"]).status, 0);
    machine.write("proc/sys/kernel/ftrace_enabled", "0\n");
    let output = machine.run(&["check", "--kernel"]);
    assert_eq!(output.status, 6);
    output.has("next: sysctl kernel.ftrace_enabled=1");
    machine.json(&["check", "--kernel"]);
    machine.write("proc/sys/kernel/ftrace_enabled", "1\n");

    std::fs::remove_dir(machine.path("sys/kernel/rust_livepatch")).unwrap();
    assert_eq!(
        machine.run(&["check", "--kernel"]).status,
        6,
        "there is no loader"
    );
    machine.write(
        &format!("lib/modules/{RELEASE}/updates/rust_livepatch.ko.xz"),
        "",
    );
    assert_eq!(machine.run(&["check", "--kernel"]).status, 0);
}

#[test]
fn doctor() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status, 0, "{output:?}");
    machine.json(&["doctor"]);
    machine.write(
        "var/lib/systemd/pstore/1/dmesg.txt",
        "<0>rust_livepatch: the kernel panics while patch 'bad_fix' is on probation\n",
    );
    machine.folder("lib/modules/8.0");
    machine.write("sys/module/rust_livepatch/parameters/deadline", "0\n");
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status, 6);
    for text in [
        "panicked while bad_fix was on probation",
        "the loader is not installed for 8.0",
        "transitions have no deadline",
    ] {
        assert!(output.out.contains(text), "no '{text}' in {output:?}");
    }
}

/// `status` and `doctor` explain an earlier refusal, although no command of this program has waited
/// for it.
#[test]
fn what_the_loader_has_logged() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.write(
        "dev/kmsg",
        "6,1,900,-;rust_livepatch: ready\n3,2,1500000,-;ext4: error\n\
         4,2,1900000,-;rust_livepatch: loading out-of-tree module taints kernel.\n\
         3,3,2500000,-;rust_livepatch: symbol 'f' not found in symbol table\n SUBSYSTEM=x\n\
         4,4,3000001,-;rust_livepatch: a message of a newer loader\n\
         3,5,4500000,-;rust_livepatch: symbol 'f' not found in symbol table\n",
    );
    machine.run(&["status"]).has(
        "
logged by the loader since the boot:
[3.000001] a message of a newer loader
[4.500000] symbol 'f' not found in symbol table
  the kernel or the module has no such function: the patch is for another version, or the \
         compiler has inlined the function
  next: get the patch that was built for this kernel (rlp check FILE)
",
    );
    let status = machine.json(&["status"]);
    assert_eq!(
        status["verdict"], "ok",
        "the patch may have been loaded since"
    );
    assert_eq!(status["logged"][1]["uptime_us"], 4_500_000);
    let output = machine.run(&["doctor"]);
    output.says(
        0,
        "note   the loader has logged: [4.500000] symbol 'f' not found",
    );
    output.has("next: get the patch that was built for this kernel");
    machine.json(&["doctor"]);
    machine.run(&["status", "--nagios"]).says(0, "LIVEPATCH OK");
}

#[test]
fn history_in_words() {
    let machine = Machine::new();
    let record = |phase: &str, action: &str, more: &str| {
        format!(
            "{{\"time\":\"2026-11-30T01:02:03Z\",\"boot\":\"b\",\"release\":\"7.3\",\
             \"phase\":\"{phase}\",\"action\":\"{action}\",\"patch\":\"fix\"{more}}}\n"
        )
    };
    let records = [
        record("begin", "load", ""),
        record("begin", "unload", ""),
        record("end", "unload", ",\"result\":\"unloaded\""),
        record("event", "expire", ",\"result\":\"probation\""),
        record("event", "melt", ",\"result\":\"enabled\""),
    ];
    machine.write("var/lib/rlp/history.jsonl", &records.concat());
    machine.run(&["history"]).is(
        0,
        "2026-11-30 01:02:03  fix  load begins, and has no result: rlp was killed, or still runs
2026-11-30 01:02:03  fix  unload begins
2026-11-30 01:02:03  fix  unload: unloaded
2026-11-30 01:02:03  fix  loader: nobody has confirmed it in time, and it is taken back
2026-11-30 01:02:03  fix  loader: melt, enabled
",
    );
}

#[test]
fn the_schema_is_not_empty_words() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    let good = machine.json(&["status"]);
    let schema = Schema::read();
    let mut values = Vec::new();
    let spoils: [fn(&mut serde_json::Value); 6] = [
        |value| value["verdict"] = json!("fine"),
        |value| value["rlp"] = json!(2),
        |value| value["patches"][0]["cves"] = json!("CVE-2026-0001"),
        |value| value["patches"][0]["tasks"] = json!(-1),
        |value| value["extra"] = json!(1),
        |value| drop(value.as_object_mut().unwrap().remove("status")),
    ];
    for spoil in spoils {
        let mut value = good.clone();
        spoil(&mut value);
        values.push(value);
    }
    for value in values {
        assert!(!schema.errors(&value).is_empty(), "{value:#}");
    }
}
