//! A thread's stack as it is read: one window when it has stopped, more where an unwinder asks.

use std::collections::HashMap;

use super::Why;
use crate::process::read::memory::ReadMemory;

const PAGE: u64 = 4096;

/// No stack that can be unwound is deeper.
const MAX_PAGES: usize = (64 << 20) / PAGE as usize;

/// What is known of the memory that a stack is in.
pub struct Stack<'a> {
    memory: &'a dyn ReadMemory,
    start: u64,
    window: Vec<u8>,
    pages: HashMap<u64, Option<Box<[u8; PAGE as usize]>>>,
}

impl<'a> Stack<'a> {
    /// A stack of which `window` was read, from `start` on.
    pub fn new(memory: &'a dyn ReadMemory, start: u64, window: Vec<u8>) -> Self {
        Self {
            memory,
            start,
            window,
            pages: HashMap::new(),
        }
    }

    /// The word at an address.
    pub(super) fn word(&mut self, address: u64) -> Result<u64, Why> {
        self.value(address, 8)
    }

    /// A little-endian number of up to eight bytes.
    pub(super) fn value(&mut self, address: u64, size: u8) -> Result<u64, Why> {
        let size = usize::from(size.min(8));
        let mut bytes = [0; 8];
        let at = address
            .checked_sub(self.start)
            .and_then(|it| usize::try_from(it).ok());
        let seen = at.and_then(|at| self.window.get(at..at.checked_add(size)?));
        match seen {
            Some(seen) => bytes[..size].copy_from_slice(seen),
            None => {
                for (at, byte) in (0..).zip(&mut bytes[..size]) {
                    *byte = self.byte(address.checked_add(at).ok_or(Why::Unreadable)?)?;
                }
            }
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn byte(&mut self, address: u64) -> Result<u8, Why> {
        let page = address / PAGE * PAGE;
        if self.pages.len() > MAX_PAGES {
            return Err(Why::TooDeep);
        }
        let memory = self.memory;
        let bytes = self.pages.entry(page).or_insert_with(|| {
            let mut bytes = Box::new([0; PAGE as usize]);
            memory.read(page, bytes.as_mut_slice()).ok().map(|()| bytes)
        });
        let bytes = bytes.as_ref().ok_or(Why::Unreadable)?;
        Ok(bytes[(address - page) as usize])
    }
}
