// SPDX-License-Identifier: GPL-2.0

//! The report for a terminal: the population, some lines for each CVE, and what is not as it should
//! be.

use crate::output::{
    printable,
    Paint, //
};
use crate::report::exports::Evidence;
use crate::report::rows::{
    Cve,
    Host,
    Row,
    State,
    Verdict, //
};
use crate::report::sheet::{
    date,
    days,
    Sheet, //
};
use crate::report::totals::Total;
use crate::time;
use std::fmt::Write as _;

/// The most rows and hosts of a kind that are printed.
pub(crate) const SHOWN: usize = 100;

/// The counts that are not 0: "met 2, missed 1".
pub(crate) fn counts<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> String {
    let counts = counts.filter(|(_, count)| *count != 0);
    let counts: Vec<_> = counts
        .map(|(words, count)| format!("{words} {count}"))
        .collect();
    counts.join(", ")
}

pub(crate) fn states(total: &Total) -> String {
    counts(
        State::ALL
            .into_iter()
            .map(|state| (state.words(), total.state(state))),
    )
}

pub(crate) fn slas(total: &Total) -> String {
    counts(
        Verdict::ALL
            .into_iter()
            .map(|sla| (sla.words(), total.sla(sla))),
    )
}

/// A host as people know it.
pub(crate) fn name(host: &Host) -> String {
    match host.label.as_str() {
        "" => host.name.clone(),
        label => format!("{} ({})", host.name, printable(label)),
    }
}

/// The lines about the population.
pub(crate) fn population(sheet: &Sheet) -> Vec<String> {
    let [none, not_verified, whole] = sheet.evidence();
    let listed = sheet.hosts.iter().filter(|host| host.is_listed).count();
    let mut lines = vec![if sheet.has_inventory {
        format!(
            "hosts in the inventory: {listed}, not in it: {}",
            sheet.unlisted().count()
        )
    } else {
        "no inventory: hosts without evidence are not known".to_owned()
    }];
    lines.push(format!(
        "hosts with evidence that is whole: {whole}, not verified: {not_verified}, without \
         evidence: {none}"
    ));
    if sheet.silent() != 0 {
        let count = sheet.silent();
        lines.push(format!(
            "hosts whose loader has reported nothing recently: {count}"
        ));
    }
    lines.push(if sheet.checks_signatures {
        "signatures: the newest head of each host is signed by a key of the list".to_owned()
    } else {
        "signatures: not checked (--key)".to_owned()
    });
    lines
}

/// The numbers of rows in each state.
pub(crate) fn sums(sheet: &Sheet) -> [String; 2] {
    [
        format!("states of all CVEs and hosts: {}", states(&sheet.total)),
        format!("SLA of all CVEs and hosts: {}", slas(&sheet.total)),
    ]
}

/// The line about the times of a CVE.
pub(crate) fn times(total: &Total) -> Option<String> {
    let [median, most] = [50, 100].map(|percent| total.seconds(percent).map(days));
    Some(format!(
        "time to protection: median {} d, longest {} d",
        median?, most?
    ))
}

fn cve(text: &mut String, sheet: &Sheet, cve: &Cve, total: &Total, paint: &Paint) {
    let bold = paint.bold;
    let days = match sheet.policy.sla.days(cve.severity()) {
        Some(days) => format!("SLA {days} d from {}", sheet.policy.sla.start.words()),
        None => "no SLA".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{bold}{}{bold:#}: {}, disclosed {}, published {}, {days}",
        cve.name,
        cve.severity().name(),
        date(cve.known.disclosed),
        date(cve.known.published(None)),
    );
    let _ = writeln!(
        text,
        "  protected: {} of {} hosts ({})",
        total.protected,
        total.hosts,
        states(total)
    );
    let _ = writeln!(text, "  SLA: {}", slas(total));
    if total.applied != 0 {
        let (without, all) = (total.without_restart, total.applied);
        let _ = writeln!(
            text,
            "  applied without a restart: {without} of {all} hosts"
        );
    }
    if let Some(line) = times(total) {
        let _ = writeln!(text, "  {line}");
    }
}

/// The answer of the report.
pub(crate) fn answer(sheet: &Sheet) -> &'static str {
    if sheet.hosts.is_empty() {
        "there is no evidence and no inventory, so nothing is shown"
    } else if sheet.is_yes() {
        "each host was protected in time, or has time left, or an exception"
    } else {
        "not every host is shown to have been protected in time"
    }
}

