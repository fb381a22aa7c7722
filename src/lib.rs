//! castmatch: matching and chat inside PostgreSQL.
::pgrx::pg_module_magic!(name, version);
