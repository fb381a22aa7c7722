//! Pages in memory, for tests.

/// Pages in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage {}
