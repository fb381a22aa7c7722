-- The options of castmatch.match and what reasons say. The rows' texts lie far apart in meaning.
CREATE SCHEMA options;
SET search_path = options, public;
CREATE TABLE artists (
    id integer PRIMARY KEY, name text, bio text, age integer, city text, rating numeric(3,1), day_rate integer, years_experience integer,
    languages text[], available_from date, note text
);
INSERT INTO artists VALUES
    (1, 'Asha', 'Classical dancer trained in Kathak and ballet', 28, 'Mumbai', 4.5, 20000, 6, '{Hindi,Marathi}', '2026-03-01', 'a'),
    (2, 'Bela', 'Plays warm mothers and grandmothers in family comedies', 45, 'Pune', 4.9, 35000, 20, '{Hindi,English}', '2026-04-01', NULL),
    (3, 'Carl', 'Stunt rider and horse trainer for westerns', 38, 'Delhi', 3.8, 15000, 12, '{English,German}', '2026-03-15', NULL),
    (4, 'Dora', 'Opera singer, soprano, sings in Italian and German', 33, 'Mumbai', 4.1, 50000, 2, '{Italian,German}', NULL, NULL),
    (5, 'Emil', 'Stand-up comedian and voice actor for cartoons', 52, 'Pune', NULL, NULL, NULL, '{}', '2026-05-01', NULL),
    (6, 'Fay', 'Ballet dancer and choreographer for dance films', 24, NULL, 4.0, 18000, 3, NULL, '2026-02-01', NULL);
SELECT castmatch.attach('artists', '{name,bio}');
SELECT castmatch.sync('artists') >= 0 AS synced;
-- A row that only its words find.
INSERT INTO artists (id, name, bio) VALUES (7, 'Gus', 'A horse whisperer');
SELECT castmatch.sync('artists') >= 0 AS synced;
UPDATE artists SET embedding = NULL WHERE id = 7;

CREATE FUNCTION keys(query text, options jsonb DEFAULT NULL, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, k integer DEFAULT 10, mode text DEFAULT 'hybrid')
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(string_agg(key, ',' ORDER BY place), 'none')
    FROM castmatch.match('options.artists', query, k, filter, prefer, mode, options) WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place)
$$;

-- What is wrong is named.
\t on
\pset format unaligned
SELECT o, failure(format('SELECT * FROM castmatch.match(''artists'', ''q'', options => %L)', o)) FROM unnest(ARRAY[
    '[]', '1', '{"ofset": 1}', '{"speed": 1}', '{"k": 1}', '{"mode": "text"}', '{"offset": -1}', '{"offset": 10001}', '{"offset": 1.5}', '{"offset": "1"}', '{"offset": null}',
    '{"min_similarity": 1.5}', '{"min_similarity": "high"}', '{"mmr": 2}', '{"mmr": true}', '{"mmr": {}}', '{"mmr": {"lambda": 0.5, "candidates": 2001}}', '{"mmr": {"lamda": 1}}',
    '{"semantic_weight": -1}', '{"semantic_weight": 0, "text_weight": 0}', '{"text_weight": "x"}', '{"rrf_k": -1}', '{"candidates": 0}', '{"candidates": 50001}', '{"reasons": "short"}', '{"reasons": null}',
    '{"cache": "never"}'
]) o;
SELECT failure('SELECT * FROM castmatch.match(''artists'', ''q'', mode => ''text'', options => ''{"min_similarity": 0}'')');
SELECT failure('SELECT castmatch.chat(''q'', target => ''artists'', options => ''{"offset": 1}'')');
SELECT failure('SELECT castmatch.chat(''q'', target => ''artists'', options => ''{"reasons": false}'')');
\t off
\pset format aligned

-- Pages are parts of the whole.
SELECT keys('dancer', '{"offset": 2}', k => 3) = (SELECT string_agg(key, ',') FROM (SELECT key FROM unnest(string_to_array(keys('dancer'), ',')) WITH ORDINALITY AS w (key, n) WHERE n BETWEEN 3 AND 5) w) AS a_page,
    keys('dancer', '{"offset": 7}'), keys('dancer', '{"offset": 10000}', k => 10000);
-- Every row that has an embedding has its similarity, whichever leg found it.
SELECT key, similarity IS NOT NULL AS similarity, semantic_rank IS NOT NULL AS by_meaning, text_rank IS NOT NULL AS by_words
FROM castmatch.match('artists', 'horse', 10, options => '{"candidates": 1}') ORDER BY key;
SELECT count(*), count(similarity), count(semantic_rank) FROM castmatch.match('artists', 'horse German dancer', 10, options => '{"candidates": 4}');
SELECT bool_and(m.similarity BETWEEN 1 - (a.embedding <=> castmatch.embed('horse German dancer')) - 1e-9 AND 1 - (a.embedding <=> castmatch.embed('horse German dancer')) + 1e-9) AS as_computed
FROM castmatch.match('artists', 'horse German dancer', 10, options => '{"candidates": 4}') m JOIN artists a ON a.id = m.key::integer WHERE a.embedding IS NOT NULL;
-- A bound on the similarity holds for rows found by words too; without an embedding none is known.
SELECT keys('horse trainer', '{"min_similarity": 0.3}'), keys('horse trainer', '{"min_similarity": 0.3}', mode => 'semantic'), keys('horse trainer', '{"min_similarity": 1}'),
    keys('horse trainer', '{"min_similarity": -1}') ~ '7' AS without_embedding, keys('horse whisperer', k => 1);
