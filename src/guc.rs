//! The settings of castmatch, as `castmatch.*` in postgresql.conf, ALTER SYSTEM or SET.
//!
//! A setting that names a file is never settable by an ordinary user: it would make the server read files for them.

use core::time::Duration;
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
/// Lists that a search of an inverted file looks at before its first row.
static PROBES: GucSetting<i32> = GucSetting::<i32>::new(0);
/// How sure a scan is that it returns rows in the order of their distance.
static RERANK_CONFIDENCE: GucSetting<f64> = GucSetting::<f64>::new(3.0);
/// Memory of the cache that all backends share, MiB.
static SHARED_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64);
/// Memory of the cache of a backend, KiB.
static LOCAL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1024);
/// How long embeddings are kept, seconds.
static EMBEDDING_TTL: GucSetting<i32> = GucSetting::<i32>::new(24 * 60 * 60);
/// How long replies are kept, seconds.
static REPLY_TTL: GucSetting<i32> = GucSetting::<i32>::new(60 * 60);
/// Whether results of matches are kept.
static MATCH_CACHE: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Whether roles use each other's embeddings.
static SHARE_EMBEDDINGS: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Failures in a row after which a model is left alone.
static BREAKER_FAILURES: GucSetting<i32> = GucSetting::<i32>::new(5);
/// How long a model is left alone, seconds.
static BREAKER_SECONDS: GucSetting<i32> = GucSetting::<i32>::new(30);
/// The model of chat where a call names none.
static CHAT_MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Share of replies taken from the cache for another wording that are computed all the same, to compare.
static AUDIT_RATE: GucSetting<f64> = GucSetting::<f64>::new(0.01);
/// What castmatch.prune deletes where a call has no policy, as JSON.
static PRUNE_POLICY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Registers every setting; called once from `_PG_init`.
pub fn register() {
    register_caches();
    register_models();
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
        MAX_EF_SEARCH as i32,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"castmatch.probes",
        c"Number of lists that a search of a castmatch_ivf index looks at before its first row.",
        c"0 goes by the lists' distances from the query. A statement that asks for more rows has further lists looked at.",
        &PROBES,
        0,
        MAX_PROBES as i32,
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
    GucRegistry::define_string_guc(
        c"castmatch.prune_policy",
        c"What castmatch.prune deletes where a call gives no policy, as JSON.",
        c"Empty means nothing: such a call is refused. Who may call castmatch.prune may give it any policy.",
        &PRUNE_POLICY,
        GucContext::Suset,
        GucFlags::empty(),
    );
    crate::pg::signals::reserve_setting_prefix();
}

