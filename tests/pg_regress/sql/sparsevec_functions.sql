-- Functions, operators and casts of sparsevec. All numbers here are exact in binary floating point, so that every CPU computes the same.

-- Distances
SELECT l2_distance('{}/2'::sparsevec, '{1:3,2:4}/2'), '{}/2'::sparsevec <-> '{1:3,2:4}/2' AS l2,
    inner_product('{1:1,2:2}/2'::sparsevec, '{1:3,2:4}/2'), '{1:1,2:2}/2'::sparsevec <#> '{1:3,2:4}/2' AS negative_inner,
    cosine_distance('{1:1}/2'::sparsevec, '{2:2}/2'), '{1:1}/2'::sparsevec <=> '{2:2}/2' AS cosine,
    l1_distance('{}/2'::sparsevec, '{1:3,2:-4}/2'), '{}/2'::sparsevec <+> '{1:3,2:-4}/2' AS l1;
SELECT sparsevec_l2_squared_distance('{1:1,3:3,5:5}/6', '{2:2,3:1,6:-6}/6'), sparsevec_negative_inner_product('{1:1,3:3,5:5}/6', '{2:2,3:1,6:-6}/6');
-- Cosine: 0 for the same direction, 2 for the opposite, NaN where a vector has no direction; never outside [0, 2].
SELECT '{1:1,3:2}/3'::sparsevec <=> '{1:2,3:4}/3' AS same, '{1:1,2:1}/2'::sparsevec <=> '{1:-1,2:-1}/2' AS opposite,
    '{}/2'::sparsevec <=> '{1:1}/2' AS none;
-- Sums stay finite as long as the result does.
SELECT '{1:3e38}/2'::sparsevec <-> '{2:-3e38}/2' > 4e38 AS large_l2, '{1:3e38}/2'::sparsevec <=> '{1:3e38}/2' AS large_cosine,
    '{1:1e-45}/2'::sparsevec <=> '{1:1e-45}/2' AS small_cosine;
