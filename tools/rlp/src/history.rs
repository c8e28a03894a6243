// SPDX-License-Identifier: GPL-2.0

//! The history: actions, with the user who has taken them, and events of the loader. It is a file
//! of JSON lines.

use crate::chain::{
    self,
    Link, //
};
use crate::change::Subject;
use crate::cli;
use crate::digest::Digest;
use crate::events;
use crate::failure::{
    on_file,
    Result, //
};
use crate::heartbeat::Machine;
use crate::host;
use crate::journal;
use crate::level::Number;
use crate::lines::{
    self,
    Kept, //
};
use crate::locks;
use crate::output::{
    printable,
    Paint,
    Report, //
};
use crate::system::{
    System,
    STATE, //
};
use crate::time;
use serde::{
    Deserialize,
    Serialize, //
};
use serde_json::{
    json,
    Value, //
};
use std::collections::{
    HashMap,
    HashSet,
    VecDeque, //
};
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;

/// The path of the history.
pub(crate) fn path() -> String {
    format!("{STATE}/history.jsonl")
}

/// Takes the lock of the processes that append to the history.
pub(crate) fn lock(system: &System) -> Result<durable::Lock> {
    locks::take(system, "history.lock")
}

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The action begins now.
    Begin,
    /// The action has ended with this result.
    End,
    /// An event that the loader has reported.
    Event,
    /// The state of the machine at a moment.
    State,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Records of older versions have none.
    #[serde(flatten)]
    pub(crate) link: Option<Link>,
    /// In UTC, as in RFC 3339.
    pub(crate) time: String,
    pub(crate) boot: String,
    pub(crate) release: String,
    pub(crate) phase: Phase,
    /// The verb of this program, or the event of the loader.
    pub(crate) action: String,
    /// Empty if the record is not about one patch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) patch: String,
    /// The level that the patch belongs to, or that the record is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<Number>,
    /// The result of an action, or the patch's state after an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The user that this program ran as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    /// The user that has logged in (/proc/self/loginuid).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login_uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) machine: Option<Machine>,
}

impl Record {
    pub(crate) fn new(system: &System, phase: Phase, action: &str, patch: &str) -> Self {
        let login = system.read("/proc/self/loginuid").ok();
        Self {
            link: None,
            time: time::rfc3339(time::now()),
            boot: system.boot_id(),
            release: system.release(),
            phase,
            action: action.to_owned(),
            patch: patch.to_owned(),
            level: None,
            result: None,
            detail: None,
            machine: None,
            uid: (phase != Phase::Event).then(|| rustix::process::getuid().as_raw()),
            // The largest number means that nobody has logged in.
            login_uid: login
                .and_then(|uid| uid.parse().ok())
                .filter(|&uid| uid != u32::MAX && phase != Phase::Event),
        }
    }

    /// Appends the record to the history. It is on the disk when this returns. The journal gets it,
    /// too, even if the disk is full.
    pub(crate) fn append(mut self, system: &System) -> Result<()> {
        // The lock is held until the record was sent to the journal. So the journal has the records
        // in the same order.
        let lock = lock(system);
        let appended = match &lock {
            Ok(_) => {
                // This process may have waited for the lock. The time is set under the lock, so it
                // is not earlier than that of the previous record, unless the clock was set back.
                self.time = time::rfc3339(time::now());
                self.append_to_file(system)
            }
            Err(failure) => Err(failure.clone()),
        };
        // A structure of strings and numbers is always valid JSON.
        let line = serde_json::to_string(&self).unwrap_or_default();
        let text = match self.patch.as_str() {
            "" => self.words(),
            patch => format!("{patch}: {}", self.words()),
        };
        let mut fields = vec![("RLP_ACTION", self.action.as_str()), ("RLP_RECORD", &line)];
        let sha256 = Digest::of(format!("{line}\n").as_bytes()).to_string();
        if appended.is_ok() {
            fields.push(("RLP_SHA256", &sha256));
        }
        if !self.patch.is_empty() {
            fields.push(("RLP_PATCH", &self.patch));
        }
        journal::send(system, &text, &fields);
        appended
    }

