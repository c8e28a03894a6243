// SPDX-License-Identifier: GPL-2.0

//! A mutant: one change of one file.

use std::{
    fmt,
    ops::Range, //
};

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A condition is turned.
    Condition,
    /// A statement is left out.
    Statement,
    /// A bound is moved by one, or an operator of arithmetic is replaced.
    Bound,
    /// The result of a function or an error is replaced.
    Result,
    /// A string, a character or a truth value is replaced.
    Literal,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Condition => "condition",
            Self::Statement => "statement",
            Self::Bound => "bound",
            Self::Result => "result",
            Self::Literal => "literal",
        })
    }
}

/// A mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The file, relative to the top of the tree.
    pub(crate) file: String,
    /// The kind of the change.
    pub(crate) kind: Kind,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column, from 1.
    pub(crate) column: usize,
    /// The number among the mutants of this kind at this place, from 1.
    pub(crate) variant: usize,
    /// The function or the constant that is changed.
    pub(crate) function: String,
    /// The bytes of the file that are replaced.
    pub(crate) range: Range<usize>,
    /// The code that is replaced.
    pub(crate) before: String,
    /// The new code.
    pub(crate) after: String,
}

impl Mutant {
    /// Returns the name. No other mutant of the tree has the same name.
    pub(crate) fn name(&self) -> String {
        let Self {
            file,
            line,
            column,
            kind,
            ..
        } = self;
        let variant = match self.variant {
            1 => String::new(),
            variant => format!("-{variant}"),
        };
        format!("{file}:{line}:{column}:{kind}{variant}")
    }

    /// Returns `source`, the text of the file, with the change.
    pub(crate) fn applied_to(&self, source: &str) -> String {
        let mut text = source.to_owned();
        text.replace_range(self.range.clone(), &self.after);
        text
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\t{}\t{}\t{}",
            self.name(),
            self.function,
            one_line(&self.before),
            one_line(&self.after)
        )
    }
}

/// Returns the code on one line, and shortened.
fn one_line(code: &str) -> String {
    const LONGEST: usize = 60;
    let line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if line.is_empty() => "(nothing)".to_owned(),
        None => line,
    }
}
