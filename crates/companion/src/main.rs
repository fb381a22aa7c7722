//! castmatch-companion.

fn main() {}
