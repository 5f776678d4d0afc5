//! The time between two looks at a thread that has not stopped yet.
//!
//! At first there is none: on another processor it stops within microseconds. Then it grows. The tempting wrong way is
//! `sched_yield`, which on a busy machine gives this processor away for milliseconds, with the whole target standing still.

use std::num::NonZeroU64;
use std::time::Duration;

/// Looks without any pause; one takes less than a microsecond.
const EAGER: u32 = 60;

/// The first pause, and the longest.
const SHORT: Duration = Duration::from_micros(10);
const LONG: Duration = Duration::from_micros(500);

/// Pauses that grow.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    turns: u32,
    length: Duration,
}

impl Pause {
    /// Waits a little longer than the last time, and says whether it has become long: then something may be wrong.
    pub(crate) fn rest(&mut self) -> bool {
        self.turns = self.turns.saturating_add(1);
        if self.turns <= EAGER {
            std::hint::spin_loop();
            return false;
        }
        self.length = (self.length * 5 / 4).clamp(SHORT, LONG);
        std::thread::sleep(self.length);
        self.length == LONG
    }
}

/// Lets this thread sleep for as long as it asks for, and not 50 us longer; and puts it before others that run: while it waits
/// for its turn, the whole target stands.
pub(super) fn be_exact() {
    // Without either all is slower, and nothing else. To the kernel "this process" is this thread.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let _ = rustix::process::setpriority_process(None, -20);
}
