-- Rows that come, change and go, in transactions that end well or not. A search that keeps more candidates than there are rows, dead ones
-- included, is exact.
SET castmatch.ef_search = 1000;
CREATE TABLE points (id integer PRIMARY KEY, note text, e vector(3)) WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE INDEX points_e ON points USING castmatch_hnsw (e vector_l2_ops) WITH (m = 4, ef_construction = 8);
CREATE FUNCTION order_of_points() RETURNS text LANGUAGE sql AS $$
    SELECT compared('SELECT id, note, e <-> ''[1,2,3]'' AS distance FROM points WHERE e IS NOT NULL ORDER BY e <-> ''[1,2,3]''')
$$;

-- Subtransactions that are rolled back leave nothing that a scan shows.
BEGIN;
INSERT INTO points SELECT i, 'first', ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 10) i;
SAVEPOINT s;
INSERT INTO points SELECT i, 'ghost', ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(11, 20) i;
SELECT count(*), order_of_points() FROM points;
ROLLBACK TO s;
SELECT count(*), order_of_points() FROM points;
INSERT INTO points SELECT i, 'second', ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(11, 15) i;
SAVEPOINT t;
DELETE FROM points WHERE id < 5;
UPDATE points SET e = '[1,2,3]' WHERE id = 7;
SELECT count(*), order_of_points() FROM points;
ROLLBACK TO t;
RELEASE s;
COMMIT;
SELECT count(*), order_of_points() FROM points;
DO $$
BEGIN
    FOR i IN 16..200 LOOP
        BEGIN
            INSERT INTO points VALUES (i, 'third', ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]);
            IF i % 10 <> 0 THEN
                -- A duplicate key, a wrong width, a division by zero: after the index has the row.
                IF i % 3 = 0 THEN
                    INSERT INTO points VALUES (i, 'twice', '[0,0,0]');
                ELSIF i % 3 = 1 THEN
                    INSERT INTO points VALUES (-i, 'narrow', '[0,0]');
                ELSE
                    PERFORM id / 0 FROM points ORDER BY e <-> '[1,2,3]' LIMIT 1;
                END IF;
            END IF;
        EXCEPTION WHEN unique_violation OR data_exception THEN
            NULL;
        END;
    END LOOP;
END;
$$;
SELECT count(*), order_of_points() FROM points;
-- Of so few neighbours an element may have lost every way to it until the next vacuum.
SELECT check_name, detail FROM castmatch.verify_index('points_e') WHERE NOT ok AND check_name <> 'reachability';
VACUUM points;
SELECT count(*), order_of_points() FROM points;
SELECT check_name, detail FROM castmatch.verify_index('points_e') WHERE NOT ok;
SELECT rows, dead_share FROM castmatch.index_info('points_e');

-- An error inside a scan, caught, many times: nothing is held afterwards.
DO $$
DECLARE
    caught integer := 0;
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    FOR i IN 1..300 LOOP
        BEGIN
            PERFORM 1 / (id - id) FROM points ORDER BY e <-> '[1,2,3]' LIMIT 1;
        EXCEPTION WHEN division_by_zero THEN
            caught := caught + 1;
        END;
        BEGIN
            PERFORM id FROM points ORDER BY e <-> '[1,2]' LIMIT 1;
        EXCEPTION WHEN data_exception THEN
            caught := caught + 1;
        END;
    END LOOP;
    RAISE NOTICE '% caught', caught;
END;
$$;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'points_e'::regclass;

-- Updates that leave the vector alone need not touch the index (HOT); those that do not fit the page, or change the vector, do.
SELECT rows FROM castmatch.index_info('points_e');
UPDATE points SET note = 'hot' WHERE id <= 5;
SELECT rows, order_of_points() FROM castmatch.index_info('points_e');
UPDATE points SET note = 'hot again' WHERE id <= 5;
SELECT rows, order_of_points() FROM castmatch.index_info('points_e');
UPDATE points SET note = repeat('cold ', 1000) WHERE id = 6;
UPDATE points SET e = e + '[0.5,0,0]', note = 'moved' WHERE id BETWEEN 7 AND 9;
UPDATE points SET e = e WHERE id = 10;
UPDATE points SET e = NULL WHERE id = 11;
SELECT order_of_points();
UPDATE points SET e = '[0,0,1]' WHERE id = 11;
SELECT order_of_points();
VACUUM points;
SELECT rows, dead_share, order_of_points() FROM castmatch.index_info('points_e');
UPDATE points SET e = e + '[0.1,0.1,0.1]';
UPDATE points SET e = e + '[0.1,0.1,0.1]';
UPDATE points SET e = e + '[0.1,0.1,0.1]';
SELECT order_of_points();
VACUUM points;
SELECT rows, dead_share, order_of_points() FROM castmatch.index_info('points_e');
SELECT check_name, detail FROM castmatch.verify_index('points_e') WHERE NOT ok;
-- The same row twice in one statement, and with ON CONFLICT.
INSERT INTO points VALUES (1, 'conflict', '[9,9,9]'), (201, 'new', '[8,8,8]') ON CONFLICT (id) DO UPDATE SET e = EXCLUDED.e, note = EXCLUDED.note;
INSERT INTO points VALUES (1, 'nothing', '[7,7,7]') ON CONFLICT DO NOTHING;
SELECT order_of_points();
WITH moved AS (DELETE FROM points WHERE id = 201 RETURNING *) INSERT INTO points SELECT id + 1, note, e FROM moved;
MERGE INTO points USING (VALUES (202, '[6,6,6]'::vector), (203, '[5,5,5]')) AS s (id, e) ON points.id = s.id
    WHEN MATCHED THEN UPDATE SET e = s.e WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'merged', s.e);
