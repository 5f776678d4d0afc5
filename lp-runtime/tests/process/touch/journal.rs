//! What is installed is kept in the process, and a loader may die at any step.

use super::support::{free_address, memory_and_gate, read, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::kept::control::states::{self, LpState};
use lp_runtime::process::kept::control::{
    AreaRecord, Contents, Control, ControlError, Direction, InstalledPatch, SIZE, SiteRecord,
};
use lp_runtime::process::kept::journal::{
    Afterwards, Hands, Step, Steps, Stops, Transaction, TransactionError, recover,
};
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::read::memory::{MemoryError, ReadMemory};
use lp_runtime::process::touch::check::Checker;
use lp_runtime::process::touch::jump::{JUMP_SIZE, TextChange, jump};
use lp_runtime::process::touch::threads::Threads;
use lp_runtime::process::touch::unwind::UnwindTables;
use lp_runtime::process::touch::write::WriteMemory;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const PROGRAM: &str = r#"
__attribute__((noipa, aligned(16))) int old(void) { return 1; }
void answer(const char *q, char *r) { sprintf(r, "%d %lx", old(), old); }
"#;

/// `mov $2, %eax; ret`
const NEW: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];

struct Target {
    program: Program,
    memory: WriteMemory,
    _folder: Folder,
}

impl Target {
    fn start() -> Self {
        let folder = Folder::new();
        let program = Program::start(&folder.server("target", PROGRAM, &[]));
        Self {
            memory: WriteMemory::open(program.pid()).expect("its memory opens"),
            program,
            _folder: folder,
        }
    }

    /// What `old` returns, and where it is.
    fn old(&mut self) -> (i32, u64) {
        let answer = self.program.ask("old");
        let (value, address) = answer.split_once(' ').expect("two words");
        let address = u64::from_str_radix(address, 16).expect("an address");
        (value.parse().expect("a number"), address)
    }

    fn maps(&self) -> Maps {
        Maps::read(self.program.pid()).expect("maps")
    }

    fn control(&self) -> Option<Control> {
        Control::find(&self.maps(), &self.memory).expect("it is whole")
    }

    /// All mappings but the control area: addresses and what may be done with them.
    fn mappings(&self) -> Vec<String> {
        let control = self.control().map(|it| it.address());
        let others =
            |it: &&lp_runtime::process::read::maps::Mapping| Some(it.range.start) != control;
        let text = |it: &lp_runtime::process::read::maps::Mapping| {
            format!("{:x?} {:?}", it.range, it.perms)
        };
        self.maps().iter().filter(others).map(text).collect()
    }

