// SPDX-License-Identifier: GPL-2.0

//! fix.proof.json: the functions that the module replaces, and the proof that each of them is the
//! shipped one.

use crate::link::Info;
use crate::positions::Replaced;
use serde::Serialize;

/// The format's version. It changes with a field's meaning, not when a field is added.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Proof<'a> {
    format: u32,
    module: &'a str,
    /// The build id of the module. Neither strip nor a signature changes it.
    build_id: Option<String>,
    description: &'a str,
    level: Option<&'a str>,
    cves: &'a [String],
    fixes: &'a [String],
    /// SHA-256 of the patches, concatenated in order.
    patch: &'a str,
    kernel: Kernel<'a>,
    functions: Vec<Function<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Kernel<'a> {
    pub(crate) release: &'a str,
    pub(crate) build_id: Option<String>,
    pub(crate) source: &'a str,
    pub(crate) compiler: &'a str,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    object: &'a str,
    unit: &'a str,
    name: &'a str,
    position: u64,
    address: &'a str,
    size: u64,
    sha256: &'a str,
    compared: Compared,
}

/// The parts of a function that were compared with the shipped image.
#[derive(Debug, Serialize)]
struct Compared {
    bytes: u64,
    relocations: usize,
    read_only_data: usize,
}

impl<'a> Proof<'a> {
    pub(crate) fn new(
        info: &'a Info,
        build_id: Option<String>,
        fixes: &'a [String],
        patch: &'a str,
        kernel: Kernel<'a>,
        replaced: &'a [Replaced],
    ) -> Self {
        let functions = replaced
            .iter()
            .map(|function| Function {
                object: &function.object,
                unit: &function.unit,
                name: &function.name,
                position: function.position,
                address: &function.place,
                size: function.size,
                sha256: &function.sha256,
                compared: Compared {
                    bytes: function.size,
                    relocations: function.relocations,
                    read_only_data: function.constants,
                },
            })
            .collect();
        Self {
            format: FORMAT,
            module: &info.name,
            build_id,
            description: &info.description,
            level: info.level.as_deref(),
            cves: &info.cves,
            fixes,
            patch,
            kernel,
            functions,
        }
    }
}
