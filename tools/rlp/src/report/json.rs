// SPDX-License-Identifier: GPL-2.0

//! The report as JSON (`report` in `schema/rlp.json`).

use crate::output::printable;
use crate::report::exports::Evidence;
use crate::report::facts::{
    Boot,
    Facts, //
};
use crate::report::rows::{
    Cve,
    Host,
    Row, //
};
use crate::report::sheet::Sheet;
use crate::report::totals::Total;
use crate::time;
use serde_json::{
    json,
    Value, //
};

fn at(time: Option<u64>) -> Value {
    json!(time.map(time::rfc3339))
}

fn boot(boot: &Boot) -> Value {
    json!({
        "id": boot.id,
        "first": time::rfc3339(boot.first),
        "last": time::rfc3339(boot.last),
    })
}

fn facts(facts: &Facts) -> Value {
    json!({
        "records": facts.records,
        "unread": facts.unread,
        "set_back": facts.set_back,
        "last": at(facts.last.map(|last| last.time)),
        "last_word": at(facts.last_word.map(|last| last.time)),
        "kernels": facts.releases,
        "boots": facts.boots.iter().map(boot).collect::<Vec<_>>(),
    })
}

fn host(host: &Host) -> Value {
    let mut value = json!({
        "host": host.name,
        "label": host.label,
        "listed": host.is_listed,
    });
    match &host.evidence {
        Evidence::None => value["evidence"] = json!("none"),
        Evidence::NotVerified(why) => {
            value["evidence"] = json!("not-verified");
            value["reason"] = json!(why);
        }
        Evidence::Whole(whole) => {
            value["evidence"] = json!("whole");
            value["head"] = json!(whole.head);
            value["key"] = json!(whole.key);
            value["facts"] = facts(&whole.facts);
        }
    }
    value
}

fn cve((cve, total): (&Cve, &Total)) -> Value {
    json!({
        "cve": cve.name,
        "severity": cve.severity().name(),
        "disclosed": at(cve.known.disclosed),
        "published": at(cve.known.published(None)),
        "hosts": total.hosts,
        "protected": total.protected,
        "states": total.states,
        "slas": total.slas,
        "applied": total.applied,
        "without_restart": total.without_restart,
        "median_seconds": total.seconds(50),
        "longest_seconds": total.seconds(100),
    })
}

fn row(sheet: &Sheet, row: &Row) -> Value {
    let reason = sheet.reason(row);
    json!({
        "cve": sheet.cve(row).name,
        "host": sheet.host(row).name,
        "state": row.state,
        "reason": (!reason.is_empty()).then_some(reason),
        "published": at(row.published),
        "available": at(row.available),
        "applied": at(row.applied),
        "verified": at(row.verified),
        "last_seen": at(row.last),
        "lost": at(row.lost),
        "gaps": row.gaps,
        "forced": row.forced,
        "seconds": row.seconds,
        "due": at(row.due),
        "sla": row.sla,
        "exception": row.exception,
        "restarts": row.restarts(),
        "boots": sheet.boots(row),
    })
}

pub(crate) fn value(sheet: &Sheet) -> Value {
    let input = |input: &crate::report::sheet::Input| {
        json!({
            "kind": input.kind,
            "file": input.file.display().to_string(),
            "sha256": input.sha256,
        })
    };
    let others = sheet
        .others
        .iter()
        .map(|path| printable(&path.display().to_string()));
    json!({
        "from": time::rfc3339(sheet.from),
        "end": time::rfc3339(sheet.end),
        "made": time::rfc3339(sheet.now),
        "signatures_checked": sheet.checks_signatures,
        "inventory": sheet.has_inventory,
        "policy": sheet.policy,
        "inputs": sheet.inputs.iter().map(input).collect::<Vec<_>>(),
        "files_of_no_host": others.collect::<Vec<_>>(),
        "left_out": sheet.left_out,
        "hosts": sheet.hosts.iter().map(host).collect::<Vec<_>>(),
        "cves": sheet.cves.iter().zip(&sheet.totals).map(cve).collect::<Vec<_>>(),
        "rows": sheet.rows.iter().map(|one| row(sheet, one)).collect::<Vec<_>>(),
    })
}
