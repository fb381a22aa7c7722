//! A policy made definite: roles by their OIDs, intervals as the moments that they mean. PostgreSQL reads intervals, sizes and timestamps.

use crate::error::{Result, error, policy_error};
use crate::pg::spi::{Rows, Session};
use crate::pg::value::Value;
use crate::pg::xact::attempt;
use castmatch_engine::maintenance::{
    Bounds, Cursor, Expected, Key, Limits, Policy, PolicyError, Size, SizeCutoff, parse,
};
use core::time::Duration;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How long a batch may take unless the policy says less or more.
const BATCH_TIME: Duration = Duration::from_millis(500);
/// Bounds of the time of a batch, seconds.
const BATCH_SECONDS: core::ops::RangeInclusive<f64> = 0.001..=1.0;

/// A role that the policy names.
pub struct RolePlan {
    /// Its name.
    pub name: String,
    /// Its OID.
    pub oid: pg_sys::Oid,
    /// What its conversations are held to.
    bounds: Bounds,
    /// Its own limit of bytes: none, or one that may be no limit.
    pub own_bytes: Option<Option<i64>>,
}

/// A policy made definite.
pub struct Plan {
    /// The moment that ages count from, as PostgreSQL writes it.
    pub as_of_text: String,
    /// For conversations of all other roles.
    general: Bounds,
    /// Bytes that those may hold together.
    pub general_bytes: Option<i64>,
    /// The roles that the policy names.
    pub roles: Vec<RolePlan>,
    /// Whether any conversation has a limit.
    pub limits_conversations: bool,
    /// Requests that were finished before this moment go.
    pub requests_before: Option<Value>,
    /// Most rows to delete.
    pub batch_rows: usize,
    /// Longest time to take.
    pub batch_time: Duration,
    /// Where the pass stands.
    pub resume: Option<Cursor>,
    /// What the measurement of sizes found.
    pub cutoffs: Vec<SizeCutoff>,
}

impl Plan {
    /// Reads a policy.
    ///
    /// # Errors
    /// 22023 for what is wrong in it, 42704 for a role that does not exist.
    pub fn resolve(session: &Session, policy: &Json) -> Result<Self> {
        let policy = parse(policy).map_err(policy_error)?;
        let (as_of, as_of_text) = as_of(session, policy.resume.as_ref())?;
        let mut reader = Reader {
            session,
            as_of,
            ages: BTreeMap::new(),
            sizes: BTreeMap::new(),
        };
        let limits_conversations = policy.limits_conversations();
        let (general, general_bytes) = reader.bounds(&policy.general, None)?;
        let requests_before = reader.age("max_request_age", policy.max_request_age.as_deref(), None)?;
        Ok(Self {
            as_of_text,
            general,
            general_bytes,
            roles: reader.roles(&policy)?,
            limits_conversations,
            requests_before: requests_before.map(moment),
            batch_rows: policy.batch_rows,
            batch_time: reader.batch_time(policy.batch_time.as_deref())?,
            resume: policy.resume,
            cutoffs: Vec::new(),
        })
    }

    /// What conversations of that owner are held to. An owner that was dropped is as any other.
    pub fn bounds(&self, owner: pg_sys::Oid) -> &Bounds {
        self.roles
            .iter()
            .find(|role| role.oid == owner)
            .map_or(&self.general, |role| &role.bounds)
    }

    /// Whether the first and last message of conversations have to be known.
    pub fn needs_messages(&self) -> bool {
        let of_roles = self.roles.iter().map(|role| &role.bounds);
        core::iter::once(&self.general)
            .chain(of_roles)
            .any(Bounds::needs_messages)
    }

    /// Takes over what the measurement at the beginning of the pass found. What is said of a limit that the policy does not have is passed
    /// over.
    ///
    /// # Errors
    /// 22023 for a text that is no timestamp.
    pub fn set_cutoffs(&mut self, session: &Session, cutoffs: Vec<SizeCutoff>) -> Result<()> {
        for cutoff in &cutoffs {
            let rows = read(
                Expected::Resume,
                key("resume", None),
                &cutoff.last_message_at,
                || {
                    session.run(
                        "SELECT $1::pg_catalog.timestamptz",
                        &[Value::of(cutoff.last_message_at.as_str())],
                    )
                },
            )?;
            let at: TimestampWithTimeZone = rows.require(0, 1)?;
            let size = Some((at.into_inner(), cutoff.conversation));
            match &cutoff.role {
                None if self.general_bytes.is_some() => {
                    self.general.size = size;
                    for role in self.roles.iter_mut().filter(|role| role.own_bytes.is_none()) {
                        role.bounds.size = size;
                    }
                }
                None => {}
                Some(name) => {
                    let has_limit = |role: &&mut RolePlan| {
                        role.name == *name && role.own_bytes.is_some_and(|bytes| bytes.is_some())
                    };
                    if let Some(role) = self.roles.iter_mut().find(has_limit) {
                        role.bounds.size = size;
                    }
                }
            }
        }
        self.cutoffs = cutoffs;
        Ok(())
    }
}

/// A moment as a parameter.
pub fn moment(microseconds: i64) -> Value {
    Value::datum(pg_sys::TIMESTAMPTZOID, Some(pg_sys::Datum::from(microseconds)))
}

fn key(name: &'static str, role: Option<&str>) -> Key {
    Key {
        name,
        role: role.map(str::to_owned),
    }
}

fn bad(expected: Expected, key: Key, text: &str) -> pg_sys::panic::ErrorReport {
    let found = Json::from(text).to_string();
    policy_error(PolicyError::BadValue { key, expected, found })
}

