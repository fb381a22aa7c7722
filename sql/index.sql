-- The index access methods, their operator classes, and the functions that look after an index.

CREATE FUNCTION castmatch.hnsw_handler(internal) RETURNS index_am_handler
    LANGUAGE c AS 'MODULE_PATHNAME', 'castmatch_hnsw_handler_wrapper';
COMMENT ON FUNCTION castmatch.hnsw_handler(internal) IS 'handler of access method castmatch_hnsw';

CREATE ACCESS METHOD castmatch_hnsw TYPE INDEX HANDLER castmatch.hnsw_handler;
COMMENT ON ACCESS METHOD castmatch_hnsw IS 'graph index for nearest neighbours of vectors';

CREATE FUNCTION castmatch.ivf_handler(internal) RETURNS index_am_handler
    LANGUAGE c AS 'MODULE_PATHNAME', 'castmatch_ivf_handler_wrapper';
COMMENT ON FUNCTION castmatch.ivf_handler(internal) IS 'handler of access method castmatch_ivf';

CREATE ACCESS METHOD castmatch_ivf TYPE INDEX HANDLER castmatch.ivf_handler;
COMMENT ON ACCESS METHOD castmatch_ivf IS 'inverted file for nearest neighbours of vectors';

-- Support function 1 of an operator class tells either access method the metric and the element type as one number.
CREATE FUNCTION castmatch.index_vector_l2() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_vector_l2_wrapper';
CREATE FUNCTION castmatch.index_vector_ip() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_vector_ip_wrapper';
CREATE FUNCTION castmatch.index_vector_cosine() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_vector_cosine_wrapper';
CREATE FUNCTION castmatch.index_vector_l1() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_vector_l1_wrapper';
CREATE FUNCTION castmatch.index_halfvec_l2() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_halfvec_l2_wrapper';
CREATE FUNCTION castmatch.index_halfvec_ip() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_halfvec_ip_wrapper';
CREATE FUNCTION castmatch.index_halfvec_cosine() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_halfvec_cosine_wrapper';
CREATE FUNCTION castmatch.index_halfvec_l1() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_halfvec_l1_wrapper';
CREATE FUNCTION castmatch.index_sparsevec_l2() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_sparsevec_l2_wrapper';
CREATE FUNCTION castmatch.index_sparsevec_ip() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_sparsevec_ip_wrapper';
CREATE FUNCTION castmatch.index_sparsevec_cosine() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_sparsevec_cosine_wrapper';
CREATE FUNCTION castmatch.index_sparsevec_l1() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_sparsevec_l1_wrapper';
CREATE FUNCTION castmatch.index_bit_hamming() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_bit_hamming_wrapper';
CREATE FUNCTION castmatch.index_bit_jaccard() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_bit_jaccard_wrapper';
COMMENT ON FUNCTION castmatch.index_vector_l2() IS 'support function of vector_l2_ops: vector, Euclidean distance';
COMMENT ON FUNCTION castmatch.index_vector_ip() IS 'support function of vector_ip_ops: vector, negative inner product';
COMMENT ON FUNCTION castmatch.index_vector_cosine() IS 'support function of vector_cosine_ops: vector, cosine distance';
COMMENT ON FUNCTION castmatch.index_vector_l1() IS 'support function of vector_l1_ops: vector, taxicab distance';
COMMENT ON FUNCTION castmatch.index_halfvec_l2() IS 'support function of halfvec_l2_ops: halfvec, Euclidean distance';
COMMENT ON FUNCTION castmatch.index_halfvec_ip() IS 'support function of halfvec_ip_ops: halfvec, negative inner product';
COMMENT ON FUNCTION castmatch.index_halfvec_cosine() IS 'support function of halfvec_cosine_ops: halfvec, cosine distance';
COMMENT ON FUNCTION castmatch.index_halfvec_l1() IS 'support function of halfvec_l1_ops: halfvec, taxicab distance';
COMMENT ON FUNCTION castmatch.index_sparsevec_l2() IS 'support function of sparsevec_l2_ops: sparsevec, Euclidean distance';
COMMENT ON FUNCTION castmatch.index_sparsevec_ip() IS 'support function of sparsevec_ip_ops: sparsevec, negative inner product';
COMMENT ON FUNCTION castmatch.index_sparsevec_cosine() IS 'support function of sparsevec_cosine_ops: sparsevec, cosine distance';
COMMENT ON FUNCTION castmatch.index_sparsevec_l1() IS 'support function of sparsevec_l1_ops: sparsevec, taxicab distance';
COMMENT ON FUNCTION castmatch.index_bit_hamming() IS 'support function of bit_hamming_ops: bit, Hamming distance';
COMMENT ON FUNCTION castmatch.index_bit_jaccard() IS 'support function of bit_jaccard_ops: bit, Jaccard distance';

