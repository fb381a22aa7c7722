//! The binary itself, as a child process on a free port.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;

/// The program with nothing in the environment that could name a database, but what is given.
pub fn bare_command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    command_of(
        env!("CARGO_BIN_EXE_castmatch-companion").as_ref(),
        arguments,
        environment,
    )
}

fn command_of(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}

/// `castmatch-companion serve`.
pub fn command(url: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = bare_command(&["serve"], &[]);
    command.args(arguments);
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command
}

/// Runs to the end.
pub fn output(url: Option<&str>, arguments: &[&str]) -> Output {
    command(url, arguments).output().unwrap()
}

/// The binary as it is shipped, if the tests were given one.
pub fn release() -> Option<PathBuf> {
    std::env::var_os("CASTMATCH_COMPANION_RELEASE").map(PathBuf::from)
}

fn with_free_port<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--listen", "127.0.0.1:0"], arguments].concat()
}

/// A subcommand that has ended.
pub struct Ended {
    pub code: i32,
    pub said: String,
    pub log: String,
}

impl Ended {
    /// What it printed, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.said).unwrap_or_else(|_| panic!("{}\n{}", self.said, self.log))
    }
}

impl From<Output> for Ended {
    fn from(out: Output) -> Self {
        Self {
            code: out.status.code().unwrap_or(-1),
            said: String::from_utf8(out.stdout).unwrap(),
            log: String::from_utf8(out.stderr).unwrap(),
        }
    }
}

/// Runs a subcommand to its end.
pub fn run(url: &str, arguments: &[&str]) -> Ended {
    bare_command(arguments, &[("DATABASE_URL", url)])
        .output()
        .unwrap()
        .into()
}

/// A file for the time of a test, which nobody else can read.
pub struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub fn new(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("castmatch-companion-file-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    pub fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub struct Program {
    child: Child,
    log: PathBuf,
    pub address: SocketAddr,
}

impl Program {
    pub fn start(url: &str, arguments: &[&str]) -> Self {
        Self::spawn(command(Some(url), &with_free_port(arguments)))
    }

    /// Of another build: that of `CASTMATCH_COMPANION_RELEASE`, where it is set.
    pub fn start_release(url: &str, arguments: &[&str]) -> Self {
        match release() {
            Some(binary) => {
                let mut command = command_of(&binary, &["serve"], &[("DATABASE_URL", url)]);
                command.args(with_free_port(arguments));
                Self::spawn(command)
            }
            None => Self::start(url, arguments),
        }
    }

    /// Under variables that change what the program sees.
    pub fn start_under(url: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(Some(url), &with_free_port(&[]));
        command.envs(variables.iter().copied());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let log =
            std::env::temp_dir().join(format!("castmatch-companion-{}-{number}.log", std::process::id()));
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let announced = || {
            let text = fs::read_to_string(&log).unwrap();
            text.lines().find_map(|line| {
                let rest = line.split_once("listening on ")?.1;
                rest.split('"').next()?.parse().ok()
            })
        };
        let (address, _) = eventually(Duration::from_secs(10), "the program listens", announced);
        Self { child, log, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// `None` while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .unwrap()
            .map(|status| status.code().unwrap_or(-1))
    }

    pub fn signal(&self, name: &str) {
        signal(name, &[self.child.id()]);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}
