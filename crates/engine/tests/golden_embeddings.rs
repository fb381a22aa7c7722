//! Our vectors against those of sentence-transformers, checked in as `tests/golden/embeddings.jsonl`
//! (made by `tests/golden/make_embeddings.py`).
//!
//! The weights are not part of the repository: `CASTMATCH_MODEL_DIR` names the folder that holds `all-MiniLM-L6-v2`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::path::PathBuf;

use castmatch_engine::interrupt::{Interrupt, Interrupted, NeverInterrupted};
use castmatch_engine::model::{EmbeddingModel, ModelError, ModelOptions};
use serde_json::Value;

const MODEL: &str = "all-MiniLM-L6-v2";

struct Golden {
    name: String,
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn model_folder() -> PathBuf {
    let Some(folder) = std::env::var_os("CASTMATCH_MODEL_DIR") else {
        panic!(
            "CASTMATCH_MODEL_DIR is not set: it must name the folder that holds {MODEL} \
             (model.safetensors, tokenizer.json, …), see docs/design/embedding.md"
        );
    };
    PathBuf::from(folder).join(MODEL)
}

fn load(options: ModelOptions) -> EmbeddingModel {
    let folder = model_folder();
    EmbeddingModel::load(&folder, options).unwrap_or_else(|error| panic!("CASTMATCH_MODEL_DIR: {error}"))
}

fn golden() -> Vec<Golden> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/embeddings.jsonl");
    let lines = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap();
        Golden {
            name: line["name"].as_str().unwrap().to_owned(),
            text: text.repeat(line["repeat"].as_u64().unwrap() as usize),
            tokens: line["tokens"].as_u64().unwrap() as usize,
            vector: line["vector"]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap() as f32)
                .collect(),
        }
    };
    lines.lines().map(parse).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_are_those_of_the_reference() {
    let model = load(ModelOptions::default());
    assert_eq!(
        (model.dimensions(), model.max_tokens(), model.name()),
        (384, 256, MODEL)
    );
    let golden = golden();
    assert!(golden.len() >= 60, "only {} texts", golden.len());
    let mut worst = (2.0, "");
    let mut largest_difference = 0.0f32;
    for case in &golden {
        let tokens = model.tokenize(&case.text).unwrap();
        assert_eq!(tokens.len(), case.tokens.min(256), "tokens of {}", case.name);
        assert_eq!(
            tokens.truncated(),
            case.tokens > 256,
            "truncation of {}",
            case.name
        );
        let vector = &model.embed_batch(&[tokens], &NeverInterrupted).unwrap()[0];
        let similarity = cosine(vector, &case.vector);
        assert!(similarity >= 0.9999, "{}: cosine {similarity}", case.name);
        let length = cosine_length(vector);
        assert!((length - 1.0).abs() < 1e-6, "{}: length {length}", case.name);
        if similarity < worst.0 {
            worst = (similarity, &case.name);
        }
        let difference = vector
            .iter()
            .zip(&case.vector)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        largest_difference = largest_difference.max(difference);
    }
    println!(
        "{} texts on {}: worst cosine 1 - {:.2e} ({}), largest difference of a number {:.2e}",
        golden.len(),
        model.instruction_set(),
        1.0 - worst.0,
        worst.1,
        largest_difference
    );
}

fn cosine_length(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        .sqrt()
}

#[test]
fn company_order_and_threads_do_not_change_a_vector() {
    let golden = golden();
    let single = load(ModelOptions::default());
    let tokens: Vec<_> = golden
        .iter()
        .map(|case| single.tokenize(&case.text).unwrap())
        .collect();
    let alone: Vec<Vec<f32>> = tokens
        .iter()
        .map(|text| {
            single
                .embed_batch(std::slice::from_ref(text), &NeverInterrupted)
                .unwrap()
                .remove(0)
        })
        .collect();
    for (threads, max_batch_tokens) in [(1, 1), (1, 300), (1, 1024), (1, usize::MAX), (3, 256), (2, 1024)] {
        let model = load(ModelOptions {
            threads,
            max_batch_tokens,
        });
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        for _ in 0..2 {
            let batch: Vec<_> = order.iter().map(|&index| tokens[index].clone()).collect();
            let vectors = model.embed_batch(&batch, &NeverInterrupted).unwrap();
            assert_eq!(vectors.len(), batch.len());
            for (&index, vector) in order.iter().zip(&vectors) {
                let similarity = cosine(vector, &alone[index]);
                assert!(similarity >= 0.999999, "{}: {similarity}", golden[index].name);
            }
            order.reverse();
        }
    }
    assert!(single.embed_batch(&[], &NeverInterrupted).unwrap().is_empty());
}

#[test]
fn interrupt_stops_the_work_at_every_step() {
    struct After(Cell<u32>);
    impl Interrupt for After {
        fn check(&self) -> Result<(), Interrupted> {
            self.0.set(self.0.get().saturating_sub(1));
            if self.0.get() == 0 {
                Err(Interrupted)
            } else {
                Ok(())
            }
        }
    }
    let model = load(ModelOptions {
        threads: 1,
        max_batch_tokens: 16,
    });
    let texts = vec![model.tokenize("a short text").unwrap(); 6];
    // 6 texts of 5 tokens in passes of at most 16: 2 passes of 6 layers.
    for step in 1..=12 {
        let result = model.embed_batch(&texts, &After(Cell::new(step)));
        assert!(
            matches!(result, Err(ModelError::Interrupted(Interrupted))),
            "at step {step}: {result:?}"
        );
    }
    assert!(model.embed_batch(&texts, &After(Cell::new(13))).is_ok());
    let model = load(ModelOptions {
        threads: 2,
        max_batch_tokens: 16,
    });
    let result = model.embed_batch(&texts, &After(Cell::new(1)));
    assert!(
        matches!(result, Err(ModelError::Interrupted(Interrupted))),
        "{result:?}"
    );
}

