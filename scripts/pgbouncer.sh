#!/usr/bin/env bash
# Sourced after environment.sh and unpack.sh: a PgBouncer for the tests of the companion.

pgbouncer_packages=(pgbouncer libevent-2.1-7 libc-ares2)

# find_pgbouncer: $PGBOUNCER, or nothing with a warning where there is no apt-get; its tests are left out then.
find_pgbouncer() {
  local folder=$CASTMATCH_HOME/pgbouncer
  : "${PGBOUNCER:=$(command -v pgbouncer || say "$folder/pgbouncer")}"
  export PGBOUNCER
  [ ! -x "$PGBOUNCER" ] || return 0
  if ! have apt-get; then PGBOUNCER=''; warn "there is no pgbouncer and no apt-get: its tests are left out"; return 0; fi
  unpack_packages "$folder" "${pgbouncer_packages[@]}"
  with_libraries "$folder" usr/sbin/pgbouncer "$PGBOUNCER"
}
