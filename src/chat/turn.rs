//! The arguments of a turn, checked.

use crate::error::{Result, error, invalid_argument, null_argument, option_error};
use crate::guc;
use crate::matching::rank;
use crate::pg::json::JsonArg;
use crate::pg::value::Value;
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::options::{self, Options, Verb};
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{Value as Json, json};

/// Longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The arguments of a turn.
#[derive(Clone)]
pub struct Turn {
    /// What the user says.
    pub message: String,
    /// The conversation; `None` for a new one.
    pub conversation: Option<Uuid>,
    /// The table; `None` for that of the conversation.
    pub target: Option<pg_sys::Oid>,
    /// Rows that the reply may rest on.
    pub k: usize,
    /// Hard conditions.
    pub filter: Option<Json>,
    /// Soft preferences.
    pub prefer: Option<Json>,
    /// The model that is to reply.
    pub model: String,
    /// The rest.
    pub options: Options,
    /// The rest as it was given.
    given: Option<Json>,
}

/// The arguments as SQL gives them.
pub struct Arguments<'a> {
    pub message: Option<&'a str>,
    pub conversation: Option<Uuid>,
    pub target: Option<pg_sys::Oid>,
    pub k: Option<i32>,
    pub filter: Option<JsonArg>,
    pub prefer: Option<JsonArg>,
    pub model: Option<&'a str>,
    pub options: Option<JsonArg>,
}

/// Refuses what is no message.
///
/// # Errors
/// 22004, 22023, 54000.
pub fn check_message<'a>(message: Option<&'a str>, name: &str) -> Result<&'a str> {
    let message = message.ok_or_else(|| null_argument(name))?;
    if message.trim().is_empty() {
        return Err(invalid_argument(format!("{name} must not be empty")));
    }
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!(
                "{name} of {} bytes is longer than {MAX_MESSAGE_BYTES} bytes",
                message.len()
            ),
        ));
    }
    Ok(message)
}

/// The model that a call means.
pub fn model_name(model: Option<&str>) -> String {
    model
        .map(str::to_owned)
        .or_else(guc::chat_model)
        .unwrap_or_else(|| BUILTIN.to_owned())
}

impl Turn {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// 22004, 22023, 54000 for what is wrong with one.
    pub fn new(arguments: Arguments) -> Result<Self> {
        let message = check_message(arguments.message, "message")?;
        let json =
            |argument: Option<JsonArg>, name| argument.map(|argument| argument.parse(name)).transpose();
        let (filter, prefer) = (
            json(arguments.filter, "filter")?,
            json(arguments.prefer, "prefer")?,
        );
        let given = json(arguments.options, "options")?;
        let k = rank::row_count(arguments.k.ok_or_else(|| null_argument("k"))?)?;
        let options = match &given {
            Some(given) => options::parse(given, Verb::Chat).map_err(option_error)?,
            None => Options::default(),
        };
        Ok(Self {
            message: message.to_owned(),
            conversation: arguments.conversation,
            target: arguments.target,
            k,
            filter,
            prefer,
            model: model_name(arguments.model),
            options,
            given,
        })
    }

    /// The arguments as JSON, for a request about the table of that name (qualified and quoted) that is answered later.
    pub fn to_json(&self, table: &str) -> Json {
        json!({
            "message": self.message, "target": table, "k": self.k, "filter": self.filter,
            "prefer": self.prefer, "model": self.model, "options": self.given,
        })
    }

    /// The arguments of a request in a conversation.
    ///
    /// # Errors
    /// 42P01 if the table is gone; XX000 if the request is none.
    pub fn from_json(request: &Json, conversation: Uuid) -> Result<Self> {
        let optional = |name: &str| request.get(name).filter(|value| !value.is_null()).cloned();
        let text = |name: &str| {
            request
                .get(name)
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let given = optional("options");
        let options = match &given {
            Some(given) => options::parse(given, Verb::Chat).map_err(option_error)?,
            None => Options::default(),
        };
        let target = request.get("target").and_then(Json::as_str);
        // The type's input function finds the table, or raises its error.
        let target = target
            .map(|name| Value::parse(pg_sys::REGCLASSOID, name))
            .transpose()?
            .and_then(|value| value.datum)
            .map(|datum| pg_sys::Oid::from(datum.value() as u32));
        Ok(Self {
            message: text("message"),
            conversation: Some(conversation),
            target,
            k: request
                .get("k")
                .and_then(Json::as_u64)
                .and_then(|k| usize::try_from(k).ok())
                .unwrap_or_default(),
            filter: optional("filter"),
            prefer: optional("prefer"),
            model: text("model"),
            options,
            given,
        })
    }
}
