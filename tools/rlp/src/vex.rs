// SPDX-License-Identifier: GPL-2.0

//! openvex.json: the fixes of a level for scanners of vulnerabilities, in the form of OpenVEX
//! 0.2.0. Its products are the kernel's packages, which have the vulnerability, and the action is
//! the level. No statement says `fixed`: a kernel that runs without the patch has the
//! vulnerability, whatever is installed, and a scanner reads the status and not the words.

use crate::level::{
    Fix,
    Level, //
};
use crate::publisher::Publisher;
use serde_json::{
    json,
    Value, //
};

const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";

/// Writes a name as a part of a package URL.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

/// The action that fixes a machine, and how to see that it is fixed.
fn action(level: &Level, cve: &str) -> String {
    format!(
        "Apply level {} of rlp ({}). The fix is in effect on a machine if rlp info {cve} shows it \
         as fixed there.",
        level.level,
        package_url(level)
    )
}

/// The package URL of the package of a level.
pub(crate) fn package_url(level: &Level) -> String {
    let architecture = &level.architecture;
    format!("pkg:deb/rlp/rlp-level@{}?arch={architecture}", level.level)
}

/// The package URL of the kernel of a release, as Debian names the package.
fn kernel_url(level: &Level, release: &str) -> String {
    let architecture = &level.architecture;
    format!(
        "pkg:deb/debian/linux-image-{}?arch={architecture}",
        encoded(release)
    )
}

fn statement(level: &Level, fix: &Fix) -> Value {
    let kernels = fix.releases.iter();
    let kernels: Vec<_> = kernels
        .map(|release| json!({ "@id": kernel_url(level, release) }))
        .collect();
    json!({
        "vulnerability": { "name": fix.cve },
        "products": kernels,
        "status": "affected",
        "action_statement": action(level, &fix.cve),
    })
}

/// The document. `id` names it.
pub(crate) fn document(level: &Level, id: &str, publisher: &Publisher) -> Value {
    let fixes = level.fixes.iter();
    json!({
        "@context": CONTEXT,
        "@id": id,
        "author": publisher.to_string(),
        "timestamp": level.published,
        "version": 1,
        "tooling": concat!("rlp ", env!("CARGO_PKG_VERSION")),
        "statements": fixes.map(|fix| statement(level, fix)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn package_urls() {
        assert_eq!(encoded("7.3.4+deb13-amd64"), "7.3.4%2Bdeb13-amd64");
        assert_eq!(encoded("7.4~rc1"), "7.4~rc1");
    }
}
