//! `castmatch-bench embed`: the embedding model alone and, in the same run, against sentence-transformers.
//!
//! Rounds of the two sides alternate (ours, theirs, ours, theirs, …), so that both see the same load of the machine;
//! the ratio is of texts per CPU second, which a busy machine disturbs least.

mod corpus;

mod reference;

use std::path::PathBuf;
use std::time::Duration;

use castmatch_engine::interrupt::NeverInterrupted;
use castmatch_engine::model::{EmbeddingModel, ModelError, ModelOptions, TokenizedText};

use crate::measure::{Spent, measured, memory_kib, percentile};
use reference::Reference;

type Error = Box<dyn std::error::Error>;

/// Arguments of `embed`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder of the model, as sentence-transformers keeps it.
    #[arg(long)]
    model: PathBuf,
    /// Texts to embed in bulk, one per line (or a data file of WordNet, whose glosses are taken); generated if absent.
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Texts per bulk round.
    #[arg(long, default_value_t = 400)]
    count: usize,
    /// Threads of either side.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Rounds of either side, after one to warm up.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Tokens per pass.
    #[arg(long, default_value_t = ModelOptions::default().max_batch_tokens)]
    batch_tokens: usize,
    /// Short texts per latency round.
    #[arg(long, default_value_t = 200)]
    latency_count: usize,
    /// Python interpreter with sentence-transformers to compare with.
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Seed of the generated texts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the rounds of one side add up to.
#[derive(Default)]
struct Tally {
    bulk: Spent,
    texts: usize,
    /// Of one short text: wall time, and CPU time.
    latencies: Vec<Duration>,
    cpu_latencies: Vec<Duration>,
}

impl Tally {
    fn add(&mut self, round: Self) {
        self.bulk += round.bulk;
        self.texts += round.texts;
        self.latencies.extend(round.latencies);
        self.cpu_latencies.extend(round.cpu_latencies);
    }

    fn per_cpu_second(&self) -> f64 {
        self.texts as f64 / self.bulk.cpu.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn print(&mut self, who: &str) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{who:<22} {:>8.1} texts/CPU s {:>8.1} texts/s   short text: p50 {:.2} ms, p95 {:.2} ms (CPU {:.2}, {:.2})",
            self.per_cpu_second(),
            self.texts as f64 / self.bulk.wall.as_secs_f64().max(f64::MIN_POSITIVE),
            milliseconds(percentile(&mut self.latencies, 0.5)),
            milliseconds(percentile(&mut self.latencies, 0.95)),
            milliseconds(percentile(&mut self.cpu_latencies, 0.5)),
            milliseconds(percentile(&mut self.cpu_latencies, 0.95)),
        );
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let bulk = match &options.texts {
        Some(file) => corpus::read(file, options.count)?,
        None => corpus::mixed(options.count, options.seed),
    };
    let short = corpus::short(options.latency_count, options.seed);
    let before = memory_kib("VmRSS").unwrap_or(0);
    let settings = ModelOptions {
        threads: options.threads,
        max_batch_tokens: options.batch_tokens,
    };
    let (model, loading) = measured(|| EmbeddingModel::load(&options.model, settings));
    let model = model?;
    let loaded = memory_kib("VmRSS").unwrap_or(0);
    print_model(&model, options, &bulk, loading, before, loaded)?;

