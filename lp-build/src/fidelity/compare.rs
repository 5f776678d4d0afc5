//! Whether one function of ours is one function of the running binary.
//!
//! Walks both instruction streams in step. What can be judged at once is: opcodes, literal operands, targets inside
//! the function (by instruction, as distances may differ), global symbols (by name), strings and constants (by
//! content). References to other local things are returned for `solve`, which sees whether all functions agree.

use super::insn::{self, Field, FieldKind, Insn};
use super::linked::{self, Found};
use super::orig::{Function, Kind, Orig, Referent};
use super::padding::{self, Side};
use super::symbols::Place;
use super::target::{Relocation, Target};
use object::elf;

/// What functions begin at a multiple of at least (`CONFIG_FUNCTION_ALIGNMENT`; `-falign-functions` of gcc before).
const FUNCTION_ALIGNMENT: u64 = 16;

/// A function that equals a candidate, if what it refers to is where the candidate has it.
#[derive(Debug)]
pub(super) struct Matched {
    pub(super) references: Vec<Reference>,
    /// Offsets of instructions, ours and theirs.
    pub(super) offsets: Vec<(u64, u64)>,
    /// Bytes of theirs. Where symbols have no sizes, more were compared: up to the next one, with what fills the gap.
    pub(super) size: u64,
}

/// A reference to something local of ours, and the place where the candidate has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference {
    /// Offset of the instruction in our function.
    pub(super) at: u64,
    pub(super) section: usize,
    pub(super) offset: i64,
    pub(super) theirs: Place,
}

/// The first difference: offsets in our and their function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) ours: u64,
    pub(super) theirs: u64,
}

/// A candidate's code.
pub(super) struct Theirs<'a> {
    pub(super) start: Place,
    pub(super) code: Vec<u8>,
    relocations: &'a [Relocation],
}

impl<'a> Theirs<'a> {
    /// Reads a candidate; none when the file does not have its bytes.
    pub(super) fn read(target: &'a Target, start: Place, size: u64) -> Option<Self> {
        let code = target.read(start, size)?;
        Some(Self {
            start,
            code,
            relocations: target.relocations(start, size),
        })
    }

    fn relocation(&self, insn: &Insn, field: Field) -> Option<&'a Relocation> {
        let offset = self
            .start
            .offset
            .wrapping_add(insn.offset + field.at as u64);
        let index = self
            .relocations
            .binary_search_by_key(&offset, |relocation| relocation.offset)
            .ok()?;
        self.relocations.get(index)
    }

    fn bytes(&self, insn: &Insn) -> &[u8] {
        bytes(&self.code, insn)
    }
}

/// Compares a function with a candidate.
pub(super) fn compare(
    orig: &Orig<'_>,
    function: &Function,
    target: &Target,
    theirs: &Theirs<'_>,
) -> Result<Matched, Difference> {
    let code = orig.code(function);
    let ours = insn::decode(code, function.offset);
    let others = insn::decode(&theirs.code, theirs.start.offset);
    let side = |insns, code, start| Side { insns, code, start };
    let sides = (
        side(&ours, code, function.offset),
        side(&others, &theirs.code, theirs.start.offset),
    );
    let section_of = |at: u64| function.offset.saturating_add(at);
    let aligned = padding::align(sides, |run| {
        orig.is_listed(function.section, section_of(run.start)..section_of(run.end))
    });
    let pair = Pair {
        orig,
        function,
        target,
        theirs,
        code,
        offsets: &aligned.offsets,
    };
    let mut references = Vec::new();
    for &(our, other) in &aligned.pairs {
        let (Some(our), Some(other)) = (ours.get(our), others.get(other)) else {
            continue;
        };
        let difference = Difference {
            ours: our.offset,
            theirs: other.offset,
        };
        pair.instruction(our, other, &mut references)
            .ok_or(difference)?;
    }
    let (our_end, their_end) = aligned.ends;
    let end = |insns: &[Insn], at: usize, size: u64| insns.get(at).map_or(size, |insn| insn.offset);
    let size = end(&others, their_end, theirs.code.len() as u64);
    if our_end < ours.len() || !pair.ends(ours.last(), others.get(their_end..)) {
        return Err(Difference {
            ours: end(&ours, our_end, function.size),
            theirs: size,
        });
    }
    Ok(Matched {
        references,
        offsets: aligned.offsets,
        size,
    })
}

/// Two functions that are being compared.
struct Pair<'a> {
    orig: &'a Orig<'a>,
    function: &'a Function,
    target: &'a Target,
    theirs: &'a Theirs<'a>,
    code: &'a [u8],
    offsets: &'a [(u64, u64)],
}

