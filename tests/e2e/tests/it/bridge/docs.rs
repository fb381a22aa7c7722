//! The statements of docs/pgvector.md run, in the order of the page.

use std::process::Command;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::index_docs::{page, statements_in};

/// The part of the page below a heading, up to the next.
fn section(heading: &str) -> String {
    let text = page("pgvector");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

fn before_the_first_heading() -> String {
    page("pgvector").split("\n## ").next().unwrap().to_owned()
}

fn run_all(client: &mut Client, part: &str) {
    let statements = statements_in(part);
    assert!(!statements.is_empty(), "{part}");
    for sql in &statements {
        run(client, sql);
    }
}

#[test]
fn the_three_ways_follow_each_other() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.plain_database("app");
    let table =
        "SELECT relfilenode FROM pg_class WHERE relname IN ('items', 'items_castmatch') ORDER BY relname";
    run_all(client, &before_the_first_heading());
    run_all(client, &section("Beside pgvector"));
    let nearest = "SELECT id FROM items ORDER BY embedding <=> castmatch.embed('item 7') LIMIT 1";
    assert_eq!(column::<i64>(client, nearest), [7]);
    let before = column::<u32>(client, table);
    run_all(client, &section("Over to castmatch's types"));
    assert_eq!(
        column::<u32>(client, table),
        before,
        "the table and the index are not written anew"
    );
    assert_eq!(column::<i64>(client, nearest), [7]);
    run_all(client, &section("castmatch alone"));
    assert_eq!(column::<i64>(client, nearest), [7]);
    // As a new session sees it.
    let client = &mut cluster.connect("app", "postgres");
    assert_eq!(column::<i64>(client, nearest), [7]);
    assert_eq!(
        value::<String>(
            client,
            "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension"
        ),
        "castmatch plpgsql"
    );
}

#[test]
fn vectors_move_into_their_rows() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut super::bridged(&cluster, "storage");
    run(
        client,
        "CREATE TABLE items (id integer, embedding vector(700));
         INSERT INTO items SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 700) j)::vector FROM generate_series(1, 100) i",
    );
    let outside = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'items'::regclass";
    assert!(value::<i64>(client, outside) > 0);
    let part = section("Beside pgvector");
    let moving: Vec<String> = statements_in(&part)
        .into_iter()
        .filter(|sql| sql.contains("STORAGE") || sql.contains("VACUUM"))
        .collect();
    assert_eq!(moving.len(), 2);
    for sql in &moving {
        run(client, sql);
    }
    assert_eq!(value::<i64>(client, outside), 0);
}

#[test]
fn a_dump_leads_to_castmatch_alone() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.plain_database("app");
    run_all(client, &before_the_first_heading());
    run(
        client,
        "CREATE INDEX items_lists ON items USING ivfflat (embedding vector_ip_ops) WITH (lists = 20)",
    );
    let part = section("castmatch alone");
    let console = part
        .split("```console\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let commands: Vec<&str> = console
        .lines()
        .map(|line| line.strip_prefix("$ ").unwrap())
        .collect();
    assert_eq!(commands.len(), 5);
    let binaries = &cluster.place().binaries;
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    for command in commands {
        let done = Command::new("bash")
            .args(["-o", "pipefail", "-c", command])
            .env("PATH", &path)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", cluster.port.to_string())
            .env("PGUSER", "postgres")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command}: {said}");
    }
    let old = client;
    let client = &mut cluster.connect("app_new", "postgres");
    let definitions: Vec<String> = column(
        client,
        "SELECT split_part(indexdef, ' USING ', 2) FROM pg_indexes WHERE tablename = 'items' AND indexname <> 'items_pkey' ORDER BY indexname",
    );
    assert_eq!(
        definitions,
        [
            "castmatch_hnsw (embedding vector_cosine_ops)",
            "castmatch_ivf (embedding vector_ip_ops) WITH (lists='20')"
        ]
    );
    let every = "SELECT md5(string_agg(embedding::text, ' ' ORDER BY id)) FROM items";
    assert_eq!(value::<String>(client, every), value::<String>(old, every));
    assert_eq!(
        value::<i64>(
            client,
            "SELECT count(*) FROM pg_extension WHERE extname = 'vector'"
        ),
        0
    );
}

#[test]
fn pgvector_can_come_second() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("second");
    let error = fails_with(client, &SqlState::DUPLICATE_OBJECT, "CREATE EXTENSION vector");
    let part = section("pgvector comes second");
    assert!(part.contains(error.message()), "{error}");
    run_all(client, &part);
}
