//! The plain run.
