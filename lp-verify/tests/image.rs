//! A kernel that boots, as a package has it: unpacked, and given the symbols of its own kallsyms table.

use lp_klp::name::Sympos;
use lp_verify::kernel::{Kernel, Symbol};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const TEXT: u64 = 0xffff_ffff_8100_0000;
const RODATA: u64 = 0xffff_ffff_8200_0000;
/// Bytes of the code.
const CODE: u64 = 0x8000;
/// Where the table begins, behind the banner.
const TABLE: usize = 64;

/// Where a kernel has the addresses of its table.
#[derive(Clone, Copy)]
enum Addresses {
    /// 6.1
    BeforeNames,
    /// 6.12
    BehindTokens,
}

/// The symbols of a kernel: enough to be one, two of a name, and one that two functions of 6.1's cloud kernel have.
fn symbols() -> Vec<(u64, String)> {
    let mut symbols = vec![
        (0x1000, "Aa_per_cpu_variable".to_owned()),
        (TEXT, "T_text".to_owned()),
        (TEXT, "Tstartup_64".to_owned()),
    ];
    symbols.extend((1..1500).map(|at| (TEXT + at * 16, format!("tstatic_function_{at}"))));
    symbols.push((TEXT + 0x7000, "tshow".to_owned()));
    symbols.push((TEXT + 0x7100, "tshow".to_owned()));
    symbols.push((TEXT + 0x7200, format!("T{}", "long_".repeat(40))));
    symbols.push((RODATA, "Dlinux_banner".to_owned()));
    symbols.push((RODATA + 8, "?of_no_known_kind".to_owned()));
    symbols
}

fn align(table: &mut Vec<u8>) {
    table.resize(table.len().next_multiple_of(8), 0);
}

/// The table as `scripts/kallsyms.c` writes it; byte 0x80 stands for `static_`.
fn kallsyms(addresses: Addresses) -> Vec<u8> {
    let symbols = symbols();
    let mut offsets = Vec::new();
    for (address, _) in &symbols {
        let offset = match address {
            0..TEXT => *address as i32,
            _ => -1 - (address - TEXT) as i32,
        };
        offsets.extend(offset.to_le_bytes());
    }
    align(&mut offsets);
    offsets.extend(TEXT.to_le_bytes());

    let mut table = match addresses {
        Addresses::BeforeNames => offsets.clone(),
        Addresses::BehindTokens => Vec::new(),
    };
    table.extend((symbols.len() as u64).to_le_bytes());
    let (start, mut markers) = (table.len(), Vec::new());
    for (index, (_, name)) in symbols.iter().enumerate() {
        if index % 256 == 0 {
            markers.extend(((table.len() - start) as u32).to_le_bytes());
        }
        let mut packed = Vec::new();
        for part in name.split_inclusive("static_") {
            match part.strip_suffix("static_") {
                Some(before) => packed.extend(before.bytes().chain([0x80])),
                None => packed.extend(part.bytes()),
            }
        }
        match packed.len() {
            len @ 0..0x80 => table.push(len as u8),
            len => table.extend([(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]),
        }
        table.extend(packed);
    }
    align(&mut table);
    table.extend(markers);
    align(&mut table);
    let (mut index, start) = (Vec::new(), table.len());
    for byte in 0..=255u8 {
        index.extend(((table.len() - start) as u16).to_le_bytes());
        match byte {
            0x80 => table.extend(b"static_"),
            byte if byte.is_ascii_graphic() => table.push(byte),
            _ => {}
        }
        table.push(0);
    }
    align(&mut table);
    table.extend(index);
    if matches!(addresses, Addresses::BehindTokens) {
        align(&mut table);
        table.extend(offsets);
    }
    table
}

/// A linked kernel without symbols.
fn stripped(folder: &Path, table: &[u8]) -> PathBuf {
    let bytes: Vec<String> = table.iter().map(u8::to_string).collect();
    let text = format!(
        ".text\n.fill {CODE},1,0x90\n.section .rodata,\"a\"\n.asciz \"Linux version 6.1.0 (x)\"\n.balign {TABLE}\n.byte {}\n",
        bytes.join(",")
    );
    let run = |program: &str, args: &[&str]| {
        let done = Command::new(program)
            .args(args)
            .current_dir(folder)
            .status();
        assert!(done.unwrap().success(), "{program}");
    };
    std::fs::write(folder.join("kernel.s"), text).unwrap();
    run("gcc", &["-c", "-o", "kernel.o", "kernel.s"]);
    let (code, data) = (
        format!("--section-start=.text={TEXT:#x}"),
        format!("--section-start=.rodata={RODATA:#x}"),
    );
    run(
        "ld",
        &["-e", "0", &code, &data, "-o", "vmlinux", "kernel.o"],
    );
    run("objcopy", &["-S", "vmlinux", "vmlinux.bin"]);
    folder.join("vmlinux.bin")
}

/// What boots: a sector and one of setup with the boot protocol's header, and the packed kernel with its size behind it.
fn boots(packed: &[u8], unpacked: usize) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&100_u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(packed.len() as u32 + 4).to_le_bytes());
    image.resize(1024 + 100, 0xaa);
    image.extend(packed);
    image.extend((unpacked as u32).to_le_bytes());
    image.extend([0xbb; 50]);
    image
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    xz.write_all(bytes).unwrap();
    xz.finish().unwrap()
}

