-- Conversations of the built-in responder: what it understands, titles, metadata, summaries, export, pieces.
CREATE SCHEMA conversing;
SET search_path = conversing, public;
CREATE TABLE talents (id integer PRIMARY KEY, name text, bio text, age integer, city text, languages text[]);
INSERT INTO talents SELECT n, 'Talent ' || n, (ARRAY['A classical dancer', 'A comedian who sings', 'A stunt rider'])[1 + n % 3], 20 + n,
    (ARRAY['Mumbai', 'Pune', 'Delhi', 'New Delhi'])[1 + n % 4], CASE WHEN n % 2 = 0 THEN '{Hindi,Marathi}' ELSE '{English}' END::text[] FROM generate_series(1, 40) n;
SELECT castmatch.attach('talents', '{name,bio}', filters => '{age,city,languages}');
SELECT castmatch.sync('talents') >= 0 AS synced;
ANALYZE talents;

-- What stands behind a reply: the cities and languages of its rows.
CREATE FUNCTION cities(turn jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(DISTINCT t.city, ', ' ORDER BY t.city) FROM jsonb_array_elements(turn->'sources') s
    JOIN conversing.talents t ON t.id = (s->>'key')::integer
$$;
CREATE FUNCTION say(message text, conversation uuid DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT castmatch.chat(message, conversation, 'conversing.talents', k => 8)
$$;
-- A description is none of a condition; "only" makes one, in the first turn or later.
SELECT cities(say('a dancer')) AS described, cities(say('a dancer, only in Pune')) AS only_there, cities(say('a dancer but not from Delhi')) AS not_there;
SELECT say('a dancer') ->> 'conversation_id' AS conversation \gset
SELECT cities(say('only in Pune', :'conversation')) AS only_pune;
SELECT cities(say('what about Mumbai?', :'conversation')) AS instead;
SELECT cities(say('and someone younger?', :'conversation')) AS younger_still_there;
SELECT say('must speak Klingon or Hindi, only in New Delhi', :'conversation') ->> 'reply' AS none_left \gset
SELECT position('New Delhi' IN :'none_left') > 0 AS named;
SELECT bool_and(t.languages @> '{Hindi}') AS all_speak FROM jsonb_array_elements(say('someone who must speak Hindi')->'sources') s JOIN talents t ON t.id = (s->>'key')::integer;

-- Small talk needs no rows.
SELECT say('hello')->'sources' AS sources, say('hello')->>'reply' AS reply;
SELECT say('who are you?')->>'reply' ~ 'neither a language model nor a person' AS honest;
SELECT jsonb_array_length(say('hello dolly dancer')->'sources') > 0 AS a_search;

-- Titles, metadata, and what belongs to a conversation.
SELECT title FROM castmatch.conversations WHERE id = :'conversation';
SELECT castmatch.chat('please find me a stunt rider for a western', target => 'talents', options => '{"metadata": {"project": 7}}')->>'conversation_id' AS other \gset
SELECT castmatch.chat('and someone younger?', :'other', options => '{"title": "Riders", "metadata": {"scene": 3}}') IS NOT NULL AS turned;
SELECT title, metadata, summary FROM castmatch.conversations WHERE id = :'other';
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(castmatch.export_conversation(:'other')) ORDER BY key COLLATE "C";
SELECT m->>'seq' AS seq, m->>'role' AS role FROM jsonb_array_elements(castmatch.export_conversation(:'other')->'messages') m;
SELECT castmatch.export_conversation('00000000-0000-0000-0000-000000000000');

-- Pieces: together they are the reply, and the turn is stored.
SELECT string_agg(piece, '') AS streamed FROM (SELECT castmatch.chat_stream('a comedian', target => 'talents', k => 2) AS piece) p \gset
SELECT content = :'streamed' AS stored FROM castmatch.messages WHERE role = 'assistant' ORDER BY created_at DESC LIMIT 1;

-- A request is none before the commit; what cannot be is told at once.
BEGIN;
SELECT castmatch.chat_async('a dancer', target => 'talents') AS request \gset
SELECT castmatch.chat_result(:'request')->>'state' AS state;
ROLLBACK;
SELECT count(*) FROM castmatch.requests;
SELECT castmatch.chat_result('00000000-0000-0000-0000-000000000000');

-- What cannot be stored is refused before anything is paid.
BEGIN READ ONLY;
SELECT castmatch.chat('a dancer', target => 'talents');
ROLLBACK;

\t on
\pset format unaligned
SELECT a, failure('SELECT castmatch.' || a) FROM unnest(ARRAY['chat_async(NULL)', 'chat_async(''x'', ''00000000-0000-0000-0000-000000000000'')', 'chat_async(''x'', target => ''pg_class'')', 'chat_async(''x'', target => ''talents'', model => ''nobody'')',
    'chat_stream('''')', 'chat_stream(''x'', target => ''talents'', options => ''{"json_schema": {}}'')', 'chat(''x'', target => ''talents'', options => ''{"title": ""}'')',
    'chat(''x'', target => ''talents'', options => ''{"metadata": 3}'')', 'chat(''x'', target => ''talents'', options => ''{"temperature": 3}'')', 'chat(''x'', target => ''talents'', options => ''{"summary": "yes"}'')']) a;
\t off
\pset format aligned
DROP SCHEMA conversing CASCADE;
SELECT count(castmatch.forget(id)) > 0 AS forgotten FROM castmatch.conversations;
