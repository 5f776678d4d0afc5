//! Pairs of any size: so many functions, each with a static variable and a static local, of which one differs.
//!
//! They are written as assembler text, in the shape that gcc gives them: compiling 64,000 functions would take minutes.
//! `cargo xtask bench diff` makes the same ones.

use std::fmt::Write as _;

/// `static int state; int func(int x) { static int count; count += x; state += count; return state + 1; }`, N times.
pub(crate) fn text(count: usize, changed: Option<usize>) -> String {
    let mut text = String::from(".file \"synthetic.c\"\n");
    for n in 0..count {
        let constant = if changed == Some(n) { 2 } else { 1 };
        let code = format!(
            ".section .text.func_{n},\"ax\",@progbits\n.p2align 4\n.globl func_{n}\n.type func_{n},@function\nfunc_{n}:\n\
             1: call __fentry__\n.section __mcount_loc,\"a\",@progbits\n.quad 1b\n.previous\n\
             addl count.{n}(%rip), %edi\nmovl %edi, count.{n}(%rip)\naddl state_{n}(%rip), %edi\n\
             movl %edi, state_{n}(%rip)\nleal {constant}(%rdi), %eax\nret\n.size func_{n}, .-func_{n}\n"
        );
        text.push_str(&code);
        for name in [format!("count.{n}"), format!("state_{n}")] {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                ".section .data.{name},\"aw\",@progbits\n.balign 4\n.type {name},@object\n.size {name},4\n{name}: .long {n}\n"
            );
        }
    }
    text
}
