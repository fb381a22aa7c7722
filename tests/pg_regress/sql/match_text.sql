-- The text leg of castmatch.match: BM25 over the index of castmatch.text_terms.
CREATE SCHEMA texts;
SET search_path = texts, public;

-- What the index holds: one key for each distinct word, the level in its last four bits. Indexes hold these numbers: they never change.
SELECT castmatch.text_terms('english', 4, 'The horse rides horses, a rider rode'), castmatch.text_terms('simple', 4, 'horse');
SELECT text, castmatch.text_terms('english', 10, text) FROM unnest(ARRAY['', ' ', 'the and of', '''', '''''''"\ | & ! () <->', '-- ; DROP TABLE', NULL]) text;
SELECT castmatch.text_terms(NULL, 10, 'x') IS NULL AND castmatch.text_terms('english', NULL, 'x') IS NULL AS strict;
\t on
\pset format unaligned
SELECT failure(format('SELECT castmatch.text_terms(%s)', a)) FROM unnest(ARRAY['0, 10, ''x''', '''klingon'', 10, ''x''', '''english'', 0, ''x''', '''english'', -1, ''x''', '''english'', ''NaN'', ''x''', '''english'', ''Infinity'', ''x''']) a;
\t off
\pset format aligned
-- Texts of any kind and length; what counts as a letter is the locale's matter. Words of more than 2 kB are left out, with a notice, as by to_tsvector.
SET client_min_messages = warning;
SELECT cardinality(castmatch.text_terms('english', 10, repeat('x', 3000))) AS too_long,
    cardinality(castmatch.text_terms('english', 10, repeat('y', 3000) || ' horse')) AS one,
    cardinality(castmatch.text_terms('english', 10, repeat('ü', 3000000))) AS no_blank,
    cardinality(castmatch.text_terms('english', 10, repeat('mother ', 1500000))) AS megabytes,
    cardinality(castmatch.text_terms('english', 10, (SELECT string_agg('w' || i, ' ') FROM generate_series(1, 100000) i))) AS distinct_words,
    cardinality(castmatch.text_terms('english', 10, E'\x01\x7f हिन्दी 日本語 \u200b <a href="x">e@mail.org</a> http://a.b/c?d=e 1e5 -3.14')) > 5 AS odd;
RESET client_min_messages;

-- Ranks are those of BM25, computed here from tsvectors, up to the levels: a ratio of at most 2^(1/6).
CREATE TABLE docs (id integer PRIMARY KEY, title text, body varchar);
INSERT INTO docs SELECT i, 'title ' || w[1 + i % 3], array_to_string(ARRAY(
        SELECT w[1 + floor(sqrt((i * 7919 + j * j * 104729) % 401))::integer] FROM generate_series(1, 2 + i * i % 37) j), ' ')
    FROM generate_series(1, 500) i, (SELECT string_to_array('horse mother dancer singer opera violin comedy drama village river mountain sword queen king knight castle forest robber merchant sailor ocean', ' ') AS w) w;
INSERT INTO docs VALUES (501, NULL, NULL), (502, '', ''), (503, 'the', 'and of'), (504, NULL, 'zebra');
SELECT castmatch.attach('docs', '{title,body}', embed_mode => 'off');
SELECT regexp_replace(pg_get_indexdef(indexrelid), '[0-9.]+''::real', 'N''::real') AS index FROM pg_index WHERE indexrelid = 'docs_castmatch_text'::regclass;

