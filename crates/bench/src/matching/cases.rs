//! What `match` is asked in its calls: the conditions beside the text, and the texts.

use std::collections::BTreeSet;

use super::SEED;
use super::table::TABLE;
use crate::Error;
use crate::data::items::Item;
use crate::random::Random;
use crate::wire::Vector;

/// Columns that are filtered by.
pub(super) const FILTERS: &str = "category,words";
const PREFER: &str = r#"[{"column": "words", "weight": 0.2, "near": 12, "scale": 6}]"#;

/// What is asked beside the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// For people.
    pub(super) name: String,
    /// The only one whose rows are wanted.
    pub(super) category: Option<&'static str>,
    prefer: Option<&'static str>,
}

impl Case {
    /// Without conditions, with the two filters, with a preference.
    pub(super) fn all(items: &[Item]) -> Vec<Self> {
        let case = |name: &str| Self {
            name: name.to_owned(),
            category: None,
            prefer: None,
        };
        let mut cases = vec![case("no conditions")];
        for wanted in [0.1, 0.01] {
            if let Some((category, share)) = category_of_share(items, wanted) {
                cases.push(Self {
                    category: Some(category),
                    ..case(&format!(
                        "filter {{\"category\": \"{category}\"}}, {:.1} % of the rows",
                        100.0 * share
                    ))
                });
            }
        }
        cases.push(Self {
            prefer: Some(PREFER),
            ..case(&format!("prefer {PREFER}"))
        });
        cases
    }

    /// A call of castmatch.match; `query` is SQL.
    pub(super) fn matching(&self, mode: &str, query: &str, k: usize) -> String {
        let mut more = String::new();
        if let Some(category) = self.category {
            more.push_str(&format!(", filter => '{{\"category\": \"{category}\"}}'"));
        }
        if let Some(prefer) = self.prefer {
            more.push_str(&format!(", prefer => '{prefer}'"));
        }
        format!("castmatch.match('{TABLE}', {query}, k => {k}, mode => '{mode}'{more})")
    }

    /// The FROM and what follows of the bare SQL.
    pub(super) fn bare(&self, vector: &str, category: &str, candidates: usize) -> String {
        let condition = self
            .category
            .map_or_else(String::new, |_| format!("WHERE t.category = {category} "));
        format!("FROM {TABLE} t {condition}ORDER BY t.embedding <=> {vector} LIMIT {candidates}")
    }
}

/// The category whose share of the rows is nearest to the wanted one, by ratio, and that share.
fn category_of_share(items: &[Item], wanted: f64) -> Option<(&'static str, f64)> {
    let names: BTreeSet<&'static str> = items.iter().map(|item| item.category).collect();
    let share = |name: &str| {
        let rows = items.iter().filter(|item| item.category == name).count();
        rows as f64 / items.len().max(1) as f64
    };
    let distance = |share: f64| (share / wanted).ln().abs();
    names
        .into_iter()
        .map(|name| (name, share(name)))
        .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))
}

/// The texts of the calls.
pub(super) struct Texts {
    /// Those whose embeddings are cached.
    pub(super) pool: Vec<String>,
    /// These embeddings.
    pub(super) vectors: Vec<Vec<f32>>,
    /// Those that nobody has asked for, each for one call.
    pub(super) fresh: std::vec::IntoIter<String>,
}

impl Texts {
    /// Different examples of WordNet, `pool` and `fresh` of them.
    pub(super) fn draw(
        items: &[Item],
        pool: usize,
        fresh: usize,
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        let all: BTreeSet<&String> = items.iter().flat_map(|item| &item.examples).collect();
        let all: Vec<&String> = all.into_iter().collect();
        if all.len() < pool + fresh {
            return Err(format!("{} texts are too few: {} are needed", all.len(), pool + fresh).into());
        }
        let drawn = Random::new(SEED).sample(all.len(), pool + fresh);
        let mut texts: Vec<String> = drawn
            .into_iter()
            .filter_map(|place| all.get(place).map(|&text| text.clone()))
            .collect();
        let fresh = texts.split_off(pool);
        Ok((texts, fresh))
    }

    /// The next text that nobody has asked for.
    pub(super) fn fresh(&mut self) -> Result<String, Error> {
        Ok(self
            .fresh
            .next()
            .ok_or("no text is left that was not asked for")?)
    }

    /// A text of the pool and its vector.
    pub(super) fn pooled(&self, number: usize) -> (&str, Vector<'_>) {
        let place = number % self.pool.len().max(1);
        (
            self.pool.get(place).map(String::as_str).unwrap_or_default(),
            Vector(self.vectors.get(place).map(Vec::as_slice).unwrap_or_default()),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Case, Texts, category_of_share};
    use crate::data::items::Item;

    fn items() -> Vec<Item> {
        let item = |number: usize| Item {
            lemma: String::new(),
            definition: String::new(),
            category: match number % 100 {
                0 => "noun.event",
                1..=12 => "noun.artifact",
                13..=40 => "noun.act",
                _ => "adj.all",
            },
            examples: vec![(number / 2).to_string()],
        };
        (0..1000).map(item).collect()
    }

    #[test]
    fn filters_are_the_categories_of_about_the_share() {
        let items = items();
        assert_eq!(category_of_share(&items, 0.1), Some(("noun.artifact", 0.12)));
        assert_eq!(category_of_share(&items, 0.01), Some(("noun.event", 0.01)));
        assert_eq!(category_of_share(&[], 0.1), None);
        let cases = Case::all(&items);
        assert_eq!(cases.len(), 4);
        let tenth = cases.get(1).unwrap();
        assert!(tenth.name.ends_with("12.0 % of the rows"));
        assert_eq!(
            tenth.matching("semantic", "$1", 10),
            "castmatch.match('bench.items', $1, k => 10, mode => 'semantic', filter => '{\"category\": \"noun.artifact\"}')"
        );
        assert_eq!(
            tenth.bare("$1", "$2", 100),
            "FROM bench.items t WHERE t.category = $2 ORDER BY t.embedding <=> $1 LIMIT 100"
        );
        let plain = cases.first().unwrap();
        assert_eq!(
            plain.bare("$1", "$2", 7),
            "FROM bench.items t ORDER BY t.embedding <=> $1 LIMIT 7"
        );
    }

    #[test]
    fn no_text_is_drawn_twice() {
        let (pool, fresh) = Texts::draw(&items(), 100, 300).unwrap();
        assert_eq!((pool.len(), fresh.len()), (100, 300));
        let mut all: Vec<&String> = pool.iter().chain(&fresh).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 400);
        assert!(Texts::draw(&items(), 100, 401).is_err());
    }
}
