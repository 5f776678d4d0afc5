//! Processes that are filtered, stopped, traced, dead, or no such processes at all.

use super::{NEXT, fix, load, there_and_back};
use crate::program::{Folder, Program};
use lp_runtime::process::Process;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Answers as [`NEXT`] does, and on `deny` and `kill` has the kernel deny all `mmap`, or kill for it.
pub(super) const FILTERED: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <stddef.h>
    #include <poll.h>
    #include <pthread.h>
    #include <time.h>
    #include <unistd.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <linux/filter.h>
    #include <linux/seccomp.h>
    __attribute__((noipa)) int one(int x) { return x + 1; }
    static void filter(unsigned call, unsigned action)
    {
        struct sock_filter code[] = {
            { BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr) },
            { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call },
            { BPF_RET | BPF_K, 0, 0, action },
            { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
        };
        struct sock_fprog program = { 4, code };
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) exit(9);
    }
    static void *sleeps(void *x) { struct timespec hour = { 3600 }; nanosleep(&hour, 0); exit(8); }
    static void *polls(void *x) { poll(0, 0, 3600000); exit(8); }
    void answer(const char *q, char *r)
    {
        if (!strcmp(q, "deny")) { filter(SYS_mmap, SECCOMP_RET_ERRNO | 1); strcpy(r, "denying"); return; }
        if (!strcmp(q, "kill")) { filter(SYS_mmap, SECCOMP_RET_KILL_PROCESS); strcpy(r, "killing"); return; }
        if (!strncmp(q, "sleep", 5)) {
            pthread_t thread;
            filter(SYS_restart_syscall, q[5] ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | 1);
            pthread_create(&thread, 0, sleeps, 0); pthread_create(&thread, 0, polls, 0);
            usleep(20000); strcpy(r, "sleeping"); return;
        }
        sprintf(r, "%d", one(atoi(q)));
    }
"#;

#[test]
fn a_filter_is_taken_away_for_a_moment_or_the_process_is_refused() {
    let folder = Folder::new();
    let path = folder.server("prog", FILTERED, &[]);
    let patch = fix(&folder, &path);
    for (question, said) in [("deny", "denying"), ("kill", "killing")] {
        let mut program = Program::start(&path);
        assert_eq!(program.ask(question), said);
        let pid = program.pid();
        match load(pid, &patch) {
            Ok(()) => {
                assert_eq!(program.ask("2"), "102");
                super::unload(pid).expect("it goes out");
            }
            Err(error) => assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}"),
        }
        assert_eq!(program.ask("3"), "4");
        // It is in force as before.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        assert!(status.contains("Seccomp:\t2"), "{status}");
    }
}

/// A filter need not know the call by which the kernel goes on with what a stop has interrupted.
#[test]
fn what_sleeps_under_a_filter_sleeps_on() {
    let folder = Folder::new();
    let path = folder.server("prog", FILTERED, &[]);
    let patch = fix(&folder, &path);
    for question in ["sleep", "sleep or die"] {
        let mut program = Program::start(&path);
        assert_eq!(program.ask(question), "sleeping");
        for _ in 0..5 {
            load(program.pid(), &patch).expect("it goes in");
            assert_eq!(program.ask("2"), "102");
            super::unload(program.pid()).expect("it goes out");
            assert_eq!(program.ask("2"), "3");
        }
    }
}

#[test]
fn a_process_that_a_signal_has_stopped_is_patched_and_stays_stopped() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &[]);
    let mut program = Program::start(&path);
    let pid = program.pid();
    let kill = |signal: &str| {
        let mut kill = Command::new("kill");
        let done = kill.args([signal, &pid.to_string()]).status();
        assert!(done.expect("kill runs").success());
    };
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        stat.rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next())
    };
    kill("-STOP");
    while state() != Some('T') {}
    load(pid, &fix(&folder, &path)).expect("it goes in");
    // On its way from one stop into the other it shows as running.
    assert!((0..100_000).any(|_| state() == Some('T')), "{:?}", state());
    kill("-CONT");
    assert_eq!(program.ask("2"), "102");
}

#[test]
fn a_process_that_is_traced_is_refused_and_can_be_patched_afterwards() {
    let folder = Folder::new();
    let path = folder.server("prog", NEXT, &[]);
    let mut program = Program::start(&path);
    let pid = program.pid();
    let patch = fix(&folder, &path);
    let refused = lp_runtime::process::touch::threads::with_threads(pid, |threads| {
        let stopped = threads.stop_all(std::time::Duration::from_secs(5));
        stopped.expect("it stops");
        load(pid, &patch).expect_err("it is traced")
    });
    let said = refused.expect("it can be traced").to_string();
    assert!(said.contains("traced"), "{said}");
    there_and_back(&mut program, pid, &patch);
}

#[test]
fn what_is_no_process_to_be_patched_is_said() {
    let folder = Folder::new();
    let patch = fix(&folder, &folder.server("prog", NEXT, &[]));
    let refusal = |pid: i32| load(pid, &patch).expect_err("it is refused").to_string();
    let ours = i32::try_from(std::process::id()).expect("a pid fits");
    let said = refusal(ours);
    assert!(
        said.contains("not loaded") || said.contains("itself"),
        "{said}"
    );
    assert!(refusal(i32::MAX).contains("no process"));
    let mut dead = Command::new("true").spawn().expect("true starts");
    let pid = i32::try_from(dead.id()).expect("a pid fits");
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("nobody has waited");
    while !stat().contains(") Z ") {}
    assert!(refusal(pid).contains("zombie"), "{}", refusal(pid));
    dead.wait().expect("it has ended");
    // The kernel's own are the second process and its children; a container does not see them.
    let comm = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if comm.trim() == "kthreadd" {
        let said = refusal(2);
        assert!(
            said.contains("thread of the kernel") || said.contains("trace"),
            "{said}"
        );
    }
}

/// A program of 32 bits: `write(1, "ready\n", 6); for (;;) pause();`.
fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const CODE_AT: u32 = 52 + 32;
    let mut code = Vec::new();
    let text = BASE + CODE_AT + 33;
    let mov = |register: u8, value: u32| {
        let mut bytes = vec![0xb8 + register];
        bytes.extend(value.to_le_bytes());
        bytes
    };
    code.extend([mov(0, 4), mov(3, 1), mov(1, text), mov(2, 6)].concat());
    code.extend([0xcd, 0x80]);
    code.extend(mov(0, 29));
    code.extend([0xcd, 0x80, 0xeb, 0xf7, 0x90, 0x90]);
    assert_eq!(code.len(), 33);
    code.extend(b"ready\n");
    let size = CODE_AT + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // ET_EXEC for EM_386, then the entry, where the program headers are, and the sizes of all.
    for half in [2_u16, 3] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, BASE + CODE_AT, 52, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for half in [52_u16, 32, 1, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(code);
    file
}

#[test]
fn a_program_of_32_bits_is_refused() {
    let folder = Folder::new();
    let path = folder.path("small");
    fs::write(&path, program_of_32_bits()).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let started = Command::new(&path)
        .stdout(std::process::Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        // A kernel that runs no such programs has none to be refused.
        let error = started.expect_err("it did not start");
        assert_eq!(error.raw_os_error(), Some(8), "{error}");
        return;
    };
    let pid = i32::try_from(child.id()).expect("a pid fits");
    let error = Process::attach(pid).map(drop);
    let lives = child.try_wait().expect("it is ours").is_none();
    let _ = child.kill();
    child.wait().expect("it ends");
    let error = error.expect_err("it is refused").to_string();
    assert!(error.contains("architecture"), "{error}");
    assert!(lives);
}
