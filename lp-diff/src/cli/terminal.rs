//! What is on the other side of stdout: its width, its colours, and a pager where a person looks on.

use super::options::Color;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Characters of a line where nothing says how many there are.
const WIDTH: usize = 100;

/// Characters of a line: what COLUMNS says, or the terminal.
pub(super) fn width() -> usize {
    let said = env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| *columns > 0);
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    said.or_else(asked).unwrap_or(WIDTH)
}

/// Whether to use colours (`NO_COLOR`: no-color.org).
pub(super) fn color(wish: Color) -> bool {
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
            !refused && !dumb && io::stdout().is_terminal()
        }
    }
}

/// Writes text to stdout; on a terminal through PAGER, or `less` where it is not set, as git does. Who stops reading
/// has seen enough.
pub(super) fn page(text: &[u8]) -> io::Result<()> {
    let pager = env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    if io::stdout().is_terminal() && !matches!(pager.as_str(), "" | "cat") && paged(&pager, text) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    enough(out.write_all(text).and_then(|()| out.flush()))
}

/// Whether the pager took the text.
fn paged(pager: &str, text: &[u8]) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // Quit if it fits, keep colours, leave the text on the screen.
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| {
        enough(stdin.write_all(text).and_then(|()| stdin.flush()))
    });
    // 127 is the shell's word for a command that is not there (POSIX sh).
    let status = child.wait();
    written.is_ok() && status.is_ok_and(|status| status.code() != Some(127))
}

fn enough(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