SELECT order_of_points();
-- The index follows the new vector within the statement's own transaction, and not that of another snapshot.
BEGIN;
UPDATE points SET e = '[1,2,3]' WHERE id = 203;
SELECT (indexed_rows('SELECT id FROM points ORDER BY e <-> ''[1,2,3]'' LIMIT 1'))[1];
ROLLBACK;
SELECT (indexed_rows('SELECT id FROM points ORDER BY e <-> ''[1,2,3]'' LIMIT 1'))[1] <> '(203)' AS undone;

-- COPY.
COPY points FROM stdin;
301	copied	[0.25,0.5,0.75]
302	copied	\N
303	copied	[-0.25,-0.5,-0.75]
\.
COPY points FROM stdin;
304	never	[1,1,1]
305	never	[1,1]
\.
COPY points FROM stdin;
306	never	[1,1,1]
301	never	[1,1,1]
\.
SELECT count(*) FILTER (WHERE note = 'never') AS never, order_of_points() FROM points;
COPY (SELECT id FROM points ORDER BY e <-> '[0.25,0.5,0.75]' LIMIT 1) TO stdout;

-- Emptied: for good, and not.
BEGIN;
TRUNCATE points;
SELECT count(*), order_of_points() FROM points;
INSERT INTO points VALUES (1, 'after', '[1,2,3]'), (2, 'after', '[1,2,4]');
SELECT count(*), order_of_points() FROM points;
ROLLBACK;
SELECT count(*) > 2 AS back, order_of_points() FROM points;
SELECT check_name, detail FROM castmatch.verify_index('points_e') WHERE NOT ok;
BEGIN;
TRUNCATE points;
INSERT INTO points VALUES (1, 'after', '[1,2,3]'), (2, 'after', '[1,2,4]');
SAVEPOINT s;
TRUNCATE points;
INSERT INTO points VALUES (3, 'inner', '[3,3,3]');
SELECT count(*), order_of_points() FROM points;
ROLLBACK TO s;
SELECT count(*), order_of_points() FROM points;
COMMIT;
SELECT count(*), order_of_points() FROM points;
SELECT check_name, detail FROM castmatch.verify_index('points_e') WHERE NOT ok;

-- Made and dropped within a transaction.
BEGIN;
CREATE TABLE brief (id integer, e vector(2));
INSERT INTO brief VALUES (1, '[1,1]'), (2, '[2,2]');
CREATE INDEX brief_e ON brief USING castmatch_hnsw (e vector_l2_ops);
INSERT INTO brief VALUES (3, '[3,3]');
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[3.3,2]''');
SAVEPOINT s;
DROP INDEX brief_e;
ROLLBACK TO s;
INSERT INTO brief VALUES (4, '[4,4]');
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[3.3,2]''');
SAVEPOINT s;
REINDEX INDEX brief_e;
INSERT INTO brief VALUES (5, '[5,5]');
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[3.3,2]''');
ROLLBACK TO s;
SELECT compared('SELECT id FROM brief ORDER BY e <-> ''[3.3,2]''');
ROLLBACK;
CREATE INDEX CONCURRENTLY points_e_2 ON points USING castmatch_hnsw (e vector_cosine_ops);
REINDEX INDEX CONCURRENTLY points_e_2;
SELECT compared('SELECT id FROM points ORDER BY e <=> ''[1,2,0]''');
DROP INDEX CONCURRENTLY points_e_2;

DROP TABLE points;
DROP FUNCTION order_of_points;
RESET castmatch.ef_search;
