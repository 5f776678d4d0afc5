//! The kernel's own table of symbols, found and decoded in its image (`kernel/kallsyms.c`, `scripts/kallsyms.c`).
//!
//! No symbol says where the tables are, so they are told by their shape: each has to fit the others to the last byte. The
//! addresses are before the names in 6.1, and behind everything in 6.12:
//!
//! ```text
//! [offsets, relative_base]  num_syms  names  markers  ..  token_table  token_index  [offsets, relative_base]
//! ```
//! The tempting wrong way is to look for a known name: names are packed with a dictionary that each kernel makes anew.

/// Names in one token, and what the index of a token is counted by.
const TOKENS: usize = 256;
/// Symbols between two markers.
const MARKED: usize = 256;
/// Every table begins at a multiple of this (`ALGN`).
const ALIGN: usize = 8;
/// Bytes of the longest token: as long as a name.
const LONGEST: usize = 512;
/// How many symbols a kernel has: a few thousand at least, some hundred thousand as a rule. Few would fit anywhere.
const SYMBOLS: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 24;
/// The lowest address of a 64-bit kernel.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// What `nm` says of a symbol in a section that it has no letter for (`.data_nosave`).
pub const UNKNOWN: u8 = b'?';

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kallsym {
    /// Its link address; of a per-CPU variable the offset.
    pub address: u64,
    /// The letter of `nm`: upper case is global; or [`UNKNOWN`].
    pub kind: u8,
    /// Its name.
    pub name: String,
}

/// Decodes the table in the read-only data of a kernel; none where there is none in a known form.
pub fn decode(rodata: &[u8]) -> Option<Vec<Kallsym>> {
    let tokens = (0..rodata.len())
        .step_by(ALIGN)
        .find_map(|at| Tokens::at(rodata, at))?;
    let names = Names::find(rodata, &tokens)?;
    let before = names
        .start
        .checked_sub(ALIGN + 8 + aligned(names.count * 4));
    let behind = tokens.end();
    let addresses = [before, Some(behind)]
        .into_iter()
        .flatten()
        .find_map(|at| addresses(rodata, at, names.count))?;
    // Names shrink to about half; what would grow without end was made to.
    let mut room = rodata.len().saturating_mul(16);
    let symbol = |(address, packed): (u64, &&[u8])| {
        let (kind, name) = tokens.expand(packed)?;
        room = room.checked_sub(name.len())?;
        Some(Kallsym {
            address,
            kind,
            name,
        })
    };
    addresses
        .into_iter()
        .zip(&names.packed)
        .map(symbol)
        .collect()
}

/// What each byte of a packed name stands for.
struct Tokens<'a> {
    /// Where the index is.
    index: usize,
    /// Where the texts are.
    table: usize,
    texts: Vec<&'a [u8]>,
}

impl<'a> Tokens<'a> {
    /// The tokens whose index is here: ascending offsets, each behind the zero byte that ends the text before.
    fn at(rodata: &'a [u8], index: usize) -> Option<Self> {
        let offsets = rodata.get(index..index.checked_add(TOKENS * 2)?)?;
        let offsets = offsets.as_chunks::<2>().0;
        let offset = |at: usize| {
            offsets
                .get(at)
                .map(|it| usize::from(u16::from_le_bytes(*it)))
        };
        if offset(0)? != 0 || !offsets.is_sorted_by_key(|it| u16::from_le_bytes(*it)) {
            return None;
        }
        let last = offset(TOKENS - 1)?;
        let shortest = aligned(last.checked_add(2)?);
        let tables = (shortest..=shortest + LONGEST).step_by(ALIGN);
        let mut tables = tables.filter_map(|size| index.checked_sub(size));
        tables.find_map(|table| {
            let texts: Option<Vec<&[u8]>> = (0..TOKENS)
                .map(|token| {
                    text(
                        rodata.get(table + offset(token)?..index)?,
                        offset(token + 1),
                        offset(token)?,
                    )
                })
                .collect();
            let texts = texts?;
            let end = table + last + texts.last()?.len() + 1;
            let is_whole =
                aligned(end) == index && rodata.get(end..index)?.iter().all(|byte| *byte == 0);
            is_whole.then_some(Self {
                index,
                table,
                texts,
            })
        })
    }

    fn end(&self) -> usize {
        self.index + TOKENS * 2
    }

