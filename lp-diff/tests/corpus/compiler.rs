//! The compilers that the corpus is tried with, and the options that make their objects look like a kernel's.
//!
//! Where one is missing the rest is tried and a line says so; with `LP_ALL_COMPILERS` set, as `cargo xtask test` does,
//! it is a failure: a check skipped in silence is none.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// One compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Compiler {
    /// The system's gcc.
    Gcc,
    /// The oldest clang that kernels are built with here.
    Clang14,
    /// The newest.
    Clang19,
}

/// What the kernel's build gives every file, as far as it shapes sections and symbols.
const FLAGS: [&str; 14] = [
    "-c",
    "-O2",
    "-g",
    "-pg",
    "-mfentry",
    "-fno-pie",
    "-mcmodel=kernel",
    "-mno-red-zone",
    "-fno-asynchronous-unwind-tables",
    "-fno-strict-aliasing",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-ffunction-sections",
    "-fdata-sections",
];

impl Compiler {
    /// All of them; the first one's reports are the base from which the others' may differ.
    pub(crate) const ALL: [Self; 3] = [Self::Gcc, Self::Clang14, Self::Clang19];

    /// The compiler of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|compiler| compiler.name() == name)
            .ok_or_else(|| format!("unknown compiler `{name}`"))
    }

    /// The command, and how the directive spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Clang14 => "clang-14",
            Self::Clang19 => "clang-19",
        }
    }

    /// Whether it is one of the clangs.
    pub(crate) fn is_clang(self) -> bool {
        self != Self::Gcc
    }

    /// Whether it is here. Prints a line, once, where it is not.
    pub(crate) fn is_available(self) -> bool {
        static AVAILABLE: LazyLock<Vec<Compiler>> = LazyLock::new(available);
        AVAILABLE.contains(&self)
    }

    /// What it says that it is, and how it is called here.
    pub(crate) fn version(self) -> &'static str {
        static VERSIONS: LazyLock<[String; 3]> = LazyLock::new(|| {
            Compiler::ALL.map(|compiler| {
                let mut version = Command::new(compiler.name());
                let said = version
                    .arg("--version")
                    .output()
                    .map(|output| output.stdout);
                format!(
                    "{FLAGS:?} {}",
                    String::from_utf8_lossy(&said.unwrap_or_default())
                )
            })
        });
        &VERSIONS[self as usize]
    }

    /// Compiles a file.
    pub(crate) fn compile(
        self,
        folder: &Path,
        source: &str,
        options: &[String],
        output: &Path,
    ) -> Result<(), String> {
        let mut command = Command::new(self.name());
        command.args(FLAGS);
        // In clang this is an option for other machines; there the kernel finds the sites itself.
        command.args((self == Self::Gcc).then_some("-mrecord-mcount"));
        command.args(options).arg(source).arg("-o").arg(output);
        run(command.current_dir(folder))
    }
}

/// Runs a command and says what went wrong.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn available() -> Vec<Compiler> {
    let runs = |compiler: &Compiler| {
        let mut version = Command::new(compiler.name());
        version.arg("--version").stdout(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let (here, missing): (Vec<Compiler>, Vec<Compiler>) =
        Compiler::ALL.into_iter().partition(|one| runs(one));
    for compiler in missing {
        let name = compiler.name();
        assert!(
            std::env::var_os("LP_ALL_COMPILERS").is_none(),
            "{name} is not installed"
        );
        // Not captured by the test harness, so that it is seen.
        eprintln!("corpus: {name} is not installed, its objects are not tried");
    }
    here
}
