//! A private PostgreSQL cluster: own folder, loopback only, a free port, stopped by its own process id.
//!
//! A cluster that goes down well is asked at the end whether any of its processes crashed or reported an internal error:
//! no test may cause one unseen. One that a failing test drops prints the end of its log.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};

use crate::place::Place;
use crate::poll::eventually;
use crate::process::{children, runs, signal, title};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Lines of the log that a failing test prints.
const LOG_TAIL: usize = 60;
/// Signs of a defect in a line of the log, whatever a test does.
const ALARMS: [&str; 7] = [
    " XX000 ",
    "PANIC:",
    "TRAP:",
    "panicked at",
    "refcount leak",
    "reference leak",
    "unexpected data beyond EOF",
];
/// Process id, then SQLSTATE between blanks.
const LOG_PREFIX: &str = "%m [%p] %b %e ";

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether `shared_preload_libraries` names castmatch.
    pub preload: bool,
    /// Further settings of postgresql.conf; the value stands between quotes there.
    pub settings: Vec<(&'static str, String)>,
    /// Whether the test kills processes of the server itself.
    pub crashes: bool,
    /// Whether the test damages files of the server itself.
    pub damages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preload: true,
            settings: Vec::new(),
            crashes: false,
            damages: false,
        }
    }
}

