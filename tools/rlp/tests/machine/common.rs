// SPDX-License-Identifier: GPL-2.0

//! A folder with copies of the files of a machine, and the program, which looks at it.

use crate::{
    elf,
    schema, //
};
use serde_json::Value;
use sha2::{
    Digest,
    Sha256, //
};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;
use tempfile::TempDir;

pub(crate) const RELEASE: &str = "7.3.4+test";
/// The build id of the machine's kernel.
pub(crate) const KERNEL: [u8; 4] = [0xaa, 1, 2, 3];

/// The name in evidence of a machine whose id is 00112233445566778899aabbccddeeff.
pub(crate) const HOST: &str = "bd71d9b3044e43799c788578c2877b77";

const LOADER: &str = "sys/kernel/rust_livepatch";

/// The contents of files, by path. A folder has `None`.
pub(crate) type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// The output of the program, and its exit status.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Output {
    /// The output must be exactly this.
    pub(crate) fn is(&self, status: i32, out: &str) {
        assert_eq!(self.out, out, "{self:?}");
        assert_eq!(self.err, "");
        assert_eq!(self.status, status);
    }

    /// The program must have printed this.
    pub(crate) fn has(&self, text: &str) {
        assert!(self.out.contains(text), "no '{text}' in {self:?}");
    }

    /// The program must have ended with this status, and printed this.
    pub(crate) fn says(&self, status: i32, text: &str) {
        assert_eq!(self.status, status, "{self:?}");
        self.has(text);
    }

    /// The program must have failed with this status, and named this.
    pub(crate) fn fails(&self, status: i32, text: &str) {
        assert!(self.err.contains(text), "no '{text}' in {self:?}");
        assert_eq!(self.status, status, "{self:?}");
    }
}

/// As sha256sum prints it.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

pub(crate) struct Machine(TempDir);

impl Machine {
    /// A machine with the loader, and without patches.
    pub(crate) fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        machine.write("proc/sys/kernel/osrelease", &format!("{RELEASE}\n"));
        machine.write("proc/sys/kernel/random/boot_id", "boot-1\n");
        machine.write("proc/sys/kernel/ftrace_enabled", "1\n");
        machine.write("proc/cmdline", "quiet\n");
        machine.write("etc/machine-id", "00112233445566778899aabbccddeeff\n");
        machine.write_bytes("sys/kernel/notes", &elf::build_id_note(&KERNEL));
        machine.write("sys/module/rust_livepatch/initstate", "live\n");
        machine.write("sys/module/rust_livepatch/parameters/deadline", "600\n");
        machine.write("sys/module/rust_livepatch/parameters/probation", "0\n");
        machine.folder(LOADER);
        machine.folder("sys/module/rust_livepatch/holders");
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn folder(&self, path: &str) {
        std::fs::create_dir_all(self.path(path)).unwrap();
    }

    pub(crate) fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes a file of a patch.
    pub(crate) fn set(&self, patch: &str, file: &str, text: &str) {
        self.write(&format!("{LOADER}/{patch}/{file}"), &format!("{text}\n"));
    }

    pub(crate) fn get(&self, patch: &str, file: &str) -> String {
        self.read(&format!("{LOADER}/{patch}/{file}"))
    }

    /// A patch that is in effect, and replaces a function of the kernel, and one of a module that
    /// is not loaded.
    pub(crate) fn patch(&self, name: &str, order: u32) {
        for (file, text) in [
            ("enabled", "1"),
            ("transition", "0"),
            ("confirmed", "1"),
            ("probation", "0"),
            ("deadline", "600"),
            ("progress", "0 0"),
            ("replace", "0"),
            ("transition_us", "11151"),
            ("transition_end", "1796000523.000042"),
            ("transition_forced", "0"),
            ("vmlinux/patched", "1"),
            ("vmlinux/do_it,1/mode", "jump"),
            ("pktgen/patched", "0"),
            ("pktgen/pg_open,1/mode", "unhooked"),
        ] {
            self.set(name, file, text);
        }
        self.set(name, "stack_order", &order.to_string());
        for file in ["level", "cves", "blockers"] {
            self.write(&format!("{LOADER}/{name}/{file}"), "");
        }
        self.write(&format!("sys/module/{name}/initstate"), "live\n");
        self.write_bytes(
            &format!("sys/module/{name}/notes/.note.gnu.build-id"),
            &elf::build_id_note(b"same"),
        );
    }

