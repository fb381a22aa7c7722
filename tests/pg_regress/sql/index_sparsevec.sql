-- Indexes of sparse vectors. Those of more than 512 dimensions are projected; the order is that of the vectors themselves.

-- Rows that a search meets all of, so that it is exact.
SET castmatch.ef_search = 400;
CREATE FUNCTION sparse(seed integer, dims integer, elements integer) RETURNS sparsevec LANGUAGE sql IMMUTABLE AS $$
    SELECT format('{%s}/%s', string_agg(format('%s:%s', index, value), ','), dims)::sparsevec FROM (
        SELECT 1 + abs(hashint8(seed::bigint * 1000 + i)::bigint) % dims AS index, max(round((1 + sin(seed * 7.7 + i))::numeric, 3)) AS value
        FROM generate_series(1, elements) i GROUP BY 1 ORDER BY 1) t WHERE value <> 0;
$$;
CREATE TABLE papers (id integer PRIMARY KEY, s sparsevec(1000000), low sparsevec(20));
INSERT INTO papers SELECT i, sparse(i, 1000000, 5 + i % 20)::sparsevec(1000000), sparse(i, 20, 1 + i % 9)::sparsevec(20) FROM generate_series(1, 300) i;
INSERT INTO papers VALUES (301, NULL, NULL);
-- Rows near to each other.
INSERT INTO papers SELECT i + 1000, l2_normalize(s), l2_normalize(low) FROM papers, generate_series(1, 60) i WHERE id = i AND s IS NOT NULL;
CREATE INDEX papers_s_l2 ON papers USING castmatch_hnsw (s sparsevec_l2_ops);
CREATE INDEX papers_s_ip ON papers USING castmatch_hnsw (s sparsevec_ip_ops);
CREATE INDEX papers_s_cosine ON papers USING castmatch_hnsw (s sparsevec_cosine_ops);
CREATE INDEX papers_s_l1 ON papers USING castmatch_hnsw (s sparsevec_l1_ops);
CREATE INDEX papers_low_l2 ON papers USING castmatch_hnsw (low sparsevec_l2_ops);
CREATE INDEX papers_low_ip ON papers USING castmatch_hnsw (low sparsevec_ip_ops);
CREATE INDEX papers_low_cosine ON papers USING castmatch_hnsw (low sparsevec_cosine_ops);
CREATE INDEX papers_low_l1 ON papers USING castmatch_hnsw (low sparsevec_l1_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM papers ORDER BY s <-> '{1:1}/1000000' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM papers ORDER BY s <#> '{1:1}/1000000' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM papers ORDER BY s <=> '{1:1}/1000000' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM papers ORDER BY s <+> '{1:1}/1000000' LIMIT 5;
RESET enable_seqscan;
-- What is compared are distances: many vectors have nothing in common with the query and are as far as others.
CREATE FUNCTION all_operators(extra text) RETURNS TABLE (ordering text, result text) LANGUAGE sql AS $$
    SELECT format('%s %s', c, o), compared(format('SELECT %1$s %2$s %3$L AS distance FROM papers WHERE %1$s IS NOT NULL ORDER BY %1$s %2$s %3$L %4$s', c, o, q, extra))
    FROM (VALUES ('s', sparse(17, 1000000, 12)::text), ('low', sparse(17, 20, 6)::text)) AS columns (c, q), unnest(ARRAY['<->', '<#>', '<=>', '<+>']) AS operators (o)
    ORDER BY 1;
$$;
SELECT * FROM all_operators('LIMIT 5');
SELECT * FROM all_operators('');
INSERT INTO papers SELECT i, sparse(i, 1000000, 40)::sparsevec(1000000), sparse(i, 20, 4)::sparsevec(20) FROM generate_series(401, 440) i;
UPDATE papers SET s = l2_normalize(s) WHERE id % 10 = 3;
DELETE FROM papers WHERE id % 10 = 4;
SELECT * FROM all_operators('');
VACUUM papers;
SELECT * FROM all_operators('LIMIT 20');
SELECT index::regclass, check_name FROM unnest(ARRAY['papers_s_l2', 'papers_s_ip', 'papers_s_cosine', 'papers_s_l1']) index, castmatch.verify_index(index::regclass) WHERE NOT ok;
SELECT rows, settings ->> 'metric' AS metric, settings ->> 'dimensions' AS dimensions, settings ->> 'code_bits' AS code_bits FROM castmatch.index_info('papers_s_cosine');
-- The zero vector has no cosine: it comes last, as NaN does.
INSERT INTO papers VALUES (500, '{}/1000000', '{}/20');
SELECT * FROM all_operators('');
SELECT array_length(indexed_rows('SELECT id FROM papers ORDER BY s <=> ''{}/1000000'''), 1) = (SELECT count(s) FROM papers) AS complete;
DROP TABLE papers;
DROP FUNCTION all_operators;

-- The largest there are.
CREATE TABLE largest (id integer, s sparsevec(1000000000));
CREATE INDEX ON largest USING castmatch_hnsw (s sparsevec_cosine_ops);
INSERT INTO largest SELECT i, ('{' || (SELECT string_agg(format('%s:%s', j * 60000 + i, 1 + j % i), ',' ORDER BY j) FROM generate_series(0, 15999) j) || '}/1000000000')::sparsevec FROM generate_series(1, 6) i;
INSERT INTO largest VALUES (7, '{1000000000:1}/1000000000');
SELECT compared('SELECT id FROM largest ORDER BY s <=> ''{2:1,1000000000:2,60002:1,120003:0.5,4:0.1,5:0.2,1:0.3,6:0.4}/1000000000''');
DROP TABLE largest;

-- What cannot be.
CREATE TABLE wrong (s sparsevec(10), open sparsevec, v vector(3));
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (open sparsevec_l2_ops)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (v sparsevec_l2_ops)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_hnsw (s)');
SELECT failure('CREATE INDEX ON wrong USING castmatch_ivf (s sparsevec_l2_ops)');
CREATE INDEX ON wrong USING castmatch_hnsw (s sparsevec_l2_ops);
INSERT INTO wrong (s) VALUES ('{1:1}/10');
SET enable_seqscan = off;
SELECT failure('SELECT s FROM wrong ORDER BY s <-> ''{1:1}/11'' LIMIT 3');
RESET enable_seqscan;
SELECT failure('INSERT INTO wrong (s) VALUES (''{1:1}/11'')');
DROP TABLE wrong;
DROP FUNCTION sparse;
RESET castmatch.ef_search;
