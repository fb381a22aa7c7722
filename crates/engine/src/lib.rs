//! The parts of castmatch that need no PostgreSQL: vectors and their kernels, indexes, the embedding model, caches, filters, the fusion of
//! search results, full-text search, the logic of conversations, what is known of models, figures for operations.

pub mod bisect;
pub mod cache;
pub mod chat;
pub mod diversity;
pub mod filter;
pub mod fusion;
pub mod index;
pub mod interrupt;
pub mod kernels;
pub mod maintenance;
pub mod measure;
#[cfg(feature = "model")]
pub mod model;
pub mod model_name;
pub mod options;
pub mod prefer;
pub mod reasons;
pub mod registry;
pub mod request;
pub mod retry;
pub mod shared;
pub mod text;
pub mod usage;
pub mod vector;
