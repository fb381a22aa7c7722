-- Filter columns: the key columns of an index after its vector. Which conditions reach the index, and that its rows are those of the table.
SET max_parallel_workers_per_gather = 0;
SET datestyle = 'ISO, DMY';
SET timezone = 'Europe/Berlin';
-- Every search is exact: it keeps more candidates than there are rows.
SET castmatch.ef_search = 1000;

-- The part of the plan that says who tests a condition, and whether the index and the table give the same rows.
CREATE FUNCTION tested(source text, condition text) RETURNS text LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_sort = off AS $$
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

-- Numbers. Three in ten rows have a NULL somewhere.
CREATE TABLE numbers (id integer PRIMARY KEY, e vector(3), flag boolean, small smallint, age integer, big bigint, ratio real, score double precision,
    price numeric, ref oid);
INSERT INTO numbers SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], CASE WHEN i % 3 > 0 THEN i % 3 = 1 END, CASE WHEN i % 7 > 0 THEN i % 50 - 25 END,
    CASE WHEN i % 10 > 0 THEN i % 80 END, CASE WHEN i % 11 > 0 THEN (i % 40 - 20) * 200000000::bigint END, CASE WHEN i % 5 > 0 THEN i % 20 / 8.0 - 1 END,
    CASE i % 30 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' WHEN 4 THEN '-0' WHEN 5 THEN 0 ELSE i % 30 / 10.0 - 1 END,
    CASE i % 20 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' WHEN 4 THEN 1e400 WHEN 5 THEN 0.1 WHEN 6 THEN 0.10000000000000000000001
        ELSE (i % 20) * 1.25 END,
    CASE WHEN i % 9 > 0 THEN (4294967290 + i % 6)::bigint END
FROM generate_series(1, 600) i;
CREATE INDEX numbers_e ON numbers USING castmatch_hnsw (e vector_l2_ops, flag, small, age, big, ratio, score, price, ref);
ANALYZE numbers;
SELECT c AS condition, tested('numbers', c) FROM unnest(ARRAY[
    'flag', 'NOT flag', 'flag IS NULL', 'flag IS NOT NULL', 'flag IS TRUE', 'flag IS NOT TRUE', 'flag < true', 'flag >= true', 'flag = ANY (''{t,f,NULL}'')',
    'small = 5', 'small < 5', 'small <= 5', 'small >= 5', 'small > 5', '5 > small', 'small <> 5', 'small = 5::bigint', 'small < 40000', 'small > 40000', 'small >= -3000000000',
    'small BETWEEN -2 AND 3',
    'age = 38', 'age < 38', 'age <= 38', 'age >= 38', 'age > 38', 'age = 38::smallint', 'age < 3000000000', 'age = 3000000000', 'age IN (1, 3, 38)', 'age IN (1, NULL)',
    'age = ANY (''{}''::integer[])', 'age = ANY (NULL::integer[])', 'age = ANY (''{NULL}''::integer[])', 'age = ANY (''{5,3000000000}''::bigint[])', 'age < ANY (''{3,9,NULL}'')',
    'age >= ANY (''{70,60}'')', 'age = ALL (''{38}'')', 'age <> ALL (''{38}'')', 'age NOT IN (1, 2)', 'age IS NULL', 'age IS NOT NULL', 'age >= 38 AND age < 40',
    'age = 3 OR small = 4', 'age + 1 = 4', 'age >= 38.5', 'age = (SELECT 38)', 'age = (SELECT NULL::integer)',
    'big = 200000000', 'big < -3000000000', 'big >= 3600000000', 'big = 1::smallint', 'big <= 0::smallint',
    'ratio = 0.5', 'ratio < 0.25', 'ratio <= 0.25::real', 'ratio > 0.1', 'ratio = ''NaN''', 'ratio > ''-Infinity''',
    'score = ''NaN''', 'score > ''Infinity''', 'score < ''NaN''', 'score >= ''NaN''', 'score = 0', 'score < 0', 'score = ''-0''', 'score <= ''-Infinity''', 'score < ''-Infinity''', 'score > 1.5::real',
    'score IN (0, ''NaN'')',
    'price = 0.1', 'price < 0.1', 'price <= 0.1', 'price >= 0.1', 'price > 0.1', 'price = 0.10000000000000000000001', 'price > 0.100000000000000000000001', 'price = ''NaN''',
    'price > ''Infinity''', 'price = ''Infinity''', 'price < ''Infinity''', 'price > (SELECT 1e399)', 'price = (SELECT 1e400)', 'price < (SELECT 1e-400)', 'price IN (1.25, 0.1)', 'price = 5',
    'ref = 4294967294', 'ref > 4294967293', 'ref < 4294967292',
    'flag AND age > 20 AND small < 0', 'age IS NULL AND flag IS NULL', 'age > 10 AND id % 2 = 0 AND price > 3', 'age >= 6 AND age < 6',
    'e IS NOT NULL AND age = 5', 'e IS NOT NULL']) c;

