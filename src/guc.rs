//! The settings of castmatch, as `castmatch.*` in postgresql.conf, ALTER SYSTEM or SET.
//!
//! A setting that names a file is never settable by an ordinary user: it would make the server read files for them.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;

/// Folder that holds the model folders; unset means `$(pg_config --sharedir)/castmatch/models`.
static MODEL_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Threads of the embedding worker.
static EMBEDDING_THREADS: GucSetting<i32> = GucSetting::<i32>::new(1);
/// Messages of a conversation that `chat` looks back on.
static WINDOW_MESSAGES: GucSetting<i32> = GucSetting::<i32>::new(10);
/// Tokens of a conversation that `chat` looks back on.
static WINDOW_TOKENS: GucSetting<i32> = GucSetting::<i32>::new(3000);
/// Candidates that a search of a graph index keeps.
static EF_SEARCH: GucSetting<i32> = GucSetting::<i32>::new(40);
/// How sure a scan is that it returns rows in the order of their distance.
static RERANK_CONFIDENCE: GucSetting<f64> = GucSetting::<f64>::new(3.0);

/// Registers every setting; called once from `_PG_init`.
pub fn register() {
    GucRegistry::define_string_guc(
        c"castmatch.model_path",
        c"Folder that holds the folders of embedding models.",
        c"Empty means $(pg_config --sharedir)/castmatch/models. A change takes effect on reload.",
        &MODEL_PATH,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"castmatch.embedding_threads",
        c"Number of threads that the embedding worker computes with.",
        c"A change takes effect on reload: the worker loads the model again.",
        &EMBEDDING_THREADS,
        1,
        64,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"castmatch.window_messages",
        c"Number of earlier messages of a conversation that castmatch.chat takes into account.",
        c"Whichever of castmatch.window_messages and castmatch.window_tokens is reached first ends the window.",
        &WINDOW_MESSAGES,
        1,
        1000,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"castmatch.window_tokens",
        c"Number of tokens of earlier messages that castmatch.chat takes into account.",
        c"Tokens are estimated from the text's length.",
        &WINDOW_TOKENS,
        16,
        1_000_000,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"castmatch.ef_search",
        c"Number of candidates that a search of a castmatch_hnsw index keeps.",
        c"More candidates find more of the true neighbours and take longer. A statement may ask for more rows than this.",
        &EF_SEARCH,
        1,
        10_000,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_float_guc(
        c"castmatch.rerank_confidence",
        c"How many standard errors a castmatch index scan allows an estimated distance to be wrong by.",
        c"Less visits fewer rows of the table and may return rows slightly out of order.",
        &RERANK_CONFIDENCE,
        0.0,
        10.0,
        GucContext::Userset,
        GucFlags::empty(),
    );
    crate::pg::signals::reserve_setting_prefix();
}

/// `castmatch.model_path`, if it is set.
pub fn model_path() -> Option<String> {
    MODEL_PATH
        .get()
        .and_then(|path| path.into_string().ok())
        .filter(|path| !path.is_empty())
}

/// `castmatch.embedding_threads`.
pub fn embedding_threads() -> usize {
    usize::try_from(EMBEDDING_THREADS.get()).unwrap_or(1)
}

/// `castmatch.window_messages`.
pub fn window_messages() -> usize {
    usize::try_from(WINDOW_MESSAGES.get()).unwrap_or(10)
}

/// `castmatch.window_tokens`.
pub fn window_tokens() -> usize {
    usize::try_from(WINDOW_TOKENS.get()).unwrap_or(3000)
}

/// `castmatch.ef_search`.
pub fn ef_search() -> usize {
    usize::try_from(EF_SEARCH.get()).unwrap_or(40)
}

/// `castmatch.rerank_confidence`.
pub fn rerank_confidence() -> f32 {
    RERANK_CONFIDENCE.get() as f32
}
