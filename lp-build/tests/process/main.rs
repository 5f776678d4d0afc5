//! `lp-build process` on small C projects: each is built by its own Makefile, once as what runs and once under the
//! shims, and the patch is read by a reader that is not ours.

mod author;
mod build;
mod code;
mod entries;
mod headers;
mod lab;
mod lineage;
mod rebuild;
mod several;
mod stripped;
