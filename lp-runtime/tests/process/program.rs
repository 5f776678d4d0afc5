//! Programs to be patched: compiled by gcc in a folder of the test, started, talked to, and killed at the end of the
//! test, also when it fails.
//!
//! A program of [`Folder::server`] says `ready` once, then answers each line of its input by a line of its output. So a
//! test sees which version of a function runs by asking, and never sleeps.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A program that hangs must not hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// The C around `void answer(const char *question, char *reply)` (512 bytes), which the test writes.
const SERVER: &str = r#"
#include <stdio.h>
#include <string.h>
void answer(const char *question, char *reply);
int main(void)
{
	static char question[512], reply[512];
	puts("ready");
	fflush(stdout);
	while (fgets(question, sizeof question, stdin)) {
		question[strcspn(question, "\n")] = 0;
		strcpy(reply, "?");
		answer(question, reply);
		puts(reply);
		fflush(stdout);
	}
	return 0;
}
"#;

/// Where a test's files are; removed at its end.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A new empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a C source and has gcc make `name` of it, with these arguments behind those for input and output.
    pub(crate) fn compile(&self, name: &str, source: &str, args: &[&str]) -> PathBuf {
        self.compile_by("gcc", name, source, args)
    }

    fn compile_by(&self, compiler: &str, name: &str, source: &str, args: &[&str]) -> PathBuf {
        let c = self.path(&format!("{name}.c"));
        std::fs::write(&c, source).expect("the source can be written");
        let mut gcc = Command::new(compiler);
        // The folder is where the linker looks for libraries that the test made, and the loader too.
        gcc.current_dir(self.0.path())
            .args(["-g0", "-w", "-L.", "-o", name])
            .arg(&c)
            .args(args);
        // A static-PIE program with a search path does not start (glibc 2.36).
        if !args.iter().any(|arg| arg.starts_with("-static")) {
            gcc.arg("-Wl,-rpath,$ORIGIN");
        }
        run(&mut gcc);
        self.path(name)
    }

    /// Compiles a shared library.
    pub(crate) fn library(&self, name: &str, source: &str, args: &[&str]) -> PathBuf {
        let soname = format!("-Wl,-soname,{name}");
        let args = [&["-shared", "-fPIC", "-O2", &soname], args].concat();
        self.compile(name, source, &args)
    }

    /// Compiles a program that answers lines by `void answer(const char *question, char *reply)`.
    pub(crate) fn server(&self, name: &str, answer: &str, args: &[&str]) -> PathBuf {
        let args = [&["-O2"], args].concat();
        self.compile(name, &format!("{SERVER}{answer}"), &args)
    }

    /// The same by another compiler, not optimised unless the arguments say so.
    pub(crate) fn server_by(
        &self,
        compiler: &str,
        name: &str,
        answer: &str,
        args: &[&str],
    ) -> PathBuf {
        self.compile_by(compiler, name, &format!("{SERVER}{answer}"), args)
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A program that runs.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(path: &Path) -> Self {
        Self::spawn(&mut Command::new(path))
    }

    /// The same with arguments and environment.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (send, lines) = channel();
        thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        let input = child.stdin.take();
        let program = Self {
            child,
            input,
            lines,
        };
        assert_eq!(program.line(), "ready");
        program
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits")
    }

    /// Sends a line and waits for the answer.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        self.send(question);
        self.line()
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, question: &str) {
        let input = self.input.as_mut().expect("it still listens");
        writeln!(input, "{question}").expect("the program takes a line");
    }

    /// The next line that it says.
    pub(crate) fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the program answers; it has died or hangs")
    }

    /// Lets it come to its own end, and says whether that was a good one.
    pub(crate) fn finish(mut self) -> bool {
        drop(self.input.take());
        self.child.wait().expect("it ends").success()
    }
}

/// A command whose lines are read.
pub(crate) struct Speaker {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Speaker {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self { child, lines }
    }

    /// Its next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it says a line");
        line
    }

    /// Sends it a signal and waits for its end.
    pub(crate) fn signal(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        run(Command::new("kill").args(["-s", signal, &pid]));
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_answers_until_it_is_told_to_end() {
    let folder = Folder::new();
    let answer = "void answer(const char *q, char *r) { sprintf(r, \"heard %s\", q); }";
    let mut program = Program::start(&folder.server("prog", answer, &[]));
    assert_eq!(program.ask("this"), "heard this");
    assert!(program.finish());
}
