//! What may differ between two messages that ask the same. Whatever is in doubt is not in here.

/// Words that carry nothing. No prepositions, conjunctions, pronouns or verbs of the past or of necessity: each of them
/// can turn a request round.
pub(super) fn is_empty(word: &str) -> bool {
    matches!(word, "a" | "an" | "the" | "are" | "be" | "is" | "do" | "does")
}

/// Words after which "that" points at something, instead of opening a clause.
pub(super) fn points(word: &str) -> bool {
    matches!(
        word,
        "about"
            | "after"
            | "and"
            | "as"
            | "at"
            | "before"
            | "but"
            | "by"
            | "for"
            | "from"
            | "in"
            | "like"
            | "not"
            | "of"
            | "on"
            | "or"
            | "over"
            | "than"
            | "to"
            | "under"
            | "with"
            | "without"
    )
}

/// Words for whoever it may be, which mean the same where a request begins: "anyone who dances". Elsewhere they do not:
/// "taller than anyone".
pub(super) fn is_anyone(word: &str) -> bool {
    matches!(
        word,
        "anybody" | "anyone" | "people" | "person" | "persons" | "somebody" | "someone"
    )
}

/// Words that negate, exclude or reverse, where pauses begin to count.
pub(super) fn is_negation(word: &str) -> bool {
    matches!(
        word,
        "barely"
            | "but"
            | "except"
            | "exclude"
            | "excluding"
            | "hardly"
            | "neither"
            | "never"
            | "no"
            | "nobody"
            | "none"
            | "nor"
            | "not"
            | "nothing"
            | "nowhere"
            | "other"
            | "outside"
            | "rather"
            | "unless"
            | "without"
    )
}

/// Contractions, with those that lost their apostrophe and are no other word.
const CONTRACTIONS: &[(&str, &[&str])] = &[
    ("ain't", &["is", "not"]),
    ("aren't", &["are", "not"]),
    ("arent", &["are", "not"]),
    ("can't", &["can", "not"]),
    ("cannot", &["can", "not"]),
    ("couldn't", &["could", "not"]),
    ("didn't", &["did", "not"]),
    ("didnt", &["did", "not"]),
    ("doesn't", &["does", "not"]),
    ("doesnt", &["does", "not"]),
    ("don't", &["do", "not"]),
    ("dont", &["do", "not"]),
    ("hadn't", &["had", "not"]),
    ("hasn't", &["has", "not"]),
    ("haven't", &["have", "not"]),
    ("he's", &["he", "is"]),
    ("i'd", &["i", "would"]),
    ("i'll", &["i", "will"]),
    ("i'm", &["i", "am"]),
    ("im", &["i", "am"]),
    ("i've", &["i", "have"]),
    ("isn't", &["is", "not"]),
    ("isnt", &["is", "not"]),
    ("it's", &["it", "is"]),
    ("let's", &["let", "us"]),
    ("mustn't", &["must", "not"]),
    ("needn't", &["need", "not"]),
    ("she's", &["she", "is"]),
    ("shouldn't", &["should", "not"]),
    ("that's", &["that", "is"]),
    ("there's", &["there", "is"]),
    ("they're", &["they", "are"]),
    ("they've", &["they", "have"]),
    ("wasn't", &["was", "not"]),
    ("we'd", &["we", "would"]),
    ("we'll", &["we", "will"]),
    ("we're", &["we", "are"]),
    ("we've", &["we", "have"]),
    ("weren't", &["were", "not"]),
    ("what's", &["what", "is"]),
    ("where's", &["where", "is"]),
    ("who's", &["who", "is"]),
    ("won't", &["will", "not"]),
    ("wouldn't", &["would", "not"]),
    ("you'd", &["you", "would"]),
    ("you're", &["you", "are"]),
    ("you've", &["you", "have"]),
];

/// The words that a contraction is made of.
pub(super) fn expanded(word: &str) -> Option<&'static [&'static str]> {
    CONTRACTIONS
        .iter()
        .find(|(contraction, _)| *contraction == word)
        .map(|(_, words)| *words)
}

