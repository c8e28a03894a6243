// SPDX-License-Identifier: GPL-2.0

//! level build: makes the package of a level from the patches and the loaders of its kernels. It
//! claims only the fixes that a patch itself names.

use crate::cli;
use crate::cve_data::{
    self,
    Facts, //
};
use crate::deb;
use crate::digest::Digest;
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    self,
    Fix,
    Kernel,
    Level, //
};
use crate::level_input::{
    File,
    Input, //
};
use crate::level_losses::Losses;
use crate::output::{
    Paint,
    Report, //
};
use crate::provenance;
use crate::time;
use crate::vex;
use serde_json::{
    json,
    Value, //
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};

/// The architecture of the kernels that the loader runs on.
const ARCHITECTURE: &str = "amd64";

struct Built {
    dry_run: bool,
    level: Level,
    notes: Vec<String>,
    files: Vec<PathBuf>,
}

/// The time of the build: SOURCE_DATE_EPOCH, so that a build can be repeated, or now.
fn build_time() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().map_err(|_| {
            Failure::refused("SOURCE_DATE_EPOCH is not a number of seconds")
                .next("unset it, or set it as in: date +%s")
        }),
        Err(_) => Ok(time::now()),
    }
}

/// The fixes of all patches. A CVE without data gets a note.
fn fixes(inputs: &[Input], data: &BTreeMap<String, Facts>, notes: &mut Vec<String>) -> Vec<Fix> {
    let mut releases: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for input in inputs {
        for cve in &input.cves {
            releases
                .entry(cve)
                .or_default()
                .push(input.kernel.release.clone());
        }
    }
    let fix = |(cve, releases): (&str, Vec<String>)| {
        let facts = data.get(cve).cloned().unwrap_or_else(|| {
            notes.push(format!(
                "{cve}: not in --cve-data, so its severity is unknown"
            ));
            Facts::UNKNOWN
        });
        Fix {
            cve: cve.to_owned(),
            severity: facts.severity,
            disclosed: facts.disclosed,
            fixed_in: facts.fixed_in,
            releases,
        }
    };
    releases.into_iter().map(fix).collect()
}

/// A patch whose name is that of the level before, for the same kernel. Two modules with one name
/// cannot be loaded at the same time, and the new patch replaces the old one while both are loaded.
fn same_name<'a>(before: &Level, level: &'a Level) -> Option<&'a Kernel> {
    level.kernels.iter().find(|kernel| {
        before
            .kernel(&kernel.release)
            .is_some_and(|old| old.patch.name == kernel.patch.name)
    })
}

/// Notes what the level before has, and this one has not.
fn note_losses(
    previous: &Path,
    level: &Level,
    are_wanted: bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    let before = Level::read(previous)?;
    if before.level >= level.level {
        let (own, other) = (level.level, before.level);
        return Err(Failure::refused("the level was not built")
            .why(format!("level {other} is not before level {own}"))
            .next("name level.json of the level that the machines have: --previous FILE"));
    }
    if let Some(Kernel { release, patch, .. }) = same_name(&before, level) {
        let (name, own, other) = (&patch.name, level.level, before.level);
        return Err(Failure::refused("the level was not built")
            .why(format!(
                "the patch for {release} has the name {name}, as in level {other}, so a machine \
                 with that level could not load it"
            ))
            .next(format!(
                "build the patch with another name, such as level{own}"
            )));
    }
    notes.extend(Losses::of(&before, level).into_notes(are_wanted)?);
    Ok(())
}

/// A JSON document as a file.
fn document(path: &str, value: &Value) -> File {
    File {
        path: path.to_owned(),
        content: format!("{value:#}\n").into_bytes(),
    }
}

/// Checks the files that are in the folder already. A level that was published must not change,
/// because a machine would keep the first one: apt compares numbers only. A report needs
/// `level.json` of each level, so each level has its own folder.
fn check_out(out: &Path, level: &Level, package: &File) -> Result<()> {
    let own = out.join(level::FILE);
    if let Ok(other) = Level::read(&own) {
        if other.level != level.level {
            return Err(Failure::refused(format!(
                "{} is that of level {}",
                own.display(),
                other.level
            ))
            .why("a report needs level.json of each level")
            .next("give each level a folder of its own: --out FOLDER"));
        }
    }
    let path = out.join(&package.path);
    match std::fs::read(&path) {
        Ok(old) if old != package.content => Err(Failure::refused(format!(
            "{} exists, and has other content",
            path.display()
        ))
        .why("a machine that has a level does not fetch another one with the same number")
        .next("give the new level the next number, or remove the file if nobody has it")),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(on_file(&path)(error)),
        _ => Ok(()),
    }
}