-- Times, and what only = is for.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE times (id integer PRIMARY KEY, e vector(3), day date, at timestamp, moment timestamptz, mood mood, code uuid, city text COLLATE "C", name varchar(20), abbr char(6));
INSERT INTO times SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)],
    CASE i % 12 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '5874897-12-31' WHEN 4 THEN '4713-01-01 BC' ELSE date '2024-03-28' + i % 12 END,
    CASE i % 12 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE timestamp '2024-03-28' + i % 24 * interval '6 hours' END,
    CASE i % 12 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE timestamptz '2024-03-28 00:00+00' + i % 24 * interval '6 hours' END,
    CASE i % 4 WHEN 1 THEN 'sad' WHEN 2 THEN 'ok' WHEN 3 THEN 'happy' END::mood,
    CASE WHEN i % 6 > 0 THEN ('00000000-0000-0000-000' || i % 2 || '-00000000000' || i % 6)::uuid END,
    (ARRAY['Berlin', 'Köln', '', 'berlin', NULL])[i % 5 + 1], (ARRAY['a', 'a ', 'b', NULL])[i % 4 + 1], (ARRAY['a', 'a  ', 'b', 'äöü', NULL])[i % 5 + 1]
FROM generate_series(1, 600) i;
CREATE INDEX times_e ON times USING castmatch_hnsw (e vector_l2_ops, day, at, moment, mood, code, city, name, abbr);
ANALYZE times;
SELECT c AS condition, tested('times', c) FROM unnest(ARRAY[
    'day = ''2024-04-01''', 'day < ''2024-04-01''', 'day <= ''2024-04-01''', 'day >= ''2024-04-01''', 'day > ''2024-04-01''', 'day = ''infinity''', 'day < ''infinity''', 'day > ''-infinity''',
    'day < timestamp ''2024-04-01 00:00''', 'day < timestamp ''2024-04-01 00:01''', 'day <= timestamp ''2024-04-01 00:01''', 'day = timestamp ''2024-04-01 00:00''',
    'day = timestamp ''2024-04-01 12:00''', 'day >= timestamp ''2024-04-01 00:00''', 'day >= timestamp ''2024-04-01 00:01''', 'day > timestamp ''2024-04-01 00:00''', 'day > timestamp ''2024-04-01 00:01''',
    'day = timestamp ''infinity''', 'day >= timestamp ''infinity''', 'day > timestamp ''294276-12-31''', 'day <= timestamp ''-infinity''', 'day < timestamp ''4713-01-01 00:01 BC''',
    'day > timestamptz ''2024-04-01 00:00+00''', 'day = ANY (''{2024-04-01,NULL,infinity}'')',
    'at = ''2024-03-31 06:00''', 'at < ''2024-03-31 06:00''', 'at <= ''2024-03-31 06:00''', 'at >= ''2024-03-31 06:00''', 'at > ''2024-03-31 06:00''', 'at = ''infinity''', 'at > ''-infinity''',
    'at = date ''2024-03-31''', 'at < date ''2024-03-31''', 'at > date ''5874897-12-31''', 'at < date ''5874897-12-31''', 'at = date ''infinity''', 'at > date ''-infinity''', 'at > timestamptz ''2024-04-01 00:00+00''',
    'moment = ''2024-03-31 06:00+00''', 'moment < ''2024-03-31 06:00+00''', 'moment >= ''infinity''', 'moment = timestamp ''2024-03-31 08:00''', 'moment = timestamp ''2024-03-30 07:00''', 'moment > timestamp ''infinity''',
    'moment >= timestamp ''infinity''', 'moment < timestamp ''4713-01-01 00:00 BC''', 'moment < date ''2024-03-31''', 'moment >= date ''2024-04-01''', 'moment < date ''5874897-12-31''', 'moment > date ''-infinity''',
    'mood = ''sad''', 'mood IN (''sad'', ''happy'')', 'mood < ''happy''', 'mood IS NULL', 'mood <> ''ok''',
    'code = ''00000000-0000-0000-0001-000000000003''', 'code < ''00000000-0000-0000-0001-000000000003''', 'code >= ''00000000-0000-0000-0001-000000000003''', 'code > ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
    'code IN (''00000000-0000-0000-0001-000000000003'', ''00000000-0000-0000-0000-000000000002'')',
    'city = ''Berlin''', 'city = ''Köln''', 'city = ''''', 'city IN (''Berlin'', ''berlin'', NULL)', 'city < ''K''', 'city LIKE ''Ber%''', 'city = ''Berlin'' COLLATE "default"', 'city IS NULL', 'city = ''Bonn''',
    'name = ''a''', 'name = ''a ''', 'name IN (''a'', ''b'')', 'name = ''a''::varchar',
    'abbr = ''a''', 'abbr = ''a    ''', 'abbr = ''äöü''', 'abbr IN (''a'', ''b'')', 'abbr = ''a''::text']) c;

