//! Samples of the calls of models and of chat.

use super::sample::{Buckets, Sample, histogram_samples};
use crate::shared::Shared;
use castmatch_engine::shared::counters::{MODEL_BOUNDS_US, ModelOutcome, Part};
use core::sync::atomic::Ordering;
use serde_json::json;

/// The only provider that is called over a network.
const PROVIDER: &str = "openai";

/// Adds the samples.
pub fn samples(shared: &Shared, samples: &mut Vec<Sample>) {
    let counters = &shared.counters;
    for outcome in ModelOutcome::ALL {
        samples.push(Sample {
            name: "castmatch_model_requests_total".to_owned(),
            kind: "counter",
            help: "Calls of models of servers elsewhere, by outcome; left_alone were not made.",
            labels: json!({"provider": PROVIDER, "outcome": outcome.name()}),
            value: counters.sum(|counters| counters.models.ended(outcome)) as f64,
        });
    }
    let (sum, counts) = counters.histogram(|counters| &counters.models.durations);
    histogram_samples(
        samples,
        (
            "castmatch_model_request_duration_seconds",
            "Duration of calls of models of servers elsewhere in seconds, all attempts together.",
        ),
        &json!({"provider": PROVIDER}),
        &Buckets {
            bounds: &MODEL_BOUNDS_US,
            counts: &counts,
            sum,
            per_second: 1e6,
        },
    );
    let tokens = [
        ("prompt", counters.sum(|counters| counters.models.tokens().0)),
        ("completion", counters.sum(|counters| counters.models.tokens().1)),
    ];
    for (direction, value) in tokens {
        samples.push(Sample {
            name: "castmatch_model_tokens_total".to_owned(),
            kind: "counter",
            help: "Tokens of models of servers elsewhere, as the servers tell or as estimated.",
            labels: json!({"direction": direction}),
            value: value as f64,
        });
    }
    samples.push(Sample {
        name: "castmatch_model_rate_limited_total".to_owned(),
        kind: "counter",
        help: "Answers \"too many requests\" of models of servers elsewhere, each attempt counted.",
        labels: json!({"provider": PROVIDER}),
        value: counters.sum(|counters| counters.models.rate_limits()) as f64,
    });
    samples.push(Sample::plain(
        "castmatch_usage_lost_total",
        "counter",
        "Calls of models whose usage was not written down, because too many waited for it.",
        shared.ledger.lost() as f64,
    ));
    let chat = |name: &str, help, value: u64| Sample::plain(name, "counter", help, value as f64);
    samples.push(chat(
        "castmatch_degraded_replies_total",
        "Replies in which a model was passed over or a part left out.",
        counters.sum(|counters| counters.chat.degraded.load(Ordering::Relaxed)),
    ));
    for part in Part::ALL {
        samples.push(Sample::labelled(
            "castmatch_degraded_total",
            "counter",
            "Times that a model was passed over, by the part that it was to do: the search that a message stands for, the reply, the text of castmatch.generate.",
            json!({"part": part.name()}),
            counters.sum(|counters| counters.chat.passed_over(part)) as f64,
        ));
    }
    samples.push(chat(
        "castmatch_semantic_hits_total",
        "Replies to another wording that were used again.",
        counters.sum(|counters| counters.chat.semantic_hits.load(Ordering::Relaxed)),
    ));
    let audits = [
        (
            "same",
            counters.sum(|counters| counters.chat.audits_same.load(Ordering::Relaxed)),
        ),
        (
            "other",
            counters.sum(|counters| counters.chat.audits_other.load(Ordering::Relaxed)),
        ),
    ];
    for (rows, value) in audits {
        samples.push(Sample {
            name: "castmatch_semantic_audits_total".to_owned(),
            kind: "counter",
            help: "Reused replies that were computed all the same: \"other\" rest on other rows, the reuse would have been wrong.",
            labels: json!({"rows": rows}),
            value: value as f64,
        });
    }
}
