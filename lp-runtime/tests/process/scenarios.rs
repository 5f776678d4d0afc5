//! The scenarios of the kernel's own livepatch tests (`tools/testing/selftests/livepatch`, 6.1), on processes; and random ones.
//!
//! Each is played twice: on a process, and on lp-klp's simulated target, whose order of events is the kernel's (`cargo xtask
//! differential` compares the two). After each step both must have answered the same, called the same callbacks in
//! the same order, and run the same versions of all functions.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_klp::core::Klp;
use lp_klp::errno::Errno;
use lp_klp::manifest::{Callbacks, Manifest};
use lp_klp::name::ObjName;
use lp_klp::patch::Version;
use lp_klp::rules::Rules;
use lp_klp::simulated::{Simulated, Task};
use lp_klp::state::KlpState;
use lp_klp::target::Callback;
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::{Happened, Options, Process, ProcessError};
use std::collections::BTreeMap;
use std::time::Duration;

/// `open N`, `close N`, `log` (what callbacks wrote since it was asked for last); in any case but the last it answers what the
/// functions are, of the program and of the libraries that are open.
const PROGRAM: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    #include <string.h>
    char events[4096];
    static void *libraries[2];
    static volatile int zero;
    __attribute__((noipa)) int step(void) { return zero; }
    __attribute__((noipa)) int other(void) { return zero; }
    void answer(const char *q, char *r) {
        static const char *const files[] = { "a.so", "b.so" }, *const names[] = { "work_a", "work_b" };
        int at;
        if (!strcmp(q, "log")) { strcpy(r, events); events[0] = 0; return; }
        if (sscanf(q, "open %d", &at) == 1) libraries[at] = dlopen(files[at], RTLD_NOW);
        if (sscanf(q, "close %d", &at) == 1) { dlclose(libraries[at]); libraries[at] = 0; }
        r += sprintf(r, "%d %d", step(), other());
        for (at = 0; at < 2; at++) {
            int (*work)(void) = libraries[at] ? (int (*)(void))dlsym(libraries[at], names[at]) : 0;
            r += work ? sprintf(r, " %d", work()) : sprintf(r, " -");
        }
    }
"#;

/// The objects and their functions, in the order of the program's answer.
const FUNCTIONS: [(&str, &str); 4] = [
    ("prog", "step"),
    ("prog", "other"),
    ("a.so", "work_a"),
    ("b.so", "work_b"),
];
const LIBRARIES: [&str; 2] = ["a.so", "b.so"];

fn object(file: &str) -> ObjName {
    ObjName::of_file(file).expect("a name")
}

/// A patch: its functions answer its number.
#[derive(Debug, Clone, Default)]
struct Patch {
    number: u32,
    replace: bool,
    functions: Vec<(&'static str, &'static str)>,
    states: Vec<(u64, u32)>,
    /// Whose pre_patch says no.
    veto: Option<&'static str>,
}

#[derive(Debug, Clone)]
enum Step {
    Load(Patch),
    /// Of a patch's number.
    Unload(u32),
    Open(usize),
    Close(usize),
}
use Step::{Close, Load, Open, Unload};

impl Patch {
    fn new(number: u32, functions: &[usize]) -> Self {
        Self {
            number,
            functions: functions.iter().map(|at| FUNCTIONS[*at]).collect(),
            ..Self::default()
        }
    }

    fn replace(self) -> Self {
        Self {
            replace: true,
            ..self
        }
    }

    fn state(mut self, id: u64, version: u32) -> Self {
        self.states.push((id, version));
        self
    }

    fn veto(self, object: &'static str) -> Self {
        Self {
            veto: Some(object),
            ..self
        }
    }

    fn name(&self) -> String {
        name(self.number)
    }

