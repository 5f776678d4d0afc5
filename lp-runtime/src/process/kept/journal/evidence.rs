//! Whether memory that was announced is ours: the loader was killed before it could say that it is mapped, or unmapped.
//!
//! Memory that we map has an unusual property, that no swap space is reserved for it (`nr` among `VmFlags` of
//! `/proc/PID/smaps`), and is zero until it has been noted; memory that we are about to unmap gets a mark first. So nothing that the
//! program mapped at the same place meanwhile is taken for ours. The tempting wrong way is to go by the address.

use super::{Stops, TransactionError};
use crate::process::kept::area::Area;
use crate::process::kept::control::AreaRecord;
use crate::process::read::memory::{ReadMemory, read_vec};
use crate::process::touch::write::WriteMemory;

/// What an area begins with that is about to be unmapped.
const MARK: &[u8; 16] = b"livepatch: gone\n";

/// No patch is so large.
const LARGEST: u64 = 1 << 30;

/// Marks an area that is about to be unmapped, and is still mapped.
pub(super) fn mark(stops: &mut Stops<'_>, area: AreaRecord) -> Result<(), TransactionError> {
    stops.write(area, MARK)
}

/// Whether an area is mapped, and by us.
pub(super) fn is_ours(pid: i32, area: &AreaRecord, memory: &WriteMemory) -> bool {
    let mut first = [0; MARK.len()];
    if memory.read(area.address, &mut first).is_err() {
        return false;
    }
    first == *MARK || (has_our_flags(pid, area) == Some(true) && is_zero(area, memory))
}

fn is_zero(area: &AreaRecord, memory: &WriteMemory) -> bool {
    const CHUNK: u64 = 1 << 20;
    let end = area.address.saturating_add(area.size.min(LARGEST));
    (area.address..end).step_by(CHUNK as usize).all(|at| {
        let bytes = read_vec(memory, at, CHUNK.min(end - at), CHUNK);
        bytes.is_ok_and(|bytes| bytes.iter().all(|it| *it == 0))
    })
}

/// Whether there is a mapping of just these addresses, of no file, with the protection and the property that ours have.
fn has_our_flags(pid: i32, area: &AreaRecord) -> Option<bool> {
    let perms = match area.protection {
        Area::Text => "r-xp",
        Area::ReadOnly => "r--p",
        Area::Data => "rw-p",
    };
    let end = area.address.checked_add(area.size)?;
    let range = format!("{:08x}-{end:08x}", area.address);
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&range));
    let mut head = lines.next()?.split_whitespace().skip(1);
    // Permissions, offset, device, inode.
    let anonymous = head.next() == Some(perms) && head.nth(2) == Some("0");
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"))?;
    Some(anonymous && flags.split_whitespace().any(|it| it == "nr"))
}
