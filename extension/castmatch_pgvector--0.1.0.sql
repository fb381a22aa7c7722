\echo Use "CREATE EXTENSION castmatch_pgvector" to load this file. \quit

-- castmatch's indexes on columns of pgvector's types, and casts between the types of both extensions.
--
-- Every operator class of castmatch that orders by a distance gets a twin: the same name, for pgvector's type of the same name, with
-- pgvector's operator of the same name. Nothing here says which they are, so an older pgvector gets those that it has the type and the operator for.
-- Only members of the two extensions count: another type of such a name may be laid out in any way.
-- Everything is made in the schema that the extension is given, which is why it can be moved after pgvector. It should be pgvector's, where
-- the classes are found by whoever finds the types.

-- In the schema of castmatch's types the names of the classes are taken.
DO LANGUAGE plpgsql $do$
DECLARE
    taken pg_catalog.text;
    theirs pg_catalog.text;
BEGIN
    SELECT n.nspname INTO taken
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_extension c ON c.extnamespace OPERATOR(pg_catalog.=) e.extnamespace AND c.extname OPERATOR(pg_catalog.=) 'castmatch'
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
    WHERE e.extname OPERATOR(pg_catalog.=) 'castmatch_pgvector';
    IF taken IS NULL THEN
        RETURN;
    END IF;
    SELECT n.nspname INTO theirs
    FROM pg_catalog.pg_extension v
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) v.extnamespace
    WHERE v.extname OPERATOR(pg_catalog.=) 'vector';
    RAISE EXCEPTION USING
        ERRCODE = 'duplicate_object',
        MESSAGE = pg_catalog.format('schema "%s" has castmatch''s own operator classes', taken),
        DETAIL = 'Those for pgvector''s types have the same names.',
        HINT = pg_catalog.format('Use the schema of pgvector: CREATE EXTENSION castmatch_pgvector SCHEMA %I;', theirs);
END;
$do$;

-- Both extensions store these types in the same way. A value of castmatch's becomes one of pgvector's wherever that is expected, so that
-- embedding <=> castmatch.embed('…') is pgvector's operator; the other direction is for assignments and explicit casts only, for
-- with both an operator between the two types would have two meanings.
DO LANGUAGE plpgsql $do$
DECLARE
    pair record;
BEGIN
    FOR pair IN
        SELECT o.oid::pg_catalog.regtype AS ours, t.oid::pg_catalog.regtype AS theirs
        FROM pg_catalog.pg_depend od
        JOIN pg_catalog.pg_extension oe ON oe.oid OPERATOR(pg_catalog.=) od.refobjid AND oe.extname OPERATOR(pg_catalog.=) 'castmatch'
        JOIN pg_catalog.pg_type o ON o.oid OPERATOR(pg_catalog.=) od.objid
        JOIN pg_catalog.pg_type t ON t.typname OPERATOR(pg_catalog.=) o.typname
        JOIN pg_catalog.pg_depend td ON td.objid OPERATOR(pg_catalog.=) t.oid
        JOIN pg_catalog.pg_extension te ON te.oid OPERATOR(pg_catalog.=) td.refobjid AND te.extname OPERATOR(pg_catalog.=) 'vector'
        WHERE od.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
          AND od.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND od.deptype OPERATOR(pg_catalog.=) 'e'
          AND td.classid OPERATOR(pg_catalog.=) od.classid
          AND td.refclassid OPERATOR(pg_catalog.=) od.refclassid
          AND td.deptype OPERATOR(pg_catalog.=) 'e'
          AND o.typtype OPERATOR(pg_catalog.=) 'b' AND t.typtype OPERATOR(pg_catalog.=) 'b'
          -- Their arrays are members too since PostgreSQL 18.
          AND o.typelem OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND t.typelem OPERATOR(pg_catalog.=) 0::pg_catalog.oid
        ORDER BY o.oid
    LOOP
        EXECUTE pg_catalog.format('CREATE CAST (%s AS %s) WITHOUT FUNCTION AS IMPLICIT', pair.ours, pair.theirs);
        EXECUTE pg_catalog.format('CREATE CAST (%s AS %s) WITHOUT FUNCTION AS ASSIGNMENT', pair.theirs, pair.ours);
    END LOOP;