/// Writes the files. The package is written last, so that it is never beside documents of another
/// build.
fn write(out: &Path, documents: &[File], package: &File) -> Result<()> {
    for file in documents.iter().chain([package]) {
        durable::replace(&out.join(&file.path), &file.content)?;
    }
    Ok(())
}

pub(crate) fn run(arguments: &cli::LevelBuild) -> Result<Box<dyn Report>> {
    let seconds = build_time()?;
    let (data, data_text) = match &arguments.cve_data {
        Some(path) => {
            let (data, text) = cve_data::read(path)?;
            (data, Some(text))
        }
        None => (BTreeMap::new(), None),
    };
    let mut inputs = Vec::new();
    for folder in &arguments.folders {
        inputs.push(Input::read(folder, arguments.level)?);
    }
    inputs.sort_by(|one, other| one.kernel.release.cmp(&other.kernel.release));
    let mut notes: Vec<_> = inputs
        .iter_mut()
        .flat_map(|input| input.notes.split_off(0))
        .collect();
    let mut blocked = arguments.block.clone();
    blocked.sort_unstable();
    blocked.dedup();
    let level = Level {
        schema: level::SCHEMA,
        level: arguments.level,
        published: time::rfc3339(seconds),
        architecture: ARCHITECTURE.to_owned(),
        kernels: inputs.iter().map(|input| input.kernel.clone()).collect(),
        fixes: fixes(&inputs, &data, &mut notes),
        blocked,
    };
    if let Some(why) = level.wrong() {
        return Err(Failure::refused("the level was not built").why(why));
    }
    if let Some(previous) = &arguments.previous {
        note_losses(previous, &level, arguments.allow_losses, &mut notes)?;
    }

    let own = File {
        path: level::FILE.to_owned(),
        content: level.text(),
    };
    let id = Digest::of(&own.content).urn();
    let vex = document(
        "openvex.json",
        &vex::document(&level, &id, &arguments.publisher),
    );
    let mut documents = vec![own, vex];
    let mut files: Vec<_> = inputs
        .iter()
        .flat_map(|input| input.files.clone())
        .collect();
    files.extend(documents.iter().cloned());
    let statement = provenance::statement(
        &level,
        &files,
        &inputs,
        data_text.as_deref(),
        &arguments.publisher,
    );
    let statement = document("provenance.json", &statement);
    files.push(statement.clone());
    documents.push(statement);
    let package = File {
        path: deb::file_name(&level),
        content: deb::build(&level, &files, &arguments.publisher, seconds)?,
    };
    check_out(&arguments.out, &level, &package)?;
    if !arguments.dry.dry_run {
        write(&arguments.out, &documents, &package)?;
    }
    let written = documents.iter().chain([&package]);
    Ok(Box::new(Built {
        dry_run: arguments.dry.dry_run,
        notes,
        files: written.map(|file| arguments.out.join(&file.path)).collect(),
        level,
    }))
}

impl Report for Built {
    fn json(&self) -> Value {
        json!({
            "dry_run": self.dry_run,
            "level": self.level,
            "notes": self.notes,
            "files": self.files,
        })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        let bold = paint.bold;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{bold}level {}{bold:#}", self.level.level);
        for kernel in &self.level.kernels {
            let release = &kernel.release;
            let _ = writeln!(text, "  {release}: {}", kernel.patch.name);
            for fix in self.level.fixes_for(release) {
                let _ = writeln!(
                    text,
                    "    {} ({})",
                    fix.cve,
                    json!(fix.severity).as_str().unwrap_or_default()
                );
            }
        }
        for blocked in &self.level.blocked {
            let _ = writeln!(
                text,
                "  level {blocked} is taken back where it is in effect"
            );
        }
        for note in &self.notes {
            let _ = writeln!(text, "{}note{:#}: {note}", paint.warn, paint.warn);
        }
        for file in &self.files {
            let file = file.display();
            let _ = if self.dry_run {
                writeln!(text, "would be written: {file}")
            } else {
                writeln!(text, "written: {file}")
            };
        }
        text
    }
}
