// SPDX-License-Identifier: GPL-2.0

//! info: a patch in detail, or the patches that fix a CVE.

use crate::cli;
use crate::failure::{
    Failure,
    Result,
    ANSWER_IS_NO, //
};
use crate::loader::{
    self,
    Function,
    Patch,
    State, //
};
use crate::output::{
    Paint,
    Report, //
};
use crate::status::state_words;
use crate::system::System;
use crate::time;
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write as _;

struct Patches(Vec<Patch>);

/// The patches that name a CVE.
struct Cve {
    cve: String,
    patches: Vec<Patch>,
}

/// Whether an argument is a CVE number, and not the name of a patch.
fn is_cve(argument: &str) -> bool {
    let mut parts = argument.splitn(3, '-');
    let digits = |part: Option<&str>| {
        part.is_some_and(|part| part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts
        .next()
        .is_some_and(|part| part.eq_ignore_ascii_case("CVE"))
        && digits(parts.next())
        && digits(parts.next())
}

pub(crate) fn run(system: &System, arguments: &cli::Info) -> Result<Box<dyn Report>> {
    let mut patches = loader::patches(system)?;
    match &arguments.what {
        None => Ok(Box::new(Patches(patches))),
        Some(cve) if is_cve(cve) => {
            patches.retain(|patch| patch.cves.iter().any(|own| own.eq_ignore_ascii_case(cve)));
            Ok(Box::new(Cve {
                cve: cve.to_ascii_uppercase(),
                patches,
            }))
        }
        Some(name) => {
            let name = loader::name_of(name);
            patches.retain(|patch| patch.name == name);
            if patches.is_empty() {
                return Err(Failure::refused(format!("the loader has no patch {name}"))
                    .next("rlp status shows the patches"));
            }
            Ok(Box::new(Patches(patches)))
        }
    }
}

fn write_patch(text: &mut String, patch: &Patch, paint: &Paint) {
    let yes = |value: bool| if value { "yes" } else { "no" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}{}{:#}", paint.bold, patch.name, paint.bold);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<13} {value}");
    };
    line("state", &state_words(patch, paint));
    if let Some(level) = &patch.level {
        line("level", level);
    }
    if !patch.cves.is_empty() {
        line("fixes", &patch.cves.join(" "));
    }
    line("confirmed", yes(patch.confirmed));
    line("cumulative", yes(patch.cumulative));
    line("forced", yes(patch.forced));
    if patch.transition_us != 0 {
        let us = patch.transition_us;
        line("transition", &format!("{}.{:03} ms", us / 1000, us % 1000));
    }
    if patch.deadline != 0 {
        line("deadline", &time::span(patch.deadline));
    }
    if let Some(build_id) = &patch.build_id {
        line("build id", build_id);
    }
    for object in &patch.objects {
        let state = if object.patched {
            "patched"
        } else {
            "not loaded"
        };
        line(&object.name, state);
        for function in &object.functions {
            let Function {
                name,
                position,
                mode,
            } = function;
            line("", &format!("{name},{position}: {mode}"));
        }
    }
}

impl Report for Patches {
    fn json(&self) -> Value {
        json!({ "patches": self.0 })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        for (nr, patch) in self.0.iter().enumerate() {
            if nr != 0 {
                text.push('\n');
            }
            write_patch(&mut text, patch, paint);
        }
        if self.0.is_empty() {
            text.push_str("the loader has no patch\n");
        }
        text
    }
}

impl Cve {
    /// Whether one of these patches is confirmed, and in effect for all tasks. Such a patch is in
    /// effect in each of its objects that is loaded. If tasks were forced, nothing shows that they
    /// have left the old code.
    fn is_fixed(&self) -> bool {
        let mut patches = self.patches.iter();
        patches.any(|patch| patch.state == State::InEffect && !patch.forced)
    }
}

impl Report for Cve {
    fn json(&self) -> Value {
        json!({ "cve": self.cve, "fixed": self.is_fixed(), "patches": self.patches })
    }

    fn text(&self, paint: &Paint) -> String {
        if self.patches.is_empty() {
            return format!("{}: no patch that is loaded names it\n", self.cve);
        }
        let mut text = if self.is_fixed() {
            format!("{}: {}fixed{:#}\n", self.cve, paint.good, paint.good)
        } else {
            format!("{}: {}not fixed{:#}\n", self.cve, paint.bad, paint.bad)
        };
        for patch in &self.patches {
            let _ = writeln!(text, "  {}: {}", patch.name, state_words(patch, paint));
            if patch.forced {
                text.push_str("    tasks were forced, and may still run the old code\n");
            }
            for object in patch.objects.iter().filter(|object| !object.patched) {
                let _ = writeln!(text, "    {} is patched when it loads", object.name);
            }
        }
        text
    }

    fn status(&self) -> u8 {
        if self.is_fixed() {
            0
        } else {
            ANSWER_IS_NO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_cve;

    #[test]
    fn cves() {
        for cve in ["CVE-2026-0001", "cve-2026-123456"] {
            assert!(is_cve(cve), "{cve}");
        }
        for other in [
            "cve_2026_0001",
            "CVE-2026",
            "CVE-2026-1",
            "CVE-2026-0001x",
            "fix",
            "",
        ] {
            assert!(!is_cve(other), "{other}");
        }
    }
}
