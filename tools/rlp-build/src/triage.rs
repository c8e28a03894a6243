// SPDX-License-Identifier: GPL-2.0

//! rlp-build triage: which fixes of a series can be live patches.
//!
//! Each fix is built by itself, by this program in a process of its own. Then all fixes that were
//! built are built together. The result is a table for a person, and triage.json for a job that
//! runs every night.

use crate::cli::Triage;
use crate::concerns::{
    self,
    Concern, //
};
use crate::link::module_name;
use crate::output::{
    BROKEN,
    OK,
    REFUSED, //
};
use crate::patch::{
    self,
    Header, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Result, //
};
use crate::tree::hex;
use serde::Serialize;
use sha2::{
    Digest,
    Sha256, //
};
use std::collections::BTreeSet;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Command,
    Stdio, //
};
use std::sync::Mutex;

/// The format's version. It changes with a field's meaning, not when a field is added.
const FORMAT: u32 = 1;

/// The result that a person reads first about a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// The module is there.
    Builds,
    /// A person decides: the fix changes data or locks, or has or needs callbacks.
    Human,
    /// It cannot be a live patch.
    Refused,
    /// A tool failed, so nothing is known about the fix.
    Failed,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Builds => "builds",
            Self::Human => "human",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    format: u32,
    fixes: Vec<Fix>,
    together: Option<Together>,
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Fix {
    patch: String,
    subject: Option<String>,
    cves: Vec<String>,
    sha256: String,
    verdict: Verdict,
    /// Why the fix was not built: the reason of a refusal, and a sentence.
    reason: Option<String>,
    sentence: Option<String>,
    /// The questions for a person.
    human: Vec<Concern>,
    /// Earlier fixes of the series that this fix needs.
    after: Vec<String>,
    module: Option<String>,
    functions: Vec<Function>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Function {
    object: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct Together {
    module: Option<String>,
    patches: Vec<String>,
    /// Those of `patches` that a person has to decide about.
    human: Vec<String>,
    left_out: Vec<LeftOut>,
    functions: Vec<Function>,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    patch: String,
    reason: String,
    sentence: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    builds: usize,
    human: usize,
    refused: usize,
    failed: usize,
}

/// One fix of the series.
struct SourcePatch {
    path: PathBuf,
    file: String,
    /// The module's name, which no other fix has.
    name: String,
    text: Vec<u8>,
    /// The files that the patch touches; empty if it is not a patch.
    touched: BTreeSet<String>,
}

/// How a build ended.
enum Outcome {
    Built(Vec<Function>),
    Refused { reason: String, sentence: String },
    Failed(String),
}

/// Builds each fix by itself, then all together. Returns the exit status.
pub(crate) fn run(arguments: &Triage) -> Result<u8> {
    let members = source_patches(&arguments.series, &arguments.name)?;
    let output = &arguments.output;
    for folder in [output.clone(), output.join("log")] {
        std::fs::create_dir_all(&folder).map_err(io_error_at(&folder))?;
    }
    let builder = Builder { arguments };

    println!("  {:<44} {:<8} REASON", "PATCH", "VERDICT");
    let rows = Rows::new(members.len());
    let queue = Mutex::new(0..members.len());
    let jobs = arguments
        .jobs
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
        .clamp(1, members.len().max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                scope.spawn(|| -> Result {
                    loop {
                        let next = queue
                            .lock()
                            .map_err(|_| tool_failure("a worker has panicked"))?
                            .next();
                        let Some(index) = next else { return Ok(()) };
                        let fix = build_alone(&builder, &members, index)?;
                        rows.add(index, fix)?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| tool_failure("a worker has panicked"))?
        })
    })?;
    let fixes = rows.finish()?;

    let together = if arguments.no_together {
        None
    } else {
        Some(build_together(&builder, &members, &fixes)?)
    };
    let counts = counts(&fixes);
    println!(
        "  {} fixes: {} build, {} need a person, {} refused, {} failed",
        fixes.len(),
        counts.builds,
        counts.human,
        counts.refused,
        counts.failed
    );
    if let Some(together) = &together {
        print_together(together);
    }
    let status = if counts.failed == 0 { OK } else { BROKEN };
    let report = Report {
        format: FORMAT,
        fixes,
        together,
        counts,
    };
    let mut json = serde_json::to_vec_pretty(&report)
        .map_err(|error| tool_failure(format!("triage.json: {error}")))?;
    json.push(b'\n');
    let path = output.join("triage.json");
    durable::replace(&path, &json)?;
    println!("{}", path.display());
    Ok(status)
}

/// The patches, in order. No module of a fix has the name of another one, or `together`, the name
/// of the module of all fixes.
fn source_patches(paths: &[PathBuf], together: &str) -> Result<Vec<SourcePatch>> {
    let mut list = Vec::new();
    for path in paths {
        if path.is_dir() && !path.join("series").exists() {
            let mut patches = Vec::new();
            for entry in std::fs::read_dir(path).map_err(io_error_at(path))? {
                let path = entry.map_err(io_error_at(path))?.path();
                if path
                    .extension()
                    .is_some_and(|e| e == "patch" || e == "diff")
                {
                    patches.push(path);
                }
            }
            patches.sort_unstable();
            if patches.is_empty() {
                return Err(tool_failure(format!("{} has no patches", path.display())));
            }
            list.extend(patches);
        } else {
            list.extend(patch::members(path)?);
        }
    }
    let mut names = BTreeSet::from([together.to_owned()]);
    list.into_iter()
        .map(|path| {
            let text = std::fs::read(&path).map_err(io_error_at(&path))?;
            let base = module_name(&path);
            let mut name = base.clone();
            let mut number = 1;
            while !names.insert(name.clone()) {
                number += 1;
                name = format!("{base}_{number}");
            }
            Ok(SourcePatch {
                file: path
                    .file_name()
                    .unwrap_or(path.as_os_str())
                    .to_string_lossy()
                    .into_owned(),
                touched: patch::touched(&path, &text).unwrap_or_default(),
                path,
                name,
                text,
            })
        })
        .collect()
}

/// Runs `rlp-build build`.
struct Builder<'a> {
    arguments: &'a Triage,
}

