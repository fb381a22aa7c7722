//! The forward pass of BERT over packed texts.
//!
//! The tokens of all texts of a pass lie one after the other in one matrix `[tokens, hidden]`, without padding: the
//! products with weights see one tall matrix, only attention works text by text. Residual sums are formed by the
//! products themselves (they add to their output), biases likewise. docs/design/embedding.md has the numbers.
//!
//! Invariant: a token's result depends on its text only, not on the texts that share the pass.

use crate::interrupt::Interrupt;

use super::EmbeddedTokens;
use super::config::{ModelConfig, Pooling};
use super::error::{ComputeError, ModelError};
use super::kernel::{Init, Kernels, PackedMatrix, Rows};
use super::weights::Tensors;

/// Tokens whose feed-forward layer is computed at a time: its wide intermediate result stays in the second-level cache.
const FEED_FORWARD_ROWS: usize = 128;
/// Tokens of a text whose attention weights are computed at a time.
const ATTENTION_ROWS: usize = 64;

/// A linear map: weights and bias.
struct Linear {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    /// Query, key and value in one product: `[hidden, 3 × hidden]`.
    query_key_value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// The weights, held once, and the way through them.
pub(super) struct Bert {
    config: ModelConfig,
    kernels: Kernels,
    word: Vec<f32>,
    /// Position embeddings with the embedding of token type 0 added.
    position: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<Layer>,
}

/// Takes the tensors of one model out of a file, under the prefix that the file uses.
struct Source<'a> {
    tensors: &'a mut Tensors,
    prefix: &'static str,
    kernels: Kernels,
}

impl Source<'_> {
    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        self.tensors.take(&format!("{}{name}", self.prefix), &[len])
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, ModelError> {
        self.tensors
            .take(&format!("{}{name}", self.prefix), &[rows, columns])
    }

    fn norm(&mut self, name: &str, len: usize) -> Result<LayerNorm, ModelError> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), len)?,
            bias: self.vector(&format!("{name}.bias"), len)?,
        })
    }

    /// Linear maps of one input, side by side in one matrix.
    fn linear(&mut self, names: &[&str], input: usize, output: usize) -> Result<Linear, ModelError> {
        let mut weights = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            weights.push(self.matrix(&format!("{name}.weight"), output, input)?);
            bias.extend(self.vector(&format!("{name}.bias"), output)?);
        }
        let mut weight = PackedMatrix::new(self.kernels);
        weight
            .pack(input, output * names.len(), |k, first, target| {
                for (offset, value) in target.iter_mut().enumerate() {
                    let column = first + offset;
                    *value = weights[column / output][column % output * input + k];
                }
            })
            .map_err(|bytes| ComputeError::OutOfMemory { bytes })?;
        Ok(Linear { weight, bias })
    }

    fn layer(&mut self, index: usize, config: &ModelConfig) -> Result<Layer, ModelError> {
        let (hidden, wide) = (config.hidden, config.intermediate);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let query_key_value = [
            name("attention.self.query"),
            name("attention.self.key"),
            name("attention.self.value"),
        ];
        Ok(Layer {
            query_key_value: self.linear(&query_key_value.each_ref().map(String::as_str), hidden, hidden)?,
            attention_output: self.linear(&[&name("attention.output.dense")], hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), hidden)?,
            intermediate: self.linear(&[&name("intermediate.dense")], hidden, wide)?,
            output: self.linear(&[&name("output.dense")], wide, hidden)?,
            output_norm: self.norm(&name("output.LayerNorm"), hidden)?,
        })
    }
}

/// Buffers of one pass, reused from layer to layer.
struct Scratch {
    query_key_value: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    scores: Vec<f32>,
    keys: PackedMatrix,
    values: PackedMatrix,
}

/// A zeroed buffer of `rows × columns`, or the size that was not to be had.
fn buffer(rows: usize, columns: usize) -> Result<Vec<f32>, ComputeError> {
    let len = rows
        .checked_mul(columns)
        .ok_or(ComputeError::OutOfMemory { bytes: usize::MAX })?;
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(len)
        .map_err(|_| ComputeError::OutOfMemory {
            bytes: len.saturating_mul(size_of::<f32>()),
        })?;
    buffer.resize(len, 0.0);
    Ok(buffer)
}

impl Bert {
    /// Whether the forward pass needs the tensor of this name.
    pub(super) fn needs(name: &str) -> bool {
        (name.contains("embeddings.") || name.contains("encoder.layer.")) && !name.ends_with("position_ids")
    }

