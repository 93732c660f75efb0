#!/usr/bin/env bash
# Shows publish and listen at work: two listeners share the events of a queue
# group, one is ended, the other takes over, a third resumes where they
# stopped. The server is a real one on a free loopback port, its store a
# throwaway folder. Nothing stays behind, also after Ctrl-C.
#
# usage: scripts/demo.sh [stan|jetstream]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/bin:$PATH"
# The server of the demo is another than that of who runs it.
for name in $(compgen -e NATS_); do unset "$name"; done

backend=${1:-stan}
case $backend in
stan | jetstream) ;;
*)
  echo "demo: \"$backend\": must be stan or jetstream" >&2
  exit 2
  ;;
esac

# Not of mktemp: it could be interrupted before its answer is here.
dir="${TMPDIR:-/tmp}/publish-listen-demo.$$.$RANDOM"
mine= # the folder was made here
server=
cleanup() {
  trap - EXIT
  trap '' INT TERM HUP # once more is not needed
  # The server last: the listeners say goodbye to it.
  for pid in $(jobs -p); do
    [ "$pid" = "$server" ] || kill "$pid" 2>/dev/null || true
  done
  for pid in $(jobs -p); do
    [ "$pid" = "$server" ] || wait "$pid" 2>/dev/null || true
  done
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait
  [ -z "$mine" ] || rm -rf "$dir"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM HUP
[ ! -e "$dir" ]
mine=yes
mkdir -m 700 "$dir"

say() { printf '\n# %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; }

# await FILE PATTERN: waits until a file has a line, for 20 s at most.
await() {
  for _ in $(seq 200); do
    grep -q -- "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  echo "demo: waited too long for \"$2\" in:" >&2
  cat "$1" >&2
  exit 1
}

# label NAME: prints its input with a name before each line, and keeps it.
label() {
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$dir/$1.log"
    printf '  [%s] %s\n' "$1" "$line"
  done
}

# listener NAME [FLAG]: starts a member of the group in the background.
listener() {
  local name=$1
  shift
  set -- --group orders-service-queue-group ticket:created "$@"
  show "listen $*   # [$name]"
  mkfifo "$dir/$name"
  label "$name" <"$dir/$name" &
  listen "$@" >"$dir/$name" 2>&1 &
  eval "pid_$name=$!"
  await "$dir/$name.log" 'listening to'
}

# publishes FROM TO: publishes tickets, an event each.
publishes() {
  for n in $(seq "$1" "$2"); do
    data="{\"id\":\"$n\",\"title\":\"Concert\",\"price\":$((n * 5)),\"userId\":\"7\"}"
    show "publish ticket:created --data '$data'"
    publish ticket:created --data "$data"
  done
}

# handled N: waits until the listeners together have shown N events.
handled() {
  for _ in $(seq 200); do
    [ "$(cat "$dir"/listener*.log | grep -c '^#')" -ge "$1" ] && return
    sleep 0.1
  done
  echo "demo: the listeners did not show $1 events" >&2
  exit 1
}

# serve NAME PROGRAM ARG...: starts the server, which anybody can start by its
# NAME, and waits until it takes clients.
serve() {
  show "$1 ${*:3}"
  "${@:2}" >"$dir/server.log" 2>&1 &
  server=$!
  await "$dir/server.log" 'Server is ready'
}

if [ "$backend" = stan ]; then
  say "A NATS Streaming server of its own"
  program=$(go tool -n nats-streaming-server)
  serve "go tool nats-streaming-server" "$program" \
    --cluster_id ticketing --store file --dir "$dir/stan" --addr 127.0.0.1 --port -1 --http_port -1
  await "$dir/server.log" 'Streaming Server is ready'
else
  say "A NATS server of its own, with JetStream"
  module=github.com/nats-io/nats-server/v2
  go build -o "$dir/nats-server" $module
  serve "go run $module" "$dir/nats-server" \
    --jetstream --store_dir "$dir/store" --addr 127.0.0.1 --port -1
fi
NATS_URL="nats://127.0.0.1:$(sed -n 's/.*client connections on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$dir/server.log")"
export NATS_URL
if [ "$backend" = stan ]; then # its monitoring port tells what a group has left
  NATS_MONITOR_URL="http://127.0.0.1:$(sed -n 's/.*http monitor on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$dir/server.log")"
  export NATS_MONITOR_URL
  show "export NATS_MONITOR_URL=$NATS_MONITOR_URL"
fi
show "export NATS_URL=$NATS_URL PATH=\"\$PWD/bin:\$PATH\""

say "Two listeners join a queue group, each with a random client ID"
if [ "$backend" = stan ]; then
  listener listener1
else
  listener listener1 --create-stream # the first makes a place for the events
fi
listener listener2

say "Each event goes to one of them"
publishes 1 6
handled 6

say "An event that breaks its contract is refused before it is sent"
show "publish ticket:created --data '{\"id\":\"x\",\"title\":\"Concert\",\"price\":\"20\"}'"
publish ticket:created --data '{"id":"x","title":"Concert","price":"20"}' && exit 1 || echo "(exit code $?)"

say "SIGTERM ends one listener: it finishes, acks, and closes its session"
# shellcheck disable=SC2154 # set by listener
show "kill -TERM $pid_listener1"
kill -TERM "$pid_listener1"
wait "$pid_listener1"
await "$dir/listener1.log" 'handled'

say "The other one takes over"
publishes 7 9
handled 9

say "Nobody listens now, and events are kept"
# shellcheck disable=SC2154 # set by listener
show "kill -TERM $pid_listener2"
kill -TERM "$pid_listener2"
wait "$pid_listener2"
await "$dir/listener2.log" 'handled'
publishes 10 11

say "A new member resumes after the last acked event: the group is durable"
show "listen --group orders-service-queue-group ticket:created --until-end"
listen --group orders-service-queue-group ticket:created --until-end 2>&1 | label listener3
handled 11

say "All events are still there for who asks for them"
show "listen ticket:created --until-end -o json"
listen ticket:created --until-end -o json
say "Done: the server is stopped, its store removed"
