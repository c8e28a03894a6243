// SPDX-License-Identifier: GPL-2.0

//! The program is interrupted at each of its writes: by a signal that ends it, by a power cut, and
//! by a disk that fails. Each start after that must find the old or the new state.
//!
//! strace records the system calls of one run. A model of a disk replays them. After each call, the
//! model gives the states that a power cut may leave. Names that were not synced are all on the
//! disk, or all lost. The same holds for content that was not synced.

use crate::common::{
    traced,
    Machine,
    Output,
    Tree,
    RELEASE, //
};
use crate::levels;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// The folder that must survive.
const STATE: &str = "var/lib/rlp";

/// The calls that change files. A call that the model does not know ends the test.
const CALLS: &str = "openat,open,creat,mkdir,mkdirat,write,pwrite64,writev,fsync,fdatasync,rename,\
    renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,ftruncate,\
    fallocate,copy_file_range,sendfile";

/// A system call that strace has recorded.
#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    /// The arguments in quotes.
    texts: Vec<Vec<u8>>,
    result: i64,
}

impl Call {
    /// Parses a line like `write(3, "\x61", 1) = 1`.
    fn parse(line: &str) -> Option<Self> {
        let (call, result) = line.rsplit_once(" = ")?;
        let (name, arguments) = call.split_once('(')?;
        let quoted = arguments.split('"').skip(1).step_by(2);
        let bytes = |text: &str| {
            let digits = text.split("\\x").skip(1);
            let bytes: Option<Vec<u8>> = digits
                .map(|digits| u8::from_str_radix(digits, 16).ok())
                .collect();
            bytes.unwrap_or_else(|| panic!("{line}"))
        };
        Some(Self {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            texts: quoted.map(bytes).collect(),
            result: result.split(' ').next()?.parse().ok()?,
        })
    }

    fn text(&self, nr: usize) -> &str {
        std::str::from_utf8(&self.texts[nr]).unwrap()
    }

    /// The first argument.
    fn fd(&self) -> i64 {
        let end = self.arguments.find([',', ')']).unwrap();
        self.arguments[..end].parse().unwrap()
    }
}

/// Runs a command, which changes the machine. Returns its output and its system calls.
fn trace(machine: &Machine, arguments: &[&str]) -> (Output, Vec<Call>) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let to = log.path().to_str().unwrap();
    let calls = format!("trace={CALLS}");
    let options = ["-xx", "-s", "1000000", "-e", &calls, "-o", to];
    let output = machine.run_with(&mut traced(&options, arguments));
    let text = std::fs::read_to_string(log.path()).unwrap();
    let calls: Vec<_> = text.lines().filter_map(Call::parse).collect();
    assert!(calls.len() > 5, "{output:?}\n{text}");
    (output, calls)
}

/// A file, with what was written to it, and with what is on the disk for sure. For a folder, both
/// are `None`.
#[derive(Debug, Clone)]
struct Content {
    written: Option<Vec<u8>>,
    synced: Option<Vec<u8>>,
}

/// The disk, as far as it concerns STATE.
#[derive(Debug)]
struct Disk {
    contents: Vec<Content>,
    /// The names that programs see, and those that are on the disk for sure. A number is the
    /// position in the contents.
    names: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
    /// The path of each open file.
    open: BTreeMap<i64, String>,
    /// The machine's root.
    root: String,
}

impl Disk {
    fn new(machine: &Machine) -> Self {
        let mut disk = Self {
            contents: Vec::new(),
            names: BTreeMap::new(),
            synced: BTreeMap::new(),
            open: BTreeMap::new(),
            root: format!(
                "{}/",
                machine.path("").to_str().unwrap().trim_end_matches('/')
            ),
        };
        for (path, content) in machine.tree("var") {
            disk.add(&path, content);
        }
        disk.add("var", None);
        disk.synced = disk.names.clone();
        disk
    }

    fn add(&mut self, path: &str, content: Option<Vec<u8>>) {
        self.names.insert(path.to_owned(), self.contents.len());
        self.contents.push(Content {
            written: content.clone(),
            synced: content,
        });
    }

    /// The path below the root, if it concerns STATE.
    fn below(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix(&self.root)?;
        let concerns = STATE.starts_with(path) || path.starts_with(STATE);
        concerns.then(|| path.to_owned())
    }

