//! A kernel's own files: its exports and their versions, its functions, its modules.

use lp_klp::core::KlpFunc;
use lp_klp::name::Sympos;
use lp_verify::installed::Installed;
use lp_verify::kernel::{Kernel, Modules};
use lp_verify::promise::Promise;
use lp_verify::reader::imports::Imports;
use lp_verify::reader::tables::{TableObject, Tables};
use lp_verify::reader::{KlpSymbol, Module};
use lp_verify::rules;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a vmlinux and a module say of their exports: `printk` for all, `klp_enable_patch` for the GPL, `secret` in a
/// namespace. The table of a kernel is ordered by name, which the order of symbols need not be.
const EXPORTS: &str = r#"
.section __ksymtab,"a"
__ksymtab_printk: .long printk - ., 0, 0
__ksymtab_secret: .long secret - ., 0, 0
.section __ksymtab_gpl,"a"
__ksymtab_klp_enable_patch: .long klp_enable_patch - ., 0, 0
.section __kcrctab,"a"
.long 0x11111111, 0x22222222
.section __kcrctab_gpl,"a"
.long 0x33333333
.section __ksymtab_strings,"aMS",@progbits,1
.asciz "x"
__kstrtabns_printk: .asciz ""
__kstrtabns_secret: .asciz "INNER"
"#;

/// Functions that ftrace can redirect, and `quiet`, which it cannot.
const CODE: &str = r#"
.text
.macro function name, traced
.type \name,@function
\name: .if \traced
777: .section __mcount_loc,"a"
.quad 777b
.text
.endif
.byte 0x0f,0x1f,0x44,0,0
ret
.size \name, . - \name
.endm
function printk, 1
function secret, 1
function klp_enable_patch, 1
function quiet, 0
function only, 1
"#;

fn assemble(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (source, object) = (folder.join("source.s"), folder.join(name));
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(&source, text).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.arg("-c").arg("-o").arg(&object).arg(&source);
    assert!(gcc.status().unwrap().success());
    object
}

/// A small vmlinux: linked, its sites between two symbols.
fn vmlinux(folder: &Path) -> PathBuf {
    let text = format!(
        "{CODE}{EXPORTS}.section .rodata\n.type vermagic,@object\nvermagic: .asciz \"6.1.0 SMP modversions \"\n.size vermagic, . - vermagic\n"
    );
    let (object, linked) = (assemble(folder, "vmlinux.o", &text), folder.join("vmlinux"));
    let mut ld = Command::new("ld");
    ld.args(["-z", "noexecstack", "-e", "0"])
        .args(["--defsym", "__start_mcount_loc=ADDR(__mcount_loc)"])
        .args([
            "--defsym",
            "__stop_mcount_loc=ADDR(__mcount_loc)+SIZEOF(__mcount_loc)",
        ])
        .arg("-o")
        .arg(&linked)
        .arg(&object);
    assert!(ld.status().unwrap().success());
    linked
}

/// A module with a function of its own, and one whose name its init code has too.
fn helper(folder: &Path, name: &str) -> PathBuf {
    let text =
        format!("{CODE}function both, 1\n{EXPORTS}.section .init.text,\"ax\"\nother: ret\n",);
    let module = assemble(folder, name, &text);
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["--redefine-sym", "other=both"]).arg(&module);
    assert!(objcopy.status().unwrap().success());
    module
}

fn kernel(folder: &Path) -> Kernel {
    Kernel::open(&vmlinux(folder)).unwrap()
}

