//! How the service ends.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use castmatch_companion::error::StartError;

use crate::source::{Reply, Script, Service, hits, report, timing};
use castmatch_e2e::http::{get, read_response, request};
use castmatch_e2e::poll::eventually;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn request_in_flight_finishes_and_new_ones_are_refused() {
    let script = Script::healthy();
    let mut patient = timing();
    patient.scrape_deadline = Duration::from_secs(5);
    let mut service = Service::start(&script, patient);
    eventually(SOON, "first read", || {
        (get(service.address, "/metrics").sample("castmatch_up") == Some(1.0)).then_some(())
    });
    *script.metrics.lock().unwrap() = Reply::After(Duration::from_millis(600), vec![hits(8.0)]);
    std::thread::sleep(castmatch_companion::monitor::MIN_READ_INTERVAL);
    let before = script.reads.load(Ordering::SeqCst);
    let mut stream = TcpStream::connect(service.address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    eventually(SOON, "read begun", || {
        (script.reads.load(Ordering::SeqCst) > before).then_some(())
    });
    service.request_stop();
    let address = service.address;
    eventually(SOON, "refusal", || request(address, "GET", "/livez").err());
    // Kept open by the client, closed by the server once the answer is out.
    let answer = read_response(stream).unwrap();
    assert_eq!(
        answer.sample("castmatch_cache_hits_total{cache=\"reply\"}"),
        Some(8.0)
    );
    assert!(service.join().is_ok());
}

#[test]
fn unfinished_request_holds_the_end_up_only_for_the_given_time() {
    let script = Script::healthy();
    let mut brief = timing();
    brief.shutdown_timeout = Duration::from_millis(300);
    let mut service = Service::start(&script, brief);
    let mut half = TcpStream::connect(service.address).unwrap();
    write!(half, "GET /livez HTTP/1.1\r\nhost: te").unwrap();
    // The server has seen the first connection once it has answered a later one.
    assert_eq!(get(service.address, "/livez").status, 200);
    let start = Instant::now();
    service.request_stop();
    assert!(service.join().is_ok());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn hung_database_does_not_hold_up_the_end() {
    let script = Script::new(Reply::Hang(Duration::from_secs(600)), Reply::Now(vec![]));
    let mut service = Service::start(&script, timing());
    assert_eq!(get(service.address, "/health").status, 503);
    let start = Instant::now();
    service.request_stop();
    assert!(service.join().is_ok());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn dead_monitor_ends_the_service_with_an_error_instead_of_stale_answers() {
    let script = Script::new(Reply::Now(report("ok")), Reply::Panic);
    let service = Service::start(&script, timing());
    assert!(matches!(service.join(), Err(StartError::TaskEnded(_))));
}
