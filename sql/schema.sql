-- Schema castmatch and its tables. The schema must not exist before: CREATE EXTENSION refuses to adopt another's objects.

-- pgvector's types have the same names. Without this the first CREATE TYPE would say no more than that its name is taken.
DO LANGUAGE plpgsql $do$
DECLARE
    taken record;
BEGIN
    SELECT pg_catalog.min(f.nspname) AS schema, pg_catalog.string_agg(f.names, ', ') AS names,
           pg_catalog.string_agg(pg_catalog.format('Of %s: %s.', CASE WHEN f.extname IS NULL THEN 'no extension'
               ELSE pg_catalog.format('extension "%s"', f.extname) END, f.names), ' ') AS owners,
           pg_catalog.bool_or(f.extname OPERATOR(pg_catalog.=) 'vector') AS are_pgvectors
    INTO taken
    FROM (
        SELECT n.nspname::text, e.extname::text, pg_catalog.string_agg(t.typname::text, ', ' ORDER BY t.typname) AS names
        FROM pg_catalog.pg_type t
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
        LEFT JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
            AND d.objid OPERATOR(pg_catalog.=) t.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
        LEFT JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
        WHERE pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.=) '@extschema@'
          AND t.typname OPERATOR(pg_catalog.=) ANY (ARRAY['vector', 'halfvec', 'sparsevec']::pg_catalog.name[])
        GROUP BY n.nspname, e.extname ORDER BY e.extname
    ) f;
    IF taken.names IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = pg_catalog.format('schema "%s" has types of castmatch''s names already: %s', taken.schema, taken.names),
            DETAIL = taken.owners,
            HINT = pg_catalog.concat('Give castmatch''s types a schema of their own: CREATE SCHEMA castmatch_types; GRANT USAGE ON SCHEMA castmatch_types TO PUBLIC; CREATE EXTENSION castmatch SCHEMA castmatch_types;',
                CASE WHEN taken.are_pgvectors THEN ' Then CREATE EXTENSION castmatch_pgvector; makes its indexes work on columns of pgvector''s types.' END);
    END IF;
END;
$do$;

CREATE SCHEMA castmatch;
COMMENT ON SCHEMA castmatch IS 'castmatch: matching and chat';

