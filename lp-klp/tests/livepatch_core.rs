//! The livepatch core's rules, each shown on a simulated target; the kernel's file is `kernel/livepatch/` of 6.1.

use lp_klp::core::{Klp, KlpFunc, KlpObject, KlpPatch};
use lp_klp::errno::Errno;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::patch::Version;
use lp_klp::rules::Rules;
use lp_klp::simulated::{Simulated, Site, Task};
use lp_klp::state::KlpState;
use lp_klp::target::Callback::{self, PostPatch, PostUnpatch, PrePatch, PreUnpatch};
use lp_klp::target::Target;

const IDLE: Task = Task(0);
const BUSY: Task = Task(1);

fn object(name: &str) -> ObjName {
    name.parse().expect("a name")
}

fn funcs(object_name: &str, names: &[&str]) -> KlpObject {
    let func = |name: &&str| KlpFunc {
        old_name: (*name).to_owned(),
        sympos: Sympos(0),
    };
    KlpObject {
        name: object(object_name),
        funcs: names.iter().map(func).collect(),
    }
}

fn patch(name: &str, replace: bool, objects: Vec<KlpObject>) -> KlpPatch {
    KlpPatch {
        name: name.into(),
        version: "1".into(),
        replace,
        states: Vec::new(),
        objects,
    }
}

fn with_state(mut patch: KlpPatch, id: u64, version: u32) -> KlpPatch {
    patch.states.push(KlpState {
        id,
        version,
        name: String::new(),
    });
    patch
}

fn kernel() -> Klp<Simulated> {
    let mut target = Simulated::default();
    target.tasks.insert(IDLE, Vec::new());
    target.tasks.insert(BUSY, Vec::new());
    Klp::new(target, Rules::CURRENT)
}

/// The name of the patch whose version of a vmlinux function a task runs.
fn runs(klp: &mut Klp<Simulated>, name: &str, task: Task) -> String {
    let site = klp.target.site(&ObjName::vmlinux(), name);
    version_name(klp, site, task)
}

fn version_name(klp: &Klp<Simulated>, site: Site, task: Task) -> String {
    match klp.runs(site, task) {
        Version::Original => "original".into(),
        Version::Patched(func) => {
            let of = klp
                .patches()
                .iter()
                .find(|installed| installed.id == func.patch);
            of.map_or("gone".into(), |installed| installed.patch.name.clone())
        }
    }
}

fn installed(klp: &Klp<Simulated>) -> Vec<String> {
    klp.patches()
        .iter()
        .map(|installed| installed.patch.name.clone())
        .collect()
}

/// Keeps a task in what it runs of a function now.
fn enter(klp: &mut Klp<Simulated>, name: &str, task: Task) {
    let site = klp.target.site(&ObjName::vmlinux(), name);
    let version = klp.runs(site, task);
    klp.target
        .tasks
        .entry(task)
        .or_default()
        .push((site, version));
}

fn leave(klp: &mut Klp<Simulated>, task: Task) {
    klp.target.tasks.insert(task, Vec::new());
}

fn ran(klp: &mut Klp<Simulated>) -> Vec<(Callback, String, String)> {
    let ran = std::mem::take(&mut klp.target.ran);
    ran.into_iter()
        .map(|(when, patch, object)| (when, patch, object.as_str().to_owned()))
        .collect()
}

fn of(patch: &str, object: &str, when: &[Callback]) -> Vec<(Callback, String, String)> {
    when.iter()
        .map(|when| (*when, patch.to_owned(), object.to_owned()))
        .collect()
}

#[test]
fn the_newest_patch_answers_and_what_is_below_comes_back() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    klp.enable_patch(patch("b", false, vec![funcs("vmlinux", &["f"])]))
        .expect("b");
    assert_eq!(runs(&mut klp, "f", IDLE), "b");
    klp.write_enabled("b", false).expect("disables");
    assert_eq!(runs(&mut klp, "f", IDLE), "a");
    assert_eq!(installed(&klp), ["a"]);
}

