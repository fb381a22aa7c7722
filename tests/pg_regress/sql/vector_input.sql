-- Text and binary input and output of vector and halfvec, and their type modifiers.

-- What is read, and how it is written again.
SELECT v::vector AS vector, v::halfvec AS halfvec FROM (VALUES
    ('[1,2,3]'), ('  [ 1 , 2.5 ,	-3 ]  '), (E'\n[\t1\n,\r2\f]' || chr(11)), ('[+1,-1,.5,5.,-.25]'), ('[1e0,1E1,1e+2,1e-2]'),
    ('[0,-0]'), ('[0x1p4]'), ('[001,2e00]')
) AS input (v);

-- float4 is written with the shortest digits that read back as the same number.
SELECT '[0.1,0.333333333333,16777217,1e20,1e-20,3.4028235e38,1.17549435e-38,1e-45]'::vector;
SELECT '[0.1,0.33333,2049,65504,-65504,0.00006103515625,5.9604645e-8]'::halfvec;
-- A half has 11 bits: 2049 lies between 2048 and 2050 and goes to the even one; so does 65519, which is still below the
-- middle between the greatest half and the next power of two.
SELECT '[2049,2051,65519]'::halfvec;
-- Numbers too small for the element are zero, as in pgvector.
SELECT '[1e-46,-1e-46]'::vector;
SELECT '[1e-8,-1e-8]'::halfvec;

\t on
\pset format unaligned
-- Syntax: 22P02.
SELECT failure(format('SELECT %L::%s', v, t)) FROM unnest(ARRAY['vector', 'halfvec']) t, (VALUES
    (1, ''), (2, ' '), (3, '1,2,3'), (4, '{1,2}'), (5, '['), (6, '[1'), (7, '[1,'), (8, '[1,]'), (9, '[,1]'), (10, '[1,,2]'),
    (11, '[1 2]'), (12, '[1,2]]'), (13, '[1,2] 3'), (14, '[a]'), (15, '[1,b]'), (16, '[[1]]'), (17, '[1e]'), (18, '[--1]'),
    (19, '[१]'), (20, '[1;2]'), (21, '[1.2.3]')
) AS input (place, v) ORDER BY t DESC, place;
-- A long literal is cut in its error.
SELECT failure(format('SELECT %L::vector', '[' || repeat('x', 100000)));
SELECT failure(format('SELECT %L::vector', repeat('é', 300)));
-- Numbers that are not finite, and none at all: 22000. Numbers beyond the element's range: 22003.
SELECT failure(format('SELECT %L::%s', v, t)) FROM unnest(ARRAY['vector', 'halfvec']) t, (VALUES
    (1, '[]'), (2, ' [ ] '), (3, '[NaN]'), (4, '[1,nan]'), (5, '[Infinity]'), (6, '[-inf]'), (7, '[1,1e39]'), (8, '[-1e400]')
) AS input (place, v) ORDER BY t DESC, place;
SELECT failure($$SELECT '[65520]'::halfvec$$);
SELECT failure($$SELECT '[-65520]'::halfvec$$);

-- 16,000 dimensions and not one more: 54000.
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::vector), vector_dims(('[' || repeat('1,', 15999) || '1]')::halfvec);
SELECT failure(format('SELECT %L::vector', '[' || repeat('1,', 16000) || '1]'));
SELECT failure(format('SELECT %L::halfvec', '[' || repeat('1,', 16000) || '1]'));

-- Type modifiers: 22023 for those that cannot be, 22000 for values of another width.
SELECT '[1,2,3]'::vector(3), '[1,2,3]'::halfvec(3);
SELECT failure(s) FROM unnest(ARRAY[
    'SELECT NULL::vector(0)', 'SELECT NULL::vector(-1)', 'SELECT NULL::vector(16001)', 'SELECT NULL::vector(3,4)',
    'SELECT NULL::vector(''a'')', 'SELECT NULL::vector(99999999999)', 'SELECT NULL::vector(1.5)', 'SELECT NULL::vector()',
    'SELECT NULL::halfvec(0)', 'SELECT NULL::halfvec(16001)', 'SELECT NULL::halfvec(3,4)', 'SELECT NULL::halfvec(''a'')',
    'SELECT ''[1,2]''::vector(3)', 'SELECT ''[1,2]''::halfvec(3)', 'SELECT ''[1,2,3,4]''::vector(3)',
    'SELECT (''[1,2]''::vector)::vector(3)', 'SELECT (''[1,2]''::halfvec)::halfvec(3)',
    'CREATE TABLE too_wide (v vector(16001))'
]) s;
SELECT format_type('vector'::regtype, 3), format_type('halfvec'::regtype, 16000), format_type('vector[]'::regtype, 3);
CREATE TABLE widest (v vector(16000), h halfvec(16000));
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'widest'::regclass AND attnum > 0;
DROP TABLE widest;
\t off
\pset format aligned