fn register_models() {
    GucRegistry::define_int_guc(
        c"castmatch.breaker_failures",
        c"Number of failures in a row after which a model of another server is left alone for a while.",
        c"All sessions count together.",
        &BREAKER_FAILURES,
        1,
        1000,
        GucContext::Suset,
        GucFlags::empty(),
    );
    GucRegistry::define_int_guc(
        c"castmatch.breaker_seconds",
        c"How long a model that failed several times is left alone.",
        c"After it one call tries whether the model answers again.",
        &BREAKER_SECONDS,
        1,
        3600,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"castmatch.chat_model",
        c"Model that castmatch.chat uses where a call names none.",
        c"Empty means the built-in responder. Who uses it needs the right to.",
        &CHAT_MODEL,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_float_guc(
        c"castmatch.semantic_audit_rate",
        c"Share of replies used again for another wording that are computed all the same and compared.",
        c"The metrics tell how many of them rest on other rows.",
        &AUDIT_RATE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::empty(),
    );
}

fn register_caches() {
    GucRegistry::define_int_guc(
        c"castmatch.shared_cache_size",
        c"Memory of the cache that all sessions share; 0 for none.",
        c"A change takes effect at the next start of the server. Without castmatch in shared_preload_libraries there is none.",
        &SHARED_CACHE_SIZE,
        0,
        1 << 20,
        // Only while libraries are preloaded can a setting be declared as one of server start.
        if crate::pg::shmem::preloading() {
            GucContext::Postmaster
        } else {
            GucContext::Sighup
        },
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"castmatch.local_cache_size",
        c"Memory of the cache of each session; 0 for none.",
        c"It holds the values that the session used last.",
        &LOCAL_CACHE_SIZE,
        0,
        1 << 20,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"castmatch.embedding_ttl",
        c"How long cached embeddings of texts are used; 0 turns their caching off.",
        c"The embedding of a text changes with the model only, which ends its use in any case.",
        &EMBEDDING_TTL,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"castmatch.reply_ttl",
        c"How long cached replies of castmatch.chat are used; 0 turns their caching off.",
        c"A change of the table that a reply rests on ends its use in any case.",
        &REPLY_TTL,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_bool_guc(
        c"castmatch.match_cache",
        c"Whether castmatch.match uses cached results.",
        c"They are used while the table has not changed.",
        &MATCH_CACHE,
        GucContext::Userset,
        GucFlags::empty(),
    );
    GucRegistry::define_bool_guc(
        c"castmatch.share_embeddings",
        c"Whether the roles of a database use each other's cached embeddings.",
        c"How fast an embedding comes tells whether somebody has asked for the same text before.",
        &SHARE_EMBEDDINGS,
        GucContext::Suset,
        GucFlags::empty(),
    );
}

/// `castmatch.shared_cache_size` in bytes.
pub fn shared_cache_bytes() -> usize {
    usize::try_from(SHARED_CACHE_SIZE.get()).unwrap_or(0) << 20
}

/// Whether there would be a shared level if the library were preloaded.
pub fn is_shared_level_wanted() -> bool {
    SHARED_CACHE_SIZE.get() > 0
}

/// `castmatch.local_cache_size` in bytes.
pub fn local_cache_bytes() -> usize {
    usize::try_from(LOCAL_CACHE_SIZE.get()).unwrap_or(0) << 10
}

fn seconds(setting: &GucSetting<i32>) -> Duration {
    Duration::from_secs(u64::try_from(setting.get()).unwrap_or(0))
}

/// `castmatch.embedding_ttl`.
pub fn embedding_ttl() -> Duration {
    seconds(&EMBEDDING_TTL)
}

/// `castmatch.reply_ttl`.
pub fn reply_ttl() -> Duration {
    seconds(&REPLY_TTL)
}

/// `castmatch.match_cache`.
pub fn match_cache() -> bool {
    MATCH_CACHE.get()
}

/// `castmatch.share_embeddings`.
pub fn share_embeddings() -> bool {
    SHARE_EMBEDDINGS.get()
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

/// The largest value of `castmatch.ef_search`.
pub const MAX_EF_SEARCH: usize = 10_000;

/// `castmatch.ef_search`.
pub fn ef_search() -> usize {
    usize::try_from(EF_SEARCH.get()).unwrap_or(40)
}

/// The largest value of `castmatch.probes`: that of the option `lists`.
const MAX_PROBES: usize = 65_536;

/// `castmatch.probes`; 0 leaves the choice to the scan.
pub fn probes() -> usize {
    usize::try_from(PROBES.get()).unwrap_or(0)
}

/// `castmatch.rerank_confidence`.
pub fn rerank_confidence() -> f32 {
    RERANK_CONFIDENCE.get() as f32
}

/// Failures in a row after which a model is left alone.
pub fn breaker_failures() -> u32 {
    u32::try_from(BREAKER_FAILURES.get()).unwrap_or(1)
}

/// How long a model is left alone.
pub fn breaker_open() -> Duration {
    Duration::from_secs(u64::try_from(BREAKER_SECONDS.get()).unwrap_or(1))
}

/// The text of a setting that is not empty.
fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    let text = setting.get()?.to_str().ok()?.to_owned();
    (!text.is_empty()).then_some(text)
}

/// The model of chat where a call names none.
pub fn chat_model() -> Option<String> {
    text(&CHAT_MODEL)
}

/// What is pruned where a call says nothing.
pub fn prune_policy() -> Option<String> {
    text(&PRUNE_POLICY)
}

/// Share of reused replies that are computed all the same.
pub fn semantic_audit_rate() -> f64 {
    AUDIT_RATE.get()
}
