//! Tables of every kind, attached in every way: partitions, keys of several columns, rows embedded as they are written, renames.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::method::Method;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::setting::{TALENTS, attached_talents, best_match, missing, out_of_step, queued, sync};

/// A partitioned table with a key of two columns, one partition with its columns in another order.
const PARTED: &str = "
    CREATE TABLE parted (region text, id integer, bio text, age integer, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
    CREATE TABLE north PARTITION OF parted FOR VALUES IN ('north');
    CREATE TABLE south (bio text, age integer, id integer NOT NULL, region text NOT NULL);
    ALTER TABLE parted ATTACH PARTITION south FOR VALUES IN ('south');
    INSERT INTO parted VALUES ('north', 1, 'A stern police inspector who rides horses', 45), ('south', 1, 'A warm mother who loves to cook', 41),
        ('south', 2, 'A classical dancer', 28);";

fn objects_left(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT tgname::text FROM pg_trigger WHERE tgname ~ 'castmatch' AND tgrelid::regclass::text !~ 'castmatch'
         UNION ALL SELECT indexrelid::regclass::text FROM pg_index WHERE pg_get_indexdef(indexrelid) ~ 'castmatch' AND indrelid::regclass::text !~ 'castmatch'
         UNION ALL SELECT 'registration' FROM castmatch.registrations UNION ALL SELECT 'progress' FROM castmatch.progress
         UNION ALL SELECT 'queue' FROM castmatch.queue",
    )
}

