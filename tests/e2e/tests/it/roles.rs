//! Who may do what: owners, writers, readers, row security, and what runs as whom.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::setting::{RECOVERY, SOON, TALENTS, embedded_by_itself, missing, out_of_step, queued, sync};

const ROLES: &str = "
    CREATE ROLE owner LOGIN; CREATE ROLE writer LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN;
    GRANT castmatch_user TO reader, owner;
    CREATE SCHEMA casting AUTHORIZATION owner;
    GRANT USAGE ON SCHEMA casting TO PUBLIC;";

/// Keys that match, in order of the score.
fn matches(client: &mut Client, query: &str) -> Vec<String> {
    column(
        client,
        &format!(
            "SELECT key FROM castmatch.match('casting.talents', '{query}', 10) ORDER BY score DESC, key"
        ),
    )
}

#[test]
fn rights_on_the_table_are_rights_on_its_matches() {
    let cluster = Cluster::start(&Options::default());
    let admin = &mut cluster.database("roles");
    run(admin, ROLES);
    let owner = &mut cluster.connect("roles", "owner");
    run(owner, "SET search_path = casting, public");
    run(owner, TALENTS);
    run(
        owner,
        "GRANT INSERT ON talents TO writer; GRANT SELECT ON talents TO reader",
    );
    let reader = &mut cluster.connect("roles", "reader");
    let stranger = &mut cluster.connect("roles", "stranger");
    for client in [&mut *reader, &mut *stranger] {
        fails_with(
            client,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "SELECT castmatch.attach('casting.talents', '{bio}')",
        );
    }
    run(owner, "SELECT castmatch.attach('talents', '{bio}')");
    sync(owner, "talents");
    assert_eq!(out_of_step(owner, "talents", "bio"), 0);

    let writer = &mut cluster.connect("roles", "writer");
    run(
        writer,
        "INSERT INTO casting.talents VALUES (6, 'A stunt driver who loves fast cars')",
    );
    embedded_by_itself(owner, "talents", SOON);
    fails_with(
        writer,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        "INSERT INTO castmatch.queue (target, key) VALUES ('casting.talents', '1')",
    );
    for client in [&mut *writer, &mut *stranger] {
        fails_with(
            client,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "SELECT * FROM castmatch.match('casting.talents', 'dancer')",
        );
        assert_eq!(
            value::<i64>(client, "SELECT count(*) FROM castmatch.attachments"),
            0
        );
    }
    assert_eq!(matches(reader, "stunt driver with cars")[0], "6");
    for sql in [
        "SELECT castmatch.detach('casting.talents')",
        "SELECT castmatch.retry_failed('casting.talents')",
    ] {
        fails_with(reader, &SqlState::INSUFFICIENT_PRIVILEGE, sql);
    }
    row_security_limits_matches(owner, reader);
    conversations_belong_to_their_role(owner, reader, stranger);
}

fn row_security_limits_matches(owner: &mut Client, reader: &mut Client) {
    run(
        owner,
        "ALTER TABLE talents ENABLE ROW LEVEL SECURITY;
         CREATE POLICY grown_up ON talents FOR SELECT TO reader USING (age >= 18)",
    );
    let seen = matches(reader, "a teenage football player");
    assert!(
        !seen.contains(&"4".to_owned()) && seen.contains(&"1".to_owned()),
        "{seen:?}"
    );
    assert_eq!(matches(owner, "a teenage football player")[0], "4");
    let answer: serde_json::Value = value(
        reader,
        "SELECT castmatch.chat('a teenage football player', target => 'casting.talents')",
    );
    assert!(!answer.to_string().contains("fishing village"), "{answer}");
    run(owner, "INSERT INTO talents VALUES (7, 'A child actor', NULL, 9)");
    embedded_by_itself(owner, "talents", SOON);
}

