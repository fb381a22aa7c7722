-- What CREATE EXTENSION installs, and for whom: a change here is a change of the interface.

-- Extension: not relocatable, not trusted.
SELECT extname, extrelocatable, nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'castmatch';
SELECT DISTINCT relocatable, superuser, trusted FROM pg_available_extension_versions WHERE name = 'castmatch';

-- Functions of schema castmatch.
SELECT proname AS function, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
    CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility, proisstrict AS strict,
    CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel, prosecdef AS definer
FROM pg_proc p WHERE pronamespace = 'castmatch'::regnamespace ORDER BY proname COLLATE "C", p.oid;

-- Functions of the types: all immutable, strict and parallel safe.
SELECT p.oid::regprocedure AS function, provolatile, proisstrict, proparallel
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'castmatch'
WHERE pronamespace <> 'castmatch'::regnamespace AND prokind = 'f'
    AND (provolatile, proisstrict, proparallel) <> ('i', true, 's') ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regprocedure AS function
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'castmatch'
WHERE pronamespace <> 'castmatch'::regnamespace AND prokind = 'f' ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT aggfnoid::regprocedure AS aggregate, aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval,
    (SELECT proparallel FROM pg_proc p WHERE p.oid = aggfnoid) AS parallel
FROM pg_aggregate JOIN pg_depend d ON d.objid = aggfnoid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'castmatch' ORDER BY aggfnoid::regprocedure::text COLLATE "C";

-- Functions that run as their owner fix their search path.
SELECT p.oid::regprocedure AS function, proconfig FROM pg_proc p WHERE pronamespace = 'castmatch'::regnamespace AND prosecdef ORDER BY proname;

-- Types
SELECT typname, typlen, typstorage, typalign, typinput, typoutput, typreceive, typsend, typmodin, typmodout
FROM pg_type WHERE typname IN ('vector', 'halfvec', 'sparsevec') ORDER BY typname;

-- Operators
SELECT o.oid::regoperator AS operator, oprresult::regtype AS result, oprcode AS function, oprcom::regoper AS commutator, oprnegate::regoper AS negator,
    oprrest AS restriction, oprjoin AS joining
FROM pg_operator o JOIN pg_depend d ON d.objid = o.oid AND d.classid = 'pg_operator'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'castmatch'
ORDER BY oprname COLLATE "C", o.oid::regoperator::text COLLATE "C";

-- Operator classes
SELECT amname AS method, opcname AS class, opcintype::regtype AS type, opcdefault AS "default" FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE opcintype IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype) ORDER BY amname, opcname;
SELECT amname AS method, amopopr::regoperator AS operator, amopstrategy AS strategy FROM pg_amop o JOIN pg_am a ON a.oid = amopmethod
WHERE amoplefttype IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype) ORDER BY amname, amoplefttype::regtype::text, amopstrategy,
    amopopr::regoperator::text COLLATE "C";

-- Casts
SELECT castsource::regtype AS source, casttarget::regtype AS target, castfunc::regprocedure AS function,
    CASE castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment' ELSE 'explicit' END AS context
FROM pg_cast WHERE castsource IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype) OR casttarget IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype)
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

-- Relations of schema castmatch: their columns, and which rows a dump keeps.
SELECT relname, CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' ELSE relkind::text END AS kind, attname, format_type(atttypid, atttypmod) AS type,
    attnotnull AS not_null
FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'castmatch'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname, attnum;
SELECT config.oid::regclass AS dumped, condition FROM pg_extension, unnest(extconfig, extcondition) AS config (oid, condition)
WHERE extname = 'castmatch' ORDER BY config.oid::regclass::text COLLATE "C";
SELECT polrelid::regclass AS "table", polname AS policy, polcmd AS command, pg_get_expr(polqual, polrelid) AS condition
FROM pg_policy WHERE polrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'castmatch'::regnamespace) ORDER BY polrelid::regclass::text COLLATE "C";

-- Who may do what.
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles
WHERE rolname IN ('castmatch_user', 'castmatch_admin', 'castmatch_monitor', 'castmatch_pruner') ORDER BY 1;
SELECT proname AS function, has_function_privilege('public', p.oid, 'EXECUTE') AS public, has_function_privilege('castmatch_user', p.oid, 'EXECUTE') AS "user",
    has_function_privilege('castmatch_monitor', p.oid, 'EXECUTE') AS monitor
FROM pg_proc p WHERE pronamespace = 'castmatch'::regnamespace ORDER BY proname COLLATE "C";
SELECT relname, string_agg(privilege, ' ' ORDER BY place) FILTER (WHERE has_table_privilege('public', c.oid, privilege)) AS public,
    string_agg(privilege, ' ' ORDER BY place) FILTER (WHERE has_table_privilege('castmatch_user', c.oid, privilege)) AS "user"
FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS p (privilege, place)
WHERE relnamespace = 'castmatch'::regnamespace AND relkind IN ('r', 'v') GROUP BY relname ORDER BY relname;
SELECT has_schema_privilege('public', 'castmatch', 'USAGE') AS usage, has_schema_privilege('public', 'castmatch', 'CREATE') AS "create";

-- Settings
SELECT name, context, vartype, min_val, max_val, boot_val FROM pg_settings WHERE name LIKE 'castmatch.%' ORDER BY name;
\t on
\pset format unaligned
SELECT failure(s) FROM unnest(ARRAY[
    'SET castmatch.window_messages = 0', 'SET castmatch.window_messages = 1001', 'SET castmatch.window_messages = ''many''',
    'SET castmatch.window_tokens = 15', 'SET castmatch.window_tokens = 1000001', 'SET castmatch.embedding_threads = 2',
    'SET castmatch.model_path = ''/tmp''', 'SET castmatch.no_such_setting = 1'
]) s;
CREATE ROLE regress_catalog_reader;
SET ROLE regress_catalog_reader;
-- The server's own message, which differs between versions.
SELECT left(failure('SHOW castmatch.model_path'), 5);
SELECT failure('SELECT castmatch.chat(''hello'')');
SELECT failure('SELECT * FROM castmatch.history(gen_random_uuid())');
SELECT failure('SELECT castmatch.forget(gen_random_uuid())');
SELECT failure(format('SELECT FROM castmatch.%I', t)) FROM unnest(ARRAY['registrations', 'attachments', 'failures', 'queue', 'conversations', 'messages']) t;
SELECT failure(s) FROM unnest(ARRAY[
    'INSERT INTO castmatch.queue (target, key) VALUES (''pg_class'', ''1'')', 'DELETE FROM castmatch.registrations', 'UPDATE castmatch.registrations SET model = ''''',
    'CREATE TABLE castmatch.mine ()'
]) s;
RESET ROLE;
DROP ROLE regress_catalog_reader;
\t off
\pset format aligned

-- Every function, type, table and view of the interface says what it is.
SELECT p.oid::regprocedure AS undocumented FROM pg_proc p WHERE pronamespace = 'castmatch'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS undocumented FROM pg_class c
WHERE relnamespace = 'castmatch'::regnamespace AND relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;

-- Nothing is left when it goes, and it can come again.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION castmatch CASCADE;
SELECT count(*) FROM pg_namespace WHERE nspname = 'castmatch';
SELECT count(*) FROM pg_proc WHERE probin LIKE '%castmatch%';
CREATE EXTENSION castmatch;
SELECT '[1]'::vector;
ROLLBACK;
