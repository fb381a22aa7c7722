#!/bin/bash
# Entry point of the database's image. On the first start it makes the cluster: a primary by initdb and initialize.sql, or, where
# PRIMARY_HOST is set, a streaming standby of that server. Then it becomes the server; arguments are the server's (-c name=value).
#
# Passwords come from files: POSTGRES_PASSWORD_FILE, COMPANION_PASSWORD_FILE, REPLICATION_PASSWORD_FILE.
# A new cluster is made under another name and renamed when it is complete, so an interrupted first start leaves nothing half-made.
set -euo pipefail
umask 077

: "${PGDATA:=/var/lib/postgresql/data/cluster}" "${POSTGRES_DB:=castmatch}"
: "${POSTGRES_PASSWORD_FILE:=/run/secrets/postgres-password}" "${COMPANION_PASSWORD_FILE:=/run/secrets/companion-password}"
: "${REPLICATION_PASSWORD_FILE:=/run/secrets/replication-password}"
: "${CASTMATCH_SHARE:=/usr/local/share/castmatch}" "${INITDB_FOLDER:=/docker-entrypoint-initdb.d}"
export PGDATA POSTGRES_DB POSTGRES_PASSWORD_FILE COMPANION_PASSWORD_FILE REPLICATION_PASSWORD_FILE

die() { printf 'castmatch-entrypoint: %s\n' "$*" >&2; exit 1; }

need_secret() {
  local file=${!1}
  [ -r "$file" ] || die "$1 names $file, which cannot be read: mount a file with the password there"
  [ -s "$file" ] || die "the password in $file is empty"
  [ "$(cat "$file")" != REPLACE-ME ] || die "the password in $file is the template's: give one of your own"
}

make_primary() {
  local new=$1 socket file
  need_secret POSTGRES_PASSWORD_FILE
  need_secret COMPANION_PASSWORD_FILE
  need_secret REPLICATION_PASSWORD_FILE
  initdb --pgdata "$new" --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local peer --auth-host scram-sha-256 \
    --encoding UTF8 --locale C.UTF-8 --data-checksums --no-instructions
  cp "$CASTMATCH_SHARE/postgresql.conf" "$new/castmatch.conf"
  printf "include 'castmatch.conf'\n" >>"$new/postgresql.conf"
  printf '%s\n' 'host all all all scram-sha-256' 'host replication replicator all scram-sha-256' >>"$new/pg_hba.conf"
  # On a socket of its own: nobody is let in before everything is there.
  socket=$(mktemp -d)
  pg_ctl start --pgdata "$new" --wait --silent --options "-c listen_addresses='' -c unix_socket_directories='$socket'"
  psql --no-psqlrc --quiet --host "$socket" --username postgres --dbname postgres --file "$CASTMATCH_SHARE/initialize.sql"
  for file in "$INITDB_FOLDER"/*.sql; do
    [ ! -e "$file" ] || psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --host "$socket" --username postgres --dbname "$POSTGRES_DB" --file "$file"
  done
  pg_ctl stop --pgdata "$new" --wait --silent --mode fast
  rm -rf "$socket"
}

make_standby() {
  local new=$1
  need_secret REPLICATION_PASSWORD_FILE
  # --write-recovery-conf keeps what is needed to follow the primary, the password too, in a file of mode 0600.
  PGPASSWORD=$(<"$REPLICATION_PASSWORD_FILE") pg_basebackup --pgdata "$new" --write-recovery-conf --checkpoint fast --wal-method stream \
    --dbname "host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator application_name=${HOSTNAME:-standby} connect_timeout=10"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$(dirname "$PGDATA")"
  rm -rf "$PGDATA.new"
  if [ -n "${PRIMARY_HOST:-}" ]; then make_standby "$PGDATA.new"; else make_primary "$PGDATA.new"; fi
  mv -T "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" "$@"
