#!/bin/sh
# Remake service/web/static/vendor from npm: ./remake.sh (needs node, npm and a package registry; users need none of it).
# The versions are those of package.json; the bundle is one file, minified, with the licences beside it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vendor=$here/../static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/editor.js" "$work"
cd "$work"
npm install --no-audit --no-fund --no-package-lock --silent
npx esbuild editor.js --bundle --minify --format=iife --target=es2022 --legal-comments=none --outfile="$vendor/codemirror.min.js"
cp node_modules/htmx.org/dist/htmx.min.js "$vendor/htmx.min.js"
mkdir -p "$here/../../../tests/web/vendor"
cp node_modules/axe-core/axe.min.js "$here/../../../tests/web/vendor/axe.min.js"
cp node_modules/axe-core/LICENSE "$here/../../../tests/web/vendor/axe-core.LICENSE.txt"
{
  echo "What is in this folder, and under which licence. Made by service/web/vendoring/remake.sh."
  for package in htmx.org codemirror @codemirror/autocomplete @codemirror/commands @codemirror/lang-python \
    @codemirror/language @codemirror/lint @codemirror/search @codemirror/state @codemirror/view @lezer/common \
    @lezer/highlight @lezer/lr @lezer/python @marijn/find-cluster-break crelt style-mod w3c-keyname; do
    printf '\n======== %s %s\n\n' "$package" "$(node -p "require('./node_modules/$package/package.json').version")"
    cat "node_modules/$package/LICENSE"
  done
} > "$vendor/LICENSES.txt"
ls -l "$vendor"
