//! Something for the kernel to do: files, processes, memory, pipes, sockets, `/proc`, in rounds of a fraction of a second.
//!
//! It runs as a process of its own, so that its end, whatever that is, can be told. Each round checks what it gets: data that comes
//! back changed is a failure, not only an error of a call. Memory is used as Rust uses it: large vectors and threads' stacks are
//! `mmap`, `munmap` and `mprotect`, running a program maps files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::shell;

/// The first argument of the process that works.
const ROUNDS: &str = "workload-rounds";
/// The first argument of what it runs as its child.
const CHILD: &str = "workload-child";
/// What that ends with, so that its exit code is not just any.
const CHILD_CODE: u8 = 42;
/// A round takes a fraction of a second; one that takes this long hangs.
const LONGEST_ROUND: Duration = Duration::from_secs(40);
/// For each wait inside a round.
const PATIENCE: Duration = Duration::from_secs(10);
const PAGE: usize = 4096;

/// What reads of `/proc` and `/sys` go to.
const READ: [&str; 10] = [
    "/proc/meminfo",
    "/proc/stat",
    "/proc/self/maps",
    "/proc/self/status",
    "/proc/self/smaps_rollup",
    "/proc/net/tcp",
    "/proc/net/unix",
    "/proc/mounts",
    "/proc/modules",
    "/proc/interrupts",
];

/// The work, going on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    told: Receiver<String>,
    done: usize,
}