-- Support function 1 of the classes of filter columns, the key columns after the vector, tells the type as a number.
CREATE FUNCTION castmatch.index_key_bool() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_bool_wrapper';
CREATE FUNCTION castmatch.index_key_int2() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int2_wrapper';
CREATE FUNCTION castmatch.index_key_int4() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int4_wrapper';
CREATE FUNCTION castmatch.index_key_int8() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int8_wrapper';
CREATE FUNCTION castmatch.index_key_float4() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_float4_wrapper';
CREATE FUNCTION castmatch.index_key_float8() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_float8_wrapper';
CREATE FUNCTION castmatch.index_key_numeric() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_numeric_wrapper';
CREATE FUNCTION castmatch.index_key_date() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_date_wrapper';
CREATE FUNCTION castmatch.index_key_timestamp() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_timestamp_wrapper';
CREATE FUNCTION castmatch.index_key_timestamptz() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_timestamptz_wrapper';
CREATE FUNCTION castmatch.index_key_oid() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_oid_wrapper';
CREATE FUNCTION castmatch.index_key_uuid() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_uuid_wrapper';
CREATE FUNCTION castmatch.index_key_enum() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_enum_wrapper';
CREATE FUNCTION castmatch.index_key_text() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_text_wrapper';
CREATE FUNCTION castmatch.index_key_bpchar() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_bpchar_wrapper';
CREATE FUNCTION castmatch.index_key_int2_array() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int2_array_wrapper';
CREATE FUNCTION castmatch.index_key_int4_array() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int4_array_wrapper';
CREATE FUNCTION castmatch.index_key_int8_array() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_int8_array_wrapper';
CREATE FUNCTION castmatch.index_key_text_array() RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'index_key_text_array_wrapper';
COMMENT ON FUNCTION castmatch.index_key_bool() IS 'support function of bool_ops: filter column of type boolean';
COMMENT ON FUNCTION castmatch.index_key_int2() IS 'support function of int2_ops: filter column of type smallint';
COMMENT ON FUNCTION castmatch.index_key_int4() IS 'support function of int4_ops: filter column of type integer';
COMMENT ON FUNCTION castmatch.index_key_int8() IS 'support function of int8_ops: filter column of type bigint';
COMMENT ON FUNCTION castmatch.index_key_float4() IS 'support function of float4_ops: filter column of type real';
COMMENT ON FUNCTION castmatch.index_key_float8() IS 'support function of float8_ops: filter column of type double precision';
COMMENT ON FUNCTION castmatch.index_key_numeric() IS 'support function of numeric_ops: filter column of type numeric';
COMMENT ON FUNCTION castmatch.index_key_date() IS 'support function of date_ops: filter column of type date';
COMMENT ON FUNCTION castmatch.index_key_timestamp() IS 'support function of timestamp_ops: filter column of type timestamp';
COMMENT ON FUNCTION castmatch.index_key_timestamptz() IS 'support function of timestamptz_ops: filter column of type timestamp with time zone';
COMMENT ON FUNCTION castmatch.index_key_oid() IS 'support function of oid_ops: filter column of type oid';
COMMENT ON FUNCTION castmatch.index_key_uuid() IS 'support function of uuid_ops: filter column of type uuid';
COMMENT ON FUNCTION castmatch.index_key_enum() IS 'support function of enum_ops: filter column of type any enum';
COMMENT ON FUNCTION castmatch.index_key_text() IS 'support function of text_ops: filter column of type text, varchar';
COMMENT ON FUNCTION castmatch.index_key_bpchar() IS 'support function of bpchar_ops: filter column of type character';
COMMENT ON FUNCTION castmatch.index_key_int2_array() IS 'support function of int2_array_ops: filter column of type smallint[]';
COMMENT ON FUNCTION castmatch.index_key_int4_array() IS 'support function of int4_array_ops: filter column of type integer[]';
COMMENT ON FUNCTION castmatch.index_key_int8_array() IS 'support function of int8_array_ops: filter column of type bigint[]';
COMMENT ON FUNCTION castmatch.index_key_text_array() IS 'support function of text_array_ops: filter column of type text[]';

