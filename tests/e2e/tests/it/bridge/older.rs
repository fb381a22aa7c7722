//! Older versions of pgvector, which do not have all of castmatch's types and operators.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::{column, run};

use super::apart;
use crate::index_setting::plain;

/// The bridge over what pgvector 0.6 had: one type, three distances. Whatever else has those names is somebody else's then.
#[test]
fn types_and_operators_that_pgvector_does_not_have_are_left_out() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut apart(&cluster, "older");
    // What came later is not of the extension any more, as though somebody had made it. An array type goes with that of its elements.
    run(
        client,
        "DO $$ DECLARE o record; BEGIN
             FOR o IN SELECT i.type, i.identity FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid,
                      pg_identify_object(d.classid, d.objid, 0) i
                 WHERE d.deptype = 'e' AND e.extname = 'vector' AND i.type IN ('type', 'operator')
                   AND (i.identity ~ 'halfvec|sparsevec|<\\+>|<~>|<%>') AND i.identity !~ '\\[\\]$'
             LOOP EXECUTE format('ALTER EXTENSION vector DROP %s %s', o.type, o.identity); END LOOP;
         END $$;
         CREATE EXTENSION castmatch_pgvector",
    );
    let classes: Vec<String> = column(
        client,
        "SELECT m.amname || ' ' || c.opcname FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod
         WHERE m.amname ~ '^castmatch' AND c.opcnamespace = 'public'::regnamespace ORDER BY 1",
    );
    let expected: Vec<String> = ["castmatch_hnsw", "castmatch_ivf"]
        .iter()
        .flat_map(|method| {
            ["vector_cosine_ops", "vector_ip_ops", "vector_l2_ops"].map(|class| format!("{method} {class}"))
        })
        .collect();
    assert_eq!(classes, expected);
    let casts: Vec<String> = column(
        client,
        "SELECT c.castsource::regtype || ' ' || c.casttarget::regtype FROM pg_cast c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_cast'::regclass
         JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e' AND e.extname = 'castmatch_pgvector' ORDER BY 1",
    );
    assert_eq!(
        casts,
        ["castmatch_types.vector vector", "vector castmatch_types.vector"]
    );
    run(
        client,
        "CREATE TABLE t (id integer, e vector(2)); INSERT INTO t VALUES (1, '[1,2]'); CREATE INDEX ON t USING castmatch_hnsw (e vector_l2_ops)",
    );
}
