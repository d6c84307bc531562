//! The `natterjack` binary.
fn main() {}
