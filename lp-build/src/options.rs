//! What was asked for, checked and complete: the command line and the description as one, options first.
//!
//! Nothing here looks at trees or kernels; whatever can be wrong with the words alone is found before any work.

use crate::cli::{IdentityArgs, KernelArgs, RunArgs};
use crate::describe::{self, Describe};
use crate::kernel::running::find;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::manifest::{Callbacks, ShadowId};
use lp_klp::name::{MODULE_NAME_LEN, ObjName};
use lp_klp::state::KlpState;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) const DESCRIBE_FILE: &str = "livepatch.toml";

/// Where the fixed sources come from.
#[derive(Debug, Clone)]
pub enum Patched {
    /// A second tree.
    Tree(PathBuf),
    /// Patches to the first.
    Patches(Vec<PathBuf>),
}

/// What the patch says of itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The module's name as the kernel will know it.
    pub name: ObjName,
    /// The author's version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Whether it replaces all that is installed before it.
    pub replace: bool,
    /// The system states it changes.
    pub states: Vec<KlpState>,
    /// What the ids of its shadow variables mean.
    pub shadows: Vec<ShadowId>,
}

/// What is asked of a patch, whatever it is for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What the patch says of itself.
    pub identity: Identity,
    /// The callbacks that the description names.
    pub callbacks: Callbacks,
    /// The description file that was read.
    pub describe: Option<PathBuf>,
    /// The line of that file that each state is on.
    pub state_lines: BTreeMap<u64, usize>,
    /// The patch that this one follows.
    pub previous: Option<PathBuf>,
    /// Functions whose fix in that patch may be given up.
    pub revert: Vec<String>,
    /// Whether to go on where the original does not reproduce.
    pub allow_mismatch: bool,
    /// Types whose layout may differ.
    pub allow_layout_change: BTreeSet<String>,
    /// The cache's folder.
    pub cache: PathBuf,
    /// Where to leave what is made on the way.
    pub keep: Option<PathBuf>,
}

/// Everything `lp-build kernel` works from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tree of the running kernel.
    pub orig: PathBuf,
    /// The tree with the fix.
    pub patched: Patched,
    /// The source of a module that is not in the tree, which is then what is fixed.
    pub module_source: Option<PathBuf>,
    /// Installed modules at other places than under `sysroot`.
    pub modules: Vec<PathBuf>,
    /// The running kernel's release.
    pub release: String,
    /// The file to write.
    pub output: PathBuf,
    /// Where the kernel was built, instead of packages.
    pub build_dir: Option<PathBuf>,
    /// Where the kernel's packages are.
    pub sysroot: PathBuf,
    /// Instead of the vmlinux under `sysroot`.
    pub vmlinux: Option<PathBuf>,
    /// Instead of the configuration under `sysroot`.
    pub config: Option<PathBuf>,
    /// Instead of the Module.symvers under `sysroot`.
    pub symvers: Option<PathBuf>,
    /// What is asked of any patch.
    pub asked: Asked,
    /// A program to run the compiler by.
    pub launcher: Option<String>,
    /// Where to write a page for a review.
    pub html: Option<PathBuf>,
    /// Whether to stop before anything is compiled.
    pub dry_run: bool,
    /// Whether to look at what changed headers reach even where the patch is refused already.
    pub keep_going: bool,
    /// Whether to compile every file that includes a changed header.
    pub every_includer: bool,
}

impl Asked {
    /// What the command line says, and the description, which is looked for beside the first patch; `stem` is the patch's name
    /// if nobody gave one.
    ///
    /// # Errors
    /// Where the words alone are wrong.
    pub fn new(given: IdentityArgs, run: RunArgs, patches: &[PathBuf], stem: &str) -> Result<Self> {
        let describe = given.describe.clone().or_else(|| beside(patches));
        let described = describe.as_deref().map(describe::read).transpose()?;
        let mut described = described.unwrap_or_default();
        let allowed = run.allow_layout_change.into_iter();
        let mut state_lines = std::mem::take(&mut described.state_lines);
        if !given.state.is_empty() {
            state_lines.clear();
        }
        Ok(Self {
            allow_layout_change: allowed
                .chain(std::mem::take(&mut described.allow_layout_change))
                .collect(),
            callbacks: described.callbacks.clone(),
            describe,
            state_lines,
            previous: given.previous.clone(),
            revert: given.revert.clone(),
            allow_mismatch: run.allow_mismatch,
            cache: run.cache.map_or_else(default_cache, Ok)?,
            keep: run.keep,
            identity: identity(given, described, stem)?,
        })
    }

    /// The place of what is to be said of a state: where the description declares it, or else the description, where it
    /// ought to.
    pub fn place_of(&self, state: Option<u64>, place: &str) -> String {
        match (&self.describe, state) {
            (Some(file), Some(id)) => match self.state_lines.get(&id) {
                Some(line) => format!("{}:{line}: {place}", file.display()),
                None => format!("{}: {place}", file.display()),
            },
            _ => place.to_owned(),
        }
    }
}

