//! What the tests of the caches ask for.

use castmatch_e2e::query::value;
use postgres::Client;

/// What `castmatch.cache_stats()` says of a kind on a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub active: bool,
    pub requests: i64,
    pub hits: i64,
    pub misses: i64,
    pub stored: i64,
    pub evicted: i64,
    pub waits: i64,
    pub takeovers: i64,
    pub bypassed: i64,
    pub entries: i64,
}

/// The figures of a kind on a level; they add up.
pub fn stats(client: &mut Client, kind: &str, level: &str) -> Stats {
    let row = client
        .query_one(
            "SELECT active, requests, hits, misses, stored, evicted, waits, takeovers, bypassed, entries
             FROM castmatch.cache_stats() WHERE kind = $1 AND level = $2",
            &[&kind, &level],
        )
        .unwrap();
    let stats = Stats {
        active: row.get(0),
        requests: row.get(1),
        hits: row.get(2),
        misses: row.get(3),
        stored: row.get(4),
        evicted: row.get(5),
        waits: row.get(6),
        takeovers: row.get(7),
        bypassed: row.get(8),
        entries: row.get(9),
    };
    assert_eq!(stats.hits + stats.misses, stats.requests, "{kind} {level}");
    stats
}

/// A session without values of its own: it sees what the shared level has.
pub fn without_local(client: &mut Client) {
    castmatch_e2e::query::run(client, "SET castmatch.local_cache_size = 0");
}

/// The embedding of a text, as text.
pub fn embedding(client: &mut Client, text: &str) -> String {
    client
        .query_one("SELECT castmatch.embed($1)::text", &[&text])
        .unwrap()
        .get(0)
}

/// The rows of a search, and those that it has without the caches, in one statement and so under one snapshot.
pub fn cached_and_fresh(client: &mut Client, arguments: &str) -> (String, String) {
    let rows = |options: &str| {
        format!(
            "SELECT coalesce(string_agg(m::text, E'\\n' ORDER BY m.score DESC, m.key), '')
             FROM castmatch.match({arguments}, options => '{options}') m"
        )
    };
    let sql = format!("SELECT ({}), ({})", rows("{}"), rows(r#"{"cache": "bypass"}"#));
    let row = client.query_one(&sql, &[]).unwrap();
    (row.get(0), row.get(1))
}

/// Asserts that a search gives what it would give without the caches, twice, so that the second may be a hit; returns the rows.
pub fn current(client: &mut Client, arguments: &str) -> String {
    let (first, fresh) = cached_and_fresh(client, arguments);
    assert_eq!(first, fresh);
    let (second, fresh) = cached_and_fresh(client, arguments);
    assert_eq!(second, fresh);
    second
}

/// Hits of searches so far, on both levels.
pub fn match_hits(client: &mut Client) -> i64 {
    value(
        client,
        "SELECT sum(hits)::bigint FROM castmatch.cache_stats() WHERE kind = 'match'",
    )
}
