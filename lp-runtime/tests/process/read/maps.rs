//! Who a process is, and what is mapped in it.

use crate::program::{Folder, Program};
use lp_runtime::process::read::identity::{Identity, IdentityError};
use lp_runtime::process::read::maps::{Maps, MapsError};
use lp_runtime::process::read::memory::{MemoryError, ProcessMemory, ReadMemory, read_vec};
use std::path::Path;

const ECHO: &str = "void answer(const char *q, char *r) { sprintf(r, \"%p\", (void *)answer); }";

#[test]
fn a_process_is_read_from_outside() {
    let folder = Folder::new();
    folder.library("libtold.so.1", "int told(void) { return 7; }", &[]);
    let path = folder.server("prog", ECHO, &["-Wl,--no-as-needed", "-l:libtold.so.1"]);
    let mut program = Program::start(&path);
    let identity = Identity::of(program.pid()).expect("it runs");
    let about = identity.about().expect("it is ours");
    assert_eq!(about.exe, path.canonicalize().expect("it is there"));

    let maps = Maps::read(program.pid()).expect("they can be read");
    let function = program.ask("where");
    let function = u64::from_str_radix(&function[2..], 16).expect("an address");
    let text = maps.at(function).expect("the function is mapped");
    assert_eq!(text.path, about.exe);
    assert!(text.perms.exec && !text.perms.write && !text.deleted);
    assert!(maps.iter().any(|it| it.path.ends_with("libtold.so.1")));

    let memory = ProcessMemory::open(program.pid()).expect("it is ours");
    let mut code = [0; 4];
    memory.read(function, &mut code).expect("it is mapped");
    assert_ne!(code, [0; 4]);
    let far = read_vec(&memory, function, 1 << 40, 1 << 20);
    assert!(matches!(far, Err(MemoryError::TooLarge { .. })));
    assert!(memory.read(8, &mut code).is_err());
}

#[test]
fn a_number_is_no_process() {
    let folder = Folder::new();
    let program = Program::start(&folder.server("prog", ECHO, &[]));
    let identity = Identity::of(program.pid()).expect("it runs");
    let other = Identity {
        start_time: identity.start_time + 1,
        ..identity
    };
    assert!(matches!(other.check(), Err(IdentityError::Reused(_))));
    assert!(identity.check().is_ok());
    drop(program);
    assert!(matches!(identity.check(), Err(IdentityError::Gone(_))));
}

#[test]
fn a_path_may_hold_anything() {
    let text = b"1000-2000 r-xp 00001000 fe:0a 77   /a b (deleted)/c\\012d (deleted)\n\
        3000-4000 rw-s 00000000 00:00 0\n";
    let maps = Maps::parse(text).expect("both lines are good");
    let file = maps.at(0x1fff).expect("the first line");
    assert_eq!(file.path, Path::new("/a b (deleted)/c\nd"));
    assert!(file.deleted);
    assert_eq!(
        file.file.map(|id| (id.dev, id.inode)),
        Some(((0xfe, 10), 77))
    );
    assert!(maps.at(0x2000).is_none() && maps.at(0xfff).is_none());
    let anonymous = maps.at(0x3000).expect("the second line");
    assert!(anonymous.perms.shared && anonymous.file.is_none());
    for wrong in ["x", "2000-1000 r--p 0 0:0 0", "1000-2000 r- 0 0:0 0"] {
        let parsed = Maps::parse(wrong.as_bytes());
        assert!(matches!(parsed, Err(MapsError::Line(_))), "{wrong}");
    }
}
