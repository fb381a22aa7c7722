//! From words to scored candidates: postings are read and added up, table by table.

use crate::error::{Result, unsupported};
use crate::matching::attachment::Attachment;
use crate::matching::legs::BoundFilter;
use crate::matching::text::index;
use crate::matching::text::rows::{self, Tables};
use crate::matching::text::statistics::{self, rows_in_tree};
use crate::matching::text::words::Word;
use crate::pg::gin::{OpenGin, Visit, no_memory};
use crate::pg::relation::OpenTables;
use crate::pg::spi::Session;
use castmatch_engine::fusion::TextHit;
use castmatch_engine::text::accumulate::Row;
use castmatch_engine::text::document::{Term, level_of_key};
use castmatch_engine::text::gin::{Damage, PLACE_BITS, Postings, decode, decode_entry};
use castmatch_engine::text::impact::{LEVELS, idf};
use castmatch_engine::text::search::{Candidates, Effort, Failure, MAX_TERMS, Plan, Segment};
use castmatch_engine::text::statistics::Statistics;
use std::rc::Rc;

/// Postings that a search reads before it looks at what it has: some ten milliseconds.
const FIRST_POSTINGS: usize = 1 << 20;
/// How much more it reads when too few of the rows qualify, before it reads everything.
const MORE: usize = 16;

/// The rows that share words with the query, best first, by BM25; at most `limit`, and as many as there are up to that.
///
/// # Errors
/// 42501 if the caller may not read the text, 55000 without a text index, XX002 for a damaged one; as the filter's conditions raise them.
pub fn text(
    session: &Session,
    attachment: &Attachment,
    filter: &BoundFilter,
    words: &[Word],
    limit: usize,
) -> Result<Vec<TextHit>> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let open = OpenTables::lock(attachment.target, attachment.is_partitioned);
    let leaves = index::leaves(attachment)?;
    if leaves.len() >= 1 << (Row::BITS - PLACE_BITS - 1) {
        return Err(unsupported(format!("too many partitions: {}", leaves.len())));
    }
    let mut tables = Tables::new(open, &leaves)?;
    let indexes: Vec<OpenGin> = leaves
        .iter()
        .map(|leaf| OpenGin::open(leaf.index))
        .collect::<Result<_>>()?;
    let rows = leaves.iter().map(|leaf| leaf.rows).sum();
    let mut reader = Reader {
        session,
        attachment,
        indexes,
        rows,
        statistics: None,
    };
    let terms = reader.terms(words)?;
    let mut effort = Effort {
        wanted: limit,
        postings: FIRST_POSTINGS,
    };
    let search = reader.search(&terms)?;
    loop {
        let found = search.run(&reader.indexes, effort)?;
        let hits = rows::qualifying(session, attachment, filter, &mut tables, found.scores, limit)?;
        if hits.len() >= limit || !found.partial {
            return Ok(hits);
        }
        // Most rows that were found do not qualify: the others count too.
        effort = if effort.postings > FIRST_POSTINGS {
            Effort::ALL
        } else {
            Effort {
                wanted: limit.saturating_mul(MORE),
                postings: FIRST_POSTINGS.saturating_mul(MORE),
            }
        };
    }
}

/// The bits of a row that say in which table it is.
fn table_bits(number: usize) -> Row {
    (number as Row) << PLACE_BITS
}

/// Reads terms from the indexes of an attached table.
struct Reader<'a> {
    session: &'a Session,
    attachment: &'a Attachment,
    indexes: Vec<OpenGin>,
    /// Rows of all tables, estimated.
    rows: f64,
    statistics: Option<Rc<Statistics>>,
}

/// The rows of a term at one level.
#[derive(Default)]
struct Source {
    rows: Vec<Row>,
    /// Posting trees: the number of the index, and the root.
    trees: Vec<(usize, u32)>,
}

/// A search whose postings are at hand or known where to be.
struct Search {
    sources: Vec<Source>,
    plan: Plan,
}

