-- castmatch.match: filters, preferences, modes, reasons, rights. The rows' texts lie far apart in meaning, so that the order
-- does not hang on a last digit; distances themselves are not shown.
CREATE SCHEMA matching;
SET search_path = matching, public;
CREATE TABLE artists (
    id integer PRIMARY KEY, name text, bio text, age integer, city varchar(20), rating numeric(3,1), day_rate double precision, languages text[],
    available_from date, active boolean, born timestamptz, ref uuid, note text, "Odd ""name""" text, "or" integer, details jsonb
);
INSERT INTO artists VALUES
    (1, 'Asha', 'Classical dancer trained in Kathak and ballet', 28, 'Mumbai', 4.5, 20000, '{Hindi,Marathi}', '2026-03-01', true, '1998-01-01 00:00+00', '00000000-0000-0000-0000-000000000001', 'a%b', 'x', 1, '{"tall": true}'),
    (2, 'Bela', 'Plays mothers and grandmothers in family comedies', 45, 'Pune', 4.9, 35000, '{Hindi,English}', '2026-04-01', true, '1981-01-01 00:00+00', '00000000-0000-0000-0000-000000000002', 'plain', 'y', 2, '{}'),
    (3, 'Carl', 'Stunt rider and horse trainer for westerns', 38, 'Delhi', 3.8, 15000, '{English,German}', '2026-03-15', false, '1988-01-01 00:00+00', '00000000-0000-0000-0000-000000000003', 'a_b', 'z', 3, NULL),
    (4, 'Dora', 'Opera singer, soprano, sings in Italian and German', 33, 'Mumbai', 4.1, 50000, '{Italian,German,English}', NULL, true, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 'Emil', 'Stand-up comedian and voice actor for cartoons', 52, 'Pune', NULL, NULL, '{}', '2026-05-01', true, '1974-01-01 00:00+00', NULL, '', '', 5, '{}'),
    (6, 'Fay', 'Ballet dancer and choreographer for dance films', 24, NULL, 4.0, 18000, NULL, '2026-02-01', true, '2002-01-01 00:00+00', NULL, 'A%B', 'x', 6, '{}');
SELECT castmatch.attach('artists', '{name,bio}', filters => '{age}');
SELECT castmatch.sync('artists') >= 0 AS synced;

-- The keys found, best first.
CREATE FUNCTION keys(query text, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, k integer DEFAULT 10, mode text DEFAULT 'hybrid')
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(key, ',' ORDER BY place)
    FROM castmatch.match('matching.artists', query, k, filter, prefer, mode) WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place)
$$;
-- The same rows as a set.
CREATE FUNCTION passing(filter jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(string_agg(key, ',' ORDER BY key), 'none') FROM castmatch.match('matching.artists', 'performer', 100, filter)
$$;

-- Modes
SELECT keys('rides horses', k => 1), keys('sings arias', k => 1), keys('ballet dancer', k => 2) IN ('6,1', '1,6') AS dancers;
SELECT mode, keys('horse trainer', k => 1, mode => mode) FROM unnest(ARRAY['hybrid', 'semantic', 'text']) mode;
SELECT key, similarity IS NULL AS no_similarity, semantic_rank, text_rank FROM castmatch.match('artists', 'horse trainer', 1, mode => 'text');
SELECT key, similarity > 0.4 AS similar, semantic_rank, text_rank FROM castmatch.match('artists', 'horse trainer', 1, mode => 'semantic');
SELECT key, similarity > 0.4 AS similar, semantic_rank, text_rank, score > 0 AND score <= 1 AS in_range FROM castmatch.match('artists', 'horse trainer', 1);
-- Only rows with a word of the query are found by text; all are by meaning.
SELECT keys('soprano', mode => 'text'), keys('zzzz', mode => 'text') IS NULL AS none, keys('zzzz', mode => 'semantic') ~ '^(\d,){5}\d$' AS all_by_meaning, keys('zzzz') ~ '^(\d,){5}\d$' AS all;
-- Stop words alone have no lexeme.
SELECT keys('the and of', mode => 'text') IS NULL AS none, keys('the and of') ~ '^(\d,){5}\d$' AS all;

-- k
SELECT k, count(m.key) FROM unnest(ARRAY[0, 1, 5, 6, 7, 10000]) k LEFT JOIN LATERAL castmatch.match('artists', 'performer', k) m ON true GROUP BY k ORDER BY k;
SELECT count(*) AS default_k FROM castmatch.match('artists', 'performer');
-- Scores fall, keys break ties.
SELECT bool_and(score <= before) AS falling FROM (SELECT score, lag(score, 1, 1) OVER (ORDER BY place) AS before
    FROM castmatch.match('artists', 'dancer', 6) WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place)) s;

