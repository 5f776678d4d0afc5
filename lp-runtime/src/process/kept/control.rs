//! The control area: what is installed in a process and what was being done to it, kept in the process itself.
//!
//! Any later loader finds it, also when the one before was killed. It is one mapping that is read and written, called
//! `livepatch` where the kernel has names for such, and told by its first bytes in any case. Its records are two, written in turns: the newer
//! one that is whole counts, so a loader that is killed while it writes leaves the one before. A process may write what it
//! likes there: all that is read is checked, and its addresses are believed by no one. The tempting wrong way is a file on our
//! side: it knows nothing of forks, containers and other machines' loaders.
//!
//! Beside the records it has two things that patches use by address: the root of the shadow variables (`__lp_shadow_root`), and the
//! system states (`__lp_states`).

mod contents;
mod objects;
mod record;
pub mod states;
mod watching;

use sha2::{Digest, Sha256};
use thiserror::Error;

pub use contents::{
    AreaRecord, Contents, Direction, InstalledPatch, Journal, SiteRecord, Stays, Transition,
    TransitionSite,
};
pub use objects::{KeptFile, ObjectRecord, ObjectState};
pub use watching::Watching;

use crate::process::read::maps::{Mapping, Maps};
use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::touch::write::{WriteError, WriteMemory};
use record::Record;

/// Bytes of the area. Pages that are never written take no memory.
pub const SIZE: u64 = 4 << 20;

/// Bytes of the root of the shadow variables.
pub const SHADOW_ROOT_SIZE: u64 = 64;

/// The name of the mapping.
pub const NAME: &[u8] = b"livepatch\0";

const MAGIC: [u8; 8] = *b"livepat\x01";
const VERSION: u32 = 1;

/// Offsets: the head, two descriptions of records, the root, a place for the name, the states, and the records.
const RECORDS: [u64; 2] = [64, 128];
const SHADOW_ROOT: u64 = 256;
const NAME_AT: u64 = 512;
const STATES: u64 = 4096;
const BODIES: u64 = 8192;
const BODY_SIZE: u64 = (SIZE - BODIES) / 2;

/// The path that `/proc/PID/maps` shows.
const SHOWN: &str = "[anon:livepatch]";

/// What is wrong with a control area.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It was made by a later version of this tool.
    #[error(
        "the process's control area at {address:#x} has version {found}, this tool knows {VERSION}: use a newer one"
    )]
    Version {
        /// Where.
        address: u64,
        /// What it says.
        found: u32,
    },
    /// It is damaged.
    #[error(
        "the process's control area at {address:#x} is damaged ({why}): what is installed there is not known, so nothing can be \
         changed; restart the process"
    )]
    Damaged {
        /// Where.
        address: u64,
        /// What does not fit.
        why: &'static str,
    },
    /// There are two.
    #[error(
        "the process has two control areas, at {0:#x} and {1:#x}: what is installed is not known; restart the process"
    )]
    Two(u64, u64),
    /// More is installed than it can hold.
    #[error(
        "what would be installed takes {size} bytes of the control area, which holds {BODY_SIZE}: replace the patches by one"
    )]
    TooLarge {
        /// Bytes.
        size: usize,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] MemoryError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The control area of a process.
#[derive(Debug)]
pub struct Control {
    address: u64,
    newest: usize,
    generation: u64,
    contents: Contents,
}

impl Control {
    /// Finds a process's control area, if it has one.
    ///
    /// # Errors
    /// Where it has one that cannot be understood.
    pub fn find(maps: &Maps, memory: &dyn ReadMemory) -> Result<Option<Self>, ControlError> {
        let mut found: Option<Self> = None;
        for mapping in maps.iter().filter(|it| may_be(it)) {
            let address = mapping.range.start;
            let mut head = [0; 32];
            if memory.read(address, &mut head).is_err() || head[..8] != MAGIC {
                continue;
            }
            let one = Self::read(address, head, mapping, memory)?;
            if let Some(other) = found.replace(one) {
                return Err(ControlError::Two(other.address, address));
            }
        }
        Ok(found)
    }

