//! Which model is meant: what a user names, and what an attached table was attached with.

use crate::error::{Result, error, internal};
use crate::guc;
use crate::pg::catalog;
use castmatch_engine::model_name;
pub use castmatch_engine::model_name::ModelName;
use pgrx::prelude::*;
use std::path::PathBuf;

/// The folder that holds the folders of models.
pub fn models_folder() -> PathBuf {
    guc::model_path().map_or_else(
        || catalog::share_directory().join("castmatch").join("models"),
        PathBuf::from,
    )
}

/// The model to use: the given one if it exists, `builtin` if none is given.
///
/// # Errors
/// 42704 if there is no such model.
pub fn resolve_model(model: Option<&str>) -> Result<ModelName> {
    let Some(wanted) = model else {
        return Ok(ModelName::builtin());
    };
    let models = models_folder();
    // That `builtin` is not installed is an error of its own, with a remedy of its own.
    let name = ModelName::parse(wanted).filter(|name| name.is_builtin() || name.folder(&models).is_dir());
    name.ok_or_else(|| {
        let names: Vec<String> = model_name::list(&models)
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        error(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("embedding model \"{wanted}\" does not exist"),
        )
        .set_hint(if names.is_empty() {
            "No model is installed: castmatch.model_path holds none.".to_owned()
        } else {
            format!(
                "There are {}. A model is a folder below castmatch.model_path.",
                names.join(", ")
            )
        })
    })
}

/// The model that a table was attached with. Whether it still exists shows when it is used.
///
/// # Errors
/// XX000 if the name is none that `attach` takes.
pub fn model_of_table(model: &str) -> Result<ModelName> {
    ModelName::parse(model).ok_or_else(|| internal(format!("\"{model}\" is not the name of a model")))
}
