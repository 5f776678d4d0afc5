//! A program that loads plugins when it is told to.

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_klp::manifest::Manifest;
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::{Options, Process, State};
use std::time::Duration;

/// `open SLOT FILE`, `mopen SLOT FILE` (in a namespace of its own), `close SLOT`, `log` (what callbacks wrote), `start` (what the
/// constructor saw), `storm` (threads that load and unload; how often the function was not patched), `fork` (and `child COMMAND`
/// has the child do it), `exec`, `enter` and `leave` (a thread in the plugin's function); else it answers what `step(1)` and the plugin's `work(2)` are.
const HOST: &str = r#"
    #include <dlfcn.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/wait.h>
    #include <unistd.h>
    __attribute__((weak)) void *dlmopen(long, const char *, int);
    char log_of_callbacks[256];
    int shared_name = 77;
    static void *slots[4];
    static int to[2], from[2];
    __attribute__((noipa)) int step(int x) { return x; }
    static void say(char *r) {
        int (*work)(int) = slots[0] ? (int (*)(int))dlsym(slots[0], "work") : 0;
        if (work) sprintf(r, "%d %d", step(1), work(2)); else sprintf(r, "%d -", step(1));
    }
    volatile int stay, inside;
    static pthread_t thread;
    static void *enter(void *work) { return (void *)(long)((int (*)(int))work)(2); }
    static int bad;
    static void *storm(void *unused) {
        for (int i = 0; i < 10; i++) {
            void *plugin = dlopen("plugin.so", RTLD_NOW);
            int (*work)(int) = (int (*)(int))dlsym(plugin, "work");
            if (work(0) != 100) __atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST);
            dlclose(plugin);
        }
        return 0;
    }
    void answer(const char *q, char *r) {
        char name[256] = ""; int slot = 0;
        if (sscanf(q, "open %d %250s", &slot, name) == 2) {
            if (!(slots[slot] = dlopen(name, RTLD_NOW))) { strcpy(r, dlerror()); return; }
        } else if (sscanf(q, "mopen %d %250s", &slot, name) == 2) {
            if (!(slots[slot] = dlmopen(-1, name, RTLD_NOW))) { strcpy(r, dlerror()); return; }
        } else if (sscanf(q, "close %d", &slot) == 1) {
            dlclose(slots[slot]); slots[slot] = 0;
        } else if (!strcmp(q, "log")) { strcpy(r, log_of_callbacks); return;
        } else if (!strcmp(q, "exec")) { execl("/proc/self/exe", "prog", (char *)0); 
        } else if (!strcmp(q, "fork")) {
            pipe(to); pipe(from);
            int pid = fork();
            if (!pid) {
                close(to[1]);
                while (read(to[0], name, 200) == 200) { answer(name, r); write(from[1], r, 512); }
                _exit(0);
            }
            close(to[0]);
            sprintf(r, "%d", pid); return;
        } else if (!strncmp(q, "child", 5)) {
            strncpy(name, q + 5 + (q[5] == ' '), 199); write(to[1], name, 200); read(from[0], r, 512); return;
        } else if (!strcmp(q, "start")) { sprintf(r, "%d", *(int *)dlsym(slots[0], "at_start")); return;
        } else if (!strcmp(q, "enter")) {
            stay = 1; pthread_create(&thread, 0, enter, dlsym(slots[0], "work"));
            while (!inside) usleep(100);
            return;
        } else if (!strcmp(q, "leave")) {
            void *value; stay = 0; pthread_join(thread, &value); sprintf(r, "%ld", (long)value); return;
        } else if (!strcmp(q, "storm")) {
            pthread_t threads[4]; bad = 0;
            for (int i = 0; i < 4; i++) pthread_create(threads + i, 0, storm, 0);
            for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
            sprintf(r, "%d", bad); return;
        }
        say(r);
    }
"#;

/// A library with a function, and a constructor that says what the function did when the object was new.
pub(super) const PLUGIN: &str = r#"
    static volatile int n = 1;
    __attribute__((noipa, visibility("default"))) int work(int x) { return x + n; }
    int at_start;
    __attribute__((constructor)) static void begin(void) { at_start = work(0); }
"#;

/// The program, and a folder with `plugin.so`.
pub(super) struct Host {
    pub(super) folder: Folder,
    pub(super) program: Program,
    pub(super) process: Process,
}

impl Host {
    pub(super) fn start() -> Self {
        let folder = Folder::new();
        folder.library("plugin.so", PLUGIN, &[]);
        let path = folder.server("prog", HOST, &["-rdynamic", "-pthread", "-ldl"]);
        let program = Program::start(&path);
        let process = Process::attach(program.pid()).expect("it is ours");
        Self {
            folder,
            program,
            process,
        }
    }

    /// A manifest that replaces functions of these objects.
    pub(super) fn describe(&self, name: &str, objects: &[(&str, &[&str])]) -> Manifest {
        let mut manifest = manifest(name);
        let objects = objects.iter();
        manifest
            .objects
            .extend(objects.map(|(file, functions)| object_of(&self.folder.path(file), functions)));
        manifest
    }

    pub(super) fn patch(&self, manifest: &Manifest, source: &str) -> PatchFile {
        let bytes = make(&self.folder, source, &["-fPIC"], manifest);
        PatchFile::parse(&bytes).expect("a patch")
    }

    /// How the objects of the patches stand.
    pub(super) fn states(&self) -> Vec<(&'static str, State)> {
        let known = ["prog", "plugin_so"];
        let objects = self.process.objects().expect("they are known");
        let name = |it: String| known.into_iter().find(|known| *known == it);
        let state = |it: lp_runtime::process::Standing| {
            let name = name(it.object.to_string()).expect("an object of the test");
            (name, it.state)
        };
        objects.into_iter().map(state).collect()
    }

    pub(super) fn mappings(&self) -> usize {
        let maps = Maps::read(self.program.pid());
        maps.expect("its maps").iter().count()
    }
}

/// A patch for the program and the plugin.
pub(super) fn both(host: &Host, name: &str) -> Manifest {
    host.describe(name, &[("prog", &["step"]), ("plugin.so", &["work"])])
}

/// New code, and callbacks that write a letter each: those of the program small ones, those of the plugin large ones. The plugin's
/// pre_patch answers this number, less than nothing.
pub(super) fn callbacks(step: &str, work: &str, answer: i32) -> String {
    let mut source = format!(
        "extern char log_of_callbacks[];
        unsigned long strlen(const char *);
        static void note(char letter) {{ unsigned long end = strlen(log_of_callbacks);
            if (end) log_of_callbacks[end++] = ' '; log_of_callbacks[end++] = letter; log_of_callbacks[end] = 0; }}
        int {step}(int x) {{ return x + 10; }} int {work}(int x) {{ return x + 100; }}"
    );
    for (prefix, letters) in [("prog", "abcd"), ("plugin", "ABCD")] {
        let answer = if prefix == "prog" { 0 } else { answer };
        let kinds = ["pre_patch", "post_patch", "pre_unpatch", "post_unpatch"];
        for (kind, letter) in kinds.into_iter().zip(letters.chars()) {
            source +=
                &format!("int {prefix}_{kind}(void) {{ note('{letter}'); return -{answer}; }}\n");
        }
    }
    source
}

/// A test does not wait long for a thread that will not move.
pub(super) fn soon() -> Options<'static> {
    Options {
        timeout: Duration::from_millis(500),
        ..Options::default()
    }
}
