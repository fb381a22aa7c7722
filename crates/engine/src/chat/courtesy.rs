//! What opens and closes a request without saying for what: "hi, could you please find me", "thanks".

/// Openings of a request, in words of lower case; contractions both ways.
const OPENINGS: &[&str] = &[
    "are there",
    "are there any",
    "do you have",
    "do you have any",
    "find",
    "find me",
    "find us",
    "get me",
    "get us",
    "give me",
    "give us",
    "have you got",
    "have you got any",
    "help me find",
    "help us find",
    "i am looking for",
    "i am searching for",
    "i need",
    "i want",
    "i would like",
    "i'd like",
    "i'm looking for",
    "i'm searching for",
    "is there",
    "is there any",
    "look for",
    "looking for",
    "need",
    "search for",
    "searching for",
    "show me",
    "show us",
    "tell me",
    "to find",
    "to get",
    "to have",
    "to see",
    "want",
    "we are looking for",
    "we need",
    "we want",
    "we would like",
    "we'd like",
    "we're looking for",
];

/// What counts as courtesy only before an opening: "can you dance" asks something else than "can you find".
const LEADS: &[&str] = &[
    "can i",
    "can we",
    "can you",
    "could i",
    "could we",
    "could you",
    "help me",
    "i'd love",
    "may i",
    "will you",
    "would you",
];

/// What counts as courtesy only before an opening, or with a pause after it: "Hello, Dolly" is no "Hello Dolly".
const GREETINGS: &[&str] = &[
    "good afternoon",
    "good evening",
    "good morning",
    "hello",
    "hello again",
    "hello there",
    "hey",
    "hey there",
    "hi",
    "hi again",
    "hi there",
    "ok",
    "okay",
];

const CLOSINGS: &[&str] = &[
    "many thanks",
    "please",
    "thank you",
    "thank you very much",
    "thanks",
    "thanks a lot",
];

/// The words of a request that are not courtesy: from and to.
///
/// `words` are those of one sentence in lower case; `pause_after` says whether a comma or the like follows the word.
pub(super) fn content_of(words: &[&str], pause_after: impl Fn(usize) -> bool) -> std::ops::Range<usize> {
    let mut start = 0;
    loop {
        let rest = &words[start..];
        let please = courteous(rest);
        if please > 0 {
            start += please;
        } else if let Some(length) = opening(rest) {
            start += length;
        } else if let Some(length) = longest(LEADS, rest).filter(|&length| opens(&rest[length..])) {
            start += length;
        } else if let Some(length) = longest(GREETINGS, rest).filter(|&length| {
            let after = &rest[length..];
            after.is_empty()
                || pause_after(start + length - 1)
                || opens(after)
                || longest(LEADS, after).is_some_and(|lead| opens(&after[lead..]))
        }) {
            start += length;
        } else {
            break;
        }
    }
    let mut end = words.len();
    while let Some(length) = CLOSINGS
        .iter()
        .filter_map(|closing| ends_with(&words[start..end], closing))
        .max()
    {
        end -= length;
    }
    start..end
}

/// How many words at the start are "please".
fn courteous(words: &[&str]) -> usize {
    words
        .iter()
        .take_while(|word| matches!(**word, "please" | "kindly"))
        .count()
}

fn opens(words: &[&str]) -> bool {
    opening(&words[courteous(words)..]).is_some()
}

/// The length of an opening that stands for itself: "need not" and "do you have to" say something else.
pub(super) fn opening(words: &[&str]) -> Option<usize> {
    longest(OPENINGS, words).filter(|&length| {
        let next = words.get(length).copied().unwrap_or_default();
        next != "not" && !(next == "to" && words[length - 1] == "have")
    })
}

/// The length in words of the longest of the phrases that the words start with.
pub(super) fn longest(phrases: &[&str], words: &[&str]) -> Option<usize> {
    phrases
        .iter()
        .filter_map(|phrase| {
            let length = phrase.split(' ').count();
            let starts = words.len() >= length && phrase.split(' ').eq(words[..length].iter().copied());
            starts.then_some(length)
        })
        .max()
}

fn ends_with(words: &[&str], phrase: &str) -> Option<usize> {
    let length = phrase.split(' ').count();
    let start = words.len().checked_sub(length)?;
    phrase
        .split(' ')
        .eq(words[start..].iter().copied())
        .then_some(length)
}

#[cfg(test)]
mod tests {
    use super::content_of;

    fn content(text: &str) -> String {
        let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let pauses: Vec<bool> = text.split_whitespace().map(|word| word.ends_with(',')).collect();
        words[content_of(&words, |index| pauses[index])].join(" ")
    }

    #[test]
    fn only_courtesy_goes() {
        for (text, expected) in [
            ("please find me a dancer", "a dancer"),
            ("hi, could you please show me a dancer thanks", "a dancer"),
            ("hello can you find a dancer please", "a dancer"),
            ("i would like to see dancers", "dancers"),
            ("do you have any dancers", "dancers"),
            ("hello dolly musical cast", "hello dolly musical cast"),
            ("hello, dolly", "dolly"),
            ("can you dance", "can you dance"),
            ("need not be tall", "need not be tall"),
            ("do you have to be tall", "do you have to be tall"),
            ("someone eager to please her", "someone eager to please her"),
            ("please", ""),
            ("hello", ""),
            ("", ""),
        ] {
            assert_eq!(content(text), expected, "{text}");
        }
    }
}
