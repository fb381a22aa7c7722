//! The passes of the model over all synsets, a portion at a time; what is done stays done.
//!
//! After each portion the files are flushed and `progress.json` says how many synsets they hold. A start after a stop
//! cuts the files back to that and goes on there.

use std::path::Path;
use std::time::{Duration, Instant};

use castmatch_engine::interrupt::NeverInterrupted;
use castmatch_engine::model::{EmbeddedTokens, EmbeddingModel, TokenizedText};
use serde::{Deserialize, Serialize};

use super::manifest::{Job, read_json, write_json};
use super::matrix::MatrixWriter;
use super::plan::Plan;
use super::wordnet::Synset;
use super::{DataSet, Files};
use crate::Error;

/// Synsets of a portion: at some 25 tokens each, their hidden states take 80 MB.
pub(super) const PORTION: usize = 2048;
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// How far the passes came.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) job: Job,
    pub(super) synsets: usize,
}

impl Progress {
    /// How many synsets an earlier run has done.
    pub(super) fn read(file: &Path, job: &Job, synsets: usize) -> usize {
        let done = read_json::<Self>(file)
            .ok()
            .filter(|progress| progress.job == *job)
            .map_or(0, |progress| progress.synsets.min(synsets));
        if done > 0 {
            println!("going on after {done} of {synsets} synsets");
        }
        done
    }
}

/// Rows and queries of one data set, as they grow.
struct Output {
    base: MatrixWriter<f32>,
    queries: MatrixWriter<f32>,
}

impl Output {
    /// Opens both files, cut back to what `done` synsets gave.
    fn open(folder: &Path, set: DataSet, dimensions: usize, plan: &Plan, done: usize) -> Result<Self, Error> {
        let folder = folder.join(set.name());
        std::fs::create_dir_all(&folder)?;
        let files = Files::of(&folder);
        let (before, totals) = (plan.before(done), plan.totals());
        let (rows, rows_before) = match set {
            DataSet::Tokens384 => (plan.tokens(), plan.tokens_before(done)),
            _ => (totals.rows, before.rows),
        };
        Ok(Self {
            base: MatrixWriter::open(&files.base, dimensions, rows, rows_before)?,
            queries: MatrixWriter::open(&files.queries, dimensions, totals.queries, before.queries)?,
        })
    }

    fn append(&mut self, is_query: bool, vector: &[f32]) -> Result<(), Error> {
        if is_query {
            self.queries.append(vector)
        } else {
            self.base.append(vector)
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.base.flush()?;
        self.queries.flush()
    }
}

/// Embeds the synsets and writes rows and queries of all data sets below `folder`.
///
/// `texts` are the tokens of the synsets' texts.
pub(crate) fn run(
    folder: &Path,
    job: &Job,
    model: &EmbeddingModel,
    synsets: &[Synset],
    texts: &[TokenizedText],
    plan: &Plan,
) -> Result<(), Error> {
    let file = folder.join("progress.json");
    let mut done = Progress::read(&file, job, synsets.len());
    let size = model.dimensions();
    let open = |set, dimensions| Output::open(folder, set, dimensions, plan, done);
    let mut whole = open(DataSet::Wordnet384, size)?;
    let mut pairs = open(DataSet::Wordnet768, 2 * size)?;
    let mut tokens = open(DataSet::Tokens384, size)?;
    let mut clock = Clock::start(done);
    while done < synsets.len() {
        let end = (done + PORTION).min(synsets.len());
        let (portion, texts) = (
            synsets.get(done..end).unwrap_or_default(),
            texts.get(done..end).unwrap_or_default(),
        );
        let embedded = model.embed_with_tokens(texts, &NeverInterrupted)?;
        let lemmas = embed(model, portion.iter().map(|synset| synset.lemmas.as_str()))?;
        let glosses = embed(model, portion.iter().map(|synset| synset.gloss.as_str()))?;
        for (offset, ((output, text), (lemmas, gloss))) in embedded
            .iter()
            .zip(texts)
            .zip(lemmas.iter().zip(&glosses))
            .enumerate()
        {
            let (synset, is_query) = (done + offset, plan.is_query(done + offset));
            whole.append(is_query, &output.vector)?;
            pairs.append(is_query, &pair(lemmas, gloss))?;
            for position in plan.taken(synset) {
                tokens.append(is_query, state(output, text, position, size)?)?;
            }
        }
        for output in [&mut whole, &mut pairs, &mut tokens] {
            output.flush()?;
        }
        done = end;
        let progress = Progress {
            job: job.clone(),
            synsets: done,
        };
        write_json(&file, &progress)?;
        clock.report(done, synsets.len());
    }
    Ok(())
}

/// The embeddings of texts, in their order.
pub(super) fn embed<'a>(
    model: &EmbeddingModel,
    texts: impl Iterator<Item = &'a str>,
) -> Result<Vec<Vec<f32>>, Error> {
    let tokens = texts
        .map(|text| model.tokenize(text))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(model.embed_batch(&tokens, &NeverInterrupted)?)
}

/// Both vectors, one after the other, at length 1.
fn pair(first: &[f32], second: &[f32]) -> Vec<f32> {
    let norm = first
        .iter()
        .chain(second)
        .map(|&value| f64::from(value) * f64::from(value))
        .sum::<f64>()
        .sqrt()
        .max(f64::MIN_POSITIVE);
    first
        .iter()
        .chain(second)
        .map(|&value| (f64::from(value) / norm) as f32)
        .collect()
}

/// The hidden state of a token of the text itself.
fn state<'a>(
    output: &'a EmbeddedTokens,
    text: &TokenizedText,
    position: usize,
    size: usize,
) -> Result<&'a [f32], Error> {
    let token = text.content().start + position;
    output
        .states
        .get(token * size..(token + 1) * size)
        .ok_or_else(|| "a token without a hidden state".into())
}

/// Says how far the work is, now and then.
pub(super) struct Clock {
    started: Instant,
    reported: Instant,
    first: usize,
}

impl Clock {
    pub(super) fn start(first: usize) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            reported: now,
            first,
        }
    }

    pub(super) fn report(&mut self, done: usize, total: usize) {
        if self.reported.elapsed() < REPORT_EVERY && done < total {
            return;
        }
        self.reported = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = (done - self.first) as f64 / seconds.max(f64::MIN_POSITIVE);
        println!(
            "{done} of {total} synsets, {seconds:.0} s, {rate:.0} synsets/s, {:.0} s to go",
            (total - done) as f64 / rate.max(f64::MIN_POSITIVE)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn a_pair_has_length_one() {
        let vector = pair(&[0.6, 0.8], &[0.0, 1.0]);
        assert_eq!(vector.len(), 4);
        let norm: f32 = vector.iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-6);
        assert!((vector.iter().sum::<f32>() - 2.4 / 2f32.sqrt()).abs() < 1e-6);
        assert_eq!(pair(&[0.0], &[0.0]), [0.0, 0.0]);
    }
}
