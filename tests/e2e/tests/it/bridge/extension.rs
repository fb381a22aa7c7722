//! CREATE, DROP, dump and restore of castmatch_pgvector.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use super::{apart, bridged};
use crate::index_setting::plain;
use crate::search_path::TRAPS;
use crate::setting::{TALENTS, best_match, sync};

#[test]
fn the_bridge_consists_of_classes_and_casts() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "parts");
    let kinds: Vec<String> = column(
        client,
        "SELECT DISTINCT d.classid::regclass::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
         WHERE d.deptype = 'e' AND e.extname = 'castmatch_pgvector' AND d.classid <> 'pg_opfamily'::regclass ORDER BY 1",
    );
    assert_eq!(kinds, ["pg_cast", "pg_opclass"]);
    // One for each of castmatch's that orders by a distance, of the same name and method.
    let missing: Vec<String> = column(
        client,
        "SELECT c.opcname || ' ' || m.amname FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod
         WHERE c.opcnamespace = 'castmatch_types'::regnamespace AND EXISTS (SELECT FROM pg_amop a WHERE a.amopfamily = c.opcfamily AND a.amoppurpose = 'o')
           AND NOT EXISTS (SELECT FROM pg_opclass t WHERE t.opcnamespace = 'public'::regnamespace AND t.opcname = c.opcname AND t.opcmethod = c.opcmethod)",
    );
    assert_eq!(missing, [""; 0]);
    // castmatch's type becomes pgvector's by itself, the other way needs to be asked for.
    let contexts: Vec<String> = column(
        client,
        "SELECT DISTINCT format('%s %s %s', s.typnamespace = 'castmatch_types'::regnamespace, c.castcontext, c.castmethod) FROM pg_cast c
         JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget WHERE s.typname = t.typname AND s.oid <> t.oid
           AND s.typname IN ('vector', 'halfvec') ORDER BY 1",
    );
    assert_eq!(contexts, ["f a b", "t i b"]);
}

#[test]
fn castmatch_says_what_to_do_where_pgvector_holds_its_names() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.plain_database("taken");
    run(client, "CREATE EXTENSION vector");
    let error = fails_with(client, &SqlState::DUPLICATE_OBJECT, "CREATE EXTENSION castmatch");
    assert_eq!(
        error.message(),
        "schema \"public\" has types of castmatch's names already: halfvec, sparsevec, vector"
    );
    assert_eq!(
        error.detail(),
        Some("Of extension \"vector\": halfvec, sparsevec, vector.")
    );
    // What the hint says works.
    let hint = error.hint().unwrap().to_owned();
    let statements: Vec<&str> = hint
        .split(';')
        .filter_map(|part| {
            part.find("CREATE ")
                .or(part.find("GRANT "))
                .and_then(|start| part.get(start..))
        })
        .collect();
    assert_eq!(statements.len(), 4, "{hint}");
    for sql in statements {
        run(client, sql);
    }
    assert_eq!(
        value::<i64>(
            client,
            "SELECT count(*) FROM pg_extension WHERE extname ~ '^castmatch'"
        ),
        2
    );
}

#[test]
fn the_bridge_says_what_it_needs() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut apart(&cluster, "needs");
    let error = fails_with(
        client,
        &SqlState::DUPLICATE_OBJECT,
        "CREATE EXTENSION castmatch_pgvector SCHEMA castmatch_types",
    );
    assert_eq!(
        error.message(),
        "schema \"castmatch_types\" has castmatch's own operator classes"
    );
    assert_eq!(
        error.hint(),
        Some("Use the schema of pgvector: CREATE EXTENSION castmatch_pgvector SCHEMA public;")
    );
    run(client, "CREATE EXTENSION castmatch_pgvector SCHEMA public");
    for (name, there) in [("no_castmatch", "vector"), ("no_pgvector", "castmatch")] {
        let client = &mut cluster.plain_database(name);
        run(client, &format!("CREATE EXTENSION {there}"));
        let error = fails_with(
            client,
            &SqlState::UNDEFINED_OBJECT,
            "CREATE EXTENSION castmatch_pgvector",
        );
        assert!(error.message().contains("required extension"), "{error}");
    }
    // What CASCADE would bring along meets pgvector's names.
    let client = &mut cluster.plain_database("cascade");
    run(client, "CREATE EXTENSION vector");
    let error = fails_with(
        client,
        &SqlState::DUPLICATE_OBJECT,
        "CREATE EXTENSION castmatch_pgvector CASCADE",
    );
    assert!(error.message().contains("castmatch's names already"), "{error}");
}

