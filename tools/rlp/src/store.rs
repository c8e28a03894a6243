// SPDX-License-Identifier: GPL-2.0

//! The levels on this machine, below `/var/lib/rlp/level/`:
//!
//! - `state` has what is known about levels: when each was seen, which are revoked, which have
//!   failed here, and which were verified here.
//! - `N/level.json` is the description of each level that was seen. `N/level.other.json` is that of
//!   another level with the same number.
//! - `N/RELEASE/` has the patch and the loader of a level that was applied here, so that both can
//!   be loaded again without the package and without the network. Each level has its own folder.
//!   So the files of a level that is not verified change nothing for the next boot.
//! - `intent` names the level that is being applied, with the boot. If another boot finds it, the
//!   machine was started again before the level was confirmed, or before that was stored.
//! - `failed` is the intent of a level that has failed while the disk was full. The next run
//!   quarantines the level.
//!
//! Each file is replaced as a whole. The files of a level are on the disk before `state` names it
//! as verified, and are removed after `state` has forgotten it.

use crate::clock::{
    Clock,
    Reading, //
};
use crate::digest::Digest;
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    self,
    Kernel,
    Level,
    Number, //
};
use crate::loader;
use crate::locks;
use crate::policy::Quarantined;
use crate::system::{
    System,
    STATE, //
};
use crate::time;
use serde::de::DeserializeOwned;
use serde::{
    Deserialize,
    Serialize, //
};
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};

/// The description of another level with the same number.
pub(crate) const OTHER: &str = "level.other.json";

/// How many verified levels of a kernel keep their files, besides one with a loader that has run.
const KEPT: usize = 3;

pub(crate) fn folder(system: &System) -> PathBuf {
    system.path(&format!("{STATE}/level"))
}

/// A level that was seen on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) level: Number,
    /// When it was seen first: the time of day, and the boot.
    pub(crate) time: u64,
    pub(crate) boot: String,
    /// The seconds that the machine has run since then.
    pub(crate) ran: u64,
}

/// A level that was verified on this machine: it was in effect, its checks succeeded, and it was
/// confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) level: Number,
    pub(crate) release: String,
    pub(crate) kernel_build_id: String,
    pub(crate) patch: String,
    pub(crate) build_id: Option<String>,
    pub(crate) sha256: Digest,
    pub(crate) time: u64,
    /// Whether its files are still stored.
    pub(crate) stored: bool,
    /// The loader that belongs to the level. `None`: an earlier version of this program has stored
    /// the level.
    #[serde(default)]
    pub(crate) loader: Option<StoredLoader>,
}

/// The loader of a verified level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLoader {
    pub(crate) sha256: Digest,
    pub(crate) build_id: Option<String>,
    /// Whether this loader itself has run on this machine. A level can be verified while the loader
    /// of an earlier level is loaded, because that one stays until the next boot.
    pub(crate) proven: bool,
}

impl Verified {
    pub(crate) fn has_proven_loader(&self) -> bool {
        self.loader.as_ref().is_some_and(|loader| loader.proven)
    }
}

/// A stored file that is missing or has other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Patch,
    Loader,
}

impl Damage {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Loader => "loader",
        }
    }
}

/// The knowledge about the levels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) clock: Option<Clock>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) revoked: Vec<Number>,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) verified: Vec<Verified>,
}

/// How far the application of a level has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The patch is about to be loaded, or its transition runs.
    Loading,
    /// The patch is in effect and on probation, and is checked.
    Checking,
    /// The patch is confirmed. The level is about to be stored as verified.
    Confirmed,
    /// The patch has failed, and is being unloaded.
    TakingBack,
    /// The patch was loaded and confirmed by hand, and is checked.
    Adopting,
}

impl Phase {
    /// Whether a boot that ends now says that the level is bad.
    pub(crate) fn is_unconfirmed(self) -> bool {
        matches!(self, Self::Loading | Self::Checking | Self::Adopting)
    }
}

/// The level that is being applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) boot: String,
    pub(crate) level: Number,
    pub(crate) phase: Phase,
    pub(crate) patch: String,
    pub(crate) build_id: Option<String>,
    pub(crate) before: crate::health::Before,
    /// The hashes of the files that were checked. `None`: an earlier version has written this.
    #[serde(default)]
    pub(crate) files: Option<Hashes>,
}

