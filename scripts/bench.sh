#!/usr/bin/env bash
# make bench, make bench-quick: castmatch's index against pgvector's in one server, and against libraries; goes on where an earlier
# run was stopped. make bench-cache: the caches against Redis. make bench-quality, bench-match, bench-queue, bench-chat: castmatch.match, chat and the
# queue. Sets up what is missing and writes the report to .castmatch/bench. Options of castmatch-bench go into $BENCH.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/model.sh"
. "$(dirname "$0")/setup.sh"
. "$(dirname "$0")/pgvector.sh"
. "$(dirname "$0")/unpack.sh"
. "$(dirname "$0")/redis.sh"

work=$CASTMATCH_DATA/bench
python=$CASTMATCH_HOME/bench/python

install_wordnet() {
  if [ ! -e /usr/share/wordnet/data.noun ]; then
    have apt-get || die "/usr/share/wordnet is missing: install WordNet 3.0 (Debian package wordnet-base)"
    logged apt-update as_root apt-get update
    logged apt-wordnet as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends wordnet-base
  fi
  say "        WordNet: in /usr/share/wordnet"
}

# hnswlib is compiled by pip; where that is not possible it is left out.
install_hnswlib() {
  if [ -x "$python/bin/python" ] && "$python/bin/python" -c 'import hnswlib, numpy' 2>/dev/null; then
    say "        hnswlib: in $python"
    return 0
  fi
  rm -rf "$python"
  if python3 -m venv "$python" >"$CASTMATCH_DATA/log/hnswlib.log" 2>&1 &&
    "$python/bin/pip" install --quiet --disable-pip-version-check numpy hnswlib==0.8.0 >>"$CASTMATCH_DATA/log/hnswlib.log" 2>&1; then
    say "        hnswlib: installed to $python"
  else
    rm -rf "$python"
    warn "hnswlib could not be installed and is left out: see $CASTMATCH_DATA/log/hnswlib.log"
  fi
}

build() {
  # The bindings must fit this server; pgrx watches this variable, not the configuration file.
  export PGRX_PG_CONFIG_PATH=$pgvector_install/bin/pg_config
  mkdir -p "$PGRX_HOME"
  cd "$root"
  logged build-extension cargo pgrx install --release --pg-config "$PGRX_PG_CONFIG_PATH" --no-default-features --features pg16
  bridge_place "$("$PGRX_PG_CONFIG_PATH" --sharedir)"
  logged build-bench cargo build --release -p castmatch-bench --features hnsw_rs
}

# measure COMMAND: what needs castmatch alone. The model is in the same installation, for castmatch.embed.
measure() {
  local command=$1
  local -a options=()
  step_total=6
  step "Packages and Rust"
  install_packages
  check_rust
  [ "$command" = cache ] || install_wordnet
  step "A server"
  pgvector_fetch
  step "The embedding model"
  model_fetch
  model_place "$("$pgvector_install/bin/pg_config" --sharedir)"
  step "cargo-pgrx $pgrx_version"
  install_cargo_pgrx
  step "Building in release mode"
  build
  step "Measuring"
  mkdir -p "$work"
  if [ "$command" = cache ]; then
    redis_fetch
    options=(${REDIS_SERVER:+--redis "$REDIS_SERVER"})
  fi
  trap pgvector_stop EXIT
  # shellcheck disable=SC2086 # several options
  "$CARGO_TARGET_DIR/release/castmatch-bench" "$command" --pg-install "$pgvector_install" --work "$work" "${options[@]}" ${BENCH-} 9>&-
  step_done
}

main() {
  local quick=${1-} bench data
  local -a prepare=() index=()
  if [ "$quick" = quick ]; then
    data=$work/quick-data
    work=$work/quick
    prepare=(--synsets 1200 --queries 50 --tokens 1000)
    index=(--quick)
  else
    data=$CASTMATCH_HOME/bench
  fi
  need_debian_server=no
  open_data_folder
  take_lock
  case $quick in
    cache | quality | match | queue | chat) measure "$quick"; return ;;
  esac
  step_total=7
  step "Packages and Rust"
  install_packages
  check_rust
  install_wordnet
  step "A server with pgvector"
  pgvector_fetch
  step "The embedding model"
  model_fetch
  step "cargo-pgrx $pgrx_version"
  install_cargo_pgrx
  step "Building in release mode"
  build
  [ "$quick" = quick ] || install_hnswlib
  bench=$CARGO_TARGET_DIR/release/castmatch-bench
  step "The data sets"
  mkdir -p "$data" "$work"
  "$bench" prepare --out "$data" "${prepare[@]}" 9>&-
  step "Measuring"
  [ ! -x "$python/bin/python" ] || index+=(--python "$python/bin/python")
  # A server that a signal leaves behind goes down here; after a good end there is none.
  trap pgvector_stop EXIT
  # shellcheck disable=SC2086 # several options
  "$bench" index --pg-install "$pgvector_install" --work "$work" --data-folder "$data" "${index[@]}" ${BENCH-} 9>&-
  step_done
}

main "$@"
