-- castmatch.match_explain: where a row stands in a match, or why it is not in the result.
CREATE SCHEMA explained;
SET search_path = explained, public;
CREATE TABLE artists (id integer PRIMARY KEY, bio text, age integer, city text, languages text[]);
INSERT INTO artists VALUES
    (1, 'Classical dancer trained in Kathak and ballet', 28, 'Mumbai', '{Hindi,Marathi}'), (2, 'Plays mothers and grandmothers in family comedies', 45, 'Pune', '{Hindi,English}'),
    (3, 'Stunt rider and horse trainer for westerns', 38, 'Delhi', '{English,German}'), (4, 'Opera singer, soprano, sings in Italian and German', 33, 'Mumbai', '{Italian,German}'),
    (5, 'Stand-up comedian and voice actor for cartoons', 52, 'Pune', '{}'), (6, 'Ballet dancer and choreographer for dance films', 24, NULL, NULL);
SELECT castmatch.attach('artists', '{bio}', filters => '{city}');
SELECT castmatch.sync('artists') >= 0 AS synced;
INSERT INTO artists VALUES (7, NULL, 99, 'Pune', NULL);
SELECT castmatch.sync('artists') >= 0 AS synced;

CREATE FUNCTION why_not(query text, key text, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS TABLE (found boolean, code text, "column" text, says text) LANGUAGE sql STABLE AS $$
    SELECT (e->>'found')::boolean, w->>'code', w->>'column', w->>'text'
    FROM castmatch.match_explain('explained.artists', query, key, filter, prefer, options) e LEFT JOIN LATERAL jsonb_array_elements(e->'why_not') w ON true
$$;

SELECT jsonb_path_query_array(e, '$.keyvalue().key') AS keys FROM castmatch.match_explain('artists', 'horse trainer', '3') e;
-- What it says is what match does, for every row of every kind of search.
CREATE FUNCTION agrees(query text, k integer, filter jsonb, prefer jsonb, mode text, options jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT bool_and((e->>'found')::boolean = (m.key IS NOT NULL)
        AND (m.key IS NULL OR (e->>'position')::bigint = m.place + coalesce((options->>'offset')::bigint, 0)
            AND (e->>'score')::float8 = m.score AND (e#>>'{semantic,leg_rank}')::integer IS NOT DISTINCT FROM m.semantic_rank
            AND (e#>>'{text,leg_rank}')::integer IS NOT DISTINCT FROM m.text_rank AND (e#>>'{semantic,similarity}')::float8 IS NOT DISTINCT FROM m.similarity
            AND e->'reasons' = m.reasons)
        AND (m.key IS NULL OR e->'why_not' = '[]') AND (m.key IS NOT NULL OR jsonb_array_length(e->'why_not') > 0))
    FROM explained.artists a
    LEFT JOIN castmatch.match('explained.artists', query, k, filter, prefer, mode, options) WITH ORDINALITY AS m (key, score, similarity, semantic_rank, text_rank, reasons, place) ON m.key::integer = a.id
    CROSS JOIN LATERAL castmatch.match_explain('explained.artists', query, a.id::text, filter, prefer, coalesce(options, '{}') || jsonb_build_object('k', k, 'mode', mode)) e
$$;
SELECT mode, o, agrees('dancer who sings in German', k, filter, prefer, mode, o) FROM
    unnest(ARRAY['hybrid', 'semantic', 'text']) mode, unnest(ARRAY[NULL, '{"offset": 1}', '{"mmr": 0.3}', '{"semantic_weight": 0.2, "rrf_k": 5, "candidates": 2}']::jsonb[]) o,
    (VALUES (3, '{"age": {"lt": 50}, "or": [{"city": "Mumbai"}, {"city": {"is_null": true}}]}'::jsonb, '[{"column": "age", "weight": 0.3, "lower": true}]'::jsonb)) AS s (k, filter, prefer);
SELECT k, agrees('dancer who sings in German', k, NULL, NULL, 'hybrid', '{"min_similarity": 0.2}') FROM unnest(ARRAY[0, 1, 3, 10]) k;

-- The parts.
SELECT e->'filter' AS filter, e->>'embedding' AS embedding, e->>'position' AS position, e#>'{text,terms,0,columns}' AS columns, e#>>'{semantic,rank}' AS exact_rank
FROM castmatch.match_explain('artists', 'horse trainer', '3', '{"city": {"in": ["Delhi", "Goa"]}, "age": {"gte": 30, "lt": 40}}') e;
SELECT t->>'term' AS term, round((t->>'share')::numeric, 2) AS share, t->'columns' AS columns,
    abs((SELECT sum((x->>'score')::float8) FROM jsonb_array_elements(e#>'{text,terms}') x) - (e#>>'{text,score}')::float8) < 1e-6 AS shares_sum_up
FROM castmatch.match_explain('artists', 'ballet dancer for westerns', '6') e, jsonb_array_elements(e#>'{text,terms}') t;
SELECT e->'preferences' AS preferences FROM castmatch.match_explain('artists', 'horse trainer', '3', prefer => '[{"column": "age", "weight": 0.2, "at_least": 50}]') e;
SELECT e->'text' AS text, e->'semantic' IS NOT NULL AS semantic FROM castmatch.match_explain('artists', 'horse trainer', '3', options => '{"mode": "semantic"}') e;
SELECT e->'semantic' AS semantic FROM castmatch.match_explain('artists', 'horse trainer', '3', options => '{"mode": "text"}') e;
-- The exact rank is among the rows that pass the filter.
SELECT filter, array_agg((e#>>'{semantic,rank}')::integer ORDER BY (e#>>'{semantic,rank}')::integer) AS ranks
FROM unnest(ARRAY['{}', '{"city": "Mumbai"}']::jsonb[]) filter, artists a, castmatch.match_explain('artists', 'sings', a.id::text, filter) e
WHERE a.embedding IS NOT NULL AND (filter = '{}' OR a.city = 'Mumbai') GROUP BY filter;

-- Why not.
SELECT * FROM why_not('horse trainer', '3');
SELECT * FROM why_not('horse trainer', '999');
SELECT * FROM why_not('horse trainer', '1', '{"city": "Delhi", "age": {"gte": 30, "lt": 40}, "languages": {"contains": ["German"]}, "or": [{"age": 1}, {"age": 2}]}');
SELECT * FROM why_not('horse trainer', '6', '{"city": "Delhi"}');
SELECT * FROM why_not('horse trainer', '7');
SELECT * FROM why_not('horse trainer', '1', options => '{"mode": "text"}');
SELECT found, code, says ~ '^similarity -?0\.\d+, at least 0\.9 asked$' AS says FROM why_not('horse trainer', '1', options => '{"min_similarity": 0.9}');
SELECT found, code, says ~ '^rank \d by meaning, not among the 1 rows that each leg looks at$' AS says FROM why_not('horse trainer', '1', options => '{"candidates": 1, "k": 1}');
SELECT found, code, says ~ '^position \d, the last row returned is 1, whose score is [\d.]+ against [\d.]+$' AS says FROM why_not('horse trainer', '1', options => '{"k": 1}');
SELECT * FROM why_not('horse trainer', '3', options => '{"offset": 2}');
SELECT found, code, says FROM why_not('ballet dancer', CASE WHEN (SELECT key FROM castmatch.match('artists', 'ballet dancer', 1)) = '1' THEN '6' ELSE '1' END, options => '{"mmr": 0.01, "k": 2}');
-- What waits, and what failed.
ALTER TABLE artists ADD CONSTRAINT refuses_embeddings CHECK (id <> 8 OR embedding IS NULL);
INSERT INTO artists VALUES (8, 'Juggler with torches', 30, 'Pune', NULL);
SELECT e->>'embedding' IN ('pending', 'failed') AS told, e->>'found' AS found FROM castmatch.match_explain('artists', 'torches', '8', options => '{"mode": "semantic"}') e;
SELECT failure('SELECT * FROM castmatch.similar(''explained.artists'', ''8'')') LIKE '55000: row "8" has no embedding%' AS told;
DELETE FROM artists WHERE id = 8;

-- What is wrong is named.
\t on
\pset format unaligned
SELECT a, failure('SELECT castmatch.match_explain(' || a || ')') FROM unnest(ARRAY[
    'NULL, ''q'', ''1''', '''artists'', NULL, ''1''', '''artists'', ''q'', NULL', '''artists'', '' '', ''1''', '''artists'', ''q'', ''one''', '''artists'', ''q'', ''1'', ''{"agee": 1}''',
    '''artists'', ''q'', ''1'', options => ''{"reasons": true}''', '''artists'', ''q'', ''1'', options => ''{"k": -1}''', '''artists'', ''q'', ''1'', options => ''{"mode": "best"}''', '''pg_class'', ''q'', ''1'''
]) a;

-- Rights: nothing is told of what the caller may not see.
CREATE ROLE regress_explain_reader;
GRANT USAGE ON SCHEMA explained TO regress_explain_reader;
SET ROLE regress_explain_reader;
SELECT failure('SELECT castmatch.match_explain(''artists'', ''horse'', ''3'')');
RESET ROLE;
GRANT SELECT (id, embedding, city) ON artists TO regress_explain_reader;
SET ROLE regress_explain_reader;
SELECT failure('SELECT castmatch.match_explain(''artists'', ''horse'', ''3'')');
RESET ROLE;
GRANT SELECT (id, embedding, city, bio) ON artists TO regress_explain_reader;
SET ROLE regress_explain_reader;
SELECT castmatch.match_explain('artists', 'horse', '3')->>'found';
-- The queue is told of only to those who may read the table.
SELECT castmatch.match_explain('artists', 'horse', '7')->>'embedding';
SELECT failure('SELECT castmatch.match_explain(''artists'', ''horse'', ''3'', ''{"age": 1}'')');
RESET ROLE;
GRANT SELECT ON artists TO regress_explain_reader;
ALTER TABLE artists ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_mumbai ON artists FOR SELECT TO regress_explain_reader USING (city = 'Mumbai');
SET ROLE regress_explain_reader;
SELECT castmatch.match_explain('artists', 'horse trainer', '3', '{"age": 1}', '[{"column": "age", "weight": 0.1, "higher": true}]');
SELECT castmatch.match_explain('artists', 'horse trainer', '999');
-- Its rank is among the rows that the caller sees.
SELECT e->>'visible', e->>'found', (e#>>'{semantic,rank}')::integer <= 2 FROM castmatch.match_explain('artists', 'horse trainer', '1') e;
SET row_security = off;
SELECT failure('SELECT castmatch.match_explain(''artists'', ''horse'', ''1'')');
RESET row_security;
RESET ROLE;
\t off
\pset format aligned
CREATE ROLE regress_explain_owner;
GRANT USAGE, CREATE ON SCHEMA explained TO regress_explain_owner;
ALTER TABLE artists OWNER TO regress_explain_owner;
SET ROLE regress_explain_owner;
SELECT castmatch.match_explain('artists', 'horse trainer', '3')->>'visible' AS visible;
ALTER TABLE artists FORCE ROW LEVEL SECURITY;
SELECT castmatch.match_explain('artists', 'horse trainer', '3')->>'visible' AS visible;
ALTER TABLE artists NO FORCE ROW LEVEL SECURITY;
RESET ROLE;

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA explained CASCADE;
DROP ROLE regress_explain_reader, regress_explain_owner;
