#!/usr/bin/env bash
# Sourced after environment.sh: servers of Debian whose packages would start a service. Their files are only unpacked, with the
# libraries that they need.

# unpack_packages FOLDER PACKAGE…: into FOLDER, which is made anew. Needs apt-get.
unpack_packages() {
  local folder=$1 package
  shift
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && apt-get download "$@") >/dev/null 2>&1 || {
    logged apt-update as_root apt-get update
    (cd "$folder" && logged "$(basename "$folder")-download" apt-get download "$@")
  }
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
  rm -f "$folder"/*.deb
}

# with_libraries FOLDER PROGRAM SCRIPT: writes SCRIPT, which runs PROGRAM of FOLDER/root with the libraries there.
with_libraries() {
  cat >"$3" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$(find "$1/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:) exec "$1/root/$2" "\$@"
EOF
  chmod 755 "$3"
}
