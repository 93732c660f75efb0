#!/usr/bin/env bash
# Makes third_party/jsonschema anew: a release of the validator with one patch
# (third_party/README.md tells why). With --check: says whether it would change.
set -euo pipefail
cd "$(dirname "$0")/../third_party"
release=github.com/santhosh-tekuri/jsonschema/v6@v6.0.3

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
source=$(cd "$new" && go mod download -json "$release" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
mkdir "$new/jsonschema"
(cd "$source" && find . -type f ! -name '*_test.go' ! -path './testdata/*' ! -path './cmd/*' ! -path './.*/*' ! -name '.*' ! -name 'go.work*' ! -name 'README.md') |
  while IFS= read -r file; do
    mkdir -p "$(dirname "$new/jsonschema/$file")"
    cp "$source/$file" "$new/jsonschema/$file"
  done
chmod -R u+w "$new/jsonschema"
patch --quiet --directory "$new/jsonschema" -p1 <jsonschema.patch
# It is a package of this module, and imports its own packages as such.
rm "$new"/jsonschema/go.{mod,sum}
grep -rl --include='*.go' "\"${release%@*}" "$new/jsonschema" | while IFS= read -r file; do
  sed -i.before "s,\"${release%@*},\"nats-test/third_party/jsonschema," "$file"
  rm "$file.before"
  head -n 1 "$file" | grep -q '^// This file was changed' ||
    { printf '// This file was changed: what it imports is at another path.\n\n' && cat "$file"; } >"$file.new"
  [ ! -e "$file.new" ] || mv "$file.new" "$file"
  gofmt -w "$file"
done
# As the license asks, a changed file says so.
sed -n 's,^+++ b/,,p' jsonschema.patch | while IFS= read -r file; do
  head -n 1 "$new/jsonschema/$file" | grep -q '^// This file was changed' ||
    { echo "third_party/jsonschema.patch: $file does not say that and how it was changed" >&2; exit 1; }
done
if [ "${1:-}" = --check ]; then
  diff -r jsonschema "$new/jsonschema" || { echo 'third_party/jsonschema: make it with scripts/third-party.sh' >&2; exit 1; }
else
  rm -rf jsonschema
  mv "$new/jsonschema" jsonschema
fi
