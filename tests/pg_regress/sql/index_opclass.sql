-- The eight operator classes, and values that are special to one metric or another.

-- Every class is what the access method asks for.
SELECT c.opcname AS class, amvalidate(c.oid) AS valid FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
WHERE amname = 'castmatch_hnsw' ORDER BY opcname COLLATE "C";
SELECT opcname AS class, opcintype::regtype AS type, opcdefault AS "default", amopopr::regoperator AS operator, amopstrategy AS strategy,
    amoppurpose AS purpose, opfname AS orders_by, amproc AS function, amprocnum AS number
FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod JOIN pg_amop o ON o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype
JOIN pg_amproc p ON p.amprocfamily = c.opcfamily AND p.amproclefttype = c.opcintype JOIN pg_opfamily f ON f.oid = amopsortfamily
WHERE amname = 'castmatch_hnsw' ORDER BY opcname COLLATE "C";
-- One that is not.
CREATE OPERATOR CLASS strange_ops FOR TYPE vector USING castmatch_hnsw AS OPERATOR 2 <-> FOR ORDER BY float_ops,
    FUNCTION 1 (vector, vector) castmatch.index_vector_l2();
SELECT amvalidate(oid) AS valid FROM pg_opclass WHERE opcname = 'strange_ops';
DROP OPERATOR FAMILY strange_ops USING castmatch_hnsw;

-- Thirty-six rows and a few without a vector. A search that keeps 100 candidates meets them all, so it is exact.
SET castmatch.ef_search = 100;
CREATE TABLE points (id integer PRIMARY KEY, v vector(3), h halfvec(3));
INSERT INTO points SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]
FROM generate_series(1, 36) i;
INSERT INTO points VALUES (37, NULL, NULL), (38, '[1,0,0]', NULL), (39, NULL, '[0,1,0]');
CREATE INDEX points_v_l2 ON points USING castmatch_hnsw (v vector_l2_ops);
CREATE INDEX points_v_ip ON points USING castmatch_hnsw (v vector_ip_ops);
CREATE INDEX points_v_cosine ON points USING castmatch_hnsw (v vector_cosine_ops);
CREATE INDEX points_v_l1 ON points USING castmatch_hnsw (v vector_l1_ops);
CREATE INDEX points_h_l2 ON points USING castmatch_hnsw (h halfvec_l2_ops);
CREATE INDEX points_h_ip ON points USING castmatch_hnsw (h halfvec_ip_ops);
CREATE INDEX points_h_cosine ON points USING castmatch_hnsw (h halfvec_cosine_ops);
CREATE INDEX points_h_l1 ON points USING castmatch_hnsw (h halfvec_l1_ops);

CREATE FUNCTION all_operators(query text, extra text) RETURNS TABLE (ordering text, result text) LANGUAGE sql AS $$
    SELECT format('%s %s', c, o), compared(format('SELECT id, %1$s %2$s %3$L FROM points WHERE %1$s IS NOT NULL ORDER BY %1$s %2$s %3$L %4$s', c, o, query, extra))
    FROM unnest(ARRAY['v', 'h']) WITH ORDINALITY AS columns (c, i), unnest(ARRAY['<->', '<#>', '<=>', '<+>']) WITH ORDINALITY AS operators (o, j)
    ORDER BY i, j;
$$;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY v <-> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY v <#> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY v <=> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY v <+> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY h <-> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY h <#> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY h <=> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY h <+> '[3,1,2]' LIMIT 5;
RESET enable_seqscan;
SELECT * FROM all_operators('[3,1,2]', 'LIMIT 5');
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
-- Rows added to the finished index.
INSERT INTO points SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]
FROM generate_series(40, 44) i;
DELETE FROM points WHERE id IN (1, 2, 3, 4, 5, 38, 39);
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '');
-- With codes of every width.
DO $$
DECLARE
    bits integer;
    class text;
BEGIN
    FOREACH bits IN ARRAY ARRAY[4, 8, 32] LOOP
        FOREACH class IN ARRAY ARRAY['l2', 'ip', 'cosine', 'l1'] LOOP
            EXECUTE format('DROP INDEX points_v_%1$s, points_h_%1$s', class);
            EXECUTE format('CREATE INDEX points_v_%1$s ON points USING castmatch_hnsw (v vector_%1$s_ops) WITH (code_bits = %2$s)', class, bits);
            EXECUTE format('CREATE INDEX points_h_%1$s ON points USING castmatch_hnsw (h halfvec_%1$s_ops) WITH (code_bits = %2$s)', class, bits);
        END LOOP;
        RAISE NOTICE '% bits: %', bits, (SELECT string_agg(DISTINCT result, ' ') FROM all_operators('[-0.3,0.1,0.2]', ''));
        INSERT INTO points SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)], ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3)]
        FROM generate_series(40 + bits, 41 + bits) i ON CONFLICT DO NOTHING;
        RAISE NOTICE '% bits: %', bits, (SELECT string_agg(DISTINCT result, ' ') FROM all_operators('[3,1,2]', 'LIMIT 30'));
    END LOOP;
END;
$$;

