//! `lp-build doctor`: is everything here that building for a kernel needs? What is not is told with its fix.
//!
//! It asks the same functions that a build asks, so that it cannot come to another answer, and goes on after the
//! first thing that is missing. The tempting wrong way is a list of packages.

mod programs;

use crate::cli::{DoctorArgs, ReportFormat};
use crate::kernel::running::find::{self, KernelFiles, Wanted};
use crate::kernel::running::unpacked::Unpacked;
use crate::kernel::running::{checks, config, image};
use crate::{options, tree};
use anyhow::{Context, Error, Result, anyhow, ensure};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What a prepared build folder and a run take, with room to spare.
const SPACE: u64 = 2 << 30;
/// Something that a build needs is missing.
const MISSING: u8 = 2;

/// What is to be said of one thing.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The thing.
    pub name: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, or what is wrong and how to put it right.
    pub text: String,
}

/// Looks, tells, and exits with 0 if all is there, 2 if not, 1 where it could not look.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let checks = match examine(args) {
        Ok(checks) => checks,
        Err(error) => {
            crate::progress::say(format_args!("error: {}", lp_cli::in_words(&error)));
            return ExitCode::FAILURE;
        }
    };
    let text = match args.report {
        ReportFormat::Text => text(&checks),
        ReportFormat::Json => format!("{:#}\n", serde_json::json!(checks)),
    };
    // Who does not read to the end still learns the outcome.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    match checks.iter().all(|check| check.ok) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(MISSING),
    }
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check {
        name,
        ok,
        text: what,
    } in checks
    {
        let mark = if *ok { "ok     " } else { "MISSING" };
        let what = what.replace('\n', "\n           ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark}  {name}: {what}");
    }
    let missing = checks.iter().filter(|check| !check.ok).count();
    let _ = match missing {
        0 => writeln!(text, "everything is here"),
        1 => writeln!(text, "1 thing is missing"),
        more => writeln!(text, "{more} things are missing"),
    };
    text
}

fn examine(args: &DoctorArgs) -> Result<Vec<Check>> {
    let release = match &args.kernel {
        Some(release) => release.clone(),
        None => rustix::system::uname()
            .release()
            .to_str()
            .context("this machine's release is not UTF-8: give --kernel")?
            .to_owned(),
    };
    options::check_release(&release)?;
    let mut checks = Vec::new();
    let mut add = |name: &str, found: Result<String>| checks.push(check(name, found));
    let root = args.sysroot.as_path();
    let file = |wanted: Wanted| wanted.find(root, &release, None);
    let shown = |path: &Result<std::path::PathBuf>| match path {
        Ok(path) => Ok(path.display().to_string()),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    let cache = args.cache.clone().map_or_else(options::default_cache, Ok);
    let unpacked = Unpacked::of(cache.as_deref().unwrap_or(Path::new("")));
    let (config, vmlinux, symvers) = (file(find::CONFIG), file(find::VMLINUX), file(find::SYMVERS));
    add("kernel", Ok(release.clone()));
    add(find::CONFIG.what, shown(&config));
    add(find::VMLINUX.what, shown(&vmlinux));
    add(find::SYMVERS.what, shown(&symvers));
    let modules = find::modules(root, &release);
    add("modules", folder(&modules, &release));
    let parsed = config
        .as_ref()
        .ok()
        .map(|path| config::read(path).map(|text| (config::parse(&text), text)));
    if let (Some(Ok((options, text))), Ok(config)) = (&parsed, &config) {
        let files = KernelFiles {
            release: release.clone(),
            config: config.clone(),
            vmlinux: vmlinux.as_deref().unwrap_or(Path::new("")).to_owned(),
            symvers: symvers.as_deref().unwrap_or(Path::new("")).to_owned(),
            modules,
            given: Vec::new(),
            vmlinuz: None,
            unpacked,
        };
        add("livepatches", livepatch(&files, options));
        add("signatures", Ok(signatures(options)));
        let compiler = checks::compiler(&files, options);
        add("compiler", compiler.map(|compiler| compiler.version));
        if let Some(orig) = &args.orig {
            add("source tree", source(orig, &files, text));
        }
        checks.extend(programs::examine(options));
    } else if let Some(Err(error)) = parsed {
        add("configuration", Err(error));
    }
    checks.push(check("cache", cache.and_then(|cache| space(&cache))));
    Ok(checks)
}

fn check(name: &str, found: Result<String>) -> Check {
    Check {
        name: name.to_owned(),
        ok: found.is_ok(),
        text: found.unwrap_or_else(|error: Error| format!("{error:#}")),
    }
}

fn folder(modules: &Path, release: &str) -> Result<String> {
    ensure!(
        modules.is_dir(),
        "{} does not exist: install the package linux-image-{release}, or say with --sysroot where it is unpacked",
        modules.display()
    );
    Ok(modules.display().to_string())
}

fn livepatch(files: &KernelFiles, config: &config::Config) -> Result<String> {
    let arch = checks::livepatch(files, config)?;
    Ok(format!("CONFIG_LIVEPATCH=y, {}", arch.uname))
}

/// Not ours to do, but better known before the patch is built than when it is loaded.
fn signatures(config: &config::Config) -> String {
    let is_set = |name: &str| config.get(name).is_some_and(|value| value == "y");
    match (
        is_set("CONFIG_MODULE_SIG_FORCE"),
        is_set("CONFIG_MODULE_SIG"),
    ) {
        (true, _) => {
            "the kernel loads signed modules only: sign the patch with a key that it trusts"
        }
        (false, true) => {
            "not needed, unless the machine boots with Secure Boot or module.sig_enforce"
        }
        (false, false) => "not needed",
    }
    .to_owned()
}

fn source(orig: &Path, files: &KernelFiles, config: &str) -> Result<String> {
    let tree = tree::open(orig, "--orig")?;
    let vmlinux = files.unpacked.readable(&files.vmlinux)?;
    checks::tree(&tree, files, config, &image::read(&vmlinux)?)?;
    Ok(format!("Linux {} in {}", tree.version, tree.root.display()))
}

fn space(cache: &Path) -> Result<String> {
    let existing = cache.ancestors().find(|folder| folder.is_dir());
    let existing = existing.context("no part of its path exists: give --cache DIR")?;
    let stat = rustix::fs::statvfs(existing)
        .with_context(|| format!("cannot ask for the free space of {}", existing.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    ensure!(
        free >= SPACE,
        "{} has {} MiB free, {} are needed: make room, or give another place with --cache DIR",
        cache.display(),
        free >> 20,
        SPACE >> 20
    );
    Ok(format!("{}, {} GiB free", cache.display(), free >> 30))
}
