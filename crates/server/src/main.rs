//! The binary `tally`.

fn main() {}
