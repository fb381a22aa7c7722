//! The rows of the table on their way into an index.

use crate::am::keys::Keys;
use crate::am::value::ColumnValue;
use crate::pg::array::ReportError;
use crate::pg::index::{Columns, TableRow};
use crate::pg::memory::RowMemory;
use crate::pg::{varlena, xact};
use castmatch_engine::index::key::RowKeys;
use castmatch_engine::index::quantize::Rankable;
use castmatch_engine::index::value::Value;
use castmatch_engine::index::{ElementKind, HeapTid, hnsw, ivf};
use core::marker::PhantomData;

/// How an index transforms vectors before they are coded.
pub trait Transform {
    /// The type of the column.
    fn element(&self) -> ElementKind;

    /// Dimensions of the column.
    fn dims(&self) -> usize;

    /// Dimensions of a transformed vector.
    fn coded_dims(&self) -> usize;

    /// Transforms a vector.
    fn transform(&self, value: &impl Value, out: &mut [f32]) -> Rankable;
}

impl Transform for hnsw::Index {
    fn element(&self) -> ElementKind {
        self.element
    }

    fn dims(&self) -> usize {
        self.dims as usize
    }

    fn coded_dims(&self) -> usize {
        self.quantizer.dims()
    }

    fn transform(&self, value: &impl Value, out: &mut [f32]) -> Rankable {
        hnsw::Index::transform(self, value, out)
    }
}

impl Transform for ivf::Index {
    fn element(&self) -> ElementKind {
        self.options.element
    }

    fn dims(&self) -> usize {
        self.options.dims as usize
    }

    fn coded_dims(&self) -> usize {
        self.layout.dims
    }

    fn transform(&self, value: &impl Value, out: &mut [f32]) -> Rankable {
        ivf::Index::transform(self, value, out)
    }
}

/// Turns rows of the table into what the engine indexes.
pub struct Reader<'a, I: Transform, V: ColumnValue> {
    index: &'a I,
    keys: Option<&'a Keys>,
    transformed: Vec<f32>,
    memory: RowMemory,
    value: PhantomData<V>,
}

impl<'a, I: Transform, V: ColumnValue> Reader<'a, I, V> {
    /// For an index with these parameters. Without `keys` rows come with none.
    pub fn new(index: &'a I, keys: Option<&'a Keys>) -> Self {
        Self {
            index,
            keys,
            transformed: vec![0.0; index.coded_dims()],
            memory: RowMemory::new(),
            value: PhantomData,
        }
    }

    /// Gives back the memory of rows.
    pub fn close(self) {
        self.memory.delete();
    }

    /// Hands the transformed vector of a row and its keys to `take`; nothing for a vector that is NULL.
    pub fn read<R>(
        &mut self,
        row: TableRow<'_>,
        take: impl FnOnce(&[f32], Rankable, &RowKeys, HeapTid) -> R,
    ) -> Option<R> {
        row.columns.get(0)?;
        let tid = HeapTid {
            block: row.block,
            offset: row.offset,
        };
        let (index, keys, transformed) = (self.index, self.keys, &mut self.transformed);
        self.memory.with(|| {
            let (value, keys) = if row.alive {
                read_values::<V>(row.columns, keys)?
            } else {
                read_dead_values::<V>(row.columns, keys)?
            };
            if value.dims() != index.dims() {
                V::mismatch(index.dims(), value.dims()).report_error();
            }
            let rankable = index.transform(&value, transformed);
            Some(take(transformed, rankable, &keys, tid))
        })
    }
}

/// The vector of a row, none if it is NULL, and its keys.
fn read_values<V: ColumnValue>(row: Columns<'_>, keys: Option<&Keys>) -> Option<(V, RowKeys)> {
    let datum = row.get(0)?;
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    #[allow(unsafe_code)]
    let value = unsafe { V::from_datum(datum) };
    let keys = keys.map_or_else(|| Ok(RowKeys::new(0)), |keys| keys.encode(row));
    match value.and_then(|value| keys.map(|keys| (value, keys))) {
        Ok(values) => Some(values),
        Err(report) => report.report_error(),
    }
}

/// The same of a row that is deleted but may be visible to an old snapshot. If its TOAST chunks are gone, vacuum has found meanwhile that
/// no snapshot can see it: none.
fn read_dead_values<V: ColumnValue>(row: Columns<'_>, keys: Option<&Keys>) -> Option<(V, RowKeys)> {
    // SAFETY: a non-NULL value of a varlena type.
    #[allow(unsafe_code)]
    let outside = unsafe { varlena::is_stored_outside(row.get(0)?) };
    if !outside && !keys.is_some_and(|keys| keys.any_stored_outside(row)) {
        return read_values(row, keys);
    }
    xact::in_subtransaction(|| Ok(read_values(row, keys)))
        .ok()
        .flatten()
}
