//! The binary itself, as a child process on a free port.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;

/// `castmatch-companion serve` with nothing in the environment that could name a database.
pub fn command(url: Option<&str>, arguments: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_castmatch-companion").as_ref(), url, arguments)
}

fn command_of(binary: &Path, url: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("serve")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null());
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
            Some(binary) => Self::spawn(command_of(&binary, Some(url), &with_free_port(arguments))),
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
            text.lines()
                .find_map(|line| line.split_once("listening on ")?.1.parse().ok())
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