    /// The caller holds the lock.
    fn append_to_file(&mut self, system: &System) -> Result<()> {
        let path = system.path(&path());
        self.link = Some(chain::next(&path, host::id(system))?);
        let line = serde_json::to_string(self).unwrap_or_default();
        let appended = durable::append_line(&path, &line);
        if appended.is_err() {
            self.link = None;
        }
        Ok(appended?)
    }

    /// The action or the event.
    fn words(&self) -> String {
        match (self.phase, &self.result) {
            (Phase::Begin, _) => format!("{} begins", self.action),
            (Phase::End, Some(result)) => format!("{}: {result}", self.action),
            (Phase::End, None) => format!("{} ends", self.action),
            (Phase::Event, state) => {
                format!("loader: {}", events::words(&self.action, state.as_deref()))
            }
            (Phase::State, _) => self.action.clone(),
        }
    }
}

/// The records of an action: one before it begins, one when it has ended.
pub(crate) struct Action<'a> {
    system: &'a System,
    action: &'a str,
    patch: String,
    level: Option<Number>,
}

impl<'a> Action<'a> {
    /// Records that the action begins now.
    pub(crate) fn begin(
        system: &'a System,
        action: &'a str,
        subject: Subject<'_>,
        detail: Option<String>,
    ) -> Result<Self> {
        let mut record = Record::new(system, Phase::Begin, action, subject.patch);
        record.level = subject.level;
        record.detail = detail;
        record.append(system)?;
        Ok(Self::new(system, action, subject))
    }

    /// An action whose beginning is recorded already, or could not be recorded.
    pub(crate) fn new(system: &'a System, action: &'a str, subject: Subject<'_>) -> Self {
        Self {
            system,
            action,
            patch: subject.patch.to_owned(),
            level: subject.level,
        }
    }

    /// Records the result.
    pub(crate) fn end(self, result: &str, detail: Option<&str>) -> Result<()> {
        self.end_record(result, detail).append(self.system)
    }

    /// Records the result, and what the loader says is in effect after it.
    pub(crate) fn end_with_machine(self, result: &str, detail: Option<&str>) -> Result<()> {
        let mut record = self.end_record(result, detail);
        let (machine, _) = Machine::read(self.system);
        record.machine = Some(machine);
        record.append(self.system)
    }

    fn end_record(&self, result: &str, detail: Option<&str>) -> Record {
        let mut record = Record::new(self.system, Phase::End, self.action, &self.patch);
        record.level = self.level;
        record.result = Some(result.to_owned());
        record.detail = detail.map(str::to_owned);
        record
    }
}

#[derive(Debug)]
pub(crate) struct History {
    pub(crate) records: VecDeque<Record>,
    /// The number of lines that are no records, such as a part that a power cut has left.
    pub(crate) damaged: usize,
}

/// Passes each record to `take`, the oldest first. Returns the number of damaged lines. The file
/// may be large, and is not read as a whole.
fn each(system: &System, mut take: impl FnMut(Record)) -> Result<usize> {
    let path = system.path(&path());
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        file => file.map_err(on_file(&path))?,
    };
    let mut file = BufReader::new(file);
    let (mut line, mut damaged) = (Vec::new(), 0);
    while let Some(kept) = lines::next(&mut file, &mut line, |_| ()).map_err(on_file(&path))? {
        if line.trim_ascii().is_empty() && kept == Kept::Whole {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) if kept == Kept::Whole => take(record),
            _ => damaged += 1,
        }
    }
    Ok(damaged)
}

/// Counts the lines that are no records.
pub(crate) fn damaged(system: &System) -> Result<usize> {
    each(system, drop)
}

/// When the last heartbeat was recorded, in seconds since the epoch.
pub(crate) fn last_heartbeat(system: &System) -> Result<Option<u64>> {
    let mut last = None;
    each(system, |record| {
        if record.action == "heartbeat" {
            last = time::seconds(&record.time).or(last);
        }
    })?;
    Ok(last)
}