/// Words that mean the same in every request, by the one that stands for all: spellings, units, irregular plurals, and
/// forms in -ing that name nothing else (a rating is no rate, an evening is not even).
const SYNONYMS: &[(&str, &[&str])] = &[
    ("actress", &["actresses"]),
    ("center", &["centre", "centers", "centres"]),
    ("child", &["children"]),
    (
        "cm",
        &["centimeter", "centimeters", "centimetre", "centimetres", "cms"],
    ),
    ("color", &["colour", "colors", "colours"]),
    ("cook", &["cooking", "cooks"]),
    ("dance", &["dances", "dancing"]),
    ("favorite", &["favourite"]),
    ("film", &["films", "movie", "movies"]),
    ("foot", &["feet", "ft"]),
    ("gray", &["grey"]),
    ("hour", &["hours", "hr", "hrs"]),
    ("kg", &["kgs", "kilogram", "kilograms", "kilo", "kilos"]),
    (
        "km",
        &["kilometer", "kilometers", "kilometre", "kilometres", "kms"],
    ),
    ("license", &["licence", "licences", "licenses"]),
    ("man", &["men"]),
    ("minute", &["min", "mins", "minutes"]),
    ("mom", &["moms", "mum", "mums"]),
    ("program", &["programme", "programmes", "programs"]),
    ("sing", &["singing", "sings"]),
    ("anyone", &["anybody"]),
    ("someone", &["person", "persons", "somebody"]),
    ("speak", &["speaking", "speaks"]),
    ("teach", &["teaches", "teaching"]),
    ("television", &["tv"]),
    ("theater", &["theatre", "theaters", "theatres"]),
    ("wear", &["wearing", "wears"]),
    ("woman", &["women"]),
    ("year", &["years", "yr", "yrs"]),
];

/// Whether letters right behind a number are its unit.
pub(super) fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "cm" | "cms"
            | "kg"
            | "kgs"
            | "km"
            | "kms"
            | "mm"
            | "ft"
            | "feet"
            | "hr"
            | "hrs"
            | "min"
            | "mins"
            | "yr"
            | "yrs"
            | "year"
            | "years"
            | "hours"
            | "minutes"
            | "am"
            | "pm"
            | "gb"
            | "mb"
            | "mph"
            | "kmph"
    )
}

/// Words in -s that are no plural, or whose plural means something else.
const NO_PLURALS: &[&str] = &[
    "adams",
    "airs",
    "always",
    "andrews",
    "arms",
    "besides",
    "brains",
    "business",
    "collins",
    "contents",
    "customs",
    "daniels",
    "economics",
    "edwards",
    "ethics",
    "evans",
    "forces",
    "glasses",
    "goods",
    "grounds",
    "hers",
    "hughes",
    "interests",
    "jacobs",
    "james",
    "johns",
    "letters",
    "looks",
    "lots",
    "manners",
    "marks",
    "matthews",
    "means",
    "news",
    "odds",
    "ours",
    "owens",
    "pains",
    "pants",
    "peters",
    "phillips",
    "physics",
    "politics",
    "quarters",
    "richards",
    "roberts",
    "rogers",
    "sales",
    "seconds",
    "series",
    "shorts",
    "sometimes",
    "spectacles",
    "spirits",
    "species",
    "stairs",
    "stephens",
    "stevens",
    "terms",
    "thanks",
    "theirs",
    "times",
    "trousers",
    "unless",
    "williams",
    "woods",
    "works",
    "yours",
];

/// The word that stands for all forms of this one: without plural s, or the synonym that the table has.
pub(super) fn canonical(word: &str) -> &str {
    let known = SYNONYMS
        .iter()
        .find(|(head, others)| *head == word || others.contains(&word));
    match known {
        Some((head, _)) => head,
        None => singular(word),
    }
}

/// The word without the s of a plural or of a third person; words where it is in doubt as they are.
fn singular(word: &str) -> &str {
    let keeps = word.len() < 4
        || !word.is_ascii()
        || NO_PLURALS.contains(&word)
        || ["ss", "us", "is", "as", "os"]
            .iter()
            .any(|ending| word.ends_with(ending));
    if keeps {
        return word;
    }
    let sibilant = ["sses", "shes", "ches", "xes", "zes"];
    match word.strip_suffix("es") {
        Some(stem) if sibilant.iter().any(|ending| word.ends_with(ending)) => stem,
        _ if word.ends_with("ies") => word,
        _ => word.strip_suffix('s').unwrap_or(word),
    }
}

/// Whether two words are the singular and plural in -y and -ies.
pub(super) fn is_plural_in_ies(one: &str, other: &str) -> bool {
    let plural_of = |singular: &str, plural: &str| {
        plural.len() > 4
            && match (singular.strip_suffix('y'), plural.strip_suffix("ies")) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            }
    };
    plural_of(one, other) || plural_of(other, one)
}
