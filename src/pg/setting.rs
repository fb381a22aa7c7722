//! Settings that hold for a few calls only.

use core::ffi::CStr;
use pgrx::pg_sys;

/// Runs `f`, then puts back what it set: for functions of others.
pub fn without_lasting_settings<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: opens a level of settings that is closed below, or by the abort after an ERROR.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = f();
    // SAFETY: the level opened above; as after an abort, so that no SET stays.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    result
}

/// Runs `f` with the settings changed; they are as before afterwards, after an ERROR by the abort of the (sub)transaction.
pub fn with_settings<R>(settings: &[(&'static CStr, &CStr)], f: impl FnOnce() -> R) -> R {
    // SAFETY: opens a level of settings that is closed below, or by the abort after an ERROR.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        set_for_now(name, value);
    }
    let result = f();
    // SAFETY: the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Sets a setting until the level of settings that is open now is closed.
pub fn set_for_now(name: &CStr, value: &CStr) {
    // SAFETY: NUL-terminated strings that outlive the call, which copies the value; one that the setting refuses raises an ERROR.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        )
    };
}

/// The value of a setting as text, if there is such a setting.
pub fn value(name: &CStr) -> Option<String> {
    // SAFETY: a NUL-terminated name; an unknown one gives null.
    let value = unsafe { pg_sys::GetConfigOption(name.as_ptr(), true, false) };
    // SAFETY: null or a NUL-terminated string that stays until the setting changes.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
}