-- Weights and the constant of the fusion.
SELECT keys('horse whisperer', '{"semantic_weight": 0}', k => 2), keys('horse whisperer', '{"text_weight": 0}', k => 1),
    keys('horse whisperer', '{"semantic_weight": 0}') ~ '7,3' AS by_words_alone;
SELECT round(score::numeric, 4) AS score FROM castmatch.match('artists', 'sings soprano', 1, options => '{"rrf_k": 0}');
-- Diversity: two dancers are alike.
SELECT keys('ballet dancer', k => 2) IN ('1,6', '6,1') AS dancers, keys('ballet dancer', '{"mmr": 1}', k => 7) = keys('ballet dancer', k => 7) AS unchanged,
    keys('ballet dancer', '{"mmr": 0.2}', k => 2) IN ('1,6', '6,1') AS still_dancers, keys('ballet dancer', '{"mmr": 0.5}', mode => 'text');
SELECT count(DISTINCT key) FROM castmatch.match('artists', 'ballet dancer', 7, options => '{"mmr": 0.2}');

-- Reasons in words: what the filter asked, what was preferred, words, meaning.
\t on
\pset format unaligned
SELECT key, reasons #>> '{}' FROM castmatch.match('artists', 'warm mother', 1, '{"age": {"gte": 38, "lt": 50}, "city": {"in": ["Pune", "Mumbai"]}, "languages": {"contains": ["Hindi"]}}',
    '[{"column": "years_experience", "weight": 0.1, "at_least": 5}, {"column": "languages", "weight": 0.1, "any_of": ["Hindi", "Marathi", "English"]}, {"column": "day_rate", "weight": 0.1, "near": 36000, "scale": 5000},
      {"column": "rating", "weight": 0.1, "higher": true}]', 'text', '{"reasons": "text"}');
SELECT b->>'code', b->>'column', b->'params', b->>'text'
FROM castmatch.match('artists', 'soprano singing German', 1, '{"available_from": {"is_null": true}, "or": [{"age": 33}, {"age": 34}], "not": {"city": "Goa"}, "name": {"like": "D%"}, "rating": {"gt": 4}}',
    '[{"column": "years_experience", "weight": 0.1, "at_least": 5}, {"column": "age", "weight": 0.1, "at_most": 30}, {"column": "languages", "weight": 0.1, "any_of": ["Hindi", "Marathi"]},
      {"column": "city", "weight": 0.1, "equals": "Pune"}]', 'text') m, jsonb_array_elements(m.reasons->'because') b;
SELECT b->>'code', b->>'column', b->'params', b->>'text'
FROM castmatch.match('artists', 'comedian', 1, '{"available_from": {"gte": "2026-04-15"}, "city": {"ne": "Goa"}, "note": {"is_null": true}}',
    '[{"column": "day_rate", "weight": 0.1, "near": 36000, "scale": 5000}, {"column": "city", "weight": 0.1, "equals": "Pune"}]', 'text') m, jsonb_array_elements(m.reasons->'because') b;
SELECT b->>'code', b->>'text' ~ '^similar in meaning, 0\.\d+$' FROM castmatch.match('artists', 'opera soprano', 1, mode => 'semantic') m, jsonb_array_elements(m.reasons->'because') b WHERE b->>'code' = 'similar';
SELECT m.reasons IS NULL FROM castmatch.match('artists', 'soprano', 1, options => '{"reasons": false}') m;
SELECT keys('soprano', '{"reasons": false}') = keys('soprano') AND keys('soprano', '{"reasons": "text"}') = keys('soprano');
\t off
\pset format aligned
-- The parts are as before.
SELECT jsonb_path_query_array(reasons, '$.keyvalue().key') AS keys, reasons#>'{text,matched_terms}' AS matched_terms, reasons->'columns' AS columns
FROM castmatch.match('artists', 'warm mothers', 1, '{"city": "Pune"}');
-- Chat takes those options that mean something to it.
SELECT jsonb_array_length(castmatch.chat('dancer', target => 'artists', k => 7, options => '{"min_similarity": 0.3, "mmr": 0.7, "rrf_k": 10, "candidates": 50}')->'sources') BETWEEN 2 AND 4 AS only_similar;

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA options CASCADE;
