#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// Counters of an operation after so many requests of 1 to 2 ms, and so many of 2 to 10 ms.
fn answer(since: &str, fast: u64, slow: u64, errors: u64) -> Value {
    json!({
        "since": since,
        "bucket_bounds_ms": [1.0, 2.0, 10.0],
        "operations": {"match": {"requests": fast + slow, "errors": errors, "buckets": [0, fast, slow, 0]},
                       "chat": {"requests": 0, "errors": 0, "buckets": [0, 0, 0, 0]}},
        "caches": [{"cache": "embedding", "level": "shared", "requests": 2 * fast, "hits": fast}],
        "queue": {"pending": slow},
    })
}

fn history(answers: &[(u64, Value)]) -> History {
    let start = Instant::now();
    let mut history = History::default();
    for (second, answer) in answers {
        history.push_at(start + Duration::from_secs(*second), Counters::of(answer));
    }
    history
}

#[test]
fn a_point_is_the_difference_of_two_readings() {
    let history = history(&[
        (0, answer("a", 100, 50, 1)),
        (5, answer("a", 120, 50, 3)),
        (10, answer("a", 120, 50, 3)),
    ]);
    let points = history.points();
    assert_eq!(points.len(), 2);
    let point = points[0].as_object().unwrap();
    assert_eq!(point["match_rate"], 4.0);
    assert_eq!(point["match_errors"], 2);
    assert_eq!(
        (&point["match_p50_ms"], &point["match_p99_ms"]),
        (&json!(1.5), &json!(1.99))
    );
    assert_eq!(point["cache_embedding_shared_hit_ratio"], 0.5);
    assert_eq!(point["queue_pending"], 50);
    assert!(!point.contains_key("chat_rate"), "{point:?}");
    // Nothing happened in the second interval.
    assert_eq!(points[1].as_object().unwrap().len(), 2, "{points:?}");
}

#[test]
fn counters_that_begin_again_count_from_zero() {
    // The server restarted: a new beginning, and lower numbers.
    let restarted = history(&[(0, answer("a", 100, 0, 0)), (5, answer("b", 10, 0, 0))]);
    assert_eq!(restarted.points()[0]["match_rate"], 2.0);
    // A new beginning whose counters have passed the old ones already.
    let passed = history(&[(0, answer("a", 100, 0, 0)), (5, answer("b", 150, 0, 0))]);
    assert_eq!(passed.points()[0]["match_rate"], 30.0);
    // Lower numbers with no word of a new beginning.
    let fell = history(&[(0, answer("a", 100, 0, 0)), (5, answer("a", 10, 0, 0))]);
    assert_eq!(fell.points()[0]["match_rate"], 2.0);
    // The sum over a window holds both sides of the restart.
    let over = history(&[
        (0, answer("a", 100, 0, 0)),
        (5, answer("a", 130, 0, 0)),
        (10, answer("b", 20, 0, 0)),
    ]);
    assert_eq!(over.recent().unwrap()["operations"]["match"]["requests"], 50);
}

#[test]
fn recent_spans_at_most_its_window() {
    let answers: Vec<(u64, Value)> = (0..=120).map(|n| (5 * n, answer("a", 10 * n, 0, 0))).collect();
    let recent = history(&answers).recent().unwrap();
    assert_eq!(recent["seconds"], 300.0);
    let operation = &recent["operations"]["match"];
    assert_eq!(
        (&operation["requests"], &operation["rate"]),
        (&json!(600), &json!(2.0))
    );
    assert_eq!(operation["p95_ms"], 1.95);
    assert_eq!(recent["operations"]["chat"]["p95_ms"], Value::Null);
    assert_eq!(recent["caches"][0]["hit_ratio"], 0.5);
}

#[test]
fn one_reading_says_nothing_and_old_ones_go() {
    assert!(history(&[(0, answer("a", 1, 1, 1))]).recent().is_none());
    let answers: Vec<(u64, Value)> = (0..1000).map(|n| (5 * n, answer("a", n, 0, 0))).collect();
    assert_eq!(history(&answers).points().len(), 180);
    let fast: Vec<(u64, Value)> = (0..1000).map(|n| (0, answer("a", n, 0, 0))).collect();
    assert_eq!(history(&fast).points().len(), MAX_READINGS - 1);
}

#[test]
fn nonsense_of_the_database_is_left_out() {
    let many: Map<String, Value> = (0..500)
        .map(|n| (format!("op{n}"), json!({"requests": n})))
        .collect();
    let cases = [
        Value::Null,
        json!([1, 2]),
        json!({"operations": 3, "caches": {"a": 1}, "bucket_bounds_ms": "x"}),
        json!({"operations": {"match": [1]}, "caches": [1, null, {"cache": 1}], "bucket_bounds_ms": [3, 2, 1]}),
        json!({"operations": {"match": {"requests": -1, "errors": 0.5, "buckets": ["a"]}}}),
        json!({"operations": many, "bucket_bounds_ms": vec![1.0; 5000]}),
    ];
    for case in cases {
        let counters = Counters::of(&case);
        assert!(
            counters.operations.len() <= 16 && counters.bounds_ms.is_empty(),
            "{case}"
        );
        let points = history(&[(0, case.clone()), (5, answer("a", 1, 0, 0)), (10, case)]).points();
        assert_eq!(points.len(), 2);
    }
}
