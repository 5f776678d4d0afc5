//! What lp-runtime says when the real kernel refuses: the errno, the log line and the advice of each kind that a file can provoke.
//!
//! A fake `/sys` cannot show this: which errno the kernel gives for which mistake is the kernel's to say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lp_runtime::error::Error;
use lp_runtime::kernel::{self, Host, PatchName};

use super::plan::Case;
use super::report::Report;
use super::steps;

/// Provokes refusals with a case's patch.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let result = provoke(&host, case, report);
    steps::clean(&host, case);
    result
}

fn provoke(host: &Host, case: &Case, report: &mut Report) -> Result<String> {
    steps::prepare(case)?;
    let name = steps::name(case)?;
    let mut judge = Judge { report, count: 0 };
    let other = changed(case.patch(), "other-release.ko", |bytes| {
        replace(bytes, b"vermagic=6", b"vermagic=9")
    })?;
    judge.fails("another release's patch", load(host, &other), "built for")?;
    let other = changed(case.patch(), "other-kind.ko", |bytes| {
        replace(bytes, b" SMP ", b" smp ")
    })?;
    judge.refused(
        "another kind of kernel's patch",
        load(host, &other),
        "ENOEXEC",
        "version magic",
    )?;
    let other = changed(case.patch(), "other-symbol.ko", |bytes| {
        replace(bytes, b"__fentry__", b"__fentry_x")
    })?;
    judge.refused(
        "a symbol that is not there",
        load(host, &other),
        "ENOENT",
        "Unknown symbol __fentry_x",
    )?;
    let cut = changed(case.patch(), "cut.ko", |bytes| {
        bytes.truncate(bytes.len() / 2)
    })?;
    judge.fails("half a file", load(host, &cut), "cut.ko")?;
    judge.fails(
        "no module",
        load(host, Path::new("/bin/busybox")),
        "no kernel module",
    )?;
    judge.fails(
        "no file",
        load(host, Path::new("/nowhere.ko")),
        "/nowhere.ko",
    )?;
    judge.fails(
        "disable before loading",
        disable(host, &name),
        "no such patch is installed",
    )?;

    steps::load(host, case, judge.report)?;
    judge.refused("load twice", load(host, case.patch()), "EEXIST", "")?;
    judge.fails(
        "unload while enabled",
        kernel::unload(host, &name),
        "still enabled",
    )?;
    judge.fails(
        "force at rest",
        kernel::force(host, &name),
        "not in transition",
    )?;
    steps::disable(host, case, judge.report)?;
    judge.fails(
        "disable twice",
        disable(host, &name),
        "its module is still loaded",
    )?;
    let again = kernel::enable(host, &name, &steps::wait(), &mut |_| {}).map(drop);
    judge.fails(
        "enable after disabling",
        again,
        "its module is still loaded",
    )?;
    steps::unload(host, case, judge.report)?;
    judge.fails(
        "unload twice",
        kernel::unload(host, &name),
        "no such patch is installed",
    )?;
    Ok(format!("{} refusals explained", judge.count))
}

struct Judge<'a> {
    report: &'a mut Report,
    count: usize,
}

impl Judge<'_> {
    /// The kernel must refuse with this errno, log a line with this text, and there must be advice.
    fn refused(
        &mut self,
        what: &str,
        result: Result<(), Error>,
        errno: &str,
        logged: &str,
    ) -> Result<()> {
        let error = self.failed(what, result)?;
        let Error::Refused(refusal) = &error else {
            bail!("{what}: not the kernel's refusal: {error}")
        };
        ensure!(
            refusal.errno_name() == errno,
            "{what}: expected {errno}, got {error}"
        );
        let found = logged.is_empty() || refusal.log.iter().any(|line| line.contains(logged));
        ensure!(
            found,
            "{what}: no `{logged}` in the log lines {:?}",
            refusal.log
        );
        ensure!(refusal.advice.is_some(), "{what}: no advice for {error}");
        Ok(())
    }

    /// It must fail with a message that has this text.
    fn fails(&mut self, what: &str, result: Result<(), Error>, text: &str) -> Result<()> {
        let error = self.failed(what, result)?;
        ensure!(
            error.to_string().contains(text),
            "{what}: expected `{text}`, got `{error}`"
        );
        Ok(())
    }

    fn failed(&mut self, what: &str, result: Result<(), Error>) -> Result<Error> {
        let Err(error) = result else {
            bail!("{what}: succeeded")
        };
        self.count += 1;
        self.report.step(&format!("{what}: {error}"));
        for line in error.kernel_log() {
            self.report.step(&format!("  kernel log: {line}"));
        }
        if let Some(advice) = error.advice() {
            self.report.step(&format!("  help: {advice}"));
        }
        Ok(error)
    }
}

fn load(host: &Host, file: &Path) -> Result<(), Error> {
    kernel::load(host, file, &steps::wait(), &mut |_| {}).map(drop)
}

fn disable(host: &Host, name: &PatchName) -> Result<(), Error> {
    kernel::disable(host, name, &steps::wait(), &mut |_| {}).map(drop)
}

/// A copy of a module file with something changed.
fn changed(file: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<PathBuf> {
    let mut bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    change(&mut bytes);
    let copy = Path::new("/tmp").join(name);
    fs::write(&copy, bytes).with_context(|| format!("write {}", copy.display()))?;
    Ok(copy)
}

/// Replaces every occurrence of a text by another of the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let mut at = 0;
    while let Some(window) = bytes.get_mut(at..at + old.len()) {
        if window == old {
            window.copy_from_slice(new);
        }
        at += 1;
    }
}
