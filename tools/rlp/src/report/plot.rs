// SPDX-License-Identifier: GPL-2.0

//! The plot of the time to protection, as SVG: a line for each CVE, from the first host that was
//! protected to the last one.

use crate::report::markup::{
    all,
    element,
    text,
    Markup, //
};
use crate::report::policy::DAY;
use crate::report::sheet::Sheet;
use crate::report::totals::Total;

/// The most CVEs in the plot: the last ones of the list, which are the newest. `page.html` has this
/// number, too.
const SHOWN: usize = 25;

/// The width of the names, of the axis, and of the numbers behind it.
const NAMES: f64 = 130.0;
const AXIS: f64 = 480.0;
const COUNTS: f64 = 90.0;
/// The height of a line.
const LINE: f64 = 22.0;

/// The distances between the marks of the axis, in days.
const STEPS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

struct Line<'a> {
    name: &'a str,
    total: &'a Total,
    /// The days of the SLA.
    sla: Option<u64>,
}

/// Where a number of days is on the axis.
#[derive(Clone, Copy)]
struct Axis {
    days: u64,
    step: u64,
}

impl Axis {
    fn of(lines: &[Line<'_>]) -> Self {
        let longest = lines
            .iter()
            .filter_map(|line| Some(line.total.seconds(100)?.div_ceil(DAY)));
        let days = longest
            .chain(lines.iter().filter_map(|line| line.sla))
            .max();
        let days = days.unwrap_or(0).max(1);
        let step = STEPS
            .into_iter()
            .find(|step| days / step <= 12)
            .unwrap_or(days);
        Self {
            days: days.next_multiple_of(step),
            step,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn x(self, seconds: u64) -> f64 {
        NAMES + AXIS * seconds as f64 / (self.days * DAY) as f64
    }
}

fn number(number: f64) -> String {
    format!("{number:.1}")
}

/// The attributes of a kind of line or of text. They are not in the style sheet of the page:
/// weasyprint does not use that for SVG.
type Look = [(&'static str, &'static str)];

const GRID: &Look = &[("stroke", "#dddddd")];
const RANGE: &Look = &[("stroke", "#6b8fb5"), ("stroke-width", "2")];
const HALF: &Look = &[("stroke", "#2f5f95"), ("stroke-width", "8")];
const MEDIAN: &Look = &[("stroke", "#111111"), ("stroke-width", "3")];
const SLA: &Look = &[
    ("stroke", "#b3261e"),
    ("stroke-width", "2"),
    ("stroke-dasharray", "3 2"),
];
const NAME: &Look = &[("text-anchor", "end")];
const TICK: &Look = &[("text-anchor", "middle"), ("fill", "#666666")];
const COUNT: &Look = &[("text-anchor", "start")];

fn line(look: &Look, from: (f64, f64), to: (f64, f64)) -> Markup {
    let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
    let place = [("x1", &*x1), ("y1", &*y1), ("x2", &*x2), ("y2", &*y2)];
    element("line", &[&place, look].concat(), &Markup::default())
}

fn label(look: &Look, x: f64, y: f64, words: &str) -> Markup {
    let [x, y] = [x, y].map(number);
    element(
        "text",
        &[&[("x", &*x), ("y", &*y)], look].concat(),
        &text(words),
    )
}

fn cve(axis: Axis, about: &Line<'_>, y: f64) -> Markup {
    let total = about.total;
    let at = |percent| total.seconds(percent).map(|seconds| axis.x(seconds));
    let span = |look, from, to| Some(line(look, (at(from)?, y), (at(to)?, y)));
    let mark = |look, x: f64| line(look, (x, y - 7.0), (x, y + 7.0));
    let counts = format!("{} of {}", total.protected, total.hosts);
    let parts = [
        Some(label(NAME, NAMES - 8.0, y + 4.0, about.name)),
        about.sla.map(|days| mark(SLA, axis.x(days * DAY))),
        span(RANGE, 0, 100),
        span(HALF, 25, 75),
        at(50).map(|x| mark(MEDIAN, x)),
        Some(label(COUNT, NAMES + AXIS + 8.0, y + 4.0, &counts)),
    ];
    all(parts.into_iter().flatten())
}

/// The marks of the axis below the lines.
fn marks(axis: Axis, bottom: f64) -> Markup {
    let count = axis.days / axis.step;
    all((0..=count).flat_map(|nr| {
        let days = nr * axis.step;
        let x = axis.x(days * DAY);
        [
            line(GRID, (x, 0.0), (x, bottom)),
            label(TICK, x, bottom + 16.0, &days.to_string()),
        ]
    }))
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn plot(sheet: &Sheet) -> Markup {
    let lines = sheet
        .cves
        .iter()
        .zip(&sheet.totals)
        .map(|(cve, total)| Line {
            name: &cve.name,
            total,
            sla: sheet.policy.sla.days(cve.severity()).map(u64::from),
        });
    let mut lines: Vec<_> = lines.collect();
    let lines = lines.split_off(lines.len().saturating_sub(SHOWN));
    let axis = Axis::of(&lines);
    let bottom = LINE * lines.len() as f64;
    let rows = (0..)
        .zip(&lines)
        .map(|(nr, line)| cve(axis, line, LINE * (f64::from(nr) + 0.5)));
    let content = all([marks(axis, bottom)].into_iter().chain(rows));
    let size = format!("0 0 {} {}", NAMES + AXIS + COUNTS, bottom + 24.0);
    let attributes = [
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("viewBox", &size),
        ("role", "img"),
        ("font-size", "12"),
        ("font-family", "sans-serif"),
    ];
    element("svg", &attributes, &content)
}
