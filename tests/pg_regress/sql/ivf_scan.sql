-- Scans of castmatch_ivf: every row with a vector once, however few lists a scan begins with; special values; conditions. A scan that looks at
-- all lists first, and is sure of its estimates, is exact.
SET max_parallel_workers_per_gather = 0;
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;

-- No row, one row, more wanted than there are, none wanted: an index of an empty table takes rows.
CREATE TABLE items (id serial PRIMARY KEY, e vector(3));
CREATE INDEX items_e ON items USING castmatch_ivf (e vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
INSERT INTO items (e) VALUES ('[1,2,3]');
SELECT id, e <-> '[1,2,3]' AS distance FROM items ORDER BY e <-> '[1,2,3]' LIMIT 5;
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
-- A query or a row of another width.
SELECT id FROM items ORDER BY e <-> '[1,2]' LIMIT 5;
INSERT INTO items (e) VALUES ('[1,2]');
RESET enable_seqscan;
RESET enable_sort;
DROP TABLE items;

-- Every class, with and without lists and bits of its own.
CREATE TABLE points (id integer PRIMARY KEY, v vector(3), h halfvec(3));
INSERT INTO points SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 36) i;
INSERT INTO points VALUES (37, NULL, NULL), (38, '[1,0,0]', NULL), (39, NULL, '[0,1,0]');
CREATE FUNCTION all_operators(query text, extra text) RETURNS TABLE (ordering text, result text) LANGUAGE sql AS $$
    SELECT format('%s %s', c, o), compared(format('SELECT id, %1$s %2$s %3$L FROM points WHERE %1$s IS NOT NULL ORDER BY %1$s %2$s %3$L %4$s', c, o, query, extra))
    FROM unnest(ARRAY['v', 'h']) WITH ORDINALITY AS columns (c, i), unnest(ARRAY['<->', '<#>', '<=>']) WITH ORDINALITY AS operators (o, j)
    ORDER BY i, j;
$$;
CREATE PROCEDURE build(options text) LANGUAGE plpgsql AS $$
DECLARE
    class text;
BEGIN
    FOREACH class IN ARRAY ARRAY['vector_l2', 'vector_ip', 'vector_cosine', 'halfvec_l2', 'halfvec_ip', 'halfvec_cosine'] LOOP
        EXECUTE format('DROP INDEX IF EXISTS points_%s', class);
        EXECUTE format('CREATE INDEX points_%1$s ON points USING castmatch_ivf (%2$s %1$s_ops) WITH (%3$s)', class, left(class, 1), options);
    END LOOP;
END;
$$;
SET client_min_messages = warning;
CALL build('lists = auto');
SELECT * FROM all_operators('[3,1,2]', 'LIMIT 5');
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
CALL build('lists = 4, refine_bits = 3');
SELECT * FROM all_operators('[3,1,2]', 'LIMIT 5');
INSERT INTO points SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(40, 44) i;
DELETE FROM points WHERE id IN (1, 2, 3, 4, 5, 38, 39);
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
-- More lists than rows.
CALL build('lists = 1000');
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
RESET client_min_messages;

-- Rows without a vector are not in the index; a query that is NULL gives every row with one, in any order.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) AS by_index, count(v) AS vectors FROM (SELECT v FROM points ORDER BY v <-> '[1,2,3]' LIMIT 1000) t;
SELECT count(*) AS rows, count(v) AS vectors FROM points;
SELECT count(*), count(DISTINCT id) AS ids, count(v) AS vectors FROM (
    SELECT * FROM points ORDER BY v <-> (SELECT v FROM points WHERE id = 37) LIMIT 1000) t;
SELECT count(*) FROM (SELECT id FROM points ORDER BY v <=> (SELECT v FROM points WHERE id = 37) LIMIT 7) t;
-- The zero vector has no cosine: it comes last, as NaN does. As a query it has no order.
INSERT INTO points VALUES (100, '[0,0,0]', '[0,0,0]');
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
SELECT id, v <=> '[1,2,3]' AS distance FROM points ORDER BY v <=> '[1,2,3]' OFFSET (SELECT count(v) - 1 FROM points);
SELECT count(*), count(DISTINCT id) AS ids, count(*) FILTER (WHERE distance = 'NaN') AS nan
FROM (SELECT id, v <=> '[0,0,0]' AS distance FROM points ORDER BY v <=> '[0,0,0]' LIMIT 1000) t;
REINDEX INDEX points_vector_cosine;
SELECT id, v <=> '[1,2,3]' AS distance FROM points ORDER BY v <=> '[1,2,3]' OFFSET (SELECT count(v) - 1 FROM points);
RESET enable_sort;
RESET enable_seqscan;
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering LIKE '%<=>';
DELETE FROM points WHERE id = 100;
VACUUM points;
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering LIKE '%<=>';

