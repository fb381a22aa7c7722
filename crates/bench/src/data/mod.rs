//! The data sets: embeddings of WordNet's glosses, made once by `prepare` and read by the measurements.
//!
//! Each has a folder: `base.f32` (the rows), `queries.f32` (held-out queries), `neighbours.u32` and `distances.f32` (the
//! exact 100 nearest rows of each query) and `manifest.json`, which is written last. docs/benchmark.md describes them.

pub(crate) mod embedding;
pub(crate) mod exact;
pub(crate) mod gloss;
pub(crate) mod items;
pub(crate) mod manifest;
pub(crate) mod matrix;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod wordnet;

use std::path::{Path, PathBuf};

use castmatch_engine::model::{EmbeddingModel, ModelOptions};

use crate::{Error, place};
use exact::Metric;
use manifest::{Hashed, Manifest};
use matrix::Matrix;
use wordnet::Synset;

/// Where the data comes from.
#[derive(clap::Args)]
pub(crate) struct Inputs {
    /// Folder of the model [default: $CASTMATCH_HOME/models/all-MiniLM-L6-v2].
    #[arg(long)]
    model: Option<PathBuf>,
    /// Folder of WordNet's data files.
    #[arg(long, default_value = "/usr/share/wordnet")]
    wordnet: PathBuf,
    /// Threads that make data sets [default: one per processor].
    #[arg(long)]
    threads: Option<usize>,
}

impl Inputs {
    /// Threads that make data sets.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(place::processors)
    }

    /// The model, computing on so many threads.
    pub(crate) fn load_model(&self, threads: usize) -> Result<EmbeddingModel, Error> {
        let folder = place::or_below_home(self.model.as_deref(), "models/all-MiniLM-L6-v2")?;
        let options = ModelOptions {
            threads,
            ..ModelOptions::default()
        };
        Ok(EmbeddingModel::load(&folder, options)?)
    }

    /// All synsets.
    pub(crate) fn synsets(&self) -> Result<Vec<Synset>, Error> {
        wordnet::read(&self.wordnet)
    }

    /// WordNet's files, as a manifest names them.
    pub(crate) fn hashes(&self) -> Result<Vec<Hashed>, Error> {
        wordnet::FILES
            .iter()
            .map(|name| Hashed::of(&self.wordnet.join(name)))
            .collect()
    }
}

/// The data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum DataSet {
    /// The embedding of "lemma, lemma: gloss".
    #[value(name = "wordnet-384")]
    Wordnet384,
    /// The embedding of the lemmas and that of the gloss, one after the other.
    #[value(name = "wordnet-768")]
    Wordnet768,
    /// The last hidden states of single tokens.
    #[value(name = "tokens-384")]
    Tokens384,
}

impl DataSet {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Wordnet384, Self::Wordnet768, Self::Tokens384];

    /// Its name and that of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wordnet384 => "wordnet-384",
            Self::Wordnet768 => "wordnet-768",
            Self::Tokens384 => "tokens-384",
        }
    }

    /// What it is ordered by.
    pub(crate) fn metric(self) -> Metric {
        match self {
            Self::Wordnet384 | Self::Wordnet768 => Metric::Cosine,
            Self::Tokens384 => Metric::L2,
        }
    }
}

/// A prepared data set in memory.
#[derive(Debug)]
pub(crate) struct Data {
    /// The rows.
    pub(crate) base: Matrix<f32>,
    /// The queries.
    pub(crate) queries: Matrix<f32>,
    /// Distances of the exact nearest rows of each query, ascending.
    pub(crate) distances: Matrix<f32>,
    /// The exact nearest rows of each query.
    pub(crate) ids: Matrix<u32>,
}

impl Data {
    /// Reads a data set that `prepare` has finished in `folder`; of it the first `rows` rows, if a number is given,
    /// with the neighbours among these, found anew.
    pub(crate) fn read(
        folder: &Path,
        set: DataSet,
        rows: Option<usize>,
        threads: usize,
    ) -> Result<Self, Error> {
        let folder = folder.join(set.name());
        let manifest = Manifest::read(&folder).map_err(|error| {
            format!(
                "{} is not prepared: run castmatch-bench prepare ({error})",
                folder.display()
            )
        })?;
        let files = Files::of(&folder);
        let base = Matrix::read_first(&files.base, rows.unwrap_or(usize::MAX))?;
        let queries = Matrix::read(&files.queries)?;
        let (ids, distances) = if base.len() < manifest.rows {
            let found = exact::neighbours(&base, &queries, set.metric(), manifest.neighbours, threads)?;
            (found.ids, found.distances)
        } else {
            (Matrix::read(&files.neighbours)?, Matrix::read(&files.distances)?)
        };
        Ok(Self {
            base,
            queries,
            distances,
            ids,
        })
    }
}

/// The files of a data set.
#[derive(Debug)]
pub(crate) struct Files {
    /// The rows.
    pub(crate) base: PathBuf,
    /// The queries.
    pub(crate) queries: PathBuf,
    /// Numbers of the nearest rows.
    pub(crate) neighbours: PathBuf,
    /// Their distances.
    pub(crate) distances: PathBuf,
}

impl Files {
    /// Those in the folder of a data set.
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            base: folder.join("base.f32"),
            queries: folder.join("queries.f32"),
            neighbours: folder.join("neighbours.u32"),
            distances: folder.join("distances.f32"),
        }
    }
}
