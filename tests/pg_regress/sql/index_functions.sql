-- verify_index, prewarm and index_info: on indexes of castmatch, on others, and who may call them.
CREATE ROLE regress_index_owner;
CREATE ROLE regress_index_reader;
CREATE ROLE regress_index_monitor IN ROLE pg_monitor;
CREATE SCHEMA watched AUTHORIZATION regress_index_owner;
GRANT USAGE ON SCHEMA watched TO PUBLIC;
SET ROLE regress_index_owner;
CREATE TABLE watched.items (id integer PRIMARY KEY, e vector(8));
INSERT INTO watched.items SELECT i, array_agg(sin(i * j)) FROM generate_series(1, 500) i, generate_series(1, 8) j GROUP BY i;
INSERT INTO watched.items VALUES (501, NULL);
CREATE INDEX items_e ON watched.items USING castmatch_hnsw (e vector_cosine_ops) WITH (m = 8, ef_construction = 40);
GRANT SELECT ON watched.items TO regress_index_reader;

-- A sound index passes every check.
SELECT bool_and(ok) AS sound, count(*) > 0 AS checked, count(DISTINCT check_name) = count(*) AS "once each", bool_and(check_name <> '') AS named
FROM castmatch.verify_index('watched.items_e');
SELECT rows, bytes = pg_relation_size('watched.items_e') AS bytes, round(bytes_per_row) = round(bytes / 500.0) AS bytes_per_row,
    mean_degree BETWEEN 4 AND 16 AS mean_degree, (SELECT sum(n) FROM unnest(level_rows) n) AS of_levels, level_rows[1] > level_rows[2] AS pyramid,
    dead_share, free_share BETWEEN 0 AND 1 AS free_share
FROM castmatch.index_info('watched.items_e');
SELECT key, value FROM castmatch.index_info('watched.items_e'), jsonb_each(settings) ORDER BY key;
SELECT castmatch.prewarm('watched.items_e') = pg_relation_size('watched.items_e') / current_setting('block_size')::integer AS all_pages;

-- After changes.
DELETE FROM watched.items WHERE id % 4 = 0;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');
RESET ROLE;
VACUUM watched.items;
SET ROLE regress_index_owner;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');
SELECT rows, dead_share, free_share > 0 AS free FROM castmatch.index_info('watched.items_e');
INSERT INTO watched.items SELECT i, array_agg(cos(i * j)) FROM generate_series(601, 700) i, generate_series(1, 8) j GROUP BY i;
UPDATE watched.items SET e = e + e WHERE id < 50;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');
REINDEX INDEX watched.items_e;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');
TRUNCATE watched.items;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');
SELECT rows, bytes = pg_relation_size('watched.items_e') AS bytes, bytes_per_row, mean_degree, level_rows, dead_share, free_share FROM castmatch.index_info('watched.items_e');
SELECT castmatch.prewarm('watched.items_e') > 0 AS some_pages;

-- Every kind of index: unlogged, temporary, partial, of an expression.
CREATE UNLOGGED TABLE watched.unlogged (e halfvec(2));
INSERT INTO watched.unlogged VALUES ('[1,2]'), (NULL), ('[2,3]');
CREATE INDEX unlogged_e ON watched.unlogged USING castmatch_hnsw (e halfvec_l2_ops);
CREATE INDEX partial_e ON watched.unlogged USING castmatch_hnsw ((e::vector(2)) vector_l1_ops) WHERE e IS NOT NULL;
CREATE TEMP TABLE temporary (e vector(2));
INSERT INTO temporary VALUES ('[1,2]'), (NULL), ('[2,3]');
CREATE INDEX temporary_e ON temporary USING castmatch_hnsw (e vector_ip_ops);
SELECT i AS index, rows, (SELECT bool_and(ok) FROM castmatch.verify_index(i)) AS sound, castmatch.prewarm(i) > 0 AS pages
FROM unnest(ARRAY['watched.unlogged_e', 'watched.partial_e', 'temporary_e']::regclass[]) i, castmatch.index_info(i);

-- NULL, and what is no such index.
SELECT castmatch.prewarm(NULL), (SELECT count(*) FROM castmatch.verify_index(NULL)) AS verified, (SELECT count(*) FROM castmatch.index_info(NULL)) AS informed;
CREATE TABLE watched.parts (id integer, e vector(2)) PARTITION BY LIST (id);
CREATE INDEX parts_e ON watched.parts USING castmatch_hnsw (e vector_l2_ops);
CREATE VIEW watched.view AS SELECT 1;
\t on
\pset format unaligned
SELECT i, failure(format('SELECT castmatch.%s(%L)', f, i)) FROM unnest(ARRAY['verify_index', 'prewarm', 'index_info']) WITH ORDINALITY AS functions (f, number),
    unnest(ARRAY['watched.items', 'watched.items_pkey', 'watched.parts_e', 'watched.view', 'watched.no_such_index', '4294967295']) WITH ORDINALITY AS indexes (i, place)
ORDER BY number, place;
RESET ROLE;
SELECT failure(format('SELECT castmatch.%s(%L)', f, i)) FROM unnest(ARRAY['verify_index', 'prewarm', 'index_info']) f, unnest(ARRAY['pg_class', 'pg_class_oid_index', 'pg_toast.pg_toast_1255']) i;

-- The owner, members of pg_monitor and superusers; nobody else, though he may read the table.
SET ROLE regress_index_reader;
SELECT failure(format('SELECT castmatch.%s(%L)', f, 'watched.items_e')) FROM unnest(ARRAY['verify_index', 'prewarm', 'index_info']) f;
SET ROLE regress_index_monitor;
SELECT failure(format('SELECT castmatch.%s(%L)', f, 'watched.items_e')) FROM unnest(ARRAY['verify_index', 'prewarm', 'index_info']) f;
RESET ROLE;
SELECT failure(format('SELECT castmatch.%s(%L)', f, 'watched.items_e')) FROM unnest(ARRAY['verify_index', 'prewarm', 'index_info']) f;
\t off
\pset format aligned

-- An index that is not valid is checked all the same.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'watched.items_e'::regclass;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.items_e');

-- What an index computes is computed as its owner, whoever has it verified, and leaves no settings behind.
CREATE FUNCTION watched.spy(e vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
    RAISE NOTICE 'as %', current_user;
    PERFORM set_config('castmatch.ef_search', '7', false);
    RETURN e;
END$$;
CREATE TABLE watched.spied (e vector(3));
INSERT INTO watched.spied VALUES ('[1,2,3]');
SET client_min_messages = warning;
CREATE INDEX spied_e ON watched.spied USING castmatch_hnsw ((watched.spy(e)::vector(3)) vector_l2_ops);
RESET client_min_messages;
ALTER TABLE watched.spied OWNER TO regress_index_owner;
SELECT bool_and(ok) AS sound FROM castmatch.verify_index('watched.spied_e');
SHOW castmatch.ef_search;

SET client_min_messages = warning;
DROP SCHEMA watched CASCADE;
RESET client_min_messages;
DROP TABLE temporary;
DROP ROLE regress_index_owner, regress_index_reader, regress_index_monitor;
