//! Threads that switch one by one, each when its own stack allows it.

mod ctl;
mod ends;
mod killed;
mod mixed;
mod shapes;
mod stacked;
mod support;