    /// Writes the file of a patch module, and returns its path.
    pub(crate) fn module(&self, name: &str, release: &str, symbol: &str) -> PathBuf {
        let info = [
            format!("name={name}"),
            format!("vermagic={release} SMP preempt mod_unload"),
            "cves=CVE-2026-0001 CVE-2026-0002".to_owned(),
        ];
        let file = format!("files/{name}.ko");
        self.write_bytes(&file, &elf::module(&info, symbol, b"same"));
        self.path(&file)
    }

    /// The same machine in another folder.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self(TempDir::new().unwrap());
        for (path, content) in self.tree("") {
            copy.put(&path, &content);
        }
        copy
    }

    /// All files and folders below a folder, with their contents.
    pub(crate) fn tree(&self, folder: &str) -> Tree {
        let mut tree = Tree::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let content = if path.is_dir() {
                    folders.push(path.clone());
                    None
                } else {
                    Some(std::fs::read(&path).unwrap())
                };
                let below = path.strip_prefix(self.0.path()).unwrap().to_str().unwrap();
                tree.insert(below.to_owned(), content);
            }
        }
        tree
    }

    /// Makes a folder or a file of a tree.
    pub(crate) fn put(&self, path: &str, content: &Option<Vec<u8>>) {
        match content {
            Some(bytes) => self.write_bytes(path, bytes),
            None => self.folder(path),
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rlp"));
        self.run_with(program.args(arguments))
    }

    /// Runs a command line that runs the program for this machine.
    pub(crate) fn run_with(&self, command: &mut Command) -> Output {
        let output = command.env("RLP_ROOT", self.0.path()).output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.replace(self.0.path().to_str().unwrap(), "")
        };
        Output {
            // A shell reports a signal as 128 plus its number.
            status: output
                .status
                .code()
                .unwrap_or_else(|| 128 + output.status.signal().unwrap()),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Runs the program with --json. The object must follow the schema.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let value: Value =
            serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(value["status"], output.status, "{output:?}");
        assert_eq!(output.err, "", "with --json everything is in the object");
        Schema::read().check(&value);
        value
    }
}

/// The program on a disk that is full: files of more than 100 bytes cannot be written. Files can be
/// renamed and removed, and small values can be written to files of the loader.
pub(crate) fn with_full_disk(machine: &Machine, arguments: &[&str]) -> Output {
    let script = "trap '' XFSZ; exec prlimit --fsize=100 \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_rlp")])
        .args(arguments);
    machine.run_with(&mut command)
}

/// The program under strace, with these options of strace.
pub(crate) fn traced(options: &[&str], arguments: &[&str]) -> Command {
    let strace = std::env::var_os("RLP_STRACE");
    let strace = PathBuf::from(strace.expect("RLP_STRACE: run scripts/checks/test-programs.sh"));
    let mut command = Command::new(strace.join("usr/bin/strace"));
    command
        .env("LD_LIBRARY_PATH", strace.join("usr/lib/x86_64-linux-gnu"))
        .args(["-qq", "-e", "signal=none", "-E", "LD_LIBRARY_PATH"])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_rlp"))
        .args(arguments);
    command
}

/// The documented schema.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn read() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Documentation/schema/rlp.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    /// The errors of a value.
    pub(crate) fn errors(&self, value: &Value) -> Vec<String> {
        schema::errors(&self.0, value)
    }

    pub(crate) fn check(&self, value: &Value) {
        let errors = self.errors(value);
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }
}
