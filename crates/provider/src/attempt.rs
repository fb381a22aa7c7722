//! One attempt of a call: sends the request, reads the answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, Uri};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::body::{self, BoundedBody};
use crate::call::Call;
use crate::endpoint::Endpoint;
use crate::events::EventParser;
use crate::failure::{Failure, FailureKind};
use crate::retry;
use crate::stream::PartialAnswer;
use crate::transport::{self, HttpClient};

/// How long the end of a body is waited for after the end of the stream in it. If it comes, the connection can be used
/// again; usually it has come already.
const END_OF_BODY_TIMEOUT: Duration = Duration::from_millis(200);

/// A call in the form in which it is sent, as often as needed.
pub(crate) struct Exchange {
    endpoint: Endpoint,
    call: Call,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Exchange {
    /// # Errors
    /// A call that cannot be sent.
    pub(crate) fn new(endpoint: Endpoint, call: Call) -> Result<Self, Failure> {
        let refused = |message: String| Failure::new(FailureKind::Refused, message);
        let uri = endpoint
            .url_of(call.path())
            .parse()
            .map_err(|_| refused("the URL of the endpoint is not valid".to_owned()))?;
        let mut headers = endpoint.request_headers().map_err(|name| {
            refused(format!(
                "no key is set, which header \"{name}\" of the endpoint needs"
            ))
        })?;
        let accept = match &call {
            Call::Chat(chat) if chat.stream => "text/event-stream",
            _ => "application/json",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "castmatch/",
                env!("CARGO_PKG_VERSION")
            )));
        Ok(Self {
            body: call.body().to_string().into(),
            endpoint,
            call,
            uri,
            headers,
        })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends the request once. Pieces of a streamed answer go to `piece`.
    ///
    /// # Errors
    /// Why there is no answer. When the time of an attempt is over, its connection is closed.
    pub(crate) async fn attempt(
        &self,
        client: &HttpClient,
        piece: &mut (impl FnMut(String) + Send),
    ) -> Result<Answer, Failure> {
        let limit = self.endpoint.attempt_timeout();
        timeout(limit, self.send(client, piece))
            .await
            .unwrap_or_else(|_| {
                let message = format!("no whole answer within {} ms", limit.as_millis());
                Err(Failure::new(FailureKind::TimedOut, message))
            })
    }

    async fn send(
        &self,
        client: &HttpClient,
        piece: &mut (impl FnMut(String) + Send),
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = client.request(request).await.map_err(|error| {
            let host = self.uri.authority().map_or("", |authority| authority.as_str());
            transport::failure_of_request(&error, host)
        })?;
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        self.read(answer, piece).await.map_err(|failure| Failure {
            status: Some(status),
            ..failure
        })
    }

    /// From an answer whose status is no success.
    async fn refusal(&self, answer: Response<Incoming>) -> Failure {
        let status = answer.status();
        if status.is_redirection() {
            return Failure {
                status: Some(status.as_u16()),
                ..Failure::bad_answer(format!(
                    "redirected with status {}, which is not followed",
                    status.as_u16()
                ))
            };
        }
        let (head, incoming) = answer.into_parts();
        let body = match encoding(&head.headers) {
            None => body::beginning(incoming).await,
            Some(_) => Vec::new(),
        };
        let failure = Failure::of_status(status, &body, self.endpoint.key());
        let retry_after = retry::retry_after(failure.kind, &head.headers, SystemTime::now());
        Failure {
            retry_after,
            ..failure
        }
    }

    async fn read(
        &self,
        answer: Response<Incoming>,
        piece: &mut (impl FnMut(String) + Send),
    ) -> Result<Answer, Failure> {
        if let Some(encoding) = encoding(answer.headers()) {
            return Err(Failure::bad_answer(format!(
                "the answer has content encoding {encoding}, which was not asked for"
            )));
        }
        let streamed = match &self.call {
            Call::Chat(chat) => chat.stream,
            Call::Embeddings(_) => false,
        };
        let is_json = is_json(answer.headers());
        let body = BoundedBody::new(answer.into_body())?;
        if streamed && !is_json {
            return self.read_stream(body, piece).await;
        }
        let answer = Answer::read(&self.call, &body.rest().await?, self.endpoint.key())?;
        // Some servers cannot stream, and answer at once.
        if let (true, Answer::Chat(chat)) = (streamed, &answer)
            && !chat.text.is_empty()
        {
            piece(chat.text.clone());
        }
        Ok(answer)
    }

    async fn read_stream(
        &self,
        mut body: BoundedBody,
        piece: &mut (impl FnMut(String) + Send),
    ) -> Result<Answer, Failure> {
        let mut parser = EventParser::default();
        let mut partial = PartialAnswer::default();
        while let Some(bytes) = body.next().await? {
            let events = parser
                .push(&bytes)
                .map_err(|_| Failure::bad_answer("the stream is not UTF-8"))?;
            for event in &events {
                if let Some(text) = partial.add(event, self.endpoint.key())? {
                    piece(text);
                }
            }
            if partial.is_done() {
                // A frame more would not be the end; what comes then is of no use, so the connection is closed.
                let _ = timeout(END_OF_BODY_TIMEOUT, body.next()).await;
                break;
            }
        }
        partial.finish().map(Answer::Chat)
    }
}

/// The encoding of the content, other than none; as a word that can be shown.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_ENCODING)?;
    let text = value.to_str().unwrap_or("?").trim();
    let is_none = text.is_empty() || text.eq_ignore_ascii_case("identity");
    (!is_none).then(|| format!("\"{}\"", text.chars().take(20).collect::<String>()))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
