//! The command line: what may be asked. [`crate::options`] decides what it means.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Two source trees, for the kernel of this machine:
    lp-build kernel --orig linux-6.1 --patched linux-6.1-fixed --kernel \"$(uname -r)\" -o fix-proc.ko

  One tree and a patch, for a kernel whose packages are unpacked elsewhere:
    lp-build kernel --orig linux-6.1 --patch fix.patch --kernel 6.1.0-53-cloud-amd64 --sysroot unpacked -o fix-proc.ko

  A module that is not in the kernel's tree:
    lp-build kernel --orig linux-6.1 --module-source greeter-1.0 --patch fix.patch --kernel \"$(uname -r)\" -o fix-greeter.ko

  The next cumulative patch, and what it changes against the last one:
    lp-build kernel --orig linux-6.1 --patch a.patch b.patch --kernel \"$(uname -r)\" --previous fix-1.ko -o fix-2.ko
    lp-build changelog fix-1.ko fix-2.ko

  Which files a changed header reaches, before hours are spent on it:
    lp-build kernel --orig linux-6.1 --patch fix.patch --kernel \"$(uname -r)\" -o fix-proc.ko --dry-run

Exit status: 0 built, 1 error, 2 refused, 3 nothing changed.";

/// Builds a livepatch from two source trees, without building a kernel.
#[derive(Debug, Parser)]
#[command(name = "lp-build", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// What to build a patch for.
    #[command(subcommand)]
    pub command: Command,
}

/// What a patch is for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A patch module for a Linux kernel
    #[command(after_help = EXAMPLES)]
    Kernel(Box<KernelArgs>),
    /// A patch file for a program or library that runs in processes
    #[command(after_help = PROCESS_EXAMPLES)]
    Process(Box<ProcessArgs>),
    /// What changes from one patch module to the next
    Changelog(ChangelogArgs),
    /// Print source for a patch's author to fill in
    Template(TemplateArgs),
    /// Start a patch: a folder with a description to fill in
    New(NewArgs),
    /// Build a patch again and again, whenever its source is saved
    #[command(after_help = WATCH_EXAMPLE)]
    Watch(Box<KernelArgs>),
    /// Is everything here that building for a kernel needs? Says how to get what is not
    Doctor(DoctorArgs),
    /// The prepared build folders and what else is kept between runs
    #[command(subcommand)]
    Cache(CacheCommand),
}

const WATCH_EXAMPLE: &str = "\
Example:
  lp-build watch --orig linux-6.1 --patched linux-6.1-fixed --kernel \"$(uname -r)\" -o livepatch_fix.ko

It takes what `lp-build kernel` takes, and ends with Ctrl-C.";

const PROCESS_EXAMPLES: &str = "\
Examples:
  A program that is built by make:
    lp-build process --orig redis-7.0.15 --patched redis-fixed --build 'make -j2' --binary /usr/bin/redis-server -o fix.lp

  A library that must be configured first:
    lp-build process --orig zlib-1.3 --patched zlib-fixed --configure ./configure --build 'make -j2' --binary /usr/lib/libz.so.1 -o fix.lp

  A fix in two libraries of one tree, as one patch:
    lp-build process --orig openssl-3.0 --patched openssl-fixed --configure ./Configure --build 'make -j2' --binary /usr/lib/libssl.so.3 --binary /usr/lib/libcrypto.so.3 -o fix.lp

Exit status: 0 built, 1 error, 2 refused, 3 nothing changed.";

