-- castmatch.match_vector and castmatch.similar, and the options that they share with match. The embeddings are written by hand: row n
-- lies at n times ten degrees from the first axis, so that similarities are known.
CREATE SCHEMA vectors;
SET search_path = vectors, public;
SET extra_float_digits = 0;
CREATE FUNCTION at(degrees float8, depth float8 DEFAULT 0) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY[cosd(degrees), sind(degrees), depth] || array_fill(0::float8, ARRAY[381]))::vector(384)
$$;
CREATE TABLE points (id integer PRIMARY KEY, body text, grade integer, tags text[], embedding vector(384));
INSERT INTO points SELECT n, 'point ' || n, n % 3, ARRAY['t' || n % 2], at(n * 10) FROM generate_series(0, 9) n;
INSERT INTO points VALUES (10, 'no embedding', 0, '{t0}', NULL);
SELECT castmatch.attach('points', '{body}', filters => '{grade}', embed_mode => 'off');

CREATE FUNCTION found(degrees float8, k integer DEFAULT 3, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(key || ' ' || round(similarity::numeric, 2), ', ' ORDER BY place)
    FROM castmatch.match_vector('vectors.points', at(degrees), k, filter, prefer, options)
        WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place)
$$;
CREATE FUNCTION like_row(row_key text, k integer DEFAULT 3, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(key || ' ' || round(similarity::numeric, 2), ', ' ORDER BY place)
    FROM castmatch.similar('vectors.points', row_key, k, filter, prefer, options)
        WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place)
$$;

SELECT found(0), found(44, 2), found(0, 100);
SELECT key, round(score::numeric, 3) AS score, round(similarity::numeric, 3) AS similarity, semantic_rank, text_rank, reasons
FROM castmatch.match_vector('points', at(88), 2, '{"grade": {"gte": 0}}', '[{"column": "grade", "weight": 0.5, "at_least": 2}]');
SELECT found(0, 3, '{"grade": 2}'), found(0, 3, '{"tags": {"contains": ["t1"]}}'), found(0, 3, '{"grade": 7}') IS NULL AS none;
-- Like a row: not the row itself, whichever way its key is written.
SELECT like_row('0'), like_row(' 007 '), like_row('9', 1, '{"grade": 1}'), like_row('4', 2, NULL, '[{"column": "grade", "weight": 1, "higher": true}]');

-- Options
SELECT found(0, 3, options => '{"offset": 2}'), found(0, 3, options => '{"offset": 8}'), found(0, 3, options => '{"offset": 100}') IS NULL AS past_the_end;
SELECT found(0, 10, options => '{"min_similarity": 0.7}'), found(0, 10, options => '{"min_similarity": 1}'), found(180, 10, options => '{"min_similarity": 0}'),
    found(180, 2, options => '{"min_similarity": -0.5}'), found(90, 10, '{"grade": 0}', options => '{"min_similarity": 0.5}');
SELECT found(0, 3, options => '{"candidates": 1}'), found(0, 1, NULL, '[{"column": "grade", "weight": 1, "higher": true}]', '{"candidates": 2}');
-- Diversity: with its weight at 1 nothing changes; below, what is like a better row falls behind; the first row stays.
SELECT found(0, 3, options => '{"mmr": 1}') = found(0, 3) AS same, found(0, 3, options => '{"mmr": 0.6}'), found(0, 3, options => '{"mmr": {"lambda": 0.3}}'),
    found(0, 3, options => '{"mmr": {"lambda": 0, "candidates": 3}}'), found(0, 2, options => '{"mmr": 0.3, "offset": 1}'), like_row('0', 3, options => '{"mmr": 0.3}');
