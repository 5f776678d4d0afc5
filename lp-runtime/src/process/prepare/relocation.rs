//! The kinds of relocations that a patch may have (x86-64 psABI, table 4.9).
//!
//! What is not listed is refused when the patch is read, before anything is asked of a process: a kind that is skipped is a
//! wrong patch.

use object::elf;

/// What is to be written where a relocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `S + A`, 64 bits
    Abs64,
    /// `S + A`, 32 bits, zero extended
    Abs32,
    /// `S + A`, 32 bits, sign extended
    Abs32S,
    /// `S + A - P`, 32 bits
    Pc32,
    /// `S + A - P` of a call or jump: may go by a veneer
    Plt32,
    /// `S + A - P`, 64 bits
    Pc64,
    /// `G + GOT + A - P`
    GotPcRel,
    /// The same of an instruction that can do without the slot, without REX prefix
    GotPcRelX,
    /// The same with REX prefix
    RexGotPcRelX,
    /// Offset from the thread pointer, 32 bits (local exec)
    TpOff32,
    /// The same, 64 bits
    TpOff64,
    /// Slot with an offset from the thread pointer (initial exec)
    GotTpOff,
    /// Pair of slots for `__tls_get_addr` (general dynamic)
    TlsGd,
    /// The same for the object's block of variables (local dynamic)
    TlsLd,
    /// Offset in the object's block of variables, 32 bits
    DtpOff32,
    /// The same, 64 bits
    DtpOff64,
}

impl Kind {
    const ALL: [(elf::RelocationType, Self); 16] = [
        (elf::R_X86_64_64, Self::Abs64),
        (elf::R_X86_64_32, Self::Abs32),
        (elf::R_X86_64_32S, Self::Abs32S),
        (elf::R_X86_64_PC32, Self::Pc32),
        (elf::R_X86_64_PLT32, Self::Plt32),
        (elf::R_X86_64_PC64, Self::Pc64),
        (elf::R_X86_64_GOTPCREL, Self::GotPcRel),
        (elf::R_X86_64_GOTPCRELX, Self::GotPcRelX),
        (elf::R_X86_64_REX_GOTPCRELX, Self::RexGotPcRelX),
        (elf::R_X86_64_TPOFF32, Self::TpOff32),
        (elf::R_X86_64_TPOFF64, Self::TpOff64),
        (elf::R_X86_64_GOTTPOFF, Self::GotTpOff),
        (elf::R_X86_64_TLSGD, Self::TlsGd),
        (elf::R_X86_64_TLSLD, Self::TlsLd),
        (elf::R_X86_64_DTPOFF32, Self::DtpOff32),
        (elf::R_X86_64_DTPOFF64, Self::DtpOff64),
    ];

    /// The kind of an ELF relocation type; none where it is not one that we know.
    pub fn of(kind: u32) -> Option<Self> {
        let known = Self::ALL.iter().find(|(elf, _)| elf.0 == kind);
        known.map(|(_, kind)| *kind)
    }

    /// Bytes that are written.
    pub fn width(self) -> u64 {
        match self {
            Self::Abs64 | Self::Pc64 | Self::TpOff64 | Self::DtpOff64 => 8,
            _ => 4,
        }
    }

    /// Whether it is about a variable that each thread has its own of.
    pub fn is_tls(self) -> bool {
        use Kind::{DtpOff32, DtpOff64, GotTpOff, TlsGd, TlsLd, TpOff32, TpOff64};
        matches!(
            self,
            TpOff32 | TpOff64 | GotTpOff | TlsGd | TlsLd | DtpOff32 | DtpOff64
        )
    }

    /// The psABI's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abs64 => "R_X86_64_64",
            Self::Abs32 => "R_X86_64_32",
            Self::Abs32S => "R_X86_64_32S",
            Self::Pc32 => "R_X86_64_PC32",
            Self::Plt32 => "R_X86_64_PLT32",
            Self::Pc64 => "R_X86_64_PC64",
            Self::GotPcRel => "R_X86_64_GOTPCREL",
            Self::GotPcRelX => "R_X86_64_GOTPCRELX",
            Self::RexGotPcRelX => "R_X86_64_REX_GOTPCRELX",
            Self::TpOff32 => "R_X86_64_TPOFF32",
            Self::TpOff64 => "R_X86_64_TPOFF64",
            Self::GotTpOff => "R_X86_64_GOTTPOFF",
            Self::TlsGd => "R_X86_64_TLSGD",
            Self::TlsLd => "R_X86_64_TLSLD",
            Self::DtpOff32 => "R_X86_64_DTPOFF32",
            Self::DtpOff64 => "R_X86_64_DTPOFF64",
        }
    }
}