#[test]
fn a_partitioned_table_is_one_table() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("parted");
    run(client, PARTED);
    run(
        client,
        "SELECT castmatch.attach('parted', '{bio}', filters => '{age}')",
    );
    sync(client, "parted");
    let best = |client: &mut Client, query| best_match(client, "parted", query, "hybrid");
    assert_eq!(
        best(client, "policeman on a horse").as_deref(),
        Some(r#"["north","1"]"#)
    );
    assert_eq!(
        best(client, "mother in the kitchen").as_deref(),
        Some(r#"["south","1"]"#)
    );

    // Written through the table or to a partition, moved between partitions, a partition that comes, goes, or is emptied.
    run(
        client,
        "INSERT INTO south (id, region, bio, age) VALUES (3, 'south', 'A juggler with torches', 20);
         INSERT INTO parted VALUES ('north', 4, 'A stunt driver', 30);
         CREATE TABLE west (LIKE parted); INSERT INTO west VALUES ('west', 9, 'An opera singer', 50);
         ALTER TABLE parted ATTACH PARTITION west FOR VALUES IN ('west');
         UPDATE parted SET bio = 'A retired judge' WHERE region = 'south' AND id = 2",
    );
    sync(client, "parted");
    assert_eq!(best(client, "juggling").as_deref(), Some(r#"["south","3"]"#));
    assert_eq!(best(client, "car chase").as_deref(), Some(r#"["north","4"]"#));
    assert_eq!(best(client, "court of law").as_deref(), Some(r#"["south","2"]"#));
    assert_eq!(
        best(client, "opera singer").as_deref(),
        Some(r#"["west","9"]"#),
        "what a partition brought along"
    );
    run(
        client,
        "UPDATE parted SET region = 'north' WHERE region = 'south' AND id = 3",
    );
    sync(client, "parted");
    assert_eq!(best(client, "juggling").as_deref(), Some(r#"["north","3"]"#));
    run(client, "TRUNCATE north");
    assert_ne!(best(client, "juggling").as_deref(), Some(r#"["north","3"]"#));
    run(client, "ALTER TABLE parted DETACH PARTITION west");
    assert_ne!(best(client, "opera singer").as_deref(), Some(r#"["west","9"]"#));
    let filtered: Vec<String> = column(
        client,
        "SELECT key FROM castmatch.match('parted', 'anybody', filter => '{\"age\": {\"lt\": 42}}') ORDER BY key",
    );
    assert_eq!(filtered, [r#"["south","1"]"#, r#"["south","2"]"#]);

    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.attach('south', '{bio}')",
    );
    assert_eq!(
        error.message(),
        "table \"south\" cannot be attached while \"parted\" is"
    );
    run(
        client,
        "DROP TABLE west; SELECT castmatch.detach('parted', drop_embedding => true)",
    );
    assert_eq!(objects_left(client), [""; 0]);
    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.attach('south', '{bio}')",
    );
    assert!(
        error
            .hint()
            .unwrap_or_default()
            .contains("ALTER TABLE \"parted\" ADD COLUMN"),
        "{error:?}"
    );
    run(
        client,
        "ALTER TABLE parted ADD COLUMN embedding vector(384); SELECT castmatch.attach('south', '{bio}', key => '{region,id}')",
    );
    sync(client, "south");
    assert_eq!(
        best_match(client, "south", "court of law", "semantic").as_deref(),
        Some(r#"["south","2"]"#)
    );
}

#[test]
fn keys_of_any_type_and_number_name_their_rows() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("keys");
    run(
        client,
        r#"CREATE TYPE colour AS ENUM ('red', 'green');
           CREATE DOMAIN code AS varchar(20) CHECK (value <> '');
           CREATE TABLE one (at timestamptz PRIMARY KEY, bio text);
           INSERT INTO one VALUES ('2026-01-02 03:04:05.678901+00', 'A dancer'), ('1999-12-31 23:59:59+05:30', 'A judge');
           CREATE TABLE many (c colour, d date, n numeric(8,3), k code, u uuid, bio text, PRIMARY KEY (c, d, n, k, u));
           INSERT INTO many VALUES ('red', '2026-02-01', 1.500, 'a "b" \ {c}', '00000000-0000-0000-0000-000000000001', 'A dancer'),
               ('green', '2026-02-01', 1.500, 'x,y', '00000000-0000-0000-0000-000000000002', 'A judge');"#,
    );
    // Whatever the session's settings say about dates.
    run(
        client,
        "SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata'",
    );
    for table in ["one", "many"] {
        run(client, &format!("SELECT castmatch.attach('{table}', '{{bio}}')"));
        run(
            client,
            &format!("INSERT INTO {table} SELECT * FROM {table} WHERE false"),
        );
        sync(client, table);
        assert_eq!(out_of_step(client, table, "bio"), 0);
        run(
            client,
            &format!("UPDATE {table} SET bio = 'A singer' WHERE bio = 'A judge'"),
        );
        sync(client, table);
        assert_eq!(out_of_step(client, table, "bio"), 0);
    }
    let found: String = value(
        client,
        "SELECT t.bio FROM castmatch.match('many', 'dancer', 1) m JOIN many t
           ON to_json(ARRAY[t.c::text, t.d::text, t.n::text, t.k::text, t.u::text])::text = m.key",
    );
    assert_eq!(found, "A dancer");
    assert_eq!(
        best_match(client, "one", "singer", "text").as_deref(),
        Some("31/12/1999 23:59:59 IST")
    );
}

#[test]
fn rows_embedded_as_they_are_written_have_their_vector_in_the_same_transaction() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("live");
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', embed_mode => 'live')",
    );
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0, "rows from before");
    run(
        client,
        "BEGIN; INSERT INTO talents VALUES (6, 'A juggler'), (7, NULL), (8, '  ');
         UPDATE talents SET bio = 'A mime' WHERE id = 1; UPDATE talents SET city = 'Goa'",
    );
    assert_eq!(
        (queued(client), out_of_step(client, "talents", "bio")),
        (0, 0),
        "before the commit"
    );
    assert_eq!(
        best_match(client, "talents", "juggling", "semantic").as_deref(),
        Some("6")
    );
    run(client, "ROLLBACK");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    // The application's own vector stays until the text changes.
    run(
        client,
        "UPDATE talents SET embedding = castmatch.embed('something else') WHERE id = 2",
    );
    assert_eq!(out_of_step(client, "talents", "bio"), 1);
    run(client, "UPDATE talents SET bio = bio || '!' WHERE id = 2");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    run(
        client,
        "SELECT castmatch.detach('talents', drop_embedding => true)",
    );
    assert_eq!(objects_left(client), [""; 0]);
}

#[test]
fn renames_are_followed_and_needed_columns_stay() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("renames");
    run(client, "CREATE SCHEMA elsewhere");
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', filters => '{age}')",
    );
    sync(client, "talents");
    run(
        client,
        "ALTER TABLE talents RENAME bio TO biography; ALTER TABLE talents RENAME age TO years; ALTER TABLE talents RENAME id TO \"the Id\";
         ALTER TABLE talents RENAME embedding TO vec; ALTER TABLE talents RENAME TO people; ALTER TABLE people SET SCHEMA elsewhere;
         ALTER SCHEMA elsewhere RENAME TO there; ALTER INDEX there.talents_castmatch_text RENAME TO words",
    );
    run(
        client,
        "SET search_path = there, public; INSERT INTO people VALUES (6, 'A juggler with torches', 'Goa', 33)",
    );
    sync(client, "people");
    assert_eq!((missing_in(client, "vec"), queued(client)), (0, 0));
    for mode in ["hybrid", "semantic", "text"] {
        assert_eq!(
            best_match(client, "people", "juggler", mode).as_deref(),
            Some("6"),
            "{mode}"
        );
    }
    let years: String = value(
        client,
        "SELECT (reasons->'columns')::text FROM castmatch.match('people', 'juggler', 1, filter => '{\"years\": 33}')",
    );
    assert_eq!(years, r#"{"years": 33}"#);
    for needed in ["biography", "years", "vec", "\"the Id\""] {
        let error = fails_with(
            client,
            &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            &format!("ALTER TABLE people DROP COLUMN {needed} CASCADE"),
        );
        assert_eq!(error.hint(), Some("Run castmatch.detach first."));
    }
    run(
        client,
        "ALTER TABLE people DROP COLUMN city; SELECT castmatch.detach('people', drop_embedding => true)",
    );
    assert_eq!(objects_left(client), [""; 0]);
}

fn missing_in(client: &mut Client, column: &str) -> i64 {
    value(
        client,
        &format!("SELECT count(*) FROM people WHERE {column} IS NULL"),
    )
}

#[test]
fn a_large_table_gets_its_index_after_its_rows_are_embedded() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("large");
    run(
        client,
        "CREATE TABLE large (id integer PRIMARY KEY, bio text);
         INSERT INTO large SELECT i, 'part ' || i FROM generate_series(1, 1500) i",
    );
    let indexes = |method: Method| {
        format!(
            "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
             WHERE i.indrelid = 'large'::regclass AND m.amname = '{method}' AND i.indisvalid"
        )
    };
    for method in Method::ALL {
        run(
            client,
            &format!("SELECT castmatch.attach('large', '{{bio}}', index_method => '{method}')"),
        );
        assert_eq!(value::<i64>(client, &indexes(method)), 0, "not before");
        sync(client, "large");
        castmatch_e2e::poll::eventually(crate::setting::SOON, "the index is built", || {
            (value::<i64>(client, &indexes(method)) == 1).then_some(())
        });
        assert_eq!(missing(client, "large"), 0);
        run(client, "SELECT castmatch.detach('large', drop_embedding => true)");
        assert_eq!(objects_left(client), [""; 0]);
    }
    // A small one, and one whose vectors are there, at once.
    attached_talents(client);
    let small = indexes(Method::Hnsw).replace("large", "talents");
    assert_eq!(value::<i64>(client, &small), 1);
}
