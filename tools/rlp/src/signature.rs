// SPDX-License-Identifier: GPL-2.0

//! Signatures of ssh-keygen(1). This program has no keys of its own, and computes no signatures. A
//! machine with an SSH server has a key, and its users manage keys with OpenSSH already.

use crate::failure::{
    error_text,
    on_file,
    Failure,
    Result, //
};
use crate::program;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{
    Command,
    Output, //
};

/// The purpose that a signature is made for. A signature for another purpose is not valid here.
pub(crate) const NAMESPACE: &str = "evidence";

/// The key that a machine signs with.
pub(crate) const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Runs ssh-keygen with an input. It may ask for a passphrase on the terminal.
fn ssh_keygen(configure: impl FnOnce(&mut Command), input: &[u8]) -> Result<Output> {
    let failed = |error: std::io::Error| {
        let failure = Failure::error("ssh-keygen cannot be run").why(error_text(&error));
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::Interrupted => {
                failure.next("if the key has a passphrase or is on a device, name another key")
            }
            _ => failure.next("install it: apt install openssh-client"),
        }
    };
    let mut command = Command::new("ssh-keygen");
    configure(&mut command);
    program::output(&mut command, input, program::LIMIT).map_err(failed)
}

/// The reason for a failure, from the output of ssh-keygen.
fn reason(output: &Output) -> String {
    let text = [&output.stderr[..], &output.stdout[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.split(['\r', '\n']).map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

/// The fingerprint in "Good "evidence" signature for HOST with ED25519 key SHA256:...".
fn fingerprint(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut words = text.split_whitespace();
    let key = words.find(|word| word.starts_with("SHA256:"));
    key.unwrap_or("unknown").to_owned()
}

/// Signs a text. Returns the signature.
pub(crate) fn sign(key: &Path, text: &[u8]) -> Result<Vec<u8>> {
    let output = ssh_keygen(
        |command| {
            command.args(["-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key);
        },
        text,
    )?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    Err(Failure::error("the evidence was not signed")
        .why(reason(&output))
        .next("name another key with --key, or export without a signature: --unsigned"))
}

/// Checks that a text was signed by a key that the list `allowed` has for this host. Returns the
/// fingerprint of the key, or the reason why the signature is not valid. It is a failure if a file
/// cannot be read: this says nothing about the signature.
pub(crate) fn verify(
    allowed: &Path,
    host: &str,
    signature: &Path,
    text: &[u8],
) -> Result<std::result::Result<String, String>> {
    for file in [allowed, signature] {
        std::fs::read(file).map_err(on_file(file))?;
    }
    let output = ssh_keygen(
        |command| {
            command
                .args(["-Y", "verify", "-n", NAMESPACE, "-I", host, "-f"])
                .arg(allowed)
                .arg("-s")
                .arg(signature);
        },
        text,
    )?;
    Ok(if output.status.success() {
        Ok(fingerprint(&output.stdout))
    } else {
        Err(reason(&output))
    })
}
