//! The patches of the differential test: small, many, and different in everything that the livepatch core looks at.
//!
//! Two modules are there to be patched: `lp_stay`, which stays, and `lp_late`, which comes and goes. Functions of vmlinux
//! are `/proc` files that one line tells, at low addresses: with a position the kernel's search ends at the first of the name,
//! and it is most of what a load costs, so few of them are spelt without. Chosen by hand: random tables would mostly differ in what nobody looks at.

use lp_klp::core::{KlpFunc, KlpObject, KlpPatch};
use lp_klp::errno::Errno;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::state::KlpState;

/// The module that stays.
pub const STAY: &str = "lp_stay";
/// The module that comes and goes.
pub const LATE: &str = "lp_late";
/// The function of [`STAY`] in which a task can be held.
pub const HELD: &str = "lp_stay_held";

/// A function that can be patched, and the file in `/proc` that calls it.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// `vmlinux` or a module.
    pub object: &'static str,
    /// The function.
    pub function: &'static str,
    /// Which of that name.
    pub position: u32,
    /// Below `/proc`.
    pub file: &'static str,
}

/// All of them.
pub const PROBES: [Probe; 9] = [
    probe("vmlinux", "execdomains_proc_show", 1, "execdomains"),
    probe("vmlinux", "r_show", 1, "iomem"),
    probe("vmlinux", "swap_show", 1, "swaps"),
    probe(LATE, "lp_late_one", 1, "lp_late_one"),
    probe(LATE, "lp_late_two", 1, "lp_late_two"),
    probe(LATE, "lp_late_twin", 1, "lp_late_twin_1"),
    probe(LATE, "lp_late_twin", 2, "lp_late_twin_2"),
    probe(STAY, "lp_stay_plain", 1, "lp_stay_plain"),
    probe(STAY, HELD, 1, HELD),
];

const fn probe(
    object: &'static str,
    function: &'static str,
    position: u32,
    file: &'static str,
) -> Probe {
    Probe {
        object,
        function,
        position,
        file,
    }
}

/// A patch of the pool.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the livepatch core reads in it; its name is the module's in the pool.
    pub patch: KlpPatch,
    /// What pre_patch answers for an object, if not 0.
    pub vetoes: Vec<(ObjName, Errno)>,
    /// Whether it has a note with a manifest.
    pub note: bool,
}

impl Entry {
    /// The module's name in the pool.
    pub fn name(&self) -> &str {
        &self.patch.name
    }

    fn state(mut self, id: u64, version: u32) -> Self {
        let name = String::new();
        self.patch.states.push(KlpState { id, version, name });
        self
    }

    /// Functions of an object, `NAME` or `NAME,POSITION`, with blanks between.
    fn on(mut self, object: &str, functions: &str) -> Self {
        self.patch.objects.push(KlpObject {
            name: object_name(object),
            funcs: functions.split_whitespace().map(function).collect(),
        });
        self
    }

    fn veto(mut self, object: &str) -> Self {
        self.vetoes.push((object_name(object), Errno::ENODEV));
        self
    }
}

/// The object of this name.
///
/// # Panics
/// Where it is no name of an object; all that we call so are in this file.
pub fn object_name(name: &str) -> ObjName {
    name.parse().expect("the pool's objects have good names")
}

fn function(text: &str) -> KlpFunc {
    let (name, position) = text.split_once(',').unwrap_or((text, "0"));
    KlpFunc {
        old_name: name.to_owned(),
        sympos: Sympos(position.parse().unwrap_or_default()),
    }
}

fn add() -> Entry {
    Entry {
        patch: KlpPatch {
            name: String::new(),
            version: String::new(),
            replace: false,
            states: Vec::new(),
            objects: Vec::new(),
        },
        vetoes: Vec::new(),
        note: false,
    }
}

fn replace() -> Entry {
    let mut entry = add();
    entry.patch.replace = true;
    entry
}

/// The pool. Every second patch has a note.
pub fn pool() -> Vec<Entry> {
    let mut pool = plain();
    pool.extend(stateful());
    pool.extend(wrong());
    for (number, entry) in pool.iter_mut().enumerate() {
        entry.patch.name = format!("lp_p{number:02}_0000");
        entry.note = number % 2 == 1;
    }
    pool
}

