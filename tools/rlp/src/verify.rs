// SPDX-License-Identifier: GPL-2.0

//! verify: whether a history is as it was written.

use crate::cli;
use crate::failure::{
    on_file,
    Failure,
    Result,
    ANSWER_IS_NO, //
};
use crate::head::HeadFile;
use crate::history;
use crate::host;
use crate::judge::{
    Anchor,
    Chain,
    Judged,
    Kind,
    Lines, //
};
use crate::output::{
    printable,
    Paint,
    Report, //
};
use crate::signature;
use crate::system::System;
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{
    BufReader,
    ErrorKind, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// The extension of the file with a signature, as ssh-keygen names the file.
const SIGNATURE: &str = "sig";

/// The number of findings that are printed for people.
const SHOWN: usize = 100;

/// The advice for a file that is not whole.
const NEXT: &str =
    "keep the file as it is, and compare it with the journal of that machine (journalctl \
                    _UID=0 SYSLOG_IDENTIFIER=rlp) and with exports before this one";

/// The note for a check without an anchor.
const NO_ANCHOR: &str =
    "records that are missing at the end would not be noticed: name the head of an \
                         earlier verify (--head), or the signature of an export (--signature)";

/// A file, and the result of its check.
pub(crate) struct Verified {
    pub(crate) file: PathBuf,
    pub(crate) judged: Judged,
    /// Whether the file was compared with a head from outside of it.
    pub(crate) is_anchored: bool,
    /// The time that the signed head has, and the fingerprint of the key that has signed it. `None`
    /// without a signature, or if the signature is not valid.
    pub(crate) signed: Option<(String, String)>,
}

/// Reads the head beside this signature, and checks the signature. The second value is the
/// fingerprint of the host's key that has signed, or the reason why the signature is not valid.
fn signed_head(
    signature: &Path,
    allowed: &Path,
) -> Result<(HeadFile, std::result::Result<String, String>)> {
    if signature
        .extension()
        .is_none_or(|ending| ending != SIGNATURE)
    {
        return Err(Failure::refused(format!(
            "{} is not the signature of a head",
            signature.display()
        ))
        .next("name the file that ends with .head.sig; the head is beside it"));
    }
    let (head, text) = HeadFile::read(&signature.with_extension(""))?;
    let checked = signature::verify(allowed, &head.host, signature, &text)?;
    Ok((head, checked))
}

fn verify(system: &System, arguments: &cli::Verify) -> Result<Verified> {
    let own = system.path(&history::path());
    let file = arguments.file.clone().unwrap_or_else(|| own.clone());
    let mut host = arguments.host.clone();
    let mut anchors: Vec<Anchor> = arguments.head.iter().cloned().collect();
    let mut signed = None;
    if let (Some(signature), Some(allowed)) = (&arguments.signature, &arguments.key) {
        let (head, checked) = signed_head(signature, allowed)?;
        if checked.is_ok() {
            anchors.push(head.anchor());
        }
        host.get_or_insert(head.host.clone());
        signed = Some((head, checked));
    } else if file == own && host.is_none() {
        host = host::id(system);
    }
    let chain = match File::open(&file) {
        // Nothing was recorded, or somebody has removed the file. An anchor shows which.
        Err(error) if error.kind() == ErrorKind::NotFound && file == own => Chain::default(),
        opened => {
            let reader = BufReader::new(opened.map_err(on_file(&file))?);
            Chain::read(reader).map_err(on_file(&file))?
        }
    };
    let mut judged = chain.judge(host.as_deref(), &anchors);
    let mut signed_at = None;
    if let Some((head, checked)) = signed {
        match checked {
            Ok(key) => signed_at = Some((head.time, key)),
            Err(why) => {
                let text = format!(
                    "the signature is not valid: {}",
                    printable(&why.replace('\n', "; "))
                );
                judged.found(Kind::Unsigned, Lines::NONE, text);
            }
        }
        if Some(&head.host) != judged.host.as_ref() {
            let text = format!("the head is of the host {}", head.host);
            judged.found(Kind::OtherHost, Lines::NONE, text);
        }
    }
    Ok(Verified {
        file,
        judged,
        is_anchored: !anchors.is_empty(),
        signed: signed_at,
    })
}

pub(crate) fn run(system: &System, arguments: &cli::Verify) -> Result<Box<dyn Report>> {
    verify(system, arguments).map(|verified| Box::new(verified) as Box<dyn Report>)
}

impl Verified {
    /// Whether the file is whole, each finding, and the head, as text.
    pub(crate) fn summary(&self, paint: &Paint) -> String {
        let Judged {
            host,
            records,
            unchained,
            head,
            torn,
            findings,
            ..
        } = &self.judged;
        let file = printable(&self.file.display().to_string());
        let mut text = if self.judged.is_whole() {
            format!("{file} is {}whole{:#}\n", paint.good, paint.good)
        } else {
            format!("{file} is {}not whole{:#}\n", paint.bad, paint.bad)
        };
        // Writing to a string cannot fail.
        for finding in findings.iter().take(SHOWN) {
            let kind = finding.kind.words();
            let place = match finding.lines {
                Lines::NONE => String::new(),
                lines => format!("{}: ", lines.words()),
            };
            let (bad, words) = (paint.bad, &finding.text);
            let _ = writeln!(text, "  {place}{bad}{kind}{bad:#}: {words}");
        }
        if let Some(more @ 1..) = findings.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "  and {more} more");
        }
        if self.judged.more_findings != 0 {
            text.push_str("  there is more, which is not listed\n");
        }
        if !findings.is_empty() {
            let _ = writeln!(text, "  next: {NEXT}");
        }
        for lines in torn {
            let _ = writeln!(text, "  {}: torn, as by a power cut", lines.words());
        }
        if let Some(lines) = unchained {
            let _ = writeln!(
                text,
                "  {}: older than the chain, and unchanged since it began",
                lines.words()
            );
        }
        let host = host.as_deref().unwrap_or("unknown");
        let _ = writeln!(
            text,
            "  records in the chain: {records}, of the host {host}"
        );
        if let Some(head) = head {
            let _ = writeln!(text, "  head: {}:{}", head.seq, head.sha256);
        }
        if let Some((time, key)) = &self.signed {
            let _ = writeln!(
                text,
                "  the signed head is of {}, by the key {}",
                printable(time),
                printable(key)
            );
        }
        text
    }
}

impl Report for Verified {
    fn json(&self) -> Value {
        let mut value = json!(self.judged);
        value["file"] = json!(self.file.display().to_string());
        value["whole"] = json!(self.judged.is_whole());
        value["anchored"] = json!(self.is_anchored);
        value["signed"] = json!(self.signed.as_ref().map(|(time, _)| time));
        value["key"] = json!(self.signed.as_ref().map(|(_, key)| key));
        value
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = self.summary(paint);
        let end = self.judged.head.map_or(0, |head| head.line);
        match self.judged.anchored_seq {
            Some(seq) if self.judged.anchored_line < end => {
                let _ = writeln!(
                    text,
                    "  note: the head from outside covers the records up to {seq}: later ones may \
                     be missing at the end, or written anew"
                );
            }
            None if !self.is_anchored => text += &format!("  note: {NO_ANCHOR}\n"),
            _ => (),
        }
        text
    }

    fn status(&self) -> u8 {
        if self.judged.is_whole() {
            0
        } else {
            ANSWER_IS_NO
        }
    }
}
