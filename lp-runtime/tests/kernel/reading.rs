//! What is read: patches, their objects and functions, names, module files.

use std::fs;

use lp_runtime::error::Error;
use lp_runtime::kernel::{self, Host, PatchName, Wait, patches};

use super::fake::{FakeKernel, name};

#[test]
fn a_patch_is_read_with_its_objects_and_functions() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, false);
    kernel.write(
        "sys/kernel/livepatch/fix/nf_tables/nft_do_chain,2/.keep",
        "",
    );
    let found = patches(&kernel.host()).unwrap();
    let [patch] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (patch.enabled, patch.transition, patch.replace),
        (true, false, None)
    );
    assert_eq!(patch.function_count(), 2);
    let module = patch
        .objects
        .iter()
        .find(|object| object.name == "nf_tables")
        .unwrap();
    assert_eq!(
        (
            module.functions[0].name.as_str(),
            module.functions[0].sympos
        ),
        ("nft_do_chain", 2)
    );
}

#[test]
fn later_kernels_tell_more() {
    let kernel = FakeKernel::new();
    for (name, order) in [("a", 2), ("b", 1)] {
        kernel.patch(name, true, false);
        kernel.write(
            &format!("sys/kernel/livepatch/{name}/stack_order"),
            &order.to_string(),
        );
        kernel.write(&format!("sys/kernel/livepatch/{name}/replace"), "1\n");
        kernel.write(
            &format!("sys/kernel/livepatch/{name}/vmlinux/patched"),
            "1\n",
        );
    }
    let found = patches(&kernel.host()).unwrap();
    let names: Vec<&str> = found.iter().map(|patch| patch.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(found[0].replace, Some(true));
    assert_eq!(found[0].objects[0].patched, Some(true));
}

#[test]
fn a_kernel_without_livepatching_is_told_from_one_without_patches() {
    let kernel = FakeKernel::new();
    assert!(patches(&kernel.host()).unwrap().is_empty());
    let nothing = tempfile::tempdir().unwrap();
    let error = patches(&Host::at(nothing.path())).unwrap_err();
    assert!(matches!(error, Error::NoLivepatchSupport { .. }), "{error}");
    assert!(error.advice().unwrap().contains("CONFIG_LIVEPATCH"));
}

#[test]
fn an_attribute_that_is_no_number_is_an_error() {
    let kernel = FakeKernel::new();
    kernel.patch("fix", true, false);
    kernel.write("sys/kernel/livepatch/fix/enabled", "yes\n");
    let error = patches(&kernel.host()).unwrap_err().to_string();
    assert!(
        error.contains("fix/enabled: expected a number, found `yes`"),
        "{error}"
    );
}

#[test]
fn names_cannot_leave_the_folder() {
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "../../etc",
        "fix.ko",
        "a b",
        "ä",
        &"x".repeat(56),
    ] {
        assert!(bad.parse::<PatchName>().is_err(), "{bad}");
    }
    assert_eq!(name("my-fix").as_str(), "my_fix");
}

#[test]
fn what_is_no_livepatch_is_not_loaded() {
    let kernel = FakeKernel::new();
    let file = kernel.root().join("x.ko");
    let load = || kernel::load(&kernel.host(), &file, &Wait::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(load(), Error::Read { .. }));
    fs::write(&file, "not a module").unwrap();
    assert!(matches!(load(), Error::BadModule { .. }));
    fs::write(&file, module_with(b"name=x\0")).unwrap();
    assert!(matches!(load(), Error::NotALivepatch { .. }));
    fs::write(
        &file,
        module_with(b"name=x\0livepatch=Y\0vermagic=6.1.0-1-amd64 SMP\0"),
    )
    .unwrap();
    let error = load();
    assert!(matches!(error, Error::OtherKernel { .. }), "{error}");
    fs::write(&file, module_with(b"name=../x\0livepatch=Y\0")).unwrap();
    assert!(matches!(load(), Error::BadName { .. }));
}

#[test]
fn a_damaged_module_is_an_error_wherever_it_is_cut() {
    let kernel = FakeKernel::new();
    let file = kernel.root().join("x.ko");
    let whole = module_with(b"name=x\0");
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(kernel::load(&kernel.host(), &file, &Wait::default(), &mut |_| {}).is_err());
    }
}

/// The least that is a module: an ELF header, `.modinfo`, the section names, and three section headers.
fn module_with(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let (info_at, names_at) = (64, 64 + modinfo.len());
    let headers_at = (names_at + names.len()).next_multiple_of(8);
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [1_u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [0_u64, 0, headers_at as u64] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 0, 0, 64, 3, 2] {
        file.extend(half.to_le_bytes());
    }
    file.extend(modinfo);
    file.extend(names);
    file.resize(headers_at, 0);
    file.extend([0; 64]);
    for (name, kind, at, size) in [
        (1_u32, 1_u32, info_at, modinfo.len()),
        (10, 3, names_at, names.len()),
    ] {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for word in [0, 0, at as u64, size as u64, 0, 1, 0] {
            file.extend(word.to_le_bytes());
        }
    }
    file
}
