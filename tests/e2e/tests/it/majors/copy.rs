//! The binary format is the same in every version: what one writes, each reads, and writes again byte by byte.

use std::io::{Read, Write};

use castmatch_e2e::cluster::Options;
use castmatch_e2e::query::run;
use postgres::Client;

use super::{MAJORS, cluster, rows};

fn written(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client
        .copy_out("COPY (SELECT * FROM moved ORDER BY id) TO STDOUT (FORMAT binary)")
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
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
    for source in 0..MAJORS.len() {
        run(&mut clients[source], "TRUNCATE moved");
        rows::fill(&mut clients[source], 1);
        let (digest, bytes) = (rows::digest(&mut clients[source]), written(&mut clients[source]));
        for target in 0..MAJORS.len() {
            let client = &mut clients[target];
            run(client, "TRUNCATE moved");
            let mut copy = client.copy_in("COPY moved FROM STDIN (FORMAT binary)").unwrap();
            copy.write_all(&bytes).unwrap();
            copy.finish().unwrap();
            let route = format!("{} to {}", MAJORS[source], MAJORS[target]);
            assert_eq!(rows::digest(client), digest, "{route}");
            assert!(written(client) == bytes, "{route}: other bytes");
        }
    }
}
