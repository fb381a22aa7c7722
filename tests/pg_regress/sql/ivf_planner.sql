-- When the planner uses a castmatch_ivf index.
SET max_parallel_workers_per_gather = 0;
CREATE TABLE places (id integer PRIMARY KEY, kind integer, e vector(3));
INSERT INTO places SELECT i, i % 200, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 4000) i;
CREATE INDEX places_e ON places USING castmatch_ivf (e vector_l2_ops);
ANALYZE places;

-- The order of the class's operator, whichever side the column stands on.
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places ORDER BY '[1,2,3]' <-> e LIMIT 5$$);
SELECT plan($$SELECT id, e <-> '[1,2,3]' AS distance FROM places ORDER BY distance LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE id <> 1 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SET enable_incremental_sort = off;
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]', id LIMIT 5$$);
RESET enable_incremental_sort;
SELECT plan($$SELECT p.id, n.id FROM (VALUES (1), (2)) AS p (id), LATERAL (
    SELECT q.id FROM places q ORDER BY q.e <-> (SELECT e FROM places o WHERE o.id = p.id) LIMIT 3) n$$);

-- Anything else is not for the index, however much the planner is pushed.
SET enable_seqscan = off;
SET enable_indexonlyscan = off;
SELECT plan($$SELECT e FROM places$$);
SELECT plan($$SELECT count(e) FROM places$$);
SELECT plan($$SELECT e FROM places LIMIT 5$$);
SELECT plan($$SELECT e FROM places WHERE e IS NOT NULL$$);
SELECT plan($$SELECT e FROM places WHERE e <-> '[1,2,3]' < 1$$);
SELECT plan($$SELECT e FROM places ORDER BY e LIMIT 5$$);
SELECT plan($$SELECT e FROM places ORDER BY e <=> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT e FROM places ORDER BY e <+> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT e FROM places ORDER BY e <-> '[1,2,3]' DESC LIMIT 5$$);
SELECT plan($$SELECT p.e FROM places p, places q ORDER BY p.e <-> q.e LIMIT 5$$);
RESET enable_seqscan;
RESET enable_indexonlyscan;

