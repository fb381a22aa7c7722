#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::filter::conjuncts;
use crate::prefer::{Preference, Rule};

fn of_rule(column: &str, rule: Rule, value: Value) -> (&'static str, String, Value) {
    let preferred = Preference {
        path: Vec::new(),
        column: column.to_owned(),
        weight: 0.1,
        rule,
    };
    let reason = preference(&preferred, &value, Some((1.0, 9.0)));
    assert_eq!(reason.column.as_deref(), Some(column));
    (reason.code.name(), reason.text, Value::Object(reason.params))
}

#[test]
fn every_preference_has_its_words() {
    let languages = || Rule::AnyOf(vec![json!("Hindi"), json!("Marathi")]);
    let near = || Rule::Near {
        value: 20_000.0,
        scale: 5000.0,
    };
    for (column, rule, value, code, text, params) in [
        (
            "years_experience",
            Rule::AtLeast(5.0),
            json!(12),
            "at_least_met",
            "12 years experience, at least 5 asked",
            json!({"value": 12, "asked": 5}),
        ),
        (
            "years_experience",
            Rule::AtLeast(5.0),
            json!(2),
            "at_least_missed",
            "2 years experience, at least 5 asked",
            json!({"value": 2, "asked": 5}),
        ),
        (
            "age",
            Rule::AtMost(40.0),
            json!(38),
            "at_most_met",
            "age 38, at most 40 asked",
            json!({"value": 38, "asked": 40}),
        ),
        (
            "age",
            Rule::AtMost(40.0),
            json!(45),
            "at_most_missed",
            "age 45, at most 40 asked",
            json!({"value": 45, "asked": 40}),
        ),
        (
            "rating",
            Rule::Higher,
            json!(9.0),
            "highest",
            "rating 9, the highest",
            json!({"value": 9.0}),
        ),
        (
            "rating",
            Rule::Higher,
            json!(4.5),
            "higher_preferred",
            "rating 4.5, higher preferred, others from 1 to 9",
            json!({"value": 4.5, "smallest": 1, "largest": 9}),
        ),
        (
            "rating",
            Rule::Lower,
            json!(1),
            "lowest",
            "rating 1, the lowest",
            json!({"value": 1}),
        ),
        (
            "rating",
            Rule::Lower,
            json!(2),
            "lower_preferred",
            "rating 2, lower preferred, others from 1 to 9",
            json!({"value": 2, "smallest": 1, "largest": 9}),
        ),
        (
            "availability",
            Rule::Equals(json!("AVAILABLE")),
            json!("AVAILABLE"),
            "equals_met",
            "availability: AVAILABLE",
            json!({"value": "AVAILABLE"}),
        ),
        (
            "availability",
            Rule::Equals(json!("AVAILABLE")),
            json!("BUSY"),
            "equals_missed",
            "availability: BUSY, AVAILABLE asked",
            json!({"value": "BUSY", "asked": "AVAILABLE"}),
        ),
        (
            "languages",
            languages(),
            json!(["English", "Marathi", "Hindi"]),
            "any_of_met",
            "languages: Hindi and Marathi",
            json!({"values": ["Hindi", "Marathi"]}),
        ),
        (
            "languages",
            languages(),
            json!(["English"]),
            "any_of_missed",
            "languages: English, Hindi or Marathi asked",
            json!({"value": ["English"], "asked": ["Hindi", "Marathi"]}),
        ),
        (
            "city",
            languages(),
            json!("Hindi"),
            "any_of_met",
            "city: Hindi",
            json!({"values": ["Hindi"]}),
        ),
        (
            "day_rate",
            near(),
            json!(21_000),
            "near",
            "day rate 21,000, 1,000 from 20,000",
            json!({"value": 21_000, "asked": 20_000, "distance": 1_000}),
        ),
        (
            "day_rate",
            near(),
            json!(20_000),
            "near_exactly",
            "day rate 20,000, exactly as asked",
            json!({"value": 20_000}),
        ),
        (
            "day_rate",
            near(),
            json!(null),
            "not_given",
            "day rate not given",
            json!({}),
        ),
        (
            "day_rate",
            near(),
            json!("dear"),
            "not_a_number",
            "day rate: dear, not a number",
            json!({"value": "dear"}),
        ),
    ] {
        assert_eq!(of_rule(column, rule, value), (code, text.to_owned(), params));
    }
}

