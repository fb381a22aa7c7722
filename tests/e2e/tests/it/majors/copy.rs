//! The binary format is the same in every version: what one writes, each reads, and writes again byte by byte.

use std::io::{Read, Write};

use castmatch_e2e::cluster::Options;
use castmatch_e2e::query::run;
use postgres::Client;

use super::{MAJORS, cluster, rows};

fn written(client: &mut Client, columns: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sql = format!("COPY (SELECT {columns} FROM moved ORDER BY id) TO STDOUT (FORMAT binary)");
    client.copy_out(&sql).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn binary_copy_goes_from_every_version_to_every_other_and_back() {
    let clusters = MAJORS.map(|major| cluster(major, &Options::default()));
    let mut clients = clusters.each_ref().map(|cluster| {
        let mut client = cluster.plain_database("copied");
        rows::create(&mut client);
        client
    });
    let portable = rows::portable_columns();
    for source in 0..MAJORS.len() {
        run(&mut clients[source], "TRUNCATE moved");
        rows::fill(&mut clients[source], 1);
        let digest = rows::digest(&mut clients[source]);
        let all = written(&mut clients[source], "*");
        let bytes = written(&mut clients[source], &portable);
        for target in 0..MAJORS.len() {
            let client = &mut clients[target];
            run(client, "TRUNCATE moved");
            let mut copy = client.copy_in("COPY moved FROM STDIN (FORMAT binary)").unwrap();
            copy.write_all(&all).unwrap();
            copy.finish().unwrap();
            let route = format!("{} to {}", MAJORS[source], MAJORS[target]);
            assert_eq!(rows::digest(client), digest, "{route}");
            assert!(written(client, &portable) == bytes, "{route}: other bytes");
        }
    }
}