-- The classes that both methods have. An operator class belongs to one method, so each statement is run for either.
DO LANGUAGE plpgsql $do$
DECLARE
    method text;
BEGIN
    FOREACH method IN ARRAY ARRAY['castmatch_hnsw', 'castmatch_ivf'] LOOP
        EXECUTE pg_catalog.replace($classes$
            CREATE OPERATOR CLASS @extschema@.vector_l2_ops FOR TYPE @extschema@.vector USING method AS
                OPERATOR 1 @extschema@.<-> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_vector_l2();
            CREATE OPERATOR CLASS @extschema@.vector_ip_ops FOR TYPE @extschema@.vector USING method AS
                OPERATOR 1 @extschema@.<#> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_vector_ip();
            CREATE OPERATOR CLASS @extschema@.vector_cosine_ops FOR TYPE @extschema@.vector USING method AS
                OPERATOR 1 @extschema@.<=> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_vector_cosine();
            CREATE OPERATOR CLASS @extschema@.halfvec_l2_ops FOR TYPE @extschema@.halfvec USING method AS
                OPERATOR 1 @extschema@.<-> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_halfvec_l2();
            CREATE OPERATOR CLASS @extschema@.halfvec_ip_ops FOR TYPE @extschema@.halfvec USING method AS
                OPERATOR 1 @extschema@.<#> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_halfvec_ip();
            CREATE OPERATOR CLASS @extschema@.halfvec_cosine_ops FOR TYPE @extschema@.halfvec USING method AS
                OPERATOR 1 @extschema@.<=> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_halfvec_cosine();
            CREATE OPERATOR CLASS @extschema@.bit_hamming_ops FOR TYPE bit USING method AS
                OPERATOR 1 @extschema@.<~> FOR ORDER BY pg_catalog.float_ops,
                FUNCTION 1 castmatch.index_bit_hamming();

            -- Filter columns: strategies 1 to 5 are those of a btree, 6 and 7 are && and @>. The classes are defaults, so that an index names its columns only.
            -- One family for integers, one for floats and one for times, so that a constant of another of their types reaches the index: 38 is an
            -- integer and 3000000000 a bigint. Times with and without zone are compared by the session's zone; that is sound for a value that is converted once
            -- (a timestamptz column and a timestamp), not for a column (a timestamp column and a timestamptz), whose values it would order anew.
            CREATE OPERATOR FAMILY @extschema@.integer_ops USING method;
            CREATE OPERATOR FAMILY @extschema@.float_ops USING method;
            CREATE OPERATOR FAMILY @extschema@.datetime_ops USING method;

            CREATE OPERATOR CLASS @extschema@.bool_ops DEFAULT FOR TYPE boolean USING method AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_bool();
            CREATE OPERATOR CLASS @extschema@.int2_ops DEFAULT FOR TYPE smallint USING method FAMILY @extschema@.integer_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_int2();
            CREATE OPERATOR CLASS @extschema@.int4_ops DEFAULT FOR TYPE integer USING method FAMILY @extschema@.integer_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_int4();
            CREATE OPERATOR CLASS @extschema@.int8_ops DEFAULT FOR TYPE bigint USING method FAMILY @extschema@.integer_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_int8();
            CREATE OPERATOR CLASS @extschema@.float4_ops DEFAULT FOR TYPE real USING method FAMILY @extschema@.float_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_float4();
            CREATE OPERATOR CLASS @extschema@.float8_ops DEFAULT FOR TYPE double precision USING method FAMILY @extschema@.float_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_float8();
            CREATE OPERATOR CLASS @extschema@.numeric_ops DEFAULT FOR TYPE numeric USING method AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_numeric();
            CREATE OPERATOR CLASS @extschema@.date_ops DEFAULT FOR TYPE date USING method FAMILY @extschema@.datetime_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_date();
            CREATE OPERATOR CLASS @extschema@.timestamp_ops DEFAULT FOR TYPE timestamp USING method FAMILY @extschema@.datetime_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_timestamp();
            CREATE OPERATOR CLASS @extschema@.timestamptz_ops DEFAULT FOR TYPE timestamp with time zone USING method FAMILY @extschema@.datetime_ops AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_timestamptz();
            CREATE OPERATOR CLASS @extschema@.oid_ops DEFAULT FOR TYPE oid USING method AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_oid();
            CREATE OPERATOR CLASS @extschema@.uuid_ops DEFAULT FOR TYPE uuid USING method AS
                OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
                FUNCTION 1 castmatch.index_key_uuid();
            CREATE OPERATOR CLASS @extschema@.enum_ops DEFAULT FOR TYPE anyenum USING method AS
                OPERATOR 3 pg_catalog.=,
                FUNCTION 1 castmatch.index_key_enum();
            CREATE OPERATOR CLASS @extschema@.text_ops DEFAULT FOR TYPE text USING method AS
                OPERATOR 3 pg_catalog.=,
                FUNCTION 1 castmatch.index_key_text();
            CREATE OPERATOR CLASS @extschema@.bpchar_ops DEFAULT FOR TYPE bpchar USING method AS
                OPERATOR 3 pg_catalog.=,
                FUNCTION 1 castmatch.index_key_bpchar();
            CREATE OPERATOR CLASS @extschema@.int2_array_ops DEFAULT FOR TYPE smallint[] USING method AS
                OPERATOR 6 pg_catalog.&& (anyarray, anyarray),
                OPERATOR 7 pg_catalog.@> (anyarray, anyarray),
                FUNCTION 1 castmatch.index_key_int2_array();
            CREATE OPERATOR CLASS @extschema@.int4_array_ops DEFAULT FOR TYPE integer[] USING method AS
                OPERATOR 6 pg_catalog.&& (anyarray, anyarray),
                OPERATOR 7 pg_catalog.@> (anyarray, anyarray),
                FUNCTION 1 castmatch.index_key_int4_array();
            CREATE OPERATOR CLASS @extschema@.int8_array_ops DEFAULT FOR TYPE bigint[] USING method AS
                OPERATOR 6 pg_catalog.&& (anyarray, anyarray),
                OPERATOR 7 pg_catalog.@> (anyarray, anyarray),
                FUNCTION 1 castmatch.index_key_int8_array();
            CREATE OPERATOR CLASS @extschema@.text_array_ops DEFAULT FOR TYPE text[] USING method AS
                OPERATOR 6 pg_catalog.&& (anyarray, anyarray),
                OPERATOR 7 pg_catalog.@> (anyarray, anyarray),
                FUNCTION 1 castmatch.index_key_text_array();
            ALTER OPERATOR FAMILY @extschema@.integer_ops USING method ADD
                OPERATOR 1 pg_catalog.< (smallint, integer), OPERATOR 2 pg_catalog.<= (smallint, integer), OPERATOR 3 pg_catalog.= (smallint, integer), OPERATOR 4 pg_catalog.>= (smallint, integer), OPERATOR 5 pg_catalog.> (smallint, integer),
                OPERATOR 1 pg_catalog.< (smallint, bigint), OPERATOR 2 pg_catalog.<= (smallint, bigint), OPERATOR 3 pg_catalog.= (smallint, bigint), OPERATOR 4 pg_catalog.>= (smallint, bigint), OPERATOR 5 pg_catalog.> (smallint, bigint),
                OPERATOR 1 pg_catalog.< (integer, smallint), OPERATOR 2 pg_catalog.<= (integer, smallint), OPERATOR 3 pg_catalog.= (integer, smallint), OPERATOR 4 pg_catalog.>= (integer, smallint), OPERATOR 5 pg_catalog.> (integer, smallint),
                OPERATOR 1 pg_catalog.< (integer, bigint), OPERATOR 2 pg_catalog.<= (integer, bigint), OPERATOR 3 pg_catalog.= (integer, bigint), OPERATOR 4 pg_catalog.>= (integer, bigint), OPERATOR 5 pg_catalog.> (integer, bigint),
                OPERATOR 1 pg_catalog.< (bigint, smallint), OPERATOR 2 pg_catalog.<= (bigint, smallint), OPERATOR 3 pg_catalog.= (bigint, smallint), OPERATOR 4 pg_catalog.>= (bigint, smallint), OPERATOR 5 pg_catalog.> (bigint, smallint),
                OPERATOR 1 pg_catalog.< (bigint, integer), OPERATOR 2 pg_catalog.<= (bigint, integer), OPERATOR 3 pg_catalog.= (bigint, integer), OPERATOR 4 pg_catalog.>= (bigint, integer), OPERATOR 5 pg_catalog.> (bigint, integer);
            ALTER OPERATOR FAMILY @extschema@.float_ops USING method ADD
                OPERATOR 1 pg_catalog.< (real, double precision), OPERATOR 2 pg_catalog.<= (real, double precision), OPERATOR 3 pg_catalog.= (real, double precision), OPERATOR 4 pg_catalog.>= (real, double precision), OPERATOR 5 pg_catalog.> (real, double precision),
                OPERATOR 1 pg_catalog.< (double precision, real), OPERATOR 2 pg_catalog.<= (double precision, real), OPERATOR 3 pg_catalog.= (double precision, real), OPERATOR 4 pg_catalog.>= (double precision, real), OPERATOR 5 pg_catalog.> (double precision, real);
            ALTER OPERATOR FAMILY @extschema@.datetime_ops USING method ADD
                OPERATOR 1 pg_catalog.< (date, timestamp), OPERATOR 2 pg_catalog.<= (date, timestamp), OPERATOR 3 pg_catalog.= (date, timestamp), OPERATOR 4 pg_catalog.>= (date, timestamp), OPERATOR 5 pg_catalog.> (date, timestamp),
                OPERATOR 1 pg_catalog.< (timestamp, date), OPERATOR 2 pg_catalog.<= (timestamp, date), OPERATOR 3 pg_catalog.= (timestamp, date), OPERATOR 4 pg_catalog.>= (timestamp, date), OPERATOR 5 pg_catalog.> (timestamp, date),
                OPERATOR 1 pg_catalog.< (timestamptz, timestamp), OPERATOR 2 pg_catalog.<= (timestamptz, timestamp), OPERATOR 3 pg_catalog.= (timestamptz, timestamp), OPERATOR 4 pg_catalog.>= (timestamptz, timestamp), OPERATOR 5 pg_catalog.> (timestamptz, timestamp),
                OPERATOR 1 pg_catalog.< (timestamptz, date), OPERATOR 2 pg_catalog.<= (timestamptz, date), OPERATOR 3 pg_catalog.= (timestamptz, date), OPERATOR 4 pg_catalog.>= (timestamptz, date), OPERATOR 5 pg_catalog.> (timestamptz, date);
        $classes$, 'USING method', pg_catalog.concat('USING ', method));
    END LOOP;
