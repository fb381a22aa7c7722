//! The rows that `quality`, `match` and `queue` search: a synset each, its examples kept apart as queries, and their embeddings, which are
//! made once.

use std::path::Path;

use castmatch_engine::model::EmbeddingModel;

use super::embedding::{Clock, PORTION, Progress, embed};
use super::exact::Metric;
use super::gloss::Gloss;
use super::manifest::{Hashed, Job, Manifest, write_json};
use super::matrix::{Matrix, MatrixWriter};
use super::plan::{picked, spread};
use super::prepare::is_complete;
use super::wordnet::Synset;
use super::{Files, Inputs};
use crate::Error;

/// Of the folder of their embeddings.
const NAME: &str = "items-384";
/// Of the texts that are embedded.
const FORMAT: u32 = 1;

/// A row, and what it is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// The words, joined by ", ".
    pub(crate) lemma: String,
    /// What they mean, without examples.
    pub(crate) definition: String,
    /// Part of speech and subject.
    pub(crate) category: &'static str,
    /// Sentences that use the words: no part of the row.
    pub(crate) examples: Vec<String>,
}

impl Item {
    fn new(synset: &Synset) -> Self {
        let Gloss { definition, examples } = Gloss::parse(&synset.gloss);
        Self {
            lemma: synset.lemmas.clone(),
            definition,
            category: synset.category,
            examples,
        }
    }

    /// What castmatch embeds of content columns `lemma` and `definition`.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.lemma, self.definition)
    }

    /// Words of the definition.
    pub(crate) fn words(&self) -> i32 {
        i32::try_from(self.definition.split_whitespace().count()).unwrap_or(i32::MAX)
    }
}

/// The items, of which the first columns of the tables are made.
#[derive(Debug)]
pub(crate) struct Items {
    /// In the order of WordNet's files, evenly spread over all.
    pub(crate) items: Vec<Item>,
    /// How many there are in all.
    pub(crate) all: usize,
}

impl Items {
    /// All of them, or so many.
    pub(crate) fn read(inputs: &Inputs, rows: Option<usize>) -> Result<Self, Error> {
        let synsets = inputs.synsets()?;
        let all = synsets.len();
        let items = spread(synsets.iter().map(Item::new).collect(), rows);
        if items.is_empty() {
            return Err("no rows".into());
        }
        Ok(Self { items, all })
    }

    /// The embeddings of the items: those of all are kept below `folder`, and those of fewer in a folder of their own unless all are there.
    pub(crate) fn embeddings(
        &self,
        inputs: &Inputs,
        model: &EmbeddingModel,
        folder: &Path,
    ) -> Result<Matrix<f32>, Error> {
        let job = |rows: usize| -> Result<Job, Error> {
            Ok(Job {
                format: FORMAT,
                inputs: inputs.hashes()?,
                model: model.fingerprint().to_owned(),
                synsets: rows,
                queries: 0,
                tokens: 0,
            })
        };
        let (rows, whole) = (self.items.len(), folder.join(NAME));
        if rows < self.all && is_complete(&whole, &job(self.all)?) {
            return self.of_all(&Matrix::read(&Files::of(&whole).base)?);
        }
        let own = if rows == self.all {
            whole
        } else {
            folder.join(format!("{NAME}-{rows}"))
        };
        let job = job(rows)?;
        if !is_complete(&own, &job) {
            self.embed(&own, model, job)?;
        }
        Matrix::read(&Files::of(&own).base)
    }

    /// The rows of these items among those of all.
    fn of_all(&self, all: &Matrix<f32>) -> Result<Matrix<f32>, Error> {
        let mut values = Vec::new();
        values.try_reserve_exact(self.items.len() * all.columns())?;
        for row in (0..self.all).filter(|&row| picked(row, self.all, self.items.len())) {
            values.extend_from_slice(all.row(row));
        }
        Ok(Matrix::new(all.columns(), values))
    }

    fn embed(&self, folder: &Path, model: &EmbeddingModel, job: Job) -> Result<(), Error> {
        std::fs::create_dir_all(folder)?;
        let (progress, files) = (folder.join("progress.json"), Files::of(folder));
        let total = self.items.len();
        println!("embeddings of {total} rows, into {}", folder.display());
        let mut done = Progress::read(&progress, &job, total);
        let mut output = MatrixWriter::open(&files.base, model.dimensions(), total, done)?;
        let mut clock = Clock::start(done);
        while done < total {
            let end = (done + PORTION).min(total);
            let portion = self.items.get(done..end).unwrap_or_default();
            let texts: Vec<String> = portion.iter().map(Item::text).collect();
            for vector in embed(model, texts.iter().map(String::as_str))? {
                output.append(&vector)?;
            }
            output.flush()?;
            done = end;
            let state = Progress {
                job: job.clone(),
                synsets: done,
            };
            write_json(&progress, &state)?;
            clock.report(done, total);
        }
        let manifest = Manifest {
            name: NAME.to_owned(),
            metric: Metric::Cosine,
            dimensions: model.dimensions(),
            rows: total,
            queries: 0,
            neighbours: 0,
            model: format!("{} ({})", model.name(), model.instruction_set()),
            job,
            files: vec![Hashed::of(&files.base)?],
        };
        manifest.write(folder)
    }
}

/// The embeddings of texts that are asked for, in their order.
pub(crate) fn embed_texts(model: &EmbeddingModel, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
    let mut vectors = Vec::new();
    for portion in texts.chunks(PORTION) {
        vectors.extend(embed(model, portion.iter().map(String::as_str))?);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Item, Items};
    use crate::data::matrix::Matrix;
    use crate::data::wordnet::Synset;

    #[test]
    fn an_item_has_no_examples_in_its_text() {
        let item = Item::new(&Synset {
            lemmas: "depth, deepness".to_owned(),
            gloss: "the quality of being deep; \"the depth of the water\"".to_owned(),
            category: "noun.attribute",
        });
        assert_eq!(item.text(), "depth, deepness\nthe quality of being deep");
        assert_eq!(item.words(), 5);
        assert_eq!(item.examples, ["the depth of the water"]);
    }

    #[test]
    fn a_part_of_the_items_takes_its_rows_out_of_all() {
        let item = |number: usize| Item {
            lemma: number.to_string(),
            definition: String::new(),
            category: "adj.all",
            examples: Vec::new(),
        };
        let items = Items {
            items: crate::data::plan::spread((0..10).map(item).collect(), Some(4)),
            all: 10,
        };
        let all = Matrix::new(1, (0..10u8).map(f32::from).collect());
        let rows = items.of_all(&all).unwrap();
        assert_eq!(rows.len(), 4);
        for (place, item) in items.items.iter().enumerate() {
            assert_eq!(rows.row(place), [item.lemma.parse::<f32>().unwrap()]);
        }
    }
}