/// Whether the history says that a transition was forced in this boot. The result is false if the
/// history cannot be read.
pub(crate) fn has_forced(system: &System) -> bool {
    let boot = system.boot_id();
    let mut forced = false;
    let all = each(system, |record| {
        // An event, or an action that has succeeded.
        let is_done = record.phase == Phase::Event || record.result.as_deref() == Some("forced");
        forced |= record.action == "force" && record.boot == boot && is_done;
    });
    all.is_ok() && forced
}

pub(crate) fn run(system: &System, arguments: &cli::History) -> Result<Box<dyn Report>> {
    let wanted = arguments.patch.as_deref().map(crate::loader::name_of);
    let is_wanted = |record: &Record| {
        wanted.as_ref().is_none_or(|wanted| *wanted == record.patch)
            && arguments
                .since
                .as_ref()
                .is_none_or(|since| record.time.as_str() >= since.as_str())
    };
    let most = arguments.last.unwrap_or(usize::MAX);
    let mut records = VecDeque::new();
    let damaged = each(system, |record| {
        if is_wanted(&record) {
            records.push_back(record);
        }
        if records.len() > most {
            records.pop_front();
        }
    })?;
    Ok(Box::new(History { records, damaged }))
}

impl History {
    /// The positions of the actions that have begun, and have no result.
    fn unfinished(&self) -> HashSet<usize> {
        let mut begun: HashMap<_, Vec<usize>> = HashMap::new();
        for (number, record) in self.records.iter().enumerate() {
            let action = (&record.boot, &record.action, &record.patch);
            match record.phase {
                Phase::Begin => begun.entry(action).or_default().push(number),
                Phase::End => {
                    begun.get_mut(&action).and_then(Vec::pop);
                }
                Phase::Event | Phase::State => (),
            }
        }
        begun.into_values().flatten().collect()
    }
}

impl Report for History {
    fn json(&self) -> Value {
        json!({ "records": self.records, "damaged": self.damaged })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        let unfinished = self.unfinished();
        for (number, record) in self.records.iter().enumerate() {
            let time = printable(&record.time).replace('T', " ").replace('Z', "");
            let what = if unfinished.contains(&number) {
                format!(
                    "{}, and has no result: rlp was killed, or still runs",
                    record.words()
                )
            } else {
                record.words()
            };
            let by = match (record.uid, record.login_uid) {
                (Some(uid), Some(login)) if login != uid => format!(" by uid {uid}, login {login}"),
                (Some(uid), _) => format!(" by uid {uid}"),
                (None, _) => String::new(),
            };
            let patch = match record.patch.as_str() {
                "" => String::new(),
                patch => printable(patch) + "  ",
            };
            let what = printable(&what);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}{time}{:#}  {patch}{what}{by}",
                paint.dim, paint.dim
            );
            for line in record.machine.iter().flat_map(Machine::lines) {
                let _ = writeln!(text, "    {}", printable(&line));
            }
            if let Some(detail) = &record.detail {
                for line in detail.lines() {
                    let _ = writeln!(text, "    {}", printable(line));
                }
            }
        }
        if self.records.is_empty() {
            text.push_str("nothing is recorded\n");
        }
        if self.damaged != 0 {
            let _ = writeln!(
                text,
                "{}damaged lines, which are left out: {}{:#}",
                paint.warn, self.damaged, paint.warn
            );
        }
        text
    }
}

/// Records an event of the loader. udev passes the event in environment variables.
pub(crate) fn record_event(system: &System) -> Result<()> {
    system.needs_root("record events")?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(patch), Some(event)) = (variable("PATCH"), variable("EVENT")) else {
        return Err(crate::failure::Failure::error(
            "PATCH and EVENT are not set: this command is for udev",
        ));
    };
    let mut record = Record::new(system, Phase::Event, &event, &patch);
    record.result = variable("STATE");
    record.detail = variable("US")
        .and_then(|us| us.parse::<u64>().ok())
        .filter(|&us| us != 0)
        .map(|us| format!("{} ms after the start of the transition", us.div_ceil(1000)));
    record.append(system)
}
