//! Machines by their inventories: one, many, and this one's files.

use lp_klp::core::KlpFunc;
use lp_klp::inventory::{
    FORMAT, InstalledObject, InstalledPatch, Inventory, PresentObject, cut_host,
};
use lp_klp::manifest::{self, Callbacks, Function, Manifest, Object, Target};
use lp_klp::name::Sympos;
use lp_klp::note;
use lp_klp::state::KlpState;
use lp_runtime::kernel::{Host, inventory};
use lp_verify::finding::{Finding, Severity};
use lp_verify::fleet;
use lp_verify::installed::Installed;
use lp_verify::promise::Promise;
use lp_verify::reader::Module;
use lp_verify::reader::tables::{TableObject, Tables};
use lp_verify::rules;
use std::fs;
use std::path::PathBuf;

const RELEASE: &str = "6.1.0-53-cloud-amd64";

fn kernel() -> Target {
    Target {
        kind: lp_klp::manifest::TargetKind::Kernel,
        release: RELEASE.into(),
        build_id: "aa".into(),
        arch: "x86_64".into(),
    }
}

fn manifest(name: &str, functions: &[&str], states: &[(u64, u32)]) -> Manifest {
    let function = |name: &&str| Function {
        name: (*name).into(),
        new_name: String::new(),
        sympos: Sympos::UNIQUE,
        old_size: 1,
        old_hash: String::new(),
    };
    let state = |&(id, version): &(u64, u32)| KlpState {
        id,
        version,
        name: String::new(),
    };
    Manifest {
        format: manifest::FORMAT,
        tool: "test".into(),
        name: name.into(),
        version: "1".into(),
        description: String::new(),
        target: kernel(),
        replace: true,
        states: states.iter().map(state).collect(),
        objects: vec![Object {
            name: "vmlinux".parse().unwrap(),
            file: String::new(),
            build_id: String::new(),
            functions: functions.iter().map(function).collect(),
            callbacks: Callbacks::default(),
        }],
        kept_states: Vec::new(),
        shadow_ids: Vec::new(),
    }
}

fn module(manifest: Manifest) -> Module {
    let patch = manifest.patch();
    let object = |object: lp_klp::core::KlpObject| TableObject {
        name: object.name,
        funcs: Ok(object.funcs),
        code: Vec::new(),
        callbacks: Vec::new(),
    };
    let info = [
        ("livepatch", "Y"),
        ("name", &manifest.name),
        ("vermagic", "6.1.0-53-cloud-amd64 SMP"),
    ];
    Module {
        path: PathBuf::from(format!("{}.ko", manifest.name)),
        modinfo: info
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        tables: Tables {
            replace: Ok(patch.replace),
            states: Ok(patch.states),
            objects: Ok(patch.objects.into_iter().map(object).collect()),
            variables: Vec::new(),
        },
        manifest: Some(manifest),
        signed: false,
        arch: "x86_64",
        klp_symbols: Vec::new(),
        klp_sections: Vec::new(),
        imports: Default::default(),
    }
}

fn installed(name: &str, functions: &[&str], manifest: Option<Manifest>) -> InstalledPatch {
    let function = |name: &&str| KlpFunc {
        old_name: (*name).into(),
        sympos: Sympos(1),
    };
    InstalledPatch {
        name: name.into(),
        enabled: true,
        transition: false,
        replace: None,
        objects: vec![InstalledObject {
            name: "vmlinux".parse().unwrap(),
            functions: functions.iter().map(function).collect(),
        }],
        manifest,
    }
}

fn host(name: &str, patches: Vec<InstalledPatch>) -> Inventory {
    Inventory {
        host: name.into(),
        format: FORMAT,
        kernel: kernel(),
        process: None,
        signatures: Some(false),
        modules: Vec::new(),
        kprobes: None,
        patches,
    }
}

fn found(new: &Module, on: &Inventory) -> Vec<(Severity, Promise)> {
    let findings = rules::check(new, &Installed::of_inventory(on), None);
    findings
        .iter()
        .map(|finding| (finding.severity, finding.promise))
        .collect()
}

#[test]
fn a_machine_of_the_right_kernel_with_nothing_installed_takes_it() {
    assert_eq!(
        found(&module(manifest("new", &["f"], &[])), &host("a", vec![])),
        []
    );
}

#[test]
fn another_build_of_the_same_release_is_another_kernel() {
    let mut other = host("a", vec![]);
    other.kernel.build_id = "bb".into();
    assert_eq!(
        found(&module(manifest("new", &["f"], &[])), &other),
        [(Severity::Error, Promise::Machine)]
    );
}

