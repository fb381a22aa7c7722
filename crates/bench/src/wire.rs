//! Vectors as the server reads them: the binary format that pgvector and castmatch share, and COPY's.
//!
//! A vector is its dimensions (`i16`), a reserved zero (`i16`) and the elements (`f32`), big-endian.

use std::io::Write;

use bytes::BytesMut;
use postgres::Client;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::Error;
use crate::data::matrix::Matrix;

/// A vector as a parameter.
#[derive(Debug)]
pub(crate) struct Vector<'a>(pub(crate) &'a [f32]);

impl Vector<'_> {
    /// In the binary format.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, std::num::TryFromIntError> {
        let dimensions = i16::try_from(self.0.len())?;
        let mut bytes = Vec::with_capacity(4 + 4 * self.0.len());
        bytes.extend_from_slice(&dimensions.to_be_bytes());
        bytes.extend_from_slice(&0i16.to_be_bytes());
        for value in self.0 {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        Ok(bytes)
    }
}

impl ToSql for Vector<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.bytes()?);
        Ok(IsNull::No)
    }

    // The type is an extension's, so its number is not known here.
    fn accepts(kind: &Type) -> bool {
        kind.name() == "vector"
    }

    to_sql_checked!();
}

/// Copies rows into a table of columns `id` and `embedding`; `id` is the row's number.
pub(crate) fn copy(
    client: &mut Client,
    table: &str,
    base: &Matrix<f32>,
    ids: impl Iterator<Item = usize>,
) -> Result<(), Error> {
    copy_with(client, table, "", base, ids, |_| Vec::new())
}

/// The same with further columns, whose values `more` gives in the binary format of their types.
pub(crate) fn copy_with(
    client: &mut Client,
    table: &str,
    columns: &str,
    base: &Matrix<f32>,
    ids: impl Iterator<Item = usize>,
    more: impl Fn(usize) -> Vec<Vec<u8>>,
) -> Result<(), Error> {
    let comma = if columns.is_empty() { "" } else { ", " };
    let columns = format!("id, embedding{comma}{columns}");
    let rows = ids.map(|id| {
        let mut values = vec![
            i32::try_from(id)?.to_be_bytes().to_vec(),
            Vector(base.row(id)).bytes()?,
        ];
        values.append(&mut more(id));
        Ok(values)
    });
    copy_rows(client, table, &columns, rows)
}

/// Copies rows of values in the binary format of their columns' types.
pub(crate) fn copy_rows(
    client: &mut Client,
    table: &str,
    columns: &str,
    rows: impl Iterator<Item = Result<Vec<Vec<u8>>, Error>>,
) -> Result<(), Error> {
    let mut output = client.copy_in(&format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)"))?;
    output.write_all(b"PGCOPY\n\xff\r\n\0")?;
    // Flags, and the length of the header's extension.
    output.write_all(&[0; 8])?;
    for row in rows {
        let row = row?;
        output.write_all(&i16::try_from(row.len())?.to_be_bytes())?;
        for value in row {
            output.write_all(&i32::try_from(value.len())?.to_be_bytes())?;
            output.write_all(&value)?;
        }
    }
    output.write_all(&(-1i16).to_be_bytes())?;
    output.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Vector;

    #[test]
    fn a_vector_is_its_length_and_its_numbers() {
        let bytes = Vector(&[1.0, -2.0]).bytes().unwrap();
        assert_eq!(bytes, [0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]);
        assert!(Vector(&[0.0; 40_000]).bytes().is_err());
    }
}
