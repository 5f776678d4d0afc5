//! What the guest tells the host: lines on the second serial port.
//!
//! Not on the console: the kernel writes there whenever it likes, also into the middle of our lines. A line is `VERDICT NAME ok (..)`,
//! `VERDICT NAME FAIL reason`, `DONE COUNT`, `ERROR reason`, or starts with two spaces and tells a step.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

/// The port that the host reads.
const PORT: &str = "/dev/ttyS1";

/// The way to the host.
#[derive(Debug)]
pub struct Report {
    port: File,
}

impl Report {
    /// Opens the port.
    pub fn open() -> Result<Self> {
        let port = OpenOptions::new()
            .read(true)
            .write(true)
            .open(PORT)
            .with_context(|| format!("open {PORT}"))?;
        Ok(Self { port })
    }

    /// Tells a step of a job.
    pub fn step(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("  {line}"));
        }
    }

    /// Gives the one verdict of a job.
    pub fn verdict(&mut self, name: &str, verdict: &Result<String>, took: Duration) {
        let took = took.as_secs_f64();
        match verdict {
            Ok(detail) => self.line(&format!("VERDICT {name} ok ({detail}; {took:.1} s in all)")),
            Err(error) => {
                let reason = format!("{error:#}").replace('\n', " | ");
                self.line(&format!("VERDICT {name} FAIL {reason}"));
            }
        }
    }

    /// Writes a line as it is.
    pub fn line(&mut self, text: &str) {
        // A host that no longer listens cannot be told so either.
        let _ = writeln!(self.port, "{text}");
    }

    /// Waits until all has been sent; the power goes off after this.
    pub fn finish(&mut self) {
        let _ = rustix::termios::tcdrain(&self.port);
    }
}
