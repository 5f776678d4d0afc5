//! New code may not take the address of a function whose ENDBR64 the kernel took away.

use crate::folder;
use lp_build::kernel::running::sealed::check;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `sealed` and `open`, as objtool leaves them: one is in the list.
const BINARY: &str = "
.text
nop
.type sealed,@function
sealed: endbr64; ret
.size sealed, . - sealed
.type open,@function
open: endbr64; ret
.size open, . - open
.section .ibt_endbr_seal,\"a\"
.long sealed - .
";

fn assemble(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (source, object) = (folder.join(format!("{name}.s")), folder.join(name));
    std::fs::write(&source, text).expect("a file");
    let mut gcc = Command::new("gcc");
    let status = gcc.arg("-c").arg("-o").arg(&object).arg(&source).status();
    assert!(status.expect("gcc").success());
    object
}

/// What is said of new code that uses a function of the binary with this instruction.
fn refusals(folder: &Path, binary: &Path, instruction: &str) -> Vec<String> {
    let text = format!(".section .text.new,\"ax\"\n{instruction}\nret\n");
    let diff = std::fs::read(assemble(folder, "diff.o", &text)).expect("an object");
    let object = "m".parse().expect("a name");
    let found = check("a.c", &object, &diff, binary).expect("both can be read");
    found.into_iter().map(|refusal| refusal.code).collect()
}

#[test]
fn the_address_of_a_sealed_function_is_refused_and_a_call_is_not() {
    let root = folder(&[]);
    let module = assemble(root.path(), "m.ko", BINARY);
    let linked = root.path().join("linked");
    let mut ld = Command::new("ld");
    let status = ld
        .args(["-e", "open", "-o"])
        .arg(&linked)
        .arg(&module)
        .status();
    assert!(status.expect("ld").success());

    for binary in [module, linked] {
        let said = |instruction: &str| refusals(root.path(), &binary, instruction);
        assert_eq!(
            said("lea \".klp.sym.m.sealed,0\"(%rip), %rax"),
            ["sealed-function"]
        );
        assert_eq!(
            said("mov $\".klp.sym.m.sealed,0\", %rax"),
            ["sealed-function"]
        );
        assert_eq!(said(".quad \".klp.sym.m.sealed,0\""), ["sealed-function"]);
        assert!(said("call \".klp.sym.m.sealed,0\"").is_empty());
        assert!(said("jne \".klp.sym.m.sealed,0\"").is_empty());
        assert!(said("lea \".klp.sym.m.open,0\"(%rip), %rax").is_empty());
        assert!(said("lea \".klp.sym.other.sealed,0\"(%rip), %rax").is_empty());
    }
}
