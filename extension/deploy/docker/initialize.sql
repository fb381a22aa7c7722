-- Run once in a new cluster: the database, the extension, and the roles that log in. Passwords are read from files by psql,
-- so that they are in no argument.
\set ON_ERROR_STOP on
\set companion_password `cat "$COMPANION_PASSWORD_FILE"`
\set replication_password `cat "$REPLICATION_PASSWORD_FILE"`
\getenv database POSTGRES_DB
SET log_min_error_statement = panic;
SET log_statement = none;
CREATE ROLE companion LOGIN PASSWORD :'companion_password' CONNECTION LIMIT 10;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE DATABASE :"database" ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO companion;
\connect :"database"
CREATE EXTENSION castmatch;
-- The companion watches and prunes, and does nothing else.
GRANT castmatch_monitor, castmatch_pruner TO companion;
