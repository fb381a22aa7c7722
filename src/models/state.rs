//! What all processes know of a model: whether its server is left alone for a while.

use crate::error::Result;
use crate::guc;
use crate::models::registry;
use crate::pg::catalog;
use crate::pg::clock::monotonic_ms;
use crate::pg::spi::Access;
use crate::shared::shared;
use castmatch_engine::registry::{Definition, Provider};
use castmatch_engine::shared::breaker::{Breakers, Policy};
use pgrx::prelude::*;

/// The breakers, if there is shared memory for them.
pub fn breakers() -> Option<&'static Breakers> {
    shared().ok().map(|shared| &shared.breakers)
}

/// The number of a model's breaker: another one when it is reached in another way.
pub fn breaker_key(definition: &Definition, database: u32) -> u64 {
    // Never 0, which is no key.
    (definition.address() ^ u64::from(database).rotate_left(32)) | 1
}

/// When breakers open and for how long.
pub fn policy() -> Policy {
    Policy {
        failures: guc::breaker_failures(),
        open: guc::breaker_open(),
    }
}

/// Whether calls of a model go through: `closed`, `open` or `half-open`; NULL for one that needs no network.
#[pg_extern(sql = false)]
fn model_breaker(name: Option<&str>) -> Result<Option<String>> {
    let Some(name) = name else { return Ok(None) };
    let Some(stored) = registry::find(name, Access::ReadOnly)? else {
        return Ok(None);
    };
    if stored.definition.provider == Provider::Builtin || !stored.usable {
        return Ok(None);
    }
    let key = breaker_key(&stored.definition, catalog::my_database().to_u32());
    let (state, _) = shared()?.breakers.state(key, monotonic_ms());
    Ok(Some(state.name().to_owned()))
}
