//! `WITH (lists = auto, refine_bits = 0)`.

use crate::am::raise;
use crate::error::{Result, invalid_argument};
use crate::pg::relation::Relation;
use crate::pg::reloption;
use castmatch_engine::index::ivf::LISTS_MAX;
use core::ffi::{CStr, c_char};
use core::mem::offset_of;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::OnceLock;

/// How many lists, or `auto` for as many as suit the rows.
const LISTS: reloption::Text = reloption::Text {
    name: c"lists",
    description: c"Lists of the index: a number, or auto for as many as suit the rows",
    validate: validate_lists,
};
/// Bits per dimension that rows have beside the one that is searched.
const REFINE_BITS: reloption::Integer = reloption::Integer {
    name: c"refine_bits",
    description: c"Further bits per dimension, on pages of their own, that are looked at before a row is fetched from the table: 0 or 3",
    default: 0,
    minimum: 0,
    maximum: 3,
};

/// The options as amoptions lays them out.
#[repr(C)]
struct Stored {
    varlena_header: i32,
    /// Where the text begins.
    lists: i32,
    refine_bits: i32,
}

/// The options of one index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many lists; 0: as many as suit the rows.
    pub lists: u32,
    /// Whether rows have longer codes.
    pub refine: bool,
}

static KIND: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();

/// Makes the options known to the server; called once, when the library is loaded.
pub fn register() {
    KIND.get_or_init(|| reloption::register(&[&REFINE_BITS], &[&LISTS]));
}

/// What the text of `lists` means.
///
/// # Errors
/// 22023 for a text that means nothing.
fn parse_lists(text: &CStr) -> Result<u32> {
    let text = text.to_string_lossy();
    if text.eq_ignore_ascii_case("auto") {
        return Ok(0);
    }
    match text.parse::<u32>() {
        Ok(lists) if lists <= LISTS_MAX => Ok(lists),
        _ => Err(invalid_argument(format!(
            "lists is \"{text}\", it must be auto or a number from 1 to {LISTS_MAX}"
        ))
        .set_hint("With auto, or 0, the index has as many lists as suit its rows, and vacuum keeps it so.")),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn validate_lists(text: *const c_char) {
    if !text.is_null() {
        // SAFETY: the server gives a text that ends in zero.
        raise(parse_lists(unsafe { CStr::from_ptr(text) }));
    }
}

fn check_refine_bits(bits: i32) -> Result<bool> {
    match bits {
        0 => Ok(false),
        3 => Ok(true),
        other => Err(invalid_argument(format!("refine_bits is {other}, it must be 0 or 3")).set_hint(
            "Without them rows are put in order by the table alone, which is faster where it is cached and the vectors are in the rows.",
        )),
    }
}

/// The server's callback: text to [`Stored`].
///
/// # Errors
/// With `validate`, 22023 for a value that is none.
pub fn parse(options: pg_sys::Datum, validate: bool) -> Result<*mut pg_sys::bytea> {
    let Some(&kind) = KIND.get() else {
        return Ok(core::ptr::null_mut());
    };
    let parsed = reloption::parse(
        options,
        validate,
        kind,
        size_of::<Stored>(),
        &[(&REFINE_BITS, offset_of!(Stored, refine_bits))],
        &[(&LISTS, offset_of!(Stored, lists))],
    );
    // SAFETY: null, or of the size and the fields that were asked for, those not given at their defaults.
    let stored = unsafe { parsed.cast::<Stored>().as_ref() };
    if let (true, Some(stored)) = (validate, stored) {
        check_refine_bits(stored.refine_bits)?;
    }
    Ok(parsed)
}

/// The options of an index.
///
/// # Errors
/// 22023 for a value that is none, which only a change of the catalogs by hand makes.
pub fn of(index: Relation) -> Result<Options> {
    // SAFETY: `parse` is the amoptions function of every index of this access method.
    let Some(stored) = (unsafe { index.options::<Stored>() }) else {
        return Ok(Options::default());
    };
    // SAFETY: made by `parse`.
    let lists = unsafe { reloption::text(stored, stored.lists) };
    Ok(Options {
        lists: lists.map_or(Ok(0), parse_lists)?,
        refine: check_refine_bits(stored.refine_bits)?,
    })
}
