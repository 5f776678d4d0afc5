//! Where the parts of a patch go in a process: into holes between its mappings, within reach of the object that each is for.
//!
//! A jump and most references of compiled code reach 2 GiB both ways; 1 MiB of it is left alone at each end. The
//! nearest hole is taken, below the object before above it: what grows (`brk`, the stacks) grows into the holes above and
//! below, and is left [`GROWTH`]. So is the upper end of a hole: there the kernel puts what the program maps next
//! (`vm_unmapped_area`, mm/mmap.c, which goes from top to bottom), and one that maps all the time would always be there before us.
//! The same mappings give the same places. Nothing is reserved by choosing: whoever maps must
//! ask the kernel not to replace anything (`MAP_FIXED_NOREPLACE`), and gives up where it refuses.

use crate::process::prepare::layout::PAGE;
use crate::process::read::maps::{Mapping, Maps};
use std::ops::Range;
use std::path::Path;
use thiserror::Error;

/// How far code reaches: 2 GiB less a mebibyte.
pub const REACH: u64 = (2 << 30) - (1 << 20);
/// The lowest address that may be mapped (`vm.mmap_min_addr` is 64 KiB by default).
const LOWEST: u64 = 0x10000;
/// The end of what a process may map by itself.
const HIGHEST: u64 = 0x7fff_ffff_f000;
/// Bytes left to what grows.
const GROWTH: u64 = 256 << 20;
/// The end of what 32 bits reach when they are a signed address.
const LOW_END: u64 = 1 << 31;

/// What a place is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The object's name, for the message.
    pub object: String,
    /// Its addresses.
    pub near: Range<u64>,
    /// Bytes that are needed.
    pub size: u64,
    /// Whether it must be below 2 GiB.
    pub low: bool,
}

/// Nothing is free within reach.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{size} bytes for the patch are needed within 2 GiB of {object} (at {start:#x}){}, and the largest hole there has \
     {largest}", if *.low { ", below 2 GiB" } else { "" }
)]
pub struct NoPlace {
    /// The object.
    pub object: String,
    /// Where it begins.
    pub start: u64,
    /// Bytes that are needed.
    pub size: u64,
    /// Bytes of the largest hole in reach.
    pub largest: u64,
    /// It had to be below 2 GiB: the patch was compiled for a fixed address.
    pub low: bool,
}

/// Finds a place for each, none over another. Where a size is zero, nothing is needed, and the place is 0.
///
/// # Errors
/// Where there is none for one of them.
pub fn place(maps: &Maps, wants: &[Want]) -> Result<Vec<u64>, NoPlace> {
    let mut taken: Vec<Range<u64>> = Vec::new();
    let mut places = Vec::with_capacity(wants.len());
    for want in wants {
        if want.size == 0 {
            places.push(0);
            continue;
        }
        let start = find(&holes(maps, &taken), want)?;
        taken.push(start..start + want.size);
        places.push(start);
    }
    Ok(places)
}

/// The addresses that may be mapped, with a page left free on each side of what is there.
fn holes(maps: &Maps, taken: &[Range<u64>]) -> Vec<Range<u64>> {
    let mapped = maps.iter().map(with_growth);
    let mut used: Vec<Range<u64>> = mapped.chain(taken.iter().cloned()).collect();
    used.sort_by_key(|range| range.start);
    let mut holes = Vec::with_capacity(used.len() + 1);
    let mut end = LOWEST - PAGE;
    for range in used.into_iter().chain(std::iter::once(HIGHEST..HIGHEST)) {
        let hole = end.saturating_add(PAGE)..range.start.saturating_sub(PAGE);
        if hole.start < hole.end {
            holes.push(hole);
        }
        end = end.max(range.end);
    }
    holes
}

fn with_growth(mapping: &Mapping) -> Range<u64> {
    let Range { start, end } = mapping.range.clone();
    let is = |name: &str| mapping.path == Path::new(name);
    if is("[heap]") {
        start..end.saturating_add(GROWTH)
    } else if is("[stack]") {
        start.saturating_sub(GROWTH)..end
    } else {
        start..end
    }
}

