//! What the tests of the index share: servers, figures in the output, work in the background, chosen moments.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::prefer_index;
use castmatch_e2e::method::Method;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::run;
use castmatch_e2e::random::Random;
use postgres::Client;

use crate::setting::RECOVERY;

/// Database of the tests of the index.
pub const DATABASE: &str = "indexed";

/// Recall at 10 that small tables of the tests reach with the usual effort, whatever happened to them before.
pub fn recall_floor(method: Method) -> f64 {
    method.either(0.95, 0.9)
}

/// A server that leaves vacuum to the test. Without preloading nothing else runs in it, and the library is loaded by
/// the first session that needs it, which the index must bear too.
pub fn plain(settings: &[(&'static str, &str)]) -> Options {
    let mut all = vec![("autovacuum", "off".to_owned())];
    all.extend(settings.iter().map(|&(name, value)| (name, value.to_owned())));
    Options {
        preload: false,
        settings: all,
        ..Options::default()
    }
}

/// [`plain`] for a test that kills processes.
pub fn killed(settings: &[(&'static str, &str)]) -> Options {
    Options {
        crashes: true,
        ..plain(settings)
    }
}

/// A session that searches by the index.
pub fn searcher(cluster: &Cluster) -> Client {
    let mut client = cluster.connect(DATABASE, "postgres");
    prefer_index(&mut client);
    client
}

/// [`searcher`], once the server lets sessions in again.
pub fn searcher_after_crash(cluster: &Cluster) -> Client {
    let connected = || {
        let mut client = cluster.try_connect(DATABASE, "postgres").ok()?;
        // A session of just before the crash may still be let in.
        client.batch_execute("SELECT 1").ok().map(|()| client)
    };
    let (mut client, _) = eventually(RECOVERY, "the server accepts sessions", connected);
    prefer_index(&mut client);
    client
}

/// A database with castmatch, by a session that searches by the index.
pub fn database(cluster: &Cluster) -> Client {
    let mut client = cluster.database(DATABASE);
    prefer_index(&mut client);
    client
}

/// Repeats the step until told to stop or it fails; returns the number of steps.
pub fn repeat<E>(stop: &AtomicBool, mut step: impl FnMut() -> Result<(), E>) -> Result<u64, E> {
    let mut steps = 0;
    while !stop.load(Ordering::Relaxed) {
        step()?;
        steps += 1;
    }
    Ok(steps)
}

/// Stops what [`repeat`] does when it goes out of scope, so that a failed assertion does not leave threads running.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits for a random part of `span`: the test is about what happens at whatever moment comes then.
pub fn some_moment(random: &mut Random, span: Duration) {
    let most = i64::try_from(span.as_micros()).unwrap().max(1);
    sleep(Duration::from_micros(random.within(0..most).unsigned_abs()));
}

/// Vacuums the table, all of its index each time.
pub fn vacuum(client: &mut Client, table: &str) {
    run(
        client,
        &format!("VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) {table}"),
    );
}

/// Prints a measured figure with the id of the demand; shown with --nocapture.
pub fn report(id: &str, figures: &str) {
    println!("[{id}] {figures}");
}
