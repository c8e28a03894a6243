// SPDX-License-Identifier: GPL-2.0

//! check and doctor on a machine with Secure Boot: whether modules are signed, and whether the
//! kernel has the keys.

use crate::common::{
    Machine,
    RELEASE, //
};

const SECURE_BOOT: &str =
    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const KEYS: &str = "\
0d1ab2b2 I--Q---     1 perm 1f3f0000     0 65534 keyring   _uid.0: empty
25b29d2f I------     1 perm 1f030000     0     0 asymmetri \
Debian Secure Boot CA: 6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1: X509.rsa bb419ea1 []
2ee7a9f7 I------     1 perm 1f030000     0     0 asymmetri \
Owner: our key: 2a89df0f1e3e669aaf9b3c786cf2ceea2c4738aa: X509.rsa 2c4738aa []
";

/// A part of a DER encoding.
fn part(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut part = vec![tag];
    match length {
        0..0x80 => part.push(length as u8),
        _ => part.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    part.extend(content);
    part
}

/// A part of an issuer's name: the object id 2.5.4.`kind`, and a UTF-8 string.
fn name_part(kind: u8, text: &str) -> Vec<u8> {
    let pair = [part(6, &[0x55, 4, kind]), part(0x0c, text.as_bytes())].concat();
    part(0x31, &part(0x30, &pair))
}

/// The signature that sign-file appends to a module. `signer` has the number of the key, or the
/// name of the key's issuer.
fn signature(signer: &[u8]) -> Vec<u8> {
    let algorithm = part(0x30, &part(6, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]));
    let info = [
        part(2, &[1]),
        signer.to_vec(),
        algorithm.clone(),
        part(4, &[0xab; 256]),
    ];
    let signed = [
        part(2, &[1]),
        part(0x31, &algorithm),
        part(0x30, &part(6, &[0x2a, 0x86, 0x48])),
        part(0x31, &part(0x30, &info.concat())),
    ];
    let message = [
        part(6, &[0x2a, 0x86, 0x48]),
        part(0xa0, &part(0x30, &signed.concat())),
    ];
    let mut signature = part(0x30, &message.concat());
    let length = signature.len() as u32;
    signature.extend([0, 0, 2, 0, 0, 0, 0, 0]);
    signature.extend(length.to_be_bytes());
    signature.extend(b"~Module signature appended~\n");
    signature
}

fn issuer(parts: &[(u8, &str)]) -> Vec<u8> {
    let name: Vec<_> = parts
        .iter()
        .flat_map(|&(kind, text)| name_part(kind, text))
        .collect();
    part(0x30, &[part(0x30, &name), part(2, &[0x5a])].concat())
}

/// Appends a signature to a module.
fn sign(machine: &Machine, file: &str, signer: &[u8]) {
    let mut bytes = std::fs::read(machine.path(file)).unwrap();
    bytes.extend(signature(signer));
    machine.write_bytes(file, &bytes);
}

