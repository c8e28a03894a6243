// SPDX-License-Identifier: GPL-2.0

//! Files that survive a power cut. [`replace`] leaves the old or the new content on the disk, and
//! never a part of it. [`append_line`] may leave a part of its line. The next call then writes a
//! newline first.
//!
//! # Errors
//!
//! Each function returns the first error of the file system, with the path of the file or folder.

use rustix::fs::{
    flock,
    FlockOperation, //
};
use rustix::io::Errno;
use std::fs::{
    File,
    Permissions, //
};
use std::io::{
    Error,
    ErrorKind,
    Read,
    Seek,
    SeekFrom,
    Write, //
};
use std::os::unix::fs::{
    OpenOptionsExt,
    PermissionsExt, //
};
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    Duration,
    Instant, //
};

/// The beginning of the names of files that are not complete yet.
const PARTIAL: &str = ".partial-";

/// An error, and the file that it concerns.
#[derive(Debug)]
pub struct Failed {
    pub path: PathBuf,
    pub error: Error,
}

pub type Result<T = ()> = std::result::Result<T, Failed>;

fn io_error_at(path: &Path) -> impl FnOnce(Error) -> Failed + '_ {
    |error| Failed {
        path: path.to_owned(),
        error,
    }
}

/// The folder of a file, which is the current one if the path has none.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    }
}

/// Makes a folder and the folders above it. Each new entry is on the disk before this returns. If
/// this is interrupted, only some of the folders may exist. The next call then completes them: the
/// entry of the last folder that exists may not be on the disk yet, so it is synced once more. Each
/// folder above it was synced before that folder was made.
pub fn make_folder(folder: &Path) -> Result {
    if folder.is_dir() {
        return sync_existing(folder);
    }
    make_folder(folder_of(folder))?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
        result => result.map_err(io_error_at(folder))?,
    }
    sync_entry(folder)
}

/// Like [`sync_entry()`], for a folder that need not be one of ours. If the folder above it cannot
/// be read, or is on a file system that knows no sync, then [`make_folder()`] has not made the
/// folder: it would have failed there.
fn sync_existing(folder: &Path) -> Result {
    sync_entry(folder).or_else(|failed| match failed.error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::InvalidInput => Ok(()),
        _ => Err(failed),
    })
}

/// Waits until the entry of `path` in its folder is on the disk.
fn sync_entry(path: &Path) -> Result {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error_at(folder))?;
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    Ok(())
}

/// Replaces a file by one with this content. On an error or a power cut, the file has the old
/// content or the new. A process that is killed may leave a file that [`remove_partial`] removes.
/// The permissions follow from the umask.
pub fn replace(path: &Path, content: &[u8]) -> Result {
    let folder = folder_of(path);
    make_folder(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(PARTIAL)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(io_error_at(folder))?;
    file.write_all(content).map_err(io_error_at(path))?;
    file.as_file().sync_all().map_err(io_error_at(path))?;
    file.persist(path)
        .map_err(|error| io_error_at(path)(error.error))?;
    sync_entry(path)
}

/// Removes a file, if it exists. The removal is on the disk when this returns, even if an earlier
/// call has removed the file and was interrupted. If this is interrupted, the file may still exist.
pub fn remove(path: &Path) -> Result {
    let removed = std::fs::remove_file(path);
    let is_absent = |error: &Error| error.kind() == ErrorKind::NotFound;
    if let Some(error) = removed.err().filter(|error| !is_absent(error)) {
        return Err(io_error_at(path)(error));
    }
    match sync_entry(path) {
        // Without the folder there is no entry.
        Err(failed) if is_absent(&failed.error) => Ok(()),
        result => result,
    }
}

/// Gives a file another name in the same folder. The new name is on the disk when this returns. If
/// this is interrupted, the file has one of the two names. This usually works on a full disk,
/// because no file is made.
pub fn rename(from: &Path, to: &Path) -> Result {
    std::fs::rename(from, to).map_err(io_error_at(from))?;
    sync_entry(to)
}

/// Gives a complete file, or a complete folder with all that is below it, its name on the same file
/// system. The content is on the disk before the name is. If this is interrupted, the name does not
/// exist yet, or leads to the old content.
pub fn install(complete: &Path, path: &Path) -> Result {
    sync_content(complete)?;
    make_folder(folder_of(path))?;
    std::fs::rename(complete, path).map_err(io_error_at(path))?;
    sync_entry(path)
}

/// Waits until a file, or all that is in a folder, is on the disk.
fn sync_content(path: &Path) -> Result {
    let file = File::open(path).map_err(io_error_at(path))?;
    if file.metadata().map_err(io_error_at(path))?.is_dir() {
        for entry in std::fs::read_dir(path).map_err(io_error_at(path))? {
            sync_content(&entry.map_err(io_error_at(path))?.path())?;
        }
    }
    file.sync_all().map_err(io_error_at(path))?;
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    Ok(())
}

/// Removes an empty folder. The removal is on the disk when this returns.
pub fn remove_folder(folder: &Path) -> Result {
    std::fs::remove_dir(folder).map_err(io_error_at(folder))?;
    sync_entry(folder)
}

/// Appends a line to a file. The line is on the disk when this returns. If the line cannot be
/// written, the file gets its old length back, unless that fails too. If a power cut has left a
/// part of a line at the end of the file, the part is ended first. The caller holds a [`Lock`] if
/// others append to the file.
pub fn append_line(path: &Path, line: &str) -> Result {
    make_folder(folder_of(path))?;
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(io_error_at(path))?;
    let len = file.seek(SeekFrom::End(0)).map_err(io_error_at(path))?;
    let mut text = String::new();
    if !ends_with_newline(&mut file, len).map_err(io_error_at(path))? {
        text.push('\n');
    }
    text += line;
    text.push('\n');
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // The disk may be full after a part of the line. If this part cannot be removed, the next
        // call ends it.
        let _ = file.set_len(len);
        return Err(io_error_at(path)(error));
    }
    // A process that was killed may have made the file, and not have synced its entry.
    sync_entry(path)
}