    let mut theirs = match &options.reference {
        Some(python) => Some(Reference::start(
            python,
            &options.model,
            options.threads,
            &bulk,
            &short,
        )?),
        None => None,
    };
    if let Some(reference) = &mut theirs {
        println!("reference: {}", reference.about);
        println!(
            "worst cosine to the reference: 1 - {:.1e}",
            1.0 - worst_cosine(&model, &bulk, reference)?
        );
    }
    let (mut ours_tally, mut theirs_tally) = (Tally::default(), Tally::default());
    for round in 0..=options.rounds {
        let ours = ours_round(&model, &bulk, &short)?;
        let other = theirs
            .as_mut()
            .map(|reference| theirs_round(reference, bulk.len()))
            .transpose()?;
        // The first round warms caches up.
        if round > 0 {
            let other = other.unwrap_or_default();
            println!(
                "round {round}: {:.1} and {:.1} texts/CPU s",
                ours.per_cpu_second(),
                other.per_cpu_second()
            );
            ours_tally.add(ours);
            theirs_tally.add(other);
        }
    }
    ours_tally.print("castmatch");
    println!(
        "castmatch memory: {} MiB resident, {} MiB at most",
        memory_kib("VmRSS").unwrap_or(0) / 1024,
        memory_kib("VmHWM").unwrap_or(0) / 1024
    );
    if let Some(reference) = &mut theirs {
        theirs_tally.print("sentence-transformers");
        println!(
            "sentence-transformers memory: {} MiB resident",
            reference.memory_kib()? / 1024
        );
        println!(
            "ratio of texts per CPU second: {:.2}",
            ours_tally.per_cpu_second() / theirs_tally.per_cpu_second()
        );
    }
    Ok(())
}

fn print_model(
    model: &EmbeddingModel,
    options: &Options,
    bulk: &[String],
    loading: Spent,
    before: u64,
    loaded: u64,
) -> Result<(), ModelError> {
    let lengths: Vec<usize> = tokenize(model, bulk)?.iter().map(TokenizedText::len).collect();
    println!(
        "model {} ({} dimensions, {} tokens, {}, {} thread(s)), fingerprint {}",
        model.name(),
        model.dimensions(),
        model.max_tokens(),
        model.instruction_set(),
        options.threads,
        model.fingerprint()
    );
    println!(
        "loaded in {:.0} ms ({:.0} ms of CPU); resident {} MiB, {} MiB before",
        loading.wall.as_secs_f64() * 1e3,
        loading.cpu.as_secs_f64() * 1e3,
        loaded / 1024,
        before / 1024
    );
    println!(
        "corpus: {} texts, {} tokens ({} to {}), seed {}",
        lengths.len(),
        lengths.iter().sum::<usize>(),
        lengths.iter().min().unwrap_or(&0),
        lengths.iter().max().unwrap_or(&0),
        options.seed
    );
    Ok(())
}

fn tokenize(model: &EmbeddingModel, texts: &[String]) -> Result<Vec<TokenizedText>, ModelError> {
    texts.iter().map(|text| model.tokenize(text)).collect()
}

/// One round: the bulk, tokenising included, and every short text by itself.
fn ours_round(model: &EmbeddingModel, bulk: &[String], short: &[String]) -> Result<Tally, ModelError> {
    let mut tally = Tally::default();
    let (result, spent) = measured(|| model.embed_batch(&tokenize(model, bulk)?, &NeverInterrupted));
    tally.texts = result?.len();
    tally.bulk = spent;
    for text in short {
        let (result, spent) = measured(|| model.embed_batch(&[model.tokenize(text)?], &NeverInterrupted));
        result?;
        tally.latencies.push(spent.wall);
        tally.cpu_latencies.push(spent.cpu);
    }
    Ok(tally)
}

fn theirs_round(reference: &mut Reference, texts: usize) -> Result<Tally, Error> {
    let bulk = reference.bulk()?;
    let (latencies, cpu_latencies) = reference.latencies()?;
    Ok(Tally {
        bulk,
        texts,
        latencies,
        cpu_latencies,
    })
}

fn worst_cosine(model: &EmbeddingModel, bulk: &[String], reference: &mut Reference) -> Result<f64, Error> {
    let theirs = reference.vectors()?;
    let texts = bulk.get(..theirs.len()).unwrap_or(bulk);
    let ours = model.embed_batch(&tokenize(model, texts)?, &NeverInterrupted)?;
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    Ok(ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt())
        .fold(1.0, f64::min))
}
