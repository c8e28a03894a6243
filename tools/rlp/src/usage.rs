// SPDX-License-Identifier: GPL-2.0

//! Wrong arguments, and words of other tools: what is printed instead of a report. clap has not
//! parsed these arguments, so `Form::of` looks for `--json` and `--nagios` among them.

use crate::output;
use crate::status;
use serde_json::{
    json,
    Value, //
};
use std::ffi::OsString;
use std::io::ErrorKind;

/// The exit status for wrong arguments, as clap has it.
pub(crate) const STATUS: u8 = 2;

/// The form that the arguments ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    /// One line for Nagios. The exit status is 3 (unknown), because 2 would be a critical problem.
    Nagios,
    /// A JSON object with the exit status for Nagios.
    NagiosJson,
}

impl Form {
    pub(crate) fn of(arguments: &[OsString]) -> Self {
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        match (has("--json"), has("--nagios")) {
            (false, false) => Self::Text,
            (false, true) => Self::Nagios,
            (true, false) => Self::Json,
            (true, true) => Self::NagiosJson,
        }
    }

    /// Prints an answer, and returns the exit status.
    pub(crate) fn answer(self, answer: &str) -> u8 {
        if self == Self::Text {
            output::say(&format!("{answer}\n"));
            return STATUS;
        }
        self.print(answer, "")
    }

    /// Prints an error of clap, or the help, and returns the exit status.
    pub(crate) fn error(self, error: &clap::Error) -> u8 {
        if !error.use_stderr() {
            return self.help(error);
        }
        if self == Self::Text {
            // If the terminal is gone, the exit status is the same.
            let _ = error.print();
            return STATUS;
        }
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        self.print(first.trim(), rest.trim())
    }

    /// Prints the help or the version.
    fn help(self, error: &clap::Error) -> u8 {
        let printed = match self {
            Self::Json | Self::NagiosJson => {
                let text = json!(error.render().to_string());
                output::print(&object(0, "text", &text)).is_ok()
            }
            // A reader that has ended, such as head, is no error.
            Self::Text | Self::Nagios => {
                !matches!(error.print(), Err(error) if error.kind() != ErrorKind::BrokenPipe)
            }
        };
        u8::from(!printed)
    }

    fn print(self, what: &str, why: &str) -> u8 {
        let status = match self {
            Self::Text | Self::Json => STATUS,
            Self::Nagios | Self::NagiosJson => status::UNKNOWN,
        };
        let text = if self == Self::Nagios {
            status::unknown_line(what)
        } else {
            let mut error = json!({ "kind": "usage", "what": what });
            if !why.is_empty() {
                error["why"] = json!(why);
            }
            object(status, "error", &error)
        };
        // If this cannot be printed, the status still says that the arguments are wrong.
        let _ = output::print(&text);
        status
    }
}

/// The object of an answer, for which no command has run.
fn object(status: u8, key: &str, value: &Value) -> String {
    let object = json!({
        "rlp": output::FORMAT,
        "command": null,
        "status": status,
        key: value,
    });
    format!("{object:#}\n")
}
