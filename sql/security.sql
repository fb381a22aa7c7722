-- Who may do what. Roles belong to the whole cluster, so another database may have made them already.

DO LANGUAGE plpgsql $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'castmatch_user') THEN
        CREATE ROLE castmatch_user NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'castmatch_admin') THEN
        CREATE ROLE castmatch_admin NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'castmatch_monitor') THEN
        CREATE ROLE castmatch_monitor NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'castmatch_pruner') THEN
        CREATE ROLE castmatch_pruner NOLOGIN;
    END IF;
END;
$$;

GRANT USAGE ON SCHEMA castmatch TO PUBLIC;

-- Names of attached tables and columns: what match needs to run as its caller.
GRANT SELECT ON castmatch.registrations, castmatch.attachments, castmatch.failures TO PUBLIC;

-- Whether it has changed, not what it says.
GRANT SELECT (target, measured_at) ON castmatch.text_statistics TO PUBLIC;

-- A conversation costs storage and, with a remote model, money: for roles that were given it only.
REVOKE EXECUTE ON FUNCTION castmatch.chat(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.chat_stream(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.chat_async(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.chat_result(uuid) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.generate(text, text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.history(uuid, integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.forget(uuid) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.export_conversation(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.chat(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.chat_stream(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.chat_async(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.chat_result(uuid) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.generate(text, text, jsonb) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.history(uuid, integer) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.forget(uuid) TO castmatch_user;
GRANT EXECUTE ON FUNCTION castmatch.export_conversation(uuid) TO castmatch_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON castmatch.conversations, castmatch.messages TO castmatch_user;
-- A request is made by castmatch.chat_async alone: it runs later, as its owner.
GRANT SELECT, DELETE ON castmatch.requests TO castmatch_user;

-- Definitions, grants, usage and budgets are read through views that show what concerns the caller, and written by functions that ask
-- for castmatch_admin.
GRANT SELECT ON castmatch.models, castmatch.usage, castmatch.budgets TO PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.create_model(text, text, text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.alter_model(text, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.drop_model(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.grant_model(text, regrole) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.revoke_model(text, regrole) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.set_budget(regrole, text, double precision, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.create_model(text, text, text, jsonb) TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.alter_model(text, jsonb) TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.drop_model(text) TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.grant_model(text, regrole) TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.revoke_model(text, regrole) TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.set_budget(regrole, text, double precision, bigint) TO castmatch_admin;

ALTER TABLE castmatch.conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE castmatch.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE castmatch.requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_requests ON castmatch.requests
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole));
CREATE POLICY own_conversations ON castmatch.conversations
    USING (owner OPERATOR(pg_catalog.=) (SELECT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole));
CREATE POLICY own_messages ON castmatch.messages
    USING (conversation_id IN (SELECT c.id FROM castmatch.conversations c));

-- What removes the work of others is the administrator's.
REVOKE EXECUTE ON FUNCTION castmatch.cache_reset() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.cache_invalidate(text, regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.cache_reset() TO castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.cache_invalidate(text, regclass) TO castmatch_admin;
REVOKE EXECUTE ON FUNCTION castmatch.prune(jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.prune(jsonb, boolean) TO castmatch_pruner, castmatch_admin;
GRANT SELECT ON castmatch.prune_state TO castmatch_pruner, castmatch_admin;

-- What all roles do together is for those who watch the server; whether it is well is for everybody.
REVOKE EXECUTE ON FUNCTION castmatch.metrics() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION castmatch.performance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.health() TO castmatch_monitor;
GRANT EXECUTE ON FUNCTION castmatch.metrics() TO castmatch_monitor, castmatch_admin;
GRANT EXECUTE ON FUNCTION castmatch.performance() TO castmatch_monitor, castmatch_admin;
-- It keeps the server and its models busy.
REVOKE EXECUTE ON FUNCTION castmatch.benchmark(regclass, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION castmatch.benchmark(regclass, integer, integer) TO castmatch_user, castmatch_admin;
