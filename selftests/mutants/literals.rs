// SPDX-License-Identifier: GPL-2.0

//! Strings, characters and truth values that are replaced.

use crate::{
    collect::Collector,
    mutant::Kind, //
};
use syn::Lit;

/// Replaces one character of a text, and a truth value by the other one.
pub(crate) fn of_literal(collector: &mut Collector<'_>, literal: &Lit) {
    let span = literal.span();
    let after = match literal {
        Lit::Bool(value) => Some((!value.value).to_string()),
        Lit::Str(_) | Lit::ByteStr(_) | Lit::CStr(_) => changed(collector.code(span), '"'),
        Lit::Char(_) | Lit::Byte(_) => changed(collector.code(span), '\''),
        _ => None,
    };
    if let Some(after) = after {
        collector.add(Kind::Literal, span, after);
    }
}

/// Replaces the first letter or digit between the quotes by the next one. In a text without letters
/// and digits, replaces the first sign. Returns `None` if there is nothing to replace.
fn changed(code: &str, quote: char) -> Option<String> {
    let begin = code.find(quote)? + quote.len_utf8();
    let end = code.rfind(quote)?;
    let plain = plain_characters(code.get(begin..end)?);
    let &(at, old) = plain
        .iter()
        .find(|(_, c)| c.is_ascii_alphanumeric())
        .or_else(|| plain.iter().find(|(_, c)| c.is_ascii_punctuation()))?;
    let new = match old {
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        '_' => '-',
        _ if old.is_ascii_punctuation() => '_',
        _ => char::from_u32(u32::from(old) + 1)?,
    };
    let mut changed = code.to_owned();
    changed.replace_range(begin + at..begin + at + 1, &new.to_string());
    Some(changed)
}

/// Returns the characters that are in no escape and in no placeholder of a format.
fn plain_characters(text: &str) -> Vec<(usize, char)> {
    let mut plain = Vec::new();
    let mut escaped = false;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => inside = true,
            '}' => inside = false,
            _ if !inside => plain.push((at, c)),
            _ => {}
        }
    }
    plain
}
