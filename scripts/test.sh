#!/usr/bin/env bash
# make test: sets up what is missing, then runs the stages named as arguments (all of them without), each with its
# own log. A failed stage does not hide the later ones. Ends with a table and the line "N passed, N failed".
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/model.sh"
. "$(dirname "$0")/unpack.sh"
. "$(dirname "$0")/setup.sh"
. "$(dirname "$0")/cluster.sh"
. "$(dirname "$0")/pgbouncer.sh"
. "$(dirname "$0")/pgvector.sh"
. "$(dirname "$0")/clients.sh"

all_stages=(format clippy engine deploy companion extension regress e2e clients majors)
# Run only where they are named: hours of tests of the index; a system in a folder (root and a Debian mirror are needed).
long_stages=(long chroot)
base=$CASTMATCH_DATA/test

prepare() {
  local pg_config
  step_total=5
  step "Packages and Rust"
  need_test_packages=yes
  install_packages
  check_rust
  check_component rustfmt fmt
  check_component clippy clippy
  step "cargo-pgrx $pgrx_version"
  install_cargo_pgrx
  step "Servers of their own for the tests"
  stop_test_clusters "$base"
  cluster_stop_strays "$base"
  copy_server "$base/pg"
  test_servers_fetch
  write_pgrx_home
  step "The embedding model"
  model_fetch
  for pg_config in "$CASTMATCH_PG_CONFIG" "$CASTMATCH_PG_CONFIG_16" "$CASTMATCH_PG_CONFIG_18"; do
    model_place "$("$pg_config" --sharedir)"
  done
  step "promtool, PgBouncer"
  find_promtool
  find_pgbouncer
  say "        $PROMTOOL"
  say "        ${PGBOUNCER:-no PgBouncer}"
  step_done
  owned_folder "$base/data"
  owned_folder "$base/e2e"
  export CASTMATCH_TEST_DIR=$base/e2e CASTMATCH_SERVER_USER=$server_user
  export CASTMATCH_COMPANION=$CARGO_TARGET_DIR/debug/castmatch-companion
  cd "$root"
}

stage_format() {
  cargo fmt --all --check
  cargo fmt --check --manifest-path tests/clients/rust/Cargo.toml
}

# --locked here holds for all: a Cargo.lock that is not up to date fails in this stage.
# The benchmark's libraries are a feature of their own: they are not compiled otherwise.
stage_clippy() {
  cargo clippy --locked --workspace --all-targets --features pg_test -- -D warnings
  cargo clippy --locked -p castmatch-bench --features hnsw_rs -- -D warnings
  cargo clippy --locked --manifest-path tests/clients/rust/Cargo.toml --all-targets -- -D warnings
}

stage_engine() { cargo test --no-fail-fast -p castmatch-engine -p castmatch-bench; }

stage_companion() { cargo test --no-fail-fast -p castmatch-companion -p castmatch-provider -p castmatch-test-endpoint; }

stage_extension() {
  local -a runas=()
  if is_root; then runas=(--runas "$server_user"); fi
  cargo pgrx test "pg$pg_major" "${runas[@]}" --pgdata "$base/data"
}

# install_extension [MAJOR]: the extension as a user gets it (without the functions of the pg_test build), once per run. Builds of several
# majors share the folder of builds, and all that does not depend on the server.
install_extension() {
  local major=${1:-$pg_major} variable=CASTMATCH_PG_CONFIG
  local -a features=()
  if [ "$major" != "$pg_major" ]; then variable+=_$major features=(--no-default-features --features "pg$major"); fi
  [ ! -e "$base/installed.$major.$$" ] || return 0
  cargo pgrx install --pg-config "${!variable}" "${features[@]}"
  bridge_place "$("${!variable}" --sharedir)"
  : >"$base/installed.$major.$$"
}

# regress BASE NAME PORT TEST…: runs the tests on the running server of BASE after setup.sql, in a database of their own; PGOPTIONS
# holds for them. Results and differences go to BASE/regress/NAME. Debian's pg_regress runs psql of any version; the one in the wheel of
# PostgreSQL 18 does not run at all.
regress() {
  local of=$1 name=$2 port=$3 rc=0 results=$1/regress/$2
  shift 3
  printf '# %s\n' "$name"
  mkdir -p "$results"
  "$base/pg$debian_pg/lib/pgxs/src/test/regress/pg_regress" --bindir="$(cluster_bin "$of")" --host="$of/run" --port="$port" \
    --user=postgres --dbname="castmatch_regress_$name" --inputdir="$root/tests/pg_regress" --outputdir="$results" setup "$@" || rc=$?
  if [ "$rc" != 0 ]; then cat "$results/regression.diffs" 2>/dev/null || true; fi
  return "$rc"
}

