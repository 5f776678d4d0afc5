//! Plans that are carried out by the program itself: it maps, writes and jumps as it is told, so what the plan says runs
//! without anything of ours in between.

use super::plan::{Seen, patch};
use crate::patch::object_of;
use crate::program::{Folder, Program};
use lp_klp::manifest::Object;
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::prepare::plan::Plan;
use std::path::{Path, PathBuf};

/// What is replaced by hand is `noipa`: gcc lets callers in the same file keep values in registers that it sees a function not
/// change (`-fipa-ra`), or leave the stack unaligned for it. lp-build's patches replace such callers, too, since they compile to other code.
///
/// `m ADDRESS SIZE` maps, `w ADDRESS HEX` writes, everything else is the test's own question.
const OBEYS: &str = r#"
    #include <stdio.h>
    #include <string.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    static char *obey(const char *q, char *r)
    {
        char *end;
        unsigned long at = strtoul(q + 2, &end, 16);
        if (*q == 'm') {
            unsigned long size = strtoul(end, 0, 16);
            void *got = mmap((void *)at, size, 7, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0);
            sprintf(r, "%lx", (unsigned long)got);
            return r;
        }
        if (*q == 'w') {
            mprotect((void *)(at & -4096), 8192, 7);
            unsigned char *to = (unsigned char *)at;
            for (end++; *end; end += 2) {
                unsigned byte;
                sscanf(end, "%2x", &byte);
                *to++ = byte;
            }
            return strcpy(r, "written");
        }
        return 0;
    }
    #define ANSWERS(...) void answer(const char *q, char *r) { if (!obey(q, r)) { __VA_ARGS__ } }
"#;

/// Has the program do what a plan says.
fn carry_out(plan: &Plan, program: &mut Program) {
    for area in &plan.areas {
        let at = format!("{:x}", area.address);
        assert_eq!(
            program.ask(&format!("m {at} {:x}", area.bytes.len())),
            at,
            "it is free"
        );
        for (index, chunk) in area.bytes.chunks(128).enumerate() {
            if chunk.iter().any(|byte| *byte != 0) {
                write(program, area.address + 128 * index as u64, chunk);
            }
        }
    }
    for function in &plan.functions {
        let distance = function.new.start.wrapping_sub(function.entry.jump_at + 5);
        let distance = i32::try_from(distance as i64).expect("it is in reach");
        let jump = [&[0xe9], &distance.to_le_bytes()[..]].concat();
        write(program, function.entry.jump_at, &jump);
    }
}

fn write(program: &mut Program, at: u64, bytes: &[u8]) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(program.ask(&format!("w {at:x} {hex}")), "written");
}

fn server(folder: &Folder, source: &str, args: &[&str]) -> PathBuf {
    folder.server("prog", &format!("{OBEYS}{source}"), args)
}

/// Starts a program, patches it, and asks it before and after.
fn patched(path: &Path, patch: &PatchFile, questions: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut program = Program::start(path);
    let before = questions.iter().map(|it| program.ask(it)).collect();
    let plan = Seen::of(&program)
        .plan(patch)
        .unwrap_or_else(|it| panic!("{it:#?}"));
    carry_out(&plan, &mut program);
    let after = questions.iter().map(|it| program.ask(it)).collect();
    (before, after)
}

const KINDS: [(&[&str], &str); 9] = [
    (&["-pie", "-fpie", "-Wl,-z,noseparate-code"], "-fPIC"),
    (&["-pie", "-fpie", "-Wl,-z,now", "-O3"], "-fPIC"),
    (
        &["-no-pie", "-fno-pie", "-Wl,-z,noseparate-code", "-Os"],
        "-fno-pic",
    ),
    (&["-pie", "-fpie"], "-fPIC"),
    (&["-pie", "-fpie", "-fcf-protection=full"], "-fPIE"),
    (&["-no-pie", "-fno-pie"], "-fno-pic"),
    (&["-no-pie", "-fno-pie"], "-fPIC"),
    (&["-static", "-fno-pie"], "-fno-pic"),
    (&["-static-pie", "-fpie"], "-fPIE"),
];

