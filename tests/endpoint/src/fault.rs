//! Answers as a [`Behaviour`] has them.

use std::time::Duration;

use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::body::{AnyBody, Pieces, Watch};
use crate::gzip;
use crate::reply::{self, Reply};

/// How many bytes a body lacks that is shorter than it says.
const MISSING_BYTES: usize = 100;

/// Which answer a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Embeddings,
}

impl Operation {
    pub(crate) fn answer(self, request: &Value) -> Reply {
        match self {
            Self::Chat => reply::chat(request),
            Self::Embeddings => reply::embeddings(request),
        }
    }
}

/// An error in the published shape.
pub(crate) fn error(status: StatusCode, message: &str) -> (StatusCode, Reply) {
    let body = json!({"error": {"message": message, "type": "test_error", "param": null, "code": null}});
    (status, Reply::json(&body))
}

/// The response that gives a reply.
pub(crate) fn respond(status: StatusCode, reply: Reply, watch: Watch) -> Response<AnyBody> {
    let mut response = Response::new(reply.pieces.into_body(watch));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(reply.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The answer to a request that conforms. `earlier` is how many requests its path had before, `authorization` the
/// header.
///
/// Nothing where the connection is to be reset. Does not return where the request hangs.
pub(crate) async fn answer(
    behaviour: Behaviour,
    operation: Operation,
    request: &Value,
    earlier: usize,
    authorization: &str,
    mut watch: Watch,
) -> Option<Response<AnyBody>> {
    let ok = StatusCode::OK;
    let whole = || operation.answer(request);
    let (status, reply) = match behaviour {
        Behaviour::Ok => (ok, whole()),
        Behaviour::Delay(pause) => {
            tokio::time::sleep(pause).await;
            (ok, whole())
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Slow(pause) => (ok, slow(whole(), pause)),
        Behaviour::Reset => {
            watch.finish();
            return None;
        }
        Behaviour::RateLimited { first, seconds } if earlier < first => {
            let (status, reply) = error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            let mut response = respond(status, reply, watch);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            return Some(response);
        }
        Behaviour::Flaky(first) if earlier < first => error(StatusCode::INTERNAL_SERVER_ERROR, "flaky"),
        Behaviour::RateLimited { .. } | Behaviour::Flaky(_) => (ok, whole()),
        Behaviour::Error(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            error(status, &format!("an error of status {}", status.as_u16()))
        }
        Behaviour::WrongJson => (
            ok,
            altered(request, whole(), |_| {
                br#"{"object": "list", "answer": 42}"#.to_vec()
            }),
        ),
        Behaviour::NotJson => (
            ok,
            altered(request, whole(), |_| b"<html>it works</html>".to_vec()),
        ),
        Behaviour::NotUtf8 => (
            ok,
            altered(request, whole(), |text| replace_model(text, b"m\xff\xfe")),
        ),
        Behaviour::Nul => (ok, nul(operation, request)),
        Behaviour::HalfStream => {
            let reply = whole();
            let pieces = reply.pieces.half();
            (ok, Reply { pieces, ..reply })
        }
        Behaviour::Huge => (ok, huge(whole())),
        Behaviour::Redirect(port) => return Some(redirect(port, watch)),
        Behaviour::Gzip => return Some(bomb(watch)),
        Behaviour::EchoKey => error(
            StatusCode::UNAUTHORIZED,
            &format!("wrong key: {authorization}, twice: {authorization}"),
        ),
        Behaviour::LengthLies => return Some(length_lies(whole(), watch)),
    };
    Some(respond(status, reply, watch))
}

fn slow(reply: Reply, pause: Duration) -> Reply {
    Reply {
        pieces: reply.pieces.byte_by_byte(pause),
        ..reply
    }
}

/// The bytes of an answer changed; of a stream, an event with what would be the whole answer otherwise.
fn altered(request: &Value, reply: Reply, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Reply {
    let bytes = change(reply.pieces.into_bytes());
    let bytes = if reply::is_streamed(request) && !bytes.starts_with(b"data:") {
        [b"data: ", &bytes[..], b"\n\n"].concat()
    } else {
        bytes
    };
    Reply {
        pieces: Pieces::one(bytes),
        ..reply
    }
}

/// Puts other bytes into the first `"model":"…"`.
fn replace_model(text: Vec<u8>, model: &[u8]) -> Vec<u8> {
    let mark = b"\"model\":\"";
    let Some(start) = text.windows(mark.len()).position(|window| window == mark) else {
        return text;
    };
    let start = start + mark.len();
    [&text[..start], model, &text[start..]].concat()
}

fn nul(operation: Operation, request: &Value) -> Reply {
    match operation {
        Operation::Chat => reply::chat_with(request, "a\0b"),
        Operation::Embeddings => {
            let mut request = request.clone();
            request["model"] = json!("a\0b");
            reply::embeddings(&request)
        }
    }
}

/// As it begins, and then without an end: events in a stream, else a text in the JSON.
fn huge(reply: Reply) -> Reply {
    let is_stream = reply.content_type == "text/event-stream";
    let (start, piece) = if is_stream {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{"index": 0, "delta": {"content": "a".repeat(16_000)}, "finish_reason": null}],
        });
        (String::new(), format!("data: {chunk}\n\n"))
    } else {
        (r#"{"object": ""#.to_owned(), "a".repeat(16_000))
    };
    Reply {
        pieces: Pieces::one(start).then_for_ever(piece),
        ..reply
    }
}

fn redirect(port: u16, watch: Watch) -> Response<AnyBody> {
    let (_, reply) = error(StatusCode::TEMPORARY_REDIRECT, "elsewhere");
    let mut response = respond(StatusCode::TEMPORARY_REDIRECT, reply, watch);
    if let Ok(location) = HeaderValue::from_str(&format!("http://127.0.0.1:{port}/")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn bomb(watch: Watch) -> Response<AnyBody> {
    let (start, cycle) = gzip::endless_zeros();
    let reply = Reply {
        content_type: "application/json",
        pieces: Pieces::one(start).then_for_ever(cycle.repeat(1000)),
    };
    let mut response = respond(StatusCode::OK, reply, watch);
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn length_lies(reply: Reply, watch: Watch) -> Response<AnyBody> {
    let said = reply.pieces.len_bytes() + MISSING_BYTES;
    let mut response = respond(StatusCode::OK, reply, watch);
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(said));
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
