//! PgBouncer in transaction mode between the companion and the server: two sessions of the server serve it by
//! turns, so whatever it kept in a session would be missed.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;

use crate::cluster::{STAND_IN, bare_cluster, performance_function};
use crate::program::Program;
use crate::source::performance;

const SOON: Duration = Duration::from_secs(15);

struct Pooler {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Pooler {
    /// `PGBOUNCER`, or the one in PATH.
    fn start(cluster: &Cluster) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = cluster.new_folder("pgbouncer");
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} dbname=postgres user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nserver_lifetime = 1\n",
            cluster.port
        );
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let program = std::env::var_os("PGBOUNCER").unwrap_or_else(|| "pgbouncer".into());
        let mut command = match &cluster.place().account {
            // It refuses to run as root.
            Some(account) => {
                let mut command = Command::new("setpriv");
                command
                    .args([
                        "--reuid",
                        &account.name,
                        "--regid",
                        &account.name,
                        "--init-groups",
                        "--",
                    ])
                    .arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let child = command
            .arg("-q")
            .arg(&file)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("this test needs pgbouncer (Debian package pgbouncer; set PGBOUNCER to it): {error}")
            });
        Self { child, folder, port }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn pooler_in_transaction_mode_is_no_obstacle() {
    let mut cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(&performance_function(&performance(100)));
    let pooler = Pooler::start(&cluster);
    let program = Program::start(
        &format!("postgresql://postgres@127.0.0.1:{}/postgres", pooler.port),
        &[],
    );
    let up = || (get(program.address, "/metrics").sample("castmatch_up") == Some(1.0)).then_some(());
    eventually(SOON, "castmatch_up 1", up);
    eventually(SOON, "values", || {
        get(program.address, "/performance").json()["castmatch"]
            .is_object()
            .then_some(())
    });
    // Sessions of the server come and go under it, and nobody notices.
    let session = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'castmatch-companion'";
    let first = cluster.psql(session);
    let replaced = || {
        assert_eq!(get(program.address, "/health").status, 200, "{}", program.log());
        assert_eq!(
            get(program.address, "/metrics").sample("castmatch_up"),
            Some(1.0),
            "{}",
            program.log()
        );
        let now = cluster.psql(session);
        (!now.is_empty() && now != first).then_some(())
    };
    eventually(SOON, "another session of the server", replaced);
    // A pooler without a server refuses: the database counts as down, and comes back.
    cluster.stop();
    eventually(SOON, "down", || {
        (get(program.address, "/health").status == 503).then_some(())
    });
    cluster.boot();
    eventually(SOON, "back", || {
        (get(program.address, "/health").status == 200).then_some(())
    });
}