/// A patch that takes these symbols in these versions, and redirects this function.
fn module(object: &str, function: &str, imports: &[(&str, u32)]) -> Module {
    let info = [
        ("livepatch", "Y"),
        ("name", "fix"),
        ("license", "GPL"),
        ("depends", ""),
        ("vermagic", "6.1.0 SMP modversions "),
    ];
    let functions = [(object, function)];
    let object = |(object, function): (&str, &str)| TableObject {
        name: object.parse().unwrap(),
        funcs: Ok(vec![KlpFunc {
            old_name: function.to_owned(),
            sympos: Sympos::UNIQUE,
        }]),
        code: Vec::new(),
        callbacks: Vec::new(),
    };
    let versions = imports
        .iter()
        .map(|(name, version)| ((*name).to_owned(), *version));
    Module {
        path: PathBuf::from("fix.ko"),
        manifest: None,
        tables: Tables {
            replace: Ok(true),
            states: Ok(Vec::new()),
            objects: Ok(functions.map(object).into()),
            variables: Vec::new(),
        },
        modinfo: info
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        signed: false,
        arch: "x86_64",
        klp_symbols: Vec::new(),
        klp_sections: Vec::new(),
        imports: Imports {
            required: imports.iter().map(|(name, _)| (*name).to_owned()).collect(),
            optional: Vec::new(),
            versions: Some(versions.collect()),
        },
    }
}

/// The promises that do not hold.
fn broken(new: &Module, kernel: &Kernel) -> Vec<Promise> {
    let findings = rules::check(new, &Installed::default(), Some(kernel));
    let errors = findings.iter().filter(|finding| finding.is_error());
    errors.map(|finding| finding.promise).collect()
}

fn set_info(module: &mut Module, key: &str, value: &str) {
    for entry in module.modinfo.iter_mut().filter(|entry| entry.0 == key) {
        entry.1 = value.to_owned();
    }
}

#[test]
fn what_a_module_takes_is_exported_to_it_in_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path());
    let judge = |imports: &[(&str, u32)]| broken(&module("vmlinux", "only", imports), &kernel);
    assert_eq!(
        judge(&[("printk", 0x1111_1111), ("klp_enable_patch", 0x3333_3333)]),
        []
    );
    assert_eq!(judge(&[("printk", 0x1111_1112)]), [Promise::Symbols]);
    // There, but not exported; and not there at all.
    assert_eq!(judge(&[("quiet", 0)]), [Promise::Symbols]);
    assert_eq!(judge(&[("absent", 0)]), [Promise::Symbols]);
    // A namespace that is not imported.
    assert_eq!(judge(&[("secret", 0x2222_2222)]), [Promise::Symbols]);
    let mut imports = module("vmlinux", "only", &[("secret", 0x2222_2222)]);
    imports.modinfo.push(("import_ns".into(), "INNER".into()));
    assert_eq!(broken(&imports, &kernel), []);
    // A weak symbol may be missing, not be of another version.
    let mut weak = module("vmlinux", "only", &[]);
    weak.imports.optional = vec!["absent".into()];
    assert_eq!(broken(&weak, &kernel), []);
    weak.imports.optional = vec!["printk".into()];
    assert_eq!(broken(&weak, &kernel), [Promise::Symbols]);
    // Without any versions the kernel takes it only by force.
    let mut none = module("vmlinux", "only", &[("printk", 0)]);
    none.imports.versions = None;
    assert_eq!(broken(&none, &kernel), [Promise::Symbols]);
}

#[test]
fn who_is_not_under_the_gpl_has_no_livepatching() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path());
    let mut closed = module("vmlinux", "only", &[("klp_enable_patch", 0x3333_3333)]);
    set_info(&mut closed, "license", "Proprietary");
    assert_eq!(broken(&closed, &kernel), [Promise::Symbols]);
    let mut unspecified = closed.clone();
    unspecified.modinfo.retain(|(key, _)| key != "license");
    assert_eq!(broken(&unspecified, &kernel), [Promise::Symbols]);
}

#[test]
fn vermagic_is_the_kernels_own_but_for_the_release_where_there_are_versions() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path());
    let mut new = module("vmlinux", "only", &[]);
    set_info(&mut new, "vermagic", "6.1.1 SMP modversions ");
    assert_eq!(broken(&new, &kernel), []);
    new.imports.versions = None;
    assert_eq!(broken(&new, &kernel), [Promise::Release]);
    set_info(&mut new, "vermagic", "6.1.0 SMP preempt modversions ");
    assert_eq!(broken(&new, &kernel), [Promise::Release]);
}

