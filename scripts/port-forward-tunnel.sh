# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with port-forward.sh
# Runs kubectl port-forward, and asks NATS through it whether it is there. A part of
# port-forward.sh, which reads it: forward makes the tunnel, hold watches it.

# connects PORT: whether something listens there.
connects() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# holder PORT: who listens there, if the system tells.
holder() {
  local who='' pid n
  ! command -v ss >/dev/null ||
    who=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | head -n 1)
  [ -n "$who" ] || ! command -v lsof >/dev/null ||
    who=$(lsof -nP -iTCP:"$1" -sTCP:LISTEN -Fpc 2>/dev/null | sed -n '/^p/{h;n;G;s/^c\(.*\)\np\(.*\)$/\1 (pid \2)/p;}' | head -n 1)
  pid=${who##*(pid }
  pid=${pid%)}
  for ((n = 0; n < 5; n++)); do # kubectl may be a wrapper's child
    case $pid in '' | 0 | 1 | *[!0-9]*) break ;; esac
    case $(ps -o args= -p "$pid" 2>/dev/null) in *port-forward.sh*)
      printf 'another make pf (pid %s)' "$pid"
      return
      ;;
    esac
    pid=$(ps -o ppid= -p "$pid" 2>/dev/null | tr -d ' ')
  done
  printf '%s' "${who:-another process}"
}

# other PORT: a port to take instead.
other() {
  local port=$(($1 % 10000 + 10000))
  [ "$port" != "$1" ] || port=$((port + 10000))
  printf '%s' "$port"
}

# answers nats|monitor: whether it answers through the tunnel, within 2 s. 2: it
# takes the connection and says nothing.
answers() {
  (
    local=local_$1 began=$SECONDS
    exec 3<>"/dev/tcp/127.0.0.1/${!local}" || exit 1
    [ "$1" = nats ] || printf 'GET / HTTP/1.0\r\n\r\n' >&3
    IFS= read -r -t 2 line <&3
    case $1:$line in nats:INFO\ * | monitor:HTTP/*) exit 0 ;; esac
    [ $((SECONDS - began)) -lt 2 ] || exit 2
    exit 1
  ) 2>/dev/null &
  wait $!
}
# alive: whether NATS takes clients. One that wants TLS from the first byte waits
# for the client to speak: then its monitoring tells. One that is being stopped
# closes a client's connection at once, while its monitoring answers.
alive() {
  answers nats
  case $? in 0) ;; 2) [ -n "$monitored" ] && answers monitor ;; *) return 1 ;; esac
}

kubectl_runs() { kill -0 "$tunnel" 2>/dev/null; }
close() {
  [ -z "$tunnel" ] || end "$tunnel"
  tunnel=
}

silences=0 # how often nothing answered
# forward: starts kubectl for $pod and waits until NATS answers through it.
forward() {
  local ports=("$local_nats:$pod_nats") near=("$local_nats") n local_port silence
  if connects "$local_nats"; then
    trouble 1 "port $local_nats is in use on this machine, by $(holder "$local_nats")" \
      "end that program, or take another port: make pf PORT=$(other "$local_nats"), and then --server nats://127.0.0.1:$(other "$local_nats")"
    return
  fi
  if [ -n "$monitored" ] && connects "$local_monitor"; then
    if [ "$monitor" = must ]; then
      trouble 1 "port $local_monitor for the monitoring is in use on this machine, by $(holder "$local_monitor")" \
        "end that program, or take another port: make pf MONITOR=$(other "$local_monitor")"
      return
    fi
    tell "port $local_monitor is in use on this machine, by $(holder "$local_monitor"): going on without NATS's monitoring"
    monitored=
  fi
  [ -z "$monitored" ] || ports+=("$local_monitor:$pod_monitor") near+=("$local_monitor")
  set -m # a process group of its own
  begin_kubectl port-forward --address 127.0.0.1 --pod-running-timeout=10s "pod/$pod" "${ports[@]}"
  tunnel=$!
  set +m
  for local_port in "${near[@]}"; do
    for ((n = 0; ; n++)); do
      ! grep -q "^Forwarding from 127\.0\.0\.1:$local_port " "$dir/answer" || break
      # A credential plugin may wait for somebody; the cluster does not take that long.
      if ! kubectl_runs || overlong || { [ -z "$plugin" ] && [ $n -ge 150 ]; } || grep -qi 'unable to listen on port' "$dir/errors"; then
        close
        explain
        case $problem in *'not running'* | *NotFound* | *'waiting for the condition'*) # it was a moment ago
          ! impatient || trouble 1 "no pod was ready within $patience s: pod $pod: $problem"
          tell "pod $pod: $problem"
          return 1
          ;;
        esac
        trouble "$code" "forwarding to pod $pod: ${problem:-kubectl did not begin within $((SECONDS - begun)) s}" "$advice"
        return
      fi
      nap 0.1
    done
  done
  # A container runs before its server takes clients, and kubectl then gives up.
  for n in 1 2 3; do
    ! alive || break
    if ! kubectl_runs || [ "$n" = 3 ]; then
      close
      avoid=$pod
      silence="nothing answers at port $pod_nats of pod $pod"
      advice="is it a server that still starts (kubectl -n $namespace logs pod/$pod), or one with another port (make pf PORT=$local_nats:REMOTE)?"
      ! impatient || trouble 1 "NATS did not answer within $patience s: $silence" "$advice"
      tell "$silence, yet"
      silences=$((silences + 1))
      [ $silences -ne 3 ] || hint "$advice"
      return 1
    fi
    nap 1
  done
  [ -z "$monitored" ] || answers monitor || {
    close # kubectl ends, too, when something connects to a port where nothing listens
    if [ "$monitor" = must ]; then
      trouble 1 "NATS answers in pod $pod, but nothing answers at its port $pod_monitor" \
        "run the server with its monitoring (-m $pod_monitor), or leave MONITOR out"
      return
    fi
    tell "nothing answers at port $pod_monitor of pod $pod: going on without NATS's monitoring"
    silent=$pod
    return 1
  }
  silences=0
}

# hold: returns when the tunnel is broken, and sets why.
hold() {
  local failures=0 good=0 last=$SECONDS
  while :; do
    nap 1
    # After a sleep of the machine a single failure is enough.
    [ $((SECONDS - last)) -lt 20 ] || failures=2
    last=$SECONDS
    if alive; then
      failures=0
      good=$((good + 1))
      [ $good -lt 3 ] || delay=500
      [ $((good % 600)) -ne 0 ] || : >"$dir/answer" # where kubectl tells of each connection
      continue
    fi
    failures=$((failures + 1))
    nap 0.2 # kubectl may be about to end
    if ! kubectl_runs; then
      complaint
      why=${problem:-kubectl ended}
      break
    elif [ $failures -ge 3 ]; then
      why="NATS does not answer any more"
      [ -z "$monitored" ] || ! answers monitor || why="NATS takes no clients any more, though its monitoring answers"
      break
    fi
  done
  close
  avoid=$pod held=$pod=$pod_made
}