    fn objects(&self) -> Vec<&'static str> {
        let mut files: Vec<&str> = self.functions.iter().map(|(file, _)| *file).collect();
        files.dedup();
        files
    }

    fn manifest(&self, folder: &Folder) -> Manifest {
        let mut manifest = manifest(&self.name());
        manifest.replace = self.replace;
        manifest.states = self
            .states
            .iter()
            .map(|(id, version)| KlpState {
                id: *id,
                version: *version,
                name: String::new(),
            })
            .collect();
        for file in self.objects() {
            let own = self.functions.iter().filter(|(of, _)| *of == file);
            let own: Vec<&str> = own.map(|(_, function)| *function).collect();
            let mut described = object_of(&folder.path(file), &own);
            let mut callbacks = Callbacks::default();
            for kind in Callback::ALL {
                *callbacks.get_mut(kind) = Some(symbol(kind, file));
            }
            described.callbacks = callbacks;
            manifest.objects.push(described);
        }
        manifest
    }

    fn source(&self) -> String {
        let mut source = "extern char klp$prog$events$0[];
            unsigned long strlen(const char *);
            static void note(const char *text) {
                char *at = klp$prog$events$0; at += strlen(at);
                while ((*at++ = *text++)); at[-1] = ' '; at[0] = 0; }\n"
            .to_owned();
        for (_, function) in &self.functions {
            source += &format!("int {function}(void) {{ return {}; }}\n", self.number);
        }
        for file in self.objects() {
            for kind in Callback::ALL {
                let answer = match kind == Callback::PrePatch && self.veto == Some(file) {
                    true => -19,
                    false => 0,
                };
                let event = event(kind, &self.name(), &object(file));
                let symbol = symbol(kind, file);
                source +=
                    &format!("int {symbol}(void) {{ note(\"{event}\"); return {answer}; }}\n");
            }
        }
        source
    }
}

fn name(number: u32) -> String {
    format!("p{number}")
}

fn symbol(kind: Callback, file: &str) -> String {
    format!("{kind}_{}", object(file))
}

fn event(kind: Callback, patch: &str, object: &ObjName) -> String {
    format!("{patch}:{object}:{kind}")
}

/// The process and the model of it.
struct World {
    folder: Folder,
    program: Program,
    process: Process,
    model: Klp<Simulated>,
    open: [bool; 2],
    /// What the patches are, by name.
    known: BTreeMap<String, Patch>,
}

impl World {
    fn start() -> Self {
        let folder = Folder::new();
        for (file, function) in &FUNCTIONS[2..] {
            let source =
                format!("static volatile int zero; int {function}(void) {{ return zero; }}");
            folder.library(file, &source, &[]);
        }
        let path = folder.server("prog", PROGRAM, &["-rdynamic", "-ldl"]);
        let program = Program::start(&path);
        let process = Process::attach(program.pid()).expect("it is ours");
        let mut target = Simulated::default();
        target.tasks.insert(Task(0), Vec::new());
        target.modules.insert(object("prog"));
        Self {
            folder,
            program,
            process,
            model: Klp::new(target, Rules::CURRENT),
            open: [false; 2],
            known: BTreeMap::new(),
        }
    }

