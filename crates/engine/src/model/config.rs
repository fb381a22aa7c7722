//! Reads what a sentence-transformers folder says about its model: config.json (the BERT), modules.json (which
//! modules follow it), sentence_bert_config.json (truncation, lower-casing) and the pooling module's config.json.
//!
//! Every size is checked here, so that the rest of the module may multiply them without overflow. Whatever is not
//! implemented is refused by name: a model that loads gives the reference's numbers.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{InvalidModel, ModelError};
use super::kernel::Activation;

/// Upper bound of a file that is read whole as JSON, in bytes; the largest tokenizer.json in use has some 20 MB.
const MAX_JSON_BYTES: u64 = 256 << 20;
/// Upper bounds of the sizes in config.json, above any published BERT.
const MAX_HIDDEN: usize = 16_384;
const MAX_INTERMEDIATE: usize = 65_536;
const MAX_LAYERS: usize = 256;
const MAX_POSITIONS: usize = 1 << 16;
const MAX_VOCABULARY: usize = 1 << 22;

/// How the token vectors of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The mean of all tokens.
    Mean,
    /// The first token.
    Cls,
}

/// All that the folder says, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ModelConfig {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) intermediate: usize,
    pub(super) positions: usize,
    pub(super) token_types: usize,
    pub(super) vocabulary: usize,
    pub(super) layer_norm_eps: f32,
    pub(super) activation: Activation,
    /// Tokens of a text that are computed, special tokens included.
    pub(super) max_tokens: usize,
    pub(super) lower_case: bool,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    /// Where tokenizer.json and model.safetensors lie.
    pub(super) transformer_folder: PathBuf,
}

#[derive(Deserialize)]
struct BertConfig {
    model_type: String,
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "default_activation")]
    hidden_act: String,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

fn default_layer_norm_eps() -> f64 {
    1e-12
}

fn default_activation() -> String {
    "gelu".to_owned()
}

#[derive(Deserialize)]
struct ModuleEntry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize, Default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    /// A float in some folders: "no limit" is written as 1e30.
    model_max_length: Option<f64>,
}

/// Reads a file whole; absent gives `None`.
pub(super) fn read_optional(file: &Path) -> Result<Option<Vec<u8>>, ModelError> {
    let unreadable = |source| ModelError::Unreadable {
        file: file.to_path_buf(),
        source,
    };
    let length = match std::fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if length > MAX_JSON_BYTES {
        return Err(unreadable(std::io::Error::new(
            ErrorKind::FileTooLarge,
            "larger than 256 MB",
        )));
    }
    std::fs::read(file).map(Some).map_err(unreadable)
}

/// Reads a file that every model folder has, named relative to the folder for the error message.
pub(super) fn read_required(folder: &Path, file: &Path) -> Result<Vec<u8>, ModelError> {
    let relative = file.strip_prefix(folder).unwrap_or(file);
    read_optional(file)?.ok_or_else(|| ModelError::Missing {
        folder: folder.to_path_buf(),
        file: relative.to_path_buf(),
    })
}

fn parse<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, ModelError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ModelError::invalid(
            file,
            InvalidModel::Json {
                detail: error.to_string(),
            },
        )
    })
}

fn parse_optional<T: DeserializeOwned + Default>(file: &Path) -> Result<T, ModelError> {
    read_optional(file)?.map_or_else(|| Ok(T::default()), |bytes| parse(file, &bytes))
}

impl ModelConfig {
    /// Reads and checks the folder's configuration; see [`ModelError`] for what can be wrong.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        if !folder.is_dir() {
            return Err(ModelError::Missing {
                folder: folder.to_path_buf(),
                file: PathBuf::new(),
            });
        }
        let modules = read_modules(folder)?;
        let transformer_folder = folder.join(&modules.transformer);
        let config_file = transformer_folder.join("config.json");
        let bert: BertConfig = parse(&config_file, &read_required(folder, &config_file)?)?;
        let activation = check_bert(&bert).map_err(|problem| ModelError::invalid(&config_file, problem))?;
        let pooling = match &modules.pooling {
            Some(path) => {
                let file = folder.join(path).join("config.json");
                let options = parse(&file, &read_required(folder, &file)?)?;
                pooling_mode(&options).map_err(|problem| ModelError::invalid(&file, problem))?
            }
            // A folder without pooling is used by sentence-transformers with the mean.
            None => Pooling::Mean,
        };
        let sentence: SentenceConfig = parse_optional(&transformer_folder.join("sentence_bert_config.json"))?;
        let tokenizer: TokenizerConfig = parse_optional(&transformer_folder.join("tokenizer_config.json"))?;
        Ok(Self {
            hidden: bert.hidden_size,
            heads: bert.num_attention_heads,
            layers: bert.num_hidden_layers,
            intermediate: bert.intermediate_size,
            positions: bert.max_position_embeddings,
            token_types: bert.type_vocab_size,
            vocabulary: bert.vocab_size,
            layer_norm_eps: bert.layer_norm_eps as f32,
            activation,
            max_tokens: max_tokens(&sentence, &tokenizer, bert.max_position_embeddings),
            lower_case: sentence.do_lower_case,
            pooling,
            normalize: modules.normalize,
            transformer_folder,
        })
    }
}

