//! Text to token ids, as the reference does, at a cost that the model's limit bounds and not the text.
//!
//! A long text is read in windows that grow until they hold enough tokens. Only tokens well before the end of a window
//! are used, so the ids are those of the whole text. Called by the model for every text.

use std::path::Path;

use tokenizers::Tokenizer;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

use super::config::{ModelConfig, read_required};
use super::error::{ComputeError, InvalidModel, ModelError};
use super::guard::catch;

/// Bytes of the first window; a shorter text is tokenised whole.
const FIRST_WINDOW_BYTES: usize = 16 << 10;
/// Bytes of the largest window, after shortening. Only text that the tokenizer drops almost entirely (a megabyte of
/// control characters) reaches it; what lies beyond is not looked at.
const LAST_WINDOW_BYTES: usize = 1 << 20;
/// Tokens at the end of a window that its cut may have changed: the last word's (at most 100 in WordPiece).
const UNSETTLED_TOKENS: usize = 256;
/// Letters after which the rest of a word is left out of a window: WordPiece gives up on a word at 100 letters, and
/// any other model has more tokens than it can use by then.
const MAX_WORD_LETTERS: usize = 8192;
/// White space characters in a row that are kept.
const MAX_SPACES: usize = 64;

/// A text as the model reads it: at most [`max_tokens`](super::EmbeddingModel::max_tokens) ids, with the model's
/// special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedText {
    ids: Vec<u32>,
    /// Position of the first token that is not special, and of the first special one after it.
    content: (usize, usize),
    truncated: bool,
}

impl TokenizedText {
    /// The token ids, special tokens included; never empty.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of tokens, special tokens included.
    #[allow(clippy::len_without_is_empty)] // Never empty: the special tokens are always there.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Positions in [`ids`](Self::ids) of the text's own tokens, without the special ones around them.
    pub fn content(&self) -> std::ops::Range<usize> {
        self.content.0..self.content.1
    }

    /// Whether the text had more tokens than the model takes.
    pub fn truncated(&self) -> bool {
        self.truncated
    }
}

pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Special tokens before and after every text.
    before: Vec<u32>,
    after: Vec<u32>,
    /// Ids of a text without the special tokens.
    max_content: usize,
}

impl TextTokenizer {
    /// Loads tokenizer.json and hands its bytes to `hash`.
    pub(super) fn load(
        folder: &Path,
        config: &ModelConfig,
        hash: impl FnOnce(&[u8]),
    ) -> Result<Self, ModelError> {
        let file = config.transformer_folder.join("tokenizer.json");
        let bytes = read_required(folder, &file)?;
        hash(&bytes);
        Self::build(&bytes, config).map_err(|problem| ModelError::invalid(&file, problem))
    }

