-- Scans as statements use them: cursors, nested loops, deep reads, prepared statements. A search that keeps more candidates than there are
-- rows is exact; other results are compared as sets.
SET castmatch.ef_search = 100;
CREATE TABLE points (id integer PRIMARY KEY, kind integer, e vector(3));
INSERT INTO points SELECT i, i % 5, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 40) i;
CREATE INDEX points_e ON points USING castmatch_hnsw (e vector_l2_ops);
CREATE TABLE many (id integer PRIMARY KEY, kind integer, e vector(3));
INSERT INTO many SELECT i, i % 100, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 3000) i;
CREATE INDEX many_e ON many USING castmatch_hnsw (e vector_l2_ops);
ANALYZE points, many;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;

-- Cursors: a few rows at a time, and the end.
BEGIN;
DECLARE forwards NO SCROLL CURSOR FOR SELECT id FROM points ORDER BY e <-> '[1,2,3]';
FETCH 3 FROM forwards;
FETCH 2 FROM forwards;
FETCH BACKWARD 1 FROM forwards;
ROLLBACK;
BEGIN;
DECLARE back SCROLL CURSOR FOR SELECT id FROM points ORDER BY e <-> '[1,2,3]';
FETCH 3 FROM back;
FETCH BACKWARD 2 FROM back;
FETCH ABSOLUTE 1 FROM back;
FETCH FIRST FROM back;
FETCH LAST FROM back;
FETCH NEXT FROM back;
FETCH PRIOR FROM back;
MOVE ABSOLUTE 2 FROM back;
FETCH 3 FROM back;
CLOSE back;
-- Two over one index at a time, and changes in between: each sees what was there when it was opened.
DECLARE one CURSOR FOR SELECT id FROM points ORDER BY e <-> '[1,2,3]';
DECLARE two CURSOR FOR SELECT id FROM points ORDER BY e <-> '[-1,-2,-3]';
FETCH 2 FROM one;
FETCH 2 FROM two;
INSERT INTO points VALUES (41, 0, '[1,2,3]');
DELETE FROM points WHERE id IN (SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 5);
UPDATE points SET e = e + '[1,1,1]' WHERE id % 3 = 0;
FETCH 2 FROM one;
FETCH 2 FROM two;
SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 2;
ROLLBACK;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 4;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
-- A positioned change.
BEGIN;
DECLARE positioned CURSOR FOR SELECT id FROM points ORDER BY e <-> '[1,2,3]' FOR UPDATE;
FETCH 2 FROM positioned;
DELETE FROM points WHERE CURRENT OF positioned;
FETCH 1 FROM positioned;
ROLLBACK;
-- A cursor of PL/pgSQL that leaves the loop early, many times.
DO $$
DECLARE
    found integer;
    total integer := 0;
BEGIN
    FOR i IN 1..200 LOOP
        FOR found IN SELECT id FROM many ORDER BY e <-> ARRAY[sin(i), 0, 0]::vector LOOP
            total := total + 1;
            EXIT WHEN total % 5 = 0;
        END LOOP;
    END LOOP;
    RAISE NOTICE '% rows', total;
END;
$$;

-- Nested loops: one scan, started again for each outer row.
EXPLAIN (COSTS OFF) SELECT p.id, n.id FROM points p CROSS JOIN LATERAL (
    SELECT q.id FROM many q ORDER BY q.e <-> p.e LIMIT 2) n WHERE p.id < 4;
SELECT p.id, n.id, n.distance = 0 AS itself FROM points p CROSS JOIN LATERAL (
    SELECT q.id, q.e <-> p.e AS distance FROM many q ORDER BY q.e <-> p.e LIMIT 2) n WHERE p.id < 4 ORDER BY p.id, n.distance;
SELECT count(*), count(DISTINCT (p.id, n.id)), count(*) FILTER (WHERE p.id = n.id) AS themselves FROM points p CROSS JOIN LATERAL (
    SELECT q.id FROM many q ORDER BY q.e <-> p.e LIMIT 60) n;
SELECT p.id, (SELECT q.id FROM many q WHERE q.id <> p.id ORDER BY q.e <-> p.e LIMIT 1) IS NOT NULL AS found FROM points p WHERE p.id <= 3 ORDER BY p.id;
-- Some of the outer rows have no vector.
SELECT p.i, count(n.id) FROM (VALUES (1, '[1,2,3]'::vector), (2, NULL), (3, '[3,2,1]')) AS p (i, e) LEFT JOIN LATERAL (
    SELECT q.id FROM points q ORDER BY q.e <-> p.e LIMIT 3) n ON true GROUP BY p.i ORDER BY p.i;
-- A scan that an outer row of another width ends.
SELECT p.i, count(n.id) FROM (VALUES (1, '[1,2,3]'::vector), (2, '[1,2]')) AS p (i, e) LEFT JOIN LATERAL (
    SELECT q.id FROM points q ORDER BY q.e <-> p.e LIMIT 3) n ON true GROUP BY p.i ORDER BY p.i;
-- A loop in the other order: the index on the outer side, its rows read only as far as needed.
SELECT count(*) FROM (SELECT m.id FROM many m JOIN points p ON p.id = m.id ORDER BY m.e <-> '[1,2,3]' LIMIT 25) t;
SELECT count(*) FROM (SELECT m.id FROM many m WHERE EXISTS (SELECT FROM points p WHERE p.id = m.id) ORDER BY m.e <-> '[1,2,3]' LIMIT 25) t;

