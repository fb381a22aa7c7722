-- What may happen to an indexed table: temporary and unlogged ones, rewrites, storage, tablespaces, and how an index is written down. Tables of
-- up to 40 rows are read exactly.
CREATE FUNCTION points(count integer) RETURNS TABLE (id integer, e vector) LANGUAGE sql AS $$
    SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]::vector FROM generate_series(1, count) i
$$;
CREATE FUNCTION faults(index regclass) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(check_name || ': ' || detail, '; ') FILTER (WHERE NOT ok), 'none') FROM castmatch.verify_index(index)
$$;

-- Temporary: emptied at commit, dropped at commit, kept.
BEGIN;
CREATE TEMP TABLE emptied (id integer, e vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX emptied_e ON emptied USING castmatch_hnsw (e vector_l2_ops);
INSERT INTO emptied SELECT * FROM points(30);
SELECT compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e');
COMMIT;
SELECT count(*), compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e') FROM emptied;
BEGIN;
INSERT INTO emptied SELECT * FROM points(20);
SELECT count(*), compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e') FROM emptied;
COMMIT;
SELECT count(*), compared('SELECT id FROM emptied ORDER BY e <-> ''[1,2,3]'''), faults('emptied_e') FROM emptied;
BEGIN;
CREATE TEMP TABLE dropped (id integer, e vector(3)) ON COMMIT DROP;
INSERT INTO dropped SELECT * FROM points(30);
CREATE INDEX dropped_e ON dropped USING castmatch_hnsw (e vector_l2_ops);
SELECT compared('SELECT id FROM dropped ORDER BY e <-> ''[1,2,3]''');
COMMIT;
SELECT to_regclass('dropped'), to_regclass('dropped_e');
CREATE TEMP TABLE kept (id integer, e vector(3));
CREATE INDEX kept_e ON kept USING castmatch_hnsw (e vector_cosine_ops) WITH (m = 4);
INSERT INTO kept SELECT * FROM points(2000);
DELETE FROM kept WHERE id > 30;
VACUUM kept;
INSERT INTO kept SELECT id + 30, e + '[0.1,0.1,0.1]' FROM points(10);
SELECT compared('SELECT id FROM kept ORDER BY e <=> ''[1,2,3]'''), faults('kept_e');
REINDEX INDEX kept_e;
SELECT compared('SELECT id FROM kept ORDER BY e <=> ''[1,2,3]'''), faults('kept_e');
BEGIN;
TRUNCATE kept;
INSERT INTO kept SELECT * FROM points(5);
ROLLBACK;
SELECT count(*), compared('SELECT id FROM kept ORDER BY e <=> ''[1,2,3]'''), faults('kept_e') FROM kept;
DISCARD TEMP;
SELECT to_regclass('kept_e');

-- Unlogged and logged again.
CREATE UNLOGGED TABLE changing (id integer PRIMARY KEY, e vector(3));
CREATE INDEX changing_e ON changing USING castmatch_hnsw (e vector_l2_ops);
INSERT INTO changing SELECT * FROM points(30);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing SET LOGGED;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
INSERT INTO changing SELECT id + 30, e + '[0.1,0.1,0.1]' FROM points(5);
ALTER TABLE changing SET UNLOGGED;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing SET LOGGED;

-- Rewritten: in the order of another index, packed, with another type of the column.
CLUSTER changing USING changing_pkey;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
VACUUM FULL changing;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing ADD COLUMN added integer NOT NULL DEFAULT (random() * 0)::integer;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing ALTER COLUMN id TYPE bigint;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2,3]'''), faults('changing_e');
ALTER TABLE changing ALTER COLUMN e TYPE vector(2) USING subvector(e, 1, 2);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
\t on
\pset format unaligned
SELECT failure('ALTER TABLE changing ALTER COLUMN e TYPE halfvec(2)');
SELECT failure('ALTER TABLE changing ALTER COLUMN e TYPE real[]');
\t off
\pset format aligned
INSERT INTO changing VALUES (100, '[3,4]', 0);
-- Without its width a column takes any vector, and the index, which the server keeps, only those of the old one.
BEGIN;
ALTER TABLE changing ALTER COLUMN e TYPE vector;
INSERT INTO changing VALUES (101, '[4,5]', 0);
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
INSERT INTO changing VALUES (102, '[4,5,6]', 0);
ROLLBACK;
SELECT compared('SELECT id FROM changing ORDER BY e <-> ''[1,2]'''), faults('changing_e');
ALTER TABLE changing RENAME COLUMN e TO embedding;
ALTER INDEX changing_e RENAME TO changing_embedding;
SELECT compared('SELECT id FROM changing ORDER BY embedding <-> ''[1,2]'''), faults('changing_embedding');
ALTER TABLE changing DROP COLUMN embedding;
SELECT to_regclass('changing_embedding');

-- Every kind of storage, with vectors that do and do not stay in their row.
CREATE TABLE stored (id integer, e vector(600));
CREATE INDEX stored_e ON stored USING castmatch_hnsw (e vector_l2_ops);
CREATE FUNCTION long_points(first integer, last integer) RETURNS TABLE (id integer, e vector) LANGUAGE sql AS $$
    SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 600) j)::vector FROM generate_series(first, last) i
