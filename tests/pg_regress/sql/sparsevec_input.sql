-- Text and binary input and output of sparsevec, and its type modifier.

-- What is read, and how it is written again: in order, without zeros.
SELECT v::sparsevec FROM (VALUES
    (1, '{1:1.5,3:3.5}/5'), (2, '{3:3.5,1:1.5}/5'), (3, '{}/5'), (4, '  { 1 :	1.5 , 3 : -3.5 }  /  5 '), (5, E'{\n1:1\r,\f2:2' || chr(11) || '}/2'),
    (6, '{+1:+1,002:.5,3:5.,4:1e1,5:0x1p4}/+5'), (7, '{1:0,2:1,3:-0}/3'), (8, '{0:0,-7:0,99999999999:0,2:0,2:1}/3'),
    (9, '{1000000000:1}/1000000000')
) AS input (place, v) ORDER BY place;
-- float4 is written with the shortest digits that read back as the same number.
SELECT '{1:0.1,2:0.333333333333,3:16777217,4:1e20,5:1e-20,6:3.4028235e38,7:1e-45}/7'::sparsevec;

\t on
\pset format unaligned
-- Syntax: 22P02.
SELECT failure(format('SELECT %L::sparsevec', v)) FROM (VALUES
    (1, ''), (2, ' '), (3, '1:1}/1'), (4, '[1]'), (5, '{'), (6, '{:'), (7, '{,'), (8, '{1'), (9, '{1:'), (10, '{1:1'), (11, '{1:1,'),
    (12, '{1:1,}/1'), (13, '{,1:1}/1'), (14, '{1:1 2:1}/2'), (15, '{1:a}/1'), (16, '{a:1}/1'), (17, '{1.5:1}/2'), (18, '{1;1}/1'),
    (19, '{1:1}'), (20, '{}'), (21, '{1:1}x/1'), (22, '{1:1}/'), (23, '{1:1}/a'), (24, '{1:1}/+'), (25, '{1:1}/1x'), (26, '{1:1}/1.5'),
    (27, '{1:1}/1 1'), (28, '{१:1}/1'), (29, '{1:1}/१')
) AS input (place, v) ORDER BY place;
-- A long literal is cut in its error.
SELECT failure(format('SELECT %L::sparsevec', '{' || repeat('x', 100000)));
-- Values that are not finite, indices where none may stand, no dimensions: 22000. Values that real cannot hold: 22003. Too many dimensions: 54000.
SELECT failure(format('SELECT %L::sparsevec', v)) FROM (VALUES
    (1, '{}/0'), (2, '{}/-1'), (3, '{}/-99999999999'), (4, '{}/1000000001'), (5, '{}/99999999999999999999'), (6, '{0:1}/1'), (7, '{-1:1}/1'),
    (8, '{2:1}/1'), (9, '{1:1,2:1}/1'), (10, '{-99999999999999999999:1}/1'), (11, '{99999999999999999999:1}/1'), (12, '{-2147483648:1}/1'),
    (13, '{1:1,1:2}/3'), (14, '{2:1,1:1,2:2}/3'), (15, '{1:NaN}/1'), (16, '{1:-inf}/1'), (17, '{1:Infinity'), (18, '{1:1e39'),
    (19, '{1:-4e38}/1'), (20, '{1:1e-46}/1'), (21, '{1:-1e-400}/1')
) AS input (place, v) ORDER BY place;

-- 16,000 elements that are not zero and not one more: 54000.
CREATE FUNCTION full_literal(elements integer, dims integer) RETURNS text LANGUAGE sql AS $$
    SELECT format('{%s}/%s', string_agg(i || ':1', ','), dims) FROM generate_series(1, elements) i
$$;
SELECT full_literal(16000, 16000)::sparsevec::text = full_literal(16000, 16000), l1_distance(full_literal(16000, 16000)::sparsevec, '{}/16000');
SELECT failure(format('SELECT %L::sparsevec', full_literal(16001, 16001)));
SELECT failure(format('SELECT %L::sparsevec', repeat(',', 16000)));
DROP FUNCTION full_literal;

-- Type modifiers: 22023 for those that cannot be, 22000 for values of another width.
SELECT '{1:1}/3'::sparsevec(3), NULL::sparsevec(1000000000);
SELECT failure(s) FROM unnest(ARRAY[
    'SELECT NULL::sparsevec(0)', 'SELECT NULL::sparsevec(-1)', 'SELECT NULL::sparsevec(1000000001)', 'SELECT NULL::sparsevec(3,4)',
    'SELECT NULL::sparsevec(''a'')', 'SELECT NULL::sparsevec(99999999999)', 'SELECT ''{1:1}/2''::sparsevec(3)',
    'SELECT (''{1:1}/4''::sparsevec)::sparsevec(3)', 'CREATE TABLE too_wide (v sparsevec(1000000001))'
]) s;
SELECT format_type('sparsevec'::regtype, 3), format_type('sparsevec[]'::regtype, 1000000000);
\t off
\pset format aligned

