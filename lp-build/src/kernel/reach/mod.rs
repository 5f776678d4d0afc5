//! What a changed header reaches: who includes it, who says what changed of it, and of whom the preprocessed text differs.

mod comments;
pub mod header_names;
mod header_types;
pub mod include_graph;
pub mod mentions;
pub mod named;
mod pasting;
pub mod preprocess;
pub mod unaffected;
