//! Small programs stand for the kernel: built one way and linked, they are the running binary; built the other
//! way, with a section per function, they are our object.

mod lab;
mod padding;

use lab::{Lab, verdict};
use lp_build::fidelity::{Fidelity, FidelityError, Target, Verdict, check};
use std::path::{Path, PathBuf};

fn all_reproduced(fidelity: &Fidelity) {
    for function in &fidelity.functions {
        assert_eq!(function.verdict, Verdict::Reproduced, "{}", function.name);
        assert!(function.old.is_some(), "{} is in one place", function.name);
    }
}

/// Calls, strings, statics, constants, switches, and a tail call.
const RICH: &str = r#"
    extern int printk(const char *text, ...);
    extern int shared;
    static int calls;
    static int limits[4] = {1, 2, 3, 4};
    static const long table[3] = {10, 20, 30};
    static const char *const names[2] = {"first", "second"};
    __attribute__((noinline)) static int helper(int x) { calls += x; return printk("helper %d\n", x); }
    int show(int x) { static int seen; seen++; shared = limits[x & 3] + table[x & 1]; return helper(x) + 1; }
    int name_of(int x) { return printk(names[x & 1]); }
    int tail(int x) { if (x > 5) return helper(x * 3); return printk("tail\n"); }
    double half(double x) { return x * 0.5; }
"#;

const OTHERS: &str =
    "int shared; __attribute__((noinline)) int printk(const char *text, ...) { return *text; }";

#[test]
fn the_same_source_reproduces_in_vmlinux() {
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    let target = lab.vmlinux(&[&others, &rich]);
    let fidelity = check(&lab.orig("rich", RICH), "dir/rich.c", &target).unwrap();
    all_reproduced(&fidelity);
    assert_eq!((fidelity.reproduced(), fidelity.comparable()), (5, 5));
}

#[test]
fn the_same_source_reproduces_in_a_module() {
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    for objects in [vec![rich.as_path()], vec![others.as_path(), rich.as_path()]] {
        let fidelity = check(&lab.orig("rich", RICH), "rich.c", &lab.module(&objects)).unwrap();
        all_reproduced(&fidelity);
    }
}

/// What each changed text must give for `show`: nothing but a difference.
#[test]
fn whatever_changes_in_a_function_is_seen() {
    let changes = [
        ("+ 1; }", "+ 2; }"),
        ("seen++", "seen--"),
        ("limits[x & 3]", "limits[x & 2]"),
        ("shared = ", "calls = "),
        ("helper(x) + 1", "printk(\"helper %d\\n\", x) + 1"),
    ];
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    let objects = [others.as_path(), rich.as_path()];
    for target in [lab.vmlinux(&objects), lab.module(&objects)] {
        for (from, to) in changes {
            assert!(RICH.contains(from));
            let fidelity = check(
                &lab.orig("rich", &RICH.replacen(from, to, 1)),
                "rich.c",
                &target,
            )
            .unwrap();
            assert!(
                matches!(verdict(&fidelity, "show"), Verdict::Mismatch { .. }),
                "{from} {fidelity:#?}"
            );
        }
    }
}

#[test]
fn what_a_function_refers_to_is_compared_by_content() {
    let changes = [
        ("tail\\n", "tall\\n", "tail"),
        ("0.5", "0.25", "half"),
        ("{10, 20, 30}", "{10, 21, 30}", "show"),
    ];
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    let objects = [others.as_path(), rich.as_path()];
    for target in [lab.vmlinux(&objects), lab.module(&objects)] {
        for (from, to, function) in changes {
            let fidelity = check(
                &lab.orig("rich", &RICH.replacen(from, to, 1)),
                "rich.c",
                &target,
            )
            .unwrap();
            assert!(
                matches!(verdict(&fidelity, function), Verdict::Mismatch { .. }),
                "{from} {fidelity:#?}"
            );
            assert_eq!(fidelity.reproduced(), 4, "{from}");
        }
    }
}

