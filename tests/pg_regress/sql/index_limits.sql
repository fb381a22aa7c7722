-- Few rows, equal rows, many dimensions, and options and settings out of range.

-- No row, one row, more wanted than there are, none wanted.
CREATE TABLE items (id serial PRIMARY KEY, e vector(3));
CREATE INDEX items_e ON items USING castmatch_hnsw (e vector_l2_ops);
SET enable_seqscan = off;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
INSERT INTO items (e) VALUES ('[1,2,3]');
SELECT id, e <-> '[1,2,3]' AS distance FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 0;
INSERT INTO items (e) VALUES ('[4,5,6]'), (NULL), ('[1,2,4]');
SELECT id, e <-> '[1,2,3]' AS distance FROM items ORDER BY e <-> '[1,2,3]' LIMIT 100;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 0;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 2 OFFSET 1;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' OFFSET 3;
DELETE FROM items;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
VACUUM items;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
INSERT INTO items (e) VALUES ('[7,8,9]');
SELECT e FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;

-- A query or a row of another width; in the latter case the column's type is the first to say so.
SELECT id FROM items ORDER BY e <-> '[1,2]' LIMIT 5;
SELECT id FROM items ORDER BY e <-> '[1,2,3,4]'::vector LIMIT 5;
INSERT INTO items (e) VALUES ('[1,2]');
CREATE TABLE half_items (id serial PRIMARY KEY, e halfvec(3));
CREATE INDEX half_items_e ON half_items USING castmatch_hnsw (e halfvec_l2_ops);
INSERT INTO half_items (e) VALUES ('[1,2,3]');
SELECT id FROM half_items ORDER BY e <-> '[1,2]' LIMIT 5;
\t on
\pset format unaligned
SELECT failure($$SELECT id FROM items ORDER BY e <-> '[1,2]' LIMIT 5$$);
SELECT failure($$SELECT id FROM half_items ORDER BY e <-> '[1,2]' LIMIT 5$$);
\t off
\pset format aligned
RESET enable_seqscan;
DROP TABLE items, half_items;

-- Equal rows.
CREATE TABLE equals (id serial PRIMARY KEY, e vector(3));
INSERT INTO equals (e) SELECT '[1,2,3]' FROM generate_series(1, 10000);
CREATE INDEX equals_e ON equals USING castmatch_hnsw (e vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(DISTINCT id), max(e <-> '[1,1,1]') = min(e <-> '[1,1,1]') AS equal FROM (SELECT * FROM equals ORDER BY e <-> '[1,1,1]' LIMIT 20) t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM equals ORDER BY e <-> '[1,2,3]' LIMIT 20000) t;
INSERT INTO equals (e) SELECT '[1,2,3]' FROM generate_series(1, 100);
INSERT INTO equals (e) VALUES ('[3,2,1]');
SELECT id FROM (SELECT id, e FROM equals ORDER BY e <-> '[3,2,1]' LIMIT 20000) t WHERE e = '[3,2,1]';
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM equals ORDER BY e <-> '[1,2,3]' LIMIT 20000) t;
DELETE FROM equals WHERE id % 2 = 0;
VACUUM equals;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM equals ORDER BY e <-> '[1,2,3]' LIMIT 20000) t;
SELECT id FROM (SELECT id, e FROM equals ORDER BY e <-> '[3,2,1]' LIMIT 20000) t WHERE e = '[3,2,1]';
SELECT check_name, detail FROM castmatch.verify_index('equals_e') WHERE NOT ok;
RESET enable_sort;
RESET enable_seqscan;
DROP TABLE equals;