/// The files of a level, as they were when they were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hashes {
    patch: Digest,
    loader: Option<Digest>,
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(on_file(path))?,
    };
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::error(format!("{} is damaged", path.display()))
            .why(error.to_string())
            .next("move it away; levels are then applied as on a new machine")
    })?;
    Ok(Some(value))
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    // The values have strings and numbers, which are always valid JSON.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    Ok(durable::replace(path, &text)?)
}

impl State {
    pub(crate) fn read(system: &System) -> Result<Self> {
        let path = folder(system).join("state");
        Ok(json(&path)?.unwrap_or_default())
    }

    pub(crate) fn write(&self, system: &System) -> Result<()> {
        write(&folder(system).join("state"), self)
    }

    /// Notes the level of the package and the time that has passed. Returns whether the level is
    /// new on this machine.
    pub(crate) fn see(&mut self, level: Option<&Level>, reading: Reading) -> bool {
        let published = level
            .and_then(|level| time::seconds(&level.published))
            .unwrap_or(0);
        let boot = reading.boot.clone();
        let (clock, elapsed) = match &self.clock {
            Some(clock) => clock.step(reading, published),
            None => (Clock::first(reading, published), 0),
        };
        for seen in &mut self.seen {
            seen.ran = seen.ran.saturating_add(elapsed);
        }
        let now = clock.now;
        self.clock = Some(clock);
        let Some(level) = level else {
            return false;
        };
        for &revoked in &level.blocked {
            if !self.revoked.contains(&revoked) {
                self.revoked.push(revoked);
            }
        }
        let is_new = self.seen(level.level).is_none();
        if is_new {
            self.seen.push(Seen {
                level: level.level,
                time: now,
                boot,
                ran: 0,
            });
        }
        is_new
    }

    pub(crate) fn seen(&self, level: Number) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.level == level)
    }

    pub(crate) fn is_quarantined(&self, level: Number) -> bool {
        self.quarantined.iter().any(|other| other.level == level)
    }

    pub(crate) fn quarantine(&mut self, level: Number, reason: &str) {
        self.quarantined.retain(|other| other.level != level);
        self.quarantined.push(Quarantined {
            level,
            time: self
                .clock
                .as_ref()
                .map_or_else(time::now, |clock| clock.now),
            reason: reason.to_owned(),
        });
    }

    /// The verified levels of a kernel.
    pub(crate) fn of_kernel<'a>(
        &'a self,
        release: &'a str,
        kernel_build_id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Verified> {
        self.verified.iter().filter(move |verified| {
            verified.release == release
                && Some(verified.kernel_build_id.as_str()) == kernel_build_id
        })
    }

    /// The verified levels of a kernel whose files are stored.
    pub(crate) fn stored<'a>(
        &'a self,
        release: &'a str,
        kernel_build_id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Verified> {
        let of_kernel = self.of_kernel(release, kernel_build_id);
        of_kernel.filter(|verified| verified.stored)
    }

    /// Forgets the stored levels of a kernel that are damaged, so that another one is used. Returns
    /// their numbers.
    pub(crate) fn forget_damaged(
        &mut self,
        system: &System,
        release: &str,
    ) -> Vec<(Number, Damage)> {
        let stored = self.verified.iter_mut();
        let stored = stored.filter(|verified| verified.stored && verified.release == release);
        let mut damaged = Vec::new();
        for verified in stored {
            if let Some(damage) = damage(system, verified) {
                verified.stored = false;
                damaged.push((verified.level, damage));
            }
        }
        damaged
    }

    /// Notes that the loader with this build id has run on this machine.
    pub(crate) fn prove_loader(&mut self, build_id: &str) {
        let loaders = self.verified.iter_mut();
        let loaders = loaders.filter_map(|verified| verified.loader.as_mut());
        for loader in loaders.filter(|loader| loader.build_id.as_deref() == Some(build_id)) {
            loader.proven = true;
        }
    }

    /// Two levels may have the same loader.
    fn share_proofs(&mut self) {
        let proven = |it: &Verified| it.loader.clone().filter(|loader| loader.proven);
        let proven: Vec<_> = self.verified.iter().filter_map(proven).collect();
        let loaders = self.verified.iter_mut();
        for loader in loaders.filter_map(|level| level.loader.as_mut()) {
            loader.proven |= proven.iter().any(|other| other.sha256 == loader.sha256);
        }
    }

    /// Adds a verified level, and forgets the files of all but the last ones. The newest level with
    /// a loader that has run here keeps its files, too. Blocked levels do not count, because they
    /// are no way back. The files are removed when the state is on the disk (`prune`).
    pub(crate) fn verify(&mut self, level: Verified, blocked: &[Number]) {
        let release = level.release.clone();
        let is_same =
            |other: &Verified| other.level == level.level && other.release == level.release;
        self.verified.retain(|other| !is_same(other));
        self.quarantined.retain(|other| other.level != level.level);
        self.verified.push(level);
        self.share_proofs();
        let of_kernel = self.verified.iter_mut().rev();
        let of_kernel = of_kernel.filter(|verified| verified.release == release && verified.stored);
        let (mut good, mut has_proven) = (0, false);
        for (nr, level) in of_kernel.enumerate() {
            if blocked.contains(&level.level) {
                level.stored = nr < KEPT;
                continue;
            }
            level.stored = good < KEPT || (level.has_proven_loader() && !has_proven);
            has_proven |= level.has_proven_loader();
            good += 1;
        }
    }
}

