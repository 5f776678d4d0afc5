//! What may be said on the command line.

use clap::{Args, Parser, ValueEnum};
use lp_klp::name::{NameError, ObjName};
use std::path::PathBuf;

/// Diffs two relocatable objects and writes an object with the changed functions.
///
/// Both must be compiled with -ffunction-sections -fdata-sections from the source before and after the change, by the
/// same compiler with the same options.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit status: 0 written, 1 error, 2 refused (something changed that cannot be patched), 3 nothing changed.

Examples:
  lp-diff orig/meminfo.o patched/meminfo.o -o meminfo.lp.o --symbols vmlinux --symvers Module.symvers
  lp-diff a.o b.o -o out.o --object nf_tables --symbols nf_tables.ko --report json
  lp-diff a.o b.o -o out.o --symbols /proc/kallsyms --entry-size bug_entry=12 --entry-size alt_instr=14
  lp-diff --pairs build.orig build.patched -o build.lp --symbols vmlinux --symvers Module.symvers
  lp-diff a.o b.o --show                  what changed, side by side, in a pager
  lp-diff a.o b.o --show=tcp_close --context 20
  lp-diff a.o b.o -o out.o --html review.html"
)]
pub(crate) struct Options {
    /// The object compiled from the original source.
    pub(crate) orig: PathBuf,
    /// The object compiled from the patched source.
    pub(crate) patched: PathBuf,
    /// Where to write the object with the changed functions.
    #[arg(short, long, value_name = "OUT.o", required_unless_present_any = ["show", "html", "pairs"])]
    pub(crate) output: Option<PathBuf>,
    /// ORIG and PATCHED are folders: compare all objects in them, pair by pair; OUT is a folder, if given.
    #[arg(long, conflicts_with_all = ["show", "html"])]
    pub(crate) pairs: bool,
    /// The kernel image (vmlinux) or module that the objects belong to; of a process the file name of the executable, or the
    /// library's soname.
    #[arg(long, value_name = "vmlinux|MODULE|FILE", default_value = "vmlinux", value_parser = parse_object)]
    pub(crate) object: ObjName,
    /// What runs the code.
    #[arg(long, value_enum, default_value_t = TargetKind::Kernel)]
    pub(crate) target_kind: TargetKind,
    /// Symbols of the target: an ELF file, a System.map or a kallsyms text. Default: the original object's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) symbols: Option<PathBuf>,
    /// What the kernel exports: its Module.symvers.
    #[arg(long, value_name = "FILE")]
    pub(crate) symvers: Option<PathBuf>,
    /// Size of a struct that special sections are made of; overrides what --symbols says.
    #[arg(long, value_name = "NAME=BYTES", value_parser = parse_entry_size)]
    pub(crate) entry_size: Vec<(String, u64)>,
    /// Allow a struct or union of another layout; can be given more than once.
    #[arg(long, value_name = "NAME", value_parser = lp_diff::explain::layout::parse_allowed)]
    pub(crate) allow_layout_change: Vec<String>,
    /// How to report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) report: Format,
    #[command(flatten)]
    pub(crate) view: View,
}

/// How to look at what changed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Looking at what changed")]
pub(crate) struct View {
    /// Show both versions of each changed function side by side, or of this one.
    #[arg(long, value_name = "FUNCTION", num_args = 0..=1, default_missing_value = "")]
    pub(crate) show: Option<String>,
    /// Write a page of the same that needs nothing but a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Instructions to show around each one that differs.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) context: usize,
    /// How to spell instructions.
    #[arg(long, value_enum, default_value_t = Spelling::Att)]
    pub(crate) syntax: Spelling,
    /// Whether to use colours: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetKind {
    /// The kernel.
    Kernel,
    /// A program or library in a process.
    Process,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spelling {
    /// Source first, as objdump and the kernel have it.
    Att,
    /// Destination first, as the processor's manuals have it.
    Intel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn parse_object(text: &str) -> Result<ObjName, NameError> {
    text.parse().or_else(|_| ObjName::of_file(text))
}

fn parse_entry_size(text: &str) -> Result<(String, u64), String> {
    let (name, bytes) = text.split_once('=').ok_or("expected NAME=BYTES")?;
    let bytes: u64 = bytes
        .parse()
        .map_err(|_| format!("'{bytes}' is not a number of bytes"))?;
    if bytes == 0 {
        return Err("an entry has at least one byte".to_owned());
    }
    Ok((name.to_owned(), bytes))
}