-- A condition that leaves few rows is for an index of its own.
CREATE INDEX places_kind ON places (kind);
ANALYZE places;
SELECT plan($$SELECT id FROM places WHERE id = 7 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE kind < 150 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
DROP INDEX places_kind;

-- With an index of either method one of them is used.
CREATE INDEX places_e_2 ON places USING castmatch_hnsw (e vector_l2_ops);
CREATE FUNCTION index_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN SELECT plan(query) LOOP
        IF line ~ 'Index Scan using' THEN
            RETURN CASE WHEN line ~ 'places_e' THEN 'one of the two' ELSE line END;
        END IF;
    END LOOP;
    RETURN 'none';
END;
$$;
SELECT index_of('SELECT id FROM places ORDER BY e <-> ''[1,2,3]'' LIMIT 5'), index_of('SELECT id FROM places'), index_of('SELECT count(e) FROM places');
-- The graph while it is cached, the lists where pages come from disk: they read fewer.
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SET effective_cache_size = '8kB';
SET enable_seqscan = off;
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
RESET effective_cache_size;
RESET enable_seqscan;
DROP INDEX places_e;
SELECT index_of('SELECT id FROM places ORDER BY e <-> ''[1,2,3]'' LIMIT 5');
DROP INDEX places_e_2;
SELECT index_of('SELECT id FROM places ORDER BY e <-> ''[1,2,3]'' LIMIT 5');
DROP FUNCTION index_of;
-- With a condition on a filter column of both: the lists where few rows pass.
CREATE INDEX places_lists ON places USING castmatch_ivf (e vector_l2_ops, kind);
CREATE INDEX places_graph ON places USING castmatch_hnsw (e vector_l2_ops, kind);
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE kind < 100 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SET enable_seqscan = off;
SELECT plan($$SELECT id FROM places WHERE kind = 7 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
RESET enable_seqscan;
DROP INDEX places_lists, places_graph;

-- Partial: only where the statement's condition implies the predicate.
CREATE INDEX places_e_few ON places USING castmatch_ivf (e vector_l2_ops) WITH (lists = 20) WHERE kind < 150;
SELECT plan($$SELECT id FROM places WHERE kind < 150 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE kind < 100 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE kind < 151 ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT count(*) AS rows, bool_and(kind < 150) AS within FROM (SELECT kind FROM places WHERE kind < 150 ORDER BY e <-> '[1,2,3]' LIMIT 50) t;
DROP INDEX places_e_few;

-- Expressions, also as filter columns: the same expression in the statement.
CREATE INDEX places_half ON places USING castmatch_ivf ((e::halfvec(3)) halfvec_cosine_ops, (kind % 10));
CREATE INDEX places_sub ON places USING castmatch_ivf ((subvector(e, 1, 2)::vector(2)) vector_l2_ops);
ANALYZE places;
SELECT plan($$SELECT id FROM places ORDER BY e::halfvec(3) <=> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places WHERE kind % 10 = 3 ORDER BY e::halfvec(3) <=> '[1,2,3]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places ORDER BY subvector(e, 1, 2)::vector(2) <-> '[1,2]' LIMIT 5$$);
SELECT plan($$SELECT id FROM places ORDER BY e <=> '[1,2,3]' LIMIT 5$$);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), bool_and(kind % 10 = 3) AS kept FROM (SELECT kind FROM places WHERE kind % 10 = 3 ORDER BY e::halfvec(3) <=> '[1,2,3]') t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM places ORDER BY subvector(e, 1, 2)::vector(2) <-> '[1,2]') t;
RESET enable_seqscan;
RESET enable_sort;
-- A column of any width, indexed for one of them.
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;
CREATE TABLE widths (id integer, model integer, e vector);
INSERT INTO widths VALUES (1, 1, '[1,2,3]'), (2, 1, '[4,5,6]'), (3, 2, '[1,2]'), (4, 1, '[1,1,1]');
CREATE INDEX widths_3 ON widths USING castmatch_ivf ((e::vector(3)) vector_l2_ops) WHERE model = 1;
INSERT INTO widths VALUES (5, 1, '[3,1,2]'), (6, 2, '[3,1]');
SELECT compared('SELECT id FROM widths WHERE model = 1 ORDER BY e::vector(3) <-> ''[3,1,2]'' LIMIT 5');
INSERT INTO widths VALUES (7, 1, '[3,1]');

-- Partitioned: an index for each partition, merged.
CREATE TABLE parts (id integer, region integer, e vector(3)) PARTITION BY LIST (region);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
CREATE INDEX parts_e ON parts USING castmatch_ivf (e vector_l2_ops) WITH (lists = 2);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES IN (3);
INSERT INTO parts SELECT i, i % 3 + 1, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)] FROM generate_series(1, 36) i;
SELECT tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'parts%' ORDER BY tablename;
SET enable_seqscan = off;
SELECT plan($$SELECT id FROM parts ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
RESET enable_seqscan;
SELECT compared('SELECT id FROM parts ORDER BY e <-> ''[1,2,3]'' LIMIT 20');
SELECT compared('SELECT id FROM parts WHERE region = 2 ORDER BY e <-> ''[1,2,3]''');

-- An empty table, analyzed or not.
CREATE TABLE empty (id integer, e vector(3));
CREATE INDEX empty_e ON empty USING castmatch_ivf (e vector_l2_ops);
SET enable_seqscan = off;
SELECT plan($$SELECT id FROM empty ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT id FROM empty ORDER BY e <-> '[1,2,3]' LIMIT 5;
ANALYZE empty;
VACUUM empty;
SELECT plan($$SELECT id FROM empty ORDER BY e <-> '[1,2,3]' LIMIT 5$$);
SELECT id FROM empty ORDER BY e <-> '[1,2,3]' LIMIT 5;
RESET enable_seqscan;
DROP TABLE places, widths, parts, empty;
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
RESET max_parallel_workers_per_gather;
