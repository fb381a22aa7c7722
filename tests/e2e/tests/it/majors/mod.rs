//! From one major version of PostgreSQL to another: binary COPY, dumps, pg_upgrade, logical replication. These tests need a server of each
//! version with castmatch in it, see scripts/test.sh, stage majors.

mod copy;
mod dump;
mod elsewhere;
mod reads;
mod replicate;
mod rows;
mod upgrade;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::place::Place;
use castmatch_e2e::query::run;
use postgres::Client;

/// The versions that there is a server of, ascending.
const MAJORS: [u32; 3] = [15, 16, 18];

/// A running cluster of a version.
fn cluster(major: u32, options: &Options) -> Cluster {
    Cluster::start_in(Place::of_major(major), options)
}

/// Takes the numbers away that minor releases of late 2026 give to columns, as an option of each. Older releases of later versions, of
/// which the tests' servers may be, dump that option and refuse it.
fn forget_column_versions(client: &mut Client) {
    run(
        client,
        "UPDATE pg_attribute SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%')
         WHERE attoptions::text LIKE '%pg_attver=%'",
    );
}
