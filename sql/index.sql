-- The index access methods, their operator classes, and the functions that look after an index.

CREATE FUNCTION castmatch.hnsw_handler(internal) RETURNS index_am_handler
    LANGUAGE c AS 'MODULE_PATHNAME', 'castmatch_hnsw_handler_wrapper';
COMMENT ON FUNCTION castmatch.hnsw_handler(internal) IS 'handler of access method castmatch_hnsw';

CREATE ACCESS METHOD castmatch_hnsw TYPE INDEX HANDLER castmatch.hnsw_handler;
COMMENT ON ACCESS METHOD castmatch_hnsw IS 'graph index for nearest neighbours of vectors';

-- Support function 1 of an operator class tells the access method the metric and the element type as one number.
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
COMMENT ON FUNCTION castmatch.index_vector_l2() IS 'support function of vector_l2_ops: vector, Euclidean distance';
COMMENT ON FUNCTION castmatch.index_vector_ip() IS 'support function of vector_ip_ops: vector, negative inner product';
COMMENT ON FUNCTION castmatch.index_vector_cosine() IS 'support function of vector_cosine_ops: vector, cosine distance';
COMMENT ON FUNCTION castmatch.index_vector_l1() IS 'support function of vector_l1_ops: vector, taxicab distance';
COMMENT ON FUNCTION castmatch.index_halfvec_l2() IS 'support function of halfvec_l2_ops: halfvec, Euclidean distance';
COMMENT ON FUNCTION castmatch.index_halfvec_ip() IS 'support function of halfvec_ip_ops: halfvec, negative inner product';
COMMENT ON FUNCTION castmatch.index_halfvec_cosine() IS 'support function of halfvec_cosine_ops: halfvec, cosine distance';
COMMENT ON FUNCTION castmatch.index_halfvec_l1() IS 'support function of halfvec_l1_ops: halfvec, taxicab distance';

CREATE OPERATOR CLASS @extschema@.vector_l2_ops FOR TYPE @extschema@.vector USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<-> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_vector_l2();
CREATE OPERATOR CLASS @extschema@.vector_ip_ops FOR TYPE @extschema@.vector USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<#> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_vector_ip();
CREATE OPERATOR CLASS @extschema@.vector_cosine_ops FOR TYPE @extschema@.vector USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<=> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_vector_cosine();
CREATE OPERATOR CLASS @extschema@.vector_l1_ops FOR TYPE @extschema@.vector USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<+> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_vector_l1();
CREATE OPERATOR CLASS @extschema@.halfvec_l2_ops FOR TYPE @extschema@.halfvec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<-> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_halfvec_l2();
CREATE OPERATOR CLASS @extschema@.halfvec_ip_ops FOR TYPE @extschema@.halfvec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<#> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_halfvec_ip();
CREATE OPERATOR CLASS @extschema@.halfvec_cosine_ops FOR TYPE @extschema@.halfvec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<=> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_halfvec_cosine();
CREATE OPERATOR CLASS @extschema@.halfvec_l1_ops FOR TYPE @extschema@.halfvec USING castmatch_hnsw AS
    OPERATOR 1 @extschema@.<+> FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 castmatch.index_halfvec_l1();

-- Each checks that the caller owns the index or belongs to pg_monitor.
CREATE FUNCTION castmatch.verify_index(index regclass) RETURNS TABLE (check_name text, ok boolean, detail text)
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100000 ROWS 12 AS 'MODULE_PATHNAME', 'verify_index_wrapper';
COMMENT ON FUNCTION castmatch.verify_index(regclass) IS 'check a castmatch index against its format, its graph and its table';

CREATE FUNCTION castmatch.prewarm(index regclass) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000 AS 'MODULE_PATHNAME', 'prewarm_wrapper';
COMMENT ON FUNCTION castmatch.prewarm(regclass) IS 'read a castmatch index into shared buffers; returns the pages read';

CREATE FUNCTION castmatch.index_info(
    index regclass, OUT rows bigint, OUT bytes bigint, OUT bytes_per_row double precision, OUT mean_degree double precision,
    OUT level_rows bigint[], OUT dead_share double precision, OUT free_share double precision, OUT settings jsonb
) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 1 AS 'MODULE_PATHNAME', 'index_info_wrapper';
COMMENT ON FUNCTION castmatch.index_info(regclass) IS 'size, shape and settings of a castmatch index';
