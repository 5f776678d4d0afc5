//! Who has not switched, and why: for people and for programs.

use serde::Serialize;

use super::drive::with_transition;
use crate::process::error::ProcessError;
use crate::process::kept::control::Contents;
use crate::process::read::images::Images;
use crate::process::session::{View, Work};
use crate::process::touch::check::{BusyThread, InTheWay};
use crate::process::touch::threads::{Tid, task};
use crate::process::touch::unwind::Frame;

/// How many frames are told of a stack.
const FRAMES: usize = 32;

/// The transition that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Underway {
    /// The patch.
    pub name: String,
    /// Whether threads go to it.
    pub patched: bool,
    /// All threads have switched; the next load or unload takes the trampolines away.
    pub ended: bool,
    /// It was forced.
    pub forced: bool,
    /// Who has not switched, and could not now.
    pub left: Vec<Left>,
}

/// A thread that has not switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its number.
    pub tid: Tid,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// What it is inside of, or why that is not known.
    pub why: String,
    /// Its stack, innermost call first.
    pub frames: Vec<String>,
}

/// Looks at all stacks; no thread is switched.
pub(in crate::process) fn status(
    work: Work<'_, '_>,
    view: &mut View,
) -> Result<Underway, ProcessError> {
    let pid = work.threads.pid();
    let (contents, mut threads) = (view.contents(), Vec::new());
    let mut underway = with_transition(work, view, |klp, transition| {
        klp.holding_up();
        klp.target.go_on();
        threads = std::mem::take(&mut klp.target.left);
        if let Some(fault) = klp.target.live.fault.take() {
            return Err(fault);
        }
        Ok(Underway {
            name: transition.patch.clone(),
            patched: transition.patched,
            ended: transition.ended,
            forced: transition.forced,
            left: Vec::new(),
        })
    })?;
    let left = threads
        .iter()
        .map(|it| left(pid, &view.images, &contents, it));
    underway.left = left.collect();
    Ok(underway)
}

fn left(pid: i32, images: &Images, contents: &Contents, thread: &BusyThread) -> Left {
    let (why, frames): (String, &[Frame]) = match &thread.why {
        InTheWay::Began => ("another thread has just begun".into(), &[]),
        InTheWay::Inside {
            function, frames, ..
        } => (format!("inside {function}"), frames),
        InTheWay::Unreliable { stack, .. } => (stack.to_string(), &stack.frames),
    };
    let frames = frames
        .iter()
        .take(FRAMES)
        .map(|frame| place(images, contents, frame));
    Left {
        tid: thread.tid,
        name: task::stat(pid, thread.tid).map_or_else(String::new, |(name, _)| name),
        why,
        frames: frames.collect(),
    }
}

/// `function+0x12 in object`, as far as it is known.
fn place(images: &Images, contents: &Contents, frame: &Frame) -> String {
    let at = frame.inside();
    for patch in &contents.patches {
        let mut areas = patch.areas.iter();
        if areas.any(|area| at.wrapping_sub(area.address) < area.size) {
            return format!("{:#x} in patch {}", frame.pc, patch.name);
        }
    }
    let Some(image) = images.at(at) else {
        return format!("{:#x}", frame.pc);
    };
    let value = at.wrapping_sub(image.bias);
    let symbols = image.symbols().ok();
    let found = symbols.and_then(|symbols| {
        /// No function is larger that a person would look for.
        const LARGEST: u64 = 1 << 20;
        let range = value.saturating_sub(LARGEST)..value.saturating_add(1);
        let function = symbols.functions_in(range).last()?;
        let inside = value - function.value < function.size.max(1);
        let name = String::from_utf8_lossy(symbols.name(function)).into_owned();
        inside.then(|| {
            format!(
                "{name}+{:#x}",
                frame.pc.wrapping_sub(image.address(function.value))
            )
        })
    });
    match found {
        Some(function) => format!("{function} in {}", image.name),
        None => format!("{:#x} in {}", frame.pc, image.name),
    }
}
