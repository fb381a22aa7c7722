-- Models of servers elsewhere: registering them, who may use them, what they cost.

CREATE FUNCTION castmatch.create_model(name text, task text, provider text, options jsonb DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'create_model_wrapper';
COMMENT ON FUNCTION castmatch.create_model(text, text, text, jsonb) IS 'register a model; for members of castmatch_admin';

CREATE FUNCTION castmatch.alter_model(name text, options jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'alter_model_wrapper';
COMMENT ON FUNCTION castmatch.alter_model(text, jsonb) IS 'change some options of a model; null takes one out';

CREATE FUNCTION castmatch.drop_model(name text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION castmatch.drop_model(text) IS 'forget a model that nothing uses';

CREATE FUNCTION castmatch.grant_model(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'grant_model_wrapper';
COMMENT ON FUNCTION castmatch.grant_model(text, regrole) IS 'let a role and its members use a model';

CREATE FUNCTION castmatch.revoke_model(name text, role regrole) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'revoke_model_wrapper';
COMMENT ON FUNCTION castmatch.revoke_model(text, regrole) IS 'take back what grant_model gave';

CREATE FUNCTION castmatch.set_budget(
    role regrole, period text, max_cost double precision DEFAULT NULL, max_tokens bigint DEFAULT NULL
) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'set_budget_wrapper';
COMMENT ON FUNCTION castmatch.set_budget(regrole, text, double precision, bigint)
    IS 'what a role and its members may spend on models in a ''day'' or a ''month'' (UTC); without limits the budget goes';

CREATE FUNCTION castmatch.model_breaker(name text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'model_breaker_wrapper';
COMMENT ON FUNCTION castmatch.model_breaker(text) IS 'whether calls of a model go through: closed, open, half-open';

CREATE FUNCTION castmatch.usage_pending() RETURNS TABLE (
    role oid, model text, day integer, requests bigint, failed bigint, prompt_tokens bigint, completion_tokens bigint, cost_micros bigint
)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'usage_pending_wrapper';
COMMENT ON FUNCTION castmatch.usage_pending() IS 'what calls of models used and castmatch.usage_by_day does not say yet';

-- A superuser is a member of every role, but no budget is meant for superusers.
CREATE FUNCTION castmatch.counts_for(spender regrole, budget regrole) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT spender OPERATOR(pg_catalog.=) budget
            OR (pg_catalog.pg_has_role(spender, budget, 'MEMBER')
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) spender AND r.rolsuper));
    END;
COMMENT ON FUNCTION castmatch.counts_for(regrole, regrole) IS 'whether a budget is also for a role';

-- The barrier keeps functions of a query from seeing the rows that are left out. It does not hold for the parts of a UNION ALL, so the
-- part that needs it is a view of its own.
CREATE VIEW castmatch.usable_models WITH (security_barrier) AS
    SELECT d.name, d.task, d.provider, d.options OPERATOR(pg_catalog.->>) 'url' AS url, COALESCE(
        d.options OPERATOR(pg_catalog.->>) 'model', CASE WHEN d.provider OPERATOR(pg_catalog.=) 'openai' THEN d.name END) AS model,
        -- What a header says may be nobody else's business, and where a key is read the administrator's.
        (d.options OPERATOR(pg_catalog.-) '{url,model,headers,secret_env,secret_file,ca_file}'::text[]) OPERATOR(pg_catalog.||)
        CASE WHEN d.options OPERATOR(pg_catalog.?) 'headers' THEN pg_catalog.jsonb_build_object('headers', ARRAY(
            SELECT k FROM pg_catalog.jsonb_object_keys(d.options OPERATOR(pg_catalog.->) 'headers') k)) ELSE '{}' END AS options,
        CASE WHEN d.options OPERATOR(pg_catalog.?) 'secret_env' THEN 'environment'
            WHEN d.options OPERATOR(pg_catalog.?) 'secret_file' THEN 'file' END AS secret,
        castmatch.model_breaker(d.name) AS breaker, d.changed_at
    FROM castmatch.model_definitions d
    WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r
            WHERE r.rolname OPERATOR(pg_catalog.=) 'castmatch_admin' AND pg_catalog.pg_has_role(r.oid, 'USAGE'))
        OR EXISTS (SELECT FROM castmatch.model_grants g
            WHERE g.model OPERATOR(pg_catalog.=) d.name AND pg_catalog.pg_has_role(g.role, 'USAGE'));
COMMENT ON VIEW castmatch.usable_models IS 'registered models that the caller may use';

CREATE VIEW castmatch.models AS
    SELECT 'builtin' AS name, t.task, 'builtin' AS provider, NULL::text AS url, NULL::text AS model,
        '{}'::jsonb AS options, NULL::text AS secret, NULL::text AS breaker, NULL::timestamp with time zone AS changed_at
    FROM (VALUES ('embedding'), ('chat')) AS t (task)
    UNION ALL
    SELECT name, task, provider, url, model, options, secret, breaker, changed_at FROM castmatch.usable_models;
COMMENT ON VIEW castmatch.models IS 'models that the caller may use; folders below castmatch.model_path are models besides';
COMMENT ON COLUMN castmatch.models.secret IS 'what kind of place the model''s key is read from';
COMMENT ON COLUMN castmatch.models.breaker IS 'open while a model that failed several times is left alone';

CREATE VIEW castmatch.usage_entries AS
    SELECT role, model, day, requests, failed, prompt_tokens, completion_tokens, cost FROM castmatch.usage_by_day
    UNION ALL
    SELECT p.role::regrole, p.model, '1970-01-01'::date OPERATOR(pg_catalog.+) p.day, p.requests, p.failed, p.prompt_tokens, p.completion_tokens,
        p.cost_micros OPERATOR(pg_catalog./) 1000000.0
    FROM castmatch.usage_pending() p;
COMMENT ON VIEW castmatch.usage_entries IS 'what castmatch.usage adds up';

CREATE VIEW castmatch.usage WITH (security_barrier) AS
    SELECT u.role, u.model, u.day, sum(u.requests)::bigint AS requests, sum(u.failed)::bigint AS failed,
        sum(u.prompt_tokens)::bigint AS prompt_tokens, sum(u.completion_tokens)::bigint AS completion_tokens, round(sum(u.cost), 6) AS cost
    FROM castmatch.usage_entries u
    WHERE pg_catalog.pg_has_role(u.role, 'USAGE') OR EXISTS (SELECT FROM pg_catalog.pg_roles r
            WHERE r.rolname OPERATOR(pg_catalog.=) 'castmatch_admin' AND pg_catalog.pg_has_role(r.oid, 'USAGE'))
    GROUP BY u.role, u.model, u.day;
COMMENT ON VIEW castmatch.usage IS 'calls of models of servers elsewhere by role, model and day (UTC), with tokens and cost';
COMMENT ON COLUMN castmatch.usage.cost IS 'in the unit of the models'' option price';

CREATE VIEW castmatch.budget_entries AS
    SELECT b.role, b.period, b.max_cost, b.max_tokens, s.cost, s.tokens
    FROM castmatch.budget_limits b
    CROSS JOIN LATERAL (
        SELECT round(COALESCE(sum(u.cost), 0), 6) AS cost,
            COALESCE(sum(u.prompt_tokens OPERATOR(pg_catalog.+) u.completion_tokens), 0)::bigint AS tokens
        FROM castmatch.usage_entries u
        WHERE u.day OPERATOR(pg_catalog.>=) pg_catalog.date_trunc(b.period, pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()))::date
            AND castmatch.counts_for(u.role, b.role)) s;
COMMENT ON VIEW castmatch.budget_entries IS 'what castmatch.budgets shows, for every role';

CREATE VIEW castmatch.budgets WITH (security_barrier) AS
    SELECT b.* FROM castmatch.budget_entries b
    WHERE pg_catalog.pg_has_role(b.role, 'USAGE') OR EXISTS (SELECT FROM pg_catalog.pg_roles r
            WHERE r.rolname OPERATOR(pg_catalog.=) 'castmatch_admin' AND pg_catalog.pg_has_role(r.oid, 'USAGE'));
COMMENT ON VIEW castmatch.budgets IS 'what roles and their members may spend on models, and have spent in the current day or month (UTC)';
