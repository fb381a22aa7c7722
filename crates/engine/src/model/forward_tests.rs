#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::config::ModelConfig;
use super::super::error::{ComputeError, ModelError};
use super::super::kernel::{Activation, Kernels};
use super::super::weights::Tensors;
use super::{Bert, Pooling, normalize, pooled};
use crate::interrupt::{Interrupt, Interrupted, NeverInterrupted};

#[test]
fn mean_and_cls_pool_as_named() {
    let tokens = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
    assert_eq!(pooled(&tokens, 2, Pooling::Mean), [3.0, 3.0]);
    assert_eq!(pooled(&tokens, 2, Pooling::Cls), [1.0, 2.0]);
    assert_eq!(pooled(&[], 2, Pooling::Mean), [0.0, 0.0]);
    assert_eq!(pooled(&[], 2, Pooling::Cls), [0.0, 0.0]);
}

#[test]
fn normalize_gives_length_one_and_keeps_zero() {
    let mut vector = [3.0, 4.0];
    normalize(&mut vector);
    assert_eq!(vector, [0.6, 0.8]);
    let mut zero = [0.0; 3];
    normalize(&mut zero);
    assert_eq!(zero, [0.0; 3]);
}

/// A small model with random weights, of sizes that fill no vector register.
struct Toy {
    config: ModelConfig,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    prefix: &'static str,
}

