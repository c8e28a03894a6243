// SPDX-License-Identifier: GPL-2.0

//! The loader's lines in the kernel's log. They give the reason when the loader refuses something.

use crate::system::System;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// The log from a moment on.
pub(crate) struct Log(Option<File>);

impl Log {
    /// The lines that are logged from now on. If the log cannot be read, there are none.
    pub(crate) fn from_now(system: &System) -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(system.path("/dev/kmsg"), flags, Mode::empty())
            .ok()
            .map(File::from)
            .and_then(|mut file| file.seek(SeekFrom::End(0)).is_ok().then_some(file));
        Self(file)
    }

    /// The loader's lines since then, or since the last call, without the loader's name.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(file) = &mut self.0 else {
            return lines;
        };
        // Each read returns one record.
        let mut record = [0; 8192];
        loop {
            match file.read(&mut record) {
                Ok(0) => return lines,
                Ok(len) => lines.extend(message(&String::from_utf8_lossy(&record[..len]))),
                // Lines were overwritten before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => (),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => return lines,
            }
        }
    }
}

/// The loader's message in a record "PRIORITY,NUMBER,TIME,FLAGS;rust_livepatch: MESSAGE", if it is
/// an error or a warning. If the relocations of a patch cannot be applied, the kernel itself logs
/// the reason, with "livepatch: " before the message.
fn message(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let text = text.lines().next()?;
    let from = ["rust_livepatch: ", "livepatch: "];
    let text = from.iter().find_map(|from| text.strip_prefix(from))?;
    // The lower three bits are the level; 4 is a warning.
    (priority & 7 <= 4).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn messages() {
        assert_eq!(
            message("3,1,2,-;rust_livepatch: patch 'a' fails\n SUBSYSTEM=x\n").as_deref(),
            Some("patch 'a' fails")
        );
        assert_eq!(
            message("6,1,2,-;rust_livepatch: 'a': patching complete\n"),
            None
        );
        assert_eq!(message("3,1,2,-;ext4: error\n"), None);
        assert_eq!(message("junk"), None);
    }
}
