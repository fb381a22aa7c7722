#!/usr/bin/env bash
# Sourced after environment.sh and unpack.sh: a Redis server to compare the caches with.

redis_packages=(redis-server redis-tools libjemalloc2 liblzf1 libhiredis0.14 liblua5.1-0 lua-bitop lua-cjson)

# redis_fetch: $REDIS_SERVER, or nothing with a warning where there is none to have.
redis_fetch() {
  local folder=$CASTMATCH_HOME/redis
  REDIS_SERVER=$(command -v redis-server || say "$folder/redis-server")
  export REDIS_SERVER
  [ ! -x "$REDIS_SERVER" ] || return 0
  if ! have apt-get; then REDIS_SERVER=''; warn "there is no redis-server and no apt-get: Redis is left out"; return 0; fi
  unpack_packages "$folder" "${redis_packages[@]}"
  with_libraries "$folder" usr/bin/redis-server "$REDIS_SERVER"
}
