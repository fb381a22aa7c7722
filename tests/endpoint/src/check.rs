//! Whether a request is as published, checked strictly: after the descriptions of the requests in OpenAI's OpenAPI document,
//! and no field that it does not have. What this server cannot do (audio, images) is a problem, too.

use serde_json::{Map, Value};

/// Fields of a request for chat; those after the first eleven are accepted without a look.
const CHAT_FIELDS: [&str; 36] = [
    "model",
    "messages",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "tool_choice",
    "response_format",
    "stream",
    "stream_options",
    "top_p",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "metadata",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "top_logprobs",
    "user",
    "verbosity",
    "web_search_options",
    "modalities",
];

const EMBEDDINGS_FIELDS: [&str; 5] = ["model", "input", "dimensions", "encoding_format", "user"];

/// Inputs of one request for embeddings.
const MAX_INPUTS: usize = 2048;

/// More than any model has; the server makes as many numbers as it is asked for.
const MAX_DIMENSIONS: u64 = 65_536;

/// Collects what is wrong with a request.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn require(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.0.push(problem.into());
        }
    }

    /// The object at a place, if it is one and has no other fields than these.
    fn object<'a>(
        &mut self,
        place: &str,
        value: &'a Value,
        fields: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.0.push(format!("{place}: not an object"));
            return None;
        };
        for name in object.keys().filter(|name| !fields.contains(&name.as_str())) {
            self.0.push(format!("{place}: no field \"{name}\""));
        }
        Some(object)
    }

    fn text(&mut self, place: &str, value: Option<&Value>) {
        let is_text = value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        self.require(is_text, format!("{place}: not a text, or an empty one"));
    }

    /// Names of functions and of schemas.
    fn name(&mut self, place: &str, value: Option<&Value>) {
        let is_name = value.and_then(Value::as_str).is_some_and(|name| {
            (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        });
        self.require(
            is_name,
            format!("{place}: not a name of 1 to 64 letters, digits, _ and -"),
        );
    }

    /// A field that may be absent or null.
    fn optional(&mut self, place: &str, value: Option<&Value>, holds: impl Fn(&Value) -> bool, form: &str) {
        let fits = value.is_none_or(|value| value.is_null() || holds(value));
        self.require(fits, format!("{place}: not {form}"));
    }
}

/// What is wrong with a request for chat.
pub(crate) fn chat(request: &Value) -> Vec<String> {
    let mut problems = Problems::default();
    let Some(body) = problems.object("request", request, &CHAT_FIELDS) else {
        return problems.0;
    };
    problems.text("model", body.get("model"));
    match body.get("messages").and_then(Value::as_array) {
        Some(messages) if !messages.is_empty() => {
            for (i, message) in messages.iter().enumerate() {
                check_message(&mut problems, &format!("messages[{i}]"), message);
            }
        }
        _ => problems.0.push("messages: not a list with a message".to_owned()),
    }
    let between = |low: f64, high: f64| {
        move |value: &Value| {
            value
                .as_f64()
                .is_some_and(|number| (low..=high).contains(&number))
        }
    };
    let positive = |value: &Value| value.as_u64().is_some_and(|number| number > 0);
    problems.optional(
        "temperature",
        body.get("temperature"),
        between(0.0, 2.0),
        "a number from 0 to 2",
    );
    problems.optional(
        "top_p",
        body.get("top_p"),
        between(0.0, 1.0),
        "a number from 0 to 1",
    );
    problems.optional(
        "max_tokens",
        body.get("max_tokens"),
        positive,
        "a positive whole number",
    );
    problems.optional(
        "max_completion_tokens",
        body.get("max_completion_tokens"),
        positive,
        "a positive whole number",
    );
    problems.optional("stream", body.get("stream"), Value::is_boolean, "true or false");
    check_stream_options(&mut problems, body);
    check_tools(&mut problems, body);
    check_response_format(&mut problems, body.get("response_format"));
    problems.0
}

fn check_message(problems: &mut Problems, place: &str, message: &Value) {
    let fields = ["role", "content", "name", "refusal", "tool_calls", "tool_call_id"];
    let Some(message) = problems.object(place, message, &fields) else {
        return;
    };
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    let roles = ["developer", "system", "user", "assistant", "tool"];
    problems.require(
        roles.contains(&role),
        format!("{place}.role: not one of {}", roles.join(", ")),
    );
    let content = message.get("content");
    let may_be_absent = role == "assistant" && message.contains_key("tool_calls");
    let absent = content.is_none_or(Value::is_null);
    problems.require(
        content.is_some_and(Value::is_string) || (absent && may_be_absent),
        format!("{place}.content: not a text"),
    );
    problems.require(
        (role == "tool") == message.contains_key("tool_call_id"),
        format!("{place}.tool_call_id: belongs to messages of tools, and to each of them"),
    );
}

fn check_stream_options(problems: &mut Problems, body: &Map<String, Value>) {
    let Some(options) = body.get("stream_options").filter(|options| !options.is_null()) else {
        return;
    };
    problems.require(
        body.get("stream") == Some(&Value::Bool(true)),
        "stream_options: only with a stream",
    );
    let fields = ["include_usage", "include_obfuscation"];
    if let Some(options) = problems.object("stream_options", options, &fields) {
        let are_booleans = options.values().all(Value::is_boolean);
        problems.require(are_booleans, "stream_options: not true or false");
    }
}

