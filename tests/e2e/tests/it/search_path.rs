//! Nothing that a caller puts into the search_path ever runs with more rights than the caller's: not in functions that act as the owner
//! of castmatch's tables, and not in the background processes, whatever code of the caller's runs there.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{run, value};
use postgres::Client;
use serde_json::Value;

use crate::setting::{SOON, attached_talents};

/// Operators and functions that castmatch's own statements would find if they looked where the caller says; each tells who runs it.
pub const TRAPS: &str = r"
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.trap() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF CURRENT_USER OPERATOR(pg_catalog.<>) 'eve' THEN
            RAISE EXCEPTION 'TRAPPED as %', CURRENT_USER;
        END IF;
    END $$;
    DO $$
    DECLARE t text; o text;
    BEGIN
        FOREACH t IN ARRAY ARRAY['text', 'name', 'oid', 'regclass', 'regrole', 'uuid', 'bigint', 'integer', 'timestamptz', 'numeric'] LOOP
            FOREACH o IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>='] LOOP
                EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS boolean LANGUAGE plpgsql AS
                    ''BEGIN PERFORM evil.trap(); RETURN a OPERATOR(pg_catalog.%s) b; END''', o || t, t, t, o);
                EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', o, t, t, o || t);
            END LOOP;
        END LOOP;
        FOREACH t IN ARRAY ARRAY['bigint', 'integer', 'numeric'] LOOP
            EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS
                ''BEGIN PERFORM evil.trap(); RETURN a OPERATOR(pg_catalog.+) b; END''', '+' || t, t, t, t);
            EXECUTE format('CREATE OPERATOR evil.+ (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', t, t, '+' || t);
        END LOOP;
    END $$;
    CREATE FUNCTION evil.step(a bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN PERFORM evil.trap(); RETURN a; END';
    CREATE AGGREGATE evil.count(*) (SFUNC = evil.step, STYPE = bigint, INITCOND = '0');
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN PERFORM evil.trap(); RETURN pg_catalog.now(); END';";

/// A session of eve, whose names come before the server's.
fn eve(cluster: &Cluster) -> Client {
    let mut eve = cluster.connect("traps", "eve");
    run(&mut eve, "SET search_path = evil, pg_catalog, public");
    eve
}

#[test]
fn a_callers_search_path_gains_nothing() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("traps");
    attached_talents(client);
    run(
        client,
        "CREATE ROLE eve LOGIN; GRANT castmatch_user, castmatch_admin TO eve; GRANT SELECT ON talents TO eve;
         GRANT CREATE ON DATABASE traps TO eve; GRANT CREATE ON SCHEMA public TO eve",
    );
    let eve = {
        run(&mut cluster.connect("traps", "eve"), TRAPS);
        &mut eve(&cluster)
    };
    // The traps work.
    assert_eq!(value::<i64>(eve, "SELECT count(*) FROM public.talents"), 0);
    for sql in [
        "SELECT castmatch.metrics()",
        "SELECT castmatch.performance()",
        "SELECT castmatch.benchmark('public.talents', 2)",
        "SELECT castmatch.health()",
        "SELECT castmatch.embed('hello')",
        "SELECT castmatch.match('public.talents', 'a dancer')",
        "SELECT castmatch.match_explain('public.talents', 'a dancer', '3')",
        "SELECT castmatch.similar('public.talents', '3')",
        "SELECT castmatch.chat('a dancer', target => 'public.talents')",
        "SELECT castmatch.create_model('m', 'chat', 'openai', '{\"url\": \"http://127.0.0.1:9/v1\", \"max_attempts\": 1}')",
        "SELECT castmatch.alter_model('m', '{\"temperature\": 0}')",
        "SELECT castmatch.grant_model('m', 'eve')",
        "SELECT castmatch.set_budget('eve', 'day', 5)",
        "SELECT castmatch.chat('a judge', target => 'public.talents', model => 'm')",
        "SELECT * FROM castmatch.models, castmatch.usage, castmatch.budgets",
        "SELECT castmatch.revoke_model('m', 'eve')",
        "SELECT castmatch.drop_model('m')",
        "CREATE TABLE public.mine (id pg_catalog.int8 PRIMARY KEY, bio pg_catalog.text); INSERT INTO public.mine VALUES (1, 'a dancer')",
        "SELECT castmatch.attach('public.mine', '{bio}')",
        "UPDATE public.mine SET bio = 'a judge'",
        "SELECT castmatch.sync('public.mine')",
        "SELECT castmatch.retry_failed('public.mine')",
        "SELECT castmatch.detach('public.mine')",
        "SELECT castmatch.cache_stats()",
        "SELECT castmatch.history((SELECT id FROM castmatch.conversations LIMIT 1))",
        "SELECT castmatch.forget(id) FROM castmatch.conversations",
    ] {
        run(eve, sql);
    }
    assert!(!cluster.log().contains("TRAPPED"), "{}", cluster.log());
}

