//! Results of searches in the caches: whose key they stand under, and when that is allowed at all.
//!
//! docs/design/caches.md proves that a cached result is one that the calling query would get.

use crate::cache::{self, Computed, Usage, epoch, session as context};
use crate::error::{Result, internal};
use crate::matching::attachment::Attachment;
use crate::matching::legs::BoundFilter;
use crate::matching::rank::{Query, Search};
use crate::matching::versions;
use crate::pg::relation::OpenTables;
use crate::pg::role::{may_select_all, may_use_schema_of};
use crate::pg::snapshot::with_latest;
use crate::pg::spi::{Access, session};
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::key::Key;
use castmatch_engine::fusion::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::time::Duration;

/// Where a result stands in the caches.
pub struct Place {
    /// Its key.
    pub key: Key,
    /// The epoch of its table.
    pub epoch: u64,
}

/// The place of a result about an attached table, before what was asked; `None` if it is not certain that a cached one is what the
/// calling query would get.
///
/// # Errors
/// As the catalog queries raise them.
pub fn place(kind: Kind, attachment: &Attachment) -> Result<Option<Place>> {
    let target = attachment.target;
    // Locked as the search itself would, and as long: nobody changes the table's definition meanwhile.
    let table = OpenTables::lock(target, attachment.is_partitioned);
    // The triggers have not fired yet for a statement that is under way.
    if table.has_row_security() || table.are_written_by_us() {
        return Ok(None);
    }
    let Some(epoch) = epoch::current(target) else {
        return Ok(None);
    };
    // What is known of a table ends with its own changes, not with those of its partitions.
    let versions = if attachment.is_partitioned {
        with_latest(|| session(Access::ReadOnly, |session| versions::read(session, target)))?
    } else {
        attachment.versions.clone()
    };
    let may_read = may_select_all(target) && may_use_schema_of(target);
    let Some(versions) = versions.filter(|_| may_read) else {
        return Ok(None);
    };
    let key = context::key(kind, target)
        .with(versions.as_bytes())
        .with(&table.shape())
        .with_number(attachment.estimated_rows.to_bits());
    Ok(Some(Place { key, epoch }))
}

/// The place of the result of a search.
///
/// # Errors
/// As for [`place`].
pub fn of_search(attachment: &Attachment, search: &Search, filter: &BoundFilter) -> Result<Option<Place>> {
    let json = |value: Option<&Json>| value.map(Json::to_string);
    let needs_model = search.mode != Mode::Text && search.query.text().is_some();
    // What is wrong with the result is said each time that it is asked for.
    if needs_model && attachment.is_of_other_version()? {
        return Ok(None);
    }
    let place = place(Kind::Match, attachment)?;
    Ok(place.map(|place| {
        let key = filter.identify(place.key);
        let key = match search.query {
            Query::Text(text) => key.with_number(0).with(text.as_bytes()),
            Query::Vector(vector) => vector.iter().fold(key.with_number(1), |key, element| {
                key.with_number(u64::from(element.to_bits()))
            }),
            Query::Row(row) => key.with_number(2).with(row.as_bytes()),
        };
        let key = key
            .with_number(search.k as u64)
            // Reasons show the filter's columns, in the words of the caller.
            .with_text(json(search.filter).as_deref())
            .with_text(json(search.prefer).as_deref())
            .with_number(match search.mode {
                Mode::Hybrid => 0,
                Mode::Semantic => 1,
                Mode::Text => 2,
            });
        Place {
            key: search.options.identify(key),
            ..place
        }
    }))
}

/// A result from the caches, with its age, or computed; without a place it is computed. Results are cached as JSON.
///
/// # Errors
/// Those of `compute`.
pub fn through<T: Serialize + DeserializeOwned>(
    kind: Kind,
    place: Option<Place>,
    usage: Usage,
    compute: impl FnOnce() -> Result<T>,
) -> Result<(T, Option<Duration>)> {
    through_if(kind, place, usage, || Ok((compute()?, true)))
}

/// As [`through`]; what is computed says itself whether it may be stored.
///
/// # Errors
/// Those of `compute`.
pub fn through_if<T: Serialize + DeserializeOwned>(
    kind: Kind,
    place: Option<Place>,
    usage: Usage,
    compute: impl FnOnce() -> Result<(T, bool)>,
) -> Result<(T, Option<Duration>)> {
    let Some(place) = place else {
        cache::note_bypass(kind);
        return Ok((compute()?.0, None));
    };
    let mut computed = None;
    let answer = cache::through(&place.key, place.epoch, usage, || {
        let (result, storable) = compute()?;
        let bytes = serde_json::to_vec(&result).ok();
        computed = Some(result);
        Ok(Computed {
            storable: storable && bytes.is_some(),
            bytes: bytes.unwrap_or_default(),
        })
    })?;
    match computed {
        Some(result) => Ok((result, None)),
        None => serde_json::from_slice(&answer.bytes)
            .map(|result| (result, answer.age))
            .map_err(|_| internal("a cached result cannot be read")),
    }
}
