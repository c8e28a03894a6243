// SPDX-License-Identifier: GPL-2.0

//! The loader's lines in the kernel's log. They give the reason when the loader refuses something.

use crate::reasons;
use crate::system::System;
use rustix::fs::{
    Mode,
    OFlags, //
};
use std::fs::File;
use std::io::{
    BufRead,
    BufReader,
    ErrorKind,
    Seek,
    SeekFrom, //
};

/// The device that has the log of this boot.
pub(crate) const DEVICE: &str = "/dev/kmsg";

/// No record of the log is longer. Each read of the device returns one record.
const LONGEST: usize = 8192;

/// The level of a warning. Errors have lower levels.
const WARNING: u32 = 4;

/// A message of the loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    level: u32,
    /// The time since the boot, in microseconds.
    pub(crate) us: u64,
    /// The text without the loader's name.
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn is_problem(&self) -> bool {
        self.level <= WARNING
    }

    /// Whether this notice names what does not work on this kernel.
    pub(crate) fn is_loss(&self) -> bool {
        self.text.split(' ').take(3).eq(["the", "kernel", "lacks"])
    }
}

fn open(system: &System) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(system.path(DEVICE), flags, Mode::empty())?;
    Ok(File::from(file))
}

/// Reads the messages that begin with one of these prefixes, up to the end of the log.
fn read(file: &mut BufReader<File>, from: &[&str]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match file.read_until(b'\n', &mut line) {
            Ok(0) => return messages,
            Ok(_) => messages.extend(message(&String::from_utf8_lossy(&line), from)),
            // Records were overwritten before they were read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => (),
            Err(_) => return messages,
        }
    }
}

/// All messages of the loader since the boot, as far as the log still has them.
pub(crate) fn since_boot(system: &System) -> std::io::Result<Vec<Message>> {
    let mut file = BufReader::with_capacity(LONGEST, open(system)?);
    Ok(read(&mut file, &["rust_livepatch: "]))
}

/// The words of the kernel when something is wrong with the kernel itself.
const COMPLAINTS: [&str; 14] = [
    "WARNING: ",
    "BUG: ",
    "kernel BUG at",
    "Oops",
    "general protection fault",
    "unable to handle",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "detected stall",
    "self-detected stall",
    "scheduling while atomic",
    "refcount_t: ",
    "Bad page",
];

/// A record of the log.
struct Record {
    number: u64,
    /// The level and the text, if the kernel itself has written the record, and not a program. The
    /// higher bits of the priority of a program's record are not 0.
    of_kernel: Option<(u32, String)>,
}

fn record(line: &str) -> Option<Record> {
    let (head, text) = line.split_once(';')?;
    let mut head = head.split(',');
    let priority: u32 = head.next()?.parse().ok()?;
    let number = head.next()?.parse().ok()?;
    let is_kernel = priority >> 3 == 0;
    Some(Record {
        number,
        of_kernel: is_kernel.then(|| (priority & 7, text.to_owned())),
    })
}

/// The complaints of the kernel since a record of its log. The log is read again and again, because
/// new records overwrite old ones.
pub(crate) struct Watch {
    file: BufReader<File>,
    /// The number of the record that was read last.
    last: u64,
    complaint: Option<String>,
    /// Whether records were overwritten before they were read.
    has_lost: bool,
}

impl Watch {
    /// Watches the records after the one with this number.
    pub(crate) fn after(system: &System, number: u64) -> std::io::Result<Self> {
        let mut watch = Self {
            file: BufReader::with_capacity(LONGEST, open(system)?),
            last: number,
            complaint: None,
            has_lost: false,
        };
        watch.look();
        Ok(watch)
    }

    /// The number of the last record of the log.
    pub(crate) fn last_number(system: &System) -> std::io::Result<u64> {
        Ok(Self::after(system, 0)?.last)
    }

    /// Reads the new records.
    pub(crate) fn look(&mut self) {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.file.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    let new = record(String::from_utf8_lossy(&line).trim_end());
                    new.into_iter().for_each(|record| self.note(record));
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.has_lost = true,
                Err(_) => return,
            }
        }
    }

    fn note(&mut self, record: Record) {
        if record.number <= self.last {
            return;
        }
        self.has_lost |= record.number > self.last + 1;
        self.last = record.number;
        let Some((level, text)) = record.of_kernel else {
            return;
        };
        let is_complaint = level <= WARNING && COMPLAINTS.iter().any(|words| text.contains(words));
        if is_complaint && self.complaint.is_none() {
            self.complaint = Some(text);
        }
    }

    /// Why the log does not show that the kernel is well, if it does not.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.complaint {
            Some(complaint) => Some(format!("the kernel has complained: {complaint}")),
            None if self.has_lost => Some(
                "records of the kernel's log were overwritten before they were read".to_owned(),
            ),
            None => None,
        }
    }
}

