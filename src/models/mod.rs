//! Registered models: who may change and use them, how one of a server elsewhere is called, and what that costs.
//!
//! ```text
//! registry (a definition, rights) ─► ready (key, budget: in a transaction) ─► call (the network: with or without one)
//!                                                                              │
//!                                            breaker, ledger, counters ◄───────┘
//! ```
//!
//! The network is spoken to by one thread that never calls PostgreSQL; the backend waits for it on its latch.

mod administration;
pub mod budget;
pub mod call;
pub mod client;
pub mod failure;
pub mod ready;
pub mod registry;
pub mod state;
pub mod usage;

pub use ready::Ready;
