-- Type sparsevec: input, output, functions, operators, casts from arrays, btree operator class.

CREATE TYPE sparsevec;

CREATE FUNCTION sparsevec_in(cstring, oid, integer) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_in_wrapper';
CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_out_wrapper';
CREATE FUNCTION sparsevec_typmod_in(cstring[]) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_typmod_in_wrapper';
CREATE FUNCTION sparsevec_recv(internal, oid, integer) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_recv_wrapper';
CREATE FUNCTION sparsevec_send(sparsevec) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_send_wrapper';

-- MAIN keeps a vector in its row as long as the row fits a page: an exact distance then costs one buffer access.
CREATE TYPE sparsevec (
    INPUT = sparsevec_in,
    OUTPUT = sparsevec_out,
    TYPMOD_IN = sparsevec_typmod_in,
    RECEIVE = sparsevec_recv,
    SEND = sparsevec_send,
    STORAGE = main
);

-- Distances and measures

CREATE FUNCTION l2_distance(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_l2_distance_wrapper';
CREATE FUNCTION inner_product(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_inner_product_wrapper';
CREATE FUNCTION cosine_distance(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_cosine_distance_wrapper';
CREATE FUNCTION l1_distance(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_l1_distance_wrapper';
CREATE FUNCTION sparsevec_l2_squared_distance(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_l2_squared_distance_wrapper';
CREATE FUNCTION sparsevec_negative_inner_product(sparsevec, sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_negative_inner_product_wrapper';
CREATE FUNCTION l2_norm(sparsevec) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_norm_wrapper';
CREATE FUNCTION l2_normalize(sparsevec) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_l2_normalize_wrapper';

-- Comparison

CREATE FUNCTION sparsevec_lt(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_lt_wrapper';
CREATE FUNCTION sparsevec_le(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_le_wrapper';
CREATE FUNCTION sparsevec_eq(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_eq_wrapper';
CREATE FUNCTION sparsevec_ne(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_ne_wrapper';
CREATE FUNCTION sparsevec_ge(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_ge_wrapper';
CREATE FUNCTION sparsevec_gt(sparsevec, sparsevec) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_gt_wrapper';
CREATE FUNCTION sparsevec_cmp(sparsevec, sparsevec) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'sparsevec_cmp_wrapper';

-- Casts

CREATE FUNCTION sparsevec(sparsevec, integer, boolean) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SUPPORT castmatch.type_modifier_support AS 'MODULE_PATHNAME', 'sparsevec_enforce_typmod_wrapper';
CREATE FUNCTION array_to_sparsevec(integer[], integer, boolean) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_sparsevec_wrapper';
CREATE FUNCTION array_to_sparsevec(real[], integer, boolean) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_sparsevec_wrapper';
CREATE FUNCTION array_to_sparsevec(double precision[], integer, boolean) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_sparsevec_wrapper';
CREATE FUNCTION array_to_sparsevec(numeric[], integer, boolean) RETURNS sparsevec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'array_to_sparsevec_wrapper';

CREATE CAST (sparsevec AS sparsevec) WITH FUNCTION sparsevec(sparsevec, integer, boolean) AS IMPLICIT;
CREATE CAST (integer[] AS sparsevec) WITH FUNCTION array_to_sparsevec(integer[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (real[] AS sparsevec) WITH FUNCTION array_to_sparsevec(real[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (double precision[] AS sparsevec) WITH FUNCTION array_to_sparsevec(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (numeric[] AS sparsevec) WITH FUNCTION array_to_sparsevec(numeric[], integer, boolean) AS ASSIGNMENT;

-- Operators

CREATE OPERATOR <-> (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = l2_distance,
    COMMUTATOR = '<->'
);
CREATE OPERATOR <#> (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_negative_inner_product,
    COMMUTATOR = '<#>'
);
CREATE OPERATOR <=> (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = cosine_distance,
    COMMUTATOR = '<=>'
);
CREATE OPERATOR <+> (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = l1_distance,
    COMMUTATOR = '<+>'
);
CREATE OPERATOR < (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_lt,
    COMMUTATOR = >,
    NEGATOR = >=,
    RESTRICT = scalarltsel,
    JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_le,
    COMMUTATOR = >=,
    NEGATOR = >,
    RESTRICT = scalarlesel,
    JOIN = scalarlejoinsel
);
CREATE OPERATOR = (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_eq,
    COMMUTATOR = =,
    NEGATOR = <>,
    RESTRICT = eqsel,
    JOIN = eqjoinsel
);
CREATE OPERATOR <> (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_ne,
    COMMUTATOR = <>,
    NEGATOR = =,
    RESTRICT = neqsel,
    JOIN = neqjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_ge,
    COMMUTATOR = <=,
    NEGATOR = <,
    RESTRICT = scalargesel,
    JOIN = scalargejoinsel
);
CREATE OPERATOR > (
    LEFTARG = sparsevec,
    RIGHTARG = sparsevec,
    PROCEDURE = sparsevec_gt,
    COMMUTATOR = <,
    NEGATOR = <=,
    RESTRICT = scalargtsel,
    JOIN = scalargtjoinsel
);

CREATE OPERATOR CLASS sparsevec_ops DEFAULT FOR TYPE sparsevec USING btree AS
    OPERATOR 1 <,
    OPERATOR 2 <=,
    OPERATOR 3 =,
    OPERATOR 4 >=,
    OPERATOR 5 >,
    FUNCTION 1 sparsevec_cmp(sparsevec, sparsevec);