    fn text(&self, byte: u8) -> &'a [u8] {
        self.texts
            .get(usize::from(byte))
            .copied()
            .unwrap_or_default()
    }

    /// Kind and name.
    fn expand(&self, packed: &[u8]) -> Option<(u8, String)> {
        let letters = packed.iter().flat_map(|byte| self.text(*byte)).copied();
        let whole: Vec<u8> = letters.take(LONGEST).collect();
        let (kind, name) = whole.split_first()?;
        Some((*kind, String::from_utf8(name.to_vec()).ok()?))
    }

    /// Whether a packed name begins with the letter of a kind.
    fn is_symbol(&self, packed: &[u8]) -> bool {
        let first = packed.first().and_then(|byte| self.text(*byte).first());
        first.is_some_and(|kind| kind.is_ascii_alphabetic() || *kind == UNKNOWN)
    }
}

/// The text at the start, which ends before the next token.
fn text(rest: &[u8], next: Option<usize>, own: usize) -> Option<&[u8]> {
    let end = rest.iter().take(LONGEST).position(|byte| *byte == 0)?;
    let fits = next.is_none_or(|next| own + end + 1 == next);
    fits.then(|| &rest[..end])
}

/// The packed names.
struct Names<'a> {
    /// Where they are.
    start: usize,
    count: usize,
    packed: Vec<&'a [u8]>,
}

impl<'a> Names<'a> {
    /// Looks at each number before the tokens: as many names must follow it, and then the markers of just these names.
    fn find(rodata: &'a [u8], tokens: &Tokens<'_>) -> Option<Self> {
        // Nothing but the right place goes far; a file that was made to go far everywhere is given up.
        let mut budget = rodata.len().saturating_mul(8);
        let places = (0..tokens.table).step_by(ALIGN);
        let counts = places.filter_map(|at| {
            let count = usize::try_from(number(rodata, at, 8)?).ok()?;
            SYMBOLS.contains(&count).then_some((at + ALIGN, count))
        });
        for (start, count) in counts {
            let found = Self::at(rodata, start, count, tokens, &mut budget);
            if found.is_some() || budget == 0 {
                return found;
            }
        }
        None
    }

    fn at(
        rodata: &'a [u8],
        start: usize,
        count: usize,
        tokens: &Tokens<'_>,
        budget: &mut usize,
    ) -> Option<Self> {
        let (mut packed, mut markers, mut at) = (Vec::new(), Vec::new(), start);
        for symbol in 0..count {
            *budget = budget.checked_sub(1)?;
            if symbol % MARKED == 0 {
                markers.push((at - start) as u64);
            }
            let name = packed_name(rodata, &mut at).filter(|_| at <= tokens.table)?;
            packed.push(Some(name).filter(|name| tokens.is_symbol(name))?);
        }
        let place = aligned(at);
        // 32 bits each; 64 before Linux 4.20.
        let is_marked = |size: usize| {
            let mut all = (0..).zip(&markers);
            all.all(|(index, marker)| number(rodata, place + index * size, size) == Some(*marker))
        };
        (is_marked(4) || is_marked(8)).then_some(Self {
            start,
            count,
            packed,
        })
    }
}

/// The name at a place, which moves behind it: one byte of length, or two if the first has its highest bit set.
fn packed_name<'a>(rodata: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let first = *rodata.get(*at)?;
    *at += 1;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        len = usize::from(first & 0x7f) | usize::from(*rodata.get(*at)?) << 7;
        *at += 1;
    }
    let name = rodata.get(*at..at.checked_add(len)?)?;
    *at += len;
    (len > 0).then_some(name)
}

/// The addresses at a place, ascending, as `kallsyms_sym_address` has them.
fn addresses(rodata: &[u8], at: usize, count: usize) -> Option<Vec<u64>> {
    let base_at = at.checked_add(aligned(count * 4))?;
    let base = number(rodata, base_at, 8).filter(|base| *base >= KERNEL)?;
    let offsets = rodata
        .get(at..at.checked_add(count * 4)?)?
        .as_chunks::<4>()
        .0;
    let offsets = || offsets.iter().map(|offset| i32::from_le_bytes(*offset));
    // CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not per CPU counts backwards from -1.
    let with_absolute = offsets().any(|offset| offset < 0);
    let address = |offset: i32| match offset {
        0.. if with_absolute => offset as u64,
        0.. => base.wrapping_add(offset as u64),
        _ => base.wrapping_add((-1 - i64::from(offset)) as u64),
    };
    let addresses: Vec<u64> = offsets().map(address).collect();
    addresses.is_sorted().then_some(addresses)
}

/// A little-endian number of `size` bytes.
fn number(data: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = data.get(at..at.checked_add(size)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u64::from(*byte)),
    )
}

fn aligned(size: usize) -> usize {
    size.next_multiple_of(ALIGN)
}
