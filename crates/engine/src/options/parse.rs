//! JSON to options.

use serde_json::{Map, Value};

use super::value::{bounded, flag, number, object, shown, text, whole};
use super::{
    Diversity, MAX_CANDIDATES, MAX_DIVERSE, MAX_K, MAX_OFFSET, OPTIONS, OptionError, Options, Reasons, Verb,
};
use crate::cache::Usage;
use crate::filter::{closest, json_kind};
use crate::fusion::Fusion;

/// Parses the options of a call of `verb`.
///
/// # Errors
/// Any [`OptionError`] but `NeedsMeaning`: shape, an unknown option or one of another function, a value of the wrong kind or out of range.
pub fn parse(options: &Value, verb: Verb) -> Result<Options, OptionError> {
    let Value::Object(given) = options else {
        return Err(OptionError::NotAnObject {
            found: json_kind(options),
        });
    };
    let mut parsed = Options::default();
    for (name, value) in given {
        set(&mut parsed, known(name, verb)?, value)?;
    }
    parsed.fusion = fusion(given)?;
    Ok(parsed)
}

fn known(name: &str, verb: Verb) -> Result<&'static str, OptionError> {
    if let Some(known) = verb.options().find(|option| *option == name) {
        return Ok(known);
    }
    Err(match OPTIONS.iter().find(|(option, _)| *option == name) {
        Some(&(name, _)) => OptionError::OfAnother { name, verb },
        None => OptionError::Unknown {
            name: name.to_owned(),
            verb,
            closest: closest(name, verb.options()),
        },
    })
}

fn set(options: &mut Options, name: &'static str, value: &Value) -> Result<(), OptionError> {
    match name {
        "cache" => {
            options.cache = usage(value)?;
            options.cache_given = true;
        }
        "candidates" => options.candidates = Some(whole(name, value, 1, MAX_CANDIDATES)?),
        "json_schema" => options.speech.json_schema = Some(object(name, value)?),
        "k" => options.k = Some(whole(name, value, 0, MAX_K)?),
        "max_tokens" => options.speech.max_tokens = u32::try_from(whole(name, value, 1, MAX_TOKENS)?).ok(),
        "metadata" => options.speech.metadata = Some(object(name, value)?),
        "min_similarity" => options.min_similarity = Some(number(name, value, -1.0, 1.0)?),
        "mmr" => options.diversity = Some(diversity(value)?),
        "mode" => options.mode = Some(text(name, value)?.parse()?),
        "offset" => options.offset = whole(name, value, 0, MAX_OFFSET)?,
        "reasons" => options.reasons = reasons(value)?,
        "summary" => options.speech.summary = flag(name, value)?,
        "system" => options.speech.system = Some(bounded(name, value, MAX_SYSTEM_BYTES)?),
        "temperature" => options.speech.temperature = Some(number(name, value, 0.0, 2.0)?),
        "title" => options.speech.title = Some(bounded(name, value, MAX_TITLE_BYTES)?),
        // Those of the fusion are looked at together.
        _ => {}
    }
    Ok(())
}

fn usage(value: &Value) -> Result<Usage, OptionError> {
    let wanted = Usage::NAMES.iter().find(|(name, _)| value == name);
    wanted
        .map(|&(_, usage)| usage)
        .ok_or_else(|| OptionError::NotAUsage { found: shown(value) })
}

fn reasons(value: &Value) -> Result<Reasons, OptionError> {
    match value {
        Value::Bool(true) => Ok(Reasons::Full),
        Value::Bool(false) => Ok(Reasons::Left),
        Value::String(text) if text == "text" => Ok(Reasons::Text),
        _ => Err(OptionError::WrongKind {
            name: "reasons",
            expected: "true, false or \"text\"",
            found: shown(value),
        }),
    }
}

/// A number is the lambda alone.
fn diversity(value: &Value) -> Result<Diversity, OptionError> {
    let Value::Object(parts) = value else {
        let expected = "a number or an object with \"lambda\"";
        return match value {
            Value::Number(_) => Ok(Diversity {
                lambda: number("mmr", value, 0.0, 1.0)?,
                candidates: None,
            }),
            _ => Err(OptionError::WrongKind {
                name: "mmr",
                expected,
                found: json_kind(value).to_owned(),
            }),
        };
    };
    if let Some(name) = parts
        .keys()
        .find(|name| !matches!(name.as_str(), "lambda" | "candidates"))
    {
        return Err(OptionError::WrongKind {
            name: "mmr",
            expected: "an object of \"lambda\" and \"candidates\"",
            found: format!("one with {}", shown(&Value::String(name.clone()))),
        });
    }
    let candidates = parts.get("candidates");
    Ok(Diversity {
        lambda: number(
            "mmr.lambda",
            parts.get("lambda").unwrap_or(&Value::Null),
            0.0,
            1.0,
        )?,
        candidates: candidates
            .map(|value| whole("mmr.candidates", value, 1, MAX_DIVERSE))
            .transpose()?,
    })
}

fn fusion(given: &Map<String, Value>) -> Result<Fusion, OptionError> {
    let weight = |name| match given.get(name) {
        Some(value) => number(name, value, 0.0, f64::MAX),
        None => Ok(1.0),
    };
    let (semantic, text) = (weight("semantic_weight")?, weight("text_weight")?);
    let constant = match given.get("rrf_k") {
        Some(value) => whole("rrf_k", value, 0, MAX_RANK_CONSTANT)?,
        None => return Ok(Fusion::new(Fusion::RANK_CONSTANT, semantic, text)?),
    };
    let constant = u32::try_from(constant).unwrap_or(Fusion::RANK_CONSTANT);
    Ok(Fusion::new(constant, semantic, text)?)
}

/// Longest system prompt, in bytes.
pub const MAX_SYSTEM_BYTES: usize = 32 << 10;
/// Longest title of a conversation, in bytes.
const MAX_TITLE_BYTES: usize = 400;
/// Most tokens of a reply.
const MAX_TOKENS: usize = 1_000_000;
/// Above it all ranks count alike.
const MAX_RANK_CONSTANT: usize = 1_000_000;
