#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::filter::{Column, ErrorClass, TypeCategory};

fn columns() -> Vec<Column> {
    [
        ("age", 23, "integer", 'N'),
        ("rating", 701, "double precision", 'N'),
        ("availability", 25, "text", 'S'),
        ("languages", 1009, "text[]", 'A'),
        ("active", 16, "boolean", 'B'),
        ("profile", 3802, "jsonb", 'U'),
    ]
    .into_iter()
    .map(|(name, type_oid, type_name, category)| Column {
        name: name.to_owned(),
        type_oid,
        type_name: type_name.to_owned(),
        array_type_oid: 0,
        element_type_oid: if category == 'A' { 25 } else { 0 },
        element_type_name: String::new(),
        category: TypeCategory::from_typcategory(category),
    })
    .collect()
}

#[test]
fn parses_every_rule() {
    let prefer = json!([
        {"column": "age", "weight": 0.1, "at_least": 5},
        {"column": "age", "weight": 0.1, "at_most": 50.5},
        {"column": "rating", "weight": 0.1, "higher": true},
        {"column": "rating", "weight": 0.1, "lower": true},
        {"column": "availability", "weight": 0.2, "equals": "AVAILABLE"},
        {"column": "languages", "weight": 0.1, "any_of": ["Hindi", "Marathi"]},
        {"column": "age", "weight": 0.3, "near": 40, "scale": 5},
    ]);
    let rules: Vec<Rule> = parse(&prefer, &columns())
        .unwrap()
        .into_iter()
        .map(|p| p.rule)
        .collect();
    assert_eq!(
        rules,
        [
            Rule::AtLeast(5.0),
            Rule::AtMost(50.5),
            Rule::Higher,
            Rule::Lower,
            Rule::Equals(json!("AVAILABLE")),
            Rule::AnyOf(vec![json!("Hindi"), json!("Marathi")]),
            Rule::Near {
                value: 40.0,
                scale: 5.0
            },
        ]
    );
    assert_eq!(text_weight(&parse(&prefer, &columns()).unwrap()), 0.0);
    assert_eq!(parse(&json!([]), &columns()), Ok(vec![]));
}

#[test]
fn refuses_with_a_message_that_says_where() {
    let hint_rules = "Rules are at_least, at_most, higher, lower, equals, any_of and near with scale; \
                      the other keys are column and weight.";
    for (prefer, message, hint) in [
        (
            json!({}),
            "preferences must be a JSON array of objects, not an object",
            None,
        ),
        (
            json!([1]),
            "preference 1 must be a JSON object, not a number",
            None,
        ),
        (
            json!([{"weight": 0.1}]),
            "preference 1 needs \"column\" with the name of a column",
            None,
        ),
        (
            json!([{"column": "ratnig", "weight": 0.1, "higher": true}]),
            "column \"ratnig\" named in preference 1 does not exist",
            Some("Perhaps you meant the column \"rating\"."),
        ),
        (
            json!([{"column": "age", "higher": true}]),
            "preference 1 for column \"age\" needs \"weight\", a number greater than 0 and at most 1",
            None,
        ),
        (
            json!([{"column": "age", "weight": 0, "higher": true}]),
            "preference 1 for column \"age\" needs \"weight\", a number greater than 0 and at most 1",
            None,
        ),
        (
            json!([{"column": "age", "weight": 0.6, "higher": true}, {"column": "age", "weight": 0.5, "lower": true}]),
            "the weights of the preferences sum to 1.1, the limit is 1",
            Some("What the weights leave of 1 is the weight of the text."),
        ),
        (
            json!([{"column": "age", "weight": 0.1}]),
            "preference 1 for column \"age\" has 0 rules, must have exactly one",
            Some(hint_rules),
        ),
        (
            json!([{"column": "age", "weight": 0.1, "higher": true, "at_least": 3}]),
            "preference 1 for column \"age\" has 2 rules, must have exactly one",
            Some(hint_rules),
        ),
        (
            json!([{"column": "age", "weight": 0.1, "atleast": 3}]),
            "unknown key \"atleast\" in preference 1",
            Some(hint_rules),
        ),
        (
            json!([{"column": "age", "weight": 0.1, "higher": false}]),
            "\"higher\" of preference 1 for column \"age\" needs true, not false",
            None,
        ),
        (
            json!([{"column": "age", "weight": 0.1, "near": 3}]),
            "\"scale\" of preference 1 for column \"age\" needs a number greater than 0, not null",
            None,
        ),
        (
            json!([{"column": "age", "weight": 0.1, "near": 3, "scale": -2}]),
            "\"scale\" of preference 1 for column \"age\" needs a number greater than 0, not -2",
            None,
        ),
        (
            json!([{"column": "availability", "weight": 0.1, "at_least": 3}]),
            "\"at_least\" of preference 1 needs a column of a numeric type, but column \"availability\" is of type text",
            None,
        ),
        (
            json!([{"column": "languages", "weight": 0.1, "equals": "Hindi"}]),
            "\"equals\" of preference 1 needs a column that is not an array, but column \"languages\" is of type text[]",
            Some("Use \"any_of\" for a column that is an array."),
        ),
        (
            json!([{"column": "age", "weight": 0.1, "equals": "5"}]),
            "\"equals\" of preference 1 for column \"age\" needs a number, not a string",
            None,
        ),
        (
            json!([{"column": "languages", "weight": 0.1, "any_of": []}]),
            "\"any_of\" of preference 1 for column \"languages\" needs at least one value, not an empty array",
            None,
        ),
        (
            json!([{"column": "languages", "weight": 0.1, "any_of": [null]}]),
            "\"any_of\" of preference 1 for column \"languages\" needs a string, number or boolean, not null",
            None,
        ),
    ] {
        let error = parse(&prefer, &columns()).unwrap_err();
        assert_eq!(error.to_string(), message, "{prefer}");
        assert_eq!(error.hint().as_deref(), hint, "{prefer}");
    }
}

