#!/usr/bin/env bash
# Runs a server for own play, with what it logs, and says when it is ready.
set -euo pipefail
cd "$(dirname "$0")/.."
path=
command -v listen >/dev/null || path=bin/
say="
The server is ready, until Ctrl-C. In a second terminal, type:  ${path}listen ticket:created
and in a third:  ${path}publish ticket:created --sample${path:+     (make build makes both)}
"
"${GO:-go}" tool nats-streaming-server -c deploy/dev.conf 2>&1 |
  (
    trap '' INT TERM # the server's last lines are shown, too
    while IFS= read -r line; do
      printf '%s\n' "$line"
      case $line in *'Streaming Server is ready'*) printf '%s\n' "$say" ;; esac
    done
  )
