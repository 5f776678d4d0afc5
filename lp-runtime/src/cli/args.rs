//! What can be written on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use lp_runtime::kernel::PatchName;
use lp_runtime::process;
use lp_runtime::process::prepare::trust;

const EXAMPLES: &str = "\
Examples:
  lp-ctl load fix.ko              load a patch and wait until every task runs it
  lp-ctl status fix               what it patches, and who holds up its transition
  lp-ctl disable fix              go back to the code before
  lp-ctl unload fix               remove its module, once it is disabled
  lp-ctl inventory > web1.json    what is installed, for lp-verify on another machine
  lp-ctl list --format json       all patches, for a script

A process instead of the kernel:
  lp-ctl load fix.lp --pid 4711                 patch a running process; fix.lp.sig says who signed it
  lp-ctl load fix.lp --pid 4711 --dry-run       would it take the patch?
  lp-ctl load fix.lp --all /usr/sbin/nginx      all processes that run this program
  lp-ctl list --pid 4711                        what is installed in it
  lp-ctl watch --pid 4711                       patch what it loads later, before that runs
  lp-ctl unload fix --pid 4711                  back to the code before, and the memory too
  lp-ctl load fix.lp --pid 4711 --consistency per-thread
                                                where a thread never leaves what is patched
  lp-ctl status --pid 4711                      which threads hold such a load up

Exit codes: 0 done, 1 error, 2 refused, by the kernel or before it was asked, or the transition did not end in time";

/// Loads, watches and removes livepatches on the running kernel and in processes.
#[derive(Debug, Parser)]
#[command(name = "lp-ctl", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How to print the outcome
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Look for /sys, /proc and /dev below this folder
    #[arg(long, global = true, hide = true, default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a patch module and wait until every task runs it
    Load {
        /// The patch module, or a process's patch
        #[arg(value_name = "FILE.ko|FILE.lp")]
        file: PathBuf,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        switch: Switch,
        #[command(flatten)]
        trust: Trust,
        /// Load a process's patch though none of the objects that it is for are there yet: it waits for them
        #[arg(long)]
        late: bool,
        /// Say whether a process would take the patch, and stop before it is touched
        #[arg(long)]
        dry_run: bool,
    },
    /// Disable a patch (or turn its enabling back) and wait until every task has left it; in a process, unload it
    Disable {
        /// The patch, as `lp-ctl list` shows it
        name: PatchName,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        switch: Switch,
    },
    /// Turn the disabling of a patch back while it is in transition; in a process, also go on with its enabling
    Enable {
        /// The patch, as `lp-ctl list` shows it
        name: PatchName,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the module of a disabled patch; take a patch out of a process
    Unload {
        /// The patch's module, or the patch in the process
        name: PatchName,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        switch: Switch,
    },
    /// Show the installed patches, one a line
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Print what is installed as one line of JSON, for lp-verify here or elsewhere
    Inventory {
        #[command(flatten)]
        place: Place,
    },
    /// Show what patches change, and which tasks hold up a transition
    Status {
        /// Only this patch
        name: Option<PatchName>,
        #[command(flatten)]
        place: Place,
    },
    /// Patch what a process loads later before it runs, until interrupted (SIGINT, SIGTERM)
    Watch {
        /// The process
        #[arg(long, value_name = "PID")]
        pid: i32,
    },
    /// End a transition at once, though tasks may be in the code it changes; last resort
    #[command(
        long_about = "End a transition at once, though tasks may still be in the code that it changes.\n\n\
        This is the last resort: such a task then runs old and new code mixed. The kernel never lets the modules \
        concerned be unloaded afterwards, and no further patch can replace this one cleanly. In a process the memory of what such \
        a thread leaves stays until the process ends."
    )]
    Force {
        /// The patch in transition
        name: PatchName,
        #[command(flatten)]
        place: Place,
    },
}

/// Where: in the kernel, if nothing else is said.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// In this process
    #[arg(long, value_name = "PID", conflicts_with = "all")]
    pub(crate) pid: Option<i32>,
    /// In every process that runs this program
    #[arg(long, value_name = "EXECUTABLE")]
    pub(crate) all: Option<PathBuf>,
}

/// How a process's threads switch.
#[derive(Debug, clap::Args)]
pub(crate) struct Switch {
    /// When the threads of a process run the new code
    #[arg(long, value_enum, default_value_t = Consistency::AllAtOnce)]
    pub(crate) consistency: Consistency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Consistency {
    /// All at once, when none is inside a function that changes
    AllAtOnce,
    /// Each when it is not inside a function that changes, as tasks in the kernel
    PerThread,
}

impl From<Consistency> for process::Consistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::AllAtOnce => Self::AllAtOnce,
            Consistency::PerThread => Self::PerThread,
        }
    }
}

/// Who must vouch for what is loaded into a process. Of modules the kernel itself asks.
#[derive(Debug, clap::Args)]
pub(crate) struct Trust {
    /// The folder of trusted public keys (*.pem), of which one must have signed a process's patch
    #[arg(long, value_name = "DIR", default_value = trust::FOLDER)]
    pub(crate) keys: PathBuf,
    /// Load a process's patch though it is not signed, or with a key that is not trusted
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Limit {
    /// How long to wait for the transition. After that only the wait ends, and in the kernel the transition goes on; a process is as
    /// it was, or with `--consistency per-thread` stays where it is
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give a number of seconds, such as 60 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