/// Interprets the command line.
pub fn interpret(args: KernelArgs) -> Result<Options> {
    let release = release(&args)?;
    check_release(&release)?;
    let stem = output_stem(&args.output, ".ko")?;
    let asked = Asked::new(args.identity, args.run, &args.patch, &stem)?;
    ensure!(
        asked.callbacks.is_empty(),
        "[callbacks] in the description is for patches of processes: in a kernel's patch the source declares them, with \
         LP_PRE_PATCH_CALLBACK and its like"
    );
    // The kernel takes a module's name from inside the file, people and modprobe from its file name.
    ensure!(
        asked.identity.name.as_str() == stem.replace('-', "_"),
        "the patch's name is '{0}' but the output is '{stem}.ko': give -o {0}.ko or --name {stem}",
        asked.identity.name
    );
    Ok(Options {
        orig: args.orig,
        patched: match args.patched {
            Some(tree) => Patched::Tree(tree),
            None => Patched::Patches(args.patch),
        },
        module_source: args.module_source,
        modules: args.module,
        release,
        build_dir: args.build_dir,
        output: args.output,
        sysroot: args.sysroot,
        vmlinux: args.vmlinux,
        config: args.config,
        symvers: args.symvers,
        asked,
        launcher: args.launcher,
        html: args.html,
        dry_run: args.dry_run,
        keep_going: args.keep_going,
        every_includer: args.every_includer,
    })
}

/// The release that was given, or that of the build.
fn release(args: &KernelArgs) -> Result<String> {
    match (&args.kernel, &args.build_dir) {
        (Some(release), _) => Ok(release.clone()),
        (None, Some(folder)) => find::built_release(folder),
        (None, None) => bail!("no kernel is given: give --kernel RELEASE or --build-dir DIR"),
    }
}

/// Refuses what is no release.
pub fn check_release(release: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    ensure!(
        release.bytes().all(legal) && release.starts_with(|c: char| c.is_ascii_digit()),
        "--kernel '{release}' is not a kernel release, give what `uname -r` prints, such as 6.1.0-53-cloud-amd64"
    );
    Ok(())
}

/// A description that lies beside the first patch, or in the current folder.
fn beside(patches: &[PathBuf]) -> Option<PathBuf> {
    let folder = patches.first().and_then(|patch| patch.parent());
    let path = folder.unwrap_or(Path::new("")).join(DESCRIBE_FILE);
    path.is_file().then_some(path)
}

/// What the patch says of itself; its name is the output's if nobody gave one.
fn identity(given: IdentityArgs, described: Describe, stem: &str) -> Result<Identity> {
    let name = given.name.or(described.name);
    let states = match given.state.is_empty() {
        true => described.states,
        false => describe::parse_states(&given.state)?,
    };
    let identity = Identity {
        name: module_name(name.as_deref().unwrap_or(stem))?,
        version: given.version.or(described.version).unwrap_or_default(),
        description: given
            .description
            .or(described.description)
            .unwrap_or_default(),
        replace: given.replace.or(described.replace).unwrap_or(true),
        states,
        shadows: described.shadows,
    };
    check_text("version", &identity.version)?;
    check_text("description", &identity.description)?;
    for state in &identity.states {
        check_text("state's name", &state.name)?;
    }
    Ok(identity)
}

/// The output's name without what it must end with.
pub(crate) fn output_stem(output: &Path, extension: &str) -> Result<String> {
    let name = output
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let stem = name.strip_suffix(extension).filter(|stem| !stem.is_empty());
    let stem = stem.with_context(|| {
        let kind = match extension {
            ".ko" => "a kernel module",
            _ => "a patch for processes",
        };
        format!(
            "the output '{}' must be named NAME{extension}, as {kind} is",
            output.display()
        )
    })?;
    Ok(stem.to_owned())
}

/// A name as a module may have it.
pub fn module_name(name: &str) -> Result<ObjName> {
    let rule = || {
        format!(
            "'{name}' cannot be a module's name: use 1 to {} letters, digits, '_' or '-'",
            MODULE_NAME_LEN - 1
        )
    };
    let parsed: ObjName = name.parse().with_context(rule)?;
    ensure!(
        !parsed.is_vmlinux(),
        "a patch cannot be named vmlinux, that is the kernel's own name"
    );
    Ok(parsed)
}

fn check_text(what: &str, text: &str) -> Result<()> {
    ensure!(
        !text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
            && text.len() <= 4096,
        "the patch's {what} has a control character or more than 4096 bytes, use plain text"
    );
    Ok(())
}

/// Where the cache is if no option says so.
pub fn default_cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("LP_CACHE") {
        return Ok(cache.into());
    }
    if let Some(cache) = set("XDG_CACHE_HOME") {
        return Ok(Path::new(&cache).join("livepatch"));
    }
    let home = set("HOME").context("no place for the cache: give --cache DIR, or set LP_CACHE")?;
    Ok(Path::new(&home).join(".cache/livepatch"))
}
