//! Says why a changed function cannot be redirected, and what to do instead.
//!
//! The kernel redirects a function at the call to `__fentry__` that the compiler puts at its entry, and some functions
//! have none. Which ones follows from their section and their name, and so does the way out. The tempting wrong way is
//! one sentence for all: that of a system call is not that of an interrupt entry.

use crate::special::table::is_init;

/// Why a function without an fentry site has none, and what its author can do.
pub fn advice(name: &str, section: &str, calls_mcount: bool) -> String {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if calls_mcount {
        return "it changed, but it is compiled to call mcount behind its first instructions, where it cannot be redirected: compile with -mfentry, as kernels with livepatching are".to_owned();
    }
    if starts(&SYSCALLS) {
        return format!(
            "it changed, but this part of a system call has no fentry site (inline functions are notrace), so the kernel cannot redirect it: define the system call in the patched tree so that the body is compiled into {}",
            traceable(name)
        );
    }
    match section {
        ".static_call.text" => "it is the trampoline of a static call whose first target changed, but the running system has the static call already: give it the new target with static_call_update() in a callback".to_owned(),
        ".noinstr.text" | ".entry.text" | ".cpuidle.text" => format!(
            "it changed, but it is noinstr code ({section}): it runs where the kernel may not be traced, and has no fentry site, so it cannot be redirected. Change what it calls once it may be traced, or its callers"
        ),
        _ => "it changed but has no fentry site (notrace, noinstr or assembly), so the kernel cannot redirect it: change its callers instead".to_owned(),
    }
}

/// Why a change in a section that is gone, or not in use, when a patch comes cannot be made.
pub fn gone(section: &str) -> &'static str {
    debug_assert!(is_init(section));
    if section.starts_with(".exit") {
        "its code changed, but it is exit code: it runs when its module goes, or never in the kernel itself. Make the change in other code, or in a callback"
    } else if section.starts_with(".head") {
        "its code changed, but it is boot code, which ran before there was a kernel: make the change in other code"
    } else {
        "its code changed, but it is start-up code: it has run and is freed. Make the change in other code, or in a callback"
    }
}

/// What the parts of a system call are called, from its entry inwards: `SYSCALL_DEFINEx` of asm/syscall_wrapper.h
/// since Linux 4.17, of linux/syscalls.h before.
const SYSCALLS: [&str; 11] = [
    "__x64_sys_",
    "__ia32_sys_",
    "__x64_compat_sys_",
    "__ia32_compat_sys_",
    "__se_sys_",
    "__se_compat_sys_",
    "__do_sys_",
    "__do_compat_sys_",
    "SyS_",
    "SYSC_",
    "compat_SyS_",
];

/// The part of a system call that has an fentry site.
fn traceable(name: &str) -> String {
    let call = SYSCALLS
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    if name.starts_with("SYSC_") {
        format!("SyS_{call}")
    } else if name.contains("compat") {
        format!("__ia32_compat_sys_{call}")
    } else {
        format!("__x64_sys_{call}")
    }
}

#[test]
fn a_system_calls_body_belongs_into_its_entry() {
    assert!(advice("__do_sys_brk", ".text", false).ends_with("into __x64_sys_brk"));
    assert!(advice("SYSC_brk", ".text", false).ends_with("into SyS_brk"));
    assert!(advice("f", ".noinstr.text", false).contains("noinstr"));
}
