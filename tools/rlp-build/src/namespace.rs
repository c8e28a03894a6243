// SPDX-License-Identifier: GPL-2.0

//! A private view of the prepared tree and of the source, which the build can change.
//!
//! The program runs itself again in a mount namespace of its own. There, overlays cover the tree
//! and the source, at the same paths. So the compiler sees the same paths as without overlays, and
//! all writes go to the build's own folder. Builds at the same time do not disturb each other, and
//! the shared files stay as they are.

use crate::command::{
    program,
    run, //
};
use crate::refusal::{
    io_error_at,
    tool_failure,
    Result, //
};
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Command,
    Stdio, //
};

/// The environment variable with the path of the build's own folder. It is set only in the
/// namespace.
const FOLDER: &str = "RLP_BUILD_FOLDER";

/// The build's own folder, if the program is in its namespace already.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs the program again, in a namespace. Returns its exit status.
pub(crate) fn enter(cache: &Path) -> Result<u8> {
    std::fs::create_dir_all(cache).map_err(io_error_at(cache))?;
    let folder = tempfile::Builder::new()
        .prefix("work-")
        .tempdir_in(cache)
        .map_err(io_error_at(cache))?;
    let root = std::fs::metadata("/proc/self")
        .map_err(io_error_at(Path::new("/proc/self")))?
        .uid()
        == 0;

    // In a chroot, "/" is not a mount, so unshare(1) cannot change its propagation. The propagation
    // stays as it is there: the caller that made the chroot has made its mounts private.
    let unshare = |propagation: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", propagation, "--kill-child"]);
        if !root {
            command.arg("--map-root-user");
        }
        command
    };
    let works = unshare("private")
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut command = unshare(if works { "private" } else { "unchanged" });
    let this = std::env::current_exe()
        .map_err(|error| tool_failure(format!("the program's own path: {error}")))?;
    command
        .arg("--")
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(FOLDER, folder.path());
    let status = command
        .status()
        .map_err(|error| tool_failure(format!("unshare cannot be run: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.ok_or_else(|| tool_failure("the build was killed"))
}

/// Covers the folder `lower` by an overlay: writes below it go to `upper`.
pub(crate) fn cover(lower: &Path, upper: &Path) -> Result {
    let work = upper.with_extension("work");
    for folder in [upper, &work] {
        std::fs::create_dir_all(folder).map_err(io_error_at(folder))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    run(program("mount", Path::new("/"))
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(lower))
    .map_err(|_| {
        tool_failure(format!(
            "{} cannot be covered by an overlay: put the cache on a file system that overlayfs \
             can write to (--cache), and allow mounts",
            lower.display()
        ))
    })?;
    Ok(())
}
