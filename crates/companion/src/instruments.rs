//! The companion's own metrics, and the whole text of `/metrics`: its own families and those of the database.
//! What the monitor knows is taken from the snapshot at each scrape; only true counters live in the registry.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Gauge as GaugeValue, Metric, MetricFamily, MetricType};
use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::monitor::Snapshot;

const UP: &str = "castmatch_up";
const BUILD_INFO: &str = "castmatch_build_info";
const SCRAPE_DURATION: &str = "castmatch_scrape_duration_seconds";
const SCRAPE_TIMESTAMP: &str = "castmatch_last_scrape_success_timestamp_seconds";
const SCRAPE_ERRORS: &str = "castmatch_scrape_errors_total";

/// Whether a family name belongs to the companion, so that rows of the database with it are left out.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [UP, BUILD_INFO, SCRAPE_DURATION, SCRAPE_TIMESTAMP, SCRAPE_ERRORS].contains(&name)
        || name.starts_with("castmatch_companion_")
        || name.starts_with("process_")
}

/// The registry and the handles into it.
#[derive(Debug)]
pub struct Instruments {
    registry: Registry,
    requests: IntCounterVec,
    read_errors: IntCounter,
    dropped_rows: IntCounter,
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
                "HTTP requests answered by the companion.",
            ),
            &["path", "status"],
        )?;
        let read_errors = IntCounter::new(SCRAPE_ERRORS, "Failed reads of castmatch.metrics().")?;
        let dropped_rows = IntCounter::new(
            "castmatch_companion_dropped_samples_total",
            "Rows of castmatch.metrics() that were left out because they are not valid.",
        )?;
        let version = Opts::new(BUILD_INFO, "Version of the companion; the value is always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build_info = Gauge::with_opts(version)?;
        build_info.set(1.0);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(read_errors.clone()))?;
        registry.register(Box::new(dropped_rows.clone()))?;
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            registry,
            requests,
            read_errors,
            dropped_rows,
        })
    }

    /// Where other parts of the companion register theirs.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `path` must come from a fixed set: each new one is a new series.
    pub fn count_request(&self, path: &str, status: u16) {
        self.requests
            .with_label_values(&[path, &status.to_string()])
            .inc();
    }

    /// A read of the metrics failed.
    pub fn count_read_error(&self) {
        self.read_errors.inc();
    }

    /// Rows were left out of the exposition.
    pub fn count_dropped_rows(&self, rows: u64) {
        self.dropped_rows.inc_by(rows);
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When the encoder refuses a family.
    pub fn render(&self, snapshot: &Snapshot) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.push(gauge(
            UP,
            "Whether the database answers and the last read of castmatch's metrics succeeded.",
            if snapshot.up { 1.0 } else { 0.0 },
        ));
        families.push(gauge(
            SCRAPE_DURATION,
            "Duration of the last read of castmatch.metrics().",
            snapshot.read_duration.as_secs_f64(),
        ));
        let values = snapshot.values.as_deref();
        let read_at = values.map_or(0.0, |values| unix_seconds(values.read_at));
        families.push(gauge(
            SCRAPE_TIMESTAMP,
            "Unix time at which the values of castmatch shown here were read; 0 when there are none.",
            read_at,
        ));
        let mut text = TextEncoder::new().encode_to_string(&families)?;
        text.push_str(values.map_or("", |values| &values.text));
        Ok(text)
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut sample = GaugeValue::default();
    sample.set_value(value);
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(vec![Metric::from_gauge(sample)]);
    family
}