impl Pair<'_> {
    /// Whether their function ends where ours does, with these instructions behind it up to the end of its symbol.
    ///
    /// What fills a gap is none of it. Where sizes only reach to the next symbol, a function without one may follow: a weak
    /// one that lost. It begins where functions do, and cannot be fallen into.
    fn ends(&self, last: Option<&Insn>, behind: Option<&[Insn]>) -> bool {
        let behind = behind.unwrap_or_default();
        let Some(next) = behind.iter().find(|insn| !insn.is_filler()) else {
            return true;
        };
        let stops = last.is_some_and(|last| !last.falls_through())
            || behind.first().is_some_and(Insn::is_trap);
        let address = self.theirs.start.offset.wrapping_add(next.offset);
        !self.target.has_sizes() && stops && address.is_multiple_of(FUNCTION_ALIGNMENT)
    }

    /// `Some` when both instructions are the same one.
    fn instruction(
        &self,
        ours: &Insn,
        other: &Insn,
        references: &mut Vec<Reference>,
    ) -> Option<()> {
        if ours.is_branch() && other.is_nop() {
            let at = self.function.offset.wrapping_add(ours.offset);
            let becomes_nop = self.orig.becomes_nop(self.function.section, at);
            return becomes_nop.then_some(());
        }
        let fields = self.fields(ours)?;
        let same = if ours.is_branch() && other.is_branch() {
            same_branch(ours, other)
        } else {
            same_bytes(bytes(self.code, ours), self.theirs.bytes(other), &fields)
                || is_relaxed(ours, other, &fields)
        };
        if !same {
            return None;
        }
        for (field, referent, offset) in fields {
            let found = self.found(other, field)?;
            self.judge(ours, referent, offset, found, references)?;
        }
        Some(())
    }

    /// Our instruction's fields, what they refer to, and by how much they are off it.
    fn fields(&self, insn: &Insn) -> Option<Vec<(Field, Referent<'_>, i64)>> {
        let start = self.function.offset + insn.offset;
        let mut fields = Vec::new();
        for relocation in self
            .orig
            .relocations(self.function.section, start, insn.len() as u64)
        {
            if relocation.kind == elf::R_X86_64_NONE.0 {
                continue;
            }
            let at = (relocation.offset - start) as usize;
            let field = insn::field(relocation.kind, at)?;
            fields.push((
                field,
                relocation.referent,
                relocation.addend.checked_add(correction(insn, field))?,
            ));
        }
        let relocated = |field: &Field| fields.iter().any(|(other, _, _)| other.at == field.at);
        if let Some(field) = insn.relative_field().filter(|field| !relocated(field)) {
            let referent = Referent::Local {
                section: self.function.section,
                offset: insn.relative_target(),
            };
            fields.push((field, referent, 0));
        }
        Some(fields)
    }

    /// What the field of their instruction refers to that corresponds to one of ours.
    fn found(&self, insn: &Insn, ours: Field) -> Option<Found> {
        if let FieldKind::Slot(slot) = ours.kind {
            return linked::through(self.target, insn, slot);
        }
        let relative = ours.kind == FieldKind::PcRelative;
        let field = if relative {
            insn.relative_field()?
        } else {
            ours
        };
        if let Some(relocation) = self.theirs.relocation(insn, field) {
            return self.relocated(insn, field, relocation);
        }
        if relative {
            return Some(Found::Place(Place {
                offset: insn.relative_target(),
                ..self.theirs.start
            }));
        }
        // A module's absolute field without a relocation is a literal, and ours is none.
        let value = insn::value(self.theirs.bytes(insn), field)?;
        match field.kind {
            FieldKind::ThreadPointer => {
                let linked = self.target.linked()?;
                return Some(Found::Place(linked.at_thread_pointer(value)));
            }
            FieldKind::ThreadBlock => {
                return self.target.linked().map(|_| {
                    Found::Place(Place {
                        section: linked::THREAD,
                        offset: value,
                    })
                });
            }
            _ => {}
        }
        (!self.target.is_module()).then_some(Found::Place(Place {
            section: 0,
            offset: value,
        }))
    }

    fn relocated(&self, insn: &Insn, ours: Field, relocation: &Relocation) -> Option<Found> {
        let field =
            insn::field(relocation.kind, ours.at).filter(|field| field.kind == ours.kind)?;
        let offset = relocation.addend.checked_add(correction(insn, field))?;
        let symbol = self.target.symbols.get(relocation.symbol)?;
        match symbol.place.filter(|_| symbol.is_local()) {
            Some(place) => Some(Found::Place(place.minus(offset.checked_neg()?))),
            None => Some(Found::Global(
                self.target.symbols.name(relocation.symbol).to_vec(),
                offset,
            )),
        }
    }

    /// `Some` when both refer to the same, or may: then it is noted.
    fn judge(
        &self,
        insn: &Insn,
        referent: Referent<'_>,
        offset: i64,
        found: Found,
        references: &mut Vec<Reference>,
    ) -> Option<()> {
        let same = match (referent, found) {
            (Referent::Global { name, .. }, Found::Global(other, by)) => {
                name == other && offset == by
            }
            (Referent::Global { name, weak }, Found::Place(place)) => {
                self.is_global(name, weak, place.minus(offset))
            }
            (Referent::Absolute(value), Found::Place(place)) => {
                place.offset == value.wrapping_add(offset as u64)
            }
            (
                Referent::Local {
                    section,
                    offset: base,
                },
                Found::Place(place),
            ) => {
                let (offset, theirs) = self.orig.referred(section, (base, offset), place)?;
                return self.local(
                    Reference {
                        at: insn.offset,
                        section,
                        offset,
                        theirs,
                    },
                    references,
                );
            }
            (_, Found::Module) => true,
            (Referent::Local { .. } | Referent::Absolute(_), Found::Global(..)) => false,
        };
        same.then_some(())
    }

    fn is_global(&self, name: &[u8], weak: bool, place: Place) -> bool {
        let symbols = &self.target.symbols;
        if symbols.named_at(name, place).is_some() {
            return true;
        }
        if weak && place.offset == 0 && symbols.named(name).next().is_none() {
            return true;
        }
        match linked::stub(self.target, place) {
            Some(Found::Global(found, 0)) => found == name,
            Some(Found::Place(found)) => symbols.named_at(name, found).is_some(),
            _ => false,
        }
    }

    fn local(&self, reference: Reference, references: &mut Vec<Reference>) -> Option<()> {
        let section = self.orig.sections.get(reference.section)?;
        let inside = |offset: i64| {
            u64::try_from(offset).is_ok_and(|offset| self.is_inside(reference.section, offset))
        };
        if inside(reference.offset) {
            return self
                .same_target(reference.offset as u64, reference.theirs)
                .then_some(());
        }
        if matches!(section.kind, Kind::Place | Kind::Constant) {
            references.push(reference);
            return Some(());
        }
        let content = self.orig.mergeable(reference.section, reference.offset)?;
        let theirs = self.target.read(reference.theirs, content.len() as u64)?;
        (theirs == content).then_some(())
    }

    /// Whether a place is in the function that is being compared.
    fn is_inside(&self, section: usize, offset: u64) -> bool {
        let start = self.function.offset;
        section == self.function.section && offset >= start && offset - start < self.function.size
    }

    /// Whether both places are at the same instruction of the two functions.
    fn same_target(&self, offset: u64, place: Place) -> bool {
        let ours = offset - self.function.offset;
        let theirs = place.offset.wrapping_sub(self.theirs.start.offset);
        place.section == self.theirs.start.section && map(self.offsets, ours) == theirs
    }
}