#[test]
fn new_code_uses_what_the_program_has() {
    let prog =
        "static long counter = 3; static __thread int mine = 40; int global[3] = { 1, 2, 3 };
        __attribute__((noinline, noclone)) static int twice(int x) { counter++; return 2 * x; }
        int (*hook)(int) = twice;
        __attribute__((noipa)) int step(int x) { mine++; return twice(x) + (int)counter; }
        ANSWERS(int v = step(atoi(q)); sprintf(r, \"%d %d\", v, (int)counter);)";
    let fix = "#include <string.h>
        extern long klp$prog$counter$0 NEAR; extern __thread int klp$prog$mine$0 TLS; int klp$prog$twice$0(int) NEAR;
        extern int global[]; extern int (*hook)(int); int missing(void) __attribute__((weak));
        static int calls = 100; static const char *names[] = { \"zero\", \"one\", \"three\" };
        __attribute__((noinline)) static int pick(int x) {
            switch (x) { case 0: return 11; case 1: return 222; case 2: return 3333; case 3: return 4; case 5: return global[2]; default: return -1; } }
        int step(int x) {
            char text[64]; strcpy(text, names[x % 3]); klp$prog$counter$0 += 1000; calls++;
            if (missing) return 0;
            return klp$prog$twice$0(x) + hook(1) + strlen(text) * 100000 + pick(x) + calls + klp$prog$mine$0 + global[1]; }";
    for (kind, pic) in KINDS {
        let folder = Folder::new();
        let path = server(&folder, prog, kind);
        let near = "-DNEAR=__attribute__((visibility(\"hidden\")))";
        let tls = "-DTLS=__attribute__((visibility(\"hidden\"),tls_model(\"local-exec\")))";
        let patch = patch(
            &folder,
            fix,
            &[pic, near, tls],
            vec![object_of(&path, &["step"])],
        );
        let (before, after) = patched(&path, &patch, &["1", "5"]);
        assert_eq!(before, ["6 4", "15 5"], "{kind:?} {pic}");
        // Of 1: 2 + 2 + 3 letters + 222 + 101 + 42 + 2, the counter 5 + 1000 + 2.
        assert_eq!(after[0], "300371 1007", "{kind:?} {pic}");
        // Of 5: 10 + 2 + 5 letters + 3 + 102 + 42 + 2.
        assert_eq!(after[1], "500161 2009", "{kind:?} {pic}");
    }
}

#[test]
fn new_code_of_a_library_uses_what_the_library_sees() {
    let folder = Folder::new();
    let library = "#include <string.h>
        int shared = 5; static volatile int own = 6; static __thread int local = 7; __thread int general = 8;
        __attribute__((visibility(\"hidden\"))) volatile int hidden = 9;
        int helper(int x) { return x + 1; }
        __attribute__((noipa)) int work(int x) { char t[100]; memset(t, x, x & 31); local++; general++; return helper(x) + shared + own + hidden + t[0]; }
        int last(int x) { return x * own; }";
    let library = folder.library("libwork.so.3", library, &[]);
    let prog = "extern int shared; int work(int); int helper(int x) { return x * 1000; }
        ANSWERS(shared = 50; sprintf(r, \"%d\", work(atoi(q)));)";
    let args = ["-no-pie", "-fno-pie", "-rdynamic", "-l:libwork.so.3"];
    let path = server(&folder, prog, &args);
    let fix = "#include <string.h>
        extern int shared; extern int klp$libwork_so_3$own$0 HIDDEN, klp$libwork_so_3$hidden$0 HIDDEN, klp$libwork_so_3$shared$0;
        extern __thread int klp$libwork_so_3$local$0, general; int helper(int);
        int work(int x) { char t[100]; memset(t, 1, sizeof t); char u[100]; memcpy(u, t, 99);
            if (&shared != &klp$libwork_so_3$shared$0) return -1;
            return helper(x) + shared + 10000 * klp$libwork_so_3$own$0 + 100000 * klp$libwork_so_3$hidden$0
                + 1000000 * klp$libwork_so_3$local$0 + 10000000 * general + u[98]; }";
    let hidden = "-DHIDDEN=__attribute__((visibility(\"hidden\")))";
    let object = || -> Vec<Object> { vec![object_of(&library, &["work"])] };
    for pic in ["-fplt", "-fno-plt"] {
        let patch = patch(&folder, fix, &["-fPIC", pic, hidden], object());
        let (before, after) = patched(&path, &patch, &["2"]);
        assert_eq!(before, [(2000 + 50 + 6 + 9 + 2).to_string()]);
        let expected = 2000 + 50 + 60_000 + 900_000 + 8_000_000 + 90_000_000 + 1;
        assert_eq!(after, [expected.to_string()], "{pic}");
    }
}