-- Arrays.
CREATE TABLE lists (id integer PRIMARY KEY, e vector(3), shorts smallint[], ints integer[], longs bigint[], tags text[]);
INSERT INTO lists SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)],
    CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY[i % 7, i % 3, NULL] END,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' WHEN 2 THEN ARRAY[ARRAY[i % 7, i % 11], ARRAY[i % 13, i % 17]] ELSE ARRAY[i % 7, i % 23] END,
    CASE i % 6 WHEN 0 THEN NULL ELSE ARRAY[i % 6 * 3000000000] END, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '{NULL}' ELSE ARRAY['de', 'tag ' || i % 7, 'x' || i % 29] END
FROM generate_series(1, 600) i;
CREATE INDEX lists_e ON lists USING castmatch_hnsw (e vector_l2_ops, shorts, ints, longs, tags);
ANALYZE lists;
SELECT c AS condition, tested('lists', c) FROM unnest(ARRAY[
    'shorts && ''{5}''', 'shorts && ''{1,2}''', 'shorts @> ''{5}''', 'shorts @> ''{}''', 'shorts && ''{}''', 'shorts IS NULL',
    'ints && ''{5}''', 'ints && ''{5,6,NULL}''', 'ints && ''{NULL}''', 'ints @> ''{5,6}''', 'ints @> ''{5,NULL}''', 'ints @> ''{}''', 'ints && ''{}''', 'ints <@ ''{1,2,3}''', 'ints = ''{1,2}''',
    'ints && ''{{5,6},{7,8}}''', 'NOT ints && ''{5}''', '5 = ANY (ints)',
    'longs && ''{3000000000}''', 'longs @> ''{3000000000,6000000000}''',
    'tags && ''{tag 3,x5}''', 'tags @> ''{de}''', 'tags @> ''{de,tag 3}''', 'tags @> ARRAY[lower(''DE'')]', 'ints && ''{5}'' AND tags @> ''{de}''',
    'ints && (SELECT ''{5}''::integer[])', 'ints @> (SELECT NULL::integer[])']) c;

