//! Messages that ask for no rows: greetings, thanks, "who are you".

use crate::chat::courtesy::longest;
use crate::chat::words::words;

/// What a message without a request says, the more telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    Identity,
    Help,
    Thanks,
    Farewell,
    Greeting,
}

const PHRASES: &[(Talk, &[&str])] = &[
    (
        Talk::Identity,
        &[
            "are you a bot",
            "are you a chatbot",
            "are you a computer",
            "are you a human",
            "are you a human being",
            "are you a language model",
            "are you a machine",
            "are you a person",
            "are you a real person",
            "are you a robot",
            "are you ai",
            "are you an ai",
            "are you an llm",
            "are you chatgpt",
            "are you human",
            "are you real",
            "do you have a name",
            "tell me about yourself",
            "what are you",
            "what is your name",
            "what model are you",
            "what's your name",
            "which model are you",
            "who am i talking to",
            "who are you",
            "who is this",
        ],
    ),
    (
        Talk::Help,
        &[
            "can you help me",
            "help",
            "help me",
            "how can you help",
            "how can you help me",
            "how do i search",
            "how do i use this",
            "how do i use you",
            "how do you work",
            "how does it work",
            "how does this work",
            "i need help",
            "what can i ask",
            "what can i ask you",
            "what can i do here",
            "what can you do",
            "what can you do for me",
            "what do you do",
        ],
    ),
    (
        Talk::Thanks,
        &[
            "for the help",
            "for your help",
            "many thanks",
            "no thank you",
            "no thanks",
            "thank you",
            "thank you so much",
            "thank you very much",
            "thanks",
            "thanks a lot",
            "thx",
        ],
    ),
    (
        Talk::Farewell,
        &[
            "bye",
            "bye bye",
            "good bye",
            "good night",
            "goodbye",
            "see you",
            "see you later",
        ],
    ),
    (
        Talk::Greeting,
        &[
            "good afternoon",
            "good day",
            "good evening",
            "good morning",
            "greetings",
            "hello",
            "hey",
            "hi",
            "how are you",
            "how are you doing",
            "namaste",
        ],
    ),
];

/// Words that may stand between such phrases and say nothing either.
const FILLERS: &[&str] = &[
    "again",
    "ah",
    "and",
    "but",
    "great",
    "nice",
    "now",
    "oh",
    "ok",
    "okay",
    "perfect",
    "please",
    "so",
    "then",
    "there",
    "today",
    "well",
    "wonderful",
];

/// The longest message that can be small talk, in words.
const MAX_WORDS: usize = 16;

/// The answer to a message that asks for no rows: a greeting, thanks, a question about the responder, a call for help.
///
/// `None` for everything else: only a message that consists of such phrases alone counts, so that "hello dolly musical
/// cast" is searched for. The answer says what answers, and claims neither to be a person nor a language model.
pub fn small_talk(message: &str) -> Option<String> {
    let words = words(message);
    if words.len() > MAX_WORDS || message.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut said: Option<Talk> = None;
    let mut position = 0;
    while position < words.len() {
        let rest = &words[position..];
        let phrase = PHRASES
            .iter()
            .filter_map(|(talk, phrases)| Some((longest(phrases, rest)?, *talk)))
            .max_by_key(|&(length, _)| length);
        if let Some((length, talk)) = phrase {
            said = Some(said.map_or(talk, |earlier| earlier.min(talk)));
            position += length;
        } else if FILLERS.contains(&words[position]) {
            position += 1;
        } else {
            return None;
        }
    }
    let answer = match said? {
        Talk::Identity => {
            "I am castmatch's built-in responder: I search the table that this conversation is about and report the \
             rows that I find. I am neither a language model nor a person."
        }
        Talk::Help => {
            "Describe in plain words what you are looking for, and I search the table for the rows that fit best. Then \
             narrow it down: \"only in …\", \"not …\", \"someone younger\", \"what about …\"."
        }
        Talk::Thanks => {
            "You are welcome. Add a condition to narrow the last result down, or ask for something else."
        }
        Talk::Farewell => "Goodbye. To go on later, write into the same conversation.",
        Talk::Greeting => {
            "Hello. Describe what you are looking for, and I search the table for the rows that fit best."
        }
    };
    Some(answer.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::small_talk;

    #[test]
    fn small_talk_is_answered_without_rows() {
        for (message, expected) in [
            ("hello", "Hello."),
            ("Hi there!", "Hello."),
            ("good morning, how are you?", "Hello."),
            ("Thanks!!", "You are welcome."),
            ("ok great, thank you very much", "You are welcome."),
            ("thanks and bye", "You are welcome."),
            ("Thanks for your help", "You are welcome."),
            ("Goodbye", "Goodbye."),
            ("Who are you?", "I am castmatch's built-in responder"),
            ("hi, what’s your name?", "I am castmatch's built-in responder"),
            ("are you an AI", "I am castmatch's built-in responder"),
            (
                "Are you a real person? Thanks",
                "I am castmatch's built-in responder",
            ),
            ("help", "Describe in plain words"),
            ("hello, what can you do?", "Describe in plain words"),
        ] {
            let answer = small_talk(message);
            assert!(
                answer
                    .as_deref()
                    .is_some_and(|answer| answer.starts_with(expected)),
                "{message}: {answer:?}"
            );
        }
        let identity = small_talk("are you human?").unwrap();
        assert!(identity.contains("neither a language model nor a person"));
    }

    #[test]
    fn whatever_asks_for_something_is_searched() {
        for message in [
            "",
            "🙂",
            "hello dolly musical cast",
            "hey jude singer",
            "hi, a dancer please",
            "thanks, now someone younger",
            "help me find a dancer",
            "who are you recommending",
            "what are you looking for",
            "who is this dancer",
            "ok",
            "please",
            "great",
            "all there",
            "for the help desk",
            "are you a human rights lawyer",
            "good evening dress",
            "what can you do with 2 dancers",
            "thank you note writer",
            "hi 5",
            "नमस्ते",
        ] {
            assert_eq!(small_talk(message), None, "{message}");
        }
    }
}
