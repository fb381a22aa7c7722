//! The one place where failures become SQLSTATE + message + DETAIL + HINT.
//!
//! Every fallible function of the extension returns [`Result`]; an `Err` travels up as a value to the `#[pg_extern]`
//! boundary, where pgrx raises it. Message style is PostgreSQL's: primary message in lower case without a full stop,
//! DETAIL and HINT as sentences.

use castmatch_engine::filter::{ErrorClass as FilterErrorClass, FilterError};
use castmatch_engine::fusion::FusionError;
use castmatch_engine::maintenance::PolicyError;
use castmatch_engine::options::OptionError;
use castmatch_engine::prefer::PreferError;
use castmatch_engine::registry::RegistryError;
use castmatch_engine::vector::{ErrorClass, VectorError};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What every fallible function of the extension returns.
pub type Result<T, E = ErrorReport> = core::result::Result<T, E>;

/// An error with the given SQLSTATE and primary message.
pub fn error(code: PgSqlErrorCode, message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(code, message.into(), "castmatch")
}

/// An argument that is outside what the function accepts (SQLSTATE 22023).
pub fn invalid_argument(message: impl Into<String>) -> ErrorReport {
    error(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

/// A NULL where a value is required (SQLSTATE 22004).
pub fn null_argument(name: &str) -> ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        format!("{name} must not be null"),
    )
}

/// Something that castmatch does not do (SQLSTATE 0A000).
pub fn unsupported(message: impl Into<String>) -> ErrorReport {
    error(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message)
}

/// The server is not in the state that the call needs (SQLSTATE 55000).
pub fn not_in_state(message: impl Into<String>) -> ErrorReport {
    error(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// A row that is not there, or that the caller may not see (SQLSTATE P0002).
pub fn no_row(message: impl Into<String>) -> ErrorReport {
    error(PgSqlErrorCode::ERRCODE_NO_DATA_FOUND, message)
}

/// An internal contradiction, a defect of castmatch itself (SQLSTATE XX000).
pub fn internal(message: impl Into<String>) -> ErrorReport {
    error(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
}

/// Memory that could not be had (SQLSTATE 53200).
pub fn out_of_memory(what: &str, bytes: usize) -> ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        format!("out of memory: {what} needs {bytes} bytes"),
    )
}

/// The report for an error of the vector types.
pub fn vector_error(failure: VectorError) -> ErrorReport {
    let code = match failure.class() {
        ErrorClass::InvalidTextRepresentation => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        ErrorClass::InvalidBinaryRepresentation => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
        ErrorClass::DataException => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
        ErrorClass::NumericValueOutOfRange => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        ErrorClass::ProgramLimitExceeded => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        ErrorClass::InvalidParameterValue => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        ErrorClass::NullValueNotAllowed => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        ErrorClass::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        ErrorClass::InternalError => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    };
    with_notes(error(code, failure.to_string()), failure.detail(), failure.hint())
}

/// The report for a filter that is wrong.
pub fn filter_error(failure: FilterError) -> ErrorReport {
    condition_error(
        failure.class(),
        failure.to_string(),
        failure.detail(),
        failure.hint(),
    )
}

/// The report for a preference that is wrong.
pub fn prefer_error(failure: PreferError) -> ErrorReport {
    condition_error(
        failure.class(),
        failure.to_string(),
        failure.detail(),
        failure.hint(),
    )
}

/// The report for options that are wrong.
pub fn option_error(failure: OptionError) -> ErrorReport {
    with_notes(
        invalid_argument(failure.to_string()),
        None::<String>,
        failure.hint(),
    )
}

/// The report for a model's definition that is wrong.
pub fn registry_error(failure: RegistryError) -> ErrorReport {
    with_notes(
        invalid_argument(failure.to_string()),
        None::<String>,
        failure.hint(),
    )
}

/// The report for a policy of pruning that is wrong.
pub fn policy_error(failure: PolicyError) -> ErrorReport {
    with_notes(
        invalid_argument(failure.to_string()),
        None::<String>,
        failure.hint(),
    )
}

/// The report for a mode that does not exist.
pub fn fusion_error(failure: FusionError) -> ErrorReport {
    invalid_argument(failure.to_string())
}

fn condition_error(
    class: FilterErrorClass,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
) -> ErrorReport {
    let code = match class {
        FilterErrorClass::InvalidParameter => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        FilterErrorClass::UndefinedColumn => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        FilterErrorClass::LimitExceeded => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
    };
    with_notes(error(code, message), detail, hint)
}

/// Adds DETAIL and HINT where there are any.
fn with_notes(
    report: ErrorReport,
    detail: Option<impl Into<String>>,
    hint: Option<impl Into<String>>,
) -> ErrorReport {
    let report = match detail {
        Some(detail) => report.set_detail(detail),
        None => report,
    };
    match hint {
        Some(hint) => report.set_hint(hint),
        None => report,
    }
}