fn check_tools(problems: &mut Problems, body: &Map<String, Value>) {
    let mut names = Vec::new();
    if let Some(tools) = body.get("tools") {
        match tools.as_array() {
            Some(tools) if !tools.is_empty() => {
                for (i, tool) in tools.iter().enumerate() {
                    check_tool(problems, &format!("tools[{i}]"), tool);
                    names.extend(tool.pointer("/function/name").and_then(Value::as_str));
                }
            }
            _ => problems.0.push("tools: not a list with a tool".to_owned()),
        }
    }
    let Some(choice) = body.get("tool_choice") else {
        return;
    };
    problems.require(!names.is_empty(), "tool_choice: only with tools");
    if let Some(word) = choice.as_str() {
        let is_known = ["none", "auto", "required"].contains(&word);
        problems.require(is_known, "tool_choice: not none, auto or required");
        return;
    }
    if let Some(choice) = problems.object("tool_choice", choice, &["type", "function"]) {
        let is_function = choice.get("type").and_then(Value::as_str) == Some("function");
        problems.require(is_function, "tool_choice.type: not function");
        let function = choice.get("function").unwrap_or(&Value::Null);
        if let Some(function) = problems.object("tool_choice.function", function, &["name"]) {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            problems.require(
                names.contains(&name),
                "tool_choice.function.name: none of the tools",
            );
        }
    }
}

fn check_tool(problems: &mut Problems, place: &str, tool: &Value) {
    let Some(tool) = problems.object(place, tool, &["type", "function"]) else {
        return;
    };
    let is_function = tool.get("type").and_then(Value::as_str) == Some("function");
    problems.require(is_function, format!("{place}.type: not function"));
    let place = format!("{place}.function");
    let function = tool.get("function").unwrap_or(&Value::Null);
    let fields = ["name", "description", "parameters", "strict"];
    if let Some(function) = problems.object(&place, function, &fields) {
        problems.name(&format!("{place}.name"), function.get("name"));
        let description = function.get("description");
        problems.require(
            description.is_none_or(Value::is_string),
            format!("{place}.description: not a text"),
        );
        let parameters = function.get("parameters");
        problems.require(
            parameters.is_none_or(Value::is_object),
            format!("{place}.parameters: not an object"),
        );
        problems.optional(
            &format!("{place}.strict"),
            function.get("strict"),
            Value::is_boolean,
            "true or false",
        );
    }
}

fn check_response_format(problems: &mut Problems, format: Option<&Value>) {
    let Some(format) = format else { return };
    let Some(format) = problems.object("response_format", format, &["type", "json_schema"]) else {
        return;
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text" | "json_object") => {
            let is_alone = !format.contains_key("json_schema");
            problems.require(
                is_alone,
                "response_format.json_schema: only with type json_schema",
            );
        }
        Some("json_schema") => {
            let place = "response_format.json_schema";
            let schema = format.get("json_schema").unwrap_or(&Value::Null);
            if let Some(schema) = problems.object(place, schema, &["name", "description", "schema", "strict"])
            {
                problems.name(&format!("{place}.name"), schema.get("name"));
                let is_object = schema.get("schema").is_none_or(Value::is_object);
                problems.require(is_object, format!("{place}.schema: not an object"));
                problems.optional(
                    &format!("{place}.strict"),
                    schema.get("strict"),
                    Value::is_boolean,
                    "true or false",
                );
            }
        }
        _ => problems
            .0
            .push("response_format.type: not text, json_object or json_schema".to_owned()),
    }
}

/// What is wrong with a request for embeddings.
pub(crate) fn embeddings(request: &Value) -> Vec<String> {
    let mut problems = Problems::default();
    let Some(body) = problems.object("request", request, &EMBEDDINGS_FIELDS) else {
        return problems.0;
    };
    problems.text("model", body.get("model"));
    match body.get("input") {
        Some(Value::Array(inputs)) => {
            let fits = (1..=MAX_INPUTS).contains(&inputs.len());
            problems.require(
                fits,
                format!("input: {} texts, not 1 to {MAX_INPUTS}", inputs.len()),
            );
            for (i, input) in inputs.iter().enumerate() {
                problems.text(&format!("input[{i}]"), Some(input));
            }
        }
        input => problems.text("input", input),
    }
    let dimensions = body.get("dimensions");
    let in_range = dimensions.is_none_or(|number| {
        number
            .as_u64()
            .is_some_and(|number| (1..=MAX_DIMENSIONS).contains(&number))
    });
    problems.require(
        in_range,
        format!("dimensions: not a whole number from 1 to {MAX_DIMENSIONS}"),
    );
    let format = body.get("encoding_format");
    problems.require(
        format.is_none_or(|format| format == "float"),
        "encoding_format: not float, which is the one that this server knows",
    );
    let user = body.get("user");
    problems.require(user.is_none_or(Value::is_string), "user: not a text");
    problems.0
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
