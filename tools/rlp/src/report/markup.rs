// SPDX-License-Identifier: GPL-2.0

//! Elements of HTML and SVG. Texts are escaped here, so a text from a file is never markup.

use crate::output::printable;

/// Markup that may be put into a page as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Markup(pub(crate) String);

/// A text as markup.
pub(crate) fn text(text: &str) -> Markup {
    let mut escaped = String::new();
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Markup(escaped)
}

/// An element with these attributes.
pub(crate) fn element(name: &str, attributes: &[(&str, &str)], content: &Markup) -> Markup {
    let mut markup = format!("<{name}");
    for (key, value) in attributes {
        markup += &format!(" {key}=\"{}\"", text(value).0);
    }
    markup += &format!(">{}</{name}>", content.0);
    Markup(markup)
}

pub(crate) fn all(parts: impl IntoIterator<Item = Markup>) -> Markup {
    Markup(parts.into_iter().map(|part| part.0).collect())
}

/// Replaces each "{{NAME}}" of a template by its part. A name without a part stays as it is, and
/// what is put in is not looked at again.
pub(crate) fn fill(template: &str, parts: &[(&str, Markup)]) -> String {
    let mut pieces = template.split("{{");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let part = piece.split_once("}}").and_then(|(name, rest)| {
            let (_, part) = parts.iter().find(|(other, _)| *other == name)?;
            Some((part, rest))
        });
        match part {
            Some((part, rest)) => {
                filled += &part.0;
                filled += rest;
            }
            None => {
                filled += "{{";
                filled += piece;
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_never_markup() {
        let hostile = text("<script>\"'&\u{202e}");
        assert_eq!(hostile.0, "&lt;script&gt;&quot;&#39;&amp;\\u{202e}");
        let element = element("td", &[("class", "a\"b")], &hostile);
        assert!(element.0.starts_with("<td class=\"a&quot;b\">&lt;script"));
    }

    #[test]
    fn a_template() {
        let parts = [("a", text("{{b}}")), ("b", text("2"))];
        assert_eq!(fill("x{{a}}y{{b}}{{c}}", &parts), "x{{b}}y2{{c}}");
    }
}
