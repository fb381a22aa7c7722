//! `castmatch-bench quality`: known-item search. A row is a synset without its examples; a query is one of its examples; that row is the
//! right answer. Systems differ by where in their answers it stands.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::bootstrap::{Interval, intervals, mean};
use super::systems::{Searcher, System, make_words};
use super::{Common, SEED};
use crate::Error;
use crate::data::items::{Items, embed_texts};
use crate::random::Random;
use crate::report::{self, Bar, verdict};

const RESAMPLES: usize = 10_000;
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Arguments of `quality`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Rows, evenly spread over WordNet [default: all].
    #[arg(long)]
    rows: Option<usize>,
    /// Queries, at most one of a row.
    #[arg(long, default_value_t = 5000)]
    queries: usize,
    /// Rows that a query asks for.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Options of `castmatch.match`, as JSON.
    #[arg(long, default_value = "{}")]
    options: String,
    /// What is compared; hybrid always is [default: all but exact].
    #[arg(long, value_delimiter = ',', value_enum)]
    systems: Vec<System>,
}

/// An example and the row that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    text: String,
    row: usize,
}

/// Draws so many rows among those that have examples, and an example of each.
fn draw(items: &Items, count: usize) -> Vec<Query> {
    let mut random = Random::new(SEED);
    let with_examples: Vec<(usize, &[String])> = items
        .items
        .iter()
        .enumerate()
        .map(|(row, item)| (row, item.examples.as_slice()))
        .filter(|(_, examples)| !examples.is_empty())
        .collect();
    random
        .sample(with_examples.len(), count)
        .into_iter()
        .filter_map(|place| {
            let &(row, examples) = with_examples.get(place)?;
            let text = examples.get(random.below(examples.len()))?.clone();
            Some(Query { text, row })
        })
        .collect()
}

/// What a system found: for each query the place of the right row from 1.
struct Found {
    system: System,
    places: Vec<Option<usize>>,
    plan: Option<String>,
}

/// A measure of an answer, from the place of the right row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Measure {
    /// Reciprocal rank.
    Mrr,
    /// Whether it is there at all.
    Recall,
}

impl Measure {
    const ALL: [Self; 2] = [Self::Mrr, Self::Recall];

    fn of(self, place: Option<usize>) -> f64 {
        match (self, place) {
            (_, None) => 0.0,
            (Self::Mrr, Some(place)) => 1.0 / place.max(1) as f64,
            (Self::Recall, Some(_)) => 1.0,
        }
    }
}

impl Found {
    fn values(&self, measure: Measure) -> Vec<f64> {
        self.places.iter().map(|&place| measure.of(place)).collect()
    }
}

/// A system in the report.
#[derive(Debug, Serialize)]
struct Row {
    system: &'static str,
    mrr: f64,
    recall: f64,
    /// How much better hybrid is, by measure; none for hybrid itself.
    hybrid_above: Option<[Above; 2]>,
    plan: Option<String>,
}

/// How much better hybrid is, and whether that is beyond doubt.
#[derive(Debug, Clone, Copy, Serialize)]
struct Above {
    measure: Measure,
    difference: Interval,
    holds: bool,
}

/// Measures, and writes `quality.md` and `quality.json`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let work = options.common.work()?;
    let items = Items::read(&options.common.inputs, options.rows)?;
    let queries = draw(&items, options.queries);
    if queries.is_empty() || options.k == 0 {
        return Err("no queries, or no rows asked for".into());
    }
    let model = options
        .common
        .inputs
        .load_model(options.common.inputs.threads())?;
    let texts: Vec<String> = queries.iter().map(|query| query.text.clone()).collect();
    let vectors = embed_texts(&model, &texts)?;
    let attached = options.common.attached(&items, &model, "")?;
    drop((model, items));
    let mut client = attached.server.connect("public")?;
    make_words(&mut client)?;
    let mut systems = vec![System::Hybrid];
    let asked = match options.systems.as_slice() {
        [] => &System::USUAL,
        asked => asked,
    };
    systems.extend(asked.iter().filter(|&&system| system != System::Hybrid));
    let mut found = Vec::new();
    for system in systems {
        let searcher = Searcher::new(&attached.server, system, options.k, &options.options)?;
        found.push(search(searcher, system, &queries, &vectors)?);
    }
    let rows = compare(&found);
    let mut notes = attached.notes;
    notes.push((
        "queries",
        format!("{} examples, at most one of a row, seed {SEED:#x}", queries.len()),
    ));
    notes.push(("options of match", format!("`{}`", options.options)));
    notes.push((
        "intervals",
        format!("95 %, {RESAMPLES} bootstrap resamples of the paired differences"),
    ));
    let text = markdown(&rows, options.k, &report::preface(&notes));
    println!("\n{text}");
    report::write(&work, "quality", &text, &rows)
}

fn search(
    mut searcher: Searcher,
    system: System,
    queries: &[Query],
    vectors: &[Vec<f32>],
) -> Result<Found, Error> {
    let (started, mut told) = (Instant::now(), Instant::now());
    let mut places = Vec::with_capacity(queries.len());
    for (query, vector) in queries.iter().zip(vectors) {
        let rows = searcher.ask(&query.text, vector)?;
        places.push(place_of(&rows, query.row));
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            println!(
                "  {}: {} of {} queries",
                system.name(),
                places.len(),
                queries.len()
            );
        }
    }
    let plan = match (queries.first(), vectors.first()) {
        (Some(query), Some(vector)) => searcher.plan(&query.text, vector)?,
        _ => None,
    };
    let found = Found { system, places, plan };
    println!(
        "  {}: MRR {:.4}, recall {:.4}, {:.0} s",
        system.name(),
        mean(&found.values(Measure::Mrr)),
        mean(&found.values(Measure::Recall)),
        started.elapsed().as_secs_f64()
    );
    Ok(found)
}