/// Whether a file of this length is empty or ends with a newline.
fn ends_with_newline(file: &mut File, len: u64) -> std::io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Opens the file of a lock, and makes it if it does not exist. Only the owner of the file can open
/// it. Otherwise any user could hold the lock for ever: it is enough to open the file for reading.
pub fn lock_file(path: &Path) -> Result<File> {
    make_folder(folder_of(path))?;
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io_error_at(path))
}

/// A lock, until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The time between two attempts to get a lock.
const PAUSE: Duration = Duration::from_millis(50);

impl Lock {
    /// Waits until nobody else holds the lock whose file is `path`. Meanwhile, calls `goes_on`
    /// again and again, with the time that has passed. Returns `None` as soon as that returns
    /// false.
    pub fn take(path: &Path, mut goes_on: impl FnMut(Duration) -> bool) -> Result<Option<Self>> {
        let file = lock_file(path)?;
        let start = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(Errno::WOULDBLOCK | Errno::INTR) => (),
                Err(errno) => return Err(io_error_at(path)(errno.into())),
            }
            if !goes_on(start.elapsed()) {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Removes the files that killed writers have left, in a folder and in the folders below. The
/// caller ensures that no other process writes there. A power cut may undo the removal. This is
/// harmless, because nothing depends on it.
pub fn remove_partial(folder: &Path) -> Result {
    for entry in std::fs::read_dir(folder).map_err(io_error_at(folder))? {
        let entry = entry.map_err(io_error_at(folder))?;
        let path = entry.path();
        if entry.file_type().map_err(io_error_at(&path))?.is_dir() {
            remove_partial(&path)?;
        } else if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            std::fs::remove_file(&path).map_err(io_error_at(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        /// The paths whose entries were synced.
        pub(super) static SYNCED: std::cell::RefCell<Vec<PathBuf>> = const {
            std::cell::RefCell::new(Vec::new())
        };
    }

    /// A process was killed after it had made a folder, and before it had synced the entry.
    #[test]
    fn an_interrupted_folder_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let (above, below) = (dir.path().join("a"), dir.path().join("a/b"));
        std::fs::create_dir(&above).unwrap();
        for (folder, expected) in [
            (&above, vec![above.clone()]),
            (&below, vec![above.clone(), below.clone()]),
            (&below, vec![below.clone()]),
        ] {
            SYNCED.take();
            make_folder(folder).unwrap();
            assert_eq!(SYNCED.take(), expected);
        }
        replace(&below.join("file"), b"").unwrap();
        assert_eq!(SYNCED.take(), [below.clone(), below.join("file")]);
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder_of(&path)), ["file"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn another_name() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        replace(&one, b"1").unwrap();
        replace(&two, b"2").unwrap();
        rename(&one, &two).unwrap();
        assert_eq!(std::fs::read(&two).unwrap(), b"1");
        assert_eq!(names(dir.path()), ["two"]);
        assert_eq!(rename(&one, &two).unwrap_err().path, one);
    }

    #[test]
    fn content_is_on_the_disk_before_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (partial, place) = (dir.path().join("partial"), dir.path().join("place"));
        std::fs::create_dir_all(partial.join("below")).unwrap();
        std::fs::write(partial.join("below/file"), b"1").unwrap();
        SYNCED.take();
        install(&partial, &place).unwrap();
        let below = partial.join("below");
        assert_eq!(
            SYNCED.take(),
            [
                below.join("file"),
                below,
                partial.clone(),
                dir.path().into(),
                place.clone()
            ]
        );
        assert_eq!(std::fs::read(place.join("below/file")).unwrap(), b"1");

        // A folder that is there stays as it is, and the error names it.
        std::fs::create_dir(&partial).unwrap();
        assert_eq!(install(&partial, &place).unwrap_err().path, place);
        std::fs::write(partial.join("file"), b"2").unwrap();
        install(&partial.join("file"), &place.join("below/file")).unwrap();
        assert_eq!(std::fs::read(place.join("below/file")).unwrap(), b"2");
    }

    #[test]
    fn a_torn_line_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lines");
        append_line(&path, "one").unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"tor")
            .unwrap();
        append_line(&path, "two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntor\ntwo\n");
    }

    #[test]
    fn partial_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        replace(&path, b"one").unwrap();
        std::fs::write(path.with_file_name(format!("{PARTIAL}x")), b"half").unwrap();
        remove_partial(&dir.path().join("a")).unwrap();
        assert_eq!(names(folder_of(&path)), ["file"]);
    }

    #[test]
    fn only_the_owner_can_hold_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        drop(Lock::take(&path, |_| false).unwrap().unwrap());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(Lock::take(&path, |_| false).unwrap().unwrap());
    }

    #[test]
    fn a_wait_for_a_lock_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut first = Lock::take(&path, |_| false).unwrap();
        assert!(first.is_some());
        let mut looks = 0;
        let second = Lock::take(&path, |_| {
            looks += 1;
            looks < 3
        });
        assert!(second.unwrap().is_none());
        assert_eq!(looks, 3);
        let second = Lock::take(&path, |_| first.take().is_some());
        assert!(second.unwrap().is_some());
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        replace(&file, b"").unwrap();
        let failed = replace(&file.join("below"), b"").unwrap_err();
        assert_eq!(failed.path, file);
        assert_eq!(failed.error.kind(), ErrorKind::NotADirectory);
        assert_eq!(append_line(dir.path(), "").unwrap_err().path, dir.path());
    }
}