    /// Begins one in memory that was mapped for it: [`SIZE`] zero bytes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(address: u64, memory: &WriteMemory) -> Result<Self, ControlError> {
        let mut control = Self {
            address,
            newest: 0,
            generation: 0,
            contents: Contents::default(),
        };
        memory.write_data(address + NAME_AT, NAME)?;
        states::write(memory, control.states(), &[])?;
        control.commit(memory, Contents::default())?;
        // Without its first bytes it is none: they come last.
        memory.write_data(address, &head(address))?;
        Ok(control)
    }

    /// What is installed, and what was being done.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Writes what is installed, and what is being done, in one step: a reader finds this, or what was there before.
    ///
    /// # Errors
    /// Where it is too large, or cannot be written.
    pub fn commit(&mut self, memory: &WriteMemory, contents: Contents) -> Result<(), ControlError> {
        let body = contents.to_bytes();
        if body.len() as u64 > BODY_SIZE {
            return Err(ControlError::TooLarge { size: body.len() });
        }
        let next = 1 - self.newest;
        let generation = self.generation.wrapping_add(1);
        memory.write_data(self.body(next), &body)?;
        let record = Record::of(generation, &body);
        memory.write_data(self.address + RECORDS[next], &record.to_bytes())?;
        self.newest = next;
        self.generation = generation;
        self.contents = contents;
        Ok(())
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The address of the shadow variables' root (`__lp_shadow_root`).
    pub fn shadow_root(&self) -> u64 {
        self.address + SHADOW_ROOT
    }

    /// The address of the array of system states (`__lp_states`).
    pub fn states(&self) -> u64 {
        self.address + STATES
    }

    /// Where its name is, for [`Threads::name_mapping`](crate::process::touch::threads::Threads::name_mapping).
    pub fn name(&self) -> u64 {
        self.address + NAME_AT
    }

    fn body(&self, which: usize) -> u64 {
        self.address + BODIES + BODY_SIZE * which as u64
    }

    fn read(
        address: u64,
        head: [u8; 32],
        mapping: &Mapping,
        memory: &dyn ReadMemory,
    ) -> Result<Self, ControlError> {
        let damaged = |why| ControlError::Damaged { address, why };
        let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if found != VERSION {
            return Err(ControlError::Version { address, found });
        }
        if head != self::head(address) {
            return Err(damaged("its head"));
        }
        if mapping.range.end - address < SIZE {
            return Err(damaged("its size"));
        }
        let mut control = Self {
            address,
            newest: 0,
            generation: 0,
            contents: Contents::default(),
        };
        let mut newest = None;
        for which in [0, 1] {
            let mut record = [0; record::SIZE];
            memory.read(address + RECORDS[which], &mut record)?;
            let record = Record::from_bytes(record);
            let body = record.body(memory, control.body(which), BODY_SIZE)?;
            let newer = |body: &Vec<u8>| !body.is_empty() && record.generation > control.generation;
            if let Some(body) = body.filter(newer) {
                control.newest = which;
                control.generation = record.generation;
                newest = Some(body);
            }
        }
        let body = newest.ok_or(damaged("its records"))?;
        control.contents = Contents::from_bytes(&body).ok_or(damaged("its newest record"))?;
        Ok(control)
    }
}

/// A mapping that a control area may be at the start of. Its name is given after it was made, so it may have none.
fn may_be(mapping: &Mapping) -> bool {
    let path = mapping.path.as_os_str();
    let perms = mapping.perms;
    mapping.file.is_none()
        && perms.read
        && perms.write
        && !perms.exec
        && !perms.shared
        && (path.is_empty() || path == SHOWN)
}

/// Magic, version, and the address, with a checksum: the first 32 bytes.
fn head(address: u64) -> [u8; 32] {
    let mut head = [0; 32];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..24].copy_from_slice(&address.to_le_bytes());
    let sum = checksum(&[&head[..24]]);
    head[24..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The first eight bytes of SHA-256: against damage, not against someone who wants to be believed.
fn checksum(parts: &[&[u8]]) -> u64 {
    let hash = parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update(part));
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(first)
}
