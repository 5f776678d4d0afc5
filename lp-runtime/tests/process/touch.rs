//! What is done to a process.
