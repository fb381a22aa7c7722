//! `castmatch-companion prune`.

use serde_json::{Value, json};

use super::pass::{Outcome, Pass};
use super::stop::Stop;
use super::{Settings, run_pass, schedule};
use crate::output::{print, table};

/// Prunes until the stop, where a schedule is set and neither `once` nor `dry_run`; else once. Whether it went well.
pub async fn run(settings: Settings, once: bool, dry_run: bool, as_json: bool, mut stop: Stop) -> bool {
    if let (Some(every), false) = (settings.schedule, once || dry_run) {
        schedule::run(settings, every, None, stop).await;
        return true;
    }
    let pass = run_pass(&settings, dry_run, &mut stop).await;
    if as_json {
        print(&format!("{}\n", report(&pass)));
    } else {
        print(&describe(&pass));
    }
    matches!(pass.outcome, Outcome::Done | Outcome::Busy)
}

fn report(pass: &Pass) -> Value {
    json!({
        "outcome": pass.outcome,
        "dry_run": pass.dry_run,
        "conversations": pass.conversations,
        "messages": pass.messages,
        "requests": pass.requests,
        "skipped": pass.skipped,
        "batches": pass.batches,
        "seconds": pass.duration.as_secs_f64(),
        "error": pass.error.as_ref().map(ToString::to_string),
    })
}

fn describe(pass: &Pass) -> String {
    let what = match (pass.outcome, pass.dry_run) {
        (Outcome::Busy, _) => return "another session prunes; nothing done\n".to_owned(),
        // The log says why.
        (Outcome::Failed, _) if pass.batches == 0 => return "failed; nothing done\n".to_owned(),
        (_, true) => "would go",
        (_, false) => "gone",
    };
    table(
        &["", what],
        &[
            vec!["conversations".to_owned(), pass.conversations.to_string()],
            vec!["messages".to_owned(), pass.messages.to_string()],
            vec!["requests".to_owned(), pass.requests.to_string()],
            vec!["in use, left alone".to_owned(), pass.skipped.to_string()],
        ],
    )
}
