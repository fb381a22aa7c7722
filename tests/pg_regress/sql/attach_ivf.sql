-- A table attached with index_method castmatch_ivf: the index that it gets, serves its searches, and goes with it.
CREATE SCHEMA inverted;
SET search_path = inverted, public;
-- A vector at that angle, of the model's width.
CREATE FUNCTION at(degrees float8) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY[cosd(degrees), sind(degrees)] || array_fill(0::float8, ARRAY[382]))::vector(384)
$$;
CREATE TABLE people (id integer PRIMARY KEY, body text, age integer, embedding vector(384));
INSERT INTO people SELECT n, 'row ' || n, n % 10, at(n * n * 0.1) FROM generate_series(1, 40) n;
SELECT castmatch.attach('people', '{body}', filters => '{age}', embed_mode => 'off', index_method => 'castmatch_ivf');
SELECT index_method FROM castmatch.registrations WHERE target = 'people'::regclass;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'inverted' AND indexdef LIKE '%castmatch_ivf%';
ANALYZE people;
SET castmatch.probes = 65536;
SET castmatch.rerank_confidence = 10;
SET enable_seqscan = off;
SELECT key, round(similarity::numeric, 3) AS similarity FROM castmatch.match_vector('people', at(5.1), 3);
SELECT key, round(similarity::numeric, 3) AS similarity FROM castmatch.match_vector('people', at(5.1), 3, '{"age": {"in": [1, 2]}}');
SELECT key, round(similarity::numeric, 3) AS similarity FROM castmatch.similar('people', '20', 2);
SELECT count(*) FROM castmatch.match_vector('people', at(5.1), 100);
INSERT INTO people VALUES (41, 'row 41', 3, at(5.12));
SELECT key FROM castmatch.match_vector('people', at(5.1), 1);
SELECT index, "table", method, valid FROM jsonb_to_recordset(castmatch.performance() -> 'indexes') AS i (index text, "table" text, method text, valid boolean)
WHERE method = 'castmatch_ivf';
SELECT count(*) FROM castmatch.metrics() WHERE name = 'castmatch_index_size_bytes' AND labels ->> 'index' LIKE '%people%';
RESET enable_seqscan;
RESET castmatch.probes;
RESET castmatch.rerank_confidence;
SELECT castmatch.detach('people');
SELECT count(*) AS indexes FROM pg_indexes WHERE schemaname = 'inverted' AND indexdef LIKE '%castmatch%';
-- One that is there, of either method, is kept.
CREATE INDEX people_mine ON people USING castmatch_hnsw (embedding vector_cosine_ops);
SELECT castmatch.attach('people', '{body}', embed_mode => 'off', index_method => 'castmatch_ivf');
SELECT indexname FROM pg_indexes WHERE schemaname = 'inverted' AND indexdef LIKE '%castmatch%' AND indexdef NOT LIKE '%gin%';
SET client_min_messages = warning;
SELECT castmatch.detach('people');
DROP SCHEMA inverted CASCADE;
RESET client_min_messages;
