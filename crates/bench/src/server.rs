//! A PostgreSQL server of the measurement's own: a cluster in a folder, reached through a socket in that folder only.
//!
//! It outlives a run, with its tables and indexes, so that a run that was stopped goes on. Under root its programs run
//! as the user postgres, because a server refuses to run as root.

use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::{Client, Config, NoTls};

use crate::Error;

/// Part of the socket's name; nothing listens on the network.
const PORT: u16 = 5432;
/// Bytes that a socket's path may have.
const SOCKET_LIMIT: usize = 107;
const DATABASE: &str = "postgres";
const SUPERUSER: &str = "postgres";

/// Settings of postgresql.conf, name and value.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    folder: PathBuf,
}

impl Server {
    /// Stops the server of a folder if it runs, and removes the folder if there is a cluster in it.
    pub(crate) fn discard(bin: &Path, folder: &Path) -> Result<(), Error> {
        let server = Self {
            bin: bin.to_owned(),
            folder: std::path::absolute(folder)?,
        };
        if server.data().join("PG_VERSION").exists() {
            server.stop();
            std::fs::remove_dir_all(&server.folder)?;
        }
        Ok(())
    }

    /// Makes the cluster in `folder` if there is none and starts it with the programs in `bin`.
    pub(crate) fn start(bin: &Path, folder: &Path, settings: &Settings) -> Result<Self, Error> {
        let folder = std::path::absolute(folder)?;
        if folder.as_os_str().len() + "/.s.PGSQL.5432".len() > SOCKET_LIMIT {
            return Err(format!("{} is too long for a server's socket", folder.display()).into());
        }
        let server = Self {
            bin: bin.to_owned(),
            folder,
        };
        let mut make = Command::new("install");
        make.args(["-d", "-m", "700"]);
        if runs_as_root() {
            make.args(["-o", SUPERUSER]);
        }
        complete(make.arg(&server.folder))?;
        let data = server.data();
        if !data.join("PG_VERSION").exists() {
            println!("initdb in {}", data.display());
            complete(
                server
                    .program("initdb")
                    .args(["--username=postgres", "--auth=trust", "--no-instructions"])
                    .args(["--encoding=UTF8", "--locale=C", "--pgdata"])
                    .arg(&data),
            )?;
        }
        // One that a killed run left behind may have other settings.
        server.stop();
        server.configure(settings)?;
        complete(
            server
                .program("pg_ctl")
                .args(["start", "-w", "-s", "-t", "300", "-D"])
                .arg(&data)
                .arg("-l")
                .arg(server.folder.join("server.log")),
        )
        .map_err(|error| format!("{error}; see {}/server.log", server.folder.display()))?;
        Ok(server)
    }

    /// Starts the server of an installation with castmatch preloaded and created in schema public, its model loaded.
    pub(crate) fn with_castmatch(
        install: &Path,
        folder: &Path,
        mut settings: Settings,
    ) -> Result<Self, Error> {
        settings.push(("shared_preload_libraries", "castmatch".to_owned()));
        let server = Self::start(&install.join("bin"), folder, &settings)?;
        server
            .connect("public")?
            .batch_execute("CREATE EXTENSION IF NOT EXISTS castmatch; SELECT castmatch.embed('warm up')")?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn configure(&self, settings: &Settings) -> Result<(), Error> {
        let mut text = format!(
            "listen_addresses = ''\nport = {PORT}\nunix_socket_directories = '{}'\nunix_socket_permissions = 0700\n",
            self.folder.display()
        );
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        // Read after postgresql.conf; the owner of the file does not matter, that it can be read does.
        let main = self.data().join("postgresql.conf");
        let own = self.folder.join("bench.conf");
        std::fs::write(&own, text)?;
        complete(Command::new("chmod").arg("644").arg(&own))?;
        let include = format!("include '{}'\n", own.display());
        let mut content = std::fs::read_to_string(&main)?;
        if !content.contains(&include) {
            content.push_str(&include);
            std::fs::write(&main, content)?;
        }
        Ok(())
    }

    /// A program of the installation, run by the user that owns the cluster.
    fn program(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = if runs_as_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", SUPERUSER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // That user may not enter the folder of the caller.
        command.current_dir("/");
        command
    }

    fn stop(&self) {
        // pg_ctl signals the process that the pid file of this cluster names, if that runs.
        let _ = self
            .program("pg_ctl")
            .args(["stop", "-s", "-w", "-m", "fast", "-t", "300", "-D"])
            .arg(self.data())
            .output();
    }

    /// A connection whose unqualified names are looked up in these schemas.
    pub(crate) fn connect(&self, schemas: &str) -> Result<Client, Error> {
        let mut client = Config::new()
            .host_path(&self.folder)
            .port(PORT)
            .user(SUPERUSER)
            .dbname(DATABASE)
            .notice_callback(|notice| {
                // "… does not exist, skipping" says nothing; that memory did not suffice does.
                if !notice.message().ends_with("skipping") {
                    eprintln!(
                        "castmatch-bench: server: {}: {}",
                        notice.severity(),
                        notice.message()
                    );
                }
            })
            .connect(NoTls)?;
        client.batch_execute(&format!("SET search_path = {schemas}"))?;
        Ok(client)
    }

    /// Process id of the server's main process.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn runs_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command to its end; an error holds what it said. Output goes to a file, because a server that pg_ctl starts
/// keeps a pipe open.
fn complete(command: &mut Command) -> Result<(), Error> {
    let name = format!("{command:?}");
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} failed ({status})").into())
    }
}