/// A cluster; its superuser is `postgres`.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    folder: PathBuf,
    crashes: bool,
    damages: bool,
    /// Port on 127.0.0.1.
    pub port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// A running cluster in the place that the environment names.
    ///
    /// # Panics
    /// If a variable is missing or the server does not start.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        Self::start_in(Place::from_environment(), options)
    }

    /// A running cluster with an empty database `postgres`.
    ///
    /// # Panics
    /// If the server does not start.
    #[must_use]
    pub fn start_in(place: Place, options: &Options) -> Self {
        let mut cluster = Self::configured(place, options);
        cluster.boot();
        cluster
    }

    /// What pg_upgrade makes of this cluster in the server of another place, running. Nothing is left of this one.
    ///
    /// # Panics
    /// If pg_upgrade fails, or the server does not start.
    #[must_use]
    pub fn upgraded_in(mut self, place: Place, options: &Options) -> Self {
        self.stop();
        let mut new = Self::configured(place, options);
        let work = new.new_folder("upgrade");
        let mut upgrade = new.place.command("pg_upgrade");
        upgrade.current_dir(&work).arg("--username=postgres");
        for (which, cluster) in [("old", &self), ("new", &new)] {
            upgrade
                .arg(format!("--{which}-bindir"))
                .arg(&cluster.place.binaries);
            upgrade.arg(format!("--{which}-datadir")).arg(cluster.data());
            upgrade.args([format!("--{which}-port"), cluster.port.to_string()]);
        }
        let out = upgrade.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "pg_upgrade: {said}");
        new.boot();
        new
    }

    /// A cluster that has not been started yet.
    fn configured(place: Place, options: &Options) -> Self {
        let cluster = Self::create(place, options);
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", cluster.port.to_string()),
            ("unix_socket_directories", cluster.data().display().to_string()),
            ("fsync", "off".to_owned()),
            ("shared_buffers", "32MB".to_owned()),
            ("max_connections", "200".to_owned()),
            ("max_worker_processes", "16".to_owned()),
            ("max_prepared_transactions", "10".to_owned()),
            ("log_line_prefix", LOG_PREFIX.to_owned()),
        ];
        if options.preload {
            settings.push(("shared_preload_libraries", "castmatch".to_owned()));
        }
        settings.extend(options.settings.iter().cloned());
        cluster.configure(&settings);
        cluster
    }

    /// A streaming standby of this cluster, running.
    ///
    /// # Panics
    /// If the base backup fails or the standby does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let mut standby = Self::prepare(self.place.clone(), self.crashes, self.damages);
        let data = standby.data().display().to_string();
        let url = self.url("postgres");
        self.program(
            "pg_basebackup",
            &[
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--dbname",
                &url,
                "--pgdata",
                &data,
            ],
        );
        standby.configure(&[
            ("port", standby.port.to_string()),
            ("unix_socket_directories", data),
        ]);
        standby.boot();
        standby
    }

    fn create(place: Place, options: &Options) -> Self {
        let cluster = Self::prepare(place, options.crashes, options.damages);
        // Without them, which is the default before 18: tests damage pages to see what castmatch says of them, and pg_upgrade wants both of
        // its clusters alike.
        let no_checksums = (cluster.place.major >= 18).then_some("--no-data-checksums");
        let initdb = cluster
            .place
            .command("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
            ])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(cluster.data())
            .args(no_checksums)
            .output()
            .unwrap();
        assert!(
            initdb.status.success(),
            "{}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        cluster
    }

    /// An empty folder and a free port.
    fn prepare(place: Place, crashes: bool, damages: bool) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = place
            .folder
            .join(format!("castmatch-{}-{number}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some(account) = &place.account {
            chown(&data, Some(account.ids.0), Some(account.ids.1)).unwrap();
        }
        let port = free_port();
        Self {
            place,
            folder,
            crashes,
            damages,
            port,
            server: None,
        }
    }

    /// The folder of the cluster's data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A new folder that the server can read and write.
    ///
    /// # Panics
    /// If it exists.
    #[must_use]
    pub fn new_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).unwrap();
        if let Some(account) = &self.place.account {
            chown(&folder, Some(account.ids.0), Some(account.ids.1)).unwrap();
        }
        folder
    }

    /// Where the programs of the server are.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Appends to postgresql.conf, where the last line about a setting counts. Takes effect on reload or restart.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn configure(&self, settings: &[(&str, String)]) {
        let path = self.data().join("postgresql.conf");
        let mut file = File::options().append(true).open(path).unwrap();
        for (name, value) in settings {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''")).unwrap();
        }
    }

    /// Has the server read its configuration again.
    pub fn reload(&self) {
        signal("HUP", &[self.postmaster()]);
    }

    /// Starts the stopped server and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn boot(&mut self) {
        self.boot_with(&[]);
    }

    /// Starts the stopped server as pg_upgrade starts the old and the new one: with the option `-b`.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn boot_for_pg_upgrade(&mut self) {
        self.boot_with(&["-b"]);
    }

    fn boot_with(&mut self, arguments: &[&str]) {
        self.spawn(arguments);
        eventually(START_LIMIT, "the server answers", || {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server did not start:\n{}", self.log_tail());
            self.config("postgres", "postgres").connect(NoTls).ok()
        });
    }

    /// Starts the stopped server and kills it after that time, in recovery or just after.
    ///
    /// # Panics
    /// If it does not end.
    pub fn boot_killed_after(&mut self, delay: Duration) {
        self.spawn(&[]);
        sleep(delay);
        self.kill_immediately();
    }

    fn spawn(&mut self, arguments: &[&str]) {
        assert!(self.server.is_none(), "already running");
        // A server that is killed while it makes its lock file leaves an empty one, which the next refuses to remove.
        let lock = self.data().join("postmaster.pid");
        if std::fs::metadata(&lock).is_ok_and(|file| file.len() == 0) {
            std::fs::remove_file(&lock).unwrap();
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let mut server = self.place.command("postgres");
        server
            .arg("-D")
            .arg(self.data())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log);
        self.server = Some(server.spawn().unwrap());
    }

    fn config(&self, database: &str, user: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(user)
            .dbname(database)
            .application_name("castmatch-test")
            .connect_timeout(Duration::from_secs(10));
        config
    }

    /// A new session.
    ///
    /// # Panics
    /// If the server refuses it.
    #[must_use]
    pub fn connect(&self, database: &str, user: &str) -> Client {
        self.try_connect(database, user)
            .unwrap_or_else(|error| panic!("{user} at {database}: {error:?}"))
    }

    /// A new session, if the server gives one.
    ///
    /// # Errors
    /// As the server refuses it.
    pub fn try_connect(&self, database: &str, user: &str) -> Result<Client, postgres::Error> {
        self.config(database, user).connect(NoTls)
    }

    /// A session of the superuser in a new database with castmatch.
    ///
    /// # Panics
    /// If the database or the extension cannot be created.
    #[must_use]
    pub fn database(&self, name: &str) -> Client {
        let mut client = self.plain_database(name);
        crate::query::run(&mut client, "CREATE EXTENSION castmatch");
        client
    }

    /// A session of the superuser in a new database without castmatch.
    ///
    /// # Panics
    /// If the database cannot be created.
    #[must_use]
    pub fn plain_database(&self, name: &str) -> Client {
        crate::query::run(
            &mut self.connect("postgres", "postgres"),
            &format!("CREATE DATABASE {name}"),
        );
        self.connect(name, "postgres")
    }

    /// Address of a database for clients that take a URL.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL with psql in database `postgres`, gives what it prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn psql(&self, sql: &str) -> String {
        let url = self.url("postgres");
        let arguments = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, &url];
        self.program("psql", &arguments).trim().to_owned()
    }

    /// Runs a client program of the server's version to its end, gives its output.
    ///
    /// # Panics
    /// If it fails.
    pub fn program(&self, name: &str, arguments: &[&str]) -> String {
        let out = self.place.command(name).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name} {arguments:?}: {said}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// The server's process.
    ///
    /// # Panics
    /// If it is stopped.
    #[must_use]
    pub fn postmaster(&self) -> u32 {
        self.server.as_ref().expect("the server is stopped").id()
    }

    /// The postmaster first, then its children.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster();
        std::iter::once(postmaster).chain(children(postmaster)).collect()
    }

    /// Children whose title has that text.
    #[must_use]
    pub fn titled(&self, text: &str) -> Vec<u32> {
        let mut found = children(self.postmaster());
        found.retain(|&pid| runs(pid) && title(pid).contains(text));
        found
    }

    /// Stops every process of the server where it stands: sockets stay open, nothing answers.
    pub fn freeze(&self) {
        // The postmaster first, so that no new child appears.
        signal("STOP", &[self.postmaster()]);
        signal("STOP", &self.processes());
    }

    /// Undoes [`Self::freeze`].
    pub fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// Ends all processes at once, as a loss of power would. What they leave behind stays, the pid file too.
    ///
    /// # Panics
    /// If they do not end.
    pub fn kill_immediately(&mut self) {
        // Stopped first, so that no child starts another one meanwhile.
        signal("STOP", &[self.postmaster()]);
        let processes = self.processes();
        signal("KILL", &processes);
        self.server.take().unwrap().wait().unwrap();
        let gone = || (!processes.iter().any(|&pid| runs(pid))).then_some(());
        eventually(Duration::from_secs(30), "end of all server processes", gone);
    }

    /// Fast shutdown: sessions are told and ended.
    ///
    /// # Panics
    /// If the server is not running, or hangs.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("the server is stopped");
        signal("INT", &[server.id()]);
        eventually(Duration::from_secs(60), "fast shutdown", || {
            server.try_wait().unwrap()
        });
    }

    /// Fast shutdown and start.
    pub fn restart(&mut self) {
        self.stop();
        self.boot();
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What the server wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Lines of the log that tell of a crash or of a defect of castmatch itself. A test that kills processes causes
    /// no other ends by a signal than that; nor do those processes leave anything damaged, or held.
    fn alarms(&self) -> Vec<String> {
        let damage = [" XX001 ", " XX002 ", "inconsistent page found"];
        let alarming = |line: &&str| {
            let by_signal = line.contains("was terminated by signal");
            ALARMS.iter().any(|sign| line.contains(sign))
                || (by_signal && !(self.crashes && line.contains("signal 9: Killed")))
                || (!self.damages && damage.iter().any(|sign| line.contains(sign)))
        };
        self.log().lines().filter(alarming).map(str::to_owned).collect()
    }
}