/// Names of a schema that comes first are not found: neither functions and operators nor types and operators that look like pgvector's.
#[test]
fn what_stands_first_in_the_search_path_is_not_taken_for_pgvectors() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.plain_database("traps");
    run(
        client,
        "CREATE ROLE eve LOGIN; GRANT CREATE ON DATABASE traps TO eve",
    );
    run(&mut cluster.connect("traps", "eve"), TRAPS);
    run(
        &mut cluster.connect("traps", "eve"),
        "CREATE TYPE evil.vector AS ENUM ('x'); CREATE TYPE evil.halfvec AS ENUM ('x'); CREATE TYPE evil.castmatch AS ENUM ('x');
         CREATE FUNCTION evil.away(evil.vector, evil.vector) RETURNS float8 LANGUAGE sql AS 'SELECT 0::float8';
         CREATE OPERATOR evil.<=> (LEFTARG = evil.vector, RIGHTARG = evil.vector, FUNCTION = evil.away)",
    );
    run(
        client,
        "CREATE SCHEMA castmatch_types; CREATE EXTENSION vector SCHEMA public; SET search_path = evil, pg_catalog;
         CREATE EXTENSION castmatch SCHEMA castmatch_types; CREATE EXTENSION castmatch_pgvector SCHEMA evil",
    );
    assert!(!cluster.log().contains("TRAPPED"), "{}", cluster.log());
    let types: Vec<String> = column(
        client,
        "SELECT DISTINCT pg_catalog.format('%s.%s', n.nspname, t.typname) FROM pg_catalog.pg_opclass c
         JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.opcintype JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
         WHERE c.opcnamespace OPERATOR(pg_catalog.=) 'evil'::pg_catalog.regnamespace AND t.typname::text ~ 'vec' ORDER BY 1",
    );
    assert!(
        !types.is_empty() && types.iter().all(|name| name.starts_with("public.")),
        "{types:?}"
    );
}

fn extensions(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1",
    )
}

#[test]
fn dropping_an_extension_takes_no_more_than_it_must() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "drops");
    run(
        client,
        "CREATE TABLE t (id integer PRIMARY KEY, e vector(3), o castmatch_types.vector(3));
         INSERT INTO t SELECT i, ARRAY[i, 1, 2]::vector, ARRAY[i, 1, 2]::vector FROM generate_series(1, 50) i;
         CREATE INDEX t_e ON t USING castmatch_hnsw (e vector_l2_ops);
         CREATE INDEX t_o ON t USING castmatch_hnsw (o castmatch_types.vector_l2_ops)",
    );
    for extension in ["castmatch_pgvector", "vector", "castmatch"] {
        let error = fails_with(
            client,
            &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            &format!("DROP EXTENSION {extension}"),
        );
        let detail = error.detail().unwrap();
        let named = if extension == "castmatch_pgvector" {
            "index t_e"
        } else {
            "extension castmatch_pgvector"
        };
        assert!(detail.contains(named), "{extension}: {detail}");
    }
    // The bridge goes with the indexes of its classes, and leaves nothing in castmatch's families.
    run(client, "DROP EXTENSION castmatch_pgvector CASCADE");
    let indexes = "SELECT relname::text FROM pg_class WHERE relname ~ '^t_[eo]$'";
    assert_eq!(column::<String>(client, indexes), ["t_o"]);
    let left: Vec<String> = column(
        client,
        "SELECT amopopr::regoperator::text FROM pg_amop a JOIN pg_am m ON m.oid = a.amopmethod JOIN pg_operator o ON o.oid = a.amopopr
         WHERE m.amname ~ '^castmatch' AND o.oprnamespace = 'public'::regnamespace",
    );
    assert_eq!(left, [""; 0]);
    run(
        client,
        "SET enable_seqscan = off; CREATE EXTENSION castmatch_pgvector; CREATE INDEX t_e ON t USING castmatch_hnsw (e vector_l2_ops)",
    );
    let nearest = "SELECT id FROM t ORDER BY e <-> '[7,1,2]' LIMIT 1";
    assert_eq!(column::<i32>(client, nearest), [7]);
    // pgvector goes with its columns; castmatch stays.
    run(client, "DROP EXTENSION vector CASCADE");
    assert_eq!(extensions(client), ["castmatch"]);
    let nearest = "SELECT id FROM t ORDER BY o OPERATOR(castmatch_types.<->) '[7,1,2]' LIMIT 1";
    assert_eq!(column::<i32>(client, nearest), [7]);
    // And the other way round.
    let client = &mut bridged(&cluster, "drops2");
    run(
        client,
        "CREATE TABLE t (id integer PRIMARY KEY, e vector(3)); INSERT INTO t VALUES (1, '[1,2,3]');
         CREATE INDEX t_e ON t USING castmatch_hnsw (e vector_l2_ops); DROP EXTENSION castmatch CASCADE",
    );
    assert_eq!(extensions(client), ["vector"]);
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM t WHERE e <-> '[1,2,3]' = 0"),
        1
    );
}

