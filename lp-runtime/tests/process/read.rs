//! What is read of a process before it is touched.

mod hostile;
mod images;
mod maps;
mod patch_file;
mod plan;
mod relocate;
mod resolve;
mod run;
