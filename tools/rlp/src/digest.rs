// SPDX-License-Identifier: GPL-2.0

//! SHA-256, and how it is written: 64 lower-case hexadecimal digits, as sha256sum prints them.

use serde::{
    Deserialize,
    Deserializer,
    Serialize,
    Serializer, //
};
use sha2::{
    Digest as _,
    Sha256, //
};
use std::fmt;
use std::str::FromStr;

/// Whether a text consists of exactly `digits` lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Sum::default().and(bytes).digest()
    }

    /// A URN for an object with this hash: a UUID of version 8 (RFC 9562) with 122 of its bits.
    pub(crate) fn urn(&self) -> String {
        let mut bytes = self.0;
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex(&bytes[..16]);
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
        format!("urn:uuid:{}", parts.join("-"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a hash has 64 digits (0 to 9, a to f), as sha256sum prints them".to_owned();
        if !is_hex(text, 64) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A number of bytes, and their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) bytes: u64,
    pub(crate) sha256: Digest,
}

/// Hashes and counts bytes that are added one part after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    state: Sha256,
    bytes: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn and(mut self, bytes: &[u8]) -> Self {
        self.add(bytes);
        self
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest(self.state.clone().finalize().into())
    }

    pub(crate) fn span(&self) -> Span {
        Span {
            bytes: self.bytes,
            sha256: self.digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// printf abc | sha256sum
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn as_sha256sum_prints_it() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(Digest::of(b"abc")));
        let span = Sum::default().and(b"a").and(b"bc").span();
        assert_eq!(span.bytes, 3);
        let json = format!("{{\"bytes\":3,\"sha256\":\"{ABC}\"}}");
        assert_eq!(serde_json::to_string(&span).unwrap(), json);
        assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
    }

    #[test]
    fn urns() {
        let urn = Digest::of(b"abc").urn();
        assert_eq!(urn, "urn:uuid:ba7816bf-8f01-8fea-8141-40de5dae2223");
    }

    #[test]
    fn one_way_to_write_it() {
        let upper = ABC.to_uppercase();
        for other in [
            "",
            &ABC[1..],
            &upper,
            &ABC.replace('b', "g"),
            &ABC.replace('b', "ü"),
        ] {
            assert!(other.parse::<Digest>().is_err(), "{other}");
        }
    }
}
