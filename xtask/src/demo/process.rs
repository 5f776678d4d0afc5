//! `cargo xtask demo --process`: a server that answers requests all the time is fixed, fixed better, and brought back.
//!
//! No root, no virtual machine. The client never stops asking; one wrong or missing answer and the demo has failed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{command, paths, tools};

const SERVER: &str = "examples/process-server";
/// How many clients ask all the time.
const CLIENTS: usize = 3;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Shows it.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    let (lp_build, lp_ctl) = (tools::lp_build()?, tools::lp_ctl()?);
    let folder = paths::output("demo").join("process");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;

    super::title("a server, built as always and started");
    let example = paths::workspace().join(SERVER);
    let running = copy(&example, &folder.join("running"))?;
    command::quiet(Command::new("make").arg("--directory").arg(&running))?;
    let server = Server::start(&running.join("server"))?;
    let clients = Clients::start(server.port)?;
    let mut asker = Asker::connect(server.port)?;
    asker.shows("SET password secret", "OK")?;
    asker.shows("GET pass", "VALUE secret")?;
    println!("whoever knows the beginning of a key is told its value: the bug");

    let demo = Demo {
        lp_build,
        lp_ctl,
        folder,
        example,
        binary: running.join("server"),
        pid: server.child.0.id().to_string(),
    };
    super::title(
        "the fix: two source trees become a patch, the patch goes into the running server",
    );
    let fix = demo.build("fix-1")?;
    demo.load(&fix)?;
    asker.shows("GET pass", "NONE")?;
    asker.shows("GET nothing", "NONE")?;
    asker.shows("GET password", "VALUE secret")?;
    let misses = asker.misses()?;

    super::title("an upgrade: it replaces the first patch and takes over what that has counted");
    let fix = demo.build("fix-2")?;
    demo.load(&fix)?;
    asker.shows("GET password", "VALUE secret")?;
    let now = asker.misses()?;
    ensure!(
        now >= misses,
        "{misses} misses were counted, now there are {now}"
    );
    demo.ctl(&["list", "--pid", &demo.pid])?;

    super::title("and back");
    demo.ctl(&["unload", "words-fix-2", "--pid", &demo.pid])?;
    demo.ctl(&["unload", "words-fix-1", "--pid", &demo.pid])?;
    asker.shows("GET pass", "VALUE secret")?;
    let answers = clients.end()?;
    ensure!(answers > 0, "the clients got no answer");
    println!(
        "\n{answers} requests were answered meanwhile, all of them right; done in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    println!("demo: ok");
    Ok(())
}

struct Demo {
    lp_build: PathBuf,
    lp_ctl: PathBuf,
    folder: PathBuf,
    example: PathBuf,
    binary: PathBuf,
    pid: String,
}

impl Demo {
    /// The patch of a fix, from two trees.
    fn build(&self, fix: &str) -> Result<PathBuf> {
        let orig = self.folder.join("orig");
        if !orig.exists() {
            copy(&self.example, &orig)?;
        }
        let patched = copy(&self.example, &self.folder.join(fix))?;
        let patch = self.example.join(fix).join("fix.patch");
        let mut apply = Command::new("patch");
        apply.args(["--strip=1", "--silent", "--directory"]);
        command::quiet(apply.arg(&patched).arg("--input").arg(&patch))?;
        let output = self.folder.join(format!("words-{fix}.lp"));
        let mut build = Command::new(&self.lp_build);
        build.current_dir(paths::workspace()).arg("process");
        for (option, path) in [("--orig", &orig), ("--patched", &patched)] {
            build.arg(option).arg(short(path));
        }
        build
            .args(["--build", "make", "--binary"])
            .arg(short(&self.binary));
        let described = self.example.join(fix).join("livepatch.toml");
        build.arg("--describe").arg(short(&described));
        build.arg("-o").arg(short(&output));
        println!("$ {}", command::line(&build));
        command::run(&mut build)?;
        Ok(output)
    }