#[test]
fn code_of_a_caller_in_the_workers_gains_nothing() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("traps");
    run(
        client,
        "CREATE ROLE eve LOGIN; GRANT castmatch_user TO eve; GRANT CREATE ON DATABASE traps TO eve; GRANT CREATE ON SCHEMA public TO eve",
    );
    let eve = &mut cluster.connect("traps", "eve");
    run(eve, TRAPS);
    // A policy changes a setting of the session that it runs in, and one raises what ends whole batches.
    run(
        eve,
        "CREATE FUNCTION evil.sneak(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN
             PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
             IF id OPERATOR(pg_catalog.=) 13 THEN RAISE EXCEPTION 'no' USING ERRCODE = '57014'; END IF;
             RETURN true;
         END $$;
         CREATE TABLE public.mine (id bigint PRIMARY KEY, bio text);
         INSERT INTO public.mine VALUES (1, 'a dancer'), (2, 'a judge');
         SELECT castmatch.attach('public.mine', '{bio}')",
    );
    crate::setting::sync(eve, "public.mine");
    run(
        eve,
        "ALTER TABLE public.mine ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON public.mine USING (evil.sneak(id)) WITH CHECK (true)",
    );
    let ask = |eve: &mut Client| -> Value {
        let id: String = value(
            eve,
            "SELECT castmatch.chat_async('a dancer', target => 'public.mine')::text",
        );
        let sql = format!("SELECT castmatch.chat_result('{id}')");
        let (result, _) = eventually(SOON, "an answer", || {
            let result: Value = value(eve, &sql);
            (result["state"] == "done" || result["state"] == "failed").then_some(result)
        });
        result
    };
    assert_eq!(ask(eve)["state"], "done");
    assert_eq!(ask(eve)["state"], "done", "the worker is as before");
    run(eve, "INSERT INTO public.mine VALUES (13, 'a dancer of bad luck')");
    let failed = ask(eve);
    assert_eq!(
        (&failed["state"], failed["error"].as_str()),
        (&"failed".into(), Some("no"))
    );
    // Others are answered, by the same worker.
    attached_talents(client);
    let id: String = value(
        client,
        "SELECT castmatch.chat_async('a dancer', target => 'talents')::text",
    );
    eventually(SOON, "another's answer", || {
        let state: String = value(client, &format!("SELECT castmatch.chat_result('{id}')->>'state'"));
        (state == "done").then_some(())
    });
    assert!(!cluster.log().contains("TRAPPED"), "{}", cluster.log());
}

#[test]
fn a_function_in_a_query_on_a_view_sees_no_row_of_others() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("leaks");
    attached_talents(client);
    run(
        client,
        "CREATE ROLE eve LOGIN; GRANT CREATE ON DATABASE leaks TO eve;
         SELECT castmatch.create_model('hidden', 'chat', 'openai', '{\"url\": \"http://secret.example/v1\", \"system\": \"classified\"}');
         SELECT castmatch.set_budget('postgres', 'day', 5)",
    );
    let eve = &mut cluster.connect("leaks", "eve");
    run(
        eve,
        "CREATE SCHEMA evil; CREATE FUNCTION evil.leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
         'BEGIN IF t ~ ''hidden|classified|postgres|talents'' THEN RAISE EXCEPTION ''LEAKED %'', t; END IF; RETURN true; END'",
    );
    for view in ["models", "usage", "budgets", "attachments", "failures"] {
        run(
            eve,
            &format!("SELECT * FROM castmatch.{view} v WHERE evil.leak(v::text)"),
        );
    }
}
