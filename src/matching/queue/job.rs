//! A batch at the model: one request for the table's own vectors, one more while the table is switched to another model.

use super::blocked::Blocked;
use super::write::{self, Vectors};
use super::{Row, Work, in_transaction};
use crate::embed::client::{self, EmbedFailure, Request};
use crate::embed::{Embedder, Runner, model_of_table};
use crate::error::{Result, not_in_state};
use crate::matching::attachment::Attachment;
use crate::pg::role::{Restriction, act_as};
use crate::stats::{Operation, timed};
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::retry::Rate;
use castmatch_engine::shared::embedder::Urgency;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Rows whose texts the model has.
pub struct Job {
    work: Work,
    /// `None` if the table is switched away from a model that is not there any more.
    own: Option<Ask>,
    next: Option<Ask>,
    begun: Instant,
}

/// What a model was asked.
struct Ask {
    model: Embedder,
    request: Request,
}

/// Why a model cannot be used at all, and when to try again; the rows stay queued.
struct Unusable {
    model: Embedder,
    message: String,
    retry_after: Option<Duration>,
    /// Whether it is another version of the model than the table's.
    is_other: bool,
    /// Whether it is not even known which model is meant: `model` stands for none then.
    is_unknown: bool,
}

impl Unusable {
    fn new(model: Embedder, failure: EmbedFailure) -> Self {
        let retry_after = match &failure {
            EmbedFailure::Unavailable { retry_after, .. } => *retry_after,
            EmbedFailure::Texts(_) => None,
        };
        Self {
            model,
            message: ErrorReport::from(failure).message().to_owned(),
            retry_after,
            is_other: false,
            is_unknown: false,
        }
    }
}

impl Ask {
    /// Hands texts to a model of the given version: no column may hold vectors of two.
    fn new(table: &Attachment, model: &str, version: &str, texts: &[&str]) -> Result<Self, Unusable> {
        let name = resolve(table, model).map_err(|report| Unusable {
            is_unknown: true,
            ..Unusable::new(Embedder::builtin(), report.into())
        })?;
        let unusable = |failure| Unusable::new(name.clone(), failure);
        let version_now = client::version_text(&name).map_err(|report| unusable(report.into()))?;
        if version_now != version {
            let is_other = true;
            let unusable = unusable(other_version(table, model).into());
            return Err(Unusable { is_other, ..unusable });
        }
        let request = submit(table, &name, texts).map_err(unusable)?;
        Ok(Self { model: name, request })
    }

    /// A vector for each of the rows that has a text.
    fn wait<'a>(self, table: &Attachment, rows: impl Iterator<Item = &'a Row>) -> Result<Vectors, Unusable> {
        let Self { model, request } = self;
        match request.wait() {
            Ok(vectors) => {
                let mut vectors = vectors.into_iter();
                Ok(rows
                    .map(|row| Ok(row.text.as_ref().and_then(|_| vectors.next())))
                    .collect())
            }
            // One text is to blame: find out which.
            Err(EmbedFailure::Texts(_)) => rows.map(|row| embed_row(table, &model, row)).collect(),
            Err(failure) => Err(Unusable::new(model, failure)),
        }
    }
}

/// The error for a model whose files are not those that a table's vectors are from. Looks nothing up: there may be no transaction.
pub fn other_version(table: &Attachment, model: &str) -> ErrorReport {
    not_in_state(format!(
        "model \"{model}\" is not the one that the vectors of table \"{}\" are from: its files have changed",
        table.bare_name
    ))
    .set_detail("Vectors of two models cannot be compared.")
    .set_hint("Run castmatch.reembed for the table, or put the model's former files back.")
}

/// The model that a table names; a registered one is looked up as the table's owner, who pays for it.
fn resolve(table: &Attachment, model: &str) -> Result<Embedder> {
    if model == BUILTIN {
        return Ok(Embedder::builtin());
    }
    in_transaction(|_| act_as(table.owner, Restriction::LocalChange, || model_of_table(model)))
}

/// Hands texts to a model. What a server elsewhere needs is read in a transaction, which ends before the model is waited for.
fn submit(table: &Attachment, model: &Embedder, texts: &[&str]) -> Result<Request, EmbedFailure> {
    let submit = || client::submit(model, texts, Urgency::Background);
    match model.runner {
        Runner::Local(_) => submit(),
        Runner::Remote(_) => in_transaction(|_| Ok(act_as(table.owner, Restriction::LocalChange, submit)))?,
    }
}

