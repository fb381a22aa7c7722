-- castmatch.attach, detach, sync and what keeps an attached table embedded. What sync returns depends on how far the worker
-- was before the call, unless nothing was pending.
CREATE SCHEMA attaching;
SET search_path = attaching, public;

CREATE TABLE plain (id integer PRIMARY KEY, body text, extra varchar(100), code char(4), number integer, tags text[], doc jsonb,
    small vector(3), computed vector(384) GENERATED ALWAYS AS (NULL::vector) STORED, half halfvec(384), open_width vector);
CREATE VIEW a_view AS SELECT id, body FROM plain;
CREATE MATERIALIZED VIEW a_matview AS SELECT id, body FROM plain;
CREATE TABLE parted (id integer PRIMARY KEY, body text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TEMP TABLE temporary (id integer PRIMARY KEY, body text);
CREATE SEQUENCE a_sequence;
CREATE FOREIGN DATA WRAPPER attaching_wrapper;
CREATE SERVER attaching_server FOREIGN DATA WRAPPER attaching_wrapper;
CREATE FOREIGN TABLE a_foreign (id integer, body text) SERVER attaching_server;
CREATE TYPE a_type AS (id integer, body text);
CREATE TABLE no_key (id integer, body text);
CREATE TABLE two_keys (a integer, b integer, body text, PRIMARY KEY (a, b));
CREATE TABLE other_keys (id integer PRIMARY KEY, nullable integer UNIQUE, body text, lax integer NOT NULL UNIQUE DEFERRABLE, part integer NOT NULL);
CREATE UNIQUE INDEX ON other_keys (part) WHERE part > 0;
-- Never asked for a vector: its dimensions are enough.
SELECT castmatch.create_model('wide', 'embedding', 'openai', '{"url": "http://127.0.0.1:9/v1", "dimensions": 4096}');

\t on
\pset format unaligned
-- What cannot be attached.
SELECT r, failure(format('SELECT castmatch.attach(%L, ''{body}'')', r)) FROM unnest(ARRAY['a_view', 'a_matview', 'temporary', 'a_sequence', 'a_foreign',
    'plain_pkey', 'a_type', 'no_key', 'pg_catalog.pg_class', 'castmatch.registrations', 'information_schema.sql_features', 'nowhere', '0']) r;
-- Arguments, one after the other.
SELECT a, failure('SELECT castmatch.attach(' || a || ')') FROM unnest(ARRAY[
    'NULL, ''{body}''', '''plain'', NULL', '''plain'', ''{}''', '''plain'', ''{nothing}''', '''plain'', ''{Body}''', '''plain'', ''{number}''', '''plain'', ''{tags}''', '''plain'', ''{doc}''',
    '''plain'', ''{body,body}''', '''plain'', ''{body,NULL}''', '''plain'', ARRAY[''body; DROP TABLE plain'']',
    '''plain'', ''{body}'', key => ''{nothing}''', '''plain'', ''{body}'', key => ''{number}''', '''plain'', ''{body}'', key => ''{id,number}''',
    '''plain'', ''{body}'', key => ''{}''', '''plain'', ''{body}'', key => ''{NULL}''', '''other_keys'', ''{body}'', key => ''{nullable}''',
    '''other_keys'', ''{body}'', key => ''{lax}''', '''other_keys'', ''{body}'', key => ''{part}''',
    '''plain'', ''{body}'', embedding => NULL', '''plain'', ''{body}'', embedding => ''body''', '''plain'', ''{body}'', embedding => ''small''', '''plain'', ''{body}'', embedding => ''computed''', '''plain'', ''{body}'', filters => ''{id,id}''', '''plain'', ''{body}'', model => ''no-such-model''',
    '''plain'', ''{body}'', filters => ''{nothing}''', '''plain'', ''{body}'', filters => ''{NULL}''', '''plain'', ''{body}'', text_config => NULL', '''plain'', ''{body}'', text_config => ''klingon''',
    '''plain'', ''{body}'', index_method => NULL', '''plain'', ''{body}'', index_method => ''hnsw''', '''plain'', ''{body}'', index_method => ''btree''', '''plain'', ''{body}'', index_method => ''castmatch_ivf'', filters => ''{doc}''', '''plain'', ''{body}'', index_method => ''castmatch_ivf'', model => ''wide''', '''plain'', ''{body}'', filters => ''{doc}''',
    '''plain'', ''{body}'', embed_mode => NULL', '''plain'', ''{body}'', embed_mode => ''sometimes'''
]) a;
-- Tables that are not attached.
SELECT s, failure('SELECT castmatch.' || s) FROM unnest(ARRAY['detach(NULL)', 'detach(''plain'')', 'sync(NULL)', 'sync(''plain'')', 'sync(''a_view'')', 'retry_failed(NULL)', 'retry_failed(''plain'')',
    'detach(''0'')', 'enqueue_change()']) s;
-- Only the owner, whatever else a role may do.
CREATE ROLE regress_attach_other;
GRANT ALL ON SCHEMA attaching TO regress_attach_other;
GRANT ALL ON ALL TABLES IN SCHEMA attaching TO regress_attach_other;
SET ROLE regress_attach_other;
SELECT failure('SELECT castmatch.attach(''plain'', ''{body}'')');
CREATE TABLE own (id integer PRIMARY KEY, body text);
INSERT INTO own VALUES (1, 'mine');
SELECT castmatch.attach('own', '{body}');
SELECT target, key_columns, model, pending FROM castmatch.attachments;
RESET ROLE;
SELECT castmatch.sync('own') >= 0 AS synced;
REVOKE ALL ON own FROM regress_attach_other;
SELECT castmatch.detach('own');
-- Nothing of all that has changed a table.
SELECT count(*) AS attached FROM castmatch.attachments;
SELECT count(*) FROM castmatch.queue;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'plain'::regclass;
\t off
\pset format aligned
DROP TABLE own;

-- Success: column, trigger, text index and queue are there.
CREATE TABLE people (id integer PRIMARY KEY, name text, bio text, age integer);
INSERT INTO people SELECT i, 'Person ' || i, 'plays part ' || i, 20 + i FROM generate_series(1, 5) i;
INSERT INTO people VALUES (6, NULL, NULL, 30), (7, '', '', 30), (8, NULL, 'only a bio', 30);
BEGIN;
SELECT castmatch.attach('people', content => '{name,bio}', filters => '{age}');
SELECT count(*) AS queued FROM castmatch.queue WHERE target = 'people'::regclass;
COMMIT;
\d people
SELECT target, model, rows, key_columns, content_columns, embedding_column, filter_columns, text_config, embed_mode
FROM castmatch.attachments WHERE target = 'people'::regclass;
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT id, vector_dims(embedding), embedding <=> castmatch.embed(concat_ws(E'\n', name, bio)) < 1e-5 AS as_embedded FROM people ORDER BY id;
SELECT pending, failed FROM castmatch.attachments WHERE target = 'people'::regclass;
SELECT count(*) AS queued FROM castmatch.queue;
SELECT castmatch.sync('people') AS nothing_to_do, castmatch.sync('people', '0') AS at_once, castmatch.retry_failed('people') AS failed;

-- Again: an error, or a notice.
SELECT castmatch.attach('people', '{name}');
SELECT castmatch.attach('people', '{name}', if_not_exists => true);

-- Which changes queue a row: within a transaction, before any other process sees them.
BEGIN;
UPDATE people SET age = age + 1;
UPDATE people SET bio = bio;
SELECT count(*) AS queued FROM castmatch.queue;
UPDATE people SET bio = 'dances' WHERE id = 1;
UPDATE people SET name = 'x' WHERE id = 2;
UPDATE people SET name = NULL, bio = NULL WHERE id = 3;
UPDATE people SET id = 40 WHERE id = 4;
INSERT INTO people VALUES (9, 'new', 'one', 1);
DELETE FROM people WHERE id = 5;
INSERT INTO people VALUES (1, 'conflict') ON CONFLICT DO NOTHING;
INSERT INTO people (id, bio) VALUES (8, 'another bio') ON CONFLICT (id) DO UPDATE SET bio = EXCLUDED.bio;
SELECT key, count(*) FROM castmatch.queue WHERE target = 'people'::regclass GROUP BY key ORDER BY key;
COMMIT;
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT id, embedding IS NULL AS no_text, embedding <=> castmatch.embed(concat_ws(E'\n', name, bio)) < 1e-5 AS as_embedded FROM people ORDER BY id;
-- A change that is rolled back queues nothing, and does not stop sync.
BEGIN;
UPDATE people SET bio = 'sings' WHERE id = 1;
ROLLBACK;
SELECT castmatch.sync('people');
BEGIN;
SAVEPOINT before;
UPDATE people SET bio = 'sings' WHERE id = 1;
ROLLBACK TO before;
SELECT castmatch.sync('people');
COMMIT;
-- An embedding that the application writes stays until the text changes.
UPDATE people SET embedding = castmatch.embed('something else') WHERE id = 1;
SELECT castmatch.sync('people'), (SELECT embedding <=> castmatch.embed('something else') < 1e-5 FROM people WHERE id = 1) AS as_written;
-- COPY queues too; TRUNCATE leaves nothing to wait for.
COPY people (id, name) FROM stdin;
20	from a file
\.
SELECT castmatch.sync('people') >= 0 AS synced;
BEGIN;
INSERT INTO people VALUES (21, 'short-lived', 'row', 1);
TRUNCATE people;
COMMIT;
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT pending, failed FROM castmatch.attachments WHERE target = 'people'::regclass;
-- A row that is gone when its turn comes.
BEGIN;
INSERT INTO people VALUES (22, 'gone', 'soon', 1);
DELETE FROM people WHERE id = 22;
COMMIT;
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT count(*) AS queued FROM castmatch.queue;

-- sync waits for what others commit: not for its own transaction, not under an old snapshot.
BEGIN;
INSERT INTO people VALUES (30, 'own', 'change', 1);
SELECT castmatch.sync('people');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT castmatch.sync('people');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT castmatch.sync('people');
ROLLBACK;
SELECT castmatch.sync('people', '-1 second');
SELECT castmatch.sync('people', '-1 month');
BEGIN;
SELECT castmatch.sync('people');
COMMIT;
SELECT castmatch.sync('people', '1 hour');

-- Time limits.
CREATE TABLE many (id integer PRIMARY KEY, body text);
INSERT INTO many SELECT i, repeat('many words ', 100) || i FROM generate_series(1, 40) i;
SELECT castmatch.attach('many', '{body}');
\set VERBOSITY sqlstate
SELECT castmatch.sync('many', '0');
SET statement_timeout = '50ms';
SELECT castmatch.sync('many');
RESET statement_timeout;
\set VERBOSITY default
SELECT castmatch.detach('many', drop_embedding => true);
SELECT castmatch.sync('many');
DROP TABLE many;

-- detach leaves nothing but the embeddings; drop_embedding takes these too; a table can be attached again.
INSERT INTO people VALUES (1, 'Person', 'stays', 1);
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT castmatch.detach('people');
\d people
SELECT count(*) AS attached FROM castmatch.attachments;
SELECT castmatch.detach('people');
INSERT INTO people VALUES (2, 'Later', 'row', 1);
SELECT count(*) AS queued FROM castmatch.queue;
SELECT castmatch.attach('people', '{name,bio}');
SELECT castmatch.sync('people') >= 0 AS synced;
SELECT embedded AS only_the_new_one FROM castmatch.attachments WHERE target = 'people'::regclass;
SELECT castmatch.detach('people', drop_embedding => true);
SELECT attname FROM pg_attribute WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT castmatch.attach('people', '{bio}', embedding => 'vec', embed_mode => 'off', text_config => 'simple', index_method => 'castmatch_hnsw');
INSERT INTO people VALUES (3, 'Off', 'mode', 1);
SELECT castmatch.sync('people');
SELECT count(vec) AS embedded, count(*) AS rows FROM people;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'people'::regclass;
SET client_min_messages = warning;
SELECT castmatch.detach('people', true);
RESET client_min_messages;
-- All of it in one transaction, undone with it.
BEGIN;
SELECT castmatch.attach('people', '{bio}');
ROLLBACK;
SELECT count(*) AS attached FROM castmatch.attachments;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'people'::regclass;
SELECT count(*) AS indexes FROM pg_index WHERE indrelid = 'people'::regclass;

-- Columns of their own: halfvec, vector of any width; string types; keys of other types; names that need quotes.
SELECT castmatch.attach('plain', '{body,extra,code}', embedding => 'half');
INSERT INTO plain (id, body, extra, code) VALUES (1, 'one', 'two', 'x');
SELECT castmatch.sync('plain') >= 0 AS synced;
SELECT half::vector <=> castmatch.embed(E'one\ntwo\nx') < 1e-3 AS close FROM plain;
SELECT castmatch.detach('plain');
SELECT castmatch.attach('plain', '{body}', embedding => 'open_width');
SELECT castmatch.sync('plain') >= 0 AS synced;
SELECT vector_dims(open_width) FROM plain;
SELECT castmatch.detach('plain', true);
-- An unlogged table, a table without rows, content that is generated.
CREATE UNLOGGED TABLE an_unlogged (id integer PRIMARY KEY, body text, low text GENERATED ALWAYS AS (lower(body)) STORED);
SELECT castmatch.attach('an_unlogged', '{low}', embedding => 'Its "own" vector');
SELECT castmatch.sync('an_unlogged') AS nothing_to_do;
INSERT INTO an_unlogged VALUES (1, 'DANCER');
UPDATE an_unlogged SET body = 'SINGER';
SELECT castmatch.sync('an_unlogged') >= 0 AS synced;
SELECT "Its ""own"" vector" <=> castmatch.embed('singer') < 1e-5 AS as_embedded FROM an_unlogged;
-- The lower-case text is the same: nothing to do.
BEGIN;
UPDATE an_unlogged SET body = 'Singer';
SELECT count(*) AS queued FROM castmatch.queue;
COMMIT;
SELECT castmatch.detach('an_unlogged', true);
CREATE TABLE by_uuid (id uuid PRIMARY KEY, body text);
CREATE TABLE by_text (id text PRIMARY KEY, body text);
CREATE TABLE by_varchar (id varchar(20) PRIMARY KEY, body text);
CREATE TABLE by_unique (id integer PRIMARY KEY, code varchar NOT NULL UNIQUE, body text);
CREATE TABLE by_time (at timestamptz PRIMARY KEY, body text);
CREATE TABLE by_number (id numeric PRIMARY KEY, body text);
CREATE DOMAIN short_key AS text CHECK (length(VALUE) < 10);
CREATE TABLE by_domain (id short_key PRIMARY KEY, body text);
CREATE TABLE "Weird Table" ("Key ""Col""" text PRIMARY KEY, "Böd y" text, "select" text, "100%" integer);
INSERT INTO by_uuid VALUES ('00000000-0000-0000-0000-000000000001', 'uuid');
INSERT INTO by_text VALUES ('', 'empty key'), ('a''b"c\d{e},f', 'quotes in the key'), ('NULL', 'a key called NULL'), (E' two\nlines ', 'key of two lines'), ('मुंबई', 'Unicode key');
INSERT INTO by_varchar VALUES ('k', 'varchar');
INSERT INTO by_unique VALUES (1, 'c', 'unique');
INSERT INTO by_time VALUES ('2026-03-01 12:00:00.123456+05:30', 'time');
INSERT INTO by_number VALUES (1.50, 'number');
INSERT INTO by_domain VALUES ('d', 'domain');
INSERT INTO "Weird Table" VALUES ('k%s', 'quoted', 'names', 1), ('$1', 'more', '''; DROP TABLE plain; --', 2);
SELECT castmatch.attach(t::regclass, CASE t WHEN '"Weird Table"' THEN '{"Böd y",select}' ELSE '{body}' END::text[], key => CASE t WHEN 'by_unique' THEN '{code}'::text[] END)
FROM unnest(ARRAY['by_uuid', 'by_text', 'by_varchar', 'by_unique', 'by_time', 'by_number', 'by_domain', '"Weird Table"']) t;
DO $$
DECLARE
    t regclass;
BEGIN
    -- Each waits for all of its rows.
    FOR t IN SELECT target FROM castmatch.attachments LOOP
        PERFORM castmatch.sync(t);
    END LOOP;
END;
$$;
SELECT target, key_columns, content_columns, pending, failed FROM castmatch.attachments ORDER BY target::text COLLATE "C";
SELECT target, key, error FROM castmatch.failures;
SELECT (SELECT count(embedding) FROM by_uuid) AS uuid, (SELECT count(embedding) FROM by_text) AS text, (SELECT count(embedding) FROM by_varchar) AS varchar,
    (SELECT count(embedding) FROM by_unique) AS unique, (SELECT count(embedding) FROM by_time) AS time, (SELECT count(embedding) FROM by_number) AS number,
    (SELECT count(embedding) FROM by_domain) AS domain, (SELECT count(embedding) FROM "Weird Table") AS weird;
\d "Weird Table"
UPDATE "Weird Table" SET "select" = 'changed' WHERE "100%" = 2;
UPDATE by_text SET body = body || '!', id = id || '!';
SELECT castmatch.sync('"Weird Table"') >= 0 AS synced, castmatch.sync('by_text') >= 0 AS synced;
SELECT bool_and(embedding <=> castmatch.embed(concat_ws(E'\n', "Böd y", "select")) < 1e-5) AS as_embedded FROM "Weird Table";
SELECT bool_and(embedding <=> castmatch.embed(body) < 1e-5) AS as_embedded FROM by_text;
-- A table that is renamed or moved stays attached, and so is one whose columns are renamed.
ALTER TABLE by_uuid RENAME TO renamed;
CREATE SCHEMA attaching_too;
ALTER TABLE renamed SET SCHEMA attaching_too;
UPDATE attaching_too.renamed SET body = 'moved';
SELECT castmatch.sync('attaching_too.renamed') >= 0 AS synced;
SELECT embedding <=> castmatch.embed('moved') < 1e-5 AS as_embedded FROM attaching_too.renamed;
ALTER TABLE by_varchar RENAME body TO text;
UPDATE by_varchar SET text = 'renamed column';
SELECT key FROM castmatch.match('by_varchar', 'varchar');
ALTER TABLE by_unique RENAME code TO new_code;
SELECT key FROM castmatch.match('by_unique', 'unique');
ALTER TABLE by_unique RENAME new_code TO code;
SELECT castmatch.detach('by_varchar');
UPDATE by_varchar SET text = 'renamed column';
-- A table that is dropped is no longer listed.
DROP TABLE by_number;
SELECT count(*) FROM castmatch.attachments WHERE key_columns = '{id}';
SELECT count(*) AS gone FROM castmatch.registrations r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.target);
SELECT castmatch.sync('by_domain') >= 0 AS synced;

-- Writers need no right on anything of castmatch.
GRANT USAGE ON SCHEMA attaching TO regress_attach_other;
GRANT SELECT, INSERT, UPDATE ON by_text TO regress_attach_other;
SET ROLE regress_attach_other;
INSERT INTO by_text VALUES ('theirs', 'written by another role');
SELECT castmatch.sync('by_text') >= 0 AS synced;
RESET ROLE;
SELECT embedding IS NOT NULL AS embedded FROM by_text WHERE id = 'theirs';

SET client_min_messages = warning;
SELECT count(*) AS detached FROM (SELECT castmatch.detach(target) FROM castmatch.attachments ORDER BY target) d;
DROP SCHEMA attaching, attaching_too CASCADE;
DROP FOREIGN DATA WRAPPER attaching_wrapper CASCADE;
SELECT castmatch.drop_model('wide');
DROP ROLE regress_attach_other;
SELECT count(*) AS attached FROM castmatch.attachments;
