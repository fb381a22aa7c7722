#!/usr/bin/env bash
# make demo: a private server with castmatch, from nothing to matches, a chat and metrics. Run again, it builds what
# has changed and makes the demo database anew. It stays up; make stop ends it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/model.sh"
. "$(dirname "$0")/setup.sh"
. "$(dirname "$0")/cluster.sh"
. "$(dirname "$0")/companion.sh"

base=$CASTMATCH_DATA/demo
database=castmatch_demo
# How long no row may be embedded before the demo gives up.
stall_seconds=120

sql() { cluster_psql "$base" "$port" "$database" "$@"; }
value() { sql -At -c "$1"; }

build() {
  # Debian's own pg_config is the same server's, and the one that make install uses: nothing is built twice.
  export PGRX_PG_CONFIG_PATH=$debian_pg/bin/pg_config
  mkdir -p "$PGRX_HOME"
  cd "$root"
  logged build-extension cargo pgrx install --release --pg-config "$(cluster_bin "$base")/pg_config"
  bridge_place "$("$(cluster_bin "$base")/pg_config" --sharedir)"
  logged build-companion cargo build --release -p castmatch-companion
  # The user that the servers run as may be kept out of the folder with the builds.
  mkdir -p "$base/bin"
  install -m 755 "$CARGO_TARGET_DIR/release/castmatch-companion" "$base/bin/castmatch-companion"
}

start_server() {
  cluster_create "$base"
  port=$(choose_port CASTMATCH_PORT 54329)
  cluster_start "$base" "$port" "listen_addresses = '127.0.0.1'" "shared_preload_libraries = 'castmatch'"
  say "        127.0.0.1:$port"
}

load() {
  cluster_psql "$base" "$port" postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $database WITH (FORCE)" \
    -c "CREATE DATABASE $database"
  sql -c 'CREATE EXTENSION castmatch' || die "CREATE EXTENSION castmatch failed: see the message above"
  logged demo-data sql -f "$root/sql/demo/talents.sql"
  say "        $(value 'SELECT count(*) FROM talents') talents"
  sql -c "SELECT castmatch.attach('talents', content => '{bio}', filters => '{gender,age,city}', if_not_exists => true)" >/dev/null ||
    die "castmatch.attach failed: see the message above"
}

# A bar that is drawn over itself on a terminal; elsewhere a line every ten seconds.
draw_bar() {
  local done_rows=$1 rows=$2 width=40 filled percent bar
  filled=$((width * done_rows / rows)) percent=$((100 * done_rows / rows))
  bar=$(printf '%*s' "$filled" '' | tr ' ' '#')
  if [ -t 1 ]; then
    printf '\r        [%-*s] %3d%%  %d of %d rows' "$width" "$bar" "$percent" "$done_rows" "$rows"
  elif [ "$done_rows" = "$rows" ] || [ $((SECONDS - drawn)) -ge 10 ]; then
    printf '        [%-*s] %3d%%  %d of %d rows\n' "$width" "$bar" "$percent" "$done_rows" "$rows"
    drawn=$SECONDS
  fi
}

wait_until_embedded() {
  local rows embedded pending failed last=-1 moved=$SECONDS drawn=$SECONDS
  while :; do
    IFS='|' read -r rows embedded pending failed < <(value "SELECT rows, embedded, pending, failed FROM castmatch.attachments
      WHERE target = 'talents'::regclass")
    [ -n "${failed-}" ] || die "castmatch.attachments does not list the table talents: see $base/cluster/server.log"
    [ "$rows" -gt 0 ] || die "the table talents is empty: see sql/demo/talents.sql"
    draw_bar "$embedded" "$rows"
    [ "$pending" != 0 ] || break
    if [ "$embedded" != "$last" ]; then last=$embedded moved=$SECONDS; fi
    [ $((SECONDS - moved)) -lt "$stall_seconds" ] ||
      die "no row was embedded for $stall_seconds s ($embedded of $rows are, $failed failed): see $base/cluster/server.log"
    sleep 0.5
  done
  [ ! -t 1 ] || printf '\n'
  [ "$failed" = 0 ] || die "$failed rows could not be embedded: SELECT * FROM castmatch.failures says why"
}

start_companion() {
  companion_port=$(choose_port CASTMATCH_COMPANION_PORT 9187)
  companion_start "$base" "$base/bin/castmatch-companion" "127.0.0.1:$companion_port" \
    "postgres:///$database?host=$base/run&port=$port&user=postgres"
  say
  say "curl http://127.0.0.1:$companion_port/health"
  curl -sS --noproxy "*" --max-time 10 "http://127.0.0.1:$companion_port/health"
  say
  say
  say "curl http://127.0.0.1:$companion_port/metrics | head"
  curl -sS --noproxy "*" --max-time 10 "http://127.0.0.1:$companion_port/metrics" >"$CASTMATCH_DATA/log/metrics.txt"
  head -n 12 "$CASTMATCH_DATA/log/metrics.txt"
  say
}

farewell() {
  cat <<END

castmatch runs. To look around:
    $(cluster_bin "$base")/psql -h $base/run -p $port -U postgres $database
    SELECT * FROM castmatch.match('talents', 'a villain with a kind face', filter => '{"age": {"gte": 50}}');
Over TCP: 127.0.0.1:$port, user postgres, database $database, password in $base/run/password
Dashboard: http://127.0.0.1:$companion_port/  (also /health, /performance, /metrics)
The tour again: the psql command above with -f $root/sql/demo/tour.sql
To stop: make stop          To remove it all: make clean
END
}

main() {
  open_data_folder
  take_lock
  step_total=10
  step "Packages and Rust"
  install_packages
  check_rust
  step "cargo-pgrx $pgrx_version"
  install_cargo_pgrx
  step "A server of its own for the demo"
  companion_stop "$base"
  cluster_stop "$base"
  copy_server "$base/pg"
  step "The embedding model"
  model_fetch
  model_place "$("$(cluster_bin "$base")/pg_config" --sharedir)"
  step "Building in release mode (the first time takes several minutes)"
  build
  step "Starting PostgreSQL with shared_preload_libraries = 'castmatch'"
  start_server
  step "The extension and the demo data"
  load
  step "Embedding every row"
  wait_until_embedded
  step "Three matches and a chat"
  sql -f "$root/sql/demo/tour.sql" || die "the tour failed: see the message above; the server's log is $base/cluster/server.log"
  step "The companion"
  start_companion
  step_done
  farewell
}

main "$@"