END;
$do$;

-- Codes of one bit a dimension, those of castmatch_ivf, say nothing of a taxicab or a Jaccard distance; for sparse vectors it has no class either.
CREATE OPERATOR CLASS @extschema@.vector_l1_ops FOR TYPE @extschema@.vector USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<+> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_vector_l1();
CREATE OPERATOR CLASS @extschema@.halfvec_l1_ops FOR TYPE @extschema@.halfvec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<+> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_halfvec_l1();
CREATE OPERATOR CLASS @extschema@.bit_jaccard_ops FOR TYPE bit USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<%> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_bit_jaccard();
CREATE OPERATOR CLASS @extschema@.sparsevec_l2_ops FOR TYPE @extschema@.sparsevec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<-> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_sparsevec_l2();
CREATE OPERATOR CLASS @extschema@.sparsevec_ip_ops FOR TYPE @extschema@.sparsevec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<#> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_sparsevec_ip();
CREATE OPERATOR CLASS @extschema@.sparsevec_cosine_ops FOR TYPE @extschema@.sparsevec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<=> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_sparsevec_cosine();
CREATE OPERATOR CLASS @extschema@.sparsevec_l1_ops FOR TYPE @extschema@.sparsevec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<+> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_sparsevec_l1();

-- Each checks that the caller owns the index or belongs to pg_monitor.
CREATE FUNCTION castmatch.verify_index(index regclass) RETURNS TABLE (check_name text, ok boolean, detail text)
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100000 ROWS 12 AS 'MODULE_PATHNAME', 'verify_index_wrapper';
COMMENT ON FUNCTION castmatch.verify_index(regclass) IS 'check a castmatch index against its format, its own structure and its table';

CREATE FUNCTION castmatch.prewarm(index regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000 AS 'MODULE_PATHNAME', 'prewarm_wrapper';
COMMENT ON FUNCTION castmatch.prewarm(regclass) IS 'read a castmatch index into shared buffers; returns the pages read';

CREATE FUNCTION castmatch.index_info(
    index regclass, OUT rows bigint, OUT bytes bigint, OUT bytes_per_row double precision, OUT mean_degree double precision,
    OUT level_rows bigint[], OUT dead_share double precision, OUT free_share double precision, OUT settings jsonb
) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 1 AS 'MODULE_PATHNAME', 'index_info_wrapper';
COMMENT ON FUNCTION castmatch.index_info(regclass) IS 'size, shape and settings of a castmatch index';