-- Which tables are attached, and how. Columns are kept by name, so that a dump restores them.
CREATE TABLE castmatch.registrations (
    target regclass PRIMARY KEY,
    key_columns name[] NOT NULL,
    content_columns name[] NOT NULL,
    embedding_column name NOT NULL,
    model text NOT NULL,
    model_version text NOT NULL,
    filter_columns name[] NOT NULL,
    text_config text NOT NULL,
    index_method name NOT NULL,
    embed_mode text NOT NULL CHECK (embed_mode IN ('background', 'live', 'off')),
    embedding_added boolean NOT NULL,
    vector_index name,
    index_is_due boolean NOT NULL DEFAULT false,
    next_model text,
    next_version text,
    next_embedding name,
    next_since timestamp with time zone,
    column_numbers smallint[],
    attached_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE castmatch.registrations IS 'attached tables; written by castmatch.attach and castmatch.detach';
COMMENT ON COLUMN castmatch.registrations.vector_index IS 'the vector index that castmatch made or will make; NULL if the table had one';
COMMENT ON COLUMN castmatch.registrations.next_model IS 'the model that castmatch.reembed is switching to, with the column for its vectors';
COMMENT ON COLUMN castmatch.registrations.column_numbers IS
    'numbers of the columns in key_columns, content_columns, filter_columns, embedding_column and next_embedding, which outlast a rename';
COMMENT ON COLUMN castmatch.registrations.index_is_due IS 'whether the vector index waits for the rows to be embedded';

-- How far the rows of attached tables are; a table of its own, for it changes with each batch. Not part of a dump.
CREATE TABLE castmatch.progress (
    target regclass PRIMARY KEY,
    embedded_rows bigint NOT NULL DEFAULT 0,
    rows_per_second double precision,
    measured_at timestamp with time zone
);
COMMENT ON TABLE castmatch.progress IS 'embeddings written for attached tables, and how fast';

-- Rows that wait for their embedding. A change of a row appends, so that writers never wait for each other here; one
-- row of a table may stand in it several times.
CREATE TABLE castmatch.queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target regclass NOT NULL,
    key text NOT NULL,
    for_next boolean NOT NULL DEFAULT false,
    tries integer NOT NULL DEFAULT 0,
    not_before timestamp with time zone NOT NULL DEFAULT '-infinity',
    error text,
    failed_at timestamp with time zone,
    queued_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON COLUMN castmatch.queue.for_next IS 'whether only the vector of the model that castmatch.reembed is switching to is wanted';
CREATE INDEX queue_target ON castmatch.queue (target);
-- Few rows as a rule, which whoever watches asks for often.
CREATE INDEX queue_failed ON castmatch.queue (target) WHERE failed_at IS NOT NULL;
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

CREATE TABLE castmatch.model_definitions (
    name text PRIMARY KEY,
    task text NOT NULL CHECK (task IN ('embedding', 'chat')),
    provider text NOT NULL CHECK (provider IN ('builtin', 'openai')),
    options jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    changed_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE castmatch.model_definitions IS 'registered models; a key is never among the options, only where it is read from';

CREATE TABLE castmatch.model_grants (
    model text NOT NULL REFERENCES castmatch.model_definitions ON DELETE CASCADE,
    role regrole NOT NULL,
    PRIMARY KEY (model, role)
);
COMMENT ON TABLE castmatch.model_grants IS 'which roles may use a model, besides castmatch_admin';

CREATE TABLE castmatch.usage_by_day (
    role regrole NOT NULL,
    model text NOT NULL,
    day date NOT NULL,
    requests bigint NOT NULL,
    failed bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cost numeric NOT NULL,
    PRIMARY KEY (role, model, day)
);
COMMENT ON TABLE castmatch.usage_by_day IS 'calls of models as the chat worker writes them down, some seconds later';

CREATE TABLE castmatch.budget_limits (
    role regrole NOT NULL,
    period text NOT NULL CHECK (period IN ('day', 'month')),
    max_cost numeric CHECK (max_cost >= 0),
    max_tokens bigint CHECK (max_tokens >= 0),
    PRIMARY KEY (role, period)
);
COMMENT ON TABLE castmatch.budget_limits IS 'what roles and their members may spend; written by castmatch.set_budget';

CREATE TABLE castmatch.conversations (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    owner regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole,
    target regclass,
    title text,
    metadata jsonb NOT NULL DEFAULT '{}',
    summary text,
    summary_through bigint NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    last_message_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE castmatch.conversations IS 'conversations held by castmatch.chat; each role sees its own';
COMMENT ON COLUMN castmatch.conversations.metadata IS 'the application''s own, given with the option metadata';
COMMENT ON COLUMN castmatch.conversations.summary IS 'what was said up to the message numbered summary_through, for models';
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

-- Calls of chat that a background worker answers.
CREATE TABLE castmatch.requests (
    id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY,
    conversation_id uuid NOT NULL REFERENCES castmatch.conversations ON DELETE CASCADE,
    owner regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER)::pg_catalog.regrole,
    arguments jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    result jsonb,
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamp with time zone
);
COMMENT ON TABLE castmatch.requests IS 'calls of castmatch.chat_async; each role sees its own';
CREATE INDEX requests_open ON castmatch.requests (number) WHERE state IN ('queued', 'running');
CREATE INDEX requests_conversation ON castmatch.requests (conversation_id);

-- What castmatch.prune has done, written in the transaction that did it. Not part of a dump.
CREATE TABLE castmatch.prune_state (
    is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    last_started timestamp with time zone,
    last_batch timestamp with time zone,
    last_finished timestamp with time zone,
    passes bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    conversations bigint NOT NULL DEFAULT 0,
    messages bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0
);
INSERT INTO castmatch.prune_state DEFAULT VALUES;
COMMENT ON TABLE castmatch.prune_state IS 'what castmatch.prune has done in this database: one row';
COMMENT ON COLUMN castmatch.prune_state.last_started IS 'when the last pass began';
COMMENT ON COLUMN castmatch.prune_state.last_batch IS 'when the last call that was not a dry run ended';
COMMENT ON COLUMN castmatch.prune_state.last_finished IS 'when a pass came to its end last';
COMMENT ON COLUMN castmatch.prune_state.skipped IS 'times that a conversation was left alone because it was in use';

SELECT pg_catalog.pg_extension_config_dump('castmatch.model_definitions', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.model_grants', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.usage_by_day', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.budget_limits', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.registrations', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.queue', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.queue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.conversations', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.messages', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.requests', '');
SELECT pg_catalog.pg_extension_config_dump('castmatch.requests_number_seq', '');

CREATE VIEW castmatch.attachments WITH (security_barrier) AS
    SELECT
        r.target,
        r.model,
        CASE WHEN c.relkind::text OPERATOR(pg_catalog.=) 'p' THEN (
            SELECT sum(l.reltuples)::bigint FROM pg_catalog.pg_partition_tree(c.oid) p
            JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) p.relid
            WHERE p.isleaf HAVING min(l.reltuples) >= 0)
        WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
        COALESCE(p.embedded_rows, 0) AS embedded,
        w.pending,
        w.failed,
        CASE WHEN w.pending OPERATOR(pg_catalog.>) 0 THEN v.rows_per_second END AS rows_per_second,
        CASE WHEN w.pending OPERATOR(pg_catalog.=) 0 THEN '0'::interval
        ELSE pg_catalog.make_interval(secs => w.pending OPERATOR(pg_catalog./) NULLIF(v.rows_per_second, 0)) END AS eta,
        r.next_model AS switching_to,
        r.key_columns,
        r.content_columns,
        r.embedding_column,
        r.filter_columns,
        r.text_config,
        r.embed_mode,
        r.attached_at
    FROM castmatch.registrations r
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    LEFT JOIN castmatch.progress p ON p.target OPERATOR(pg_catalog.=) r.target
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT q.key) FILTER (WHERE q.failed_at IS NULL) AS pending,
               count(DISTINCT q.key) FILTER (WHERE q.failed_at IS NOT NULL) AS failed
        FROM castmatch.queue q WHERE q.target OPERATOR(pg_catalog.=) r.target) w
    -- A speed of long ago says nothing.
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.measured_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '1 minute'::interval)
            THEN p.rows_per_second END AS rows_per_second) v
    WHERE pg_catalog.has_table_privilege(r.target, 'SELECT');
