//! The words that compare, and the kinds of column that each is about. All in one table.

use super::columns::{Measure, Target};
use super::{Degree, Direction};

use Degree::{Comparative, Superlative};
use Direction::{Greater, Less};
use Measure::{Number, Time};

/// Words of column names that mean the same thing.
#[derive(Clone, Copy)]
enum Concept {
    Age,
    Birth,
    Date,
    Duration,
    Experience,
    Height,
    Price,
    Rating,
    Size,
    Speed,
    Weight,
}

impl Concept {
    fn tokens(self) -> &'static [&'static str] {
        match self {
            Self::Age => &["age"],
            Self::Birth => &["birth", "birthday", "birthdate", "dob", "born"],
            Self::Date => &[
                "year",
                "date",
                "released",
                "release",
                "published",
                "created",
                "posted",
                "updated",
                "since",
                "start",
            ],
            Self::Duration => &["duration", "length", "runtime"],
            Self::Experience => &["experience", "years"],
            Self::Height => &["height"],
            Self::Price => &[
                "price", "cost", "rate", "fee", "fees", "salary", "wage", "pay", "rent", "charge", "budget",
            ],
            Self::Rating => &["rating", "ratings", "score", "stars"],
            Self::Size => &["size", "area"],
            Self::Speed => &["speed"],
            Self::Weight => &["weight", "mass"],
        }
    }

    fn measure(self) -> Measure {
        match self {
            Self::Birth | Self::Date => Time,
            _ => Number,
        }
    }

    const NAMED_BY_A_NOUN: [Self; 3] = [Self::Experience, Self::Price, Self::Rating];
}

struct Entry {
    phrases: &'static [&'static str],
    degree: Degree,
    targets: &'static [(Concept, Direction)],
}

const TABLE: &[Entry] = &[
    Entry {
        phrases: &["younger"],
        degree: Comparative,
        targets: &[(Concept::Age, Less), (Concept::Birth, Greater)],
    },
    Entry {
        phrases: &["youngest"],
        degree: Superlative,
        targets: &[(Concept::Age, Less), (Concept::Birth, Greater)],
    },
    Entry {
        phrases: &["older", "elder"],
        degree: Comparative,
        targets: &[
            (Concept::Age, Greater),
            (Concept::Birth, Less),
            (Concept::Date, Less),
        ],
    },
    Entry {
        phrases: &["oldest", "eldest"],
        degree: Superlative,
        targets: &[
            (Concept::Age, Greater),
            (Concept::Birth, Less),
            (Concept::Date, Less),
        ],
    },
    Entry {
        phrases: &["newer", "later", "more recent"],
        degree: Comparative,
        targets: &[(Concept::Date, Greater)],
    },
    Entry {
        phrases: &["newest", "latest", "most recent"],
        degree: Superlative,
        targets: &[(Concept::Date, Greater)],
    },
    Entry {
        phrases: &["earlier"],
        degree: Comparative,
        targets: &[(Concept::Date, Less)],
    },
    Entry {
        phrases: &["earliest"],
        degree: Superlative,
        targets: &[(Concept::Date, Less)],
    },
    Entry {
        phrases: &[
            "cheaper",
            "less expensive",
            "less costly",
            "less pricey",
            "more affordable",
            "lower priced",
            "lower paid",
        ],
        degree: Comparative,
        targets: &[(Concept::Price, Less)],
    },
    Entry {
        phrases: &["cheapest", "least expensive", "least costly", "most affordable"],
        degree: Superlative,
        targets: &[(Concept::Price, Less)],
    },
    Entry {
        phrases: &[
            "pricier",
            "costlier",
            "dearer",
            "more expensive",
            "more costly",
            "less affordable",
            "higher priced",
            "higher paid",
        ],
        degree: Comparative,
        targets: &[(Concept::Price, Greater)],
    },
    Entry {
        phrases: &["priciest", "costliest", "most expensive", "most costly"],
        degree: Superlative,
        targets: &[(Concept::Price, Greater)],
    },
    Entry {
        phrases: &["more experienced", "more seasoned"],
        degree: Comparative,
        targets: &[(Concept::Experience, Greater)],
    },
    Entry {
        phrases: &["most experienced"],
        degree: Superlative,
        targets: &[(Concept::Experience, Greater)],
    },
    Entry {
        phrases: &["less experienced", "more inexperienced"],
        degree: Comparative,
        targets: &[(Concept::Experience, Less)],
    },
    Entry {
        phrases: &["least experienced"],
        degree: Superlative,
        targets: &[(Concept::Experience, Less)],
    },
    Entry {
        phrases: &[
            "better rated",
            "higher rated",
            "better reviewed",
            "better rating",
            "better score",
        ],
        degree: Comparative,
        targets: &[(Concept::Rating, Greater)],
    },
    Entry {
        phrases: &[
            "best rated",
            "highest rated",
            "top rated",
            "best reviewed",
            "best rating",
            "best score",
        ],
        degree: Superlative,
        targets: &[(Concept::Rating, Greater)],
    },
    Entry {
        phrases: &["worse rated", "lower rated"],
        degree: Comparative,
        targets: &[(Concept::Rating, Less)],
    },
    Entry {
        phrases: &["worst rated", "lowest rated"],
        degree: Superlative,
        targets: &[(Concept::Rating, Less)],
    },
    Entry {
        phrases: &["taller"],
        degree: Comparative,
        targets: &[(Concept::Height, Greater)],
    },
    Entry {
        phrases: &["tallest"],
        degree: Superlative,
        targets: &[(Concept::Height, Greater)],
    },
    Entry {
        phrases: &["shorter"],
        degree: Comparative,
        targets: &[(Concept::Height, Less), (Concept::Duration, Less)],
    },
    Entry {
        phrases: &["shortest"],
        degree: Superlative,
        targets: &[(Concept::Height, Less), (Concept::Duration, Less)],
    },
    Entry {
        phrases: &["longer"],
        degree: Comparative,
        targets: &[(Concept::Duration, Greater)],
    },
    Entry {
        phrases: &["longest"],
        degree: Superlative,
        targets: &[(Concept::Duration, Greater)],
    },
    Entry {
        phrases: &["heavier"],
        degree: Comparative,
        targets: &[(Concept::Weight, Greater)],
    },
    Entry {
        phrases: &["heaviest"],
        degree: Superlative,
        targets: &[(Concept::Weight, Greater)],
    },
    Entry {
        phrases: &["lighter"],
        degree: Comparative,
        targets: &[(Concept::Weight, Less)],
    },
    Entry {
        phrases: &["lightest"],
        degree: Superlative,
        targets: &[(Concept::Weight, Less)],
    },
    Entry {
        phrases: &["bigger", "larger"],
        degree: Comparative,
        targets: &[(Concept::Size, Greater)],
    },
    Entry {
        phrases: &["biggest", "largest"],
        degree: Superlative,
        targets: &[(Concept::Size, Greater)],
    },
    Entry {
        phrases: &["smaller"],
        degree: Comparative,
        targets: &[(Concept::Size, Less)],
    },
    Entry {
        phrases: &["smallest"],
        degree: Superlative,
        targets: &[(Concept::Size, Less)],
    },
    Entry {
        phrases: &["faster", "quicker"],
        degree: Comparative,
        targets: &[(Concept::Speed, Greater)],
    },
    Entry {
        phrases: &["fastest", "quickest"],
        degree: Superlative,
        targets: &[(Concept::Speed, Greater)],
    },
    Entry {
        phrases: &["slower"],
        degree: Comparative,
        targets: &[(Concept::Speed, Less)],
    },
    Entry {
        phrases: &["slowest"],
        degree: Superlative,
        targets: &[(Concept::Speed, Less)],
    },
];

