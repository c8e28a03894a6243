// SPDX-License-Identifier: GPL-2.0

//! Sends records to the journal, in the journal's own protocol: fields in one datagram to a socket
//! (systemd.io/JOURNAL_NATIVE_PROTOCOL). The journal is a second place for evidence, and not the
//! one that counts: if it does not take a record at once, the record is not sent. So a journal that
//! hangs does not keep a patch from being unloaded.

use crate::system::System;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// "notice": normal, and significant.
const PRIORITY: &str = "5";

/// Appends a field. A value with newlines has its length in front.
fn field(message: &mut Vec<u8>, name: &str, value: &str) {
    message.extend(name.as_bytes());
    if value.contains('\n') {
        message.push(b'\n');
        message.extend((value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend(value.as_bytes());
    message.push(b'\n');
}

/// Sends a text, and more fields with their values. It is no error if there is no journal.
pub(crate) fn send(system: &System, text: &str, fields: &[(&str, &str)]) {
    let mut message = Vec::new();
    for (name, value) in [
        ("MESSAGE", text),
        ("PRIORITY", PRIORITY),
        ("SYSLOG_IDENTIFIER", "rlp"),
    ] {
        field(&mut message, name, value);
    }
    for (name, value) in fields {
        field(&mut message, name, value);
    }
    let _ = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&message, system.path(SOCKET))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_all_fields() {
        let dir = tempfile::tempdir().unwrap();
        let system = System::new(dir.path().to_owned());
        send(&system, "nobody listens", &[]);
        let path = system.path(SOCKET);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let journal = UnixDatagram::bind(&path).unwrap();
        send(&system, "fix: load begins", &[("RLP_DETAIL", "a\nb")]);
        let mut bytes = [0; 500];
        let len = journal.recv(&mut bytes).unwrap();
        let wanted = b"MESSAGE=fix: load begins\nPRIORITY=5\nSYSLOG_IDENTIFIER=rlp\n\
            RLP_DETAIL\n\x03\0\0\0\0\0\0\0a\nb\n";
        assert_eq!(bytes[..len], wanted[..]);
    }

    /// A journal that does not read must not hold up anybody.
    #[test]
    fn a_journal_that_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let system = System::new(dir.path().to_owned());
        let path = system.path(SOCKET);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _journal = UnixDatagram::bind(&path).unwrap();
        for _ in 0..1000 {
            send(&system, &"x".repeat(1000), &[]);
        }
    }
}
