// SPDX-License-Identifier: GPL-2.0

//! How results are shown: as text for people, with colours on a terminal only, and as JSON for
//! programs.

use crate::failure::Failure;
use crate::manager;
use anstyle::{
    AnsiColor,
    Style, //
};
use serde_json::{
    json,
    Map,
    Value, //
};
use std::io::{
    ErrorKind,
    IsTerminal,
    Write, //
};
use std::time::Duration;

/// The version of the JSON formats. It changes with a field's meaning, not when a field is added.
pub(crate) const FORMAT: u32 = 1;

/// The styles of the text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint {
    pub(crate) good: Style,
    pub(crate) warn: Style,
    pub(crate) bad: Style,
    pub(crate) bold: Style,
    pub(crate) dim: Style,
}

impl Paint {
    pub(crate) fn new(is_terminal: bool) -> Self {
        if !is_terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            return Self::default();
        }
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            good: colour(AnsiColor::Green),
            warn: colour(AnsiColor::Yellow),
            bad: colour(AnsiColor::Red).bold(),
            bold: Style::new().bold(),
            dim: Style::new().dimmed(),
        }
    }
}

/// The result of a command.
pub(crate) trait Report {
    /// The fields of the JSON object, besides those that all commands have.
    fn json(&self) -> Value;
    fn text(&self, paint: &Paint) -> String;
    /// The exit status, unless there is a failure.
    fn status(&self) -> u8 {
        0
    }
    /// The exit status if the report cannot be printed. If this is `None`, a `status()` of 0
    /// becomes an error, and any other `status()` stays.
    fn unprinted_status(&self) -> Option<u8> {
        None
    }
}

/// A result, and the failure that ended the command.
pub(crate) struct Outcome {
    pub(crate) report: Option<Box<dyn Report>>,
    pub(crate) failure: Option<Failure>,
}

impl From<crate::failure::Result<Box<dyn Report>>> for Outcome {
    fn from(result: crate::failure::Result<Box<dyn Report>>) -> Self {
        match result {
            Ok(report) => Self {
                report: Some(report),
                failure: None,
            },
            Err(failure) => Self {
                report: None,
                failure: Some(failure),
            },
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self {
            report: None,
            failure: Some(failure),
        }
    }
}

impl Outcome {
    /// The outcome of a command without a failure. Its report decides the exit status.
    pub(crate) fn of(report: impl Report + 'static) -> Self {
        Self {
            report: Some(Box::new(report)),
            failure: None,
        }
    }

    fn status(&self) -> u8 {
        match (&self.failure, &self.report) {
            (Some(failure), _) => failure.kind.status(),
            (None, Some(report)) => report.status(),
            (None, None) => 0,
        }
    }

    /// The JSON object of a command.
    fn json(&self, command: &str) -> Value {
        let fields = self.report.as_ref().map(|report| report.json());
        let mut object = object(command, self.status(), fields);
        if let Some(failure) = &self.failure {
            object.insert("error".to_owned(), json!(failure));
        }
        Value::Object(object)
    }

    /// Prints the result and the failure, and returns the exit status.
    pub(crate) fn print(&self, command: &str, as_json: bool) -> u8 {
        let printed = if as_json {
            print(&format!("{:#}\n", self.json(command)))
        } else {
            let paint = Paint::new(std::io::stdout().is_terminal());
            let report = self.report.as_ref();
            report.map_or(Ok(()), |report| print(&report.text(&paint)))
        };
        if let (false, Some(failure)) = (as_json, &self.failure) {
            say(&failure_text(failure, &error_paint()));
        }
        let Err(failure) = printed else {
            return self.status();
        };
        let unprinted = self
            .report
            .as_ref()
            .and_then(|report| report.unprinted_status());
        // A report that is not whole must not look like success.
        if self.status() == 0 || unprinted.is_some() {
            say(&failure_text(&failure, &error_paint()));
            return unprinted.unwrap_or(failure.kind.status());
        }
        self.status()
    }
}

/// The JSON object of a command, with the fields of its report.
pub(crate) fn object(command: &str, status: u8, fields: Option<Value>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("rlp".to_owned(), json!(FORMAT));
    object.insert("command".to_owned(), json!(command));
    object.insert("status".to_owned(), json!(status));
    if let Some(Value::Object(fields)) = fields {
        object.extend(fields);
    }
    object
}

fn error_paint() -> Paint {
    Paint::new(std::io::stderr().is_terminal())
}

/// Prints a text. A reader that has ended, such as head, is no error.
pub(crate) fn print(text: &str) -> crate::failure::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::error(format!(
            "the output cannot be written: {}",
            crate::failure::error_text(&error)
        ))),
        _ => Ok(()),
    }
}

