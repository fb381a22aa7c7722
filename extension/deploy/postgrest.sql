-- What PostgREST serves: POST /rpc/match, /rpc/similar, /rpc/chat, /rpc/history, /rpc/forget. Run once as a superuser, in the database that has
-- castmatch; then give authenticator a password (\password authenticator).
--
-- Every function runs as the request's role, so grants and row security of the attached tables hold: grant web_user what it may read. To
-- show further functions make further wrappers; arguments are called by name, and a function that only reads is STABLE, for which
-- PostgREST opens a read-only transaction.
\set ON_ERROR_STOP on
BEGIN;

CREATE ROLE authenticator LOGIN NOINHERIT;
CREATE ROLE web_anon NOLOGIN;
CREATE ROLE web_user NOLOGIN;
GRANT web_anon, web_user TO authenticator;
-- Conversations; without it /rpc/chat answers 403.
GRANT castmatch_user TO web_user;
-- One request may not hold a connection for ever.
ALTER ROLE web_anon SET statement_timeout = '2s';
ALTER ROLE web_user SET statement_timeout = '10s';

CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO web_anon, web_user;

CREATE FUNCTION api.match(target regclass, query text, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
                          mode text DEFAULT 'hybrid', options jsonb DEFAULT NULL)
RETURNS TABLE (key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb)
LANGUAGE sql STABLE
AS $$ SELECT * FROM castmatch.match($1, $2, least($3, 100), $4, $5, $6, $7) $$;
COMMENT ON FUNCTION api.match IS 'Rows of a table ranked against a description; key is the row''s, k at most 100.';

CREATE FUNCTION api.similar(target regclass, key text, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
                            options jsonb DEFAULT NULL)
RETURNS TABLE (key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb)
LANGUAGE sql STABLE
AS $$ SELECT * FROM castmatch.similar($1, $2, least($3, 100), $4, $5, $6) $$;
COMMENT ON FUNCTION api.similar IS 'Rows like a row.';

CREATE FUNCTION api.chat(message text, conversation_id uuid DEFAULT NULL, target regclass DEFAULT NULL, k integer DEFAULT 5,
                         filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql VOLATILE SET statement_timeout = '30s'
AS $$ SELECT castmatch.chat($1, $2, $3, least($4, 100), $5, $6) $$;
COMMENT ON FUNCTION api.chat IS 'One turn of a conversation; conversation_id of the answer goes into the next call.';

CREATE FUNCTION api.history(conversation_id uuid, max_messages integer DEFAULT 50)
RETURNS TABLE (seq bigint, role text, content text, created_at timestamptz, tokens integer)
LANGUAGE sql STABLE
AS $$ SELECT * FROM castmatch.history($1, least($2, 1000)) $$;
COMMENT ON FUNCTION api.history IS 'The messages of a conversation of the caller.';

CREATE FUNCTION api.forget(conversation_id uuid) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$ SELECT castmatch.forget($1) $$;
COMMENT ON FUNCTION api.forget IS 'Deletes a conversation of the caller; gives the number of its messages.';

-- A new function is everybody's until this is said of it.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO web_user;

COMMIT;
NOTIFY pgrst, 'reload schema';
