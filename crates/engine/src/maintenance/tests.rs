#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Bounds, Cursor, Facts, Fate, Id, MAX_BATCH_ROWS, Phase, Size, SizeCutoff, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

fn told(policy: Value) -> String {
    let error = parse(&policy).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error} | {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn reads_every_key() {
    let policy = parse(&json!({
        "max_age": "1 year", "max_idle": "90 days", "max_messages": 1000, "max_bytes": "10GB",
        "max_request_age": "7 days", "batch_rows": 100, "batch_time": "200 ms",
        "roles": {"app": {"max_age": null, "max_bytes": 5}, "other": {"max_messages": 2.0}, "third": {}},
    }))
    .unwrap();
    assert_eq!(policy.general.max_age.as_deref(), Some("1 year"));
    assert_eq!(policy.general.max_bytes, Some(Size::Text("10GB".to_owned())));
    assert_eq!(
        (policy.batch_rows, policy.batch_time.as_deref()),
        (100, Some("200 ms"))
    );
    assert_eq!(policy.max_request_age.as_deref(), Some("7 days"));
    let [app, other, third] = policy.roles.as_slice() else {
        panic!("{:?}", policy.roles)
    };
    // What a role does not name it has from the general limits; null takes the limit away.
    assert_eq!((app.role.as_str(), &app.limits.max_age), ("app", &None));
    assert_eq!(app.limits.max_idle.as_deref(), Some("90 days"));
    assert_eq!(app.limits.max_bytes, Some(Size::Bytes(5)));
    assert_eq!(other.limits.max_messages, Some(2));
    assert_eq!(third.limits, policy.general);
    assert_eq!(
        [app.has_own_bytes, other.has_own_bytes, third.has_own_bytes],
        [true, false, false]
    );
}

#[test]
fn nothing_given_limits_nothing() {
    for policy in [
        json!({}),
        json!({"max_age": null, "roles": null, "resume": null}),
        json!({"roles": {"a": {}}}),
    ] {
        let policy = parse(&policy).unwrap();
        assert!(!policy.limits_conversations());
        assert_eq!((policy.batch_rows, policy.resume), (MAX_BATCH_ROWS, None));
    }
    assert!(
        parse(&json!({"roles": {"a": {"max_idle": "1 day"}}}))
            .unwrap()
            .limits_conversations()
    );
}

#[test]
fn says_what_is_wrong() {
    const KEYS: &str = "Keys are max_age, max_idle, max_messages, max_bytes, max_request_age, roles, batch_rows, batch_time, resume.";
    for (policy, expected) in [
        (json!([]), "policy must be a JSON object, not an array".to_owned()),
        (json!(null), "policy must be a JSON object, not null".to_owned()),
        (
            json!({"max_agee": "1 day"}),
            format!("unknown key \"max_agee\" of the policy | Perhaps you meant the key \"max_age\". {KEYS}"),
        ),
        (json!({"keep": 1}), format!("unknown key \"keep\" of the policy | {KEYS}")),
        (
            json!({"roles": {"bob": {"batch_rows": 3}}}),
            "unknown key \"batch_rows\" of role \"bob\" in the policy | Keys are max_age, max_idle, max_messages, max_bytes.".to_owned(),
        ),
        (
            json!({"max_age": 90}),
            "policy key \"max_age\" must be an interval such as \"90 days\" that is not negative, not 90".to_owned(),
        ),
        (
            json!({"max_age": "90"}),
            "policy key \"max_age\" must be an interval such as \"90 days\" that is not negative, not \"90\"".to_owned(),
        ),
        (
            json!({"max_idle": ""}),
            "policy key \"max_idle\" must be an interval such as \"90 days\" that is not negative, not \"\"".to_owned(),
        ),
        (
            json!({"max_idle": "1 day\u{0}"}),
            "policy key \"max_idle\" must be an interval such as \"90 days\" that is not negative, not \"1 day\\u0000\"".to_owned(),
        ),
        (
            json!({"max_messages": -1}),
            "policy key \"max_messages\" must be a whole number of at least 0, not -1".to_owned(),
        ),
        (
            json!({"max_messages": 1.5}),
            "policy key \"max_messages\" must be a whole number of at least 0, not 1.5".to_owned(),
        ),
        (
            json!({"max_messages": 18_446_744_073_709_551_615_u64}),
            "policy key \"max_messages\" must be a whole number of at least 0, not 18446744073709551615".to_owned(),
        ),
        (
            json!({"roles": {"bob": {"max_bytes": {"a": 1}}}}),
            "policy key \"max_bytes\" of role \"bob\" must be a number of bytes of at least 0, or a size such as \"10GB\", not an object".to_owned(),
        ),
        (
            json!({"batch_rows": 5001}),
            "policy key \"batch_rows\" must be a whole number from 2 to 5000, not 5001".to_owned(),
        ),
        (
            json!({"batch_rows": 1}),
            "policy key \"batch_rows\" must be a whole number from 2 to 5000, not 1".to_owned(),
        ),
        (
            json!({"batch_time": 5}),
            "policy key \"batch_time\" must be an interval from \"1 ms\" to \"1 s\", not 5".to_owned(),
        ),
        (json!({"roles": []}), "policy key \"roles\" must be a JSON object, not an array".to_owned()),
        (
            json!({"roles": {"bob": null}}),
            "policy key \"roles\" of role \"bob\" must be a JSON object, not null".to_owned(),
        ),
        (
            json!({"resume": {"from": "x"}}),
            "policy key \"resume\" must be what castmatch.prune returned as \"next\", not {\"from\":\"x\"}".to_owned(),
        ),
    ] {
        assert_eq!(told(policy), expected);
    }
    let many: serde_json::Map<String, Value> = (0..1001).map(|role| (role.to_string(), json!({}))).collect();
    assert_eq!(
        told(json!({ "roles": many })),
        "policy names 1001 roles, the limit is 1000"
    );
}

fn cursor() -> Cursor {
    Cursor {
        as_of: "2026-11-23T12:00:00+00:00".to_owned(),
        phase: Phase::Conversations,
        from: Id([7; 16]),
        seq: Some(5001),
        cutoffs: vec![
            SizeCutoff {
                role: None,
                last_message_at: "infinity".to_owned(),
                conversation: Id::default(),
            },
            SizeCutoff {
                role: Some("app \"x\"".to_owned()),
                last_message_at: "2026-01-01".to_owned(),
                conversation: Id([255; 16]),
            },
        ],
    }
}

#[test]
fn cursor_comes_back_as_it_was() {
    let cursor = cursor();
    assert_eq!(Cursor::parse(&cursor.to_json()), Some(cursor.clone()));
    let policy = parse(&json!({ "resume": cursor.to_json() })).unwrap();
    assert_eq!(policy.resume, Some(cursor.clone()));
    let between = Cursor { seq: None, ..cursor };
    assert_eq!(Cursor::parse(&between.to_json()), Some(between));
}

#[test]
fn cursor_with_anything_else_is_none() {
    let sound = cursor().to_json();
    for (key, value) in [
        ("as_of", json!(5)),
        ("as_of", json!("")),
        ("as_of", json!("x".repeat(300))),
        ("phase", json!("messages")),
        ("from", json!("07070707-0707-0707-0707-07070707070")),
        ("from", json!("0707070707070707-0707-0707-070707070")),
        ("from", json!("éé070707-0707-0707-0707-070707070707")),
        ("from", json!(null)),
        ("seq", json!(1.5)),
        ("seq", json!("1")),
        ("cutoffs", json!(null)),
        ("cutoffs", json!([{}])),
        (
            "cutoffs",
            json!([{"role": 1, "last_message_at": "x", "conversation": Id::default().to_string()}]),
        ),
        ("extra", json!(1)),
    ] {
        let mut changed = sound.clone();
        changed[key] = value;
        assert_eq!(Cursor::parse(&changed), None, "{changed}");
    }
    let mut shorter = sound;
    shorter.as_object_mut().unwrap().remove("as_of");
    assert_eq!(Cursor::parse(&shorter), None);
}

#[test]
fn ids_follow_each_other() {
    assert_eq!(Id::default().next(), Some(Id(1_u128.to_be_bytes())));
    assert_eq!(Id([255; 16]).next(), None);
    let text = "0123abcd-4567-89ef-0123-456789abcdef";
    assert_eq!(Id::parse(text).unwrap().to_string(), text);
    assert_eq!(Id::parse(&text.to_uppercase()).unwrap().to_string(), text);
}

proptest! {
    #[test]
    fn ids_keep_their_order_and_their_text(one: [u8; 16], other: [u8; 16]) {
        prop_assert_eq!(Id(one) < Id(other), one < other);
        prop_assert_eq!(Id::parse(&Id(one).to_string()), Some(Id(one)));
        if let Some(next) = Id(one).next() {
            prop_assert!(Id(one) < next && (Id(other) <= Id(one) || next <= Id(other)));
        }
    }
}

const FACTS: Facts = Facts {
    id: Id([5; 16]),
    last_message_at: 1000,
    first: Some((11, 500)),
    last: Some(20),
};

#[test]
fn fate_follows_the_bounds() {
    let none = Bounds::default();
    let empty = Facts {
        first: None,
        last: None,
        ..FACTS
    };
    for (bounds, facts, fate) in [
        (none, FACTS, Fate::Stays),
        (none, empty, Fate::Stays),
        (
            Bounds {
                idle: Some(1000),
                ..none
            },
            FACTS,
            Fate::Stays,
        ),
        (
            Bounds {
                idle: Some(1001),
                ..none
            },
            FACTS,
            Fate::Goes,
        ),
        (
            Bounds {
                age: Some(500),
                ..none
            },
            FACTS,
            Fate::Stays,
        ),
        (
            Bounds {
                age: Some(501),
                ..none
            },
            FACTS,
            Fate::Shrinks,
        ),
        (
            Bounds {
                age: Some(1000),
                ..none
            },
            empty,
            Fate::Stays,
        ),
        (
            Bounds {
                age: Some(1001),
                ..none
            },
            empty,
            Fate::Goes,
        ),
        (
            Bounds {
                messages: Some(10),
                ..none
            },
            FACTS,
            Fate::Stays,
        ),
        (
            Bounds {
                messages: Some(9),
                ..none
            },
            FACTS,
            Fate::Shrinks,
        ),
        (
            Bounds {
                messages: Some(0),
                ..none
            },
            FACTS,
            Fate::Shrinks,
        ),
        (
            Bounds {
                messages: Some(0),
                ..none
            },
            empty,
            Fate::Goes,
        ),
        (
            Bounds {
                messages: Some(1),
                ..none
            },
            empty,
            Fate::Stays,
        ),
        (
            Bounds {
                size: Some((1000, Id([5; 16]))),
                ..none
            },
            FACTS,
            Fate::Goes,
        ),
        (
            Bounds {
                size: Some((1000, Id([4; 16]))),
                ..none
            },
            FACTS,
            Fate::Stays,
        ),
        (
            Bounds {
                size: Some((999, Id([255; 16]))),
                ..none
            },
            FACTS,
            Fate::Stays,
        ),
        (
            Bounds {
                size: Some((1001, Id([0; 16]))),
                ..none
            },
            FACTS,
            Fate::Goes,
        ),
    ] {
        assert_eq!(bounds.fate(&facts), fate, "{bounds:?} {facts:?}");
    }
    let extreme = Facts {
        first: Some((i64::MIN, i64::MIN)),
        last: Some(i64::MAX),
        ..FACTS
    };
    let bounds = Bounds {
        messages: Some(i64::MAX),
        ..none
    };
    assert_eq!(bounds.fate(&extreme), Fate::Stays);
}
