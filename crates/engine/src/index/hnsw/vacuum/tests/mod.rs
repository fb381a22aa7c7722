//! Tests of vacuum over pages in memory.

mod fixture;
mod recall;