#[test]
fn a_patch_below_others_can_go_first() {
    let mut klp = kernel();
    for name in ["a", "b"] {
        klp.enable_patch(patch(name, false, vec![funcs("vmlinux", &["f"])]))
            .expect(name);
    }
    klp.write_enabled("a", false).expect("disables");
    assert_eq!(
        (runs(&mut klp, "f", IDLE), installed(&klp)),
        ("b".to_owned(), vec!["b".to_owned()])
    );
    klp.write_enabled("b", false).expect("disables");
    assert_eq!(runs(&mut klp, "f", IDLE), "original");
}

#[test]
fn a_disabled_patch_cannot_be_enabled_again() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    assert_eq!(klp.write_enabled("a", true), Err(Errno::EINVAL));
    klp.write_enabled("a", false).expect("disables");
    assert_eq!(klp.write_enabled("a", true), Err(Errno::ENOENT));
    assert!(!klp.is_pinned("a"));
}

#[test]
fn a_replacing_patch_sends_the_rest_back_to_the_original() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f", "g"])]))
        .expect("a");
    klp.enable_patch(patch("b", true, vec![funcs("vmlinux", &["g", "h"])]))
        .expect("b");
    let now = ["f", "g", "h"].map(|name| runs(&mut klp, name, IDLE));
    assert_eq!(now, ["original", "b", "b"]);
    assert_eq!(installed(&klp), ["b"]);
    // The nop for f is gone with the transition.
    let site = klp.target.site(&ObjName::vmlinux(), "f");
    assert!(klp.stacks().of(site).is_empty());
}

#[test]
fn while_a_replace_runs_each_task_sees_one_side_only() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f", "g"])]))
        .expect("a");
    enter(&mut klp, "f", BUSY);
    klp.enable_patch(patch("b", true, vec![funcs("vmlinux", &["g"])]))
        .expect("b");
    assert_eq!(
        ["f", "g"].map(|name| runs(&mut klp, name, BUSY)),
        ["a", "a"]
    );
    assert_eq!(
        ["f", "g"].map(|name| runs(&mut klp, name, IDLE)),
        ["original", "b"]
    );
    assert_eq!(installed(&klp), ["a", "b"]);
    leave(&mut klp, BUSY);
    assert!(klp.try_complete_transition());
    assert_eq!(
        ["f", "g"].map(|name| runs(&mut klp, name, BUSY)),
        ["original", "b"]
    );
    assert_eq!(installed(&klp), ["b"]);
}

#[test]
fn there_is_one_transition_at_a_time_and_it_can_be_reversed() {
    let mut klp = kernel();
    enter(&mut klp, "f", BUSY);
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    let second = klp.enable_patch(patch("b", false, vec![funcs("vmlinux", &["g"])]));
    assert_eq!(second, Err(Errno::EBUSY));
    assert_eq!(runs(&mut klp, "f", IDLE), "a");
    klp.write_enabled("a", false).expect("reverses");
    assert!(
        klp.try_complete_transition(),
        "the busy task never left, the other goes back"
    );
    assert_eq!(
        (installed(&klp), runs(&mut klp, "f", IDLE)),
        (vec![], "original".to_owned())
    );
}

#[test]
fn a_disabling_can_be_reversed_too() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    enter(&mut klp, "f", BUSY);
    klp.write_enabled("a", false).expect("disables");
    assert_eq!(runs(&mut klp, "f", IDLE), "original");
    klp.write_enabled("a", true).expect("reverses");
    assert!(klp.try_complete_transition());
    assert_eq!(runs(&mut klp, "f", IDLE), "a");
    assert!(klp.patches()[0].enabled);
}

#[test]
fn a_forced_transition_pins_what_some_task_may_still_run() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    assert_eq!(klp.write_force("a"), Err(Errno::EINVAL));
    enter(&mut klp, "f", BUSY);
    klp.enable_patch(patch("b", true, vec![funcs("vmlinux", &["f"])]))
        .expect("b");
    klp.write_force("b").expect("forces");
    assert!(klp.try_complete_transition());
    assert_eq!(installed(&klp), ["b"]);
    assert!(klp.is_pinned("a"));
}

#[test]
fn a_child_is_on_its_parents_side() {
    let mut klp = kernel();
    enter(&mut klp, "f", BUSY);
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    let mut transition = klp.transition().expect("runs").clone();
    transition.copy_process(BUSY, Task(2));
    transition.copy_process(IDLE, Task(3));
    assert_eq!(transition.remaining().collect::<Vec<_>>(), [BUSY, Task(2)]);
}