-- The same as between the dense vectors.
SELECT count(*) AS pairs, bool_and((a <-> b) = (a::sparsevec <-> b::sparsevec)) AS l2, bool_and((a <#> b) = (a::sparsevec <#> b::sparsevec)) AS ip,
    bool_and((a <+> b) = (a::sparsevec <+> b::sparsevec)) AS l1, bool_and(abs((a <=> b) - (a::sparsevec <=> b::sparsevec)) < 1e-6) AS cosine,
    bool_and(vector_cmp(a, b) = sparsevec_cmp(a, b)) AS cmp, bool_and(l2_norm(a) = l2_norm(a::sparsevec)) AS norm
FROM (SELECT array_agg(CASE WHEN i * n % 5 < 2 THEN i % 8 - 4 ELSE 0 END)::vector AS a,
    array_agg(CASE WHEN i * n % 7 < 3 THEN i % 16 - 8 ELSE 0 END)::vector AS b
    FROM generate_series(1, 40) n, generate_series(1, n) i GROUP BY n) pairs WHERE l2_norm(a) > 0 AND l2_norm(b) > 0;

-- Measures
SELECT l2_norm('{1:3,7:4}/9'::sparsevec), l2_norm('{}/9'::sparsevec), l2_normalize('{2:-8}/3'::sparsevec), l2_normalize('{}/3'::sparsevec);
SELECT l2_normalize('{1:1e-20,2:3e38}/3'::sparsevec) AS small_dropped, abs(l2_norm(l2_normalize('{1:3,2:1,5:2}/5'::sparsevec)) - 1) < 1e-6 AS unit;

\t on
\pset format unaligned
-- Operands of different widths: every one of these must say which.
SELECT s, failure('SELECT ' || s) FROM (
    SELECT 1, format('''{}/1''::sparsevec %s ''{}/2''', o) FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) o
    UNION ALL SELECT 2, format('%s(''{}/1''::sparsevec, ''{}/2'')', f) FROM unnest(ARRAY['l2_distance', 'inner_product', 'cosine_distance', 'l1_distance']) f
    UNION ALL SELECT 3, format('sparsevec_%s(''{}/1'', ''{}/2'')', f) FROM unnest(ARRAY['l2_squared_distance', 'negative_inner_product']) f
) AS statements (place, s) ORDER BY place, s COLLATE "C" DESC;
\t off
\pset format aligned

-- NULL in, NULL out.
SELECT NULL::sparsevec <-> '{}/1' IS NULL AS distance, l2_norm(NULL::sparsevec) IS NULL AS norm, NULL::sparsevec::vector IS NULL AS converted,
    NULL::sparsevec = '{}/1' IS NULL AS equal, NULL::integer[]::sparsevec IS NULL AS of_array;

-- Order: as the dense vectors, then the one of fewer dimensions first.
SELECT v, v < '{1:1,2:2}/2' AS lt, v <= '{1:1,2:2}/2' AS le, v = '{1:1,2:2}/2' AS eq, v <> '{1:1,2:2}/2' AS ne, v >= '{1:1,2:2}/2' AS ge,
    v > '{1:1,2:2}/2' AS gt, sparsevec_cmp(v, '{1:1,2:2}/2') AS cmp
FROM unnest(ARRAY['{1:1,2:2}/2', '{1:1,2:3}/2', '{1:1}/1', '{2:9,3:9}/3', '{1:1,2:2,3:-1}/3', '{1:-1,2:2}/2', '{}/1', '{}/2', '{2:-1}/2', '{1:1,2:2}/3']::sparsevec[]) v
ORDER BY v;
SELECT sparsevec_lt('{1:1}/1', '{1:2}/1'), sparsevec_le('{1:2}/1', '{1:2}/1'), sparsevec_eq('{1:2}/1', '{1:2}/1'), sparsevec_ne('{1:2}/1', '{1:2}/1'),
    sparsevec_ge('{1:1}/1', '{1:2}/1'), sparsevec_gt('{1:1}/1', '{1:2}/1');

-- Casts
SELECT '[0,1.5,0,-2]'::vector::sparsevec, '[0,1.5,0,-2]'::halfvec::sparsevec, '{2:1.5}/3'::sparsevec::vector, '{2:1.5}/3'::sparsevec::halfvec,
    '[0]'::vector::sparsevec AS zero, '{}/2'::sparsevec::vector AS zeros, '{1:1}/2'::sparsevec::vector(2), '[1,0]'::vector::sparsevec(2);
SELECT ARRAY[0,1]::sparsevec, ARRAY[0,1.5]::sparsevec AS of_numeric, ARRAY[1.5,0]::real[]::sparsevec AS of_real,
    ARRAY[1.5,0]::double precision[]::sparsevec AS of_double, '{1e-46}'::double precision[]::sparsevec AS too_small, '[5:6]={1,2}'::integer[]::sparsevec(2);
SELECT array_to_sparsevec(ARRAY[1], -1, true), sparsevec('{1:1}/1', 1, true), vector_to_sparsevec('[1]', 1, false), halfvec_to_sparsevec('[1]', 1, false),
    sparsevec_to_vector('{1:1}/1', 1, false), sparsevec_to_halfvec('{1:1}/1', 1, false);
-- An array may have more elements than a dense vector.
SELECT (array_fill(0, ARRAY[19999]) || 7)::sparsevec;
\t on
\pset format unaligned
SELECT failure('SELECT ' || s) FROM unnest(ARRAY[
    'ARRAY[1,NULL]::sparsevec', 'ARRAY[[1,2],[3,4]]::sparsevec', '''{}''::integer[]::sparsevec', '''{NaN}''::real[]::sparsevec',
    '''{Infinity}''::double precision[]::sparsevec', '''{NaN}''::numeric[]::sparsevec', '''{1e39}''::double precision[]::sparsevec',
    '''{1e39}''::numeric[]::sparsevec', '''{1e-50}''::numeric[]::sparsevec', 'array_fill(1, ARRAY[16001])::sparsevec', 'ARRAY[1,2]::sparsevec(3)',
    '''[1,2]''::vector::sparsevec(3)', '''[1,2]''::halfvec::sparsevec(3)', '''{}/2''::sparsevec::vector(3)', '''{}/2''::sparsevec::halfvec(3)',
    '''{}/16001''::sparsevec::vector', '''{}/16001''::sparsevec::halfvec(3)', '''{1:65520}/1''::sparsevec::halfvec', '''{1:1}/1''::sparsevec::real[]'
]) s;
\t off
\pset format aligned
-- Assignment and implicit casts: a dense vector goes to a sparse one by itself, a sparse one to a dense one where it is stored.
CREATE TABLE casts (v vector(2), h halfvec(2), s sparsevec(2));
INSERT INTO casts VALUES ('{1:1}/2'::sparsevec, '{2:2}/2'::sparsevec, '[0,3]'::vector), ('[3,4]', '[3,4]', '[3,4]'::halfvec), (NULL, NULL, ARRAY[0,5]);
SELECT *, s <-> v AS with_vector, s <-> h AS with_halfvec, pg_typeof(s) FROM casts;
INSERT INTO casts (s) VALUES ('[1,2,3]'::vector);
DROP TABLE casts;

-- In a table: sorted, grouped, indexed by btree.
CREATE TABLE points (id integer PRIMARY KEY, s sparsevec(3));
INSERT INTO points SELECT i, ARRAY[i % 10, i % 7, i % 3]::sparsevec FROM generate_series(1, 1000) i;
INSERT INTO points VALUES (0, NULL);
SELECT count(DISTINCT s), count(*) - count(s) AS nulls FROM points;
SELECT s, count(*) FROM points GROUP BY s HAVING count(*) > 4 ORDER BY s LIMIT 3;
CREATE INDEX points_s ON points (s);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM points WHERE s = '{1:1,2:1,3:1}/3';
SELECT id FROM points WHERE s = '{1:1,2:1,3:1}/3' ORDER BY id;
SELECT count(*) FROM points WHERE s < '{1:1}/3';
SELECT count(*) FROM points WHERE s >= '{1:9,2:6,3:2}/3';
RESET enable_seqscan;
RESET enable_bitmapscan;
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX points_unique ON points (s);
\set VERBOSITY default
DROP INDEX points_s;
-- Nearest first; ties by id; NULLs last.
SELECT id, s, s <-> '{1:9,2:6,3:2}/3' AS distance FROM points ORDER BY s <-> '{1:9,2:6,3:2}/3', id LIMIT 5;
SELECT id FROM points ORDER BY s <#> '{1:1,2:1,3:1}/3', id LIMIT 3;
SELECT id FROM points WHERE id IN (0, 1) ORDER BY s <-> '{1:1,2:1,3:1}/3';
SELECT a.id, b.id FROM points a JOIN points b ON a.s = b.s AND a.id < b.id WHERE a.id < 4 AND b.id < 500 ORDER BY a.id, b.id;
DROP TABLE points;

-- Vectors too long for a page are stored out of line and read back whole.
CREATE TABLE long_vectors (s sparsevec);
INSERT INTO long_vectors SELECT array_agg(CASE WHEN i % 2 = 0 THEN i ELSE 0 END)::sparsevec FROM generate_series(1, 32000) i;
SELECT length(s::text), s <+> (SELECT array_agg(CASE WHEN i % 2 = 0 THEN i ELSE 0 END)::sparsevec FROM generate_series(1, 32000) i) AS distance FROM long_vectors;
DROP TABLE long_vectors;

-- As pgvector's documentation writes it.
CREATE TABLE items (id bigserial PRIMARY KEY, embedding sparsevec(5));
INSERT INTO items (embedding) VALUES ('{1:1,3:2,5:3}/5'), ('{1:4,3:5,5:6}/5');
SELECT * FROM items ORDER BY embedding <-> '{1:3,3:1,5:2}/5' LIMIT 5;
PREPARE near (sparsevec) AS SELECT id FROM items ORDER BY embedding <=> $1 LIMIT 1;
EXECUTE near('{1:3,3:1,5:2}/5');
PREPARE near_text (text) AS SELECT id FROM items ORDER BY embedding <#> $1::sparsevec LIMIT 1;
EXECUTE near_text('{1:3,3:1,5:2}/5');
DEALLOCATE ALL;
SELECT to_jsonb(items) FROM items ORDER BY id LIMIT 1;
SELECT array_agg(embedding ORDER BY id) FROM items;
DROP TABLE items;