#[test]
fn limits_have_their_class() {
    let one = json!({"column": "age", "weight": 0.001, "higher": true});
    assert!(parse(&json!(vec![one.clone(); 100]), &columns()).is_ok());
    assert_eq!(
        parse(&json!(vec![one; 101]), &columns()).unwrap_err().class(),
        ErrorClass::LimitExceeded
    );
    let long = json!([{"column": "age", "weight": 0.1, "any_of": vec![1; 10_001]}]);
    assert_eq!(
        parse(&long, &columns()).unwrap_err().class(),
        ErrorClass::LimitExceeded
    );
}

#[test]
fn rounding_does_not_refuse_weights_that_sum_to_one() {
    let prefer: Vec<Value> = (0..10)
        .map(|_| json!({"column": "age", "weight": 0.1, "higher": true}))
        .collect();
    assert!(parse(&json!(prefer), &columns()).is_ok());
}

#[test]
fn scores_by_the_documented_formulas() {
    let range = Some((10.0, 30.0));
    let near = Rule::Near {
        value: 100.0,
        scale: 10.0,
    };
    let any = Rule::AnyOf(vec![json!("Hindi"), json!("Marathi"), json!(5)]);
    for (rule, value, expected) in [
        (Rule::AtLeast(10.0), json!(12), 1.0),
        (Rule::AtLeast(10.0), json!(5), 0.5),
        (Rule::AtLeast(10.0), json!(-5), 0.0),
        (Rule::AtLeast(0.0), json!(-1), 0.0),
        (Rule::AtLeast(0.0), json!(0), 1.0),
        (Rule::AtLeast(-5.0), json!(-6), 0.0),
        (Rule::AtMost(10.0), json!(10), 1.0),
        (Rule::AtMost(10.0), json!(40), 0.25),
        (Rule::AtMost(-1.0), json!(5), 0.0),
        (Rule::Higher, json!(10), 0.0),
        (Rule::Higher, json!(25), 0.75),
        (Rule::Lower, json!(25), 0.25),
        (Rule::Lower, json!(10), 1.0),
        (near.clone(), json!(100), 1.0),
        (near.clone(), json!(110), 0.5),
        (near.clone(), json!(80), 0.25),
        (near, json!(1e308), 0.0),
        (Rule::Equals(json!("A")), json!("A"), 1.0),
        (Rule::Equals(json!("A")), json!("a"), 0.0),
        (Rule::Equals(json!(5)), json!(5.0), 1.0),
        (
            Rule::Equals(json!(9_007_199_254_740_993_i64)),
            json!(9_007_199_254_740_992_i64),
            0.0,
        ),
        (any.clone(), json!(["English", "Marathi"]), 1.0),
        (any.clone(), json!(["English"]), 0.0),
        (any.clone(), json!("Hindi"), 1.0),
        (any, json!(5.0), 1.0),
        (Rule::AtLeast(1.0), json!("NaN"), 0.0),
        (Rule::Higher, json!("12"), 0.0),
    ] {
        assert_eq!(score(&rule, &value, range), expected, "{rule:?} {value}");
        assert_eq!(score(&rule, &Value::Null, range), 0.0, "{rule:?} null");
    }
}

