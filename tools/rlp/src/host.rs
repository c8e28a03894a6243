// SPDX-License-Identifier: GPL-2.0

//! The name of this machine in evidence. machine-id(5) says that the machine's id is confidential,
//! and that programs show a keyed hash of it instead. `systemd-id128` prints the same hash, so that
//! an inventory can have it.

use crate::digest::is_hex;
use crate::system::System;
use hmac::{
    Hmac,
    Mac, //
};
use serde::de::{
    Deserialize,
    Deserializer,
    Error, //
};
use sha2::Sha256;

/// The id of this program, which is the message of the keyed hash.
pub(crate) const APPLICATION: u128 = 0xf266_a361_5cef_4c1a_bab8_05c5_1a54_9622;

/// The digits of an id.
const DIGITS: usize = 32;

/// The machine's name in evidence, if the machine has an id.
pub(crate) fn id(system: &System) -> Option<String> {
    let machine = system.read("/etc/machine-id").ok()?;
    let is_id = machine.len() == DIGITS && machine.bytes().all(|byte| byte.is_ascii_hexdigit());
    let machine = u128::from_str_radix(&machine, 16).ok()?;
    (is_id && machine != 0)
        .then(|| application_id(machine))
        .flatten()
}

/// Whether a text has the form of such a name. Names in files are printed, so they must not be
/// anything else.
pub(crate) fn is_name(text: &str) -> bool {
    is_hex(text, DIGITS)
}

/// Reads a name from a file.
pub(crate) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(Error::custom("host"));
    }
    Ok(name)
}

/// The same as `sd_id128_get_machine_app_specific()`: HMAC-SHA-256 with the machine's id as the
/// key. The first 128 bits get the form of a random UUID.
fn application_id(machine: u128) -> Option<String> {
    // A key may have any length: this does not fail.
    let mut keyed = Hmac::<Sha256>::new_from_slice(&machine.to_be_bytes()).ok()?;
    keyed.update(&APPLICATION.to_be_bytes());
    let hash = keyed.finalize().into_bytes();
    let mut bits = hash[..16]
        .iter()
        .fold(0, |bits, &byte| (bits << 8) | u128::from(byte));
    bits = (bits & !(0xf << 76)) | (0x4 << 76);
    bits = (bits & !(0x3 << 62)) | (0x2 << 62);
    Some(format!("{bits:032x}"))
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
            application_id(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff).as_deref(),
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