-- Filters: each operator.
SELECT f, passing(f) FROM (VALUES
    (1, '{}'::jsonb), (2, '{"age": 28}'), (3, '{"age": {"eq": 45}}'), (4, '{"age": {"ne": 45}}'), (5, '{"age": {"in": [28, 45, 99]}}'), (6, '{"age": {"in": []}}'),
    (7, '{"age": {"not_in": [28, 45]}}'), (8, '{"age": {"not_in": []}}'), (9, '{"age": {"gt": 38}}'), (10, '{"age": {"gte": 38}}'), (11, '{"age": {"lt": 28}}'),
    (12, '{"age": {"lte": 28}}'), (13, '{"age": {"gte": 30, "lt": 46}}'), (14, '{"languages": {"contains": ["Hindi"]}}'), (15, '{"languages": {"contains": ["German", "English"]}}'),
    (16, '{"languages": {"overlaps": ["Hindi", "Italian"]}}'), (17, '{"languages": {"contains": []}}'), (18, '{"note": {"like": "a%"}}'), (19, '{"note": {"like": "a\\%b"}}'),
    (20, '{"note": {"ilike": "a\\%b"}}'), (21, '{"note": {"like": "a_b"}}'), (22, '{"note": {"is_null": true}}'), (23, '{"note": {"is_null": false}}'), (24, '{"note": ""}'),
    (25, '{"city": "Mumbai"}'), (26, '{"city": {"in": ["Mumbai", "Pune"]}}'), (27, '{"city": {"ne": "Mumbai"}}'), (28, '{"city": "mumbai"}'), (29, '{"rating": {"gte": 4.1}}'),
    (30, '{"day_rate": {"lt": 19999.5}}'), (31, '{"available_from": {"lte": "2026-03-15"}}'), (32, '{"active": false}'), (33, '{"active": {"ne": false}}'),
    (34, '{"born": {"gte": "1981-01-01T00:00:00Z"}}'), (35, '{"ref": "00000000-0000-0000-0000-000000000003"}'), (36, '{"age": {"gt": 20}, "city": "Pune"}'),
    (37, '{"or": [{"age": 28}, {"city": "Delhi"}]}'), (38, '{"or": []}'), (39, '{"and": []}'), (40, '{"and": [{"age": {"gt": 30}}, {"age": {"lt": 40}}]}'), (41, '{"not": {"city": "Mumbai"}}'),
    (42, '{"not": {"or": [{"age": 28}, {"age": 45}]}}'), (43, '{"Odd \"name\"": "x"}'), (44, '{"\"or\"": 3}'), (45, '{"\"age\"": 28}'), (46, '{"or": [{"\"or\"": 1}, {"\"or\"": 2}]}'),
    (47, '{"age": {"gte": 2147483647}}'), (48, '{"name": {"like": "%a"}}'), (49, '{"name": {"ilike": "A%"}}')
) AS filters (place, f) ORDER BY place;
-- As many rows as qualify, even if none is near the query.
SELECT keys('rides horses', '{"city": "Mumbai"}') IN ('1,4', '4,1') AS both, keys('rides horses', '{"city": "Mumbai"}', mode => 'text') IS NULL AS none_by_text;

