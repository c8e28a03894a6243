// SPDX-License-Identifier: GPL-2.0

//! The CVEs of the levels: the severity of each, when it was disclosed, and which level has
//! fixed it for which kernel.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    Fix,
    Level,
    Number,
    Severity, //
};
use crate::report::files;
use crate::time;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// A level that fixes a CVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) level: Number,
    pub(crate) published: u64,
    /// The kernels that it fixes the CVE for.
    kernels: Vec<String>,
}

/// A CVE, as the newest level that names it describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) severity: Severity,
    pub(crate) disclosed: Option<u64>,
    /// In the order of the levels.
    releases: Vec<Release>,
}

impl Known {
    /// A CVE that no level names.
    pub(crate) const UNKNOWN: Self = Self {
        severity: Severity::Unknown,
        disclosed: None,
        releases: Vec::new(),
    };

    /// The levels that fix the CVE for one of these kernels, or for any kernel if none is known.
    pub(crate) fn releases<'a>(
        &'a self,
        kernels: Option<&'a BTreeSet<String>>,
    ) -> impl DoubleEndedIterator<Item = &'a Release> {
        self.releases.iter().filter(move |release| {
            kernels.is_none_or(|known| release.kernels.iter().any(|kernel| known.contains(kernel)))
        })
    }

    /// Whether a level fixes the CVE for any kernel.
    pub(crate) fn is_fixed(&self) -> bool {
        !self.releases.is_empty()
    }

    /// When the first level was published that fixes the CVE for one of these kernels.
    pub(crate) fn published(&self, kernels: Option<&BTreeSet<String>>) -> Option<u64> {
        self.releases(kernels)
            .map(|release| release.published)
            .min()
    }

    fn add(&mut self, level: &Level, fix: &Fix) {
        if fix.severity != Severity::Unknown {
            self.severity = fix.severity;
        }
        let disclosed = fix.disclosed.as_deref().and_then(time::seconds);
        self.disclosed = disclosed.or(self.disclosed);
        if let Some(published) = time::seconds(&level.published) {
            self.releases.push(Release {
                level: level.level,
                published,
                kernels: fix.releases.clone(),
            });
        }
    }
}

/// Each CVE that a level names.
pub(crate) type Data = BTreeMap<String, Known>;

pub(crate) fn data(mut levels: Vec<Level>) -> Data {
    levels.sort_by_key(|level| level.level);
    let mut data = Data::new();
    for level in &levels {
        for fix in &level.fixes {
            let known = data.entry(fix.cve.clone()).or_insert(Known::UNKNOWN);
            known.add(level, fix);
        }
    }
    data
}

/// Whether a file in a folder describes a level, by its name.
fn is_level(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("level") && name.ends_with(".json")
}

/// Reads the files, and those in the folders. Returns each file, its content, and its level. A
/// folder without one is a mistake: the report would not know of the CVEs that no host is
/// protected from.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<u8>, Level)>> {
    for path in paths {
        if files::find(std::slice::from_ref(path), is_level)?.is_empty() {
            return Err(Failure::refused(format!("{} has no level", path.display()))
                .why("no file below it has a name such as level.json")
                .next("name the folder with the level.json of each level"));
        }
    }
    let read = |file: PathBuf| {
        let content = std::fs::read(&file).map_err(on_file(&file))?;
        let level = Level::parse(&file, &content)?;
        Ok((file, content, level))
    };
    let all = files::find(paths, is_level)?.into_iter().map(read);
    let all = all.collect::<Result<Vec<_>>>()?;
    check_numbers(&all)?;
    Ok(all)
}

/// Each number has one level. Copies of a file are no mistake.
fn check_numbers(all: &[(PathBuf, Vec<u8>, Level)]) -> Result<()> {
    let mut first: BTreeMap<Number, (&PathBuf, &Level)> = BTreeMap::new();
    for (file, _, level) in all {
        let (other, known) = *first.entry(level.level).or_insert((file, level));
        if known != level {
            let (nr, other) = (level.level, other.display());
            return Err(Failure::refused(format!(
                "two levels have the number {nr}: {other} and {}",
                file.display()
            ))
            .why("a level that was published must not change, because hosts name only its number")
            .next("leave out the one that no host has had; rlp history shows when each came"));
        }
    }
    Ok(())
}