    /// Takes the weights out of `tensors` and packs them for `kernels`, layer by layer.
    pub(super) fn load(
        mut tensors: Tensors,
        config: ModelConfig,
        kernels: Kernels,
    ) -> Result<Self, ModelError> {
        const WORD: &str = "embeddings.word_embeddings.weight";
        // Models saved with a task head carry their encoder under a prefix.
        let prefix = if tensors.contains(&format!("bert.{WORD}")) {
            "bert."
        } else {
            ""
        };
        let mut source = Source {
            tensors: &mut tensors,
            prefix,
            kernels,
        };
        let hidden = config.hidden;
        let word = source.matrix(WORD, config.vocabulary, hidden)?;
        let mut position =
            source.matrix("embeddings.position_embeddings.weight", config.positions, hidden)?;
        let kind = source.matrix(
            "embeddings.token_type_embeddings.weight",
            config.token_types,
            hidden,
        )?;
        for row in position.chunks_exact_mut(hidden) {
            row.iter_mut()
                .zip(&kind)
                .for_each(|(position, kind)| *position += kind);
        }
        let embedding_norm = source.norm("embeddings.LayerNorm", hidden)?;
        let layers = (0..config.layers)
            .map(|index| source.layer(index, &config))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config,
            kernels,
            word,
            position,
            embedding_norm,
            layers,
        })
    }

    /// Computes one pass: one vector per text, in the order of `texts`, each a list of token ids.
    ///
    /// `interrupt` is asked before every layer. The caller bounds the number of tokens.
    pub(super) fn forward(
        &self,
        texts: &[&[u32]],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        self.pass(texts, interrupt, |states| self.pool(states))
    }

    /// As [`forward`](Self::forward), with the last hidden states of each text before pooling.
    pub(super) fn forward_with_states(
        &self,
        texts: &[&[u32]],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<EmbeddedTokens>, ModelError> {
        self.pass(texts, interrupt, |states| {
            let mut copy = buffer(states.len(), 1)?;
            copy.copy_from_slice(states);
            Ok(EmbeddedTokens {
                vector: self.pool(states)?,
                states: copy,
            })
        })
    }

    /// One pass; `output` makes of the last hidden states of one text, `[tokens, hidden]`, what is returned for it.
    fn pass<T>(
        &self,
        texts: &[&[u32]],
        interrupt: &dyn Interrupt,
        output: impl Fn(&[f32]) -> Result<T, ComputeError>,
    ) -> Result<Vec<T>, ModelError> {
        let mut state = self.embed(texts)?;
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let mut scratch = self.scratch(state.len() / self.config.hidden, longest)?;
        for layer in &self.layers {
            interrupt.check()?;
            self.attend(layer, texts, &mut state, &mut scratch)?;
            self.feed_forward(layer, &mut state, &mut scratch);
        }
        let mut outputs = Vec::with_capacity(texts.len());
        let mut first = 0;
        for text in texts {
            let end = first + text.len() * self.config.hidden;
            outputs.push(output(&state[first..end])?);
            first = end;
        }
        Ok(outputs)
    }

    fn scratch(&self, tokens: usize, longest: usize) -> Result<Scratch, ComputeError> {
        let hidden = self.config.hidden;
        Ok(Scratch {
            query_key_value: buffer(tokens, 3 * hidden)?,
            context: buffer(tokens, hidden)?,
            wide: buffer(tokens.min(FEED_FORWARD_ROWS), self.config.intermediate)?,
            scores: buffer(
                longest.min(ATTENTION_ROWS),
                longest.next_multiple_of(self.kernels.lanes()),
            )?,
            keys: PackedMatrix::new(self.kernels),
            values: PackedMatrix::new(self.kernels),
        })
    }

    fn embed(&self, texts: &[&[u32]]) -> Result<Vec<f32>, ComputeError> {
        let hidden = self.config.hidden;
        let tokens = texts
            .iter()
            .fold(0usize, |sum, text| sum.saturating_add(text.len()));
        let mut state = buffer(tokens, hidden)?;
        let mut rows = state.chunks_exact_mut(hidden);
        for text in texts {
            if text.len() > self.config.positions {
                return Err(ComputeError::TooManyTokens {
                    tokens: text.len(),
                    limit: self.config.positions,
                });
            }
            for ((&id, position), row) in text.iter().zip(self.position.chunks_exact(hidden)).zip(&mut rows) {
                let word =
                    self.word
                        .chunks_exact(hidden)
                        .nth(id as usize)
                        .ok_or(ComputeError::UnknownToken {
                            id,
                            rows: self.config.vocabulary,
                        })?;
                for ((target, word), position) in row.iter_mut().zip(word).zip(position) {
                    *target = word + position;
                }
            }
        }
        let norm = &self.embedding_norm;
        self.kernels
            .layer_norm(&mut state, &norm.weight, &norm.bias, self.config.layer_norm_eps);
        Ok(state)
    }

    /// state = norm(state + attention(state))
    fn attend(
        &self,
        layer: &Layer,
        texts: &[&[u32]],
        state: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let hidden = self.config.hidden;
        let count = state.len() / hidden;
        let all = Rows {
            data: state,
            stride: hidden,
            count,
        };
        let linear = &layer.query_key_value;
        let init = Init::Bias(&linear.bias);
        self.kernels.matmul(
            all,
            &linear.weight,
            init,
            &mut scratch.query_key_value,
            3 * hidden,
        );
        let mut first = 0;
        for text in texts {
            for head in 0..self.config.heads {
                self.attend_head(first, text.len(), head, scratch)?;
            }
            first += text.len();
        }
        let context = Rows {
            data: &scratch.context,
            stride: hidden,
            count,
        };
        let linear = &layer.attention_output;
        self.kernels.matmul(
            context,
            &linear.weight,
            Init::BiasAndOutput(&linear.bias),
            state,
            hidden,
        );
        let norm = &layer.attention_norm;
        self.kernels
            .layer_norm(state, &norm.weight, &norm.bias, self.config.layer_norm_eps);
        Ok(())
    }

    /// One head of one text, the tokens `first..first + len`: context = softmax(query × keyᵀ / √size) × value
    fn attend_head(
        &self,
        first: usize,
        len: usize,
        head: usize,
        scratch: &mut Scratch,
    ) -> Result<(), ComputeError> {
        let hidden = self.config.hidden;
        let size = hidden / self.config.heads;
        let stride = 3 * hidden;
        let scale = 1.0 / (size as f32).sqrt();
        let out_of_memory = |bytes| ComputeError::OutOfMemory { bytes };
        let of_text = &scratch.query_key_value[first * stride..(first + len) * stride];
        let (key, value) = (hidden + head * size, 2 * hidden + head * size);
        scratch
            .keys
            .pack(size, len, |k, token, target| {
                for (row, target) in of_text[token * stride..].chunks_exact(stride).zip(target) {
                    *target = row[key + k];
                }
            })
            .map_err(out_of_memory)?;
        scratch
            .values
            .pack(len, size, |token, column, target| {
                target.copy_from_slice(&of_text[token * stride + value + column..][..target.len()]);
            })
            .map_err(out_of_memory)?;
        let score_stride = len.next_multiple_of(self.kernels.lanes());
        for block in (0..len).step_by(ATTENTION_ROWS) {
            let count = (len - block).min(ATTENTION_ROWS);
            let queries = Rows {
                data: &of_text[block * stride + head * size..],
                stride,
                count,
            };
            let scores = &mut scratch.scores[..count * score_stride];
            self.kernels
                .matmul(queries, &scratch.keys, Init::Zero, scores, score_stride);
            self.kernels.softmax(scores, score_stride, len, scale);
            let weights = Rows {
                data: scores,
                stride: score_stride,
                count,
            };
            let output = &mut scratch.context[(first + block) * hidden + head * size..];
            self.kernels
                .matmul(weights, &scratch.values, Init::Zero, output, hidden);
        }
        Ok(())
    }

    /// state = norm(state + output(activation(intermediate(state))))
    fn feed_forward(&self, layer: &Layer, state: &mut [f32], scratch: &mut Scratch) {
        let (hidden, wide) = (self.config.hidden, self.config.intermediate);
        for block in state.chunks_mut(FEED_FORWARD_ROWS * hidden) {
            let count = block.len() / hidden;
            let rows = Rows {
                data: block,
                stride: hidden,
                count,
            };
            let linear = &layer.intermediate;
            let middle = &mut scratch.wide[..count * wide];
            self.kernels
                .matmul(rows, &linear.weight, Init::Bias(&linear.bias), middle, wide);
            self.kernels.activate(self.config.activation, middle);
            let rows = Rows {
                data: middle,
                stride: wide,
                count,
            };
            let linear = &layer.output;
            self.kernels.matmul(
                rows,
                &linear.weight,
                Init::BiasAndOutput(&linear.bias),
                block,
                hidden,
            );
            let norm = &layer.output_norm;
            self.kernels
                .layer_norm(block, &norm.weight, &norm.bias, self.config.layer_norm_eps);
        }
    }

    /// One vector from the token vectors of one text.
    fn pool(&self, tokens: &[f32]) -> Result<Vec<f32>, ComputeError> {
        let mut vector = pooled(tokens, self.config.hidden, self.config.pooling);
        if self.config.normalize {
            normalize(&mut vector);
        }
        if vector.iter().all(|value| value.is_finite()) {
            Ok(vector)
        } else {
            Err(ComputeError::NotFinite)
        }
    }
}

fn pooled(tokens: &[f32], hidden: usize, pooling: Pooling) -> Vec<f32> {
    let mut vector = vec![0.0; hidden];
    let rows = tokens.chunks_exact(hidden);
    let used = match pooling {
        Pooling::Mean => rows.len(),
        Pooling::Cls => rows.len().min(1),
    };
    for row in rows.take(used) {
        vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let count = used.max(1) as f32;
    vector.iter_mut().for_each(|value| *value /= count);
    vector
}

/// Scales to length 1, as torch does: a vector shorter than 1e-12 is divided by that.
fn normalize(vector: &mut [f32]) {
    let norm = vector
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(1e-12);
    vector.iter_mut().for_each(|value| *value /= norm);
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