-- At top level: psql shows where in the statement a literal stands.
SELECT '[1,2'::vector;
SELECT 'a'::halfvec;
\set VERBOSITY sqlstate
SELECT '[1,2'::vector;
SELECT '[NaN]'::vector;
SELECT '[1e39]'::vector;
\set VERBOSITY default

-- A column holds what fits it.
CREATE TABLE vectors (id integer PRIMARY KEY, v vector(3), h halfvec(3), any_v vector);
INSERT INTO vectors VALUES (1, '[1,2,3]', '[1,2,3]', '[1]'), (2, NULL, NULL, NULL),
    (3, '[-0.1,1e-45,3.4028235e38]', '[-0.1,65504,5.9604645e-8]', '[1,2,3,4,5]');
INSERT INTO vectors VALUES (4, '[1,2]', NULL, NULL);
INSERT INTO vectors VALUES (4, NULL, '[1,2,3,4]', NULL);
UPDATE vectors SET v = '[1,2,3,4]';
INSERT INTO vectors (id, v) VALUES (4, '[1,NaN,3]');
ALTER TABLE vectors ALTER any_v TYPE vector(3);
SELECT * FROM vectors ORDER BY id;

-- COPY as text, both ways.
COPY vectors TO stdout;
CREATE TABLE copied (LIKE vectors);
COPY copied FROM stdin;
1	[1,2,3]	[1,2,3]	[1]
2	\N	\N	\N
\.
COPY copied FROM stdin;
3	[1,2]	[1,2,3]	[1]
\.
COPY copied FROM stdin;
3	[1,2,x]	[1,2,3]	[1]
\.
COPY copied (id, v) FROM stdin (FORMAT csv);
4,"[4,5,6]"
\.
SELECT * FROM copied ORDER BY id;
TRUNCATE copied;

-- COPY as binary, through a file in the server's data directory, which a superuser may name relative to it.
COPY vectors TO PROGRAM 'cat > castmatch_vectors.copy' (FORMAT binary);
COPY copied FROM PROGRAM 'cat castmatch_vectors.copy' (FORMAT binary);
SELECT count(*) AS rows, bool_and(vector_send(c.v) = vector_send(v.v) AND halfvec_send(c.h) = halfvec_send(v.h)
    AND vector_send(c.any_v) = vector_send(v.any_v)) AS same_bytes
FROM copied c JOIN vectors v USING (id);

-- The bytes: 16 bits of dimensions, 16 bits of zero, the elements; all big-endian.
SELECT vector_send('[1,-2.5]'), halfvec_send('[1,-2.5]');
SELECT vector_send('[-0,1e-45,3.4028235e38]'), halfvec_send('[-0,5.9604645e-8,65504]');

-- Malformed messages: 22P03 where the message does not add up, the errors of the text format where it says something that a vector
-- cannot be.
\t on
\pset format unaligned
SELECT received('vector', '0002 0000 3f800000 c0200000');
SELECT received('halfvec', '0002 0000 3c00 c100');
SELECT received('vector', '');
SELECT received('vector', '0001');
SELECT received('vector', '0000 0000');
SELECT received('vector', '0001 0001 3f800000');
SELECT received('vector', '0002 0000 3f800000');
SELECT received('vector', '0001 0000 3f800000 3f800000');
SELECT received('vector', '0001 0000 3f8000');
SELECT received('vector', 'ffff 0000 3f800000');
SELECT received('vector', '3e81 0000 3f800000');
SELECT received('vector', '0001 0000 7fc00000');
SELECT received('vector', '0001 0000 ff800000');
SELECT received('vector(3)', '0002 0000 3f800000 c0200000');
SELECT received('halfvec', '');
SELECT received('halfvec', '0001 ffff 3c00');
SELECT received('halfvec', '0002 0000 3c00');
SELECT received('halfvec', '0001 0000 7e00');
SELECT received('halfvec', '0001 0000 7c00');
SELECT received('halfvec(3)', '0001 0000 3c00');
\t off
\pset format aligned

COPY (SELECT WHERE false) TO PROGRAM 'rm -f castmatch_vectors.copy';
DROP TABLE vectors, copied;