#[test]
fn every_condition_has_its_words() {
    let row = json!({
        "city": "Pune", "age": 45, "languages": ["Hindi", "English"], "bio": "A warm mother", "from": "2026-03-01", "note": null,
        "rate": 12_500, "active": true, "details": {"tall": true}, "years_of_school": 12,
    });
    let none = Value::Null;
    for (filter, expected) in [
        (
            json!({"city": "Pune"}),
            "filter_eq city: Pune {\"asked\":\"Pune\",\"value\":\"Pune\"}",
        ),
        (
            json!({"active": true}),
            "filter_eq active: yes {\"asked\":true,\"value\":true}",
        ),
        (
            json!({"city": {"ne": "Mumbai"}}),
            "filter_ne city: Pune, not Mumbai {\"asked\":\"Mumbai\",\"value\":\"Pune\"}",
        ),
        (
            json!({"city": {"in": ["Mumbai", "Pune"]}}),
            "filter_in city: Pune {\"asked\":[\"Mumbai\",\"Pune\"],\"value\":\"Pune\"}",
        ),
        (
            json!({"city": {"not_in": ["Delhi", "Goa"]}}),
            "filter_not_in city: Pune, not Delhi or Goa {\"asked\":[\"Delhi\",\"Goa\"],\"value\":\"Pune\"}",
        ),
        (
            json!({"age": {"gt": 38}}),
            "filter_gt age 45, more than 38 asked {\"asked\":38,\"value\":45}",
        ),
        (
            json!({"age": {"gte": 38}}),
            "filter_gte age 45, at least 38 asked {\"asked\":38,\"value\":45}",
        ),
        (
            json!({"age": {"lt": 50}}),
            "filter_lt age 45, less than 50 asked {\"asked\":50,\"value\":45}",
        ),
        (
            json!({"rate": {"lte": 20_000}}),
            "filter_lte rate 12,500, at most 20,000 asked {\"asked\":20000,\"value\":12500}",
        ),
        (
            json!({"from": {"lte": "2026-03-15"}}),
            "filter_lte from: 2026-03-01, up to 2026-03-15 asked {\"asked\":\"2026-03-15\",\"value\":\"2026-03-01\"}",
        ),
        (
            json!({"age": {"lt": 50, "gte": 38}}),
            "filter_between age 45, from 38 to 50 asked {\"from\":38,\"to\":50,\"value\":45}",
        ),
        (
            json!({"from": {"gt": "2026", "lt": "2027"}}),
            "filter_between from: 2026-03-01, from 2026 to 2027 asked {\"from\":\"2026\",\"to\":\"2027\",\"value\":\"2026-03-01\"}",
        ),
        (
            json!({"years_of_school": {"gte": 10}}),
            "filter_gte 12 years of school, at least 10 asked {\"asked\":10,\"value\":12}",
        ),
        (
            json!({"languages": {"contains": ["Hindi"]}}),
            "filter_contains languages: Hindi {\"asked\":[\"Hindi\"]}",
        ),
        (
            json!({"bio": {"contains": "mother"}}),
            "filter_contains bio with mother {\"asked\":\"mother\"}",
        ),
        (
            json!({"languages": {"overlaps": ["Hindi", "Tamil"]}}),
            "filter_overlaps languages: Hindi {\"values\":[\"Hindi\"]}",
        ),
        (
            json!({"city": {"like": "P%"}}),
            "filter_like city: Pune, like P% {\"asked\":\"P%\",\"value\":\"Pune\"}",
        ),
        (
            json!({"city": {"ilike": "p%"}}),
            "filter_ilike city: Pune, like p% {\"asked\":\"p%\",\"value\":\"Pune\"}",
        ),
        (
            json!({"city": {"is_null": false}}),
            "filter_given city: Pune {\"value\":\"Pune\"}",
        ),
        (
            json!({"note": {"is_null": true}}),
            "filter_not_given note not given {}",
        ),
        (
            json!({"or": [{"age": 45}, {"age": {"gt": 60}}]}),
            "filter_held age = 45 or age > 60 {\"condition\":\"age = 45 or age > 60\"}",
        ),
        (
            json!({"not": {"city": "Goa"}}),
            "filter_held not (city = Goa) {\"condition\":\"not (city = Goa)\"}",
        ),
        (
            json!({"note": {"not_in": []}}),
            "filter_held note is none of nothing {\"condition\":\"note is none of nothing\"}",
        ),
        (
            json!({"languages": {"overlaps": "{Tamil}"}}),
            "filter_held languages has any of {Tamil} {\"condition\":\"languages has any of {Tamil}\"}",
        ),
    ] {
        let reasons = conditions(&conjuncts(&filter), |column| row.get(column).unwrap_or(&none));
        let said: Vec<String> = reasons
            .iter()
            .map(|reason| format!("{} {} {}", reason.code.name(), reason.text, json!(reason.params)))
            .collect();
        assert_eq!(said, [expected], "{filter}");
    }
}

