//! The words of the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Exit status: 0 it may, 1 something could not be read, 2 it may not.

Examples:
  lp-verify fix2.ko                                over what this machine has installed
  lp-verify fix2.ko --installed fix1.ko            over other modules, from the oldest to the newest
  lp-verify fix2.ko --installed web1.json          over another machine's (lp-ctl inventory > web1.json)
  lp-verify fix2.ko --vmlinux vmlinux              and does that kernel have its functions?
  lp-verify fix2.ko --vmlinux vmlinux --modules /lib/modules/6.1.0-53-amd64
                                                   and its modules?
  lp-verify fix.lp --installed redis.json          a patch for processes (lp-ctl inventory --pid 4711 > redis.json)
  lp-verify matrix *.ko                            which can follow which
  lp-verify plan --from fix1.ko --to fix4.ko *.ko  the shortest safe way from one to another
  lp-verify fleet fix2.ko --inventory hosts.jsonl  on many machines at once";

/// Says whether a livepatch module may be installed over those that are installed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) check: Check,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The module to install, or a patch for processes
    #[arg(value_name = "NEW.ko", required = true)]
    pub(crate) new: Option<PathBuf>,
    /// What is installed: modules, from the oldest to the newest, or an inventory file [default: what this machine has; none for processes]
    #[arg(long, value_name = "WHAT", num_args = 1..)]
    pub(crate) installed: Option<Vec<PathBuf>>,
    /// Take it that nothing is installed
    #[arg(long, conflicts_with = "installed")]
    pub(crate) nothing_installed: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The kernel's vmlinux: are the functions there, traceable, and of the code that is to be replaced? Does it export what the patch takes?
    #[arg(long, value_name = "FILE")]
    pub(crate) vmlinux: Option<PathBuf>,
    /// The folder of the kernel's modules, such as /lib/modules/RELEASE: the same for what the patch is about in them
    #[arg(long = "modules", value_name = "DIR")]
    pub(crate) module_folder: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For code scanning services (SARIF 2.1.0)
    Sarif,
    /// A page (matrix only)
    Html,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Which of these modules can be loaded over which
    Matrix {
        /// The modules
        #[arg(value_name = "PATCH.ko", required = true, num_args = 1..)]
        modules: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// The shortest sequence of loads from one module to another
    Plan {
        /// The module that is installed
        #[arg(long, value_name = "A.ko")]
        from: PathBuf,
        /// The module that shall be
        #[arg(long, value_name = "D.ko")]
        to: PathBuf,
        /// Modules that can be on the way
        #[arg(value_name = "PATCH.ko")]
        modules: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Whether a module may be installed on each of many machines
    Fleet {
        /// The module to install
        #[arg(value_name = "NEW.ko")]
        new: PathBuf,
        /// Inventories, a machine a line, as lp-ctl inventory writes them
        #[arg(long, value_name = "HOSTS.jsonl", required = true, num_args = 1..)]
        inventory: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
}

impl Options {
    pub(crate) fn format(&self) -> Format {
        match &self.command {
            None => self.check.common.format,
            Some(
                Command::Matrix { common, .. }
                | Command::Plan { common, .. }
                | Command::Fleet { common, .. },
            ) => common.format,
        }
    }
}
