#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use super::super::config::{ModelConfig, Pooling};
use super::super::error::InvalidModel;
use super::super::kernel::Activation;
use super::TextTokenizer;

/// A WordPiece tokenizer as BERT has it, with letters, a few words, and the file's own truncation to be ignored.
fn tokenizer_json() -> String {
    let mut vocabulary = vec!["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    vocabulary.extend(["dance", "##er", "the", "mother", "導", "演", "!", "?", ".", ","].map(str::to_owned));
    vocabulary.extend(('a'..='z').map(String::from));
    vocabulary.extend(('a'..='z').map(|letter| format!("##{letter}")));
    let vocabulary: serde_json::Map<_, _> = vocabulary
        .into_iter()
        .enumerate()
        .map(|(id, token)| (token, id.into()))
        .collect();
    let special = |id: u32, content: &str| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": true, "lowercase": false},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary}
    })
    .to_string()
}

fn config(max_tokens: usize, vocabulary: usize) -> ModelConfig {
    ModelConfig {
        hidden: 8,
        heads: 2,
        layers: 1,
        intermediate: 16,
        positions: 512,
        token_types: 2,
        vocabulary,
        layer_norm_eps: 1e-12,
        activation: Activation::Gelu,
        max_tokens,
        lower_case: true,
        pooling: Pooling::Mean,
        normalize: true,
        transformer_folder: PathBuf::new(),
    }
}

fn tokenizer(max_tokens: usize) -> TextTokenizer {
    TextTokenizer::build(tokenizer_json().as_bytes(), &config(max_tokens, 100)).unwrap()
}

#[test]
fn special_tokens_surround_every_text() {
    let tokenizer = tokenizer(256);
    assert_eq!(tokenizer.tokenize("").unwrap().ids(), [2, 3]);
    assert_eq!(tokenizer.tokenize(" \n").unwrap().ids(), [2, 3]);
    assert_eq!(
        tokenizer.tokenize("The DANCER").unwrap().ids(),
        [2, 6, 4, 57, 3],
        "lower_case is applied"
    );
}

#[test]
fn truncation_keeps_the_closing_token() {
    let tokenizer = tokenizer(5);
    let fits = tokenizer.tokenize("the dance mother").unwrap();
    assert_eq!((fits.ids(), fits.truncated()), (&[2, 6, 4, 7, 3][..], false));
    let cut = tokenizer.tokenize("the dance mother the").unwrap();
    assert_eq!((cut.ids(), cut.truncated()), (&[2, 6, 4, 7, 3][..], true));
    assert_eq!((fits.content(), cut.content()), (1..4, 1..4));
}

#[test]
fn impossible_sizes_are_refused() {
    let build = |max_tokens, vocabulary| {
        TextTokenizer::build(tokenizer_json().as_bytes(), &config(max_tokens, vocabulary)).err()
    };
    assert!(matches!(build(2, 100), Some(InvalidModel::Size { .. })));
    assert!(matches!(build(0, 100), Some(InvalidModel::Size { .. })));
    assert!(matches!(
        build(256, 50),
        Some(InvalidModel::VocabularyTooLarge { tokens: 66, rows: 50 })
    ));
    let broken = TextTokenizer::build(b"{}", &config(256, 100)).err();
    assert!(matches!(broken, Some(InvalidModel::Tokenizer { .. })));
}

/// The windows of a long text must give what the whole text gives.
#[test]
fn windows_give_the_tokens_of_the_whole_text() {
    let tokenizer = tokenizer(256);
    let parts = [
        "the ",
        "dancer",
        " ",
        "\n\t  ",
        "導",
        "演",
        "!",
        "?.",
        ",",
        "mother ",
        "e\u{301}",
        "\u{301}\u{302}",
        "\u{1}",
        "\u{200d}",
        "abcdefgh",
        "😍",
        "[SEP]",
        "[SE",
        "P] ",
        "\u{0b95}\u{0bbf}",
        "ｶﾅ",
        "。",
    ];
    let mut state = 7u64;
    let mut next = |bound: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % bound
    };
    for round in 0..150 {
        let mut text = String::new();
        let target = 15_000 + next(60_000);
        while text.len() < target {
            // Runs of one part, some of them very long, and words without white space for long stretches.
            let part = parts[next(parts.len())];
            let repeat = if next(40) == 0 { next(20_000) } else { 1 + next(4) };
            text.push_str(&part.repeat(repeat));
        }
        let mut whole = tokenizer.content(&text).unwrap();
        whole.truncate(254);
        let tokens = tokenizer.tokenize(&text).unwrap();
        let content = &tokens.ids()[1..tokens.len() - 1];
        assert!(
            content == whole,
            "round {round}: {} tokens for {}",
            content.len(),
            whole.len()
        );
    }
}
