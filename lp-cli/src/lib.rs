//! What the command lines of all our programs have in common: errors in words, and shell completions and man pages, made
//! from the options themselves.
//!
//! `PROGRAM --generate KIND [FOLDER]` is understood before anything else, so that no program needs an option or a command
//! for it. The tempting other way, files written while building, are files that go stale or a build script in each crate.

use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const OPTION: &str = "--generate";

/// An error and its causes in one line. Many errors name their cause themselves: what was said is not said again.
pub fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Does what `--generate` asks for, if the program was called with it: then the program is done, with this exit status.
///
/// With a folder, files are written under the names that shells and `man` look for; without, the text goes to stdout.
pub fn generate<Cli: CommandFactory>() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|word| word != OPTION) {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    Some(match write(Cli::command(), &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done where even stderr is gone.
            let _ = writeln!(io::stderr(), "error: {}", in_words(&error));
            ExitCode::FAILURE
        }
    })
}

fn write(command: clap::Command, words: &[OsString]) -> Result<()> {
    let kinds: Vec<String> = Shell::value_variants()
        .iter()
        .map(Shell::to_string)
        .chain(["man".to_owned()])
        .collect();
    let usage = || {
        format!(
            "expected {OPTION} KIND [FOLDER], KIND is one of {}",
            kinds.join(", ")
        )
    };
    let (kind, folder) = match words {
        [kind] => (kind, None),
        [kind, folder] => (kind, Some(Path::new(folder))),
        _ => anyhow::bail!(usage()),
    };
    let kind = kind.to_str().with_context(usage)?;
    if let Some(folder) = folder {
        ensure!(folder.is_dir(), "{}: no such folder", folder.display());
    }
    if kind == "man" {
        return man(command, folder);
    }
    let shell = Shell::from_str(kind, true).ok().with_context(usage)?;
    completions(shell, command, folder)
}

/// The program's page, or in a folder one for each of its commands as well.
fn man(command: clap::Command, folder: Option<&Path>) -> Result<()> {
    match folder {
        Some(folder) => clap_mangen::generate_to(command, folder)
            .with_context(|| format!("cannot write man pages to {}", folder.display())),
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            print(&text)
        }
    }
}

fn completions(shell: Shell, mut command: clap::Command, folder: Option<&Path>) -> Result<()> {
    let name = command.get_name().to_owned();
    match folder {
        Some(folder) => clap_complete::generate_to(shell, &mut command, name, folder)
            .map(drop)
            .with_context(|| format!("cannot write completions to {}", folder.display())),
        None => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut text);
            print(&text)
        }
    }
}

/// Who does not read to the end has seen enough.
fn print(text: &[u8]) -> Result<()> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}
