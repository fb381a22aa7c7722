//! Logical replication carries every type between versions, as text and in binary, and the indexes of the subscriber follow.

use castmatch_e2e::cluster::Options;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{run, value};

use super::{cluster, rows};
use crate::setting::{RECOVERY, TALENTS, embedded_by_itself, out_of_step};

const DATABASE: &str = "replicated";

/// Publisher, subscriber, and whether values travel in the types' binary format.
const ROUTES: [(u32, u32, bool); 4] = [(15, 18, false), (16, 18, true), (18, 15, true), (18, 18, true)];

#[test]
fn every_type_is_replicated_to_indexes_that_answer() {
    for (from, to, binary) in ROUTES {
        replicate(from, to, binary);
    }
}

fn replicate(from: u32, to: u32, binary: bool) {
    let route = format!("{from} to {to}, binary: {binary}");
    let source = cluster(
        from,
        &Options {
            settings: vec![("wal_level", "logical".to_owned())],
            ..Options::default()
        },
    );
    let target = cluster(to, &Options::default());
    let (publisher, subscriber) = (
        &mut source.plain_database(DATABASE),
        &mut target.plain_database(DATABASE),
    );
    for client in [&mut *publisher, &mut *subscriber] {
        rows::create(client);
    }
    rows::index(subscriber);
    // Rows that are there before are copied, later ones follow from the log.
    rows::fill(publisher, 1);
    run(publisher, TALENTS);
    run(
        publisher,
        "CREATE PUBLICATION everything FOR TABLE moved, talents",
    );
    run(
        subscriber,
        "CREATE TABLE talents (id bigint PRIMARY KEY, bio text, city text, age integer);
         SELECT castmatch.attach('talents', '{bio}')",
    );
    let url = source.url(DATABASE);
    run(
        subscriber,
        &format!(
            "CREATE SUBSCRIPTION everything CONNECTION '{url}' PUBLICATION everything WITH (binary = {binary})"
        ),
    );
    let arrived = |publisher: &mut _, subscriber: &mut _| {
        let wanted = rows::digest(publisher);
        eventually(RECOVERY, &format!("the rows have arrived, {route}"), || {
            (rows::digest(subscriber) == wanted).then_some(())
        });
        let talents = "SELECT concat(count(*), max(bio)) FROM talents";
        eventually(RECOVERY, &format!("the talents have arrived, {route}"), || {
            (value::<String>(subscriber, talents) == value::<String>(publisher, talents)).then_some(())
        });
    };
    arrived(publisher, subscriber);
    rows::fill(publisher, 10_000);
    rows::exchange(publisher);
    run(
        publisher,
        "DELETE FROM moved WHERE id % 7 = 2;
         UPDATE moved SET age = age + 1 WHERE id % 7 = 3;
         INSERT INTO talents VALUES (6, 'A violinist'); UPDATE talents SET bio = 'A zither player' WHERE id = 2",
    );
    arrived(publisher, subscriber);
    run(subscriber, "ANALYZE moved");
    rows::answers(subscriber);
    rows::verify(subscriber);
    embedded_by_itself(subscriber, "talents", RECOVERY);
    assert_eq!(out_of_step(subscriber, "talents", "bio"), 0);
    run(subscriber, "DROP SUBSCRIPTION everything");
}
