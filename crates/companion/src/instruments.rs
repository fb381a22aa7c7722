//! The companion's own metrics, and the whole text of `/metrics`: its own families and those of the database.
//! What the monitor knows is taken from the snapshot at each scrape; only true counters live in the registry.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use serde_json::{Value, json};

use crate::exposition::{self, gauge};
use crate::monitor::{Health, Snapshot};
use crate::process::Usage;

const UP: &str = "castmatch_up";
const BUILD_INFO: &str = "castmatch_build_info";
const SCRAPE_DURATION: &str = "castmatch_scrape_duration_seconds";
const SCRAPE_TIMESTAMP: &str = "castmatch_last_scrape_success_timestamp_seconds";
const SCRAPE_ERRORS: &str = "castmatch_scrape_errors_total";
const COLLECTOR_SUCCESS: &str = "castmatch_scrape_collector_success";

/// `/metrics` is due within 50 ms, everything else within a few; slower ones say that the machine is busy.
const DURATION_BUCKETS: [f64; 7] = [0.0005, 0.001, 0.005, 0.02, 0.05, 0.1, 1.0];

/// Whether a family name belongs to the companion, so that rows of the database with it are left out. In the
/// format of OpenMetrics a counter's family is named without `_total`.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let own = [
        UP,
        BUILD_INFO,
        SCRAPE_DURATION,
        SCRAPE_TIMESTAMP,
        SCRAPE_ERRORS,
        COLLECTOR_SUCCESS,
    ];
    own.iter()
        .any(|own| *own == name || own.strip_suffix("_total") == Some(name))
        || name.starts_with("castmatch_companion_")
        || name.starts_with("process_")
}

/// How `/metrics` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The registry and the handles into it.
#[derive(Debug)]
pub struct Instruments {
    registry: Registry,
    started: SystemTime,
    /// The monotonic clock's: a clock that is set does not change for how long the process has run.
    started_at: Instant,
    requests: IntCounterVec,
    durations: HistogramVec,
    read_errors: IntCounter,
    dropped_rows: IntCounter,
    collectors: GaugeVec,
}

impl Instruments {
    /// Registers everything in a registry of its own.
    ///
    /// # Errors
    /// When a name is invalid or used twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "castmatch_companion_http_requests_total",
                "HTTP requests that the companion has answered, by route and status code; unknown paths are \"other\".",
            ),
            &["path", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "castmatch_companion_http_request_duration_seconds",
                "Time from an HTTP request's head to its answer, by route, in seconds; /metrics may wait for fresh values.",
            )
            .buckets(DURATION_BUCKETS.to_vec()),
            &["path"],
        )?;
        let read_errors = IntCounter::new(
            SCRAPE_ERRORS,
            "Reads of castmatch.metrics() that failed or came too late; the scrape got the last good values.",
        )?;
        let dropped_rows = IntCounter::new(
            "castmatch_companion_dropped_samples_total",
            "Rows of castmatch.metrics() that were left out because they would have made the exposition invalid.",
        )?;
        let version = Opts::new(
            BUILD_INFO,
            "Version of the companion as a label; the value is always 1.",
        )
        .const_label("version", env!("CARGO_PKG_VERSION"));
        let build_info = Gauge::with_opts(version)?;
        build_info.set(1.0);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(read_errors.clone()))?;
        registry.register(Box::new(dropped_rows.clone()))?;
        registry.register(Box::new(build_info))?;
        let collectors = GaugeVec::new(
            Opts::new(
                COLLECTOR_SUCCESS,
                "1 if the last question to the database was answered, else 0, by collector: health is castmatch.health(), metrics is castmatch.metrics().",
            ),
            &["collector"],
        )?;
        registry.register(Box::new(collectors.clone()))?;
        Ok(Self {
            registry,
            started: SystemTime::now(),
            started_at: Instant::now(),
            requests,
            durations,
            read_errors,
            dropped_rows,
            collectors,
        })
    }

    /// Where other parts of the companion register theirs.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `path` must come from a fixed set: each new one is a new series.
    pub fn count_request(&self, path: &str, status: u16, duration: Duration) {
        self.requests
            .with_label_values(&[path, &status.to_string()])
            .inc();
        self.durations
            .with_label_values(&[path])
            .observe(duration.as_secs_f64());
    }

    /// A read of the metrics failed.
    pub fn count_read_error(&self) {
        self.read_errors.inc();
    }

    /// Rows were left out of the exposition.
    pub fn count_dropped_rows(&self, rows: u64) {
        self.dropped_rows.inc_by(rows);
    }

    /// What `/performance` says of the companion itself: requests and those answered with a status of 5xx, and
    /// what the process uses.
    #[must_use]
    pub fn summary(&self) -> Value {
        let (mut requests, mut errors) = (0.0, 0.0);
        for metric in self.requests.collect().iter().flat_map(MetricFamily::get_metric) {
            let count = metric.get_counter().get_value();
            requests += count;
            let failed = |label: &prometheus::proto::LabelPair| {
                label.name() == "status" && label.value().starts_with('5')
            };
            if metric.get_label().iter().any(failed) {
                errors += count;
            }
        }
        let usage = Usage::of_self();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started_at.elapsed().as_secs(),
            "requests": requests as u64,
            "errors": errors as u64,
            "resident_bytes": usage.resident_bytes,
            "cpu_seconds": usage.cpu.as_secs_f64(),
            "threads": usage.threads,
            "open_fds": usage.open_fds,
        })
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When the encoder refuses a family.
    pub fn render(&self, snapshot: &Snapshot, format: Format) -> Result<String, prometheus::Error> {
        let values = snapshot.values.as_deref();
        let families = self.families(snapshot);
        Ok(match format {
            Format::Text => {
                let mut text = TextEncoder::new().encode_to_string(&families)?;
                text.push_str(values.map_or("", |values| &values.text));
                text
            }
            Format::OpenMetrics => {
                let mut text = exposition::openmetrics(&families);
                text.push_str(values.map_or("", |values| &values.openmetrics));
                text.push_str(exposition::END);
                text
            }
        })
    }

    /// The companion's own.
    fn families(&self, snapshot: &Snapshot) -> Vec<MetricFamily> {
        let read_at = snapshot.values.as_deref().map(|values| values.read_at);
        let is_well = matches!(snapshot.health, Health::Ok(_) | Health::Degraded(_));
        for (collector, succeeded) in [("health", is_well), ("metrics", snapshot.up)] {
            let sample = self.collectors.with_label_values(&[collector]);
            sample.set(f64::from(u8::from(succeeded)));
        }
        let mut families = self.registry.gather();
        families.extend(Usage::of_self().families(self.started));
        families.push(gauge(
            UP,
            "1 if the database answers and the last read of castmatch.metrics() succeeded, else 0; the other values of castmatch are then the last good ones.",
            f64::from(u8::from(snapshot.up)),
        ));
        families.push(gauge(
            SCRAPE_DURATION,
            "Duration of the last read of castmatch.metrics(), failed or not, in seconds.",
            snapshot.read_duration.as_secs_f64(),
        ));
        families.push(gauge(
            SCRAPE_TIMESTAMP,
            "Unix time at which the values of castmatch shown here were read, in seconds; 0 when there are none.",
            read_at.map_or(0.0, unix_seconds),
        ));
        families
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