-- Rows without a vector are not in the index, nor in what it returns.
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) AS by_index, count(v) AS vectors FROM (SELECT v FROM points ORDER BY v <-> '[1,2,3]' LIMIT 1000) t;
SELECT count(*) AS rows, count(v) AS vectors FROM points;
-- A query that is NULL: every row with a vector, in any order.
SELECT count(*), count(DISTINCT id) AS ids, count(v) AS vectors FROM (
    SELECT * FROM points ORDER BY v <-> (SELECT v FROM points WHERE id = 37) LIMIT 1000) t;
SELECT count(*) FROM (SELECT id FROM points ORDER BY v <=> (SELECT v FROM points WHERE id = 37) LIMIT 7) t;
RESET enable_sort;
RESET enable_seqscan;

-- The zero vector has no cosine: it comes last, as NaN does, and is no answer to any other. As a query it has no order.
INSERT INTO points VALUES (100, '[0,0,0]', '[0,0,0]');
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering LIKE '%<=>';
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering NOT LIKE '%<=>';
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id, v <=> '[1,2,3]' AS distance FROM points ORDER BY v <=> '[1,2,3]' OFFSET (SELECT count(v) - 1 FROM points);
SELECT count(*), count(DISTINCT id) AS ids, count(*) FILTER (WHERE distance = 'NaN') AS nan
FROM (SELECT id, v <=> '[0,0,0]' AS distance FROM points ORDER BY v <=> '[0,0,0]' LIMIT 1000) t;
RESET enable_sort;
RESET enable_seqscan;
DROP INDEX points_v_cosine;
CREATE INDEX points_v_cosine ON points USING castmatch_hnsw (v vector_cosine_ops);
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering LIKE '%<=>';
DELETE FROM points WHERE id = 100;
VACUUM points;
SELECT * FROM all_operators('[-0.3,0.1,0.2]', '') WHERE ordering LIKE '%<=>';

-- Nothing but zero vectors.
CREATE TABLE origins (id integer, v vector(2));
INSERT INTO origins SELECT i, '[0,0]' FROM generate_series(1, 50) i;
CREATE INDEX ON origins USING castmatch_hnsw (v vector_cosine_ops);
SELECT array_length(indexed_rows('SELECT id FROM origins ORDER BY v <=> ''[1,1]'''), 1);
INSERT INTO origins VALUES (51, '[0,0]'), (52, '[1,2]');
SELECT indexed_rows('SELECT id FROM origins ORDER BY v <=> ''[1,1]'' LIMIT 1'), array_length(indexed_rows('SELECT id FROM origins ORDER BY v <=> ''[1,1]'''), 1);

-- Numbers whose squares leave the range of single precision, large and small.
CREATE TABLE extremes (id integer, v vector(2));
INSERT INTO extremes VALUES (1, '[3e38,3e38]'), (2, '[-3e38,3e38]'), (3, '[1e20,0]'), (4, '[0,2e19]'), (5, '[1,1]'), (6, '[1e-20,0]'), (7, '[0,3e-20]'),
    (8, '[1e-45,0]'), (9, '[0,0]'), (10, '[-1e38,1e30]'), (11, '[2e-38,3e-38]');
CREATE INDEX ON extremes USING castmatch_hnsw (v vector_l2_ops);
CREATE INDEX ON extremes USING castmatch_hnsw (v vector_ip_ops);
CREATE INDEX ON extremes USING castmatch_hnsw (v vector_cosine_ops);
CREATE INDEX ON extremes USING castmatch_hnsw (v vector_l1_ops);
SELECT o AS operator, q AS query, compared(format('SELECT v %1$s %2$L AS distance FROM extremes ORDER BY v %1$s %2$L', o, q)) AS result
FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) WITH ORDINALITY AS operators (o, i), unnest(ARRAY['[1,2]', '[3e38,-3e38]', '[1e-30,1e-30]']) WITH ORDINALITY AS queries (q, j)
ORDER BY i, j;
INSERT INTO extremes VALUES (12, '[2e38,-3e38]'), (13, '[1e-42,1e-42]');
SELECT o AS operator, q AS query, compared(format('SELECT v %1$s %2$L AS distance FROM extremes ORDER BY v %1$s %2$L', o, q)) AS result
FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) WITH ORDINALITY AS operators (o, i), unnest(ARRAY['[1,2]', '[3e38,-3e38]', '[1e-30,1e-30]']) WITH ORDINALITY AS queries (q, j)
ORDER BY i, j;

-- One dimension.
CREATE TABLE line (id integer, v vector(1), h halfvec(1));
INSERT INTO line SELECT i, ARRAY[i * i - 10 * i], ARRAY[i * i - 10 * i] FROM generate_series(20, 50) i;
CREATE INDEX ON line USING castmatch_hnsw (v vector_l2_ops);
CREATE INDEX ON line USING castmatch_hnsw (v vector_ip_ops) WITH (code_bits = 4);
CREATE INDEX ON line USING castmatch_hnsw (v vector_l1_ops) WITH (code_bits = 8);
CREATE INDEX ON line USING castmatch_hnsw (h halfvec_l2_ops) WITH (code_bits = 4);
SELECT compared('SELECT id FROM line ORDER BY v <-> ''[555.3]'''), compared('SELECT id FROM line ORDER BY v <#> ''[-3]'''),
    compared('SELECT id FROM line ORDER BY v <+> ''[555.3]'''), compared('SELECT id FROM line ORDER BY h <-> ''[555.3]''');

DROP TABLE points, origins, extremes, line;
DROP FUNCTION all_operators;
RESET castmatch.ef_search;
