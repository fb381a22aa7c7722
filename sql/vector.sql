-- Type vector: input, output, functions, operators, aggregates, casts from and to arrays, btree operator class.

CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_in_wrapper';
CREATE FUNCTION vector_out(vector) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_out_wrapper';
CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_typmod_in_wrapper';
CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_recv_wrapper';
CREATE FUNCTION vector_send(vector) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_send_wrapper';

-- MAIN keeps a vector in its row as long as the row fits a page: an exact distance then costs one buffer access.
CREATE TYPE vector (
    INPUT = vector_in,
    OUTPUT = vector_out,
    TYPMOD_IN = vector_typmod_in,
    RECEIVE = vector_recv,
    SEND = vector_send,
    STORAGE = main
);

-- Distances and measures

CREATE FUNCTION l2_distance(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_l2_distance_wrapper';
CREATE FUNCTION inner_product(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_inner_product_wrapper';
CREATE FUNCTION cosine_distance(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_cosine_distance_wrapper';
CREATE FUNCTION l1_distance(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_l1_distance_wrapper';
CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_l2_squared_distance_wrapper';
CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_negative_inner_product_wrapper';
CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_spherical_distance_wrapper';
CREATE FUNCTION vector_dims(vector) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_dims_wrapper';
CREATE FUNCTION vector_norm(vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_norm_wrapper';
CREATE FUNCTION l2_norm(vector) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_norm_wrapper';
CREATE FUNCTION l2_normalize(vector) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_l2_normalize_wrapper';
CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_subvector_wrapper';
CREATE FUNCTION binary_quantize(vector) RETURNS bit
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_binary_quantize_wrapper';

-- Arithmetic

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_add_wrapper';
CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_sub_wrapper';
CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_mul_wrapper';
CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_concat_wrapper';

-- Comparison

CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_lt_wrapper';
CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_le_wrapper';
CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_eq_wrapper';
CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_ne_wrapper';
CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_ge_wrapper';
CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_gt_wrapper';
CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_cmp_wrapper';

-- Aggregates

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_accum_wrapper';
CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_avg_wrapper';
CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_combine_wrapper';

CREATE AGGREGATE avg(vector) (
    SFUNC = vector_accum,
    STYPE = double precision[],
    FINALFUNC = vector_avg,
    COMBINEFUNC = vector_combine,
    INITCOND = '{0}',
    PARALLEL = SAFE
);
CREATE AGGREGATE sum(vector) (
    SFUNC = vector_add,
    STYPE = vector,
    COMBINEFUNC = vector_add,
    PARALLEL = SAFE
);

-- Casts

-- Lets the planner leave out the check of dimensions that a value is known to have: ALTER TABLE … TYPE vector(n) from pgvector's vector(n).
CREATE FUNCTION castmatch.type_modifier_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'type_modifier_support_wrapper';
COMMENT ON FUNCTION castmatch.type_modifier_support(internal) IS 'planner support of the casts of vector types to a number of dimensions';

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SUPPORT castmatch.type_modifier_support AS 'MODULE_PATHNAME', 'vector_enforce_typmod_wrapper';
CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_vector_wrapper';
CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_vector_wrapper';
CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_vector_wrapper';
CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_vector_wrapper';
CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_to_float4_wrapper';

CREATE CAST (vector AS vector) WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
CREATE CAST (vector AS real[]) WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;
CREATE CAST (integer[] AS vector) WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (real[] AS vector) WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (double precision[] AS vector) WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (numeric[] AS vector) WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;

-- Operators

CREATE OPERATOR <-> (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = l2_distance,
    COMMUTATOR = '<->'
);
CREATE OPERATOR <#> (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_negative_inner_product,
    COMMUTATOR = '<#>'
);
CREATE OPERATOR <=> (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = cosine_distance,
    COMMUTATOR = '<=>'
);
CREATE OPERATOR <+> (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = l1_distance,
    COMMUTATOR = '<+>'
);
CREATE OPERATOR + (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_add,
    COMMUTATOR = +
);
CREATE OPERATOR - (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_sub
);
CREATE OPERATOR * (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_mul,
    COMMUTATOR = *
);
CREATE OPERATOR || (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_concat
);
CREATE OPERATOR < (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_lt,
    COMMUTATOR = >,
    NEGATOR = >=,
    RESTRICT = scalarltsel,
    JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_le,
    COMMUTATOR = >=,
    NEGATOR = >,
    RESTRICT = scalarlesel,
    JOIN = scalarlejoinsel
);
CREATE OPERATOR = (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_eq,
    COMMUTATOR = =,
    NEGATOR = <>,
    RESTRICT = eqsel,
    JOIN = eqjoinsel
);
CREATE OPERATOR <> (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_ne,
    COMMUTATOR = <>,
    NEGATOR = =,
    RESTRICT = neqsel,
    JOIN = neqjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_ge,
    COMMUTATOR = <=,
    NEGATOR = <,
    RESTRICT = scalargesel,
    JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = vector,
    RIGHTARG = vector,
    PROCEDURE = vector_gt,
    COMMUTATOR = <,
    NEGATOR = <=,
    RESTRICT = scalargtsel,
    JOIN = scalargtjoinsel
);

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 vector_cmp(vector, vector);