/// The level that the package has installed.
pub(crate) fn available(system: &System) -> Result<Option<Level>> {
    let path = system.path(&format!("{}/{}", level::FOLDER, level::FILE));
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => Level::read(&path).map(Some),
    }
}

fn description_path(system: &System, level: Number) -> PathBuf {
    folder(system).join(format!("{level}/{}", level::FILE))
}

/// Keeps the description of a level, for reports.
pub(crate) fn keep_description(system: &System, level: &Level) -> Result<()> {
    let path = description_path(system, level.level);
    Ok(durable::replace(&path, &level.text())?)
}

/// The description of a level that this machine has seen. A damaged one counts as none.
pub(crate) fn description(system: &System, level: Number) -> Option<Level> {
    Level::read(&description_path(system, level)).ok()
}

/// Keeps the description of another level with the same number, beside the first one. Returns
/// whether it is a new one.
pub(crate) fn keep_other_description(system: &System, level: &Level) -> Result<bool> {
    let path = description_path(system, level.level).with_file_name(OTHER);
    if std::fs::read(&path).is_ok_and(|kept| kept == level.text()) {
        return Ok(false);
    }
    durable::replace(&path, &level.text())?;
    Ok(true)
}

/// The stored patch of a level.
pub(crate) fn patch_path(system: &System, level: Number, release: &str, patch: &str) -> PathBuf {
    folder(system).join(format!("{level}/{release}/{patch}.ko"))
}

/// The stored loader of a level.
pub(crate) fn loader_path(system: &System, level: Number, release: &str) -> PathBuf {
    folder(system).join(format!("{level}/{release}/{}.ko", loader::MODULE))
}

/// Reads a file of the package or of the store, which must have this hash.
fn read_checked(path: &Path, sha256: Digest) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(on_file(path))?;
    let found = Digest::of(&bytes);
    if found == sha256 {
        return Ok(bytes);
    }
    Err(
        Failure::refused(format!("{} is not the file of the level", path.display()))
            .why(format!(
                "its SHA-256 is {found}, and level.json has {sha256}"
            ))
            .next("install the package of the level again: apt reinstall rlp-level"),
    )
}

/// The files of a level for a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) patch: PathBuf,
    /// `None`: an earlier version of this program has stored the level.
    pub(crate) loader: Option<PathBuf>,
}

impl Files {
    pub(crate) fn hashes(&self) -> Result<Hashes> {
        let hash = |path: &PathBuf| {
            let bytes = std::fs::read(path).map_err(on_file(path))?;
            Ok::<_, Failure>(Digest::of(&bytes))
        };
        Ok(Hashes {
            patch: hash(&self.patch)?,
            loader: self.loader.as_ref().map(hash).transpose()?,
        })
    }
}

/// The stored files of the level that an intent names, which must be as they were when they were
/// checked.
pub(crate) fn files_of(system: &System, release: &str, intent: &Intent) -> Result<Files> {
    let loader = loader_path(system, intent.level, release);
    let files = Files {
        patch: patch_path(system, intent.level, release, &intent.patch),
        loader: Some(loader).filter(|path| path.exists()),
    };
    std::fs::metadata(&files.patch).map_err(on_file(&files.patch))?;
    if let Some(hashes) = intent.files {
        read_checked(&files.patch, hashes.patch)?;
        if let (Some(path), Some(sha256)) = (&files.loader, hashes.loader) {
            read_checked(path, sha256)?;
        }
    }
    Ok(files)
}

