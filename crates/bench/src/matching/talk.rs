//! `castmatch-bench chat`: how long a turn of chat takes with the built-in responder, what a model of another server adds to it, and
//! whether a long conversation is slower than a short one.

use std::time::{Duration, Instant};

use castmatch_test_endpoint::TestEndpoint;
use postgres::{Client, Statement};
use serde_json::json;

use super::cases::{FILTERS, Texts};
use super::{Attached, Common, table};
use crate::Error;
use crate::data::items::Items;
use crate::measure::Latencies;
use crate::report::{self, Bar, Report};

/// Turns of each kind before the measured ones.
const WARM_UP: usize = 20;
/// Messages of the two conversations that are compared.
const SHORT: i64 = 10;
const LONG: i64 = 100_000;

/// Arguments of `chat`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Rows, evenly spread over WordNet.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Turns of each kind.
    #[arg(long, default_value_t = 500)]
    calls: usize,
}

/// Measures, and writes `chat.md` and `chat.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let work = options.common.work()?;
    let inputs = &options.common.inputs;
    let calls = options.calls.max(1);
    let items = Items::read(inputs, Some(options.rows))?;
    let sources = Items::read(inputs, None)?;
    let (pool, fresh) = Texts::draw(&sources.items, calls + WARM_UP, calls + WARM_UP)?;
    drop(sources);
    let model = inputs.load_model(inputs.threads())?;
    let Attached { server, mut notes } = options.common.attached(&items, &model, FILTERS)?;
    drop((model, items));
    let endpoint = TestEndpoint::start();
    let mut client = server.connect("public")?;
    let definition = json!({"url": endpoint.url("ok"), "rewrite": "rules"});
    client.execute(
        "SELECT castmatch.create_model('remote', 'chat', 'openai', $1::text::jsonb)",
        &[&definition.to_string()],
    )?;
    let mut talk = Talk {
        turn: client.prepare(&format!(
            "SELECT castmatch.chat($1, NULLIF($2, '')::uuid, '{}', model => $3, options => jsonb_build_object('cache', $4::text))::text",
            table::TABLE
        ))?,
        client,
    };
    let mut report = Report::default();
    let cold = talk.take(&fresh, None, "builtin", "use")?;
    let cached = talk.cached(&pool)?;
    let (builtin, remote) = talk.paired(&pool)?;
    let (short, long) = talk.lengths(&pool)?;
    add(&mut report, "built-in, new text", cold, Some(30.0));
    add(&mut report, "built-in, reply cached", cached, Some(5.0));
    add(&mut report, "built-in, embedding cached", builtin.0, None);
    add(&mut report, "remote, embedding cached", remote.0, None);
    report.add(
        "remote over built-in: median of the pairs' differences",
        median_difference(&remote.1, &builtin.1),
        "ms",
        Some(Bar::AtMost(5.0)),
    );
    add(
        &mut report,
        &format!("conversation of {SHORT} messages"),
        short,
        None,
    );
    add(
        &mut report,
        &format!("conversation of {LONG} messages"),
        long,
        None,
    );
    report.add(
        "the long conversation ÷ the short one: p50",
        long.p50_ms / short.p50_ms,
        "×",
        Some(Bar::AtMost(1.2)),
    );
    notes.push(("turns of each kind", calls.to_string()));
    notes.push((
        "the remote model",
        "a server on this machine that answers at once, over one connection that is kept alive".to_owned(),
    ));
    let text = format!("# chat\n\n{}\n{}", report::preface(&notes), report.table());
    println!("\n{text}");
    report::write(&work, "chat", &text, &report)
}

fn add(report: &mut Report, name: &str, latencies: Latencies, p95_at_most: Option<f64>) {
    report.add(format!("{name}: p50"), latencies.p50_ms, "ms", None);
    report.add(
        format!("{name}: p95"),
        latencies.p95_ms,
        "ms",
        p95_at_most.map(Bar::AtMost),
    );
}

