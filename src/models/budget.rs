//! Budgets: what a role and its members may spend in a day or a month.

use crate::error::{Result, error};
use crate::models::registry::as_owner;
use crate::pg::role;
use crate::pg::spi::Access;
use crate::pg::value::Value;
use pgrx::prelude::*;

/// Spent budgets that hold for a role, the one that it is said first.
const SPENT_SQL: &str = "
    SELECT b.role::pg_catalog.text, b.period, b.max_cost::pg_catalog.float8, b.max_tokens, b.cost::pg_catalog.float8, b.tokens
    FROM castmatch.budget_entries b
    WHERE castmatch.counts_for($1::pg_catalog.oid::pg_catalog.regrole, b.role)
      AND (b.cost OPERATOR(pg_catalog.>=) b.max_cost OR b.tokens OPERATOR(pg_catalog.>=) b.max_tokens)
    ORDER BY b.role, b.period LIMIT 1";

/// Refuses a call of a model if a budget of the current role is spent.
///
/// # Errors
/// 53400 with the sums.
pub fn check() -> Result<()> {
    let role = role::current();
    as_owner(Access::ReadOnly, |session| {
        let any = session.run("SELECT FROM castmatch.budget_limits LIMIT 1", &[])?;
        if any.is_empty() {
            return Ok(());
        }
        let spent = session.run(SPENT_SQL, &[Value::oid(role)])?;
        if spent.is_empty() {
            return Ok(());
        }
        let (name, period): (String, String) = (spent.require(0, 1)?, spent.require(0, 2)?);
        let (max_cost, max_tokens) = (spent.get::<f64>(0, 3)?, spent.get::<i64>(0, 4)?);
        let (cost, tokens) = (spent.require::<f64>(0, 5)?, spent.require::<i64>(0, 6)?);
        let sums = match (max_cost, max_tokens) {
            (Some(most), _) if cost >= most => format!("{cost:.6} of {most:.6} spent"),
            (_, most) => format!("{tokens} of {} tokens used", most.unwrap_or_default()),
        };
        Err(error(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            format!("the budget of role {name} for the {period} is spent"),
        )
        .set_detail(format!("It is {sums}."))
        .set_hint("castmatch.budgets shows the budgets; the model \"builtin\" costs nothing."))
    })
}
