//! `castmatch-bench prepare`: makes the data sets, or goes on where it was stopped. docs/benchmark.md

use std::path::{Path, PathBuf};
use std::time::Instant;

use castmatch_engine::model::{EmbeddingModel, TokenizedText};

use super::manifest::{Hashed, Job, Manifest};
use super::matrix::Matrix;
use super::plan::{self, Plan};
use super::wordnet::Synset;
use super::{DataSet, Files, Inputs, embedding, exact};
use crate::{Error, place};

/// Of the files and of how they follow from the inputs.
const FORMAT: u32 = 1;
/// Exact neighbours of each query.
const NEIGHBOURS: usize = 100;

/// Arguments of `prepare`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder of the data sets [default: $CASTMATCH_HOME/bench].
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
    /// Synsets to use, evenly spread over all [default: all].
    #[arg(long)]
    synsets: Option<usize>,
    /// Synsets to hold out as queries.
    #[arg(long, default_value_t = 1000)]
    queries: usize,
    /// Token vectors to take, at most.
    #[arg(long, default_value_t = 1_000_000)]
    tokens: usize,
}

/// Prepares what is missing.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let folder = place::or_below_home(options.out.as_deref(), "bench")?;
    let threads = options.inputs.threads();
    std::fs::create_dir_all(&folder)?;
    let synsets = plan::spread(options.inputs.synsets()?, options.synsets);
    if synsets.len() <= options.queries {
        return Err(format!(
            "{} synsets are too few for {} queries",
            synsets.len(),
            options.queries
        )
        .into());
    }
    let model = options.inputs.load_model(threads)?;
    let job = Job {
        format: FORMAT,
        inputs: options.inputs.hashes()?,
        model: model.fingerprint().to_owned(),
        synsets: synsets.len(),
        queries: options.queries,
        tokens: options.tokens,
    };
    let missing: Vec<DataSet> = DataSet::ALL
        .into_iter()
        .filter(|set| !is_complete(&folder.join(set.name()), &job))
        .collect();
    if missing.is_empty() {
        println!("all data sets are in {}", folder.display());
        return Ok(());
    }
    // A manifest of another job must not outlive its files.
    for set in &missing {
        let _ = std::fs::remove_file(folder.join(set.name()).join("manifest.json"));
    }
    let texts = tokenize(&model, &synsets)?;
    let lengths = texts.iter().map(|text| text.content().len()).collect();
    let plan = Plan::new(lengths, options.queries, options.tokens);
    println!(
        "{} rows, {} queries, {} token vectors; {threads} thread(s), {}",
        plan.totals().rows,
        plan.totals().queries,
        plan.tokens(),
        model.instruction_set()
    );
    embedding::run(&folder, &job, &model, &synsets, &texts, &plan)?;
    let about = format!("{} ({})", model.name(), model.instruction_set());
    drop((model, synsets, texts));
    for set in missing {
        finish(&folder.join(set.name()), set, &job, &about, threads)?;
    }
    Ok(())
}

/// Whether the data set in a folder is that of a job.
pub(super) fn is_complete(folder: &Path, job: &Job) -> bool {
    Manifest::read(folder).is_ok_and(|manifest| manifest.job == *job)
}

fn tokenize(model: &EmbeddingModel, synsets: &[Synset]) -> Result<Vec<TokenizedText>, Error> {
    Ok(synsets
        .iter()
        .map(|synset| model.tokenize(&synset.text()))
        .collect::<Result<_, _>>()?)
}

/// Finds the exact neighbours and writes the manifest.
fn finish(folder: &Path, set: DataSet, job: &Job, model: &str, threads: usize) -> Result<(), Error> {
    let files = Files::of(folder);
    let (base, queries) = (
        Matrix::<f32>::read(&files.base)?,
        Matrix::<f32>::read(&files.queries)?,
    );
    let started = Instant::now();
    let found = exact::neighbours(&base, &queries, set.metric(), NEIGHBOURS, threads)?;
    found.ids.write(&files.neighbours)?;
    found.distances.write(&files.distances)?;
    println!(
        "{}: {} rows, {} dimensions; exact neighbours in {:.0} s",
        set.name(),
        base.len(),
        base.columns(),
        started.elapsed().as_secs_f64()
    );
    let written = [&files.base, &files.queries, &files.neighbours, &files.distances];
    let manifest = Manifest {
        name: set.name().to_owned(),
        metric: set.metric(),
        dimensions: base.columns(),
        rows: base.len(),
        queries: queries.len(),
        neighbours: found.ids.columns(),
        model: model.to_owned(),
        job: job.clone(),
        files: written
            .into_iter()
            .map(|file| Hashed::of(file))
            .collect::<Result<_, _>>()?,
    };
    manifest.write(folder)
}
