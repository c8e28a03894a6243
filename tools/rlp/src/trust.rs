// SPDX-License-Identifier: GPL-2.0

//! Whether the kernel requires signatures of modules, and whether it has the key of a signature.
//!
//! Only the kernel checks a signature. This program compares names: a signature names the issuer of
//! the certificate of its key, and `/proc/keys` has the names of the kernel's keys. A machine
//! owner's certificate is self-signed, so both names are the same.

use crate::digest::hex;
use crate::module_file::SIGNED;
use crate::system::System;

/// The variable of the firmware: four bytes of attributes, and 1 if Secure Boot is on.
const SECURE_BOOT: &str =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const SIG_ENFORCE: &str = "/sys/module/module/parameters/sig_enforce";
pub(crate) const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Whether Secure Boot is on, or `None` if the firmware has no such variable.
pub(crate) fn secure_boot(system: &System) -> Option<bool> {
    let value = std::fs::read(system.path(SECURE_BOOT)).ok()?;
    Some(value.get(4) == Some(&1))
}

/// Whether the kernel is locked down. `levels` is the content of the file [`LOCKDOWN`]:
/// "none [integrity] confidentiality".
pub(crate) fn is_locked_down(levels: &str) -> bool {
    levels.contains("[integrity]") || levels.contains("[confidentiality]")
}

/// Whether the kernel refuses modules without a valid signature.
pub(crate) fn kernel_requires_signatures(system: &System) -> bool {
    system.has_value(SIG_ENFORCE, "Y")
        || system
            .read(LOCKDOWN)
            .is_ok_and(|levels| is_locked_down(&levels))
}

/// The statement of a signature about its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The issuer of its certificate, as the kernel writes it.
    Issuer(String),
    /// The number of the key, in hexadecimal digits.
    KeyId(String),
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Issuer(name) => write!(f, "'{name}'"),
            Self::KeyId(id) => write!(f, "with the number {id}"),
        }
    }
}

/// The names and the numbers of the kernel's keys.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(String, String)>);

impl Keys {
    /// Reads the keys that this user may see. Returns `None` if there is none: this says nothing
    /// about the keys that the kernel has.
    pub(crate) fn read(system: &System) -> Option<Self> {
        let text = system.read("/proc/keys").ok()?;
        let keys: Vec<_> = text.lines().filter_map(key_of_line).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(crate) fn has(&self, signer: &Signer) -> bool {
        self.0.iter().any(|(name, id)| match signer {
            Signer::Issuer(issuer) => issuer == name,
            Signer::KeyId(wanted) => wanted == id,
        })
    }
}

/// A line of `/proc/keys` about a key for signatures has seven words, the type "asymmetri" (cut off
/// after nine characters), and "NAME: NUMBER: X509.rsa ...".
fn key_of_line(line: &str) -> Option<(String, String)> {
    let (_, key) = line.split_once(" asymmetri ")?;
    let (key, _) = key.rsplit_once(": X509.")?;
    let (name, id) = key.rsplit_once(": ")?;
    Some((name.to_owned(), id.to_owned()))
}

/// A part of a DER encoding: its tag, and its content.
struct Part<'a> {
    tag: u8,
    content: &'a [u8],
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
/// A key's number in place of its issuer.
const KEY_ID: u8 = 0x80;

/// Takes the next part from the front of `bytes`.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Part<'a>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(length & 0x7f)?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, &digit| (sum << 8) | usize::from(digit));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    *bytes = after;
    Some(Part { tag, content })
}

/// Takes the next part, which must have this tag. Returns its content.
fn take_tag<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let part = take(bytes)?;
    (part.tag == tag).then_some(part.content)
}

/// The key that the end of a signed module names. `None` if the file is not signed, or if this
/// program does not know the kind of the signature.
///
/// Behind the signature there are eight bytes, of which the third names the kind (2: PKCS#7), then
/// the length of the signature in four bytes, and the mark.
pub(crate) fn signer(file: &[u8]) -> Option<Signer> {
    let file = file.strip_suffix(SIGNED)?;
    let (file, end) = file.split_last_chunk::<12>()?;
    let length = u32::from_be_bytes([end[8], end[9], end[10], end[11]]);
    let at = file.len().checked_sub(usize::try_from(length).ok()?)?;
    if end[2] != 2 {
        return None;
    }
    let mut message = file.get(at..)?;

    let mut content = take_tag(&mut message, SEQUENCE)?;
    take_tag(&mut content, OBJECT_ID)?;
    let mut signed = take_tag(&mut content, CONTEXT_0)?;
    let mut signed = take_tag(&mut signed, SEQUENCE)?;
    take_tag(&mut signed, INTEGER)?;
    take_tag(&mut signed, SET)?;
    take_tag(&mut signed, SEQUENCE)?;
    // Certificates and revocations may be left out. The last part has the signers.
    let mut signers = loop {
        let part = take(&mut signed)?;
        if part.tag == SET {
            break part.content;
        }
    };
    let mut signer = take_tag(&mut signers, SEQUENCE)?;
    take_tag(&mut signer, INTEGER)?;
    let Part { tag, content } = take(&mut signer)?;
    match tag {
        KEY_ID => Some(Signer::KeyId(hex(content))),
        SEQUENCE => {
            let mut content = content;
            Some(Signer::Issuer(name(take_tag(&mut content, SEQUENCE)?)?))
        }
        _ => None,
    }
}

/// The issuer's name in a certificate, as the kernel makes it (`x509_fabricate_name()`):
/// "ORGANIZATION: COMMON NAME", or the common name alone if it begins like the organization. If
/// only one of the two is there, it is the name. If neither is there, the address for mail is the
/// name.
fn name(mut parts: &[u8]) -> Option<String> {
    let (mut common, mut organization, mut mail) = (None, None, None);
    while !parts.is_empty() {
        let mut part = take_tag(&mut parts, SET)?;
        let mut part = take_tag(&mut part, SEQUENCE)?;
        let id = take_tag(&mut part, OBJECT_ID)?;
        let text = String::from_utf8_lossy(take(&mut part)?.content);
        let text = text.replace(char::is_control, "?");
        match id {
            [0x55, 4, 3] => common = Some(text),
            [0x55, 4, 10] => organization = Some(text),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => mail = Some(text),
            _ => (),
        }
    }
    let (Some(common), Some(organization)) = (&common, &organization) else {
        return common.or(organization).or(mail);
    };
    let begin = organization.as_bytes().get(..7);
    let is_alike = common.starts_with(organization)
        || begin.is_some_and(|begin| common.as_bytes().starts_with(begin));
    Some(if is_alike {
        common.clone()
    } else {
        format!("{organization}: {common}")
    })
}
