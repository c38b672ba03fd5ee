#!/usr/bin/env bash
# Checks that the built addon loads on another version of Node: `try-node.sh 22`. Run `pnpm build` first.
# Fetches that Node as the npm package `node`; changes nothing in the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -eq 1 ] || { echo 'usage: scripts/try-node.sh VERSION' >&2; exit 2; }

exec npx --yes --package "node@$1" -- node --input-type=module -e "
  const { loadAddon } = await import('./dist/src/native/load.js');
  const exported = Object.keys(loadAddon());
  if (exported.length === 0) throw new Error('the addon exports nothing');
  console.log('Node ' + process.version + ', Node-API ' + process.versions.napi + ': ' + exported.join(', '));
"
