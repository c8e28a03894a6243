// SPDX-License-Identifier: GPL-2.0

//! The report as one page of HTML. `page.html` has its words and its style: the page needs no other
//! file, and no network.

use crate::output::printable;
use crate::report::exports::Evidence;
use crate::report::markup::{
    all,
    element,
    fill,
    text,
    Markup, //
};
use crate::report::plot;
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
    Sheet,
    UNKNOWN, //
};
use crate::report::text::{
    self as words,
    name, //
};
use crate::report::totals::Total;
use crate::time;
use std::collections::BTreeSet;

const TEMPLATE: &str = include_str!("page.html");

/// The most rows and hosts of a kind on the page.
const SHOWN: usize = 15;

/// The heads of the table of CVEs, before and behind those of the verdicts on the SLA.
const FIRST: [&str; 6] = [
    "CVE",
    "severity",
    "disclosed",
    "published",
    "protected",
    "SLA",
];
const LAST: [&str; 3] = ["median", "longest", "no restart"];

fn cells<'a>(name: &str, cells: impl IntoIterator<Item = &'a str>) -> Markup {
    let cells = cells
        .into_iter()
        .map(|cell| element(name, &[], &text(cell)));
    element("tr", &[], &all(cells))
}

/// The day of a time.
fn day(time: Option<u64>) -> String {
    let date = date(time);
    date.split('T').next().unwrap_or(UNKNOWN).to_owned()
}

fn cve(sheet: &Sheet, cve: &Cve, total: &Total) -> Markup {
    let sla = sheet.policy.sla.days(cve.severity());
    let first = [
        cve.name.clone(),
        cve.severity().name().to_owned(),
        day(cve.known.disclosed),
        day(cve.known.published(None)),
        format!("{} of {}", total.protected, total.hosts),
        sla.map(|days| format!("{days} d")).unwrap_or_default(),
    ];
    let verdicts = Verdict::ALL.map(|verdict| total.sla(verdict).to_string());
    let time = |percent| total.seconds(percent).map(|seconds| days(seconds) + " d");
    let last = [
        time(50).unwrap_or_default(),
        time(100).unwrap_or_default(),
        format!("{} of {}", total.without_restart, total.applied),
    ];
    let all = first.iter().chain(&verdicts).chain(&last);
    cells("td", all.map(String::as_str))
}

fn table(sheet: &Sheet) -> Markup {
    let verdicts = Verdict::ALL.map(Verdict::words);
    let heads = cells("th", FIRST.into_iter().chain(verdicts).chain(LAST));
    let cves = sheet.cves.iter().zip(&sheet.totals);
    let rows = cves.map(|(about, total)| cve(sheet, about, total));
    element("table", &[], &all([heads].into_iter().chain(rows)))
}

/// A list of at most [`SHOWN`] items. An empty list is the word "none".
fn list(items: impl Iterator<Item = String>) -> Markup {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return element("p", &[], &text("none"));
    }
    let mut shown: Vec<_> = items.by_ref().take(SHOWN).collect();
    match items.count() {
        0 => (),
        more => shown.push(format!("and {more} more")),
    }
    let shown = shown.iter().map(|item| element("li", &[], &text(item)));
    element("ul", &[], &all(shown))
}

fn rows(sheet: &Sheet, wanted: fn(&Row) -> bool) -> Markup {
    let wanted = sheet.rows.iter().filter(|row| wanted(row));
    list(wanted.map(|row| format!("{} {}", sheet.cve(row).name, words::row(sheet, row))))
}

fn broken(host: &Host) -> Option<String> {
    match &host.evidence {
        Evidence::NotVerified(why) => Some(format!("{}: {}", name(host), printable(why))),
        Evidence::None | Evidence::Whole(_) => None,
    }
}

/// The hosts that were restarted for a CVE, with the ids of the boots.
fn restarted(sheet: &Sheet) -> BTreeSet<String> {
    let has_restarted = |row: &&Row| row.restarts().is_some_and(|count| count != 0);
    let words = |row: &Row| {
        let boots = sheet.boots(row).join(", ");
        format!("{}: {boots}", name(sheet.host(row)))
    };
    sheet.rows.iter().filter(has_restarted).map(words).collect()
}

/// Whether a row needs attention, and its host has evidence that is whole. The page lists the other
/// hosts once, and not for each CVE.
fn is_wrong(row: &Row) -> bool {
    row.is_no() && !matches!(row.state, State::NotVerified | State::NoEvidence)
}

fn inputs(sheet: &Sheet) -> Markup {
    let input = sheet
        .inputs
        .iter()
        .map(|input| format!("{} {} ({})", input.kind, input.file.display(), input.sha256));
    list(input)
}

pub(crate) fn make(sheet: &Sheet) -> String {
    let missing = sheet.hosts.iter();
    let missing = missing.filter(|host| matches!(host.evidence, Evidence::None));
    let class = if sheet.is_yes() { "yes" } else { "no" };
    let answer = element("p", &[("class", class)], &text(words::answer(sheet)));
    let parts = [
        ("from", text(&time::readable(sheet.from))),
        ("end", text(&time::readable(sheet.end))),
        ("made", text(&time::readable(sheet.now))),
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("controls", text(&sheet.policy.controls.join(", "))),
        ("start", text(sheet.policy.sla.start.words())),
        ("answer", answer),
        (
            "population",
            list(
                words::population(sheet)
                    .into_iter()
                    .chain(words::sums(sheet)),
            ),
        ),
        ("cves", table(sheet)),
        ("left_out", text(&sheet.left_out.to_string())),
        ("plot", plot::plot(sheet)),
        ("noes", rows(sheet, is_wrong)),
        ("early", rows(sheet, Row::has_time)),
        ("missing", list(missing.map(name))),
        ("excepted", rows(sheet, |row| row.sla == Verdict::Excepted)),
        ("broken", list(sheet.hosts.iter().filter_map(broken))),
        ("unlisted", list(sheet.unlisted().map(name))),
        ("restarted", list(restarted(sheet).into_iter())),
        ("inputs", inputs(sheet)),
    ];
    fill(TEMPLATE, &parts)
}
