//! `cargo xtask selftests`: the kernel's own livepatch selftests, in our virtual machine.
//!
//! They check the machine itself: a kernel, a processor and a userland in which livepatches do what their authors say. Scripts
//! (`tools/testing/selftests/livepatch`) and modules (`lib/livepatch`, since 6.9 beside the scripts) are those of the kernel's source. The
//! tempting wrong way is to run them with busybox: they are written for bash and for what the coreutils say.

mod userland;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::kernels::{self, Installed};
use crate::vm::plan::Selftests;
use crate::{command, kbuild, system, vm};

const SCRIPTS: &str = "tools/testing/selftests/livepatch";
/// Where the modules' sources are, by kernel: the first that is there.
const MODULES: [&str; 2] = [
    "tools/testing/selftests/livepatch/test_modules",
    "lib/livepatch",
];
/// Where all of it is in the guest.
const FOLDER: &str = "selftests";

/// Options of `selftests`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only scripts with this in their name
    #[arg(default_value = "", hide_default_value = true)]
    filter: String,
    /// The pinned kernel to boot, by name or release
    #[arg(long, value_name = "NAME", default_value = kernels::DEFAULT)]
    kernel: String,
    #[command(flatten)]
    vm: vm::Args,
}

/// Runs the scripts, each as a job.
pub(crate) fn run(args: &Args) -> Result<()> {
    system::ensure_packages()?;
    let kernel = kernels::ensure(&args.kernel)?;
    let folder = kernel.source.join(SCRIPTS);
    let mut scripts = names(&folder, ".sh")?;
    scripts.retain(|name| name.starts_with("test-") && name.contains(&args.filter));
    ensure!(
        !scripts.is_empty(),
        "no script in {} has `{}` in its name",
        folder.display(),
        args.filter
    );
    let mut files = userland::files()?;
    for name in names(&folder, ".sh")? {
        files.push((folder.join(&name), format!("{FOLDER}/{name}")));
    }
    files.extend(modules(&kernel)?);
    files.extend(programs(&folder)?);
    let job = Selftests { scripts, files };
    vm::run_selftests(&kernel, &job, &args.vm)?.into_result()
}

/// The modules, where `modprobe` finds them and where newer scripts do.
fn modules(kernel: &Installed) -> Result<Vec<(PathBuf, String)>> {
    let sources = MODULES.map(|folder| kernel.source.join(folder));
    let sources = sources.iter().find(|folder| folder.is_dir());
    let sources = sources.context("the kernel's source has no livepatch selftests")?;
    let fresh = kbuild::fresh("selftests")?;
    let mut kbuild = String::new();
    for name in names(sources, ".c")? {
        let from = sources.join(&name);
        fs::copy(&from, fresh.join(&name)).with_context(|| format!("copy {}", from.display()))?;
        kbuild += &format!("obj-m += {}.o\n", name.trim_end_matches(".c"));
    }
    fs::write(fresh.join("Kbuild"), kbuild).context("write the modules' Kbuild")?;
    let modules = kbuild::modules(kernel, &fresh, "selftests")?;
    let root = kbuild::fresh("selftests-index")?;
    let listed = root.join("lib/modules").join(&kernel.release);
    fs::create_dir_all(listed.join("extra")).context("make the modules' folder")?;
    let mut files = Vec::new();
    for module in modules {
        let name = module
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        fs::copy(&module, listed.join("extra").join(&name)).context("copy a module")?;
        let place = format!("lib/modules/{}/extra/{name}", kernel.release);
        files.extend([
            (module.clone(), place),
            (module, format!("{FOLDER}/test_modules/{name}")),
        ]);
    }
    let mut depmod = Command::new("/sbin/depmod");
    command::quiet(depmod.arg("-b").arg(&root).arg(&kernel.release))?;
    for name in names(&listed, "")?
        .into_iter()
        .filter(|name| name != "extra")
    {
        let place = format!("lib/modules/{}/{name}", kernel.release);
        files.push((listed.join(name), place));
    }
    Ok(files)
}

/// Programs that newer scripts run, compiled for a guest without libraries.
fn programs(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let place = kbuild::fresh("selftests-programs")?;
    let mut programs = Vec::new();
    for name in names(folder, ".c")? {
        let stem = name.trim_end_matches(".c");
        let program = place.join(stem);
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-O2", "-o"]).arg(&program);
        command::quiet(gcc.arg(folder.join(&name)))?;
        programs.push((program, format!("{FOLDER}/{stem}")));
    }
    Ok(programs)
}

/// The names of a folder's files that end so, sorted.
fn names(folder: &Path, end: &str) -> Result<Vec<String>> {
    let files = kbuild::files(folder, "")?;
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    Ok(names
        .filter(|name| name.ends_with(end))
        .map(str::to_owned)
        .collect())
}
