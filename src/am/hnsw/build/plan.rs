//! What is to be built: the options, the operator class and the column, checked.

use crate::am::hnsw::METHOD;
use crate::am::hnsw::options;
use crate::am::keys::Keys;
use crate::am::opclass::{self, OpClass};
use crate::am::{column, index_error};
use crate::error::{Result, error, invalid_argument};
use crate::pg::random;
use crate::pg::relation::Relation;
use castmatch_engine::bisect::largest_fitting;
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::quantize::CodeBits;
use castmatch_engine::index::{ElementKind, IndexError};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The seed of rotation and levels: the same for every index, so that the same rows give the same index.
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
    /// 22023 for options or a column that make no sense.
    pub fn of(index: Relation) -> Result<Self> {
        let class = opclass::of(index)?;
        let keys = Keys::of(index, METHOD)?;
        keys.check(index, METHOD)?;
        let given = options::of(index)?;
        let dims = column::dimensions(index, class.element)?;
        if class.element == ElementKind::Bit && given.code_bits.is_some() {
            return Err(invalid_argument(format!(
                "code_bits does not apply to index \"{}\" of bits: they are the code",
                index.name()
            ))
            .set_hint("Leave it out."));
        }
        let bits = given
            .code_bits
            .unwrap_or_else(|| CodeBits::default_for(class.metric, class.element.coded_dims(dims) as usize));
        Ok(Self {
            class,
            options: IndexOptions {
                metric: class.metric,
                element: class.element,
                bits,
                dims,
                m: given.m,
                ef_construction: given.ef_construction,
                seed: SEED,
                build_id: random::number(),
                keys: keys.kinds(),
            },
            keys,
        })
    }

    /// The parameters of the index with this centre.
    ///
    /// # Errors
    /// 54000 for more dimensions than a page has room for.
    pub fn index(&self, relation: Relation, center: Vec<f32>) -> Result<Index> {
        Index::new(&self.options, center).map_err(|failure| match failure {
            IndexError::Limit { .. } => self.too_many_dimensions(),
            failure => index_error(relation, failure),
        })
    }

    fn too_many_dimensions(&self) -> ErrorReport {
        let IndexOptions { dims, m, .. } = self.options;
        let fits = |dims: u32| Index::new(&IndexOptions { dims, ..self.options }, Vec::new()).is_ok();
        let most = largest_fitting(dims, fits);
        error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("column has {dims} dimensions, a castmatch_hnsw index with these options can have at most {most}"),
        )
        .set_detail(match self.options.keys.count() {
            0 => format!("The code of a vector and its {} neighbours must fit on one page.", 2 * m),
            columns => format!(
                "The code of a vector, its {} neighbours and its {columns} filter columns must fit on one page.",
                2 * m
            ),
        })
        // A build does not know whether its statement gives the options or an earlier one has, by ALTER INDEX.
        .set_hint(if matches!(self.options.bits, CodeBits::Four | CodeBits::One) {
            "Use a smaller m; an index that exists takes it from ALTER INDEX ... SET (m = ...) or RESET (m)."
        } else {
            "Use a smaller m or code_bits = 4; an index that exists takes them from ALTER INDEX ... SET (...) or RESET (m, code_bits)."
        })
    }
}
