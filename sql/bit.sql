-- Distances of PostgreSQL's type bit, to which it coerces bit varying.

CREATE FUNCTION hamming_distance(bit, bit) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hamming_distance_wrapper';
CREATE FUNCTION jaccard_distance(bit, bit) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'jaccard_distance_wrapper';

CREATE OPERATOR <~> (
    LEFTARG = bit,
    RIGHTARG = bit,
    PROCEDURE = hamming_distance,
    COMMUTATOR = '<~>'
);
CREATE OPERATOR <%> (
    LEFTARG = bit,
    RIGHTARG = bit,
    PROCEDURE = jaccard_distance,
    COMMUTATOR = '<%>'
);
