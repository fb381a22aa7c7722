//! The inverted file over memory.