impl Toy {
    fn new(activation: Activation, pooling: Pooling, normalize: bool, prefix: &'static str) -> Self {
        let config = ModelConfig {
            hidden: 39,
            heads: 3,
            layers: 2,
            intermediate: 50,
            positions: 300,
            token_types: 2,
            vocabulary: 30,
            layer_norm_eps: 1e-5,
            activation,
            max_tokens: 300,
            lower_case: false,
            pooling,
            normalize,
            transformer_folder: PathBuf::new(),
        };
        let mut toy = Self {
            config,
            tensors: HashMap::new(),
            prefix,
        };
        let (hidden, wide) = (toy.config.hidden, toy.config.intermediate);
        toy.add("embeddings.word_embeddings.weight", &[30, hidden]);
        toy.add("embeddings.position_embeddings.weight", &[300, hidden]);
        toy.add("embeddings.token_type_embeddings.weight", &[2, hidden]);
        toy.add_pair("embeddings.LayerNorm", &[hidden]);
        for layer in 0..2 {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                toy.add_pair(&name(&format!("attention.{part}")), &[hidden, hidden]);
            }
            toy.add_pair(&name("attention.output.LayerNorm"), &[hidden]);
            toy.add_pair(&name("intermediate.dense"), &[wide, hidden]);
            toy.add_pair(&name("output.dense"), &[hidden, wide]);
            toy.add_pair(&name("output.LayerNorm"), &[hidden]);
        }
        toy
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        let mut state = name.bytes().fold(17u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut number = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 0.4
        };
        let values = (0..shape.iter().product()).map(|_| number()).collect();
        self.tensors.insert(name.to_owned(), (shape.to_vec(), values));
    }

    fn add_pair(&mut self, name: &str, shape: &[usize]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    /// Through a file, as a real model comes.
    fn load(&self, kernels: Kernels) -> Bert {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, (shape, values)) in &self.tensors {
            let start = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let entry =
                serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
            header.insert(format!("{}{name}", self.prefix), entry);
        }
        let header = serde_json::Value::Object(header).to_string();
        let thread = format!("{:?}", std::thread::current().id());
        let file = std::env::temp_dir().join(format!("castmatch-toy-{}-{thread}", std::process::id()));
        std::fs::write(
            &file,
            [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat(),
        )
        .unwrap();
        let tensors = Tensors::read(Path::new("/"), &file, Bert::needs, &mut Sha256::new());
        std::fs::remove_file(&file).unwrap();
        Bert::load(tensors.unwrap(), self.config.clone(), kernels).unwrap()
    }

    fn tensor(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    fn linear(&self, name: &str, input: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (weight, bias) = (
            self.tensor(&format!("{name}.weight")),
            self.tensor(&format!("{name}.bias")),
        );
        let row = |x: &Vec<f64>| {
            let dot = |w: &[f32]| w.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
            weight
                .chunks(x.len())
                .zip(bias)
                .map(|(w, &b)| dot(w) + f64::from(b))
                .collect()
        };
        input.iter().map(row).collect()
    }

    fn norm(&self, name: &str, rows: &mut [Vec<f64>]) {
        let (weight, bias) = (
            self.tensor(&format!("{name}.weight")),
            self.tensor(&format!("{name}.bias")),
        );
        for row in rows {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
            for ((x, &w), &b) in row.iter_mut().zip(weight).zip(bias) {
                *x = (*x - mean) / (variance + 1e-5).sqrt() * f64::from(w) + f64::from(b);
            }
        }
    }

    /// The definition of BERT, written out in f64 for one text.
    fn reference(&self, ids: &[u32]) -> Vec<f64> {
        let (hidden, heads) = (self.config.hidden, self.config.heads);
        let at = |name: &str, row: usize, i: usize| f64::from(self.tensor(name)[row * hidden + i]);
        let mut state: Vec<Vec<f64>> = ids
            .iter()
            .enumerate()
            .map(|(position, &id)| {
                (0..hidden)
                    .map(|i| {
                        at("embeddings.word_embeddings.weight", id as usize, i)
                            + at("embeddings.position_embeddings.weight", position, i)
                            + at("embeddings.token_type_embeddings.weight", 0, i)
                    })
                    .collect()
            })
            .collect();
        self.norm("embeddings.LayerNorm", &mut state);
        for layer in 0..self.config.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let [q, k, v] = ["query", "key", "value"]
                .map(|part| self.linear(&name(&format!("attention.self.{part}")), &state));
            let size = hidden / heads;
            let mut context = vec![vec![0.0; hidden]; ids.len()];
            for head in 0..heads {
                let part = head * size..(head + 1) * size;
                for (i, context) in context.iter_mut().enumerate() {
                    let score = |j: usize| -> f64 {
                        part.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (size as f64).sqrt()
                    };
                    let weights: Vec<f64> = (0..ids.len()).map(|j| score(j).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    for c in part.clone() {
                        context[c] = weights.iter().zip(&v).map(|(w, v)| w / sum * v[c]).sum();
                    }
                }
            }
            let add = |state: &mut Vec<Vec<f64>>, more: Vec<Vec<f64>>| {
                state
                    .iter_mut()
                    .flatten()
                    .zip(more.into_iter().flatten())
                    .for_each(|(x, y)| *x += y);
            };
            add(&mut state, self.linear(&name("attention.output.dense"), &context));
            self.norm(&name("attention.output.LayerNorm"), &mut state);
            let mut middle = self.linear(&name("intermediate.dense"), &state);
            middle.iter_mut().flatten().for_each(|x| {
                *x = match self.config.activation {
                    Activation::Relu => x.max(0.0),
                    // The other kinds are tested against their definitions by themselves.
                    _ => {
                        let inner = (2.0 / std::f64::consts::PI).sqrt() * (*x + 0.044715 * x.powi(3));
                        0.5 * *x * (1.0 + inner.tanh())
                    }
                };
            });
            add(&mut state, self.linear(&name("output.dense"), &middle));
            self.norm(&name("output.LayerNorm"), &mut state);
        }
        let used = if self.config.pooling == Pooling::Cls {
            1
        } else {
            ids.len()
        };
        let mean = |i: usize| state[..used].iter().map(|row| row[i]).sum::<f64>() / used as f64;
        let vector: Vec<f64> = (0..hidden).map(mean).collect();
        let length = if self.config.normalize {
            vector.iter().map(|x| x * x).sum::<f64>().sqrt()
        } else {
            1.0
        };
        vector.into_iter().map(|x| x / length).collect()
    }
}

#[test]
fn a_model_of_odd_sizes_matches_its_definition_on_every_instruction_set() {
    let texts: Vec<Vec<u32>> = [1, 2, 3, 17, 64, 65, 130, 300, 5]
        .map(|len: u32| (0..len).map(|i| (i * 7 + len) % 30).collect())
        .into();
    for toy in [
        Toy::new(Activation::Relu, Pooling::Mean, true, ""),
        Toy::new(Activation::GeluTanh, Pooling::Cls, false, "bert."),
    ] {
        let expected: Vec<Vec<f64>> = texts.iter().map(|text| toy.reference(text)).collect();
        for kernels in Kernels::available() {
            let bert = toy.load(kernels);
            let ids: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let vectors = bert.forward(&ids, &NeverInterrupted).unwrap();
            assert_eq!(vectors.len(), expected.len());
            for ((got, wanted), text) in vectors.iter().zip(&expected).zip(&texts) {
                assert_eq!(got.len(), wanted.len());
                for (&got, wanted) in got.iter().zip(wanted) {
                    let difference = (f64::from(got) - wanted).abs();
                    assert!(
                        difference < 2e-5,
                        "{kernels}, {} tokens: {got} for {wanted}",
                        text.len()
                    );
                }
            }
        }
    }
}

#[test]
fn ids_and_lengths_beyond_the_model_are_refused() {
    let bert = Toy::new(Activation::Relu, Pooling::Mean, true, "").load(Kernels::fastest());
    match bert.forward(&[&[1, 2], &[29, 30]], &NeverInterrupted) {
        Err(ModelError::Compute(ComputeError::UnknownToken { id: 30, rows: 30 })) => {}
        other => panic!("{other:?}"),
    }
    match bert.forward(&[&[1; 301]], &NeverInterrupted) {
        Err(ModelError::Compute(ComputeError::TooManyTokens {
            tokens: 301,
            limit: 300,
        })) => {}
        other => panic!("{other:?}"),
    }
    assert!(bert.forward(&[], &NeverInterrupted).unwrap().is_empty());
}

#[test]
fn every_layer_asks_the_interrupt() {
    struct Count(Cell<usize>);
    impl Interrupt for Count {
        fn check(&self) -> Result<(), Interrupted> {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }
    let bert = Toy::new(Activation::Relu, Pooling::Mean, true, "").load(Kernels::fastest());
    let count = Count(Cell::new(0));
    bert.forward(&[&[1, 2, 3]], &count).unwrap();
    assert_eq!(count.0.get(), 2);
}

#[test]
fn the_states_of_a_text_pool_to_its_vector() {
    let texts: [&[u32]; 3] = [&[1, 2, 3, 4], &[5], &[6, 7]];
    for (pooling, unit) in [
        (Pooling::Mean, true),
        (Pooling::Mean, false),
        (Pooling::Cls, true),
    ] {
        let bert = Toy::new(Activation::Gelu, pooling, unit, "").load(Kernels::fastest());
        let vectors = bert.forward(&texts, &NeverInterrupted).unwrap();
        let outputs = bert.forward_with_states(&texts, &NeverInterrupted).unwrap();
        assert_eq!(outputs.len(), texts.len());
        for ((output, vector), text) in outputs.iter().zip(&vectors).zip(texts) {
            assert_eq!(&output.vector, vector);
            assert_eq!(output.states.len(), text.len() * 39);
            let mut mean = pooled(&output.states, 39, pooling);
            if unit {
                normalize(&mut mean);
            }
            assert_eq!(&mean, vector);
        }
    }
}
