//! What can go wrong with a model: its folder, its files, the computation.
//!
//! The glue maps [`ModelError::Missing`] to a hint on installing the model, [`ModelError::Invalid`] to a configuration
//! error and [`ModelError::Compute`] to an internal one, so the three stay apart.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::interrupt::Interrupted;

/// Why a model could not be loaded or used.
#[derive(Debug)]
pub enum ModelError {
    /// The folder, or a file that every such folder has, does not exist.
    Missing {
        /// The model's folder.
        folder: PathBuf,
        /// The absent file, relative to `folder`; empty when the folder itself is absent.
        file: PathBuf,
    },
    /// A file exists and could not be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read and does not hold a model that can be computed here.
    Invalid {
        /// The file at fault.
        file: PathBuf,
        /// What is wrong with it.
        problem: InvalidModel,
    },
    /// The model is sound and a text could not be computed.
    Compute(ComputeError),
    /// The caller asked to stop.
    Interrupted(Interrupted),
}

/// What makes a model folder unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidModel {
    /// Not the JSON that was expected.
    Json {
        /// The parser's message.
        detail: String,
    },
    /// `model_type` in config.json is not `bert`.
    Architecture {
        /// The value found.
        found: String,
    },
    /// An option of config.json has a value that is not implemented.
    Option {
        /// The option's name.
        name: &'static str,
        /// The value found.
        found: String,
    },
    /// A size in config.json is zero, too large, or does not fit the others.
    Size {
        /// The option's name.
        name: &'static str,
        /// The value found.
        found: usize,
    },
    /// modules.json names a module that is not implemented, or in an order that makes no sense.
    Module {
        /// The module's type.
        found: String,
    },
    /// Neither or more than one of the implemented pooling modes (mean, cls) is on.
    Pooling {
        /// The modes that are on.
        found: Vec<String>,
    },
    /// The weights file is not a safetensors file.
    Weights {
        /// The reader's message.
        detail: String,
    },
    /// A tensor is absent.
    TensorAbsent {
        /// The tensor's name.
        name: String,
    },
    /// A tensor has another shape than config.json demands.
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape that config.json demands.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A tensor's element type is none of F32, F16, BF16.
    TensorType {
        /// The tensor's name.
        name: String,
        /// The type found.
        found: String,
    },
    /// A tensor holds NaN or an infinity.
    TensorNotFinite {
        /// The tensor's name.
        name: String,
    },
    /// tokenizer.json could not be used.
    Tokenizer {
        /// The tokenizer library's message.
        detail: String,
    },
    /// The tokenizer can give a token that has no row in the word embeddings.
    VocabularyTooLarge {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the embedding matrix.
        rows: usize,
    },
}

/// Why a text could not be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComputeError {
    /// The tokenizer failed on a text.
    Tokenizer {
        /// The library's message.
        detail: String,
    },
    /// A token id has no embedding: the text was tokenised by another model.
    UnknownToken {
        /// The token's id.
        id: u32,
        /// Rows of the embedding matrix.
        rows: usize,
    },
    /// A text has more tokens than the model has positions.
    TooManyTokens {
        /// Tokens of the text.
        tokens: usize,
        /// The model's limit.
        limit: usize,
    },
    /// Memory for the intermediate results is not to be had.
    OutOfMemory {
        /// The size of the request that failed.
        bytes: usize,
    },
    /// The result holds NaN or an infinity.
    NotFinite,
    /// A panic was caught; a defect of castmatch or of the tokenizer library.
    Panic {
        /// The panic's message.
        detail: String,
    },
    /// The pool of threads could not be started.
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The reason.
        detail: String,
    },
}

impl ModelError {
    pub(super) fn invalid(file: &Path, problem: InvalidModel) -> Self {
        Self::Invalid {
            file: file.to_path_buf(),
            problem,
        }
    }
}

impl From<Interrupted> for ModelError {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

impl From<ComputeError> for ModelError {
    fn from(error: ComputeError) -> Self {
        Self::Compute(error)
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { folder, file } if file.as_os_str().is_empty() => {
                write!(f, "model folder \"{}\" does not exist", folder.display())
            }
            Self::Missing { folder, file } => {
                write!(
                    f,
                    "model folder \"{}\" has no file \"{}\"",
                    folder.display(),
                    file.display()
                )
            }
            Self::Unreadable { file, source } => write!(f, "could not read \"{}\": {source}", file.display()),
            Self::Invalid { file, problem } => {
                write!(f, "unusable model file \"{}\": {problem}", file.display())
            }
            Self::Compute(error) => write!(f, "could not compute an embedding: {error}"),
            Self::Interrupted(interrupted) => interrupted.fmt(f),
        }
    }
}

impl fmt::Display for InvalidModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { detail } | Self::Weights { detail } | Self::Tokenizer { detail } => {
                f.write_str(detail)
            }
            Self::Architecture { found } => {
                write!(f, "model type \"{found}\" is not supported, only \"bert\"")
            }
            Self::Option { name, found } => write!(f, "{name} = {found} is not supported"),
            Self::Size { name, found } => write!(f, "{name} = {found} is out of range"),
            Self::Module { found } => write!(f, "module \"{found}\" is not supported here"),
            Self::Pooling { found } => {
                write!(
                    f,
                    "pooling must be one of mean and cls, not [{}]",
                    found.join(", ")
                )
            }
            Self::TensorAbsent { name } => write!(f, "tensor \"{name}\" is absent"),
            Self::TensorShape {
                name,
                expected,
                found,
            } => {
                write!(f, "tensor \"{name}\" has shape {found:?}, expected {expected:?}")
            }
            Self::TensorType { name, found } => {
                write!(f, "tensor \"{name}\" has type {found}, expected F32, F16 or BF16")
            }
            Self::TensorNotFinite { name } => {
                write!(f, "tensor \"{name}\" holds a number that is not finite")
            }
            Self::VocabularyTooLarge { tokens, rows } => {
                write!(
                    f,
                    "the tokenizer has {tokens} tokens, the model embeddings for {rows}"
                )
            }
        }
    }
}

impl fmt::Display for ComputeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokenizer { detail } => write!(f, "tokenizer: {detail}"),
            Self::UnknownToken { id, rows } => write!(f, "token {id} has no embedding, the model has {rows}"),
            Self::TooManyTokens { tokens, limit } => {
                write!(f, "text of {tokens} tokens, the limit is {limit}")
            }
            Self::OutOfMemory { bytes } => write!(f, "out of memory, {bytes} bytes asked for"),
            Self::NotFinite => f.write_str("the result is not finite"),
            Self::Panic { detail } => write!(f, "internal error: {detail}"),
            Self::Threads { threads, detail } => write!(f, "could not start {threads} threads: {detail}"),
        }
    }
}

impl std::error::Error for ModelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Compute(error) => Some(error),
            Self::Interrupted(interrupted) => Some(interrupted),
            Self::Missing { .. } | Self::Invalid { .. } => None,
        }
    }
}

impl std::error::Error for ComputeError {}
