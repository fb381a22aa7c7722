//! The companion behind PgBouncer in transaction mode: one server connection for everything.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;

use crate::api_setting::{APP, Front, OTHER, ask, cluster, seen};
use crate::program::run;

struct PgBouncer {
    child: Child,
    port: u16,
}

impl PgBouncer {
    /// `None`, and says so, where there is no PgBouncer.
    fn start(cluster: &Cluster) -> Option<Self> {
        let program = std::env::var("PGBOUNCER").ok().filter(|path| !path.is_empty());
        let program = program.unwrap_or_else(|| "/usr/sbin/pgbouncer".to_owned());
        if !std::path::Path::new(&program).exists() {
            eprintln!("SKIPPED: there is no pgbouncer (Debian package pgbouncer; set PGBOUNCER to it)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = cluster.new_folder("pgbouncer");
        let settings = folder.join("pgbouncer.ini");
        let server = cluster.port;
        fs::write(
            &settings,
            format!(
                "[databases]\npostgres = host=127.0.0.1 port={server} dbname=postgres\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\nauth_file = {users}\n\
                 pool_mode = transaction\ndefault_pool_size = 1\nmax_db_connections = 2\nserver_lifetime = 1\n\
                 unix_socket_dir =\nlogfile = {log}\n",
                users = folder.join("users").display(),
                log = folder.join("log").display(),
            )

        )
        .unwrap();
        fs::write(folder.join("users"), "\"front\" \"\"\n\"postgres\" \"\"\n").unwrap();
        // PgBouncer refuses to run as root.
        let mut command = match &cluster.place().account {
            Some(account) => {
                let mut command = Command::new("setpriv");
                command.args([
                    "--reuid",
                    &account.name,
                    "--regid",
                    &account.name,
                    "--init-groups",
                    "--",
                    &program,
                ]);
                command
            }
            None => Command::new(&program),
        };
        let child = command
            .arg(&settings)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bouncer = Self { child, port };
        eventually(Duration::from_secs(10), "PgBouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(bouncer)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        signal("INT", &[self.child.id()]);
        let _ = self.child.wait();
    }
}

#[test]
fn all_parts_work_behind_pgbouncer_in_transaction_mode() {
    let cluster = cluster();
    cluster.psql(
        "CREATE FUNCTION castmatch.prune(policy jsonb DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS jsonb LANGUAGE sql
         AS $$ SELECT jsonb_build_object('conversations', 0, 'messages', CASE WHEN policy ? 'resume' THEN 2 ELSE 3 END, 'requests', 0,
             'skipped', 0, 'more', NOT policy ? 'resume', 'next', CASE WHEN NOT policy ? 'resume' THEN 7 END, 'busy', false) $$",
    );
    let Some(bouncer) = PgBouncer::start(&cluster) else {
        return;
    };
    let url = format!("postgresql://front@127.0.0.1:{}/postgres", bouncer.port);
    let front = Front::start(
        &url,
        &[
            "--prune-schedule",
            "1s",
            "--prune-policy",
            r#"{"max_age": "1 day"}"#,
        ],
    );
    let address = front.address();
    eventually(Duration::from_secs(10), "castmatch_up", || {
        (get(address, "/metrics").sample("castmatch_up") == Some(1.0)).then_some(())
    });
    // Two roles at once over one connection of the server: none sees the other's.
    let clients: Vec<_> = [(APP, "app"), (OTHER, "other")]
        .into_iter()
        .cycle()
        .take(8)
        .map(|(token, role)| {
            std::thread::spawn(move || {
                for number in 0..15 {
                    let body = format!(r#"{{"target": "talents", "query": "{role} {number}", "k": 1}}"#);
                    let saw = seen(&ask(address, "/match", token, &body));
                    assert_eq!(
                        (&saw["caller"], &saw["query"]),
                        (&role.into(), &format!("{role} {number}").into())
                    );
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(front.query("22023").status, 400);
    assert_eq!(front.query("a dancer").status, 200);
    let pruned = run(&url, &["prune", "--once", "--json", "--max-age", "1 day"]);
    assert_eq!(
        (&pruned.json()["messages"], &pruned.json()["batches"]),
        (&5.into(), &2.into()),
        "{}",
        pruned.log
    );
    assert_eq!(run(&url, &["benchmark", "talents", "--json"]).code, 0);
    let runs = "castmatch_companion_prune_runs_total{outcome=\"done\"}";
    eventually(Duration::from_secs(10), "a pass", || {
        (get(address, "/metrics").sample(runs) >= Some(1.0)).then_some(())
    });
    let metrics = get(address, "/metrics");
    assert_eq!(
        metrics.sample("castmatch_companion_prune_runs_total{outcome=\"failed\"}"),
        Some(0.0),
        "{}",
        front.program.log()
    );
    // What was set for a transaction ended with it.
    let left = cluster
        .psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'front' AND state LIKE 'idle in%'");
    assert_eq!(left, "0");
}
