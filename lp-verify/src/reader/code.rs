//! What a function of a module is made of, so that two modules' versions of it can be told to be the same.
//!
//! Bytes, and what each relocation refers to, spelt without the place where it happens to lie: a string by its text, a
//! function or variable by its name. What is the module's own is followed: a function whose helper changed is not what
//! it was. Tempting wrong ways are to hash the section, where a longer string elsewhere changes all, and to stop at the
//! name, as if one name meant one content.

use super::image::{Image, Place};
use goblin::elf::{Sym, header, reloc, section_header, sym};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// No constant without a name is longer; where nothing says how long it is, it would be read to its section's end.
const MAX_NAMELESS: u64 = 1 << 16;

/// The code and data of a module, by place.
pub(super) struct Code<'i, 'd> {
    image: &'i Image<'d>,
    /// By field: type, symbol and addend.
    relocations: BTreeMap<Place, (u32, usize, i64)>,
    /// The symbol of each named extent, by where it begins.
    symbols: BTreeMap<Place, Sym>,
    pieces: RefCell<BTreeMap<Place, Rc<Piece>>>,
}

/// A function or datum.
struct Piece {
    /// Of its bytes and the meaning of its relocations; none where its extent or meaning cannot be told.
    hash: Option<[u8; 32]>,
    /// The module's own pieces that it refers to, in the order of its fields.
    next: Vec<Place>,
}

/// What a field refers to.
struct Meaning {
    text: String,
    piece: Option<Place>,
}

impl<'i, 'd> Code<'i, 'd> {
    pub(super) fn new(image: &'i Image<'d>) -> Self {
        let mut relocations = BTreeMap::new();
        for (index, list) in &image.elf.shdr_relocs {
            let Some(header) = image.elf.section_headers.get(*index) else {
                continue;
            };
            let section = header.sh_info as usize;
            relocations.extend(list.iter().map(|relocation| {
                let place = Place {
                    section,
                    offset: relocation.r_offset,
                };
                let addend = relocation.r_addend.unwrap_or(0);
                (place, (relocation.r_type, relocation.r_sym, addend))
            }));
        }
        let named = image.elf.syms.iter().filter(|sym| {
            sym.st_size > 0 && matches!(sym.st_type(), sym::STT_FUNC | sym::STT_OBJECT)
        });
        let mut symbols: BTreeMap<Place, Sym> = BTreeMap::new();
        for sym in named {
            let known = symbols.entry(place_of(&sym)).or_insert(sym);
            if sym.st_size > known.st_size {
                *known = sym;
            }
        }
        Self {
            image,
            relocations,
            symbols,
            pieces: RefCell::default(),
        }
    }

    /// A digest of the function at a place and of all that it refers to in the module, hexadecimal; empty where that
    /// cannot be told.
    pub(super) fn digest(&self, at: Place) -> String {
        let (mut hash, mut seen) = (Sha256::new(), BTreeSet::from([at]));
        let mut work = vec![at];
        while let Some(place) = work.pop() {
            let piece = self.piece(place);
            let Some(own) = piece.hash else {
                return String::new();
            };
            hash.update(own);
            work.extend(piece.next.iter().copied().filter(|next| seen.insert(*next)));
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn piece(&self, at: Place) -> Rc<Piece> {
        if let Some(known) = self.pieces.borrow().get(&at) {
            return Rc::clone(known);
        }
        let piece = Rc::new(self.read(at).unwrap_or(Piece {
            hash: None,
            next: Vec::new(),
        }));
        self.pieces.borrow_mut().insert(at, Rc::clone(&piece));
        piece
    }

    fn read(&self, at: Place) -> Option<Piece> {
        let size = self.symbols.get(&at)?.st_size;
        let mut hash = Sha256::new();
        match self.image.bytes(at, size) {
            Some(bytes) => hash.update(bytes),
            // Zeros, as many as it says.
            None => hash.update(format!("{size} of {}", self.image.number(at, 1)?)),
        }
        let mut next = Vec::new();
        for (field, (kind, symbol, addend)) in self.relocations.range(at..at.plus(size).max(at)) {
            let meaning = self.meaning(*kind, *symbol, *addend)?;
            let offset = field.offset - at.offset;
            hash.update(format!("\n{offset} {kind} {}", meaning.text));
            next.extend(meaning.piece);
        }
        Some(Piece {
            hash: Some(hash.finalize().into()),
            next,
        })
    }

    /// `None` where it cannot be told.
    fn meaning(&self, kind: u32, symbol: usize, addend: i64) -> Option<Meaning> {
        let elf = self.image.elf;
        let symbol = elf.syms.get(symbol)?;
        let name = elf.strtab.get_at(symbol.st_name).unwrap_or_default();
        let named = |piece| Meaning {
            text: format!("{name}{addend:+}"),
            piece,
        };
        let Some(header) = elf.section_headers.get(symbol.st_shndx) else {
            return Some(named(None));
        };
        let section = elf.shdr_strtab.get_at(header.sh_name).unwrap_or_default();
        if symbol.st_shndx == 0 || section == ".gnu.linkonce.this_module" {
            return Some(named(None));
        }
        let start = place_of(&symbol);
        if symbol.st_type() != sym::STT_SECTION && self.symbols.contains_key(&start) {
            return Some(named(Some(start)));
        }
        // A PC-relative field counts from its end, 4 bytes on.
        let is_relative = elf.header.e_machine == header::EM_X86_64
            && matches!(kind, reloc::R_X86_64_PC32 | reloc::R_X86_64_PLT32);
        let place = Place {
            offset: start
                .offset
                .wrapping_add_signed(addend)
                .wrapping_add(if is_relative { 4 } else { 0 }),
            ..start
        };
        let text = |text| Meaning { text, piece: None };
        // lp-diff's output has strings as they are, not to be merged.
        let is_strings = header.sh_flags & u64::from(section_header::SHF_STRINGS) != 0
            || section.contains(".str1.");
        if is_strings {
            return Some(text(format!("{:?}", self.image.text(place)?)));
        }
        if let Some((piece, sym)) = self.symbol_at(place) {
            let name = elf.strtab.get_at(sym.st_name).unwrap_or_default();
            return Some(Meaning {
                text: format!("{name}+{}", place.offset - piece.offset),
                piece: Some(piece),
            });
        }
        let rest = header.sh_size.checked_sub(place.offset)?;
        let len = match header.sh_entsize {
            0 => rest,
            size => size.min(rest),
        };
        // What it would point to is not read.
        let end = place.plus(len).max(place);
        if self.relocations.range(place..end).next().is_some() {
            return None;
        }
        let bytes = (len <= MAX_NAMELESS).then(|| self.image.bytes(place, len))??;
        Some(text(format!("{section} {bytes:02x?}")))
    }

    /// The symbol that covers a place.
    fn symbol_at(&self, place: Place) -> Option<(Place, &Sym)> {
        let (start, sym) = self.symbols.range(..=place).next_back()?;
        let inside = start.section == place.section && place.offset - start.offset < sym.st_size;
        inside.then_some((*start, sym))
    }
}

fn place_of(sym: &Sym) -> Place {
    Place {
        section: sym.st_shndx,
        offset: sym.st_value,
    }
}
