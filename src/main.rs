//! The command line of tapegate.

fn main() {}
