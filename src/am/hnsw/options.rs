//! `WITH (m = 16, ef_construction = 64, code_bits = 4)`.

use crate::error::{Result, invalid_argument};
use crate::pg::relation::Relation;
use crate::pg::reloption;
use castmatch_engine::index::quantize::CodeBits;
use core::mem::offset_of;
use pgrx::pg_sys;
use std::sync::OnceLock;

/// Neighbours of an element on an upper level; twice as many on level 0.
const M: reloption::Integer = reloption::Integer {
    name: c"m",
    description: c"Neighbours of an element on an upper level of the graph; twice as many on level 0",
    default: 16,
    minimum: 2,
    maximum: 100,
};
/// Candidates that an insertion looks at.
const EF_CONSTRUCTION: reloption::Integer = reloption::Integer {
    name: c"ef_construction",
    description: c"Candidates for neighbours that an insertion looks at",
    default: 64,
    minimum: 4,
    maximum: 1000,
};
/// 0 stands for the default of metric and dimensions.
const CODE_BITS: reloption::Integer = reloption::Integer {
    name: c"code_bits",
    description: c"Bits per dimension of the codes that steer a search: 4, 8 or 32 (no quantisation), or 0 for what suits the vectors",
    default: 0,
    minimum: 0,
    maximum: 32,
};

/// The options as amoptions lays them out.
#[repr(C)]
struct Stored {
    varlena_header: i32,
    m: i32,
    ef_construction: i32,
    code_bits: i32,
}

/// The options of one index.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Neighbours on an upper level.
    pub m: u16,
    /// Candidates of an insertion.
    pub ef_construction: u16,
    /// Bits per dimension, if they were given.
    pub code_bits: Option<CodeBits>,
}

static KIND: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();

/// Makes the options known to the server; called once, when the library is loaded.
pub fn register() {
    KIND.get_or_init(|| reloption::register(&[&M, &EF_CONSTRUCTION, &CODE_BITS], &[]));
}

impl Stored {
    /// Those of an index for which none were given.
    const DEFAULT: Self = Self {
        varlena_header: 0,
        m: M.default,
        ef_construction: EF_CONSTRUCTION.default,
        code_bits: CODE_BITS.default,
    };

    /// What the options mean.
    ///
    /// # Errors
    /// 22023 for a combination that makes no sense.
    fn check(&self) -> Result<Options> {
        let &Stored {
            m,
            ef_construction,
            code_bits,
            ..
        } = self;
        if ef_construction < 2 * m {
            return Err(invalid_argument(format!(
                "ef_construction is {ef_construction}, it must be at least 2 * m, which is {}",
                2 * m
            ))
            .set_hint("An insertion must look at as many candidates as an element has neighbours: set both options together."));
        }
        let code_bits = match code_bits {
            0 => None,
            4 => Some(CodeBits::Four),
            8 => Some(CodeBits::Eight),
            32 => Some(CodeBits::ThirtyTwo),
            other => {
                return Err(
                    invalid_argument(format!("code_bits is {other}, it must be 4, 8 or 32"))
                        .set_hint("Leave it out for the default, which goes by metric and dimensions."),
                );
            }
        };
        Ok(Options {
            m: u16::try_from(m).unwrap_or(16),
            ef_construction: u16::try_from(ef_construction).unwrap_or(64),
            code_bits,
        })
    }
}

/// The server's callback: text to [`Stored`]. With `validate` the options are being set: all of the index's, of which ALTER INDEX changes
/// some and leaves the others as they were or at their defaults. Without, they are read from the catalogs. How many dimensions the options
/// leave room for is for the build to say: this knows no column.
///
/// # Errors
/// With `validate`, 22023 for a combination that makes no sense.
pub fn parse(options: pg_sys::Datum, validate: bool) -> Result<*mut pg_sys::bytea> {
    let Some(&kind) = KIND.get() else {
        return Ok(core::ptr::null_mut());
    };
    let parsed = reloption::parse(
        options,
        validate,
        kind,
        size_of::<Stored>(),
        &[
            (&M, offset_of!(Stored, m)),
            (&EF_CONSTRUCTION, offset_of!(Stored, ef_construction)),
            (&CODE_BITS, offset_of!(Stored, code_bits)),
        ],
        &[],
    );
    // SAFETY: null, or of the size and the fields that were asked for, those not given at their defaults.
    #[allow(unsafe_code)]
    let stored = unsafe { parsed.cast::<Stored>().as_ref() };
    if let (true, Some(stored)) = (validate, stored) {
        stored.check()?;
    }
    Ok(parsed)
}

/// The options of an index.
///
/// # Errors
/// 22023 for a combination that makes no sense, which only a change of the catalogs by hand makes.
pub fn of(index: Relation) -> Result<Options> {
    // SAFETY: `parse` is the amoptions function of every index of this access method.
    #[allow(unsafe_code)]
    let stored = unsafe { index.options::<Stored>() };
    stored.unwrap_or(&Stored::DEFAULT).check()
}
