#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Map, Value, json};

use super::*;
use crate::filter::TypeCategory;

fn columns(names: &[(&str, char)]) -> Vec<Column> {
    names
        .iter()
        .map(|&(name, category)| Column {
            name: name.to_owned(),
            type_oid: 1,
            type_name: "any".to_owned(),
            array_type_oid: 0,
            element_type_oid: 0,
            element_type_name: String::new(),
            category: TypeCategory::from_typcategory(category),
        })
        .collect()
}

fn people() -> Vec<Column> {
    columns(&[
        ("name", 'S'),
        ("language", 'S'),
        ("age", 'N'),
        ("years_experience", 'N'),
        ("day_rate", 'N'),
        ("success_rate", 'N'),
        ("rating", 'N'),
        ("height_cm", 'N'),
        ("awards", 'N'),
        ("joined_at", 'D'),
    ])
}

fn found(message: &str, columns: &[Column]) -> Vec<String> {
    detect(message, columns)
        .into_iter()
        .map(|r| {
            let sign = match (r.degree, r.direction) {
                (Degree::Comparative, Direction::Less) => "<",
                (Degree::Comparative, Direction::Greater) => ">",
                (Degree::Superlative, Direction::Less) => "<=",
                (Degree::Superlative, Direction::Greater) => ">=",
            };
            format!("{}: {} {sign}", r.word, r.column)
        })
        .collect()
}

#[test]
fn finds_the_column_that_a_word_is_about() {
    for (message, expected) in [
        ("someone younger", vec!["younger: age <"]),
        ("Someone OLDER, please!", vec!["older: age >"]),
        ("the youngest of them", vec!["youngest: age <="]),
        ("cheaper?", vec!["cheaper: day_rate <"]),
        (
            "less expensive and more experienced",
            vec![
                "less expensive: day_rate <",
                "more experienced: years_experience >",
            ],
        ),
        (
            "the most experienced one",
            vec!["most experienced: years_experience >="],
        ),
        ("better-rated", vec!["better rated: rating >"]),
        ("higher rated", vec!["higher rated: rating >"]),
        ("a higher rate", vec!["higher rate: day_rate >"]),
        ("a lower salary", vec!["lower salary: day_rate <"]),
        ("more awards", vec!["more awards: awards >"]),
        ("with the fewest awards", vec!["fewest awards: awards <="]),
        ("taller than her", vec!["taller: height_cm >"]),
        ("taller than the last one", vec!["taller: height_cm >"]),
        (
            "younger and cheaper, but not shorter",
            vec!["younger: age <", "cheaper: day_rate <"],
        ),
        ("not in Mumbai, younger", vec!["younger: age <"]),
    ] {
        assert_eq!(found(message, &people()), expected, "{message}");
    }
}

#[test]
fn leaves_alone_what_is_negated_absolute_or_without_a_column() {
    for message in [
        "",
        "🙂",
        "not older",
        "not too much older",
        "isn't cheaper",
        "isn’t any cheaper",
        "no younger",
        "older than 40",
        "cheaper than 20000 rupees",
        "older than Asha",
        "taller than the actor in Sholay",
        "younger or older",
        "heavier",
        "faster",
        "newer",
        "more languages",
        "more of the same",
        "show me more",
        "Goldsmith's youngerish elderberry",
        "أصغر سنا",
    ] {
        assert_eq!(found(message, &people()), Vec::<String>::new(), "{message}");
    }
    assert!(detect("younger", &[]).is_empty());
    assert!(detect("younger", &columns(&[("age", 'S'), ("page", 'N')])).is_empty());
}

#[test]
fn one_word_means_what_the_table_has() {
    for (message, names, expected) in [
        ("older", vec![("birth_date", 'D')], vec!["older: birth_date <"]),
        (
            "younger",
            vec![("dateOfBirth", 'D')],
            vec!["younger: dateOfBirth >"],
        ),
        ("older", vec![("year", 'N')], vec!["older: year <"]),
        (
            "newer",
            vec![("release_date", 'D')],
            vec!["newer: release_date >"],
        ),
        ("newer", vec![("years", 'N')], vec![]),
        (
            "the latest",
            vec![("published", 'D')],
            vec!["latest: published >="],
        ),
        (
            "shorter",
            vec![("duration_minutes", 'N')],
            vec!["shorter: duration_minutes <"],
        ),
        (
            "shorter",
            vec![("duration", 'N'), ("height", 'N')],
            vec!["shorter: height <"],
        ),
        (
            "cheaper",
            vec![("rate", 'N'), ("price_eur", 'N')],
            vec!["cheaper: price_eur <"],
        ),
        (
            "cheaper",
            vec![("base_day_rate", 'N'), ("rate", 'N')],
            vec!["cheaper: rate <"],
        ),
        ("larger", vec![("floor_area", 'N')], vec!["larger: floor_area >"]),
    ] {
        assert_eq!(found(message, &columns(&names)), expected, "{message} {names:?}");
    }
}

#[test]
fn a_long_message_is_read_at_its_head_only() {
    let message = format!("younger {} cheaper", "word ".repeat(200_000));
    assert_eq!(found(&message, &people()), ["younger: age <"]);
}

fn rows(values: &[Value]) -> Vec<Map<String, Value>> {
    values
        .iter()
        .map(|value| json!({"x": value}).as_object().unwrap().clone())
        .collect()
}

#[test]
fn becomes_a_condition_relative_to_the_rows_shown() {
    use Degree::{Comparative, Superlative};
    use Direction::{Greater, Less};
    for (degree, direction, values, expected) in [
        (
            Comparative,
            Less,
            vec![json!(41), json!(30)],
            Some(json!({"x": {"lt": 41}})),
        ),
        (
            Comparative,
            Greater,
            vec![json!(null), json!(30.5)],
            Some(json!({"x": {"gt": 30.5}})),
        ),
        (
            Superlative,
            Less,
            vec![json!(41), json!(30), json!(35)],
            Some(json!({"x": {"lte": 30}})),
        ),
        (
            Superlative,
            Greater,
            vec![json!(1.5), json!(2), json!("NaN")],
            Some(json!({"x": {"gte": 2}})),
        ),
        (
            Superlative,
            Greater,
            vec![json!("2025-01-31"), json!("2026-01-01")],
            Some(json!({"x": {"gte": "2026-01-01"}})),
        ),
        (
            Comparative,
            Less,
            vec![json!(null), json!("NaN"), json!([1]), json!({})],
            None,
        ),
        (Comparative, Less, vec![], None),
    ] {
        let refinement = Refinement {
            word: "w".to_owned(),
            column: "x".to_owned(),
            direction,
            degree,
        };
        assert_eq!(apply(&refinement, &rows(&values)), expected, "{values:?}");
    }
}

#[test]
fn the_condition_compiles_even_for_a_column_named_like_a_combinator() {
    for name in ["or", "\"quoted\"", "age"] {
        let refinement = Refinement {
            word: "higher".to_owned(),
            column: name.to_owned(),
            direction: Direction::Greater,
            degree: Degree::Comparative,
        };
        let row = Map::from_iter([(name.to_owned(), json!(5))]);
        let condition = apply(&refinement, &[row]).unwrap();
        let mut table = columns(&[(name, 'N')]);
        table[0].type_oid = 23;
        let compiled = crate::filter::compile(&condition, &table, "t", 1).unwrap();
        assert_eq!(compiled.columns, [name]);
    }
}
