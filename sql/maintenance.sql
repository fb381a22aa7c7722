-- What keeps the tables of conversations small.

CREATE FUNCTION castmatch.prune(policy jsonb DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'prune_wrapper';
COMMENT ON FUNCTION castmatch.prune(jsonb, boolean)
    IS 'delete a bounded portion of what a policy lets go; to be called again while "more" is true, with "next" as "resume"';