    fn play(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Load(patch) => self.load(patch),
                Unload(number) => self.unload(&name(*number)),
                Open(at) => self.open(*at),
                Close(at) => self.close(*at),
            }
            let ran = std::mem::take(&mut self.model.target.ran);
            // An object that a patch only brings back to the original has no callbacks of it.
            let has = |patch: &str, of: &ObjName| {
                let objects = self.known[patch].objects().into_iter();
                objects.map(object).any(|object| object == *of)
            };
            let ran = ran.iter().filter(|(_, patch, of)| has(patch, of));
            let ran = ran.map(|(kind, patch, object)| event(*kind, patch, object) + " ");
            let (ours, theirs) = (self.program.ask("log"), ran.collect::<String>());
            assert_eq!(ours, theirs, "callbacks of {step:?} in {steps:?}");
            let (ours, theirs) = (self.program.ask(""), self.versions());
            assert_eq!(ours, theirs, "versions after {step:?} in {steps:?}");
        }
    }

    fn load(&mut self, patch: &Patch) {
        self.forget(&patch.name());
        let manifest = patch.manifest(&self.folder);
        let bytes = make(&self.folder, &patch.source(), &["-fPIC"], &manifest);
        let file = PatchFile::parse(&bytes).expect("a patch");
        let ours = self.process.load(&file, soon()).map(drop);
        let is_new = !self
            .model
            .patches()
            .iter()
            .any(|it| it.patch.name == patch.name());
        if is_new {
            self.known.insert(patch.name(), patch.clone());
            let veto = patch.veto.map(|file| (patch.name(), object(file)));
            let vetoes = veto.map(|veto| (veto, Errno(19)));
            self.model.target.vetoes.extend(vetoes);
        }
        let theirs = self.model.enable_patch(manifest.patch());
        assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{patch:?}: {ours:?} {theirs:?}"
        );
    }

    /// A module that was replaced is still there, and would have to be removed first.
    fn forget(&mut self, name: &str) {
        let is_in_use = self.model.patches().iter().any(|it| it.patch.name == name);
        if is_in_use {
            return;
        }
        match self.process.unload(name, soon()) {
            Ok(_) | Err(ProcessError::NotInstalled { .. }) => {}
            Err(error) => panic!("{name}: {error}"),
        }
        self.model
            .target
            .vetoes
            .retain(|(patch, _), _| patch != name);
    }

    fn unload(&mut self, name: &str) {
        let theirs = self.model.write_enabled(name, false);
        let ours = self.process.unload(name, soon()).map(drop);
        assert!(
            theirs.is_err() || ours.is_ok(),
            "{name}: {ours:?} {theirs:?}"
        );
    }

    fn open(&mut self, at: usize) {
        if std::mem::replace(&mut self.open[at], true) {
            return;
        }
        let module = object(LIBRARIES[at]);
        self.program.ask(&format!("open {at}"));
        let done = self.process.catch_up(soon()).expect("it is looked at");
        self.model.target.modules.insert(module.clone());
        let theirs = self.model.module_coming(&module);
        let refused = done
            .happened
            .iter()
            .any(|it| matches!(it, Happened::NotPatched { .. }));
        assert_eq!(refused, theirs.is_err(), "{:?}", done.happened);
        if refused {
            // The kernel does not load such a module; a dlopen cannot be refused, so the program has to let go of it.
            self.open[at] = false;
            self.program.ask(&format!("close {at}"));
            self.process.catch_up(soon()).expect("it is let go");
            self.model.target.modules.remove(&module);
        }
    }

    fn close(&mut self, at: usize) {
        if !std::mem::replace(&mut self.open[at], false) {
            return;
        }
        let module = object(LIBRARIES[at]);
        self.program.ask(&format!("close {at}"));
        self.process.catch_up(soon()).expect("it is let go");
        self.model.module_going(&module);
        self.model.target.modules.remove(&module);
    }

    /// What the program ought to answer.
    fn versions(&mut self) -> String {
        let mut answer = Vec::new();
        for (file, function) in FUNCTIONS {
            let library = LIBRARIES.iter().position(|library| *library == file);
            if library.is_some_and(|at| !self.open[at]) {
                answer.push("-".to_owned());
                continue;
            }
            let site = self.model.target.site(&object(file), function);
            let number = match self.model.runs(site, Task(0)) {
                Version::Original => 0,
                Version::Patched(func) => {
                    let mut patches = self.model.patches().iter();
                    let patch = patches
                        .find(|it| it.id == func.patch)
                        .expect("it is installed");
                    self.known[&patch.patch.name].number
                }
            };
            answer.push(number.to_string());
        }
        answer.join(" ")
    }
}

fn soon() -> Options<'static> {
    Options {
        timeout: Duration::from_secs(10),
        ..Options::default()
    }
}

fn play(steps: &[Step]) {
    World::start().play(steps);
}

/// `test-livepatch.sh`.
#[test]
fn functions_are_patched_stacked_and_replaced() {
    play(&[Load(Patch::new(1, &[0])), Unload(1)]);
    play(&[
        Load(Patch::new(1, &[0])),
        Load(Patch::new(2, &[0, 1])),
        Unload(2),
        Unload(1),
    ]);
    play(&[
        Load(Patch::new(1, &[0])),
        Load(Patch::new(2, &[1])),
        Load(Patch::new(3, &[1]).replace()),
        Unload(1),
        Unload(3),
    ]);
}