-- Values that change, and come and go; a value of a key column alone is a new entry of the index.
BEGIN;
UPDATE numbers SET age = 1000 + id WHERE id % 3 = 0;
SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_xact_user_tables WHERE relname = 'numbers';
COMMIT;
UPDATE numbers SET age = NULL WHERE id % 31 = 0;
DELETE FROM numbers WHERE id % 17 = 0;
SELECT c AS condition, tested('numbers', c) FROM unnest(ARRAY['age > 1000', 'age <= 1000', 'age IS NULL', 'age = 1003', 'flag AND age > 1100']) c;
VACUUM numbers;
SELECT c AS condition, tested('numbers', c) FROM unnest(ARRAY['age > 1000', 'age <= 1000', 'age IS NULL', 'age = 1003', 'flag AND age > 1100']) c;
SELECT * FROM castmatch.verify_index('numbers_e') WHERE NOT ok;
REINDEX INDEX CONCURRENTLY numbers_e;
SELECT tested('numbers', 'flag AND age > 1100');
SELECT * FROM castmatch.verify_index('times_e') WHERE NOT ok;
SELECT * FROM castmatch.verify_index('lists_e') WHERE NOT ok;
SELECT jsonb_pretty(settings -> 'filter_columns') AS filter_columns FROM castmatch.index_info('lists_e');

-- A query that is NULL, and vectors without a rank, obey the filter too.
CREATE TABLE zeros (id integer PRIMARY KEY, e vector(2), kind integer);
INSERT INTO zeros SELECT i, CASE WHEN i % 4 = 0 THEN '[0,0]' WHEN i % 4 = 1 THEN NULL ELSE format('[%s,1]', i) END::vector, i % 10 FROM generate_series(1, 200) i;
CREATE INDEX zeros_e ON zeros USING castmatch_hnsw (e vector_cosine_ops, kind);
ANALYZE zeros;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), count(DISTINCT id) AS ids, min(kind), max(kind) FROM (SELECT * FROM zeros WHERE kind = 2 ORDER BY e <=> NULL LIMIT 1000) t;
SELECT count(*), count(DISTINCT id) AS ids, min(kind), max(kind) FROM (SELECT * FROM zeros WHERE kind = 2 ORDER BY e <=> '[0,0]' LIMIT 1000) t;
SELECT count(*), count(DISTINCT id) AS ids, min(kind), max(kind) FROM (SELECT * FROM zeros WHERE kind = 2 ORDER BY e <=> '[1,2]' LIMIT 1000) t;
-- A nested loop asks again with other values; a NULL among them gives no row.
SELECT k.kind, n.count, n.kinds FROM (VALUES (2), (NULL), (6), (11)) AS k (kind), LATERAL (
    SELECT count(*), array_agg(DISTINCT kind) AS kinds FROM (SELECT kind FROM zeros z WHERE z.kind = k.kind ORDER BY e <=> '[1,2]' LIMIT 10) t) n;
PREPARE of_kind AS SELECT count(*), min(kind), max(kind) FROM (SELECT kind FROM zeros WHERE kind = ANY ($1) ORDER BY e <=> '[1,2]' LIMIT 50) t;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE of_kind('{2,3}')$$);
EXECUTE of_kind('{2,3}');
EXECUTE of_kind('{}');
EXECUTE of_kind(NULL);
EXECUTE of_kind('{NULL,7}');
RESET plan_cache_mode;
-- IS NULL on the vector is nothing that the index knows of.
SELECT plan($$SELECT id FROM zeros WHERE e IS NULL ORDER BY e <=> '[1,2]' LIMIT 5$$);
SELECT count(*) FROM (SELECT id FROM zeros WHERE e IS NULL ORDER BY e <=> '[1,2]' LIMIT 100) t;
-- Nor is a filter without an order.
SELECT plan($$SELECT id FROM zeros WHERE kind = 2$$);
SELECT plan($$SELECT id FROM zeros WHERE kind = 2 ORDER BY e <-> '[1,2]' LIMIT 5$$);
RESET enable_seqscan;
RESET enable_sort;

