// SPDX-License-Identifier: GPL-2.0

//! report: when each host was protected from each CVE, as its exported records show it.
//!
//! `files` and `exports` find the files and judge each history with `judge`, while `facts` keeps
//! what its records say. `levels`, `policy` and `inventory` are read from files of the operator.
//! `rows` puts these together: a row for each CVE on each host. `sheet` has all that a report says.
//! `text`, `csv`, `page`, `plot` and `pdf` give it a form.

mod csv;
mod exports;
mod facts;
mod files;
mod inventory;
mod json;
mod levels;
mod markup;
mod page;
mod pdf;
mod plot;
mod policy;
mod rows;
mod sheet;
mod text;
mod totals;

use crate::cli::{
    self,
    Format, //
};
use crate::digest::Digest;
use crate::failure::{
    on_file,
    Failure,
    Result,
    ANSWER_IS_NO, //
};
use crate::output::{
    self,
    Paint,
    Report, //
};
use crate::time;
use exports::Evidence;
use facts::Until;
use inventory::Inventory;
use policy::Policy;
use rows::{
    Host,
    Rules, //
};
use serde_json::{
    json,
    Value, //
};
use sheet::{
    Input,
    Sheet, //
};
use std::collections::BTreeMap;
use std::path::{
    Path,
    PathBuf, //
};

/// The operator's own files, and a list of them.
struct Given {
    inventory: Option<Inventory>,
    policy: Policy,
    data: levels::Data,
    inputs: Vec<Input>,
}

fn input(kind: &'static str, file: &Path, content: &[u8]) -> Input {
    Input {
        kind,
        file: file.to_owned(),
        sha256: Digest::of(content),
    }
}

fn given(arguments: &cli::Report) -> Result<Given> {
    let mut inputs = Vec::new();
    let mut policy = Policy::default();
    if let Some(file) = &arguments.policy {
        let (read, content) = Policy::read(file)?;
        policy = read;
        inputs.push(input("policy", file, &content));
    }
    let mut inventory = None;
    if let Some(file) = &arguments.inventory {
        let (read, content) = Inventory::read(file)?;
        inventory = Some(read);
        inputs.push(input("inventory", file, &content));
    }
    if let Some(file) = &arguments.key {
        let content = std::fs::read(file).map_err(on_file(file))?;
        inputs.push(input("keys", file, &content));
    }
    let levels = levels::read(&arguments.level)?;
    for (file, content, _) in &levels {
        inputs.push(input("level", file, content));
    }
    Ok(Given {
        inventory,
        policy,
        data: levels::data(levels.into_iter().map(|(_, _, level)| level).collect()),
        inputs,
    })
}

/// The hosts of the inventory and of the evidence.
fn hosts(inventory: Option<&Inventory>, mut evidence: BTreeMap<String, Evidence>) -> Vec<Host> {
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for (name, label) in inventory.iter().flat_map(|inventory| &inventory.0) {
        hosts.insert(
            name.clone(),
            Host {
                name: name.clone(),
                label: label.clone(),
                is_listed: true,
                evidence: evidence.remove(name).unwrap_or(Evidence::None),
            },
        );
    }
    for (name, evidence) in evidence {
        let host = Host {
            name: name.clone(),
            label: String::new(),
            is_listed: false,
            evidence,
        };
        hosts.insert(name, host);
    }
    hosts.into_values().collect()
}

/// The interval: its first second, and the last one that is not in the future.
fn interval(arguments: &cli::Report, now: u64) -> Result<(u64, u64)> {
    let no_time = |text: &String| Failure::refused(format!("'{text}' is no time"));
    let from = time::first_second(&arguments.from).ok_or_else(|| no_time(&arguments.from))?;
    let to = time::last_second(&arguments.to).ok_or_else(|| no_time(&arguments.to))?;
    if from > to || from > now {
        return Err(Failure::refused("the interval has no time in it")
            .why("--from must be before --to, and not in the future"));
    }
    Ok((from, to.min(now)))
}

fn sheet(arguments: &cli::Report) -> Result<Sheet> {
    let now = time::of_making();
    let (from, end) = interval(arguments, now)?;
    let given = given(arguments)?;
    let exports = exports::find(&arguments.evidence)?;
    let evidence = exports::judge_all(&exports, arguments.key.as_deref(), Until { end, now })?;
    let hosts = hosts(given.inventory.as_ref(), evidence);
    let rules = Rules {
        from,
        end,
        policy: &given.policy,
    };
    let mut cves = rows::cves(&given.data, &hosts, end);
    let (rows, left_out) = rows::rows(&mut cves, &hosts, &rules);
    let (total, totals) = totals::totals(&rows, cves.len());
    Ok(Sheet {
        from,
        end,
        now,
        policy: given.policy,
        has_inventory: given.inventory.is_some(),
        checks_signatures: arguments.key.is_some(),
        inputs: given.inputs,
        others: exports.others,
        hosts,
        cves,
        rows,
        left_out,
        total,
        totals,
    })
}

/// A report, and the file that it was written to.
struct Made {
    sheet: Sheet,
    format: Format,
    written: Option<PathBuf>,
}

pub(crate) fn run(arguments: &cli::Report, as_json: bool) -> Result<Box<dyn Report>> {
    if as_json
        && arguments.output.is_none()
        && !matches!(arguments.format, Format::Text | Format::Json)
    {
        return Err(
            Failure::refused("--json and --format name two forms for one output")
                .next("leave out one of the two, or write to a file: --output FILE"),
        );
    }
    let mut made = Made {
        sheet: sheet(arguments)?,
        format: arguments.format,
        written: None,
    };
    if let Some(file) = &arguments.output {
        durable::replace(file, &made.content()?)?;
        made.written = Some(file.clone());
    }
    Ok(Box::new(made))
}

impl Made {
    /// The content of the file.
    fn content(&self) -> Result<Vec<u8>> {
        Ok(match self.format {
            Format::Pdf => pdf::make(&page::make(&self.sheet))?,
            Format::Json => {
                let object = output::object("report", self.status(), Some(self.json()));
                format!("{:#}\n", Value::Object(object)).into_bytes()
            }
            Format::Text | Format::Csv | Format::Html => {
                self.printed(&Paint::default()).into_bytes()
            }
        })
    }

    /// The report in a form that is text.
    fn printed(&self, paint: &Paint) -> String {
        match self.format {
            Format::Csv => csv::text(&self.sheet),
            Format::Html => page::make(&self.sheet),
            Format::Text | Format::Json | Format::Pdf => text::text(&self.sheet, paint),
        }
    }
}

impl Report for Made {
    fn json(&self) -> Value {
        let mut value = json::value(&self.sheet);
        value["file"] = json!(self.written.as_ref().map(|file| file.display().to_string()));
        value
    }

    fn text(&self, paint: &Paint) -> String {
        match &self.written {
            Some(file) => format!(
                "{}\nwritten: {}\n",
                text::answer(&self.sheet),
                file.display()
            ),
            None => self.printed(paint),
        }
    }

    fn status(&self) -> u8 {
        if self.sheet.is_yes() {
            0
        } else {
            ANSWER_IS_NO
        }
    }
}
