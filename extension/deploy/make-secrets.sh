#!/bin/bash
# make-secrets.sh [FOLDER]: random passwords for docker-compose.yml, one file each. Those that exist stay as they are.
set -euo pipefail
folder=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
umask 077
mkdir -p "$folder"

# 192 bits in letters and digits alone, so that nothing has to be escaped in a URL.
random() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in postgres-password companion-password replication-password grafana-password; do
  [ -s "$folder/$name" ] || random >"$folder/$name"
done
printf 'postgresql://companion:%s@database:5432/castmatch' "$(<"$folder/companion-password")" >"$folder/database-url"
# The folder is for its owner alone; the users of the containers get the files, not the folder.
chmod 644 "$folder"/*
printf 'secrets are in %s\n' "$folder"
