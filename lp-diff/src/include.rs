//! Decides what goes into the patch: the changed functions, and all that they cannot do without.
//!
//! What the target already has and what is the same there is referred to, never copied: a second copy of a lock or a
//! counter is a bug. What is new comes along, and so do strings, constants and cold parts, and the special entries
//! about every piece of code that comes. The tempting wrong way is to follow every reference: that would carry the
//! whole file. Whatever changed and cannot be patched is refused here, all of it at once.

use crate::author::Author;
use crate::bundle::{Bundle, BundleId, Kind};
use crate::callable;
use crate::compare::{Comparer, Comparison, Reason, Status};
use crate::ends::Ends;
use crate::moved_name;
use crate::name::{self, canonical};
use crate::object::{Section, SectionId};
use crate::process::{is_chooser, is_thread_local, start};
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use crate::reloc::Resolver;
use crate::special::boot::Load;
use crate::special::keep::{Fate, Keeper};
use crate::special::table::{is_decrypted, is_freed, is_init, is_start_list};
use crate::special::{Entry, refs_of};
use crate::stub::Stubs;
use crate::untraceable;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Why a bundle goes into the patch.
#[derive(Debug, Clone)]
pub enum Cause {
    /// In words.
    Said(String),
    /// It is a function that changed, and this is what was found first.
    Changed(Reason),
}

/// What goes into the patch.
#[derive(Debug, Default)]
pub struct Selection {
    /// The bundles, with why each one is there.
    pub bundles: BTreeMap<BundleId, Cause>,
    /// The special entries, in the order of the table and their offsets.
    pub entries: Vec<Entry>,
    /// The instructions that read a variable where the kernel's own have a constant, each with what it is in.
    pub loads: Vec<(BundleId, Load)>,
    /// Entries, by their place, whose key is one that is off for good.
    pub off: BTreeSet<(SectionId, u64)>,
    /// What cannot be done.
    pub refusals: Vec<Refusal>,
    /// What the author should know.
    pub notes: Vec<String>,
    /// Tables that differ and that the author says to leave as they are.
    pub left_alone: BTreeSet<String>,
}

impl Selection {
    /// Selects from a comparison.
    pub fn select<'d>(
        comparer: &Comparer<'_, 'd>,
        comparison: &Comparison,
        resolver: &Resolver<'_, 'd>,
        (overridden, author): (&BTreeSet<usize>, &Author),
    ) -> Self {
        let mut selector = Selector {
            comparer,
            comparison,
            resolver,
            overridden,
            author,
            constructors: start::constructors(comparer.patched, comparer.flavour),
            selection: Self::default(),
            refused: BTreeSet::new(),
            work: Vec::new(),
        };
        selector.seed();
        selector.seed_callbacks();
        selector.seed_states();
        while let Some(id) = selector.work.pop() {
            selector.follow(id);
        }
        selector.refuse_changed_tables();
        selector.refuse_shorter_lists();
        let mut selection = selector.selection;
        selection.refusals.extend(moved_name::refusals(comparer));
        let order = |entry: &Entry| {
            (
                crate::special::table::position(entry.special),
                entry.section,
                entry.start,
            )
        };
        selection.entries.sort_by_key(order);
        selection
    }
}

struct Selector<'s, 'v, 'd> {
    comparer: &'s Comparer<'v, 'd>,
    comparison: &'s Comparison,
    resolver: &'s Resolver<'s, 'd>,
    overridden: &'s BTreeSet<usize>,
    author: &'s Author,
    /// What runs as the object is loaded.
    constructors: BTreeSet<BundleId>,
    selection: Selection,
    /// The refusals of the selection.
    refused: BTreeSet<Refusal>,
    work: Vec<BundleId>,
}

