//! The judge's side: the same operations on the kernel that runs, and what it shows afterwards.
//!
//! An operation is over when nothing moves any more: the kernel tries a transition again every second, and frees patches in
//! the background. The machine's clock jumps while it sleeps, so waiting costs nothing (`xtask/src/vm/qemu.rs`).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use super::binary;
use super::operation::Operation;
use super::order::Memory;
use super::pool::{Entry, HELD, LATE, PROBES, STAY};
use super::seen::{Seen, SeenObject};

const PATCHES: &str = "/sys/kernel/livepatch";
const MODULES: &str = "/sys/module";
/// Longer than two of the kernel's own tries.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Long enough for what was put off to be done.
const PAUSE: Duration = Duration::from_millis(8);

/// The running kernel, for the length of a sequence.
#[derive(Debug)]
pub struct System<'a> {
    pool: &'a [Entry],
    folder: &'a Path,
    memory: &'a Memory,
    run: u32,
    holder: Option<JoinHandle<io::Result<String>>>,
}

/// Inserts the module that stays; once for all sequences.
pub fn insert_stay(folder: &Path) -> Result<()> {
    crate::guest::system::insmod(&folder.join(format!("{STAY}.ko")))
}

impl<'a> System<'a> {
    /// For a run of this number, with the pool's modules in `folder`.
    pub fn new(pool: &'a [Entry], folder: &'a Path, memory: &'a Memory, run: u32) -> Self {
        Self {
            pool,
            folder,
            memory,
            run,
            holder: None,
        }
    }

