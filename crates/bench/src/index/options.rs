//! The command line of `index` and what follows from it.

use std::path::PathBuf;

use super::method::Method;
use crate::data::DataSet;
use crate::{Error, place};

/// What is measured, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stage {
    /// CREATE INDEX: time, memory, size.
    Build,
    /// Recall, queries per second, latencies.
    Search,
    /// The in-process libraries.
    Library,
    /// Inserts into a half-full index.
    Insert,
    /// VACUUM after deleting 20 %.
    Vacuum,
    /// Recall after a table has grown ten times by inserts, beside that of an index built anew.
    Growth,
}

/// Arguments of `index`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Installation of PostgreSQL with pgvector, and castmatch installed into it: the folder that holds bin/.
    #[arg(long)]
    pg_install: PathBuf,
    /// Folder of the results and the server.
    #[arg(long)]
    work: PathBuf,
    /// Folder of the server's data [default: server, in the work folder].
    #[arg(long)]
    server: Option<PathBuf>,
    /// Folder of the data sets [default: $CASTMATCH_HOME/bench].
    #[arg(long)]
    data_folder: Option<PathBuf>,
    /// Data sets [default: all].
    #[arg(long, value_delimiter = ',', value_enum)]
    data: Vec<DataSet>,
    /// Methods [default: all].
    #[arg(long, value_delimiter = ',', value_enum)]
    methods: Vec<Method>,
    /// Stages [default: all].
    #[arg(long, value_delimiter = ',', value_enum)]
    stages: Vec<Stage>,
    /// A short run that shows that everything works: few rows, one round. Its figures say nothing.
    #[arg(long)]
    quick: bool,
    /// Rows of each data set [default: all].
    #[arg(long)]
    rows: Option<usize>,
    /// Queries [default: all].
    #[arg(long)]
    queries: Option<usize>,
    /// Rounds of search and of inserts [default: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// Rounds of builds [default: 1].
    #[arg(long, default_value_t = 1)]
    build_rounds: usize,
    /// Rounds of vacuum [default: 1].
    #[arg(long, default_value_t = 1)]
    vacuum_rounds: usize,
    /// Parallel workers of builds.
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    workers: Vec<usize>,
    /// Clients at once.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    clients: Vec<usize>,
    /// Values of ef_search, or probes [default: per method].
    #[arg(long, value_delimiter = ',')]
    efforts: Vec<u32>,
    /// Rows that a method inserts in a round [default: 1000].
    #[arg(long)]
    insert_rows: Option<usize>,
    /// Inserts and vacuum see at most so many rows.
    #[arg(long, default_value_t = 200_000)]
    upkeep_rows: usize,
    /// shared_buffers of the server.
    #[arg(long, default_value = "6GB")]
    shared_buffers: String,
    /// maintenance_work_mem of builds, MiB [default: what pgvector's graph takes, and a fifth more].
    #[arg(long)]
    maintenance_mib: Option<usize>,
    /// Python interpreter with hnswlib and numpy; without, hnswlib is left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Measures again what is asked for, in place of its earlier results.
    #[arg(long)]
    redo: bool,
    /// Removes all results and the server's data first.
    #[arg(long)]
    fresh: bool,
    /// Of `filters`: only conditions whose names contain this.
    #[arg(long)]
    pub(crate) condition: Option<String>,
}

/// Arguments of `report`.
#[derive(clap::Args)]
pub(crate) struct ReportOptions {
    /// Folder of the results.
    #[arg(long)]
    pub(crate) work: PathBuf,
}

