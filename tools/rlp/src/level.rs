// SPDX-License-Identifier: GPL-2.0

//! The file level.json: which patch, which loader and which fixes a level has for which kernel.
//! `rlp level build` writes it, and a host reads it. Documentation/schema/level.json has the same
//! rules. A reader ignores fields that it does not know, and refuses a schema that it does not
//! know.

use crate::digest::{
    is_hex,
    Digest, //
};
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::module_file::is_name;
use crate::time;
use serde::{
    Deserialize,
    Serialize, //
};
use std::collections::BTreeSet;
use std::path::Path;

/// The version of the format. It changes with a field's meaning, not when a field is added.
pub(crate) const SCHEMA: u32 = 1;

/// The folder of the level that the package `rlp-level` installs.
pub(crate) const FOLDER: &str = "/usr/share/rlp/level";

/// The name of the file in that folder.
pub(crate) const FILE: &str = "level.json";

/// The number of a level. It grows with each level that is published, and begins with 1.
pub(crate) type Number = u32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) schema: u32,
    pub(crate) level: Number,
    /// When it was built, in UTC.
    pub(crate) published: String,
    /// The architecture, as Debian names it.
    pub(crate) architecture: String,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) fixes: Vec<Fix>,
    /// Earlier levels that must not be in effect on any machine.
    #[serde(default)]
    pub(crate) blocked: Vec<Number>,
}

/// A kernel that the level has a patch for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    /// The build id of the kernel itself. Two builds can have the same release.
    pub(crate) build_id: String,
    pub(crate) vermagic: String,
    pub(crate) patch: Patch,
    pub(crate) loader: Loader,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Patch {
    /// The name of the module.
    pub(crate) name: String,
    /// The path below the folder of the level.
    pub(crate) file: String,
    pub(crate) sha256: Digest,
    /// The build id of the module, as its file in sysfs has it. [`Level::wrong`] refuses a patch
    /// without one.
    pub(crate) build_id: Option<String>,
    /// The number of functions that it replaces, if a proof says it.
    pub(crate) functions: Option<u32>,
    /// These functions, sorted: the object, the name, and the position among the functions of that
    /// name. Levels of earlier versions of this program have no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loader {
    /// The path below the folder of the level.
    pub(crate) file: String,
    pub(crate) sha256: Digest,
    pub(crate) build_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fix {
    pub(crate) cve: String,
    pub(crate) severity: Severity,
    /// When the CVE was disclosed, in UTC, if that is known.
    pub(crate) disclosed: Option<String>,
    /// The versions of the kernel that have the fix.
    #[serde(default)]
    pub(crate) fixed_in: Vec<String>,
    /// The kernels whose patch names the CVE.
    pub(crate) releases: Vec<String>,
}

/// The severity of a CVE. `Ord` puts the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Critical,
    High,
    Medium,
    Low,
    /// Not known to the publisher, or a word that a later version of rlp has.
    #[serde(other)]
    Unknown,
}

impl Severity {
    /// The name in level.json and in policies.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Unknown => "unknown",
        }
    }

    /// The severity with this name. Unlike a reader of levels, this accepts no other word.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Critical,
            Self::High,
            Self::Medium,
            Self::Low,
            Self::Unknown,
        ];
        all.into_iter().find(|severity| severity.name() == name)
    }
}

/// Whether a text is a CVE number.
pub(crate) fn is_cve(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("CVE-")
        .and_then(|numbers| numbers.split_once('-'))
        .is_some_and(|(year, number)| {
            year.len() == 4 && number.len() >= 4 && digits(year) && digits(number)
        })
}

