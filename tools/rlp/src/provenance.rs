// SPDX-License-Identifier: GPL-2.0

//! provenance.json: which files a level has, who has built it, and from which files. It is an
//! in-toto statement (v1) with SLSA's provenance (v1) as its predicate. The signature of the
//! repository covers it with the package.

use crate::digest::Digest;
use crate::level::Level;
use crate::level_input::{
    File,
    Input, //
};
use crate::publisher::Publisher;
use serde_json::{
    json,
    Value, //
};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// The kind of this build, as Documentation/repository.rst describes it.
const BUILD: &str = "urn:uuid:5d3f0f1c-8c0e-4b41-9b0a-2f6f4f1c7a63";

fn described(name: &str, sha256: Digest) -> Value {
    json!({ "name": name, "digest": { "sha256": sha256 } })
}

fn described_file(file: &File) -> Value {
    described(&file.path, Digest::of(&file.content))
}

/// The files that the level was built from.
fn dependencies(inputs: &[Input], cve_data: Option<&[u8]>) -> Vec<Value> {
    let mut all = Vec::new();
    for input in inputs {
        all.extend(input.files.iter().map(described_file));
        let release = &input.kernel.release;
        let name = format!("{release}/source-patches");
        all.extend(input.source.map(|sha256| described(&name, sha256)));
    }
    all.extend(cve_data.map(|data| described("cve-data", Digest::of(data))));
    all
}

/// The statement about all other files of the package.
pub(crate) fn statement(
    level: &Level,
    files: &[File],
    inputs: &[Input],
    cve_data: Option<&[u8]>,
    publisher: &Publisher,
) -> Value {
    let kernels = level
        .kernels
        .iter()
        .map(|kernel| json!({ "release": kernel.release, "build_id": kernel.build_id }));
    json!({
        "_type": STATEMENT,
        "subject": files.iter().map(described_file).collect::<Vec<_>>(),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "level": level.level,
                    "blocked": level.blocked,
                    "kernels": kernels.collect::<Vec<_>>(),
                },
                "internalParameters": {},
                "resolvedDependencies": dependencies(inputs, cve_data),
            },
            "runDetails": {
                "builder": {
                    "id": publisher.uri(),
                    "version": { "rlp": env!("CARGO_PKG_VERSION") },
                },
                "metadata": {
                    "startedOn": level.published,
                    "finishedOn": level.published,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::BUILD;

    #[test]
    fn the_guide_describes_the_kind_of_the_build() {
        let guide = include_str!("../../../Documentation/repository.rst");
        assert!(guide.contains(&format!("``{BUILD}``")));
    }
}
