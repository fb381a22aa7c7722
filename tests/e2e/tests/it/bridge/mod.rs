//! castmatch beside pgvector in one database, and the extension castmatch_pgvector between them. The server must have pgvector.

mod casts;
mod docs;
mod extension;
mod index;
mod matching;
mod older;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::run;
use postgres::Client;

/// Schema of castmatch's types where pgvector's are in `public`.
const OWN: &str = "castmatch_types";

/// A session of the superuser in a new database with pgvector, and castmatch's types in a schema that is not searched.
fn apart(cluster: &Cluster, name: &str) -> Client {
    let mut client = cluster.plain_database(name);
    run(
        &mut client,
        &format!(
            "CREATE EXTENSION vector; CREATE SCHEMA {OWN}; GRANT USAGE ON SCHEMA {OWN} TO PUBLIC; CREATE EXTENSION castmatch SCHEMA {OWN}"
        ),
    );
    client
}

/// The same with the bridge.
fn bridged(cluster: &Cluster, name: &str) -> Client {
    let mut client = apart(cluster, name);
    run(&mut client, "CREATE EXTENSION castmatch_pgvector");
    client
}