    /// Does an operation, waits until nothing moves any more, and looks.
    ///
    /// # Errors
    /// Where the test itself cannot go on; what the kernel answers is none.
    pub fn step(&mut self, operation: Operation) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut held = None;
        let answer = match operation {
            Operation::Load(patch) => {
                insert(&binary::bytes(self.folder, &self.stem(patch), self.run)?)
            }
            Operation::Unload(patch) => remove(&self.name(patch)),
            Operation::Disable(patch) => self.write(patch, "enabled", "0"),
            Operation::Enable(patch) => self.write(patch, "enabled", "1"),
            Operation::Force(patch) => self.write(patch, "force", "1"),
            Operation::InsertLate => {
                let file = self.folder.join(format!("{LATE}.ko"));
                insert(&fs::read(&file).with_context(|| format!("read {}", file.display()))?)
            }
            Operation::RemoveLate => remove(LATE),
            Operation::Hold => {
                self.hold()?;
                Ok(())
            }
            Operation::Release => {
                held = self.release()?;
                Ok(())
            }
        };
        seen.answer(answer);
        if let Some(text) = held {
            seen.runs("the held task", &self.version(&text));
        }
        self.settle()?;
        self.look(&mut seen)?;
        Ok(seen)
    }

    /// Takes everything away that the run may have left, but what was forced out, which stays for ever.
    ///
    /// # Errors
    /// Where the machine is not as it was: nothing that comes after could be trusted.
    pub fn clean(&mut self) -> Result<()> {
        self.release()?;
        self.settle()?;
        for _ in 0..self.pool.len() {
            for name in self.memory.patches()?.iter().rev() {
                // Those that cannot go yet are tried again.
                let _ = fs::write(Path::new(PATCHES).join(name).join("enabled"), "0");
                self.settle()?;
            }
            if self.memory.patches()?.is_empty() {
                break;
            }
        }
        let _ = remove(LATE);
        for (name, pinned) in self.modules()? {
            if !pinned {
                remove(&name)
                    .map_err(io::Error::from_raw_os_error)
                    .with_context(|| format!("remove {name}"))?;
            }
        }
        // What the last callbacks said is of no one's interest.
        read_said()?;
        let left = self.memory.patches()?;
        if !left.is_empty() || Path::new(MODULES).join(LATE).exists() {
            bail!("the machine cannot be cleaned: {left:?} are installed still");
        }
        Ok(())
    }

    fn stem(&self, patch: usize) -> String {
        self.pool
            .get(patch)
            .map(|entry| entry.name().to_owned())
            .unwrap_or_default()
    }

    fn name(&self, patch: usize) -> String {
        binary::renamed(&self.stem(patch), self.run)
    }

    fn write(&self, patch: usize, attribute: &str, value: &str) -> Result<(), i32> {
        let file = Path::new(PATCHES).join(self.name(patch)).join(attribute);
        // Not `fs::write`, which would make a file where there is none.
        let file = fs::OpenOptions::new().write(true).open(file);
        let written = file.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        written.map_err(|error| error.raw_os_error().unwrap_or_default())
    }

    fn hold(&mut self) -> Result<()> {
        if self.holder.is_some() {
            return Ok(());
        }
        set_hold("1")?;
        self.holder = Some(thread::spawn(|| {
            fs::read_to_string(Path::new("/proc").join(HELD))
        }));
        let start = Instant::now();
        while parameter("holding")? != "1" {
            if start.elapsed() > PATIENCE {
                bail!("no task is held");
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<Option<String>> {
        set_hold("0")?;
        let Some(holder) = self.holder.take() else {
            return Ok(None);
        };
        match holder.join() {
            Ok(text) => Ok(Some(text.context("read what the held task answers")?)),
            Err(_) => bail!("the held task's thread panicked"),
        }
    }

    /// Waits until no transition is left that can end, and until what is freed in the background is gone.
    fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let in_transition = |name: &String| attribute(name, "transition") == Some("1".to_owned());
        while start.elapsed() < PATIENCE && folders(Path::new(PATCHES))?.iter().any(in_transition) {
            thread::sleep(PATIENCE / 10);
        }
        let mut before = Seen::default();
        while start.elapsed() < 2 * PATIENCE {
            thread::sleep(PAUSE);
            let mut now = Seen::default();
            self.patches(&mut now)?;
            self.module_lines(&mut now)?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn look(&self, seen: &mut Seen) -> Result<()> {
        self.patches(seen)?;
        for probe in PROBES {
            if self.holder.is_none() || probe.function != HELD {
                let version = match fs::read_to_string(Path::new("/proc").join(probe.file)) {
                    Ok(text) => self.version(&text),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => "absent".to_owned(),
                    Err(error) => {
                        return Err(error).with_context(|| format!("read /proc/{}", probe.file));
                    }
                };
                seen.runs(probe.file, &version);
            }
        }
        self.module_lines(seen)?;
        let said = read_said()?;
        seen.said(said.lines().map(|line| binary::in_pool(line, self.run)));
        Ok(())
    }

    /// The patches, in the order of the kernel's own list.
    fn patches(&self, seen: &mut Seen) -> Result<()> {
        let shown = folders(Path::new(PATCHES))?;
        let order = self.memory.patches()?;
        let unordered = shown.iter().filter(|name| !order.contains(name));
        for name in order.iter().chain(unordered) {
            let is = |name: &str, attr: &str| attribute(name, attr) == Some("1".to_owned());
            let objects = folders(&Path::new(PATCHES).join(name))?;
            let objects = objects.iter().map(|object| {
                let folder = PathBuf::from(name).join(object);
                Ok(SeenObject {
                    name: object.clone(),
                    patched: is(&folder.to_string_lossy(), "patched"),
                    functions: folders(&Path::new(PATCHES).join(&folder))?,
                })
            });
            let objects = objects.collect::<Result<_>>()?;
            let (enabled, transition) = (is(name, "enabled"), is(name, "transition"));
            seen.patch(
                &binary::in_pool(name, self.run),
                enabled,
                transition,
                objects,
            );
        }
        Ok(())
    }

    fn module_lines(&self, seen: &mut Seen) -> Result<()> {
        for (name, pinned) in self.modules()? {
            seen.module(&binary::in_pool(&name, self.run), pinned);
        }
        Ok(())
    }

    /// This run's patch modules that are loaded, and whether they are in use.
    fn modules(&self) -> Result<Vec<(String, bool)>> {
        let mut modules = Vec::new();
        for entry in self.pool {
            let name = binary::renamed(entry.name(), self.run);
            if let Ok(count) = fs::read_to_string(Path::new(MODULES).join(&name).join("refcnt")) {
                modules.push((name, count.trim() != "0"));
            }
        }
        Ok(modules)
    }

    /// `MODULE FUNCTION,POSITION` where a patch of ours answered.
    fn version(&self, text: &str) -> String {
        let line = text.lines().next().unwrap_or_default();
        match line.starts_with("lp_p") {
            true => binary::in_pool(line, self.run),
            false => "original".to_owned(),
        }
    }
}

fn insert(bytes: &[u8]) -> Result<(), i32> {
    rustix::system::init_module(bytes, c"").map_err(rustix::io::Errno::raw_os_error)
}

fn remove(name: &str) -> Result<(), i32> {
    let name = CString::new(name).unwrap_or_default();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    rustix::system::delete_module(&name, flags).map_err(rustix::io::Errno::raw_os_error)
}

fn parameter(name: &str) -> Result<String> {
    let file = Path::new(MODULES).join(STAY).join("parameters").join(name);
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn set_hold(value: &str) -> Result<()> {
    let file = Path::new(MODULES).join(STAY).join("parameters/hold");
    fs::write(&file, value).with_context(|| format!("write {}", file.display()))
}

fn read_said() -> Result<String> {
    fs::read_to_string("/proc/lp_stay_said").context("read what callbacks said")
}

fn attribute(folder: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new(PATCHES).join(folder).join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// The names of the folders in a folder; none where it is gone.
fn folders(path: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let Ok(entries) = fs::read_dir(path) else {
        return Ok(names);
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", path.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