/// Functions of all kinds, without states.
fn plain() -> Vec<Entry> {
    const VMLINUX: &str = "vmlinux";
    vec![
        add().on(VMLINUX, "execdomains_proc_show"),
        add().on(VMLINUX, "execdomains_proc_show,1 r_show,1"),
        add().on(VMLINUX, "swap_show,1"),
        add().on(LATE, "lp_late_one"),
        add().on(LATE, "lp_late_one,1 lp_late_twin,2"),
        add().on(LATE, "lp_late_twin,1 lp_late_twin,2"),
        add().on(STAY, "lp_stay_held"),
        add().on(STAY, "lp_stay_plain lp_stay_held,1"),
        add().on(VMLINUX, "r_show,1").on(LATE, "lp_late_two"),
        add()
            .on(STAY, "lp_stay_held")
            .on(LATE, "lp_late_one lp_late_two"),
        add().on(VMLINUX, "").on(LATE, ""),
        replace().on(VMLINUX, "execdomains_proc_show,1"),
        replace().on(VMLINUX, "execdomains_proc_show,1 swap_show"),
        replace().on(LATE, "lp_late_one lp_late_twin,1"),
        replace().on(STAY, "lp_stay_held"),
        replace().on(STAY, "lp_stay_plain").on(VMLINUX, "r_show,1"),
        replace()
            .on(VMLINUX, "swap_show,1")
            .on(LATE, "lp_late_two")
            .on(STAY, "lp_stay_held,1"),
        replace().on(VMLINUX, ""),
    ]
}

/// States in all combinations that matter.
fn stateful() -> Vec<Entry> {
    const VMLINUX: &str = "vmlinux";
    vec![
        add().state(1, 0).on(VMLINUX, "execdomains_proc_show,1"),
        add().state(1, 1).on(VMLINUX, "r_show,1"),
        add().state(1, 2).state(2, 1).on(STAY, "lp_stay_plain"),
        add().state(2, 2).on(LATE, "lp_late_two"),
        add().state(3, 3).state(1, 1).on(STAY, "lp_stay_held"),
        replace().state(1, 1).on(VMLINUX, "execdomains_proc_show"),
        replace()
            .state(1, 2)
            .on(VMLINUX, "execdomains_proc_show,1")
            .on(LATE, "lp_late_one"),
        replace().state(1, 2).state(2, 1).on(VMLINUX, "r_show,1"),
        replace()
            .state(2, 2)
            .state(1, 3)
            .state(3, 3)
            .on(STAY, "lp_stay_held lp_stay_plain"),
        replace()
            .state(1, 3)
            .state(2, 3)
            .state(3, 4)
            .on(VMLINUX, "execdomains_proc_show,1")
            .on(LATE, "lp_late_twin,2"),
        // The first of two states with one id counts.
        add().state(1, 1).state(1, 3).on(VMLINUX, "swap_show,1"),
    ]
}

/// What the kernel refuses, or takes although it looks wrong.
fn wrong() -> Vec<Entry> {
    const VMLINUX: &str = "vmlinux";
    vec![
        add().on(VMLINUX, "lp_no_such_function"),
        add()
            .on(VMLINUX, "execdomains_proc_show,1")
            .on(LATE, "lp_no_such_function"),
        replace().on(VMLINUX, "r_show,2"),
        add().on(LATE, "lp_late_twin"),
        add().on(LATE, "lp_late_twin,3"),
        add().on(VMLINUX, "execdomains_proc_show execdomains_proc_show,1"),
        add().on(STAY, "lp_stay_plain").on(STAY, "lp_stay_held"),
        add()
            .on(VMLINUX, "execdomains_proc_show,1")
            .on(STAY, "lp_stay_plain")
            .veto(STAY),
        add()
            .on(VMLINUX, "r_show,1")
            .on(LATE, "lp_late_one")
            .veto(LATE),
        replace()
            .on(STAY, "lp_stay_held")
            .on(VMLINUX, "swap_show,1")
            .veto(VMLINUX),
        add(),
    ]
}
