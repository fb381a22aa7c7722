//! Names of local embedding models: a model is a folder below the folder of models, and its name is the folder's.
//!
//! A name comes from whoever may call `castmatch.embed`, so its form is checked before it becomes a path: no name leads
//! out of the folder of models. What the administrator puts there, a link to elsewhere included, is their choice.

use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the model that comes with castmatch.
pub const BUILTIN: &str = "builtin";
/// Folder of the model that comes with castmatch.
const BUILTIN_FOLDER: &str = "all-MiniLM-L6-v2";
/// Longest name in bytes, as for every name in PostgreSQL.
pub const MAX_NAME_BYTES: usize = 63;
/// Models that are listed at most.
const MAX_LISTED: usize = 50;

/// The name of a local model, of a form that is one folder's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelName(String);

impl ModelName {
    /// The model that comes with castmatch.
    pub fn builtin() -> Self {
        Self(BUILTIN.to_owned())
    }

    /// The name, if it has the form of one: 1 to 63 bytes, no path separator or control character, no dot in front. The
    /// folder of `builtin` is another name of it, so that the model is held once.
    pub fn parse(name: &str) -> Option<Self> {
        if name == BUILTIN_FOLDER {
            return Some(Self::builtin());
        }
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
        let separates = |character: char| matches!(character, '/' | '\\') || character.is_control();
        (fits && !name.starts_with('.') && !name.contains(separates)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the model that comes with castmatch.
    pub fn is_builtin(&self) -> bool {
        self.0 == BUILTIN
    }

    /// The model's folder below the folder of models.
    pub fn folder(&self, models: &Path) -> PathBuf {
        models.join(if self.is_builtin() {
            BUILTIN_FOLDER
        } else {
            &self.0
        })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The models that have a folder, `builtin` first, then by name; the first 50 of them.
pub fn list(models: &Path) -> Vec<ModelName> {
    let Ok(entries) = std::fs::read_dir(models) else {
        return Vec::new();
    };
    let mut names: Vec<ModelName> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = ModelName::parse(entry.file_name().to_str()?)?;
            // A folder of the name `builtin` is nobody's.
            name.folder(models).is_dir().then_some(name)
        })
        .collect();
    names.sort_by(|a, b| (!a.is_builtin(), &a.0).cmp(&(!b.is_builtin(), &b.0)));
    names.dedup();
    names.truncate(MAX_LISTED);
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn names_of_folders_are_names_and_paths_are_not() {
        for name in [
            "tiny",
            "all-mpnet-base-v2",
            "मॉडल",
            "a b",
            "a..b",
            "x.",
            &"n".repeat(63),
        ] {
            assert_eq!(ModelName::parse(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "../x",
            "a/b",
            "/etc",
            "a\\b",
            "a\0b",
            "a\nb",
            "x/",
            &"n".repeat(64),
        ] {
            assert_eq!(ModelName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn the_model_that_comes_along_has_two_names_and_one_folder() {
        let models = Path::new("/models");
        let builtin = ModelName::parse(BUILTIN).unwrap();
        assert_eq!(ModelName::parse(BUILTIN_FOLDER), Some(builtin.clone()));
        assert_eq!(builtin.folder(models), models.join(BUILTIN_FOLDER));
        assert_eq!(
            ModelName::parse("tiny").unwrap().folder(models),
            models.join("tiny")
        );
    }

    #[test]
    fn folders_are_listed_and_files_are_not() {
        let models = std::env::temp_dir().join(format!("castmatch-names-{}", std::process::id()));
        for folder in ["zeta", ".hidden", "alpha", BUILTIN_FOLDER] {
            std::fs::create_dir_all(models.join(folder)).unwrap();
        }
        std::fs::write(models.join("file"), "").unwrap();
        let listed = list(&models);
        std::fs::remove_dir_all(&models).unwrap();
        let names: Vec<&str> = listed.iter().map(ModelName::as_str).collect();
        assert_eq!(names, [BUILTIN, "alpha", "zeta"]);
        assert!(list(&models).is_empty());
    }

    proptest! {
        #[test]
        fn a_name_is_one_step_below_the_folder_of_models(name in "[a-z./\\\\ ]{0,12}") {
            let Some(name) = ModelName::parse(&name) else { return Ok(()) };
            let folder = name.folder(Path::new("m"));
            let steps: Vec<_> = folder.components().collect();
            prop_assert_eq!(steps.len(), 2);
            prop_assert!(steps.iter().all(|step| matches!(step, Component::Normal(_))));
        }
    }
}
