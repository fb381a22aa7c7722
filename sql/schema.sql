-- Schema castmatch and its tables. The schema must not exist before: CREATE EXTENSION refuses to adopt another's objects.

CREATE SCHEMA castmatch;
COMMENT ON SCHEMA castmatch IS 'castmatch: matching and chat';

-- Which tables are attached, and how. Columns are kept by name, so that a dump restores them.
CREATE TABLE castmatch.registrations (
    target regclass PRIMARY KEY,
    key_column name NOT NULL,
    content_columns name[] NOT NULL,
    embedding_column name NOT NULL,
    model text NOT NULL,
    filter_columns name[] NOT NULL,
    text_config text NOT NULL,
    index_method name NOT NULL,
    embed_mode text NOT NULL CHECK (embed_mode IN ('background', 'off')),
    embedding_added boolean NOT NULL,
    embedded_rows bigint NOT NULL DEFAULT 0,
    attached_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE castmatch.registrations IS 'attached tables; written by castmatch.attach and castmatch.detach';

-- Rows that wait for their embedding. A change of a row appends, so that writers never wait for each other here; one
-- row of a table may stand in it several times.
CREATE TABLE castmatch.queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target regclass NOT NULL,
    key text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    not_before timestamp with time zone NOT NULL DEFAULT '-infinity',
    error text,
    failed_at timestamp with time zone
);
CREATE INDEX queue_target ON castmatch.queue (target);
COMMENT ON TABLE castmatch.queue IS 'rows of attached tables that wait for their embedding, or could not get one';

-- How many rows of attached tables have each frequent word, so that no search has to count them. Measured anew after a restore.
CREATE TABLE castmatch.text_statistics (
    target regclass PRIMARY KEY,
    rows double precision NOT NULL,
    terms bigint[] NOT NULL,
    frequencies bigint[] NOT NULL,
    measured_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE castmatch.text_statistics IS 'frequent words of attached tables, by their hashes';

CREATE TABLE castmatch.conversations (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    owner regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole,
    target regclass,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    last_message_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE castmatch.conversations IS 'conversations held by castmatch.chat; each role sees its own';
CREATE INDEX conversations_owner ON castmatch.conversations (owner);

CREATE TABLE castmatch.messages (
    conversation_id uuid NOT NULL REFERENCES castmatch.conversations ON DELETE CASCADE,
    seq bigint NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    content text NOT NULL,
    tokens integer NOT NULL CHECK (tokens >= 0),
    context jsonb,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (conversation_id, seq)
);
COMMENT ON TABLE castmatch.messages IS 'messages of conversations, in the order of seq';
COMMENT ON COLUMN castmatch.messages.tokens IS 'estimated number of tokens';
COMMENT ON COLUMN castmatch.messages.context IS
    'user: target, filter and query of the search; assistant: the rows that the reply rests on';

SELECT pg_catalog.pg_extension_config_dump('castmatch.registrations', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.queue', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.queue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.conversations', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.messages', '');

CREATE VIEW castmatch.attachments AS
    SELECT
        r.target,
        r.model,
        CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
        r.embedded_rows AS embedded,
        (SELECT count(DISTINCT q.key) FROM castmatch.queue q
         WHERE q.target OPERATOR(pg_catalog.=) r.target AND q.failed_at IS NULL) AS pending,
        (SELECT count(DISTINCT q.key) FROM castmatch.queue q
         WHERE q.target OPERATOR(pg_catalog.=) r.target AND q.failed_at IS NOT NULL) AS failed,
        r.key_column,
        r.content_columns,
        r.embedding_column,
        r.filter_columns,
        r.text_config,
        r.embed_mode,
        r.attached_at
    FROM castmatch.registrations r
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    WHERE pg_catalog.has_table_privilege(r.target, 'SELECT');
COMMENT ON VIEW castmatch.attachments IS 'attached tables that the caller may read';
COMMENT ON COLUMN castmatch.attachments.rows IS 'rows of the table as the planner estimates them; NULL before the first ANALYZE';
COMMENT ON COLUMN castmatch.attachments.embedded IS 'embeddings written since the table was attached, repeated ones included';
COMMENT ON COLUMN castmatch.attachments.pending IS 'rows that wait for their embedding, exact';
COMMENT ON COLUMN castmatch.attachments.failed IS 'rows that could not be embedded, exact; see castmatch.failures';

CREATE VIEW castmatch.failures AS
    SELECT q.target, q.key, q.tries, q.error, q.failed_at
    FROM castmatch.queue q
    WHERE q.failed_at IS NOT NULL AND pg_catalog.has_table_privilege(q.target, 'SELECT');
COMMENT ON VIEW castmatch.failures IS 'rows that could not be embedded after all tries, and why; see castmatch.retry_failed';
