//! The column of an index, and whether its pages are those of it.

use super::keys::Keys;
use super::{index_error, opclass};
use crate::error::{Result, invalid_argument};
use crate::pg::relation::Relation;
use castmatch_engine::index::key::KeyKinds;
use castmatch_engine::index::{ElementKind, IndexError, Metric};

/// The block of the meta page.
const META_BLOCK: u32 = 0;

/// The dimensions of the column of an index that is to be built.
///
/// # Errors
/// 22023 for a column without.
pub fn dimensions(index: Relation, element: ElementKind) -> Result<u32> {
    let (_, typmod) = index.first_column_type();
    u32::try_from(typmod).ok().filter(|&dims| dims > 0).ok_or_else(|| {
        let name = element.type_name();
        invalid_argument("column does not have dimensions").set_hint(format!(
            "Give the column's type its number of dimensions, as in {name}(384), or index the expression (column::{name}(384))."
        ))
    })
}

/// Holds what the meta page says - metric, element type, dimensions, filter columns - against the catalogs, which know it independently.
/// Returns the filter columns.
///
/// # Errors
/// XX002 where they differ.
pub fn check(
    relation: Relation,
    method: &str,
    (metric, element, dims): (Metric, ElementKind, u32),
    kinds: KeyKinds,
) -> Result<Keys> {
    let corrupt = |what| {
        index_error(
            relation,
            IndexError::Corrupt {
                block: META_BLOCK,
                what,
            },
        )
    };
    let class = opclass::of(relation)?;
    let keys = Keys::of(relation, method)?;
    // A column that has lost its type modifier says nothing of dimensions.
    let (_, typmod) = relation.first_column_type();
    let known_dims = u32::try_from(typmod).ok().filter(|&dims| dims > 0);
    if metric != class.metric || element != class.element || known_dims.is_some_and(|known| known != dims) {
        return Err(corrupt("metric, type or dimensions are not those of the column"));
    }
    if kinds != keys.kinds() {
        return Err(corrupt("filter columns are not those of the index"));
    }
    Ok(keys)
}