/// The files in the package, after a check of the files of the level for that kernel.
pub(crate) fn checked(system: &System, kernel: &Kernel) -> Result<Files> {
    let package = system.path(level::FOLDER);
    let patch = package.join(&kernel.patch.file);
    let loader = package.join(&kernel.loader.file);
    read_checked(&patch, kernel.patch.sha256)?;
    read_checked(&loader, kernel.loader.sha256)?;
    Ok(Files {
        patch,
        loader: Some(loader),
    })
}

/// Copies the files of a level for a kernel from the package to the store, and returns their paths
/// there. So the files that are loaded were checked, even if the package is replaced meanwhile.
pub(crate) fn stage(system: &System, level: Number, kernel: &Kernel) -> Result<Files> {
    let package = system.path(level::FOLDER);
    let from = package.join(&kernel.patch.file);
    let patch = read_checked(&from, kernel.patch.sha256)?;
    let loader = read_checked(&package.join(&kernel.loader.file), kernel.loader.sha256)?;
    let to = Files {
        patch: patch_path(system, level, &kernel.release, &kernel.patch.name),
        loader: Some(loader_path(system, level, &kernel.release)),
    };
    let proof = from.with_extension("proof.json");
    match std::fs::read(&proof) {
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        bytes => durable::replace(
            &to.patch.with_extension("proof.json"),
            &bytes.map_err(on_file(&proof))?,
        )?,
    }
    replace_if_new(&to.patch, &patch)?;
    replace_if_new(&loader_path(system, level, &kernel.release), &loader)?;
    Ok(to)
}

fn replace_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    Ok(durable::replace(path, bytes)?)
}

/// The stored files of a verified level, which must be as they were.
pub(crate) fn stored_files(system: &System, verified: &Verified) -> Result<Files> {
    let patch = patch_path(system, verified.level, &verified.release, &verified.patch);
    read_checked(&patch, verified.sha256)?;
    Ok(Files {
        patch,
        loader: stored_loader(system, verified)?,
    })
}

/// The stored loader of a verified level, which must be as it was.
pub(crate) fn stored_loader(system: &System, verified: &Verified) -> Result<Option<PathBuf>> {
    let Some(loader) = &verified.loader else {
        return Ok(None);
    };
    let path = loader_path(system, verified.level, &verified.release);
    read_checked(&path, loader.sha256)?;
    Ok(Some(path))
}

/// The first stored file of a verified level that is not as it was. A file that exists and cannot
/// be read counts as unchanged.
pub(crate) fn damage(system: &System, verified: &Verified) -> Option<Damage> {
    let is_whole = |path: PathBuf, sha256: Digest| match std::fs::read(path) {
        Ok(bytes) => Digest::of(&bytes) == sha256,
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    let Verified { level, release, .. } = verified;
    if !is_whole(
        patch_path(system, *level, release, &verified.patch),
        verified.sha256,
    ) {
        return Some(Damage::Patch);
    }
    let loader = verified.loader.as_ref()?;
    let path = loader_path(system, *level, release);
    (!is_whole(path, loader.sha256)).then_some(Damage::Loader)
}

fn intent_path(system: &System) -> PathBuf {
    folder(system).join("intent")
}

/// The intent of a level that has failed while nothing could be written.
fn failed_path(system: &System) -> PathBuf {
    folder(system).join("failed")
}

impl Intent {
    pub(crate) fn read(system: &System) -> Result<Option<Self>> {
        json(&intent_path(system))
    }

    /// Makes this intent the one of a level that has failed. On a full disk, a file cannot be
    /// written, but it can be renamed.
    pub(crate) fn set_failed(system: &System) -> Result<()> {
        Ok(durable::rename(&intent_path(system), &failed_path(system))?)
    }

    /// The level that has failed while nothing could be written.
    pub(crate) fn read_failed(system: &System) -> Result<Option<Self>> {
        json(&failed_path(system))
    }

    pub(crate) fn remove_failed(system: &System) -> Result<()> {
        Ok(durable::remove(&failed_path(system))?)
    }

    pub(crate) fn write(&self, system: &System) -> Result<()> {
        write(&intent_path(system), self)
    }

    pub(crate) fn remove(system: &System) -> Result<()> {
        Ok(durable::remove(&intent_path(system))?)
    }
}

const LOCK: &str = "/run/rlp/level.lock";

/// The lock of the commands that change the levels of this machine. Removes the files that killed
/// commands have left.
pub(crate) fn lock(system: &System) -> Result<std::fs::File> {
    use rustix::fs::{
        flock,
        FlockOperation, //
    };
    let path = system.path(LOCK);
    let file = durable::lock_file(&path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        if errno == rustix::io::Errno::WOULDBLOCK {
            let holder = locks::holder(&path);
            return Failure::refused("another rlp applies a level")
                .also(holder.map(|holder| format!("it is {holder}")))
                .next("rlp status shows what it does; try again when it has ended");
        }
        on_file(&path)(errno.into())
    })?;
    // The folder may not exist yet, and a file that cannot be removed does no harm.
    let _ = durable::remove_partial(&folder(system));
    Ok(file)
}

