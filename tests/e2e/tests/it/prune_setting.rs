//! Conversations to prune, and whole passes.

use castmatch_e2e::query::{run, value};
use postgres::Client;
use serde_json::{Value, json};

/// Conversation `number` of an owner: its last message came so many days ago, the others each an hour before the next one.
pub fn fill(client: &mut Client, owner: &str, numbers: std::ops::RangeInclusive<u32>, messages: u32) {
    let (first, last) = numbers.into_inner();
    run(
        client,
        &format!(
            "INSERT INTO castmatch.conversations (id, owner, created_at, last_message_at)
             SELECT {id}, '{owner}'::regrole, now() - n * '1 day'::interval, now() - n * '1 day'::interval
             FROM generate_series({first}, {last}) n;
             INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens, created_at)
             SELECT {id}, s, CASE s % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, repeat(md5(n || ' ' || s), 1 + n % 3), 8,
                 now() - n * '1 day'::interval - ({messages} - s) * '1 hour'::interval
             FROM generate_series({first}, {last}) n, generate_series(1, {messages}) s",
            id = id_sql("n"),
        ),
    );
}

/// The id of a conversation by its number.
pub fn id_sql(number: &str) -> String {
    format!("('00000000-0000-4000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid")
}

/// What calls of `castmatch.prune` came to together.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Pruned {
    pub conversations: u64,
    pub messages: u64,
    pub requests: u64,
    pub skipped: u64,
}

impl Pruned {
    /// Adds the result of a call.
    pub fn add(&mut self, result: &Value) {
        let number = |key: &str| result[key].as_u64().unwrap();
        self.conversations += number("conversations");
        self.messages += number("messages");
        self.requests += number("requests");
        self.skipped += number("skipped");
    }

    /// Rows deleted.
    pub fn rows(&self) -> u64 {
        self.conversations + self.messages + self.requests
    }
}

/// One call.
pub fn prune(client: &mut Client, policy: &Value, dry_run: bool) -> Value {
    client
        .query_one("SELECT castmatch.prune($1, $2)", &[policy, &dry_run])
        .unwrap_or_else(|error| panic!("{policy}: {error:?}"))
        .get(0)
}

/// What a whole pass would delete.
pub fn would(client: &mut Client, policy: &Value) -> Pruned {
    let result = prune(client, policy, true);
    assert_eq!(
        (&result["dry_run"], &result["more"], &result["next"]),
        (&json!(true), &json!(false), &Value::Null),
        "{result}"
    );
    let mut counted = Pruned::default();
    counted.add(&result);
    counted
}

/// A whole pass, and its number of calls. Each call keeps to the rows that it may delete, and tells what it did.
pub fn pass(client: &mut Client, policy: &Value) -> (Pruned, u32) {
    let most = policy["batch_rows"].as_u64().unwrap_or(5_000);
    let mut policy = policy.clone();
    let mut sum = Pruned::default();
    for calls in 1..=100_000 {
        let before = rows(client);
        let result = prune(client, &policy, false);
        let mut step = Pruned::default();
        step.add(&result);
        assert_eq!(before - rows(client), step.rows(), "{result}");
        assert!(step.rows() <= most, "{result}");
        assert_eq!(
            (&result["busy"], &result["dry_run"]),
            (&json!(false), &json!(false))
        );
        sum.add(&result);
        assert_eq!(result["more"], !result["next"].is_null(), "{result}");
        if result["next"].is_null() {
            return (sum, calls);
        }
        policy["resume"] = result["next"].clone();
    }
    panic!("no end: {policy}");
}

/// Rows of all three tables.
pub fn rows(client: &mut Client) -> u64 {
    let rows: i64 = value(
        client,
        "SELECT (SELECT count(*) FROM castmatch.conversations) + (SELECT count(*) FROM castmatch.messages)
             + (SELECT count(*) FROM castmatch.requests)",
    );
    u64::try_from(rows).unwrap()
}

/// What `castmatch.prune_state` says was deleted.
pub fn noted(client: &mut Client) -> Pruned {
    let row = client
        .query_one(
            "SELECT conversations, messages, requests, skipped FROM castmatch.prune_state",
            &[],
        )
        .unwrap();
    let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap();
    Pruned {
        conversations: number(0),
        messages: number(1),
        requests: number(2),
        skipped: number(3),
    }
}

/// Conversations that pruning left without messages: there must be none.
pub fn empty(client: &mut Client) -> i64 {
    value(
        client,
        "SELECT count(*) FROM castmatch.conversations c
         WHERE NOT EXISTS (SELECT FROM castmatch.messages m WHERE m.conversation_id = c.id)",
    )
}