#[test]
fn one_thread_means_no_thread() {
    let count = || {
        std::fs::read_dir("/proc/self/task")
            .map(Iterator::count)
            .unwrap_or(0)
    };
    // The test harness runs tests on threads of its own, so a fresh process is measured.
    if std::env::var_os("CASTMATCH_COUNT_THREADS").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_thread_means_no_thread", "--test-threads=1"])
            .env("CASTMATCH_COUNT_THREADS", "1")
            .env("RUST_TEST_THREADS", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let before = count();
    let model = load(ModelOptions::default());
    let texts: Vec<_> = golden()
        .iter()
        .map(|case| model.tokenize(&case.text).unwrap())
        .collect();
    model.embed_batch(&texts, &NeverInterrupted).unwrap();
    assert_eq!(count(), before, "threads were started");
}

#[test]
fn a_huge_text_costs_no_more_than_its_first_tokens() {
    let model = load(ModelOptions::default());
    let prefix = "The director wants a dancer, 40 years old. ";
    let expected = model.tokenize(&prefix.repeat(200)).unwrap();
    let huge = prefix.repeat(100_000_000 / prefix.len());
    let start = std::time::Instant::now();
    assert_eq!(model.tokenize(&huge).unwrap().ids(), expected.ids());
    assert!(start.elapsed().as_secs() < 10, "{:?} for 100 MB", start.elapsed());
    // One word without an end is one unknown word; what follows still counts.
    let unknown = model.tokenize(&format!("{} tail", "x".repeat(200))).unwrap();
    let huge = format!("{} tail", "x".repeat(50_000_000));
    assert_eq!(model.tokenize(&huge).unwrap().ids(), unknown.ids());
    let huge = format!("{}tail", " \n".repeat(25_000_000));
    assert_eq!(
        model.tokenize(&huge).unwrap().ids(),
        model.tokenize("tail").unwrap().ids()
    );
}

#[test]
fn the_mean_of_the_hidden_states_is_the_embedding() {
    for threads in [1, 2] {
        let model = load(ModelOptions {
            threads,
            max_batch_tokens: 64,
        });
        let texts: Vec<_> = golden()
            .iter()
            .take(12)
            .map(|case| model.tokenize(&case.text).unwrap())
            .collect();
        let vectors = model.embed_batch(&texts, &NeverInterrupted).unwrap();
        let outputs = model.embed_with_tokens(&texts, &NeverInterrupted).unwrap();
        for ((text, vector), output) in texts.iter().zip(&vectors).zip(&outputs) {
            assert_eq!(&output.vector, vector);
            assert_eq!(output.states.len(), text.len() * 384);
            assert_eq!(text.content(), 1..text.len() - 1);
            let mut mean = vec![0.0; 384];
            for state in output.states.chunks(384) {
                mean.iter_mut().zip(state).for_each(|(sum, value)| *sum += value);
            }
            assert!(cosine(&mean, vector) > 1.0 - 1e-6);
        }
    }
}

#[test]
fn a_folder_without_a_model_names_what_is_missing() {
    let options = ModelOptions::default;
    match EmbeddingModel::load(&model_folder().join("absent"), options()) {
        Err(ModelError::Missing { file, .. }) => assert_eq!(file, PathBuf::new()),
        other => panic!("{other:?}"),
    }
    // A folder with a config.json that is no model's.
    match EmbeddingModel::load(&model_folder().join("1_Pooling"), options()) {
        Err(ModelError::Invalid { file, .. }) => assert!(file.ends_with("config.json")),
        other => panic!("{other:?}"),
    }
    // All but one of the files.
    let copy = std::env::temp_dir().join(format!("castmatch-golden-{}", std::process::id()));
    for missing in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
    ] {
        std::fs::create_dir_all(copy.join("1_Pooling")).unwrap();
        for file in [
            "config.json",
            "modules.json",
            "tokenizer.json",
            "model.safetensors",
            "1_Pooling/config.json",
        ] {
            if file != missing {
                std::fs::hard_link(model_folder().join(file), copy.join(file))
                    .or_else(|_| std::fs::copy(model_folder().join(file), copy.join(file)).map(drop))
                    .unwrap();
            }
        }
        let result = EmbeddingModel::load(&copy, options());
        std::fs::remove_dir_all(&copy).unwrap();
        match result {
            Err(ModelError::Missing { file, .. }) => assert_eq!(file, PathBuf::from(missing)),
            other => panic!("without {missing}: {other:?}"),
        }
    }
}

#[test]
fn the_fingerprint_is_that_of_the_folder() {
    let (first, second) = (
        load(ModelOptions::default()),
        load(ModelOptions {
            threads: 2,
            max_batch_tokens: 64,
        }),
    );
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert!(
        first.fingerprint().len() == 64 && first.fingerprint().bytes().all(|byte| byte.is_ascii_hexdigit())
    );
}