#[test]
fn callbacks_run_in_this_order() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    assert_eq!(ran(&mut klp), of("a", "vmlinux", &[PrePatch, PostPatch]));
    klp.write_enabled("a", false).expect("disables");
    assert_eq!(
        ran(&mut klp),
        of("a", "vmlinux", &[PreUnpatch, PostUnpatch])
    );
}

#[test]
fn a_replaced_patchs_callbacks_do_not_run() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    ran(&mut klp);
    klp.enable_patch(patch("b", true, vec![funcs("vmlinux", &["f"])]))
        .expect("b");
    assert_eq!(ran(&mut klp), of("b", "vmlinux", &[PrePatch, PostPatch]));
}

#[test]
fn a_veto_undoes_the_objects_before_it() {
    let mut klp = kernel();
    klp.target.modules.insert(object("ext4"));
    klp.target
        .vetoes
        .insert(("a".into(), object("ext4")), Errno::ENODEV);
    let both = vec![funcs("vmlinux", &["f"]), funcs("ext4", &["e"])];
    assert_eq!(
        klp.enable_patch(patch("a", false, both)),
        Err(Errno::ENODEV)
    );
    let mut expected = of("a", "vmlinux", &[PrePatch]);
    expected.extend(of("a", "ext4", &[PrePatch]));
    expected.extend(of("a", "vmlinux", &[PostUnpatch]));
    assert_eq!(ran(&mut klp), expected);
    assert_eq!(
        (installed(&klp), runs(&mut klp, "f", IDLE)),
        (vec![], "original".to_owned())
    );
}

#[test]
fn a_module_that_comes_later_is_patched_before_it_starts_and_may_go() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("ext4", &["e"])]))
        .expect("a");
    assert_eq!(ran(&mut klp), []);
    klp.target.modules.insert(object("ext4"));
    klp.module_coming(&object("ext4")).expect("comes");
    assert_eq!(ran(&mut klp), of("a", "ext4", &[PrePatch, PostPatch]));
    let site = klp.target.site(&object("ext4"), "e");
    assert_eq!(version_name(&klp, site, IDLE), "a");
    klp.module_going(&object("ext4"));
    assert_eq!(ran(&mut klp), of("a", "ext4", &[PreUnpatch, PostUnpatch]));
    assert_eq!(version_name(&klp, site, IDLE), "original");
    assert!(klp.patches()[0].enabled);
}

#[test]
fn a_module_is_refused_when_one_of_its_patches_cannot_be_applied() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("ext4", &["e"])]))
        .expect("a");
    klp.enable_patch(patch("b", false, vec![funcs("ext4", &["gone"])]))
        .expect("b");
    klp.target.count.insert((object("ext4"), "gone".into()), 0);
    klp.target.modules.insert(object("ext4"));
    assert_eq!(klp.module_coming(&object("ext4")), Err(Errno::EINVAL));
    assert_eq!(
        ran(&mut klp),
        of("a", "ext4", &[PrePatch, PostPatch, PreUnpatch, PostUnpatch])
    );
}

#[test]
fn states_of_every_installed_patch_must_be_known() {
    let mut klp = kernel();
    let f = || vec![funcs("vmlinux", &["f"])];
    klp.enable_patch(with_state(patch("a", false, f()), 1, 2))
        .expect("a");
    klp.enable_patch(with_state(patch("b", false, f()), 2, 1))
        .expect("a stacked one need not know state 1");
    let refused = |klp: &mut Klp<Simulated>, patch| klp.enable_patch(patch) == Err(Errno::EINVAL);
    assert!(
        refused(&mut klp, patch("c", true, f())),
        "replaces without knowing"
    );
    assert!(
        refused(&mut klp, with_state(patch("c", false, f()), 1, 1)),
        "a lower version, even stacked"
    );
    assert!(
        refused(&mut klp, with_state(patch("c", true, f()), 1, 2)),
        "knows one of two"
    );
    klp.enable_patch(with_state(with_state(patch("c", true, f()), 1, 3), 2, 1))
        .expect("knows both");
}

