-- What may happen to a table with a castmatch_ivf index: rows that change in transactions that end well or not, VACUUM, TRUNCATE, temporary and
-- unlogged tables, rewrites, options that change. Tables of up to 40 rows are read exactly.
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;
CREATE FUNCTION points(count integer) RETURNS TABLE (id integer, e vector) LANGUAGE sql AS $$
    SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]::vector FROM generate_series(1, count) i
$$;
CREATE FUNCTION faults(index regclass) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(check_name || ': ' || detail, '; ') FILTER (WHERE NOT ok), 'none') FROM castmatch.verify_index(index)
$$;

-- Into an index of no rows, by single rows and many.
CREATE TABLE changing (id integer PRIMARY KEY, note text, e vector(3)) WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE INDEX changing_e ON changing USING castmatch_ivf (e vector_l2_ops) WITH (lists = 5);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
INSERT INTO changing SELECT id, 'first', e FROM points(20);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
-- Now there is something to make lists of.
REINDEX INDEX changing_e;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');

-- What is rolled back does not show.
BEGIN;
INSERT INTO changing SELECT id + 20, 'second', e + '[0.1,0,0]' FROM points(5);
SAVEPOINT s;
DELETE FROM changing WHERE id < 5;
UPDATE changing SET e = '[1,2,3]' WHERE id = 7;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]''');
ROLLBACK TO s;
INSERT INTO changing VALUES (26, 'third', NULL);
COMMIT;
SELECT count(*), count(e), compared('SELECT id FROM changing WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]'''), faults('changing_e') FROM changing;
DO $$
BEGIN
    FOR i IN 1..50 LOOP
        BEGIN
            INSERT INTO changing VALUES (100 + i, 'gone', '[1,2,3]');
            PERFORM 1 / (id - id) FROM changing ORDER BY e <-> '[1,2,3]' LIMIT 1;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END;
$$;
SELECT compared('SELECT id FROM changing WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');

-- Updates that leave the vector alone, that change it, that take it away and bring it back; deletions.
UPDATE changing SET note = 'hot' WHERE id <= 5;
UPDATE changing SET note = repeat('cold ', 1000) WHERE id = 6;
UPDATE changing SET e = e + '[0.5,0,0]' WHERE id BETWEEN 7 AND 9;
UPDATE changing SET e = e WHERE id = 10;
UPDATE changing SET e = NULL WHERE id = 11;
UPDATE changing SET e = '[0,0,1]' WHERE id = 26;
DELETE FROM changing WHERE id % 4 = 0;
SELECT compared('SELECT id FROM changing WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]''');
VACUUM changing;
SELECT rows = (SELECT count(e) FROM changing) AS all_rows, compared('SELECT id FROM changing WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]'''), faults('changing_e')
FROM castmatch.index_info('changing_e');
-- Their room is used again.
INSERT INTO changing SELECT id + 200, 'again', e + '[0.05,0,0]' FROM points(5);
SELECT compared('SELECT id FROM changing WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
DELETE FROM changing;
VACUUM changing;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
INSERT INTO changing SELECT id, 'after', e FROM points(30);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
SELECT castmatch.prewarm('changing_e') = pg_relation_size('changing_e') / current_setting('block_size')::integer AS all_pages;

-- Options take effect with the next build.
ALTER INDEX changing_e SET (lists = 3, refine_bits = 3);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
INSERT INTO changing VALUES (31, 'between', '[0.5,0.5,0.5]');
REINDEX INDEX changing_e;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER INDEX changing_e SET (lists = auto);
REINDEX INDEX CONCURRENTLY changing_e;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
SELECT indexdef FROM pg_indexes WHERE indexname = 'changing_e';

-- Emptied: for good, and not.
BEGIN;
TRUNCATE changing;
SELECT count(*), compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]''') FROM changing;
INSERT INTO changing VALUES (1, 'after', '[1,2,3]'), (2, 'after', '[1,2,4]');
SELECT count(*), compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]''') FROM changing;
ROLLBACK;
SELECT count(*), compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e') FROM changing;

-- Rewritten: in the order of another index, packed, with another type of the column.
CLUSTER changing USING changing_pkey;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
VACUUM FULL changing;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing ALTER COLUMN id TYPE bigint;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing ALTER COLUMN e TYPE vector(2) USING subvector(e, 1, 2);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
ALTER TABLE changing SET UNLOGGED;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
ALTER TABLE changing SET LOGGED;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
TRUNCATE changing;
SELECT count(*), compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e') FROM changing;
DROP TABLE changing;

-- Temporary: emptied at commit, kept.
BEGIN;
CREATE TEMP TABLE emptied (id integer, e vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX emptied_e ON emptied USING castmatch_ivf (e vector_l2_ops);
INSERT INTO emptied SELECT * FROM points(30);
SELECT compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e');
COMMIT;
SELECT count(*), compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e') FROM emptied;
CREATE TEMP TABLE kept (id integer, e vector(3));
INSERT INTO kept SELECT * FROM points(2000);
CREATE INDEX kept_e ON kept USING castmatch_ivf (e vector_cosine_ops) WITH (lists = 20);
DELETE FROM kept WHERE id > 30;
VACUUM kept;
INSERT INTO kept SELECT id + 30, e + '[0.1,0.1,0.1]' FROM points(10);
SELECT compared('SELECT id FROM kept ORDER BY e <=> ''[1,2,3]'''), faults('kept_e');
DISCARD TEMP;
SELECT to_regclass('kept_e');

-- Unlogged, made in one transaction, and dropped in one that is undone.
CREATE UNLOGGED TABLE brief (id integer, e halfvec(3));
CREATE INDEX brief_e ON brief USING castmatch_ivf (e halfvec_l2_ops);
INSERT INTO brief SELECT id, e::halfvec FROM points(30);
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[1,2,3]'''), faults('brief_e');
BEGIN;
DROP INDEX brief_e;
CREATE INDEX brief_e ON brief USING castmatch_ivf (e halfvec_l2_ops) WITH (lists = 2);
INSERT INTO brief SELECT id + 30, e::halfvec + '[0.25,0,0]' FROM points(5);
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[1,2,3]'''), faults('brief_e');
ROLLBACK;
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[1,2,3]'''), faults('brief_e');
CREATE INDEX CONCURRENTLY brief_e_2 ON brief USING castmatch_ivf (e halfvec_ip_ops);
SELECT compared('SELECT id FROM brief ORDER BY e <#> ''[1,2,3]'''), faults('brief_e_2');
-- Beside one of the other method on the same column.
CREATE INDEX brief_e_3 ON brief USING castmatch_hnsw (e halfvec_l2_ops);
UPDATE brief SET e = e + '[0.5,0,0]' WHERE id < 5;
VACUUM brief;
SELECT faults('brief_e'), faults('brief_e_2'), faults('brief_e_3');
-- Written down as it was made.
CREATE TABLE liked (LIKE brief INCLUDING INDEXES);
SELECT indexdef FROM pg_indexes WHERE tablename = 'liked' ORDER BY indexname COLLATE "C";
DROP TABLE brief, liked;
DROP FUNCTION points, faults;
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
