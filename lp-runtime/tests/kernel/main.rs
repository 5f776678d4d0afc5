//! The kernel side against folders that look like `/sys` and `/proc`: one test binary, a file per thing that is done.

mod fake;

mod ctl;
mod reading;
mod transitions;
