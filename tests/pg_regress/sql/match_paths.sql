-- Filters and preferences on paths into jsonb and json, against conditions written by hand. Searches are by text alone: no
-- embedding is needed. Every row has the word that is looked for, so a result holds exactly the rows that pass.
CREATE SCHEMA paths;
SET search_path = paths, public;
CREATE TABLE people (id integer PRIMARY KEY, body text DEFAULT 'performer', age integer, profile jsonb, raw json, "profile.exact" jsonb, "p.t" text);
INSERT INTO people (id, age, profile) VALUES
    (1, 28, '{"height": 180, "name": "Asha", "languages": ["Hindi", "Marathi"], "active": true, "credits": [{"year": 2020, "title": "A"}, {"year": 2024}], "address": {"city": "Pune", "pin": [4, 1, 1]}}'),
    (2, 45, '{"height": 165.5, "name": "Bela", "languages": ["English"], "active": false, "credits": [], "address": {"city": "Mumbai", "pin": []}}'),
    -- Other kinds everywhere.
    (3, 38, '{"height": "170", "name": 7, "languages": "Hindi and English", "active": "true", "credits": {"year": 2020, "title": "B"}, "address": ["Pune"]}'),
    (4, 33, '{"height": null, "name": null, "languages": null, "active": null, "credits": null, "address": null}'),
    (5, 52, '{}'), (6, 24, NULL), (7, 20, '[10, {"height": 180}, "Pune"]'), (8, 21, '"height"'), (9, 22, 'null'),
    (10, 60, '{"height": 1e30, "name": "a%b_c\\d", "languages": ["Hindi", 5, true, null, ["nested"]], "active": [true], "credits": [[{"year": 2020}]], "address": {"city": {"name": "Pune"}}}'),
    (11, 61, '{"height": 180.0, "name": "", "languages": [], "a.b": {"c\"d": {"e\\f": "odd"}}, "": {"": "odd"}, "0": "odd", "it''s": {"$1": "odd"}, "{x,y}": "odd", "NULL": "odd", " ": "odd", "é": "odd"}'),
    (12, 62, '{"height": -3, "name": "asha", "languages": [["Hindi"]], "active": true, "credits": [2020], "address": {"city": "pune"}}');
UPDATE people SET raw = profile::text::json, "profile.exact" = '7', "p.t" = 'x' WHERE id < 12;
SELECT castmatch.attach('people', '{body}', embed_mode => 'off');

