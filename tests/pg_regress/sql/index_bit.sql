-- Indexes of bits: by Hamming and by Jaccard distance.

-- Rows that a search meets all of, so that it is exact. Many are as far as others: what is compared are distances.
SET castmatch.ef_search = 400;
CREATE TABLE flags (id integer PRIMARY KEY, b bit(128), few bit(5));
INSERT INTO flags SELECT i, ('x' || md5(i::text))::bit(128) & ('x' || md5((i / 7)::text || 'a'))::bit(128), (i % 32)::bit(5) FROM generate_series(1, 300) i;
INSERT INTO flags VALUES (301, NULL, NULL), (302, repeat('0', 128)::bit(128), B'00000'), (303, repeat('1', 128)::bit(128), B'11111');
CREATE INDEX flags_hamming ON flags USING castmatch_hnsw (b bit_hamming_ops);
CREATE INDEX flags_jaccard ON flags USING castmatch_hnsw (b bit_jaccard_ops);
CREATE INDEX few_hamming ON flags USING castmatch_hnsw (few bit_hamming_ops);
CREATE INDEX few_jaccard ON flags USING castmatch_hnsw (few bit_jaccard_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM flags ORDER BY b <~> repeat('01', 64)::bit(128) LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM flags ORDER BY b <%> repeat('01', 64)::bit(128) LIMIT 5;
RESET enable_seqscan;
CREATE FUNCTION all_operators(extra text) RETURNS TABLE (ordering text, query text, result text) LANGUAGE sql AS $$
    SELECT format('%s %s', c, o), left(q, 6), compared(format('SELECT %1$s %2$s %3$L::bit(%4$s) AS distance FROM flags WHERE %1$s IS NOT NULL ORDER BY %1$s %2$s %3$L::bit(%4$s) %5$s', c, o, q, n, extra))
    FROM unnest(ARRAY['b', 'few'], ARRAY[128, 5]) AS columns (c, n), unnest(ARRAY['<~>', '<%>']) AS operators (o), unnest(ARRAY[repeat('0111', 32), repeat('1', 128), repeat('0', 128)]) AS queries (q)
    ORDER BY 1, 2;
$$;
SELECT * FROM all_operators('LIMIT 10');
SELECT * FROM all_operators('');
INSERT INTO flags SELECT i, ('x' || md5(i::text))::bit(128), (i % 32)::bit(5) FROM generate_series(304, 340) i;
UPDATE flags SET b = ~b WHERE id % 10 = 3;
DELETE FROM flags WHERE id % 10 = 4;
SELECT * FROM all_operators('');
VACUUM flags;
SELECT * FROM all_operators('LIMIT 20');
SELECT check_name, ok FROM castmatch.verify_index('flags_hamming') WHERE NOT ok;
SELECT check_name, ok FROM castmatch.verify_index('flags_jaccard') WHERE NOT ok;
SELECT rows, settings ->> 'metric' AS metric, settings ->> 'dimensions' AS dimensions, settings ->> 'code_bits' AS code_bits FROM castmatch.index_info('flags_jaccard');
-- A query that is NULL: every row with bits, in any order.
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id) AS ids, count(b) AS bits FROM (
    SELECT * FROM flags ORDER BY b <~> (SELECT b FROM flags WHERE id = 301) LIMIT 1000) t;
RESET enable_seqscan;
DROP INDEX flags_hamming, flags_jaccard, few_hamming, few_jaccard;

-- The inverted file has the Hamming distance.
SET castmatch.probes = 1000;
SET castmatch.rerank_confidence = 10;
CREATE INDEX flags_ivf ON flags USING castmatch_ivf (b bit_hamming_ops) WITH (lists = 4);
CREATE INDEX few_ivf ON flags USING castmatch_ivf (few bit_hamming_ops) WITH (lists = 2, refine_bits = 3);
SELECT compared(format('SELECT b <~> %1$L::bit(128) AS distance FROM flags WHERE b IS NOT NULL ORDER BY b <~> %1$L::bit(128)', q)) FROM unnest(ARRAY[repeat('0111', 32), repeat('0', 128)]) q;
SELECT compared('SELECT few <~> B''01101'' AS distance FROM flags WHERE few IS NOT NULL ORDER BY few <~> B''01101''');
INSERT INTO flags SELECT i, ('x' || md5(i::text))::bit(128), (i % 32)::bit(5) FROM generate_series(400, 700) i;
DELETE FROM flags WHERE id % 10 = 5;
VACUUM flags;
SELECT compared(format('SELECT b <~> %1$L::bit(128) AS distance FROM flags WHERE b IS NOT NULL ORDER BY b <~> %1$L::bit(128)', q)) FROM unnest(ARRAY[repeat('0111', 32), repeat('0', 128)]) q;
SELECT check_name, ok FROM castmatch.verify_index('flags_ivf') WHERE NOT ok;
SELECT failure('CREATE INDEX ON flags USING castmatch_ivf (b bit_jaccard_ops)');
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
DROP TABLE flags;
DROP FUNCTION all_operators;

-- Signs of vectors, as an expression; the nearest by them are put in order by the vectors.
CREATE TABLE signs (id integer PRIMARY KEY, v vector(8), category integer);
INSERT INTO signs SELECT i, ARRAY[sin(i), cos(i * 0.7), sin(i * 1.3), cos(i), sin(i * 0.2), cos(i * 0.9), sin(i * 2.1), cos(i * 3.3)], i % 3 FROM generate_series(1, 200) i;
CREATE INDEX ON signs USING castmatch_hnsw ((binary_quantize(v)::bit(8)) bit_hamming_ops, category);
SELECT compared('SELECT binary_quantize(v)::bit(8) <~> binary_quantize(''[1,-2,3,-4,5,-6,7,-8]''::vector) AS distance FROM signs WHERE category = 1 ORDER BY binary_quantize(v)::bit(8) <~> binary_quantize(''[1,-2,3,-4,5,-6,7,-8]''::vector) LIMIT 30');
DROP TABLE signs;

-- What cannot be.
CREATE TABLE wrong (b bit(60000), wide bit(70000), open varbit, v vector(3));
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (wide bit_hamming_ops)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_ivf (wide bit_hamming_ops)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (open bit_hamming_ops)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (b bit_hamming_ops) WITH (code_bits = 4)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (v bit_hamming_ops)');
CREATE INDEX wrong_b ON wrong USING castmatch_hnsw (b bit_hamming_ops);
INSERT INTO wrong (b) SELECT repeat(i::bit(4)::text, 15000)::bit(60000) FROM generate_series(1, 15) i;
SET enable_seqscan = off;
SELECT b <~> repeat('0110', 15000)::bit(60000) AS distance FROM wrong ORDER BY b <~> repeat('0110', 15000)::bit(60000) LIMIT 3;
SELECT failure('SELECT b FROM wrong ORDER BY b <~> B''0110'' LIMIT 3');
RESET enable_seqscan;
-- A column of another length than its index.
CREATE TABLE varied (b varbit(8));
CREATE INDEX ON varied USING castmatch_hnsw (b bit_hamming_ops);
INSERT INTO varied VALUES (B'01010101');
SELECT failure('INSERT INTO varied VALUES (B''0101'')');
DROP TABLE wrong, varied;
RESET castmatch.ef_search;