#[test]
fn a_module_of_another_build_is_another_module() {
    let mut machine = host("a", vec![]);
    machine.modules = vec![PresentObject {
        name: "nf_tables".parse().unwrap(),
        build_id: "cc".into(),
    }];
    let mut of_module = manifest("new", &["f"], &[]);
    of_module.objects[0].name = "nf_tables".parse().unwrap();
    for (built_with, findings) in [
        ("dd", vec![(Severity::Error, Promise::Machine)]),
        ("cc", vec![]),
        // A patch of an older lp-build does not say it.
        ("", vec![]),
    ] {
        of_module.objects[0].build_id = built_with.into();
        assert_eq!(found(&module(of_module.clone()), &machine), findings);
    }
}

#[test]
fn a_machine_that_wants_signatures_refuses_a_module_without() {
    let mut strict = host("a", vec![]);
    strict.signatures = Some(true);
    let mut new = module(manifest("new", &["f"], &[]));
    assert_eq!(found(&new, &strict), [(Severity::Error, Promise::Machine)]);
    new.signed = true;
    assert_eq!(found(&new, &strict), []);
}

#[test]
fn a_patch_in_transition_is_in_the_way() {
    let mut old = installed("old", &["f"], Some(manifest("old", &["f"], &[])));
    old.transition = true;
    assert_eq!(
        found(&module(manifest("new", &["f"], &[])), &host("a", vec![old])),
        [(Severity::Error, Promise::Transition)]
    );
}

#[test]
fn states_of_a_patch_without_note_cannot_be_known() {
    let old = installed("old", &["f"], None);
    let findings = found(&module(manifest("new", &["f"], &[])), &host("a", vec![old]));
    assert_eq!(findings[0], (Severity::Error, Promise::States));
}

#[test]
fn a_function_that_goes_back_to_the_original_is_told() {
    let old = installed("old", &["f", "g"], Some(manifest("old", &["f", "g"], &[])));
    let findings = rules::check(
        &module(manifest("new", &["f"], &[])),
        &Installed::of_inventory(&host("a", vec![old])),
        None,
    );
    let [
        Finding {
            severity: Severity::Warning,
            message,
            ..
        },
    ] = &findings[..]
    else {
        panic!("{findings:?}")
    };
    assert!(message.contains("without its fix to g"), "{message}");
}

#[test]
fn a_way_back_that_is_closed_is_told() {
    let old = installed("old", &["f"], Some(manifest("old", &["f"], &[(1, 1)])));
    let new = module(manifest("new", &["f"], &[(1, 2)]));
    assert_eq!(
        found(&new, &host("a", vec![old])),
        [(Severity::Note, Promise::States)]
    );
}

#[test]
fn a_probe_at_a_function_is_told() {
    let mut probed = host("a", vec![]);
    probed.kprobes = Some(vec!["f".into(), "h".into()]);
    assert_eq!(
        found(&module(manifest("new", &["f"], &[])), &probed),
        [(Severity::Warning, Promise::Overlap)]
    );
}

#[test]
fn equal_machines_are_one_group_and_broken_lines_are_named() {
    let line = |name: &str, version| {
        let patches = match version {
            0 => vec![],
            version => vec![installed(
                "old",
                &["f"],
                Some(manifest("old", &["f"], &[(1, version)])),
            )],
        };
        host(name, patches).to_line().unwrap()
    };
    // The same machine, spelt by another program.
    let other =
        serde_json::to_string(&serde_json::from_str::<serde_json::Value>(&line("e", 0)).unwrap())
            .unwrap();
    let text = [
        line("a", 2),
        line("b", 0),
        "nonsense".into(),
        line("c", 0),
        String::new(),
        line("d", 1),
        other,
    ]
    .join("\n");
    let fleet = fleet::judge(
        &module(manifest("new", &["f"], &[(1, 1)])),
        text.as_bytes(),
        None,
    )
    .unwrap();
    let groups: Vec<_> = fleet
        .groups
        .iter()
        .map(|group| (group.accepted, group.machines, group.hosts.join(" ")))
        .collect();
    assert_eq!(
        groups,
        [
            (false, 1, "a".into()),
            (true, 3, "b c e".into()),
            (true, 1, "d".into())
        ]
    );
    assert_eq!((fleet.machines, fleet.accepted, fleet.broken), (5, 4, 1));
    assert_eq!(fleet.broken_lines[0].0, 3);
}

