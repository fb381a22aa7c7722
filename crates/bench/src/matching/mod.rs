//! `castmatch-bench quality`, `match`, `queue` and `chat`: an attached table of WordNet's synsets, what is found in it, how fast, and how fast it
//! is embedded. docs/benchmark.md says what the figures mean.

mod bootstrap;
mod cases;
pub(crate) mod latency;
mod latency_report;
pub(crate) mod quality;
pub(crate) mod queue;
mod systems;
mod table;
pub(crate) mod talk;

use std::path::PathBuf;

use castmatch_engine::model::EmbeddingModel;

use crate::data::Inputs;
use crate::data::items::Items;
use crate::server::{Server, Settings};
use crate::{Error, place};

/// Folder of the server, in the work folder: scripts/pgvector.sh stops it if a run leaves it behind.
const SERVER: &str = "match-server";

/// Of everything that is drawn.
const SEED: u64 = 0x6361_7374_6d61_7463;

/// What all of them are told.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Installation of PostgreSQL with castmatch and its model installed into it: the folder that holds bin/.
    #[arg(long)]
    pg_install: PathBuf,
    /// Folder of the results and the server.
    #[arg(long)]
    work: PathBuf,
    /// Folder of the data sets [default: $CASTMATCH_HOME/bench].
    #[arg(long)]
    data_folder: Option<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
}

impl Common {
    /// The work folder, made if it is missing.
    fn work(&self) -> Result<PathBuf, Error> {
        std::fs::create_dir_all(&self.work)?;
        Ok(std::path::absolute(&self.work)?)
    }

    /// A new server: tables of an earlier run may be those of another castmatch.
    fn server(&self, mut settings: Settings) -> Result<Server, Error> {
        let folder = self.work()?.join(SERVER);
        Server::discard(&self.pg_install.join("bin"), &folder)?;
        settings.push(("shared_buffers", "1GB".to_owned()));
        Server::with_castmatch(&self.pg_install, &folder, settings)
    }

    /// A new server in which nothing runs beside what is measured, with the table loaded, embeddings included, and attached.
    fn attached(&self, items: &Items, model: &EmbeddingModel, filters: &str) -> Result<Attached, Error> {
        let folder = place::or_below_home(self.data_folder.as_deref(), "bench")?;
        let embeddings = items.embeddings(&self.inputs, model, &folder)?;
        let server = self.server(vec![
            ("autovacuum", "off".to_owned()),
            ("checkpoint_timeout", "1h".to_owned()),
            ("max_wal_size", "8GB".to_owned()),
        ])?;
        let mut client = server.connect("public")?;
        println!("loading {} rows", items.items.len());
        table::load(&mut client, items, Some(&embeddings))?;
        table::attach(&mut client, "off", filters)?;
        let index = table::ensure_vector_index(&mut client, filters)?;
        let mut notes = table::notes(&mut client, items, model)?;
        notes.push(("vector index", index));
        Ok(Attached { server, notes })
    }
}

/// A server with the attached table.
struct Attached {
    server: Server,
    /// What the report says of it.
    notes: Vec<(&'static str, String)>,
}
