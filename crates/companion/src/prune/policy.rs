//! What to prune: a JSON object as `castmatch.prune()` takes it. The server checks the values; the names of the keys are
//! checked here too, so that a misspelt limit is found at the start and not at the first pass.

use serde_json::{Map, Value};

/// The keys that a policy may have. `resume` is not among them: the pruner sets it.
pub const KEYS: [&str; 8] = [
    "max_age",
    "max_idle",
    "max_messages",
    "max_bytes",
    "max_request_age",
    "roles",
    "batch_rows",
    "batch_time",
];

/// The keys of the limits of a role.
const ROLE_KEYS: [&str; 4] = ["max_age", "max_idle", "max_messages", "max_bytes"];

/// Whether it has the shape of a policy.
///
/// # Errors
/// Names the key that does not exist.
pub fn check(policy: &Value) -> Result<(), String> {
    let object = policy.as_object().ok_or("must be an object")?;
    check_keys(object, &KEYS, "")?;
    let Some(roles) = object.get("roles") else {
        return Ok(());
    };
    for (role, limits) in roles.as_object().ok_or("\"roles\" must be an object")? {
        let limits = limits
            .as_object()
            .ok_or_else(|| format!("the limits of role \"{role}\" must be an object"))?;
        check_keys(limits, &ROLE_KEYS, &format!(" of role \"{role}\""))?;
    }
    Ok(())
}

fn check_keys(object: &Map<String, Value>, known: &[&str], whose: &str) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!(
            "there is no limit \"{key}\"{whose} (there are {})",
            known.join(", ")
        )),
    }
}

/// A single limit from its text: counts are numbers, everything else is text for the server to read.
///
/// # Errors
/// When a count is none.
pub fn value(key: &str, text: &str) -> Result<Value, String> {
    if key.ends_with("max_messages") {
        let number: u32 = text.parse().map_err(|_| "must be a whole number, 0 or more")?;
        return Ok(number.into());
    }
    Ok(text.into())
}

/// The policy with that limit (`prune.max_age` is the limit `max_age`).
#[must_use]
pub fn with(policy: Option<Value>, key: &str, value: Value) -> Value {
    let mut object = match policy {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let key = key.trim_start_matches("prune.");
    object.insert(key.to_owned(), value);
    Value::Object(object)
}

/// The policy that goes on where the call before ended.
#[must_use]
pub fn resumed(policy: &Value, next: Option<&Value>) -> Value {
    match next {
        Some(next) => with(Some(policy.clone()), "resume", next.clone()),
        None => policy.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn misspelt_keys_are_named_with_those_that_exist() {
        assert_eq!(
            check(&json!({"max_age": "90 days", "roles": {"a": {"max_idle": null}}})),
            Ok(())
        );
        let error = check(&json!({"max_agee": "90 days"})).unwrap_err();
        assert!(
            error.contains("max_agee") && error.contains("max_request_age"),
            "{error}"
        );
        let error = check(&json!({"roles": {"app": {"batch_rows": 1}}})).unwrap_err();
        assert!(error.contains("batch_rows") && error.contains("app"), "{error}");
        for wrong in [
            json!([]),
            json!("90 days"),
            json!({"roles": []}),
            json!({"roles": {"a": 1}}),
        ] {
            assert!(check(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn single_limits_replace_those_of_the_policy_and_the_cursor_is_added() {
        let policy = json!({"max_age": "1 day", "max_bytes": "1GB"});
        let policy = with(
            Some(policy),
            "prune.max_age",
            value("prune.max_age", "2 days").unwrap(),
        );
        assert_eq!(policy, json!({"max_age": "2 days", "max_bytes": "1GB"}));
        let resumed = resumed(&policy, Some(&json!({"id": 7})));
        assert_eq!(
            resumed,
            json!({"max_age": "2 days", "max_bytes": "1GB", "resume": {"id": 7}})
        );
        assert_eq!(value("max_messages", "7"), Ok(json!(7)));
        assert!(value("max_messages", "seven").is_err());
    }
}