/// A port for a server that may go down and come back to it: below those that the system gives to outgoing connections
/// (`ip_local_port_range`), one of which could hold it when the server returns, and given to no other cluster of this process.
fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    (0..COUNT)
        .find_map(|_| {
            // Processes that test at the same time begin at different ports.
            let number = TAKEN
                .fetch_add(1, Ordering::SeqCst)
                .wrapping_add(std::process::id().wrapping_mul(97));
            let port = FIRST + u16::try_from(number % COUNT).unwrap();
            TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
        })
        .expect("a free port")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut clean = true;
        if let Some(mut server) = self.server.take() {
            signal(
                "CONT",
                &[&[server.id()], children(server.id()).as_slice()].concat(),
            );
            signal("INT", &[server.id()]);
            let deadline = Instant::now() + STOP_LIMIT;
            while clean && server.try_wait().unwrap().is_none() {
                clean = Instant::now() < deadline;
                sleep(Duration::from_millis(10));
            }
            if !clean {
                signal("QUIT", &[server.id()]);
                let _ = server.wait();
            }
        }
        let alarms = self.alarms();
        let tail = self.log_tail();
        let _ = fs::remove_dir_all(&self.folder);
        if std::thread::panicking() {
            eprintln!("end of the server's log:\n{tail}");
        } else {
            assert!(clean, "the server did not stop within {STOP_LIMIT:?}:\n{tail}");
            assert!(
                alarms.is_empty(),
                "alarming lines in the server's log: {alarms:#?}"
            );
        }
    }
}