/// The options of `lp-build process`.
#[derive(Debug, Clone, Args)]
pub struct ProcessArgs {
    /// Source tree that the binary was built from; it is only read
    #[arg(long, value_name = "DIR")]
    pub orig: PathBuf,
    /// Source tree with the fix; it is only read
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "patch",
        conflicts_with = "patch"
    )]
    pub patched: Option<PathBuf>,
    /// Patches to apply to a copy of the source tree, in this order, as `patch -p1` does
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub patch: Vec<PathBuf>,
    /// A command for the shell to run before the build, in a copy of each tree
    #[arg(long, value_name = "COMMAND")]
    pub configure: Vec<String>,
    /// The command that builds a tree, for the shell
    #[arg(long, value_name = "COMMAND", default_value = "make")]
    pub build: String,
    /// The executable or shared library that processes run; repeatable, where a fix is in several that are built of the tree
    #[arg(long, value_name = "FILE", required = true)]
    pub binary: Vec<PathBuf>,
    /// Its debug file, if it is stripped; of several binaries each is known by its build-id [default: by build-id under
    /// /usr/lib/debug; without one, a build of the original tree that gives the same code]
    #[arg(long, value_name = "FILE")]
    pub debug_file: Vec<PathBuf>,
    /// Where in the tree the build puts that file, if several or none have its name; of several binaries FILE=PATH with the
    /// file name of the binary
    #[arg(long, value_name = "PATH")]
    pub built: Vec<String>,
    /// Build all of the patched tree, not only what the changed sources reach
    #[arg(long)]
    pub from_scratch: bool,
    /// The patch to write
    #[arg(long, short, value_name = "NAME.lp")]
    pub output: PathBuf,
    /// What the patch says of itself.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Sign the patch with this Ed25519 private key (PEM); the signature goes to NAME.lp.sig
    #[arg(long, value_name = "KEY.pem")]
    pub sign: Option<PathBuf>,
    /// How it is built.
    #[command(flatten)]
    pub run: RunArgs,
    /// Say which files differ, and stop before anything is built
    #[arg(long)]
    pub dry_run: bool,
}

/// What a patch says of itself, each option before the description, and which patch it follows.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The patch")]
pub struct IdentityArgs {
    /// The patch's description [default: livepatch.toml beside the first patch, or in the current folder]
    #[arg(long, value_name = "FILE")]
    pub describe: Option<PathBuf>,
    /// The patch's name [default: the output's]
    #[arg(long)]
    pub name: Option<String>,
    /// The patch's version
    #[arg(long)]
    pub version: Option<String>,
    /// What the patch is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Whether it replaces all patches that are installed before it [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub replace: Option<bool>,
    /// A state that the patch changes, instead of those in the description
    #[arg(long, value_name = "ID:VERSION[:NAME]")]
    pub state: Vec<String>,
    /// The cumulative patch that this one follows: nothing that it does may get lost
    #[arg(long, value_name = "OLD")]
    pub previous: Option<PathBuf>,
    /// A function whose fix in the previous patch may be given up
    #[arg(long, value_name = "FUNCTION", requires = "previous")]
    pub revert: Vec<String>,
}

/// How a patch is built, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The run")]
pub struct RunArgs {
    /// Go on where our build of the original differs from what runs
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Go on where a struct or union of this name has another layout than in what runs, besides those in the description
    #[arg(long, value_name = "NAME", value_parser = lp_diff::explain::layout::parse_allowed)]
    pub allow_layout_change: Vec<String>,
    /// Where what is used again is kept [default: $LP_CACHE, else $XDG_CACHE_HOME/livepatch]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What the result is for: people or machines
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,
    /// Leave everything that is made on the way in this new folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Show each command that is run
    #[arg(long, short)]
    pub verbose: bool,
}

/// The options of `lp-build new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The patch's name: that of its folder and of its module
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where to make the folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub within: PathBuf,
}

/// The options of `lp-build doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Release of the kernel to build for [default: the one that runs here]
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<String>,
    /// Where the kernel's packages are installed or unpacked
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub sysroot: PathBuf,
    /// The kernel's source tree, to see whether it is the right one
    #[arg(long, value_name = "DIR")]
    pub orig: Option<PathBuf>,
    /// Where prepared build folders are kept [default: $LP_CACHE, else $XDG_CACHE_HOME/livepatch]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What the result is for: people or machines
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,
}

/// What can be done with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// What is in it, the last used first
    List {
        /// The cache [default: $LP_CACHE, else $XDG_CACHE_HOME/livepatch]
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
        /// What the result is for: people or machines
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        report: ReportFormat,
    },
    /// Make it smaller; what a run uses now stays
    Clean {
        /// The cache [default: $LP_CACHE, else $XDG_CACHE_HOME/livepatch]
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
        /// Keep what was used last, up to this size; nothing without this option
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: Option<u64>,
    },
}

