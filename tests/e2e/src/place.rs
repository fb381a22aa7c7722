//! Where the server's programs are, whom it runs as and where its data goes: what the test stage exports.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whom the server runs as, if not as the caller: initdb and the server refuse root.
#[derive(Clone, Debug)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User and group id.
    pub ids: (u32, u32),
}

impl Account {
    /// # Panics
    /// If there is no such account.
    fn named(name: &str) -> Self {
        let id = |flag: &str| {
            let out = Command::new("id").args([flag, name]).output().unwrap();
            assert!(out.status.success(), "there is no account {name}");
            String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
        };
        Self {
            name: name.to_owned(),
            ids: (id("-u"), id("-g")),
        }
    }
}

/// Where and as whom servers run.
#[derive(Clone, Debug)]
pub struct Place {
    /// Major version of the server.
    pub major: u32,
    /// Folder of initdb, postgres, psql, pg_dump…
    pub binaries: PathBuf,
    /// Folder of the shared files, with castmatch's models.
    pub share: PathBuf,
    /// `None`: as the caller.
    pub account: Option<Account>,
    /// Existing folder for the data folders, which the account can enter.
    pub folder: PathBuf,
}

impl Place {
    /// What `CASTMATCH_PG_CONFIG`, `CASTMATCH_SERVER_USER` and `CASTMATCH_TEST_DIR` say.
    ///
    /// # Panics
    /// If one of them is not set.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(
            &required("CASTMATCH_PG_CONFIG"),
            Some(required("CASTMATCH_SERVER_USER")),
            required("CASTMATCH_TEST_DIR").into(),
        )
    }

    /// The same for the server of a major version: `CASTMATCH_PG_CONFIG` names that of 15, `CASTMATCH_PG_CONFIG_16` that of 16, and so on.
    ///
    /// # Panics
    /// If a variable is not set, or names a server of another version.
    #[must_use]
    pub fn of_major(major: u32) -> Self {
        let variable = match major {
            15 => "CASTMATCH_PG_CONFIG".to_owned(),
            _ => format!("CASTMATCH_PG_CONFIG_{major}"),
        };
        let place = Self::new(
            &required(&variable),
            Some(required("CASTMATCH_SERVER_USER")),
            required("CASTMATCH_TEST_DIR").into(),
        );
        assert_eq!(place.major, major, "the server that {variable} names");
        place
    }

    /// The same for tests that do not need castmatch in the server: an unset variable means Debian's PostgreSQL 15, the
    /// account `postgres` where the caller is root, and the folder for temporary files.
    ///
    /// # Panics
    /// If that PostgreSQL or account does not exist.
    #[must_use]
    pub fn of_any_server() -> Self {
        let pg_config = variable("CASTMATCH_PG_CONFIG")
            .unwrap_or_else(|| "/usr/lib/postgresql/15/bin/pg_config".to_owned());
        let user =
            variable("CASTMATCH_SERVER_USER").or_else(|| (my_uid() == 0).then(|| "postgres".to_owned()));
        Self::new(&pg_config, user, std::env::temp_dir())
    }

    fn new(pg_config: &str, user: Option<String>, folder: PathBuf) -> Self {
        let ask = |question: &str| {
            let out = Command::new(pg_config).arg(question).output();
            let out =
                out.unwrap_or_else(|error| panic!("cannot run {pg_config} (CASTMATCH_PG_CONFIG): {error}"));
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        // "PostgreSQL 15.14 (Debian 15.14-0+deb12u1)"
        let version = ask("--version");
        let number = version
            .split(['.', ' '])
            .nth(1)
            .and_then(|number| number.parse().ok());
        let account = user.map(|user| Account::named(&user));
        Self {
            major: number.unwrap_or_else(|| panic!("{pg_config} --version: {version}")),
            binaries: ask("--bindir").into(),
            share: ask("--sharedir").into(),
            account: account.filter(|account| account.ids.0 != my_uid()),
            folder,
        }
    }

    /// A command of the server's programs, as the server's account.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.command_at(&self.binaries.join(program))
    }

    fn command_at(&self, program: &Path) -> Command {
        let mut words = Vec::new();
        if let Some(account) = &self.account {
            // setpriv replaces itself by the command, so the child's process id is the server's.
            words.extend(["setpriv", "--reuid", &account.name, "--regid", &account.name]);
            words.extend(["--init-groups", "--"]);
        }
        let words: Vec<&OsStr> = words
            .into_iter()
            .map(OsStr::new)
            .chain([program.as_os_str()])
            .collect();
        let mut command = Command::new(words[0]);
        // A folder that any account can enter: the current one may belong to root. Backtraces would make every error slow.
        command
            .args(&words[1..])
            .current_dir("/")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }
}

fn my_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of an environment variable that the tests cannot do without.
///
/// # Panics
/// If it is not set.
#[must_use]
pub fn required(name: &str) -> String {
    variable(name).unwrap_or_else(|| {
        panic!("{name} is not set: run these tests with `make test` or scripts/test.sh e2e")
    })
}
