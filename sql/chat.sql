-- Conversations.

CREATE FUNCTION castmatch.chat(
    message text, conversation_id uuid DEFAULT NULL, target regclass DEFAULT NULL, k integer DEFAULT 5,
    filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'chat_wrapper';
COMMENT ON FUNCTION castmatch.chat(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb)
    IS 'one turn of a conversation grounded in the rows of an attached table';

CREATE FUNCTION castmatch.chat_stream(
    message text, conversation_id uuid DEFAULT NULL, target regclass DEFAULT NULL, k integer DEFAULT 5,
    filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS SETOF text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 50 AS 'MODULE_PATHNAME', 'chat_stream_wrapper';
COMMENT ON FUNCTION castmatch.chat_stream(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb)
    IS 'as castmatch.chat, but the reply in pieces as they arrive, for a cursor over SELECT castmatch.chat_stream(…)';

CREATE FUNCTION castmatch.chat_async(
    message text, conversation_id uuid DEFAULT NULL, target regclass DEFAULT NULL, k integer DEFAULT 5,
    filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'chat_async_wrapper';
COMMENT ON FUNCTION castmatch.chat_async(text, uuid, regclass, integer, jsonb, jsonb, text, jsonb)
    IS 'as castmatch.chat, answered in the background after the commit; returns the request''s id, tells its end on the channel castmatch_chat';

CREATE FUNCTION castmatch.chat_result(request_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_build_object('state', r.state, 'conversation_id', r.conversation_id) || COALESCE(r.result, '{}')
    FROM castmatch.requests r WHERE r.id = chat_result.request_id;
END;
COMMENT ON FUNCTION castmatch.chat_result(uuid) IS 'how far a call of castmatch.chat_async is, and what castmatch.chat would have returned';

CREATE FUNCTION castmatch.generate(prompt text, model text DEFAULT NULL, options jsonb DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'generate_wrapper';
COMMENT ON FUNCTION castmatch.generate(text, text, jsonb) IS 'a model''s answer to a prompt, as text or as JSON of a schema';

CREATE FUNCTION castmatch.history(conversation_id uuid, max_messages integer DEFAULT 50)
    RETURNS TABLE (seq bigint, role text, content text, created_at timestamp with time zone, tokens integer)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT latest.seq, latest.role, latest.content, latest.created_at, latest.tokens
    FROM (
        SELECT m.seq, m.role, m.content, m.created_at, m.tokens
        FROM castmatch.messages m
        WHERE m.conversation_id = history.conversation_id
        ORDER BY m.seq DESC
        LIMIT greatest(max_messages, 0)
    ) latest
    ORDER BY latest.seq;
END;
COMMENT ON FUNCTION castmatch.history(uuid, integer) IS 'the latest messages of a conversation, oldest first';

CREATE FUNCTION castmatch.forget(conversation_id uuid) RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH forgotten AS (
        DELETE FROM castmatch.messages m WHERE m.conversation_id = forget.conversation_id RETURNING 1
    ), ended AS (
        DELETE FROM castmatch.conversations c WHERE c.id = forget.conversation_id
    )
    SELECT count(*) FROM forgotten;
END;
COMMENT ON FUNCTION castmatch.forget(uuid) IS 'delete a conversation; returns how many messages it had';

CREATE FUNCTION castmatch.export_conversation(conversation_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'id', c.id, 'title', c.title, 'target', c.target::text, 'metadata', c.metadata, 'summary', c.summary,
        'created_at', c.created_at, 'last_message_at', c.last_message_at,
        'messages', COALESCE((
            SELECT jsonb_agg(jsonb_build_object(
                'seq', m.seq, 'role', m.role, 'content', m.content, 'tokens', m.tokens, 'created_at', m.created_at, 'context', m.context)
                ORDER BY m.seq)
            FROM castmatch.messages m WHERE m.conversation_id = c.id), '[]'))
    FROM castmatch.conversations c WHERE c.id = export_conversation.conversation_id;
END;
COMMENT ON FUNCTION castmatch.export_conversation(uuid) IS 'a conversation with all its messages, as JSON';
