//! Modules that are not in the kernel's tree: whether a file is one of the kernel, and what cannot come back.

use crate::{folder, message};
use lp_build::kernel::units::external::check_release;
use lp_build::module::reload::warning;
use object::write::{Object, StandardSegment};
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

/// An object with sections of these names and contents.
fn object(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    for (name, data) in sections {
        let segment = object.segment_name(StandardSegment::Data).to_vec();
        let id = object.add_section(segment, name.as_bytes().to_vec(), SectionKind::Data);
        object.append_section_data(id, data, 1);
    }
    object.write().expect("an object")
}

#[test]
fn a_module_of_another_kernel_is_told() {
    let module = object(&[(".modinfo", b"license=GPL\0vermagic=6.1.0-1-amd64 SMP\0")]);
    let folder = folder(&[("text.ko", "no module")]);
    let path = folder.path().join("m.ko");
    std::fs::write(&path, module).expect("a file");
    check_release(&path, "6.1.0-1-amd64").expect("the release");
    let other = message(check_release(&path, "6.1.0-2-amd64"));
    assert!(
        other.contains("is for the kernel 6.1.0-1-amd64 SMP, not 6.1.0-2-amd64"),
        "{other}"
    );
    let text = message(check_release(
        &folder.path().join("text.ko"),
        "6.1.0-1-amd64",
    ));
    assert!(text.contains("not a kernel module"), "{text}");
}

#[test]
fn a_module_with_relocations_cannot_come_back_before_6_3() {
    let patch = object(&[
        (".klp.rela.vmlinux..text", b""),
        (".klp.rela.zram..text.f", b""),
        (".klp.rela.zram..text.g", b""),
    ]);
    let said = warning(&patch, "6.1.0-53-amd64").expect("a warning");
    assert!(said.contains("does not load zram again"), "{said}");
    assert_eq!(warning(&patch, "6.3.0"), None);
    assert_eq!(warning(&patch, "6.12.95+deb12"), None);
    let kernel = object(&[(".klp.rela.vmlinux..text", b"")]);
    assert_eq!(warning(&kernel, "5.10.0"), None);
}
