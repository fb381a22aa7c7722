-- Pruning of conversations.
DELETE FROM castmatch.conversations;
CREATE ROLE regress_prune_app;
CREATE ROLE "Regress prune";
INSERT INTO castmatch.conversations (id, owner, last_message_at)
SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid,
    CASE n % 3 WHEN 0 THEN 'regress_prune_app' WHEN 1 THEN '"Regress prune"' ELSE quote_ident(current_user) END::regrole, now() - n * '1 day'::interval
FROM generate_series(1, 6) n;
INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens, created_at)
SELECT c.id, s, 'user', 'message', 1, c.last_message_at - (n - s) * '1 hour'::interval
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM castmatch.conversations) c, generate_series(1, c.n) s;
INSERT INTO castmatch.requests (conversation_id, arguments, state, finished_at)
SELECT id, '{}', 'done', last_message_at FROM castmatch.conversations;
-- What does not vary.
CREATE FUNCTION pruned(policy jsonb, dry_run boolean DEFAULT false) RETURNS jsonb LANGUAGE sql AS $$
    SELECT r - 'elapsed_ms' - 'next' || jsonb_build_object('next', r #- '{next,as_of}' -> 'next')
    FROM (SELECT castmatch.prune(policy, dry_run) AS r) x;
$$;
CREATE VIEW kept AS
    SELECT right(c.id::text, 1) AS conversation, array_agg(m.seq ORDER BY m.seq) AS messages FROM castmatch.conversations c
    LEFT JOIN castmatch.messages m ON m.conversation_id = c.id GROUP BY c.id ORDER BY c.id;
TABLE kept;

-- Counting.
SELECT pruned('{}', true);
SELECT pruned('{"max_age": "3 days 30 minutes"}', true);
SELECT pruned('{"max_idle": "84 hours"}', true);
SELECT pruned('{"max_messages": 2}', true);
SELECT pruned('{"max_bytes": 0}', true);
SELECT pruned('{"max_bytes": "1 MB"}', true);
SELECT pruned('{"max_request_age": "36 hours"}', true);
SELECT pruned('{"roles": {"regress_prune_app": {"max_messages": 1}, "Regress prune": {"max_idle": "0 s"}}}', true);
SELECT pruned('{"max_messages": 0, "roles": {"regress_prune_app": {"max_messages": null}}}', true);
TABLE kept;

-- Deleting.
BEGIN;
SELECT pruned('{"max_age": "3 days 30 minutes"}');
TABLE kept;
ROLLBACK;
SELECT pruned('{"max_idle": "84 hours", "max_messages": 2, "max_request_age": "36 hours"}');
TABLE kept;
SELECT pruned('{"max_idle": "84 hours", "max_messages": 2, "max_request_age": "36 hours"}');
SELECT pruned('{"max_messages": 1, "batch_rows": 2}');
TABLE kept;
SELECT passes, batches, conversations, messages, requests, skipped, last_started <= last_batch AS in_order, last_finished < last_batch AS under_way
FROM castmatch.prune_state;
-- Going on, with what the call before returned.
DO $$
DECLARE
    policy jsonb := '{"max_messages": 0, "batch_rows": 2}';
    result jsonb;
    calls integer := 0;
BEGIN
    LOOP
        result := castmatch.prune(policy);
        calls := calls + 1;
        EXIT WHEN NOT (result ->> 'more')::boolean;
        policy := policy || jsonb_build_object('resume', result -> 'next');
    END LOOP;
    RAISE NOTICE '% calls', calls;
END;
$$;
TABLE kept;
SELECT passes, batches, conversations, messages, requests, skipped FROM castmatch.prune_state;

-- What is wrong.
SELECT failure($$SELECT castmatch.prune()$$);
SELECT failure($$SELECT castmatch.prune('{}', NULL)$$);
SELECT p AS policy, failure(format('SELECT castmatch.prune(%L)', p)) FROM unnest(ARRAY[
    'null', '[]', '"max_age"', '{"max_agee": "1 day"}', '{"keep": 1}', '{"max_age": 90}', '{"max_age": ""}', '{"max_age": "90"}',
    '{"max_age": "90 dogs"}', '{"max_age": "-1 day"}', '{"max_age": "1 day -2 days"}', '{"max_age": "300000 years"}', '{"max_age": "999999999999 years"}',
    '{"max_idle": {}}', '{"max_request_age": "ago"}', '{"max_messages": -1}', '{"max_messages": 1.5}', '{"max_messages": "5"}',
    '{"max_messages": 9223372036854775808}', '{"max_bytes": -1}', '{"max_bytes": "10 apples"}', '{"max_bytes": "-1GB"}', '{"max_bytes": "9999999999 TB"}',
    '{"batch_rows": 1}', '{"batch_rows": 5001}', '{"batch_time": "0"}', '{"batch_time": "0 ms"}', '{"batch_time": "2 s"}', '{"batch_time": "soon"}',
    '{"roles": []}', '{"roles": {"regress_prune_app": 5}}', '{"roles": {"regress_prune_app": {"max_agee": 1}}}',
    '{"roles": {"regress_prune_app": {"max_idle": "-1 s"}}}', '{"roles": {"regress_nobody": {}}}', '{"roles": {"": {}}}',
    '{"resume": 5}', '{"resume": {}}',
    '{"resume": {"as_of": "yesterday or so", "phase": "conversations", "from": "00000000-0000-0000-0000-000000000000", "seq": null, "cutoffs": []}}',
    '{"resume": {"as_of": "2026-01-01", "phase": "everything", "from": "00000000-0000-0000-0000-000000000000", "seq": null, "cutoffs": []}}',
    '{"resume": {"as_of": "2026-01-01", "phase": "requests", "from": "00000000-0000-0000-0000-000000000000", "seq": "1", "cutoffs": []}}',
    '{"resume": {"as_of": "2026-01-01", "phase": "requests", "from": "1", "seq": null, "cutoffs": []}}',
    '{"resume": {"as_of": "2026-01-01", "phase": "requests", "from": "00000000-0000-0000-0000-000000000000", "seq": null, "cutoffs": [{"role": null, "last_message_at": "never", "conversation": "00000000-0000-0000-0000-000000000000"}]}}'
]) p;
-- A moment in the future is now; the last id of all has none after it.
SELECT pruned('{"max_idle": "1 day", "resume": {"as_of": "infinity", "phase": "conversations", "from": "ffffffff-ffff-ffff-ffff-ffffffffffff", "seq": null, "cutoffs": []}}');

-- The setting.
SET castmatch.prune_policy = '{"max_idle": "1 day"';
SELECT failure($$SELECT castmatch.prune()$$);
SET castmatch.prune_policy = '{"max_idle": "1 century ago"}';
SELECT failure($$SELECT castmatch.prune()$$);
SET castmatch.prune_policy = '{"max_idle": "1 day"}';
SELECT pruned(NULL, true);
RESET castmatch.prune_policy;
DROP VIEW kept;
DROP FUNCTION pruned(jsonb, boolean);
DROP ROLE regress_prune_app, "Regress prune";
