#!/usr/bin/env bash
# Makes the folder `layer` as AWS Lambda unpacks it to /opt: nodejs/node_modules with the package. The argument is what npm
# installs, by default tesserae. Zip the contents of the folder to publish it: (cd layer && zip -qr ../layer.zip .)
set -euo pipefail
mkdir -p layer/nodejs
echo '{ "private": true }' >layer/nodejs/package.json
npm install --prefix layer/nodejs --ignore-scripts --omit=dev --no-audit --no-fund "${1:-tesserae}"
