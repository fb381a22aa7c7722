//! Databases that are not encoded in UTF-8: the vector types work, embedding says why it does not.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{fails_with, run, value};
use postgres::error::SqlState;

#[test]
fn other_encodings_have_vectors_but_no_embedding() {
    let cluster = Cluster::start(&Options::default());
    let admin = &mut cluster.connect("postgres", "postgres");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("in_{}", encoding.to_lowercase());
        run(
            admin,
            &format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            ),
        );
        let client = &mut cluster.connect(&name, "postgres");
        run(client, "CREATE EXTENSION castmatch");
        assert_eq!(value::<f64>(client, "SELECT '[3,4]'::vector <-> '[0,0]'"), 5.0);
        assert_eq!(
            value::<String>(
                client,
                "SELECT avg(v)::text FROM (VALUES ('[1,2]'::vector), ('[3,4]')) t (v)"
            ),
            "[2,3]"
        );
        run(client, "CREATE TABLE talents (id bigint PRIMARY KEY, bio text)");
        for sql in [
            "SELECT castmatch.embed('x')",
            "SELECT castmatch.embed_batch('{x}')",
            "SELECT castmatch.attach('talents', '{bio}')",
        ] {
            let error = fails_with(client, &SqlState::FEATURE_NOT_SUPPORTED, sql);
            let said = format!("{} {:?}", error.message(), error.detail());
            assert!(said.contains(encoding), "{said}");
        }
        run(
            client,
            "SELECT castmatch.health(); SELECT count(*) FROM castmatch.metrics()",
        );
        run(client, "DROP EXTENSION castmatch");
    }
}