fn conversations_belong_to_their_role(owner: &mut Client, reader: &mut Client, stranger: &mut Client) {
    let start = "SELECT castmatch.chat('a dancer', target => 'casting.talents')->>'conversation_id'";
    let his: String = value(owner, start);
    let hers: String = value(reader, start);
    fails_with(stranger, &SqlState::INSUFFICIENT_PRIVILEGE, start);
    let count = |client: &mut Client, id: &str| -> i64 {
        value(client, &format!("SELECT count(*) FROM castmatch.history('{id}')"))
    };
    assert_eq!((count(owner, &his), count(owner, &hers)), (2, 0));
    assert_eq!((count(reader, &his), count(reader, &hers)), (0, 2));
    fails_with(
        reader,
        &SqlState::NO_DATA_FOUND,
        &format!("SELECT castmatch.chat('someone younger?', '{his}', 'casting.talents')"),
    );
    assert_eq!(
        value::<i64>(reader, &format!("SELECT castmatch.forget('{his}')")),
        0
    );
    assert_eq!(count(owner, &his), 2);
    fails_with(
        reader,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        "INSERT INTO castmatch.conversations (owner) VALUES ('owner'::regrole)",
    );
}

#[test]
fn embedding_runs_as_the_owner_of_the_table() {
    let cluster = Cluster::start(&Options::default());
    let admin = &mut cluster.database("roles");
    run(admin, ROLES);
    let owner = &mut cluster.connect("roles", "owner");
    run(owner, "SET search_path = casting, public");
    run(owner, TALENTS);
    run(
        owner,
        "CREATE TABLE seen (who name, session name, superuser text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO casting.seen VALUES (current_user, session_user, current_setting('is_superuser'));
             RETURN NEW;
         END $$;
         CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             RESET ROLE;
             SET SESSION AUTHORIZATION DEFAULT;
             ALTER ROLE owner SUPERUSER;
             RETURN NEW;
         EXCEPTION WHEN insufficient_privilege OR invalid_role_specification OR feature_not_supported THEN
             RETURN NEW;
         END $$;
         CREATE TRIGGER b_note BEFORE UPDATE ON talents FOR EACH ROW EXECUTE FUNCTION note();
         CREATE TRIGGER c_climb BEFORE UPDATE ON talents FOR EACH ROW EXECUTE FUNCTION climb()",
    );
    run(owner, "SELECT castmatch.attach('talents', '{bio}')");
    sync(owner, "talents");
    let seen: Vec<String> = column(owner, "SELECT DISTINCT who::text FROM seen");
    assert_eq!(seen, ["owner"], "the trigger runs as the table's owner");
    let superuser: bool = value(admin, "SELECT rolsuper FROM pg_roles WHERE rolname = 'owner'");
    assert!(
        !superuser,
        "a trigger of the owner must not gain the worker's rights"
    );
    assert_eq!(missing(owner, "talents"), 0);
}

/// The owner does not see all rows then: they must not stay without an embedding unnoticed.
#[test]
fn rows_hidden_from_their_owner_are_reported_as_failures() {
    let cluster = Cluster::start(&Options::default());
    let admin = &mut cluster.database("roles");
    run(admin, ROLES);
    let owner = &mut cluster.connect("roles", "owner");
    run(owner, "SET search_path = casting, public");
    run(owner, TALENTS);
    run(owner, "SELECT castmatch.attach('talents', '{bio}')");
    sync(owner, "talents");
    run(
        owner,
        "ALTER TABLE talents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON talents USING (age < 30) WITH CHECK (true)",
    );
    run(owner, "INSERT INTO talents VALUES (8, 'A hidden poet', NULL, 60)");
    let failure = || {
        admin
            .query_opt("SELECT key, error FROM castmatch.failures", &[])
            .unwrap()
    };
    let (row, _) = eventually(RECOVERY * 2, "the failure is reported", failure);
    let (key, error): (String, String) = (row.get(0), row.get(1));
    assert_eq!(key, "8");
    assert!(
        error.contains("row-level security") || error.contains("row security"),
        "{error}"
    );
    run(owner, "ALTER TABLE talents NO FORCE ROW LEVEL SECURITY");
    run(owner, "SELECT castmatch.retry_failed('talents')");
    sync(owner, "talents");
    assert_eq!((missing(admin, "casting.talents"), queued(admin)), (0, 0));
}
