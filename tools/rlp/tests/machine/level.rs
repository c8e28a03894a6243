// SPDX-License-Identifier: GPL-2.0

//! The command that builds a level.

use crate::common::{
    sha256,
    Machine,
    Output, //
};
use crate::elf;
use serde_json::{
    json,
    Value, //
};
use std::process::Command;

const OLD: &str = "7.3.4+deb13-amd64";
const NEW: &str = "7.3.5+deb13-amd64";
const KERNEL: [u8; 4] = [0xaa, 1, 2, 3];

fn vermagic(release: &str) -> String {
    format!("vermagic={release} SMP preempt mod_unload modversions ")
}

/// The content of a patch of level 7.
fn patch(release: &str, cves: &str) -> Vec<u8> {
    patch_with(&[&vermagic(release), "level=7", &format!("cves={cves}")])
}

fn patch_with(fields: &[&str]) -> Vec<u8> {
    patch_of(fields, b"patch")
}

fn patch_of(fields: &[&str], build_id: &[u8]) -> Vec<u8> {
    let mut info = vec!["name=fix".to_owned()];
    info.extend(fields.iter().map(|&field| field.to_owned()));
    let defined = ["rlp_info_level", "rlp_info_cves"];
    elf::module_with_symbols(&info, &["rlp_enable_patch"], &defined, build_id)
}

fn loader(release: &str) -> Vec<u8> {
    let info = ["name=rust_livepatch".to_owned(), vermagic(release)];
    elf::module_with_symbols(
        &info,
        &["ftrace_set_filter"],
        &["rlp_enable_patch"],
        b"load",
    )
}

/// A proof as rlp-build writes it, with the members that are read.
fn proof(release: &str, cves: &[&str]) -> Value {
    json!({
        "format": 1, "module": "fix", "description": "a fix", "level": "7", "cves": cves,
        "fixes": [], "patch": sha256("source"),
        "kernel": { "release": release, "build_id": "aa010203", "source": "7", "compiler": "gcc" },
        "functions": [
            { "object": "vmlinux", "name": "do_it", "position": 1 },
            { "object": "pktgen", "name": "pg_open", "position": 1 },
        ],
    })
}

/// The folders for two kernels: the first one has a proof, the second one has a copy of the
/// kernel's notes.
fn machine() -> Machine {
    let machine = Machine::new();
    let cves = "CVE-2026-0002 CVE-2026-0001";
    machine.write_bytes("in/old/fix.ko", &patch(OLD, cves));
    machine.write_bytes("in/old/rust_livepatch.ko", &loader(OLD));
    set_proof(&machine, &proof(OLD, &["CVE-2026-0002", "CVE-2026-0001"]));
    machine.write_bytes("in/new/fix.ko", &patch(NEW, "CVE-2026-0002"));
    machine.write_bytes("in/new/rust_livepatch.ko", &loader(NEW));
    machine.write_bytes("in/new/notes", &elf::build_id_note(&KERNEL));
    machine.write(
        "in/cves.json",
        r#"{ "CVE-2026-0001": { "severity": "high", "disclosed": "2026-11-20",
                                "fixed_in": ["7.3.5"] },
             "CVE-2025-9999": { "severity": "low" } }"#,
    );
    machine
}

fn set_proof(machine: &Machine, proof: &Value) {
    machine.write("in/old/fix.proof.json", &proof.to_string());
}

/// Runs the command on paths below the machine's folder, at a fixed time.
fn build(machine: &Machine, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
    program
        .args(["level", "build", "--level", "7", "--out", "out"])
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "1796000523")
        .current_dir(machine.path(""));
    machine.run_with(&mut program)
}

const BOTH: [&str; 4] = ["--cve-data", "in/cves.json", "in/new", "in/old"];

fn read_json(machine: &Machine, path: &str) -> Value {
    serde_json::from_str(&machine.read(path)).unwrap()
}