$$;
INSERT INTO stored SELECT * FROM long_points(1, 6);
ALTER TABLE stored ALTER COLUMN e SET STORAGE PLAIN;
INSERT INTO stored SELECT * FROM long_points(7, 12);
ALTER TABLE stored ALTER COLUMN e SET STORAGE EXTERNAL;
INSERT INTO stored SELECT * FROM long_points(13, 18);
ALTER TABLE stored ALTER COLUMN e SET STORAGE EXTENDED;
INSERT INTO stored SELECT * FROM long_points(19, 24);
-- Compressed where that is worth it.
INSERT INTO stored SELECT i, array_fill(i::real, ARRAY[600])::vector FROM generate_series(25, 30) i;
ALTER TABLE stored ALTER COLUMN e SET STORAGE MAIN;
INSERT INTO stored SELECT * FROM long_points(31, 36);
SELECT pg_column_size(e) < 1000 AS compressed, pg_relation_size(reltoastrelid) > 0 AS toasted, count(*) FROM stored, pg_class
WHERE oid = 'stored'::regclass GROUP BY 1, 2 ORDER BY 1;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
UPDATE stored SET id = id + 100 WHERE id % 5 = 0;
UPDATE stored SET e = e + e WHERE id % 7 = 0;
DELETE FROM stored WHERE id % 6 = 0;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
VACUUM stored;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
REINDEX INDEX stored_e;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
VACUUM FULL stored;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');

-- Moved to a tablespace and back. The server makes one inside its data directory where the setting says so.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_index_space LOCATION '';
ALTER INDEX stored_e SET TABLESPACE regress_index_space;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
INSERT INTO stored SELECT * FROM long_points(201, 203);
ALTER TABLE stored SET TABLESPACE regress_index_space;
REINDEX (TABLESPACE pg_default) INDEX stored_e;
SELECT compared('SELECT id FROM stored ORDER BY e <-> (SELECT e FROM long_points(50, 50))'), faults('stored_e');
CREATE INDEX stored_e_2 ON stored USING castmatch_hnsw (e vector_l1_ops) TABLESPACE regress_index_space;
SELECT compared('SELECT id FROM stored ORDER BY e <+> (SELECT e FROM long_points(50, 50))'), faults('stored_e_2');
DROP TABLE stored;
DROP TABLESPACE regress_index_space;

-- Inherited: each child has its own.
CREATE TABLE parent (id integer, e vector(3));
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT * FROM points(10);
INSERT INTO child SELECT id + 10, e + '[0.1,0,0]' FROM points(10);
CREATE INDEX parent_e ON parent USING castmatch_hnsw (e vector_l2_ops);
CREATE INDEX child_e ON child USING castmatch_hnsw (e vector_l2_ops);
SELECT compared('SELECT id FROM parent ORDER BY e <-> ''[1,2,3]''');

-- An attached partition brings or gets its index.
CREATE TABLE whole (id integer, e vector(3)) PARTITION BY RANGE (id);
CREATE INDEX whole_e ON whole USING castmatch_hnsw (e vector_l2_ops);
ALTER TABLE child NO INHERIT parent;
ALTER TABLE whole ATTACH PARTITION child FOR VALUES FROM (0) TO (100);
SELECT inhrelid::regclass AS index, inhparent::regclass AS of FROM pg_inherits WHERE inhparent = 'whole_e'::regclass;
CREATE TABLE part (id integer, e vector(3));
INSERT INTO part SELECT id + 100, e FROM points(10);
ALTER TABLE whole ATTACH PARTITION part FOR VALUES FROM (100) TO (200);
SELECT compared('SELECT id FROM whole ORDER BY e <-> ''[1,2,3]''');
ALTER TABLE whole DETACH PARTITION part;
SELECT compared('SELECT id FROM part ORDER BY e <-> ''[1,2,3]''');

-- Written down as it was made, and made again from that.
CREATE INDEX defined ON parent USING castmatch_hnsw (e vector_cosine_ops) WITH (m = 24, ef_construction = '100', code_bits = 8) WHERE id > 3;
CREATE INDEX defined_2 ON parent USING castmatch_hnsw (((e)::halfvec(3)) halfvec_l1_ops);
SELECT indexdef FROM pg_indexes WHERE tablename = 'parent' ORDER BY indexname;
DO $$
DECLARE
    definitions text[] := (SELECT array_agg(indexdef ORDER BY indexname) FROM pg_indexes WHERE tablename = 'parent');
BEGIN
    DROP INDEX parent_e, defined, defined_2;
    FOR i IN 1..3 LOOP
        EXECUTE definitions[i];
    END LOOP;
    RAISE NOTICE 'the same: %', definitions = (SELECT array_agg(indexdef ORDER BY indexname) FROM pg_indexes WHERE tablename = 'parent');
END;
$$;
CREATE TABLE liked (LIKE parent INCLUDING INDEXES);
SELECT indexdef FROM pg_indexes WHERE tablename = 'liked' ORDER BY indexname COLLATE "C";
\d parent

DROP TABLE parent, whole, part, liked, changing;
DROP FUNCTION points, faults, long_points;