CREATE FUNCTION average() RETURNS float8 LANGUAGE sql AS
    $$ SELECT (regexp_match(pg_get_indexdef('texts.docs_castmatch_text'::regclass), '''([0-9.]+)''::real'))[1]::float8 $$;
SELECT abs(average() - avg(words)) < 0.06 AS measured FROM (
    SELECT sum(cardinality(v.positions)) AS words FROM docs, unnest(to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, ''))) v GROUP BY id) d;
CREATE FUNCTION exact(query text) RETURNS TABLE (key text, rank float8) LANGUAGE sql AS $$
    WITH words AS (
        SELECT id, v.lexeme, cardinality(v.positions) AS tf FROM docs, unnest(to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, ''))) v),
    lengths AS (SELECT id, sum(tf) AS dl FROM words GROUP BY id),
    idfs AS (SELECT lexeme, ln(1 + ((SELECT reltuples FROM pg_class WHERE oid = 'texts.docs'::regclass) - count(*) + 0.5) / (count(*) + 0.5)) AS idf FROM words GROUP BY lexeme)
    SELECT id::text, sum(idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * dl / average())))
    FROM words JOIN lengths USING (id) JOIN idfs USING (lexeme)
    WHERE lexeme = ANY (tsvector_to_array(to_tsvector('english', query))) GROUP BY id
$$;
-- The text leg's rank is score / (1 - score).
CREATE FUNCTION found(query text) RETURNS TABLE (key text, rank float8, place bigint) LANGUAGE sql AS
    $$ SELECT key, score / (1 - score), place FROM castmatch.match('texts.docs', query, 10000, mode => 'text') WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place) $$;
CREATE FUNCTION compare(query text) RETURNS TABLE (rows bigint, missing bigint, superfluous bigint, within boolean, falling boolean, order_kept boolean) LANGUAGE sql AS $$
    WITH f AS MATERIALIZED (SELECT * FROM found(query)), e AS MATERIALIZED (SELECT * FROM exact(query)),
    both_ AS MATERIALIZED (SELECT f.key, f.rank, f.place, e.rank AS exact FROM f JOIN e USING (key))
    SELECT count(f.key), count(*) FILTER (WHERE f.key IS NULL), count(*) FILTER (WHERE e.key IS NULL),
        bool_and(f.rank / e.rank BETWEEN 2 ^ (-1 / 6.0) - 1e-6 AND 2 ^ (1 / 6.0) + 1e-6),
        (SELECT bool_and(rank <= before) FROM (SELECT rank, lag(rank, 1, 'infinity') OVER (ORDER BY place) + 1e-9 AS before FROM f) s),
        -- Rows whose exact scores lie further apart than the levels can bring together.
        (SELECT count(*) = 0 FROM both_ a JOIN both_ b ON a.exact > b.exact * 2 ^ (1 / 3.0) * 1.000001 AND a.place > b.place)
    FROM f FULL JOIN e USING (key)
$$;
SELECT query, c.* FROM unnest(ARRAY['horse', 'zebra', 'zebra horse', 'the queen and her castle', 'dancers in a village opera', 'sailors, oceans & rivers | title!', 'robber robber robber', 'nothing of it', 'horse mother dancer singer opera violin comedy drama village river mountain sword queen king']) query, compare(query) c;
-- A rare word counts more than a common one, a short row more than a long one.
SELECT key FROM castmatch.match('docs', 'zebra horse', 1, mode => 'text');

-- Queries are data. Those without words find nothing by text.
SET client_min_messages = warning;
SELECT length(query), count(m.key) FROM unnest(ARRAY['the and of', '''', '"', '\', '''horse''', 'horse:*', '!horse', 'horse & !horse', '(((', '<->', 'horse <2> queen', E'\x01', '--', '%', repeat('horse ', 20000), repeat('x', 100000), repeat('a-', 50000), repeat('<', 50000),
    (SELECT string_agg('w' || i, ' ') FROM generate_series(1, 20000) i) || ' horse', repeat('''', 100000), repeat('a.', 50000), repeat('http://a/', 10000)]) query
LEFT JOIN LATERAL castmatch.match('docs', query, 5, mode => 'text') m ON true GROUP BY query ORDER BY min(query COLLATE "C"), length(query);
RESET client_min_messages;
-- Words as they were written.
SELECT reasons#>'{text,matched_terms}' AS matched FROM castmatch.match('docs', 'Horses, QUEENS and a sailor''s zebra-castle', 3, mode => 'text') ORDER BY key::integer;

-- What this transaction has written counts, what it has deleted does not.
BEGIN;
INSERT INTO docs VALUES (1000, 'unicorn', 'a unicorn');
SELECT key FROM castmatch.match('docs', 'unicorns', mode => 'text');
UPDATE docs SET body = 'a dragon' WHERE id = 1000;
SELECT query, (SELECT key FROM castmatch.match('docs', query, mode => 'text')) AS key FROM unnest(ARRAY['unicorns', 'dragons']) query;
DELETE FROM docs WHERE id = 1000;
SELECT count(*) FROM castmatch.match('docs', 'dragons', mode => 'text');
ROLLBACK;
SELECT count(*) FROM castmatch.match('docs', 'unicorns dragons', mode => 'text');
-- Rows whose current version the index does not point to.
CREATE TABLE hot (id integer PRIMARY KEY, body text, clicks integer) WITH (fillfactor = 50);
INSERT INTO hot SELECT i, 'a violin number ' || i, 0 FROM generate_series(1, 50) i;
SELECT castmatch.attach('hot', '{body}', embed_mode => 'off');
BEGIN;
UPDATE hot SET clicks = 1 WHERE id <= 20;
UPDATE hot SET clicks = 2 WHERE id <= 10;
SELECT pg_stat_get_xact_tuples_hot_updated('hot'::regclass) AS hot_updates;
SELECT count(*), count(DISTINCT key) FROM castmatch.match('hot', 'violins', 100, mode => 'text');
SELECT count(*) FROM castmatch.match('hot', 'violins', 100, '{"clicks": 2}', mode => 'text');
COMMIT;
DELETE FROM hot WHERE id > 45;
SELECT count(*) FROM castmatch.match('hot', 'violins', 100, mode => 'text');
VACUUM hot;
INSERT INTO hot SELECT i, 'a violin again', 3 FROM generate_series(46, 60) i;
SELECT count(*) FROM castmatch.match('hot', 'violins', 100, mode => 'text');
BEGIN READ ONLY;
SELECT count(*) FROM castmatch.match('hot', 'violins', 100, mode => 'text');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM castmatch.match('hot', 'violins', 100, mode => 'text');
SELECT mode FROM pg_locks WHERE relation = 'hot_castmatch_text'::regclass AND pid = pg_backend_pid() ORDER BY mode;
COMMIT;

-- Many rows: posting trees, statistics of frequent words, filters and policies that leave few rows.
CREATE TABLE many (id integer PRIMARY KEY, body text, rare boolean);
INSERT INTO many SELECT i, 'common word' || CASE WHEN i % 10 = 0 THEN ' tenth' ELSE '' END || CASE WHEN i % 1000 = 0 THEN ' thousandth' ELSE '' END, i % 1000 = 7
    FROM generate_series(1, 20000) i;
ANALYZE many;
SELECT castmatch.attach('many', '{body}', embed_mode => 'off');
SELECT rows, cardinality(terms) AS terms, frequencies FROM castmatch.text_statistics WHERE target = 'many'::regclass;
SELECT count(*), count(DISTINCT key) FROM castmatch.match('many', 'common', 10000, mode => 'text');
SELECT count(*), bool_and(key::integer % 10 = 0) AS right FROM castmatch.match('many', 'tenths', 2000, mode => 'text');
SELECT array_agg(key::integer ORDER BY key::integer) FROM (SELECT key FROM castmatch.match('many', 'the common thousandth word', 20, mode => 'text')) m;
-- The same with and without statistics, which are exact here.
CREATE TEMP TABLE before AS SELECT key, score FROM castmatch.match('many', 'common tenth', 3000, mode => 'text');
BEGIN;
DELETE FROM castmatch.text_statistics WHERE target = 'many'::regclass;
SELECT count(*) AS others FROM (SELECT * FROM castmatch.match('many', 'common tenth', 3000, mode => 'text', options => '{"cache": "bypass"}')) m
    FULL JOIN before b USING (key) WHERE m.score IS DISTINCT FROM b.score;
ROLLBACK;
-- One row in a thousand passes the filter: all that exist come back.
SELECT count(*), bool_and(key::integer % 1000 = 7) AS right FROM castmatch.match('many', 'common', 10, '{"rare": true}', mode => 'text');
SELECT count(*) FROM castmatch.match('many', 'common word', 100, '{"rare": true}', mode => 'text');
SELECT key FROM castmatch.match('many', 'tenth common', 2, '{"id": {"in": [8, 10, 12]}}', mode => 'text');
-- One row in a hundred is visible.
CREATE ROLE regress_text_reader;
GRANT USAGE ON SCHEMA texts TO regress_text_reader;
GRANT SELECT (id, embedding, rare) ON many TO regress_text_reader;
SET ROLE regress_text_reader;
\set VERBOSITY sqlstate
-- Whether or not any row has the word.
SELECT count(*) FROM castmatch.match('many', 'common', mode => 'text');
SELECT count(*) FROM castmatch.match('many', 'absent', mode => 'text');
\set VERBOSITY default
RESET ROLE;
GRANT SELECT (body) ON many TO regress_text_reader;
ALTER TABLE many ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON many FOR SELECT TO regress_text_reader USING (id % 100 = 3);
SET ROLE regress_text_reader;
SELECT count(*), bool_and(key::integer % 100 = 3) AS visible FROM castmatch.match('many', 'common word', 100, mode => 'text');
SELECT count(*) FROM castmatch.match('many', 'common word', 1000, mode => 'text');
SELECT count(*) FROM castmatch.match('many', 'tenth', mode => 'text');
SELECT failure('SELECT terms FROM castmatch.text_statistics');
RESET ROLE;

-- The index is found by what it is.
ALTER INDEX many_castmatch_text RENAME TO renamed;
SELECT count(*) FROM castmatch.match('many', 'thousandth', 100, mode => 'text');
REINDEX INDEX renamed;
SELECT count(*) FROM castmatch.match('many', 'thousandth', 100, mode => 'text');
REINDEX INDEX CONCURRENTLY renamed;
SELECT count(*) FROM castmatch.match('many', 'thousandth', 100, mode => 'text');
VACUUM FULL many;
SELECT count(*) FROM castmatch.match('many', 'thousandth', 100, mode => 'text');
ALTER INDEX renamed SET (fastupdate = on);
INSERT INTO many VALUES (30000, 'a thousandth row');
\t on
\pset format unaligned
SELECT failure($$SELECT * FROM castmatch.match('many', 'thousandth', 100, mode => 'text')$$);
\t off
\pset format aligned
ALTER INDEX renamed SET (fastupdate = off);
VACUUM many;
SELECT count(*) FROM castmatch.match('many', 'thousandth', 100, mode => 'text');
DROP INDEX renamed;
\t on
\pset format unaligned
SELECT failure($$SELECT * FROM castmatch.match('many', 'thousandth', 100, mode => 'text')$$);
\t off
\pset format aligned

-- Partitions have an index each; a row is found through the partitioned table.
CREATE TABLE parts (id integer, kind text, body text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
INSERT INTO parts SELECT i, kind, 'a ' || kind || ' violin ' || i FROM generate_series(1, 5) i, unnest(ARRAY['a', 'b']) kind;
SELECT castmatch.attach('parts', '{body}', embed_mode => 'off');
CREATE TABLE parts_c PARTITION OF parts FOR VALUES IN ('c');
INSERT INTO parts VALUES (9, 'c', 'a violin of gold');
SELECT key, text_rank FROM castmatch.match('parts', 'violin', 20, mode => 'text');
SELECT key FROM castmatch.match('parts', 'golden violins of gold', 1, mode => 'text');
SELECT key FROM castmatch.match('parts', 'violin 3', 2, '{"kind": "b"}', mode => 'text');
CREATE ROLE regress_text_parts;
GRANT USAGE ON SCHEMA texts TO regress_text_parts;
GRANT SELECT ON parts TO regress_text_parts;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON parts FOR SELECT TO regress_text_parts USING (id % 2 = 1);
SET ROLE regress_text_parts;
SELECT count(*) FROM castmatch.match('parts', 'violin', 20, mode => 'text');
RESET ROLE;

-- Nothing is left behind.
SELECT castmatch.detach('parts'), castmatch.detach('docs'), castmatch.detach('hot'), castmatch.detach('many');
SELECT count(*) FROM pg_class WHERE relnamespace = 'texts'::regnamespace AND relname LIKE '%castmatch_text%';
SELECT count(*) FROM castmatch.text_statistics;
SELECT castmatch.attach('docs', '{title}', embed_mode => 'off');
DROP TABLE docs;
SELECT count(*) FROM castmatch.text_statistics;
SET client_min_messages = warning;
DROP SCHEMA texts CASCADE;
DROP ROLE regress_text_reader, regress_text_parts;
