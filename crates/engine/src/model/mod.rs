//! The sentence-embedding model: a folder of sentence-transformers (of BERT kind) in, unit vectors out.
//!
//! [`EmbeddingModel`] holds the weights once and is meant to live in one process that serves many, PostgreSQL's embedding
//! worker; castmatch-bench calls it too. It gives the reference's vectors (cosine above 0.9999, tests/golden). It
//! calls no PostgreSQL, installs no signal handler, and panics nowhere: whatever goes wrong is a [`ModelError`].
//! Design and numbers: docs/design/embedding.md.

mod batch;
mod config;
mod error;
mod forward;
mod guard;
mod kernel;
mod parallel;
mod tokenize;
mod weights;

pub use batch::plan_batches;
pub use error::{ComputeError, InvalidModel, ModelError};
pub use tokenize::TokenizedText;

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::interrupt::Interrupt;
use config::{ModelConfig, read_optional};
use forward::Bert;
use guard::catch;
use kernel::Kernels;
use parallel::Workers;
use tokenize::TextTokenizer;
use weights::Tensors;

/// How a model is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOptions {
    /// Threads that compute passes; 1 computes on the calling thread and starts none.
    ///
    /// With more, [`EmbeddingModel::load`] starts that many, and they live as long as the model. Threads inherit the
    /// signal mask of the thread that starts them: a caller in a PostgreSQL process must block every signal around
    /// `load`, so that the server's signals keep going to its main thread.
    pub threads: usize,
    /// Tokens per pass, see [`plan_batches`]; bounds the memory of a pass (some 9 KB per token for a model of 384
    /// dimensions) and the time between two interrupt checks.
    pub max_batch_tokens: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            max_batch_tokens: 1024,
        }
    }
}

/// What a pass gives for one text, see [`EmbeddingModel::embed_with_tokens`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddedTokens {
    /// The vector of the text, as [`EmbeddingModel::embed_batch`] gives it.
    pub vector: Vec<f32>,
    /// The last hidden state of every token, before pooling and normalising: `dimensions` numbers per token in the
    /// order of [`TokenizedText::ids`], special tokens included; [`TokenizedText::content`] says which are not special.
    pub states: Vec<f32>,
}

/// A loaded model. Shareable between threads; every method takes `&self`.
pub struct EmbeddingModel {
    name: String,
    fingerprint: String,
    dimensions: usize,
    max_tokens: usize,
    max_batch_tokens: usize,
    kernels: Kernels,
    tokenizer: TextTokenizer,
    bert: Bert,
    workers: Option<Workers>,
}

/// A pass over some texts, given by their token ids; one result per text.
type Forward<T> = fn(&Bert, &[&[u32]], &dyn Interrupt) -> Result<Vec<T>, ModelError>;

impl EmbeddingModel {
    /// Loads a sentence-transformers folder: config.json, model.safetensors, tokenizer.json, and, where they are
    /// there, modules.json with what it names, sentence_bert_config.json and tokenizer_config.json.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when the folder or a file is absent, [`ModelError::Invalid`] when the model is damaged
    /// or of a kind that is not implemented, [`ModelError::Unreadable`] on I/O errors, [`ModelError::Compute`] when
    /// memory or threads are not to be had.
    pub fn load(folder: &Path, options: ModelOptions) -> Result<Self, ModelError> {
        Self::load_with(folder, options, Kernels::fastest())
    }

    fn load_with(folder: &Path, options: ModelOptions, kernels: Kernels) -> Result<Self, ModelError> {
        let config = ModelConfig::read(folder)?;
        let mut hasher = Sha256::new();
        for file in [
            "config.json",
            "sentence_bert_config.json",
            "tokenizer_config.json",
        ] {
            hash_part(
                &mut hasher,
                &read_optional(&config.transformer_folder.join(file))?.unwrap_or_default(),
            );
        }
        hash_part(
            &mut hasher,
            format!("{:?} {}", config.pooling, config.normalize).as_bytes(),
        );
        let tokenizer = TextTokenizer::load(folder, &config, |bytes| hash_part(&mut hasher, bytes))?;
        let weights = config.transformer_folder.join("model.safetensors");
        let tensors = Tensors::read(folder, &weights, Bert::needs, &mut hasher)?;
        let dimensions = config.hidden;
        let max_tokens = config.max_tokens;
        let bert = catch(|| Bert::load(tensors, config, kernels))
            .map_err(|detail| ComputeError::Panic { detail })??;
        let workers = if options.threads > 1 {
            Some(Workers::start(options.threads)?)
        } else {
            None
        };
        Ok(Self {
            name: folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            fingerprint: hasher
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            dimensions,
            max_tokens,
            max_batch_tokens: options.max_batch_tokens,
            kernels,
            tokenizer,
            bert,
            workers,
        })
    }

