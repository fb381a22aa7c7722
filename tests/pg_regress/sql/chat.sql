-- castmatch.chat: turns that build on each other, the conversation's rows, and who may see them.
CREATE SCHEMA chatting;
SET search_path = chatting, public;
CREATE TABLE talents (id integer PRIMARY KEY, name text, bio text, age integer, city text);
INSERT INTO talents VALUES
    (1, 'Asha', 'Warm, funny mother in family comedies', 48, 'Mumbai'), (2, 'Bela', 'Plays a caring mother in family dramas', 41, 'Pune'),
    (3, 'Chitra', 'Young mother in family films, sings', 33, 'Mumbai'), (4, 'Devi', 'Mother in television family series', 29, 'Delhi'),
    (5, 'Esha', 'A mother in family adverts', 25, 'Pune'), (6, 'Farid', 'Stunt rider for westerns', 38, 'Mumbai');
\t on
\pset format unaligned
SELECT failure('SELECT castmatch.chat(''hello'')');
\t off
\pset format aligned
SELECT castmatch.attach('talents', '{name,bio}', filters => '{age,city}');
SELECT castmatch.sync('talents') >= 0 AS synced;

-- The ages of a turn's sources, best first.
CREATE FUNCTION ages(turn jsonb) RETURNS integer[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(t.age ORDER BY s.place) FROM jsonb_array_elements(turn->'sources') WITH ORDINALITY AS s (source, place)
    JOIN chatting.talents t ON t.id = (s.source->>'key')::integer
$$;
-- Three turns: each "younger" means younger than the first of the turn before.
SELECT castmatch.chat('a mother for a family comedy', k => 2, filter => '{"age": {"gt": 20}}') AS first \gset
SELECT (:'first'::jsonb->>'conversation_id') AS conversation \gset
SELECT castmatch.chat('…and someone younger?', :'conversation', k => 2) AS second \gset
SELECT castmatch.chat('and someone even younger?', :'conversation', k => 2) AS third \gset
SELECT cardinality(ages(:'first')) AS first, (ages(:'first'))[1] > ALL (ages(:'second')) AS second_is_younger, (ages(:'second'))[1] > ALL (ages(:'third')) AS third_is_younger,
    :'second'::jsonb->'conversation_id' = :'first'::jsonb->'conversation_id' AS same_conversation;
-- The reply names what it shows.
SELECT bool_and(position(t.name IN (:'second'::jsonb->>'reply')) > 0) AS named FROM jsonb_array_elements(:'second'::jsonb->'sources') s JOIN talents t ON t.id = (s->>'key')::integer;

-- The shape of what it returns.
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(:'first') ORDER BY key COLLATE "C";
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(:'first'::jsonb#>'{sources,0}') ORDER BY key COLLATE "C";
SELECT :'first'::jsonb->'model' AS model, :'first'::jsonb->'cache' AS cache, :'first'::jsonb->'degraded' AS degraded,
    jsonb_path_query_array(:'first'::jsonb->'usage', '$.keyvalue().key') AS usage, jsonb_path_query_array(:'first'::jsonb->'timings_ms', '$.keyvalue().key') AS timings;

-- History: in order, both sides, the latest when limited.
SELECT seq, role, content = :'first'::jsonb->>'reply' AS is_first_reply, tokens > 0 AS tokens FROM castmatch.history(:'conversation');
SELECT seq, role FROM castmatch.history(:'conversation', 2);
SELECT count(*) FROM castmatch.history(:'conversation', 0);
SELECT count(*) FROM castmatch.history(:'conversation', -1);
SELECT count(*) FROM castmatch.history(NULL);
SELECT owner = current_user::regrole AS own, target FROM castmatch.conversations WHERE id = :'conversation';

-- A turn whose transaction is undone leaves nothing.
BEGIN;
SELECT castmatch.chat('a stunt rider', :'conversation') IS NOT NULL AS answered;
ROLLBACK;
SELECT count(*) FROM castmatch.history(:'conversation');
-- k rows, none, and a filter that no row passes.
SELECT jsonb_array_length(castmatch.chat('a mother', k => 3)->'sources') AS three, jsonb_array_length(castmatch.chat('a mother', k => 0)->'sources') AS none,
    jsonb_array_length(castmatch.chat('a mother', filter => '{"age": {"gt": 99}}')->'sources') AS none_passes;

\t on
\pset format unaligned
-- Arguments
SELECT a, failure('SELECT castmatch.chat(' || a || ')') FROM unnest(ARRAY['NULL', '''''', 'E'' \n''', 'repeat(''x'', 65537)', '''a'', ''00000000-0000-0000-0000-000000000000''', '''a'', ''no-uuid''', '''a'', k => NULL', '''a'', k => -1',
    '''a'', k => 10001', '''a'', options => ''{"x": 1}''', '''a'', filter => ''{"agee": 1}''', '''a'', filter => ''[]''', '''a'', prefer => ''{}''', '''a'', target => ''pg_class''']) a;
\set VERBOSITY sqlstate
SELECT castmatch.chat('a', model => 'no-such-model');
BEGIN READ ONLY;
SELECT castmatch.chat('a mother');
ROLLBACK;
\set VERBOSITY default
-- Two attached tables: which one must be said, once.
CREATE TABLE horses (id integer PRIMARY KEY, bio text);
INSERT INTO horses VALUES (1, 'a calm grey mare');
SELECT castmatch.attach('horses', '{bio}');
SELECT castmatch.sync('horses') >= 0;
SELECT failure('SELECT castmatch.chat(''a calm horse'')');
SELECT castmatch.chat('a calm horse', target => 'horses') AS horse \gset
SELECT :'horse'::jsonb#>>'{sources,0,key}', jsonb_array_length(castmatch.chat('a grey one', (:'horse'::jsonb->>'conversation_id')::uuid)->'sources');
\t off
\pset format aligned

-- Roles: a conversation belongs to who began it.
CREATE ROLE regress_chat_one;
CREATE ROLE regress_chat_two;
CREATE ROLE regress_chat_none;
GRANT castmatch_user TO regress_chat_one, regress_chat_two;
GRANT USAGE ON SCHEMA chatting TO regress_chat_one, regress_chat_two, regress_chat_none;
GRANT SELECT ON talents TO regress_chat_one, regress_chat_two, regress_chat_none;
SET ROLE regress_chat_one;
-- It may read one of the two tables, so that one is meant.
SELECT castmatch.chat('a mother', k => 1) AS one \gset
SELECT (:'one'::jsonb->>'conversation_id') AS conversation_one \gset
SELECT count(*) AS own_messages FROM castmatch.history(:'conversation_one');
SELECT count(*) AS own_conversations FROM castmatch.conversations;
\set VERBOSITY sqlstate
SELECT castmatch.chat('a calm horse', target => 'horses');
SET ROLE regress_chat_two;
SELECT castmatch.chat('and younger?', :'conversation_one');
\set VERBOSITY default
SELECT (SELECT count(*) FROM castmatch.history(:'conversation_one')) AS history, (SELECT count(*) FROM castmatch.conversations) AS conversations,
    (SELECT count(*) FROM castmatch.messages) AS messages, castmatch.forget(:'conversation_one') AS forgotten;
UPDATE castmatch.messages SET content = 'mine';
DELETE FROM castmatch.conversations;
\set VERBOSITY sqlstate
INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens) VALUES (:'conversation_one', 99, 'user', 'forged', 1);
INSERT INTO castmatch.conversations (owner) VALUES ('regress_chat_one');
SET ROLE regress_chat_none;
SELECT castmatch.chat('a mother');
\set VERBOSITY default
SET ROLE regress_chat_one;
SELECT castmatch.forget(:'conversation_one') AS forgotten, castmatch.forget(:'conversation_one') AS again;
SELECT count(*) AS own_conversations FROM castmatch.conversations;
RESET ROLE;

-- The window: with one message looked back on, "younger" has nothing to compare with.
SET castmatch.window_messages = 1;
SELECT castmatch.chat('a mother for a family comedy', target => 'talents', k => 1)->>'conversation_id' AS short \gset
SELECT jsonb_array_length(castmatch.chat('and someone younger?', :'short', k => 6)->'sources') AS all_six;
RESET castmatch.window_messages;

SET client_min_messages = warning;
SELECT count(castmatch.forget(id)) > 0 AS forgotten FROM (SELECT id FROM castmatch.conversations ORDER BY id) c;
SELECT (SELECT count(*) FROM castmatch.conversations) AS conversations, (SELECT count(*) FROM castmatch.messages) AS messages;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA chatting CASCADE;
DROP ROLE regress_chat_one, regress_chat_two, regress_chat_none;