#[test]
fn relative_rules_survive_a_degenerate_range() {
    for rule in [Rule::Higher, Rule::Lower] {
        assert_eq!(score(&rule, &json!(5), Some((5.0, 5.0))), 1.0);
        assert_eq!(score(&rule, &json!(5), None), 0.0);
        let extreme = score(&rule, &json!(f64::MAX), Some((-f64::MAX, f64::MAX)));
        assert_eq!(extreme, if rule == Rule::Higher { 1.0 } else { 0.0 });
    }
    let values = [json!(3), json!(null), json!("x"), json!(-2.5)];
    assert_eq!(observed_range(&values), Some((-2.5, 3.0)));
    assert_eq!(observed_range(&[json!(null)]), None);
}

#[test]
fn the_score_is_the_weighted_sum() {
    let prefer = json!([
        {"column": "age", "weight": 0.2, "at_least": 5},
        {"column": "rating", "weight": 0.1, "higher": true},
    ]);
    let preferences = parse(&prefer, &columns()).unwrap();
    assert!((text_weight(&preferences) - 0.7).abs() < 1e-12);
    assert!((combine(0.5, &preferences, &[1.0, 0.5]) - 0.6).abs() < 1e-12);
    assert_eq!(combine(0.5, &[], &[]), 0.5);
}

#[test]
fn a_path_takes_every_rule_and_reads_inside_the_column() {
    let prefer = json!([
        {"column": "profile.height", "weight": 0.1, "near": 180, "scale": 10},
        {"column": "profile.languages", "weight": 0.1, "any_of": ["Hindi"]},
        {"column": "profile.\"a.b\".0", "weight": 0.1, "higher": true},
        {"column": "profile.city", "weight": 0.1, "equals": "Pune"},
        {"column": "age", "weight": 0.1, "at_least": 5},
    ]);
    let preferences = parse(&prefer, &columns()).unwrap();
    let names: Vec<String> = preferences.iter().map(Preference::name).collect();
    assert_eq!(
        names,
        [
            "profile.height",
            "profile.languages",
            "profile.\"a.b\".0",
            "profile.city",
            "age"
        ]
    );
    assert!(preferences[..4].iter().all(|p| p.column == "profile"));
    assert_eq!(
        (preferences[4].column.as_str(), preferences[4].path.len()),
        ("age", 0)
    );
    let row = json!({
        "age": 10, "profile": {"height": 190, "languages": ["English", "Hindi"], "a.b": [30], "city": "Pune"}
    });
    let other_kinds = json!({"age": 10, "profile": {"height": "190", "languages": {}, "a.b": 30, "city": 1}});
    let range = Some((10.0, 50.0));
    let scores = |row: &Value| -> Vec<f64> {
        let columns = row.as_object().unwrap();
        preferences
            .iter()
            .map(|p| score(&p.rule, p.value_in(columns), range))
            .collect()
    };
    assert_eq!(scores(&row), [0.5, 1.0, 0.5, 1.0, 1.0]);
    assert_eq!(scores(&other_kinds), [0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(scores(&json!({"age": 10})), [0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_wrong_path_is_named() {
    for (prefer, message, class) in [
        (
            json!([{"column": "age.years", "weight": 0.1, "higher": true}]),
            "path \"age.years\" leads into column \"age\" of type integer, which has no paths",
            ErrorClass::InvalidParameter,
        ),
        (
            json!([{"column": "profile.", "weight": 0.1, "higher": true}]),
            "path \"profile.\" has an empty element or a double quote out of place",
            ErrorClass::InvalidParameter,
        ),
        (
            json!([{"column": "profil.height", "weight": 0.1, "higher": true}]),
            "column \"profil.height\" named in preference 1 does not exist",
            ErrorClass::UndefinedColumn,
        ),
        (
            json!([{"column": "profile.height", "weight": 0.1, "at_least": "x"}]),
            "\"at_least\" of preference 1 for column \"profile.height\" needs a number, not a string",
            ErrorClass::InvalidParameter,
        ),
        (
            json!([{"column": "profile.height", "weight": 0.1, "equals": [1]}]),
            "\"equals\" of preference 1 for column \"profile.height\" needs a string, number or boolean, not an array",
            ErrorClass::InvalidParameter,
        ),
        (
            json!([{"column": "profile", "weight": 0.1, "higher": true}]),
            "\"higher\" of preference 1 needs a column of a numeric type, but column \"profile\" is of type jsonb",
            ErrorClass::InvalidParameter,
        ),
    ] {
        let error = parse(&prefer, &columns()).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.class()),
            (message, class),
            "{prefer}"
        );
    }
}
