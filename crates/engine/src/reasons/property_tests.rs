#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::property_tests::any_scalar;
use crate::filter::{Operator, conjuncts};
use crate::prefer::{Preference, Rule};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => any_scalar(),
        1 => (1..3000usize).prop_map(|length| Value::String("ü\n".repeat(length))),
    ];
    leaf.prop_recursive(4, 64, 60, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..60).prop_map(Value::Array),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        any::<f64>().prop_map(Rule::AtLeast),
        any::<f64>().prop_map(Rule::AtMost),
        Just(Rule::Higher),
        Just(Rule::Lower),
        any_json().prop_map(Rule::Equals),
        proptest::collection::vec(any_json(), 0..4).prop_map(Rule::AnyOf),
        (any::<f64>(), any::<f64>()).prop_map(|(value, scale)| Rule::Near { value, scale }),
    ]
}

/// Lengths that a user interface can rely on.
fn check(reason: &Reason) -> Result<(), TestCaseError> {
    prop_assert!(reason.text.chars().count() <= 1_003, "{}", reason.text);
    prop_assert!(!reason.text.chars().any(char::is_control), "{:?}", reason.text);
    // Fifty values of at most 203 characters, each escaped as six at most.
    prop_assert!(json!(reason.params).to_string().len() <= 3 * 50 * 203 * 6);
    Ok(())
}

proptest! {
    #[test]
    fn a_preference_has_words_for_any_value(
        column in any::<String>(), rule in any_rule(), value in any_json(), observed in proptest::option::of((any::<f64>(), any::<f64>())),
    ) {
        let preferred = Preference { column, path: Vec::new(), weight: 0.1, rule };
        check(&preference(&preferred, &value, observed))?;
    }

    #[test]
    fn a_condition_has_words_for_any_value(
        columns in proptest::collection::vec((any::<String>(), proptest::sample::select(Operator::ALL.to_vec()), any_json()), 0..30), value in any_json(),
    ) {
        let filter: Value = columns
            .into_iter()
            .map(|(column, operator, asked)| (column, json!({operator.name(): asked})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let reasons = conditions(&conjuncts(&filter), |_| &value);
        prop_assert!(reasons.len() <= 20);
        for reason in &reasons {
            check(reason)?;
        }
    }

    #[test]
    fn words_and_reasons_against_a_row_are_bounded(
        column in any::<String>(), words in proptest::collection::vec(any::<String>(), 1..30), value in any_json(), condition in any::<String>(),
    ) {
        check(&matched_words(&column, &words).unwrap())?;
        check(&why_not(&WhyNot::FilterFailed { condition: &condition, tested: Some((&column, &value)) }))?;
    }
}
