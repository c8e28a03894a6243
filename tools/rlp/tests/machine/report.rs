// SPDX-License-Identifier: GPL-2.0

//! rlp report: a row for each CVE on each host, in each form, and the decisions behind them.

use crate::common::{
    Machine,
    HOST, //
};
use crate::fleet::{
    self,
    host,
    json,
    json_at,
    level,
    report,
    row,
    History,
    NEXT_DAY,
    NOW, //
};
use serde_json::{
    json,
    Value, //
};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const CVE: &str = "CVE-2026-0001";

/// A host that has applied level 7 without a restart.
fn good(nr: u8) -> History {
    let mut history = History::of(nr);
    history
        .beat("2026-11-02T06:00:00Z", "in-effect", &[])
        .available("2026-11-03T06:00:00Z", 7)
        .load("2026-11-04T06:00:00Z")
        .beat("2026-11-04T12:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE]);
    history
}

/// The evidence of six hosts. Each is in another state.
fn fleet() -> Machine {
    let fleet = Machine::new();
    good(1).export(&fleet);
    // A restart to apply it, and too late.
    History::of(2)
        .available("2026-11-03T06:00:00Z", 7)
        .restart()
        .load("2026-11-20T06:00:00Z")
        .beat("2026-11-20T12:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    // Nothing is loaded. There is an exception.
    History::of(3)
        .machine("2026-11-29T12:00:00Z", &json!([]))
        .export(&fleet);
    // A record was changed.
    let mut changed = good(4);
    changed.export(&fleet);
    let text = changed.text().replacen("\"uptime\":60", "\"uptime\":61", 1);
    fleet.write(&format!("evidence/{}.jsonl", host(4)), &text);
    // It was in effect, and was unloaded.
    good(5)
        .event("2026-11-30T06:00:00Z", "end", "unload", "unloaded")
        .export(&fleet);
    // Host 6 has no evidence. Host 7 is not in the inventory.
    good(7).export(&fleet);
    fleet.write("evidence/notes.jsonl", "{}\n");
    let inventory = [1, 2, 3, 4, 5, 6].map(|nr| format!("{} =web{nr}.example\n", host(nr)));
    fleet.write("inventory", &format!("# the hosts\n{}", inventory.concat()));
    fleet.write("level.json", &level().to_string());
    fleet.write(
        "policy.toml",
        &format!(
            "[sla]\nhigh = 14\n\n[[exception]]\ncve = \"{CVE}\"\nhosts = [\"{}\"]\n\
             reason = \"replaced in \\\"December\\\", <soon>\"\napproved_by = \"A. Person\"\n\
             end = \"2026-12-31\"\n",
            host(3)
        ),
    );
    fleet
}

/// Runs a report with all files of the operator.
fn full(fleet: &Machine, arguments: &[&str]) -> crate::common::Output {
    let paths = ["inventory", "level.json", "policy.toml"].map(|name| fleet.path(name));
    let paths = paths.each_ref().map(|path| path.to_str().unwrap());
    let given = [
        "--inventory",
        paths[0],
        "--level",
        paths[1],
        "--policy",
        paths[2],
    ];
    report(fleet, &[&given, arguments].concat())
}

/// The report of all files as JSON.
fn full_json(fleet: &Machine) -> Value {
    let output = full(fleet, &["--json"]);
    let value: Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
    crate::common::Schema::read().check(&value);
    value
}

#[test]
fn each_form() {
    let fleet = fleet();
    let printed = |format: &str| {
        let output = full(&fleet, &["--format", format]);
        assert_eq!((output.status, output.err.as_str()), (6, ""), "{output:?}");
        output.out
    };
    let (text, csv, page) = (printed("text"), printed("csv"), printed("html"));
    insta::assert_snapshot!("text", text);
    insta::assert_snapshot!("csv", csv.replace("\r\n", "\n"));
    insta::assert_snapshot!("page", page);
    let json: Value = serde_json::from_str(&printed("json")).unwrap();
    assert_eq!(json, full_json(&fleet));
    // The same input gives the same bytes.
    assert_eq!(printed("html"), page);
    // A file has the same content.
    let file = fleet.path("out");
    // The paths in the file have the root of the machine, which is removed from the output above.
    let root = file.parent().unwrap().to_str().unwrap();
    for (format, content) in [("text", text), ("csv", csv), ("html", page)] {
        let output = full(
            &fleet,
            &["--format", format, "--output", file.to_str().unwrap()],
        );
        output.says(6, "written: /out");
        assert_eq!(fleet.read("out").replace(root, ""), content);
    }
    let output = full(
        &fleet,
        &["--format", "json", "--output", file.to_str().unwrap()],
    );
    output.says(6, "written: /out");
    let written: Value = serde_json::from_str(&fleet.read("out").replace(root, "")).unwrap();
    assert_eq!(written["rows"], json["rows"]);
}

/// The page needs nothing but itself, and no text of a file is markup in it.
#[test]
fn the_page() {
    let page = full(&fleet(), &["--format", "html"]).out;
    assert!(page.contains("&lt;soon&gt;") && !page.contains("<soon>"));
    for outside in [
        "http://", "https://", "src=", "url(", "@import", "<script", "<link", "{{",
    ] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
    for elsewhere in ["compliant", "complian"] {
        assert!(!page.to_lowercase().contains(elsewhere));
    }
    // Each element is closed, in order.
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let name = piece.split([' ', '>', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{piece}"),
            None if name.starts_with('!') || name == "meta" => (),
            None => open.push(name),
        }
    }
    assert_eq!(open, [""; 0]);
}

/// The guide defines each column of the CSV, in its order.
#[test]
fn each_column_is_defined() {
    let csv = full(&fleet(), &["--format", "csv"]).out;
    let columns: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    let guide = include_str!("../../../../Documentation/report.rst");
    let (_, table) = guide.split_once("\nColumn ").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let names = table
        .lines()
        .filter_map(|line| line.strip_prefix("``")?.split_once("``"));
    let names: Vec<_> = names.map(|(name, _)| name).collect();
    assert_eq!(columns, names);
}

/// A label may begin like a formula. A spreadsheet must not compute it.
#[test]
fn a_label_is_no_formula() {
    let csv = full(&fleet(), &["--format", "csv"]).out;
    assert!(csv.contains(",'=web1.example,"), "{csv}");
}

#[test]
fn each_host_has_a_row_for_each_cve() {
    let fleet = fleet();
    let report = full_json(&fleet);
    assert_eq!(report["rows"].as_array().unwrap().len(), 2 * 7);
    for (nr, state, sla) in [
        (1, "verified", "met"),
        (2, "verified", "missed"),
        (3, "open", "excepted"),
        (4, "not-verified", "missed"),
        (5, "lost", "missed"),
        (6, "no-evidence", "missed"),
        (7, "verified", "met"),
    ] {
        let row = row(&report, CVE, nr);
        assert_eq!(
            (&row["state"], &row["sla"]),
            (&json!(state), &json!(sla)),
            "{row:#}"
        );
        // No level fixes the other CVE for the kernel of these hosts.
        let other = fleet::row(&report, "CVE-2026-0002", nr);
        assert_eq!(other["verified"], Value::Null);
        let is_known = matches!(nr, 4 | 6);
        assert_eq!(other["published"].is_null(), !is_known, "{other:#}");
    }
    let first = row(&report, CVE, 1);
    for (field, value) in [
        ("published", "2026-11-03T00:00:00Z"),
        ("available", "2026-11-03T06:00:00Z"),
        ("applied", "2026-11-04T06:00:00Z"),
        ("verified", "2026-11-04T12:00:00Z"),
        ("last_seen", "2026-11-29T12:00:00Z"),
        ("due", "2026-11-15T00:00:00Z"),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!(first["seconds"], 84 * 3600);
    assert_eq!(
        (&first["restarts"], &first["boots"]),
        (&json!(0), &json!(["boot-1-1"]))
    );
    let second = row(&report, CVE, 2);
    assert_eq!(second["restarts"], 1);
    assert_eq!(second["boots"], json!(["boot-2-1", "boot-2-2"]));
    let reason = row(&report, CVE, 4)["reason"].as_str().unwrap();
    assert!(reason.contains("line 1: changed: "), "{reason}");
    assert_eq!(report["files_of_no_host"].as_array().unwrap().len(), 1);
    let inputs: Vec<_> = report["inputs"].as_array().unwrap().iter().collect();
    assert_eq!(inputs.len(), 3);
    assert_eq!(
        inputs[2]["sha256"],
        crate::common::sha256(level().to_string())
    );
}

/// The exit status is 0 if each host was protected in time.
#[test]
fn the_answer_is_yes() {
    let fleet = Machine::new();
    good(1).export(&fleet);
    fleet.write(
        "levels/7/level.json",
        &level()
            .to_string()
            .replace("7.3.5+test\"]", "7.3.4+test\"]"),
    );
    let levels = fleet.path("levels");
    let arguments = ["--level", levels.to_str().unwrap()];
    // The other CVE is critical: its days are over.
    assert_eq!(json(&fleet, &arguments)["status"], 6);
    let both: &[&str] = &[CVE, "CVE-2026-0002"];
    History::of(1)
        .load("2026-11-03T12:00:00Z")
        .beat("2026-11-04T12:00:00Z", "in-effect", both)
        .beat("2026-11-29T12:00:00Z", "in-effect", both)
        .export(&fleet);
    // The new file does not have the record of the earlier head.
    assert_eq!(
        row(&json(&fleet, &arguments), CVE, 1)["state"],
        "not-verified"
    );
    std::fs::remove_file(fleet.path(&format!("evidence/{}", good(1).head().0))).unwrap();
    let report = json(&fleet, &arguments);
    assert_eq!(report["status"], 0, "{report:#}");
    assert_eq!(fleet::report(&fleet, &arguments).status, 0);
    // Protected on the day on which the days end, and a second later.
    for (time, sla) in [
        ("2026-11-09T00:00:00Z", "met"),
        ("2026-11-09T00:00:01Z", "missed"),
    ] {
        let fleet = Machine::new();
        fleet.write(
            "levels/level.json",
            &level()
                .to_string()
                .replace("7.3.5+test\"]", "7.3.4+test\"]"),
        );
        History::of(1)
            .beat(time, "in-effect", both)
            .beat("2026-11-29T12:00:00Z", "in-effect", both)
            .export(&fleet);
        let levels = fleet.path("levels");
        let report = json(&fleet, &["--level", levels.to_str().unwrap()]);
        assert_eq!(row(&report, "CVE-2026-0002", 1)["sla"], sla);
    }
}

/// Only the loader's own words count, and only those about a patch in effect.
#[test]
fn what_protects() {
    let seen_at = |now: &str, history: &mut History| {
        let fleet = Machine::new();
        history.export(&fleet);
        fleet.write("level.json", &level().to_string());
        let level = fleet.path("level.json");
        let report = json_at(&fleet, now, &["--level", level.to_str().unwrap()]);
        let row = row(&report, CVE, 1);
        (
            row["state"].as_str().unwrap().to_owned(),
            row["gaps"].as_u64().unwrap(),
            row.clone(),
        )
    };
    let seen = |history: &mut History| seen_at(NOW, history);
    let last = "2026-11-29T12:00:00Z";
    for state in ["enabling", "disabling", "probation", "held"] {
        assert_eq!(
            seen(History::of(1).load(last).beat(last, state, &[CVE])).0,
            "open",
            "{state}"
        );
    }
    // A load alone says nothing, and what cannot be read says nothing.
    assert_eq!(seen(History::of(1).load(last)).0, "silent");
    assert_eq!(seen(History::of(1).machine(last, &Value::Null)).0, "silent");
    assert_eq!(
        seen(History::of(1).beat(last, "melted", &[CVE])).0,
        "silent"
    );
    assert_eq!(seen(good(1).machine(last, &Value::Null)).0, "verified");
    // Silent for 8 days, and for 7.
    for (time, state) in [
        ("2026-11-22T23:59:59Z", "silent"),
        ("2026-11-24T00:00:00Z", "verified"),
    ] {
        assert_eq!(
            seen(History::of(1).beat(time, "in-effect", &[CVE])).0,
            state
        );
    }
    // Restarted, and not seen since. A load is not the loader's word about the CVE.
    assert_eq!(seen(good(1).restart().load(last)).0, "restarted");
    assert_eq!(
        seen(good(1).restart().beat(last, "in-effect", &[CVE])).0,
        "verified"
    );
    // Lost, and fixed again.
    for (phase, action, result) in [
        ("end", "unload", "unloaded"),
        ("event", "complete", "disabled"),
        ("event", "expire", "unpatching"),
    ] {
        let mut history = good(1);
        history.event(last, phase, action, result);
        let (state, _, row) = seen(&mut history);
        assert_eq!((state.as_str(), &row["lost"]), ("lost", &json!(last)));
        history.beat(last, "in-effect", &[CVE]);
        let (state, gaps, row) = seen(&mut history);
        assert_eq!((state.as_str(), gaps), ("verified", 1));
        assert_eq!(row["verified"], "2026-11-04T12:00:00Z");
    }
    assert_eq!(seen(good(1).beat(last, "in-effect", &[])).0, "lost");
    // An action that has failed changes nothing.
    assert_eq!(
        seen(good(1).event(last, "end", "unload", "refused")).0,
        "verified"
    );
    // The clock was ahead when the patch was unloaded, or when the machine was restarted.
    let ahead = "2036-01-01T00:00:00Z";
    let mut history = good(1);
    history.event(ahead, "end", "unload", "unloaded");
    let (state, _, row) = seen(&mut history);
    assert_eq!(state, "lost");
    assert_eq!(row["lost"], "2026-11-29T12:00:00Z");
    assert_eq!(seen(good(1).beat(ahead, "in-effect", &[])).0, "lost");
    assert_eq!(seen(good(1).restart().load(ahead)).0, "restarted");
    // The loader's words from the future show no protection.
    let mut history = good(1);
    history.event(last, "end", "unload", "unloaded");
    assert_eq!(seen(history.beat(ahead, "in-effect", &[CVE])).0, "lost");
    // A record after the interval does not count.
    let late = "2026-12-01T00:00:00Z";
    let mut open = History::of(1);
    open.machine(last, &json!([]))
        .beat(late, "in-effect", &[CVE]);
    assert_eq!(seen_at(NEXT_DAY, &mut open).0, "open");
    let state = seen_at(NEXT_DAY, good(1).machine(late, &json!([]))).0;
    assert_eq!(state, "verified");
    // Without a record of the load, the loader's file says when the transition was complete.
    let since = json!([{
        "name": "fix", "state": "in-effect", "since": 1_796_000_523, "level": null,
        "cves": [CVE], "build_id": null, "forced": true,
    }]);
    let (state, _, row) = seen(History::of(1).machine("2026-11-30T02:00:00Z", &since));
    assert_eq!(state, "forced");
    assert_eq!(
        (&row["applied"], &row["forced"], &row["verified"]),
        (&json!("2026-11-30T01:02:03Z"), &json!(true), &Value::Null)
    );
}

/// A task that was forced may still run the old code. So no number of the report counts the host as
/// protected.
#[test]
fn a_forced_transition_is_no_protection() {
    let fleet = Machine::new();
    let patch = |name: &str, forced: bool| {
        json!({
            "name": name, "state": "in-effect", "since": null, "level": null, "cves": [CVE],
            "build_id": null, "forced": forced,
        })
    };
    let last = "2026-11-29T12:00:00Z";
    good(1).export(&fleet);
    // Verified, and then forced; forced from the beginning; and forced beside a patch that is not.
    good(2)
        .machine(last, &json!([patch("other", true)]))
        .export(&fleet);
    History::of(3)
        .load("2026-11-03T06:00:00Z")
        .machine(last, &json!([patch("fix", true)]))
        .export(&fleet);
    History::of(4)
        .machine(last, &json!([patch("fix", true), patch("other", false)]))
        .export(&fleet);
    // The forced patch has left, and nobody has said what is in effect since.
    History::of(5)
        .machine(last, &json!([patch("fix", true)]))
        .event(last, "end", "unload", "unloaded")
        .export(&fleet);
    // The clock was ahead when the tasks were forced.
    good(6)
        .machine("2036-01-01T00:00:00Z", &json!([patch("fix", true)]))
        .export(&fleet);
    fleet.write("level.json", &level().to_string());
    let level = fleet.path("level.json");
    let arguments = ["--level", level.to_str().unwrap()];
    let report = json(&fleet, &arguments);
    let shown = |nr: u8| {
        let row = row(&report, CVE, nr);
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        (text("state"), text("sla"), row["forced"] == true)
    };
    for (nr, state, sla, forced) in [
        (1, "verified", "met", false),
        (2, "forced", "open", true),
        (3, "forced", "open", true),
        (4, "verified", "met", true),
        (5, "open", "open", true),
        (6, "forced", "open", true),
    ] {
        let expected = (state.to_owned(), sla.to_owned(), forced);
        assert_eq!(shown(nr), expected, "host {nr}: {report:#}");
    }
    assert_eq!(row(&report, CVE, 2)["lost"], last);
    assert_eq!(row(&report, CVE, 3)["applied"], "2026-11-03T06:00:00Z");
    let cves = report["cves"].as_array().unwrap();
    let cve = cves.iter().find(|cve| cve["cve"] == CVE).unwrap();
    assert_eq!((&cve["protected"], &cve["hosts"]), (&json!(2), &json!(6)));
    assert_eq!(cve["states"]["forced"], 3);
    assert_eq!(cve["slas"], json!({ "met": 2, "open": 4 }));
    let text = fleet::report(&fleet, &arguments).out;
    for line in [
        "  protected: 2 of 6 hosts (verified 2, forced 3, open 1)\n".to_owned(),
        "  SLA: met 2, open 4\n".to_owned(),
        format!(
            "  {CVE} {}: forced (tasks were forced, and may still run the old code), SLA open\n",
            host(2)
        ),
    ] {
        assert!(text.contains(&line), "no {line} in {text}");
    }
    let csv = fleet::report(&fleet, &[&arguments[..], &["--format", "csv"]].concat()).out;
    let is_forced = |nr: u8| {
        let mut lines = csv.lines();
        lines.any(|line| {
            line.starts_with(CVE)
                && line.contains(&format!(
                    ",{},,no,forced,\"tasks were forced, and may",
                    host(nr)
                ))
        })
    };
    assert!(is_forced(2) && is_forced(3) && !is_forced(4), "{csv}");
    // The table and the plot of the page, which is the PDF, too.
    let html = fleet::report(&fleet, &[&arguments[..], &["--format", "html"]].concat()).out;
    assert_eq!(html.matches("2 of 6</").count(), 2, "{html}");
    // After a restart without a forced transition, the host is protected again.
    std::fs::remove_dir_all(fleet.path("evidence")).unwrap();
    good(2)
        .machine(last, &json!([patch("other", true)]))
        .restart()
        .beat("2026-11-30T07:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    let report = json(&fleet, &arguments);
    let row = row(&report, CVE, 2);
    assert_eq!(
        (&row["state"], &row["gaps"]),
        (&json!("verified"), &json!(1))
    );
    assert_eq!(row["forced"], true);
}

/// A clock that was set back makes no record older than those before it.
#[test]
fn a_clock_that_is_set_back() {
    let fleet = Machine::new();
    History::of(1)
        .machine("2026-11-10T00:00:00Z", &json!([]))
        .beat("1970-01-02T00:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    let report = json(&fleet, &[]);
    assert_eq!(row(&report, CVE, 1)["verified"], "2026-11-10T00:00:00Z");
    assert_eq!(report["hosts"][0]["facts"]["set_back"], 1);
}

/// Words that are old do not become recent because the clock was ahead for a while before them.
#[test]
fn a_clock_that_was_ahead() {
    let fleet = Machine::new();
    History::of(1)
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-10T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    let report = json(&fleet, &[]);
    let row = row(&report, CVE, 1);
    assert_eq!(row["state"], "silent", "{row:#}");
    assert!(row["reason"].as_str().unwrap().contains("2026-11-10"));
}

/// No patch outlives a restart. Until the loader names the CVE again, the host does not count as
/// protected, and the answer is no. Whether the SLA was met does not change.
#[test]
fn a_restart_is_no_protection() {
    let fleet = Machine::new();
    let level = level()
        .to_string()
        .replace("CVE-2026-0002", "CVE-2026-0003");
    let mut history = good(1);
    history
        .restart()
        .load("2026-11-30T06:00:00Z")
        .export(&fleet);
    fleet.write("level.json", &level);
    let level = fleet.path("level.json");
    let arguments = ["--level", level.to_str().unwrap()];
    let protected = |report: &Value| {
        let cves = report["cves"].as_array().unwrap();
        let cve = cves.iter().find(|cve| cve["cve"] == CVE).unwrap();
        cve["protected"].as_u64().unwrap()
    };
    let before = json(&fleet, &arguments);
    assert_eq!(protected(&before), 0, "{before:#}");
    assert_eq!(row(&before, CVE, 1)["sla"], "met", "{before:#}");
    let text = fleet::report(&fleet, &arguments).out;
    let no = format!("{CVE} {}: restarted (no word of the loader since", host(1));
    assert!(text.contains(&no), "{text}");
    std::fs::remove_dir_all(fleet.path("evidence")).unwrap();
    history
        .beat("2026-11-30T07:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    assert_eq!(protected(&json(&fleet, &arguments)), 1);
    assert!(!fleet::report(&fleet, &arguments).out.contains(&no));
}

/// A machine that was restarted so that the boot loads the patch was not patched without a restart.
/// A record of the same boot from before the load shows that no restart was needed.
#[test]
fn a_restart_to_load_the_patch() {
    let restarts = |history: &mut History| {
        let fleet = Machine::new();
        history
            .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
            .export(&fleet);
        row(&json(&fleet, &[]), CVE, 1)["restarts"].clone()
    };
    let before = || {
        let mut history = History::of(1);
        history
            .machine("2026-11-02T06:00:00Z", &json!([]))
            .event("2026-11-03T06:00:00Z", "end", "install", "installed")
            .restart();
        history
    };
    let loaded = "2026-11-04T06:00:00Z";
    let complete = |history: &mut History| {
        history.event(loaded, "event", "complete", "enabled");
    };
    assert_eq!(restarts(before().load(loaded)), 1);
    // The patch before it is loaded by the same boot.
    let mut two = before();
    let other = json!({ "phase": "end", "action": "load", "patch": "other", "result": "loaded" });
    two.add(loaded, &other).load(loaded);
    complete(&mut two);
    assert_eq!(restarts(&mut two), 1);
    // The loader's event is the first record, or no record is about the load.
    let mut event = before();
    complete(&mut event);
    assert_eq!(restarts(&mut event), 1);
    assert_eq!(restarts(&mut before()), 1);
    // The machine ran in that boot without the patch.
    let mut running = before();
    running
        .machine("2026-11-04T05:00:00Z", &json!([]))
        .load(loaded);
    assert_eq!(restarts(&mut running), 0);
    // The host has no earlier record.
    assert_eq!(restarts(History::of(1).load(loaded)), 0);
}

/// An exception excuses a host that is not protected, and not one without evidence. The due time
/// does not change that.
#[test]
fn an_exception_is_no_evidence() {
    let answer = |history: Option<&mut History>, high: u32, exception: bool| {
        let fleet = Machine::new();
        fleet.folder("evidence");
        if let Some(history) = history {
            history.export(&fleet);
        }
        fleet.write("inventory", &format!("{} web1\n", host(1)));
        // The other CVE is of another kernel, and of no interest here.
        let level = level()
            .to_string()
            .replace("CVE-2026-0002", "CVE-2026-0003");
        fleet.write("level.json", &level);
        let mut policy = format!("[sla]\nhigh = {high}\ncritical = 999\n");
        for cve in [CVE, "CVE-2026-0003"].into_iter().filter(|_| exception) {
            policy += &format!(
                "[[exception]]\ncve = \"{cve}\"\nhosts = [\"*\"]\nreason = \"r\"\n\
                 approved_by = \"a\"\nend = \"2026-12-31\"\n"
            );
        }
        fleet.write("policy.toml", &policy);
        full(&fleet, &[]).status
    };
    let last = "2026-11-29T12:00:00Z";
    for high in [14, 60] {
        assert_eq!(answer(None, high, true), 6, "no evidence, {high}");
        let mut silent = History::of(1);
        silent.machine("2026-11-03T06:00:00Z", &json!([]));
        assert_eq!(answer(Some(&mut silent), high, true), 6, "silent, {high}");
        let mut open = History::of(1);
        open.machine(last, &json!([]));
        assert_eq!(answer(Some(&mut open), high, true), 0, "open, {high}");
        let mut restarted = good(1);
        restarted.restart().load("2026-11-30T06:00:00Z");
        assert_eq!(answer(Some(&mut restarted), high, true), 0, "{high}");
        assert_eq!(answer(Some(&mut restarted), high, false), 6, "{high}");
    }
    let mut open = History::of(1);
    open.machine(last, &json!([]));
    assert_eq!(answer(Some(&mut open), 14, false), 6);
}

/// The SLA is missed if the patch was lost at the due time, which is 2026-11-15 here.
#[test]
fn a_gap_at_the_due_time() {
    for (lost, fixed, sla) in [
        ("2026-11-10T00:00:00Z", "2026-11-20T00:00:00Z", "missed"),
        ("2026-11-10T00:00:00Z", "2026-11-15T00:00:00Z", "met"),
        ("2026-11-16T00:00:00Z", "2026-11-20T00:00:00Z", "met"),
    ] {
        let fleet = Machine::new();
        History::of(1)
            .beat("2026-11-04T12:00:00Z", "in-effect", &[CVE])
            .machine(lost, &json!([]))
            .beat(fixed, "in-effect", &[CVE])
            .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
            .export(&fleet);
        fleet.write("level.json", &level().to_string());
        fleet.write("policy.toml", "[sla]\nhigh = 14\n");
        let paths = ["level.json", "policy.toml"].map(|name| fleet.path(name));
        let [level, policy] = paths.each_ref().map(|path| path.to_str().unwrap());
        let report = json(&fleet, &["--level", level, "--policy", policy]);
        let row = row(&report, CVE, 1);
        assert_eq!(row["sla"], sla, "{row:#}");
        assert_eq!(
            (&row["state"], &row["gaps"]),
            (&json!("verified"), &json!(1))
        );
    }
}

/// A CVE that each host was protected from before the interval is left out.
#[test]
fn an_old_cve_is_left_out() {
    let fleet = Machine::new();
    let mut one = History::of(1);
    one.beat("2026-10-01T00:00:00Z", "in-effect", &[CVE])
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    let left_out = json(&fleet, &[]);
    assert_eq!(
        (&left_out["left_out"], &left_out["rows"]),
        (&json!(1), &json!([]))
    );
    fleet::report(&fleet, &[]).says(
        0,
        "left out, because fixed on each host before that time: 1",
    );
    // Another host was not.
    good(2).export(&fleet);
    assert_eq!(json(&fleet, &[])["rows"].as_array().unwrap().len(), 2);
    // A CVE that is disclosed after the interval is not listed.
    fleet.write(
        "level.json",
        &level().to_string().replace("2026-11-0", "2026-12-0"),
    );
    let level = fleet.path("level.json");
    let later = json(&fleet, &["--level", level.to_str().unwrap()]);
    assert_eq!(later["cves"].as_array().unwrap().len(), 1, "{later:#}");
}

/// CVE-2026-10000 is newer than CVE-2026-9999. The plot has the newest 25, as the page says.
#[test]
fn the_newest_cves_are_in_the_plot() {
    let fleet = Machine::new();
    let names = (9_990..10_020).map(|nr| format!("CVE-2026-{nr:04}"));
    let names: Vec<_> = names.collect();
    let cves: Vec<_> = names.iter().map(String::as_str).collect();
    History::of(1)
        .beat("2026-11-29T12:00:00Z", "in-effect", &cves)
        .export(&fleet);
    let report = json(&fleet, &[]);
    let listed = report["cves"].as_array().unwrap().iter();
    assert!(listed.map(|cve| cve["cve"].as_str().unwrap()).eq(cves));
    let page = fleet::report(&fleet, &["--format", "html"]).out;
    assert!(page.contains("The plot has the 25 newest CVEs"));
    let (_, plot) = page.split_once("<svg").unwrap();
    let (plot, _) = plot.split_once("</svg>").unwrap();
    let shown = names.iter().filter(|name| plot.contains(name.as_str()));
    assert!(shown.eq(&names[5..]));
}

/// Without a CVE, the evidence alone decides.
#[test]
fn without_a_cve() {
    let fleet = Machine::new();
    History::of(1)
        .machine("2026-11-29T12:00:00Z", &json!([]))
        .export(&fleet);
    fleet::report(&fleet, &[]).says(0, "no CVE is named by a level or by a record");
    fleet.write("inventory", &format!("{}\n{}\n", host(1), host(2)));
    let inventory = fleet.path("inventory");
    let arguments = ["--inventory", inventory.to_str().unwrap()];
    fleet::report(&fleet, &arguments).says(6, "without evidence: 1");
    // Evidence that is whole and old shows nothing.
    let fleet = Machine::new();
    History::of(1)
        .machine("2026-11-02T12:00:00Z", &json!([]))
        .export(&fleet);
    fleet::report(&fleet, &[]).says(6, "hosts whose loader has reported nothing recently: 1");
}

/// Nothing that was collected is no good news.
#[test]
fn without_a_host() {
    let fleet = Machine::new();
    fleet.folder("evidence");
    let nothing = "there is no evidence and no inventory, so nothing is shown";
    fleet::report(&fleet, &[]).says(6, nothing);
    fleet.write("level.json", &level().to_string());
    let level = fleet.path("level.json");
    fleet::report(&fleet, &["--level", level.to_str().unwrap()]).says(6, nothing);
    // A folder without a level would hide each CVE that no host is protected from.
    let evidence = fleet.path("evidence");
    fleet::report(&fleet, &["--level", evidence.to_str().unwrap()]).fails(3, "has no level");
}

#[test]
fn two_levels_with_one_number() {
    let fleet = Machine::new();
    fleet.folder("evidence");
    fleet.write("levels/a/level.json", &level().to_string());
    fleet.write("levels/b/level.json", &level().to_string());
    let levels = fleet.path("levels");
    let arguments = ["--level", levels.to_str().unwrap()];
    // A copy is no mistake.
    assert_eq!(fleet::report(&fleet, &arguments).status, 6);
    let mut other = level();
    other["fixes"][0]["severity"] = json!("low");
    fleet.write("levels/b/level.json", &other.to_string());
    fleet::report(&fleet, &arguments).fails(
        3,
        "two levels have the number 7: /levels/a/level.json and /levels/b/level.json",
    );
}

/// A severity that no level names is unknown, and so is the SLA.
#[test]
fn without_levels() {
    let fleet = Machine::new();
    good(1).export(&fleet);
    let report = json(&fleet, &[]);
    let one = row(&report, CVE, 1);
    assert_eq!(
        (&one["sla"], &one["due"], &one["published"]),
        (&json!("unknown"), &Value::Null, &Value::Null)
    );
    // The host is protected, so the answer is not no.
    assert_eq!(report["status"], 0);
    fleet::report(&fleet, &[]).says(
        0,
        "CVE-2026-0001: unknown, disclosed unknown, published unknown",
    );
    History::of(2)
        .machine("2026-11-29T12:00:00Z", &json!([]))
        .export(&fleet);
    assert_eq!(json(&fleet, &[])["status"], 6);
}

/// Records that rlp itself has made and exported are verified.
#[test]
fn a_real_export() {
    let machine = Machine::new();
    machine.patch("live_fix", 1);
    machine.set("live_fix", "cves", CVE);
    machine.set("live_fix", "confirmed", "0");
    machine.run(&["confirm", "live_fix"]).says(0, "confirmed");
    machine.json(&["heartbeat"]);
    let folder = machine.path("evidence");
    let folder = folder.to_str().unwrap();
    machine.json(&["evidence", "export", folder, "--unsigned"]);
    let report = machine.json(&[
        "report",
        "--from",
        "2026-01-01",
        "--to",
        "2999-12-31",
        folder,
    ]);
    let row = &report["rows"][0];
    assert_eq!(
        (&row["cve"], &row["host"]),
        (&json!(CVE), &json!(HOST)),
        "{report:#}"
    );
    assert_eq!(row["state"], "verified", "{report:#}");
    assert_eq!(row["restarts"], 0);
    let file = machine.path(&format!("evidence/{HOST}.jsonl"));
    let one = machine.json(&[
        "report",
        "--from",
        "2026-01-01",
        "--to",
        "2999-12-31",
        file.to_str().unwrap(),
    ]);
    assert_eq!(one["rows"], report["rows"]);
}

/// Two exports of one host: the longer one counts, and the other must be its beginning.
#[test]
fn two_exports_of_a_host() {
    let fleet = Machine::new();
    let mut history = History::of(1);
    history
        .machine("2026-11-02T12:00:00Z", &json!([]))
        .export(&fleet);
    for (path, content) in fleet.tree("evidence") {
        fleet.put(&path.replace("evidence/", "evidence/old/"), &content);
    }
    history
        .beat("2026-11-29T12:00:00Z", "in-effect", &[CVE])
        .export(&fleet);
    assert_eq!(row(&json(&fleet, &[]), CVE, 1)["state"], "verified");
    // Another machine with the same id has a chain of its own, with or without its head.
    let mut clone = History::of(1);
    clone.beat("2026-11-28T12:00:00Z", "in-effect", &[CVE]);
    let (name, head) = clone.head();
    fleet.write(&format!("evidence/clone/{}.jsonl", host(1)), &clone.text());
    let without_head = json(&fleet, &[]);
    assert_eq!(
        without_head["hosts"][0]["evidence"], "not-verified",
        "{without_head:#}"
    );
    fleet.write(&format!("evidence/clone/{name}"), &head);
    fleet.write("level.json", &level().to_string());
    let level = fleet.path("level.json");
    let report = json(&fleet, &["--level", level.to_str().unwrap()]);
    let row = row(&report, CVE, 1);
    assert_eq!(row["state"], "not-verified");
    assert!(
        row["reason"]
            .as_str()
            .unwrap()
            .contains("the file was written anew"),
        "{row:#}"
    );
}

#[test]
fn wrong_arguments() {
    let fleet = fleet();
    let run = |arguments: &[&str]| {
        let evidence = fleet.path("evidence");
        fleet.run(&[&["report", evidence.to_str().unwrap()], arguments].concat())
    };
    run(&["--from", "2026-11-01"]).fails(2, "--to");
    run(&["--from", "soon", "--to", "2026-11-30"]).fails(2, "a time is like");
    let interval = ["--from", "2026-11-30", "--to", "2026-11-01"];
    run(&interval).fails(3, "the interval has no time in it");
    run(&["--from", "2026-02-30", "--to", "2026-11-01"]).fails(3, "'2026-02-30' is no time");
    run(&[
        "--from",
        "2026-11-01",
        "--to",
        "2026-11-30",
        "--format",
        "pdf",
    ])
    .fails(2, "--output");
    let both = report(&fleet, &["--json", "--format", "csv"]);
    assert_eq!(both.status, 3);
    both.has("--json and --format name two forms for one output");
    report(&fleet, &["/nowhere"]).fails(1, "/nowhere: No such file");
    report(&fleet, &["--key", "/nowhere"]).fails(1, "/nowhere: No such file");
    for (option, text, what) in [
        ("--inventory", "web1", "is no inventory"),
        (
            "--policy",
            "[[exception]]\ncve = 1",
            "is no policy for reports",
        ),
        ("--level", "{}", "is not valid"),
    ] {
        fleet.write("wrong", text);
        let wrong = fleet.path("wrong");
        report(&fleet, &[option, wrong.to_str().unwrap()]).fails(3, what);
    }
}

/// A program weasyprint that does what the test says.
fn pdf(fleet: &Machine, script: Option<&str>) -> crate::common::Output {
    fleet.folder("bin");
    if let Some(script) = script {
        fleet.write("bin/weasyprint", &format!("#!/bin/sh\n{script}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(fleet.path("bin/weasyprint"), mode).unwrap();
    }
    let out = fleet.path("out.pdf");
    let arguments = ["--format", "pdf", "--output", out.to_str().unwrap()];
    let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
    let program = fleet::with_arguments(&mut program, fleet, &arguments);
    let path = format!("{}:/nowhere", fleet.path("bin").display());
    fleet.run_with(program.env("PATH", path))
}

/// weasyprint itself, of the build root's suite, in a folder with all that it needs.
#[test]
fn a_real_pdf() {
    let fleet = fleet();
    let folder = std::env::var("RLP_WEASYPRINT");
    let folder = folder.expect("RLP_WEASYPRINT: run scripts/checks/test-programs.sh");
    // The packages are unpacked, and not set up: the folder has no link /lib64.
    let script = format!(
        "exec /usr/sbin/chroot {folder} /usr/lib64/ld-linux-x86-64.so.2 \
         /usr/bin/python3 /usr/bin/weasyprint \"$@\""
    );
    pdf(&fleet, Some(&script)).says(6, "written: /out.pdf");
    let made = std::fs::read(fleet.path("out.pdf")).unwrap();
    assert!(made.starts_with(b"%PDF-") && made.trim_ascii_end().ends_with(b"%%EOF"));
    assert!(made.len() > 5000, "{}", made.len());
}

#[test]
fn pdf_by_weasyprint() {
    let fleet = fleet();
    pdf(&fleet, None).fails(3, "install it: apt install weasyprint");
    pdf(&fleet, Some("echo 'no font' >&2; exit 1")).fails(1, "no font");
    pdf(&fleet, Some("echo '<html>'")).fails(1, "weasyprint has made no PDF");
    assert!(!fleet.path("out.pdf").exists());
    let page = fleet.path("page");
    let script = format!(
        "echo %PDF-1.7; [ \"$*\" = '--encoding utf-8 - -' ] && /bin/cat >{}",
        page.display()
    );
    pdf(&fleet, Some(&script)).says(6, "written: /out.pdf");
    assert_eq!(fleet.read("out.pdf"), "%PDF-1.7\n");
    assert!(fleet.read("page").starts_with("<!DOCTYPE html>"));
    assert!(fleet.read("page").ends_with("</html>\n"));
}

/// A host that has taken a level back is not protected. The report says so, and why, although there
/// is time left.
#[test]
fn a_level_that_has_failed() {
    let fleet = Machine::new();
    let quarantine = json!({
        "phase": "state", "action": "quarantine", "level": 7,
        "detail": "level 7: the check 10-web has failed: exit status: 1",
    });
    let release = json!({
        "phase": "end", "action": "release", "level": 7, "result": "done",
    });
    let mut level = level();
    level["fixes"][0]["disclosed"] = json!("2026-11-25T00:00:00Z");
    fleet.write("level.json", &level.to_string());
    let path = fleet.path("level.json");
    let arguments = ["--level", path.to_str().unwrap()];
    let mut history = History::of(1);
    history
        .available("2026-11-26T00:00:00Z", 7)
        .add("2026-11-26T01:00:00Z", &quarantine)
        .beat("2026-11-29T00:00:00Z", "in-effect", &[])
        .export(&fleet);
    let why = "it has failed on this host: level 7: the check 10-web has failed: exit status: 1";
    let text = fleet::report(&fleet, &arguments).out;
    let line = format!(
        "not protected yet:\n  {CVE} {}: open ({why}), SLA open\n",
        host(1)
    );
    assert!(text.contains(&line), "{text}");
    let report = json(&fleet, &arguments);
    assert_eq!(row(&report, CVE, 1)["reason"], why);
    // An operator has released the level.
    history.add("2026-11-29T01:00:00Z", &release).export(&fleet);
    assert_eq!(
        row(&json(&fleet, &arguments), CVE, 1)["reason"],
        Value::Null
    );
}
