//! sentence-transformers, run in a Python process of its own that measures itself.
//!
//! The process loads the model once and then does a round per line of its input, so that rounds of both sides can
//! alternate. Protocol: `reference/sentence_transformers_bench.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::Spent;

const SCRIPT: &str = include_str!("../../reference/sentence_transformers_bench.py");

type Error = Box<dyn std::error::Error>;

pub(super) struct Reference {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its versions and settings, and how it loaded.
    pub(super) about: Value,
}

impl Reference {
    /// Starts the interpreter and waits until the model is loaded.
    pub(super) fn start(
        python: &Path,
        model: &Path,
        threads: usize,
        bulk: &[String],
        short: &[String],
    ) -> Result<Self, Error> {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .env("HF_HUB_OFFLINE", "1")
            .env(
                "TOKENIZERS_PARALLELISM",
                if threads > 1 { "true" } else { "false" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", python.display()))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipe to the reference".into());
        };
        let job = json!({"model": model, "threads": threads, "bulk": bulk, "short": short});
        writeln!(input, "{job}")?;
        let mut reference = Self {
            child,
            input,
            output: BufReader::new(output),
            about: Value::Null,
        };
        reference.about = reference.answer()?;
        Ok(reference)
    }

    fn answer(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the reference ended early, see its messages above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn ask(&mut self, command: &str) -> Result<Value, Error> {
        writeln!(self.input, "{command}")?;
        self.answer()
    }

    /// One round over the texts of the bulk.
    pub(super) fn bulk(&mut self) -> Result<Spent, Error> {
        let answer = self.ask("bulk")?;
        let seconds = |key: &str| answer[key].as_f64().map(Duration::from_secs_f64);
        match (seconds("wall"), seconds("cpu")) {
            (Some(wall), Some(cpu)) => Ok(Spent { wall, cpu }),
            _ => Err(format!("unexpected answer of the reference: {answer}").into()),
        }
    }

    /// One round over the short texts: wall and CPU time of each.
    pub(super) fn latencies(&mut self) -> Result<(Vec<Duration>, Vec<Duration>), Error> {
        let answer = self.ask("latency")?;
        let times = |key: &str| -> Result<Vec<Duration>, Error> {
            let seconds = answer[key].as_array().ok_or("the reference gave no latencies")?;
            Ok(seconds
                .iter()
                .filter_map(Value::as_f64)
                .map(Duration::from_secs_f64)
                .collect())
        };
        Ok((times("wall")?, times("cpu")?))
    }

    /// Vectors of the first texts of the bulk.
    pub(super) fn vectors(&mut self) -> Result<Vec<Vec<f32>>, Error> {
        Ok(serde_json::from_value(self.ask("vectors")?["vectors"].take())?)
    }

    /// Its resident memory now.
    pub(super) fn memory_kib(&mut self) -> Result<u64, Error> {
        Ok(self.ask("memory")?["rss_kib"].as_u64().unwrap_or(0))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // A line it does not know ends it; one that hangs is ended.
        let _ = writeln!(self.input, "end");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
