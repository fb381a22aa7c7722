//! Local models: the folders below `castmatch.model_path`.

use crate::error::{Result, error};
use crate::guc;
use crate::pg::catalog;
use castmatch_engine::model_name::{self, ModelName};
use pgrx::prelude::*;
use std::path::PathBuf;

/// The folder that holds the folders of models.
pub fn models_folder() -> PathBuf {
    guc::model_path().map_or_else(
        || catalog::share_directory().join("castmatch").join("models"),
        PathBuf::from,
    )
}

/// The local model of that name.
///
/// # Errors
/// 42704 if there is no such folder.
pub fn folder_of(wanted: &str) -> Result<ModelName> {
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
                "Local models are {}: folders below castmatch.model_path. Others are made with castmatch.create_model.",
                names.join(", ")
            )
        })
    })
}