impl Running {
    /// Starts it.
    pub fn start() -> Result<Self> {
        // 127.0.0.1 answers only once its interface is up; that it already is, is fine.
        shell::run("ip link set lo up")?;
        let mut child = Command::new("/proc/self/exe")
            .arg(ROUNDS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the work")?;
        let out = child.stdout.take().context("the work has no stdout")?;
        Ok(Self {
            child,
            told: lines(out),
            done: 0,
        })
    }

    /// Waits for so many rounds that began after this call.
    pub fn rounds(&mut self, count: usize) -> Result<()> {
        while self.told.try_recv().is_ok_and(|line| self.take(&line)) {}
        // The round that is under way began before.
        for _ in 0..=count {
            match self.told.recv_timeout(LONGEST_ROUND) {
                Ok(line) => ensure!(self.take(&line), "the work failed: {line}"),
                Err(RecvTimeoutError::Timeout) => bail!("the work hangs"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the work ended: {:?}", self.child.wait())
                }
            }
        }
        Ok(())
    }

    /// Ends it; the number of rounds.
    pub fn end(mut self) -> Result<usize> {
        // It stops at the end of its input.
        drop(self.child.stdin.take());
        loop {
            match self.told.recv_timeout(LONGEST_ROUND) {
                Ok(line) => ensure!(self.take(&line), "the work failed: {line}"),
                Err(RecvTimeoutError::Timeout) => bail!("the work hangs"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait().context("wait for the work")?;
        ensure!(status.success(), "the work ended with {status}");
        Ok(self.done)
    }

    /// Whether the line tells of a good round.
    fn take(&mut self, line: &str) -> bool {
        self.done += 1;
        line == "round"
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    told
}

/// Which part of the work this process was started for.
pub fn asked_for() -> Option<String> {
    let word = std::env::args().nth(1)?;
    [ROUNDS, CHILD].contains(&word.as_str()).then_some(word)
}

/// The life of such a process.
pub fn run(part: &str) -> ExitCode {
    if part == CHILD {
        return ExitCode::from(CHILD_CODE);
    }
    let (sender, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(sender);
    });
    while let Err(mpsc::TryRecvError::Empty) = ended.try_recv() {
        if let Err(error) = round() {
            println!("{}", format!("{error:#}").replace('\n', " | "));
            return ExitCode::FAILURE;
        }
        println!("round");
    }
    ExitCode::SUCCESS
}

fn round() -> Result<()> {
    for folder in ["/tmp", "/mnt"] {
        if Path::new(folder).is_dir() {
            files(&Path::new(folder).join("work")).with_context(|| format!("files in {folder}"))?;
        }
    }
    processes().context("processes")?;
    memory().context("memory")?;
    pipes().context("pipes")?;
    tcp().context("TCP")?;
    udp().context("UDP")?;
    unix().context("Unix sockets")?;
    for file in READ {
        // A kernel may be built without one of them.
        let _ = fs::read(file);
    }
    Ok(())
}

/// Creates, writes, reads, renames, links, truncates, lists and removes.
fn files(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let (one, two): (PathBuf, PathBuf) = (folder.join("one"), folder.join("two"));
    let data = pattern(16 * PAGE);
    let mut file = fs::File::create_new(&one)?;
    file.write_all(&data)?;
    file.sync_all()?;
    fs::rename(&one, &two)?;
    ensure!(fs::read(&two)? == data, "the file has other content");
    fs::hard_link(&two, folder.join("link"))?;
    std::os::unix::fs::symlink("two", folder.join("symlink"))?;
    file.set_len(PAGE as u64)?;
    file.seek(SeekFrom::Start(3 * PAGE as u64))?;
    file.write_all(b"after a hole")?;
    ensure!(
        fs::metadata(folder.join("symlink"))?.len() == 3 * PAGE as u64 + 12,
        "the file has another size"
    );
    ensure!(
        fs::read_dir(folder)?.count() == 3,
        "the folder has other entries"
    );
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Runs this program as a child, several at once.
fn processes() -> Result<()> {
    let children: Vec<Child> = (0..3)
        .map(|_| Command::new("/proc/self/exe").arg(CHILD).spawn())
        .collect::<std::io::Result<_>>()?;
    for mut child in children {
        let code = child.wait()?.code();
        ensure!(
            code == Some(CHILD_CODE.into()),
            "a child ended with {code:?}"
        );
    }
    let mut sleeper = Command::new("/bin/busybox").args(["sleep", "60"]).spawn()?;
    sleeper.kill()?;
    ensure!(!sleeper.wait()?.success(), "a killed child ended well");
    Ok(())
}

/// Maps, faults in and unmaps, in several threads.
fn memory() -> Result<()> {
    let threads: Vec<_> = (0..3u8)
        .map(|number| {
            thread::spawn(move || {
                let mut pages = vec![0u8; 256 * PAGE];
                for (index, byte) in pages.iter_mut().step_by(PAGE).enumerate() {
                    *byte = (index as u8) ^ number;
                }
                let mut bytes = pages.iter().step_by(PAGE).enumerate();
                bytes.all(|(index, byte)| *byte == (index as u8) ^ number)
            })
        })
        .collect();
    for thread in threads {
        ensure!(thread.join().is_ok_and(|same| same), "memory changed");
    }
    Ok(())
}

fn pipes() -> Result<()> {
    let (mut reader, mut writer) = std::io::pipe()?;
    let data = pattern(40 * PAGE);
    let sent = data.clone();
    let thread = thread::spawn(move || writer.write_all(&sent));
    let mut got = Vec::new();
    reader.read_to_end(&mut got)?;
    ensure!(
        thread.join().is_ok_and(|done| done.is_ok()),
        "the writer failed"
    );
    ensure!(got == data, "other data came out");
    Ok(())
}

fn tcp() -> Result<()> {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        // A kernel without IPv6, or with the module not inserted, cannot.
        let Ok(listener) = TcpListener::bind(address) else {
            continue;
        };
        let to = listener.local_addr()?;
        let thread = thread::spawn(move || -> Result<()> { echo(listener.accept()?.0) });
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        sent_comes_back(&mut stream)?;
        stream.shutdown(std::net::Shutdown::Both)?;
        ensure!(
            thread.join().is_ok_and(|done| done.is_ok()),
            "the other end failed"
        );
    }
    Ok(())
}

fn udp() -> Result<()> {
    let (one, two) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    two.set_read_timeout(Some(PATIENCE))?;
    let data = pattern(PAGE);
    let mut got = vec![0; 2 * PAGE];
    for _ in 0..8 {
        one.send_to(&data, two.local_addr()?)?;
        let (length, from) = two.recv_from(&mut got)?;
        ensure!(from == one.local_addr()?, "the packet is from elsewhere");
        ensure!(
            got.get(..length) == Some(data.as_slice()),
            "another packet came"
        );
    }
    Ok(())
}

fn unix() -> Result<()> {
    let place = "/tmp/work.socket";
    let _ = fs::remove_file(place);
    let listener = UnixListener::bind(place)?;
    let thread = thread::spawn(move || -> Result<()> { echo(listener.accept()?.0) });
    let mut stream = UnixStream::connect(place)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    sent_comes_back(&mut stream)?;
    drop(stream);
    ensure!(
        thread.join().is_ok_and(|done| done.is_ok()),
        "the other end failed"
    );
    fs::remove_file(place)?;
    let (one, two) = UnixDatagram::pair()?;
    one.send(b"word")?;
    let mut got = [0; 8];
    ensure!(two.recv(&mut got)? == 4, "another datagram came");
    Ok(())
}

/// Sends back all that comes.
fn echo(mut stream: impl Read + Write) -> Result<()> {
    let mut buffer = vec![0; PAGE];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(buffer.get(..length).unwrap_or_default())?,
        }
    }
}

fn sent_comes_back(stream: &mut (impl Read + Write)) -> Result<()> {
    let data = pattern(4 * PAGE);
    for piece in data.chunks(PAGE) {
        stream.write_all(piece)?;
        let mut got = vec![0; piece.len()];
        stream.read_exact(&mut got)?;
        ensure!(got == piece, "other data came back");
    }
    Ok(())
}

/// Bytes of which no two pages are alike.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 8)) as u8).collect()
}