impl Level {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(on_file(path))?;
        Self::parse(path, &text)
    }

    /// Parses and checks the content of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let refused = |why: String| {
            Failure::refused(format!("{} is not valid", path.display()))
                .why(why)
                .next("install the package of the level again: apt reinstall rlp-level")
        };
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        // A later schema may lack the fields of this one, so the schema's number is checked first.
        match value["schema"].as_u64() {
            Some(schema) if schema == u64::from(SCHEMA) => (),
            Some(schema) => {
                return Err(Failure::refused(format!(
                    "{} has the schema {schema}, which this program does not know",
                    path.display()
                ))
                .next("install a newer rlp"))
            }
            None => return Err(refused("it names no schema".to_owned())),
        }
        let level: Self =
            serde_json::from_value(value).map_err(|error| refused(error.to_string()))?;
        match level.wrong() {
            Some(why) => Err(refused(why)),
            None => Ok(level),
        }
    }

    /// The text of the file. The same level has the same text.
    pub(crate) fn text(&self) -> Vec<u8> {
        // A structure of strings and numbers is always valid JSON.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Returns the first rule that the level breaks. Paths and names come from a file that a
    /// machine was given, so none of them may lead out of the level's folder.
    pub(crate) fn wrong(&self) -> Option<String> {
        if self.level == 0 {
            return Some("the first level is 1".to_owned());
        }
        if time::seconds(&self.published).is_none() {
            return Some("published is no time such as 2026-11-30T00:00:00Z".to_owned());
        }
        if let Some(blocked) = self.blocked.iter().find(|&&nr| nr == 0 || nr >= self.level) {
            return Some(format!(
                "level {} blocks level {blocked}, which is not an earlier one",
                self.level
            ));
        }
        if self.kernels.is_empty() {
            return Some("it has no kernel".to_owned());
        }
        let mut releases = BTreeSet::new();
        for kernel in &self.kernels {
            if let Some(why) = kernel.wrong() {
                return Some(why);
            }
            if !releases.insert(&kernel.release) {
                return Some(format!("it has {} twice", kernel.release));
            }
        }
        let mut cves = BTreeSet::new();
        for fix in &self.fixes {
            if let Some(why) = fix.wrong(&releases) {
                return Some(why);
            }
            if !cves.insert(&fix.cve) {
                return Some(format!("it has {} twice", fix.cve));
            }
        }
        None
    }

    /// Whether another description is of the same level. The time of the build does not count.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let published = other.published.clone();
        Self {
            published,
            ..self.clone()
        } == *other
    }

    /// The entry of a kernel's release. The caller compares the build id.
    pub(crate) fn kernel(&self, release: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.release == release)
    }

    /// The fixes that the patch for a release names.
    pub(crate) fn fixes_for<'a>(&'a self, release: &'a str) -> impl Iterator<Item = &'a Fix> {
        let named = move |fix: &&Fix| fix.releases.iter().any(|other| other == release);
        self.fixes.iter().filter(named)
    }

    /// The highest severity among the fixes for a release.
    pub(crate) fn severity(&self, release: &str) -> Severity {
        let severities = self.fixes_for(release).map(|fix| fix.severity);
        severities.min().unwrap_or(Severity::Unknown)
    }
}

impl Kernel {
    fn wrong(&self) -> Option<String> {
        let release = &self.release;
        if !is_name(release) {
            return Some("the release of a kernel is not valid".to_owned());
        }
        if !is_build_id(&self.build_id) {
            return Some(format!("the build id of {release} is not valid"));
        }
        if self.vermagic.split(' ').next() != Some(release) || has_control(&self.vermagic) {
            return Some(format!("the vermagic of {release} is not valid"));
        }
        if !is_name(&self.patch.name) {
            return Some(format!(
                "the patch for {release} has a name that is not valid"
            ));
        }
        if self.patch.file != format!("{release}/{}.ko", self.patch.name) {
            return Some(format!(
                "the file of the patch for {release} has another path"
            ));
        }
        if self
            .patch
            .replaced
            .iter()
            .flatten()
            .any(|name| has_control(name))
        {
            return Some(format!(
                "a function of the patch for {release} has a name that is not valid"
            ));
        }
        if self.loader.file != format!("{release}/{}.ko", crate::loader::MODULE) {
            return Some(format!(
                "the file of the loader for {release} has another path"
            ));
        }
        // A machine recognises the patch in the loader's files by its build id. Without one, the
        // patch could be neither replaced nor taken back.
        if self.patch.build_id.is_none() {
            return Some(format!("the patch for {release} has no build id"));
        }
        let ids = [&self.patch.build_id, &self.loader.build_id];
        if !ids.into_iter().flatten().all(|id| is_build_id(id)) {
            return Some(format!(
                "the build id of a module for {release} is not valid"
            ));
        }
        None
    }
}

