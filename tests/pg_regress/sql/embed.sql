-- castmatch.embed and castmatch.embed_batch with the model that comes with castmatch. Vectors themselves are compared with the
-- model's reference elsewhere; here is what holds for any of them.

SELECT vector_dims(castmatch.embed('a stage actor from Pune')), pg_typeof(castmatch.embed('a stage actor from Pune'));
SELECT castmatch.embed(NULL) IS NULL AS of_null, castmatch.embed_batch(NULL) IS NULL AS batch_of_null;
SELECT octet_length(t) AS bytes, abs(vector_norm(castmatch.embed(t)) - 1) < 1e-5 AS is_unit
FROM unnest(ARRAY['', ' ', 'a', 'मुंबई के कलाकार', E'line\nbreak', '🎬', repeat('word ', 3), E'\u00e9', 'e' || E'\u0301']) t;
-- A text much longer than the model reads is embedded by what the model reads.
SELECT vector_dims(castmatch.embed(repeat('a dancer and a singer ', 5000)));
SELECT castmatch.embed(repeat('a dancer and a singer ', 5000)) <=> castmatch.embed(repeat('a dancer and a singer ', 4000)) < 1e-6 AS same;

-- The same text has the same vector, alone or among others; "query" and "passage" are one for this model.
SELECT castmatch.embed('warm mother') = castmatch.embed('warm mother', 'builtin', 'passage') AS same;
SELECT castmatch.embed(input => 'warm mother', model => NULL, kind => 'query') = castmatch.embed('warm mother') AS same;
SELECT t <=> castmatch.embed('warm mother') < 1e-6 AS same
FROM unnest(castmatch.embed_batch(ARRAY['a very long text about horses and carriages in the rain', 'warm mother', ''])) WITH ORDINALITY AS b (t, place)
WHERE place = 2;

-- A batch keeps its order; NULL stays NULL; none gives none.
SELECT place, t IS NULL AS is_null, t <=> castmatch.embed((ARRAY['horse', NULL, 'judge', 'horse'])[place]) < 1e-6 AS same
FROM unnest(castmatch.embed_batch(ARRAY['horse', NULL, 'judge', 'horse'])) WITH ORDINALITY AS b (t, place);
SELECT castmatch.embed_batch('{}'), castmatch.embed_batch(ARRAY[NULL]::text[]), pg_typeof(castmatch.embed_batch('{}'));
SELECT count(*), bool_and(abs(vector_norm(t) - 1) < 1e-5) AS all_units
FROM unnest(castmatch.embed_batch(ARRAY(SELECT 'performer number ' || i FROM generate_series(1, 40) i))) t;

-- Nearer in meaning is nearer in space.
SELECT near < far AS nearer FROM (
    SELECT castmatch.embed(a) <=> castmatch.embed(b) AS near, castmatch.embed(a) <=> castmatch.embed(c) AS far FROM (VALUES
        ('a funny mother in her forties', 'comic actress, plays mums', 'heavy lorry driver with a crane licence'),
        ('classical dancer', 'trained in ballet and Kathak', 'invoice for printing paper'),
        ('speaks Hindi', 'fluent in Hindi and Urdu', 'rides a motorcycle'),
        ('the dog barks', 'a puppy makes noise', 'interest rates rise')
    ) AS texts (a, b, c)
) AS distances;

\t on
\pset format unaligned
SELECT failure('SELECT ' || s) FROM unnest(ARRAY[
    'castmatch.embed(''a'', ''no-such-model'')', 'castmatch.embed(''a'', '''')', 'castmatch.embed(''a'', ''builtin'', ''document'')', 'castmatch.embed(''a'', kind => NULL)',
    'castmatch.embed(NULL, ''no-such-model'')', 'castmatch.embed(NULL, kind => ''document'')', 'castmatch.embed_batch(''{a}'', ''no-such-model'')',
    'castmatch.embed_batch(''{a}'', kind => ''Passage'')', 'castmatch.embed_batch(''{{a,b},{c,d}}'')'
]) s;
\t off
\pset format aligned

-- In a standby's conditions: no write is needed.
BEGIN READ ONLY;
SELECT vector_dims(castmatch.embed('a judge'));
ROLLBACK;
-- Into columns, through functions, as a role without rights.
CREATE TABLE texts (id integer PRIMARY KEY, body text, embedding vector(384), half halfvec(384));
INSERT INTO texts VALUES (1, 'a horse rider', NULL, NULL), (2, 'a tax adviser', NULL, NULL);
UPDATE texts SET embedding = castmatch.embed(body, kind => 'passage'), half = castmatch.embed(body);
SELECT id FROM texts ORDER BY embedding <=> castmatch.embed('someone for a western') LIMIT 1;
SELECT id FROM texts ORDER BY half <=> castmatch.embed('someone for my tax returns')::halfvec LIMIT 1;
SELECT bool_and(embedding <=> half < 1e-4) AS half_is_close FROM texts;
CREATE ROLE regress_embed_reader;
SET ROLE regress_embed_reader;
SELECT vector_dims(castmatch.embed('a judge'));
RESET ROLE;
DROP ROLE regress_embed_reader;
DROP TABLE texts;
