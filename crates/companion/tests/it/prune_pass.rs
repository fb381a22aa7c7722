//! A pass of pruning with a scripted database: what it asks, what it adds up, where it stops.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use castmatch_companion::prune::Settings;
use castmatch_companion::prune::batch::{Batch, Pruner};
use castmatch_companion::prune::pass::{Outcome, Pass, run};
use castmatch_companion::prune::stop::Stop;
use castmatch_companion::session::CallError;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

/// What to answer, after how long.
type Answer = (Duration, Result<Batch, CallError>);

#[derive(Default)]
struct Scripted {
    configured: Option<String>,
    answers: VecDeque<Answer>,
    asked: Vec<(Option<Value>, bool)>,
}

impl Scripted {
    fn new(answers: Vec<Answer>) -> Self {
        Self {
            answers: answers.into(),
            ..Self::default()
        }
    }
}

impl Pruner for Scripted {
    async fn configured_policy(&mut self) -> Result<Option<String>, CallError> {
        Ok(self.configured.clone())
    }

    async fn prune(&mut self, policy: Option<&Value>, dry_run: bool) -> Result<Batch, CallError> {
        self.asked.push((policy.cloned(), dry_run));
        let (delay, answer) = self.answers.pop_front().expect("asked too often");
        tokio::time::sleep(delay).await;
        answer
    }
}

fn settings() -> Settings {
    Settings {
        database: PgConnectOptions::new_without_pgpass(),
        connect_timeout: Duration::from_secs(1),
        policy: Some(json!({"max_age": "1 day"})),
        schedule: None,
        jitter: Duration::ZERO,
        batch_pause: Some(Duration::from_millis(1)),
        batch_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(1),
        dry_run_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(2),
    }
}

fn batch(messages: u64, next: Option<u64>) -> Batch {
    Batch {
        messages,
        conversations: 1,
        more: next.is_some(),
        next: next.map(|id| json!({"id": id})),
        ..Batch::default()
    }
}

fn now(batch: Batch) -> Answer {
    (Duration::ZERO, Ok(batch))
}

/// A pass that is told to stop after `stop_after`, if given.
fn pass(pruner: &mut Scripted, settings: &Settings, dry_run: bool, stop_after: Option<Duration>) -> Pass {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (stopper, mut stop) = Stop::channel();
        let teller = tokio::spawn(async move {
            match stop_after {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
            stopper.stop();
        });
        let pass = run(pruner, settings, dry_run, &mut stop).await;
        teller.abort();
        pass
    })
}

#[test]
fn batches_follow_each_other_until_there_is_no_more() {
    let answers = vec![
        now(batch(5000, Some(7))),
        now(batch(0, Some(9))),
        now(batch(12, None)),
    ];
    let mut pruner = Scripted::new(answers);
    let pass = pass(&mut pruner, &settings(), false, None);
    assert_eq!(
        (pass.outcome, pass.batches, pass.messages, pass.conversations),
        (Outcome::Done, 3, 5012, 3)
    );
    let policies: Vec<Value> = pruner
        .asked
        .into_iter()
        .map(|(policy, _)| policy.unwrap())
        .collect();
    let resumed = |id: u64| json!({"max_age": "1 day", "resume": {"id": id}});
    assert_eq!(policies, [json!({"max_age": "1 day"}), resumed(7), resumed(9)]);
}

