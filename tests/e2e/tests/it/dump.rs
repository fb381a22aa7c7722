//! A dump holds attachments, the queue, conversations, requests and models; what is restored from it matches and goes on embedding.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{run, value};

use crate::setting::{
    RECOVERY, attached_talents, best_match, embedded_by_itself, missing, out_of_step, queued, sync,
};

/// The queue is restored before the registrations, the rows and the triggers of the tables: what waited in the dump must not be taken for
/// entries of tables that are not attached, or of rows that are gone.
#[test]
fn rows_that_waited_in_a_dump_are_embedded_however_long_the_restore_takes() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("original");
    attached_talents(client);
    let embedder = cluster.titled("castmatch embedder");
    castmatch_e2e::process::signal("STOP", &embedder);
    run(
        client,
        "INSERT INTO talents VALUES (6, 'A violinist'), (7, 'A cellist')",
    );
    let folder = cluster.new_folder("dumps");
    let file = folder.join("original.dump").display().to_string();
    cluster.program(
        "pg_dump",
        &["--format=custom", "--file", &file, &cluster.url("original")],
    );
    castmatch_e2e::process::signal("CONT", &embedder);
    let admin = &mut cluster.connect("postgres", "postgres");
    run(admin, "CREATE DATABASE slow TEMPLATE template0");
    let url = cluster.url("slow");
    let restore = |what: &[&str]| {
        let fixed = ["--exit-on-error", "--dbname", &url];
        cluster.program("pg_restore", &[&fixed, what, &[&file]].concat());
    };
    let copy = &mut cluster.connect("slow", "postgres");
    let met = |copy: &mut _| {
        eventually(RECOVERY, "the worker has met the entries", || {
            let sql = "SELECT count(*) = 2 AND bool_and(error IS NOT NULL) FROM castmatch.queue";
            value::<bool>(copy, sql).then_some(())
        });
    };
    restore(&["--section=pre-data"]);
    restore(&["--data-only", "--schema=castmatch", "--table=queue"]);
    met(copy);
    run(
        copy,
        "UPDATE castmatch.queue SET error = NULL, not_before = '-infinity'",
    );
    restore(&["--data-only", "--schema=castmatch", "--table=registrations"]);
    met(copy);
    restore(&["--data-only", "--schema=public"]);
    restore(&["--section=post-data"]);
    embedded_by_itself(copy, "talents", RECOVERY);
    assert_eq!((queued(copy), out_of_step(copy, "talents", "bio")), (0, 0));
}

#[test]
fn restored_database_matches_and_goes_on_embedding() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("original");
    attached_talents(client);
    let id: String = value(
        client,
        "SELECT castmatch.chat('a dancer', target => 'talents')->>'conversation_id'",
    );
    // Rows that are pending in the dump: nothing embeds them while the worker stands still.
    let embedder = cluster.titled("castmatch embedder");
    castmatch_e2e::process::signal("STOP", &embedder);
    run(
        client,
        "INSERT INTO talents VALUES (6, 'A violinist'), (7, 'A cellist')",
    );
    // Models, who may use them, what they may cost; and a request that waits.
    run(
        client,
        "CREATE ROLE app; SELECT castmatch.create_model('gpt', 'chat', 'openai', '{\"url\": \"http://127.0.0.1:9/v1\", \"max_attempts\": 1}');
         SELECT castmatch.grant_model('gpt', 'app'); SELECT castmatch.set_budget('app', 'month', 5)",
    );
    let request: String = value(
        client,
        "SELECT castmatch.chat_async('a violinist who waits', target => 'talents')::text",
    );
    let folder = cluster.new_folder("dumps");
    let file = folder.join("original.dump").display().to_string();
    cluster.program(
        "pg_dump",
        &["--format=custom", "--file", &file, &cluster.url("original")],
    );
    assert_eq!(missing(client, "talents"), 2);
    castmatch_e2e::process::signal("CONT", &embedder);

    let admin = &mut cluster.connect("postgres", "postgres");
    run(admin, "CREATE DATABASE restored TEMPLATE template0");
    cluster.program(
        "pg_restore",
        &["--exit-on-error", "--dbname", &cluster.url("restored"), &file],
    );
    let copy = &mut cluster.connect("restored", "postgres");
    assert_eq!(
        best_match(copy, "talents", "policeman on horseback", "hybrid").as_deref(),
        Some("1")
    );
    embedded_by_itself(copy, "talents", RECOVERY);
    run(
        copy,
        "INSERT INTO talents VALUES (8, 'A pianist'); UPDATE talents SET bio = 'A swimmer' WHERE id = 1",
    );
    sync(copy, "talents");
    assert_eq!((queued(copy), out_of_step(copy, "talents", "bio")), (0, 0));
    assert_eq!(
        value::<i64>(copy, &format!("SELECT count(*) FROM castmatch.history('{id}')")),
        2
    );
    let answer: serde_json::Value = value(
        copy,
        &format!("SELECT castmatch.chat('someone younger?', '{id}')"),
    );
    assert_eq!(answer["conversation_id"], id, "{answer}");
    let models = "SELECT d.url || ' ' || (SELECT string_agg(role::text, ',') FROM castmatch.model_grants g WHERE g.model = d.name)
        || ' ' || (SELECT string_agg(b.role || ' ' || b.max_cost, ',') FROM castmatch.budgets b) FROM castmatch.models d WHERE name = 'gpt'";
    assert_eq!(value::<String>(copy, models), "http://127.0.0.1:9/v1 app app 5");
    run(
        copy,
        "SELECT castmatch.chat_async('another', target => 'talents')",
    );
    eventually(RECOVERY, "the request that waited", || {
        let state = format!("SELECT castmatch.chat_result('{request}')->>'state'");
        (value::<String>(copy, &state) == "done").then_some(())
    });
    run(copy, "SELECT castmatch.detach('talents')");

    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
}