#[test]
fn a_function_exists_and_has_a_site() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path());
    let judge = |function: &str| broken(&module("vmlinux", function, &[]), &kernel);
    assert_eq!(judge("only"), []);
    assert_eq!(judge("quiet"), [Promise::Functions]);
    assert_eq!(judge("absent"), [Promise::Functions]);
}

#[test]
fn the_kernels_modules_are_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    helper(folder.path(), "modules/kernel/net/the-helper.ko");
    let kernel = Kernel {
        modules: Some(Modules::open(&folder.path().join("modules")).unwrap()),
        ..kernel(folder.path())
    };
    let judge = |function: &str| broken(&module("the_helper", function, &[]), &kernel);
    assert_eq!(judge("only"), []);
    assert_eq!(judge("quiet"), [Promise::Functions]);
    assert_eq!(judge("absent"), [Promise::Functions]);
    // Whether the module is there or comes later would decide which is meant.
    assert_eq!(judge("both"), [Promise::Functions]);
    let mut late = module("the_helper", "only", &[]);
    late.klp_symbols = vec![KlpSymbol {
        name: ".klp.sym.the_helper.nothing,0".into(),
        is_marked: true,
    }];
    assert_eq!(broken(&late, &kernel), [Promise::Functions]);
    // A module that is nowhere stops nobody.
    assert_eq!(broken(&module("elsewhere", "only", &[]), &kernel), []);
}

#[test]
fn a_module_exports_to_those_that_depend_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = EXPORTS
        .replace("printk", "helped")
        .replace("0x11111111", "0x44444444");
    let code = CODE.replace("printk", "helped");
    assemble(
        folder.path(),
        "modules/helper.ko",
        &format!("{code}{theirs}"),
    );
    let mut kernel = kernel(folder.path());
    let mut new = module("vmlinux", "only", &[("helped", 0x4444_4444)]);
    assert_eq!(broken(&new, &kernel), [Promise::Symbols]);
    set_info(&mut new, "depends", "helper");
    // Not known: said, not refused.
    assert_eq!(broken(&new, &kernel), []);
    kernel.modules = Some(Modules::open(&folder.path().join("modules")).unwrap());
    assert_eq!(broken(&new, &kernel), []);
    new.imports.versions = Some([("helped".to_owned(), 1)].into());
    assert_eq!(broken(&new, &kernel), [Promise::Symbols]);
    set_info(&mut new, "depends", "nowhere");
    assert_eq!(broken(&new, &kernel), [Promise::Symbols]);
}

#[test]
fn compressed_modules_are_read_and_damaged_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let module_file = helper(folder.path(), "plain/helper.ko");
    let bytes = std::fs::read(&module_file).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&bytes).unwrap();
    let gz = gz.finish().unwrap();
    let zst = ruzstd::encoding::compress_to_vec(
        bytes.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let xz = xz(&bytes);
    for (suffix, compressed) in [("gz", gz), ("zst", zst), ("xz", xz)] {
        let modules = folder.path().join(suffix);
        std::fs::create_dir(&modules).unwrap();
        let file = modules.join(format!("helper.ko.{suffix}"));
        let judge = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            let modules = Modules::open(&modules).unwrap();
            let read = modules.read(&"helper".parse().unwrap());
            read.map(|binary| binary.unwrap().find("only", Sympos::UNIQUE).is_ok())
        };
        assert!(judge(&compressed).unwrap(), "{suffix}");
        let error = judge(&compressed[..compressed.len() / 2]).unwrap_err();
        assert!(error.to_string().contains("helper.ko"), "{error}");
        assert!(judge(b"no such thing").is_err(), "{suffix}");
    }
    let empty = Modules::open(&folder.path().join("nothing"));
    assert!(empty.is_err());
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn objects_of_the_tables_and_of_symbols_are_judged_once() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel(folder.path());
    let mut new = module("vmlinux", "absent", &[]);
    new.klp_symbols = vec![KlpSymbol {
        name: ".klp.sym.vmlinux.only,0".into(),
        is_marked: true,
    }];
    assert_eq!(broken(&new, &kernel), [Promise::Functions]);
}
