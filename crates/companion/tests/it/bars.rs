//! What the companion may cost: time to start, answers under load, memory and CPU over a long time, size. The short
//! form looks for what is plainly wrong, whatever build and machine; the long form (`make test-long`) measures
//! the binary that is shipped and holds it to the figures of docs/companion.md.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::resident_kib;
use castmatch_e2e::scale::{is_long, scaled};

use crate::cluster::{STAND_IN, bare_cluster, performance_function};
use crate::program::{Program, release};
use crate::source::performance;

const SOON: Duration = Duration::from_secs(10);

/// As many rows as castmatch has with some models and indexes: 12 histograms, 300 others.
const MANY_METRICS: &str = r#"
CREATE OR REPLACE FUNCTION castmatch.metrics()
    RETURNS TABLE (name text, kind text, help text, labels jsonb, value double precision) LANGUAGE sql STABLE AS $$
    SELECT 'castmatch_request_duration_seconds' || suffix, 'histogram', 'Duration of castmatch operations in seconds.',
           jsonb_build_object('operation', 'operation' || o) || CASE WHEN le IS NULL THEN '{}' ELSE jsonb_build_object('le', le) END, 7
    FROM generate_series(1, 12) o,
         (SELECT '_bucket', (b * 0.25)::text FROM generate_series(1, 16) b UNION ALL VALUES ('_bucket', '+Inf'), ('_sum', NULL), ('_count', NULL)) s(suffix, le)
    UNION ALL
    SELECT 'castmatch_figure_' || n / 10, 'gauge', 'One of the figures that castmatch has.', jsonb_build_object('index', 'index_' || n % 10), n
    FROM generate_series(0, 299) n
$$;
"#;

fn cluster() -> Cluster {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(MANY_METRICS);
    cluster.psql(&performance_function(&performance(100)));
    cluster
}

/// Whether figures of this run are held to the bars: those of a debug build beside other tests say nothing.
fn measures() -> bool {
    is_long() && release().is_some()
}

#[test]
fn bar_ready_soon_after_the_start() {
    let cluster = cluster();
    let start = Instant::now();
    let program = Program::start_release(&cluster.url("postgres"), &[]);
    let ready = || (get(program.address, "/readyz").status == 200).then_some(());
    eventually(SOON, "ready", ready);
    let took = start.elapsed();
    println!("[bar] ready after {took:?}");
    if measures() {
        assert!(took <= Duration::from_secs(1), "{took:?}");
    }
}

/// One client that keeps its connection: latencies of its requests and how many were not answered with 200.
fn client(address: SocketAddr, requests: usize) -> (Vec<Duration>, usize) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let (mut latencies, mut errors) = (Vec::with_capacity(requests), 0);
    for _ in 0..requests {
        let start = Instant::now();
        let answered = writer
            .write_all(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n")
            .and_then(|()| read_status(&mut reader));
        errors += usize::from(!matches!(answered, Ok(200)));
        latencies.push(start.elapsed());
    }
    (latencies, errors)
}

fn read_status(reader: &mut BufReader<TcpStream>) -> std::io::Result<u16> {
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = text.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        } else if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(status)
}

#[test]
fn bar_ten_thousand_requests_over_64_connections() {
    let cluster = cluster();
    let program = Program::start_release(&cluster.url("postgres"), &[]);
    eventually(SOON, "ready", || {
        (get(program.address, "/readyz").status == 200).then_some(())
    });
    let address = program.address;
    let start = Instant::now();
    let clients: Vec<_> = (0..64)
        .map(|number| std::thread::spawn(move || client(address, if number < 16 { 157 } else { 156 })))
        .collect();
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for client in clients {
        let (some, failed) = client.join().unwrap();
        latencies.extend(some);
        errors += failed;
    }
    let took = start.elapsed();
    latencies.sort_unstable();
    let at = |share: usize| latencies[latencies.len() * share / 1000];
    println!(
        "[bar] {} requests in {took:?}, {errors} errors, p50 {:?}, p99 {:?}, most {:?}",
        latencies.len(),
        at(500),
        at(990),
        latencies[latencies.len() - 1]
    );
    assert_eq!((latencies.len(), errors), (10_000, 0));
    let limit = if measures() { 20 } else { 500 };
    assert!(at(990) <= Duration::from_millis(limit), "{:?}", at(990));
}

/// CPU time of a process, in clock ticks of a hundredth of a second.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn bar_memory_and_cpu_over_scrapes() {
    let cluster = cluster();
    let program = Program::start_release(&cluster.url("postgres"), &[]);
    eventually(SOON, "ready", || {
        (get(program.address, "/readyz").status == 200).then_some(())
    });
    // An hour of scrapes each second, in ten minutes; then the CPU at the pace of one a second.
    let soak = scaled(Duration::from_secs(6), Duration::from_secs(600));
    let scrape = |pause: Duration, length: Duration| {
        let start = Instant::now();
        let mut scrapes = 0u32;
        while start.elapsed() < length {
            let answer = get(
                program.address,
                if scrapes.is_multiple_of(2) {
                    "/metrics"
                } else {
                    "/performance"
                },
            );
            assert_eq!(answer.status, 200);
            assert_eq!(get(program.address, "/metrics").sample("castmatch_up"), Some(1.0));
            scrapes += 1;
            std::thread::sleep((pause * scrapes).saturating_sub(start.elapsed()));
        }
        scrapes
    };
    let early = resident_kib(program.pid());
    let scrapes = scrape(Duration::from_millis(166), soak);
    let resident = resident_kib(program.pid());
    let (before, start) = (cpu(program.pid()), Instant::now());
    scrape(
        Duration::from_secs(1),
        scaled(Duration::from_secs(3), Duration::from_secs(60)),
    );
    let share = (cpu(program.pid()) - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "[bar] {scrapes} scrapes: {early} kB, then {resident} kB; at one a second {:.2} % of a core",
        share * 100.0
    );
    if measures() {
        assert!(resident <= 20 * 1024, "{resident} kB");
        assert!(share <= 0.01, "{share}");
    } else {
        assert!(resident <= 64 * 1024, "{resident} kB");
        assert!(share <= 0.5, "{share}");
    }
}

#[test]
fn bar_size_of_the_binary() {
    let Some(binary) = release() else {
        // Only the shipped build has a size worth knowing; the long form makes it.
        assert!(!is_long(), "CASTMATCH_COMPANION_RELEASE names no binary");
        return;
    };
    let bytes = std::fs::metadata(&binary).unwrap().len();
    println!("[bar] {} is {bytes} bytes", binary.display());
    assert!(bytes <= 15 * 1024 * 1024, "{bytes}");
}
