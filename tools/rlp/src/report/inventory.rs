// SPDX-License-Identifier: GPL-2.0

//! The inventory: the hosts that must have evidence. Each line has the name of a host in evidence,
//! and perhaps a label for people. A line that begins with # is a comment.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::host;
use std::collections::BTreeMap;
use std::path::Path;

/// The label of each host, which may be empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory(pub(crate) BTreeMap<String, String>);

impl Inventory {
    /// Parses the content of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut hosts = BTreeMap::new();
        for (nr, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, label) = line
                .split_once(|end: char| end.is_whitespace() || end == ',')
                .unwrap_or((line, ""));
            let refused = |why: String| {
                Failure::refused(format!("{} is no inventory", path.display()))
                    .why(format!("line {nr}: {why}"))
            };
            if !host::is_name(name) {
                return Err(refused(format!("'{name}' is no name of a host")).next(
                    "systemd-id128 machine-id --app-specific=f266a3615cef4c1abab805c51a549622 \
                     prints the name on the host",
                ));
            }
            if hosts
                .insert(name.to_owned(), label.trim().to_owned())
                .is_some()
            {
                return Err(refused(format!("{name} is in the list already"))
                    .next("if two machines have the same machine id, give one of them a new id"));
            }
        }
        Ok(Self(hosts))
    }

    pub(crate) fn read(path: &Path) -> Result<(Self, Vec<u8>)> {
        let text = std::fs::read_to_string(path).map_err(on_file(path))?;
        Ok((Self::parse(path, &text)?, text.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "bd71d9b3044e43799c788578c2877b77";

    #[test]
    fn lines() {
        let parse = |text: &str| Inventory::parse(Path::new("hosts"), text);
        let other = HOST.replace('b', "a");
        let list = parse(&format!("# hosts\n\n{HOST} web 1\n{other},db\n")).unwrap();
        assert_eq!(list.0[HOST], "web 1");
        assert_eq!(list.0[&other], "db");
        assert_eq!(parse(HOST).unwrap().0[HOST], "");
        let why = |text: &str| parse(text).unwrap_err().why.unwrap();
        assert_eq!(why("\nweb1"), "line 2: 'web1' is no name of a host");
        assert!(why(&format!("{HOST}\n{HOST} b")).starts_with("line 2: bd71"));
    }
}