#[test]
fn positions_0_and_1_are_one_function_since_6_19() {
    let first = |name| {
        let mut patch = patch(name, true, vec![funcs("vmlinux", &["f"])]);
        patch.objects[0].funcs[0].sympos = Sympos(1);
        patch
    };
    for (rules, answer) in [(Rules::CURRENT, true), (Rules::BEFORE_6_19, false)] {
        let mut klp = Klp::new(Simulated::default(), rules);
        klp.enable_patch(patch("a", true, vec![funcs("vmlinux", &["f"])]))
            .expect("a");
        let next = klp.enable_patch(first("b"));
        assert_eq!(next.is_ok(), answer, "{rules:?}: {next:?}");
    }
}

#[test]
fn a_name_can_be_installed_once() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["f"])]))
        .expect("a");
    let again = klp.enable_patch(patch("a", false, vec![funcs("vmlinux", &["g"])]));
    assert_eq!(again, Err(Errno::EEXIST));
}

/// A target whose callbacks carry a state's data over, as `Documentation/livepatch/system-state.rst` advises.
#[derive(Default)]
struct TakingOver(Simulated);

impl Target for TakingOver {
    type Site = Site;
    type Task = Task;

    fn is_loaded(&self, object: &ObjName) -> bool {
        self.0.is_loaded(object)
    }
    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<Site, Errno> {
        self.0.find(object, func)
    }
    fn patch_func(&mut self, site: Site, stack: &[Version]) -> Result<(), Errno> {
        self.0.patch_func(site, stack)
    }
    fn unpatch_func(&mut self, site: Site, stack: &[Version]) {
        self.0.unpatch_func(site, stack);
    }
    fn callback(
        &mut self,
        callback: Callback,
        _patch: &str,
        _object: &ObjName,
        states: &mut lp_klp::state::States<'_>,
    ) -> Result<(), Errno> {
        if callback == PrePatch {
            let data = states.get_prev_state(7).map_or(Some(100), |(_, data)| data);
            states.set_data(7, data.expect("kept by whoever had the state") + 1);
        }
        Ok(())
    }
    fn tasks(&mut self) -> Vec<Task> {
        self.0.tasks()
    }
    fn may_switch(&mut self, task: Task, busy: &[(Site, Version)]) -> bool {
        self.0.may_switch(task, busy)
    }
    fn switch(&mut self, task: Task, to: lp_klp::transition::PatchState) {
        self.0.switch(task, to);
    }
}

#[test]
fn the_next_patch_takes_a_states_data_over() {
    let mut klp = Klp::new(TakingOver::default(), Rules::CURRENT);
    for name in ["a", "b", "c"] {
        let cumulative = patch(name, true, vec![funcs("vmlinux", &["f"])]);
        klp.enable_patch(with_state(cumulative, 7, 1)).expect(name);
    }
    assert_eq!(klp.patches()[0].data.get(&7), Some(&103));
}

#[test]
fn a_module_that_comes_later_finds_no_previous_state() {
    let mut klp = Klp::new(TakingOver::default(), Rules::CURRENT);
    for name in ["a", "b"] {
        let objects = vec![funcs("vmlinux", &["f"]), funcs("ext4", &["e"])];
        klp.enable_patch(with_state(patch(name, false, objects), 7, 1))
            .expect(name);
    }
    assert_eq!(klp.patches()[1].data.get(&7), Some(&102));
    klp.target.0.modules.insert(object("ext4"));
    klp.module_coming(&object("ext4")).expect("it comes");
    assert_eq!(
        klp.patches()[1].data.get(&7),
        Some(&101),
        "as if it were the first"
    );
}

#[test]
fn a_patch_without_objects_is_taken() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, Vec::new())).expect("a");
    assert_eq!(installed(&klp), ["a"]);
}

#[test]
fn an_object_for_callbacks_alone_comes_along_while_it_is_replaced() {
    let mut klp = kernel();
    klp.enable_patch(patch("a", false, vec![funcs("ext4", &[])]))
        .expect("a");
    enter(&mut klp, "f", BUSY);
    klp.enable_patch(patch("b", true, vec![funcs("vmlinux", &["f"])]))
        .expect("b");
    assert_eq!(klp.patches()[1].objects.len(), 2);
    leave(&mut klp, BUSY);
    assert!(klp.try_complete_transition());
    assert_eq!(klp.patches()[0].objects.len(), 1);
}
