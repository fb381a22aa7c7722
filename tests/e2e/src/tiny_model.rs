//! Small embedding models for tests: sentence-transformers folders of BERT kind with random weights, which a server loads in
//! moments. Their vectors mean nothing, but each seed gives others, and always the same.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cluster::Cluster;
use crate::random::Random;

/// Folder of the model `builtin`.
pub const BUILTIN_FOLDER: &str = "all-MiniLM-L6-v2";

const LAYERS: usize = 1;
const POSITIONS: usize = 64;
/// Tokens of the tokenizer, which is that of `builtin`.
const VOCABULARY: usize = 30_522;

/// A new folder of models that holds `builtin`; `castmatch.model_path` is for the caller to set.
///
/// # Panics
/// If the folder exists.
#[must_use]
pub fn models_folder(cluster: &Cluster, name: &str) -> PathBuf {
    let folder = cluster.new_folder(name);
    let installed = cluster.place().share.join("castmatch/models");
    symlink(installed.join(BUILTIN_FOLDER), folder.join(BUILTIN_FOLDER)).unwrap();
    folder
}

/// Writes a model of that name below a folder of models that holds `builtin`, under its name at the very end: a server sees
/// it whole or not at all. Of two models of the same name the later one takes the place of the earlier.
///
/// # Panics
/// If it cannot be written.
pub fn tiny_model(folder: &Path, name: &str, dimensions: usize, seed: u64) {
    let unfinished = folder.join(format!(".{name}"));
    fs::create_dir_all(unfinished.join("1_Pooling")).unwrap();
    let write = |file: &str, content: serde_json::Value| {
        fs::write(unfinished.join(file), content.to_string()).unwrap();
    };
    write(
        "config.json",
        json!({
            "model_type": "bert", "hidden_size": dimensions, "num_attention_heads": 1, "num_hidden_layers": LAYERS,
            "intermediate_size": 2 * dimensions, "max_position_embeddings": POSITIONS, "type_vocab_size": 1,
            "vocab_size": VOCABULARY, "hidden_act": "gelu",
        }),
    );
    let module = |index: u32, path: &str, kind: &str| {
        json!({"idx": index, "name": index.to_string(), "path": path,
               "type": format!("sentence_transformers.models.{kind}")})
    };
    write(
        "modules.json",
        json!([
            module(0, "", "Transformer"),
            module(1, "1_Pooling", "Pooling"),
            module(2, "2_Normalize", "Normalize"),
        ]),
    );
    write("1_Pooling/config.json", json!({"pooling_mode_mean_tokens": true}));
    write("sentence_bert_config.json", json!({"max_seq_length": POSITIONS}));
    let tokenizer = folder.join(BUILTIN_FOLDER).join("tokenizer.json");
    fs::copy(tokenizer, unfinished.join("tokenizer.json")).unwrap();
    fs::write(unfinished.join("model.safetensors"), weights(dimensions, seed)).unwrap();
    let finished = folder.join(name);
    if finished.exists() {
        fs::remove_dir_all(&finished).unwrap();
    }
    fs::rename(unfinished, finished).unwrap();
}

/// Names and shapes of the weights.
fn shapes(dimensions: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![VOCABULARY, dimensions],
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![POSITIONS, dimensions],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![1, dimensions],
        ),
    ];
    let mut pair = |name: &str, shape: &[usize]| {
        shapes.push((format!("{name}.weight"), shape.to_vec()));
        shapes.push((format!("{name}.bias"), shape[..1].to_vec()));
    };
    pair("embeddings.LayerNorm", &[dimensions]);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            pair(&name(&format!("attention.{part}")), &[dimensions, dimensions]);
        }
        pair(&name("attention.output.LayerNorm"), &[dimensions]);
        pair(&name("intermediate.dense"), &[2 * dimensions, dimensions]);
        pair(&name("output.dense"), &[dimensions, 2 * dimensions]);
        pair(&name("output.LayerNorm"), &[dimensions]);
    }
    shapes
}

/// A safetensors file: the length of the header, the header, the numbers. Those are in half precision, between -1 and 1.
fn weights(dimensions: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in shapes(dimensions) {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>().div_ceil(4) {
            for half in random.bits().to_le_bytes().chunks(2) {
                // Sign and fraction are random; the exponent is that of numbers from a half to one.
                data.extend([half[0], half[1] & 0x83 | 0x38]);
            }
        }
        data.truncate(start + 2 * shape.iter().product::<usize>());
        let comma = if start == 0 { "" } else { "," };
        let end = data.len();
        write!(
            header,
            "{comma}\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"
        )
        .unwrap();
    }
    header.push('}');
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}
