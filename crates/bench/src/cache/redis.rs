//! A Redis server of the measurement's own, and the one command that it is asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Error;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A server on loopback that writes nothing to disk; stopped when dropped.
pub(super) struct Redis {
    process: Child,
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// Starts the program and connects to it.
    pub(super) fn start(program: &Path) -> Result<Self, Error> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let started = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) if started.elapsed() < START_LIMIT => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => {
                    let _ = process.kill();
                    return Err(error.into());
                }
            }
        };
        stream.set_nodelay(true)?;
        Ok(Self {
            process,
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }

    fn send(&mut self, words: &[&[u8]]) -> Result<(), Error> {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        Ok(self.stream.get_mut().write_all(&command)?)
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Stores a value.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.send(&[b"SET", key, value])?;
        match self.line()?.as_str() {
            "+OK" => Ok(()),
            other => Err(format!("redis: {other}").into()),
        }
    }

    /// The value of a key, into `value`.
    pub(super) fn get(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Error> {
        self.send(&[b"GET", key])?;
        let line = self.line()?;
        let length: usize = line
            .strip_prefix('$')
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| format!("redis: {line}"))?;
        value.resize(length + 2, 0);
        self.stream.read_exact(value)?;
        value.truncate(length);
        Ok(())
    }

    /// Its version.
    pub(super) fn version(program: &Path) -> String {
        let output = Command::new(program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        version.unwrap_or("unknown").to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
