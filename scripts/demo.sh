#!/usr/bin/env bash
# Shows publish and listen at work: two listeners share the events of a queue
# group, one is ended, the other takes over, a third resumes where they
# stopped. The server is a real one on free loopback ports, its store a
# throwaway folder. Nothing stays behind, also after Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/bin:$PATH"
# The server of the demo is another than that of who runs it.
for name in $(compgen -e NATS_); do unset "$name"; done

dir=$(mktemp -d)
pids=()
cleanup() {
  trap - EXIT INT TERM HUP
  for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM HUP

say() { printf '\n# %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; }

# await FILE PATTERN: waits until a file has a line, for 20 s at most.
await() {
  for _ in $(seq 200); do
    grep -q -- "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  echo "demo: waited too long for \"$2\"" >&2
  exit 1
}

# label NAME: prints its input with a name before each line, and keeps it.
label() {
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$dir/$1.log"
    printf '  [%s] %s\n' "$1" "$line"
  done
}

# listener NAME: starts a member of the group in the background.
listener() {
  printf '$ listen --group orders-service-queue-group ticket:created   # [%s]\n' "$1"
  listen --group orders-service-queue-group ticket:created > >(label "$1") 2>&1 &
  pids+=($!)
  eval "pid_$1=$!"
  await "$dir/$1.log" 'listening to'
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

say "A NATS Streaming server of its own"
server=$(go tool -n nats-streaming-server)
cat >"$dir/server.conf" <<EOF
listen: 127.0.0.1:-1
http: 127.0.0.1:-1
streaming {
  id: ticketing
  store: file
  dir: "$dir/stan"
}
EOF
show "nats-streaming-server -c server.conf"
"$server" -c "$dir/server.conf" >"$dir/server.log" 2>&1 &
pids+=($!)
await "$dir/server.log" 'Streaming Server is ready'
port_of() { sed -n "s/.*$1 .*127\.0\.0\.1:\([0-9]*\).*/\1/p" "$dir/server.log" | head -n 1; }
NATS_URL="nats://127.0.0.1:$(port_of 'client connections on')"
NATS_MONITOR_URL="http://127.0.0.1:$(port_of 'http monitor on')"
export NATS_URL NATS_MONITOR_URL
show "export NATS_URL=$NATS_URL"

say "Two listeners join a queue group, each with a random client ID"
listener listener1
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
listen --group orders-service-queue-group ticket:created --until-end > >(label listener3) 2>&1
await "$dir/listener3.log" 'handled 2 events'
handled 11

say "All events are still there for who asks for them"
show "listen ticket:created --until-end -o json"
listen ticket:created --until-end -o json
say "Done: the server is stopped, its store removed"
