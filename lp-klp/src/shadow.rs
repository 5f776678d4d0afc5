//! Shadow variables: new fields for objects whose layout cannot change any more.
//!
//! A shadow variable is found by the object's address and an id, and lives until it is freed, however many patches
//! come and go. The rules are `kernel/livepatch/shadow.c` (6.1). The tempting wrong way is to let a patch own its
//! shadow variables: the next cumulative patch must find them.

use crate::errno::Errno;
use std::collections::BTreeMap;

/// Shadow variables of values `V`, by (object, id). Addresses and ids are `unsigned long` in the kernel.
#[derive(Debug, Clone)]
pub struct Shadows<V>(BTreeMap<(u64, u64), V>);

/// Why a shadow variable was not attached; the caller of `klp_shadow_alloc` gets NULL for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAttached {
    /// There is one already (the kernel warns).
    Exists,
    /// The constructor failed; nothing is attached.
    Constructor(Errno),
}

impl<V> Default for Shadows<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Shadows<V> {
    /// The one of this object and id (`klp_shadow_get`).
    pub fn get(&self, object: u64, id: u64) -> Option<&V> {
        self.0.get(&(object, id))
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, object: u64, id: u64) -> Option<&mut V> {
        self.0.get_mut(&(object, id))
    }

    /// Attaches a new one (`klp_shadow_alloc`). The constructor runs only where there is none yet.
    ///
    /// # Errors
    /// Where there is one already, and where the constructor fails.
    pub fn alloc(
        &mut self,
        object: u64,
        id: u64,
        constructor: impl FnOnce() -> Result<V, Errno>,
    ) -> Result<&mut V, NotAttached> {
        if self.0.contains_key(&(object, id)) {
            return Err(NotAttached::Exists);
        }
        self.get_or_alloc(object, id, constructor)
    }

    /// The one that there is, else a new one (`klp_shadow_get_or_alloc`).
    ///
    /// # Errors
    /// Where the constructor fails.
    pub fn get_or_alloc(
        &mut self,
        object: u64,
        id: u64,
        constructor: impl FnOnce() -> Result<V, Errno>,
    ) -> Result<&mut V, NotAttached> {
        use std::collections::btree_map::Entry;
        match self.0.entry((object, id)) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => {
                Ok(place.insert(constructor().map_err(NotAttached::Constructor)?))
            }
        }
    }

    /// Frees the one of this object and id, if there is one (`klp_shadow_free`).
    pub fn free(&mut self, object: u64, id: u64, destructor: impl FnOnce(u64, V)) {
        if let Some(value) = self.0.remove(&(object, id)) {
            destructor(object, value);
        }
    }

    /// Frees those of all objects with this id (`klp_shadow_free_all`), by object.
    pub fn free_all(&mut self, id: u64, mut destructor: impl FnMut(u64, V)) {
        let objects: Vec<u64> = self
            .0
            .keys()
            .filter(|(_, of)| *of == id)
            .map(|(object, _)| *object)
            .collect();
        for object in objects {
            self.free(object, id, &mut destructor);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
