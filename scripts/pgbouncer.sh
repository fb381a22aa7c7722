#!/usr/bin/env bash
# Sourced after environment.sh: a PgBouncer for the tests of the companion. Its package would start a service, so its files are only
# unpacked, with the libraries that it needs.

pgbouncer_packages=(pgbouncer libevent-2.1-7 libc-ares2)

# find_pgbouncer: $PGBOUNCER, or nothing with a warning where there is no apt-get; its tests are left out then.
find_pgbouncer() {
  local folder=$CASTMATCH_HOME/pgbouncer
  : "${PGBOUNCER:=$(command -v pgbouncer || say "$folder/pgbouncer")}"
  export PGBOUNCER
  [ ! -x "$PGBOUNCER" ] || return 0
  rm -rf "$folder"
  mkdir -p "$folder/root"
  if ! have apt-get; then PGBOUNCER=''; warn "there is no pgbouncer and no apt-get: its tests are left out"; return 0; fi
  (cd "$folder" && apt-get download "${pgbouncer_packages[@]}") >/dev/null 2>&1 || {
    logged apt-update as_root apt-get update
    (cd "$folder" && logged pgbouncer-download apt-get download "${pgbouncer_packages[@]}")
  }
  local package
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
  rm -f "$folder"/*.deb
  cat >"$PGBOUNCER" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$(find "$folder/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:) exec "$folder/root/usr/sbin/pgbouncer" "\$@"
EOF
  chmod 755 "$PGBOUNCER"
}
