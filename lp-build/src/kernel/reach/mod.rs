//! What a changed header reaches: who includes it, who says what changed of it, and of whom the preprocessed text differs.

pub mod header_names;
mod header_types;
pub mod include_graph;
pub mod mentions;
pub mod named;
pub mod preprocess;
pub mod unaffected;