impl Reader<'_> {
    /// The terms of the query; of very many, the rarest that there are.
    fn terms(&mut self, words: &[Word]) -> Result<Vec<Term>> {
        let all = words.iter().map(|word| word.term);
        if words.len() <= MAX_TERMS {
            return Ok(all.collect());
        }
        let mut counted = Vec::new();
        for term in all {
            let mut sizes = Sizes::default();
            for index in &self.indexes {
                index.visit(term.first_key(), term.last_key(), &mut sizes)?;
            }
            // Rows in trees are many: that is enough to sort them out.
            let rows = sizes.rows + sizes.trees * MIN_ROWS_IN_TREE;
            if rows > 0 {
                counted.push((rows, term));
            }
        }
        counted.sort_unstable();
        counted.truncate(MAX_TERMS);
        Ok(counted.into_iter().map(|(_, term)| term).collect())
    }

    fn search(&mut self, terms: &[Term]) -> Result<Search> {
        let (mut segments, mut sources, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (number, &term) in terms.iter().enumerate() {
            let mut levels = Levels::default();
            for (index_number, index) in self.indexes.iter().enumerate() {
                levels.index = index_number;
                index.visit(term.first_key(), term.last_key(), &mut levels)?;
            }
            counts.push(self.rows_with(term, &levels)?);
            for (level, source) in (0..).zip(levels.sources) {
                if !source.rows.is_empty() || !source.trees.is_empty() {
                    segments.push(Segment { term: number, level });
                    sources.push(source);
                }
            }
        }
        // No fewer than any word has: the planner's estimate may be old.
        let rows = counts.iter().copied().fold(self.rows, f64::max);
        let idfs: Vec<f64> = counts.iter().map(|&count| idf(rows, count)).collect();
        Ok(Search {
            plan: Plan::new(&segments, &idfs),
            sources,
        })
    }

    /// How many rows have a term: counted, or for frequent ones as it was measured, if it was.
    fn rows_with(&mut self, term: Term, levels: &Levels) -> Result<f64> {
        let listed: usize = levels.sources.iter().map(|source| source.rows.len()).sum();
        let trees: Vec<(usize, u32)> = levels
            .sources
            .iter()
            .flat_map(|source| source.trees.iter().copied())
            .collect();
        if trees.is_empty() {
            return Ok(listed as f64);
        }
        let statistics = match &self.statistics {
            Some(known) => Rc::clone(known),
            None => statistics::load(self.session, self.attachment)?,
        };
        self.statistics = Some(Rc::clone(&statistics));
        if self.rows == 0.0 {
            // Never analyzed since it was filled.
            self.rows = statistics.rows();
        }
        if let Some(rows) = statistics.rows_with(term, self.rows) {
            return Ok(rows);
        }
        let mut rows = listed as u64;
        for (number, root) in trees {
            if let Some(index) = self.indexes.get(number) {
                rows += rows_in_tree(index, root)?;
            }
        }
        Ok(rows as f64)
    }
}

impl Search {
    fn run(&self, indexes: &[OpenGin], effort: Effort) -> Result<Candidates> {
        let mut rows = Vec::new();
        let found = self.plan.run(effort, |number, add| {
            let Some(source) = self.sources.get(number) else {
                return Ok(());
            };
            if !source.rows.is_empty() && !add(&source.rows)? {
                return Ok(());
            }
            for &(number, root) in &source.trees {
                let Some(index) = indexes.get(number) else {
                    continue;
                };
                let mut more = true;
                index
                    .read_tree(root, |lists| {
                        rows.clear();
                        decode(lists, table_bits(number), &mut rows)?;
                        more = add(&rows)?;
                        Ok(more)
                    })
                    .map_err(Failure::Read)?;
                if !more {
                    break;
                }
            }
            Ok(())
        });
        found.map_err(|failure| match failure {
            Failure::Read(report) => report,
            Failure::Memory(_) => no_memory(),
        })
    }
}

/// Rows in a posting tree, at least: fewer stand with their key.
const MIN_ROWS_IN_TREE: usize = 1000;

/// How many rows a term has, roughly.
#[derive(Default)]
struct Sizes {
    rows: usize,
    trees: usize,
}

impl Visit for Sizes {
    fn entry(&mut self, _key: i64, postings: Postings<'_>) -> Result<(), Damage> {
        match postings {
            Postings::List { count, .. } => self.rows += count,
            Postings::Tree(_) => self.trees += 1,
        }
        Ok(())
    }
}

/// The rows of a term by level.
#[derive(Default)]
struct Levels {
    /// The number of the index that is read.
    index: usize,
    sources: [Source; LEVELS],
}

impl Visit for Levels {
    fn entry(&mut self, key: i64, postings: Postings<'_>) -> Result<(), Damage> {
        let Some(source) = self.sources.get_mut(usize::from(level_of_key(key))) else {
            return Ok(());
        };
        match postings {
            Postings::List { count, bytes } => {
                decode_entry(bytes, count, table_bits(self.index), &mut source.rows)
            }
            Postings::Tree(root) => {
                source.trees.push((self.index, root));
                Ok(())
            }
        }
    }
}