-- Partial, and of expressions.
CREATE INDEX numbers_part ON numbers USING castmatch_hnsw ((e::halfvec(3)) halfvec_l2_ops, (age % 10), (upper(ref::text))) WHERE small > 0;
ANALYZE numbers;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT plan($$SELECT id FROM numbers WHERE small > 0 AND age % 10 = 3 ORDER BY e::halfvec(3) <-> '[1,2,3]' LIMIT 5$$);
RESET enable_seqscan;
RESET enable_sort;
SELECT compared('SELECT id FROM numbers WHERE small > 0 AND age % 10 = 3 ORDER BY e::halfvec(3) <-> ''[1,2,3]''');
SELECT compared('SELECT id FROM numbers WHERE small > 0 AND upper(ref::text) IN (''4294967291'', ''X'') ORDER BY e::halfvec(3) <-> ''[1,2,3]''');
SELECT * FROM castmatch.verify_index('numbers_part') WHERE NOT ok;

-- Which plan: the graph with its filter, a btree and a sort where few rows are left.
CREATE TABLE much (id integer PRIMARY KEY, e vector(3), half integer, tenth integer, rare integer);
INSERT INTO much SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], i % 2, i % 10, i / 5 FROM generate_series(1, 20000) i;
CREATE INDEX much_e ON much USING castmatch_hnsw (e vector_l2_ops, half, tenth, rare);
CREATE INDEX much_half ON much (half);
CREATE INDEX much_tenth ON much (tenth);
CREATE INDEX much_rare ON much (rare);
VACUUM ANALYZE much;
RESET castmatch.ef_search;
SELECT plan($$SELECT id FROM much WHERE half = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10$$);
SELECT plan($$SELECT id FROM much WHERE tenth = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10$$);
SELECT plan($$SELECT id FROM much WHERE rare = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10$$);
SELECT plan($$SELECT id FROM much WHERE tenth = 1 AND half = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10$$);

-- Row security: a condition of a policy is one of the index, if its operator is leakproof as those of a btree are.
CREATE ROLE regress_filter_reader;
GRANT SELECT ON much TO regress_filter_reader;
ALTER TABLE much ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON much USING (tenth = 3);
SET ROLE regress_filter_reader;
SELECT plan($$SELECT id FROM much ORDER BY e <-> '[1,2,3]' LIMIT 10$$);
SELECT plan($$SELECT id FROM much WHERE half = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10$$);
SELECT count(*), min(tenth), max(tenth) FROM (SELECT tenth FROM much WHERE half = 1 ORDER BY e <-> '[1,2,3]' LIMIT 10) t;
SELECT count(*) FROM (SELECT tenth FROM much WHERE half = 0 ORDER BY e <-> '[1,2,3]' LIMIT 10) t;
RESET ROLE;
DROP TABLE much;
DROP ROLE regress_filter_reader;

-- Refused.
\t on
\pset format unaligned
CREATE TABLE refused (e vector(3), f vector(3), h halfvec(3), a integer, b integer, j jsonb, u uuid[]);
SELECT failure(s) FROM unnest(ARRAY[
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops) INCLUDE (a)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, b) INCLUDE (a)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, a, b, a, b, a, b, a, b, a)',
    'CREATE INDEX ON refused USING castmatch_hnsw (a, e vector_l2_ops)',
    'CREATE INDEX ON refused USING castmatch_hnsw (a)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, f vector_l2_ops)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, h halfvec_l2_ops)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, j)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, u)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, a DESC)',
    'CREATE UNLOGGED TABLE refused_unlogged (e vector(3), a integer); CREATE INDEX ON refused_unlogged USING castmatch_hnsw (e vector_l2_ops) INCLUDE (a)',
    'CREATE UNIQUE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, a)',
    'ALTER TABLE refused ADD EXCLUDE USING castmatch_hnsw (a WITH =)']) s;
\t off
\pset format aligned
DROP TABLE refused;
