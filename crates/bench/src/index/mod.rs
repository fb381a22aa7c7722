//! `castmatch-bench index`: castmatch and its peers side by side in one server, over the data sets of `prepare`.
//!
//! Methods take turns within every round, so that all see the same load of the machine; the report takes the best
//! round of each. Every measurement is saved when it is made, so a run that is stopped goes on where it was.
//! docs/benchmark.md says what is measured and how.

mod cpu;
mod figures;
pub(crate) mod filters;
pub(crate) mod libraries;
mod memory;
mod method;
mod options;
mod recall;
mod record;
mod report;
mod search;
mod settings;
mod stages;
mod svg;
mod table;
mod upkeep;

use std::path::Path;

pub(crate) use options::{Options, Plan, ReportOptions, Stage};

use crate::data::{Data, DataSet};
use crate::server::Server;
use crate::{Error, place};
use method::Method;
use record::{Key, Results};

/// One data set in one server.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Where the tables are.
    pub(crate) server: &'a Server,
    /// Which data.
    pub(crate) set: DataSet,
    /// In memory.
    pub(crate) data: &'a Data,
    /// How it is measured.
    pub(crate) plan: &'a Plan,
}

impl Run<'_> {
    /// Queries that are asked.
    pub(crate) fn queries(&self) -> usize {
        self.data.queries.len()
    }

    /// The key of a record of this data set.
    pub(crate) fn key(&self, method: Method, round: usize) -> Key {
        Key {
            data: self.set.name().to_owned(),
            rows: self.data.base.len(),
            method: method.name().to_owned(),
            round,
        }
    }
}

/// Measures what is asked for and not known yet, and writes the report.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let plan = options.plan()?;
    std::fs::create_dir_all(&plan.work)?;
    if plan.fresh {
        report::remove(&plan.work)?;
        Server::discard(&plan.install.join("bin"), &plan.server_folder)?;
    }
    let mut results = Results::open(&plan.work)?;
    let server = Server::start(
        &plan.install.join("bin"),
        &plan.server_folder,
        &settings::server(&plan),
    )?;
    let methods = stages::available(&server, &plan, &mut results)?;
    if plan.redo {
        results.forget(|record| {
            let chosen = |key: &Key| {
                plan.data.iter().any(|set| set.name() == key.data)
                    && methods.iter().any(|method| method.name() == key.method)
            };
            record.key().is_some_and(chosen)
                && record.stage().is_some_and(|stage| plan.stages.contains(&stage))
        })?;
    }
    settings::note(&server, &mut results)?;
    let mut failures = 0;
    for &set in &plan.data {
        failures += measure(&server, &plan, set, &methods, &mut results)?;
        report::write(&plan.work, results.all())?;
    }
    println!("report: {}", plan.work.join("report.md").display());
    if failures > 0 {
        return Err(format!("{failures} measurement(s) failed, see the notes in the report").into());
    }
    Ok(())
}

/// All stages of one data set; gives how many methods failed.
fn measure(
    server: &Server,
    plan: &Plan,
    set: DataSet,
    methods: &[Method],
    results: &mut Results,
) -> Result<usize, Error> {
    let mut failures = 0;
    let read = |rows| -> Result<Data, Error> {
        let mut data = Data::read(&plan.data_folder, set, rows, place::processors())?;
        data.queries.truncate(plan.queries.unwrap_or(usize::MAX));
        Ok(data)
    };
    if plan.any(&[Stage::Build, Stage::Search, Stage::Library]) {
        let data = read(plan.rows)?;
        println!(
            "{}: {} rows, {} queries",
            set.name(),
            data.base.len(),
            data.queries.len()
        );
        let run = Run {
            server,
            set,
            data: &data,
            plan,
        };
        failures += stages::build_and_search(&run, methods, results)?;
    }
    if plan.any(&[Stage::Insert, Stage::Vacuum, Stage::Growth]) {
        let rows = plan.rows.unwrap_or(usize::MAX).min(plan.upkeep_rows);
        let data = read(Some(rows))?;
        let run = Run {
            server,
            set,
            data: &data,
            plan,
        };
        failures += stages::upkeep(&run, methods, results)?;
    }
    Ok(failures)
}

/// `castmatch-bench report`: the report of the records in a work folder.
pub(crate) fn report(options: &ReportOptions) -> Result<(), Error> {
    let work: &Path = &options.work;
    let results = Results::open(work)?;
    report::write(work, results.all())?;
    println!("{}", work.join("report.md").display());
    Ok(())
}
