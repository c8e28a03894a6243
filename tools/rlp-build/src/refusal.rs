// SPDX-License-Identifier: GPL-2.0

//! Why a live patch is not built.
//!
//! A refusal concerns the patch, or the kernel that the patch is for. Its text says what cannot
//! be done and what to do instead. Any other reason to end a build is a failure of a tool or of the
//! machine.
//!
//! The functions of this program have no section `# Errors`: their errors are these sentences, and
//! `Documentation/source-patches.rst` explains each reason.

use std::fmt;

/// A patch that this program does not build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    DoesNotApply {
        patch: String,
        detail: String,
    },
    ChangesNothing,
    TooLong {
        field: &'static str,
        bytes: usize,
        most: usize,
    },
    NotAPatch {
        patch: String,
        detail: String,
    },
    TooManyUsers {
        headers: String,
        units: usize,
    },
    UnsupportedFile {
        file: String,
        kind: &'static str,
    },
    NotShipped {
        unit: String,
    },
    DoesNotCompile {
        unit: String,
        detail: String,
    },
    Differs {
        function: String,
        unit: String,
        detail: String,
    },
    Inlined {
        function: String,
        unit: String,
        detail: String,
    },
    ReplacedTwice {
        function: String,
        object: String,
    },
    DefinedTwice {
        symbol: String,
    },
    NoFentry {
        function: String,
    },
    NotFound {
        function: String,
        object: String,
    },
    Discarded {
        function: String,
    },
    BootTable {
        table: String,
    },
    OverriddenWeak {
        function: String,
    },
    UnknownPlace {
        symbol: String,
    },
    RuntimeConst {
        constant: String,
    },
    ChangedData {
        detail: String,
    },
    ChangedLayout {
        objects: String,
        detail: String,
    },
    ModuleKey {
        detail: String,
    },
    Unsupported {
        detail: String,
    },
    NoModule {
        object: String,
    },
    TwoModules {
        object: String,
        first: String,
        second: String,
    },
    NewDependency {
        object: String,
        needs: String,
    },
    WrongCompiler {
        tree: String,
        here: String,
    },
    WrongSource {
        release: String,
        part: &'static str,
        other: String,
    },
}

