-- castmatch_ivf: its operator classes, options, settings and limits. What it has in common with castmatch_hnsw is tested there.

-- Every class is what the access method asks for; none is of the taxicab distance.
SELECT c.opcname AS class, amvalidate(c.oid) AS valid FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
WHERE amname = 'castmatch_ivf' ORDER BY opcname COLLATE "C";
SELECT opcname AS class, opcintype::regtype AS type, opcdefault AS "default", amopopr::regoperator AS operator, amopstrategy AS strategy,
    amoppurpose AS purpose, opfname AS orders_by, amproc AS function, amprocnum AS number
FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod JOIN pg_amop o ON o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype
JOIN pg_amproc p ON p.amprocfamily = c.opcfamily AND p.amproclefttype = c.opcintype JOIN pg_opfamily f ON f.oid = amopsortfamily
WHERE amname = 'castmatch_ivf' ORDER BY opcname COLLATE "C";
-- Which operators and support functions one method has and the other has not.
CREATE VIEW members AS
    SELECT amname AS method, opfname AS family, amoplefttype::regtype AS type, amopopr::regoperator::text AS member, amopstrategy AS number
    FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily JOIN pg_am a ON a.oid = opfmethod
    UNION ALL
    SELECT amname, opfname, amproclefttype::regtype, amproc::text, amprocnum
    FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily JOIN pg_am a ON a.oid = opfmethod;
SELECT family, type, member, number FROM members WHERE method = 'castmatch_hnsw' EXCEPT SELECT family, type, member, number FROM members WHERE method = 'castmatch_ivf'
ORDER BY family, member;
SELECT family, type, member, number FROM members WHERE method = 'castmatch_ivf' EXCEPT SELECT family, type, member, number FROM members WHERE method = 'castmatch_hnsw'
ORDER BY family, member;
DROP VIEW members;
-- Classes that are not: another strategy, and the taxicab distance after all.
CREATE OPERATOR CLASS strange_ops FOR TYPE vector USING castmatch_ivf AS OPERATOR 2 <-> FOR ORDER BY float_ops,
    FUNCTION 1 (vector, vector) castmatch.index_vector_l2();
SELECT amvalidate(oid) AS valid FROM pg_opclass WHERE opcname = 'strange_ops';
DROP OPERATOR FAMILY strange_ops USING castmatch_ivf;
CREATE OPERATOR CLASS taxicab_ops FOR TYPE vector USING castmatch_ivf AS OPERATOR 1 <+> FOR ORDER BY float_ops,
    FUNCTION 1 castmatch.index_vector_l1();
SELECT amvalidate(oid) AS valid FROM pg_opclass WHERE opcname = 'taxicab_ops';
CREATE TABLE items (id serial PRIMARY KEY, kind integer, e vector(3), h halfvec(3), open vector);
CREATE INDEX ON items USING castmatch_ivf (e taxicab_ops);
DROP OPERATOR FAMILY taxicab_ops USING castmatch_ivf;

-- Options.
\t on
\pset format unaligned
SELECT o, failure('CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops) WITH (' || o || ')') FROM unnest(ARRAY[
    'lists = -1', 'lists = 65537', 'lists = many', 'lists = 2.5', 'lists = ''''', 'lists', 'lists = 99999999999',
    'refine_bits = 1', 'refine_bits = 2', 'refine_bits = 4', 'refine_bits = -1', 'refine_bits = auto', 'refine_bits = many',
    'm = 16', 'ef_construction = 64', 'code_bits = 4', 'probes = 3', 'fillfactor = 90',
    'lists = auto', 'lists = ''auto''', 'lists = 0', 'lists = 1', 'lists = ''100''', 'lists = 65536', 'refine_bits = 0', 'refine_bits = 3', 'lists = 7, refine_bits = 3'
]) WITH ORDINALITY AS options (o, i) ORDER BY i;
SELECT failure('CREATE INDEX ON items USING castmatch_hnsw (e vector_l2_ops) WITH (lists = 10)');
SELECT indexdef FROM pg_indexes WHERE tablename = 'items' AND indexdef LIKE '%ivf%' ORDER BY indexname COLLATE "C";
-- They change with the next build.
CREATE INDEX items_e ON items USING castmatch_ivf (e vector_l2_ops);
SELECT s, failure('ALTER INDEX items_e ' || s) FROM unnest(ARRAY[
    'SET (lists = 65537)', 'SET (lists = none)', 'SET (refine_bits = 2)', 'SET (m = 3)', 'SET (lists = 3)', 'SET (refine_bits = 3)', 'SET (lists = auto, refine_bits = 0)',
    'RESET (refine_bits)', 'RESET (lists)', 'RESET (lists, refine_bits)'
]) WITH ORDINALITY AS changes (s, i) ORDER BY i;
REINDEX INDEX items_e;