    fn file(&mut self, fd: i64) -> Option<&mut Content> {
        let path = self.open.get(&fd)?;
        // The model finds a file by the name with which it was opened. So the program must not
        // write to a file that it has renamed.
        Some(&mut self.contents[*self.names.get(path).expect("an open file has a name")])
    }

    /// Replays a call. Returns whether it has changed anything.
    fn replay(&mut self, call: &Call) -> bool {
        if call.result < 0 {
            return false;
        }
        match call.name.as_str() {
            "openat" => {
                self.open.remove(&call.result);
                let Some(path) = self.below(call.text(0)) else {
                    return false;
                };
                let is_new = call.arguments.contains("O_CREAT") && !self.names.contains_key(&path);
                if is_new {
                    self.add(&path, Some(Vec::new()));
                }
                self.open.insert(call.result, path);
                if call.arguments.contains("O_TRUNC") {
                    let content = self.file(call.result).unwrap();
                    content.written = Some(Vec::new());
                }
                return is_new || call.arguments.contains("O_TRUNC");
            }
            "mkdir" => match self.below(call.text(0)) {
                Some(path) => self.add(&path, None),
                None => return false,
            },
            "write" => {
                let written = usize::try_from(call.result).unwrap();
                let Some(content) = self.file(call.fd()) else {
                    return false;
                };
                let bytes = content.written.as_mut().unwrap();
                bytes.extend(&call.texts[0][..written]);
            }
            "ftruncate" => {
                let len = call.arguments.split(", ").nth(1).unwrap();
                let len = len.trim_end_matches(')').parse().unwrap();
                let Some(content) = self.file(call.fd()) else {
                    return false;
                };
                content.written.as_mut().unwrap().truncate(len);
            }
            "fsync" | "fdatasync" => {
                let Some(path) = self.open.get(&call.fd()).cloned() else {
                    return false;
                };
                let nr = self.names[&path];
                let content = &mut self.contents[nr];
                content.synced.clone_from(&content.written);
                if content.written.is_none() {
                    self.sync_names(&path);
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (self.below(call.text(0)), self.below(call.text(1)));
                let (Some(from), Some(to)) = (from, to) else {
                    return false;
                };
                let nr = self.names.remove(&from).unwrap();
                self.names.insert(to, nr);
            }
            "unlink" | "unlinkat" | "rmdir" => match self.below(call.text(0)) {
                Some(path) => drop(self.names.remove(&path)),
                None => return false,
            },
            other => panic!("the model does not know {other}({}", call.arguments),
        }
        true
    }

    /// Replays the sync of a folder: from now on, the names in it are on the disk.
    fn sync_names(&mut self, folder: &str) {
        let is_in = |name: &str| name.rsplit_once('/').map(|(parent, _)| parent) == Some(folder);
        self.synced.retain(|name, _| !is_in(name));
        let names = self.names.iter().filter(|(name, _)| is_in(name));
        self.synced
            .extend(names.map(|(name, nr)| (name.clone(), *nr)));
    }

    fn tree(
        &self,
        names: &BTreeMap<String, usize>,
        content: fn(&Content) -> &Option<Vec<u8>>,
    ) -> Tree {
        // A name is lost with its folder.
        let is_there = |name: &str| {
            let ends = name.match_indices('/').map(|(at, _)| at);
            ends.into_iter().all(|at| names.contains_key(&name[..at]))
        };
        let names = names.iter().filter(|(name, _)| is_there(name));
        names
            .map(|(name, &nr)| {
                let content = content(&self.contents[nr]).clone();
                // A file whose content was never synced is empty.
                let is_file = self.contents[nr].written.is_some();
                (name.clone(), content.or(is_file.then(Vec::new)))
            })
            .collect()
    }

    /// The trees that may be on the disk if the power is cut now. The first tree is what programs
    /// see: it is there if a signal ends the program.
    fn cuts(&self) -> [Tree; 4] {
        [
            self.tree(&self.names, |content| &content.written),
            self.tree(&self.names, |content| &content.synced),
            self.tree(&self.synced, |content| &content.written),
            self.tree(&self.synced, |content| &content.synced),
        ]
    }
}

/// The patches that a machine loads at boot, and those in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    list: Option<Vec<u8>>,
    quarantine: Option<Vec<u8>>,
    intent: Option<Vec<u8>>,
}

