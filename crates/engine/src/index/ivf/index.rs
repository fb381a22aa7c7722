//! What does not change while an inverted file exists.

use crate::index::key::KeyKinds;
use crate::index::quantize::{CodeBits, Quantizer, Rankable};
use crate::index::storage::PageRead;
use crate::index::value::Value;
use crate::index::{ElementKind, IndexError, Metric};
use crate::kernels::scan::{ScanKernels, scan_kernels};

use super::layout::{Layout, coded_dims};
use super::page::{DirectoryPage, Meta, read_centroid};

/// What a new index is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions {
    /// What the index orders by; neither L1 nor Jaccard.
    pub metric: Metric,
    /// The type of the column; not sparse vectors.
    pub element: ElementKind,
    /// Dimensions of the vectors.
    pub dims: u32,
    /// Lists that were asked for; 0: as many as suit the rows.
    pub lists: u32,
    /// Whether rows have refine codes.
    pub refine: bool,
    /// The seed of the rotation.
    pub seed: u64,
    /// Random, another one for each build.
    pub build_id: u64,
    /// The key columns.
    pub keys: KeyKinds,
}

/// The parameters of an index; shared by all that work on it.
#[derive(Debug)]
pub struct Index {
    /// What it was made with.
    pub options: IndexOptions,
    /// Where things are on the pages.
    pub layout: Layout,
    /// Rotates vectors, and makes the refine codes. Its dimensions are those of the codes, its centre is the root.
    pub quantizer: Quantizer,
    /// The centre of the vectors, to which centroids are relative.
    pub root: Vec<f32>,
    pub(super) kernels: &'static ScanKernels,
}

/// Rows of a list where as many lists as suit them were asked for. docs/design/ivf.md has what was measured.
const LIST_ROWS: u64 = 256;
/// The most lists that are made by themselves: a search looks at the code of each.
pub const LISTS_MAX: u32 = 65_536;

/// How many lists suit so many rows.
#[must_use]
pub fn lists_for(rows: u64) -> u32 {
    u32::try_from(rows.div_ceil(LIST_ROWS))
        .unwrap_or(LISTS_MAX)
        .clamp(1, LISTS_MAX)
}

impl Index {
    /// The parameters of an index. `root` is in the space of transformed vectors; empty stands for zero.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for more dimensions than a page has room for, [`IndexError::OutOfMemory`].
    pub fn new(options: &IndexOptions, root: Vec<f32>) -> Result<Self, IndexError> {
        let dims = options.dims as usize;
        // Before anything is as large as the number says.
        Layout::new(dims, options.keys.key_bytes(), 0)?;
        let coded = coded_dims(dims);
        let quantizer = Quantizer::new(options.metric, coded, CodeBits::Four, options.seed, &root)?;
        let refine_bytes = if options.refine { quantizer.code_bytes() } else { 0 };
        let layout = Layout::new(dims, options.keys.key_bytes(), refine_bytes)?;
        let mut root = root;
        root.resize(coded, 0.0);
        Ok(Self {
            options: *options,
            layout,
            quantizer,
            root,
            kernels: scan_kernels(),
        })
    }

    /// Reads the parameters of an index.
    ///
    /// # Errors
    /// [`IndexError::Version`] for another format, [`IndexError::Corrupt`], and those of the storage.
    pub fn open(storage: &mut impl PageRead) -> Result<(Self, Meta), IndexError> {
        let meta = storage.read(0, Meta::parse)?.map_err(|error| error.at(0))?;
        let options = IndexOptions {
            metric: meta.metric,
            element: meta.element,
            dims: meta.dims,
            lists: meta.lists,
            refine: meta.refine,
            seed: meta.seed,
            build_id: meta.build_id,
            keys: meta.keys,
        };
        let corrupt = |error| match error {
            IndexError::Limit { .. } => IndexError::Corrupt {
                block: 0,
                what: "the meta page names a size that cannot be",
            },
            other => other,
        };
        let bare = Self::new(&options, Vec::new()).map_err(corrupt)?;
        let block = meta.directory;
        let entry = storage
            .read(block, |page| DirectoryPage::open(page, &bare.layout)?.entry(0))?
            .map_err(|error| error.at(block))?;
        let mut root = vec![0.0; bare.layout.dims];
        bare.centroid(storage, entry.centroid_block, entry.centroid_slot, &mut root)?;
        Ok((Self::new(&options, root).map_err(corrupt)?, meta))
    }

    /// Reads a centroid under the lock of its page.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`], and those of the storage.
    pub(super) fn centroid(
        &self,
        storage: &mut impl PageRead,
        block: u32,
        slot: u16,
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        storage
            .read(block, |page| {
                let (scale, numbers) = read_centroid(page, &self.layout, slot)?;
                self.kernels.decode_centroid(numbers, scale, out);
                Ok(())
            })?
            .map_err(|error: crate::index::page::PageError| error.at(block))
    }

    /// Writes the vector to `out`, which has the dimensions of a code, as it is coded: normalised under cosine, padded, rotated.
    pub fn transform(&self, value: &(impl Value + ?Sized), out: &mut [f32]) -> Rankable {
        out.fill(0.0);
        value.widen(None, out);
        self.quantizer.transform_in_place(out)
    }

    /// Rows that a list is to have, of so many in all.
    #[must_use]
    pub fn list_rows(&self, rows: u64) -> u64 {
        let lists = match self.options.lists {
            0 => lists_for(rows),
            lists => lists,
        };
        rows.div_ceil(u64::from(lists)).max(1)
    }
}
