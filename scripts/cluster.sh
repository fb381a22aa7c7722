# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh: private clusters. BASE is a folder that then holds cluster/ (the data) and run/ (socket
# and password), and pg/ (the copied server) unless cluster_programs names another one's programs. The superuser is always called postgres. Who may enter run/ needs no
# password; over TCP (127.0.0.1 only) the one in run/password is asked for, so that other users of the machine
# stay out.

# The folder of programs of a BASE whose server is not the copy in it.
declare -A cluster_programs=()

# cluster_runs_on BASE FOLDER: names that folder.
cluster_runs_on() { cluster_programs[$1]=$2; }

cluster_bin() { say "${cluster_programs[$1]:-$1/pg$debian_pg/bin}"; }

cluster_create() {
  local base=$1 bin
  bin=$(cluster_bin "$base")
  owned_folder "$base/cluster"
  owned_folder "$base/run"
  [ ! -e "$base/cluster/PG_VERSION" ] || return 0
  # 128 bits as text; written by the user who is to read it.
  od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | run_as tee "$base/run/password" >/dev/null
  run_as chmod 600 "$base/run/password"
  run_as "$bin/initdb" --pgdata "$base/cluster" --username postgres --pwfile "$base/run/password" --auth-local trust \
    --auth-host scram-sha-256 --encoding UTF8 --no-locale --no-instructions >"$CASTMATCH_DATA/log/initdb.log" 2>&1 || {
    tail -n 20 "$CASTMATCH_DATA/log/initdb.log" >&2
    die "initdb failed in $base/cluster; its last lines are above"
  }
  printf "include_if_exists 'castmatch.conf'\n" | run_as tee -a "$base/cluster/postgresql.conf" >/dev/null
}

cluster_is_up() { run_as "$(cluster_bin "$1")/pg_ctl" status -D "$1/cluster" >/dev/null 2>&1; }

# The port of a running cluster, from its pid file.
cluster_port() { run_as sed -n 4p "$1/cluster/postmaster.pid"; }

# cluster_start BASE PORT SETTING…
cluster_start() {
  local base=$1 port=$2 bin
  shift 2
  bin=$(cluster_bin "$base")
  printf '%s\n' "port = $port" "unix_socket_directories = '${base//\'/\'\'}/run'" unix_socket_permissions=0700 "$@" |
    run_as tee "$base/cluster/castmatch.conf" >/dev/null
  run_as "$bin/pg_ctl" start -w -t 60 -D "$base/cluster" -l "$base/cluster/server.log" >/dev/null || {
    run_as tail -n 20 "$base/cluster/server.log" >&2
    die "the server did not start on port $port; its last lines are above, all of them in $base/cluster/server.log"
  }
}

cluster_stop() {
  [ -d "$1/cluster" ] && cluster_is_up "$1" || return 0
  run_as "$(cluster_bin "$1")/pg_ctl" stop -m fast -w -t 60 -D "$1/cluster" >/dev/null ||
    die "the server in $1/cluster does not stop: see $1/cluster/server.log"
}

# What an interrupted test left running: servers whose data is under BASE/data, BASE/e2e or BASE/clients.
cluster_stop_strays() {
  local base=$1 pidfile data
  [ -d "$base/data" ] || return 0
  while IFS= read -r pidfile; do
    data=$(dirname "$pidfile")
    run_as "$(cluster_bin "$base")/pg_ctl" stop -m immediate -w -t 60 -D "$data" >/dev/null 2>&1 || true
    rm -rf "$data"
  done < <(find "$base/data" "$base/e2e" "$base/clients" -name postmaster.pid 2>/dev/null)
}

# cluster_psql BASE PORT DATABASE ARGUMENT…: as the caller, who may read files that the server's user may not.
cluster_psql() {
  local base=$1 port=$2 database=$3
  shift 3
  "$(cluster_bin "$base")/psql" -X -q -P pager=off -v ON_ERROR_STOP=1 -h "$base/run" -p "$port" -U postgres -d "$database" "$@"
}
