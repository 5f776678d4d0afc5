//! A program that ends and starts again finds on its target what it left: adopting the installed patches is as if it had
//! never ended.

use fastrand::Rng;
use lp_klp::core::{Klp, KlpFunc, KlpObject, KlpPatch};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::patch::Version;
use lp_klp::rules::Rules;
use lp_klp::simulated::{Simulated, Task};
use lp_klp::state::KlpState;

const FUNCS: [&str; 4] = ["open", "read", "write", "close"];
const TASK: Task = Task(0);

fn patch(random: &mut Rng, number: u32) -> KlpPatch {
    let names = FUNCS.iter().filter(|_| random.bool());
    let funcs = names.map(|name| KlpFunc {
        old_name: (*name).to_owned(),
        sympos: Sympos(0),
    });
    let funcs = funcs.collect();
    let states = (0..random.u32(0..2)).map(|_| KlpState {
        id: random.u64(1..3),
        version: random.u32(1..3),
        name: String::new(),
    });
    let states = states.collect();
    KlpPatch {
        name: format!("p{}", number % 5),
        version: number.to_string(),
        replace: random.u8(..) < 64,
        states,
        objects: vec![KlpObject {
            name: ObjName::vmlinux(),
            funcs,
        }],
    }
}

fn fresh() -> Klp<Simulated> {
    let mut target = Simulated::default();
    target.tasks.insert(TASK, Vec::new());
    Klp::new(target, Rules::CURRENT)
}

/// The version of the patch that a function runs, by name: numbers of patches differ after a restart.
fn runs(klp: &mut Klp<Simulated>) -> Vec<String> {
    let name = |klp: &Klp<Simulated>, version| match version {
        Version::Original => "original".to_owned(),
        Version::Patched(func) => {
            let of = klp.patches().iter().find(|of| of.id == func.patch);
            of.map_or("gone".to_owned(), |of| of.patch.version.clone())
        }
    };
    let sites = FUNCS.map(|func| klp.target.site(&ObjName::vmlinux(), func));
    sites
        .iter()
        .map(|site| name(klp, klp.runs(*site, TASK)))
        .collect()
}

fn restarted(klp: &Klp<Simulated>) -> Klp<Simulated> {
    let mut again = fresh();
    for installed in klp.patches() {
        let (patch, data) = (installed.patch.clone(), installed.data.clone());
        again.adopt(patch, data).expect("it was installed");
    }
    again
}

#[test]
fn a_restart_changes_nothing() {
    for seed in 0..300 {
        let mut random = Rng::with_seed(seed);
        let (mut whole, mut parts) = (fresh(), fresh());
        for number in 0..20 {
            if random.bool() {
                let patch = patch(&mut random, number);
                let same = whole.enable_patch(patch.clone()).map(drop);
                assert_eq!(parts.enable_patch(patch).map(drop), same, "seed {seed}");
            } else {
                let name = format!("p{}", random.u32(0..5));
                let same = whole.write_enabled(&name, false);
                assert_eq!(parts.write_enabled(&name, false), same, "seed {seed}");
            }
            if random.bool() {
                parts = restarted(&parts);
            }
            assert_eq!(runs(&mut parts), runs(&mut whole), "seed {seed}, {number}");
        }
    }
}

#[test]
fn adopting_calls_nothing() {
    let mut klp = fresh();
    let patch = patch(&mut Rng::with_seed(1), 0);
    klp.adopt(patch, [(1, 7)].into()).expect("a patch");
    assert!(klp.target.ran.is_empty());
    assert_eq!(klp.patches()[0].data, [(1, 7)].into());
    assert!(klp.patches()[0].enabled);
}
