// SPDX-License-Identifier: GPL-2.0

//! The exports of many hosts, with times that are always the same.

use crate::common::{
    sha256,
    Machine,
    Output, //
};
use serde_json::{
    json,
    Value, //
};
use std::process::Command;

/// The name of a host: its number in each digit.
pub(crate) fn host(nr: u8) -> String {
    char::from(b'0' + nr).to_string().repeat(32)
}

/// A history of a host, which is chained as rlp does it.
pub(crate) struct History {
    pub(crate) host: String,
    boot: u32,
    lines: Vec<String>,
}

impl History {
    pub(crate) fn of(nr: u8) -> Self {
        Self {
            host: host(nr),
            boot: 1,
            lines: Vec::new(),
        }
    }

    /// Adds a record. The fields are those of an action, or of a machine.
    pub(crate) fn add(&mut self, time: &str, fields: &Value) -> &mut Self {
        let before = self.lines.last().map_or("", String::as_str);
        let mut record = json!({
            "seq": self.lines.len() + 1,
            "prev": sha256(before),
            "host": self.host,
            "time": time,
            "boot": format!("boot-{}-{}", &self.host[..1], self.boot),
            "release": "7.3.4+test",
        });
        if self.lines.is_empty() {
            record["before"] = json!(0);
        }
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        self.lines.push(format!("{record}\n"));
        self
    }

    /// The record of a machine with one patch, in this state, with these CVEs.
    pub(crate) fn beat(&mut self, time: &str, state: &str, cves: &[&str]) -> &mut Self {
        let patch = json!({
            "name": "fix", "state": state, "since": null, "level": "7", "cves": cves,
            "build_id": "aa", "forced": false,
        });
        self.machine(time, &json!([patch]))
    }

    /// The record of a machine with these patches.
    pub(crate) fn machine(&mut self, time: &str, patches: &Value) -> &mut Self {
        let machine = json!({
            "kernel_build_id": "aa010203", "uptime": 60, "tainted": 0, "loader_loaded": true,
            "patches": patches,
        });
        let fields = json!({ "phase": "state", "action": "heartbeat", "machine": machine });
        self.add(time, &fields)
    }

    /// A level is seen on the host.
    pub(crate) fn available(&mut self, time: &str, level: u32) -> &mut Self {
        self.add(
            time,
            &json!({ "phase": "state", "action": "available", "level": level }),
        )
    }

    /// The records of a patch that is loaded.
    pub(crate) fn load(&mut self, time: &str) -> &mut Self {
        let begin = json!({ "phase": "begin", "action": "load", "patch": "fix" });
        let end = json!({
            "phase": "end", "action": "load", "patch": "fix", "result": "loaded",
        });
        self.add(time, &begin).add(time, &end)
    }

    /// The record of an event or an action of the patch.
    pub(crate) fn event(
        &mut self,
        time: &str,
        phase: &str,
        action: &str,
        result: &str,
    ) -> &mut Self {
        let fields = json!({
            "phase": phase, "action": action, "patch": "fix", "result": result,
        });
        self.add(time, &fields)
    }

    pub(crate) fn restart(&mut self) -> &mut Self {
        self.boot += 1;
        self
    }

    pub(crate) fn text(&self) -> String {
        self.lines.concat()
    }

    /// The file name and the content of the head.
    pub(crate) fn head(&self) -> (String, String) {
        let hash = sha256(self.lines.last().unwrap());
        let seq = self.lines.len();
        let name = format!("{}.{seq}.{}.head", self.host, &hash[..8]);
        let head = json!({
            "evidence": 1, "host": self.host, "seq": seq, "sha256": hash,
            "time": "2026-11-30T00:00:00Z",
        });
        (name, format!("{head}\n"))
    }

    /// Writes the records and their head, as rlp evidence export does it without a signature.
    pub(crate) fn export(&mut self, fleet: &Machine) -> &mut Self {
        let (name, head) = self.head();
        fleet.write(&format!("evidence/{}.jsonl", self.host), &self.text());
        fleet.write(&format!("evidence/{name}"), &head);
        self
    }
}

/// Level 7 fixes CVE-2026-0001 for the kernel of the hosts, and CVE-2026-0002 for another kernel.
pub(crate) fn level() -> Value {
    let kernel = |release: &str| {
        json!({
            "release": release, "build_id": "aa010203", "vermagic": format!("{release} SMP"),
            "patch": {
                "name": "fix", "file": format!("{release}/fix.ko"), "sha256": sha256("fix"),
                "build_id": "aa", "functions": 1,
            },
            "loader": {
                "file": format!("{release}/rust_livepatch.ko"), "sha256": sha256("loader"),
                "build_id": "bb",
            },
        })
    };
    json!({
        "schema": 1, "level": 7, "published": "2026-11-03T00:00:00Z", "architecture": "amd64",
        "kernels": [kernel("7.3.4+test"), kernel("7.3.5+test")],
        "fixes": [
            {
                "cve": "CVE-2026-0001", "severity": "high", "disclosed": "2026-11-01T00:00:00Z",
                "fixed_in": ["7.3.5"], "releases": ["7.3.4+test"],
            },
            {
                "cve": "CVE-2026-0002", "severity": "critical", "disclosed": "2026-11-02T00:00:00Z",
                "fixed_in": [], "releases": ["7.3.5+test"],
            },
        ],
        "blocked": [],
    })
}

/// The time at which the reports are made.
pub(crate) const NOW: &str = "1796083199"; // 2026-11-30 23:59:59

/// The same time one day later.
pub(crate) const NEXT_DAY: &str = "1796169599";

/// Runs rlp report on the folder evidence, for November 2026.
pub(crate) fn report(fleet: &Machine, arguments: &[&str]) -> Output {
    report_at(fleet, NOW, arguments)
}

fn report_at(fleet: &Machine, now: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
    let program = with_arguments(&mut program, fleet, arguments);
    fleet.run_with(program.env("SOURCE_DATE_EPOCH", now))
}

/// Adds the arguments of a report to the program.
pub(crate) fn with_arguments<'a>(
    program: &'a mut Command,
    fleet: &Machine,
    arguments: &[&str],
) -> &'a mut Command {
    program
        .args(["report", "--from", "2026-11-01", "--to", "2026-11-30"])
        .arg(fleet.path("evidence"))
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", NOW)
}

/// The report as JSON.
pub(crate) fn json(fleet: &Machine, arguments: &[&str]) -> Value {
    json_at(fleet, NOW, arguments)
}

/// The same, if the report is made at this time.
pub(crate) fn json_at(fleet: &Machine, now: &str, arguments: &[&str]) -> Value {
    let output = report_at(fleet, now, &[arguments, &["--json"]].concat());
    let value: Value =
        serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(value["status"], output.status, "{output:?}");
    crate::common::Schema::read().check(&value);
    value
}

/// The row of a CVE on a host.
pub(crate) fn row<'a>(report: &'a Value, cve: &str, nr: u8) -> &'a Value {
    let rows = report["rows"]
        .as_array()
        .unwrap_or_else(|| panic!("{report:#}"));
    let is_wanted = |row: &&Value| row["cve"] == cve && row["host"] == *host(nr);
    let mut found = rows.iter().filter(is_wanted);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("no row for {cve}, host {nr}: {report:#}"));
    assert!(
        found.next().is_none(),
        "two rows for {cve}, host {nr}: {report:#}"
    );
    row
}