impl Selector<'_, '_, '_> {
    /// Changed functions, and what is new and visible to other objects of the patch.
    fn seed(&mut self) {
        let view = self.comparer.patched;
        for (id, bundle) in view.bundles.iter() {
            let global = bundle
                .owner
                .is_some_and(|owner| !view.object.symbol(owner).is_local());
            match (bundle.kind, self.comparison.status(id)) {
                (Kind::Function, Status::Changed(reason)) => {
                    self.seed_changed_function(id, &reason.clone())
                }
                (Kind::Data, Status::Changed(reason)) => {
                    self.refuse_changed_data(id, &reason.clone())
                }
                (Kind::Data, Status::New)
                    if is_thread_local(view.object.section(bundle.section)) =>
                {
                    self.refuse(RefusalCode::ThreadLocal, view.name(id), "it is a new thread-local variable, and the threads that run have no room for it: keep it as a shadow variable of something that each thread has, or with pthread_key_create()");
                }
                (Kind::Function | Kind::Data, Status::New)
                    if global && is_carried(view.object.section(bundle.section)) =>
                {
                    self.seed_new(id);
                }
                (Kind::Function, Status::New) if self.is_module_start(id) => {
                    self.refuse(RefusalCode::InitCode, view.name(id), "it is new, and runs only as its module is loaded or unloaded: a running module has started already, and the kernel knows which exit function it has. Do it in a callback");
                }
                _ => {}
            }
        }
    }

    /// Whether a function is what `module_init` or `module_exit` names (include/linux/module.h).
    fn is_module_start(&self, id: BundleId) -> bool {
        let view = self.comparer.patched;
        let mut symbols = view.bundles.symbols(id).iter();
        symbols.any(|symbol| {
            ["init_module", "cleanup_module"].contains(&view.object.symbol(*symbol).name())
        })
    }

    /// The livepatch core calls the patch's copy of a callback, so it must be the patch's own.
    fn seed_callbacks(&mut self) {
        let view = self.comparer.patched;
        for (kind, id) in &self.author.callbacks {
            let name = view.name(*id);
            if is_init(view.section_name(*id)) {
                self.refuse(RefusalCode::Callback, name, &format!("the {kind} callback is start-up or exit code, which is gone when the kernel calls it: take __init or __exit off it"));
            } else if *self.comparison.status(*id) != Status::New {
                self.refuse(RefusalCode::Callback, name, &format!("the {kind} callback is a function that the running system has already: write a new one that calls it"));
            } else {
                self.include(*id, || format!("the {kind} callback"));
            }
        }
    }

    /// The patch's own code calls what a state's operations name, so they must be the patch's own.
    fn seed_states(&mut self) {
        let view = self.comparer.patched;
        for (id, state) in &self.author.states {
            if *self.comparison.status(state.ops) == Status::New {
                self.include(state.ops, || format!("keeps state {id}"));
            } else {
                self.refuse(RefusalCode::Callback, view.name(state.ops), &format!("the operations of state {id} are a datum that the running system has already: make them with LP_STATE under a new name"));
            }
        }
    }

    /// Something new that other objects of the patch may use. What the target has under that name is not new.
    fn seed_new(&mut self, id: BundleId) {
        let view = self.comparer.patched;
        let name = view.name(id);
        if self.resolver.target_has(name) && view.bundles.get(id).kind == Kind::Data {
            self.refuse(RefusalCode::ChangedData, name, "it is new in this file, but the target has a variable of this name: a second one would have a value of its own. Leave it where it was");
        } else if self.resolver.target_has(name) {
            self.refuse(RefusalCode::Unresolved, name, "it is new in this file, but the target has a function of this name: leave it where it was, or give the new one another name");
        } else {
            self.include(id, || "new".to_owned());
        }
    }

    fn seed_changed_function(&mut self, id: BundleId, reason: &Reason) {
        let view = self.comparer.patched;
        let bundle = view.bundles.get(id);
        let name = view.name(id);
        if self.is_overridden(id) {
            self.selection.notes.push(format!("{name} changed, but it is __weak and the target uses another file's definition: it is left out"));
        } else if is_init(view.section_name(id)) {
            self.refuse(
                RefusalCode::InitCode,
                name,
                untraceable::gone(view.section_name(id)),
            );
        } else if let Some(parent) = bundle.parent {
            self.include(id, || format!("cold part of {}", view.name(parent)));
        } else if self.constructors.contains(&id) {
            self.refuse(RefusalCode::InitCode, name, "its code changed, but it is a constructor, which has run already: do in a callback what it would do now");
        } else if self.comparer.flavour.is_process() && is_chooser(view, id) {
            self.refuse(RefusalCode::InitCode, name, "its code changed, but it chooses an implementation as the program is linked (ifunc), which it has done: change the implementations");
        } else if !self.comparer.has_fentry(id) {
            let mcount = self.comparer.calls_mcount(id);
            let mut advice = untraceable::advice(name, view.section_name(id), mcount);
            if self.comparer.is_pointed_to(id) {
                advice += ". It cannot be copied into the patch either, since code takes its address: who has the old one would go on with it. A function with another name, used where that does no harm, can";
            }
            self.refuse(RefusalCode::NoFentry, name, &advice);
        } else {
            self.include_because(id, || Cause::Changed(reason.clone()));
        }
    }

    fn is_overridden(&self, id: BundleId) -> bool {
        let twin = self
            .comparer
            .twins
            .orig(id)
            .map(|twin| self.comparer.orig.bundles.get(twin));
        twin.and_then(|twin| twin.owner)
            .is_some_and(|owner| self.overridden.contains(&(owner.0 as usize)))
    }

    fn refuse_changed_data(&mut self, id: BundleId, reason: &Reason) {
        let view = self.comparer.patched;
        let section = view.section_name(id);
        let place = format!("{} in {section}", view.name(id));
        if let Some(function) = self.untraceable_in(id, reason) {
            let name = view.name(function);
            self.refuse(RefusalCode::NoFentry, name, &format!("it changed, has no fentry site (notrace, noinstr or assembly), and the running system has its address in {place}: the kernel can redirect neither. Change the functions that it calls, or set the pointer to a new function in a callback"));
            return;
        }
        match reason {
            _ if is_init(section) => self.refuse(RefusalCode::InitCode, &place, "it changed, but it is used only while the kernel or module starts and is freed then"),
            Reason::Size(old, new) => self.refuse(RefusalCode::ChangedSize, &place, &format!("its size changed from {old} to {new} bytes, but the running system already has it: keep its layout and attach new fields with shadow variables")),
            Reason::Alignment(was, is) => self.refuse(RefusalCode::ChangedData, &place, &format!("it is to be aligned to {is} bytes, but the running system has it at a multiple of {was}: leave its alignment as it is")),
            _ => self.refuse(RefusalCode::ChangedData, &place, "its initial value changed, but the running system already has it: set the new value in a callback or in code"),
        }
    }

    /// The function that changed and cannot be redirected, where a datum differs in nothing but that it refers to it.
    fn untraceable_in(&self, id: BundleId, reason: &Reason) -> Option<BundleId> {
        let Reason::Reference(offset) = reason else {
            return None;
        };
        let (view, twins) = (self.comparer.patched, self.comparer.twins);
        let at = |view: &View<'_>, id: BundleId| {
            let start = view.bundles.get(id).start;
            let mut refs = view.refs_of(id);
            refs.find(|reference| reference.offset - start == *offset)
                .map(|reference| reference.target)
        };
        let before = at(self.comparer.orig, twins.orig(id)?)?;
        match (before, at(view, id)?) {
            (Target::Bundle { id: twin, .. }, Target::Bundle { id: function, .. }) => {
                let same_function = twins.orig(function) == Some(twin)
                    && view.bundles.get(function).kind == Kind::Function;
                same_function.then_some(function)
            }
            _ => None,
        }
    }

    fn include(&mut self, id: BundleId, why: impl FnOnce() -> String) {
        self.include_because(id, || Cause::Said(why()));
    }

    fn include_because(&mut self, id: BundleId, why: impl FnOnce() -> Cause) {
        if self.selection.bundles.contains_key(&id) {
            return;
        }
        let view = self.comparer.patched;
        let bundle = view.bundles.get(id);
        // A string or constant is what it says, whichever copy the linker kept.
        let twin = self.comparer.twins.orig(id);
        let was_grouped = twin.is_some_and(|twin| {
            let orig = self.comparer.orig;
            orig.object.section(orig.bundles.get(twin).section).grouped
        });
        let grouped = was_grouped || view.object.section(bundle.section).grouped;
        if grouped && !bundle.kind.is_by_content() {
            self.refuse(RefusalCode::Comdat, view.name(id), "it is in a section group (COMDAT), of which the linker keeps one copy of many: which one runs cannot be told");
        }
        self.selection.bundles.insert(id, why());
        self.work.push(id);
    }

    fn follow(&mut self, id: BundleId) {
        let view = self.comparer.patched;
        let mut ends = Ends::new(self.comparer, id);
        for reference in view.refs_of(id) {
            if let Some(next) = ends.may_be_one(&reference) {
                self.refuse(RefusalCode::Unresolved, view.name(id), &format!("it refers to a place in {} where one variable ends and another begins ({}), and what follows the one is not what followed it before: it cannot be told which is meant", view.section_name(next), view.name(next)));
            }
            self.follow_reference((id, Some(reference.offset)), &reference);
        }
        let stubs = Stubs::of(view, self.comparer.arch, id);
        self.unwind_stubs(id, &stubs);
        for field in stubs.out_of_reach {
            self.refuse(RefusalCode::ShortBranch, &format!("{}+{field:#x}", view.name(id)), "a short branch goes into another function of the same section, and the patch has no place that it reaches: make a change that moves it nearer to the function's end, or take the function out of its section");
        }
        // A process has no use for the kernel's tables.
        let entries = match self.comparer.flavour.is_process() {
            true => None,
            false => Some(self.comparer.patched_entries.of(id)),
        };
        for entry in entries.into_iter().flatten() {
            if self.keep_entry(id, &entry) {
                self.selection.entries.push(entry);
                for reference in &refs_of(view, &entry) {
                    self.follow_reference((id, None), reference);
                }
            }
        }
    }

    /// In a stub the stack is as it was at the branch that goes there, which the unwind table must say.
    fn unwind_stubs(&mut self, id: BundleId, stubs: &Stubs) {
        let (view, entries) = (self.comparer.patched, self.comparer.patched_entries);
        let state = |entry: &Entry| {
            let (section, start, len) = entry.parallel?;
            Some(view.object.section(section).bytes(start, start + len))
        };
        for stub in &stubs.list {
            let states = stub
                .fields
                .iter()
                .map(|field| entries.in_force(view, id, *field));
            let mut states: Vec<Entry> = states.flatten().collect();
            states.dedup_by_key(|entry| state(entry));
            match states[..] {
                [] => {}
                [entry] => self.selection.entries.push(Entry {
                    begins: Some((id, stub.offset as i64)),
                    ..entry
                }),
                _ => self.refuse(RefusalCode::ShortBranch, view.name(id), "short branches from places with different stacks go to one place in another function of the same section, and the unwinder could not tell them apart: take the function out of its section"),
            }
        }
    }

    /// `field` is where in the user's section the reference is, unless in an entry about it.
    fn follow_reference(&mut self, (user, field): (BundleId, Option<u64>), reference: &Ref) {
        let Target::Bundle { id, .. } = reference.target else {
            return;
        };
        let view = self.comparer.patched;
        let bundle = view.bundles.get(id);
        let new = *self.comparison.status(id) == Status::New;
        let section = view.object.section(bundle.section);
        if bundle.kind == Kind::Anonymous && section.is_writable() && !section.is_mergeable() {
            self.refuse(RefusalCode::ChangedData, section.name(), &format!("{} uses data without a name there, which cannot be told from the running system's: give it a name", view.name(user)));
        }
        if self.comparer.twins.is_ambiguous(id) && self.is_redirected(user) {
            self.refuse(RefusalCode::StaticLocal, view.name(user), &format!("it changed and uses a static variable {}, of which it cannot be told which one of the running system's it is, or whether it is new: give those of one name different names in both trees, or build with debug information", name::own_name(&canonical(view.name(id), view.object.compiler))));
        }
        let lacks = || callable::lacks(self.comparer, user, reference);
        if let Some(lacks) = field.and_then(|_| lacks()) {
            let function = view.name(id);
            self.refuse(RefusalCode::SealedFunction, view.name(user), &format!("it takes the address of {function}, which nobody may call through a pointer in the running system: there it lacks {lacks}. Point at a new function that calls {function}"));
        }
        let gone = is_freed(section.name()) || (new && is_init(section.name()));
        if gone && !is_init(view.section_name(user)) {
            let message = format!(
                "it is init code, which is freed, but {} needs it",
                view.name(user)
            );
            self.refuse(RefusalCode::InitCode, view.name(id), &message);
        }
        if new && is_decrypted(section.name()) {
            self.refuse(RefusalCode::ChangedData, view.name(id), "it is new, and in memory that a confidential guest shares with its host: the kernel shares its own as it boots, and none of a module's. Get such memory in code, by dma_alloc_coherent() or set_memory_decrypted()");
        }
        if bundle.kind.is_by_content() || new || bundle.parent.is_some() {
            let (comparer, section) = (self.comparer, view.bundles.get(user).section);
            let is_function = bundle.kind == Kind::Function;
            self.include(id, || {
                let line = field
                    .filter(|_| is_function)
                    .and_then(|field| comparer.patched_debug.get()?.lines().at(section, field));
                match line {
                    Some(line) => format!("used by {} at {line}", view.name(user)),
                    None => format!("used by {}", view.name(user)),
                }
            });
        }
    }

    fn is_redirected(&self, id: BundleId) -> bool {
        matches!(self.comparison.status(id), Status::Changed(_) | Status::New)
    }

    fn keep_entry(&mut self, user: BundleId, entry: &Entry) -> bool {
        let keeper = Keeper {
            view: self.comparer.patched,
            comparison: self.comparison,
            resolver: self.resolver,
            arch: self.comparer.arch,
        };
        match keeper.fate(user, entry) {
            Fate::Keep => true,
            Fate::Drop(note) => {
                self.selection.notes.push(note);
                false
            }
            Fate::Off(note) => {
                self.selection.notes.push(note);
                self.selection.off.insert((entry.section, entry.start));
                true
            }
            Fate::Load(load, note) => {
                if !self.selection.notes.contains(&note) {
                    self.selection.notes.push(note);
                }
                self.selection.loads.push((user, load));
                false
            }
            Fate::Refuse(refusal) => {
                self.refuse(refusal.code, &refusal.place, &refusal.message);
                false
            }
        }
    }

    /// Tables without a name that nobody refers to: lists of init calls, parameters and the like.
    fn refuse_changed_tables(&mut self) {
        let view = self.comparer.patched;
        let referred = referred(view);
        for (id, bundle) in view.bundles.iter() {
            let section = view.section_name(id);
            if is_export(section) {
                continue;
            }
            let listed = bundle.kind == Kind::Data
                && *self.comparison.status(id) == Status::New
                && !is_thread_local(view.object.section(bundle.section))
                && (is_list(view.object.section(bundle.section)) || is_start_list(section));
            let needless = listed && is_convenience(section);
            if needless {
                self.selection.notes.push(format!("{} in {section} is left out: it is of use to tools alone, and changes nothing that runs", view.name(id)));
            } else if listed
                && !self.selection.bundles.contains_key(&id)
                && !self.leave_alone(section)
            {
                self.refuse(RefusalCode::ChangedSection, &format!("{} in {section}", view.name(id)), &format!("the running {} has read this list already: nothing can be added to it by a patch. Where an entry is only called otherwise (by its line: compile with -g, and that is seen), LP_IGNORE_SECTION(\"{section}\") says so", self.comparer.flavour.noun()));
            }
            if !matches!(bundle.kind, Kind::Anonymous | Kind::Fragment)
                || bundle.len == 0
                || referred.contains(&id)
                || view.object.section(bundle.section).is_mergeable()
            {
                continue;
            }
            if self.comparison.anonymous_differs(id) && !self.leave_alone(section) {
                self.refuse(RefusalCode::ChangedSection, section, &format!("the section differs, but the running {} has read it already: leave what it lists as it is", self.comparer.flavour.noun()));
            }
        }
    }

    /// Whether the author says that a difference in this section is harmless.
    /// What is in no list any more: the running system has read it, and goes on with it.
    fn refuse_shorter_lists(&mut self) {
        let (orig, twins) = (self.comparer.orig, self.comparer.twins);
        let is_gone = |(id, bundle): &(BundleId, Bundle)| {
            bundle.kind == Kind::Data
                && twins.patched(*id).is_none()
                && may_be_listed(orig.object.section(bundle.section))
        };
        let gone: Vec<(BundleId, Bundle)> = orig.bundles.iter().filter(is_gone).collect();
        if gone.is_empty() {
            return;
        }
        let referred = referred(orig);
        for (id, bundle) in gone.into_iter().filter(|(id, _)| !referred.contains(id)) {
            let section = orig.object.section(bundle.section);
            let (title, name) = (section.name(), orig.name(id));
            if is_start_list(title) {
                self.selection.notes.push(format!(
                    "{name} in {title} is gone, but it has run already: what it did stays as it is"
                ));
            } else if !self.leave_alone(title) {
                self.refuse(RefusalCode::ChangedSection, &format!("{name} in {title}"), &format!("it is gone, but the running {} has read this list already: a patch can take nothing out of it", self.comparer.flavour.noun()));
            }
        }
    }

    fn leave_alone(&mut self, section: &str) -> bool {
        let ignored = self.author.ignores.section(section);
        if ignored {
            self.selection.left_alone.insert(section.to_owned());
        }
        ignored
    }

    fn refuse(&mut self, code: RefusalCode, place: &str, message: &str) {
        let refusal = Refusal::new(code, place, message);
        if self.refused.insert(refusal.clone()) {
            self.selection.refusals.push(refusal);
        }
    }
}

