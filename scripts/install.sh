#!/usr/bin/env bash
# make install, make model: castmatch in a server of the user's. Built as the caller, copied with sudo where the
# server's folders need it. Each file is replaced by a rename, so a server that runs keeps the one it has loaded.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/model.sh"
. "$(dirname "$0")/setup.sh"

# The server to install into: $PG_CONFIG, else Debian's. The resolved path, not a wrapper such as /usr/bin/pg_config.
find_server() {
  pg_config=${PG_CONFIG:-$debian_pg/bin/pg_config}
  have "$pg_config" || die "no $pg_config: say which server, as in make install PG_CONFIG=/path/to/pg_config"
  local bindir
  bindir=$("$pg_config" --bindir)
  if [ -x "$bindir/pg_config" ]; then pg_config=$bindir/pg_config; fi
  sharedir=$("$pg_config" --sharedir)
  version=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
  say "        $("$pg_config" --version), $pg_config"
}

check_buildable() {
  grep -q "^pg$version = " "$root/Cargo.toml" || die "castmatch cannot be built for PostgreSQL $version ($pg_config)"
  [ -e "$("$pg_config" --includedir-server)/postgres.h" ] ||
    die "this server's headers are missing in $("$pg_config" --includedir-server): install postgresql-server-dev-$version"
  [[ " $pg_major ${further_majors[*]} " == *" $version "* ]] ||
    warn "castmatch is tested with PostgreSQL $pg_major and ${further_majors[*]}; this server is $version"
}

# prefix_for FOLDER: sets the array prefix to what writing there needs.
prefix_for() {
  local folder=$1
  until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  prefix=()
  if [ ! -w "$folder" ]; then
    have sudo || die "$folder is not yours to write to and sudo is not installed: run this as root"
    prefix=(sudo --)
  fi
}

# put MODE FROM TO
put() {
  local -a prefix
  prefix_for "$(dirname "$3")"
  "${prefix[@]}" mkdir -p "$(dirname "$3")"
  "${prefix[@]}" install -m "$1" "$2" "$3.new" || die "cannot write $3"
  "${prefix[@]}" mv -f "$3.new" "$3"
  say "        $3"
}

build() {
  # The bindings must fit this server; pgrx watches this variable, not the configuration file.
  export PGRX_PG_CONFIG_PATH=$pg_config
  mkdir -p "$PGRX_HOME"
  rm -rf "$staging"
  cd "$root"
  logged build-extension cargo pgrx package --pg-config "$pg_config" --out-dir "$staging"
  bridge_place "$staging$sharedir"
  logged build-companion cargo build --release -p castmatch-companion
}

install_files() {
  local file
  while IFS= read -r file; do
    case $file in *.so) put 755 "$file" "${file#"$staging"}" ;; *) put 644 "$file" "${file#"$staging"}" ;; esac
  done < <(find "$staging" -type f | sort)
  put 755 "$CARGO_TARGET_DIR/release/castmatch-companion" "$BINDIR/castmatch-companion"
}

install_model() {
  local -a prefix
  prefix_for "$sharedir/castmatch/models"
  model_place "$sharedir" "${prefix[@]}"
}

next_steps() {
  cat <<END

Installed. In the server's postgresql.conf, then restart it:
    shared_preload_libraries = 'castmatch'     # beside what is listed there already
In a database:
    CREATE EXTENSION castmatch;                -- or, after an upgrade, ALTER EXTENSION castmatch UPDATE;
The companion: DATABASE_URL=postgres://… castmatch-companion serve
END
}

: "${BINDIR:=/usr/local/bin}"
staging=$CASTMATCH_DATA/install
[ -z "${PG_CONFIG:-}" ] || need_debian_server=no
open_data_folder
take_lock
case ${1-} in
  model)
    step_total=2
    step "The server"
    find_server
    step "The embedding model"
    model_fetch
    install_model
    step_done
    ;;
  all)
    step_total=6
    step "Packages and Rust"
    install_packages
    check_rust
    step "The server"
    find_server
    check_buildable
    step "cargo-pgrx $pgrx_version"
    install_cargo_pgrx
    step "Building in release mode"
    build
    step "Installing"
    install_files
    step "The embedding model"
    model_fetch
    install_model
    step_done
    next_steps
    ;;
  *) die "usage: install.sh all | model" ;;
esac