/// `test-callbacks.sh`: objects that are there before the patch, come after it, go before it, and never come.
#[test]
fn callbacks_follow_objects_that_come_and_go() {
    let patch = || Patch::new(1, &[0, 2]);
    play(&[Open(0), Load(patch()), Unload(1), Close(0)]);
    play(&[Load(patch()), Open(0), Unload(1), Close(0)]);
    play(&[Open(0), Load(patch()), Close(0), Unload(1)]);
    play(&[Load(patch()), Open(0), Close(0), Unload(1)]);
    play(&[Load(patch()), Unload(1)]);
    let several = Patch::new(1, &[0, 2, 3]);
    play(&[
        Open(0),
        Load(several),
        Open(1),
        Close(0),
        Unload(1),
        Close(1),
    ]);
}

/// `test-callbacks.sh`: a pre_patch that answers -ENODEV, for what is there and for what comes.
#[test]
fn a_pre_patch_may_say_no() {
    let patch = |veto| Patch::new(1, &[0, 2, 3]).veto(veto);
    play(&[Open(0), Load(patch("prog")), Close(0)]);
    play(&[Open(0), Load(patch("a.so")), Close(0)]);
    play(&[Load(patch("a.so")), Open(0), Close(0), Unload(1)]);
    play(&[Load(patch("b.so")), Open(0), Open(1), Unload(1)]);
}

/// `test-callbacks.sh`: several patches, and one that replaces them, whose callbacks alone run.
#[test]
fn callbacks_of_what_is_replaced_do_not_run() {
    let low = || Patch::new(1, &[0, 2]);
    play(&[
        Open(0),
        Load(low()),
        Load(Patch::new(2, &[0, 2])),
        Unload(2),
        Unload(1),
        Close(0),
    ]);
    play(&[
        Open(0),
        Load(low()),
        Load(Patch::new(2, &[0, 2]).replace()),
        Unload(2),
        Unload(1),
    ]);
    play(&[
        Load(low()),
        Load(Patch::new(2, &[0]).replace()),
        Open(0),
        Unload(2),
        Close(0),
    ]);
    play(&[
        Load(low()),
        Load(Patch::new(2, &[0, 2]).veto("a.so")),
        Open(0),
        Close(0),
        Unload(2),
    ]);
}

/// `test-state.sh`: a state is modified, taken over, compatible, not compatible.
#[test]
fn states_decide_what_may_follow() {
    let patch = |number, version| Patch::new(number, &[0]).replace().state(7, version);
    play(&[Load(patch(1, 1)), Unload(1)]);
    play(&[Load(patch(1, 1)), Load(patch(2, 1)), Unload(2)]);
    play(&[
        Load(patch(1, 1)),
        Load(patch(2, 2)),
        Load(patch(3, 2)),
        Unload(3),
    ]);
    play(&[
        Load(patch(1, 2)),
        Load(patch(2, 1)),
        Load(Patch::new(3, &[1])),
        Unload(1),
    ]);
    play(&[
        Load(patch(1, 2)),
        Load(Patch::new(2, &[0]).replace()),
        Unload(1),
    ]);
}

/// What nobody thought of.
#[test]
fn random_sequences_do_what_the_model_does() {
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut steps = Vec::new();
        for _ in 0..10 {
            let number = random.u32(1..5);
            steps.push(match random.u32(..10) {
                0..4 => {
                    let own: Vec<usize> = (0..4).filter(|_| random.bool()).collect();
                    let mut patch = Patch::new(number, if own.is_empty() { &[0] } else { &own });
                    patch.replace = random.u8(..) < 80;
                    if random.bool() {
                        patch = patch.state(7, random.u32(1..3));
                    }
                    if random.u8(..) < 40 {
                        let objects = patch.objects();
                        patch.veto = random.choice(objects);
                    }
                    Load(patch)
                }
                4..6 => Unload(number),
                6..8 => Open(random.usize(..2)),
                _ => Close(random.usize(..2)),
            });
        }
        play(&steps);
    }
}
