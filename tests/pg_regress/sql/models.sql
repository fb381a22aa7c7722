-- Registering models: what is wrong is told; nothing is called here.
SELECT name, task, provider, url, options, secret, breaker FROM castmatch.models;

SELECT castmatch.create_model('gpt', 'chat', 'openai', '{"url": "http://127.0.0.1:9/v1", "model": "gpt-4o-mini", "timeout_ms": 200, "max_attempts": 1, "price": {"prompt": 1}}');
SELECT castmatch.create_model('minilm', 'embedding', 'openai', '{"url": "http://127.0.0.1:9/v1/", "dimensions": 384, "timeout_ms": 200, "max_attempts": 1, "headers": {"x-team": "casting"}}');
SELECT castmatch.create_model('responder', 'chat', 'builtin', '{"semantic_cache": 0.95}');
SELECT castmatch.create_model('local', 'embedding', 'builtin', '{"model": "all-MiniLM-L6-v2"}');
SELECT name, task, provider, url, model, options, secret, breaker FROM castmatch.models ORDER BY name, task;

-- Bad input.
SELECT castmatch.create_model(NULL, 'chat', 'openai');
SELECT castmatch.create_model('x', NULL, 'openai');
SELECT castmatch.create_model('x', 'chat', NULL);
SELECT castmatch.create_model('x', 'image', 'openai');
SELECT castmatch.create_model('x', 'chat', 'anthropic');
SELECT castmatch.create_model('x', 'chat', 'openai');
SELECT castmatch.create_model('x', 'chat', 'openai', '[]');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "ftp://x/v1"}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "timout_ms": 1}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "timeout_ms": 1}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "dimensions": 3}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "secret_env": "A", "secret_file": "/b"}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "headers": {"authorization": "Bearer key"}}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "fallback": "nobody"}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "fallback": "x"}');
SELECT castmatch.create_model('x', 'chat', 'openai', '{"url": "http://x/v1", "fallback": "minilm"}');
SELECT castmatch.create_model('x', 'embedding', 'builtin', '{"model": "no such folder"}');
SELECT castmatch.create_model('builtin', 'chat', 'builtin');
SELECT castmatch.create_model('../x', 'chat', 'builtin');
SELECT castmatch.create_model('gpt', 'chat', 'builtin');
SELECT castmatch.alter_model('nobody', '{}');
SELECT castmatch.alter_model('gpt', NULL);
SELECT castmatch.alter_model('gpt', '{"url": null}');
SELECT castmatch.drop_model('nobody');
SELECT castmatch.grant_model('nobody', 'pg_monitor');
SELECT castmatch.grant_model('gpt', NULL);
SELECT castmatch.set_budget('pg_monitor', 'week', 1);
SELECT castmatch.set_budget('pg_monitor', 'day', -1);
SELECT castmatch.set_budget('pg_monitor', 'day', 'NaN');

-- Changes.
SELECT castmatch.alter_model('gpt', '{"temperature": 0, "price": null}');
SELECT options FROM castmatch.models WHERE name = 'gpt';
SELECT castmatch.grant_model('gpt', 'pg_monitor');
SELECT castmatch.grant_model('gpt', 'pg_monitor');
SELECT model, role FROM castmatch.model_grants;
SELECT castmatch.revoke_model('gpt', 'pg_monitor');
SELECT model, role FROM castmatch.model_grants;
SELECT castmatch.set_budget('pg_monitor', 'day', 5, 1000);
SELECT * FROM castmatch.budgets;
SELECT castmatch.set_budget('pg_monitor', 'day');
SELECT * FROM castmatch.budgets;

-- Models in their places.
SELECT castmatch.embed('x', 'gpt');
SELECT castmatch.embed('x', 'nobody');
SELECT castmatch.embed('x', 'local') = castmatch.embed('x');
SELECT castmatch.generate('x', 'minilm');
SELECT castmatch.generate('x', 'nobody');
SELECT castmatch.generate('x', 'responder');
SELECT castmatch.generate('x');
SELECT castmatch.generate('');
SELECT castmatch.generate(NULL);
SELECT castmatch.generate('x', 'gpt', '{"k": 1}');
SELECT castmatch.generate('x', 'gpt', '{"json_schema": 1}');
SELECT castmatch.generate('x', 'gpt', '{"json_schema": {"type": "nonsense"}}');

-- Nobody is at that port.
\set VERBOSITY sqlstate
SELECT castmatch.generate('x', 'gpt');
SELECT castmatch.embed('x', 'minilm');
\set VERBOSITY default
SELECT model, requests, failed, prompt_tokens, cost FROM castmatch.usage ORDER BY model;
SELECT castmatch.drop_model(name) FROM castmatch.models WHERE name <> 'builtin';
SELECT count(*) FROM castmatch.models;