-- SQL in filters stays data.
SELECT passing('{"city": "Mumbai'' OR true --"}'), passing('{"city": {"in": ["x'') OR (1=1"]}}'), passing('{"note": {"like": "%'';DROP TABLE artists;--"}}'),
    passing('{"languages": {"contains": ["Hindi\"}''::text[]) OR true --"]}}'), passing('{"city": "$1"}'), passing('{"city": {"eq": "\\'' OR 1=1"}}');
\t on
\pset format unaligned
SELECT f, failure(format('SELECT * FROM castmatch.match(''artists'', ''q'', 10, %L)', f)) FROM unnest(ARRAY[
    '{"age = 1 OR true; --": 1}', '{"age\" = 1 OR \"age": 1}', '{"\"age\" IS NOT NULL OR \"age\"": 1}', '{"age": {"= 1 OR 1=": 1}}', '{"age": "1 OR 1=1"}', '{"(SELECT 1)": 1}', '{"ctid": "(0,1)"}', '{"tableoid": 1}',
-- What is wrong is named.
    '[]', '1', '"age"', 'null', '{"agee": 1}', '{"Age": 1}', '{"": 1}', '{"xyz": 1}', '{"age": {}}', '{"age": {"equals": 1}}', '{"age": {"GT": 1}}', '{"age": [1, 2]}', '{"age": null}', '{"age": {"eq": null}}',
    '{"age": {"in": 1}}', '{"age": {"in": [1, null]}}', '{"age": {"in": [1, "x"]}}', '{"age": "x"}', '{"age": true}', '{"age": {"like": "1%"}}', '{"age": {"contains": [1]}}',
    '{"age": {"is_null": 1}}', '{"age": {"is_null": null}}', '{"city": 1}', '{"city": true}', '{"city": {"gt": 1}}', '{"languages": {"overlaps": [1]}}',
    '{"languages": {"contains": [null]}}', '{"languages": {"like": "x"}}', '{"active": "maybe"}', '{"active": {"gt": true}}', '{"available_from": "soon"}', '{"available_from": 1}', '{"ref": "no-uuid"}', '{"rating": "high"}',
    '{"or": {"age": 1}}', '{"or": [1]}', '{"and": "x"}', '{"not": []}', '{"not": null}', '{"or": [{"agee": 1}]}'
]) f;
SELECT failure(format('SELECT * FROM castmatch.match(''artists'', ''q'', 10, %L)', f)) FROM (VALUES
    (1, jsonb_build_object('or', (SELECT jsonb_agg(jsonb_build_object('age', i)) FROM generate_series(1, 5000) i))),
    (2, jsonb_build_object('age', jsonb_build_object('in', (SELECT jsonb_agg(i) FROM generate_series(1, 100001) i)))),
    (3, (repeat('{"not": ', 100) || '{}' || repeat('}', 100))::jsonb), (4, (repeat('{"not": ', 200) || '{}' || repeat('}', 200))::jsonb)
) AS filters (place, f) ORDER BY place;

-- Arguments
SELECT a, failure('SELECT * FROM castmatch.match(' || a || ')') FROM unnest(ARRAY[
    'NULL, ''q''', '''artists'', NULL', '''artists'', ''''', '''artists'', E'' \n\t''', '''artists'', ''q'', NULL', '''artists'', ''q'', -1', '''artists'', ''q'', 10001', '''artists'', ''q'', 2147483647', '''artists'', ''q'', mode => NULL',
    '''artists'', ''q'', mode => ''best''', '''artists'', ''q'', mode => ''Hybrid''', '''artists'', ''q'', options => ''{"speed": 1}''', '''artists'', ''q'', options => ''[]''', '''artists'', ''q'', options => ''1''', '''artists'', ''q'', options => ''{}''',
    '''nowhere'', ''q''', '''pg_class'', ''q''', '0, ''q'''
]) a;
-- An integer is compared as a number: a value that no row can have is no error.
\t off
\pset format aligned
SELECT passing('{"age": 28.5}'), passing('{"age": {"gt": 27.5, "lt": 28.5}}'), passing('{"age": {"lt": 99999999999}}'), passing('{"age": 99999999999}');
\t on
\pset format unaligned
-- An error of the filter comes even where no row is asked for.
SELECT failure('SELECT * FROM castmatch.match(''artists'', ''q'', 0, ''{"agee": 1}'')');