#[test]
fn the_policy_of_the_server_is_used_where_there_is_no_other() {
    let mut without = settings();
    without.policy = None;
    let mut pruner = Scripted::new(vec![now(batch(1, Some(7))), now(batch(1, None))]);
    pruner.configured = Some(r#"{"max_idle": "2 days"}"#.to_owned());
    assert_eq!(pass(&mut pruner, &without, false, None).outcome, Outcome::Done);
    assert_eq!(
        pruner.asked[1].0,
        Some(json!({"max_idle": "2 days", "resume": {"id": 7}}))
    );
    // Without any, the database itself says that there is none.
    let mut pruner = Scripted::new(vec![now(batch(0, None))]);
    pass(&mut pruner, &without, false, None);
    assert_eq!(pruner.asked, [(None, false)]);
}

#[test]
fn a_batch_rests_as_long_as_it_took() {
    let slow = |next| (Duration::from_millis(120), Ok(batch(1, next)));
    let mut settings = settings();
    settings.batch_pause = None;
    let started = Instant::now();
    let pass = pass(
        &mut Scripted::new(vec![slow(Some(1)), slow(Some(2)), slow(None)]),
        &settings,
        false,
        None,
    );
    assert_eq!(pass.outcome, Outcome::Done);
    assert!(
        started.elapsed() >= Duration::from_millis(5 * 120),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn busy_and_errors_end_a_pass_and_what_was_done_before_counts() {
    let busy = Batch {
        busy: true,
        ..Batch::default()
    };
    let ended = pass(
        &mut Scripted::new(vec![now(batch(3, Some(1))), now(busy)]),
        &settings(),
        false,
        None,
    );
    assert_eq!((ended.outcome, ended.messages), (Outcome::Busy, 3));
    let error = CallError::Malformed("as the script says".to_owned());
    let answers = vec![now(batch(3, Some(1))), (Duration::ZERO, Err(error))];
    let ended = pass(&mut Scripted::new(answers), &settings(), false, None);
    assert_eq!((ended.outcome, ended.messages), (Outcome::Failed, 3));
    assert!(ended.error.unwrap().to_string().contains("as the script says"));
}

#[test]
fn a_database_that_does_not_get_on_is_not_asked_for_ever() {
    let stuck = || {
        now(Batch {
            conversations: 0,
            ..batch(0, Some(1))
        })
    };
    let ended = pass(
        &mut Scripted::new(vec![stuck(), stuck()]),
        &settings(),
        false,
        None,
    );
    assert_eq!((ended.outcome, ended.batches), (Outcome::Failed, 2));
    let no_place = now(Batch {
        more: true,
        ..Batch::default()
    });
    assert_eq!(
        pass(&mut Scripted::new(vec![no_place]), &settings(), false, None).outcome,
        Outcome::Failed
    );
}

#[test]
fn a_stop_waits_for_the_batch_in_flight_and_cuts_pauses_and_dry_runs_short() {
    let after = Some(Duration::from_millis(50));
    let in_flight = (Duration::from_millis(300), Ok(batch(4, Some(1))));
    let ended = pass(&mut Scripted::new(vec![in_flight]), &settings(), false, after);
    assert_eq!((ended.outcome, ended.messages), (Outcome::Stopped, 4));

    let mut resting = settings();
    resting.batch_pause = Some(Duration::from_secs(600));
    let ended = pass(
        &mut Scripted::new(vec![now(batch(4, Some(1)))]),
        &resting,
        false,
        after,
    );
    assert_eq!((ended.outcome, ended.messages), (Outcome::Stopped, 4));

    let hung = || (Duration::from_secs(600), Ok(batch(4, Some(1))));
    let mut brief = settings();
    brief.stop_timeout = Duration::from_millis(100);
    let ended = pass(&mut Scripted::new(vec![hung()]), &brief, false, after);
    assert_eq!((ended.outcome, ended.batches), (Outcome::Stopped, 0));

    let ended = pass(&mut Scripted::new(vec![hung()]), &settings(), true, after);
    assert_eq!(ended.outcome, Outcome::Stopped);
    assert!(ended.duration < Duration::from_secs(1), "{:?}", ended.duration);
}

#[test]
fn a_dry_run_asks_once() {
    let mut pruner = Scripted::new(vec![now(batch(9, Some(1)))]);
    let ended = pass(&mut pruner, &settings(), true, None);
    assert_eq!(
        (ended.outcome, ended.messages, ended.dry_run),
        (Outcome::Done, 9, true)
    );
    assert_eq!(pruner.asked, [(Some(json!({"max_age": "1 day"})), true)]);
}
