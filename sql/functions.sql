-- The functions of schema castmatch. STABLE ones write no table, so that they work on a standby and in READ ONLY
-- transactions.

CREATE FUNCTION castmatch.embed(input text, model text DEFAULT NULL, kind text DEFAULT 'query') RETURNS @extschema@.vector
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME', 'embed_wrapper';
COMMENT ON FUNCTION castmatch.embed(text, text, text) IS 'the embedding of a text';

CREATE FUNCTION castmatch.embed_batch(inputs text[], model text DEFAULT NULL, kind text DEFAULT 'passage')
    RETURNS @extschema@.vector[]
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 AS 'MODULE_PATHNAME', 'embed_batch_wrapper';
COMMENT ON FUNCTION castmatch.embed_batch(text[], text, text) IS 'the embeddings of several texts, in order';

CREATE FUNCTION castmatch.attach(
    target regclass, content text[], key text[] DEFAULT NULL, embedding name DEFAULT 'embedding', model text DEFAULT NULL,
    filters text[] DEFAULT NULL, text_config regconfig DEFAULT 'english', index_method name DEFAULT 'castmatch_hnsw',
    embed_mode text DEFAULT 'background', if_not_exists boolean DEFAULT false
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'attach_wrapper';
COMMENT ON FUNCTION castmatch.attach(regclass, text[], text[], name, text, text[], regconfig, name, text, boolean)
    IS 'make a table matchable and keep it so';

CREATE FUNCTION castmatch.detach(target regclass, drop_embedding boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'detach_wrapper';
COMMENT ON FUNCTION castmatch.detach(regclass, boolean) IS 'undo castmatch.attach';

CREATE FUNCTION castmatch.sync(target regclass, timeout interval DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_wrapper';
COMMENT ON FUNCTION castmatch.sync(regclass, interval)
    IS 'wait until no row of the table waits for its embedding; returns the embeddings written meanwhile';

CREATE FUNCTION castmatch.retry_failed(target regclass) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'retry_failed_wrapper';
COMMENT ON FUNCTION castmatch.retry_failed(regclass) IS 'queue the failed rows of a table again; returns how many';

CREATE FUNCTION castmatch.reembed(target regclass, model text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'reembed_wrapper';
COMMENT ON FUNCTION castmatch.reembed(regclass, text)
    IS 'switch an attached table to another model while the old vectors serve; NULL ends a switch that is going on';

CREATE FUNCTION castmatch.enqueue_change() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'enqueue_change_wrapper';
COMMENT ON FUNCTION castmatch.enqueue_change() IS 'trigger that castmatch.attach puts on a table';

CREATE FUNCTION castmatch.embed_change() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'embed_change_wrapper';
COMMENT ON FUNCTION castmatch.embed_change() IS 'trigger that castmatch.attach puts on a table whose rows are embedded as they are written';

CREATE FUNCTION castmatch.note_change() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'note_change_wrapper';
COMMENT ON FUNCTION castmatch.note_change() IS 'trigger that castmatch.attach puts on a table';

-- What backends keep of a registration they drop when it changes, whoever changes it.
CREATE FUNCTION castmatch.note_registration() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'note_registration_wrapper';
COMMENT ON FUNCTION castmatch.note_registration() IS 'trigger of castmatch.registrations';
CREATE TRIGGER note_registration AFTER INSERT OR UPDATE OR DELETE ON castmatch.registrations
    FOR EACH ROW EXECUTE FUNCTION castmatch.note_registration();
ALTER TABLE castmatch.registrations ENABLE ALWAYS TRIGGER note_registration;

-- Whatever fills the queue, pg_restore and replication too, has it worked on.
CREATE FUNCTION castmatch.announce_queue() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'announce_queue_wrapper';
COMMENT ON FUNCTION castmatch.announce_queue() IS 'trigger of castmatch.queue';
CREATE TRIGGER announce AFTER INSERT ON castmatch.queue
    FOR EACH STATEMENT EXECUTE FUNCTION castmatch.announce_queue();
ALTER TABLE castmatch.queue ENABLE ALWAYS TRIGGER announce;

CREATE FUNCTION castmatch.match(
    target regclass, query text, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
    mode text DEFAULT 'hybrid', options jsonb DEFAULT NULL
) RETURNS TABLE (
    key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb
)
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 AS 'MODULE_PATHNAME', 'match_rows_wrapper';
COMMENT ON FUNCTION castmatch.match(regclass, text, integer, jsonb, jsonb, text, jsonb)
    IS 'rank the rows of an attached table against a description';

CREATE FUNCTION castmatch.match_vector(
    target regclass, query @extschema@.vector, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (
    key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb
)
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 AS 'MODULE_PATHNAME', 'match_vector_wrapper';
COMMENT ON FUNCTION castmatch.match_vector(regclass, @extschema@.vector, integer, jsonb, jsonb, jsonb)
    IS 'rank the rows of an attached table by their nearness to a vector';

CREATE FUNCTION castmatch.similar(
    target regclass, key text, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (
    key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb
)
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 AS 'MODULE_PATHNAME', 'similar_wrapper';
COMMENT ON FUNCTION castmatch.similar(regclass, text, integer, jsonb, jsonb, jsonb)
    IS 'the rows of an attached table that are like one of them';

CREATE FUNCTION castmatch.match_explain(
    target regclass, query text, key text, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 AS 'MODULE_PATHNAME', 'match_explain_wrapper';
COMMENT ON FUNCTION castmatch.match_explain(regclass, text, text, jsonb, jsonb, jsonb)
    IS 'where one row stands in a match and why, or why it is not in the result';

-- What the text index holds: changes to it make every such index wrong.
CREATE FUNCTION castmatch.text_terms(config regconfig, average_length real, document text) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'text_terms_wrapper';
COMMENT ON FUNCTION castmatch.text_terms(regconfig, real, text)
    IS 'the words of a text as hashes, each with its weight in the text for BM25: what the index of castmatch.attach holds';

CREATE FUNCTION castmatch.cache_stats()
    RETURNS TABLE (
        kind text, level text, requests bigint, hits bigint, misses bigint, expired bigint, outdated bigint,
        damaged bigint, bypassed bigint, stored bigint, refused bigint, evicted bigint, waits bigint, takeovers bigint,
        entries bigint, bytes bigint, oldest_seconds double precision, active boolean
    )
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 6 AS 'MODULE_PATHNAME', 'cache_stats_wrapper';
COMMENT ON FUNCTION castmatch.cache_stats()
    IS 'what the caches did since the server started and what they hold; on the local level, what this session holds';

CREATE FUNCTION castmatch.cache_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cache_reset_wrapper';
COMMENT ON FUNCTION castmatch.cache_reset() IS 'empty the caches of all sessions and databases';

CREATE FUNCTION castmatch.cache_invalidate(kind text, target regclass DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cache_invalidate_wrapper';
COMMENT ON FUNCTION castmatch.cache_invalidate(text, regclass)
    IS 'remove the cached values of a kind, of one table or of this database; returns how many the shared cache had';

CREATE FUNCTION castmatch.health() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'health_wrapper';
COMMENT ON FUNCTION castmatch.health() IS 'condition of castmatch in this database';

CREATE FUNCTION castmatch.metrics()
    RETURNS TABLE (name text, kind text, help text, labels jsonb, value double precision)
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 400 AS 'MODULE_PATHNAME', 'metrics_wrapper';
COMMENT ON FUNCTION castmatch.metrics() IS 'counters and histograms since the server started, one row a sample';

CREATE FUNCTION castmatch.performance() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'performance_wrapper';
COMMENT ON FUNCTION castmatch.performance() IS 'how castmatch does in this database since the server started: latencies, caches, models, indexes';

CREATE FUNCTION castmatch.benchmark(target regclass, queries integer DEFAULT 100, k integer DEFAULT 10) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 AS 'MODULE_PATHNAME', 'benchmark_wrapper';
COMMENT ON FUNCTION castmatch.benchmark(regclass, integer, integer)
    IS 'latency of searches of an attached table and the recall of its index, measured with words of its rows';

-- The numbers of a registration's columns, by which a rename is followed. Computed where the row is written, for a dump keeps names and
-- restores to other numbers.
CREATE FUNCTION castmatch.number_columns() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.column_numbers := ARRAY(
        SELECT a.attnum
        FROM pg_catalog.unnest(NEW.key_columns OPERATOR(pg_catalog.||) NEW.content_columns OPERATOR(pg_catalog.||) NEW.filter_columns
            OPERATOR(pg_catalog.||) ARRAY[NEW.embedding_column, NEW.next_embedding]) WITH ORDINALITY AS n (name, place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) NEW.target
            AND a.attname OPERATOR(pg_catalog.=) n.name AND NOT a.attisdropped
        ORDER BY n.place);
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION castmatch.number_columns() IS 'trigger of castmatch.registrations';
CREATE TRIGGER number_columns BEFORE INSERT OR UPDATE ON castmatch.registrations
    FOR EACH ROW EXECUTE FUNCTION castmatch.number_columns();
ALTER TABLE castmatch.registrations ENABLE ALWAYS TRIGGER number_columns;

CREATE FUNCTION castmatch.queue_partition(partition regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'queue_partition_wrapper';
REVOKE EXECUTE ON FUNCTION castmatch.queue_partition(regclass) FROM PUBLIC;
COMMENT ON FUNCTION castmatch.queue_partition(regclass) IS 'queues the rows that came with a new partition of an attached table';

-- Renamed columns are renamed in the registration too; one that castmatch needs is not dropped. Runs as the extension's owner:
-- whoever alters a table need not have rights on these.
CREATE FUNCTION castmatch.follow_columns() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r castmatch.registrations;
    names name[];
    names_now name[];
    gone name;
    keys integer;
    contents integer;
    filters integer;
BEGIN
    FOR r IN SELECT * FROM castmatch.registrations LOOP
        names := r.key_columns OPERATOR(pg_catalog.||) r.content_columns OPERATOR(pg_catalog.||) r.filter_columns
            OPERATOR(pg_catalog.||) ARRAY[r.embedding_column, r.next_embedding];
        names_now := ARRAY(
            SELECT a.attname
            FROM pg_catalog.unnest(r.column_numbers) WITH ORDINALITY AS n (number, place)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) r.target
                AND a.attnum OPERATOR(pg_catalog.=) n.number AND NOT a.attisdropped
            ORDER BY n.place);
        CONTINUE WHEN names_now IS NOT DISTINCT FROM names;
        SELECT b.name INTO gone
        FROM ROWS FROM (pg_catalog.unnest(names), pg_catalog.unnest(names_now)) WITH ORDINALITY AS b (name, name_now, place)
        WHERE b.name IS NOT NULL AND b.name_now IS NULL
        ORDER BY b.place LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
                MESSAGE = pg_catalog.format('column "%s" of table "%s" cannot be dropped while the table is attached with it', gone,
                    (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.target)),
                HINT = 'Run castmatch.detach first.';
        END IF;
        keys := pg_catalog.cardinality(r.key_columns);
        contents := pg_catalog.cardinality(r.content_columns);
        filters := pg_catalog.cardinality(r.filter_columns);
        UPDATE castmatch.registrations w SET
            key_columns = names_now[1:keys],
            content_columns = names_now[keys OPERATOR(pg_catalog.+) 1:keys OPERATOR(pg_catalog.+) contents],
            filter_columns = names_now[keys OPERATOR(pg_catalog.+) contents OPERATOR(pg_catalog.+) 1:
                keys OPERATOR(pg_catalog.+) contents OPERATOR(pg_catalog.+) filters],
            embedding_column = names_now[keys OPERATOR(pg_catalog.+) contents OPERATOR(pg_catalog.+) filters OPERATOR(pg_catalog.+) 1],
            next_embedding = names_now[keys OPERATOR(pg_catalog.+) contents OPERATOR(pg_catalog.+) filters OPERATOR(pg_catalog.+) 2]
        WHERE w.target OPERATOR(pg_catalog.=) r.target;
    END LOOP;
    -- A table that has become a partition in this transaction has got the triggers of the attached table just now.
    PERFORM castmatch.queue_partition(t.tgrelid)
    FROM pg_catalog.pg_trigger t
    WHERE t.tgparentid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND t.tgname OPERATOR(pg_catalog.=) 'castmatch_note_change'::pg_catalog.name
      AND pg_catalog.age(t.xmin) OPERATOR(pg_catalog.<=) pg_catalog.age(pg_catalog.pg_current_xact_id()::pg_catalog.xid)
      AND (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) t.tgrelid)::text OPERATOR(pg_catalog.=) 'r';
END;
$$;
REVOKE EXECUTE ON FUNCTION castmatch.follow_columns() FROM PUBLIC;
COMMENT ON FUNCTION castmatch.follow_columns() IS 'keeps the registrations in step with renamed columns';

CREATE EVENT TRIGGER castmatch_follow_columns ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION castmatch.follow_columns();

-- A dropped table takes its registration and its queued rows along. Runs as the extension's owner: whoever drops a table
-- need not have rights on these.
CREATE FUNCTION castmatch.forget_dropped() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM castmatch.queue q USING pg_catalog.pg_event_trigger_dropped_objects() d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objsubid OPERATOR(pg_catalog.=) 0 AND q.target OPERATOR(pg_catalog.=) d.objid;
    DELETE FROM castmatch.text_statistics s USING pg_catalog.pg_event_trigger_dropped_objects() d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objsubid OPERATOR(pg_catalog.=) 0 AND s.target OPERATOR(pg_catalog.=) d.objid;
    DELETE FROM castmatch.progress p USING pg_catalog.pg_event_trigger_dropped_objects() d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objsubid OPERATOR(pg_catalog.=) 0 AND p.target OPERATOR(pg_catalog.=) d.objid;
    DELETE FROM castmatch.registrations r USING pg_catalog.pg_event_trigger_dropped_objects() d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objsubid OPERATOR(pg_catalog.=) 0 AND r.target OPERATOR(pg_catalog.=) d.objid;
END;
$$;
REVOKE EXECUTE ON FUNCTION castmatch.forget_dropped() FROM PUBLIC;
COMMENT ON FUNCTION castmatch.forget_dropped() IS 'removes what castmatch knows of dropped tables';

CREATE EVENT TRIGGER castmatch_forget_dropped ON sql_drop
    WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION castmatch.forget_dropped();
