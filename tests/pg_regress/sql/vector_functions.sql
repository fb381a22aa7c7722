-- Functions, operators, aggregates and casts of vector and halfvec. All numbers here are exact in binary floating point,
-- so that every CPU computes the same.

-- Distances
SELECT l2_distance('[0,0]'::vector, '[3,4]'), '[0,0]'::vector <-> '[3,4]' AS l2,
    inner_product('[1,2]'::vector, '[3,4]'), '[1,2]'::vector <#> '[3,4]' AS negative_inner,
    cosine_distance('[1,0]'::vector, '[0,2]'), '[1,0]'::vector <=> '[0,2]' AS cosine,
    l1_distance('[0,0]'::vector, '[3,-4]'), '[0,0]'::vector <+> '[3,-4]' AS l1;
SELECT l2_distance('[0,0]'::halfvec, '[3,4]'), '[0,0]'::halfvec <-> '[3,4]' AS l2,
    inner_product('[1,2]'::halfvec, '[3,4]'), '[1,2]'::halfvec <#> '[3,4]' AS negative_inner,
    cosine_distance('[1,0]'::halfvec, '[0,2]'), '[1,0]'::halfvec <=> '[0,2]' AS cosine,
    l1_distance('[0,0]'::halfvec, '[3,-4]'), '[0,0]'::halfvec <+> '[3,-4]' AS l1;
SELECT vector_l2_squared_distance('[0,0]', '[3,4]'), vector_negative_inner_product('[1,2]', '[3,4]'),
    vector_spherical_distance('[1,0]', '[0,1]') AS quarter_turn, vector_spherical_distance('[1,0]', '[-1,0]') AS half_turn,
    vector_spherical_distance('[1,0]', '[1,0]') AS none;
SELECT halfvec_l2_squared_distance('[0,0]', '[3,4]'), halfvec_negative_inner_product('[1,2]', '[3,4]'),
    halfvec_spherical_distance('[1,0]', '[0,1]') AS quarter_turn;
-- Cosine: 0 for the same direction, 2 for the opposite, NaN where a vector has no direction; never outside [0, 2].
SELECT '[1,2]'::vector <=> '[2,4]' AS same, '[1,1]'::vector <=> '[-1,-1]' AS opposite, '[0,0]'::vector <=> '[1,1]' AS none,
    '[0,0]'::halfvec <=> '[0,0]' AS none_either;
-- Sums over f32 elements stay finite as long as the result does.
SELECT '[3e38]'::vector <-> '[-3e38]' > 5e38 AS large_l2, '[1,1e-45]'::vector <-> '[1,0]' >= 0 AS small_l2;
SELECT '[65504]'::halfvec <-> '[-65504]' AS large_half;
-- More dimensions than one step of a vectorised loop, and a rest.
SELECT n, a <-> b AS l2, a <#> b AS ip, a <+> b AS l1, a::halfvec <-> b::halfvec AS half_l2
FROM (SELECT n, array_fill(1, ARRAY[n])::vector AS a, array_fill(3, ARRAY[n])::vector AS b
    FROM unnest(ARRAY[1, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]) n) vectors