# Sets regress_tests to the files but setup.sql, which makes the extension and comes first; every other file must run alone after it.
# regress_of_index are those of the index.
find_regress_tests() {
  local file
  regress_tests=() regress_of_index=()
  for file in "$root"/tests/pg_regress/sql/*.sql; do
    [ -e "$file" ] || { warn "no tests in tests/pg_regress/sql"; return 1; }
    file=$(basename "$file" .sql)
    [ "$file" = setup ] || regress_tests+=("$file")
    [[ $file != @(index|ivf)_* ]] || regress_of_index+=("$file")
  done
}

# The files of the index run again with everything compiled just in time, with every query in a parallel worker that can be, and without
# preloading. Elsewhere nothing is compiled: a plan that has to do what is switched off costs enough for that, and each would take a second.
stage_regress() {
  local rc=0 port
  find_regress_tests
  install_extension
  cluster_stop "$base"
  cluster_create "$base"
  port=$(choose_port CASTMATCH_TEST_PORT 54400)
  rm -rf "$base/regress"
  cluster_start "$base" "$port" "listen_addresses = ''" "shared_preload_libraries = 'castmatch'" "fsync = off"
  PGOPTIONS='-c jit=off' regress "$base" plain "$port" "${regress_tests[@]}" || rc=1
  PGOPTIONS='-c jit=on -c jit_above_cost=0 -c jit_inline_above_cost=0 -c jit_optimize_above_cost=0' \
    regress "$base" jit "$port" "${regress_of_index[@]}" || rc=1
  PGOPTIONS='-c force_parallel_mode=regress -c jit=off' regress "$base" parallel "$port" "${regress_of_index[@]}" || rc=1
  cluster_stop "$base"
  cluster_start "$base" "$port" "listen_addresses = ''" "fsync = off"
  PGOPTIONS='-c jit=off' regress "$base" dynamic "$port" "${regress_of_index[@]}" || rc=1
  cluster_stop "$base"
  return "$rc"
}

stage_e2e() {
  cargo build -p castmatch-companion
  install_extension
  # Debian's server has no pgvector.
  cargo test -p castmatch-e2e -- --skip majors:: --skip bridge::
}

# The other major versions that there are servers of: SQL and sessions as on PostgreSQL 15, then what moves from one to the next.
stage_majors() {
  local major rc=0
  find_regress_tests
  install_extension
  for major in "${further_majors[@]}"; do install_extension "$major"; done
  for major in "${further_majors[@]}"; do on_major "$major" || rc=1; done
  cargo test -p castmatch-e2e --test it -- majors:: || rc=1
  return "$rc"
}

# End-to-end tests that the stage majors leaves out: those that see nothing of the server's version (the companion, Prometheus and
# PostgREST, endpoints and folders of models, caches' sizes, the documentation, what the engine alone decides of recall and memory), and one that
# needs auto_explain, which the wheel does not have.
not_per_major=(companion prometheus:: postgrest:: remote_ models:: model:: cache:: reply_cache:: benchmark:: performance:: readme:: index_docs::
  index_recall:: index_memory:: the_semantic_leg_reads_the_index_in_the_order_of_distances)
# Further ones on 16, which takes the ways of 15 through our code almost everywhere: long races and kills, which run on 15 and 18.
not_on_16=(index_cancel:: index_concurrent:: index_crash_build:: index_kill:: index_pgvector:: index_reindex:: index_rows:: limits:: prune transactions::)

# on_major MAJOR
on_major() {
  local of=$base/$1 pg_config=CASTMATCH_PG_CONFIG_$1 port name rc=0
  local -a skip=()
  cluster_create "$of"
  port=$(choose_port CASTMATCH_TEST_PORT 54400)
  rm -rf "$of/regress"
  cluster_start "$of" "$port" "listen_addresses = ''" "shared_preload_libraries = 'castmatch'" "fsync = off"
  regress "$of" "major_$1" "$port" "${regress_tests[@]}" || rc=1
  cluster_stop "$of"
  printf '# end-to-end tests with PostgreSQL %s\n' "$1"
  for name in majors:: "${not_per_major[@]}"; do skip+=(--skip "$name"); done
  if [ "$1" = 16 ]; then for name in "${not_on_16[@]}"; do skip+=(--skip "$name"); done; fi
  CASTMATCH_PG_CONFIG=${!pg_config} cargo test -p castmatch-e2e --test it -- "${skip[@]}" || rc=1
  return "$rc"
}

# Client libraries of pgvector from their registries: the same programs against pgvector and castmatch.
stage_clients() {
  find_clients
  cargo build --locked --manifest-path tests/clients/rust/Cargo.toml
  install_extension
  owned_folder "$base/clients"
  CLIENTS_RUST=$CARGO_TARGET_DIR/debug CLIENTS_WORK=$base/clients "$CLIENTS_DRIVERS" tests/clients/run.py
}

# The files of extension/deploy, without a container engine or a cluster.
stage_deploy() {
  find_deploy_python
  "$DEPLOY_PYTHON" tests/deploy/run.py
}

# Packages and the Dockerfile's own steps, in Debian systems of their own.
stage_chroot() { python3 tests/deploy/chroot.py; }

# The tests of the index, pruning beside chat and the bars of the companion in their long form. Their figures are in the log: lines that begin with [ and the id of a
# demand. One after the other: each has sessions enough to keep the machine busy.
stage_long() {
  install_extension
  CASTMATCH_TEST_LONG=1 cargo test -p castmatch-e2e --test it -- index_ prune_load --nocapture --test-threads=1
  # The binary as make install builds it.
  cargo build --release -p castmatch-companion
  CASTMATCH_TEST_LONG=1 CASTMATCH_COMPANION_RELEASE=$CARGO_TARGET_DIR/release/castmatch-companion \
    cargo test -p castmatch-companion --test it -- bar_ lost_server frozen_ --nocapture --test-threads=1
}

# count LOG PATTERN: the sum of the numbers that PATTERN's group captures in a log.
count() { sed -nE "s/$2/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'; }

# Tests that passed and failed according to a stage's log. format and clippy are one test each; a stage that fails
# without a failed test (it does not compile, say) counts as one.
tally() {
  local stage=$1 rc=$2 log=$CASTMATCH_DATA/log/test-$1.log good bad
  good=$(($(count "$log" '^test result: [a-zA-Z]+\. ([0-9]+) passed; .*') + $(grep -cE '\.\.\. ok +[0-9]+ ms' "$log" || true)))
  bad=$(($(count "$log" '^test result: [a-zA-Z]+\. [0-9]+ passed; ([0-9]+) failed; .*') + $(grep -cE '\.\.\. FAILED +[0-9]+ ms' "$log" || true)))
  if [ "$rc" = 0 ] && [[ $stage == format || $stage == clippy ]]; then good=1; fi
  if [ "$rc" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  say "$good $bad"
}

# What failed tests of a stage said, in few lines: logs of servers follow them in the stage's own output, pages long.
reasons() {
  local log=$CASTMATCH_DATA/log/test-$1.log
  grep -aE -A4 "^thread '.*' .*panicked at|^error(\[E[0-9]+\])?: |^not ok |\.\.\. FAILED" "$log" | cut -c-400 | head -n 60 || true
}

main() {
  local stage rc word started good bad passed=0 failed=0 table='' said=''
  local -a stages=("$@")
  [ $# -gt 0 ] || stages=("${all_stages[@]}")
  for stage in "${stages[@]}"; do
    [[ " ${all_stages[*]} ${long_stages[*]} " == *" $stage "* ]] ||
      die "no stage $stage: there are ${all_stages[*]} ${long_stages[*]}"
  done
  open_data_folder
  take_lock
  prepare
  # The server of a stage that is interrupted goes down with it.
  trap 'rm -f "$base"/installed.*."$$"; stop_test_clusters "$base"' EXIT
  for stage in "${stages[@]}"; do
    printf '\n== %s ==\n' "$stage"
    started=$SECONDS word=ok
    # Not as part of a list or condition: there bash would ignore the stage's own set -e.
    set +e
    (set -e; "stage_$stage") 9>&- 2>&1 | tee "$CASTMATCH_DATA/log/test-$stage.log"
    rc=${PIPESTATUS[0]}
    set -e
    if [ "$rc" != 0 ]; then
      word=FAILED
      said+=$(printf '== %s: what failed ==\n%s' "$stage" "$(reasons "$stage")")$'\n\n'
    fi
    read -r good bad < <(tally "$stage" "$rc")
    passed=$((passed + good)) failed=$((failed + bad))
    table+=$(printf '%-10s %-6s %6d s  %5d passed %5d failed' "$stage" "$word" $((SECONDS - started)) "$good" "$bad")$'\n'
  done
  printf '\n%s%s\nlogs: %s\n%d passed, %d failed\n' "$said" "$table" "$CASTMATCH_DATA/log" "$passed" "$failed"
  [ "$failed" = 0 ]
}

main "$@"
