//! A client with its calls, and waiting as a backend does it: on the descriptor, with a deadline that only a defect reaches.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use castmatch_provider::{
    Answer, Call, ChatAnswer, ChatCall, ChatMessage, Client, EmbeddingsCall, Endpoint, Event, Failure,
    Outcome, Pending, Role, Secret,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const KEY: &str = "sk-canary-7f3a91";

pub fn chat_call(content: &str) -> ChatCall {
    ChatCall {
        model: "test-model".to_owned(),
        messages: vec![ChatMessage {
            role: Role::User,
            content: content.to_owned(),
        }],
        temperature: None,
        max_tokens: None,
        tools: Vec::new(),
        forced_tool: None,
        json_schema: None,
        stream: false,
    }
}

pub fn chat(content: &str) -> Call {
    Call::Chat(chat_call(content))
}

pub fn streamed(content: &str) -> Call {
    Call::Chat(ChatCall {
        stream: true,
        ..chat_call(content)
    })
}

pub fn embeddings(inputs: &[&str]) -> Call {
    Call::Embeddings(EmbeddingsCall {
        model: "test-model".to_owned(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        dimensions: None,
    })
}

/// One attempt, unless a test says otherwise: waits between attempts are for the tests of those.
pub fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url).unwrap().max_attempts(1).timeout(PATIENCE)
}

/// A key from a file, as in use.
pub fn key() -> (tempfile::TempDir, Secret) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secret = Secret::from_file(&path).unwrap();
    (folder, secret)
}

/// Waits until the descriptor is readable.
fn wait(client: &Client, until: Instant) {
    let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap();
    let ready = poll(&mut [PollFd::new(client, PollFlags::IN)], Some(&left)).unwrap();
    assert!(ready == 1, "no news of the call within {PATIENCE:?}");
}

/// The next event of a call.
pub fn next(client: &Client, pending: &mut Pending) -> Event {
    let until = Instant::now() + PATIENCE;
    loop {
        client.clear_ready();
        if let Some(event) = pending.next() {
            return event;
        }
        wait(client, until);
    }
}

/// The pieces and the end of a call.
pub fn finish(client: &Client, pending: &mut Pending) -> (Vec<String>, Outcome) {
    let mut pieces = Vec::new();
    loop {
        match next(client, pending) {
            Event::Piece(piece) => pieces.push(piece),
            Event::Done(outcome) => {
                assert_eq!(pending.next(), None, "news after the end");
                return (pieces, outcome);
            }
        }
    }
}

pub fn outcome(client: &Client, endpoint: &Endpoint, call: Call) -> Outcome {
    finish(client, &mut client.send(endpoint, call)).1
}

pub fn failure(client: &Client, endpoint: &Endpoint, call: Call) -> Failure {
    outcome(client, endpoint, call).result.unwrap_err()
}

pub fn chat_answer(client: &Client, endpoint: &Endpoint, call: Call) -> ChatAnswer {
    match outcome(client, endpoint, call).result.unwrap() {
        Answer::Chat(answer) => answer,
        Answer::Embeddings(_) => panic!("embeddings in place of a chat answer"),
    }
}

/// Waits until something that the server counts is so.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