    fn build(bytes: &[u8], config: &ModelConfig) -> Result<Self, InvalidModel> {
        let fault = |error: Box<dyn std::error::Error + Send + Sync>| InvalidModel::Tokenizer {
            detail: error.to_string(),
        };
        let loaded = catch(|| Tokenizer::from_bytes(bytes));
        let mut tokenizer = loaded
            .map_err(|detail| InvalidModel::Tokenizer { detail })?
            .map_err(fault)?;
        // The file's own truncation and padding are defaults of its maker; the limit is `max_tokens`, and a pass needs
        // no padding.
        tokenizer.with_truncation(None).map_err(fault)?;
        tokenizer.with_padding(None);
        if config.lower_case {
            let mut steps = vec![NormalizerWrapper::from(Lowercase)];
            steps.extend(tokenizer.get_normalizer().cloned());
            tokenizer
                .with_normalizer(Some(Sequence::new(steps)))
                .map_err(fault)?;
        }
        let rows = config.vocabulary;
        let tokens = tokenizer
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1);
        if tokens > rows {
            return Err(InvalidModel::VocabularyTooLarge { tokens, rows });
        }
        let (before, after) = special_tokens(&tokenizer)?;
        let special = before.len() + after.len();
        let max_content = config
            .max_tokens
            .checked_sub(special)
            .filter(|&content| content > 0)
            .ok_or(InvalidModel::Size {
                name: "max_seq_length",
                found: config.max_tokens,
            })?;
        Ok(Self {
            tokenizer,
            before,
            after,
            max_content,
        })
    }

    /// See [`EmbeddingModel::tokenize`](super::EmbeddingModel::tokenize).
    pub(super) fn tokenize(&self, text: &str) -> Result<TokenizedText, ComputeError> {
        let mut content = if text.len() <= FIRST_WINDOW_BYTES {
            self.content(text)?
        } else {
            self.windows(text)?
        };
        let truncated = content.len() > self.max_content;
        content.truncate(self.max_content);
        let mut ids = Vec::with_capacity(self.before.len() + content.len() + self.after.len());
        ids.extend_from_slice(&self.before);
        ids.append(&mut content);
        let content = (self.before.len(), ids.len());
        ids.extend_from_slice(&self.after);
        Ok(TokenizedText {
            ids,
            content,
            truncated,
        })
    }

    fn content(&self, text: &str) -> Result<Vec<u32>, ComputeError> {
        let encoded = catch(|| self.tokenizer.encode_fast(text, false))
            .map_err(|detail| ComputeError::Panic { detail })?
            .map_err(|error| ComputeError::Tokenizer {
                detail: error.to_string(),
            })?;
        Ok(encoded.get_ids().to_vec())
    }

    fn windows(&self, text: &str) -> Result<Vec<u32>, ComputeError> {
        let mut window = Window::new(text);
        let mut bytes = FIRST_WINDOW_BYTES;
        loop {
            let whole = window.grow(bytes);
            let content = self.content(&window.text)?;
            let settled = content.len().saturating_sub(UNSETTLED_TOKENS);
            if whole || bytes >= LAST_WINDOW_BYTES || settled > self.max_content {
                return Ok(content);
            }
            bytes *= 4;
        }
    }
}

/// The start of a long text, with endless words and endless white space shortened.
struct Window<'a> {
    text: String,
    rest: std::str::Chars<'a>,
    letters: usize,
    spaces: usize,
}

impl<'a> Window<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: String::new(),
            rest: text.chars(),
            letters: 0,
            spaces: 0,
        }
    }

    /// Reads on until the window has this many bytes; true when it then holds all of the text.
    fn grow(&mut self, bytes: usize) -> bool {
        while self.text.len() < bytes {
            let Some(character) = self.rest.next() else {
                return true;
            };
            // Only unbroken runs of letters are shortened: punctuation may end a word, an ideograph is one, and a
            // mark may be dropped by the normaliser.
            if character.is_whitespace() {
                (self.letters, self.spaces) = (0, self.spaces + 1);
            } else if character.is_alphanumeric() && !is_ideograph(character) {
                (self.letters, self.spaces) = (self.letters + 1, 0);
            } else {
                (self.letters, self.spaces) = (0, 0);
            }
            if self.letters <= MAX_WORD_LETTERS && self.spaces <= MAX_SPACES {
                self.text.push(character);
            }
        }
        self.rest.as_str().is_empty()
    }
}

/// Whether WordPiece takes the character for a word of its own.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2ebef}' | '\u{2f800}'..='\u{2fa1f}')
}

/// The special tokens that the post-processor puts before and after a text.
fn special_tokens(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), InvalidModel> {
    let encode = |special: bool| {
        catch(|| tokenizer.encode("a", special))
            .map_err(|detail| InvalidModel::Tokenizer { detail })?
            .map_err(|error| InvalidModel::Tokenizer {
                detail: error.to_string(),
            })
    };
    let (bare, full) = (encode(false)?, encode(true)?);
    if full.get_type_ids().iter().any(|&kind| kind != 0) {
        return Err(InvalidModel::Tokenizer {
            detail: "a single text has token types other than 0".to_owned(),
        });
    }
    let (bare, full) = (bare.get_ids(), full.get_ids());
    let start = (0..=full.len().saturating_sub(bare.len())).find(|&start| full[start..].starts_with(bare));
    match start {
        Some(start) if !bare.is_empty() => Ok((full[..start].to_vec(), full[start + bare.len()..].to_vec())),
        _ => Err(InvalidModel::Tokenizer {
            detail: "special tokens do not surround the text".to_owned(),
        }),
    }
}

#[cfg(test)]
#[path = "tokenize_tests.rs"]
mod tests;