fn find(holes: &[Range<u64>], want: &Want) -> Result<u64, NoPlace> {
    let allowed = allowed(want);
    let mut largest = 0;
    let mut best: Option<(u64, u64)> = None;
    for hole in holes {
        let start = hole.start.max(allowed.start).next_multiple_of(PAGE);
        let end = hole.end.min(allowed.end) & !(PAGE - 1);
        let room = end.saturating_sub(start);
        largest = largest.max(room);
        if room < want.size {
            continue;
        }
        let below = hole.start < want.near.start;
        let left = GROWTH.min((room - want.size) / 2) & !(PAGE - 1);
        let at = if below { end - want.size - left } else { start };
        let distance = if below {
            want.near.start.saturating_sub(end)
        } else {
            start.saturating_sub(want.near.end)
        };
        // What lies above counts as farther: programs grow that way. So does a small hole, which soon is none.
        let worse = [!below, room < GROWTH].map(|it| if it { GROWTH } else { 0 });
        let cost = distance.saturating_add(worse.iter().sum());
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, at));
        }
    }
    best.map(|(_, at)| at).ok_or_else(|| NoPlace {
        object: want.object.clone(),
        start: want.near.start,
        size: want.size,
        largest,
        low: want.low,
    })
}

/// From every address here every address of the object is within reach.
fn allowed(want: &Want) -> Range<u64> {
    let start = want.near.end.saturating_sub(REACH).max(LOWEST);
    let end = want.near.start.saturating_add(REACH).min(HIGHEST);
    start..if want.low { end.min(LOW_END) } else { end }
}

#[cfg(test)]
mod tests {
    use super::{GROWTH, Maps, NoPlace, REACH, Want, place};

    fn maps(lines: &[&str]) -> Maps {
        let text = lines.join("\n");
        Maps::parse(text.as_bytes()).expect("they are good")
    }

    fn want(start: u64, end: u64, size: u64) -> Want {
        let object = "prog".into();
        Want {
            object,
            near: start..end,
            size,
            low: false,
        }
    }

    #[test]
    fn the_nearest_hole_below_is_taken_away_from_where_the_kernel_maps() {
        let maps = maps(&[
            "100000000-100004000 r-xp 0 0:0 1 /x",
            "100010000-100020000 r--p 0 0:0 0",
        ]);
        let two = want(0x1_0000_0000, 0x1_0000_4000, 0x2000);
        let places = place(&maps, &[two.clone(), two]).expect("there is room");
        // The second is half way between the first and the object.
        let first = 0xffff_f000 - GROWTH - 0x2000;
        assert_eq!(places[0], first);
        assert!((first + GROWTH / 2..first + GROWTH / 2 + 0x4000).contains(&places[1]));
    }

    #[test]
    fn what_grows_is_left_room() {
        let maps = maps(&[
            "10000-404000 r-xp 0 0:0 1 /x",
            "404000-425000 rw-p 0 0:0 0   [heap]",
        ]);
        let found = place(&maps, &[want(0x40_0000, 0x40_4000, 0x1000)]);
        assert_eq!(
            found.expect("above the heap"),
            [0x42_5000 + GROWTH + 0x1000]
        );
    }

    #[test]
    fn out_of_reach_is_no_place() {
        let far = 0x10_0000_0000 + REACH;
        let line = format!("{:x}-{far:x} r-xp 0 0:0 1 /x", 0x10_0000_0000 - REACH);
        let found = place(
            &maps(&[&line]),
            &[want(0x10_0000_0000, 0x10_0000_1000, 0x1000)],
        );
        assert!(
            matches!(found, Err(NoPlace { largest: 0, .. })),
            "{found:?}"
        );
        let low = Want {
            low: true,
            ..want(0x8000_0000, 0x8000_1000, 0x1000)
        };
        let found = place(&maps(&[]), &[low]).expect("there is room");
        assert_eq!(found, [(1 << 31) - GROWTH - 0x1000]);
    }

    #[test]
    fn nothing_is_placed_for_nothing() {
        assert_eq!(place(&maps(&[]), &[want(0, 0, 0)]), Ok(vec![0]));
    }
}
