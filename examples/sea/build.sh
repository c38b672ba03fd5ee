#!/usr/bin/env bash
# Builds the executable `app` and puts the files of tesserae beside it, in the folder `out`. Needs tesserae, esbuild and postject
# in node_modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
package=$(node -p "require('node:path').dirname(require.resolve('tesserae/package.json'))")
platform=$(node -p 'process.platform + "-" + process.arch')
mkdir -p out
npx esbuild main.mjs --bundle --platform=node --format=cjs --log-override:empty-import-meta=silent --outfile=out/main.cjs
echo '{ "main": "out/main.cjs", "output": "out/app.blob", "disableExperimentalSEAWarning": true }' >out/sea.json
node --experimental-sea-config out/sea.json
cp "$(node -p process.execPath)" out/app
npx postject out/app NODE_SEA_BLOB out/app.blob --sentinel-fuse NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2
cp "$package/prebuilds/$platform/tesserae.node" "$package/dist/worker.cjs" "$package"/models/*.gguf out
rm out/main.cjs out/sea.json out/app.blob
