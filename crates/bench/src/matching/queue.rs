//! `castmatch-bench queue`: rows per second that the queue embeds in the background, against the model alone on the same texts in this
//! process, with as many threads.

use std::time::{Duration, Instant};

use castmatch_engine::interrupt::NeverInterrupted;
use castmatch_engine::model::{EmbeddingModel, TokenizedText};
use postgres::Client;

use super::Common;
use super::table::{self, TABLE};
use crate::Error;
use crate::data::items::{Item, Items};
use crate::data::plan::picked;
use crate::measure::{Spent, measured};
use crate::report::{self, Bar, Report};
use crate::server::Server;

/// Share of the model's own speed that the queue must reach.
const BAR: f64 = 0.9;
/// Looks at the queue, which cost it something: a share of what is left to wait, between these bounds.
const PATIENCE_SHARE: f64 = 0.2;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Without an embedding for so long the queue is stuck.
const STUCK: Duration = Duration::from_secs(300);

/// Arguments of `queue`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Rows, evenly spread over WordNet.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Texts that the model alone embeds, evenly spread over the rows: half of them before the queue works, half after it.
    #[arg(long, default_value_t = 20_000)]
    sample: usize,
    /// Threads of the model, alone and in the server (castmatch.embedding_threads).
    #[arg(long, default_value_t = 1)]
    embedding_threads: usize,
}

/// Measures, and writes `queue.md` and `queue.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let work = options.common.work()?;
    let items = Items::read(&options.common.inputs, Some(options.rows))?;
    let server = options.common.server(vec![(
        "castmatch.embedding_threads",
        options.embedding_threads.to_string(),
    )])?;
    let mut client = server.connect("public")?;
    println!("loading {} rows", items.items.len());
    table::load(&mut client, &items, None)?;
    let model = options.common.inputs.load_model(options.embedding_threads)?;
    let mut notes = table::notes(&mut client, &items, &model)?;
    notes.push(("threads of the model", options.embedding_threads.to_string()));
    if cfg!(debug_assertions) {
        notes.push((
            "not to be compared",
            "a development build, whose model is slower than the server's".to_owned(),
        ));
    }
    let mut report = Report::default();
    let mut alone = Alone::new(&model, &items.items, options.sample)?;
    alone.embed("before", &mut report)?;
    let drained = drain(&server, &mut client, items.items.len())?;
    alone.embed("after", &mut report)?;
    add(&mut report, &drained, items.items.len(), alone.rate());
    let text = format!("# The queue\n\n{}\n{}", report::preface(&notes), report.table());
    report::write(&work, "queue", &text, &report)
}

/// The model alone, over two halves of the sample: one before the queue works and one after it, so that a change of the machine's load
/// shows.
struct Alone<'a> {
    model: &'a EmbeddingModel,
    halves: std::vec::IntoIter<Vec<String>>,
    texts: usize,
    spent: Spent,
}

impl<'a> Alone<'a> {
    fn new(model: &'a EmbeddingModel, items: &[Item], sample: usize) -> Result<Self, Error> {
        let sample = sample.min(items.len());
        let texts = items
            .iter()
            .enumerate()
            .filter(|&(number, _)| picked(number, items.len(), sample))
            .map(|(_, item)| item.text());
        // In turn, because neighbours are alike.
        let (mut halves, mut first) = (vec![Vec::new(), Vec::new()], true);
        for text in texts {
            if let Some(half) = halves.get_mut(usize::from(!first)) {
                half.push(text);
            }
            first = !first;
        }
        let alone = Self {
            model,
            halves: halves.into_iter(),
            texts: 0,
            spent: Spent::default(),
        };
        // Pages of the weights, and the processor's clock.
        let warm_up: Vec<String> = items.iter().take(100).map(Item::text).collect();
        alone.pass(&warm_up)?;
        Ok(alone)
    }

    fn pass(&self, texts: &[String]) -> Result<usize, Error> {
        let tokens: Vec<TokenizedText> = texts
            .iter()
            .map(|text| self.model.tokenize(text))
            .collect::<Result<_, _>>()?;
        Ok(self.model.embed_batch(&tokens, &NeverInterrupted)?.len())
    }

    /// Embeds the next half, tokenising included.
    fn embed(&mut self, when: &str, report: &mut Report) -> Result<(), Error> {
        let texts = self.halves.next().unwrap_or_default();
        let (embedded, spent) = measured(|| self.pass(&texts));
        let embedded = embedded?;
        let per = |time: Duration| embedded as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
        report.add(
            format!("the model alone, {when}"),
            per(spent.wall),
            "texts/s",
            None,
        );
        report.add(
            format!("the model alone, {when}, per CPU second"),
            per(spent.cpu),
            "texts",
            None,
        );
        self.texts += embedded;
        self.spent += spent;
        Ok(())
    }

    /// Texts per second of both halves.
    fn rate(&self) -> f64 {
        self.texts as f64 / self.spent.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// When things were done, from the call of attach.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Drained {
    /// attach returned.
    attached: Duration,
    /// Nothing was pending.
    empty: Duration,
    /// A vector index was there.
    index: Option<Duration>,
    /// Rows that could not be embedded.
    failed: i64,
}

/// The queue as `castmatch.attachments` shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    pending: i64,
    failed: i64,
}

