//! The inverted-file index: vectors in lists, each of those that one centroid is nearest to.

pub mod kmeans;
