//! The HTTP front in trouble: slow statements, clients that go away, more clients than connections, no database.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::{get, send_post};
use castmatch_e2e::poll::eventually;

use crate::api_setting::{APP, Front, OTHER, ask, cluster, code, headers, url};

const SOON: Duration = Duration::from_secs(10);

fn sessions(cluster: &Cluster, condition: &str) -> u32 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion api' AND {condition}"
    );
    cluster.psql(&sql).parse().unwrap()
}

fn sleepers(cluster: &Cluster) -> u32 {
    sessions(cluster, "wait_event = 'PgSleep'")
}

#[test]
fn past_the_deadline_the_work_ends_in_the_server_too() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &["--api-deadline", "1s"]);
    let asked = Instant::now();
    let answer = front.query("sleep 30");
    assert_eq!(
        (answer.status, code(&answer)),
        (504, "deadline".to_owned()),
        "{}",
        answer.body
    );
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(sleepers(&cluster), 0);
    assert_eq!(front.query("a dancer").status, 200);
}

#[test]
fn a_client_that_goes_away_takes_its_work_along() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &["--api-connections", "1"]);
    let mut stream = TcpStream::connect(front.address()).unwrap();
    let body = r#"{"message": "hello", "options": {"sleep": 25}}"#;
    send_post(&mut stream, "/chat", &headers(APP), body.as_bytes()).unwrap();
    eventually(SOON, "the statement runs", || {
        (sleepers(&cluster) == 1).then_some(())
    });
    drop(stream);
    eventually(SOON, "its end", || (sleepers(&cluster) == 0).then_some(()));
    // Nothing of the turn is left, and the place is free again.
    assert_eq!(cluster.psql("SELECT count(*) FROM turns"), "0");
    assert_eq!(front.query("a dancer").status, 200);
}

#[test]
fn more_clients_than_connections_are_told_to_come_again_and_hold_up_nobody_else() {
    let cluster = cluster();
    let front = Front::start(
        &url(&cluster),
        &["--api-connections", "2", "--api-queue-timeout", "400ms"],
    );
    let address = front.address();
    let clients: Vec<_> = (0..60)
        .map(|_| {
            std::thread::spawn(move || {
                let asked = Instant::now();
                let answer = ask(
                    address,
                    "/match",
                    APP,
                    r#"{"target": "talents", "query": "sleep 1", "k": 1}"#,
                );
                (
                    answer.status,
                    answer.header("retry-after").map(str::to_owned),
                    asked.elapsed(),
                )
            })
        })
        .collect();
    // One of the two is left to the holders of other tokens.
    eventually(SOON, "a connection works", || {
        (sleepers(&cluster) == 1).then_some(())
    });
    let other = ask(
        address,
        "/match",
        OTHER,
        r#"{"target": "talents", "query": "a dancer", "k": 1}"#,
    );
    assert_eq!(other.status, 200, "{}", other.body);
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(get(address, "/livez").status, 200);
        get(address, "/metrics");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert!(sessions(&cluster, "true") <= 2);
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let served = answers.iter().filter(|(status, ..)| *status == 200).count();
    assert!((1..=2).contains(&served), "{served}");
    for (status, retry_after, took) in answers {
        assert!(
            status == 200 || (status == 503 && retry_after.as_deref() == Some("1")),
            "{status}"
        );
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    assert_eq!(front.query("a dancer").status, 200);
    assert!(sessions(&cluster, "true") <= 2);
}

#[test]
fn a_lost_database_is_503_at_once_and_comes_back_without_a_restart_of_ours() {
    let mut cluster = cluster();
    let mut front = Front::start(&url(&cluster), &["--api-deadline", "3s"]);
    assert_eq!(front.query("a dancer").status, 200);
    for round in ["stop", "kill"] {
        if round == "stop" {
            cluster.stop();
        } else {
            cluster.kill_immediately();
        }
        let asked = Instant::now();
        let answer = front.query("a dancer");
        assert_eq!(
            (answer.status, code(&answer)),
            (503, "unavailable".to_owned()),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        cluster.boot();
        // The connection of before is dead; the request does not notice.
        assert_eq!(front.query("a dancer").status, 200, "{}", front.program.log());
    }
    cluster.freeze();
    let asked = Instant::now();
    let answer = front.query("a dancer");
    assert_eq!(answer.status, 504, "{}", answer.body);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    cluster.thaw();
    eventually(SOON, "200 after the thaw", || {
        (front.query("a dancer").status == 200).then_some(())
    });
    assert_eq!(front.program.exit_code(), None);
}

#[test]
fn an_ended_session_is_replaced_within_the_request() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    for _ in 0..3 {
        assert_eq!(front.query("a dancer").status, 200, "{}", front.program.log());
        cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'castmatch-companion api'");
    }
}

#[test]
fn a_body_that_stops_short_is_not_waited_for_for_ever() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    let mut stream = TcpStream::connect(front.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = headers(APP).join("\r\n");
    let text = format!(
        "POST /match HTTP/1.1\r\nhost: test\r\n{head}\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{"
    );
    std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
    let asked = Instant::now();
    let answer = castmatch_e2e::http::read_response(stream).unwrap();
    assert_eq!((answer.status, code(&answer)), (408, "body_too_slow".to_owned()));
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}
