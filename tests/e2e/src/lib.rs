//! End-to-end tests of castmatch.