#[test]
fn a_mismatch_names_the_instruction() {
    let lab = Lab::new();
    let text = "extern int a(void), b(void); int f(int x) { a(); return x * 7 + 5; }";
    let callees = lab.compile(
        "callees",
        "int a(void) { return 1; } int b(void) { return 2; }",
    );
    let target = lab.vmlinux(&[&lab.compile("f", text), &callees]);
    let constant = check(&lab.orig("f", &text.replace("+ 5", "+ 6")), "f.c", &target).unwrap();
    let Verdict::Mismatch {
        offset,
        ours,
        theirs,
    } = verdict(&constant, "f")
    else {
        panic!("{constant:#?}")
    };
    assert!(*offset > 0);
    assert_eq!(
        (ours.as_str(), theirs.as_str()),
        ("add $6,%eax", "add $5,%eax")
    );
    let call = check(
        &lab.orig("f", &text.replace("a();", "b();")),
        "f.c",
        &target,
    )
    .unwrap();
    let Verdict::Mismatch { ours, theirs, .. } = verdict(&call, "f") else {
        panic!("{call:#?}")
    };
    assert!(
        ours.ends_with("-> b") && theirs.ends_with("-> a"),
        "{ours} {theirs}"
    );
}

#[test]
fn a_shorter_tail_jump_moves_what_is_behind_it() {
    let lab = Lab::new();
    let text = r#"
        extern int printk(const char *text, ...);
        __attribute__((noinline)) static int near(int x) { return printk("near %d\n", x); }
        int jumps(int x) {
            while (x > 100) { x = printk("%d", x); if (x == 7) return near(x + 1); }
            return printk("end %d\n", x);
        }
    "#;
    let (near, others) = (lab.compile("near", text), lab.compile("others", OTHERS));
    let orig = lab.orig("near", text);
    for target in [
        lab.vmlinux(&[&near, &others]),
        lab.module(&[&near, &others]),
    ] {
        let fidelity = check(&orig, "near.c", &target).unwrap();
        all_reproduced(&fidelity);
        let sizes: Vec<_> = fidelity
            .functions
            .iter()
            .filter_map(|function| function.old.as_ref())
            .collect();
        assert_eq!(sizes.len(), 2);
    }
}

const TWINS: [&str; 3] = [
    "static int seed = 3; __attribute__((noinline)) static int twin(int x) { return x * seed; } int one(int x) { return twin(x) + 1; }",
    "static int seed = 5; __attribute__((noinline)) static int twin(int x) { return x / seed; } int two(int x) { return twin(x) + 2; }",
    "static int seed = 7; __attribute__((noinline)) static int twin(int x) { return x * seed; } int three(int x) { return twin(x) + 3; }",
];

#[test]
fn locals_of_one_name_are_told_apart() {
    let lab = Lab::new();
    let objects: Vec<_> = (0..3)
        .map(|index| lab.compile(&format!("twin{index}"), TWINS[index]))
        .collect();
    let objects: Vec<_> = objects.iter().map(PathBuf::as_path).collect();
    for target in [lab.vmlinux(&objects), lab.module(&objects)] {
        let mut seen = std::collections::HashSet::new();
        for (index, text) in TWINS.iter().enumerate() {
            // A file name that no FILE symbol has leaves only the code to decide.
            for name in [format!("twin{index}"), "unknown".to_owned()] {
                let fidelity =
                    check(&lab.orig(&name, text), &format!("{name}.c"), &target).unwrap();
                all_reproduced(&fidelity);
                let twin = fidelity
                    .functions
                    .iter()
                    .find(|function| function.name == "twin")
                    .unwrap();
                seen.insert((index, twin.old.as_ref().unwrap().place));
            }
        }
        assert_eq!(
            seen.len(),
            3,
            "one place for each, and always the same: {seen:?}"
        );
    }
}

#[test]
fn equals_that_nothing_tells_apart_have_no_place() {
    let lab = Lab::new();
    let text = "__attribute__((noinline, used)) static int twin(int x) { return x * 3; }";
    let (one, two) = (lab.compile("one", text), lab.compile("two", text));
    let target = lab.module(&[&one, &two]);
    let fidelity = check(&lab.orig("one", text), "one.c", &target).unwrap();
    assert_eq!(verdict(&fidelity, "twin"), &Verdict::Reproduced);
    assert_eq!(fidelity.functions[0].old, None);
    assert!(fidelity.places.is_empty());
}