COMMENT ON VIEW castmatch.attachments IS 'attached tables that the caller may read';
COMMENT ON COLUMN castmatch.attachments.rows IS 'rows of the table as the planner estimates them; NULL before the first ANALYZE';
COMMENT ON COLUMN castmatch.attachments.embedded IS 'embeddings written since the table was attached, repeated ones included';
COMMENT ON COLUMN castmatch.attachments.pending IS 'rows that wait for their embedding, exact';
COMMENT ON COLUMN castmatch.attachments.rows_per_second IS
    'rows embedded per second, an average over some ten seconds; NULL while nothing is done';
COMMENT ON COLUMN castmatch.attachments.eta IS 'time until no row is pending at that speed';
COMMENT ON COLUMN castmatch.attachments.switching_to IS 'the model that castmatch.reembed is switching to';
COMMENT ON COLUMN castmatch.attachments.failed IS 'rows that could not be embedded, exact; see castmatch.failures';

CREATE VIEW castmatch.failures WITH (security_barrier) AS
    SELECT q.target, q.key, q.tries, q.error, q.failed_at
    FROM castmatch.queue q
    WHERE q.failed_at IS NOT NULL AND pg_catalog.has_table_privilege(q.target, 'SELECT');
COMMENT ON VIEW castmatch.failures IS 'rows that could not be embedded after all tries, and why; see castmatch.retry_failed';
