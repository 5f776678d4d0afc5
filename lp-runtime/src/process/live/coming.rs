//! The functions of an object that has come, redirected all at once.
//!
//! The core patches such an object function by function, outside of a transition, since the kernel does it before a module's code
//! runs. In a process the object may have run for a while. So nothing is written until the last patch that has the object
//! comes to its last function; then all threads are stopped and looked at, as for a whole patch. One that stays inside makes that
//! last function fail (EBUSY), and the core takes back what it did, with its callbacks, in its order.

use std::time::{Duration, Instant};

use lp_klp::errno::Errno;
use lp_klp::name::ObjName;
use lp_klp::patch::{PatchId, Version};
use lp_klp::transition::PatchState;

use super::Live;
use crate::process::touch::check::Busy;

/// The wait for busy threads, at first; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// An object that is being patched.
#[derive(Debug)]
pub(in crate::process) struct Coming {
    /// The newest patch that has it.
    last: PatchId,
    /// How many of its functions are left.
    left: usize,
    deadline: Instant,
    /// Sites whose stacks have changed.
    sites: Vec<u64>,
    /// Whether the jumps are written.
    written: bool,
}

impl Live<'_, '_> {
    /// From now on functions that the core patches are those of this object.
    pub(in crate::process) fn begin_coming(&mut self, object: &ObjName, timeout: Duration) {
        let mut having = self.patches.iter().rev();
        let last = having.find_map(|(id, of)| Some((*id, *of.functions.get(object)?)));
        let (last, left) = last.unwrap_or((PatchId(0), 0));
        self.coming = Some(Coming {
            last,
            left,
            deadline: Instant::now() + timeout,
            sites: Vec::new(),
            written: false,
        });
    }

    /// The core has patched a function of the object; `top` is its version.
    pub(super) fn patched_coming(&mut self, site: u64, top: Option<&Version>) -> Result<(), Errno> {
        let Some(coming) = &mut self.coming else {
            return Ok(());
        };
        coming.sites.push(site);
        let is_last = matches!(top, Some(Version::Patched(func)) if func.patch == coming.last);
        coming.left = coming.left.saturating_sub(usize::from(is_last));
        if is_last && coming.left == 0 {
            self.redirect_coming()
        } else {
            Ok(())
        }
    }

    /// Writes the jumps of the object, unless that was done; EBUSY where threads stay inside.
    pub(in crate::process) fn redirect_coming(&mut self) -> Result<(), Errno> {
        let Some(coming) = self.coming.as_mut().filter(|it| !it.written) else {
            return Ok(());
        };
        let deadline = coming.deadline;
        let mut sites = std::mem::take(&mut coming.sites);
        sites.sort_unstable();
        sites.dedup();
        let active = |site: &u64| Some((*site, self.sites.get(site)?.active));
        let leaving: Vec<(u64, Version)> = sites.iter().filter_map(active).collect();
        let busy = Busy::new(self.busy(&leaving));
        if let Err(error) = self.announce(&leaving) {
            self.keep(error);
            return Err(Errno::EBUSY);
        }
        let mut pause = FIRST_WAIT;
        while !self.is_free(&busy) {
            if self.fault.is_some() || Instant::now() >= deadline {
                return Err(Errno::EBUSY);
            }
            if let Err(error) = self.wait(pause) {
                self.keep(error);
                return Err(Errno::EBUSY);
            }
            pause = (2 * pause).min(LONGEST_WAIT);
        }
        self.stopped = false;
        self.leaving = leaving;
        let written = self.write(PatchState::Patched);
        self.go_on();
        if let Err(error) = written {
            self.keep(error);
            return Err(Errno::EBUSY);
        }
        if let Some(coming) = &mut self.coming {
            coming.written = true;
        }
        Ok(())
    }
}
