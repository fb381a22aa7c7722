# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh and cluster.sh: the companion of a private cluster. BASE/run holds its pid and log.

# The pid, if that process still is the companion (a pid is used again after a restart of the machine).
companion_pid() {
  local pid
  pid=$(run_as cat "$1/run/companion.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == castmatch-comp* ]] && say "$pid"
}

companion_stop() {
  local pid waited=0
  pid=$(companion_pid "$1") || return 0
  run_as kill "$pid" 2>/dev/null || true
  while companion_pid "$1" >/dev/null; do
    waited=$((waited + 1))
    [ "$waited" -lt 100 ] || { run_as kill -KILL "$pid" 2>/dev/null || true; break; }
    sleep 0.1
  done
  run_as rm -f "$1/run/companion.pid"
}

# companion_start BASE PROGRAM LISTEN DATABASE_URL: runs as the owner of the cluster, in a session of its own so that
# the end of the terminal does not end it, and waits until /health answers.
companion_start() {
  local base=$1 program=$2 listen=$3 url=$4 waited=0
  # shellcheck disable=SC2016 # for the inner shell
  (cd / && exec setsid "${as_owner[@]}" env DATABASE_URL="$url" bash -c 'echo $$ >"$1/companion.pid"; exec "$2" serve --listen "$3" >"$1/companion.log" 2>&1' \
    companion "$base/run" "$program" "$listen" </dev/null >/dev/null 2>&1 9>&-) &
  until curl -fsS --noproxy "*" --max-time 2 "http://$listen/health" >/dev/null 2>&1; do
    waited=$((waited + 1))
    if [ "$waited" -ge 100 ] || { [ "$waited" -gt 10 ] && ! companion_pid "$base" >/dev/null; }; then
      run_as tail -n 20 "$base/run/companion.log" >&2 || true
      die "the companion does not answer on http://$listen/health: its last lines are above"
    fi
    sleep 0.2
  done
}
