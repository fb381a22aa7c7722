//! PostgreSQL 17 and later read several pages of an index in one go where all are wanted in order.

use castmatch_e2e::cluster::Options;
use castmatch_e2e::query::{run, value};
use postgres::Client;

use super::cluster;

/// Read operations of this session, and bytes that they read.
fn reads(client: &mut Client) -> (i64, i64) {
    run(client, "SELECT pg_stat_force_next_flush()");
    let row = client
        .query_one(
            "SELECT coalesce(sum(reads), 0)::bigint, coalesce(sum(read_bytes), 0)::bigint FROM pg_stat_get_backend_io(pg_backend_pid())",
            &[],
        )
        .unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn passes_over_an_index_read_many_pages_at_once() {
    let mut cluster = cluster(18, &Options::default());
    run(
        &mut cluster.database("cold"),
        "CREATE TABLE points (e vector(384));
         INSERT INTO points SELECT array_agg(sin(i * d)::real ORDER BY d)::vector
             FROM generate_series(1, 3000) i, generate_series(1, 384) d GROUP BY i;
         CREATE INDEX graph ON points USING castmatch_hnsw (e vector_l2_ops);
         CREATE INDEX lists ON points USING castmatch_ivf (e vector_l2_ops) WITH (refine_bits = 3)",
    );
    for (index, pass) in [
        ("graph", "castmatch.prewarm('graph')"),
        ("lists", "castmatch.prewarm('lists')"),
        ("graph", "(castmatch.index_info('graph')).rows"),
        ("lists", "(castmatch.index_info('lists')).rows"),
    ] {
        // Nothing is in shared buffers then.
        cluster.restart();
        let client = &mut cluster.connect("cold", "postgres");
        let bytes: i64 = value(client, &format!("SELECT pg_relation_size('{index}')"));
        let blocks = bytes / 8192;
        assert!(blocks > 40, "{index}: {blocks} blocks");
        let before = reads(client);
        value::<i64>(client, &format!("SELECT {pass}"));
        let after = reads(client);
        let (operations, read) = (after.0 - before.0, after.1 - before.1);
        assert!(read >= bytes, "{pass}: {read} of {bytes} bytes");
        // Catalogs are read page by page; the index 16 pages at once.
        let catalogs = (read - bytes) / 8192;
        assert!(
            operations <= catalogs + blocks / 4,
            "{pass}: {operations} reads for {blocks} pages and {catalogs} of catalogs"
        );
    }
}