/// A size such as `500M` or `10G`, in bytes: 1024 to the next unit, as `du -h` counts.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let shift = match unit.to_ascii_uppercase().trim_end_matches("IB") {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("'{unit}' is not a unit: use K, M, G or T")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("'{text}' is not a size such as 500M or 10G"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("'{text}' is more than can be counted"))
}

/// The options of `lp-build template`.
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// What it is for
    #[arg(value_enum)]
    pub of: Template,
}

/// What there is source to fill in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A system state that cumulative patches hand on
    State,
}

impl Template {
    /// The source.
    pub fn text(self) -> &'static str {
        match self {
            Self::State => include_str!("../../templates/state.c"),
        }
    }
}

/// The options of `lp-build changelog`.
#[derive(Debug, Args)]
pub struct ChangelogArgs {
    /// The patch module that is installed
    #[arg(value_name = "OLD.ko")]
    pub old: PathBuf,
    /// The patch module that shall follow it
    #[arg(value_name = "NEW.ko")]
    pub new: PathBuf,
    /// A function whose fix may be given up
    #[arg(long, value_name = "FUNCTION")]
    pub revert: Vec<String>,
    /// What the result is for: people or machines
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,
}

/// The options of `lp-build kernel`.
#[derive(Debug, Clone, Args)]
pub struct KernelArgs {
    /// Source tree of the kernel that runs
    #[arg(long, value_name = "DIR")]
    pub orig: PathBuf,
    /// Source tree with the fix
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "patch",
        conflicts_with = "patch"
    )]
    pub patched: Option<PathBuf>,
    /// Patches to apply to the source tree, in this order, as `patch -p1` does
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub patch: Vec<PathBuf>,
    /// Fix a module that is not in the kernel's tree: its source folder, with a Kbuild file or Makefile. --patched and --patch are
    /// then of this folder
    #[arg(long, value_name = "DIR")]
    pub module_source: Option<PathBuf>,
    /// The module as it is installed, if it is not under /lib/modules
    #[arg(long, value_name = "FILE.ko", num_args = 1.., requires = "module_source")]
    pub module: Vec<PathBuf>,
    /// Release of the kernel that runs, as `uname -r` gives it
    #[arg(long, value_name = "RELEASE", required_unless_present = "build_dir")]
    pub kernel: Option<String>,
    /// Where the kernel that runs was built by `make`: its vmlinux, .config, Module.symvers and modules
    #[arg(long, value_name = "DIR", conflicts_with = "sysroot")]
    pub build_dir: Option<PathBuf>,
    /// The patch module to write
    #[arg(long, short, value_name = "NAME.ko")]
    pub output: PathBuf,
    /// Where the kernel's packages are installed or unpacked
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub sysroot: PathBuf,
    /// The kernel's vmlinux with symbols, or its vmlinuz, if it is not where its packages put it
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// The kernel's configuration, if it is not where its packages put it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The kernel's Module.symvers, if it is not where its packages put it
    #[arg(long, value_name = "FILE")]
    pub symvers: Option<PathBuf>,
    /// What the patch says of itself.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// How it is built.
    #[command(flatten)]
    pub run: RunArgs,
    /// A program to run the compiler by: ccache, sccache, distcc
    #[arg(long, value_name = "PROGRAM")]
    pub launcher: Option<String>,
    /// Write a page for a review as well: both versions of every changed function, also where the patch is refused
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Say what would be compiled and about how long that takes, and stop before it
    #[arg(long)]
    pub dry_run: bool,
    /// Compile what changed headers reach even where the changed sources are refused already, to know of everything in the way
    #[arg(long, short)]
    pub keep_going: bool,
    /// Compile every file that includes a changed header, also one in which nothing says what changed: the same patch, the slow way
    #[arg(long)]
    pub every_includer: bool,
}

/// Who reads the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// People: a summary on stdout.
    Text,
    /// Machines: one JSON object on stdout.
    Json,
}