    /// Dimensions of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The last component of the folder's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokens of a text that are computed, special tokens included; the rest of a longer text is not looked at.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// SHA-256, in hex, over everything that decides the vectors: weights, tokenizer and configuration.
    ///
    /// Two models of the same fingerprint give the same vectors, so it belongs into the key of a cache.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The first 64 bits of the [`fingerprint`](Self::fingerprint), never 0.
    pub fn version(&self) -> u64 {
        let digits = self.fingerprint.get(..16).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or(0).max(1)
    }

    /// The instruction set in use: `avx512`, `avx2` or `baseline`.
    pub fn instruction_set(&self) -> String {
        self.kernels.to_string()
    }

    /// Turns a text into the tokens that the model reads, cut at [`max_tokens`](Self::max_tokens).
    ///
    /// The cost is bounded for texts of any length, see docs/design/embedding.md. Any text has tokens, the empty one too.
    ///
    /// # Errors
    /// [`ModelError::Compute`] when the tokenizer fails.
    pub fn tokenize(&self, text: &str) -> Result<TokenizedText, ModelError> {
        Ok(self.tokenizer.tokenize(text)?)
    }

    /// Computes the vectors of texts, in their order, each of [`dimensions`](Self::dimensions) numbers.
    ///
    /// Texts of like length share a pass of at most [`ModelOptions::max_batch_tokens`] tokens. `interrupt` is asked
    /// between the layers of each pass; after an interrupt nothing is returned.
    ///
    /// # Errors
    /// [`ModelError::Interrupted`] when asked to stop, [`ModelError::Compute`] when memory is not to be had or a text
    /// was tokenised by another model.
    pub fn embed_batch(
        &self,
        texts: &[TokenizedText],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        self.passes(texts, interrupt, Bert::forward)
    }

    /// As [`embed_batch`](Self::embed_batch), with the last hidden state of every token besides.
    ///
    /// The result holds `tokens × dimensions` numbers per text (390 KiB for one of 256 tokens): the caller bounds the
    /// number of texts.
    ///
    /// # Errors
    /// Those of [`embed_batch`](Self::embed_batch).
    pub fn embed_with_tokens(
        &self,
        texts: &[TokenizedText],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<EmbeddedTokens>, ModelError> {
        self.passes(texts, interrupt, Bert::forward_with_states)
    }

    /// Deals the texts out to passes and puts the results back into their order.
    fn passes<T: Default + Send>(
        &self,
        texts: &[TokenizedText],
        interrupt: &dyn Interrupt,
        forward: Forward<T>,
    ) -> Result<Vec<T>, ModelError> {
        let lengths: Vec<usize> = texts.iter().map(TokenizedText::len).collect();
        let batches = plan_batches(&lengths, self.max_batch_tokens);
        let mut outputs = Vec::new();
        outputs.resize_with(texts.len(), T::default);
        let pass = |batch: &[usize], interrupt: &dyn Interrupt| -> Result<Vec<T>, ModelError> {
            let ids: Vec<&[u32]> = batch.iter().map(|&index| texts[index].ids()).collect();
            catch(|| forward(&self.bert, &ids, interrupt)).map_err(|detail| ComputeError::Panic { detail })?
        };
        let results = match &self.workers {
            Some(workers) if batches.len() > 1 => workers.run(&batches, &pass, interrupt)?,
            _ => batches
                .iter()
                .map(|batch| pass(batch, interrupt))
                .collect::<Result<_, _>>()?,
        };
        for (index, output) in batches.into_iter().flatten().zip(results.into_iter().flatten()) {
            outputs[index] = output;
        }
        Ok(outputs)
    }
}

impl fmt::Debug for EmbeddingModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingModel")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint)
            .field("dimensions", &self.dimensions)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

/// Hashes a part with its length, so that bytes cannot move from one part to the next unseen.
fn hash_part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