-- Nothing but zero vectors, and nothing but NULL.
CREATE TABLE zilch (id integer, v vector(2));
INSERT INTO zilch SELECT i, '[0,0]' FROM generate_series(1, 50) i;
CREATE INDEX zilch_v ON zilch USING castmatch_ivf (v vector_cosine_ops);
SELECT array_length(indexed_rows('SELECT id FROM zilch ORDER BY v <=> ''[1,1]'''), 1);
INSERT INTO zilch VALUES (51, '[0,0]'), (52, '[1,2]');
SELECT indexed_rows('SELECT id FROM zilch ORDER BY v <=> ''[1,1]'' LIMIT 1'), array_length(indexed_rows('SELECT id FROM zilch ORDER BY v <=> ''[1,1]'''), 1);
UPDATE zilch SET v = NULL;
VACUUM zilch;
SELECT indexed_rows('SELECT id FROM zilch ORDER BY v <=> ''[1,1]''');
REINDEX INDEX zilch_v;
INSERT INTO zilch VALUES (53, '[1,2]');
SELECT indexed_rows('SELECT id FROM zilch ORDER BY v <=> ''[1,1]''');

-- Numbers whose squares leave the range of single precision, large and small.
CREATE TABLE extremes (id integer, v vector(2));
INSERT INTO extremes VALUES (1, '[3e38,3e38]'), (2, '[-3e38,3e38]'), (3, '[1e20,0]'), (4, '[0,2e19]'), (5, '[1,1]'), (6, '[1e-20,0]'), (7, '[0,3e-20]'),
    (8, '[1e-45,0]'), (9, '[0,0]'), (10, '[-1e38,1e30]'), (11, '[2e-38,3e-38]');
CREATE INDEX ON extremes USING castmatch_ivf (v vector_l2_ops) WITH (lists = 2);
CREATE INDEX ON extremes USING castmatch_ivf (v vector_ip_ops) WITH (refine_bits = 3);
CREATE INDEX ON extremes USING castmatch_ivf (v vector_cosine_ops);
INSERT INTO extremes VALUES (12, '[2e38,-3e38]'), (13, '[1e-42,1e-42]');
SELECT o AS operator, q AS query, (SELECT array_length(indexed_rows(format('SELECT id FROM extremes ORDER BY v %s %L', o, q)), 1)) AS rows
FROM unnest(ARRAY['<->', '<#>', '<=>']) WITH ORDINALITY AS operators (o, i), unnest(ARRAY['[1,2]', '[3e38,-3e38]', '[1e-30,1e-30]']) WITH ORDINALITY AS queries (q, j)
ORDER BY i, j;

-- Equal rows.
CREATE TABLE equals (id serial PRIMARY KEY, e vector(3));
INSERT INTO equals (e) SELECT '[1,2,3]' FROM generate_series(1, 3000);
CREATE INDEX equals_e ON equals USING castmatch_ivf (e vector_l2_ops) WITH (lists = 10);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM equals ORDER BY e <-> '[1,2,3]' LIMIT 20000) t;
INSERT INTO equals (e) SELECT '[1,2,3]' FROM generate_series(1, 100);
INSERT INTO equals (e) VALUES ('[3,2,1]');
SELECT id FROM equals ORDER BY e <-> '[3,2,1]' LIMIT 1;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM equals ORDER BY e <-> '[1,2,3]' LIMIT 20000) t;

-- To the end, from however few lists and with however little memory; and under conditions that are not the index's.
CREATE TABLE many (id integer PRIMARY KEY, kind integer, e vector(3));
INSERT INTO many SELECT i, i % 100, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 3000) i;
CREATE INDEX many_e ON many USING castmatch_ivf (e vector_l2_ops) WITH (lists = 40);
INSERT INTO many SELECT i, i % 100, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(3001, 3100) i;
ANALYZE many;
RESET castmatch.rerank_confidence;
SET castmatch.probes = 1;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]') t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]' LIMIT 3099) t;
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]') t;
RESET work_mem;
SET castmatch.probes = 0;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY e <-> '[1,2,3]') t;
SELECT count(*), count(DISTINCT id), bool_and(kind = 7) AS right_kind FROM (SELECT * FROM many WHERE kind = 7 ORDER BY e <-> '[1,2,3]' LIMIT 20) t;
SELECT count(*) FROM (SELECT * FROM many WHERE kind = 7 ORDER BY e <-> '[1,2,3]' LIMIT 40) t;
SELECT count(*) FROM (SELECT * FROM many WHERE kind = -1 ORDER BY e <-> '[1,2,3]' LIMIT 40) t;
-- Nested loops: one scan, started again for each outer row, also without a vector.
SELECT count(*), count(DISTINCT (p.id, n.id)), count(*) FILTER (WHERE p.id = n.id) AS themselves FROM (SELECT * FROM many WHERE id <= 20) p CROSS JOIN LATERAL (
    SELECT q.id FROM many q ORDER BY q.e <-> p.e LIMIT 60) n;