-- At top level: psql shows where in the statement a literal stands.
SELECT '{1:1'::sparsevec;
\set VERBOSITY sqlstate
SELECT '{1:1'::sparsevec;
SELECT '{1:1}/0'::sparsevec;
\set VERBOSITY default

-- A column holds what fits it.
CREATE TABLE vectors (id integer PRIMARY KEY, v sparsevec(5), any_v sparsevec);
INSERT INTO vectors VALUES (1, '{1:1,5:2}/5', '{}/1'), (2, NULL, NULL), (3, '{2:-0.1,3:1e-45,4:3.4028235e38}/5', '{1000000000:7}/1000000000');
INSERT INTO vectors VALUES (4, '{1:1}/4', NULL);
UPDATE vectors SET v = '{1:1}/6';
ALTER TABLE vectors ALTER any_v TYPE sparsevec(1);
SELECT * FROM vectors ORDER BY id;
SELECT attname, attstorage, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'vectors'::regclass AND attnum > 1;

-- COPY as text, both ways.
COPY vectors TO stdout;
CREATE TABLE copied (LIKE vectors);
COPY copied FROM stdin;
1	{1:1,5:2}/5	{}/1
2	\N	\N
\.
COPY copied FROM stdin;
3	{1:1}/4	{}/1
\.
COPY copied FROM stdin;
3	{1:x}/5	{}/1
\.
COPY copied (id, v) FROM stdin (FORMAT csv);
4,"{1:1,2:2}/5"
\.
SELECT * FROM copied ORDER BY id;
TRUNCATE copied;

-- COPY as binary, through a file in the server's data directory, which a superuser may name relative to it.
COPY vectors TO PROGRAM 'cat > castmatch_vectors.copy' (FORMAT binary);
COPY copied FROM PROGRAM 'cat castmatch_vectors.copy' (FORMAT binary);
SELECT count(*) AS rows, bool_and(sparsevec_send(c.v) = sparsevec_send(v.v) AND sparsevec_send(c.any_v) = sparsevec_send(v.any_v)) AS same_bytes
FROM copied c JOIN vectors v USING (id);
COPY (SELECT WHERE false) TO PROGRAM 'rm -f castmatch_vectors.copy';

-- The bytes: 32 bits each of dimensions, elements and zero, the indices from 0, the values; all big-endian.
SELECT sparsevec_send('{1:1,5:-2.5}/7'), sparsevec_send('{}/1');

-- Malformed messages: 22P03 where the message does not add up, the errors of the text format where it says something that a vector cannot be.
\t on
\pset format unaligned
SELECT received('sparsevec', m) FROM (VALUES
    (1, '00000007 00000002 00000000 00000000 00000004 3f800000 c0200000'), (2, '00000003 00000000 00000000'), (3, ''), (4, '00000003'),
    (5, '00000003 00000001 00000000 00000000'), (6, '00000003 00000001 00000000 00000000 3f800000 3f800000'),
    (7, '00000003 00000001 00000000 00000000 3f8000'), (8, '00000000 00000000 00000000'), (9, 'ffffffff 00000000 00000000'),
    (10, '3b9aca01 00000000 00000000'), (11, '00000003 ffffffff 00000000'), (12, '00000003 00000004 00000000'),
    (13, '3b9aca00 00003e81 00000000'), (14, '7fffffff 7fffffff 00000000'), (15, '00000003 00000000 00000001'),
    (16, '00000003 00000001 00000000 00000003 3f800000'), (17, '00000003 00000001 00000000 ffffffff 3f800000'),
    (18, '00000003 00000002 00000000 00000001 00000000 3f800000 3f800000'),
    (19, '00000003 00000002 00000000 00000001 00000001 3f800000 3f800000'), (20, '00000003 00000001 00000000 00000000 7fc00000'),
    (21, '00000003 00000001 00000000 00000000 ff800000'), (22, '00000003 00000001 00000000 00000000 00000000'),
    (23, '00000003 00000001 00000000 00000000 80000000')
) AS message (place, m) ORDER BY place;
SELECT received('sparsevec(4)', '00000003 00000000 00000000');
-- Stored bytes that are no sparse vector: XX001. These are in the order of the machine, which is little-endian.
BEGIN;
CREATE CAST (bytea AS sparsevec) WITHOUT FUNCTION;
SELECT '\x05000000020000000000000000000000040000000000803f00000040'::bytea::sparsevec;
SELECT m, failure(format('SELECT l2_norm(%L::bytea::sparsevec)', m)) FROM unnest(ARRAY[
    '\x', '\x05000000', '\x050000000000000000', '\x000000000000000000000000', '\xffffffff0000000000000000', '\x01ca9a3b0000000000000000',
    '\x05000000ffffffff00000000', '\x050000000100000000000000', '\x05000000ffffff1f00000000', '\x05000000010000000000000000000000',
    '\x0500000001000000000000000500000000000000', '\x050000000100000000000000ffffffff0000803f',
    '\x05000000020000000000000004000000000000000000803f0000803f', '\x05000000020000000000000004000000040000000000803f0000803f'
]) m;
ROLLBACK;
\t off
\pset format aligned

DROP TABLE vectors, copied;
