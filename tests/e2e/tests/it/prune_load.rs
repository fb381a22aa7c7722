//! Pruning a large number of messages while others chat.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;
use serde_json::{Value, json};

use crate::prune_setting::{Pruned, empty, fill, prune};
use crate::setting::attached_talents;

/// Messages of a conversation.
const LENGTH: u32 = 50;
/// Between two calls, as docs/operations.md recommends.
const PAUSE: Duration = Duration::from_millis(200);

/// Turns in a conversation of its own, none answered from the cache, until told to end; their durations, in order.
fn chat_until(client: &mut Client, round: &str, ended: &dyn Fn(usize) -> bool) -> Vec<Duration> {
    let turn = client
        .prepare("SELECT castmatch.chat($1, ($2::text)::uuid, 'talents')->>'conversation_id'")
        .unwrap();
    let mut id: Option<String> = None;
    let mut durations = Vec::new();
    while !ended(durations.len()) {
        let message = format!(
            "{round}: somebody who is number {} of all dancers",
            durations.len()
        );
        let start = Instant::now();
        id = client.query_one(&turn, &[&message, &id]).unwrap().get(0);
        durations.push(start.elapsed());
    }
    durations.sort();
    durations
}

fn told(durations: &[Duration]) -> String {
    let at = |share: f64| durations[((durations.len() - 1) as f64 * share) as usize];
    format!(
        "{} turns, p50 {:?}, p95 {:?}, p99 {:?}",
        durations.len(),
        at(0.5),
        at(0.95),
        at(0.99)
    )
}

/// Prints the latencies; they are asserted nowhere, for a machine may be busy with something else.
#[test]
fn chat_goes_on_while_a_million_messages_go() {
    let messages: u32 = scaled(60_000, 1_000_000);
    let cluster = Cluster::start(&Options {
        settings: vec![
            ("shared_buffers", "256MB".to_owned()),
            ("max_wal_size", "4GB".to_owned()),
        ],
        ..Options::default()
    });
    let client = &mut cluster.database("prune");
    attached_talents(client);
    fill(client, "postgres", 1..=messages / LENGTH, LENGTH);
    run(
        client,
        "VACUUM ANALYZE castmatch.conversations, castmatch.messages",
    );
    let speaker = &mut cluster.connect("prune", "postgres");
    chat_until(speaker, "warm up", &|turns| turns == 50);
    let alone = chat_until(speaker, "alone", &|turns| turns == scaled(100, 1_000));
    println!("without pruning: {}", told(&alone));

    let gone = AtomicBool::new(false);
    let (pruned, calls, longest) = thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            let mut client = cluster.connect("prune", "postgres");
            let mut policy = json!({"max_idle": "1 hour"});
            let (mut sum, mut calls, mut longest) = (Pruned::default(), 0, 0.0_f64);
            loop {
                let result: Value = prune(&mut client, &policy, false);
                sum.add(&result);
                calls += 1;
                longest = longest.max(result["elapsed_ms"].as_f64().unwrap());
                if result["next"].is_null() {
                    gone.store(true, Ordering::SeqCst);
                    return (sum, calls, longest);
                }
                policy["resume"] = result["next"].clone();
                thread::sleep(PAUSE);
            }
        });
        let beside = chat_until(speaker, "beside", &|_| gone.load(Ordering::SeqCst));
        println!("with pruning: {}", told(&beside));
        pruner.join().unwrap()
    });
    println!("{calls} calls, the longest of {longest} ms");
    assert_eq!(pruned.messages, u64::from(messages));
    assert_eq!(pruned.conversations, u64::from(messages / LENGTH));
    assert_eq!(empty(client), 0);
    let left: i64 = value(client, "SELECT count(*) FROM castmatch.conversations");
    assert_eq!(left, 3, "the conversations of the test itself");
}
