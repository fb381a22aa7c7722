//! castmatch-bench.

fn main() {}
