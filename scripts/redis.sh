#!/usr/bin/env bash
# Sourced after environment.sh: a Redis server to compare the caches with. Its package would start a service, so its files are only
# unpacked, with the libraries that it needs.

redis_packages=(redis-server redis-tools libjemalloc2 liblzf1 libhiredis0.14 liblua5.1-0 lua-bitop lua-cjson)

# redis_fetch: $REDIS_SERVER, or nothing with a warning where there is none to have.
redis_fetch() {
  local folder=$CASTMATCH_HOME/redis
  REDIS_SERVER=$(command -v redis-server || say "$folder/redis-server")
  export REDIS_SERVER
  [ ! -x "$REDIS_SERVER" ] || return 0
  rm -rf "$folder"
  mkdir -p "$folder/root"
  if ! have apt-get; then REDIS_SERVER=''; warn "there is no redis-server and no apt-get: Redis is left out"; return 0; fi
  (cd "$folder" && apt-get download "${redis_packages[@]}") >/dev/null 2>&1 || {
    logged apt-update as_root apt-get update
    (cd "$folder" && logged redis-download apt-get download "${redis_packages[@]}")
  }
  local package
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
  rm -f "$folder"/*.deb
  cat >"$REDIS_SERVER" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$(find "$folder/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:) exec "$folder/root/usr/bin/redis-server" "\$@"
EOF
  chmod 755 "$REDIS_SERVER"
}