impl Builder<'_> {
    /// Builds these patches as one module.
    fn build(&self, name: &str, patches: &[&SourcePatch]) -> Result<Outcome> {
        let folder = &self.arguments.output;
        let this = std::env::current_exe()
            .map_err(|error| tool_failure(format!("the program's own path: {error}")))?;
        let mut command = Command::new(this);
        command
            .arg("build")
            .args(self.arguments.kernel.arguments())
            .args(["--name", name, "--units", &self.arguments.units.to_string()])
            .arg("--output")
            .arg(folder)
            .stdin(Stdio::null());
        if self.arguments.no_replace {
            command.arg("--no-replace");
        }
        command
            .arg("--")
            .args(patches.iter().map(|member| &member.path));
        // A module of an earlier run must not be taken for the result of this one.
        for extension in ["ko", "proof.json"] {
            let path = folder.join(format!("{name}.{extension}"));
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error_at(&path)(error))
                }
                _ => {}
            }
        }
        let result = command
            .output()
            .map_err(|error| tool_failure(format!("rlp-build cannot be run: {error}")))?;
        let log = folder.join("log").join(format!("{name}.log"));
        std::fs::write(&log, [&result.stdout[..], &result.stderr].concat())
            .map_err(io_error_at(&log))?;

        let text = String::from_utf8_lossy(&result.stderr).into_owned();
        Ok(match result.status.code().map(u8::try_from) {
            Some(Ok(OK)) => Outcome::Built(functions(&folder.join(format!("{name}.proof.json")))?),
            Some(Ok(REFUSED)) => {
                refused(&text).unwrap_or_else(|| Outcome::Failed(format!("see {}", log.display())))
            }
            _ => Outcome::Failed(match text.split_once("error: ") {
                Some((_, sentence)) => sentence.trim().to_owned(),
                None => format!(
                    "the build ended with {}: see {}",
                    result.status,
                    log.display()
                ),
            }),
        })
    }
}

/// "refused (reason): sentence"
fn refused(text: &str) -> Option<Outcome> {
    let (_, rest) = text.split_once("refused (")?;
    let (reason, sentence) = rest.split_once("): ")?;
    Some(Outcome::Refused {
        reason: reason.to_owned(),
        sentence: sentence.trim().to_owned(),
    })
}

/// The functions that a proof lists.
fn functions(proof: &Path) -> Result<Vec<Function>> {
    let text = std::fs::read_to_string(proof).map_err(io_error_at(proof))?;
    let proof_of = || -> Option<Vec<Function>> {
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let functions = value.get("functions")?.as_array()?;
        functions
            .iter()
            .map(|function| {
                let member = |name: &str| Some(function.get(name)?.as_str()?.to_owned());
                Some(Function {
                    object: member("object")?,
                    name: member("name")?,
                })
            })
            .collect()
    };
    proof_of().ok_or_else(|| tool_failure(format!("{} has no list of functions", proof.display())))
}

