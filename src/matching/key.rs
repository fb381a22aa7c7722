//! What names a row of an attached table: one column, or several.
//!
//! As text, as `match` returns it and the queue keeps it, a key of one column is the value's text and one of several columns a JSON
//! array of their texts. Rows are looked up by the columns' own types and by the equality of the unique index that makes the key one.

use crate::error::{Result, internal, invalid_argument};
use crate::pg::spi::{Session, quote_identifier};
use crate::pg::value::Value;
use pgrx::pg_sys;

/// Columns of a key, each with its array type and its operator of equality, in the order of the key.
const COLUMNS_SQL: &str = "
    SELECT k.name::text, t.typarray,
           pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) o.oprname::text
    FROM pg_catalog.unnest($2) WITH ORDINALITY AS k (name, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) k.name::pg_catalog.name
        AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
    LEFT JOIN LATERAL (
        SELECT m.amopopr
        FROM pg_catalog.pg_index i
        CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]), pg_catalog.unnest(i.indclass::pg_catalog.oid[]))
            AS p (attribute, class)
        JOIN pg_catalog.pg_opclass c ON c.oid OPERATOR(pg_catalog.=) p.class
        JOIN pg_catalog.pg_amop m ON m.amopfamily OPERATOR(pg_catalog.=) c.opcfamily
            AND m.amoplefttype OPERATOR(pg_catalog.=) c.opcintype AND m.amoprighttype OPERATOR(pg_catalog.=) c.opcintype
            AND m.amopstrategy OPERATOR(pg_catalog.=) 3
        WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND p.attribute OPERATOR(pg_catalog.=) a.attnum
        ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) e ON true
    LEFT JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) e.amopopr
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
    ORDER BY k.place";

/// One column of a key.
#[derive(Clone, Debug)]
struct KeyColumn {
    /// Name, quoted.
    name: String,
    array_type: pg_sys::Oid,
    /// Equality with its schema.
    equality: String,
}

/// The columns that name a row.
#[derive(Clone, Debug)]
pub struct Key {
    columns: Vec<KeyColumn>,
}

impl Key {
    /// The key of these columns.
    ///
    /// # Errors
    /// XX000 if a column does not exist.
    pub fn load(session: &Session, table: pg_sys::Oid, names: &[String]) -> Result<Self> {
        let rows = session.run(COLUMNS_SQL, &[Value::oid(table), Value::of(names.to_vec())])?;
        if rows.len() != names.len() || names.is_empty() {
            return Err(internal(format!(
                "{} of {} key columns exist",
                rows.len(),
                names.len()
            )));
        }
        let columns = (0..rows.len())
            .map(|row| {
                Ok(KeyColumn {
                    name: quote_identifier(&rows.require::<String>(row, 1)?),
                    array_type: rows.require(row, 2)?,
                    // Without its unique index a key may still be searched by.
                    equality: rows
                        .get::<String>(row, 3)?
                        .unwrap_or_else(|| "pg_catalog.=".to_owned()),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// The key's text as an SQL expression over a table alias.
    pub fn text(&self, alias: &str) -> String {
        match self.columns.as_slice() {
            [column] => format!("{alias}.{}::text", column.name),
            columns => {
                let texts: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{alias}.{}::text", column.name))
                    .collect();
                format!("pg_catalog.to_json(ARRAY[{}])::text", texts.join(", "))
            }
        }
    }

    /// The key's columns over a table alias, for ORDER BY.
    pub fn columns(&self, alias: &str) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{alias}.{}", column.name))
            .collect();
        columns.join(", ")
    }

    /// How many columns, and so parameters, a key has.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Keys as parameters: one array for each column.
    ///
    /// # Errors
    /// 22023 for a key that is not one of this table; a value that its column's type refuses raises the type's error.
    pub fn arrays(&self, keys: &[String]) -> Result<Vec<Value>> {
        let mut values: Vec<Vec<String>> = vec![Vec::with_capacity(keys.len()); self.columns.len()];
        for key in keys {
            for (column, part) in values.iter_mut().zip(parts(key, self.columns.len())?) {
                column.push(part);
            }
        }
        self.columns
            .iter()
            .zip(&values)
            .map(|(column, values)| {
                if column.array_type == pg_sys::InvalidOid {
                    return Err(internal(format!(
                        "the type of key column {} has no array type",
                        column.name
                    )));
                }
                Value::parse(
                    column.array_type,
                    &castmatch_engine::filter::array_literal(values),
                )
            })
            .collect()
    }

    /// The keys of [`Self::arrays`], bound from parameter `first` on, as an item of FROM: `k`, with the columns `c1`, `c2`… and `place`
    /// from 1.
    pub fn unnest(&self, first: usize) -> String {
        let (arrays, columns) = self.arguments(first);
        format!("ROWS FROM ({arrays}) WITH ORDINALITY AS k ({columns}, place)")
    }

    /// As [`Self::unnest`], with one more array, the column `value`, in the parameter after those of the key.
    pub fn unnest_with_value(&self, first: usize) -> String {
        let (arrays, columns) = self.arguments(first);
        let value = first + self.len();
        format!(
            "ROWS FROM ({arrays}, pg_catalog.unnest(${value})) WITH ORDINALITY AS k ({columns}, value, place)"
        )
    }

    fn arguments(&self, first: usize) -> (String, String) {
        let numbers = 0..self.columns.len();
        let arrays: Vec<String> = numbers
            .clone()
            .map(|number| format!("pg_catalog.unnest(${})", first + number))
            .collect();
        let columns: Vec<String> = numbers.map(|number| format!("c{}", number + 1)).collect();
        (arrays.join(", "), columns.join(", "))
    }

    /// The condition that a row of the alias has the key of `k`.
    pub fn joined(&self, alias: &str) -> String {
        let conditions: Vec<String> = self
            .columns
            .iter()
            .zip(1..)
            .map(|(column, number)| {
                format!(
                    "{alias}.{} OPERATOR({}) k.c{number}",
                    column.name, column.equality
                )
            })
            .collect();
        conditions.join(" AND ")
    }
}

/// The text of a key of these columns' texts.
pub fn from_parts(parts: Vec<String>) -> String {
    match <[String; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => serde_json::Value::from(parts).to_string(),
    }
}

/// The texts of a key's columns.
fn parts(key: &str, columns: usize) -> Result<Vec<String>> {
    if columns == 1 {
        return Ok(vec![key.to_owned()]);
    }
    let wrong = || {
        invalid_argument(format!("\"{key}\" is not a key of {columns} columns")).set_hint(
            "Such a key is a JSON array of the columns' texts, like [\"1\",\"a\"], as match returns it.",
        )
    };
    let parts: Vec<String> = serde_json::from_str(key).map_err(|_| wrong())?;
    if parts.len() == columns {
        Ok(parts)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_of_several_columns_comes_back_from_its_text() {
        let sent = vec!["1".to_owned(), "a \"quoted\"\\ {x}".to_owned()];
        let text = from_parts(sent.clone());
        assert_eq!(text, r#"["1","a \"quoted\"\\ {x}"]"#);
        assert_eq!(parts(&text, 2).unwrap(), sent);
        assert_eq!(from_parts(vec!["[1]".to_owned()]), "[1]");
        assert_eq!(parts("[1]", 1).unwrap(), ["[1]"]);
    }
}