/// The tokens per text: what the folder says, within the model's positions.
fn max_tokens(sentence: &SentenceConfig, tokenizer: &TokenizerConfig, positions: usize) -> usize {
    // The cast saturates, which is what "no limit" asks for.
    let of_tokenizer = tokenizer
        .model_max_length
        .filter(|&length| length >= 1.0)
        .map(|length| length as usize);
    sentence
        .max_seq_length
        .or(of_tokenizer)
        .unwrap_or(positions)
        .min(positions)
}

struct Modules {
    transformer: String,
    pooling: Option<String>,
    normalize: bool,
}

fn read_modules(folder: &Path) -> Result<Modules, ModelError> {
    let file = folder.join("modules.json");
    let mut modules = Modules {
        transformer: String::new(),
        pooling: None,
        normalize: false,
    };
    let Some(bytes) = read_optional(&file)? else {
        return Ok(modules);
    };
    let entries: Vec<ModuleEntry> = parse(&file, &bytes)?;
    order_modules(&mut modules, entries).map_err(|problem| ModelError::invalid(&file, problem))?;
    Ok(modules)
}

/// Accepts exactly Transformer, Pooling and optionally Normalize, in this order.
fn order_modules(modules: &mut Modules, entries: Vec<ModuleEntry>) -> Result<(), InvalidModel> {
    for (position, entry) in entries.into_iter().enumerate() {
        let outside = Path::new(&entry.path)
            .components()
            .any(|component| !matches!(component, std::path::Component::Normal(_)));
        match (position, entry.kind.rsplit('.').next()) {
            _ if outside => {
                return Err(InvalidModel::Module {
                    found: format!("{} at {}", entry.kind, entry.path),
                });
            }
            (0, Some("Transformer")) => modules.transformer = entry.path,
            (1, Some("Pooling")) => modules.pooling = Some(entry.path),
            (2, Some("Normalize")) => modules.normalize = true,
            _ => return Err(InvalidModel::Module { found: entry.kind }),
        }
    }
    Ok(())
}

/// The pooling mode of a pooling module's config.json, in its old form (one flag per mode) or its new one (a name).
fn pooling_mode(options: &serde_json::Map<String, serde_json::Value>) -> Result<Pooling, InvalidModel> {
    let mut modes: Vec<String> = options
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_").map(str::to_owned))
        .collect();
    match options.get("pooling_mode") {
        Some(serde_json::Value::String(mode)) => modes.push(mode.clone()),
        Some(other) => modes.push(other.to_string()),
        None => {}
    }
    match modes.as_slice() {
        [mode] if mode == "mean_tokens" || mode == "mean" => Ok(Pooling::Mean),
        [mode] if mode == "cls_token" || mode == "cls" => Ok(Pooling::Cls),
        _ => Err(InvalidModel::Pooling { found: modes }),
    }
}

/// Refuses every BERT that this code would compute wrongly.
fn check_bert(bert: &BertConfig) -> Result<Activation, InvalidModel> {
    if bert.model_type != "bert" {
        return Err(InvalidModel::Architecture {
            found: bert.model_type.clone(),
        });
    }
    let sizes = [
        ("hidden_size", bert.hidden_size, MAX_HIDDEN),
        ("num_attention_heads", bert.num_attention_heads, bert.hidden_size),
        ("num_hidden_layers", bert.num_hidden_layers, MAX_LAYERS),
        ("intermediate_size", bert.intermediate_size, MAX_INTERMEDIATE),
        (
            "max_position_embeddings",
            bert.max_position_embeddings,
            MAX_POSITIONS,
        ),
        ("type_vocab_size", bert.type_vocab_size, MAX_VOCABULARY),
        ("vocab_size", bert.vocab_size, MAX_VOCABULARY),
    ];
    for (name, found, limit) in sizes {
        if found == 0 || found > limit {
            return Err(InvalidModel::Size { name, found });
        }
    }
    if !bert.hidden_size.is_multiple_of(bert.num_attention_heads) {
        return Err(InvalidModel::Size {
            name: "num_attention_heads",
            found: bert.num_attention_heads,
        });
    }
    if !(bert.layer_norm_eps > 0.0 && bert.layer_norm_eps < 1.0) {
        return Err(InvalidModel::Option {
            name: "layer_norm_eps",
            found: bert.layer_norm_eps.to_string(),
        });
    }
    if bert.is_decoder {
        return Err(InvalidModel::Option {
            name: "is_decoder",
            found: "true".to_owned(),
        });
    }
    if let Some(kind) = bert
        .position_embedding_type
        .as_deref()
        .filter(|&kind| kind != "absolute")
    {
        return Err(InvalidModel::Option {
            name: "position_embedding_type",
            found: kind.to_owned(),
        });
    }
    match bert.hidden_act.as_str() {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(InvalidModel::Option {
            name: "hidden_act",
            found: other.to_owned(),
        }),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