/// The median of the differences of pairs, in milliseconds.
fn median_difference(ours: &[Duration], theirs: &[Duration]) -> f64 {
    let mut differences: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| (ours.as_secs_f64() - theirs.as_secs_f64()) * 1e3)
        .collect();
    differences.sort_by(f64::total_cmp);
    differences
        .get(differences.len() / 2)
        .copied()
        .unwrap_or_default()
}

/// A session that talks.
struct Talk {
    client: Client,
    turn: Statement,
}

impl Talk {
    /// One turn that is undone afterwards, so that no conversation grows.
    fn once(&mut self, text: &str, conversation: &str, model: &str, cache: &str) -> Result<Duration, Error> {
        let mut transaction = self.client.transaction()?;
        let started = Instant::now();
        transaction.query_one(&self.turn, &[&text, &conversation, &model, &cache])?;
        let taken = started.elapsed();
        transaction.rollback()?;
        Ok(taken)
    }

    /// A turn for each text, the first of them not measured.
    fn take(
        &mut self,
        texts: &[String],
        conversation: Option<&str>,
        model: &str,
        cache: &str,
    ) -> Result<Latencies, Error> {
        let mut times = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let taken = self.once(text, conversation.unwrap_or_default(), model, cache)?;
            if number >= WARM_UP {
                times.push(taken);
            }
        }
        Ok(Latencies::of(&mut times))
    }

    /// Turns whose reply is cached.
    fn cached(&mut self, texts: &[String]) -> Result<Latencies, Error> {
        for text in texts {
            self.once(text, "", "builtin", "use")?;
        }
        self.take(texts, None, "builtin", "use")
    }

    /// Turns of the built-in responder and of the remote model in turn, past the reply cache.
    #[allow(clippy::type_complexity)]
    fn paired(
        &mut self,
        texts: &[String],
    ) -> Result<((Latencies, Vec<Duration>), (Latencies, Vec<Duration>)), Error> {
        let (mut builtin, mut remote) = (Vec::new(), Vec::new());
        for (number, text) in texts.iter().enumerate() {
            let ours = self.once(text, "", "remote", "bypass")?;
            let bare = self.once(text, "", "builtin", "bypass")?;
            if number >= WARM_UP {
                remote.push(ours);
                builtin.push(bare);
            }
        }
        let of = |times: Vec<Duration>| (Latencies::of(&mut times.clone()), times);
        Ok((of(builtin), of(remote)))
    }

    /// Turns in a short and in a long conversation, in turn.
    fn lengths(&mut self, texts: &[String]) -> Result<(Latencies, Latencies), Error> {
        let (short, long) = (self.conversation(SHORT)?, self.conversation(LONG)?);
        self.client.batch_execute("VACUUM (ANALYZE) castmatch.messages")?;
        let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
        for (number, text) in texts.iter().enumerate() {
            let a = self.once(text, &short, "builtin", "bypass")?;
            let b = self.once(text, &long, "builtin", "bypass")?;
            if number >= WARM_UP {
                of_short.push(a);
                of_long.push(b);
            }
        }
        Ok((Latencies::of(&mut of_short), Latencies::of(&mut of_long)))
    }

    /// A conversation of so many messages.
    fn conversation(&mut self, messages: i64) -> Result<String, Error> {
        let row = self.client.query_one(
            "INSERT INTO castmatch.conversations DEFAULT VALUES RETURNING id::text",
            &[],
        )?;
        let id: String = row.get(0);
        self.client.execute(
            "INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens, context)
             SELECT $1::text::uuid, n, CASE WHEN n % 2 = 1 THEN 'user' ELSE 'assistant' END, 'message number ' || n, 5, '{}'
             FROM generate_series(1, $2::bigint) n",
            &[&id, &messages],
        )?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::median_difference;
    use std::time::Duration;

    #[test]
    fn the_median_is_that_of_the_pairs() {
        let times = |millis: &[u64]| -> Vec<Duration> {
            millis
                .iter()
                .map(|&millis| Duration::from_millis(millis))
                .collect()
        };
        let difference = median_difference(&times(&[10, 50, 7]), &times(&[9, 20, 3]));
        assert!((difference - 4.0).abs() < 1e-9);
    }
}
