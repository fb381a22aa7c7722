//! The parts of a WordNet gloss: what the words mean, and sentences that use them.
//!
//! `definition; "example"; "example"- Author; (a remark)`. A quoted part is an example if it stands between separators; one in the
//! middle of a sentence (`usually expressed as "on behalf of"`) belongs to the definition. Some twenty glosses have a quotation mark too
//! few: where examples begin and end is not known there, so they have none.

/// A gloss, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gloss {
    /// What is no example, nor the name of an example's author.
    pub(crate) definition: String,
    /// The examples, without their quotation marks.
    pub(crate) examples: Vec<String>,
}

impl Gloss {
    /// Takes a gloss apart.
    pub(crate) fn parse(gloss: &str) -> Self {
        // Outside and inside of quotation marks in turn.
        let parts: Vec<&str> = gloss.split('"').collect();
        if parts.len().is_multiple_of(2) {
            return Self {
                definition: tidy(parts.first().copied().unwrap_or_default()),
                examples: Vec::new(),
            };
        }
        let at = |place: usize| parts.get(place).copied().unwrap_or_default();
        let (mut text, mut examples) = (at(0).to_owned(), Vec::new());
        let mut after_example = false;
        for place in (1..parts.len()).step_by(2) {
            let (before, quoted, after) = (at(place - 1), at(place), at(place + 1));
            let begins = begins(before, place == 1 || after_example);
            after_example = begins && ends(after) && !quoted.trim().is_empty();
            if after_example {
                examples.push(quoted.trim().to_owned());
                // A separator, should there be none.
                text.push(';');
                text.push_str(without_author(after));
            } else {
                text.push_str(&format!("\"{quoted}\"{after}"));
            }
        }
        Self {
            definition: tidy(&text),
            examples,
        }
    }
}

/// Whether a quoted part after `before` can be an example; `alone` says that nothing but an example stands before that.
fn begins(before: &str, alone: bool) -> bool {
    let before = before.trim_end();
    (alone && before.is_empty()) || before.ends_with([';', ',', ':', '.'])
}

/// Whether a quoted part before `after` can be an example.
fn ends(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with([';', ',', ':', '.', '-'])
}

/// Leaves out the name at the beginning of what follows an example.
fn without_author(after: &str) -> &str {
    if after.trim_start().starts_with('-') {
        after
            .find(';')
            .and_then(|end| after.get(end..))
            .unwrap_or_default()
    } else {
        after
    }
}

/// The parts between semicolons that have letters or digits.
fn tidy(text: &str) -> String {
    let parts: Vec<&str> = text
        .split(';')
        .map(|part| part.trim_matches([' ', ',', ':']))
        .filter(|part| part.chars().any(char::is_alphanumeric))
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::Gloss;

    fn parsed(gloss: &str) -> (String, Vec<String>) {
        let Gloss { definition, examples } = Gloss::parse(gloss);
        (definition, examples)
    }

    fn check(gloss: &str, definition: &str, examples: &[&str]) {
        let examples: Vec<String> = examples.iter().map(|&example| example.to_owned()).collect();
        assert_eq!(parsed(gloss), (definition.to_owned(), examples), "{gloss}");
    }

    #[test]
    fn examples_stand_after_the_definition() {
        check(
            "an entity that has physical existence",
            "an entity that has physical existence",
            &[],
        );
        check(
            "a tangible entity; one that casts a shadow; \"it was full of rackets\"",
            "a tangible entity; one that casts a shadow",
            &["it was full of rackets"],
        );
        check(
            "a single entity; \"how big is that part?\"; \"the team is a unit\";",
            "a single entity",
            &["how big is that part?", "the team is a unit"],
        );
        check("\"only an example\"", "", &["only an example"]);
    }

    #[test]
    fn separators_of_every_kind_are_known() {
        for between in ["; ", ", ", ";", " ", ": ", ". "] {
            check(
                &format!("a similar kind; \"dogs and the like\"{between}\"the likes of you\""),
                "a similar kind",
                &["dogs and the like", "the likes of you"],
            );
        }
        check(
            "to compose or represent:\"This makes a fine introduction\"",
            "to compose or represent",
            &["This makes a fine introduction"],
        );
    }

    #[test]
    fn authors_are_left_out() {
        check(
            "beauty; \"the pleasingness of dark eyes\"- T.N. Carver; \"bald-faced lies\" - Los Angeles Times; (archaic)",
            "beauty; (archaic)",
            &["the pleasingness of dark eyes", "bald-faced lies"],
        );
        check(
            "revenge; \"saith the Lord\"--Romans 12:19",
            "revenge",
            &["saith the Lord"],
        );
    }

    #[test]
    fn quotations_inside_a_sentence_belong_to_it() {
        check(
            "as the agent of (expressed as \"on behalf of\" rather than \"in behalf of\"); \"she signed it on behalf of the child\"",
            "as the agent of (expressed as \"on behalf of\" rather than \"in behalf of\")",
            &["she signed it on behalf of the child"],
        );
        check(
            "a pad for hasty notes; \"scribbling block\" is a British term",
            "a pad for hasty notes; \"scribbling block\" is a British term",
            &[],
        );
        check(
            "a report (e.g., \"he said `I am a fool'\")",
            "a report (e.g., \"he said `I am a fool'\")",
            &[],
        );
        check(
            "(of persons) \"a hard taskmaster\"",
            "(of persons) \"a hard taskmaster\"",
            &[],
        );
    }

    #[test]
    fn a_gloss_with_a_mark_too_few_has_no_examples() {
        check(
            "utter casually; \"drop a hint\"; drop names\"",
            "utter casually",
            &[],
        );
        check(
            "a branch where services are available\"",
            "a branch where services are available",
            &[],
        );
        check("", "", &[]);
        check("nothing; \"\"", "nothing", &[]);
    }
}