fn embed_row(
    table: &Attachment,
    model: &Embedder,
    row: &Row,
) -> Result<Result<Option<Vec<f32>>, String>, Unusable> {
    let Some(text) = row.text.as_deref() else {
        return Ok(Ok(None));
    };
    match submit(table, model, &[text]).and_then(Request::wait) {
        Ok(mut vectors) => Ok(Ok(vectors.pop())),
        Err(EmbedFailure::Texts(report)) => {
            let detail = report
                .detail()
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            Ok(Err(format!("{}{detail}", report.message())))
        }
        Err(failure) => Err(Unusable::new(model.clone(), failure)),
    }
}

impl Job {
    /// Hands the rows' texts to the model. Rows whose model cannot be used stay queued, and their table blocked for a while.
    pub fn submit(work: Work, blocked: &mut Blocked) -> Option<Self> {
        match Self::ask(&work) {
            Ok((own, next)) => Some(Self {
                work,
                own,
                next,
                begun: Instant::now(),
            }),
            Err(unusable) => {
                note_unusable(&work, unusable, blocked);
                None
            }
        }
    }

    fn ask(work: &Work) -> Result<(Option<Ask>, Option<Ask>), Unusable> {
        let table = &work.attachment;
        let texts = |of: fn(&Row) -> bool| -> Vec<&str> {
            let rows = work.rows.iter().filter(|row| of(row));
            rows.filter_map(|row| row.text.as_deref()).collect()
        };
        let asked = Ask::new(
            table,
            &table.model,
            &table.model_version,
            &texts(|row| row.for_own),
        );
        let own = match asked {
            // The switch must not wait for a model that it leaves behind.
            Err(_) if table.next.is_some() => None,
            asked => Some(asked?),
        };
        let next = match &table.next {
            Some(next) => Some(Ask::new(table, &next.model, &next.version, &texts(|_| true))?),
            None => None,
        };
        Ok((own, next))
    }

    /// The table whose rows they are.
    pub fn table(&self) -> pg_sys::Oid {
        self.work.attachment.target
    }

    /// Whether a server elsewhere is asked.
    pub fn is_remote(&self) -> bool {
        let asks = self.own.iter().chain(&self.next);
        asks.into_iter().any(|ask| ask.request.is_remote())
    }

    /// Whether [`Self::finish`] has not to wait.
    pub fn is_done(&mut self) -> bool {
        let mut done = true;
        // All of them are asked, so that each goes on.
        for ask in self.own.iter_mut().chain(&mut self.next) {
            done &= ask.request.is_done();
        }
        done
    }

    /// Entries of the queue that it settles.
    pub fn entries(&self) -> impl Iterator<Item = i64> {
        self.work.rows.iter().flat_map(|row| row.entries.iter().copied())
    }

    /// Waits for the vectors and writes them.
    ///
    /// # Errors
    /// As the statements on castmatch's own tables raise them.
    pub fn finish(self, blocked: &mut Blocked, rates: &mut HashMap<pg_sys::Oid, Rate>) -> Result<()> {
        let Self {
            work,
            own,
            next,
            begun,
        } = self;
        let given = || {
            let own = own.map(|own| own.wait(&work.attachment, work.rows.iter().filter(|row| row.for_own)));
            let next = next.map(|next| next.wait(&work.attachment, work.rows.iter()));
            Ok((own.transpose()?, next.transpose()?))
        };
        let (own, next) = match given() {
            Ok(given) => given,
            Err(unusable) => {
                note_unusable(&work, unusable, blocked);
                return Ok(());
            }
        };
        let target = work.attachment.target;
        blocked.clear(target);
        let rate = rates.entry(target).or_default();
        rate.note(work.rows.len(), begun, Instant::now());
        let per_second = rate.per_second();
        timed(Operation::Sync, || {
            in_transaction(|session| write::write(session, &work, own.as_ref(), next.as_ref(), per_second))
        })
    }
}

fn note_unusable(work: &Work, unusable: Unusable, blocked: &mut Blocked) {
    pgrx::log!("castmatch: rows wait for their embedding: {}", unusable.message);
    let Unusable {
        model,
        retry_after,
        is_other,
        is_unknown,
        ..
    } = unusable;
    blocked.note(
        work.attachment.target,
        model,
        retry_after,
        !is_other && !is_unknown,
    );
}