fn with_secure_boot() -> Machine {
    let machine = Machine::new();
    machine.write_bytes(SECURE_BOOT, &[6, 0, 0, 0, 1]);
    machine.write(
        "sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    machine.write("proc/keys", KEYS);
    machine
}

#[test]
fn secure_boot_is_reported() {
    let machine = with_secure_boot();
    machine
        .run(&["doctor"])
        .says(0, "ok     Secure Boot is switched on\n");
    machine.run(&["doctor"]).has("the kernel is locked down");
    machine.json(&["doctor"]);
    machine.write_bytes(SECURE_BOOT, &[6, 0, 0, 0, 0]);
    machine
        .run(&["doctor"])
        .says(0, "ok     Secure Boot is switched off\n");
    std::fs::remove_file(machine.path(SECURE_BOOT)).unwrap();
    let output = machine.run(&["doctor"]);
    assert!(!output.out.contains("Secure Boot is"), "{output:?}");
}

#[test]
fn the_key_of_a_file_is_looked_for() {
    let machine = with_secure_boot();
    let path = machine.module("fix", RELEASE, "rlp_enable_patch");
    let path = path.to_str().unwrap();
    let unsigned = std::fs::read(path).unwrap();
    let check = |signer: Option<&[u8]>, status: i32, text: &str| {
        machine.write_bytes("files/fix.ko", &unsigned);
        if let Some(signer) = signer {
            sign(&machine, "files/fix.ko", signer);
        }
        let output = machine.run(&["check", path]);
        output.says(status, text);
        machine.json(&["check", path]);
        output
    };
    check(
        None,
        6,
        "fix.ko is not signed, and the kernel requires a signature\n",
    );
    check(
        Some(&issuer(&[(10, "Owner"), (3, "our key")])),
        0,
        "ok     /files/fix.ko is signed with the key 'Owner: our key', which the kernel has\n",
    );
    check(
        Some(&issuer(&[(10, "Debian"), (3, "Debian Secure Boot CA")])),
        0,
        "is signed with the key 'Debian Secure Boot CA', which the kernel has\n",
    );
    let output = check(
        Some(&issuer(&[(3, "other key")])),
        6,
        "wrong  /files/fix.ko is signed with the key 'other key', which the kernel does not have\n",
    );
    output.has("next: mokutil --import CERTIFICATE.der");
    let number: Vec<u8> = (0..20).collect();
    check(
        Some(&part(0x80, &number)),
        6,
        "with the number 000102030405",
    );
    let number = [
        0x2a, 0x89, 0xdf, 0x0f, 0x1e, 0x3e, 0x66, 0x9a, 0xaf, 0x9b, 0x3c, 0x78, 0x6c, 0xf2, 0xce,
        0xea, 0x2c, 0x47, 0x38, 0xaa,
    ];
    check(Some(&part(0x80, &number)), 0, "which the kernel has\n");
    // A signature of an unknown kind is left to the kernel.
    check(Some(&part(5, &[])), 0, "ok     /files/fix.ko is signed\n");

    // Without lockdown the kernel loads the module all the same.
    machine.write(
        "sys/kernel/security/lockdown",
        "[none] integrity confidentiality\n",
    );
    check(
        Some(&issuer(&[(3, "other key")])),
        0,
        "note   /files/fix.ko is signed with the key 'other key'",
    );
    assert!(!check(None, 0, "is a live patch")
        .out
        .contains("is not signed"));
    machine.write("sys/module/module/parameters/sig_enforce", "Y\n");
    check(
        None,
        6,
        "fix.ko is not signed, and the kernel requires a signature\n",
    );
    std::fs::remove_file(machine.path("sys/module/module/parameters/sig_enforce")).unwrap();
    machine.write("sys/module/rust_livepatch/parameters/require_signed", "Y\n");
    check(
        None,
        6,
        "fix.ko is not signed, and the loader requires a signature\n",
    );

    // A user that may not see the keys learns nothing about them.
    machine.write("proc/keys", KEYS.lines().next().unwrap());
    check(
        Some(&issuer(&[(3, "other key")])),
        0,
        "ok     /files/fix.ko is signed\n",
    );
}

#[test]
fn the_keys_of_the_loader_and_of_installed_patches_are_looked_for() {
    let machine = with_secure_boot();
    let loader = format!("lib/modules/{RELEASE}/updates/rust_livepatch.ko");
    let boot = format!("var/lib/rlp/boot/{RELEASE}/fix.ko");
    machine.module("rust_livepatch", RELEASE, "printk");
    let unsigned = std::fs::read(machine.path("files/rust_livepatch.ko")).unwrap();
    machine.write_bytes(&loader, &unsigned);
    machine.run(&["doctor"]).says(0, "the loader is loaded");

    std::fs::remove_dir(machine.path("sys/kernel/rust_livepatch")).unwrap();
    machine.run(&["doctor"]).says(
        6,
        "updates/rust_livepatch.ko is not signed, and the kernel requires a signature\n",
    );
    sign(&machine, &loader, &issuer(&[(3, "other key")]));
    machine.run(&["check", "--kernel"]).says(
        6,
        "updates/rust_livepatch.ko is signed with the key 'other key'",
    );
    machine.write_bytes(&loader, &unsigned);
    sign(&machine, &loader, &issuer(&[(10, "Owner"), (3, "our key")]));
    machine
        .run(&["check", "--kernel"])
        .says(0, "which the kernel has\n");

    machine.folder("sys/kernel/rust_livepatch");
    machine.write(
        "etc/systemd/system/sysinit.target.wants/rlp-boot.service",
        "",
    );
    let patch = machine.module("fix", RELEASE, "rlp_enable_patch");
    machine.write_bytes(&boot, &std::fs::read(patch).unwrap());
    machine.write(&format!("var/lib/rlp/boot/{RELEASE}/list"), "fix\n");
    sign(&machine, &boot, &issuer(&[(3, "other key")]));
    machine.run(&["doctor"]).says(
        6,
        "fix.ko is signed with the key 'other key', which the kernel does not have\n",
    );
}

/// No file and no list of keys makes the program fail.
#[test]
fn damaged_signatures() {
    let machine = with_secure_boot();
    let path = machine.module("fix", RELEASE, "rlp_enable_patch");
    let module = std::fs::read(&path).unwrap();
    let whole = signature(&issuer(&[(10, "Owner"), (3, "our key")]));
    let end = whole.len() - 40;
    for at in (0..end).step_by(3) {
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            machine.write_bytes("files/fix.ko", &[&module[..], &changed].concat());
            let output = machine.run(&["check", path.to_str().unwrap()]);
            assert!([0, 6].contains(&output.status), "byte {at}: {output:?}");
        }
        // The beginning is missing, and the length is that of the whole signature.
        machine.write_bytes("files/fix.ko", &whole[at..]);
        machine
            .run(&["check", path.to_str().unwrap()])
            .says(6, "is not a module");
    }
    for keys in [
        "",
        "x asymmetri ",
        "x asymmetri : X509.",
        "x asymmetri a: X509.",
        "\0",
    ] {
        machine.write("proc/keys", keys);
        machine.run(&["doctor"]).says(0, "Secure Boot");
    }
}
