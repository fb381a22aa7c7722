#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use prometheus::TextEncoder;

use super::*;
use crate::exposition::MAX_TEXT_CHARS;

fn row(name: &str, kind: &str, labels: &str, value: f64) -> Sample {
    Sample {
        name: Some(name.to_owned()),
        kind: Some(kind.to_owned()),
        help: Some(format!("Help of {}.", kind)),
        labels: Some(labels.to_owned()),
        value: Some(value),
    }
}

fn text(samples: &[Sample]) -> (String, u64) {
    let exposition = convert(samples, |name| name == "castmatch_up");
    (
        TextEncoder::new().encode_to_string(&exposition.families).unwrap(),
        exposition.dropped_rows,
    )
}

fn histogram(base: &str, labels: &str, buckets: &[(&str, f64)], sum: f64, count: f64) -> Vec<Sample> {
    let with_le = |le: &str| match labels {
        "{}" => format!(r#"{{"le":"{le}"}}"#),
        other => format!(r#"{},"le":"{le}"}}"#, other.trim_end_matches('}')),
    };
    let mut rows: Vec<Sample> = buckets
        .iter()
        .map(|(le, value)| row(&format!("{base}_bucket"), "histogram", &with_le(le), *value))
        .collect();
    rows.push(row(&format!("{base}_sum"), "histogram", labels, sum));
    rows.push(row(&format!("{base}_count"), "histogram", labels, count));
    rows
}

#[test]
fn counter_and_gauge_are_served_with_help_and_type_sorted_by_name() {
    let rows = [
        row("castmatch_queue_pending", "gauge", "{}", 3.0),
        row(
            "castmatch_hits_total",
            "counter",
            r#"{"level":"shared","cache":"reply"}"#,
            7.0,
        ),
        row("castmatch_hits_total", "counter", r#"{"cache":"embedding"}"#, 1.5),
    ];
    let expected = "\
# HELP castmatch_hits_total Help of counter.
# TYPE castmatch_hits_total counter
castmatch_hits_total{cache=\"embedding\"} 1.5
castmatch_hits_total{cache=\"reply\",level=\"shared\"} 7
# HELP castmatch_queue_pending Help of gauge.
# TYPE castmatch_queue_pending gauge
castmatch_queue_pending 3
";
    assert_eq!(text(&rows), (expected.to_owned(), 0));
}

#[test]
fn histogram_is_cumulative_sorted_by_bound_and_ends_in_inf() {
    let buckets = [("+Inf", 9.0), ("0.1", 4.0), ("0.005", 1.0), ("10", 9.0)];
    let rows = histogram("castmatch_seconds", r#"{"op":"match"}"#, &buckets, 2.25, 9.0);
    let expected = "\
# HELP castmatch_seconds Help of histogram.
# TYPE castmatch_seconds histogram
castmatch_seconds_bucket{op=\"match\",le=\"0.005\"} 1
castmatch_seconds_bucket{op=\"match\",le=\"0.1\"} 4
castmatch_seconds_bucket{op=\"match\",le=\"10\"} 9
castmatch_seconds_bucket{op=\"match\",le=\"+Inf\"} 9
castmatch_seconds_sum{op=\"match\"} 2.25
castmatch_seconds_count{op=\"match\"} 9
";
    assert_eq!(text(&rows), (expected.to_owned(), 0));
}

#[test]
fn inf_bucket_wins_over_a_count_read_at_another_moment() {
    for count in [8.0, 12.0] {
        let (text, dropped) = text(&histogram("h", "{}", &[("1", 9.0), ("+Inf", 10.0)], 1.0, count));
        assert!(
            text.contains("h_bucket{le=\"+Inf\"} 10\n") && text.contains("h_count 10\n"),
            "{text}"
        );
        assert_eq!(dropped, 0);
    }
}

#[test]
fn histogram_without_inf_bucket_takes_it_from_the_count() {
    let (text, _) = text(&histogram("h", "{}", &[("1", 3.0)], 1.0, 5.0));
    assert!(
        text.contains("h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 5\n"),
        "{text}"
    );
}

#[test]
fn damaged_histograms_are_left_out_with_all_their_rows_counted() {
    let good = [("1", 1.0), ("+Inf", 2.0)];
    let mut no_sum = histogram("h", "{}", &good, 1.0, 2.0);
    no_sum.remove(2);
    let mut no_count = histogram("h", "{}", &good, 1.0, 2.0);
    no_count.remove(3);
    let mut twice = histogram("h", "{}", &good, 1.0, 2.0);
    twice.push(row("h_sum", "histogram", "{}", 5.0));
    let cases = [
        no_sum,
        no_count,
        twice,
        histogram("h", "{}", &[("1", 5.0), ("2", 3.0), ("+Inf", 6.0)], 1.0, 6.0), // falls
        histogram("h", "{}", &[("1", 5.0), ("1", 5.0), ("+Inf", 6.0)], 1.0, 6.0), // bound twice
        histogram("h", "{}", &[("1", 5.0)], 1.0, 4.0),                            // count below a bucket
        histogram("h", "{}", &[("one", 5.0)], 1.0, 5.0),
        histogram("h", "{}", &[("NaN", 5.0)], 1.0, 5.0),
        histogram("h", "{}", &[("1", 1.5)], 1.0, 5.0),
        histogram("h", "{}", &[("1", f64::NAN)], 1.0, 5.0),
        histogram("h", "{}", &[("1", -1.0)], 1.0, 5.0),
        histogram("h", "{}", &[("1", 1.0)], 1.0, f64::INFINITY),
    ];
    for rows in cases {
        assert_eq!(text(&rows), (String::new(), rows.len() as u64), "{rows:?}");
    }
}

#[test]
fn damaged_series_does_not_take_its_family_along() {
    let mut rows = histogram("h", r#"{"op":"a"}"#, &[("1", 1.0)], 1.0, 1.0);
    rows.extend(histogram("h", r#"{"op":"b"}"#, &[("1", 9.0)], 1.0, 1.0));
    let (text, dropped) = text(&rows);
    assert!(
        text.contains("h_count{op=\"a\"} 1") && !text.contains("op=\"b\""),
        "{text}"
    );
    assert_eq!(dropped, 3);
}

#[test]
fn label_values_and_help_are_escaped() {
    let mut sample = row("g", "gauge", r#"{"v":"quote\" back\\slash new\nline नमस्ते"}"#, 1.0);
    sample.help = Some("two\nlines \\ \"quoted\"".to_owned());
    let expected = "\
# HELP g two\\nlines \\\\ \"quoted\"
# TYPE g gauge
g{v=\"quote\\\" back\\\\slash new\\nline नमस्ते\"} 1
";
    assert_eq!(text(&[sample]), (expected.to_owned(), 0));
}

#[test]
fn duplicate_series_keeps_its_first_value() {
    let rows = [
        row("g", "gauge", r#"{"a":"1","b":"2"}"#, 1.0),
        row("g", "gauge", r#"{"b":"2","a":"1"}"#, 2.0),
        row("g", "gauge", r#"{"a":"1","b":"2","c":""}"#, 3.0),
    ];
    let (text, dropped) = text(&rows);
    assert!(text.ends_with("g{a=\"1\",b=\"2\"} 1\n"), "{text}");
    assert_eq!(dropped, 2);
}

#[test]
fn gauges_may_be_nan_or_infinite_and_counters_may_not() {
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0];
    let gauges: Vec<_> = numbers
        .iter()
        .enumerate()
        .map(|(i, v)| row(&format!("g{i}"), "gauge", "{}", *v))
        .collect();
    let (out, dropped) = text(&gauges);
    assert_eq!(dropped, 0);
    for line in ["g0 NaN", "g1 inf", "g2 -inf", "g3 -1"] {
        assert!(out.lines().any(|found| found == line), "{out}");
    }
    let counters: Vec<_> = numbers
        .iter()
        .map(|v| row("c_total", "counter", "{}", *v))
        .collect();
    assert_eq!(text(&counters), (String::new(), 4));
}

#[test]
fn rows_that_cannot_be_served_are_dropped_and_counted() {
    let long = "a".repeat(MAX_TEXT_CHARS + 1);
    let mut rows = vec![
        row("", "gauge", "{}", 1.0),
        row("1st", "gauge", "{}", 1.0),
        row("dash-ed", "gauge", "{}", 1.0),
        row("naïve", "gauge", "{}", 1.0),
        row("new\nline 1", "gauge", "{}", 1.0),
        row("g", "summary", "{}", 1.0),
        row("g", "Gauge", "{}", 1.0),
        row("g", "gauge", "[]", 1.0),
        row("g", "gauge", "not json", 1.0),
        row("g", "gauge", r#"{"n":1}"#, 1.0),
        row("g", "gauge", r#"{"n":null}"#, 1.0),
        row("g", "gauge", r#"{"n":{"x":"y"}}"#, 1.0),
        row("g", "gauge", r#"{"bad-name":"x"}"#, 1.0),
        row("g", "gauge", r#"{"a:b":"x"}"#, 1.0),
        row("g", "gauge", r#"{"":"x"}"#, 1.0),
        row("g", "gauge", r#"{"__reserved":"x"}"#, 1.0),
        row("g", "gauge", r#"{"le":"1"}"#, 1.0),
        row("h", "histogram", "{}", 1.0),
        row("_sum", "histogram", "{}", 1.0),
        row("h_sum", "histogram", r#"{"le":"1"}"#, 1.0),
        row("h_bucket", "histogram", "{}", 1.0),
        row("castmatch_up", "gauge", "{}", 1.0),
        row(&long, "gauge", "{}", 1.0),
        row("g", "gauge", &format!(r#"{{"a":"{long}"}}"#), 1.0),
    ];
    for missing in 0..3 {
        let mut sample = row("g", "gauge", "{}", 1.0);
        match missing {
            0 => sample.name = None,
            1 => sample.kind = None,
            _ => sample.value = None,
        }
        rows.push(sample);
    }
    for sample in rows {
        assert_eq!(
            text(std::slice::from_ref(&sample)),
            (String::new(), 1),
            "{sample:?}"
        );
    }
}

#[test]
fn null_and_empty_labels_and_help_are_served() {
    let mut bare = row("g", "gauge", "null", 1.0);
    bare.help = None;
    assert_eq!(text(&[bare.clone()]).0, "# TYPE g gauge\ng 1\n");
    bare.labels = None;
    assert_eq!(text(&[bare]).0, "# TYPE g gauge\ng 1\n");
}

#[test]
fn first_kind_of_a_name_wins() {
    let rows = [
        row("x", "gauge", "{}", 1.0),
        row("x", "counter", r#"{"a":"b"}"#, 2.0),
    ];
    let (text, dropped) = text(&rows);
    assert!(
        text.contains("# TYPE x gauge\nx 1\n") && !text.contains("counter"),
        "{text}"
    );
    assert_eq!(dropped, 1);
}

#[test]
fn families_named_like_the_parts_of_a_histogram_are_left_out() {
    let mut rows = vec![
        row("h_count", "gauge", "{}", 77.0),
        row("other_count", "gauge", "{}", 1.0),
    ];
    rows.extend(histogram("h", "{}", &[("1", 1.0)], 1.0, 1.0));
    let (text, dropped) = text(&rows);
    assert!(
        text.contains("\nh_count 1\n") && text.contains("other_count 1\n"),
        "{text}"
    );
    assert!(!text.contains("77"), "{text}");
    assert_eq!(dropped, 1);
}

#[test]
fn rows_past_the_limit_are_dropped_and_counted() {
    let rows: Vec<_> = (0..MAX_SAMPLES + 5)
        .map(|i| row("g", "gauge", &format!(r#"{{"i":"{i}"}}"#), 1.0))
        .collect();
    let exposition = convert(&rows, |_| false);
    assert_eq!(exposition.families[0].get_metric().len(), MAX_SAMPLES);
    assert_eq!(exposition.dropped_rows, 5);
}
