//! JSON to policy.

use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::error::{Expected, Key, PolicyError};
use crate::filter::{closest, json_kind};
use crate::options::value::shown;

/// Most rows that one call deletes.
pub const MAX_BATCH_ROWS: usize = 5_000;
/// Fewest rows that a call may be limited to: the last message of a conversation goes together with the conversation.
pub const MIN_BATCH_ROWS: usize = 2;
/// Most roles that a policy names.
pub(super) const MAX_ROLES: usize = 1_000;
/// Longest text of an interval, a size or a timestamp, in bytes.
const MAX_TEXT_BYTES: usize = 200;

const KEYS: &[&str] = &[
    "max_age",
    "max_idle",
    "max_messages",
    "max_bytes",
    "max_request_age",
    "roles",
    "batch_rows",
    "batch_time",
    "resume",
];
const ROLE_KEYS: &[&str] = &["max_age", "max_idle", "max_messages", "max_bytes"];

/// A number of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// As a number.
    Bytes(i64),
    /// As PostgreSQL's `pg_size_bytes` reads it.
    Text(String),
}

/// What conversations are held to; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Messages older than this interval go.
    pub max_age: Option<String>,
    /// Conversations without a message for this interval go.
    pub max_idle: Option<String>,
    /// So many of the newest messages stay.
    pub max_messages: Option<i64>,
    /// So much all messages together may hold.
    pub max_bytes: Option<Size>,
}

/// The limits for the conversations of one role: the general ones with what the policy says of the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLimits {
    /// The role's name.
    pub role: String,
    /// Its limits.
    pub limits: Limits,
    /// Whether `max_bytes` is the role's own: then its conversations do not count to the general one.
    pub has_own_bytes: bool,
}

/// A policy, its texts not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// For conversations of roles that `roles` does not name.
    pub general: Limits,
    /// In the order of names.
    pub roles: Vec<RoleLimits>,
    /// Finished requests older than this interval go.
    pub max_request_age: Option<String>,
    /// Most rows that the call deletes.
    pub batch_rows: usize,
    /// Interval that the call may take.
    pub batch_time: Option<String>,
    /// Where the pass stands.
    pub resume: Option<Cursor>,
}

impl Policy {
    /// Whether any conversation has a limit.
    #[must_use]
    pub fn limits_conversations(&self) -> bool {
        self.general != Limits::default() || self.roles.iter().any(|role| role.limits != Limits::default())
    }
}

/// Parses a policy. A key whose value is null is as one that is not there; under a role it takes the general limit away.
///
/// # Errors
/// Shape, an unknown key, a value of the wrong kind or out of range, too many roles.
pub fn parse(policy: &Value) -> Result<Policy, PolicyError> {
    let Value::Object(given) = policy else {
        return Err(PolicyError::NotAnObject {
            found: json_kind(policy),
        });
    };
    check_keys(given, None, KEYS)?;
    let key = |name| Key { name, role: None };
    let value = |name: &str| given.get(name).filter(|value| !value.is_null());
    let mut general = Limits::default();
    override_limits(&mut general, given, None)?;
    Ok(Policy {
        roles: value("roles").map_or_else(|| Ok(Vec::new()), |roles| parse_roles(roles, &general))?,
        general,
        max_request_age: value("max_request_age")
            .map(|age| interval(key("max_request_age"), age, Expected::Interval))
            .transpose()?,
        batch_rows: value("batch_rows").map_or(Ok(MAX_BATCH_ROWS), batch_rows)?,
        batch_time: value("batch_time")
            .map(|time| interval(key("batch_time"), time, Expected::BatchTime))
            .transpose()?,
        resume: value("resume")
            .map(|resume| Cursor::parse(resume).ok_or_else(|| bad(key("resume"), Expected::Resume, resume)))
            .transpose()?,
    })
}

fn check_keys(
    given: &Map<String, Value>,
    role: Option<&str>,
    known: &'static [&'static str],
) -> Result<(), PolicyError> {
    match given.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(PolicyError::UnknownKey {
            name: name.clone(),
            role: role.map(str::to_owned),
            closest: closest(name, known.iter().copied()),
            known,
        }),
    }
}

