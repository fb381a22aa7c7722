-- Runs before every other file: the extension, and what the other files use to pin an error completely.
CREATE EXTENSION castmatch;

-- The SQLSTATE, message, DETAIL and HINT that a statement fails with. VERBOSITY of psql shows either the SQLSTATE or
-- the texts; an application reads both.
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', code || ': ' || message, 'DETAIL:  ' || nullif(detail, ''), 'HINT:  ' || nullif(hint, ''));
END;
$$;

-- The plan of a query as every major version writes it: 18 marks what is switched off, and parameters of a plan have other names in each.
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        CONTINUE WHEN line ~ '^ *Disabled: true$';
        line := regexp_replace(line, ' \(returns \$\d+\)$', '');
        RETURN NEXT regexp_replace(line, '\$\d+|\(InitPlan \d+\)\.col\d+|"\*VALUES\*"\.column1', '$param', 'g');
    END LOOP;
END;
$$;

-- The rows of a query in their order: by an index that gives that order, and without one.
CREATE FUNCTION indexed_rows(query text) RETURNS text[] LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_indexscan = on AS $$
DECLARE
    line text;
    ordered boolean := false;
    result text[];
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        ordered := ordered OR line ~ '^ *Order By: ';
    END LOOP;
    IF NOT ordered THEN
        RAISE EXCEPTION 'no index gives the order of: %', query;
    END IF;
    EXECUTE format('SELECT array_agg(t::text) FROM (%s) t', query) INTO result;
    RETURN result;
END;
$$;
CREATE FUNCTION exact_rows(query text) RETURNS text[] LANGUAGE plpgsql
    SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = off AS $$
DECLARE
    result text[];
BEGIN
    EXECUTE format('SELECT array_agg(t::text) FROM (%s) t', query) INTO result;
    RETURN result;
END;
$$;
-- 'same', or what differs between the two.
CREATE FUNCTION compared(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    by_index text[] := indexed_rows(query);
    exact text[] := exact_rows(query);
BEGIN
    RETURN CASE WHEN by_index IS NOT DISTINCT FROM exact THEN 'same'
        ELSE format('by index: %s exact: %s', by_index, exact) END;
END;
$$;

-- What a receive function makes of a message, given in hexadecimal: the value as text, or its error. The message goes through a binary
-- file of one field in the server's data directory.
CREATE FUNCTION received(type text, hex text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    bytes bytea := decode(replace(hex, ' ', ''), 'hex');
    -- The signature, no flags, no header extension; then one row of one field; then the trailer.
    file bytea := '\x5047434f50590aff0d0a00'::bytea || '\x0000000000000000'::bytea
        || '\x0001'::bytea || int4send(length(bytes)) || bytes || '\xffff'::bytea;
    object oid;
    failed text;
    value text;
BEGIN
    EXECUTE format('CREATE TEMP TABLE received_rows (v %s)', type);
    object := lo_from_bytea(0, file);
    PERFORM lo_export(object, 'castmatch_field.copy');
    PERFORM lo_unlink(object);
    failed := failure('COPY received_rows FROM ''castmatch_field.copy'' (FORMAT binary)');
    -- Of no rows, because a program that reads nothing may be gone before they are written.
    COPY (SELECT WHERE false) TO PROGRAM 'rm castmatch_field.copy';
    EXECUTE 'SELECT v::text FROM received_rows' INTO value;
    DROP TABLE received_rows;
    RETURN coalesce(value, failed);
END;
$$;
