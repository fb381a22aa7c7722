-- Distances of PostgreSQL's bit strings.

SELECT hamming_distance(B'101', B'111'), B'101' <~> B'010' AS hamming, jaccard_distance(B'1111', B'1110'), B'111' <%> B'110' AS jaccard;
-- Jaccard: 1 where no bit is set in both, of empty strings and zeros too.
SELECT B'' <~> B'' AS empty_hamming, B'' <%> B'' AS empty_jaccard, B'000' <%> B'000' AS zeros, B'100' <%> B'011' AS none, B'101' <%> B'101' AS same;
SELECT B'101'::varbit <~> B'111' AS varying, '101'::bit(3) <~> '110' AS of_literal, NULL::bit(3) <~> B'111' IS NULL AS null_in;
-- More bits than one step of a vectorised loop, and a rest.
SELECT n, a <~> b AS hamming, a <%> b AS jaccard
FROM (SELECT n, repeat('1', n)::varbit AS a, repeat('10', n / 2)::varbit AS b FROM unnest(ARRAY[2, 8, 62, 64, 66, 256, 258, 512, 1022, 64000, 640000]) n) strings
ORDER BY n;
-- The bits after the last whole byte count as far as they are there.
SELECT n, repeat('1', n)::varbit <~> repeat('0', n)::varbit AS hamming FROM generate_series(1, 17) n WHERE repeat('1', n)::varbit <~> repeat('0', n)::varbit <> n;

\t on
\pset format unaligned
SELECT failure('SELECT ' || s) FROM unnest(ARRAY[
    'B''101'' <~> B''1''', 'B''101'' <%> B''1''', 'hamming_distance(B''1'', B'''')', 'jaccard_distance(B'''', B''11'')', '1 <~> 2'
]) s;
-- Stored bytes that are no bit string: XX001.
BEGIN;
CREATE CAST (bytea AS varbit) WITHOUT FUNCTION;
SELECT '\x03000000a0'::bytea::varbit <~> B'001';
SELECT m, failure(format('SELECT %L::bytea::varbit <~> B''1''', m)) FROM unnest(ARRAY[
    '\x', '\x030000', '\x03000000', '\x09000000ff', '\x08000000ffff', '\xffffffffff', '\xffffff7fff'
]) m;
ROLLBACK;
\t off
\pset format aligned

-- With the signs of vectors: a column of bits, and an expression over a column of vectors.
CREATE TABLE items (id integer PRIMARY KEY, embedding vector(8), code bit(8));
INSERT INTO items SELECT i, v, binary_quantize(v)::bit(8)
FROM (SELECT i, array_agg(sin(i * j))::vector AS v FROM generate_series(1, 20) i, generate_series(1, 8) j GROUP BY i) vectors;
SELECT id, code, code <~> B'10101010' AS distance FROM items ORDER BY code <~> B'10101010', id LIMIT 4;
SELECT id FROM items ORDER BY code <%> B'11110000', id LIMIT 4;
SELECT id FROM items ORDER BY binary_quantize(embedding)::bit(8) <~> binary_quantize('[1,-1,1,-1,1,-1,1,-1]'::vector), id LIMIT 4;
SELECT id FROM (SELECT * FROM items ORDER BY binary_quantize(embedding)::bit(8) <~> binary_quantize('[1,-1,1,-1,1,-1,1,-1]'::vector), id LIMIT 8) nearest
ORDER BY embedding <=> '[1,-1,1,-1,1,-1,1,-1]', id LIMIT 3;
DROP TABLE items;

-- Strings too long for a page are read back whole.
CREATE TABLE long_strings (b varbit);
INSERT INTO long_strings VALUES (repeat('1', 1000000)::varbit);
SELECT b <~> repeat('0', 1000000)::varbit AS hamming, b <%> b AS jaccard FROM long_strings;
DROP TABLE long_strings;