-- Preferences
SELECT p, failure(format('SELECT * FROM castmatch.match(''artists'', ''q'', prefer => %L)', p)) FROM unnest(ARRAY[
    '{}', '1', '[1]', '[{}]', '[{"column": "age"}]', '[{"column": "age", "weight": 0.1}]', '[{"column": "age", "higher": true}]', '[{"column": "agee", "weight": 0.1, "higher": true}]', '[{"column": "age", "weight": 0, "higher": true}]',
    '[{"column": "age", "weight": 1.5, "higher": true}]', '[{"column": "age", "weight": "much", "higher": true}]', '[{"column": "age", "weight": 0.6, "higher": true}, {"column": "rating", "weight": 0.6, "higher": true}]',
    '[{"column": "age", "weight": 0.1, "higher": true, "lower": true}]', '[{"column": "age", "weight": 0.1, "bigger": true}]', '[{"column": "age", "weight": 0.1, "higher": false}]', '[{"column": "city", "weight": 0.1, "higher": true}]',
    '[{"column": "age", "weight": 0.1, "at_least": "x"}]', '[{"column": "day_rate", "weight": 0.1, "near": 20000}]', '[{"column": "day_rate", "weight": 0.1, "near": 20000, "scale": 0}]', '[{"column": "languages", "weight": 0.1, "equals": "Hindi"}]',
    '[{"column": "languages", "weight": 0.1, "any_of": "Hindi"}]', '[]'
]) p;
\t off
\pset format aligned
SELECT keys('performer', prefer => '[{"column": "rating", "weight": 1, "higher": true}]', k => 3), keys('performer', prefer => '[{"column": "age", "weight": 1, "lower": true}]'),
    keys('performer', prefer => '[{"column": "age", "weight": 1, "higher": true}]'), keys('performer', prefer => '[{"column": "city", "weight": 1, "equals": "Delhi"}]', k => 1),
    keys('performer', prefer => '[{"column": "languages", "weight": 1, "any_of": ["Italian"]}]', k => 1), keys('performer', prefer => '[{"column": "day_rate", "weight": 1, "near": 35000, "scale": 1000}]', k => 1);
-- The parts of a score are in [0, 1] and their weighted sum is the score.
SELECT key, score = 1 AS full_score, part->>'column' AS column, part->>'rule' AS rule, (part->>'weight')::numeric AS weight, (part->>'score')::numeric AS score, part->'value' AS value
FROM castmatch.match('artists', 'performer', 6, prefer => '[{"column": "age", "weight": 0.5, "at_least": 64}, {"column": "city", "weight": 0.5, "equals": "Pune"}]') m,
    jsonb_array_elements(reasons->'preferences') part ORDER BY key, 3;
