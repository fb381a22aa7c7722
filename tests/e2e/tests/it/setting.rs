//! What the tests put into a database, and what they ask of it.

use std::time::Duration;

use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{run, value};
use postgres::Client;

/// For what takes moments on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);
/// A cancel is answered within moments, not after the work that it cancels.
pub const PROMPT: Duration = Duration::from_secs(5);
/// Longest time in which a new start of a worker and the work after it are due.
pub const RECOVERY: Duration = Duration::from_secs(60);

/// A table `talents` with a text, another column and some rows about different things.
pub const TALENTS: &str = "
    CREATE TABLE talents (id bigint PRIMARY KEY, bio text, city text, age integer);
    INSERT INTO talents VALUES
        (1, 'A stern police inspector who rides horses and speaks Marathi', 'Mumbai', 45),
        (2, 'A warm and funny mother who loves to cook for everybody', 'Pune', 41),
        (3, 'A classical dancer trained in bharatanatyam and kathak', 'Chennai', 28),
        (4, 'A teenage football player from a fishing village', 'Kochi', 16),
        (5, 'A retired judge who plays chess and recites poetry', 'Lucknow', 70);";

/// Creates [`TALENTS`], attaches it and waits for its embeddings.
pub fn attached_talents(client: &mut Client) {
    run(client, TALENTS);
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    sync(client, "talents");
}

/// Waits until nothing is pending; returns the embeddings written meanwhile.
pub fn sync(client: &mut Client, table: &str) -> i64 {
    value(client, &format!("SELECT castmatch.sync('{table}', '60 s')"))
}

/// Rows of `table` whose column `embedding` is not that of the text in `column` (none for a row without text).
pub fn out_of_step(client: &mut Client, table: &str, column: &str) -> i64 {
    value(
        client,
        &format!(
            "SELECT count(*) FROM {table} WHERE CASE WHEN COALESCE(btrim({column}), '') = '' THEN embedding IS NOT NULL
             ELSE (1 - (embedding <=> castmatch.embed({column})) > 0.9999) IS NOT TRUE END"
        ),
    )
}

/// Rows of `table` without an embedding.
pub fn missing(client: &mut Client, table: &str) -> i64 {
    value(
        client,
        &format!("SELECT count(*) FROM {table} WHERE embedding IS NULL"),
    )
}

/// Waits until every row has an embedding, without asking for it.
pub fn embedded_by_itself(client: &mut Client, table: &str, limit: Duration) {
    eventually(limit, &format!("all rows of {table} embedded"), || {
        (missing(client, table) == 0).then_some(())
    });
}

/// Entries of the queue: 0 when nothing is pending and nothing has failed.
pub fn queued(client: &mut Client) -> i64 {
    value(client, "SELECT count(*) FROM castmatch.queue")
}

/// The key of the row that matches best.
pub fn best_match(client: &mut Client, table: &str, query: &str, mode: &str) -> Option<String> {
    let row = client
        .query_opt(
            &format!(
                "SELECT key FROM castmatch.match('{table}', $1, 1, mode => $2) ORDER BY score DESC, key LIMIT 1"
            ),
            &[&query, &mode],
        )
        .unwrap();
    row.map(|row| row.get(0))
}
