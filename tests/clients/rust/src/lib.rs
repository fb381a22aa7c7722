//! What the programs are given (the JSON of ../dataset.py, named by CLIENTS_DATASET), as values of pgvector's crate.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

use pgvector::{Bit, HalfVector, SparseVector, Vector};
use serde::Deserialize;

/// What a program ends with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The table that all programs work on.
#[derive(Deserialize)]
pub struct Given {
    /// The access method of graph indexes.
    pub graph_method: String,
    sparse_dimensions: i32,
    /// Its columns after id and category.
    pub columns: Vec<Column>,
    rows: Vec<RawRow>,
}

/// A column.
#[derive(Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type with the number of dimensions.
    #[serde(rename = "type")]
    pub sql_type: String,
    query: serde_json::Value,
    /// Its operators.
    pub metrics: Vec<Metric>,
    /// Whether graph indexes have operator classes for it.
    pub in_graphs: bool,
}

/// A distance.
#[derive(Deserialize)]
pub struct Metric {
    /// The operator.
    pub operator: String,
    /// The operator class that orders by it.
    pub opclass: String,
}

#[derive(Deserialize)]
struct RawRow {
    id: i64,
    category: i32,
    dense: Vec<f32>,
    half: Vec<f32>,
    sparse: BTreeMap<i32, f32>,
    bits: String,
}

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Its key.
    pub id: i64,
    /// What rows are filtered by.
    pub category: Option<i32>,
    /// 32-bit elements.
    pub dense: Option<Vector>,
    /// 16-bit elements.
    pub half: Option<HalfVector>,
    /// Elements that are not zero.
    pub sparse: Option<SparseVector>,
    /// Bits.
    pub bits: Option<Bit>,
}

/// A value of one of the columns.
pub enum Value {
    /// 32-bit elements.
    Dense(Vector),
    /// 16-bit elements.
    Half(HalfVector),
    /// Elements that are not zero.
    Sparse(SparseVector),
    /// Bits.
    Bits(Bit),
}

/// Reads the file that CLIENTS_DATASET names.
///
/// # Errors
/// There is no such file, or it holds something else.
pub fn given() -> Outcome<Given> {
    Ok(serde_json::from_slice(&std::fs::read(std::env::var(
        "CLIENTS_DATASET",
    )?)?)?)
}

impl Given {
    /// The rows, as values of pgvector's crate.
    pub fn rows(&self) -> Vec<Row> {
        let row = |raw: &RawRow| Row {
            id: raw.id,
            category: Some(raw.category),
            dense: Some(Vector::from(raw.dense.clone())),
            half: Some(HalfVector::from_f32_slice(&raw.half)),
            sparse: Some(self.sparse(&raw.sparse)),
            bits: Some(bits(&raw.bits)),
        };
        self.rows.iter().map(row).collect()
    }

    /// What the rows of a column are compared with.
    ///
    /// # Errors
    /// The column has a name that this program does not know.
    pub fn query(&self, column: &Column) -> Outcome<Value> {
        let query = column.query.clone();
        Ok(match column.name.as_str() {
            "dense" => Value::Dense(Vector::from(serde_json::from_value::<Vec<f32>>(query)?)),
            "half" => Value::Half(HalfVector::from_f32_slice(&serde_json::from_value::<Vec<f32>>(
                query,
            )?)),
            "sparse" => Value::Sparse(self.sparse(&serde_json::from_value(query)?)),
            "bits" => Value::Bits(bits(&serde_json::from_value::<String>(query)?)),
            name => return Err(format!("no column {name}").into()),
        })
    }

    fn sparse(&self, elements: &BTreeMap<i32, f32>) -> SparseVector {
        SparseVector::from_map(elements, self.sparse_dimensions)
    }

    /// CREATE TABLE with a column of each type.
    pub fn create_table(&self, name: &str) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.sql_type));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("CREATE TABLE {name} (id bigint PRIMARY KEY, category integer, {columns})")
    }
}

/// A bit string from a text of zeros and ones.
pub fn bits(text: &str) -> Bit {
    Bit::new(&text.chars().map(|digit| digit == '1').collect::<Vec<_>>())
}

/// Prints one line of what is compared.
pub fn show(label: &str, things: impl Debug) {
    println!("{label}: {things:?}");
}

/// The lines of a plan that name a scan.
pub fn scans(plan: impl IntoIterator<Item = String>) -> Vec<String> {
    let named = |line: String| {
        line.contains("Scan")
            .then(|| line.trim_start_matches([' ', '-', '>']).to_owned())
    };
    plan.into_iter().filter_map(named).collect()
}