SELECT bool_and(abs(score - (reasons#>>'{text,weight}')::float8 * (reasons#>>'{text,score}')::float8
    - (SELECT sum((part->>'weight')::float8 * (part->>'score')::float8) FROM jsonb_array_elements(reasons->'preferences') part)) < 1e-9) AS weighted_sum,
    bool_and((reasons#>>'{text,weight}')::float8 BETWEEN 0.699 AND 0.701) AS rest_is_text, bool_and(score BETWEEN 0 AND 1) AS in_range
FROM castmatch.match('artists', 'dancer in films', 6, prefer => '[{"column": "rating", "weight": 0.2, "higher": true}, {"column": "day_rate", "weight": 0.1, "near": 20000, "scale": 5000}]');

-- Reasons: the same keys in every row; the columns of the filter and those named at attach.
SELECT DISTINCT jsonb_path_query_array(reasons, '$.keyvalue().key') AS keys, jsonb_path_query_array(reasons->'text', '$.keyvalue().key') AS text_keys,
    jsonb_path_query_array(reasons->'columns', '$.keyvalue().key') AS columns
FROM castmatch.match('artists', 'dancer', 6, '{"city": {"is_null": false}, "active": true}');
SELECT key, reasons->'columns' AS columns, reasons#>'{text,matched_terms}' AS matched_terms, reasons#>>'{text,mode}' AS mode, reasons->'preferences' AS preferences
FROM castmatch.match('artists', 'a comedian with a German accent', 1, '{"city": "Pune", "rating": {"is_null": true}}');

-- Rows without text take no part in the semantic leg; they come when their text comes.
INSERT INTO artists (id, age) VALUES (7, 99);
SELECT castmatch.sync('artists') >= 0 AS synced;
SELECT passing('{"age": 99}'), keys('performer', prefer => '[{"column": "age", "weight": 1, "higher": true}]', k => 1);
UPDATE artists SET bio = 'Juggler with burning torches' WHERE id = 7;
SELECT castmatch.sync('artists') >= 0 AS synced;
SELECT keys('fire juggling', k => 1);
DELETE FROM artists WHERE id = 7;
SELECT passing('{"age": 99}');

-- Read-only, in a cursor, in parallel with other matches, prepared.
BEGIN READ ONLY;
SELECT keys('rides horses', k => 1);
DECLARE found CURSOR FOR SELECT key FROM castmatch.match('artists', 'soprano', 3);
FETCH 1 FROM found;
ROLLBACK;
PREPARE find (text, jsonb) AS SELECT key FROM castmatch.match('artists', $1, 1, $2);
EXECUTE find('rides horses', NULL);
EXECUTE find('rides horses', '{"city": "Mumbai", "languages": {"contains": ["Marathi"]}}');
DEALLOCATE find;
SELECT q, (SELECT key FROM castmatch.match('artists', q, 1)) FROM unnest(ARRAY['rides horses', 'soprano', 'cartoon voice']) q;
SELECT name FROM castmatch.match('artists', 'rides horses', 1) m JOIN artists a ON a.id = m.key::integer;

-- Whatever stands in the search path before pg_catalog, castmatch calls PostgreSQL's own.
CREATE FUNCTION matching.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION matching.to_tsvector(regconfig, text) RETURNS tsvector LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION matching.equal(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR matching.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = matching.equal);
SET search_path = matching, pg_catalog, public;
SELECT key FROM castmatch.match('artists', 'soprano', 1, '{"age": 33, "city": "Mumbai"}');
SET search_path = matching, public;
DROP OPERATOR matching.= (integer, integer);
DROP FUNCTION matching.unnest(text[]), matching.to_tsvector(regconfig, text), matching.equal(integer, integer);
SET search_path = '';
SELECT key FROM castmatch.match('matching.artists', 'soprano', 1, '{"age": 33}');
SET search_path = matching, public;

-- Rights: those of the caller.
CREATE ROLE regress_match_reader;
GRANT USAGE ON SCHEMA matching TO regress_match_reader;
SET ROLE regress_match_reader;
\set VERBOSITY sqlstate
SELECT key FROM castmatch.match('artists', 'soprano', 1);
\set VERBOSITY default
SELECT count(*) AS listed FROM castmatch.attachments;
RESET ROLE;
GRANT SELECT (id, name) ON artists TO regress_match_reader;
SET ROLE regress_match_reader;
\set VERBOSITY sqlstate
SELECT key FROM castmatch.match('artists', 'soprano', 1);
\set VERBOSITY default
RESET ROLE;
-- Rights on the columns that it reads are enough; others are refused.
GRANT SELECT (id, name, bio, age, embedding) ON artists TO regress_match_reader;
SET ROLE regress_match_reader;
SELECT key FROM castmatch.match('artists', 'soprano', 1, '{"age": {"gt": 30}}');
\set VERBOSITY sqlstate
SELECT key FROM castmatch.match('artists', 'soprano', 1, '{"city": "Mumbai"}');
SELECT key FROM castmatch.match('artists', 'soprano', 1, prefer => '[{"column": "rating", "weight": 0.1, "higher": true}]');
\set VERBOSITY default
RESET ROLE;
GRANT SELECT ON artists TO regress_match_reader;
SET ROLE regress_match_reader;
SELECT key FROM castmatch.match('artists', 'soprano', 1);
RESET ROLE;
-- Row security hides rows from every leg; the owner sees them all.
ALTER TABLE artists ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_mumbai ON artists FOR SELECT TO regress_match_reader USING (city = 'Mumbai');
SET ROLE regress_match_reader;
SELECT passing('{}'), keys('horse', mode => 'text') IS NULL AS hidden_from_text, keys('rides horses', mode => 'semantic') IN ('1,4', '4,1') AS hidden_from_meaning;
SELECT keys('performer', prefer => '[{"column": "age", "weight": 1, "higher": true}]');
RESET ROLE;
SELECT passing('{}');
SET row_security = off;
SET ROLE regress_match_reader;
\set VERBOSITY sqlstate
SELECT key FROM castmatch.match('artists', 'soprano', 1);
\set VERBOSITY default
RESET ROLE;
RESET row_security;

-- Names that need quotes; keys that do.
CREATE TABLE "Odd Table" ("The Key" text PRIMARY KEY, "Bö""dy" text, "Age %" integer, "$1" text);
INSERT INTO "Odd Table" VALUES ('a''b', 'rides horses', 1, 'x'), ('c"d', 'sings opera', 2, 'y'), ('{e,f}', 'juggles torches', 3, 'z');
SELECT castmatch.attach('"Odd Table"', ARRAY['Bö"dy'], filters => ARRAY['Age %']);
SELECT castmatch.sync('"Odd Table"') >= 0 AS synced;
SELECT key, reasons->'columns' AS columns FROM castmatch.match('"Odd Table"', 'rides horses', 1);
SELECT key, reasons->'columns' AS columns FROM castmatch.match('"Odd Table"', 'rides horses', 1, '{"Age %": {"gt": 1}, "$1": "y"}', '[{"column": "Age %", "weight": 0.5, "higher": true}]');
SELECT key FROM castmatch.match('"Odd Table"', 'torches', 3, mode => 'text');
-- Rows are data: values that JSON readers give up on do not stop a search or a reply.
CREATE TABLE deep (id integer PRIMARY KEY, name text, details jsonb, number numeric);
INSERT INTO deep VALUES (1, 'rides horses', (repeat('[', 200) || repeat(']', 200))::jsonb, 1e400), (2, 'sings opera', '{}', 'NaN');
SELECT castmatch.attach('deep', '{name}', filters => '{number}');
SELECT castmatch.sync('deep') >= 0 AS synced;
SELECT key FROM castmatch.match('deep', 'horse', 1, '{"details": {"is_null": false}}', '[{"column": "number", "weight": 0.1, "higher": true}]');
SELECT key FROM castmatch.match('deep', 'opera', 2, '{"number": {"lt": 1e300}}');
SELECT castmatch.chat('horse', target => 'deep', k => 1)#>>'{sources,0,key}' AS key;
-- An empty table, and one without an embedding yet.
CREATE TABLE nothing (id integer PRIMARY KEY, body text);
SELECT castmatch.attach('nothing', '{body}', embed_mode => 'off');
SELECT count(*) FROM castmatch.match('nothing', 'anything');
INSERT INTO nothing VALUES (1, 'horses'), (2, 'trees');
SELECT key, similarity, semantic_rank, text_rank FROM castmatch.match('nothing', 'horse');

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA matching CASCADE;
DROP ROLE regress_match_reader;
