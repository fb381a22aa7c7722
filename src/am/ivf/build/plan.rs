//! What is to be built: the options, the operator class and the column, checked.

use crate::am::ivf::{METHOD, options, serves};
use crate::am::keys::Keys;
use crate::am::opclass::{self, OpClass};
use crate::am::{column, index_error};
use crate::error::{Result, error, unsupported};
use crate::pg::random;
use crate::pg::relation::Relation;
use castmatch_engine::index::ivf::layout::MAX_DIMS;
use castmatch_engine::index::ivf::{Index, IndexOptions};
use castmatch_engine::index::{ElementKind, IndexError};
use pgrx::prelude::*;

/// The seed of rotation and clustering: the same for every index, so that the same rows give the same index.
const SEED: u64 = 0x6361_7374_6d61_7463;

/// What is to be built, from the catalogs.
pub struct Plan {
    /// Metric and element type.
    pub class: OpClass,
    /// The filter columns.
    pub keys: Keys,
    /// The parameters of the index.
    pub options: IndexOptions,
}

impl Plan {
    /// Reads the catalogs' description of an index that is about to be built.
    ///
    /// # Errors
    /// 22023 for options or a column that make no sense, 0A000 for an operator class that the method has no codes for.
    pub fn of(index: Relation) -> Result<Self> {
        let class = opclass::of(index)?;
        if !serves(class) {
            return Err(unsupported(format!(
                "access method \"{METHOD}\" does not support the distance {} of type {}",
                class.metric.name(),
                class.element.type_name()
            ))
            .set_hint("Use castmatch_hnsw for it."));
        }
        let keys = Keys::of(index, METHOD)?;
        keys.check(index, METHOD)?;
        let given = options::of(index)?;
        let dims = column::dimensions(index, class.element)?;
        Ok(Self {
            class,
            options: IndexOptions {
                metric: class.metric,
                element: class.element,
                dims,
                lists: given.lists,
                refine: given.refine,
                seed: SEED,
                build_id: random::number(),
                keys: keys.kinds(),
            },
            keys,
        })
    }

    /// The parameters of the index, without a root.
    ///
    /// # Errors
    /// 54000 for more dimensions than a page has room for.
    pub fn check(&self, relation: Relation) -> Result<Index> {
        Index::new(&self.options, Vec::new()).map_err(|failure| match failure {
            IndexError::Limit { .. } => error(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "column has {} dimensions, a {METHOD} index can have at most {MAX_DIMS}",
                    self.options.dims
                ),
            )
            .set_detail("The centroid of a list must fit on one page.")
            .set_hint(match self.options.element {
                ElementKind::Bit => "Use castmatch_hnsw.",
                _ => "Use castmatch_hnsw, or index a part of the vector: (subvector(column, 1, 4000)::vector(4000)).",
            }),
            failure => index_error(relation, failure),
        })
    }
}
