//! The models: those that the embedding worker holds, and those that are registered in this database.

use super::operations::quantile_ms;
use super::sample::{MOST_SERIES, Sample};
use crate::error::Result;
use crate::models::state::breaker_key;
use crate::pg::catalog;
use crate::pg::clock::monotonic_ms;
use crate::pg::json;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use crate::shared::Shared;
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::registry::{Definition, Provider};
use castmatch_engine::shared::breaker::State;
use castmatch_engine::shared::model_calls::{BOUNDS_US, Calls, local_key};
use castmatch_engine::shared::models::Condition;
use serde_json::{Map, Value as Json, json};

const MODELS_SQL: &str = "
    SELECT d.name, d.task, d.provider, d.options
    FROM castmatch.model_definitions d ORDER BY d.name LIMIT $1";

/// A model of a server elsewhere whose breaker is not closed.
pub(super) struct LeftAlone {
    pub(super) name: String,
    pub(super) failures: u32,
}

/// The models of this database, in the order of their names after those of the embedding worker.
pub(super) struct Models {
    /// Name, whether it can be used, and why not.
    local: Vec<(String, Condition, String)>,
    registered: Vec<Definition>,
}

impl Models {
    /// Reads them, as the owner of the tables.
    pub(super) fn read(session: &Session, shared: &Shared) -> Result<Self> {
        let models = &shared.embedder.models;
        let local = models
            .all()
            .into_iter()
            .map(|(name, model, facts)| (name, facts.condition, models.message(model)))
            .collect();
        let limit = i64::try_from(MOST_SERIES + 1).unwrap_or(i64::MAX);
        let rows = session.run(MODELS_SQL, &[Value::of(limit)])?;
        let mut registered = Vec::new();
        for row in 0..rows.len() {
            let column = |column| rows.require::<String>(row, column);
            let (name, task, provider) = (column(1)?, column(2)?, column(3)?);
            let options = json::cell(&rows, row, 4)?;
            // One of a later version, say: whoever uses it is told.
            registered.extend(Definition::new(&name, &task, &provider, &options).ok());
        }
        Ok(Self { local, registered })
    }

    fn condition(&self, folder: &str) -> Option<Condition> {
        let found = self.local.iter().find(|(name, ..)| name == folder);
        found.map(|&(_, condition, _)| condition)
    }

    /// Models of the embedding worker that could not be loaded, and why.
    pub(super) fn failed(&self) -> impl Iterator<Item = (&str, Condition, &str)> {
        self.local.iter().filter_map(|(name, condition, message)| {
            matches!(condition, Condition::ModelMissing | Condition::Failed).then_some((
                name.as_str(),
                *condition,
                message.as_str(),
            ))
        })
    }

    /// The condition of each model of the embedding worker, by name.
    pub(super) fn states(&self) -> Map<String, Json> {
        self.local
            .iter()
            .map(|(name, condition, _)| (name.clone(), condition.name().into()))
            .collect()
    }

    /// Models that are not called for a while because they failed.
    pub(super) fn left_alone(&self, shared: &Shared) -> Vec<LeftAlone> {
        let elsewhere = self.elsewhere();
        elsewhere
            .filter_map(|definition| {
                let (state, failures) = breaker(definition, shared);
                (state != State::Closed).then(|| LeftAlone {
                    name: definition.name.clone(),
                    failures,
                })
            })
            .collect()
    }

    fn elsewhere(&self) -> impl Iterator<Item = &Definition> {
        let listed = self.registered.iter().take(MOST_SERIES);
        listed.filter(|definition| definition.provider == Provider::OpenAi)
    }

    /// The samples.
    pub(super) fn samples(&self, shared: &Shared, samples: &mut Vec<Sample>) {
        for (name, condition, _) in &self.local {
            samples.push(Sample::labelled(
                "castmatch_model_loaded",
                "gauge",
                "1 if the embedding worker has the model loaded, 0 if it was asked for and is not.",
                json!({"model": name}),
                f64::from(u8::from(*condition == Condition::Ready)),
            ));
        }
        for definition in self.elsewhere() {
            let (state, _) = breaker(definition, shared);
            samples.push(Sample::labelled(
                "castmatch_model_breaker_open",
                "gauge",
                "1 if a model of a server elsewhere, registered in this database, is left alone because it failed several times in a row, or has not answered since; else 0.",
                json!({"model": definition.name}),
                f64::from(u8::from(state != State::Closed)),
            ));
        }
    }

    /// The models for `castmatch.performance()`, and whether there are more than are listed.
    pub(super) fn report(&self, shared: &Shared) -> (Json, bool) {
        let mut models = Vec::new();
        let is_registered = |folder: &str| {
            self.registered.iter().any(|definition| {
                definition.provider == Provider::Builtin
                    && definition.options.model.as_deref().unwrap_or_default() == folder
            })
        };
        for (name, condition, _) in &self.local {
            if name == BUILTIN || !is_registered(name) {
                let calls = shared.model_calls.of(local_key(name));
                models.push(told(
                    name,
                    "embedding",
                    Provider::Builtin,
                    Some(*condition),
                    None,
                    &calls,
                ));
            }
        }
        for definition in self.registered.iter().take(MOST_SERIES) {
            let task = definition.task.name();
            let folder = definition.options.model.as_deref().unwrap_or_default();
            models.push(match definition.provider {
                Provider::Builtin => {
                    let calls = shared.model_calls.of(local_key(folder));
                    let condition = self.condition(folder).unwrap_or(Condition::Stopped);
                    told(
                        &definition.name,
                        task,
                        Provider::Builtin,
                        Some(condition),
                        None,
                        &calls,
                    )
                }
                Provider::OpenAi => {
                    let calls = shared.model_calls.of(key(definition));
                    let (state, _) = breaker(definition, shared);
                    told(
                        &definition.name,
                        task,
                        Provider::OpenAi,
                        None,
                        Some(state),
                        &calls,
                    )
                }
            });
        }
        let truncated = models.len() > MOST_SERIES || self.registered.len() > MOST_SERIES;
        models.truncate(MOST_SERIES);
        (Json::Array(models), truncated)
    }
}

fn key(definition: &Definition) -> u64 {
    breaker_key(definition, catalog::my_database().to_u32())
}

fn breaker(definition: &Definition, shared: &Shared) -> (State, u32) {
    shared.breakers.state(key(definition), monotonic_ms())
}

fn told(
    name: &str,
    task: &str,
    provider: Provider,
    condition: Option<Condition>,
    breaker: Option<State>,
    calls: &Calls,
) -> Json {
    json!({
        "model": name,
        "task": task,
        "provider": provider.name(),
        "state": condition.map(|condition| match condition {
            Condition::ModelMissing => "missing",
            condition => condition.name(),
        }),
        "breaker": breaker.map(|state| match state {
            State::HalfOpen => "half_open",
            state => state.name(),
        }),
        "requests": calls.requests,
        "errors": calls.failed,
        "p95_ms": quantile_ms(&BOUNDS_US, &calls.buckets, 0.95),
    })
}
