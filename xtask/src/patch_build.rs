//! Runs `lp-build` for a case's patch as a user would, and reads its JSON report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::case::Case;
use crate::command;
use crate::kbuild;
use crate::kernels::Installed;
use crate::paths;

/// `lp-build`, with the kernel to build for.
pub(crate) struct PatchBuild<'a> {
    pub(crate) lp_build: &'a Path,
    pub(crate) kernel: &'a Installed,
}

/// The source trees.
pub(crate) enum Trees<'a> {
    /// The kernel's source, and the same with the fix.
    Two(&'a Path),
    /// The kernel's source and a patch to it.
    Patch(&'a Path),
}

/// A patch to be built.
#[derive(Debug)]
pub(crate) struct Order {
    /// With `fix.patch` and `livepatch.toml`.
    pub(crate) folder: PathBuf,
    /// The module to be written.
    pub(crate) output: PathBuf,
    /// The module of the patch that it follows.
    pub(crate) previous: Option<PathBuf>,
    /// Functions of that one that may go back.
    pub(crate) reverts: Vec<String>,
    /// The code of a warning that there must be.
    pub(crate) warning: Option<String>,
    /// The module outside the kernel's tree that it is a patch of.
    pub(crate) outside: Option<Outside>,
    /// The kernel's image, if it is not to be found by lp-build.
    pub(crate) image: Option<PathBuf>,
}

/// Modules that are not in the kernel's tree.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    /// Their source.
    pub(crate) source: PathBuf,
    /// They, as lp-build is given them.
    pub(crate) modules: Vec<PathBuf>,
    /// They, as they are inserted.
    pub(crate) inserted: Vec<PathBuf>,
}

impl Outside {
    /// A case's own modules, built beside its patch; none where the case has none.
    pub(crate) fn of(case: &Case, build: &PatchBuild<'_>) -> Result<Option<Self>> {
        let Some(name) = &case.guest.module_source else {
            return Ok(None);
        };
        let source = case.folder.join(name);
        let place = build.folder().join(format!("{}-module", case.name));
        let modules = modules(build.kernel, &source, &place)?;
        let inserted = match &case.guest.inserted_source {
            Some(name) => {
                let place = build.folder().join(format!("{}-inserted", case.name));
                self::modules(build.kernel, &case.folder.join(name), &place)?
            }
            None => modules.clone(),
        };
        Ok(Some(Self {
            source,
            modules,
            inserted,
        }))
    }
}

/// Builds the modules of a folder in a copy of it.
fn modules(kernel: &Installed, source: &Path, place: &Path) -> Result<Vec<PathBuf>> {
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("remove {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
    for file in fs::read_dir(source).with_context(|| format!("read {}", source.display()))? {
        let file = file?.path();
        let copy = place.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &copy).with_context(|| format!("copy {}", file.display()))?;
    }
    kbuild::build(kernel, place)?;
    let mut modules = Vec::new();
    for file in fs::read_dir(place)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "ko") {
            modules.push(file);
        }
    }
    modules.sort();
    ensure!(!modules.is_empty(), "{} builds no module", source.display());
    Ok(modules)
}

impl Order {
    /// The one patch of a case, to be written into `folder`.
    pub(crate) fn of(case: &Case, folder: PathBuf) -> Result<Self> {
        Self {
            folder: case.folder.clone(),
            output: folder,
            previous: None,
            reverts: Vec::new(),
            warning: None,
            outside: None,
            image: None,
        }
        .with_module(&case.name)
    }

    /// The same with a file in its output folder, which bears the patch's name if its description gives one.
    pub(crate) fn with_module(mut self, default: &str) -> Result<Self> {
        let description = describes(&self.folder)?;
        let name = description.get("name").and_then(toml::Value::as_str);
        self.output.push(format!("{}.ko", name.unwrap_or(default)));
        Ok(self)
    }
}

