//! Padding inside of functions, which depends on where they lie.

use crate::lab::{Lab, verdict};
use lp_build::fidelity::{Verdict, check};

/// A loop that is aligned to a cache line, as gcc does it from 14.2 on, in a function that is not. LISTED names the padding in a table.
const ALIGNED: &str = r#"
    int first(int x) { return x + 5; }
    int work(int x) { asm volatile("incl %0; .p2align 5; 7: .p2align 6" LISTED : "+r"(x)); return x + 1; }
"#;

#[test]
fn padding_before_an_aligned_loop_depends_on_where_a_function_lies() {
    let lab = Lab::new();
    let plain = ALIGNED.replace("LISTED", "");
    let there = lab.compile("work", &plain);
    let differs = |text: &str| {
        let fidelity = check(&lab.orig("work", text), "work.c", &lab.vmlinux(&[&there]));
        matches!(
            verdict(&fidelity.unwrap(), "work"),
            Verdict::Mismatch { .. }
        )
    };
    assert!(!differs(&plain));
    // No-operations that align nothing.
    assert!(differs(
        &plain.replace(".p2align 5; 7: .p2align 6", "nop; nop")
    ));
}

#[test]
fn what_a_table_says_something_about_is_no_padding() {
    let table = "\"\\n.pushsection __jump_table, \\\"aw\\\"; .long 7b - .; .long 7b - .; .quad 0; .popsection\"";
    let listed = ALIGNED.replace("LISTED", table);
    let lab = Lab::new();
    let there = lab.compile("work", &listed);
    let fidelity = check(
        &lab.orig("work", &listed),
        "work.c",
        &lab.vmlinux(&[&there]),
    )
    .unwrap();
    assert!(matches!(
        verdict(&fidelity, "work"),
        Verdict::Mismatch { .. }
    ));
}