CREATE FUNCTION passing(filter jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(string_agg(key, ',' ORDER BY key::integer), 'none') FROM castmatch.match('paths.people', 'performer', 100, filter, mode => 'text')
$$;
CREATE FUNCTION by_hand(condition text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT coalesce(string_agg(id::text, '','' ORDER BY id), ''none'') FROM paths.people WHERE %s', condition) INTO result;
    RETURN result;
END
$$;
-- The rows that pass, or what differs from the condition by hand.
CREATE FUNCTION compared_rows(filter jsonb, condition text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN found = wanted THEN found ELSE format('found %s, by hand %s', found, wanted) END
    FROM (SELECT passing(filter) AS found, by_hand(condition) AS wanted) c
$$;
CREATE TABLE tests (place serial, filter jsonb, condition text);
INSERT INTO tests (filter, condition) VALUES
    -- Numbers
    ('{"profile.height": 180}', 'jsonb_typeof(profile->''height'') = ''number'' AND profile->''height'' = ''180'''),
    ('{"profile.height": {"ne": 180}}', 'jsonb_typeof(profile->''height'') = ''number'' AND profile->''height'' <> ''180'''),
    ('{"profile.height": {"gt": 165.5}}', 'profile @@ ''strict $.height > 165.5'''),
    ('{"profile.height": {"gte": 165.5}}', 'profile @@ ''strict $.height >= 165.5'''),
    ('{"profile.height": {"lt": 180}}', 'profile @@ ''strict $.height < 180'''),
    ('{"profile.height": {"lte": 180}}', 'profile @@ ''strict $.height <= 180'''),
    ('{"profile.height": {"gte": 170, "lt": 1000}}', 'profile @@ ''strict $.height >= 170 && $.height < 1000'''),
    ('{"profile.height": {"in": [180, 165.5, 7]}}', 'profile->''height'' IN (''180'', ''165.5'', ''7'')'),
    ('{"profile.height": {"not_in": [180, 165.5]}}', 'jsonb_typeof(profile->''height'') = ''number'' AND profile->''height'' NOT IN (''180'', ''165.5'')'),
    ('{"profile.height": {"in": []}}', 'false'), ('{"profile.height": {"not_in": []}}', 'true'),
    -- Lists of several kinds
    ('{"profile.height": {"in": [180, "170"]}}', 'profile->''height'' IN (''180'', ''"170"'')'),
    ('{"profile.height": {"not_in": [180, "x"]}}', 'jsonb_typeof(profile->''height'') IN (''number'', ''string'') AND profile->''height'' <> ''180'''),
    -- Strings
    ('{"profile.name": "Asha"}', 'profile->>''name'' = ''Asha'''),
    ('{"profile.name": ""}', 'profile->>''name'' = '''''),
    ('{"profile.name": "7"}', 'jsonb_typeof(profile->''name'') = ''string'' AND profile->>''name'' = ''7'''),
    ('{"profile.name": {"ne": "Asha"}}', 'jsonb_typeof(profile->''name'') = ''string'' AND profile->>''name'' <> ''Asha'''),
    ('{"profile.name": {"gt": "B"}}', 'jsonb_typeof(profile->''name'') = ''string'' AND profile->>''name'' > ''B'''),
    ('{"profile.name": {"lte": "Bela"}}', 'jsonb_typeof(profile->''name'') = ''string'' AND profile->>''name'' <= ''Bela'''),
    ('{"profile.name": {"in": ["Asha", "Bela", "7"]}}', 'profile->>''name'' IN (''Asha'', ''Bela'')'),
    ('{"profile.name": {"not_in": ["Asha", "Bela"]}}', 'jsonb_typeof(profile->''name'') = ''string'' AND profile->>''name'' NOT IN (''Asha'', ''Bela'')'),
    ('{"profile.name": {"like": "%a"}}', 'profile->>''name'' LIKE ''%a'''),
    ('{"profile.name": {"like": "a\\%b\\_c%"}}', 'profile->>''name'' LIKE ''a\%b\_c%'''),
    ('{"profile.name": {"like": "%"}}', 'jsonb_typeof(profile->''name'') = ''string'''),
    ('{"profile.name": {"ilike": "ASHA"}}', 'profile->>''name'' ILIKE ''ASHA'''),
    ('{"profile.name": {"contains": "%b_c\\"}}', 'strpos(profile->>''name'', ''%b_c\'') > 0'),
    -- Booleans
    ('{"profile.active": true}', 'profile->''active'' = ''true'''), ('{"profile.active": {"ne": true}}', 'profile->''active'' = ''false'''),
    ('{"profile.active": {"in": [true, false]}}', 'jsonb_typeof(profile->''active'') = ''boolean'''), ('{"profile.active": "true"}', 'profile->''active'' = ''"true"'''),
    -- Objects and arrays as a whole
    ('{"profile.address": {"eq": {"pin": [], "city": "Mumbai"}}}', 'profile->''address'' = ''{"city": "Mumbai", "pin": []}'''),
    ('{"profile.credits": {"ne": []}}', 'jsonb_typeof(profile->''credits'') = ''array'' AND profile->''credits'' <> ''[]'''),
    -- contains
    ('{"profile.languages": {"contains": "Hindi"}}', 'profile->''languages'' @> ''["Hindi"]'' OR profile->>''languages'' LIKE ''Hindi%'''),
    ('{"profile.languages": {"contains": ["Hindi"]}}', 'profile->''languages'' @> ''["Hindi"]'''),
    ('{"profile.languages": {"contains": ["Marathi", "Hindi"]}}', 'profile->''languages'' @> ''["Hindi", "Marathi"]'''),
    ('{"profile.languages": {"contains": 5}}', 'profile->''languages'' @> ''[5]'''),
    ('{"profile.languages": {"contains": [5, true, null]}}', 'profile->''languages'' @> ''[5, true, null]'''),
    ('{"profile.languages": {"contains": []}}', 'jsonb_typeof(profile->''languages'') = ''array'''),
    ('{"profile.languages": {"contains": [["nested"]]}}', 'profile->''languages'' @> ''[["nested"]]'''),
    ('{"profile.credits": {"contains": {"year": 2020}}}', 'profile->''credits'' @> ''{"year": 2020}'' OR profile->''credits'' @> ''[{"year": 2020}]'''),
    ('{"profile.credits": {"contains": [{"year": 2020}, {"year": 2024}]}}', 'profile->''credits'' @> ''[{"year": 2020}, {"year": 2024}]'''),
    ('{"profile.height": {"contains": 180}}', 'false'),
    -- overlaps
    ('{"profile.languages": {"overlaps": ["Marathi", "English"]}}', 'jsonb_typeof(profile->''languages'') = ''array'' AND profile->''languages'' ?| ''{Marathi,English}'''),
    ('{"profile.languages": {"overlaps": [5.0, "none"]}}', 'id = 10'), ('{"profile.languages": {"overlaps": ["5"]}}', 'false'), ('{"profile.languages": {"overlaps": "Hindi"}}', 'id IN (1, 10)'),
    ('{"profile.languages": {"overlaps": []}}', 'false'), ('{"profile.languages": {"overlaps": [["Hindi"]]}}', 'id = 12'), ('{"profile.credits": {"overlaps": [{"year": 2024}, {"year": 2020}]}}', 'id = 1'),
    -- is_null
    ('{"profile.height": {"is_null": true}}', 'coalesce(profile->''height'', ''null'') = ''null'''), ('{"profile.height": {"is_null": false}}', 'profile->''height'' <> ''null'''),
    ('{"profile.address.city": {"is_null": false}}', 'profile#>''{address,city}'' IS NOT NULL'),
    -- Deeper, and in arrays
    ('{"profile.address.city": "Pune"}', 'profile#>>''{address,city}'' = ''Pune'''), ('{"profile.address.pin.0": 4}', 'profile#>''{address,pin,0}'' = ''4'''),
    ('{"profile.address.pin.-1": 1}', 'profile#>''{address,pin,-1}'' = ''1'''), ('{"profile.address.0": "Pune"}', 'profile#>>''{address,0}'' = ''Pune'''),
    ('{"profile.credits.0.year": {"gte": 2020}}', 'profile#>''{credits,0,year}'' >= ''2020'''), ('{"profile.1.height": 180}', 'profile#>''{1,height}'' = ''180'''),
    ('{"profile.2": "Pune"}', 'profile->>2 = ''Pune'''), ('{"profile.0": "odd"}', 'profile->>''0'' = ''odd'''), ('{"profile.height.x": {"is_null": false}}', 'profile#>''{height,x}'' IS NOT NULL'),
    ('{"profile.address.city.name": "Pune"}', 'profile#>>''{address,city,name}'' = ''Pune'''),
    -- Quotes, backslashes and what else a path may hold
    ('{"profile.\"a.b\".\"c\"\"d\".e\\f": "odd"}', 'profile->''a.b''->''c"d''->>''e\f'' = ''odd'''), ('{"profile.\"\".\"\"": "odd"}', 'profile->''''->>'''' = ''odd'''),
    ('{"profile.it''s.$1": "odd"}', 'profile->''it''''s''->>''$1'' = ''odd'''), ('{"profile.{x,y}": "odd"}', 'profile->>''{x,y}'' = ''odd'''), ('{"profile.NULL": "odd"}', 'profile->>''NULL'' = ''odd'''),
    ('{"profile. ": "odd"}', 'profile->>'' '' = ''odd'''), ('{"profile.é": "odd"}', 'profile->>''é'' = ''odd'''), ('{"\"profile\".\"height\"": 180}', 'profile->''height'' = ''180'''),
    ('{"profile.'' OR true --": 1}', 'false'), ('{"profile.height}'' OR true --": 1}', 'false'), ('{"profile.name": "'' OR true --"}', 'false'),
    -- An exact name wins; JSON comes before the longer name of a column that holds none.
    ('{"profile.exact": 7}', '"profile.exact" = ''7'''), ('{"profile.\"exact\"": 7}', 'profile->''exact'' = ''7'''), ('{"profile.exact.a": 7}', 'false'), ('{"p.t": "x"}', '"p.t" = ''x'''),
    -- Combined: what is of another kind stays unknown under not.
    ('{"not": {"profile.height": {"gte": 170}}}', 'profile @@ ''strict $.height < 170'''), ('{"not": {"profile.height": {"ne": 180}}}', 'jsonb_typeof(profile->''height'') = ''number'' AND profile->''height'' = ''180'''),
    ('{"not": {"profile.languages": {"contains": ["Hindi"]}}}', 'jsonb_typeof(profile->''languages'') = ''array'' AND NOT profile->''languages'' @> ''["Hindi"]'''),
    ('{"not": {"profile.languages": {"overlaps": ["Hindi"]}}}', 'jsonb_typeof(profile->''languages'') = ''array'' AND NOT profile->''languages'' ? ''Hindi'''),
    ('{"not": {"profile.height": {"is_null": true}}}', 'profile->''height'' <> ''null'''),
    ('{"or": [{"profile.height": {"gt": 170}}, {"profile.name": "Bela"}, {"and": [{"age": {"gte": 50}}, {"profile.name": {"is_null": true}}]}], "not": {"age": {"gt": 60}}}',
        '(profile @@ ''strict $.height > 170'' OR profile->>''name'' = ''Bela'' OR age >= 50 AND profile->>''name'' IS NULL) AND NOT age > 60'),
    ('{"age": {"lt": 40}, "profile": {"contains": {"active": true}}, "profile.height": {"gt": 0}}', 'age < 40 AND profile @> ''{"active": true}'' AND profile @@ ''strict $.height > 0''');
\t on
\pset format unaligned
SELECT filter, compared_rows(filter, condition) FROM tests ORDER BY place;
-- The same in json.
SELECT filter, compared_rows(replace(filter::text, '"profile.', '"raw.')::jsonb, format('id < 12 AND (%s)', condition)) AS rows
FROM tests WHERE filter::text ~ '"profile\.(height|address|lang|"a)' AND filter::text !~ 'is_null|not_in|or"' ORDER BY place;
-- Documents of type json that jsonb refuses hold no paths; what only looks like one of them does.
CREATE TABLE documents (id integer PRIMARY KEY, body text DEFAULT 'performer', raw json);
INSERT INTO documents (id, raw) VALUES
    (1, '{"a": 1, "x": "\u0000"}'), (2, '{"a": 1, "x": "\ud83d"}'), (3, '{"a": 1, "x": "\ude00"}'), (4, '{"a": 1, "x": "\\ud83d\ude00"}'), (5, '{"a": 1, "x": 1e200000}'), (6, '{"a": 1, "x": [-1.5E-20000]}'),
    (7, ('{"a": 1, "x": ' || repeat('9', 200000) || '}')::json), (8, '{"a": 1, "\u0000": 1}'), (9, '{"a": 1, "x": "\\\u0000"}'), (10, '{"a": 1, "x": "\\\ud83d\\ude00"}'),
    (11, '{"a": 1, "x": "\ud83d\ude00\u00e9"}'), (12, '{"a": 1, "x": "\\u0000 \\\\u0000"}'), (13, '{"a": 1, "x": "3e12345-9e99999"}'), (14, '{"a": 1, "x": 1e00300}'), (15, '{"a": 1, "x": 1, "x": 2}'), (16, NULL),
    (17, '{"a": 1, "x": "\\\\\ud83d\uDE00 \\ud83d \\\\ude00"}'), (18, ('{"a": 1, "x": -0.' || repeat('9', 1900) || 'e-9999}')::json), (19, ('{"a": 1, "x": ' || repeat('9', 1900) || '}')::json);
SELECT castmatch.attach('documents', '{body}', embed_mode => 'off');
SELECT string_agg(key, ',' ORDER BY key::integer) FROM castmatch.match('documents', 'performer', 100, '{"raw.a": 1}', mode => 'text');
SELECT id, failure(format('SELECT raw::jsonb FROM documents WHERE id = %s', id)) <> 'no error' AS refused FROM documents ORDER BY id;

-- What is wrong is named.
SELECT f, failure(format('SELECT * FROM castmatch.match(''people'', ''q'', 10, %L, mode => ''text'')', f)) FROM unnest(ARRAY[
    '{"age.years": 1}', '{"p.t.x": 1}', '{"profil.height": 1}', '{"nothing.height": 1}', '{"profile.": 1}', '{"profile..a": 1}', '{"profile.\"a": 1}', '{"profile.\"a\"b": 1}', '{".profile": 1}',
    '{"profile.height": null}', '{"profile.height": {}}', '{"profile.height": [1]}', '{"profile.height": {"get": 1}}', '{"profile.height": {"gt": true}}', '{"profile.height": {"lt": [1]}}', '{"profile.height": {"in": 1}}',
    '{"profile.height": {"in": [1, null]}}', '{"profile.height": {"overlaps": [null]}}', '{"profile.name": {"like": 1}}', '{"profile.name": {"is_null": "x"}}', '{"profile": {"height": {"gte": 170}}}'
]) f;
SELECT failure(format('SELECT * FROM castmatch.match(''people'', ''q'', 10, %L, mode => ''text'')', f)) FROM (VALUES
    (1, jsonb_build_object('profile' || repeat('.a', 33), 1)), (2, jsonb_build_object('profile.' || repeat('a', 1025), 1)), (3, jsonb_build_object('profile.a', jsonb_build_object('in', (SELECT jsonb_agg(i) FROM generate_series(1, 10001) i))))
) AS filters (place, f) ORDER BY place;
SELECT passing(jsonb_build_object('profile' || repeat('.a', 32), 1)), passing(jsonb_build_object('profile.' || repeat('a', 1024), 1));

-- Preferences
CREATE FUNCTION preferred(prefer jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(m.key || ': ' || coalesce(part->>'value', 'none') || ' ' || round((part->>'score')::numeric, 3), ', ' ORDER BY m.place)
    FROM castmatch.match('paths.people', 'performer', 4, NULL, prefer, 'text') WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place),
        jsonb_array_elements(reasons->'preferences') part
$$;
SELECT p, preferred(p) FROM (VALUES
    (1, '[{"column": "profile.height", "weight": 0.9, "near": 180, "scale": 10}]'::jsonb), (2, '[{"column": "profile.height", "weight": 0.9, "at_least": 170}]'), (3, '[{"column": "profile.height", "weight": 0.9, "lower": true}]'),
    (4, '[{"column": "profile.languages", "weight": 0.9, "any_of": ["English", 5]}]'), (5, '[{"column": "profile.address.city", "weight": 0.9, "equals": "Mumbai"}]'), (6, '[{"column": "raw.\"a.b\".\"c\"\"d\".e\\f", "weight": 0.9, "equals": "odd"}]'),
    (7, '[{"column": "profile.address.pin.-1", "weight": 0.9, "higher": true}]'), (8, '[{"column": "profile.active", "weight": 0.9, "equals": true}]'), (9, '[{"column": "age", "weight": 0.9, "higher": true}]')
) AS preferences (place, p) ORDER BY place;
SELECT reasons->'columns' AS columns, reasons->'preferences' AS preferences
FROM castmatch.match('people', 'performer', 1, '{"profile.address.city": "Mumbai"}', '[{"column": "profile.height", "weight": 0.1, "near": 165.5, "scale": 10}]', 'text');
SELECT p, failure(format('SELECT * FROM castmatch.match(''people'', ''q'', prefer => %L, mode => ''text'')', p)) FROM unnest(ARRAY[
    '[{"column": "age.years", "weight": 0.1, "higher": true}]', '[{"column": "profile.", "weight": 0.1, "higher": true}]', '[{"column": "profil.height", "weight": 0.1, "higher": true}]', '[{"column": "profile", "weight": 0.1, "higher": true}]',
    '[{"column": "profile.height", "weight": 0.1, "at_least": "x"}]', '[{"column": "profile.height", "weight": 0.1, "equals": {}}]'
]) p;

-- Whatever stands in the search path before pg_catalog, castmatch calls PostgreSQL's own.
CREATE FUNCTION paths.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION paths.jsonb_array_elements(jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION paths.strpos(text, text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION paths.hijacked(jsonb, jsonb) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION paths.hijacked(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION paths.hijacked(jsonb, text[]) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR paths.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = paths.hijacked);
CREATE OPERATOR paths.@> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = paths.hijacked);
CREATE OPERATOR paths.= (LEFTARG = text, RIGHTARG = text, FUNCTION = paths.hijacked);
CREATE OPERATOR paths.!~ (LEFTARG = text, RIGHTARG = text, FUNCTION = paths.hijacked);
CREATE OPERATOR paths.#> (LEFTARG = jsonb, RIGHTARG = text[], FUNCTION = paths.hijacked);
BEGIN;
SET LOCAL search_path = paths, pg_catalog, public;
SET LOCAL standard_conforming_strings = off;
SELECT key FROM castmatch.match('people', 'performer', 1, '{"profile.height": 180, "profile.languages": {"contains": "Hindi", "overlaps": ["Hindi"]}, "raw.name": {"in": ["Asha"], "contains": "sh", "is_null": false}}', mode => 'text');
ROLLBACK;

-- A right on the column is what a path needs.
CREATE ROLE regress_match_paths;
GRANT USAGE ON SCHEMA paths TO regress_match_paths;
GRANT SELECT (id, body, embedding, profile) ON people TO regress_match_paths;
SET ROLE regress_match_paths;
SELECT key FROM castmatch.match('people', 'performer', 1, '{"profile.height": {"lt": 170}}', mode => 'text');
\set VERBOSITY sqlstate
SELECT key FROM castmatch.match('people', 'performer', 1, '{"raw.height": {"lt": 170}}', mode => 'text');
\set VERBOSITY default
RESET ROLE;

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA paths CASCADE;
DROP ROLE regress_match_paths;
