// SPDX-License-Identifier: GPL-2.0

//! The publisher's facts about CVEs: a JSON object with an entry for each CVE. The entry for a CVE
//! that no patch names is ignored, so one file serves all levels.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    is_cve,
    Severity, //
};
use crate::module_file::is_name;
use crate::time;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The data about a CVE. Without an entry, nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) severity: Severity,
    /// In the format of `time::rfc3339`.
    pub(crate) disclosed: Option<String>,
    pub(crate) fixed_in: Vec<String>,
}

impl Facts {
    pub(crate) const UNKNOWN: Self = Self {
        severity: Severity::Unknown,
        disclosed: None,
        fixed_in: Vec::new(),
    };
}

/// An entry of the file. A misspelt member would be a fact that gets lost, so it is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    severity: String,
    #[serde(default)]
    disclosed: Option<String>,
    #[serde(default)]
    fixed_in: Vec<String>,
}

impl Entry {
    fn facts(self) -> std::result::Result<Facts, String> {
        let severity = Severity::named(&self.severity).ok_or_else(|| {
            "severity is one of critical, high, medium, low and unknown".to_owned()
        })?;
        let disclosed = match self.disclosed {
            Some(time) => Some(whole_time(time).ok_or_else(|| {
                "disclosed is like 2026-11-30 or 2026-11-30T12:00:00Z".to_owned()
            })?),
            None => None,
        };
        if !self.fixed_in.iter().all(|version| is_name(version)) {
            return Err("fixed_in has the versions of kernels, such as 7.3.5".to_owned());
        }
        Ok(Facts {
            severity,
            disclosed,
            fixed_in: self.fixed_in,
        })
    }
}

/// A day is a time, too: its first second.
fn whole_time(text: String) -> Option<String> {
    let whole = if text.len() == "2026-11-30".len() {
        text + "T00:00:00Z"
    } else {
        text
    };
    time::seconds(&whole)?;
    Some(whole)
}

/// Parses the content of the file at `path`.
pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<BTreeMap<String, Facts>> {
    let refused = |why: String| {
        Failure::refused(format!("{} is not valid", path.display()))
            .why(why)
            .next("correct the file: repository.rst describes it")
    };
    let entries: BTreeMap<String, Entry> =
        serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
    let mut all = BTreeMap::new();
    for (cve, entry) in entries {
        if !is_cve(&cve) {
            return Err(refused(format!("{cve:?} is no CVE number")));
        }
        let facts = entry
            .facts()
            .map_err(|why| refused(format!("{cve}: {why}")))?;
        all.insert(cve, facts);
    }
    Ok(all)
}

pub(crate) fn read(path: &Path) -> Result<(BTreeMap<String, Facts>, Vec<u8>)> {
    let text = std::fs::read(path).map_err(on_file(path))?;
    Ok((parse(path, &text)?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<BTreeMap<String, Facts>> {
        parse(Path::new("cves.json"), text.as_bytes())
    }

    #[test]
    fn entries() {
        let all = parsed(
            r#"{ "CVE-2026-0001": { "severity": "high", "disclosed": "2026-11-20",
                                    "fixed_in": ["7.3.5", "6.12.60"] },
                 "CVE-2026-0002": { "severity": "unknown", "disclosed": null },
                 "CVE-2026-0003": { "severity": "low", "disclosed": "2026-11-20T10:00:00Z" } }"#,
        )
        .unwrap();
        let first = &all["CVE-2026-0001"];
        assert_eq!(first.severity, Severity::High);
        assert_eq!(first.disclosed.as_deref(), Some("2026-11-20T00:00:00Z"));
        assert_eq!(first.fixed_in, ["7.3.5", "6.12.60"]);
        assert_eq!(all["CVE-2026-0002"], Facts::UNKNOWN);
        let third = all["CVE-2026-0003"].disclosed.as_deref();
        assert_eq!(third, Some("2026-11-20T10:00:00Z"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, why) in [
            ("[]", "expected a map"),
            (r#"{"CVE-1": {"severity": "low"}}"#, "is no CVE number"),
            (r#"{"CVE-2026-0001": {}}"#, "missing field"),
            (
                r#"{"CVE-2026-0001": {"severity": "High"}}"#,
                "severity is one of",
            ),
            (
                r#"{"CVE-2026-0001": {"severity": "low", "disclose": "2026-11-20"}}"#,
                "unknown field",
            ),
            (
                r#"{"CVE-2026-0001": {"severity": "low", "disclosed": "2026-02-30"}}"#,
                "disclosed is like",
            ),
            (
                r#"{"CVE-2026-0001": {"severity": "low", "fixed_in": ["7.3.5 and later"]}}"#,
                "fixed_in has the versions",
            ),
        ] {
            let failure = parsed(text).unwrap_err();
            let found = failure.why.unwrap();
            assert!(found.contains(why), "{text}: {found}, and not {why}");
        }
    }
}