SELECT count(DISTINCT f) FROM generate_series(1, 5), LATERAL found(0, 5, options => '{"mmr": 0.4, "cache": "bypass"}') f;
SELECT found(0, 4, '{"grade": {"ne": 0}}', '[{"column": "grade", "weight": 0.3, "higher": true}]', '{"mmr": 0.5, "min_similarity": 0.1}');
-- Reasons
SELECT key, reasons FROM castmatch.match_vector('points', at(0), 1, '{"grade": {"gte": 0, "lt": 2}, "tags": {"overlaps": ["t0"]}}', options => '{"reasons": "text"}');
SELECT key, reasons FROM castmatch.match_vector('points', at(60), 1, '{"grade": 0}', '[{"column": "grade", "weight": 0.5, "near": 10, "scale": 5}]', '{"reasons": "text"}');
SELECT key, reasons IS NULL AS left_out FROM castmatch.similar('points', '0', 1, options => '{"reasons": false}');
-- Each call has a place of its own in the caches.
SELECT found(0, 1), found(0, 1, options => '{"offset": 1}'), found(90, 1), like_row('0', 1), like_row('9', 1), found(0, 1, options => '{"min_similarity": 0.99999}');
SELECT found(0, 1), found(0, 1, options => '{"offset": 1}'), found(90, 1), like_row('0', 1), like_row('9', 1), found(0, 1, options => '{"min_similarity": 0.99999}');
UPDATE points SET embedding = at(91) WHERE id = 0;
SELECT found(0, 1), found(90, 2), like_row('0', 1), like_row('9', 1);
UPDATE points SET embedding = at(0) WHERE id = 0;