/// Whether a section is a list that a linker script gathers and the kernel reads as it starts.
fn is_list(section: Section<'_>) -> bool {
    !is_carried(section) && !is_init(section.name())
}

/// Whether a section lists what may be traced or probed by hand: code runs as well without being in it.
fn is_convenience(section: &str) -> bool {
    matches!(
        section,
        "_error_injection_whitelist" | "_kprobe_blacklist" | "__bpf_raw_tp_map"
    )
}

/// Whether what nobody refers to is in a section because a list is made of it.
fn may_be_listed(section: Section<'_>) -> bool {
    let name = section.name();
    let for_tools = || is_export(name) || is_convenience(name) || is_of_tracing(name);
    (is_start_list(name) || is_list(section)) && !is_thread_local(section) && !for_tools()
}

/// Whether a section lists what tracing can show: it goes on to, where the code is that it was.
fn is_of_tracing(section: &str) -> bool {
    matches!(
        section,
        "_ftrace_events"
            | "_ftrace_eval_map"
            | "__syscalls_metadata"
            | "__tracepoints"
            | "__tracepoints_ptrs"
    )
}

/// Whether a section lists exports. A new one is of use to modules alone that are yet to come, and they do without.
fn is_export(section: &str) -> bool {
    ["___ksymtab", "__ksymtab", "___kcrctab", "__kcrctab"]
        .iter()
        .any(|export| section.starts_with(export))
}

/// Whether something new and global in this section is meant for other objects of the patch. Export tables and lists
/// that only a linker script gathers are not: a patch cannot add to them.
fn is_carried(section: Section<'_>) -> bool {
    const DATA: [&str; 4] = [".data", ".bss", ".rodata", ".ref."];
    let name = section.name();
    (section.is_exec() || DATA.iter().any(|kind| name.starts_with(kind)))
        && !is_init(name)
        && name::prefixed_function(name).is_none()
}

/// What anything refers to.
fn referred(view: &View<'_>) -> HashSet<BundleId> {
    let sections = view.object.sections();
    let refs = sections.flat_map(|(id, section)| view.refs_in(id, 0, section.size));
    refs.filter_map(|reference| match reference.target {
        Target::Bundle { id, .. } => Some(id),
        _ => None,
    })
    .collect()
}
