//! CREATE EXTENSION castmatch where somebody else's types have its names. Those of pgvector are met in `bridge`.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::{fails_with, run, value};
use postgres::error::SqlState;

use crate::index_setting::plain;

#[test]
fn castmatch_says_which_of_its_names_are_taken() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.plain_database("taken");
    run(
        client,
        "CREATE SCHEMA \"My Types\"; CREATE TYPE \"My Types\".halfvec AS ENUM ('x'); CREATE TABLE \"My Types\".vector (id integer);
         CREATE TYPE \"My Types\".another AS ENUM ('x')",
    );
    let error = fails_with(
        client,
        &SqlState::DUPLICATE_OBJECT,
        "CREATE EXTENSION castmatch SCHEMA \"My Types\"",
    );
    assert_eq!(
        error.message(),
        "schema \"My Types\" has types of castmatch's names already: halfvec, vector"
    );
    assert_eq!(error.detail(), Some("Of no extension: halfvec, vector."));
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with("Give castmatch's types a schema of their own: CREATE SCHEMA"),
        "{hint}"
    );
    assert!(!hint.contains("castmatch_pgvector"), "{hint}");
    assert_eq!(
        value::<i64>(
            client,
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'castmatch'"
        ),
        0
    );
    run(client, "CREATE EXTENSION castmatch SCHEMA public");
}
