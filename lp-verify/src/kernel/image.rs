//! A kernel or a module as its packages have it, as an ELF file with symbols.
//!
//! A kernel that boots (`vmlinuz`) has all that the file before packing has but symbols and debug information
//! (`objcopy -R .comment -S`, `arch/x86/boot/compressed/Makefile`, 6.1): sections, code, notes, BTF. The symbols come from the table
//! that the kernel has for itself ([`super::kallsyms`]). What that does not tell is not there: the source file that a symbol
//! is from, and the exact end of each: sizes reach to the next symbol. The tempting wrong way is to search
//! the image for the magic of some packer; the boot protocol says where the packed kernel is.

use super::elf_file::ElfFile;
use super::{kallsyms, packed, symtab};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file to be unpacked; the largest modules have some tens of millions with debug information, and kernels too.
const LARGEST: u64 = 512 << 20;
const ELF: &[u8] = b"\x7fELF";
const SHT_SYMTAB: u32 = 2;
const ET_REL: u16 = 1;

/// Opens a kernel or a module, however it is packed.
///
/// # Errors
/// Where it cannot be read, is none, or has no symbols.
pub fn open(path: &Path) -> io::Result<ElfFile> {
    match is_ready(path)? {
        true => ElfFile::open(path),
        false => ElfFile::of_bytes(unpacked(path)?),
    }
}

/// The ELF file with symbols that a file holds.
///
/// # Errors
/// Where it cannot be read, is none, or has no symbols.
pub fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than any kernel or module"));
    }
    let payload = match bytes.starts_with(ELF) {
        true => bytes,
        false => unpack(&bytes)?,
    };
    match has_symbols(&payload)? {
        true => Ok(payload),
        false => with_kallsyms(payload),
    }
}

/// Whether a file can be read as it is: an ELF file with symbols, of which not all need to be read.
///
/// # Errors
/// Where it cannot be read.
pub fn is_ready(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 4];
    let mut file = File::open(path)?;
    let is_elf = file.read_exact(&mut magic).is_ok() && magic == *ELF;
    Ok(is_elf && ElfFile::open(path)?.has_symbols())
}

fn has_symbols(elf: &[u8]) -> io::Result<bool> {
    if !elf.starts_with(ELF) {
        return Err(io::Error::other("what is packed in it is no ELF file"));
    }
    let elf = goblin::elf::Elf::parse(elf).map_err(io::Error::other)?;
    let is_table = |section: &goblin::elf::SectionHeader| section.sh_type == SHT_SYMTAB;
    Ok(elf.header.e_type == ET_REL || elf.section_headers.iter().any(is_table))
}

/// What is in a packed file or in a kernel that boots.
fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let packed = payload(bytes).unwrap_or(bytes);
    packed::unpack(packed, LARGEST)?.ok_or_else(|| {
        io::Error::other(
            "neither an ELF file nor a kernel (bzImage) or module packed by gzip, xz, zstd or lz4",
        )
    })
}

/// The packed kernel of a bzImage (`Documentation/x86/boot.rst`, 6.1; fields of protocol 2.08 and later).
fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = image.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    if image.get(0x202..0x206)? != b"HdrS" || number(0x206)? & 0xffff < 0x208 {
        return None;
    }
    // Sectors of 512 bytes: the boot sector, and so many of setup, where 0 stands for 4.
    let setup = usize::from(*image.get(0x1f1)?);
    let start = (setup.max(usize::from(setup == 0) * 4) + 1) * 512;
    let start = start.checked_add(number(0x248)?)?;
    image.get(start..start.checked_add(number(0x24c)?)?)
}

/// A linked kernel without symbols, and those that it has of itself.
fn with_kallsyms(kernel: Vec<u8>) -> io::Result<Vec<u8>> {
    let wrong = |why: &str| {
        io::Error::other(format!(
            "its symbols cannot be told: {why}; give a vmlinux with symbols, as the debug package has it"
        ))
    };
    let file = ElfFile::of_bytes(kernel.clone())?;
    let rodata = file.section(".rodata")?.unwrap_or_default();
    let symbols = kallsyms::decode(&rodata);
    let symbols = symbols.ok_or_else(|| wrong("there is no kallsyms table of a known form"))?;
    // Whether the addresses are right: the one text that every kernel has is where its symbol says.
    let banner = symbols.iter().find(|symbol| symbol.name == "linux_banner");
    let banner = banner.and_then(|symbol| file.place(symbol.address));
    let text = banner.map(|place| file.bytes(place, 14)).transpose()?;
    if text.flatten().as_deref() != Some(b"Linux version ") {
        return Err(wrong(
            "its kallsyms table does not say where linux_banner is",
        ));
    }
    symtab::add(kernel, &symbols)
}
