-- Health, metrics, performance and benchmark: what they look like, who may ask, and bad input. Numbers are the server's own.
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(castmatch.health()) ORDER BY key COLLATE "C";
SELECT key FROM jsonb_object_keys(castmatch.health() -> 'embedder') AS key ORDER BY key COLLATE "C";
SELECT worker, key FROM jsonb_each(castmatch.health() -> 'workers') AS w (worker, state), jsonb_object_keys(state) AS key ORDER BY worker, key COLLATE "C";
SELECT castmatch.health() -> 'in_recovery' AS in_recovery, castmatch.health() ->> 'version' AS version;

SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(castmatch.performance()) ORDER BY key COLLATE "C";
SELECT operation, string_agg(key, ' ' ORDER BY key COLLATE "C") AS keys FROM jsonb_each(castmatch.performance() -> 'operations') AS o (operation, report),
    jsonb_object_keys(report) AS key GROUP BY operation ORDER BY operation;
SELECT DISTINCT jsonb_array_length(report -> 'buckets') - jsonb_array_length(castmatch.performance() -> 'bucket_bounds_ms') AS more_buckets_than_bounds
FROM jsonb_each(castmatch.performance() -> 'operations') AS o (operation, report);
SELECT cache ->> 'cache' AS cache, cache ->> 'level' AS level, (SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(cache) key) AS keys
FROM jsonb_array_elements(castmatch.performance() -> 'caches') AS cache;
SELECT part, string_agg(key, ' ' ORDER BY key COLLATE "C") AS keys
FROM unnest('{queue,conversations,embedder,memory}'::text[]) part, jsonb_object_keys(castmatch.performance() -> part) AS key GROUP BY part ORDER BY part;

-- An index and a model.
CREATE TABLE measured (id bigint PRIMARY KEY, v vector(3));
INSERT INTO measured SELECT i, ARRAY[i, 1, 2]::vector FROM generate_series(1, 10) i;
CREATE INDEX measured_v ON measured USING castmatch_hnsw (v vector_l2_ops);
SELECT index - 'bytes' - 'dead_ratio' AS index, (index ->> 'bytes')::bigint > 8192 AS has_size FROM jsonb_array_elements(castmatch.performance() -> 'indexes') AS index
WHERE index ->> 'index' = 'public.measured_v';
SELECT castmatch.create_model('elsewhere', 'chat', 'openai', '{"url": "http://127.0.0.1:9/v1"}');
SELECT model FROM jsonb_array_elements(castmatch.performance() -> 'models') AS model WHERE model ->> 'model' = 'elsewhere';
SELECT castmatch.drop_model('elsewhere');

-- Samples, but for those that depend on what there is in the database.
SELECT name, kind, help FROM (SELECT DISTINCT name, kind, help FROM castmatch.metrics()) m WHERE kind <> 'histogram' AND name NOT IN ('castmatch_index_dead_ratio', 'castmatch_model_breaker_open')
ORDER BY name COLLATE "C";
SELECT DISTINCT name COLLATE "C" AS name, label COLLATE "C" AS label FROM castmatch.metrics(), jsonb_object_keys(labels) AS label
WHERE kind <> 'histogram' AND name NOT IN ('castmatch_index_dead_ratio', 'castmatch_model_breaker_open') ORDER BY 1, 2;

-- Bad input.
SELECT castmatch.benchmark(NULL);
SELECT castmatch.benchmark('measured', NULL);
SELECT castmatch.benchmark('measured', 10, NULL);
SELECT castmatch.benchmark('measured', 0);
SELECT castmatch.benchmark('measured', -1);
SELECT castmatch.benchmark('measured', 10001);
SELECT castmatch.benchmark('measured', 10, 0);
SELECT castmatch.benchmark('measured', 10, 1001);
SELECT castmatch.benchmark('measured');
SELECT castmatch.benchmark('missing');

-- Who may ask.
CREATE ROLE regress_watcher;
CREATE ROLE regress_stranger;
GRANT castmatch_monitor TO regress_watcher;
SET ROLE regress_watcher;
SELECT count(*) > 0 AS answered FROM castmatch.metrics();
SELECT castmatch.performance() IS NOT NULL AS answered;
SELECT castmatch.health() IS NOT NULL AS answered;
SELECT castmatch.benchmark('measured');
SELECT count(*) FROM castmatch.prune_state;
SET ROLE regress_stranger;
SELECT count(*) FROM castmatch.metrics();
SELECT castmatch.performance();
SELECT castmatch.health() IS NOT NULL AS answered;
SELECT castmatch.benchmark('measured');
RESET ROLE;
DROP ROLE regress_watcher, regress_stranger;
