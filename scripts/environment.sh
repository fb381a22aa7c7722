# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Sourced by every script: folders, ports and PATH (all overridable from the environment), and how a
# script speaks (step, say, die) and runs things (as_root, run_as, logged).
set -euo pipefail
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
pg_major=15
# The other major versions that are tested: pgvector.sh has servers of them.
further_majors=(16 18)
# Where Debian puts the server that the private copies are made from.
debian_pg=/usr/lib/postgresql/$pg_major
pgrx_version=0.18.1
model_name=all-MiniLM-L6-v2

say() { printf '%s\n' "$*"; }
warn() { printf 'castmatch: %s\n' "$*" >&2; }
die() { warn "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# Numbered steps; each says how long the one before it took.
step_number=0 step_total=0 step_started=
step() {
  step_done
  step_number=$((step_number + 1)) step_started=$SECONDS
  printf '[%2d/%d] %s\n' "$step_number" "$step_total" "$*"
}
step_done() {
  [ -n "$step_started" ] || return 0
  printf '        %d s\n' $((SECONDS - step_started))
  step_started=
}

as_root() {
  if is_root; then "$@"
  elif have sudo; then sudo -- "$@"
  else die "root is needed and sudo is not installed; as root, run: $*"
  fi
}

# A PostgreSQL server refuses to run as root: there it runs as the user postgres.
server_user=$(id -un) as_owner=()
if is_root; then server_user=postgres as_owner=(runuser -u postgres --); fi

# run_as COMMAND…: as the owner of the private clusters, from a folder that this owner can enter. File
# descriptor 9 is the lock of take_lock, which a server that stays up must not inherit.
run_as() (
  cd /
  exec "${as_owner[@]}" "$@" 9>&-
)

# logged NAME COMMAND…: a long command. On a terminal its own progress shows; elsewhere its output goes to a
# log and a line every 30 s says that it lives.
logged() {
  local name=$1 log rc=0 beat
  shift
  if [ -t 2 ]; then "$@" 9>&- || die "$name failed: its message is above"; return 0; fi
  log=$CASTMATCH_DATA/log/$name.log
  heartbeat "$log" 9>&- & beat=$!
  "$@" >"$log" 2>&1 </dev/null 9>&- || rc=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  [ "$rc" = 0 ] && return 0
  tail -n 20 "$log" >&2
  die "$name failed (exit status $rc); its last lines are above, all of it is in $log"
}

heartbeat() {
  local started=$SECONDS
  # The sleep outlives a kill by up to 30 s and must not keep the caller's output open meanwhile.
  while sleep 30 >/dev/null 2>&1; do
    printf '        … %d s  %.100s\n' $((SECONDS - started)) "$(tail -n 1 "$1" 2>/dev/null | tr -d '\r')"
  done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# choose_port NAME DEFAULT: prints $NAME if it is set (and free), else the first free port from DEFAULT.
choose_port() {
  local wanted=${!1-} port=$2
  if [ -n "$wanted" ]; then
    port_is_free "$wanted" || die "port $wanted is in use: set $1 to a free one"
    say "$wanted"
    return 0
  fi
  until port_is_free "$port"; do
    port=$((port + 1))
    [ "$port" -lt $(($2 + 100)) ] || die "ports $2 to $port are all in use: set $1 to a free one"
  done
  say "$port"
}

# Can any user enter this folder? Asked for the nearest part of the path that exists; 65534 is nobody.
open_to_others() {
  local folder=$1
  until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$folder"
}

# A checkout's state is in its folder .castmatch, unless a server could not use that.
default_data() {
  local data=$root/.castmatch reason='' hash
  if is_root && ! open_to_others "$root"; then reason="the user postgres cannot enter $root"; fi
  # A socket's path has at most 107 bytes, and 32 of them come after this folder.
  if [ "${#data}" -gt 75 ]; then reason="$root is too long for a server's socket"; fi
  if [ -n "$reason" ]; then
    hash=$(printf %s "$root" | sha256sum | cut -c1-12)
    if is_root; then data=/var/lib/castmatch/$hash; else data=$CASTMATCH_HOME/checkout/$hash; fi
    warn "$reason: state goes to $data"
  fi
  say "$data"
}

if is_root; then : "${CASTMATCH_HOME:=/var/cache/castmatch}"
else : "${CASTMATCH_HOME:=${XDG_CACHE_HOME:-$HOME/.cache}/castmatch}"
fi
: "${CASTMATCH_DATA:=$(default_data)}"
: "${CARGO_TARGET_DIR:=$CASTMATCH_HOME/target}"
for folder in CASTMATCH_HOME CASTMATCH_DATA CARGO_TARGET_DIR; do
  [[ ${!folder} == /* ]] || die "$folder must be an absolute path, not ${!folder}"
done
[ "${#CASTMATCH_DATA}" -le 75 ] || die "CASTMATCH_DATA is too long for a server's socket: at most 75 bytes"

# cargo pgrx test looks here for the server to use: the private copy for tests.
PGRX_HOME=$CASTMATCH_DATA/test/pgrx
CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
CASTMATCH_MODEL_DIR=$CASTMATCH_HOME/models
CASTMATCH_PG_CONFIG=$CASTMATCH_DATA/test/pg$debian_pg/bin/pg_config
# pgrx connects as $USER, which a container may not set.
: "${USER:=$(id -un)}"
have cargo || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
PATH=$CASTMATCH_HOME/cargo/bin:$PATH
export CASTMATCH_HOME CASTMATCH_DATA CASTMATCH_MODEL_DIR CASTMATCH_PG_CONFIG CARGO_TARGET_DIR PGRX_HOME PATH USER
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND
# Settings of the caller's own server must not leak into the private ones.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGOPTIONS PGDATA PG_VERSION

# The mark keeps `make clean` from deleting a folder that castmatch did not make.
open_data_folder() {
  if [ ! -e "$CASTMATCH_DATA/.castmatch-data" ]; then
    [ -z "$(ls -A "$CASTMATCH_DATA" 2>/dev/null)" ] ||
      die "CASTMATCH_DATA=$CASTMATCH_DATA holds other files: name an empty or new folder"
    mkdir -p "$CASTMATCH_DATA" || die "cannot make $CASTMATCH_DATA: set CASTMATCH_DATA to a folder you can write to"
    : >"$CASTMATCH_DATA/.castmatch-data"
  fi
  mkdir -p "$CASTMATCH_DATA/log"
}

take_lock() {
  exec 9>"$CASTMATCH_DATA/lock"
  flock -n 9 || die "another make runs in this checkout: wait for it (lock: $CASTMATCH_DATA/lock)"
}