    fn hands<R: Send>(&self, work: impl FnOnce(&mut Hands<'_>) -> R + Send) -> R {
        let (memory, gate) = memory_and_gate(self.program.pid());
        stopped(self.program.pid(), |threads: &mut Threads| {
            let tid = threads.helper(&memory).expect("a thread can help");
            work(&mut Hands {
                threads,
                tid,
                gate,
                memory: &memory,
            })
        })
    }

    /// Maps a control area, where there is none.
    fn with_control(&self) {
        let address = free_address(self.program.pid());
        let created = self.hands(|hands| hands.create_control(address).map(drop));
        created.expect("it is created");
    }

    /// Loads or unloads the patch whose new code of `old` is `NEW`; `hook` may end it at any step.
    fn run(&self, direction: Direction, old: u64, hook: &mut (dyn FnMut(Step) + Send)) {
        let mut control = self.control().expect("there is one");
        let done = self.hands(|hands| {
            let mut steps = Steps::told_to(hook);
            match direction {
                Direction::Load => load(&mut control, hands, &mut steps, old),
                _ => unload(&mut control, hands, &mut steps),
            }
        });
        done.expect("it is done");
    }
}

fn area(old: u64, number: u64, protection: Area) -> AreaRecord {
    AreaRecord {
        address: (old & !0xfff) + 0x4000_0000 + number * 0x10000,
        size: 0x1000,
        protection,
    }
}

fn load(
    control: &mut Control,
    hands: &mut Hands<'_>,
    steps: &mut Steps<'_>,
    old: u64,
) -> Result<(), TransactionError> {
    let text = area(old, 0, Area::Text);
    let data = area(old, 1, Area::Data);
    let mut original = [0; JUMP_SIZE];
    original.copy_from_slice(&read(hands.memory, old, JUMP_SIZE));
    let memory = hands.memory;
    let mut transaction = Transaction::begin(control, memory, steps, "fix", Direction::Load)?;
    for area in [text, data] {
        transaction.map(hands, area)?;
    }
    transaction.fill(hands, text, &NEW)?;
    transaction.fill(hands, data, b"data")?;
    let change = TextChange {
        address: old,
        old: original,
        new: jump(old, text.address)?,
    };
    transaction.change_text(hands, vec![change])?;
    let site = SiteRecord {
        number: 0,
        address: old,
        original,
        new_address: text.address,
        new_size: NEW.len() as u64,
        old_address: old,
        old_size: 6,
    };
    let patch = InstalledPatch {
        fragments: Vec::new(),
        id: transaction.contents().next_patch,
        name: "fix".into(),
        manifest: "{}".into(),
        enabled: true,
        areas: vec![text, data],
        sites: vec![site],
        callbacks: Vec::new(),
        call: None,
        unwind: Vec::new(),
        data: Default::default(),
        objects: Vec::new(),
        at_first: Vec::new(),
        file: None,
        forced: false,
    };
    transaction.install(memory, patch, &[])
}

fn unload(
    control: &mut Control,
    hands: &mut Hands<'_>,
    steps: &mut Steps<'_>,
) -> Result<(), TransactionError> {
    let patch = control.contents().patch("fix").expect("it is installed");
    let (id, site) = (patch.id, patch.sites[0]);
    let memory = hands.memory;
    let mut transaction = Transaction::begin(control, memory, steps, "fix", Direction::Unload)?;
    let change = TextChange {
        address: site.address,
        old: jump(site.address, site.new_address)?,
        new: site.original,
    };
    transaction.change_text(hands, vec![change])?;
    transaction.remove(&mut Stops::new(hands.threads, hands.gate, memory), id)
}

/// Ends what was left half way, as a later loader does.
fn recover_now(target: &Target, hook: &mut (dyn FnMut(Step) + Send)) {
    let mut control = target.control().expect("there is one");
    let (pid, maps) = (target.program.pid(), target.maps());
    let tables = UnwindTables::read(pid, &maps, &target.memory);
    let recovered = target.hands(|hands| {
        if let Some(journal) = &control.contents().journal {
            let busy = journal.busy(control.contents());
            let mut checker = Checker::new(pid, &maps, hands.memory, &tables);
            let in_the_way = checker.in_the_way(hands.threads, &busy);
            assert_eq!(in_the_way.expect("all are stopped"), []);
        }
        recover(
            &mut control,
            hands,
            &mut Steps::told_to(hook),
            Afterwards::Unmapped,
        )
    });
    recovered.expect("it is recovered");
    assert_eq!(
        target.control().expect("there is one").contents().journal,
        None
    );
}

/// A hook that ends the loader after so many steps, as if it were killed: nothing is cleaned up but the tracing.
fn dies_after(count: usize) -> impl FnMut(Step) + Send {
    let mut left = count;
    move |_| {
        if left == 0 {
            resume_unwind(Box::new("killed"));
        }
        left -= 1;
    }
}

/// Whether it was ended before its end.
fn dies(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

#[test]
fn a_loader_that_dies_at_any_step_is_undone_by_the_next() {
    let mut target = Target::start();
    target.with_control();
    let (value, old) = target.old();
    assert_eq!(value, 1);
    let before = target.mappings();
    let mut at = 0;
    while dies(|| target.run(Direction::Load, old, &mut dies_after(at))) {
        // The one that recovers may die, too.
        let installed = target
            .control()
            .expect("there is one")
            .contents()
            .journal
            .is_none();
        let mut again = 0;
        while dies(|| recover_now(&target, &mut dies_after(again))) {
            again += 1;
        }
        let control = target.control().expect("there is one");
        assert_eq!(
            control.contents().patches.len(),
            usize::from(installed),
            "step {at}"
        );
        if installed {
            assert_eq!(target.old().0, 2);
            target.run(Direction::Unload, old, &mut |_| ());
        }
        assert_eq!(target.old().0, 1, "step {at}");
        assert_eq!(target.mappings(), before, "step {at}");
        at += 1;
    }
    assert!(at > 8, "{at} steps");
    assert_eq!(target.old().0, 2);
}

#[test]
fn an_unloader_that_dies_at_any_step_is_finished_by_the_next() {
    let mut target = Target::start();
    target.with_control();
    let old = target.old().1;
    let before = target.mappings();
    target.run(Direction::Load, old, &mut |_| ());
    let mut at = 0;
    while dies(|| target.run(Direction::Unload, old, &mut dies_after(at))) {
        recover_now(&target, &mut |_| ());
        let control = target.control().expect("there is one");
        if control.contents().patches.is_empty() {
            assert_eq!(target.old().0, 1, "step {at}");
            assert_eq!(target.mappings(), before, "step {at}");
            target.run(Direction::Load, old, &mut |_| ());
        }
        assert_eq!(target.old().0, 2, "step {at}");
        at += 1;
    }
    assert!(at > 5, "{at} steps");
    assert_eq!(target.old().0, 1);
    assert_eq!(target.mappings(), before);
}

#[test]
fn a_second_loader_does_not_begin_where_one_has_not_ended() {
    let mut target = Target::start();
    target.with_control();
    let old = target.old().1;
    assert!(dies(|| target.run(
        Direction::Load,
        old,
        &mut dies_after(3)
    )));
    let mut control = target.control().expect("there is one");
    let mut steps = Steps::default();
    let begun = Transaction::begin(
        &mut control,
        &target.memory,
        &mut steps,
        "b",
        Direction::Load,
    );
    assert!(matches!(begun.err(), Some(TransactionError::Unfinished { patch }) if patch == "fix"));
}

#[test]
fn a_control_area_is_found_again_with_its_states() {
    let target = Target::start();
    assert!(target.control().is_none());
    target.with_control();
    let mut control = target.control().expect("there is one");
    let contents = Contents {
        next_patch: 7,
        ..Contents::default()
    };
    control
        .commit(&target.memory, contents.clone())
        .expect("written");
    let state = LpState {
        id: 1,
        version: 2,
        flags: states::IN_TRANSITION,
        data: 3,
    };
    states::write(&target.memory, control.states(), &[state]).expect("written");
    let found = target.control().expect("there is one");
    assert_eq!(*found.contents(), contents);
    assert_eq!(
        states::read(&target.memory, found.states()).expect("read"),
        [state]
    );
    assert_eq!(read(&target.memory, found.shadow_root(), 64), [0; 64]);
    let many = vec![state; states::MAX + 1];
    assert!(states::write(&target.memory, control.states(), &many).is_err());
}

/// A process's memory with some of it replaced.
struct Damaged<'a> {
    memory: &'a WriteMemory,
    at: u64,
}

impl ReadMemory for Damaged<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(address, buffer)?;
        let at = self
            .at
            .checked_sub(address)
            .and_then(|it| usize::try_from(it).ok());
        if let Some(byte) = at.and_then(|at| buffer.get_mut(at)) {
            *byte ^= 0x55;
        }
        Ok(())
    }
}

#[test]
fn a_damaged_control_area_is_never_believed() {
    let mut target = Target::start();
    target.with_control();
    let old = target.old().1;
    target.run(Direction::Load, old, &mut |_| ());
    let control = target.control().expect("there is one");
    let (maps, address) = (target.maps(), control.address());
    for at in (0..200).chain(8192..8300).chain(SIZE - 4..SIZE) {
        let damaged = Damaged {
            memory: &target.memory,
            at: address + at,
        };
        match Control::find(&maps, &damaged) {
            // Its magic is gone, or the newer of its records: the one before was whole, too.
            Ok(None) => assert!(at < 8),
            Ok(Some(found)) => {
                let journal = found.contents().journal.is_some();
                assert!(found.contents() == control.contents() || journal, "{at}");
            }
            Err(error) => assert!(
                matches!(
                    error,
                    ControlError::Damaged { .. } | ControlError::Version { .. }
                ),
                "{at}: {error}"
            ),
        }
    }
}