fn state(client: &mut Client) -> Result<State, Error> {
    let row = client.query_one(
        "SELECT pending, failed FROM castmatch.attachments WHERE target = $1::text::regclass",
        &[&TABLE],
    )?;
    Ok(State {
        pending: row.get(0),
        failed: row.get(1),
    })
}

/// Attaches the table and waits until it is embedded and, if it gets one, has its vector index.
fn drain(server: &Server, client: &mut Client, rows: usize) -> Result<Drained, Error> {
    let mut watcher = server.connect("public")?;
    let started = Instant::now();
    table::attach(client, "background", "")?;
    let mut drained = Drained {
        attached: started.elapsed(),
        ..Drained::default()
    };
    println!("attached in {:.1} s", drained.attached.as_secs_f64());
    let (mut last, mut moved) = (i64::MAX, Instant::now());
    loop {
        let state = state(&mut watcher)?;
        let now = started.elapsed();
        if drained.index.is_none() && table::vector_index(&mut watcher)?.is_some() {
            drained.index = Some(now);
        }
        if state.pending == 0 {
            drained.empty = now;
            drained.failed = state.failed;
            break;
        }
        if state.pending < last {
            (last, moved) = (state.pending, Instant::now());
        } else if moved.elapsed() > STUCK {
            return Err(format!("{} rows are pending, and none less for {STUCK:?}", state.pending).into());
        }
        println!(
            "  {} rows pending after {:.0} s",
            state.pending,
            now.as_secs_f64()
        );
        std::thread::sleep(wait(now, rows as i64, state.pending));
    }
    check(&mut watcher, rows)?;
    if drained.index.is_none() && table::await_vector_index(&mut watcher)?.is_some() {
        drained.index = Some(started.elapsed());
    }
    Ok(drained)
}

/// How long to leave the queue alone: less and less, so that its end is seen in time.
fn wait(elapsed: Duration, rows: i64, pending: i64) -> Duration {
    let done = rows - pending;
    if done <= 0 {
        return FIRST_WAIT;
    }
    let left = elapsed.as_secs_f64() * pending as f64 / done as f64;
    Duration::try_from_secs_f64(PATIENCE_SHARE * left)
        .unwrap_or(LONGEST_WAIT)
        .clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

/// Nothing pending must mean that every row has its embedding or is among the failures.
fn check(client: &mut Client, rows: usize) -> Result<(), Error> {
    let row = client.query_one(
        &format!(
            "SELECT (SELECT count(*) FROM {TABLE} WHERE embedding IS NOT NULL) + (SELECT count(*) FROM castmatch.failures)"
        ),
        &[],
    )?;
    let settled: i64 = row.get(0);
    if settled == i64::try_from(rows)? {
        Ok(())
    } else {
        Err(format!("nothing is pending, but {settled} of {rows} rows are settled").into())
    }
}

fn add(report: &mut Report, drained: &Drained, rows: usize, bare: f64) {
    let rate = |time: Duration| rows as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
    let from_attach = rate(drained.empty);
    let from_commit = rate(drained.empty.saturating_sub(drained.attached));
    report.add("attach", drained.attached.as_secs_f64(), "s", None);
    report.add("until nothing is pending", drained.empty.as_secs_f64(), "s", None);
    report.add("the queue, from attach on", from_attach, "rows/s", None);
    report.add(
        "the queue, from the end of attach on",
        from_commit,
        "rows/s",
        None,
    );
    report.add(
        "the queue ÷ the model alone, from attach on",
        from_attach / bare,
        "×",
        Some(Bar::AtLeast(BAR)),
    );
    report.add(
        "the queue ÷ the model alone, from the end of attach on",
        from_commit / bare,
        "×",
        None,
    );
    report.add(
        "rows that failed",
        drained.failed as f64,
        "",
        Some(Bar::Exactly(0.0)),
    );
    match drained.index {
        Some(time) => report.add("until there is a vector index", time.as_secs_f64(), "s", None),
        None => report.add("vector indexes that attach made", 0.0, "", None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Drained, FIRST_WAIT, LONGEST_WAIT, SHORTEST_WAIT, add, wait};
    use crate::report::Report;
    use std::time::Duration;

    #[test]
    fn looks_come_closer_towards_the_end() {
        let seconds = Duration::from_secs;
        assert_eq!(wait(seconds(1), 100_000, 100_000), FIRST_WAIT);
        assert_eq!(wait(seconds(100), 100_000, 80_000), LONGEST_WAIT);
        // 10 s are left.
        assert_eq!(wait(seconds(90), 1000, 100), seconds(2));
        assert_eq!(wait(seconds(100), 100_000, 10), SHORTEST_WAIT);
    }

    #[test]
    fn the_ratio_counts_from_the_call_of_attach() {
        let drained = Drained {
            attached: Duration::from_secs(2),
            empty: Duration::from_secs(10),
            index: None,
            failed: 0,
        };
        let mut report = Report::default();
        add(&mut report, &drained, 1000, 110.0);
        let table = report.table();
        assert!(table.contains("| the queue, from attach on | 100.000 rows/s |"));
        assert!(table.contains("| the queue, from the end of attach on | 125.000 rows/s |"));
        assert!(table.contains("| the queue ÷ the model alone, from attach on | 0.909 × | ≥ 0.9 | yes |"));
        assert!(table.contains("| rows that failed | 0.000  | 0 | yes |"));
        assert!(table.contains("| vector indexes that attach made | 0.000  |"));
    }
}