/// What a patch's description says.
pub(crate) fn describes(folder: &Path) -> Result<toml::Table> {
    let file = folder.join("livepatch.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    text.parse()
        .with_context(|| format!("parse {}", file.display()))
}

/// What lp-build's exit codes mean.
const REFUSED: i32 = 2;

impl PatchBuild<'_> {
    /// Where the patches of cases for this kernel go.
    pub(crate) fn folder(&self) -> PathBuf {
        paths::output("e2e").join(&self.kernel.release)
    }

    /// The command without `--report`, with paths relative to the workspace where it runs.
    pub(crate) fn command(
        &self,
        trees: &Trees<'_>,
        description: &Path,
        output: &Path,
        cache: &Path,
    ) -> Command {
        let mut build = Command::new(self.lp_build);
        build.current_dir(paths::workspace());
        build
            .arg("kernel")
            .arg("--orig")
            .arg(relative(&self.kernel.source));
        match trees {
            Trees::Two(patched) => build.arg("--patched").arg(relative(patched)),
            Trees::Patch(patch) => build.arg("--patch").arg(relative(patch)),
        };
        build.arg("--kernel").arg(&self.kernel.release);
        build.arg("--sysroot").arg(relative(&self.kernel.sysroot));
        build
            .arg("--describe")
            .arg(relative(description))
            .arg("--cache")
            .arg(relative(cache));
        build.arg("-o").arg(relative(output));
        build
    }

    /// Builds a patch; the module.
    pub(crate) fn build(&self, order: &Order) -> Result<PathBuf> {
        let output = &order.output;
        let (status, report) = self.run(order)?;
        if !status.success() {
            bail!("lp-build: {status}: {}", why(&report));
        }
        ensure!(
            output.exists(),
            "lp-build succeeded, but there is no {}",
            output.display()
        );
        if let Some(wanted) = &order.warning {
            let codes: Vec<&str> = warnings(&report).collect();
            ensure!(
                codes.contains(&wanted.as_str()),
                "expected the warning `{wanted}`, got {codes:?}"
            );
        }
        Ok(output.clone())
    }

    /// Builds a patch with no more of the kernel than what boots; the module, which must be the one that is built with its
    /// debug package.
    pub(crate) fn build_without_debug_package(&self, mut order: Order) -> Result<PathBuf> {
        let with = self.build(&order)?;
        let with = fs::read(&with).with_context(|| format!("read {}", with.display()))?;
        order.image = Some(self.kernel.boots());
        let without = self.build(&order)?;
        let same = fs::read(&without).is_ok_and(|without| without == with);
        ensure!(
            same,
            "{} is another module without the debug package",
            without.display()
        );
        Ok(without)
    }

    /// Builds a patch, which must be refused with the code.
    pub(crate) fn refusal(&self, order: &Order, wanted: &str) -> Result<String> {
        let output = &order.output;
        let (status, report) = self.run(order)?;
        ensure!(
            status.code() == Some(REFUSED),
            "expected a refusal, got {status}: {}",
            why(&report)
        );
        ensure!(
            !output.exists(),
            "refused, but {} was written",
            output.display()
        );
        let codes: Vec<&str> = refusals(&report)
            .filter_map(|refusal| refusal.get("code")?.as_str())
            .collect();
        ensure!(
            codes.contains(&wanted),
            "expected the refusal `{wanted}`, got {codes:?}: {}",
            why(&report)
        );
        Ok(format!("refused: {wanted}"))
    }

    fn run(&self, order: &Order) -> Result<(ExitStatus, Value)> {
        let output = &order.output;
        let folder = output.parent().context("the output has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        if output.exists() {
            fs::remove_file(output).with_context(|| format!("remove {}", output.display()))?;
        }
        let fix = order.folder.join("fix.patch");
        let description = order.folder.join("livepatch.toml");
        let mut build = self.command(&Trees::Patch(&fix), &description, output, &cache());
        if let Some(previous) = &order.previous {
            build.arg("--previous").arg(relative(previous));
        }
        if let Some(outside) = &order.outside {
            build
                .arg("--module-source")
                .arg(relative(&outside.source))
                .arg("--module")
                .args(outside.modules.iter().map(|module| relative(module)));
        }
        if let Some(image) = &order.image {
            build.arg("--vmlinux").arg(relative(image));
        }
        for function in &order.reverts {
            build.arg("--revert").arg(function);
        }
        let done = command::output(build.args(["--report", "json"]).stdin(Stdio::null()))?;
        let report = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| {
            // An error before there is anything to report: what it wrote for people is all there is.
            Value::String(String::from_utf8_lossy(&done.stderr).trim_end().to_owned())
        });
        Ok((done.status, report))
    }
}

/// Short paths, and none of this machine, in what people see.
pub(crate) fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(paths::workspace())
        .unwrap_or(path)
        .to_path_buf()
}

/// Where lp-build keeps its prepared build folders.
pub(crate) fn cache() -> PathBuf {
    paths::output("lp-cache")
}

/// The reason in a report, for people.
pub(crate) fn why(report: &Value) -> String {
    if let Some(text) = report.as_str() {
        return text.to_owned();
    }
    if let Some(error) = report.get("error").and_then(Value::as_str) {
        return error.to_owned();
    }
    let text = |refusal: &Value, key: &str| {
        refusal
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let reasons: Vec<String> = refusals(report)
        .map(|refusal| {
            format!(
                "{} at {}: {}",
                text(refusal, "code"),
                text(refusal, "place"),
                text(refusal, "message")
            )
        })
        .collect();
    if reasons.is_empty() {
        format!("verdict {}", text(report, "verdict"))
    } else {
        reasons.join("; ")
    }
}

fn refusals(report: &Value) -> impl Iterator<Item = &Value> {
    report
        .get("refusals")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The codes of all that was warned of: about the code, and about what it follows.
fn warnings(report: &Value) -> impl Iterator<Item = &str> {
    let of_lineage = report.pointer("/lineage/warnings");
    let lists = [report.get("patch_warnings"), of_lineage];
    let all = lists.into_iter().flatten().filter_map(Value::as_array);
    all.flatten()
        .filter_map(|warning| warning.get("code")?.as_str())
}