-- Joined by their distances: the merge needs its inner side materialised, as the index cannot go back.
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT p.id FROM points p JOIN points q ON p.e <-> '[1,2,3]' = q.e <-> '[1,2,3]' ORDER BY p.e <-> '[1,2,3]';
SELECT count(*), bool_and(a = b) AS themselves FROM (
    SELECT p.id AS a, q.id AS b FROM points p JOIN points q ON p.e <-> '[1,2,3]' = q.e <-> '[1,2,3]' ORDER BY p.e <-> '[1,2,3]') t;
RESET enable_hashjoin;
RESET enable_nestloop;

-- Reading deeper than ef_search: every row, each once.
SET castmatch.ef_search = 1;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]') t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]' LIMIT 2999) t;
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]') t;
RESET work_mem;
SET castmatch.ef_search = 40;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]' LIMIT 500) t;
-- A filter that leaves one row in a hundred: as many rows as asked for, if there are so many.
SELECT count(*), count(DISTINCT id), bool_and(kind = 7) AS right_kind FROM (SELECT * FROM many WHERE kind = 7 ORDER BY e <-> '[1,2,3]' LIMIT 20) t;
SELECT count(*) FROM (SELECT * FROM many WHERE kind = 7 ORDER BY e <-> '[1,2,3]' LIMIT 40) t;
SELECT count(*) FROM (SELECT * FROM many WHERE kind = -1 ORDER BY e <-> '[1,2,3]' LIMIT 40) t;
SELECT count(*) FROM (SELECT * FROM many WHERE e <-> '[1,2,3]' > 3.5 ORDER BY e <-> '[1,2,3]' LIMIT 40) t;
-- The distances of a large ef, and the whole order of a confident one.
SET castmatch.ef_search = 3000;
SET castmatch.rerank_confidence = 10;
SELECT compared('SELECT e <-> ''[1,2,3]'' AS distance FROM many ORDER BY 1');
SELECT compared('SELECT e <-> ''[0.1,0.2,0.3]'' AS distance FROM many WHERE kind = 7 ORDER BY 1 LIMIT 20');
RESET castmatch.rerank_confidence;
SET castmatch.ef_search = 100;

-- Prepared: with a plan for each vector, and with one for all.
PREPARE nearest (vector, integer) AS SELECT id FROM points ORDER BY e <-> $1 LIMIT $2;
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest('[1,2,3]', 3);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE nearest('[1,2,3]', 3);
EXECUTE nearest('[1,2,3]', 3);
EXECUTE nearest('[-1,-2,-3]', 3);
EXECUTE nearest(NULL, 0);
EXECUTE nearest('[1,2]', 3);
SET castmatch.ef_search = 2;
EXECUTE nearest('[1,2,3]', 3);
SET castmatch.ef_search = 100;
-- The plan is made anew when the index goes and comes.
DROP INDEX points_e;
SET enable_seqscan = on;
SET enable_sort = on;
EXECUTE nearest('[1,2,3]', 3);
CREATE INDEX points_e ON points USING castmatch_hnsw (e vector_l2_ops) WITH (code_bits = 4);
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) EXECUTE nearest('[1,2,3]', 3);
EXECUTE nearest('[1,2,3]', 3);
REINDEX INDEX points_e;
EXECUTE nearest('[1,2,3]', 3);
DEALLOCATE nearest;
RESET plan_cache_mode;

-- In functions, views, windows, set operations, and under other conditions of the executor.
CREATE FUNCTION nearest(query vector, k integer) RETURNS SETOF integer LANGUAGE sql STABLE AS
    'SELECT id FROM points ORDER BY e <-> query LIMIT k';
SELECT * FROM nearest('[1,2,3]', 3);
SELECT q, array_agg(n) FROM unnest(ARRAY['[1,2,3]', '[3,2,1]']::vector[]) q, nearest(q, 2) n GROUP BY q ORDER BY q;
CREATE VIEW by_distance AS SELECT id, e <-> '[1,2,3]' AS distance FROM points ORDER BY e <-> '[1,2,3]';
SELECT id FROM by_distance LIMIT 3;
WITH n AS MATERIALIZED (SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 3) SELECT a.id, b.id FROM n a, n b WHERE a.id < b.id ORDER BY a.id, b.id;
(SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 2) UNION ALL (SELECT id FROM points ORDER BY e <-> '[-1,-2,-3]' LIMIT 2);
SELECT id FROM points ORDER BY e <-> '[1,2,3]' FETCH FIRST 2 ROWS ONLY;
SELECT id FROM points ORDER BY e <-> '[1,2,3]' FETCH FIRST 2 ROWS WITH TIES;
SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 2 FOR UPDATE SKIP LOCKED;
SELECT id, ctid IS NOT NULL AS place, tableoid::regclass FROM points ORDER BY e <-> '[1,2,3]' LIMIT 2;
DELETE FROM points WHERE id IN (SELECT id FROM points ORDER BY e <-> '[1,2,3]' LIMIT 2) RETURNING id > 0 AS deleted;
SELECT count(*) FROM points;

RESET enable_seqscan;
RESET enable_sort;
RESET enable_bitmapscan;
DROP VIEW by_distance;
DROP FUNCTION nearest;
DROP TABLE points, many;
RESET castmatch.ef_search;