/// Words that compare whatever noun follows: "higher salary", "more experience", "fewest awards".
const BEFORE_NOUNS: &[(&str, Degree, Direction)] = &[
    ("higher", Comparative, Greater),
    ("greater", Comparative, Greater),
    ("more", Comparative, Greater),
    ("highest", Superlative, Greater),
    ("greatest", Superlative, Greater),
    ("most", Superlative, Greater),
    ("lower", Comparative, Less),
    ("less", Comparative, Less),
    ("fewer", Comparative, Less),
    ("lowest", Superlative, Less),
    ("least", Superlative, Less),
    ("fewest", Superlative, Less),
];

pub(super) struct Comparison {
    /// How many words it takes up.
    pub length: usize,
    pub degree: Degree,
    pub targets: Vec<Target>,
}

/// The comparison that starts with the first of the words, the longest phrase winning.
pub(super) fn comparison_at(words: &[String]) -> Option<Comparison> {
    let (length, entry) =
        entry_at(words).or_else(|| noun_comparison_length(words).map(|length| (length, None)))?;
    if let Some(entry) = entry {
        let targets = entry
            .targets
            .iter()
            .map(|&(concept, direction)| target(concept, direction))
            .collect();
        return Some(Comparison {
            length,
            degree: entry.degree,
            targets,
        });
    }
    let [first, noun, ..] = words else { return None };
    let &(_, degree, direction) = BEFORE_NOUNS.iter().find(|(word, _, _)| word == first)?;
    let singular = noun.strip_suffix('s').unwrap_or(noun);
    let mut targets = vec![Target {
        tokens: vec![noun.clone(), singular.to_owned(), format!("{singular}s")],
        measure: Number,
        direction,
    }];
    let concept = Concept::NAMED_BY_A_NOUN.into_iter().find(|concept| {
        concept
            .tokens()
            .iter()
            .any(|token| token == noun || *token == singular)
    });
    targets.extend(concept.map(|concept| target(concept, direction)));
    Some(Comparison {
        length,
        degree,
        targets,
    })
}

fn entry_at(words: &[String]) -> Option<(usize, Option<&'static Entry>)> {
    TABLE
        .iter()
        .flat_map(|entry| entry.phrases.iter().map(move |phrase| (phrase, entry)))
        .filter_map(|(phrase, entry)| Some((phrase_length(phrase, words)?, Some(entry))))
        .max_by_key(|&(length, _)| length)
}

/// How many words the phrase takes up if the words start with it.
fn phrase_length(phrase: &str, words: &[String]) -> Option<usize> {
    let mut length = 0;
    for wanted in phrase.split(' ') {
        if words.get(length)? != wanted {
            return None;
        }
        length += 1;
    }
    Some(length)
}

fn noun_comparison_length(words: &[String]) -> Option<usize> {
    let [first, noun, ..] = words else { return None };
    let compares = BEFORE_NOUNS.iter().any(|(word, _, _)| word == first);
    // "more than" and "less of" compare no noun.
    (compares && super::super::words::is_content(noun)).then_some(2)
}

fn target(concept: Concept, direction: Direction) -> Target {
    Target {
        tokens: concept.tokens().iter().map(|&token| token.to_owned()).collect(),
        measure: concept.measure(),
        direction,
    }
}

/// The comparison of the table at the start of `words`, whatever the columns: its number of words and its degree.
pub(in crate::chat) fn known_comparison(words: &[String]) -> Option<(usize, Degree)> {
    entry_at(words).and_then(|(length, entry)| Some((length, entry?.degree)))
}