-- What an index of this kind cannot be.
SELECT failure(s) FROM unnest(ARRAY[
    'CREATE INDEX ON items USING castmatch_ivf (e)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l1_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (h halfvec_l1_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (e halfvec_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (kind)',
    'CREATE INDEX ON items USING castmatch_ivf (kind, e vector_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (kind vector_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops, e vector_ip_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops, h)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops, id, id, id, id, id, id, id, id, id)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops) INCLUDE (kind)',
    'CREATE UNIQUE INDEX ON items USING castmatch_ivf (e vector_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops DESC)',
    'CREATE INDEX ON items USING castmatch_ivf (e vector_l2_ops NULLS FIRST)',
    'ALTER TABLE items ADD EXCLUDE USING castmatch_ivf (e WITH =)',
    'CREATE INDEX ON items USING castmatch_ivf (open vector_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf (subvector(e, 1, 2) vector_l2_ops)',
    'CREATE INDEX ON items USING castmatch_ivf ((e + e) vector_l2_ops)',
    'CLUSTER items USING items_e'
]) s;
\t off
\pset format aligned
DROP TABLE items;

-- The most dimensions. One more is refused when the index is made, not when a row is.
CREATE TABLE wide (id integer);
SET client_min_messages = warning;
\t on
\pset format unaligned
SELECT type, metric, dims, refine, failure(format('
    ALTER TABLE wide DROP COLUMN IF EXISTS e, ADD COLUMN e %s(%s);
    CREATE INDEX ON wide USING castmatch_ivf (e %s_%s_ops) WITH (refine_bits = %s)', type, dims, type, metric, refine))
FROM (VALUES
    (1, 'vector', 'l2', 4000, 0), (2, 'vector', 'l2', 4001, 0), (3, 'halfvec', 'cosine', 4000, 0), (4, 'halfvec', 'cosine', 4001, 0),
    (5, 'vector', 'ip', 4000, 3), (6, 'vector', 'ip', 4001, 3), (7, 'vector', 'cosine', 16000, 0)
) AS cases (number, type, metric, dims, refine) ORDER BY number;
\t off
\pset format aligned
RESET client_min_messages;
DROP TABLE wide;
-- The widest are searched, and a row of the same width goes in.
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;
CREATE TABLE widest (id integer, e vector(4000), h halfvec(4000));
INSERT INTO widest SELECT i, array_agg(sin(i * j)), array_agg(sin(i * j)) FROM generate_series(1, 5) i, generate_series(1, 4000) j GROUP BY i;
CREATE INDEX widest_e ON widest USING castmatch_ivf (e vector_cosine_ops);
CREATE INDEX widest_h ON widest USING castmatch_ivf (h halfvec_l2_ops) WITH (lists = 2, refine_bits = 3);
INSERT INTO widest SELECT i, array_agg(sin(i * j)), array_agg(sin(i * j)) FROM generate_series(6, 7) i, generate_series(1, 4000) j GROUP BY i;
SELECT compared('SELECT id FROM widest ORDER BY e <=> (SELECT e FROM widest WHERE id = 3)'),
    compared('SELECT id FROM widest ORDER BY h <-> (SELECT h FROM widest WHERE id = 6)');
SELECT check_name, detail FROM castmatch.verify_index('widest_e') WHERE NOT ok UNION ALL SELECT check_name, detail FROM castmatch.verify_index('widest_h') WHERE NOT ok;
DROP TABLE widest;

-- Settings.
\t on
\pset format unaligned
SELECT failure('SET castmatch.' || s) FROM unnest(ARRAY['probes = -1', 'probes = 65537', 'probes = many', 'probes = auto', 'probes = 0', 'probes = 1', 'probes = 65536']) s;
\t off
\pset format aligned
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
SHOW castmatch.probes;