fn dpkg_deb(machine: &Machine, arguments: &[&str]) -> String {
    let output = Command::new("dpkg-deb")
        .args(arguments)
        .current_dir(machine.path("out"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_level_for_two_kernels() {
    let machine = machine();
    let options = ["--block", "5", "--block", "4", "--block", "5"];
    build(&machine, &[&options[..], &BOTH].concat()).is(
        0,
        "level 7
  7.3.4+deb13-amd64: fix
    CVE-2026-0001 (high)
    CVE-2026-0002 (unknown)
  7.3.5+deb13-amd64: fix
    CVE-2026-0002 (unknown)
  level 4 is taken back where it is in effect
  level 5 is taken back where it is in effect
note: in/old/rust_livepatch.ko is not signed: machines with Secure Boot refuse it
note: in/old/fix.ko is not signed: machines with Secure Boot refuse it
note: in/new/rust_livepatch.ko is not signed: machines with Secure Boot refuse it
note: in/new/fix.ko is not signed: machines with Secure Boot refuse it
note: in/new/fix.ko has no proof beside it
note: CVE-2026-0002: not in --cve-data, so its severity is unknown
written: out/level.json
written: out/openvex.json
written: out/provenance.json
written: out/rlp-level_7_amd64.deb
",
    );
    let level = read_json(&machine, "out/level.json");
    let old_patch = machine.path("in/old/fix.ko");
    let digest = |path: &str| sha256(std::fs::read(machine.path(path)).unwrap());
    assert_eq!(
        level["kernels"][0],
        json!({
            "release": OLD,
            "build_id": "aa010203",
            "vermagic": "7.3.4+deb13-amd64 SMP preempt mod_unload modversions ",
            "patch": {
                "name": "fix",
                "file": "7.3.4+deb13-amd64/fix.ko",
                "sha256": sha256(std::fs::read(old_patch).unwrap()),
                "build_id": "7061746368",
                "functions": 2,
                "replaced": ["pktgen:pg_open,1", "vmlinux:do_it,1"],
            },
            "loader": {
                "file": "7.3.4+deb13-amd64/rust_livepatch.ko",
                "sha256": digest("in/old/rust_livepatch.ko"),
                "build_id": "6c6f6164",
            },
        })
    );
    assert_eq!(level["kernels"][1]["build_id"], "aa010203");
    assert_eq!(level["kernels"][1]["patch"]["functions"], Value::Null);
    assert_eq!(level["published"], "2026-11-30T01:02:03Z");
    assert_eq!(level["blocked"], json!([4, 5]));
    assert_eq!(
        level["fixes"],
        json!([
            { "cve": "CVE-2026-0001", "severity": "high", "disclosed": "2026-11-20T00:00:00Z",
              "fixed_in": ["7.3.5"], "releases": [OLD] },
            { "cve": "CVE-2026-0002", "severity": "unknown", "disclosed": null,
              "fixed_in": [], "releases": [OLD, NEW] },
        ])
    );

    let vex = read_json(&machine, "out/openvex.json");
    assert_eq!(vex["@context"], "https://openvex.dev/ns/v0.2.0");
    assert_eq!(vex["statements"].as_array().unwrap().len(), 2);
    let first = &vex["statements"][0];
    assert_eq!(first["vulnerability"]["name"], "CVE-2026-0001");
    // A scanner reads the status alone: nothing is fixed where the package is installed only.
    assert_eq!(first["status"], "affected");
    assert_eq!(
        first["action_statement"],
        "Apply level 7 of rlp (pkg:deb/rlp/rlp-level@7?arch=amd64). The fix is in effect on a \
         machine if rlp info CVE-2026-0001 shows it as fixed there."
    );
    assert_eq!(
        first["products"],
        json!([{ "@id": "pkg:deb/debian/linux-image-7.3.4%2Bdeb13-amd64?arch=amd64" }])
    );

    let provenance = read_json(&machine, "out/provenance.json");
    assert_eq!(provenance["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(
        provenance["predicateType"],
        "https://slsa.dev/provenance/v1"
    );
    let of = |list: &Value, name: &str| {
        let mut all = list.as_array().unwrap().iter();
        let found = all.find(|entry| entry["name"] == name).expect(name);
        found["digest"]["sha256"].as_str().unwrap().to_owned()
    };
    let subject = &provenance["subject"];
    assert_eq!(subject.as_array().unwrap().len(), 7, "{subject:#}");
    assert_eq!(of(subject, "level.json"), digest("out/level.json"));
    assert_eq!(of(subject, "openvex.json"), digest("out/openvex.json"));
    assert_eq!(
        of(subject, &format!("{OLD}/fix.proof.json")),
        digest("in/old/fix.proof.json")
    );
    let built_from = &provenance["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(
        of(built_from, &format!("{NEW}/fix.ko")),
        digest("in/new/fix.ko")
    );
    assert_eq!(
        of(built_from, &format!("{OLD}/source-patches")),
        sha256("source")
    );
    assert_eq!(of(built_from, "cve-data"), digest("in/cves.json"));
}

/// Each file of the package is owned by root, and each subject of the provenance is one of them.
#[test]
fn the_package_has_the_files() {
    let machine = machine();
    build(&machine, &BOTH).says(0, "rlp-level_7_amd64.deb");
    let deb = "rlp-level_7_amd64.deb";
    let fields = dpkg_deb(&machine, &["-f", deb]);
    for field in [
        "Package: rlp-level\n",
        "Version: 7\n",
        "Architecture: amd64\n",
        "Maintainer: rlp level build <root@localhost>\n",
        "  7.3.4+deb13-amd64\n",
    ] {
        assert!(fields.contains(field), "{field}: {fields}");
    }
    dpkg_deb(&machine, &["-x", deb, "x"]);
    let changelog = Command::new("zcat")
        .arg(machine.path("out/x/usr/share/doc/rlp-level/changelog.gz"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&changelog.stdout),
        "rlp-level (7) stable; urgency=medium

  * 7.3.4+deb13-amd64: CVE-2026-0001 CVE-2026-0002
  * 7.3.5+deb13-amd64: CVE-2026-0002

 -- rlp level build <root@localhost>  Mon, 30 Nov 2026 01:02:03 +0000
"
    );
    let provenance = read_json(&machine, "out/provenance.json");
    for subject in provenance["subject"].as_array().unwrap() {
        let path = format!(
            "out/x/usr/share/rlp/level/{}",
            subject["name"].as_str().unwrap()
        );
        let content = std::fs::read(machine.path(&path)).unwrap();
        assert_eq!(subject["digest"]["sha256"], sha256(content), "{path}");
    }
    for line in dpkg_deb(&machine, &["-c", deb]).lines() {
        let is_right =
            line.starts_with("drwxr-xr-x root/root") || line.starts_with("-rw-r--r-- root/root");
        assert!(is_right, "{line}");
        assert!(line.contains(" 2026-11-30 01:02"), "{line}");
    }
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let (one, other) = (machine(), machine());
    build(&one, &BOTH).says(0, "written");
    // The order of the folders does not count.
    let reversed = ["--cve-data", "in/cves.json", "in/old", "in/new"];
    build(&other, &reversed).says(0, "written");
    let first = one.tree("out");
    assert_eq!(first.len(), 4);
    assert!(first == other.tree("out"));
    // A second build of the same level finds the same package.
    build(&one, &BOTH).says(0, "written");
    assert!(first == one.tree("out"));
}

#[test]
fn a_level_is_never_replaced_by_another_one() {
    let machine = machine();
    build(&machine, &BOTH).says(0, "written");
    let before = machine.tree("out");
    for arguments in [&["in/old"][..], &["-n", "in/old"]] {
        build(&machine, arguments).fails(3, "rlp-level_7_amd64.deb exists, and has other content");
    }
    assert!(before == machine.tree("out"));
}

/// Gives the patches of a level other names than those of level 7.
fn rename_patches(level: &mut Value) {
    for kernel in level["kernels"].as_array_mut().unwrap() {
        let release = kernel["release"].as_str().unwrap().to_owned();
        kernel["patch"]["name"] = json!("level6");
        kernel["patch"]["file"] = json!(format!("{release}/level6.ko"));
    }
}

/// Level 7 lacks what level 6 has had, or has all of it.
#[test]
fn what_the_level_before_has_had() {
    let machine = machine();
    build(&machine, &[&["--block", "4"][..], &BOTH].concat()).says(0, "written");
    let mut before = read_json(&machine, "out/level.json");
    before["level"] = json!(6);
    machine.write("before.json", &before.to_string());
    std::fs::rename(machine.path("out"), machine.path("seven")).unwrap();
    // The machines could not load a patch with the name of the one that they have.
    let name = "the patch for 7.3.4+deb13-amd64 has the name fix, as in level 6";
    build(&machine, &["-n", "--previous", "before.json", "in/old"]).fails(3, name);
    rename_patches(&mut before);
    machine.write("before.json", &before.to_string());
    let previous = ["--previous", "before.json", "-n"];
    let all = [&previous[..], &["--block", "4"], &BOTH].concat();
    let output = build(&machine, &all);
    assert_eq!(output.status, 0, "{output:?}");
    // The second kernel has no proof.
    assert_eq!(output.out.matches("level 6").count(), 1, "{output:?}");
    output.has("the functions for 7.3.5+deb13-amd64 were not compared");
    machine.write_bytes("in/old/fix.ko", &patch(OLD, "CVE-2026-0001"));
    set_proof(&machine, &proof(OLD, &["CVE-2026-0001"]));
    let fewer = [&previous[..], &["in/old"]].concat();
    let lost = [
        "level 6 fixes CVE-2026-0002 for 7.3.4+deb13-amd64, and this level does not",
        "level 6 blocks level 4, and this level does not",
    ];
    let output = build(&machine, &fewer);
    for line in lost {
        output.fails(3, line);
    }
    output.fails(3, "--allow-losses");
    // A kernel that is left out is no loss for a machine, unless the level before is blocked.
    let kernel = "level 6 has a patch for 7.3.5+deb13-amd64, and this level has none";
    assert!(!output.err.contains(kernel), "{output:?}");
    let blocked = [&previous[..], &["--block", "4", "--block", "6", "in/old"]].concat();
    let lost_kernel =
        "this level blocks level 6, which has a patch for 7.3.5+deb13-amd64, and has none";
    build(&machine, &blocked).fails(3, lost_kernel);
    let output = build(&machine, &[&fewer[..], &["--allow-losses"]].concat());
    for note in lost.iter().chain([&kernel]) {
        output.says(0, &format!("note: {note}\n"));
    }
    assert_eq!(output.out.matches("level 6").count(), 3, "{output:?}");
    let same = ["-n", "--previous", "seven/level.json", "in/old"];
    build(&machine, &same).fails(3, "level 7 is not before level 7");
}

/// The new patch has the same CVEs, and does not replace a function that the old one replaces.
#[test]
fn a_patch_that_is_not_cumulative() {
    let machine = machine();
    build(&machine, &["in/old"]).says(0, "written");
    let mut before = read_json(&machine, "out/level.json");
    assert_eq!(
        before["kernels"][0]["patch"]["replaced"],
        json!(["pktgen:pg_open,1", "vmlinux:do_it,1"])
    );
    before["level"] = json!(6);
    rename_patches(&mut before);
    machine.write("before.json", &before.to_string());
    std::fs::remove_dir_all(machine.path("out")).unwrap();
    let cves = ["CVE-2026-0002", "CVE-2026-0001"];
    let mut fewer = proof(OLD, &cves);
    fewer["functions"].as_array_mut().unwrap().pop();
    set_proof(&machine, &fewer);
    let previous = ["--previous", "before.json", "-n", "in/old"];
    let lost = "level 6 replaces pktgen:pg_open,1 for 7.3.4+deb13-amd64, and this level does not";
    build(&machine, &previous).fails(3, lost);
    build(&machine, &[&previous[..], &["--allow-losses"]].concat())
        .says(0, &format!("note: {lost}\n"));
    // A level of an earlier version of rlp has no list.
    let patch = before["kernels"][0]["patch"].as_object_mut().unwrap();
    patch.remove("replaced");
    machine.write("before.json", &before.to_string());
    build(&machine, &previous).says(
        0,
        "note: the functions for 7.3.4+deb13-amd64 were not compared with those of level 6: one \
         of the patches has no proof\n",
    );
    build(&machine, &["-n", "--allow-losses", "in/old"]).fails(2, "--previous");
}

#[test]
fn each_level_has_a_folder_of_its_own() {
    let machine = machine();
    build(&machine, &BOTH).says(0, "written");
    let mut other = read_json(&machine, "out/level.json");
    other["level"] = json!(6);
    machine.write("out/level.json", &other.to_string());
    let before = machine.tree("out");
    for arguments in [&BOTH[..], &["-n", "in/old"]] {
        build(&machine, arguments).fails(3, "out/level.json is that of level 6");
    }
    assert!(before == machine.tree("out"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let machine = machine();
    build(&machine, &["-n", "in/old"]).says(0, "would be written: out/level.json");
    assert!(!machine.path("out").exists());
}

#[test]
fn json() {
    let machine = machine();
    let folder = machine.path("in/old");
    let out = machine.path("out");
    let [folder, out] = [&folder, &out].map(|path| path.to_str().unwrap());
    let arguments = ["level", "build", "--level", "7", "--out", out];
    let value = machine.json(&[&arguments[..], &[folder]].concat());
    assert_eq!(value["command"], "level build");
    assert_eq!(value["level"], read_json(&machine, "out/level.json"));
    assert_eq!(value["files"].as_array().unwrap().len(), 4);
    let value = machine.json(&[&arguments[..], &["--block", "7", folder]].concat());
    assert_eq!(value["status"], 3);
}

/// Each refusal names the reason, and nothing is written.
#[test]
fn what_does_not_fit_is_refused() {
    let info = |fields: &[&str]| patch_with(fields);
    let release = vermagic(OLD);
    let in_tree = elf::module(
        &["name=fix".to_owned(), release.clone()],
        "klp_enable_patch",
        b"patch",
    );
    let no_symbols = elf::module(
        &["name=fix".to_owned(), release.clone(), "level=7".to_owned()],
        "rlp_enable_patch",
        b"patch",
    );
    let other_options = format!("vermagic={OLD} SMP mod_unload ");
    for (content, why) in [
        (patch(NEW, ""), "and that of the loader is"),
        (
            info(&[&other_options, "level=7"]),
            "and that of the loader is",
        ),
        (
            info(&[&release, "level=6"]),
            "its field level is '6', and not 7",
        ),
        (info(&[&release]), "its field level is '', and not 7"),
        (
            info(&[&release, "level=7", "cves=CVE-1"]),
            "'CVE-1' in its field cves is no CVE number",
        ),
        (in_tree, "it is built for in-tree livepatch"),
        (no_symbols, "the loader cannot show its field level"),
        (b"\x1f\x8b".to_vec(), "it is compressed"),
        (
            patch_of(&[&release, "level=7"], b""),
            "it has no build id, so no machine could recognise it",
        ),
        (loader(OLD), "it has 2 modules that are the loader"),
    ] {
        let machine = machine();
        machine.write_bytes("in/old/fix.ko", &content);
        build(&machine, &["in/old"]).fails(3, why);
        assert!(!machine.path("out").exists(), "{why}");
    }

    let with_proof = |change: &dyn Fn(&mut Value)| {
        let machine = machine();
        let mut value = proof(OLD, &["CVE-2026-0002", "CVE-2026-0001"]);
        change(&mut value);
        set_proof(&machine, &value);
        build(&machine, &["in/old"])
    };
    with_proof(&|proof| proof["format"] = json!(2)).fails(3, "it has the format 2");
    with_proof(&|proof| proof["build_id"] = json!("aa")).fails(
        3,
        "in/old/fix.proof.json is the proof of another build of the patch",
    );
    let is_right = with_proof(&|proof| proof["build_id"] = json!("7061746368"));
    is_right.says(0, "written: out/level.json");
    with_proof(&|proof| proof["module"] = json!("other")).fails(3, "it is the proof of other");
    with_proof(&|proof| proof["level"] = json!("6")).fails(3, "its level is not that of the patch");
    with_proof(&|proof| proof["cves"] = json!([])).fails(3, "its CVEs are not those of the patch");
    with_proof(&|proof| proof["kernel"]["release"] = json!(NEW)).fails(3, "it is a proof for");
    with_proof(&|proof| proof["kernel"]["build_id"] = Value::Null)
        .fails(3, "the build id of the kernel is not known");

    let machine = machine();
    machine.write_bytes("in/old/notes", &elf::build_id_note(&[0xbb, 1, 2, 3]));
    build(&machine, &["in/old"]).fails(3, "the proof is for the kernel with the build id aa010203");
    machine.write("in/old/notes", "none");
    build(&machine, &["in/old"]).fails(3, "it has no build id");
    build(&machine, &["in/new", "in/new"]).fails(3, "it has 7.3.5+deb13-amd64 twice");
    build(&machine, &["--block", "7", "in/new"]).fails(3, "level 7 blocks level 7");
    build(&machine, &["in/none"]).fails(1, "in/none: No such file");
    machine.folder("in/empty");
    build(&machine, &["in/empty"]).fails(3, "it has 0 modules that are the loader");
    machine.write_bytes("in/empty/rust_livepatch.ko", &loader(OLD));
    build(&machine, &["in/empty"]).fails(3, "it has 0 modules that are patches");
    machine.write(
        "in/cves.json",
        r#"{ "CVE-2026-0001": { "severity": "bad" } }"#,
    );
    build(&machine, &BOTH).fails(3, "severity is one of");
    build(&machine, &["--publisher", "me", "in/new"]).fails(2, "a publisher is like");
    assert!(!machine.path("out").exists());
}
