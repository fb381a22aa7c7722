//! From one major version of PostgreSQL to another: binary COPY, dumps, pg_upgrade, logical replication. These tests need a server of each
//! version with castmatch in it, see scripts/test.sh, stage majors.

mod copy;
mod dump;
mod replicate;
mod rows;
mod upgrade;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::place::Place;

/// The versions that there is a server of, ascending.
const MAJORS: [u32; 3] = [15, 16, 18];

/// A running cluster of a version.
fn cluster(major: u32, options: &Options) -> Cluster {
    Cluster::start_in(Place::of_major(major), options)
}
