//! A program with a thread that stays inside a function for as long as it is told to.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_klp::manifest::Manifest;
use lp_runtime::process::kept::control::Contents;
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::{Consistency, Options, Process, ProcessError, Underway};
use std::path::PathBuf;
use std::time::Duration;

/// `resident` is the function that is not left; what it gets from `one` is seen by all.
const PROGRAM: &str = r#"
    #define _GNU_SOURCE
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <signal.h>
    #include <unistd.h>
    #include <pthread.h>
    #include <sys/wait.h>
    #include <sys/syscall.h>
    volatile int stay, inside, seen, over;
    __attribute__((noipa)) int one(int x) { return x + 1; }
    __attribute__((noipa)) int two(int x) { return x + 2; }
    __attribute__((noipa)) int resident(int x)
    {
        inside = 1;
        while (stay) { seen = one(x); usleep(200); }
        inside = 0;
        return x;
    }
    static void *stays(void *x) { pthread_setname_np(pthread_self(), "resident"); resident(0); return x; }
    static void *calls(void *x) { *(int *)x = one(0) + 10 * two(0); return x; }
    static void handler(int signal) { resident(0); }
    static void *waits(void *x) { *(volatile int *)x = 1; while (!over) usleep(200); return x; }
    static void leaves(int signal) { _exit(one(0)); }
    void answer(const char *q, char *r)
    {
        static pthread_t t;
        static pid_t child;
        int other = 0, status = 0;
        if (!strcmp(q, "stay")) { stay = 1; pthread_create(&t, 0, stays, 0); while (!inside) usleep(100); }
        if (!strcmp(q, "signal")) {
            volatile int there = 0;
            signal(SIGUSR1, handler);
            pthread_create(&t, 0, waits, (void *)&there);
            while (!there) usleep(100);
            stay = 1;
            pthread_kill(t, SIGUSR1);
            while (!inside) usleep(100);
        }
        if (!strcmp(q, "leave")) { over = 1; stay = 0; pthread_join(t, 0); }
        if (!strcmp(q, "fork")) {
            child = fork();
            if (!child) { signal(SIGUSR1, leaves); for (;;) pause(); }
            sprintf(r, "%d", child);
            return;
        }
        if (!strcmp(q, "wait")) {
            kill(child, SIGUSR1);
            waitpid(child, &status, 0);
            sprintf(r, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
            return;
        }
        if (!strcmp(q, "new thread")) {
            pthread_t new;
            pthread_create(&new, 0, calls, &other);
            pthread_join(new, 0);
            sprintf(r, "%d", other);
            return;
        }
        if (stay) { seen = 0; while (!seen) usleep(100); }
        sprintf(r, "%d %d, resident %d", one(0), two(0), stay ? seen : -1);
    }
"#;

pub(super) struct World {
    folder: Folder,
    path: PathBuf,
    pub(super) program: Program,
    pub(super) process: Process,
}

pub(super) const ONE: &str = "int one(int x) { return x + 100; }";
/// A `resident` that stays, too, and notes what `one` is to it.
pub(super) const RESIDENT: &str = "
    extern volatile int klp$prog$stay$0, klp$prog$inside$0, klp$prog$seen$0; int usleep(unsigned);
    extern int klp$prog$one$0(int);
    int resident(int x) { klp$prog$inside$0 = 1; while (klp$prog$stay$0) { klp$prog$seen$0 = klp$prog$one$0(x); usleep(200); }
        klp$prog$inside$0 = 0; return x; }";

impl World {
    pub(super) fn start() -> Self {
        Self::with(PROGRAM, &["-pthread"])
    }

    pub(super) fn with(source: &str, args: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.server("prog", source, args);
        let program = Program::start(&path);
        let process = Process::attach(program.pid()).expect("it is ours");
        Self {
            folder,
            path,
            program,
            process,
        }
    }

    /// Compiled by another compiler, with these arguments alone.
    pub(super) fn compiled(compiler: &str, source: &str, args: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.server_by(compiler, "prog", source, args);
        let program = Program::start(&path);
        let process = Process::attach(program.pid()).expect("it is ours");
        Self {
            folder,
            path,
            program,
            process,
        }
    }

    pub(super) fn describe(&self, name: &str, functions: &[&str]) -> Manifest {
        let mut manifest = manifest(name);
        manifest.objects.push(object_of(&self.path, functions));
        manifest
    }

    pub(super) fn patch(&self, manifest: &Manifest, source: &str) -> PatchFile {
        let bytes = make(&self.folder, source, &["-fPIC"], manifest);
        PatchFile::parse(&bytes).expect("a patch")
    }

    pub(super) fn simple(&self, name: &str, functions: &[&str], source: &str) -> PatchFile {
        self.patch(&self.describe(name, functions), source)
    }

    /// `one` and `resident` are new.
    pub(super) fn fix(&self) -> PatchFile {
        self.simple("fix", &["one", "resident"], &format!("{ONE} {RESIDENT}"))
    }

    /// The same in a file.
    pub(super) fn fix_file(&self) -> PathBuf {
        let manifest = self.describe("fix", &["one", "resident"]);
        let bytes = make(
            &self.folder,
            &format!("{ONE} {RESIDENT}"),
            &["-fPIC"],
            &manifest,
        );
        let path = self.folder.path("fix.lp");
        std::fs::write(&path, bytes).expect("the patch");
        path
    }

    pub(super) fn load(&self, patch: &PatchFile) -> Result<(), ProcessError> {
        self.process.load(patch, soon()).map(drop)
    }

    pub(super) fn unload(&self, name: &str) -> Result<(), ProcessError> {
        self.process.unload(name, soon()).map(drop)
    }

    pub(super) fn contents(&self) -> Contents {
        self.process.contents().expect("a control area")
    }

    pub(super) fn installed(&self) -> Vec<(String, bool)> {
        let patches = self.contents().patches.into_iter();
        patches.map(|it| (it.name, it.enabled)).collect()
    }

    pub(super) fn underway(&self) -> Option<Underway> {
        self.process.underway().expect("it can be looked into")
    }

    pub(super) fn mappings(&self) -> usize {
        Maps::read(self.program.pid())
            .expect("its maps")
            .iter()
            .count()
    }
}

/// A test does not wait long for a thread that will not move.
pub(super) fn soon() -> Options<'static> {
    within(150)
}

pub(super) fn within(milliseconds: u64) -> Options<'static> {
    Options {
        consistency: Consistency::PerThread,
        timeout: Duration::from_millis(milliseconds),
        ..Options::default()
    }
}