/// Builds one fix. If it does not apply to the shipped source, it is built on top of the earlier
/// fixes that touch the same files.
fn build_alone(builder: &Builder<'_>, members: &[SourcePatch], index: usize) -> Result<Fix> {
    let member = &members[index];
    let mut after = Vec::new();
    let mut outcome = builder.build(&member.name, &[member])?;
    if matches!(&outcome, Outcome::Refused { reason, .. } if reason == "does-not-apply") {
        let needed = earlier_fixes_of_files(members, index);
        if !needed.is_empty() {
            let patches: Vec<_> = needed
                .iter()
                .chain([&index])
                .map(|n| &members[*n])
                .collect();
            let second = builder.build(&member.name, &patches)?;
            let same =
                matches!(&second, Outcome::Refused { reason, .. } if reason == "does-not-apply");
            if !same {
                after = needed;
                outcome = second;
            }
        }
    }

    let header = Header::of(&String::from_utf8_lossy(&member.text));
    let (reason, sentence, functions, failed) = match outcome {
        Outcome::Built(functions) => (None, None, functions, false),
        Outcome::Refused { reason, sentence } => (Some(reason), Some(sentence), Vec::new(), false),
        Outcome::Failed(sentence) => (None, Some(sentence), Vec::new(), true),
    };
    let human = concerns::of_patch(&String::from_utf8_lossy(&member.text), reason.as_deref());
    let built = reason.is_none() && !failed;
    let verdict = match (built, failed) {
        (_, true) => Verdict::Failed,
        _ if !human.is_empty() => Verdict::Human,
        (true, _) => Verdict::Builds,
        (false, _) => Verdict::Refused,
    };
    Ok(Fix {
        patch: member.file.clone(),
        subject: header.description,
        cves: header.cves.into_iter().collect(),
        sha256: hex(&Sha256::digest(&member.text)),
        verdict,
        reason,
        sentence,
        human,
        after: after.iter().map(|n| members[*n].file.clone()).collect(),
        module: built.then(|| format!("{}.ko", member.name)),
        functions,
    })
}

/// The earlier fixes that a fix may depend on: those that touch a file of the fix, or a file of
/// another fix that it may depend on.
fn earlier_fixes_of_files(members: &[SourcePatch], index: usize) -> Vec<usize> {
    let mut files = members[index].touched.clone();
    let mut needed = BTreeSet::new();
    for earlier in (0..index).rev() {
        let touched = &members[earlier].touched;
        if !touched.is_disjoint(&files) {
            files.extend(touched.iter().cloned());
            needed.insert(earlier);
        }
    }
    needed.into_iter().collect()
}

/// Builds one module of all fixes that could be built alone. A fix that cannot be built together
/// with the fixes before it is left out.
fn build_together(
    builder: &Builder<'_>,
    members: &[SourcePatch],
    fixes: &[Fix],
) -> Result<Together> {
    let name = builder.arguments.name.as_str();
    let mut kept: Vec<usize> = (0..fixes.len())
        .filter(|n| fixes[*n].module.is_some())
        .collect();
    let mut left_out: Vec<LeftOut> = Vec::new();
    let build = |kept: &[usize]| {
        let patches: Vec<_> = kept.iter().map(|n| &members[*n]).collect();
        builder.build(name, &patches)
    };
    let mut functions = Vec::new();
    let mut module = None;
    while !kept.is_empty() {
        // A fix that needs another one cannot be built without it.
        let without = kept.iter().copied().find_map(|n| {
            let missing = fixes[n]
                .after
                .iter()
                .find(|file| !kept.iter().any(|other| fixes[*other].patch == **file))?;
            Some((n, missing.clone()))
        });
        if let Some((n, missing)) = without {
            kept.retain(|other| *other != n);
            left_out.push(LeftOut {
                patch: fixes[n].patch.clone(),
                reason: "needs-another".into(),
                sentence: format!("it needs {missing}, which is not among the fixes that build"),
            });
            continue;
        }
        let mut last = match build(&kept)? {
            Outcome::Built(list) => {
                functions = list;
                module = Some(format!("{name}.ko"));
                break;
            }
            outcome => outcome,
        };
        // Find the shortest beginning of the list that is refused: its last fix is left out.
        let (mut good, mut bad) = (0, kept.len());
        while bad - good > 1 {
            let middle = (good + bad) / 2;
            match build(&kept[..middle])? {
                Outcome::Built(_) => good = middle,
                outcome => {
                    bad = middle;
                    last = outcome;
                }
            }
        }
        let (reason, sentence) = match last {
            Outcome::Refused { reason, sentence } => (reason, sentence),
            Outcome::Failed(sentence) => ("failed".to_owned(), sentence),
            Outcome::Built(_) => return Err(tool_failure("a series that was refused builds now")),
        };
        left_out.push(LeftOut {
            patch: fixes[kept[bad - 1]].patch.clone(),
            reason,
            sentence,
        });
        kept.remove(bad - 1);
    }
    let file = |n: &usize| fixes[*n].patch.clone();
    Ok(Together {
        module,
        patches: kept.iter().map(file).collect(),
        human: kept
            .iter()
            .filter(|n| fixes[**n].verdict == Verdict::Human)
            .map(file)
            .collect(),
        left_out,
        functions,
    })
}

