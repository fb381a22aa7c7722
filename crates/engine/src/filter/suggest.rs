//! "Did you mean": the name closest to a misspelt one.

use super::column::Column;
use super::path::holds_json;

/// PostgreSQL cuts identifiers at 63 bytes, so nothing longer can be a misspelt column.
const MAX_NAME_CHARS: usize = 64;

/// The candidate with the smallest edit distance to `name`, case ignored; `None` if none is close.
///
/// Close means at most a third of the name's characters, and at least two, differ. Ties go to the earlier candidate.
pub(crate) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().take(MAX_NAME_CHARS + 1).collect();
    if wanted.is_empty() || wanted.len() > MAX_NAME_CHARS {
        return None;
    }
    let allowed = (wanted.len() / 3).max(2);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().take(MAX_NAME_CHARS).collect();
        let distance = edit_distance(&wanted, &letters);
        // A name of two letters is "close" to every other one; at least half of it must agree.
        let is_close = distance <= allowed && distance * 2 <= wanted.len().max(letters.len());
        if is_close && best.is_none_or(|(smallest, _)| distance < smallest) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The column closest to a misspelt name; for a misspelt path, the column that it may lead into.
pub(crate) fn closest_column<'a>(name: &str, columns: &'a [Column]) -> Option<&'a str> {
    let names = columns.iter().map(|column| column.name.as_str());
    closest(name, names).or_else(|| {
        let (column, _) = name.split_once('.')?;
        let documents = columns.iter().filter(|column| holds_json(column));
        closest(column, documents.map(|column| column.name.as_str()))
    })
}

/// Levenshtein's distance, a transposition of neighbours counting one (optimal string alignment).
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before_last[j - 2] + 1);
            }
            row[j] = cost;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_the_misspelt_name_and_nothing_far_off() {
        let names = ["gender", "age", "city", "day_rate", "or"];
        for (typed, found) in [
            ("gendre", Some("gender")),
            ("Gender", Some("gender")),
            ("ctiy", Some("city")),
            ("dayrate", Some("day_rate")),
            ("salary", None),
            ("zz", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, names.into_iter()), found, "{typed}");
        }
        assert_eq!(closest(&"a".repeat(1_000_000), names.into_iter()), None);
    }
}