-- What is wrong is named.
\t on
\pset format unaligned
SELECT a, failure('SELECT * FROM castmatch.match_vector(' || a || ')') FROM unnest(ARRAY[
    'NULL, at(0)', '''points'', NULL', '''points'', at(0), NULL', '''points'', at(0), -1', '''points'', at(0), 10001', '''points'', ''[1,2,3]''', '''points'', at(0), 1, ''{"grad": 1}''',
    '''points'', at(0), 1, options => ''{"rrf_k": 1}''', '''points'', at(0), 1, options => ''{"text_weight": 1}''', '''points'', at(0), 1, options => ''{"ofset": 1}''',
    '''points'', at(0), 1, options => ''{"offset": 10001}''', '''points'', at(0), 1, options => ''{"min_similarity": 2}''', '''points'', at(0), 1, options => ''{"mmr": -1}''',
    '''pg_class'', at(0)', '''points'', (at(0)::halfvec)::vector'
]) a;
SELECT a, failure('SELECT * FROM castmatch.similar(' || a || ')') FROM unnest(ARRAY[
    'NULL, ''0''', '''points'', NULL', '''points'', ''99''', '''points'', ''no number''', '''points'', ''10''', '''points'', ''0'', 10001', '''points'', ''0'', options => ''{"semantic_weight": 1}'''
]) a;
\t off
\pset format aligned

-- Columns of half precision; keys of several columns.
CREATE TABLE halves (shelf text, place integer, body text, embedding halfvec(384), PRIMARY KEY (shelf, place));
INSERT INTO halves SELECT 'a"' || n % 2, n, 'half ' || n, at(n * 10)::halfvec FROM generate_series(0, 9) n;
SELECT castmatch.attach('halves', '{body}', embed_mode => 'off');
SELECT key, round(similarity::numeric, 2) AS similarity FROM castmatch.match_vector('halves', at(41), 2, options => '{"mmr": 0.9}');
SELECT key, round(similarity::numeric, 2) AS similarity FROM castmatch.similar('halves', '["a\"0","4"]', 3);
\t on
\pset format unaligned
SELECT failure('SELECT * FROM castmatch.similar(''halves'', ''4'')');
SELECT failure('SELECT * FROM castmatch.match_vector(''halves'', ''[1]'')');
\t off
\pset format aligned
-- A vector without a direction is like no other.
INSERT INTO points VALUES (11, 'nowhere', 0, '{}', array_fill(0, ARRAY[384])::vector);
SELECT found(0, 100), like_row('11') IS NULL AS like_nothing;
DELETE FROM points WHERE id = 11;

-- The vector index serves every leg by meaning: the order is that of the bare distance operator, ascending.
CREATE TABLE many (id integer PRIMARY KEY, body text, half boolean, embedding vector(384));
INSERT INTO many SELECT n, 'row ' || n, n % 2 = 0, at(n * 0.1, n % 7) FROM generate_series(1, 3000) n;
SELECT castmatch.attach('many', '{body}', embed_mode => 'off', index_method => 'castmatch_hnsw');
CREATE INDEX IF NOT EXISTS many_vectors ON many USING castmatch_hnsw (embedding vector_cosine_ops, half);
ANALYZE many;
CREATE FUNCTION index_scans() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT sum(pg_stat_get_xact_numscans(i.indexrelid))::bigint FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = 'vectors.many'::regclass AND a.amname = 'castmatch_hnsw'
$$;
CREATE FUNCTION scans_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := vectors.index_scans();
    rows bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s) q', query) INTO rows;
    RETURN format('%s rows by %s index scan', rows, vectors.index_scans() - before);
END;
$$;
SELECT q, scans_of(q) FROM unnest(ARRAY[
    'SELECT * FROM castmatch.match_vector(''many'', at(20), 10, options => ''{"cache": "bypass"}'')',
    'SELECT * FROM castmatch.match_vector(''many'', at(20), 10, ''{"half": true}'', options => ''{"cache": "bypass"}'')',
    'SELECT * FROM castmatch.match_vector(''many'', at(20), 10, NULL, ''[{"column": "id", "weight": 0.1, "higher": true}]'', ''{"cache": "bypass", "mmr": 0.5, "min_similarity": 0}'')',
    'SELECT * FROM castmatch.similar(''many'', ''200'', 10, options => ''{"cache": "bypass"}'')',
    'SELECT * FROM castmatch.match(''many'', ''row 7'', 10, options => ''{"cache": "bypass"}'')',
    'SELECT * FROM castmatch.match(''many'', ''row 7'', 10, mode => ''semantic'', options => ''{"cache": "bypass"}'')'
]) q;
-- As often as it takes for a plan that is kept.
SELECT scans_of('SELECT m.* FROM generate_series(1, 10) g, LATERAL castmatch.match_vector(''many'', at(g), 10, options => ''{"cache": "bypass"}'') m');

-- Rights and row security: those of the caller.
CREATE ROLE regress_vector_reader;
GRANT USAGE ON SCHEMA vectors TO regress_vector_reader;
SET ROLE regress_vector_reader;
\t on
\pset format unaligned
SELECT failure('SELECT * FROM castmatch.match_vector(''many'', at(0))');
SELECT failure('SELECT * FROM castmatch.similar(''many'', ''1'')');
RESET ROLE;
GRANT SELECT (id) ON many TO regress_vector_reader;
SET ROLE regress_vector_reader;
SELECT failure('SELECT * FROM castmatch.match_vector(''many'', at(0))');
SELECT failure('SELECT * FROM castmatch.similar(''many'', ''1'')');
RESET ROLE;
GRANT SELECT (id, embedding) ON many TO regress_vector_reader;
SET ROLE regress_vector_reader;
SELECT count(*) FROM castmatch.match_vector('many', at(0), 5);
SELECT failure('SELECT * FROM castmatch.match_vector(''many'', at(0), filter => ''{"half": true}'')');
RESET ROLE;
\t off
\pset format aligned
GRANT SELECT ON many TO regress_vector_reader;
ALTER TABLE many ENABLE ROW LEVEL SECURITY;
-- One row in a hundred is visible, and k of them come back.
CREATE POLICY hundredth ON many FOR SELECT TO regress_vector_reader USING (id % 100 = 0);
SET ROLE regress_vector_reader;
SELECT count(*), bool_and(key::integer % 100 = 0) AS visible_only FROM castmatch.match_vector('many', at(5), 10);
SELECT count(*), bool_and(key::integer % 100 = 0) AS visible_only FROM castmatch.match_vector('many', at(5), 10, '{"half": true}', options => '{"offset": 5, "mmr": 0.5}');
SELECT count(*), bool_and(key::integer % 100 = 0) AS visible_only FROM castmatch.similar('many', '200', 20);
SELECT count(*), bool_and(key::integer % 100 = 0) AS visible_only FROM castmatch.match('many', 'row 100', 20);
\t on
\pset format unaligned
SELECT failure('SELECT * FROM castmatch.similar(''many'', ''201'')');
SELECT failure('SELECT * FROM castmatch.similar(''many'', ''999999'')');
SET row_security = off;
SELECT failure('SELECT * FROM castmatch.match_vector(''many'', at(0))');
SELECT failure('SELECT * FROM castmatch.similar(''many'', ''200'')');
RESET row_security;
RESET ROLE;
\t off
\pset format aligned
-- The owner sees every row, unless it is forced under its own policies.
CREATE ROLE regress_vector_owner;
GRANT USAGE, CREATE ON SCHEMA vectors TO regress_vector_owner;
ALTER TABLE many OWNER TO regress_vector_owner;
SET ROLE regress_vector_owner;
SELECT count(*) FROM castmatch.match_vector('many', at(0), 100);
ALTER TABLE many FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM castmatch.match_vector('many', at(0), 100);
SELECT count(*) FROM castmatch.match('many', 'row 100', 100);
RESET ROLE;

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA vectors CASCADE;
DROP ROLE regress_vector_reader, regress_vector_owner;
