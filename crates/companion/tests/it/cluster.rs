//! A private PostgreSQL cluster: own folder, loopback only, a free port, stopped by its own process id. Its
//! database holds a stand-in for the extension: schema `castmatch` with SQL functions of the agreed shape.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::eventually;

/// The agreed shape of both functions; every string that the text format must escape is in a label.
pub const STAND_IN: &str = r#"
CREATE SCHEMA castmatch;
CREATE FUNCTION castmatch.health() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT '{"status": "ok", "version": "0.1.0", "preloaded": true, "pending": 0, "failed": 0,
             "embedder": {"state": "ready", "model": "all-MiniLM-L6-v2", "error": null}}'::jsonb
$$;
CREATE FUNCTION castmatch.metrics()
    RETURNS TABLE (name text, kind text, help text, labels jsonb, value double precision) LANGUAGE sql STABLE AS $$
    VALUES
    ('castmatch_cache_hits_total', 'counter', 'Cache hits.', '{"cache": "reply", "level": "shared"}'::jsonb, 41.0::float8),
    ('castmatch_cache_hits_total', 'counter', 'Cache hits.', '{"cache": "a\"b\\c\nd", "level": "local"}', 2),
    ('castmatch_queue_pending', 'gauge', 'Rows waiting for their embedding.', NULL, 0.1),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "0.005"}', 3),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "1"}', 5),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "+Inf"}', 6),
    ('castmatch_request_duration_seconds_sum', 'histogram', 'Duration of calls.', '{"operation": "match"}', 2.5),
    ('castmatch_request_duration_seconds_count', 'histogram', 'Duration of calls.', '{"operation": "match"}', 6)
$$;
"#;

/// Whom initdb and the server run as: they refuse root.
struct Account {
    prefix: Vec<&'static str>,
    owner: Option<(u32, u32)>,
}

impl Account {
    fn choose() -> Self {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self {
                prefix: vec![],
                owner: None,
            };
        }
        let id = |flag: &str| {
            let out = Command::new("id").args([flag, "postgres"]).output().unwrap();
            assert!(
                out.status.success(),
                "tests run by root need the account postgres"
            );
            String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
        };
        // setpriv replaces itself by the command, so the child's process id is the server's.
        let prefix = vec![
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ];
        Self {
            prefix,
            owner: Some((id("-u"), id("-g"))),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let words: Vec<&OsStr> = self
            .prefix
            .iter()
            .map(OsStr::new)
            .chain([program.as_os_str()])
            .collect();
        let mut command = Command::new(words[0]);
        // A folder that any account can enter: the current one may belong to root.
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null());
        command
    }
}

pub struct Cluster {
    binaries: PathBuf,
    account: Account,
    folder: PathBuf,
    pub port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// A running cluster with an empty database `postgres`.
    pub fn start() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder =
            std::env::temp_dir().join(format!("castmatch-companion-{}-{number}", std::process::id()));
        let account = Account::choose();
        let data = folder.join("data");
        fs::create_dir_all(&data).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((uid, gid)) = account.owner {
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut cluster = Self {
            binaries: binaries(),
            account,
            folder,
            port,
            server: None,
        };
        let initdb = cluster
            .account
            .command(&cluster.binaries.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            initdb.status.success(),
            "{}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        cluster.boot();
        cluster
    }

    /// Starts the stopped server and waits until it answers.
    pub fn boot(&mut self) {
        assert!(self.server.is_none(), "already running");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let data = self.folder.join("data");
        let server = self
            .account
            .command(&self.binaries.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            .args(["-c", "log_statement=all", "-c", "log_line_prefix=%a|", "-c"])
            .arg(format!("unix_socket_directories={}", data.display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        eventually(Duration::from_secs(30), "server start", || {
            self.try_sql("SELECT 1").ok()
        });
    }

    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs SQL, gives what psql prints.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(self.binaries.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // psql that finds no server ends without reading; its exit status tells.
        let _ = psql.stdin.take().unwrap().write_all(sql.as_bytes());
        let out = psql.wait_with_output().unwrap();
        if out.status.success() {
            Ok(String::from_utf8(out.stdout).unwrap().trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&out.stderr).into_owned())
        }
    }

    /// What the server wrote for sessions of this application.
    pub fn log_of(&self, application: &str) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        let prefix = format!("{application}|");
        log.lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    /// The postmaster first, then its children.
    fn processes(&self) -> Vec<u32> {
        let postmaster = self.server.as_ref().unwrap().id();
        let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // "pid (name) state ppid …"; the name may hold blanks.
            let parent = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse::<u32>()
                .ok()?;
            (parent == postmaster).then_some(pid)
        });
        std::iter::once(postmaster).chain(children).collect()
    }

    /// Stops every process of the server where it stands: sockets stay open, nothing answers.
    pub fn freeze(&self) {
        // The postmaster first, so that no new child appears.
        signal("STOP", &self.processes()[..1]);
        signal("STOP", &self.processes());
    }

    pub fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// Kills the postmaster; the children notice and follow.
    pub fn kill(&mut self) {
        let processes = self.processes();
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        let gone = || (!processes.iter().any(|pid| runs(*pid))).then_some(());
        eventually(Duration::from_secs(30), "end of all server processes", gone);
        // What a crash leaves behind belongs to a process id that may be in use again.
        let _ = fs::remove_file(self.folder.join("data/postmaster.pid"));
    }

    /// Fast shutdown: sessions are told and ended.
    pub fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        signal("INT", &[server.id()]);
        server.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.thaw();
            signal("QUIT", &self.processes()[..1]);
            let _ = self.server.take().unwrap().wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn signal(name: &str, processes: &[u32]) {
    for pid in processes {
        // A child may have ended by itself.
        let _ = Command::new("kill")
            .args(["-s", name, &pid.to_string()])
            .stderr(Stdio::null())
            .status();
    }
}

/// An orphan that its new parent has not reaped yet is a zombie, and has ended.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

fn binaries() -> PathBuf {
    let pg_config = std::env::var("CASTMATCH_PG_CONFIG")
        .unwrap_or_else(|_| "/usr/lib/postgresql/15/bin/pg_config".to_owned());
    let out = Command::new(&pg_config).arg("--bindir").output();
    let out = out.unwrap_or_else(|error| {
        panic!("these tests need PostgreSQL: cannot run {pg_config} (set CASTMATCH_PG_CONFIG): {error}")
    });
    PathBuf::from(String::from_utf8(out.stdout).unwrap().trim())
}