/// The old format of lz4, with blocks of nothing but literals.
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
    for block in bytes.chunks(1 << 16) {
        let more = block.len() - 15;
        let mut all = vec![0xf0];
        all.extend(std::iter::repeat_n(255, more / 255));
        all.push((more % 255) as u8);
        all.extend(block);
        packed.extend((all.len() as u32).to_le_bytes());
        packed.extend(all);
    }
    packed
}

fn find(kernel: &Kernel, name: &str, position: u32) -> Symbol {
    let vmlinux = kernel.vmlinux.as_ref().unwrap();
    vmlinux.find(name, Sympos(position)).unwrap()
}

#[test]
fn a_kernel_that_boots_has_the_symbols_of_its_own_table() {
    for addresses in [Addresses::BeforeNames, Addresses::BehindTokens] {
        let folder = tempfile::tempdir().unwrap();
        let vmlinux = stripped(folder.path(), &kallsyms(addresses));
        let bytes = std::fs::read(&vmlinux).unwrap();
        let packed = [gz(&bytes), xz(&bytes), lz4(&bytes)];
        let images = packed.map(|packed| boots(&packed, bytes.len()));
        for image in images.into_iter().chain([bytes]) {
            let vmlinuz = folder.path().join("vmlinuz");
            std::fs::write(&vmlinuz, image).unwrap();
            let kernel = Kernel::open(&vmlinuz).unwrap();
            let address = |name: &str, position| find(&kernel, name, position).place.address;
            assert_eq!(address("static_function_700", 0), TEXT + 700 * 16);
            assert_eq!(address("a_per_cpu_variable", 0), 0x1000);
            assert_eq!(address("show", 2), TEXT + 0x7100);
            assert_eq!(address("of_no_known_kind", 0), RODATA + 8);
            assert_eq!(address(&"long_".repeat(40), 0), TEXT + 0x7200);
            assert_eq!(
                find(&kernel, "show", 1).size,
                0x100,
                "up to the next symbol"
            );
            let last = find(&kernel, &"long_".repeat(40), 0).size;
            assert_eq!(last, CODE - 0x7200, "up to the section's end");
        }
    }
}

#[test]
fn a_table_that_does_not_fit_is_not_believed() {
    let sound = kallsyms(Addresses::BeforeNames);
    let names = sound
        .windows(6)
        .position(|bytes| bytes == b"T_text")
        .unwrap();
    let damaged = [
        // A name that is longer than it says, an address that goes back, a token's offset, the banner elsewhere.
        (names - 1, 7),
        (12, 0x70),
        (sound.len() - 100, 0x55),
        (4 * (symbols().len() - 2), 0x40),
    ];
    for (at, value) in damaged {
        let folder = tempfile::tempdir().unwrap();
        let mut table = sound.clone();
        table[at] = value;
        let error = Kernel::open(&stripped(folder.path(), &table)).unwrap_err();
        assert!(error.to_string().contains("debug package"), "{at}: {error}");
    }
}