/// Dumps a database and restores it into a new one.
fn restored(cluster: &Cluster, from: &str, to: &str) -> Client {
    let dump = cluster.program("pg_dump", &["--dbname", &cluster.url(from)]);
    let file = cluster.new_folder(&format!("dump_{to}")).join("sql");
    std::fs::write(&file, dump).unwrap();
    let client = cluster.plain_database(to);
    cluster.program(
        "psql",
        &[
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            file.to_str().unwrap(),
            &cluster.url(to),
        ],
    );
    client
}

#[test]
fn a_dump_is_restored_wherever_pgvector_has_moved() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut bridged(&cluster, "original");
    run(client, TALENTS);
    run(
        client,
        "ALTER TABLE talents ADD COLUMN embedding halfvec(384); SELECT castmatch.attach('talents', '{bio}');
         CREATE TABLE t (id integer PRIMARY KEY, e vector(3), o castmatch_types.vector(3));
         INSERT INTO t SELECT i, ARRAY[i, 1, 2]::vector, ARRAY[i, 1, 2]::vector FROM generate_series(1, 50) i;
         CREATE INDEX t_e ON t USING castmatch_ivf (e vector_l2_ops);
         CREATE INDEX t_o ON t USING castmatch_hnsw (o vector_l2_ops)",
    );
    sync(client, "talents");
    let check = |client: &mut Client, schema: &str| {
        run(
            client,
            &format!("SET enable_seqscan = off; SET search_path = public, {schema}"),
        );
        assert_eq!(extensions(client), ["castmatch", "castmatch_pgvector", "vector"]);
        for column_name in ["e", "o"] {
            let nearest = format!("SELECT id FROM t ORDER BY {column_name} <-> '[7,1,2]' LIMIT 1");
            let plan = column::<String>(client, &format!("EXPLAIN {nearest}")).join("\n");
            assert!(
                plan.contains(&format!("Index Scan using t_{column_name}")),
                "{plan}"
            );
            assert_eq!(column::<i32>(client, &nearest), [7]);
        }
        assert_eq!(
            best_match(client, "talents", "policeman on horseback", "semantic").as_deref(),
            Some("1")
        );
        run(client, "RESET ALL");
    };
    check(client, "public");
    check(&mut restored(&cluster, "original", "first"), "public");
    run(
        client,
        "CREATE SCHEMA elsewhere; ALTER EXTENSION vector SET SCHEMA elsewhere",
    );
    check(client, "elsewhere");
    check(&mut restored(&cluster, "original", "second"), "elsewhere");
    run(client, "ALTER EXTENSION castmatch_pgvector SET SCHEMA elsewhere");
    check(&mut restored(&cluster, "original", "third"), "elsewhere");
}