/// Where a row stands, from 1.
fn place_of(rows: &[usize], wanted: usize) -> Option<usize> {
    rows.iter().position(|&row| row == wanted).map(|place| place + 1)
}

/// The first system against each.
fn compare(found: &[Found]) -> Vec<Row> {
    let Some((hybrid, others)) = found.split_first() else {
        return Vec::new();
    };
    let mut differences = Vec::new();
    for other in others {
        for measure in Measure::ALL {
            let (ours, theirs) = (hybrid.values(measure), other.values(measure));
            differences.push(
                ours.iter()
                    .zip(theirs)
                    .map(|(ours, theirs)| ours - theirs)
                    .collect(),
            );
        }
    }
    let mut bounds = intervals(&differences, RESAMPLES, SEED).into_iter();
    let mut above = |measure| {
        bounds.next().map(|difference| Above {
            measure,
            difference,
            holds: Bar::Above(0.0).holds(difference.low),
        })
    };
    found
        .iter()
        .enumerate()
        .map(|(number, found)| Row {
            system: found.system.name(),
            mrr: mean(&found.values(Measure::Mrr)),
            recall: mean(&found.values(Measure::Recall)),
            hybrid_above: match number {
                0 => None,
                _ => above(Measure::Mrr)
                    .zip(above(Measure::Recall))
                    .map(|(mrr, recall)| [mrr, recall]),
            },
            plan: found.plan.clone(),
        })
        .collect()
}

fn markdown(rows: &[Row], k: usize, preface: &str) -> String {
    let mut text = format!(
        "# Known-item search\n\n{preface}\nThe bar: hybrid is above each other system, that is, the lower bound of the difference is above 0.\n\n\
         | system | MRR@{k} | recall@{k} | hybrid − it: MRR@{k} | 95 % | holds | hybrid − it: recall@{k} | 95 % | holds | reads by |\n\
         |---|---:|---:|---:|---|---|---:|---|---|---|\n"
    );
    for row in rows {
        text.push_str(&format!(
            "| {} | {:.4} | {:.4} |",
            row.system, row.mrr, row.recall
        ));
        match row.hybrid_above {
            Some(both) => {
                for above in both {
                    let Interval { mean, low, high } = above.difference;
                    let holds = verdict(Some(above.holds));
                    text.push_str(&format!(" {mean:+.4} | {low:+.4} to {high:+.4} | {holds} |"));
                }
            }
            None => text.push_str(" – | – | – | – | – | – |"),
        }
        text.push_str(&format!(" {} |\n", row.plan.as_deref().unwrap_or("–")));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Found, Measure, System, compare, draw, markdown, place_of};
    use crate::data::items::{Item, Items};

    fn items(count: usize) -> Items {
        let item = |number: usize| Item {
            lemma: format!("word {number}"),
            definition: "a word".to_owned(),
            category: "noun.communication",
            examples: (0..number % 3)
                .map(|example| format!("{number}, {example}"))
                .collect(),
        };
        Items {
            items: (0..count).map(item).collect(),
            all: count,
        }
    }

    #[test]
    fn queries_are_examples_of_different_rows() {
        let items = items(300);
        let queries = draw(&items, 50);
        assert_eq!(queries.len(), 50);
        assert_eq!(queries, draw(&items, 50));
        for query in &queries {
            assert!(items.items.get(query.row).unwrap().examples.contains(&query.text));
        }
        let mut rows: Vec<usize> = queries.iter().map(|query| query.row).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 50);
        // Both examples of a row have their turn.
        assert!(queries.iter().any(|query| query.text.ends_with(", 1")));
        assert_eq!(draw(&items, 9999).len(), 200);
    }

    #[test]
    fn a_place_counts_from_one() {
        assert_eq!(place_of(&[7, 3, 9], 3), Some(2));
        assert_eq!(place_of(&[7, 3, 9], 4), None);
        assert_eq!(Measure::Mrr.of(Some(4)), 0.25);
        assert_eq!(Measure::Mrr.of(None), 0.0);
        assert_eq!(Measure::Recall.of(Some(4)), 1.0);
    }

    #[test]
    fn hybrid_is_above_what_it_beats_on_most_queries_and_not_above_its_equal() {
        let found = |system, place: fn(usize) -> Option<usize>| Found {
            system,
            places: (0..400).map(place).collect(),
            plan: Some("Seq Scan on items".to_owned()),
        };
        let rows = compare(&[
            found(System::Hybrid, |number| (number % 10 != 0).then_some(1)),
            found(System::Text, |number| {
                (number % 10 != 0).then_some(1 + number % 4)
            }),
            found(System::Plain, |number| (number % 10 != 1).then_some(1)),
        ]);
        let of = |row: usize, measure: usize| {
            let above = rows.get(row).unwrap().hybrid_above.unwrap();
            *above.get(measure).unwrap()
        };
        assert!(rows.first().unwrap().hybrid_above.is_none());
        assert!(of(1, 0).holds && of(1, 0).difference.low > 0.3);
        assert!(!of(1, 1).holds && of(1, 1).difference.mean == 0.0);
        assert!(!of(2, 0).holds && of(2, 0).difference.low < 0.0);
        let text = markdown(&rows, 10, "");
        assert!(text.contains("| match, hybrid | 0.9000 | 0.9000 | – |"));
        assert!(text.contains("| match, text | 0.4"));
        assert!(text.contains("| yes | +0.0000 | +0.0000 to +0.0000 | **no** | Seq Scan on items |"));
    }
}
