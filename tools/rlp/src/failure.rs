// SPDX-License-Identifier: GPL-2.0

//! The failure of a command: the action, the reason, and the next step.
//!
//! The functions of this program have no section `# Errors`: their failures are texts for the user,
//! and `Documentation/operating.rst` has each of them.

use serde::Serialize;
use std::path::Path;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The kind of a failure. It decides the exit status. clap uses 2 for wrong arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The machine or a program failed.
    Error,
    /// The kernel, the loader or this program refuses. The refused action has changed nothing.
    Refused,
    /// The transition continues after this program has ended.
    InProgress,
    /// The change was undone: the patch that was loaded was taken back, or the patch that was to be
    /// unloaded is still in effect.
    TakenBack,
}

impl Kind {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Refused => 3,
            Self::InProgress => 4,
            Self::TakenBack => 5,
        }
    }

    /// The word before the failure.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Refused => "refused",
            Self::InProgress => "not complete",
            Self::TakenBack => "taken back",
        }
    }
}

/// The exit status if a command has no failure, and the answer to its question is no.
pub(crate) const ANSWER_IS_NO: u8 = 6;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// Whether this user may not see or change a file.
    #[serde(skip)]
    pub(crate) is_denied: bool,
    /// The action that has failed, or its object.
    pub(crate) what: String,
    /// The reason, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// The next step for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl Failure {
    fn new(kind: Kind, what: String) -> Self {
        Self {
            kind,
            is_denied: false,
            what,
            why: None,
            next: None,
        }
    }

    pub(crate) fn error(what: impl Into<String>) -> Self {
        Self::new(Kind::Error, what.into())
    }

    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what.into())
    }

    pub(crate) fn in_progress(what: impl Into<String>) -> Self {
        Self::new(Kind::InProgress, what.into())
    }

    pub(crate) fn taken_back(what: impl Into<String>) -> Self {
        Self::new(Kind::TakenBack, what.into())
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds a line, if there is one, to the reason.
    pub(crate) fn also(mut self, line: Option<String>) -> Self {
        self.why = match (self.why, line) {
            (Some(why), Some(line)) => Some(format!("{why}\n{line}")),
            (why, line) => why.or(line),
        };
        self
    }
}

impl From<durable::Failed> for Failure {
    fn from(failed: durable::Failed) -> Self {
        on_file(&failed.path)(failed.error)
    }
}

/// Turns an error of the file system into a failure that names the file.
pub(crate) fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| {
        let mut failure = Failure::error(format!("{}: {}", path.display(), error_text(&error)));
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            failure.is_denied = true;
            failure.next("run this command as root")
        } else {
            failure
        }
    }
}

/// The message of an error, without the number that Rust adds.
pub(crate) fn error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