/// Groups of a fleet as (accepted, machines, hosts).
fn groups(new: &Module, text: &str) -> Vec<(bool, u64, String)> {
    let fleet = fleet::judge(new, text.as_bytes(), None).unwrap();
    let groups = fleet.groups.iter();
    groups
        .map(|group| (group.accepted, group.machines, group.hosts.join(" ")))
        .collect()
}

#[test]
fn machines_that_differ_in_nothing_that_matters_are_one_group() {
    let new = module(manifest("new", &["f"], &[]));
    let mut probed = [
        host("a", vec![]),
        host("b", vec![]),
        host("c", vec![]),
        host("d", vec![]),
    ];
    for (machine, probe) in probed.iter_mut().zip(["g", "h", "f", "h"]) {
        machine.kprobes = Some(vec![probe.into()]);
    }
    probed[0].modules = vec![PresentObject {
        name: "zfs".parse().unwrap(),
        build_id: "aa".into(),
    }];
    let lines: Vec<String> = probed.iter().map(|it| it.to_line().unwrap()).collect();
    // Only the probe at the patched function is told of, and no module that is not patched.
    assert_eq!(
        groups(&new, &lines.join("\n")),
        [(true, 3, "a b d".into()), (true, 1, "c".into())]
    );
}

#[test]
fn a_host_is_cut_out_wherever_it_is_spelt() {
    let cut = |line: &str| cut_host(line.as_bytes()).map(|cut| cut.host.to_vec());
    let is_a = Some(b"a".to_vec());
    assert_eq!(cut(r#"{"host":"a","format":1}"#), is_a);
    assert_eq!(cut(r#"{ "format" : 1 , "host" : "a" }"#), is_a);
    // Neither a member of another object, nor a value.
    assert_eq!(cut(r#"{"kernel":{"host":"b"},"host":"a"}"#), is_a);
    assert_eq!(cut(r#"{"name":"host","x":["host"],"host":"a"}"#), is_a);
    assert_eq!(cut(r#"{"na\"me{":"]","host":"a"}"#), is_a);
    // To be read in full.
    for line in [
        r#"{"host":"\u0061"}"#,
        r#"{"host":7}"#,
        r#"{"host":"a"#,
        r#"{"format":1}"#,
        "",
    ] {
        assert_eq!(cut(line), None, "{line}");
    }
}

#[test]
fn a_line_without_an_end_is_one_broken_line() {
    let new = module(manifest("new", &["f"], &[]));
    let good = host("a", vec![]).to_line().unwrap();
    let endless = std::io::Read::take(std::io::repeat(b'{'), 100 << 20);
    let rest = format!("\n{good}\nnonsense\n");
    let text = std::io::Read::chain(endless, rest.as_bytes());
    let fleet = fleet::judge(&new, text, None).unwrap();
    let lines: Vec<u64> = fleet.broken_lines.iter().map(|(line, _)| *line).collect();
    assert_eq!((fleet.machines, lines), (1, vec![1, 3]));
}

#[test]
fn an_inventory_with_a_missing_field_says_which() {
    let error = Inventory::from_line(b"{\"host\":\"a\",\"format\":1,\"patches\":[]}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("missing field `kernel`"), "{error}");
    let later = host("a", vec![])
        .to_line()
        .unwrap()
        .replace("\"format\":1", "\"format\":9");
    assert!(
        Inventory::from_line(later.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("format 9")
    );
}

#[test]
fn this_machines_files_are_read() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    assert!(inventory(&Host::at(root.path())).is_err());
    write("proc/sys/kernel/osrelease", b"6.1.0-53-cloud-amd64\n");
    write("sys/kernel/livepatch/old/enabled", b"1\n");
    write("sys/kernel/livepatch/old/transition", b"0\n");
    write("sys/kernel/livepatch/old/vmlinux/f,1/none", b"");
    let told = manifest("old", &["f"], &[(1, 1)]);
    write(
        "sys/module/old/notes/.note.livepatch",
        &note::encode(&told).unwrap(),
    );
    // Of the kernel's own modules its build-id tells enough.
    write("sys/module/till/taint", b"OE\n");
    let build_id = [
        4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, b'G', b'N', b'U', 0, 0xa, 0xb,
    ];
    write("sys/module/till/notes/.note.gnu.build-id", &build_id);
    write("sys/module/nf_tables/taint", b"\n");
    write("sys/module/kernel/parameters/panic", b"0\n");
    let read = inventory(&Host::at(root.path())).unwrap();
    assert_eq!(read.kernel.release, RELEASE);
    assert_eq!(read.patches, [installed("old", &["f"], Some(told))]);
    assert_eq!(
        read.modules,
        [PresentObject {
            name: "till".parse().unwrap(),
            build_id: "0a0b".into()
        }]
    );
}
