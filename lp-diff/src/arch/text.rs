//! Instructions as text, in pieces, so that whoever shows them can put names where the object has zeros.

/// How assembly is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// As gas, objdump and the kernel's own sources have it: source first.
    #[default]
    Att,
    /// As the processor's manuals have it: destination first.
    Intel,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insn {
    /// Offset of its first byte in the section.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Its text.
    pub spans: Vec<Span>,
}

/// A piece of an instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub kind: SpanKind,
    /// The text; empty where a name belongs.
    pub text: String,
}

/// What a piece of an instruction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// The mnemonic, prefixes included.
    Mnemonic,
    /// A register.
    Register,
    /// A number.
    Number,
    /// Blanks, brackets and the like.
    Other,
    /// The place of a name: what the reference whose field has this offset in the section refers to.
    Field(u64),
    /// The place of a name: where a branch goes that has no reference, as an offset in the section.
    Branch(u64),
}
