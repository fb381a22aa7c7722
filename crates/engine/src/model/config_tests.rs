#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::error::{InvalidModel, ModelError};
use super::super::kernel::Activation;
use super::{ModelConfig, Pooling};

/// A folder that vanishes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("castmatch-config-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("1_Pooling")).unwrap();
        let folder = Self(path);
        folder.write("config.json", &bert());
        folder
    }

    fn write(&self, file: &str, content: &Value) {
        std::fs::write(self.0.join(file), content.to_string()).unwrap();
    }

    fn read(&self) -> Result<ModelConfig, ModelError> {
        ModelConfig::read(&self.0)
    }

    fn problem(&self) -> (PathBuf, InvalidModel) {
        match self.read() {
            Err(ModelError::Invalid { file, problem }) => {
                (file.strip_prefix(&self.0).unwrap().to_path_buf(), problem)
            }
            other => panic!("expected an invalid model, got {other:?}"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bert() -> Value {
    json!({"model_type": "bert", "hidden_size": 384, "num_attention_heads": 12, "num_hidden_layers": 6,
        "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "position_embedding_type": "absolute"})
}

fn with(mut value: Value, key: &str, replacement: Value) -> Value {
    value[key] = replacement;
    value
}

fn modules(kinds: &[&str]) -> Value {
    let paths = ["", "1_Pooling", "2_Normalize", "3_Dense"];
    kinds
        .iter()
        .zip(paths)
        .map(|(kind, path)| json!({"type": format!("sentence_transformers.models.{kind}"), "path": path}))
        .collect()
}

#[test]
fn the_usual_folder_is_read_in_full() {
    let folder = Folder::new("usual");
    folder.write("modules.json", &modules(&["Transformer", "Pooling", "Normalize"]));
    folder.write(
        "1_Pooling/config.json",
        &json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}),
    );
    folder.write(
        "sentence_bert_config.json",
        &json!({"max_seq_length": 256, "do_lower_case": true}),
    );
    let config = folder.read().unwrap();
    assert_eq!(
        (config.hidden, config.heads, config.layers, config.intermediate),
        (384, 12, 6, 1536)
    );
    assert_eq!(
        (config.max_tokens, config.positions, config.vocabulary),
        (256, 512, 30522)
    );
    assert_eq!(
        (config.pooling, config.normalize, config.lower_case),
        (Pooling::Mean, true, true)
    );
    assert_eq!(config.activation, Activation::Gelu);
}

#[test]
fn without_modules_the_mean_is_taken_as_it_is() {
    let config = Folder::new("bare").read().unwrap();
    assert_eq!(
        (config.pooling, config.normalize, config.lower_case),
        (Pooling::Mean, false, false)
    );
    assert_eq!(config.max_tokens, 512);
}

#[test]
fn pooling_is_read_in_both_spellings_and_refused_when_unknown() {
    let folder = Folder::new("pooling");
    folder.write("modules.json", &modules(&["Transformer", "Pooling"]));
    for (options, pooling) in [
        (
            json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}),
            Pooling::Cls,
        ),
        (
            json!({"pooling_mode": "cls", "include_prompt": true}),
            Pooling::Cls,
        ),
        (
            json!({"pooling_mode": "mean", "embedding_dimension": 384}),
            Pooling::Mean,
        ),
    ] {
        folder.write("1_Pooling/config.json", &options);
        let config = folder.read().unwrap();
        assert_eq!((config.pooling, config.normalize), (pooling, false));
    }
    for options in [
        json!({}),
        json!({"pooling_mode_max_tokens": true}),
        json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}),
        json!({"pooling_mode": "lasttoken"}),
        json!({"pooling_mode": ["mean", "cls"]}),
    ] {
        folder.write("1_Pooling/config.json", &options);
        let (file, problem) = folder.problem();
        assert_eq!(file, Path::new("1_Pooling/config.json"));
        assert!(
            matches!(problem, InvalidModel::Pooling { .. }),
            "{options}: {problem:?}"
        );
    }
}

#[test]
fn the_limit_of_tokens_is_the_first_that_is_stated_and_within_the_positions() {
    let folder = Folder::new("limit");
    folder.write("tokenizer_config.json", &json!({"model_max_length": 1e30}));
    assert_eq!(folder.read().unwrap().max_tokens, 512);
    folder.write("tokenizer_config.json", &json!({"model_max_length": 128}));
    assert_eq!(folder.read().unwrap().max_tokens, 128);
    folder.write("sentence_bert_config.json", &json!({"max_seq_length": null}));
    assert_eq!(folder.read().unwrap().max_tokens, 128);
    folder.write("sentence_bert_config.json", &json!({"max_seq_length": 4096}));
    assert_eq!(folder.read().unwrap().max_tokens, 512);
}

#[test]
fn modules_that_are_not_implemented_are_refused() {
    let folder = Folder::new("modules");
    folder.write("1_Pooling/config.json", &json!({"pooling_mode": "mean"}));
    for kinds in [
        &["Transformer", "Pooling", "Normalize", "Dense"][..],
        &["Transformer", "Pooling", "Dense"],
        &["Transformer", "Normalize"],
        &["WordEmbeddings", "Pooling"],
    ] {
        folder.write("modules.json", &modules(kinds));
        assert!(
            matches!(folder.problem().1, InvalidModel::Module { .. }),
            "{kinds:?}"
        );
    }
    for path in ["../elsewhere", "/etc"] {
        folder.write(
            "modules.json",
            &json!([{"type": "sentence_transformers.models.Transformer", "path": path}]),
        );
        assert!(
            matches!(folder.problem().1, InvalidModel::Module { .. }),
            "{path}"
        );
    }
}

#[test]
fn options_that_would_give_other_vectors_are_refused() {
    let folder = Folder::new("options");
    for (key, value) in [
        ("model_type", json!("roberta")),
        ("hidden_act", json!("silu")),
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("layer_norm_eps", json!(-1.0)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(385)),
        ("hidden_size", json!(u64::MAX)),
        ("num_attention_heads", json!(0)),
        ("num_hidden_layers", json!(1_000_000)),
        ("vocab_size", json!(1u64 << 40)),
    ] {
        folder.write("config.json", &with(bert(), key, value.clone()));
        let (file, problem) = folder.problem();
        assert_eq!(file, Path::new("config.json"), "{key} = {value}: {problem:?}");
    }
    std::fs::write(folder.0.join("config.json"), "{\"model_type\": ").unwrap();
    assert!(matches!(folder.problem().1, InvalidModel::Json { .. }));
}

#[test]
fn what_is_missing_is_named() {
    let folder = Folder::new("missing");
    std::fs::remove_file(folder.0.join("config.json")).unwrap();
    match folder.read() {
        Err(ModelError::Missing { file, .. }) => assert_eq!(file, Path::new("config.json")),
        other => panic!("{other:?}"),
    }
    let absent = folder.0.join("absent");
    match ModelConfig::read(&absent) {
        Err(ModelError::Missing { folder, file }) => assert_eq!((folder, file), (absent, PathBuf::new())),
        other => panic!("{other:?}"),
    }
}