impl State {
    fn of(machine: &Machine) -> Self {
        let read = |file: &str| std::fs::read(machine.path(&format!("{STATE}/boot/{file}"))).ok();
        Self {
            list: read(&format!("{RELEASE}/list")),
            quarantine: read("quarantine"),
            intent: read("intent"),
        }
    }

    /// Each file is the old or the new one.
    fn is_between(&self, old: &Self, new: &Self) -> bool {
        let is = |file: fn(&Self) -> &Option<Vec<u8>>| {
            [file(old), file(new)].contains(&file(self))
                // An empty list means the same as no list.
                || file(self).as_deref().unwrap_or_default().is_empty()
                    && [file(old), file(new)].iter().any(|file| file.is_none())
        };
        // The intent of another boot is removed when its patches are in quarantine.
        let is_judged = self.intent.is_none() && self.quarantine == new.quarantine;
        is(|state| &state.list)
            && is(|state| &state.quarantine)
            && (is_judged || is(|state| &state.intent))
    }
}

/// Whether the tests run in full, as with `make check LONG=1`.
fn is_long() -> bool {
    std::env::var("RLP_LONG").is_ok_and(|value| !value.is_empty())
}

/// A command that changes the machine.
struct Verb<'a> {
    before: &'a Machine,
    arguments: &'a [&'a str],
    status: i32,
}

