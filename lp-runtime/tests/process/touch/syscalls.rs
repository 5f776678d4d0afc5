//! System calls made by the process for us.

use super::support::{free_address, memory_and_gate, read, stopped};
use crate::program::{Folder, Program};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::touch::syscall::InjectError;

const ECHO: &str = "void answer(const char *q, char *r) { strcpy(r, q); }";

#[test]
fn memory_is_mapped_where_it_is_asked_for_and_never_over_something() {
    let folder = Folder::new();
    let mut program = Program::start(&folder.server("echo", ECHO, &[]));
    let pid = program.pid();
    let (memory, gate) = memory_and_gate(pid);
    let text = free_address(pid);
    let data = text + 0x10000;
    let taken = stopped(pid, |threads| {
        let tid = threads.helper(&memory).expect("a thread can help");
        let mapped = threads.mmap(gate, tid, text, 0x2000, Area::Text);
        mapped.expect("it is mapped");
        let mapped = threads.mmap(gate, tid, data, 0x1000, Area::Data);
        mapped.expect("it is mapped");
        memory.write_text(tid, text + 3, b"code").expect("written");
        memory.write_data(data, b"data").expect("written");
        memory
            .write_data(text, b"data")
            .expect_err("text is not written as data");
        // A name needs a newer kernel than the rest.
        memory.write_data(data, b"name\0").expect("written");
        let _ = threads.name_mapping(gate, tid, (data, 0x1000), data);
        threads.mmap(gate, tid, text + 0x1000, 0x1000, Area::Data)
    });
    assert!(matches!(
        taken,
        Err(InjectError::Failed { call: "mmap", .. })
    ));
    assert_eq!(read(&memory, text, 8), b"\0\0\0code\0");
    let maps = Maps::read(pid).expect("maps");
    let perms = maps.at(text).expect("mapped").perms;
    assert!(perms.exec && perms.read && !perms.write);
    stopped(pid, |threads| {
        let tid = threads.helper(&memory).expect("a thread can help");
        threads.munmap(gate, tid, text, 0x2000).expect("unmapped");
        threads.munmap(gate, tid, data, 0x1000).expect("unmapped");
    });
    assert!(Maps::read(pid).expect("maps").at(text).is_none());
    assert_eq!(program.ask("still here"), "still here");
}

#[test]
fn a_process_that_refuses_executable_memory_gets_its_text_all_the_same() {
    let folder = Folder::new();
    let answer = r#"
#include <sys/prctl.h>
#include <sys/mman.h>
void answer(const char *q, char *r)
{
	void *it;
	sprintf(r, "%d ", prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0));
	it = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcat(r, it == MAP_FAILED ? "denied" : "allowed");
}
"#;
    let mut program = Program::start(&folder.server("mdwe", answer, &[]));
    assert_eq!(program.ask("refuse"), "0 denied");
    let pid = program.pid();
    let (memory, gate) = memory_and_gate(pid);
    let text = free_address(pid);
    stopped(pid, |threads| {
        let tid = threads.helper(&memory).expect("a thread can help");
        let mapped = threads.mmap(gate, tid, text, 0x1000, Area::Text);
        mapped.expect("it is mapped");
        memory.write_text(tid, text, &[0xc3]).expect("written");
    });
    assert_eq!(read(&memory, text, 1), [0xc3]);
}

/// Strict seccomp allows read, write and exit. With CAP_SYS_ADMIN it is suspended for the call; without, the process is refused.
#[test]
fn seccomp_does_not_kill_a_process_that_helps() {
    let folder = Folder::new();
    let answer = r#"
#include <sys/prctl.h>
#include <linux/seccomp.h>
void answer(const char *q, char *r)
{
	static int done;
	if (!done++)
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	strcpy(r, q);
}
"#;
    let mut program = Program::start(&folder.server("strict", answer, &[]));
    assert_eq!(program.ask("strict now"), "strict now");
    let pid = program.pid();
    let (memory, gate) = memory_and_gate(pid);
    let text = free_address(pid);
    let mapped = stopped(pid, |threads| {
        let tid = threads.helper(&memory)?;
        threads.mmap(gate, tid, text, 0x1000, Area::Text)
    });
    match mapped {
        Ok(()) => assert!(Maps::read(pid).expect("maps").at(text).is_some()),
        Err(error) => assert!(
            matches!(error, InjectError::Seccomp { mode: 1, .. }),
            "{error}"
        ),
    }
    assert_eq!(program.ask("alive"), "alive");
}
