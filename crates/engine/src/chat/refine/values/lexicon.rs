//! The words that demand, exclude, or stand between such a word and the value.

/// What demands the value that follows. In words of lower case.
pub(super) const DEMANDS: &[&str] = &[
    "exclusively",
    "has to",
    "have to",
    "insist on",
    "just",
    "limit it to",
    "limit to",
    "limited to",
    "must",
    "needs to",
    "need to",
    "no one but",
    "nobody but",
    "none but",
    "nothing but",
    "nowhere but",
    "only",
    "required to",
    "restrict it to",
    "restrict to",
    "restricted to",
    "solely",
    "strictly",
];

/// What excludes the value that follows, besides the words that [`super::super::is_negation`] knows.
pub(super) const EXCLUSIONS: &[&str] = &[
    "all but",
    "anybody but",
    "anyone but",
    "anywhere but",
    "apart from",
    "aside from",
    "avoid",
    "avoiding",
    "everybody but",
    "everyone but",
    "everywhere but",
    "except",
    "except for",
    "exclude",
    "excluding",
    "leave out",
    "no one",
    "nobody",
    "none",
    "other than",
    "outside",
    "outside of",
];

/// What demands the value before it: "Mumbai only", "Hindi is a must".
pub(super) const DEMANDS_BEHIND: &[&str] = &[
    "are a must",
    "are essential",
    "are mandatory",
    "are required",
    "essential",
    "exclusively",
    "is a must",
    "is essential",
    "is mandatory",
    "is required",
    "mandatory",
    "only",
    "required",
];

/// What excludes the value before it.
pub(super) const EXCLUSIONS_BEHIND: &[&str] =
    &["excluded", "is excluded", "are excluded", "is out", "are out"];

/// Prepositions, articles and verbs through which a demand reaches the value: "must be based **in** Pune".
const LINKS: &[&str] = &[
    "a",
    "able",
    "also",
    "am",
    "an",
    "are",
    "at",
    "based",
    "be",
    "been",
    "both",
    "being",
    "by",
    "come",
    "comes",
    "coming",
    "fluent",
    "for",
    "from",
    "in",
    "into",
    "is",
    "know",
    "knowing",
    "knows",
    "live",
    "lives",
    "living",
    "located",
    "of",
    "on",
    "play",
    "playing",
    "plays",
    "residing",
    "situated",
    "speak",
    "speaker",
    "speakers",
    "speaking",
    "speaks",
    "that",
    "the",
    "those",
    "to",
    "understand",
    "understands",
    "who",
    "which",
    "with",
];

/// Words for whoever or whatever is looked for, and verbs of asking.
const LOOSE_LINKS: &[&str] = &[
    "any",
    "anybody",
    "anyone",
    "anything",
    "candidates",
    "consider",
    "entries",
    "find",
    "folks",
    "give",
    "have",
    "having",
    "include",
    "interested",
    "items",
    "like",
    "me",
    "need",
    "one",
    "ones",
    "people",
    "person",
    "persons",
    "results",
    "rows",
    "see",
    "show",
    "some",
    "somebody",
    "someone",
    "something",
    "take",
    "us",
    "want",
    "work",
    "working",
    "works",
];

/// What may besides stand in a continuation that says nothing but the value: "ok, and what about Mumbai then?".
const FILLERS: &[&str] = &[
    "about", "actually", "mean", "meant", "same", "and", "as", "but", "how", "i", "if", "instead", "maybe",
    "now", "ok", "okay", "or", "please", "plus", "rather", "so", "then", "there", "too", "well", "what",
    "yes",
];

/// Verbs by which a first person wants something of the rows: "I only want people from Pune", not "I only speak Hindi".
pub(super) const WANTING: &[&str] = &[
    "consider",
    "find",
    "give",
    "include",
    "interested",
    "like",
    "looking",
    "need",
    "search",
    "searching",
    "see",
    "show",
    "take",
    "want",
];

/// Whether a demand reaches through the word.
pub(super) fn is_link(word: &str) -> bool {
    LINKS.contains(&word)
}

/// Whether a demand, though not a mere "just", reaches through the word.
pub(super) fn is_loose_link(word: &str) -> bool {
    LOOSE_LINKS.contains(&word)
}

/// Whether a continuation that contains the word may still say nothing but the value.
pub(super) fn is_filler(word: &str) -> bool {
    is_link(word) || is_loose_link(word) || FILLERS.contains(&word)
}

/// Whether the word joins values: "Pune or Mumbai".
pub(super) fn is_joiner(word: &str) -> bool {
    matches!(word, "or" | "and" | "nor" | "/" | "&")
}
