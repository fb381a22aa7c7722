//! The parts of castmatch that need no PostgreSQL.
