#!/usr/bin/env bash
# make package: Debian packages in the folder named as argument, or packages/ in $CASTMATCH_DATA: the extension for Debian's
# PostgreSQL, the embedding model (of any architecture) and the companion. Needs no root, but for packages that are missing.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/model.sh"
. "$(dirname "$0")/setup.sh"

maintainer='The castmatch developers <castmatch@localhost>'
extension=postgresql-$pg_major-castmatch
model=$extension-model
companion=castmatch-companion
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
# One time for all files, so that the same sources give the same packages.
: "${SOURCE_DATE_EPOCH:=$(git -C "$root" log -1 --format=%ct 2>/dev/null || date -r "$root/Cargo.lock" +%s)}"
export SOURCE_DATE_EPOCH
staging=$CASTMATCH_DATA/package
debian=$root/extension/deploy/debian

build() {
  # The bindings must fit this server; pgrx watches this variable, not the configuration file.
  export PGRX_PG_CONFIG_PATH=$debian_pg/bin/pg_config
  mkdir -p "$PGRX_HOME"
  cd "$root"
  logged build-extension cargo pgrx package --pg-config "$PGRX_PG_CONFIG_PATH" --out-dir "$staging/$extension"
  bridge_place "$staging/$extension$("$PGRX_PG_CONFIG_PATH" --sharedir)"
  logged build-companion cargo build --release --locked -p castmatch-companion
}

# documents FOLDER PACKAGE: what Debian wants in every package.
documents() {
  local folder=$1/usr/share/doc/$2
  mkdir -p "$folder"
  { printf '%s\n\n' "castmatch, packaged by its developers from the sources of version $version."; cat "$root/LICENSE"; } >"$folder/copyright"
  if [ "$2" = "$model" ]; then
    printf '\n%s\n%s\n' "The files of the model: Copyright the sentence-transformers authors. Apache License 2.0, whose text is in" \
      "/usr/share/common-licenses/Apache-2.0 on Debian systems." >>"$folder/copyright"
  fi
  printf '%s (%s) bookworm; urgency=medium\n\n  * What has changed is in NEWS.gz beside this file.\n\n -- %s  %s\n' \
    "$2" "$version" "$maintainer" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$folder/changelog.gz"
  gzip -9nc "$root/CHANGELOG.md" >"$folder/NEWS.gz"
}

