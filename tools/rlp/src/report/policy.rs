// SPDX-License-Identifier: GPL-2.0

//! The operator's own rules for a report: the days in which a CVE must be fixed, the exceptions,
//! and the control numbers. They are in a TOML file.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::host;
use crate::level::{
    is_cve,
    Severity, //
};
use crate::time;
use serde::{
    Deserialize,
    Serialize, //
};
use std::path::Path;

/// A day, in seconds.
pub(crate) const DAY: u64 = 86_400;

/// The word for all hosts in an exception.
const ALL: &str = "*";

/// The date from which the days of the SLA are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    Disclosed,
    Published,
}

impl Start {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Disclosed => "disclosure",
            Self::Published => "publication",
        }
    }
}

/// The days for each severity. `None`: there is no SLA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sla {
    pub(crate) start: Start,
    pub(crate) critical: Option<u32>,
    pub(crate) high: Option<u32>,
    pub(crate) medium: Option<u32>,
    pub(crate) low: Option<u32>,
    pub(crate) unknown: Option<u32>,
}

impl Default for Sla {
    fn default() -> Self {
        Self {
            start: Start::Disclosed,
            critical: Some(7),
            high: Some(30),
            medium: Some(90),
            low: Some(180),
            unknown: None,
        }
    }
}

impl Sla {
    pub(crate) fn days(&self, severity: Severity) -> Option<u32> {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Unknown => self.unknown,
        }
    }
}

/// A CVE that need not be fixed in time on some hosts. The exception excuses them until its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) cve: String,
    /// Names of hosts, or "*".
    pub(crate) hosts: Vec<String>,
    pub(crate) reason: String,
    pub(crate) approved_by: String,
    pub(crate) end: String,
    /// The last second.
    #[serde(skip)]
    pub(crate) until: u64,
}

impl Exception {
    fn is_for(&self, cve: &str, host: &str) -> bool {
        self.cve == cve && self.hosts.iter().any(|name| name == host || name == ALL)
    }

    /// Checks the exception, and reads its end. Returns the first rule that it breaks.
    fn check(&mut self) -> std::result::Result<(), String> {
        if !is_cve(&self.cve) {
            return Err(format!("'{}' is no CVE number", self.cve));
        }
        if self.hosts.is_empty() {
            return Err(format!("the exception for {} names no host", self.cve));
        }
        if let Some(other) = self
            .hosts
            .iter()
            .find(|name| *name != ALL && !host::is_name(name))
        {
            return Err(format!("'{other}' is no name of a host"));
        }
        if self.reason.trim().is_empty() || self.approved_by.trim().is_empty() {
            let cve = &self.cve;
            return Err(format!(
                "the exception for {cve} has no reason, or nobody has approved it"
            ));
        }
        let end = time::parse(&self.end)?;
        self.until = time::last_second(&end).ok_or_else(|| format!("'{end}' is no time"))?;
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Policy {
    /// The operator's own numbers of the controls that the report is about.
    pub(crate) controls: Vec<String>,
    /// A host whose loader has said nothing for longer than these days is silent.
    pub(crate) silent_days: u32,
    pub(crate) sla: Sla,
    #[serde(rename = "exception")]
    pub(crate) exceptions: Vec<Exception>,
}

impl Default for Policy {
    fn default() -> Self {
        let controls = ["CC5.2", "CC7.1", "CC7.4", "CC8.1"];
        Self {
            controls: controls.map(str::to_owned).to_vec(),
            silent_days: 7,
            sla: Sla::default(),
            exceptions: Vec::new(),
        }
    }
}

impl Policy {
    /// Parses and checks the content of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let refused = |why: String| {
            Failure::refused(format!("{} is no policy for reports", path.display()))
                .why(why)
                .next("report.rst has an example of this file")
        };
        let mut policy: Self = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        for exception in &mut policy.exceptions {
            exception.check().map_err(refused)?;
        }
        Ok(policy)
    }

    pub(crate) fn read(path: &Path) -> Result<(Self, Vec<u8>)> {
        let text = std::fs::read_to_string(path).map_err(on_file(path))?;
        Ok((Self::parse(path, &text)?, text.into_bytes()))
    }

    /// The exception for a CVE on a host that ends last.
    pub(crate) fn exception(&self, cve: &str, host: &str) -> Option<usize> {
        let all = self.exceptions.iter().enumerate();
        let fitting = all.filter(|(_, exception)| exception.is_for(cve, host));
        fitting
            .max_by_key(|(_, exception)| exception.until)
            .map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "bd71d9b3044e43799c788578c2877b77";

    fn parse(text: &str) -> std::result::Result<Policy, String> {
        Policy::parse(Path::new("p.toml"), text).map_err(|failure| failure.why.unwrap())
    }

    fn exception(change: (&str, &str)) -> String {
        format!(
            "[[exception]]\ncve = \"CVE-2026-0001\"\nhosts = [\"{HOST}\"]\nreason = \"old\"\n\
             approved_by = \"ab\"\nend = \"2026-12-31\"\n"
        )
        .replace(change.0, change.1)
    }

    #[test]
    fn the_default_is_an_empty_file() {
        assert_eq!(parse("").unwrap(), Policy::default());
        let policy = parse("[sla]\nhigh = 14\nstart = \"published\"").unwrap();
        assert_eq!(policy.sla.days(Severity::High), Some(14));
        assert_eq!(policy.sla.days(Severity::Critical), Some(7));
        assert_eq!(policy.sla.days(Severity::Unknown), None);
        assert_eq!(policy.sla.start, Start::Published);
    }

    #[test]
    fn exceptions() {
        let policy = parse(&exception(("", ""))).unwrap();
        assert_eq!(
            policy.exceptions[0].until,
            time::seconds("2026-12-31T23:59:59Z").unwrap()
        );
        assert_eq!(policy.exception("CVE-2026-0001", HOST), Some(0));
        assert_eq!(policy.exception("CVE-2026-0002", HOST), None);
        assert_eq!(
            policy.exception("CVE-2026-0001", &HOST.replace('b', "a")),
            None
        );
        let all = exception((HOST, ALL)) + &exception(("12-31", "11-30"));
        assert_eq!(
            parse(&all).unwrap().exception("CVE-2026-0001", HOST),
            Some(0)
        );
        for (from, to, why) in [
            ("CVE-2026-0001", "CVE", "is no CVE number"),
            (HOST, "web1", "'web1' is no name of a host"),
            (
                "[\"bd71d9b3044e43799c788578c2877b77\"]",
                "[]",
                "names no host",
            ),
            ("\"old\"", "\" \"", "has no reason"),
            ("\"ab\"", "\"\"", "nobody has approved it"),
            ("2026-12-31", "soon", "a time is like"),
            ("2026-12-31", "2026-02-30", "'2026-02-30' is no time"),
            ("reason", "because", "unknown field `because`"),
        ] {
            let wrong = parse(&exception((from, to))).unwrap_err();
            assert!(wrong.contains(why), "{wrong}");
        }
        assert!(parse("[sla]\nurgent = 1").is_err());
    }
}