impl Refusal {
    /// The reason's name in tables and in JSON.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::DoesNotApply { .. } => "does-not-apply",
            Self::ChangesNothing => "changes-nothing",
            Self::TooLong { .. } => "too-long",
            Self::NotAPatch { .. } => "not-a-patch",
            Self::TooManyUsers { .. } => "too-many-users",
            Self::UnsupportedFile { .. } => "unsupported-file",
            Self::NotShipped { .. } => "not-shipped",
            Self::DoesNotCompile { .. } => "does-not-compile",
            Self::Differs { .. } => "differs",
            Self::Inlined { .. } => "inlined",
            Self::ReplacedTwice { .. } => "replaced-twice",
            Self::DefinedTwice { .. } => "defined-twice",
            Self::NoFentry { .. } => "no-fentry",
            Self::NotFound { .. } => "not-in-image",
            Self::Discarded { .. } => "init",
            Self::BootTable { .. } => "boot-table",
            Self::OverriddenWeak { .. } => "overridden-weak",
            Self::UnknownPlace { .. } => "unknown-place",
            Self::RuntimeConst { .. } => "runtime-const",
            Self::ChangedData { .. } => "changed-data",
            Self::ChangedLayout { .. } => "changed-layout",
            Self::ModuleKey { .. } => "module-key",
            Self::Unsupported { .. } => "unsupported",
            Self::NoModule { .. } => "no-module",
            Self::TwoModules { .. } => "two-modules",
            Self::NewDependency { .. } => "new-dependency",
            Self::WrongCompiler { .. } => "wrong-compiler",
            Self::WrongSource { .. } => "wrong-source",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotApply { patch, detail } => write!(
                f,
                "{patch} does not apply to the kernel's source ({detail}): make it against that \
                 source"
            ),
            Self::ChangesNothing => write!(
                f,
                "the patch changes no function of the kernel: check that the code it changes is \
                 compiled in this configuration"
            ),
            Self::TooLong { field, bytes, most } => write!(
                f,
                "the module's {field} would have {bytes} bytes, and the loader shows at most \
                 {most}: shorten this, or build two modules (--no-replace)"
            ),
            Self::NotAPatch { patch, detail } => {
                write!(
                    f,
                    "{patch} is not a unified diff ({detail}): make it with diff -up or git diff"
                )
            }
            Self::UnsupportedFile { file, kind } => write!(
                f,
                "{file} is {kind}, which cannot be live patched: leave it out, or fix the problem \
                 in C code"
            ),
            Self::TooManyUsers { headers, units } => write!(
                f,
                "{units} units may include {headers}. That is too many to compile: fix the problem \
                 in the units, or allow {units} with --units"
            ),
            Self::NotShipped { unit } => write!(
                f,
                "{unit} is not in the shipped kernel: nothing there needs the fix, so leave it out \
                 of the patch"
            ),
            Self::DoesNotCompile { unit, detail } => {
                write!(
                    f,
                    "{unit} does not compile with the patch ({detail}): correct the patch"
                )
            }
            Self::Differs {
                function,
                unit,
                detail,
            } => write!(
                f,
                "{function}() of {unit} differs from the shipped function ({detail}): build with \
                 the source, the configuration and the compiler of that kernel (--explain shows \
                 the difference)"
            ),
            Self::Inlined {
                function,
                unit,
                detail,
            } => write!(
                f,
                "the compiler does not inline the same functions into {function}() of {unit} as in \
                 the shipped unit ({detail}), because each function has a section of its own here. \
                 A change could be missed: fix the problem in another unit"
            ),
            Self::ReplacedTwice { function, object } => write!(
                f,
                "two units replace the same function {function}() of {object}: change it in one \
                 of them only"
            ),
            Self::DefinedTwice { symbol } => write!(
                f,
                "two units define {symbol} with the patch: rename it in one of them, or define it \
                 only once"
            ),
            Self::NoFentry { function } => write!(
                f,
                "{function}() has no fentry call, so its calls cannot be redirected: change its \
                 callers instead, or leave it out of the patch"
            ),
            Self::NotFound { function, object } => {
                write!(
                    f,
                    "{function}() is not in the shipped {object}: change its callers instead"
                )
            }
            Self::Discarded { function } => write!(
                f,
                "{function} is in an init section, or in an exit section of the kernel itself, \
                 which a running kernel does not have: leave it out of the patch"
            ),
            Self::BootTable { table } => write!(
                f,
                "the patch changes a table that the kernel reads only when it boots or loads a \
                 module ({table}): leave this change out of the patch, or do its work in a \
                 callback (linux/livepatch_helpers.h)"
            ),
            Self::OverriddenWeak { function } => write!(
                f,
                "{function}() is a weak function that the kernel overrides: change the function \
                 that overrides it"
            ),
            Self::UnknownPlace { symbol } => write!(
                f,
                "the place of {symbol} in the shipped kernel cannot be determined: avoid the new \
                 reference to it"
            ),
            Self::RuntimeConst { constant } => write!(
                f,
                "the constant {constant}, which the kernel writes into its own code at boot, \
                 cannot be read from the shipped kernel: avoid its use"
            ),
            Self::ChangedData { detail } => write!(
                f,
                "the patch changes data that exists already ({detail}): set it in a callback \
                 instead (linux/livepatch_helpers.h)"
            ),
            Self::ChangedLayout { objects, detail } => write!(
                f,
                "{objects}, and the patch changes the layout ({detail}): use a shadow variable \
                 instead"
            ),
            Self::ModuleKey { detail } => write!(
                f,
                "the code uses a static key or static call of the module that is patched \
                 ({detail}), which the kernel cannot relocate in time: use static_key_enabled() or \
                 KLP_STATIC_CALL()"
            ),
            Self::Unsupported { detail } => {
                write!(
                    f,
                    "objtool cannot make a live patch of this change ({detail}): change the code \
                     differently"
                )
            }
            Self::NoModule { object } => write!(
                f,
                "the shipped module {object} was not found, so nothing can be compared with it: \
                 name its folder with --modules"
            ),
            Self::TwoModules {
                object,
                first,
                second,
            } => write!(
                f,
                "{first} and {second} are both the module {object}, and there is no modules.dep \
                 that says which of them is loaded: run depmod, or remove one of them"
            ),
            Self::NewDependency { object, needs } => write!(
                f,
                "the patch makes {object} use the module {needs}, on which {object} does not \
                 depend: avoid the new dependency"
            ),
            Self::WrongCompiler { tree, here } => write!(
                f,
                "the kernel was compiled by {tree}, and the compiler here is {here}: install the \
                 kernel's compiler"
            ),
            Self::WrongSource {
                release,
                part,
                other,
            } => write!(
                f,
                "the prepared tree is {release}, and the {part} is {other}: name a tree, a source \
                 and an image of one release"
            ),
        }
    }
}

/// The reason why a build ends without a module.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The patch cannot be built: exit status 3.
    Refused(Refusal),
    /// A tool failed, or a file is missing: exit status 1.
    Tool(String),
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A failure of a tool or of the machine, with its sentence.
pub(crate) fn tool_failure(sentence: impl Into<String>) -> Failure {
    Failure::Tool(sentence.into())
}

impl From<durable::Failed> for Failure {
    fn from(failed: durable::Failed) -> Self {
        io_error_at(&failed.path)(failed.error)
    }
}

/// Names the file in an error of the system.
pub(crate) fn io_error_at(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| tool_failure(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function or a variable may be in an init section.
    #[test]
    fn a_symbol_of_an_init_section_need_not_be_a_function() {
        let text = Refusal::Discarded {
            function: "early_table".into(),
        }
        .to_string();
        assert!(
            text.starts_with("early_table is in an init section"),
            "{text}"
        );
    }

    /// One patch may change both units.
    #[test]
    fn two_units_need_not_be_of_two_patches() {
        let (symbol, object) = ("f".to_owned(), "vmlinux".to_owned());
        let refusals = [
            Refusal::DefinedTwice {
                symbol: symbol.clone(),
            },
            Refusal::ReplacedTwice {
                function: symbol,
                object,
            },
        ];
        for text in refusals.map(|refusal| refusal.to_string()) {
            assert!(text.starts_with("two units "), "{text}");
            assert!(!text.contains("series"), "{text}");
        }
    }
}