WHERE n IN (1, 4, 9, 16, 64, 100) OR round((a <+> b)::numeric) <> 2 * n OR round((a <#> b)::numeric) <> -3 * n
    OR a::halfvec <+> b::halfvec <> 2 * n;

-- Measures and parts
SELECT vector_dims('[1,2,3]'::vector), vector_dims('[1,2,3]'::halfvec), vector_norm('[3,4]'), l2_norm('[3,4]'::vector),
    l2_norm('[3,4]'::halfvec);
SELECT l2_normalize('[0,-8]'::vector), l2_normalize('[0,-8]'::halfvec), l2_normalize('[0,0]'::vector), l2_normalize('[0]'::halfvec);
SELECT l2_normalize('[3e38]'::vector) AS large, abs(l2_norm(l2_normalize('[3,1,2]'::vector)) - 1) < 1e-6 AS unit;
SELECT subvector('[1,2,3,4,5]'::vector, 1, 3) AS head, subvector('[1,2,3,4,5]'::vector, 3, 2) AS middle,
    subvector('[1,2,3,4,5]'::vector, 4, 100) AS cut, subvector('[1,2,3,4,5]'::vector, -1, 4) AS before_first,
    subvector('[1,2,3,4,5]'::halfvec, 2, 1) AS half;
SELECT subvector('[1,2,3]'::vector, 1, 2147483647) AS longest, subvector('[1,2,3]'::vector, 3, 2147483647) AS last,
    subvector('[1,2,3]'::halfvec, 2147483647 - 2147483646, 3) AS whole;
SELECT binary_quantize('[1,0,-1,0.5,-0.5,1e-45,-0]'::vector), binary_quantize('[1,0,-1]'::halfvec),
    length(binary_quantize('[1,2,3,4,5,6,7,8,9]'::vector)), pg_typeof(binary_quantize('[1]'::vector));

-- Arithmetic
SELECT '[1,2]'::vector + '[0.5,-2]' AS plus, '[1,2]'::vector - '[0.5,-2]' AS minus, '[1,2]'::vector * '[0.5,-2]' AS times,
    '[1,2]'::vector || '[3]' AS concat;
SELECT '[1,2]'::halfvec + '[0.5,-2]' AS plus, '[1,2]'::halfvec - '[0.5,-2]' AS minus, '[1,2]'::halfvec * '[0.5,-2]' AS times,
    '[1,2]'::halfvec || '[3]' AS concat;
SELECT vector_add('[1]', '[2]'), vector_sub('[1]', '[2]'), vector_mul('[3]', '[2]'), vector_concat('[3]', '[2]'),
    halfvec_add('[1]', '[2]'), halfvec_sub('[1]', '[2]'), halfvec_mul('[3]', '[2]'), halfvec_concat('[3]', '[2]');
SELECT vector_dims(array_fill(1, ARRAY[8000])::vector || array_fill(1, ARRAY[8000])::vector);

\t on
\pset format unaligned
-- Operands of different widths: every one of these must say which.
SELECT s, failure('SELECT ' || s) FROM (
    SELECT 1, format('''[1]''::%s %s ''[1,2]''', t, o) FROM unnest(ARRAY['vector', 'halfvec']) t,
        unnest(ARRAY['<->', '<#>', '<=>', '<+>', '+', '-', '*']) o
    UNION ALL SELECT 2, format('%s(''[1]''::%s, ''[1,2]'')', f, t) FROM unnest(ARRAY['vector', 'halfvec']) t,
        unnest(ARRAY['l2_distance', 'inner_product', 'cosine_distance', 'l1_distance']) f
    UNION ALL SELECT 3, format('%s_%s(''[1]'', ''[1,2]'')', t, f) FROM unnest(ARRAY['vector', 'halfvec']) t,
        unnest(ARRAY['l2_squared_distance', 'negative_inner_product', 'spherical_distance']) f
) AS statements (place, s) ORDER BY place, s COLLATE "C" DESC;
-- Results out of range: 22003. Results out of length: 54000. No dimension left: 22000.
SELECT failure(s) FROM unnest(ARRAY[
    'SELECT ''[3e38]''::vector + ''[3e38]''', 'SELECT ''[-3e38]''::vector - ''[3e38]''', 'SELECT ''[1e30]''::vector * ''[1e30]''',
    'SELECT ''[1e-30]''::vector * ''[1e-30]''', 'SELECT ''[65504]''::halfvec + ''[65504]''',
    'SELECT ''[65504]''::halfvec - ''[-65504]''', 'SELECT ''[300]''::halfvec * ''[300]''',
    'SELECT ''[1e-5]''::halfvec * ''[1e-5]''',
    'SELECT array_fill(1, ARRAY[8001])::vector || array_fill(1, ARRAY[8000])::vector',
    'SELECT array_fill(1, ARRAY[8001])::halfvec || array_fill(1, ARRAY[8000])::halfvec',
    'SELECT subvector(''[1,2]''::vector, 3, 1)', 'SELECT subvector(''[1,2]''::vector, 1, 0)',
    'SELECT subvector(''[1,2]''::vector, 1, -1)', 'SELECT subvector(''[1,2]''::vector, -2147483648, 2147483647)',
    'SELECT subvector(''[1,2]''::vector, 2147483647, 2147483647)', 'SELECT subvector(''[1,2]''::vector, 1, -2147483648)',
    'SELECT subvector(''[1,2]''::halfvec, -5, 3)'
]) s;
\t off
\pset format aligned

-- NULL in, NULL out.
SELECT NULL::vector <-> '[1]' IS NULL AS distance, vector_dims(NULL::vector) IS NULL AS dims,
    subvector('[1]'::vector, NULL, 1) IS NULL AS part, NULL::halfvec + '[1]' IS NULL AS plus,
    NULL::vector::halfvec IS NULL AS converted, NULL::vector = '[1]' IS NULL AS equal, NULL::integer[]::vector IS NULL AS of_array;

-- Order: element by element, then the shorter first.
SELECT v, v < '[1,2]' AS lt, v <= '[1,2]' AS le, v = '[1,2]' AS eq, v <> '[1,2]' AS ne, v >= '[1,2]' AS ge, v > '[1,2]' AS gt,
    vector_cmp(v, '[1,2]') AS cmp
FROM unnest(ARRAY['[1,2]', '[1,3]', '[1]', '[0,9,9]', '[1,2,-1]', '[-1,2]']::vector[]) v ORDER BY v;
SELECT v, v < '[1,2]' AS lt, v <= '[1,2]' AS le, v = '[1,2]' AS eq, v <> '[1,2]' AS ne, v >= '[1,2]' AS ge, v > '[1,2]' AS gt,
    halfvec_cmp(v, '[1,2]') AS cmp
FROM unnest(ARRAY['[1,2]', '[1,3]', '[1]', '[0,9,9]', '[1,2,-1]', '[-1,2]']::halfvec[]) v ORDER BY v DESC;
SELECT '[0]'::vector = '[-0]' AS zeros_are_equal, vector_cmp('[0]', '[-0]'), halfvec_cmp('[0]', '[-0]');
SELECT vector_lt('[1]', '[2]'), vector_le('[2]', '[2]'), vector_eq('[2]', '[2]'), vector_ne('[2]', '[2]'), vector_ge('[1]', '[2]'),
    vector_gt('[1]', '[2]');
SELECT halfvec_lt('[1]', '[2]'), halfvec_le('[2]', '[2]'), halfvec_eq('[2]', '[2]'), halfvec_ne('[2]', '[2]'),
    halfvec_ge('[1]', '[2]'), halfvec_gt('[1]', '[2]');

-- Casts
SELECT ARRAY[1,2]::vector, ARRAY[1.5,2]::vector AS of_numeric, ARRAY[1.5,2]::real[]::vector AS of_real,
    ARRAY[1.5,2]::double precision[]::vector AS of_double, '[1.5,2]'::vector::real[], pg_typeof('[1]'::vector::real[]);
SELECT ARRAY[1,2]::halfvec, ARRAY[1.5,2]::halfvec AS of_numeric, ARRAY[1.5,2]::real[]::halfvec AS of_real,
    ARRAY[1.5,2]::double precision[]::halfvec AS of_double, '[1.5,2]'::halfvec::real[], '[0.1]'::halfvec::vector;
SELECT '[1,2.5]'::vector::halfvec, '[1,2.5]'::halfvec::vector, '[0.1]'::vector::halfvec::vector AS rounded,
    '[1,2]'::vector::halfvec(2), '[1,2]'::halfvec::vector(2), ARRAY[1,2]::vector(2), ARRAY[1,2]::halfvec(2);
SELECT array_to_vector(ARRAY[1], -1, true), array_to_vector(ARRAY[1.5], -1, false), vector_to_float4('[1]', -1, true),
    array_to_halfvec(ARRAY[1.5], -1, false), halfvec_to_float4('[1]', -1, true), vector('[1]', 1, true), halfvec('[1]', 1, true),
    vector_to_halfvec('[1]', 1, false), halfvec_to_vector('[1]', 1, false);
-- An array may start anywhere.
SELECT '[5:6]={1,2}'::integer[]::vector;
\t on
\pset format unaligned
SELECT failure('SELECT ' || s) FROM unnest(ARRAY[
    'ARRAY[1,NULL]::vector', 'ARRAY[1,NULL]::halfvec', 'ARRAY[[1,2],[3,4]]::vector', 'ARRAY[[1,2]]::halfvec', '''{}''::integer[]::vector',
    '''{}''::real[]::halfvec', '''{NaN}''::real[]::vector', '''{Infinity}''::double precision[]::vector', '''{NaN}''::numeric[]::vector',
    '''{-Infinity}''::numeric[]::halfvec', '''{1e39}''::double precision[]::vector', '''{1e39}''::numeric[]::vector', '''{65520}''::integer[]::halfvec',
    '''{65520}''::real[]::halfvec', '''[65520]''::vector::halfvec', '''[1e38,1]''::vector::halfvec', 'ARRAY[1,2]::vector(3)', 'ARRAY[1,2]::halfvec(3)',
    '''[1,2]''::vector::halfvec(3)', '''[1,2]''::halfvec::vector(3)', 'array_fill(1, ARRAY[16001])::vector', 'array_fill(1, ARRAY[16001])::halfvec',
    'ARRAY[''a'']::vector', 'ARRAY[true]::vector', '''[1]''::vector::text::integer'
]) s;
\t off
\pset format aligned
-- Assignment and implicit casts: a vector goes to a halfvec by itself, a halfvec to a vector where it is stored.
CREATE TABLE casts (v vector(2), h halfvec(2), a real[]);
INSERT INTO casts VALUES (ARRAY[1,2], ARRAY[1.5,2], '[1,2]'::vector), ('[3,4]'::halfvec, '[3,4]'::vector, '[3,4]'::halfvec);
SELECT * FROM casts;
SELECT v <-> h AS mixed, pg_typeof(v + v), pg_typeof(h + h), pg_typeof(avg(v) OVER ()), pg_typeof(sum(h) OVER ()) FROM casts;
INSERT INTO casts (v) VALUES (ARRAY[1,2,3]);
DROP TABLE casts;

-- Aggregates
SELECT avg(v), sum(v), count(v) FROM unnest(ARRAY['[1,2]', '[3,4]', NULL, '[5,9]']::vector[]) v;
SELECT avg(v), sum(v), count(v) FROM unnest(ARRAY['[1,2]', '[3,4]', NULL, '[5,9]']::halfvec[]) v;
SELECT avg(v) IS NULL AS avg, sum(v) IS NULL AS sum FROM unnest('{}'::vector[]) v;
SELECT avg(v) IS NULL AS avg, sum(v) IS NULL AS sum FROM unnest(ARRAY[NULL, NULL]::halfvec[]) v;
SELECT g, avg(v), sum(v) FROM (VALUES (1, '[1,2]'::vector), (1, '[3,2]'), (2, '[7]')) AS input (g, v) GROUP BY g ORDER BY g;
-- The mean does not overflow where the sum would.
SELECT avg(v) FROM unnest(ARRAY['[3e38]', '[3e38]']::vector[]) v;
SELECT avg(v) FROM unnest(ARRAY['[65504]', '[65504]', '[65504]']::halfvec[]) v;
SELECT vector_accum('{0}', '[1,2]'), vector_combine('{1,1,2}', '{2,3,4}'), vector_combine('{0}', '{2,3,4}'), vector_avg('{2,4,6}'),
    vector_avg('{0}') IS NULL AS none, halfvec_accum('{0}', '[1,2]'), halfvec_combine('{1,1,2}', '{2,3,4}'), halfvec_avg('{2,4,6}');
\t on
\pset format unaligned
SELECT failure(s) FROM unnest(ARRAY[
    'SELECT avg(v) FROM unnest(ARRAY[''[1]'', ''[1,2]'']::vector[]) v', 'SELECT sum(v) FROM unnest(ARRAY[''[1]'', ''[1,2]'']::vector[]) v',
    'SELECT avg(v) FROM unnest(ARRAY[''[1]'', ''[1,2]'']::halfvec[]) v', 'SELECT sum(v) FROM unnest(ARRAY[''[1]'', ''[1,2]'']::halfvec[]) v',
    'SELECT sum(v) FROM unnest(ARRAY[''[3e38]'', ''[3e38]'']::vector[]) v', 'SELECT sum(v) FROM unnest(ARRAY[''[65504]'', ''[65504]'']::halfvec[]) v'
]) s;
-- States that no aggregate makes, which anyone can pass.
SELECT failure('SELECT ' || s) FROM unnest(ARRAY[
    'vector_accum(''{}'', ''[1]'')', 'vector_avg(''{}'')', 'vector_avg(''{1}'')', 'vector_combine(''{1,1}'', ''{1,1,1}'')', 'vector_combine(''{}'', ''{1,1}'')',
    'vector_avg(''{NaN,1}'')', 'vector_avg(''{-1,1}'')', 'vector_avg(''{{1,2},{3,4}}'')', 'vector_avg(''{NULL,1}'')', 'vector_avg(''{1,NaN}'')', 'vector_avg(''{1,1e300}'')', 'halfvec_avg(''{1,1e10}'')', 'vector_avg(array_fill(1::double precision, ARRAY[16002]))'
]) s;
\t off
\pset format aligned

-- In a table: stored in the row, sorted, grouped, indexed by btree.
CREATE TABLE points (id integer PRIMARY KEY, v vector(3), h halfvec(3));
SELECT attname, attstorage, atttypmod FROM pg_attribute WHERE attrelid = 'points'::regclass AND attnum > 1;
INSERT INTO points SELECT i, ARRAY[i % 10, i % 7, i % 3]::vector, ARRAY[i % 10, i % 7, i % 3]::halfvec FROM generate_series(1, 1000) i;
INSERT INTO points VALUES (0, NULL, NULL);
SELECT count(DISTINCT v) AS v, count(DISTINCT h) AS h, count(*) - count(v) AS nulls FROM points;
SELECT v, count(*) FROM points GROUP BY v HAVING count(*) > 4 ORDER BY v LIMIT 3;
SELECT min_v, max_v FROM (SELECT v AS min_v FROM points ORDER BY v LIMIT 1) a, (SELECT v AS max_v FROM points ORDER BY v DESC NULLS LAST LIMIT 1) b;
CREATE INDEX points_v ON points (v);
CREATE INDEX points_h ON points (h);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM points WHERE v = '[1,1,1]';
SELECT id FROM points WHERE v = '[1,1,1]' ORDER BY id;
SELECT count(*) FROM points WHERE h < '[1,0,0]';
SELECT count(*) FROM points WHERE v >= '[9,6,2]';
RESET enable_seqscan;
RESET enable_bitmapscan;
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX points_unique ON points (v);
\set VERBOSITY default
DROP INDEX points_v, points_h;
-- Nearest first; ties by id; NULLs last.
SELECT id, v, v <-> '[9,6,2]' AS distance FROM points ORDER BY v <-> '[9,6,2]', id LIMIT 5;
SELECT id FROM points ORDER BY v <#> '[1,1,1]', id LIMIT 3;
SELECT id FROM points ORDER BY h <+> '[9,6,2]', id LIMIT 3;
SELECT id FROM points WHERE id IN (0, 1) ORDER BY v <-> '[1,1,1]';
SELECT a.id, b.id FROM points a JOIN points b ON a.v = b.v AND a.id < b.id WHERE a.id < 4 AND b.id < 500 ORDER BY a.id, b.id;

-- In parallel: the plans, and the same results as without.
ALTER TABLE points SET (parallel_workers = 2);
ANALYZE points;
CREATE TABLE serial_results AS SELECT
    (SELECT avg(v) FROM points) AS avg_v, (SELECT avg(h) FROM points) AS avg_h, (SELECT sum(v) FROM points) AS sum_v,
    (SELECT sum(h) FROM points WHERE id < 100) AS sum_h,
    ARRAY(SELECT id FROM points ORDER BY v <-> '[3,3,1]', id LIMIT 20) AS nearest;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT id FROM points ORDER BY v <-> '[3,3,1]', id LIMIT 20;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v), avg(h), sum(h) FROM points;
SELECT avg_v = (SELECT avg(v) FROM points) AS avg_v, avg_h = (SELECT avg(h) FROM points) AS avg_h, sum_v = (SELECT sum(v) FROM points) AS sum_v,
    sum_h = (SELECT sum(h) FROM points WHERE id < 100) AS sum_h,
    nearest = ARRAY(SELECT id FROM points ORDER BY v <-> '[3,3,1]', id LIMIT 20) AS nearest
FROM serial_results;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Vectors too long for a page are stored out of line and read back whole.
CREATE TABLE long_vectors (v vector, h halfvec);
INSERT INTO long_vectors SELECT v, v FROM (SELECT array_agg(i % 1000)::vector AS v FROM generate_series(1, 16000) i) s;
SELECT vector_dims(v), v <-> (SELECT array_agg(i % 1000)::vector FROM generate_series(1, 16000) i) AS distance,
    subvector(v, 15999, 2), subvector(h, 15999, 2) FROM long_vectors;
DROP TABLE long_vectors;

-- In views and functions.
CREATE VIEW near_points AS SELECT id, v <-> '[1,1,1]' AS distance FROM points;
SELECT * FROM near_points ORDER BY distance, id LIMIT 2;
CREATE FUNCTION centre(VARIADIC vectors vector[]) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    total vector := vectors[1] - vectors[1];
    part vector;
BEGIN
    FOREACH part IN ARRAY vectors LOOP
        total := total + part;
    END LOOP;
    RETURN total * array_fill(1.0 / array_length(vectors, 1), ARRAY[vector_dims(total)])::vector;
END;
$$;
SELECT centre('[1,2]', '[3,6]');
PREPARE nearest (vector, integer) AS SELECT id FROM points ORDER BY v <-> $1, id LIMIT $2;
EXECUTE nearest('[2,2,2]', 2);
DEALLOCATE nearest;

DROP VIEW near_points;
DROP FUNCTION centre;
DROP TABLE points, serial_results;
