//! The manifest and its note: round trips, and bytes that mean harm.

use lp_klp::manifest::{
    Callbacks, FORMAT, Function, Manifest, ManifestError, Object, Target, TargetKind,
};
use lp_klp::name::Sympos;
use lp_klp::note::{NoteError, decode, decode_desc, encode, encode_desc};
use lp_klp::state::KlpState;

fn manifest() -> Manifest {
    let function = Function {
        name: "meminfo_proc_show".to_owned(),
        sympos: Sympos(0),
        new_name: String::new(),
        old_size: 0x4c1,
        old_hash: "ab".repeat(32),
    };
    Manifest {
        format: FORMAT,
        tool: "lp-build 0.1.0".to_owned(),
        name: "lp_meminfo".to_owned(),
        version: "1.2".to_owned(),
        description: "größer".to_owned(),
        target: Target {
            kind: TargetKind::Kernel,
            release: "6.1.0-53-cloud-amd64".to_owned(),
            build_id: "00ff".to_owned(),
            arch: "x86_64".to_owned(),
        },
        replace: true,
        states: vec![KlpState {
            id: 7,
            version: 2,
            name: "console".to_owned(),
        }],
        objects: vec![Object {
            name: "vmlinux".parse().unwrap(),
            file: String::new(),
            build_id: String::new(),
            functions: vec![function],
            callbacks: Callbacks {
                pre_patch: Some("before".to_owned()),
                ..Callbacks::default()
            },
        }],
        kept_states: Vec::new(),
        shadow_ids: [1, u64::MAX]
            .map(|id| lp_klp::manifest::ShadowId {
                id,
                name: "lock".to_owned(),
            })
            .to_vec(),
    }
}

/// A note of any owner and type, padded.
fn note(owner: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [owner.len() as u32, desc.len() as u32, kind] {
        bytes.extend(word.to_le_bytes());
    }
    for part in [owner, desc] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A small deterministic generator (xorshift64*): tests must fail the same way twice.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn a_manifest_reads_back_as_written() {
    let written = encode(&manifest()).unwrap();
    assert_eq!(written.len() % 4, 0);
    assert_eq!(decode(&written).unwrap(), manifest());
}

#[test]
fn the_bytes_are_those_of_an_elf_note() {
    assert_eq!(
        encode_desc(b"{}"),
        b"\x0a\0\0\0\x02\0\0\0\x01\0\0\0livepatch\0\0\0{}\0\0"
    );
}

#[test]
fn equal_manifests_give_equal_bytes() {
    assert_eq!(encode(&manifest()).unwrap(), encode(&manifest()).unwrap());
}

#[test]
fn fields_of_a_later_tool_are_skipped() {
    let text = String::from_utf8(manifest().to_json().unwrap()).unwrap();
    let later = text.replacen('{', "{\"colour\":\"blue\",", 1);
    assert_eq!(Manifest::from_json(later.as_bytes()).unwrap(), manifest());
}

#[test]
fn a_later_format_is_refused_before_its_fields_are_read() {
    let error = Manifest::from_json(b"{\"format\":2,\"name\":[]}").unwrap_err();
    assert!(matches!(error, ManifestError::Format(2)));
    assert!(matches!(
        Manifest::from_json(b"{\"format\":0}"),
        Err(ManifestError::Format(0))
    ));
    assert!(matches!(
        Manifest::from_json(b"{\"format\":18446744073709551615}"),
        Err(ManifestError::Format(_))
    ));
}

#[test]
fn what_is_left_out_has_defaults() {
    let text = r#"{"format":1,"tool":"t","name":"n","version":"1","target":{"release":"r","arch":"x86_64"},
        "replace":false,"objects":[{"name":"nf-tables","functions":[{"name":"f"}]}]}"#;
    let read = Manifest::from_json(text.as_bytes()).unwrap();
    assert_eq!(read.objects[0].name.as_str(), "nf_tables");
    assert_eq!(read.objects[0].functions[0].sympos, Sympos::UNIQUE);
    assert!(read.states.is_empty() && read.objects[0].callbacks.is_empty());
}

#[test]
fn the_patch_has_every_object_function_and_state() {
    let patch = manifest().patch();
    assert_eq!(patch.objects[0].funcs[0].old_name, "meminfo_proc_show");
    assert_eq!(patch.states, manifest().states);
    assert!(patch.replace && patch.defects().is_empty());
}

#[test]
fn our_note_is_found_among_others() {
    let mut section = note(b"GNU\0", 3, &[1; 20]);
    section.extend(note(b"livepatch\0", 2, b"another type"));
    section.extend(encode(&manifest()).unwrap());
    section.extend(note(b"", 0, b""));
    assert_eq!(decode(&section).unwrap(), manifest());
}

#[test]
fn a_wrong_owner_is_no_manifest() {
    for owner in [&b"GNU\0"[..], b"livepatc\0", b"livepatch2\0", b""] {
        assert!(matches!(
            decode(&note(owner, 1, b"{}")),
            Err(NoteError::Missing)
        ));
    }
    assert!(matches!(decode(b""), Err(NoteError::Missing)));
}

#[test]
fn two_manifests_are_refused() {
    let mut section = encode(&manifest()).unwrap();
    section.extend(section.clone());
    assert!(matches!(decode(&section), Err(NoteError::Several(2))));
}

#[test]
fn a_section_cut_anywhere_is_an_error() {
    let whole = encode_desc(b"{\"a\":1}");
    let content = 12 + 12 + 7;
    for size in 1..whole.len() {
        let read = decode_desc(&whole[..size]);
        if size < content {
            assert!(matches!(read, Err(NoteError::Truncated { .. })), "{size}");
        } else {
            assert_eq!(read.unwrap(), b"{\"a\":1}");
        }
    }
}

#[test]
fn huge_sizes_are_errors() {
    for (namesz, descsz) in [
        (u32::MAX, 0),
        (0, u32::MAX),
        (u32::MAX, u32::MAX),
        (0x7fff_fffd, 0x7fff_fffd),
        (10, 0xffff_fff0),
    ] {
        let mut bytes = encode_desc(b"{}");
        bytes[..4].copy_from_slice(&namesz.to_le_bytes());
        bytes[4..8].copy_from_slice(&descsz.to_le_bytes());
        assert!(matches!(
            decode(&bytes),
            Err(NoteError::Truncated { offset: 0, .. })
        ));
    }
}

#[test]
fn damaged_notes_never_panic() {
    let whole = encode(&manifest()).unwrap();
    let mut random = Random(0x6c69_7665_7061_7463);
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.next() % 4 {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
        bytes.truncate(random.next() as usize % (whole.len() * 2));
        let _ = decode(&bytes);
    }
}

#[test]
fn any_description_survives_the_note() {
    let mut random = Random(1);
    for size in 0..200 {
        let desc: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
        assert_eq!(decode_desc(&encode_desc(&desc)).unwrap(), desc);
    }
}
