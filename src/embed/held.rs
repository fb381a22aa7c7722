//! The models that the embedding worker holds, and what the table of models says about them.

use crate::embed::local::models_folder;
use crate::guc;
use crate::pg::worker::with_signals_blocked;
use castmatch_engine::model::{EmbeddingModel, ModelError, ModelOptions};
use castmatch_engine::model_name::ModelName;
use castmatch_engine::shared::models::{Condition, MODELS, ModelRef, ModelTable};
use core::time::Duration;
use std::path::PathBuf;

/// A loaded model and whose it is.
struct Loaded {
    of: ModelRef,
    model: EmbeddingModel,
}

/// The models, each at its entry's place in the table.
pub struct Held {
    table: &'static ModelTable,
    loaded: [Option<Loaded>; MODELS],
    /// The settings that they were loaded under.
    folder: PathBuf,
    threads: usize,
}

impl Held {
    /// No models yet.
    pub fn new(table: &'static ModelTable) -> Self {
        Self {
            table,
            loaded: [const { None }; MODELS],
            folder: models_folder(),
            threads: guc::embedding_threads(),
        }
    }

    /// The model, if it is loaded.
    pub fn get(&self, model: ModelRef) -> Option<&EmbeddingModel> {
        let loaded = self.loaded.get(model.index())?.as_ref()?;
        (loaded.of == model).then_some(&loaded.model)
    }

    /// Whether requests to the model can be taken up: it is loaded, or will never be, since its entry is another's.
    pub fn is_usable(&self, model: ModelRef) -> bool {
        let facts = self.table.facts(model);
        facts.is_none_or(|facts| facts.condition == Condition::Ready)
    }

    /// Whether the settings are no more those that the models were loaded under.
    pub fn settings_changed(&self) -> bool {
        self.folder != models_folder() || self.threads != guc::embedding_threads()
    }

    /// Loads a model whose entry says that it is being loaded.
    pub fn load(&mut self, model: ModelRef, name: &str) {
        let Some(place) = self.loaded.get_mut(model.index()) else {
            return;
        };
        *place = None;
        let Some(name) = ModelName::parse(name) else {
            self.table
                .not_loaded(model, Condition::Failed, "not the name of a model");
            return;
        };
        let folder = name.folder(&self.folder);
        let options = ModelOptions {
            threads: self.threads,
            ..ModelOptions::default()
        };
        match with_signals_blocked(|| EmbeddingModel::load(&folder, options)) {
            Ok(loaded) => {
                self.table
                    .loaded(model, loaded.dimensions(), loaded.version(), loaded.name());
                *place = Some(Loaded {
                    of: model,
                    model: loaded,
                });
            }
            Err(failure) => {
                let condition = match failure {
                    ModelError::Missing { .. } => Condition::ModelMissing,
                    _ => Condition::Failed,
                };
                pgrx::log!("castmatch: {failure}");
                self.table.not_loaded(model, condition, &failure.to_string());
            }
        }
    }

    /// Loads the models anew under the settings that are in force now; of those that are not held, nothing is known any more.
    pub fn load_all_again(&mut self) {
        self.folder = models_folder();
        self.threads = guc::embedding_threads();
        for (_, model, _) in self.table.all() {
            if self.get(model).is_none() && model != ModelRef::BUILTIN {
                self.table.forget(model);
            } else if let Some((model, name)) = self.table.start(model) {
                self.load(model, &name);
            }
        }
    }

    /// Lets go of the models, but for `builtin`, that nobody used for that long.
    pub fn let_go_unused(&mut self, now_ms: u64, limit: Duration, is_requested: impl Fn(ModelRef) -> bool) {
        for place in self.loaded.iter_mut().skip(1) {
            let Some(model) = place.as_ref().map(|loaded| loaded.of) else {
                continue;
            };
            let unused = Duration::from_millis(self.table.unused_ms(model, now_ms));
            if unused > limit && !is_requested(model) {
                *place = None;
                self.table.unloaded(model);
            }
        }
    }
}