impl<'a> Verb<'a> {
    fn new(before: &'a Machine, arguments: &'a [&'a str], status: i32) -> Self {
        Self {
            before,
            arguments,
            status,
        }
    }

    /// Makes a machine whose state is this tree.
    fn machine(&self, tree: &Tree) -> Machine {
        let machine = self.before.copy();
        let _ = std::fs::remove_dir_all(machine.path("var"));
        for (path, content) in tree {
            machine.put(path, content);
        }
        machine
    }

    /// The machine must be whole, and in the old or the new state. If the command runs once more,
    /// the machine must be in the new state. At most `torn` lines of the history may be torn: 1
    /// after a power cut, and 0 after an error.
    fn is_whole(&self, machine: &Machine, old: &State, new: &State, torn: u64, at: &str) {
        let state = State::of(machine);
        let tree = machine.tree(STATE);
        let seen = || {
            format!(
                "{} at {at}: {state:?}\n{:?}",
                self.arguments[0],
                tree.keys()
            )
        };
        assert!(state.is_between(old, new), "{}", seen());
        let status = machine.json(&["status"]);
        assert!(status.get("error").is_none(), "{status:#} {}", seen());
        for name in status["installed"].as_array().unwrap() {
            let file = format!("{STATE}/boot/{RELEASE}/{}.ko", name.as_str().unwrap());
            let source = format!("files/{}.ko", name.as_str().unwrap());
            assert_eq!(tree[&file], machine.tree("files")[&source], "{}", seen());
        }
        boots_with_the_loader_of_its_level(machine, &seen());
        let history = machine.json(&["history"]);
        assert!(
            history["damaged"].as_u64().unwrap() <= torn,
            "{history:#} {}",
            seen()
        );
        let text = |machine: &Machine| {
            let file = machine.path(&format!("{STATE}/history.jsonl"));
            std::fs::read(file).unwrap_or_default()
        };
        let (earlier, now) = (text(self.before), text(machine));
        assert!(now.starts_with(&earlier), "{history:#} {}", seen());
        // The record of what an operator does is written first.
        let is_recorded = now[earlier.len()..].contains(&b'\n');
        let by_operator = self.arguments[0] != "boot";
        let must_be = torn != 0 && by_operator;
        assert!(state == *old || is_recorded || !must_be, "{}", seen());
        let again = machine.run(self.arguments);
        assert_eq!(again.status, self.status, "{again:?} {}", seen());
        assert!(State::of(machine).is_between(new, new), "{}", seen());
        // A torn line is noted in the chain, and nothing is taken for tampering.
        let verified = machine.json(&["verify"]);
        if verified["records"] == 0 {
            assert_eq!(verified["findings"][0]["kind"], "empty", "{verified:#}");
        } else {
            assert_eq!(verified["whole"], true, "{verified:#} {}", seen());
        }
        let lines = verified["torn"].as_array().unwrap().len() as u64;
        assert!(lines <= torn, "{verified:#} {}", seen());
    }

    /// Cuts the power after each call, and lets each call fail.
    fn survives(&self) {
        let after = self.before.copy();
        let mut disk = Disk::new(&after);
        let (output, calls) = trace(&after, self.arguments);
        assert_eq!(output.status, self.status, "{output:?}");
        let (old, new) = (State::of(self.before), State::of(&after));
        let mut seen = BTreeSet::new();
        for (nr, call) in calls.iter().enumerate() {
            if !disk.replay(call) {
                continue;
            }
            for tree in disk.cuts() {
                if seen.insert(tree.clone()) {
                    let at = format!("{nr} {}", call.name);
                    self.is_whole(&self.machine(&tree), &old, &new, 1, &at);
                }
            }
        }
        // The model is right if it ends with what is really there.
        let [last, ..] = disk.cuts();
        let mut real = after.tree("var");
        real.insert("var".to_owned(), None);
        assert_eq!(last, real);
        // A record that was acknowledged is on the disk for sure.
        let [.., synced] = disk.cuts();
        assert_eq!(synced, real, "{}", self.arguments[0]);
        self.survives_errors(&calls, &old, &new);
    }

    fn survives_errors(&self, calls: &[Call], old: &State, new: &State) {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let mut open: BTreeMap<i64, bool> = BTreeMap::new();
        for (nr, call) in calls.iter().enumerate() {
            let count = counts.entry(&call.name).or_default();
            *count += 1;
            let count = *count;
            if call.name == "openat" {
                open.insert(call.result, call.text(0).contains("/sys/"));
            }
            // A failed write leaves a file of the loader as it was. The copy of such a file would
            // be empty, because it is truncated before the write.
            if call.name == "write" && open.get(&call.fd()) == Some(&true) {
                continue;
            }
            // Left out: calls that open a file without creating it, and calls that failed anyway.
            let opens = call.name == "openat" && !call.arguments.contains("O_CREAT");
            if opens || call.result < 0 {
                continue;
            }
            // A short run has one of the errors for each call.
            let errors = ["ENOSPC", "EIO", "EROFS"];
            let errors = if is_long() {
                &errors[..]
            } else {
                &errors[nr % errors.len()..][..1]
            };
            for error in errors {
                let machine = self.before.copy();
                let name = &call.name;
                let inject = format!("inject={name}:error={error}:when={count}");
                let trace = format!("trace={name}");
                let log = tempfile::NamedTempFile::new().unwrap();
                let to = log.path().to_str().unwrap();
                let options = ["-e", &trace, "-e", &inject, "-o", to];
                let output = machine.run_with(&mut traced(&options, self.arguments));
                let log = std::fs::read_to_string(log.path()).unwrap();
                let at = format!("{inject}: {output:?}\n{log}");
                assert!(log.contains("(INJECTED)"), "{at}");
                // It ends by itself, without a panic, and says what was wrong.
                assert!(output.status < 10, "{at}");
                let all = format!("{}{}", output.out, output.err);
                let words = [
                    "No space left",
                    "Input/output error",
                    "Read-only file system",
                ];
                let is_named = words.iter().any(|words| all.contains(words));
                // If the output itself cannot be written, there may be nothing to read.
                assert!(is_named || name == "write", "{at}");
                let partial = machine.tree(STATE);
                let mut partial = partial.keys().filter(|name| name.contains(".partial-"));
                assert!(name == "unlink" || partial.next().is_none(), "{at}");
                self.is_whole(&machine, old, new, 0, &at);
            }
        }
    }
}

/// The next boot loads the newest level of the list, with the loader of that level.
fn boots_with_the_loader_of_its_level(machine: &Machine, seen: &str) {
    let list = std::fs::read_to_string(machine.path(&format!("{STATE}/boot/{RELEASE}/list")));
    let list = list.unwrap_or_default();
    let Some(level) = list
        .lines()
        .filter_map(|name| name.strip_prefix("level"))
        .max()
    else {
        return;
    };
    let rebooted = machine.copy();
    rebooted.write("proc/sys/kernel/random/boot_id", "rebooted\n");
    std::fs::remove_dir_all(rebooted.path("sys/kernel/rust_livepatch")).unwrap();
    let output = rebooted.run(&["boot", "-n"]);
    for text in [
        format!("the loader of level {level} would be loaded first\n"),
        format!("level{level}: would be loaded\n"),
    ] {
        assert!(output.out.contains(&text), "{output:?} {seen}");
    }
    // The loader is that of the level, and no other.
    let loader = machine.path(&format!(
        "{STATE}/level/{level}/{RELEASE}/rust_livepatch.ko"
    ));
    let expected = levels::loader(level.parse().unwrap());
    assert_eq!(std::fs::read(loader).unwrap(), expected, "{seen}");
}

/// A machine with the files of two patches. No patch is installed.
fn machine() -> Machine {
    let machine = Machine::new();
    for name in ["first", "second"] {
        machine.module(name, RELEASE, "rlp_enable_patch");
    }
    machine.folder("var");
    machine
}

fn install(machine: &Machine, name: &str) {
    let file = machine.path(&format!("files/{name}.ko"));
    let output = machine.run(&["install", file.to_str().unwrap()]);
    assert_eq!(output.status, 0, "{output:?}");
}

#[test]
fn an_install() {
    // The module is outside of the machine's folder, so that its path, which is an argument, is the
    // same for each copy of the machine.
    let file = tempfile::TempDir::new().unwrap();
    let before = machine();
    let path = file.path().join("second.ko");
    std::fs::copy(before.path("files/second.ko"), &path).unwrap();
    let arguments = ["install", path.to_str().unwrap()];
    let verb = |before: &Machine| Verb::new(before, &arguments, 0).survives();
    verb(&before);
    install(&before, "first");
    before.write(&format!("{STATE}/boot/quarantine"), "other\nsecond\n");
    verb(&before);
}

#[test]
fn an_uninstall() {
    let before = machine();
    install(&before, "first");
    install(&before, "second");
    before.write(&format!("{STATE}/boot/quarantine"), "second\n");
    Verb::new(&before, &["uninstall", "second"], 0).survives();
}

/// The list cannot be written, because the disk is full. But the module can be removed, and then no
/// boot loads the patch.
#[test]
fn an_uninstall_on_a_full_disk() {
    let machine = machine();
    install(&machine, "first");
    install(&machine, "second");
    let inject = "inject=rename,renameat,renameat2:error=ENOSPC";
    let trace = "trace=rename,renameat,renameat2";
    let options = ["-e", trace, "-e", inject, "-o", "/dev/null"];
    let output = machine.run_with(&mut traced(&options, &["uninstall", "second"]));
    output.fails(1, "No space left");
    output.fails(
        1,
        "its module is removed, so it is not loaded at boot any more",
    );
    let second = machine.path(&format!("{STATE}/boot/{RELEASE}/second.ko"));
    assert!(!second.exists());
    let boot = machine.run(&["boot", "-n"]);
    boot.says(0, "first: would be loaded\n");
    assert!(!boot.out.contains("second: would"), "{boot:?}");
    machine
        .run(&["uninstall", "second"])
        .says(0, "second: uninstalled\n");
}

/// An uninstall that was killed has removed the module, and has not synced the folder. The next
/// uninstall does that.
#[test]
fn a_removal_that_was_not_synced() {
    let before = machine();
    install(&before, "first");
    install(&before, "second");
    before.write(&format!("{STATE}/boot/quarantine"), "second\n");
    let mut disk = Disk::new(&before);
    let module = format!("{STATE}/boot/{RELEASE}/second.ko");
    before.write(&format!("{STATE}/boot/{RELEASE}/list"), "first\n");
    std::fs::remove_file(before.path(&module)).unwrap();
    disk.names.remove(&module);
    assert!(disk.synced.contains_key(&module));
    let (output, calls) = trace(&before, &["uninstall", "second"]);
    output.says(0, "second: uninstalled");
    for call in &calls {
        disk.replay(call);
    }
    assert!(!disk.synced.contains_key(&module));
}

/// The folder of a patch was removed and made again while a command looked at it, or a read has
/// failed. If there is no time for another read, the command says that the transition continues.
#[test]
fn a_wait_whose_read_fails() {
    let mut late = 0;
    for nr in 1..20 {
        let machine = machine();
        machine.patch("live_fix", 1);
        machine.set("live_fix", "transition", "1");
        let path = machine.path("sys/kernel/rust_livepatch/live_fix/transition");
        let inject = format!("inject=read:error=EIO:when={nr}");
        let log = tempfile::NamedTempFile::new().unwrap();
        let (path, to) = (path.to_str().unwrap(), log.path().to_str().unwrap());
        let options = ["-P", path, "-e", "trace=read", "-e", &inject, "-o", to];
        let arguments = ["reverse", "live_fix", "--timeout", "0"];
        let output = machine.run_with(&mut traced(&options, &arguments));
        let is_injected = std::fs::read_to_string(log.path())
            .unwrap()
            .contains("(INJECTED)");
        // An error of another read is the failure of the command.
        assert_ne!(output.status, 0, "{nr}: {output:?}");
        late += i32::from(is_injected && output.status == 4);
    }
    assert!(late > 0);
}

#[test]
fn a_boot() {
    let before = machine();
    install(&before, "first");
    install(&before, "second");
    let boot = Verb::new(&before, &["boot"], 0);
    boot.survives();
    // The machine failed after the previous boot.
    before.write(
        &format!("{STATE}/boot/intent"),
        r#"{"boot": "another", "patches": ["first"]}"#,
    );
    boot.survives();
    before.write(
        &format!("{STATE}/boot/intent"),
        r#"{"boot": "boot-1", "patches": ["first"]}"#,
    );
    Verb::new(&before, &["boot", "--survived"], 0).survives();
}

/// A level whose patch is on probation is confirmed, stored, and loaded at each boot.
#[test]
fn an_application_of_a_level() {
    let before = levels::canary();
    before.folder("var");
    levels::on_probation(&before, 7);
    Verb::new(&before, &["level", "apply"], 0).survives();
}

/// The same with another level, which has another loader, in effect before.
#[test]
fn an_application_of_the_next_level() {
    let before = levels::six_and_seven();
    levels::install(&before, 8);
    levels::on_probation(&before, 8);
    Verb::new(&before, &["level", "apply"], 0).survives();
}

/// The kernel has panicked while an installed patch was on probation.
#[test]
fn a_boot_after_a_panic() {
    let before = machine();
    install(&before, "first");
    install(&before, "second");
    before.write(
        "sys/fs/pstore/dmesg-ramoops-0",
        "<1>[   12.345678] rust_livepatch: the kernel panics while patch 'first' is on probation\n",
    );
    Verb::new(&before, &["boot"], 0).survives();
}

/// A signal that arrives while the first patch is loaded ends the command before the second one.
#[test]
fn a_signal_between_two_patches() {
    let machine = machine();
    machine.patch("first", 1);
    machine.patch("second", 2);
    let files = ["first", "second"].map(|name| machine.path(&format!("files/{name}.ko")));
    let [first, second] = files.each_ref().map(|file| file.to_str().unwrap());
    let signal = "inject=openat:signal=TERM:when=1";
    let options = [
        "-P",
        first,
        "-e",
        "trace=openat",
        "-e",
        signal,
        "-o",
        "/dev/null",
    ];
    let output = machine.run_with(&mut traced(&options, &["load", first, second]));
    output.has("first: is loaded already");
    assert!(!output.out.contains("second"), "{output:?}");
    output.fails(3, "the other patches were not changed");
}

/// The load fails, and the loader's parameter cannot be restored. Both are reported.
#[test]
fn a_parameter_that_is_not_restored() {
    let machine = machine();
    let parameter = machine.path("sys/module/rust_livepatch/parameters/probation");
    let inject = "inject=write:error=EIO:when=2";
    let parameter = parameter.to_str().unwrap();
    let options = [
        "-P",
        parameter,
        "-e",
        "trace=write",
        "-e",
        inject,
        "-o",
        "/dev/null",
    ];
    let file = machine.path("files/first.ko");
    let arguments = ["load", "--probation", "9", file.to_str().unwrap()];
    let output = machine.run_with(&mut traced(&options, &arguments));
    output.fails(3, "with --root no module is loaded");
    output.fails(3, "the loader's parameter probation was not restored: ");
}

#[test]
fn records() {
    let before = machine();
    before.patch("live_fix", 1);
    before.set("live_fix", "force", "");
    before.set("live_fix", "confirmed", "0");
    Verb::new(&before, &["confirm", "live_fix"], 0).survives();
    before.set("live_fix", "transition", "1");
    Verb::new(&before, &["reverse", "--timeout", "0"], 4).survives();
}
