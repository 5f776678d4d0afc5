//! What is read of a process before it is touched.

mod images;
mod maps;
mod patch_file;
mod relocate;
mod resolve;