#[test]
fn words_and_meaning() {
    let words = ["mother".to_owned(), "warm".to_owned()];
    assert_eq!(
        matched_words("short_bio", &words).unwrap().to_json(),
        json!({"code": "matched_words", "column": "short_bio", "params": {"words": ["mother", "warm"]}, "text": "short bio: *mother* *warm*"})
    );
    assert_eq!(matched_words("bio", &[]), None);
    assert_eq!(
        similarity(0.6171).to_json(),
        json!({"code": "similar", "column": null, "params": {"similarity": 0.62}, "text": "similar in meaning, 0.62"})
    );
    assert_eq!(similarity(-0.04).text, "hardly similar in meaning, -0.04");
    assert_eq!(
        sentence(&[similarity(1.0), similarity(0.0)]),
        "similar in meaning, 1; hardly similar in meaning, 0"
    );
}

#[test]
fn what_keeps_a_row_out_has_words() {
    for (why, code, text, params) in [
        (
            WhyNot::NotVisible,
            "not_visible",
            "no row with that key is visible",
            json!({}),
        ),
        (
            WhyNot::FilterFailed {
                condition: "city = Mumbai",
                tested: Some(("city", &json!("Pune"))),
            },
            "filter_failed",
            "city = Mumbai does not hold: city is Pune",
            json!({"condition": "city = Mumbai", "value": "Pune"}),
        ),
        (
            WhyNot::FilterFailed {
                condition: "city = Mumbai",
                tested: Some(("city", &Value::Null)),
            },
            "filter_failed",
            "city = Mumbai does not hold: city is not given",
            json!({"condition": "city = Mumbai", "value": null}),
        ),
        (
            WhyNot::FilterFailed {
                condition: "a = 1 or b = 2",
                tested: None,
            },
            "filter_failed",
            "a = 1 or b = 2 does not hold",
            json!({"condition": "a = 1 or b = 2"}),
        ),
        (
            WhyNot::NotEmbedded { state: "pending" },
            "not_embedded",
            "its embedding is not computed yet",
            json!({"state": "pending"}),
        ),
        (
            WhyNot::NotEmbedded { state: "failed" },
            "not_embedded",
            "its embedding could not be computed",
            json!({"state": "failed"}),
        ),
        (
            WhyNot::NotEmbedded { state: "missing" },
            "not_embedded",
            "it has no embedding",
            json!({"state": "missing"}),
        ),
        (
            WhyNot::NoCommonWord,
            "no_common_word",
            "no word of the query stands in it",
            json!({}),
        ),
        (
            WhyNot::BelowMinSimilarity {
                similarity: 0.31,
                bound: 0.5,
            },
            "below_min_similarity",
            "similarity 0.31, at least 0.5 asked",
            json!({"similarity": 0.31, "min_similarity": 0.5}),
        ),
        (
            WhyNot::BeyondCandidates {
                semantic_rank: Some(412),
                candidates: 100,
            },
            "beyond_candidates",
            "rank 412 by meaning, not among the 100 rows that each leg looks at",
            json!({"semantic_rank": 412, "candidates": 100}),
        ),
        (
            WhyNot::BeyondCandidates {
                semantic_rank: None,
                candidates: 100,
            },
            "beyond_candidates",
            "not among the 100 rows that each leg looks at",
            json!({"semantic_rank": null, "candidates": 100}),
        ),
        (
            WhyNot::Outranked {
                position: 14,
                last: 10,
                score: 0.55,
                last_score: Some(0.61),
            },
            "outranked",
            "position 14, the last row returned is 10, whose score is 0.61 against 0.55",
            json!({"position": 14, "last": 10, "score": 0.55, "last_score": 0.61}),
        ),
        (
            WhyNot::RemovedByDiversity {
                position: 2,
                last: 10,
            },
            "removed_by_diversity",
            "position 2 by its score, but too much like rows before it",
            json!({"position": 2, "last": 10}),
        ),
        (
            WhyNot::SkippedByOffset {
                position: 2,
                offset: 10,
            },
            "skipped_by_offset",
            "position 2, the first 10 rows were skipped",
            json!({"position": 2, "offset": 10}),
        ),
    ] {
        let reason = why_not(&why);
        assert_eq!(
            (
                reason.code.name(),
                reason.text.as_str(),
                Value::Object(reason.params)
            ),
            (code, text, params)
        );
    }
}
