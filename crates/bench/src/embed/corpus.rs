//! The texts that are measured: a file's, or English of mixed length from a seed.

use std::path::Path;

use crate::random::Random;

/// Words that the generator strings together: the common words of the language and those of the demo's domain.
const WORDS: &str = "the of and a to in is was for with on as his her they at by from that this which or an be are were has had \
    not but who when where while after before during against between under over more most some any each other \
    actor actress dancer singer director mother father daughter brother teacher doctor detective soldier pilot \
    warm funny quiet stubborn elegant ambitious tired gentle fearless clever awkward charming cruel honest young \
    old tall local classical contemporary professional trained experienced available fluent native \
    speaks sings dances rides drives fights climbs swims plays writes performs rehearses remembers believes \
    leaves returns begins ends changes becomes keeps finds loses wins needs wants knows thinks says asks answers \
    stage film series theatre voice accent language comedy drama musical opera documentary commercial studio \
    city village house street river mountain morning evening winter summer year month week hour script scene \
    rehearsal audience character costume camera light sound story part role lead support credit award school \
    university hospital airport kitchen garden harbour market station bridge island border forest desert \
    Mumbai London Lagos Warsaw Tokyo Paris Chennai Madrid Hindi English French Tamil Spanish Polish Japanese \
    improvisation choreography cinematography Bharatanatyam mezzo-soprano horseback swordsmanship ventriloquism";

fn text(random: &mut Random, words: &[&str], count: usize) -> String {
    let mut text = String::new();
    for position in 0..count {
        // The smaller of two draws prefers the front of the list, the common words.
        let (first, second) = (random.below(words.len()), random.below(words.len()));
        text.push_str(words.get(first.min(second)).copied().unwrap_or_default());
        text.push_str(match random.below(12) {
            _ if position + 1 == count => ".",
            0 => ", ",
            1 => ". ",
            _ => " ",
        });
    }
    text
}

/// Texts of 5 to 220 words: half of them a line, a third a paragraph, the rest long.
pub(super) fn mixed(count: usize, seed: u64) -> Vec<String> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let length = match random.below(20) {
                0..10 => 5 + random.below(16),
                10..17 => 20 + random.below(61),
                _ => 80 + random.below(141),
            };
            text(&mut random, &words, length)
        })
        .collect()
}

/// Texts of 12 words, as someone types them into a search field.
pub(super) fn short(count: usize, seed: u64) -> Vec<String> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = Random::new(seed);
    (0..count).map(|_| text(&mut random, &words, 12)).collect()
}

/// The lines of a file; of WordNet's data files the glosses.
pub(super) fn read(file: &Path, count: usize) -> std::io::Result<Vec<String>> {
    let content = std::fs::read_to_string(file)?;
    let gloss = |line: &str| {
        line.split_once(" | ")
            .map_or(line, |(_, gloss)| gloss)
            .trim()
            .to_owned()
    };
    // The licence at the head of WordNet's files is indented.
    let lines: Vec<&str> = content
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("  "))
        .collect();
    // Spread over the file, which is sorted by subject.
    let step = (lines.len() / count.max(1)).max(1);
    Ok(lines.into_iter().step_by(step).take(count).map(gloss).collect())
}

#[cfg(test)]
mod tests {
    use super::{mixed, short};

    #[test]
    fn the_same_seed_gives_the_same_texts_of_mixed_length() {
        let texts = mixed(400, 1);
        assert_eq!(texts, mixed(400, 1));
        assert_ne!(texts, mixed(400, 2));
        let lengths: Vec<usize> = texts.iter().map(|text| text.split(' ').count()).collect();
        assert!(lengths.iter().all(|length| (5..=221).contains(length)));
        assert!(lengths.iter().filter(|&&length| length <= 20).count() > 150);
        assert!(lengths.iter().filter(|&&length| length >= 80).count() > 30);
        assert!(short(50, 1).iter().all(|text| text.split(' ').count() == 12));
    }
}