/// The options, resolved.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) install: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) server_folder: PathBuf,
    pub(crate) data_folder: PathBuf,
    pub(crate) data: Vec<DataSet>,
    pub(crate) methods: Vec<Method>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) rows: Option<usize>,
    pub(crate) queries: Option<usize>,
    pub(crate) rounds: usize,
    pub(crate) build_rounds: usize,
    pub(crate) vacuum_rounds: usize,
    pub(crate) workers: Vec<usize>,
    pub(crate) clients: Vec<usize>,
    efforts: Vec<u32>,
    pub(crate) insert_rows: usize,
    pub(crate) upkeep_rows: usize,
    pub(crate) shared_buffers: String,
    maintenance_mib: Option<usize>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) redo: bool,
    pub(crate) fresh: bool,
}

impl Options {
    /// Fills in what was not given.
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        let or = |given: Option<usize>, usual: usize, quick: usize| {
            given.unwrap_or(if self.quick { quick } else { usual })
        };
        let quick = |value: usize| self.quick.then_some(value);
        let work = std::path::absolute(&self.work)?;
        Ok(Plan {
            install: std::path::absolute(&self.pg_install)?,
            server_folder: self.server.clone().unwrap_or_else(|| work.join("server")),
            work,
            data_folder: place::or_below_home(self.data_folder.as_deref(), "bench")?,
            data: match (self.data.as_slice(), self.quick) {
                ([], true) => vec![DataSet::Wordnet384],
                (data, _) => or_all(data, &DataSet::ALL),
            },
            methods: or_all(&self.methods, &Method::ALL),
            stages: or_all(
                &self.stages,
                &[
                    Stage::Build,
                    Stage::Search,
                    Stage::Library,
                    Stage::Insert,
                    Stage::Vacuum,
                    Stage::Growth,
                ],
            ),
            rows: self.rows.or(quick(1000)),
            queries: self.queries.or(quick(50)),
            rounds: or(self.rounds, 3, 1),
            build_rounds: self.build_rounds,
            vacuum_rounds: self.vacuum_rounds,
            workers: self.workers.clone(),
            clients: self.clients.clone(),
            efforts: match (self.efforts.as_slice(), self.quick) {
                ([], true) => vec![10, 40, 200],
                (efforts, _) => efforts.to_vec(),
            },
            insert_rows: or(self.insert_rows, 1000, 100),
            upkeep_rows: self.upkeep_rows,
            shared_buffers: if self.quick {
                "256MB".to_owned()
            } else {
                self.shared_buffers.clone()
            },
            maintenance_mib: self.maintenance_mib,
            python: self.python.clone(),
            redo: self.redo,
            fresh: self.fresh,
        })
    }
}

impl Plan {
    /// Whether one of these stages is asked for.
    pub(crate) fn any(&self, stages: &[Stage]) -> bool {
        stages.iter().any(|stage| self.stages.contains(stage))
    }

    /// The settings at which a method is searched, ascending.
    pub(crate) fn efforts(&self, method: Method) -> Vec<u32> {
        self.efforts_or(method.efforts())
    }

    /// The settings that were asked for, or else these, ascending.
    pub(crate) fn efforts_or(&self, usual: &[u32]) -> Vec<u32> {
        let mut efforts = or_all(&self.efforts, usual);
        efforts.sort_unstable();
        efforts.dedup();
        efforts
    }

    /// maintenance_work_mem of a build, MiB: the same for all methods.
    ///
    /// pgvector keeps the vectors and some 1.1 KB of links per row (m 16), and takes all of the setting at once in a
    /// parallel build; where a graph does not fit, its build gets slower by an order of magnitude.
    pub(crate) fn maintenance_mib(&self, rows: usize, dimensions: usize) -> usize {
        self.maintenance_mib.unwrap_or_else(|| {
            let bytes = rows.saturating_mul(4 * dimensions + 1280);
            (bytes.saturating_add(bytes / 5) >> 20) + 64
        })
    }

    /// Workers of builds that are not measured.
    pub(crate) fn most_workers(&self) -> usize {
        self.workers.iter().copied().max().unwrap_or(0)
    }
}

fn or_all<T: Clone>(given: &[T], all: &[T]) -> Vec<T> {
    if given.is_empty() { all } else { given }.to_vec()
}
