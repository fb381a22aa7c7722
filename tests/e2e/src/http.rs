//! A plain HTTP/1.1 client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The value of a header, in lower case as its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
    }

    /// The value of the sample whose name and labels are written exactly so.
    ///
    /// # Panics
    /// If the value is no number.
    #[must_use]
    pub fn sample(&self, series: &str) -> Option<f64> {
        self.body.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().unwrap())
        })
    }
}

/// The answer to `GET path`.
///
/// # Panics
/// If there is none.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path).unwrap()
}

/// The answer to a request without a body.
///
/// # Errors
/// If the server does not answer within 20 s.
pub fn request(address: SocketAddr, method: &str, path: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )?;
    read_response(stream)
}

/// The answer to a POST with these headers (each `name: value`) and this body.
///
/// # Errors
/// If the server does not answer within 60 s.
pub fn post(address: SocketAddr, path: &str, headers: &[String], body: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    send_post(&mut stream, path, headers, body)?;
    read_response(stream)
}

/// Sends a POST and does not wait for the answer.
///
/// # Errors
/// If it cannot be sent.
pub fn send_post(stream: &mut TcpStream, path: &str, headers: &[String], body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server that refuses a long body may close before it has read it; its answer counts.
    let _ = stream.write_all(body);
    Ok(())
}

/// Reads one answer to the end of the stream.
///
/// # Errors
/// If the stream ends too early.
///
/// # Panics
/// If the answer is not HTTP.
pub fn read_response(mut stream: TcpStream) -> io::Result<Response> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Response {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}