/// Where an offset of our function is in theirs: by instruction, and between two of them by distance.
pub(super) fn map(offsets: &[(u64, u64)], ours: u64) -> u64 {
    let end = offsets.partition_point(|&(offset, _)| offset <= ours);
    let start = end.checked_sub(1).and_then(|index| offsets.get(index));
    start.map_or(ours, |&(our, their)| their + (ours - our))
}

/// A PC-relative addend counts from the field, a target from the instruction's end.
fn correction(insn: &Insn, field: Field) -> i64 {
    match field.kind {
        FieldKind::PcRelative | FieldKind::Slot(_) => insn.len() as i64 - field.at as i64,
        FieldKind::Zero | FieldKind::Sign | FieldKind::ThreadPointer | FieldKind::ThreadBlock => 0,
    }
}

/// A short jump and a long one are one instruction to us.
fn same_branch(ours: &Insn, theirs: &Insn) -> bool {
    let (ours, theirs) = (&ours.instruction, &theirs.instruction);
    ours.mnemonic() == theirs.mnemonic()
        && ours.segment_prefix() == theirs.segment_prefix()
        && ours.has_repne_prefix() == theirs.has_repne_prefix()
}

/// Whether the linker made theirs of ours, which goes through a slot.
fn is_relaxed(ours: &Insn, theirs: &Insn, fields: &[(Field, Referent<'_>, i64)]) -> bool {
    match fields {
        [(field, ..)] => {
            matches!(field.kind, FieldKind::Slot(slot) if linked::is_relaxed(ours, theirs, slot))
        }
        _ => false,
    }
}

/// Whether the bytes outside the fields are equal.
fn same_bytes(ours: &[u8], theirs: &[u8], fields: &[(Field, Referent<'_>, i64)]) -> bool {
    let in_field = |at: usize| {
        fields
            .iter()
            .any(|(field, _, _)| at >= field.at && at - field.at < field.size)
    };
    ours.len() == theirs.len()
        && (0..ours.len()).all(|at| in_field(at) || ours.get(at) == theirs.get(at))
}

fn bytes<'a>(code: &'a [u8], insn: &Insn) -> &'a [u8] {
    let start = insn.offset as usize;
    code.get(start..start + insn.len()).unwrap_or_default()
}