#[test]
fn an_overridden_weak_function_is_absent() {
    let lab = Lab::new();
    let weak = "__attribute__((weak)) int hook(int x) { return x; } int calls(int x) { return hook(x) + 1; }";
    let strong = lab.compile("strong", "int hook(int x) { return x * 2; }");
    let target = lab.vmlinux(&[&lab.compile("weak", weak), &strong]);
    let fidelity = check(&lab.orig("weak", weak), "weak.c", &target).unwrap();
    assert!(
        matches!(verdict(&fidelity, "hook"), Verdict::Absent { why, overridden: true } if why.contains("__weak"))
    );
    assert_eq!(verdict(&fidelity, "calls"), &Verdict::Reproduced);
    assert_eq!((fidelity.reproduced(), fidelity.comparable()), (1, 1));
}

#[test]
fn symbols_without_sizes_prove_the_same() {
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    let orig = lab.orig("rich", RICH);
    let with = check(&orig, "dir/rich.c", &lab.vmlinux(&[&others, &rich])).unwrap();
    let without = check(&orig, "dir/rich.c", &lab.without_sizes(&[&others, &rich])).unwrap();
    all_reproduced(&without);
    assert_eq!(with, without, "and the same code, to its last byte");
    let changed = lab.orig("rich", &RICH.replace("x * 3", "x * 5"));
    let target = lab.without_sizes(&[&others, &rich]);
    let fidelity = check(&changed, "dir/rich.c", &target).unwrap();
    assert!(matches!(
        verdict(&fidelity, "tail"),
        Verdict::Mismatch { .. }
    ));
}

#[test]
fn a_nameless_function_may_follow_one_without_a_size() {
    let lab = Lab::new();
    let weak = "int first(int x) { return x + 7; } __attribute__((weak)) int hook(int x) { return x * 3; }";
    let strong = lab.compile("strong", "int hook(int x) { return x * 2; }");
    let objects = [lab.compile("weak", weak), strong];
    let objects: Vec<&Path> = objects.iter().map(PathBuf::as_path).collect();
    let orig = lab.orig("weak", weak);
    let fidelity = check(&orig, "weak.c", &lab.without_sizes(&objects)).unwrap();
    assert_eq!(verdict(&fidelity, "first"), &Verdict::Reproduced);
    assert!(matches!(
        verdict(&fidelity, "hook"),
        Verdict::Absent {
            overridden: true,
            ..
        }
    ));
}

/// After a call, what the call may come back to is no gap, though it begins where functions do.
#[test]
fn code_that_goes_on_is_not_taken_for_a_gap() {
    let lab = Lab::new();
    let code = |behind: &str| {
        format!(
            "asm(\".text\\n.p2align 4\\n.globl f\\n.type f,@function\\nf: call g\\n{behind}.size f, . - f\\n\");"
        )
    };
    let g = lab.compile("g", "void g(void) {}");
    let orig = lab.orig("f", &code(""));
    let reproduces = |behind: &str| {
        let f = lab.compile("f", &code(behind));
        let fidelity = check(&orig, "f.c", &lab.without_sizes(&[&f, &g])).unwrap();
        verdict(&fidelity, "f") == &Verdict::Reproduced
    };
    assert!(reproduces(""));
    assert!(reproduces(".p2align 4\\n"), "no-operations");
    assert!(
        reproduces(".byte 0xcc\\n.p2align 4\\nret\\n"),
        "what linkers fill with"
    );
    assert!(!reproduces("ret\\n"), "more code");
    assert!(
        !reproduces(".p2align 4\\nret\\n"),
        "a loop that was aligned"
    );
}

#[test]
fn a_function_that_the_target_has_not_is_absent() {
    let lab = Lab::new();
    let target = lab.vmlinux(&[&lab.compile("f", "int f(void) { return 1; }")]);
    let fidelity = check(
        &lab.orig("f", "int f(void) { return 1; } int g(void) { return 2; }"),
        "f.c",
        &target,
    )
    .unwrap();
    assert!(matches!(
        verdict(&fidelity, "g"),
        Verdict::Absent {
            overridden: false,
            ..
        }
    ));
}

