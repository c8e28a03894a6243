// SPDX-License-Identifier: GPL-2.0

//! The name of this machine in evidence. machine-id(5) says that the machine's id is confidential,
//! and that programs show a keyed hash of it instead. `systemd-id128` prints the same hash, so that
//! an inventory can have it.

use crate::digest::is_hex;
use crate::system::System;
use libsystemd::id128::Id128;
use serde::de::{
    Deserialize,
    Deserializer,
    Error, //
};

/// The id of this program, which is the message of the keyed hash.
pub(crate) const APPLICATION: u128 = 0xf266_a361_5cef_4c1a_bab8_05c5_1a54_9622;

/// The digits of an id.
const DIGITS: usize = 32;

/// The machine's name in evidence, if the machine has an id.
pub(crate) fn id(system: &System) -> Option<String> {
    let machine = system.read("/etc/machine-id").ok()?;
    let is_id = machine.len() == DIGITS && machine.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_null = machine.bytes().all(|byte| byte == b'0');
    (is_id && !is_null)
        .then(|| application_id(&machine))
        .flatten()
}

/// Whether a text has the form of such a name. Names from files are printed. A text of another form
/// must be rejected, because it could have control characters.
pub(crate) fn is_name(text: &str) -> bool {
    is_hex(text, DIGITS)
}

/// Deserializes a name from a file. A text of another form is an error.
pub(crate) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(Error::custom("host"));
    }
    Ok(name)
}

/// The same as `sd_id128_get_machine_app_specific()`, for a machine with this id.
fn application_id(machine: &str) -> Option<String> {
    let machine = Id128::parse_str(machine).ok()?;
    let application = Id128::try_from_slice(&APPLICATION.to_be_bytes()).ok()?;
    Some(machine.app_specific(&application).ok()?.lower_hex())
}

#[cfg(test)]
mod tests {
    use super::{
        application_id,
        is_name, //
    };

    /// The output of systemd-id128 machine-id --app-specific=f266a3615cef4c1abab805c51a549622, on
    /// a machine with this id.
    #[test]
    fn as_systemd_has_it() {
        assert_eq!(
            application_id("00112233445566778899aabbccddeeff").as_deref(),
            Some("bd71d9b3044e43799c788578c2877b77")
        );
    }

    #[test]
    fn names_in_files() {
        assert!(is_name("bd71d9b3044e43799c788578c2877b77"));
        for other in ["", "bd71", "BD71D9B3044E43799C788578C2877B77", "\x1b[2J"] {
            assert!(!is_name(other), "{other:?}");
        }
    }
}
