#!/usr/bin/env bash
# make stop, clean, distclean, env: what the other targets have started and left behind.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/setup.sh"
. "$(dirname "$0")/cluster.sh"
. "$(dirname "$0")/companion.sh"
. "$(dirname "$0")/pgvector.sh"

stop_all() {
  companion_stop "$CASTMATCH_DATA/demo"
  cluster_stop "$CASTMATCH_DATA/demo"
  stop_test_clusters "$CASTMATCH_DATA/test"
  cluster_stop_strays "$CASTMATCH_DATA/test"
  pgvector_stop
}

clean() {
  [ -d "$CASTMATCH_DATA" ] || return 0
  [ -e "$CASTMATCH_DATA/.castmatch-data" ] || die "$CASTMATCH_DATA was not made by castmatch: it stays"
  take_lock
  stop_all
  rm -rf "$CASTMATCH_DATA"
  say "removed $CASTMATCH_DATA"
}

# Only the folders that the scripts make: CASTMATCH_HOME may hold other things, CARGO_TARGET_DIR may be elsewhere.
distclean() {
  clean
  local folder
  for folder in target download models cargo prometheus redis pgbouncer deploy-tools clients bench; do
    rm -rf "${CASTMATCH_HOME:?}/$folder"
  done
  rmdir "$CASTMATCH_HOME/checkout" "$CASTMATCH_HOME" 2>/dev/null || true
  say "removed the cache in $CASTMATCH_HOME"
}

print_environment() {
  local name
  for name in PATH USER CASTMATCH_HOME CASTMATCH_DATA CASTMATCH_MODEL_DIR CASTMATCH_PG_CONFIG CARGO_TARGET_DIR PGRX_HOME \
    CASTMATCH_PG_CONFIG_16 CASTMATCH_PG_CONFIG_18 CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND; do
    printf 'export %s=%q\n' "$name" "${!name}"
  done
}

case ${1-} in
  stop) stop_all; say "castmatch: stopped; nothing of this checkout runs any more" ;;
  clean) clean ;;
  distclean) distclean ;;
  env) print_environment ;;
  *) die "usage: state.sh stop | clean | distclean | env" ;;
esac
