//! The kernel's log, from a moment on: `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).
//!
//! An errno says *that* the kernel refused, its log says *why*. The file is opened before the operation and placed at its
//! end, so that what is read later is what was written since; comparing time stamps instead would take the lines of an
//! earlier attempt for ours. Without the right to read it there is simply no log: no reason to fail.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

use rustix::fs::{Mode, OFlags};

use super::host::Host;

/// The longest record the kernel hands out (`PRINTK_MESSAGE_MAX` is 2048 in 6.1, `CONSOLE_EXT_LOG_MAX` 8192 before).
const RECORD: usize = 8192;

/// A place in the kernel log, taken before an operation.
#[derive(Debug)]
pub struct Mark {
    kmsg: Option<File>,
}

impl Mark {
    /// The end of the log as it is now.
    pub fn now(host: &Host) -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(host.kmsg(), flags, Mode::empty()).map(File::from);
        let kmsg = file
            .ok()
            .and_then(|mut file| file.seek(SeekFrom::End(0)).ok().map(|_| file));
        Self { kmsg }
    }

    /// All lines written since the mark was made, or since this was last called.
    pub fn lines(&mut self) -> Vec<String> {
        let Some(file) = &mut self.kmsg else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let mut record = vec![0; RECORD];
        loop {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => lines.extend(record.get(..length).and_then(message)),
                // EPIPE: records were overwritten before we came; the next read goes on with the oldest left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines
    }

    /// The lines since the mark that speak of livepatching or of this module. That it taints the kernel is left out: every patch
    /// does, and it explains nothing.
    pub fn lines_about(&mut self, module: &str) -> Vec<String> {
        let about = |line: &String| line.contains("livepatch") || line.contains(module);
        let taints =
            |line: &String| line.contains("taints kernel") || line.contains("tainting kernel");
        self.lines()
            .into_iter()
            .filter(|line| about(line) && !taints(line))
            .collect()
    }
}

/// The text of one record: `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, then lines of ` KEY=VALUE` that are left away.
fn message(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (_, text) = text.split_once(';')?;
    Some(text.lines().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_is_reduced_to_its_text() {
        let record = b"6,339,5140900,-;livepatch: enabling patch 'fix'\n SUBSYSTEM=module\n";
        assert_eq!(
            super::message(record).as_deref(),
            Some("livepatch: enabling patch 'fix'")
        );
        assert_eq!(super::message(b"no separator"), None);
    }
}
