//! A program at work: started, kept busy by a load, asked again and again how long an answer takes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::program::{PORT, Probe, Program};

/// How long a program may take to start.
const START: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// A child that ends with us, and with it what it started: workers that outlive their master keep its port.
pub(crate) struct Held(pub(crate) Child);

impl Held {
    /// Its children.
    fn children(&self) -> Vec<u32> {
        let pid = self.0.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let numbers = children.split_whitespace();
        numbers.filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let children = self.children();
        let _ = self.0.kill();
        let _ = self.0.wait();
        let numbers = children
            .into_iter()
            .filter_map(|pid| i32::try_from(pid).ok());
        for pid in numbers.filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A program that runs, and what keeps it busy.
pub(crate) struct Server {
    server: Held,
    load: Option<Held>,
    said: PathBuf,
}

impl Server {
    /// Starts both.
    pub(crate) fn start(
        program: &Program,
        source: &Path,
        binary: &Path,
        folder: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(folder.join("logs"))
            .with_context(|| format!("create {}", folder.display()))?;
        for (name, text) in program.files {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        }
        ensure!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err(),
            "another program listens on port {PORT}: end it first"
        );
        let server = spawn(program.start, source, binary, folder, "server.log")?;
        let mut server = Self {
            server: Held(server),
            load: None,
            said: folder.join(if program.load.is_empty() {
                "server.log"
            } else {
                "load.log"
            }),
        };
        server.wait_for_the_port()?;
        if !program.load.is_empty() {
            let load = spawn(program.load, source, binary, folder, "load.log")?;
            server.load = Some(Held(load));
        }
        Ok(server)
    }

    fn wait_for_the_port(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err() {
            self.check()?;
            ensure!(start.elapsed() < START, "it does not listen on port {PORT}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The processes: the one that was started and its children.
    pub(crate) fn pids(&self) -> Vec<u32> {
        std::iter::once(self.server.0.id())
            .chain(self.server.children())
            .collect()
    }

    /// That both still run, and that no request of the load failed.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.server.0.try_wait()? {
            bail!("the program ended: {status}: {}", self.said());
        }
        if let Some(load) = &mut self.load
            && let Some(status) = load.0.try_wait()?
        {
            bail!("the load ended: {status}: {}", self.said());
        }
        Ok(())
    }

    /// What the load wrote.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.said).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(6).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Ends the load as its user would, so that it says what failed.
    pub(crate) fn end_load(&mut self) -> Result<String> {
        if let Some(mut load) = self.load.take() {
            let pid = i32::try_from(load.0.id())?;
            let pid = rustix::process::Pid::from_raw(pid).context("a process has a number")?;
            rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
            load.0.wait()?;
        }
        Ok(self.said())
    }

    /// Lets it work for a while.
    pub(crate) fn work(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// What all its processes have of the machine.
    pub(crate) fn memory(&self) -> Memory {
        let of = |pid: u32| {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = rss.and_then(|text| text.split_whitespace().next()?.parse().ok());
            Memory {
                mappings: maps.lines().count(),
                kib: kib.unwrap_or(0),
            }
        };
        let sum = |sum: Memory, one: Memory| Memory {
            mappings: sum.mappings + one.mappings,
            kib: sum.kib + one.kib,
        };
        self.pids().into_iter().map(of).fold(Memory::default(), sum)
    }
}

/// What processes have of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) mappings: usize,
    /// Resident.
    pub(crate) kib: u64,
}

fn spawn(words: &[&str], source: &Path, binary: &Path, folder: &Path, log: &str) -> Result<Child> {
    let word = |word: &str| {
        let word = word.replace("SOURCE", &source.display().to_string());
        word.replace("BINARY", &binary.display().to_string())
    };
    let mut words = words.iter().map(|text| word(text));
    let program = words.next().context("no program is named")?;
    let log = File::create(folder.join(log))?;
    let mut command = Command::new(&program);
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("run {program}"))
}

/// Asks again and again, beside the load, until it is ended.
pub(crate) struct Asker {
    end: Arc<AtomicBool>,
    asking: JoinHandle<Result<Vec<Duration>>>,
}

impl Asker {
    /// Begins to ask.
    pub(crate) fn start(probe: Probe) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&end);
        let asking = std::thread::spawn(move || ask(probe, &until));
        Self { end, asking }
    }

    /// How long each answer took, in rising order; an error if one was wrong or missing.
    pub(crate) fn end(self) -> Result<Vec<Duration>> {
        self.end.store(true, Ordering::Relaxed);
        let asked = self.asking.join();
        let mut times = asked.map_err(|_| anyhow::anyhow!("the asking thread panicked"))??;
        times.sort_unstable();
        Ok(times)
    }
}

fn ask(probe: Probe, until: &AtomicBool) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut times = Vec::new();
    while !until.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(probe.request.as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.ends_with(probe.end.as_bytes()) {
            let read = stream.read(&mut buffer).context("no answer")?;
            ensure!(read > 0, "the connection was closed");
            answer.extend(buffer.iter().take(read));
        }
        times.push(start.elapsed());
        ensure!(
            answer.starts_with(probe.begin.as_bytes()),
            "a wrong answer: {}",
            String::from_utf8_lossy(&answer)
        );
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(times)
}

/// The time that so many of a thousand answers did not exceed.
pub(crate) fn per_mille(times: &[Duration], mille: usize) -> Duration {
    let at = (times.len() * mille / 1000).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}
