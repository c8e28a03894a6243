// SPDX-License-Identifier: GPL-2.0

//! The publisher of a level, in the form of a Debian maintainer: NAME <EMAIL>.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publisher {
    name: String,
    email: String,
}

impl Publisher {
    /// The email address as a URI.
    pub(crate) fn uri(&self) -> String {
        format!("mailto:{}", self.email)
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} <{}>", self.name, self.email)
    }
}

impl FromStr for Publisher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .strip_suffix('>')
            .and_then(|text| text.split_once(" <"));
        let is_name = |name: &str| {
            !name.trim().is_empty() && !name.contains(|c: char| c.is_control() || "<>".contains(c))
        };
        let is_email = |email: &str| {
            let is_fine = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
            email.split_once('@').is_some_and(|(user, host)| {
                [user, host]
                    .iter()
                    .all(|part| !part.is_empty() && part.chars().all(is_fine))
            })
        };
        match parts {
            Some((name, email)) if is_name(name) && is_email(email) => Ok(Self {
                name: name.to_owned(),
                email: email.to_owned(),
            }),
            _ => Err("a publisher is like Kernel Team <kernel@example.org>".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Publisher;

    #[test]
    fn publishers() {
        let text = "Kernel Team <kernel@example.org>";
        let publisher: Publisher = text.parse().unwrap();
        assert_eq!(publisher.to_string(), text);
        assert_eq!(publisher.uri(), "mailto:kernel@example.org");
        for other in [
            "",
            "kernel@example.org",
            " <kernel@example.org>",
            "Team <kernel>",
            "Team <@example.org>",
            "Team <kernel@example.org> x",
            "Team\nDepends: x <kernel@example.org>",
            "Team <kernel@example.org\n>",
        ] {
            assert!(other.parse::<Publisher>().is_err(), "{other}");
        }
    }
}