-- The most dimensions. An element takes 32 bytes, its code (at 4 bits 32 bytes for each 64 dimensions, at 8 bits 32 bytes for each
-- 32, at 32 bits 32 bytes for each 8) and 8 m, and must fit into the 8,160 bytes of a page's body. One more is refused
-- when the index is made, not when a row is.
CREATE TABLE wide (id integer);
SET client_min_messages = warning;
\t on
\pset format unaligned
SELECT bits, m, dims, failure(format('
    ALTER TABLE wide DROP COLUMN IF EXISTS e, ADD COLUMN e %s(%s);
    CREATE INDEX ON wide USING castmatch_hnsw (e %s_%s_ops) WITH (m = %s, ef_construction = %s%s)', type, dims, type, metric, m, 2 * m, ', code_bits = ' || bits))
FROM (VALUES
    -- The most that the type has.
    (1, 'vector', 'l2', 4, 16, 16000), (2, 'vector', 'l2', NULL, 16, 16000), (3, 'halfvec', 'cosine', NULL, 16, 16000),
    -- m takes its share.
    (4, 'vector', 'l2', 4, 17, 15936), (5, 'vector', 'l2', 4, 17, 15937), (6, 'halfvec', 'ip', 4, 100, 14656), (7, 'halfvec', 'ip', 4, 100, 14657),
    (8, 'vector', 'cosine', 8, 16, 8000), (9, 'vector', 'cosine', 8, 16, 8001), (10, 'vector', 'l2', 8, 2, 8096), (11, 'vector', 'l2', 8, 2, 8097),
    (12, 'halfvec', 'l2', 8, 100, 7328), (13, 'halfvec', 'l2', 8, 100, 7329),
    (14, 'vector', 'l2', 32, 16, 2000), (15, 'vector', 'l2', 32, 16, 2001), (16, 'halfvec', 'l1', 32, 2, 2024), (17, 'halfvec', 'l1', 32, 2, 2025),
    -- The taxicab metric takes 8 bits unless told otherwise.
    (18, 'vector', 'l1', NULL, 16, 8000), (19, 'vector', 'l1', NULL, 16, 8001), (20, 'vector', 'l1', 4, 16, 16000)
) AS cases (number, type, metric, bits, m, dims) ORDER BY number;
\t off
\pset format aligned
RESET client_min_messages;
-- The widest are searched.
SET castmatch.ef_search = 10;
SET castmatch.rerank_confidence = 10;
CREATE TABLE widest (id integer, e vector(16000), h halfvec(8000));
INSERT INTO widest SELECT i, array_agg(sin(i * j)), (array_agg(sin(i * j)))[:8000] FROM generate_series(1, 5) i, generate_series(1, 16000) j GROUP BY i;
CREATE INDEX widest_e ON widest USING castmatch_hnsw (e vector_cosine_ops);
CREATE INDEX widest_h ON widest USING castmatch_hnsw (h halfvec_l1_ops);
INSERT INTO widest SELECT i, array_agg(sin(i * j)), (array_agg(sin(i * j)))[:8000] FROM generate_series(6, 7) i, generate_series(1, 16000) j GROUP BY i;
SELECT compared('SELECT id FROM widest ORDER BY e <=> (SELECT e FROM widest WHERE id = 3)'),
    compared('SELECT id FROM widest ORDER BY h <+> (SELECT h FROM widest WHERE id = 6)');
SELECT check_name, detail FROM castmatch.verify_index('widest_e') WHERE NOT ok UNION ALL SELECT check_name, detail FROM castmatch.verify_index('widest_h') WHERE NOT ok;
RESET castmatch.ef_search;
RESET castmatch.rerank_confidence;
DROP TABLE wide, widest;

-- Options.
CREATE TABLE items (id serial PRIMARY KEY, e vector(3));
\t on
\pset format unaligned
SELECT o, failure('CREATE INDEX ON items USING castmatch_hnsw (e vector_l2_ops) WITH (' || o || ')') FROM unnest(ARRAY[
    'm = 1', 'm = 101', 'm = -1', 'm = many', 'm = 2.5', 'ef_construction = 3', 'ef_construction = 1001', 'ef_construction = 31', 'm = 33', 'm = 20, ef_construction = 39',
    'code_bits = 5', 'code_bits = 1', 'code_bits = 16', 'code_bits = 33', 'code_bits = -1', 'lists = 100', 'fillfactor = 90', 'm = 2, ef_construction = 4',
    'm = 100, ef_construction = 1000', 'm = 32', 'code_bits = 0', 'code_bits = 4', 'code_bits = 8', 'code_bits = 32'
]) WITH ORDINALITY AS options (o, i) ORDER BY i;
SELECT indexdef FROM pg_indexes WHERE tablename = 'items' AND indexdef LIKE '%hnsw%' ORDER BY indexname COLLATE "C";
-- They change with the next build. What makes no sense together is refused before.
SELECT s, failure('ALTER INDEX items_e_idx ' || s) FROM unnest(ARRAY[
    'SET (m = 200)', 'SET (lists = 1)', 'SET (m = 3)', 'SET (ef_construction = 5)', 'SET (m = 40)', 'SET (code_bits = 16)', 'SET (m = 40, ef_construction = 80)',
    'RESET (ef_construction)', 'RESET (m)', 'RESET (m, ef_construction)'
]) WITH ORDINALITY AS changes (s, i) ORDER BY i;
REINDEX INDEX items_e_idx;
\t off
\pset format aligned
DROP TABLE items;
-- Whether the vectors fit a page is found by the build.
CREATE TABLE items (id integer, e vector(2001));
INSERT INTO items SELECT i, array_agg(sin(i * j)) FROM generate_series(1, 3) i, generate_series(1, 2001) j GROUP BY i;
CREATE INDEX items_e ON items USING castmatch_hnsw (e vector_l2_ops);
ALTER INDEX items_e SET (code_bits = 32);
REINDEX INDEX items_e;
TRUNCATE items;
INSERT INTO items SELECT 4, array_agg(sin(4 * j)) FROM generate_series(1, 2001) j;
SELECT compared('SELECT id FROM items ORDER BY e <-> (SELECT e FROM items WHERE id = 3)');
ALTER INDEX items_e RESET (code_bits);
TRUNCATE items;
DROP TABLE items;

-- Settings.
\t on
\pset format unaligned
SELECT failure('SET castmatch.' || s) FROM unnest(ARRAY['ef_search = 0', 'ef_search = 10001', 'ef_search = -1', 'ef_search = many', 'ef_search = 1', 'ef_search = 10000',
    'rerank_confidence = -0.1', 'rerank_confidence = 10.1', 'rerank_confidence = NaN', 'rerank_confidence = 0', 'rerank_confidence = 10']) s;
\t off
\pset format aligned
RESET castmatch.ef_search;
RESET castmatch.rerank_confidence;
SHOW castmatch.ef_search;
SHOW castmatch.rerank_confidence;
