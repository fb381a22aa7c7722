//! Matrices in files: a header of 32 bytes, then the rows, all little-endian.
//!
//! Header: the magic `castmtrx`, the kind of the numbers (`u32`: 1 = f32, 2 = u32), the columns (`u32`), the rows (`u64`)
//! and 8 bytes of zero. The header is written first and states the final number of rows, so a file that is not
//! finished is known by its length. Written by `prepare`, read by the measurements.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::Error;

const MAGIC: &[u8; 8] = b"castmtrx";
const HEADER: u64 = 32;
/// Bytes of one number of either kind.
const WIDTH: u64 = 4;

/// A number that a matrix holds.
pub(crate) trait Number: Copy + Default {
    /// What the header says.
    const KIND: u32;
    /// From the four bytes of the file.
    fn from_bytes(bytes: [u8; 4]) -> Self;
    /// To the four bytes of the file.
    fn to_bytes(self) -> [u8; 4];
}

impl Number for f32 {
    const KIND: u32 = 1;
    fn from_bytes(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
    fn to_bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }
}

impl Number for u32 {
    const KIND: u32 = 2;
    fn from_bytes(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
    fn to_bytes(self) -> [u8; 4] {
        self.to_le_bytes()
    }
}

/// A matrix in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix<T> {
    columns: usize,
    values: Vec<T>,
}

impl<T: Number> Matrix<T> {
    /// Of whole rows; what is left of an incomplete last row is dropped.
    pub(crate) fn new(columns: usize, mut values: Vec<T>) -> Self {
        let columns = columns.max(1);
        values.truncate(values.len() / columns * columns);
        Self { columns, values }
    }

    /// Numbers of a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.columns
    }

    /// A row; empty if there is none of this number.
    pub(crate) fn row(&self, index: usize) -> &[T] {
        let start = index.saturating_mul(self.columns);
        self.values.get(start..start + self.columns).unwrap_or_default()
    }

    /// All rows in order.
    #[cfg(any(test, feature = "hnsw_rs"))]
    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, T> {
        self.values.chunks_exact(self.columns)
    }

    /// Keeps the first rows only.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows.saturating_mul(self.columns));
    }

    /// Reads a finished file.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        Self::read_first(file, usize::MAX)
    }

    /// Reads at most the first `limit` rows of a finished file.
    pub(crate) fn read_first(file: &Path, limit: usize) -> Result<Self, Error> {
        let fault = |what: &str| format!("{}: {what}", file.display());
        let input = File::open(file).map_err(|error| fault(&error.to_string()))?;
        let length = input.metadata()?.len();
        let mut input = BufReader::with_capacity(1 << 20, input);
        let mut header = [0; HEADER as usize];
        input.read_exact(&mut header)?;
        let (columns, rows) = parse_header::<T>(&header).ok_or_else(|| fault("not a matrix of this kind"))?;
        let expected = rows
            .checked_mul(u64::from(columns) * WIDTH)
            .and_then(|size| size.checked_add(HEADER));
        if expected != Some(length) {
            return Err(fault("is not complete").into());
        }
        let rows = usize::try_from(rows)?.min(limit);
        let mut values: Vec<T> = Vec::new();
        values.try_reserve_exact(rows * columns as usize)?;
        let mut line = vec![0; columns as usize * WIDTH as usize];
        for _ in 0..rows {
            input.read_exact(&mut line)?;
            values.extend(line.as_chunks().0.iter().map(|&bytes| T::from_bytes(bytes)));
        }
        Ok(Self::new(columns as usize, values))
    }

    /// Writes a whole file.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Error> {
        let mut writer = MatrixWriter::open(file, self.columns, self.len(), 0)?;
        writer.append(&self.values)?;
        writer.flush()
    }
}

/// Columns and rows, if the header is one of a matrix of `T`.
fn parse_header<T: Number>(header: &[u8; HEADER as usize]) -> Option<(u32, u64)> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (columns, rest) = rest.split_first_chunk::<4>()?;
    let (rows, _) = rest.split_first_chunk::<8>()?;
    let columns = u32::from_le_bytes(*columns);
    (magic == MAGIC && u32::from_le_bytes(*kind) == T::KIND && columns > 0)
        .then_some((columns, u64::from_le_bytes(*rows)))
}

/// A file that grows row by row.
#[derive(Debug)]
pub(crate) struct MatrixWriter<T> {
    output: BufWriter<File>,
    number: std::marker::PhantomData<T>,
}

impl<T: Number> MatrixWriter<T> {
    /// Opens a file that is to have `rows` rows in the end and has `present` now; what is beyond these is cut off.
    pub(crate) fn open(file: &Path, columns: usize, rows: usize, present: usize) -> Result<Self, Error> {
        let mut output = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(file)?;
        let size = HEADER + present as u64 * columns as u64 * WIDTH;
        if present > 0 && output.metadata()?.len() < size {
            return Err(format!("{} is shorter than its progress says", file.display()).into());
        }
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&T::KIND.to_le_bytes());
        header.extend_from_slice(&u32::try_from(columns)?.to_le_bytes());
        header.extend_from_slice(&(rows as u64).to_le_bytes());
        header.resize(HEADER as usize, 0);
        output.write_all(&header)?;
        output.set_len(size)?;
        output.seek(SeekFrom::Start(size))?;
        Ok(Self {
            output: BufWriter::with_capacity(1 << 20, output),
            number: std::marker::PhantomData,
        })
    }

    /// Adds numbers at the end.
    pub(crate) fn append(&mut self, values: &[T]) -> Result<(), Error> {
        for &value in values {
            self.output.write_all(&value.to_bytes())?;
        }
        Ok(())
    }

    /// Hands everything to the file.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.output.flush()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Matrix, MatrixWriter};
    use crate::scratch::Folder;

    #[test]
    fn what_is_written_is_read() {
        let folder = Folder::new("matrix");
        let file = folder.path().join("m.f32");
        let matrix = Matrix::new(3, vec![1.0f32, -2.5, 3e-9, 4.0, 5.0, f32::MAX]);
        matrix.write(&file).unwrap();
        assert_eq!(Matrix::<f32>::read(&file).unwrap(), matrix);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 32 + 24);
        let first = Matrix::<f32>::read_first(&file, 1).unwrap();
        assert_eq!((first.len(), first.row(0)), (1, &[1.0, -2.5, 3e-9][..]));
        assert!(first.row(1).is_empty());
        assert!(
            Matrix::<u32>::read(&file)
                .unwrap_err()
                .to_string()
                .contains("kind")
        );
    }

    #[test]
    fn an_unfinished_file_is_refused_and_goes_on_where_it_stood() {
        let folder = Folder::new("unfinished");
        let file = folder.path().join("m.u32");
        let mut writer = MatrixWriter::<u32>::open(&file, 2, 3, 0).unwrap();
        writer.append(&[1, 2, 3, 4, 99]).unwrap();
        writer.flush().unwrap();
        assert!(
            Matrix::<u32>::read(&file)
                .unwrap_err()
                .to_string()
                .contains("complete")
        );
        assert!(MatrixWriter::<u32>::open(&file, 2, 3, 3).is_err());
        let mut writer = MatrixWriter::<u32>::open(&file, 2, 3, 2).unwrap();
        writer.append(&[5, 6]).unwrap();
        writer.flush().unwrap();
        let read = Matrix::<u32>::read(&file).unwrap();
        assert_eq!(read.rows().collect::<Vec<_>>(), [[1, 2], [3, 4], [5, 6]]);
    }
}