impl Fix {
    fn wrong(&self, releases: &BTreeSet<&String>) -> Option<String> {
        if !is_cve(&self.cve) {
            return Some("a fix has a CVE number that is not valid".to_owned());
        }
        let cve = &self.cve;
        if self
            .disclosed
            .as_deref()
            .is_some_and(|time| time::seconds(time).is_none())
        {
            return Some(format!(
                "{cve}: disclosed is no time such as 2026-11-30T00:00:00Z"
            ));
        }
        if self.fixed_in.iter().any(|version| !is_name(version)) {
            return Some(format!("{cve}: a version in fixed_in is not valid"));
        }
        if self.releases.is_empty() {
            return Some(format!("{cve}: no kernel has the fix"));
        }
        let unknown = self
            .releases
            .iter()
            .find(|release| !releases.contains(release));
        unknown.map(|release| format!("{cve}: the level has no kernel {release}"))
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether a text is a build id: an even number of lower-case hexadecimal digits.
fn is_build_id(text: &str) -> bool {
    !text.is_empty() && text.len() % 2 == 0 && is_hex(text, text.len())
}

#[cfg(test)]
#[path = "../tests/machine/schema.rs"]
mod schema;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{
        json,
        Value, //
    };

    /// A level with two kernels.
    fn example() -> Value {
        let kernel = |release: &str| {
            json!({
                "release": release,
                "build_id": "ab".repeat(20),
                "vermagic": format!("{release} SMP preempt mod_unload modversions "),
                "patch": {
                    "name": "fix",
                    "file": format!("{release}/fix.ko"),
                    "sha256": "01".repeat(32),
                    "build_id": "cd".repeat(20),
                    "functions": 3,
                },
                "loader": {
                    "file": format!("{release}/rust_livepatch.ko"),
                    "sha256": "23".repeat(32),
                    "build_id": "ef".repeat(20),
                },
            })
        };
        json!({
            "schema": 1,
            "level": 7,
            "published": "2026-11-30T00:00:00Z",
            "architecture": "amd64",
            "kernels": [kernel("7.3.4+deb13-amd64"), kernel("7.3.5+deb13-amd64")],
            "fixes": [
                {
                    "cve": "CVE-2026-0001",
                    "severity": "high",
                    "disclosed": "2026-11-20T00:00:00Z",
                    "fixed_in": ["7.3.5"],
                    "releases": ["7.3.4+deb13-amd64"],
                },
                {
                    "cve": "CVE-2026-0002",
                    "severity": "medium",
                    "disclosed": null,
                    "fixed_in": [],
                    "releases": ["7.3.4+deb13-amd64", "7.3.5+deb13-amd64"],
                },
            ],
            "blocked": [4],
        })
    }

    fn parse(value: &Value) -> Result<Level> {
        Level::parse(Path::new("level.json"), value.to_string().as_bytes())
    }

    /// Changes the value at a JSON pointer.
    fn changed(pointer: &str, to: Value) -> Value {
        let mut value = example();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match value.pointer_mut(parent).expect(pointer) {
            Value::Array(all) => all[name.parse::<usize>().unwrap()] = to,
            parent => parent[name] = to,
        }
        value
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let level = parse(&example()).unwrap();
        assert_eq!(level.level, 7);
        let again = Level::parse(Path::new("level.json"), &level.text()).unwrap();
        assert_eq!(again, level);
        assert_eq!(serde_json::to_value(&level).unwrap(), example());
    }

    #[test]
    fn the_schema_describes_it() {
        let text = include_str!("../../../Documentation/schema/level.json");
        let rules: Value = serde_json::from_str(text).unwrap();
        let written: Value = serde_json::from_slice(&parse(&example()).unwrap().text()).unwrap();
        assert_eq!(schema::errors(&rules, &written), [""; 0]);
        for pointer in ["/kernels/0/patch/file", "/fixes/0/releases", "/blocked"] {
            let spoilt = changed(pointer, json!({}));
            assert_eq!(schema::errors(&rules, &spoilt).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn fields_of_later_versions_are_ignored() {
        let mut value = example();
        value["later"] = json!([1]);
        value["kernels"][0]["later"] = json!({});
        value["fixes"][0]["severity"] = json!("catastrophic");
        let level = parse(&value).unwrap();
        assert_eq!(level.fixes[0].severity, Severity::Unknown);
        value.as_object_mut().unwrap().remove("blocked");
        assert!(parse(&value).unwrap().blocked.is_empty());
    }

    #[test]
    fn another_schema_is_refused() {
        let failure = parse(&changed("/schema", json!(2))).unwrap_err();
        assert!(failure.what.contains("has the schema 2"), "{failure:?}");
        let failure = parse(&changed("/schema", json!(null))).unwrap_err();
        assert_eq!(failure.why.as_deref(), Some("it names no schema"));
    }

    #[test]
    fn the_fixes_of_a_kernel() {
        let level = parse(&example()).unwrap();
        let named = |release| {
            let fixes = level.fixes_for(release);
            fixes.map(|fix| fix.cve.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(
            named("7.3.4+deb13-amd64"),
            ["CVE-2026-0001", "CVE-2026-0002"]
        );
        assert_eq!(named("7.3.5+deb13-amd64"), ["CVE-2026-0002"]);
        assert_eq!(level.severity("7.3.4+deb13-amd64"), Severity::High);
        assert_eq!(level.severity("7.3.5+deb13-amd64"), Severity::Medium);
        assert_eq!(level.severity("7.3"), Severity::Unknown);
        assert!(level.kernel("7.3.4+deb13-amd64").is_some());
        assert!(level.kernel("7.3").is_none());
    }

    #[test]
    fn each_rule_is_checked() {
        let kernel = "/kernels/0";
        for (pointer, to, why) in [
            ("/level", json!(0), "the first level is 1"),
            ("/published", json!("2026-11-30"), "published is no time"),
            ("/blocked", json!([7]), "level 7 blocks level 7"),
            ("/blocked", json!([3, 0]), "level 7 blocks level 0"),
            ("/kernels", json!([]), "it has no kernel"),
            (
                "/kernels/0/release",
                json!("../x"),
                "the release of a kernel",
            ),
            ("/kernels/0/build_id", json!("AB"), "the build id of 7.3.4"),
            ("/kernels/0/build_id", json!(""), "the build id of 7.3.4"),
            (
                "/kernels/0/vermagic",
                json!("7.3.5 SMP"),
                "the vermagic of 7.3.4",
            ),
            (
                "/kernels/0/vermagic",
                json!("7.3.4+deb13-amd64 \u{1b}"),
                "the vermagic of 7.3.4",
            ),
            (
                "/kernels/0/patch/name",
                json!("a/b"),
                "has a name that is not valid",
            ),
            (
                "/kernels/0/patch/file",
                json!("/etc/passwd"),
                "the file of the patch",
            ),
            (
                "/kernels/0/patch/file",
                json!("7.3.4+deb13-amd64/../fix.ko"),
                "the file of the patch",
            ),
            (
                "/kernels/0/patch/sha256",
                json!("00"),
                "a hash has 64 digits",
            ),
            (
                "/kernels/0/patch/replaced",
                json!(["vmlinux:a,1\n"]),
                "a function of the patch for 7.3.4",
            ),
            (
                "/kernels/0/patch/build_id",
                json!("x"),
                "the build id of a module",
            ),
            (
                "/kernels/0/patch/build_id",
                json!(null),
                "the patch for 7.3.4+deb13-amd64 has no build id",
            ),
            (
                "/kernels/0/loader/file",
                json!("x/rust_livepatch.ko"),
                "the file of the loader",
            ),
            (
                "/fixes/0/cve",
                json!("CVE-2026-1"),
                "a CVE number that is not valid",
            ),
            (
                "/fixes/0/cve",
                json!("CVE-2026-0002"),
                "it has CVE-2026-0002 twice",
            ),
            ("/fixes/0/disclosed", json!("soon"), "disclosed is no time"),
            (
                "/fixes/0/fixed_in",
                json!(["7.3 5"]),
                "a version in fixed_in",
            ),
            ("/fixes/0/releases", json!([]), "no kernel has the fix"),
            (
                "/fixes/0/releases",
                json!(["7.3"]),
                "the level has no kernel 7.3",
            ),
        ] {
            let failure = parse(&changed(pointer, to)).unwrap_err();
            let found = failure.why.as_deref().unwrap_or_default();
            assert!(found.contains(why), "{pointer}: {found}, and not {why}");
        }
        let mut twice = example();
        let first = twice.pointer(kernel).unwrap().clone();
        twice["kernels"][1] = first;
        let why = parse(&twice).unwrap_err().why.unwrap();
        assert!(why.contains("twice"), "{why}");
        assert!(Level::parse(Path::new("level.json"), b"{").is_err());
    }
}