/// Prints a text for the user. A terminal that has gone away must not end a change half-way.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// After this time, a wait for another process is announced.
pub(crate) const ANNOUNCED: Duration = Duration::from_secs(3);

/// Says for what this program waits: to the user, and in the status of the unit.
pub(crate) fn announce(line: &str) {
    say(&format!("{line}\n"));
    manager::status(line);
}

/// A text from a file, as it is printed for people: without characters that control a terminal or
/// reorder a line, and without new lines.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::new();
    for character in text.chars() {
        let reorders = matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if reorders || character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

fn failure_text(failure: &Failure, paint: &Paint) -> String {
    use crate::failure::Kind;
    let style = match failure.kind {
        Kind::InProgress => paint.warn,
        Kind::Error | Kind::Refused | Kind::TakenBack => paint.bad,
    };
    let word = failure.kind.words();
    let mut text = format!("{style}{word}{style:#}: {}\n", failure.what);
    if let Some(why) = &failure.why {
        for line in why.lines() {
            text += &format!("  {line}\n");
        }
    }
    if let Some(next) = &failure.next {
        text += &format!("  next: {next}\n");
    }
    text
}

/// The output while a command waits: lines that stay and, on a terminal, a line that changes.
pub(crate) struct Progress {
    quiet: bool,
    /// Whether the status of the unit shows it, too.
    in_unit: bool,
    is_terminal: bool,
    paint: Paint,
    /// Whether the terminal's last line is to be overwritten.
    has_temporary_line: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            quiet,
            in_unit: false,
            is_terminal,
            paint: Paint::new(is_terminal),
            has_temporary_line: false,
        }
    }

    /// From now on, the status of the unit that has started this program shows the progress, too.
    pub(crate) fn show_in_unit(&mut self) {
        self.in_unit = true;
    }

    /// Whether somebody watches the numbers change.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_terminal && !self.quiet
    }

    /// Shows a line that the next one replaces, on a terminal and in the status of the unit.
    pub(crate) fn update(&mut self, text: &str) {
        if self.in_unit {
            manager::status(text);
        }
        if self.is_watched() {
            say(&format!(
                "\r\x1b[K{}{text}{:#}",
                self.paint.dim, self.paint.dim
            ));
            self.has_temporary_line = true;
        }
    }

    /// Shows lines that stay.
    pub(crate) fn lines(&mut self, lines: &[String]) {
        if self.quiet {
            return;
        }
        self.close();
        for line in lines {
            say(&format!("  {line}\n"));
        }
    }

    /// Removes the line that would have been replaced.
    pub(crate) fn close(&mut self) {
        if self.has_temporary_line {
            say("\r\x1b[K");
            self.has_temporary_line = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_files_control_nothing() {
        assert_eq!(printable("größer as before"), "größer as before");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("a\n\x1b[2Jb\r"), "a\\n\\u{1b}[2Jb\\r");
    }

    #[test]
    fn a_failure_has_three_parts() {
        let failure = Failure::refused("fix was not loaded")
            .why("first\nsecond")
            .next("try again");
        assert_eq!(
            failure_text(&failure, &Paint::default()),
            "refused: fix was not loaded\n  first\n  second\n  next: try again\n"
        );
        let value = Outcome::from(failure).json("load");
        assert_eq!(value["status"], 3);
        assert_eq!(value["error"]["next"], "try again");
    }

    #[test]
    fn there_are_no_colours_but_on_a_terminal() {
        let failure = Failure::error("x");
        assert!(!failure_text(&failure, &Paint::new(false)).contains('\x1b'));
    }
}