/// The log from a moment on.
pub(crate) struct Log(Option<BufReader<File>>);

impl Log {
    /// The messages that are logged from now on. If the log cannot be read, there are none.
    pub(crate) fn from_now(system: &System) -> Self {
        let file = open(system)
            .ok()
            .and_then(|mut file| file.seek(SeekFrom::End(0)).is_ok().then_some(file));
        Self(file.map(|file| BufReader::with_capacity(LONGEST, file)))
    }

    /// The loader's errors and warnings since `from_now()`, or since the last call of this
    /// function. Messages about another patch are left out. The kernel's own messages that begin
    /// with "livepatch: " are included: they have the reason if the relocations of a patch cannot
    /// be applied.
    pub(crate) fn problems(&mut self, patch: &str) -> Vec<String> {
        let Some(file) = &mut self.0 else {
            return Vec::new();
        };
        let messages = read(file, &["rust_livepatch: ", "livepatch: "]).into_iter();
        messages
            .filter(Message::is_problem)
            .map(|message| message.text)
            .filter(|text| reasons::patch_of(text).is_none_or(|about| about == patch))
            .collect()
    }
}

/// The message in a record "PRIORITY,NUMBER,TIME,FLAGS;rust_livepatch: MESSAGE". The lines after
/// the first one of a record begin with a space, and have no message.
fn message(record: &str, from: &[&str]) -> Option<Message> {
    let (head, text) = record.split_once(';')?;
    let mut head = head.split(',');
    let priority: u32 = head.next()?.parse().ok()?;
    let us = head.nth(1)?.parse().ok()?;
    let text = text.trim_end();
    let text = from.iter().find_map(|from| text.strip_prefix(from))?;
    // The kernel's own lines begin with the loader's name, too: "... taints kernel." and
    // "... tainting kernel".
    let mut words = text.trim_end_matches('.').rsplit(' ');
    let is_kernel = words.next() == Some("kernel");
    if is_kernel && words.next().is_some_and(|word| word.starts_with("taint")) {
        return None;
    }
    Some(Message {
        // The lower three bits are the level.
        level: priority & 7,
        us,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        message,
        Log,
        DEVICE, //
    };
    use crate::system::System;

    /// Messages about another patch do not explain a failure of this patch.
    #[test]
    fn problems_of_one_patch() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        let path = system.path(DEVICE);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let before = "3,1,1,-;rust_livepatch: symbol 'old' not found in symbol table\n";
        std::fs::write(&path, before).unwrap();
        let mut log = Log::from_now(&system);
        let after = "3,2,2,-;rust_livepatch: patch 'b' was not disabled (-16)\n\
             3,3,3,-;rust_livepatch: symbol 'add_taint' not found in symbol table\n\
             4,3,3,-;rust_livepatch: loading out-of-tree module taints kernel.\n\
             4,3,3,-;rust_livepatch: module verification failed: no key - tainting kernel\n\
             4,4,4,-;rust_livepatch: failed to enable patch 'a'\n\
             5,5,5,-;rust_livepatch: 'a': unpatching complete\n\
             3,6,6,-;livepatch: tried to apply a relocation\n";
        std::fs::write(&path, before.to_owned() + after).unwrap();
        assert_eq!(
            log.problems("a"),
            [
                "symbol 'add_taint' not found in symbol table",
                "failed to enable patch 'a'",
                "tried to apply a relocation"
            ]
        );
        assert!(log.problems("a").is_empty());
    }

    #[test]
    fn messages() {
        let from = ["rust_livepatch: "];
        let error = message("3,1,2000,-;rust_livepatch: patch 'a' fails\n", &from).unwrap();
        assert_eq!((error.us, &error.text[..]), (2000, "patch 'a' fails"));
        assert!(error.is_problem());
        let notice = message("6,1,2,-;rust_livepatch: 'a': patching complete\n", &from).unwrap();
        assert!(!notice.is_problem());
        for other in ["3,1,2,-;ext4: error\n", " SUBSYSTEM=x;y\n", "junk", ""] {
            assert_eq!(message(other, &from), None, "{other}");
        }
    }
}
