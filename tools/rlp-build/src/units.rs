// SPDX-License-Identifier: GPL-2.0

//! A unit: a C file, the object that it is a part of, and the command with which kbuild compiles
//! it.

use crate::refusal::{
    tool_failure,
    Refusal,
    Result, //
};
use std::path::PathBuf;

/// A C file and the command that compiles it as the kernel's build does.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// Below the source: "fs/proc/cmdline.c".
    pub(crate) source: String,
    /// vmlinux, or the module's name as in /proc/modules.
    pub(crate) object: String,
    /// The shell command, with the output's name in it.
    pub(crate) command: String,
    /// The unit's folder in the cache.
    pub(crate) cached: PathBuf,
}

impl Unit {
    /// "fs/proc/cmdline.o"
    pub(crate) fn output(&self) -> String {
        output_of(&self.source)
    }

    pub(crate) fn is_module(&self) -> bool {
        self.object != "vmlinux"
    }

    pub(crate) fn new(source: &str, command: String, cached: PathBuf) -> Result<Self> {
        let object = if command.contains(" -DMODULE ") {
            module_name(&command)
                .ok_or_else(|| tool_failure(format!("{source}: its command names no module")))
                .and_then(|name| one_module(source, name))?
        } else {
            "vmlinux".to_owned()
        };
        Ok(Self {
            source: source.into(),
            object,
            command,
            cached,
        })
    }
}

/// The file that kbuild makes from a C file, from assembly code or from a linker script.
pub(crate) fn output_of(source: &str) -> String {
    if let Some(script) = source.strip_suffix(".S").filter(|s| s.ends_with(".lds")) {
        return script.to_owned();
    }
    let stem = [".c", ".S"].iter().find_map(|end| source.strip_suffix(end));
    format!("{}.o", stem.unwrap_or(source))
}

/// The name that kbuild gives to the module that a unit is linked into.
fn module_name(command: &str) -> Option<String> {
    let after = command.split_once("-DKBUILD_MODNAME=")?.1;
    let name: String = after
        .chars()
        .skip_while(|c| matches!(c, '\'' | '"' | '\\'))
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':'))
        .collect();
    (!name.is_empty()).then(|| name.replace('-', "_"))
}

/// Refuses a unit of several modules, such as "one:two": each of them would need the patch.
fn one_module(source: &str, name: String) -> Result<String> {
    if name.contains(':') {
        return Err(Refusal::UnsupportedFile {
            file: source.into(),
            kind: "a part of several modules",
        }
        .into());
    }
    Ok(name)
}

/// The command in a saved .cmd file, in the syntax of a shell.
pub(crate) fn saved_command(text: &str, source: &str) -> Result<String> {
    let line = text.lines().next().unwrap_or_default();
    let (_, command) = line
        .split_once(" := ")
        .filter(|(name, _)| name.starts_with("savedcmd_"))
        .ok_or_else(|| tool_failure(format!("{source}: kbuild has saved no command")))?;
    // The saved command also runs objtool after the compiler, and is escaped for make.
    let compile = command
        .split("; ./tools/objtool/objtool")
        .next()
        .unwrap_or(command);
    let compile = compile
        .replace("\\#", "#")
        .replace("$(pound)", "#")
        .replace("$$", "$");
    // Only kbuild needs the file of dependencies. Writing it would need the unit's folder.
    let compile = match compile.split_once("-Wp,-MMD,") {
        Some((before, rest)) => format!(
            "{before}{}",
            rest.split_once(' ').map_or("", |(_, after)| after)
        ),
        None => compile,
    };
    Ok(compile.trim().to_owned())
}

/// The command with another output and more options.
pub(crate) fn redirected(unit: &Unit, options: &str, output: &std::path::Path) -> Result<String> {
    let from = format!(" -c -o {} ", unit.output());
    if !unit.command.contains(&from) {
        return Err(tool_failure(format!(
            "{}: kbuild's command does not have the expected form",
            unit.source
        )));
    }
    Ok(unit
        .command
        .replace(&from, &format!(" {options} -c -o {} ", output.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "savedcmd_fs/ext4/dir.o := gcc -DX='\"a\\#b\"' -DMODULE  \
                         -DKBUILD_MODNAME='\"ext4\"' -D__KBUILD_MODNAME=kmod_ext4 -c -o \
                         fs/ext4/dir.o /s/fs/ext4/dir.c ; ./tools/objtool/objtool --x \
                         fs/ext4/dir.o\n\nsource := x\n";

    #[test]
    fn a_unit_of_several_modules_is_refused() {
        let of = |name: &str| {
            let command = format!("gcc -DMODULE -DKBUILD_MODNAME='\"{name}\"' -c");
            Unit::new("x.c", command, PathBuf::new()).map(|unit| unit.object)
        };
        assert_eq!(of("a_b").ok().as_deref(), Some("a_b"));
        assert!(of("a:b").is_err());
    }

    #[test]
    fn kbuild_names_its_output_after_the_source() {
        for (source, output) in [
            ("fs/a.c", "fs/a.o"),
            ("arch/x86/lib/b.S", "arch/x86/lib/b.o"),
            (
                "arch/x86/kernel/vmlinux.lds.S",
                "arch/x86/kernel/vmlinux.lds",
            ),
        ] {
            assert_eq!(output_of(source), output);
        }
    }

    #[test]
    fn a_saved_command_is_taken_apart() {
        let command = saved_command(SAVED, "fs/ext4/dir.c").unwrap();
        assert!(command.ends_with("/s/fs/ext4/dir.c"), "{command}");
        assert!(command.contains("\"a#b\""), "{command}");
        let unit = Unit::new("fs/ext4/dir.c", command, PathBuf::new()).unwrap();
        assert_eq!(unit.object, "ext4");
        assert_eq!(unit.output(), "fs/ext4/dir.o");
        let other = redirected(&unit, "-g0", std::path::Path::new("/t/x.o")).unwrap();
        assert!(other.contains(" -g0 -c -o /t/x.o /s/fs"), "{other}");
    }
}