/// A row in words, without its CVE.
pub(crate) fn row(sheet: &Sheet, row: &Row) -> String {
    let mut text = format!("{}: {}", name(sheet.host(row)), row.state.words());
    // Another list names the evidence that is not verified, with the reasons.
    let reason = sheet.reason(row);
    if row.state != State::NotVerified && !reason.is_empty() {
        text += &format!(" ({reason})");
    }
    text += &format!(", SLA {}", row.sla.words());
    if let Some(exception) = sheet.exception(row) {
        let [reason, by] = [&exception.reason, &exception.approved_by].map(|text| printable(text));
        text += &format!(
            "; exception until {}: {reason} (approved by {by})",
            exception.end
        );
    }
    text
}

/// A list of at most [`SHOWN`] lines below a heading. An empty list has no heading.
fn list(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    for (nr, line) in lines.enumerate() {
        if nr == 0 {
            let _ = writeln!(text, "{heading}:");
        }
        if nr == SHOWN {
            let _ = writeln!(text, "  and more: --format csv has all");
            return;
        }
        let _ = writeln!(text, "  {line}");
    }
}

pub(crate) fn text(sheet: &Sheet, paint: &Paint) -> String {
    let (from, end) = (time::readable(sheet.from), time::readable(sheet.end));
    let mut text = format!("from {from} to {end}\n");
    let _ = writeln!(
        text,
        "controls: {}",
        printable(&sheet.policy.controls.join(", "))
    );
    for line in population(sheet) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    for (about, total) in sheet.cves.iter().zip(&sheet.totals) {
        cve(&mut text, sheet, about, total, paint);
    }
    if sheet.cves.is_empty() {
        let _ = writeln!(text, "no CVE is named by a level or by a record");
    } else {
        for line in sums(sheet) {
            let _ = writeln!(text, "{line}");
        }
    }
    if sheet.left_out != 0 {
        let count = sheet.left_out;
        let _ = writeln!(
            text,
            "left out, because fixed on each host before that time: {count}"
        );
    }
    text.push('\n');
    let label = |nr: &Row| format!("{} {}", sheet.cve(nr).name, row(sheet, nr));
    let noes = sheet.rows.iter().filter(|row| row.is_no());
    list(&mut text, "needs attention", noes.map(label));
    let early = sheet.rows.iter().filter(|row| row.has_time());
    list(&mut text, "not protected yet", early.map(label));
    let excepted = sheet.rows.iter().filter(|row| row.sla == Verdict::Excepted);
    list(&mut text, "excepted", excepted.map(label));
    let broken = sheet.hosts.iter().filter_map(|host| match &host.evidence {
        Evidence::NotVerified(why) => Some(format!("{}: {}", name(host), printable(why))),
        Evidence::None | Evidence::Whole(_) => None,
    });
    list(&mut text, "evidence that is not verified", broken);
    list(
        &mut text,
        "hosts that are not in the inventory",
        sheet.unlisted().map(name),
    );
    let others = sheet
        .others
        .iter()
        .map(|path| printable(&path.display().to_string()));
    list(&mut text, "files that belong to no host", others);
    let style = if sheet.is_yes() {
        paint.good
    } else {
        paint.bad
    };
    let _ = writeln!(text, "{style}{}{style:#}", answer(sheet));
    text
}