SELECT p.i, count(n.id) FROM (VALUES (1, '[1,2,3]'::vector), (2, NULL), (3, '[3,2,1]')) AS p (i, e) LEFT JOIN LATERAL (
    SELECT q.id FROM many q ORDER BY q.e <-> p.e LIMIT 3) n ON true GROUP BY p.i ORDER BY p.i;
-- A cursor does not see what changes after it was opened.
BEGIN;
DO $$
DECLARE
    found CURSOR FOR SELECT id FROM many ORDER BY e <-> '[1,2,3]';
    row record;
    rows integer := 0;
BEGIN
    OPEN found;
    FETCH found INTO row;
    DELETE FROM many WHERE id % 2 = 0;
    INSERT INTO many SELECT i, 0, '[1,2,3]' FROM generate_series(5001, 5100) i;
    WHILE row IS NOT NULL LOOP
        rows := rows + 1;
        FETCH found INTO row;
    END LOOP;
    RAISE NOTICE '% rows', rows;
END;
$$;
ROLLBACK;
-- The rows and the whole order of a scan that looks everywhere.
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;
SELECT compared('SELECT id FROM many ORDER BY e <-> (SELECT e FROM many WHERE id = 7) LIMIT 1');
RESET enable_seqscan;
RESET enable_sort;

-- Filter columns.
CREATE TYPE tone AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE people (id integer PRIMARY KEY, e vector(3), flag boolean, age integer, price numeric, day date, tone tone, city text, tags text[], ref oid);
INSERT INTO people SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], CASE WHEN i % 3 > 0 THEN i % 3 = 1 END, CASE WHEN i % 10 > 0 THEN i % 8 END,
    CASE WHEN i % 9 > 0 THEN i % 7 * 1.25 END, date '2024-03-28' + i % 12, CASE i % 4 WHEN 1 THEN 'sad' WHEN 2 THEN 'ok' WHEN 3 THEN 'happy' END::tone,
    (ARRAY['Berlin', 'Köln', '', 'berlin', NULL])[i % 5 + 1], CASE WHEN i % 6 > 0 THEN ARRAY['t' || i % 4, 't' || i % 7] END, i % 5
FROM generate_series(1, 40) i;
CREATE INDEX people_e ON people USING castmatch_ivf (e vector_l2_ops, flag, age, price, day, tone, city, tags, ref) WITH (lists = 3);
ANALYZE people;
CREATE FUNCTION sieved(source text, condition text) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    query text := format('SELECT id FROM %s WHERE %s ORDER BY e <-> ''[0.3,0.1,0.2]''', source, condition);
    line text;
    result text := '';
BEGIN
    FOR line IN SELECT plan(query) LOOP
        IF line ~ '(Index Cond|Filter): ' THEN
            result := result || trim(line) || ' ';
        END IF;
    END LOOP;
    RETURN result || compared(query);
END;
$$;
SELECT c AS condition, sieved('people', c) FROM unnest(ARRAY['flag', 'flag IS NULL', 'age = 3', 'age < 3000000000', 'age IN (1, 3, NULL)', 'age IS NOT NULL', 'age = ANY (''{}''::integer[])',
    'price > 3', 'price = 1.25', 'day < timestamp ''2024-04-01 12:00''', 'tone = ''ok''', 'tone < ''happy''', 'city = ''berlin''', 'city IN (''Köln'', '''')', 'city > ''a''', 'tags && ''{t1,t5}''', 'tags @> ''{t1,t2}''', 'tags IS NULL',
    'ref = 4', 'flag AND age > 2 AND tags && ''{t3}''', 'age >= 6 AND age < 6', 'e IS NOT NULL AND age = 5', 'age > 1 AND id % 2 = 0']) c;
UPDATE people SET age = 100 + id WHERE id % 3 = 0;
DELETE FROM people WHERE id % 7 = 0;
SELECT c AS condition, sieved('people', c) FROM unnest(ARRAY['age > 100', 'age <= 100', 'age = 103', 'age IS NULL']) c;
VACUUM people;
SELECT c AS condition, sieved('people', c) FROM unnest(ARRAY['age > 100', 'age <= 100', 'age = 103', 'age IS NULL']) c;
SELECT check_name, detail FROM castmatch.verify_index('people_e') WHERE NOT ok;
REINDEX INDEX people_e;
SELECT sieved('people', 'flag AND age > 100');
-- A query that is NULL obeys the filter too.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), min(age), max(age) FROM (SELECT * FROM people WHERE age = 2 ORDER BY e <-> (SELECT NULL::vector) LIMIT 1000) t;
SELECT k.age, n.count FROM (VALUES (2), (NULL), (4), (1000)) AS k (age), LATERAL (
    SELECT count(*) FROM (SELECT FROM people p WHERE p.age = k.age ORDER BY e <-> '[1,2,3]' LIMIT 10) t) n;
RESET enable_seqscan;
RESET enable_sort;

DROP TABLE points, zilch, extremes, equals, many, people;
DROP TYPE tone;
DROP FUNCTION all_operators, sieved;
DROP PROCEDURE build;
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
RESET max_parallel_workers_per_gather;
