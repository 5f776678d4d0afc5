//! Where everything goes in the output: which section a bundle or an entry is put into, and at which offset.

use super::pool::{Pool, alignment_at};
use super::{Emitter, Spot};
use crate::bundle::{BundleId, Kind};
use crate::object::SectionId;
use crate::reference::Target;
use crate::special::table::PER_CPU;
use crate::special::{Entry, refs_of};
use crate::stub::Stubs;
use object::elf;

impl Emitter<'_, '_> {
    pub(super) fn lay_out_bundles(&mut self) {
        let view = self.source.view;
        for id in self.source.selection.bundles.keys() {
            let bundle = view.bundles.get(*id);
            let pool = self.pool_for(*id);
            let align = alignment_at(bundle.start, self.pools[pool].align);
            let nobits = view.object.section(bundle.section).is_nobits();
            let offset = self.append(
                pool,
                view.bytes_of(*id),
                if nobits { bundle.len } else { 0 },
                align,
            );
            self.spots.insert(*id, Spot { pool, offset });
            let stubs = Stubs::of(view, self.source.arch, *id);
            if !stubs.list.is_empty() {
                self.append(pool, &stubs.bytes(self.source.arch), 0, 1);
                self.stubs.insert(*id, stubs);
            }
        }
    }

    /// Functions and data get a section each, under the name that `-ffunction-sections` would give them where they
    /// shared one; what has no name goes on sharing.
    fn pool_for(&mut self, id: BundleId) -> usize {
        let view = self.source.view;
        let bundle = view.bundles.get(id);
        let section = view.object.section(bundle.section);
        let split = bundle.kind == Kind::Function;
        let key = (bundle.section, split.then_some(id));
        if let Some(pool) = self.pool_of.get(&key) {
            return *pool;
        }
        let shared = view.bundles.of_section(bundle.section).nth(1).is_some();
        let name = if split && shared {
            format!(".text.{}", view.name(id))
        } else {
            section.name().to_owned()
        };
        let pool = if name.starts_with(PER_CPU) {
            self.per_cpu_pool(bundle.section)
        } else {
            self.new_pool(bundle.section, name)
        };
        self.pool_of.insert(key, pool);
        pool
    }

    /// A module has one section of per-cpu data, by that very name.
    fn per_cpu_pool(&mut self, like: SectionId) -> usize {
        // What a module's loader grants (`percpu_modalloc`, `kernel/module/main.c`): a page.
        let align = self.source.view.object.section(like).align.min(4096);
        let known = self.pools.iter().position(|pool| pool.name == PER_CPU);
        let pool = known.unwrap_or_else(|| self.new_pool(like, PER_CPU.to_owned()));
        self.pools[pool].align = self.pools[pool].align.max(align);
        pool
    }

    pub(super) fn new_pool(&mut self, like: SectionId, name: String) -> usize {
        let section = self.source.view.object.section(like);
        // What is kept of a pool is needed as it is: no linker shall merge it again.
        let dropped = elf::SHF_GROUP.0
            | elf::SHF_LINK_ORDER.0
            | elf::SHF_COMPRESSED.0
            | elf::SHF_MERGE.0
            | elf::SHF_STRINGS.0;
        self.pools.push(Pool {
            name,
            kind: section.kind,
            flags: section.flags & !dropped,
            link: None,
            align: section.align,
            entsize: if section.is_mergeable() {
                0
            } else {
                section.entsize
            },
            size: 0,
            data: Vec::new(),
            relocs: Vec::new(),
        });
        self.pools.len() - 1
    }

    /// Appends bytes, or zeros that take no bytes, at the next aligned offset.
    pub(super) fn append(&mut self, pool: usize, bytes: &[u8], zeros: u64, align: u64) -> u64 {
        let (offset, grown) = self.pools[pool].append(bytes, zeros, align, self.written);
        self.written += grown;
        offset
    }

    pub(super) fn lay_out_entries(&mut self) {
        for entry in &self.source.selection.entries {
            let beside = self.beside(entry);
            let spot = self.append_slice(entry.section, beside, entry.start, entry.len);
            let parallel = entry
                .parallel
                .map(|(section, start, len)| self.append_slice(section, None, start, len));
            self.by_place
                .insert((entry.section, entry.start), (spot, entry.len));
            self.entry_spots.push((*entry, spot, parallel));
        }
    }

    /// The function beside which an entry has to stay. Such sections must say so in all objects that are linked, or the
    /// linker refuses them: `has both ordered and unordered sections`.
    fn beside(&self, entry: &Entry) -> Option<BundleId> {
        let view = self.source.view;
        if view.object.section(entry.section).flags & elf::SHF_LINK_ORDER.0 == 0 {
            return None;
        }
        let refs = refs_of(view, entry);
        let about = refs.iter().find_map(|reference| match reference.target {
            Target::Bundle { id, .. } => Some(id),
            _ => None,
        });
        about.filter(|id| self.spots.contains_key(id))
    }

    /// The pool for what is kept of a section of entries: one for each function where they are kept beside it.
    fn entry_pool(&mut self, section: SectionId, beside: Option<BundleId>) -> usize {
        if let Some(pool) = self.pool_of.get(&(section, beside)) {
            return *pool;
        }
        let name = self.source.view.object.section(section).name().to_owned();
        let new = self.new_pool(section, name);
        if let Some(code) = beside.and_then(|id| self.spots.get(&id)) {
            self.pools[new].flags |= elf::SHF_LINK_ORDER.0;
            self.pools[new].link = Some(code.pool);
        }
        self.pool_of.insert((section, beside), new);
        new
    }

    fn append_slice(
        &mut self,
        section: SectionId,
        beside: Option<BundleId>,
        start: u64,
        len: u64,
    ) -> Spot {
        let pool = self.entry_pool(section, beside);
        let bytes = self
            .source
            .view
            .object
            .section(section)
            .bytes(start, start + len);
        let spot = Spot {
            pool,
            offset: self.append(pool, bytes, 0, 1),
        };
        // The last entry of a section may lack its padding, but here others can come after it.
        let missing = len - bytes.len() as u64;
        self.append(pool, &vec![0; missing as usize], 0, 1);
        spot
    }
}