/// Whether a command holds the lock now. This only looks: if it took the lock itself, a run that
/// begins at that moment would fail.
pub(crate) fn is_busy(system: &System) -> bool {
    locks::holder(&system.path(LOCK)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(level: Number) -> Verified {
        Verified {
            level,
            release: "7.3".into(),
            kernel_build_id: "ab".into(),
            patch: format!("level{level}"),
            build_id: None,
            sha256: Digest::of(b"patch"),
            time: 1,
            stored: true,
            loader: None,
        }
    }

    #[test]
    fn only_the_last_verified_levels_keep_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        let mut state = State::default();
        state.quarantine(2, "x");
        for level in 1..=5 {
            let path = patch_path(&system, level, "7.3", &format!("level{level}"));
            durable::replace(&path, b"patch").unwrap();
            state.verify(verified(level), &[]);
        }
        assert!(state.quarantined.is_empty());
        state.verify(verified(4), &[]);
        let stored = |state: &State| -> Vec<_> {
            state.stored("7.3", Some("ab")).map(|it| it.level).collect()
        };
        assert_eq!(stored(&state), [3, 5, 4]);
        assert_eq!(state.stored("7.3", Some("cd")).count(), 0);
        assert_eq!(state.stored("7.3", None).count(), 0);
        state.write(&system).unwrap();
        assert_eq!(State::read(&system).unwrap(), state);
        let path = stored_files(&system, &verified(5)).unwrap().patch;
        std::fs::write(path, b"other").unwrap();
        assert_eq!(damage(&system, &verified(5)), Some(Damage::Patch));
        assert!(stored_files(&system, &verified(5)).is_err());
        // Levels that are revoked one after the other do not push out the last good one.
        for level in 6..=9 {
            state.verify(verified(level), &[5, 6, 7, 8]);
        }
        assert_eq!(stored(&state), [3, 4, 7, 8, 9]);
    }

    /// All levels since the last boot are verified with the loader of level 1. That one must stay.
    #[test]
    fn a_loader_that_has_run_stays() {
        let mut state = State::default();
        for level in 1..=9 {
            let build_id = Some(format!("0{level}"));
            let loader = StoredLoader {
                sha256: Digest::of(format!("loader {level}").as_bytes()),
                build_id,
                proven: false,
            };
            let level = Verified {
                loader: Some(loader),
                ..verified(level)
            };
            state.verify(level, &[]);
            state.prove_loader("01");
        }
        let stored = |state: &State| -> Vec<_> {
            let stored = state.stored("7.3", Some("ab"));
            stored
                .map(|it| (it.level, it.has_proven_loader()))
                .collect()
        };
        let expected = [(1, true), (7, false), (8, false), (9, false)];
        assert_eq!(stored(&state), expected);
        state.prove_loader("08");
        let ninth = state.verified.last().cloned().unwrap();
        state.verify(ninth, &[]);
        let expected = [(7, false), (8, true), (9, false)];
        assert_eq!(stored(&state), expected);
    }

    #[test]
    fn only_one_command_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        let first = lock(&system).unwrap();
        assert!(lock(&system).is_err());
        assert!(is_busy(&system));
        drop(first);
        assert!(!is_busy(&system));
        assert!(lock(&system).is_ok());
    }
}