/// Has PostgreSQL read a text of the policy; one that it refuses is told as a value of the policy.
fn read(expected: Expected, key: Key, text: &str, f: impl FnOnce() -> Result<Rows>) -> Result<Rows> {
    attempt(f).map_err(|failed| match failed.code {
        PgSqlErrorCode::ERRCODE_INVALID_DATETIME_FORMAT
        | PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW
        | PgSqlErrorCode::ERRCODE_INTERVAL_FIELD_OVERFLOW
        | PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION
        | PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE
        | PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE => bad(expected, key, text),
        code => error(code, failed.message),
    })
}

/// The moment that ages count from: that of the pass, never one in the future, whatever clocks and callers do.
fn as_of(session: &Session, resume: Option<&Cursor>) -> Result<(i64, String)> {
    let text = resume.map(|cursor| cursor.as_of.as_str());
    let rows = read(
        Expected::Resume,
        key("resume", None),
        text.unwrap_or_default(),
        || {
            session.run(
                "SELECT n.at, pg_catalog.to_jsonb(n.at) OPERATOR(pg_catalog.#>>) '{}'
                 FROM (SELECT LEAST($1::pg_catalog.timestamptz, pg_catalog.now()) AS at) n",
                &[text.map_or(Value::datum(pg_sys::TEXTOID, None), Value::of)],
            )
        },
    )?;
    let at: TimestampWithTimeZone = rows.require(0, 1)?;
    Ok((at.into_inner(), rows.require(0, 2)?))
}

/// Reads the texts of a policy, each of them once.
struct Reader<'a> {
    session: &'a Session,
    as_of: i64,
    ages: BTreeMap<String, i64>,
    sizes: BTreeMap<String, i64>,
}

impl Reader<'_> {
    fn bounds(&mut self, limits: &Limits, role: Option<&str>) -> Result<(Bounds, Option<i64>)> {
        let bounds = Bounds {
            age: self.age("max_age", limits.max_age.as_deref(), role)?,
            idle: self.age("max_idle", limits.max_idle.as_deref(), role)?,
            messages: limits.max_messages,
            size: None,
        };
        let bytes = match &limits.max_bytes {
            None => None,
            Some(Size::Bytes(bytes)) => Some(*bytes),
            Some(Size::Text(text)) => Some(self.size(text, role)?),
        };
        Ok((bounds, bytes))
    }

    fn roles(&mut self, policy: &Policy) -> Result<Vec<RolePlan>> {
        let mut plans = Vec::with_capacity(policy.roles.len());
        for role in &policy.roles {
            pgrx::check_for_interrupts!();
            let (bounds, bytes) = self.bounds(&role.limits, Some(&role.role))?;
            let rows = self.session.run(
                "SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) $1",
                &[Value::of(role.role.as_str())],
            )?;
            if rows.is_empty() {
                return Err(error(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                    format!("role \"{}\" in the policy does not exist", role.role),
                ));
            }
            plans.push(RolePlan {
                name: role.role.clone(),
                oid: rows.require(0, 1)?,
                bounds,
                own_bytes: role.has_own_bytes.then_some(bytes),
            });
        }
        Ok(plans)
    }

    /// The moment before which something is older than an interval.
    fn age(&mut self, name: &'static str, text: Option<&str>, role: Option<&str>) -> Result<Option<i64>> {
        let Some(text) = text else { return Ok(None) };
        if let Some(known) = self.ages.get(text) {
            return Ok(Some(*known));
        }
        let key = key(name, role);
        let rows = read(Expected::Interval, key.clone(), text, || {
            self.session.run(
                "SELECT i.age OPERATOR(pg_catalog.<) '0'::pg_catalog.interval, $2 OPERATOR(pg_catalog.-) i.age
                 FROM (SELECT $1::pg_catalog.interval AS age) i",
                &[Value::of(text), moment(self.as_of)],
            )
        })?;
        let (is_negative, before): (bool, TimestampWithTimeZone) = (rows.require(0, 1)?, rows.require(0, 2)?);
        let before = before.into_inner();
        // "1 month -30 days" is not negative by itself, but may be from today.
        if is_negative || before > self.as_of {
            return Err(bad(Expected::Interval, key, text));
        }
        self.ages.insert(text.to_owned(), before);
        Ok(Some(before))
    }

    fn size(&mut self, text: &str, role: Option<&str>) -> Result<i64> {
        if let Some(known) = self.sizes.get(text) {
            return Ok(*known);
        }
        let key = key("max_bytes", role);
        let rows = read(Expected::Bytes, key.clone(), text, || {
            self.session
                .run("SELECT pg_catalog.pg_size_bytes($1)", &[Value::of(text)])
        })?;
        let bytes: i64 = rows.require(0, 1)?;
        if bytes < 0 {
            return Err(bad(Expected::Bytes, key, text));
        }
        self.sizes.insert(text.to_owned(), bytes);
        Ok(bytes)
    }

    fn batch_time(&self, text: Option<&str>) -> Result<Duration> {
        let Some(text) = text else { return Ok(BATCH_TIME) };
        let key = key("batch_time", None);
        let rows = read(Expected::BatchTime, key.clone(), text, || {
            self.session.run(
                "SELECT pg_catalog.date_part('epoch', $1::pg_catalog.interval)",
                &[Value::of(text)],
            )
        })?;
        let seconds: f64 = rows.require(0, 1)?;
        if BATCH_SECONDS.contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err(bad(Expected::BatchTime, key, text))
        }
    }
}