    /// Nobody signs what a demonstration has just built.
    fn load(&self, fix: &Path) -> Result<()> {
        let fix = fix.display().to_string();
        self.ctl(&["load", &fix, "--allow-unsigned", "--pid", &self.pid])
    }

    fn ctl(&self, words: &[&str]) -> Result<()> {
        let mut ctl = Command::new(&self.lp_ctl);
        ctl.args(words);
        let shown = words
            .iter()
            .map(|word| short(Path::new(word)).display().to_string());
        println!("$ lp-ctl {}", shown.collect::<Vec<_>>().join(" "));
        command::run(&mut ctl)
    }
}

/// Without what is this machine's alone.
fn short(path: &Path) -> PathBuf {
    crate::patch_build::relative(path)
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    command::quiet(Command::new("cp").arg("--archive").arg(from).arg(to))?;
    Ok(to.to_path_buf())
}

/// A child that ends with us.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Server {
    child: Held,
    port: u16,
}

impl Server {
    fn start(binary: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Held(command.spawn().context("start the server")?);
        let out = child.0.stdout.take().context("the server's output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        print!("{line}");
        let port = line.trim_end().rsplit(':').next();
        let port = port.and_then(|port| port.parse().ok());
        Ok(Self {
            child,
            port: port.with_context(|| format!("no port in '{line}'"))?,
        })
    }
}

/// A connection to the server.
struct Asker {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Asker {
    fn connect(port: u16) -> Result<Self> {
        let to = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        to.set_nodelay(true)?;
        to.set_read_timeout(Some(ANSWER))?;
        let from = BufReader::new(to.try_clone()?);
        Ok(Self { to, from })
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        self.to.write_all(format!("{question}\n").as_bytes())?;
        let mut line = String::new();
        self.from.read_line(&mut line).context("no answer")?;
        ensure!(line.ends_with('\n'), "the connection was closed");
        Ok(line.trim_end().to_owned())
    }

    /// Asks for people to see; the answer must be this.
    fn shows(&mut self, question: &str, expected: &str) -> Result<()> {
        let answer = self.ask(question)?;
        println!("  {question:<22} {answer}");
        ensure!(answer == expected, "expected '{expected}'");
        Ok(())
    }

    /// What `STAT` says of keys that were not there.
    fn misses(&mut self) -> Result<u64> {
        let answer = self.ask("STAT")?;
        println!("  {:<22} {answer}", "STAT");
        let mut words = answer.split(' ').skip_while(|word| *word != "misses");
        let count = words.nth(1).and_then(|word| word.parse().ok());
        count.with_context(|| format!("STAT says '{answer}'"))
    }
}

/// Clients that ask without a pause.
struct Clients {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<u64>>>,
}

impl Clients {
    fn start(port: u16) -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let one = |number| {
            let mut asker = Asker::connect(port)?;
            let until = Arc::clone(&end);
            Ok(std::thread::spawn(move || {
                ask_until(&mut asker, number, &until)
            }))
        };
        let threads = (0..CLIENTS).map(one).collect::<Result<_>>()?;
        Ok(Self { end, threads })
    }

    /// How many answers they got; an error if one was wrong.
    fn end(self) -> Result<u64> {
        self.end.store(true, Ordering::Relaxed);
        let mut answers = 0;
        for thread in self.threads {
            match thread.join() {
                Ok(counted) => answers += counted?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(answers)
    }
}

fn ask_until(asker: &mut Asker, number: usize, until: &AtomicBool) -> Result<u64> {
    let mut answers = 0;
    while !until.load(Ordering::Relaxed) {
        let value = answers % 1000;
        for (question, expected) in [
            ("PING".to_owned(), "PONG".to_owned()),
            (format!("SET client{number} {value}"), "OK".to_owned()),
            (format!("GET client{number}"), format!("VALUE {value}")),
        ] {
            let answer = asker.ask(&question)?;
            ensure!(
                answer == expected,
                "'{question}' was answered by '{answer}' instead of '{expected}'"
            );
            answers += 1;
        }
    }
    Ok(answers)
}