fn counts(fixes: &[Fix]) -> Counts {
    let count = |verdict| fixes.iter().filter(|fix| fix.verdict == verdict).count();
    Counts {
        builds: count(Verdict::Builds),
        human: count(Verdict::Human),
        refused: count(Verdict::Refused),
        failed: count(Verdict::Failed),
    }
}

fn print_together(together: &Together) {
    match &together.module {
        Some(module) => println!(
            "  {module} has {} of them; functions that it replaces: {}",
            together.patches.len(),
            together.functions.len()
        ),
        None => println!("  no fix is left, so there is no module of all fixes"),
    }
    for left in &together.left_out {
        println!(
            "    without {} ({}): {}",
            left.patch, left.reason, left.sentence
        );
    }
    for patch in &together.human {
        println!("    it contains {patch}, about which a person has to decide");
    }
}

/// The rows of the table, which are printed in the order of the series.
struct Rows {
    state: Mutex<(usize, Vec<Option<Fix>>)>,
}

impl Rows {
    fn new(count: usize) -> Self {
        Self {
            state: Mutex::new((0, (0..count).map(|_| None).collect())),
        }
    }

    /// Adds a row. Then prints each row that is not printed yet, up to the first that is missing.
    fn add(&self, index: usize, fix: Fix) -> Result {
        let mut state = self
            .state
            .lock()
            .map_err(|_| tool_failure("a worker has panicked"))?;
        let (printed, rows) = &mut *state;
        rows[index] = Some(fix);
        while let Some(Some(fix)) = rows.get(*printed) {
            print_row(fix);
            *printed += 1;
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Fix>> {
        let (_, rows) = self
            .state
            .into_inner()
            .map_err(|_| tool_failure("a worker has panicked"))?;
        rows.into_iter()
            .map(|row| row.ok_or_else(|| tool_failure("a fix has no result")))
            .collect()
    }
}

fn print_row(fix: &Fix) {
    let reason = fix.reason.as_deref().unwrap_or("-");
    println!("  {:<44} {:<8} {reason}", fix.patch, fix.verdict.name());
    if let Some(sentence) = &fix.sentence {
        println!("    {}", sentence.replace('\n', "\n    "));
    }
    for concern in &fix.human {
        println!("    {concern}");
    }
    if !fix.after.is_empty() {
        println!("    built on top of {}", fix.after.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(file: &str, touched: &[&str]) -> SourcePatch {
        SourcePatch {
            path: file.into(),
            file: file.into(),
            name: file.into(),
            text: Vec::new(),
            touched: touched.iter().map(|file| (*file).to_owned()).collect(),
        }
    }

    #[test]
    fn each_module_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a-b.patch", "a_b.patch", "fixes.patch"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let members = source_patches(&[folder.path().to_owned()], "fixes").unwrap();
        let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["a_b", "a_b_2", "fixes_2"]);
    }

    #[test]
    fn a_fix_needs_the_earlier_fixes_of_its_files() {
        let members = [
            member("1", &["a.c"]),
            member("2", &["x.c"]),
            member("3", &["a.c", "b.c"]),
            member("4", &["b.c"]),
            member("5", &["b.c"]),
        ];
        assert_eq!(earlier_fixes_of_files(&members, 3), [0, 2]);
        assert_eq!(earlier_fixes_of_files(&members, 1), [0usize; 0]);
    }

    #[test]
    fn a_refusal_is_read() {
        let Some(Outcome::Refused { reason, sentence }) =
            refused("warning\nrefused (differs): f() is not\nwhat was shipped\n")
        else {
            panic!("not a refusal");
        };
        assert_eq!(
            (reason.as_str(), sentence.as_str()),
            ("differs", "f() is not\nwhat was shipped")
        );
        assert!(refused("error: x\n").is_none());
    }
}
