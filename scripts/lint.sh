#!/usr/bin/env bash
# Checks everything that a machine can check without running the programs.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'gofmt would change:\n%s\n' "$unformatted" >&2
  exit 1
fi
go vet ./...
# The linter's many dependencies have a module file of their own.
go tool -modfile=.ci/lint.mod golangci-lint run
go mod tidy -diff
scripts/third-party.sh --check
# The manifests, against the schemas that the validator brings, not those of a
# cluster that happens to be reachable; and that it would find a misspelt field.
validate() { KUBECONFIG=/dev/null go tool -modfile=.ci/k8s.mod kubectl-validate --version "$1" "$2"; }
validate 1.23 deploy/k8s
validate 1.30 deploy/k8s
misspelt=$(mktemp -d)
trap 'rm -rf "$misspelt"' EXIT
sed 's/readinessProbe:/readynessProbe:/' deploy/k8s/jetstream.yaml >"$misspelt/jetstream.yaml"
if validate 1.30 "$misspelt" >/dev/null 2>&1; then
  echo 'lint: the validator of the manifests finds nothing' >&2
  exit 1
fi
# The unit, with commands that are there; systemd-analyze is where systemd is.
if command -v systemd-analyze >/dev/null; then
  sed 's:/usr/local/bin/[a-z-]*:/bin/true:g' deploy/systemd/mailer.service >"$misspelt/mailer.service"
  complaints=$(systemd-analyze verify "$misspelt/mailer.service" 2>&1) || complaints="exit $?: $complaints"
  if [ -n "$complaints" ]; then
    printf 'deploy/systemd/mailer.service: %s\n' "$complaints" >&2
    exit 1
  fi
fi
if ! command -v shellcheck >/dev/null; then
  if [ -z "${CI:-}" ]; then
    echo 'lint: shellcheck is missing (apt-get install shellcheck, brew install shellcheck)' >&2
    exit 1
  fi
  (apt-get update && apt-get install -y shellcheck) >/dev/null
fi
shellcheck scripts/*.sh .ci/run
for target in {linux,darwin,windows}/{amd64,arm64} linux/{386,arm}; do
  echo "cross-compiling for $target"
  GOOS=${target%/*} GOARCH=${target#*/} go build -o /dev/null ./cmd/publish
  GOOS=${target%/*} GOARCH=${target#*/} go build -o /dev/null ./cmd/listen
done
# Where an int has 32 bits, the tests compile, too.
GOARCH=386 go vet ./...
