//! What is read of a process before it is touched.

mod images;
mod maps;
mod patch_file;
mod plan;
mod relocate;
mod resolve;
mod run;