/// Any byte of code that changes, but for fields the linker fills, must make its function differ.
#[test]
fn no_changed_byte_of_code_goes_unseen() {
    let lab = Lab::new();
    // Without padding inside, which may differ.
    let packed = ["-fno-align-jumps", "-fno-align-loops", "-fno-align-labels"];
    let sections = ["-ffunction-sections", "-fdata-sections"];
    let rich = lab.gcc("rich", RICH, "rich.o", &packed);
    let others = lab.compile("others", OTHERS);
    let target = lab.vmlinux(&[&others, &rich]);
    let orig = lab.gcc(
        "rich",
        RICH,
        "orig.o",
        &[packed.as_slice(), &sections].concat(),
    );
    let orig = std::fs::read(orig).unwrap();
    for (name, bytes) in code_bytes(&orig) {
        for at in bytes {
            for bit in [0x01, 0x10, 0x80] {
                let mut changed = orig.clone();
                changed[at] ^= bit;
                let fidelity = check(&changed, "rich.c", &target).unwrap();
                assert!(
                    matches!(verdict(&fidelity, &name), Verdict::Mismatch { .. }),
                    "{name} at {at:#x}"
                );
            }
        }
    }
}

/// File offsets of the code bytes of each function that no relocation fills.
fn code_bytes(data: &[u8]) -> Vec<(String, Vec<usize>)> {
    use object::{Object, ObjectSection, ObjectSymbol};
    let file = object::File::parse(data).unwrap();
    let mut found = Vec::new();
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text)
    {
        let section = file
            .section_by_index(symbol.section_index().unwrap())
            .unwrap();
        let filled: Vec<u64> = section
            .relocations()
            .flat_map(|(offset, _)| offset..offset + 4)
            .collect();
        let (start, _) = section.file_range().unwrap();
        let bytes = (0..symbol.size())
            .filter(|at| !filled.contains(at))
            .map(|at| (start + at) as usize);
        found.push((symbol.name().unwrap().to_owned(), bytes.collect()));
    }
    assert!(found.len() >= 5);
    found
}

#[test]
fn damaged_objects_are_errors_and_never_panic() {
    let lab = Lab::new();
    let (rich, others) = (lab.compile("rich", RICH), lab.compile("others", OTHERS));
    let target = lab.vmlinux(&[&others, &rich]);
    let orig = lab.orig("rich", RICH);
    let mut seed = 11u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..3000 {
        let mut damaged = orig.clone();
        for _ in 0..=random() % 4 {
            let at = random() % damaged.len();
            damaged[at] = random() as u8;
        }
        damaged.truncate(if random() % 4 == 0 {
            random() % orig.len()
        } else {
            orig.len()
        });
        let _ = check(&damaged, "rich.c", &target);
    }
}

#[test]
fn damaged_targets_are_errors_and_never_panic() {
    let lab = Lab::new();
    let orig = lab.orig("rich", RICH);
    lab.module(&[&lab.compile("rich", RICH), &lab.compile("others", OTHERS)]);
    let whole = std::fs::read(lab.path("module.ko")).unwrap();
    let damaged = lab.path("damaged.ko");
    let mut seed = 5u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..1000 {
        let mut bytes = whole.clone();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(if random() % 4 == 0 {
            random() % whole.len()
        } else {
            whole.len()
        });
        std::fs::write(&damaged, &bytes).unwrap();
        if let Ok(target) = Target::module(&damaged) {
            let _ = check(&orig, "rich.c", &target);
        }
    }
}

#[test]
fn a_target_of_the_wrong_kind_is_named() {
    let lab = Lab::new();
    lab.module(&[&lab.compile("others", OTHERS)]);
    let error = Target::vmlinux(lab.path("module.ko")).unwrap_err();
    assert!(
        matches!(error, FidelityError::Target { .. }) && error.to_string().contains("module.ko"),
        "{error}"
    );
    std::fs::write(lab.path("module.ko.xz"), b"\xfd7zXZ\0").unwrap();
    let error = Target::module(lab.path("module.ko.xz"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("compressed"), "{error}");
    assert!(matches!(
        Target::vmlinux(lab.path("none")),
        Err(FidelityError::Io { .. })
    ));
}
