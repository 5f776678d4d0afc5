//! `cargo xtask bench fleet`: lp-verify's time and memory for an inventory of a million machines, beside the targets and
//! the last run.
//!
//! Two fleets: machines of a dozen kinds, as fleets are, and machines of which each has something of its own.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::memory;
use crate::{command, paths, tools};

const MACHINES: usize = 1_000_000;
/// Seconds and MiB that were asked for, for a fleet of few kinds.
const TARGET: (f64, u64) = (2.0, 500);

/// The new patch: no more than makes it a livepatch.
const PATCH: &str = ".section .modinfo,\"a\"
.asciz \"livepatch=Y\"
.asciz \"name=new\"
.asciz \"vermagic=6.1.0 SMP \"
";

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    name: String,
    seconds: f64,
    peak_kib: u64,
}

/// Measures and prints.
pub(super) fn run() -> Result<()> {
    let lp_verify = tools::lp_verify()?;
    let folder = paths::output("bench");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let patch = assemble(&folder)?;
    let kept = folder.join("fleet.json");
    let last: Vec<Measured> = fs::read(&kept)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let mut all = Vec::new();
    for (name, distinct) in [("few kinds", false), ("all different", true)] {
        let inventory = folder.join("fleet.jsonl");
        write_inventory(&inventory, distinct)?;
        let now = measure(&lp_verify, &patch, &inventory, name)?;
        let before = last.iter().find(|old| old.name == name);
        let before = before.map_or(String::new(), |old| {
            format!(" ({:.2} s, {} MiB)", old.seconds, old.peak_kib / 1024)
        });
        println!(
            "{MACHINES} machines, {name:<14} {:>6.2} s, {:>4} MiB, target for few kinds {:.0} s, {} MiB{before}",
            now.seconds,
            now.peak_kib / 1024,
            TARGET.0,
            TARGET.1,
        );
        fs::remove_file(&inventory).with_context(|| format!("remove {}", inventory.display()))?;
        all.push(now);
    }
    fs::write(&kept, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("write {}", kept.display()))
}

fn assemble(folder: &Path) -> Result<std::path::PathBuf> {
    let (source, object) = (folder.join("new.s"), folder.join("new.ko"));
    fs::write(&source, PATCH).with_context(|| format!("write {}", source.display()))?;
    let mut gcc = Command::new("gcc");
    gcc.arg("-c").arg(&source).arg("-o").arg(&object);
    command::quiet(&mut gcc)?;
    Ok(object)
}

fn write_inventory(path: &Path, distinct: bool) -> Result<()> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let build_id = "ab".repeat(20);
    for machine in 0..MACHINES {
        let version = machine % 12;
        // A probe somewhere is what machines differ in most.
        let probe = if distinct { machine } else { 0 };
        writeln!(
            file,
            r#"{{"host":"web{machine:06}.example","format":1,"kernel":{{"release":"6.1.0","build_id":"{build_id}","arch":"x86_64"}},"signatures":false,"kprobes":["probe{probe}"],"patches":[{{"name":"fix","enabled":true,"objects":[{{"name":"vmlinux","functions":[{{"old_name":"f1","sympos":1}}]}}],"manifest":{{"format":1,"tool":"t","name":"fix","version":"1.{version}","target":{{"release":"6.1.0","arch":"x86_64"}},"replace":true,"states":[{{"id":1,"version":{version}}}],"objects":[{{"name":"vmlinux","functions":[{{"name":"f1","sympos":0,"old_size":100}}]}}]}}}}]}}"#
        )?;
    }
    file.flush().context("write the inventory")
}

fn measure(lp_verify: &Path, patch: &Path, inventory: &Path, name: &str) -> Result<Measured> {
    let start = Instant::now();
    let mut child = Command::new(lp_verify)
        .arg("fleet")
        .arg(patch)
        .arg("--inventory")
        .arg(inventory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("run lp-verify")?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(memory::peak_kib(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().context("wait for lp-verify")? {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    ensure!(
        status.code() == Some(2),
        "lp-verify: {status}, where it refuses all machines"
    );
    Ok(Measured {
        name: name.to_owned(),
        seconds: start.elapsed().as_secs_f64(),
        peak_kib,
    })
}
