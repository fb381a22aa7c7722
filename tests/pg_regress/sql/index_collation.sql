-- Filter columns whose collation takes different strings for equal: only ICU has such. A server built without it has the other expected output.
SELECT count(*) > 0 AS icu FROM pg_collation WHERE collname = 'und-x-icu' \gset
\if :icu
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE refused (e vector(3), a integer, t text COLLATE loose, ts text[] COLLATE loose, c char(4) COLLATE loose);
\t on
\pset format unaligned
SELECT failure(s) FROM unnest(ARRAY[
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, t)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, ts)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, a, c)',
    'CREATE INDEX ON refused USING castmatch_hnsw (e vector_l2_ops, t COLLATE "C")']) s;
\t off
\pset format aligned
DROP TABLE refused;
DROP COLLATION loose;
\endif
