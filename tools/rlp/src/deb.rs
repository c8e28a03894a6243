// SPDX-License-Identifier: GPL-2.0

//! The package of a level. `dpkg-deb` makes it. The same files make the same package.

use crate::failure::{
    error_text,
    on_file,
    Failure,
    Result, //
};
use crate::level::{
    self,
    Level, //
};
use crate::level_input::File;
use crate::program;
use crate::publisher::Publisher;
use crate::time;
use std::path::Path;
use std::process::Command;
use std::time::{
    Duration,
    SystemTime, //
};

/// The name of the package.
const PACKAGE: &str = "rlp-level";

/// The name of the file.
pub(crate) fn file_name(level: &Level) -> String {
    format!("{PACKAGE}_{}_{}.deb", level.level, level.architecture)
}

/// The file control. `size` is the number of bytes of all files.
fn control(level: &Level, publisher: &Publisher, size: usize) -> String {
    let kernels = level.kernels.iter();
    let kernels: Vec<_> = kernels
        .map(|kernel| format!("  {}", kernel.release))
        .collect();
    include_str!("../level/control")
        .replace("@LEVEL@", &level.level.to_string())
        .replace("@ARCHITECTURE@", &level.architecture)
        .replace("@PUBLISHER@", &publisher.to_string())
        .replace("@KILOBYTES@", &size.div_ceil(1024).to_string())
        .replace("@KERNELS@", &kernels.join("\n"))
}

fn copyright(publisher: &Publisher) -> String {
    include_str!("../level/copyright").replace("@PUBLISHER@", &publisher.to_string())
}

/// The changelog, which names the fixes for each kernel.
fn changelog(level: &Level, publisher: &Publisher, seconds: u64) -> String {
    let kernels = level.kernels.iter().map(|kernel| {
        let fixes = level.fixes_for(&kernel.release);
        let cves: Vec<_> = fixes.map(|fix| fix.cve.as_str()).collect();
        format!("  * {}: {}", kernel.release, cves.join(" "))
    });
    include_str!("../level/changelog")
        .replace("@LEVEL@", &level.level.to_string())
        .replace("@KERNELS@", &kernels.collect::<Vec<_>>().join("\n"))
        .replace("@PUBLISHER@", &publisher.to_string())
        .replace("@DATE@", &time::rfc5322(seconds))
}

/// Compresses a file of the package. The name and the time of the file are left out.
fn compress(path: &Path) -> Result<()> {
    program::run("gzip", &["-9n", &path.to_string_lossy()])
        .map_err(|why| Failure::error("gzip has not compressed the changelog").why(why))?;
    Ok(())
}

/// Writes a file into the folder that becomes the package.
fn put(stage: &Path, path: &str, content: &[u8]) -> Result<()> {
    let path = stage.join(path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(on_file(folder))?;
    }
    std::fs::write(&path, content).map_err(on_file(&path))
}

/// Sets the times of a folder and of everything below it.
fn set_times(path: &Path, time: SystemTime) -> std::io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            set_times(&entry?.path(), time)?;
        }
    }
    std::fs::File::open(path)?.set_modified(time)
}

/// Runs dpkg-deb on a folder.
fn run(stage: &Path, to: &Path, seconds: u64) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command
        .env("SOURCE_DATE_EPOCH", seconds.to_string())
        .args(["--root-owner-group", "--threads-max=1", "-Zxz", "--build"])
        .arg(stage)
        .arg(to);
    let output = program::output(&mut command, b"", program::LIMIT).map_err(|error| {
        Failure::error("dpkg-deb cannot be run")
            .why(error_text(&error))
            .next("install it: apt install dpkg")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::error("dpkg-deb has not made the package")
        .why(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Makes the package of these files, and returns its content.
pub(crate) fn build(
    level: &Level,
    files: &[File],
    publisher: &Publisher,
    seconds: u64,
) -> Result<Vec<u8>> {
    let temporary = tempfile::tempdir().map_err(on_file(&std::env::temp_dir()))?;
    // The root folder of the package gets the mode of this one. The folder of tempdir() does not
    // serve, because only its owner may read it.
    let stage = temporary.path().join("stage");
    let mut size = 0;
    for file in files {
        size += file.content.len();
        put(
            &stage,
            &format!("{}/{}", &level::FOLDER[1..], file.path),
            &file.content,
        )?;
    }
    let text = copyright(publisher);
    put(
        &stage,
        &format!("usr/share/doc/{PACKAGE}/copyright"),
        text.as_bytes(),
    )?;
    let text = changelog(level, publisher, seconds);
    let path = format!("usr/share/doc/{PACKAGE}/changelog");
    put(&stage, &path, text.as_bytes())?;
    compress(&stage.join(&path))?;
    put(
        &stage,
        "DEBIAN/control",
        control(level, publisher, size).as_bytes(),
    )?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    set_times(&stage, time).map_err(on_file(&stage))?;
    let deb = temporary.path().join("level.deb");
    run(&stage, &deb, seconds)?;
    std::fs::read(&deb).map_err(on_file(&deb))
}