/// Replaces the limits that an object names.
fn override_limits(
    limits: &mut Limits,
    given: &Map<String, Value>,
    role: Option<&str>,
) -> Result<(), PolicyError> {
    let key = |name| Key {
        name,
        role: role.map(str::to_owned),
    };
    for (name, value) in given {
        let value = Some(value).filter(|value| !value.is_null());
        let age = |name| {
            value
                .map(|value| interval(key(name), value, Expected::Interval))
                .transpose()
        };
        match name.as_str() {
            "max_age" => limits.max_age = age("max_age")?,
            "max_idle" => limits.max_idle = age("max_idle")?,
            "max_messages" => {
                limits.max_messages = value
                    .map(|value| {
                        whole(value).ok_or_else(|| bad(key("max_messages"), Expected::Messages, value))
                    })
                    .transpose()?;
            }
            "max_bytes" => limits.max_bytes = value.map(|value| size(key("max_bytes"), value)).transpose()?,
            _ => {}
        }
    }
    Ok(())
}

fn parse_roles(roles: &Value, general: &Limits) -> Result<Vec<RoleLimits>, PolicyError> {
    let object = |role: Option<&str>, value: &Value| {
        let key = Key {
            name: "roles",
            role: role.map(str::to_owned),
        };
        value
            .as_object()
            .cloned()
            .ok_or_else(|| bad(key, Expected::Object, value))
    };
    let roles = object(None, roles)?;
    if roles.len() > MAX_ROLES {
        return Err(PolicyError::TooManyRoles(roles.len()));
    }
    roles
        .iter()
        .map(|(role, given)| {
            let given = object(Some(role), given)?;
            check_keys(&given, Some(role), ROLE_KEYS)?;
            let mut limits = general.clone();
            override_limits(&mut limits, &given, Some(role))?;
            Ok(RoleLimits {
                role: role.clone(),
                limits,
                has_own_bytes: given.contains_key("max_bytes"),
            })
        })
        .collect()
}

fn bad(key: Key, expected: Expected, found: &Value) -> PolicyError {
    let found = match found {
        Value::Object(_) | Value::Array(_) if expected != Expected::Resume => json_kind(found).to_owned(),
        _ => shown(found),
    };
    PolicyError::BadValue { key, expected, found }
}

/// A text that PostgreSQL is to read: neither empty nor long, without NUL, where its C strings would end.
pub(super) fn short_text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_fit = !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains('\0');
    is_fit.then(|| text.to_owned())
}

/// An interval. One without a unit would be seconds to PostgreSQL, which nobody means who writes "90".
fn interval(key: Key, value: &Value, expected: Expected) -> Result<String, PolicyError> {
    let has_unit = |text: &String| text.contains(|c: char| c.is_ascii_alphabetic() || c == ':');
    short_text(value)
        .filter(has_unit)
        .ok_or_else(|| bad(key, expected, value))
}

/// A whole number of at least 0, also one that is written with a fraction of zero.
#[allow(
    clippy::cast_possible_truncation,
    reason = "below 2^53, where every whole number is exact"
)]
fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() <= EXACT)
    };
    value
        .as_i64()
        .or_else(|| fraction().map(|number| number as i64))
        .filter(|number| *number >= 0)
}

fn size(key: Key, value: &Value) -> Result<Size, PolicyError> {
    let size = match value {
        Value::String(_) => short_text(value).map(Size::Text),
        _ => whole(value).map(Size::Bytes),
    };
    size.ok_or_else(|| bad(key, Expected::Bytes, value))
}

fn batch_rows(value: &Value) -> Result<usize, PolicyError> {
    whole(value)
        .and_then(|rows| usize::try_from(rows).ok())
        .filter(|rows| (MIN_BATCH_ROWS..=MAX_BATCH_ROWS).contains(rows))
        .ok_or_else(|| {
            let key = Key {
                name: "batch_rows",
                role: None,
            };
            bad(key, Expected::BatchRows, value)
        })
}