END;
$do$;

-- A twin joins the family of its model: an index by either class then serves the operators of both extensions, whichever a query finds. Where
-- both are for one type, PostgreSQL's bit, a family cannot hold both operators, and the twin has a family of its own.
DO LANGUAGE plpgsql $do$
DECLARE
    twin record;
BEGIN
    FOR twin IN
        SELECT m.amname, c.opcname, p.oid::pg_catalog.regprocedure AS support, t.oid::pg_catalog.regtype AS type, o.oid::pg_catalog.regoperator AS operator,
               CASE WHEN t.oid OPERATOR(pg_catalog.<>) c.opcintype THEN pg_catalog.format('FAMILY %I.%I', fn.nspname, f.opfname) ELSE '' END AS family
        FROM pg_catalog.pg_depend cd
        JOIN pg_catalog.pg_extension ce ON ce.oid OPERATOR(pg_catalog.=) cd.refobjid AND ce.extname OPERATOR(pg_catalog.=) 'castmatch'
        JOIN pg_catalog.pg_opclass c ON c.oid OPERATOR(pg_catalog.=) cd.objid
        JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.opcmethod
        JOIN pg_catalog.pg_opfamily f ON f.oid OPERATOR(pg_catalog.=) c.opcfamily
        JOIN pg_catalog.pg_namespace fn ON fn.oid OPERATOR(pg_catalog.=) f.opfnamespace
        JOIN pg_catalog.pg_type own ON own.oid OPERATOR(pg_catalog.=) c.opcintype
        JOIN pg_catalog.pg_amproc ap ON ap.amprocfamily OPERATOR(pg_catalog.=) c.opcfamily
            AND ap.amproclefttype OPERATOR(pg_catalog.=) c.opcintype AND ap.amprocrighttype OPERATOR(pg_catalog.=) c.opcintype
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) ap.amproc::pg_catalog.oid
        JOIN pg_catalog.pg_amop ao ON ao.amopfamily OPERATOR(pg_catalog.=) c.opcfamily
            AND ao.amoplefttype OPERATOR(pg_catalog.=) c.opcintype AND ao.amoprighttype OPERATOR(pg_catalog.=) c.opcintype
        JOIN pg_catalog.pg_operator model ON model.oid OPERATOR(pg_catalog.=) ao.amopopr
        -- pgvector's operator of that name, on its type of that name or on the same type of PostgreSQL's.
        JOIN pg_catalog.pg_operator o ON o.oprname OPERATOR(pg_catalog.=) model.oprname AND o.oprleft OPERATOR(pg_catalog.=) o.oprright
        JOIN pg_catalog.pg_depend od ON od.objid OPERATOR(pg_catalog.=) o.oid
        JOIN pg_catalog.pg_extension oe ON oe.oid OPERATOR(pg_catalog.=) od.refobjid AND oe.extname OPERATOR(pg_catalog.=) 'vector'
        JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) o.oprleft AND t.typname OPERATOR(pg_catalog.=) own.typname
        WHERE cd.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_opclass'::pg_catalog.regclass
          AND cd.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND cd.deptype OPERATOR(pg_catalog.=) 'e'
          AND od.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
          AND od.refclassid OPERATOR(pg_catalog.=) cd.refclassid
          AND od.deptype OPERATOR(pg_catalog.=) 'e'
          AND ao.amoppurpose OPERATOR(pg_catalog.=) 'o'
          AND ap.amprocnum OPERATOR(pg_catalog.=) 1
          -- For castmatch's own type it is another one, for a type of PostgreSQL's the same.
          AND (t.oid OPERATOR(pg_catalog.<>) own.oid) OPERATOR(pg_catalog.=) (own.typnamespace OPERATOR(pg_catalog.=) ce.extnamespace)
        ORDER BY c.oid
    LOOP
        EXECUTE pg_catalog.format('CREATE OPERATOR CLASS %I FOR TYPE %s USING %I %s AS OPERATOR 1 %s FOR ORDER BY pg_catalog.float_ops, FUNCTION 1 %s',
            twin.opcname, twin.type, twin.amname, twin.family, twin.operator, twin.support);
    END LOOP;
END;
$do$;
