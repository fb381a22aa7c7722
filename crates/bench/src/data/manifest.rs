//! What a prepared data set is and what it was made from: `manifest.json`, written when everything else is complete.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::exact::Metric;
use crate::Error;

const FILE: &str = "manifest.json";

/// What the vectors follow from: the same job gives the same files (up to rounding that depends on the processor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Of this description and of the files.
    pub(crate) format: u32,
    /// Input files with their SHA-256.
    pub(crate) inputs: Vec<Hashed>,
    /// Fingerprint of the model, see `EmbeddingModel::fingerprint`.
    pub(crate) model: String,
    /// Synsets used, evenly spread.
    pub(crate) synsets: usize,
    /// Synsets held out.
    pub(crate) queries: usize,
    /// Tokens taken, at most.
    pub(crate) tokens: usize,
}

/// A file and the SHA-256 of its content, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hashed {
    /// Its name without the folder.
    pub(crate) file: String,
    /// SHA-256 in hex.
    pub(crate) sha256: String,
}

impl Hashed {
    /// Reads the file.
    pub(crate) fn of(file: &Path) -> Result<Self, Error> {
        let mut input = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            let read = input.read(&mut block)?;
            if read == 0 {
                break;
            }
            hasher.update(block.get(..read).unwrap_or_default());
        }
        Ok(Self {
            file: file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            sha256: hasher
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Name of the data set.
    pub(crate) name: String,
    /// What it is ordered by.
    pub(crate) metric: Metric,
    /// Dimensions of a vector.
    pub(crate) dimensions: usize,
    /// Rows of `base.f32`.
    pub(crate) rows: usize,
    /// Rows of `queries.f32`.
    pub(crate) queries: usize,
    /// Exact neighbours of each query.
    pub(crate) neighbours: usize,
    /// Name of the model's folder and the instruction set that computed it.
    pub(crate) model: String,
    /// What it was made from.
    pub(crate) job: Job,
    /// Its files.
    pub(crate) files: Vec<Hashed>,
}

impl Manifest {
    /// Reads the manifest in the folder of a data set.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        read_json(&folder.join(FILE))
    }

    /// Writes it there.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        write_json(&folder.join(FILE), self)
    }
}

/// Reads a JSON file.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Writes a JSON file, complete or not at all.
pub(crate) fn write_json<T: Serialize>(file: &Path, value: &T) -> Result<(), Error> {
    let new = file.with_extension("json.new");
    std::fs::write(&new, serde_json::to_string_pretty(value)? + "\n")?;
    Ok(std::fs::rename(&new, file)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Hashed, Job, Manifest};
    use crate::data::exact::Metric;
    use crate::scratch::Folder;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let folder = Folder::new("manifest");
        let file = folder.path().join("abc.txt");
        std::fs::write(&file, "abc").unwrap();
        let hashed = Hashed::of(&file).unwrap();
        assert_eq!(
            (hashed.file.as_str(), hashed.sha256.as_str()),
            (
                "abc.txt",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            )
        );
        let manifest = Manifest {
            name: "wordnet-384".to_owned(),
            metric: Metric::Cosine,
            dimensions: 384,
            rows: 10,
            queries: 2,
            neighbours: 5,
            model: "all-MiniLM-L6-v2 (avx2)".to_owned(),
            job: Job {
                format: 1,
                inputs: vec![hashed.clone()],
                model: "f00d".to_owned(),
                synsets: 12,
                queries: 2,
                tokens: 7,
            },
            files: vec![hashed],
        };
        assert!(Manifest::read(folder.path()).is_err());
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
        std::fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        assert!(Manifest::read(folder.path()).is_err());
    }
}