# control FOLDER PACKAGE ARCHITECTURE DEPENDS SUMMARY: writes DEBIAN/control, the lines of the long description come from standard
# input; then the checksums.
control() {
  local folder=$1 size
  mkdir -p "$folder/DEBIAN"
  size=$(du -k -s --apparent-size --exclude=DEBIAN "$folder" | cut -f1)
  {
    printf '%s: %s\n' Package "$2" Source castmatch Version "$version" Architecture "$3" Maintainer "$maintainer" \
      Installed-Size "$size" Depends "$4"
    [ "$2" != "$extension" ] || printf '%s: %s\n' Recommends "$model (>= $version)" Suggests "castmatch-companion, postgresql-$pg_major-pgvector"
    if [ "$2" = "$companion" ]; then printf '%s: %s\n' Recommends ca-certificates Suggests "$extension, prometheus"; fi
    printf '%s: %s\n' Section database Priority optional Description "$5"
    sed 's/^/ /'
  } >"$folder/DEBIAN/control"
  (cd "$folder" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
}

# deb FOLDER PACKAGE ARCHITECTURE [COMPRESSION]
deb() {
  find "$1" -type d -exec chmod 755 {} +
  find "$1" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
  dpkg-deb --root-owner-group -Zxz "-z${4:-6}" --build "$1" "$to/$2_${version}_$3.deb" >/dev/null
  say "        $to/$2_${version}_$3.deb"
}

package_extension() {
  local folder=$staging/$extension architecture depends library
  architecture=$(dpkg --print-architecture)
  library=$folder$debian_pg/lib/castmatch.so
  # Without its symbols it is a fifth as large; a backtrace of a server's crash is read with the library of the build.
  strip --strip-unneeded --remove-section=.comment --remove-section=.note "$library"
  chmod 644 "$library"
  find "$folder/usr/share" -type f -exec chmod 644 {} +
  documents "$folder" "$extension"
  depends=$(shared_libraries "$library")
  control "$folder" "$extension" "$architecture" "postgresql-$pg_major, $depends" "matching and chat inside PostgreSQL $pg_major" <<END
Vector types with a graph index, an embedding model in a background worker,
functions that rank the rows of a table against a description, and chat about
them: in the database's transactions and under its row security.
.
After installation: shared_preload_libraries = 'castmatch', a restart of the
server, and CREATE EXTENSION castmatch in a database.
END
  deb "$folder" "$extension" "$architecture"
}

package_model() {
  local folder=$staging/$model
  model_place "$folder/usr/share/postgresql/$pg_major" >/dev/null
  documents "$folder" "$model"
  control "$folder" "$model" all "postgresql-$pg_major" "embedding model of castmatch, all-MiniLM-L6-v2" <<END
Turns texts of up to 256 tokens into vectors of 384 dimensions. castmatch
loads it into one process of the server; nothing leaves the machine.
END
  # Weights do not get smaller, however long one tries.
  deb "$folder" "$model" all 0
}

package_companion() {
  local folder=$staging/$companion architecture depends unit script examples
  architecture=$(dpkg --print-architecture)
  install -D -m 755 "$CARGO_TARGET_DIR/release/$companion" "$folder/usr/bin/$companion"
  strip --strip-unneeded --remove-section=.comment --remove-section=.note "$folder/usr/bin/$companion"
  for unit in "$root"/extension/deploy/systemd/*; do
    install -D -m 644 "$unit" "$folder/lib/systemd/system/$(basename "$unit")"
  done
  install -D -m 644 "$debian/$companion.default" "$folder/etc/default/$companion"
  install -D -m 644 "$debian/$companion.1" "$folder/usr/share/man/man1/$companion.1"
  gzip -9n "$folder/usr/share/man/man1/$companion.1"
  documents "$folder" "$companion"
  install -m 644 "$root/docs/companion.md" "$root/docs/alerts.md" "$root/docs/deployment.md" "$folder/usr/share/doc/$companion"
  examples=$folder/usr/share/doc/$companion/examples
  install -d "$examples/prometheus/rules" "$examples/grafana"
  install -m 644 "$root/extension/deploy/prometheus/prometheus.yml" "$examples/prometheus"
  install -m 644 "$root/extension/deploy/prometheus/rules/castmatch.rules.yml" "$examples/prometheus/rules"
  install -m 644 "$root/extension/deploy/grafana/dashboards/castmatch.json" "$examples/grafana"
  depends=$(shared_libraries "$folder/usr/bin/$companion")
  control "$folder" "$companion" "$architecture" "$depends" "health and metrics of castmatch over HTTP" <<END
Watches castmatch, the extension for matching and chat inside PostgreSQL,
serves its health and its metrics to Prometheus, and prunes conversations. It
needs no PostgreSQL client and runs beside the server or elsewhere.
END
  printf '/etc/default/%s\n' "$companion" >"$folder/DEBIAN/conffiles"
  for script in postinst prerm postrm; do
    install -m 755 "$debian/$companion.$script" "$folder/DEBIAN/$script"
  done
  deb "$folder" "$companion" "$architecture"
}

# shared_libraries FILE: the packages of the libraries that it is linked with, as Debian's own tool finds them.
shared_libraries() {
  local work=$staging/shlibdeps
  mkdir -p "$work/debian"
  printf 'Source: castmatch\n\nPackage: castmatch\nArchitecture: any\n' >"$work/debian/control"
  (cd "$work" && dpkg-shlibdeps -O "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

to=${1:-$CASTMATCH_DATA/packages}
[[ $to == /* ]] || to=$PWD/$to
open_data_folder
take_lock
step_total=5
step "Packages and Rust"
install_packages
check_rust
for tool in dpkg-deb dpkg-shlibdeps strip; do have "$tool" || die "$tool is missing: install dpkg-dev and binutils"; done
step "cargo-pgrx $pgrx_version"
install_cargo_pgrx
step "The embedding model"
model_fetch
step "Building in release mode"
rm -rf "$staging"
mkdir -p "$to"
build
step "Packages"
package_extension
package_model
package_companion
step_done
