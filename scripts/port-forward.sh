#!/usr/bin/env bash
# Forwards the ports of NATS in Kubernetes to this machine, and sees to it that
# they stay forwarded. kubectl alone does not: it goes on listening after its pod
# was deleted, binds one of two ports, and ends with the first lost connection.
# So this asks NATS through the tunnel, once a second, whether it is there.
#
# For bash 3.2 (macOS) and later, kubectl 1.20 and later. No -e: most commands
# here may fail, and what then is the matter of the script. No $(…) where it waits
# or tries again: bash 5.2 loses a signal that comes in the middle of one.
set -uo pipefail
LC_ALL=C # characters are bytes: what is no ASCII is not shown

usage() {
  cat <<'END'
Forward NATS in the current Kubernetes context to 127.0.0.1, until Ctrl-C.

usage: scripts/port-forward.sh [flag…]        or: make pf [VARIABLE=…]

flag                            variable   default
-c, --context NAME              CONTEXT    kubectl's current context
-n, --namespace NAME            NAMESPACE  the context's namespace
-t, --target [KIND/]NAME        TARGET     Deployment nats-depl, else a Deployment, StatefulSet or
                                           DaemonSet labelled app=nats, app.kubernetes.io/name=nats or
                                           app=stan, else such a Service, else such a bare pod.
                                           KIND: deployment, statefulset, daemonset, service, pod
-p, --port LOCAL[:REMOTE]       PORT       4222:4222
-m, --monitor[=LOCAL[:REMOTE]]  MONITOR    port 8222, too, if the pod says that it has it. MONITOR=1:
                                           it must be there; MONITOR=0 (--no-monitor): never
-w, --wait SECONDS              WAIT       how long NATS may be away: no pod ready, nothing that answers,
                                           no cluster; 0, the default: any time

Exit codes:
  0  ended by Ctrl-C, SIGTERM or SIGHUP
  1  failed: no kubectl, nothing found, a port in use, no pod ready or no answer in time
  2  usage: a flag, a variable; several found, so that TARGET must choose
  3  no cluster: no context, not reachable, its certificate not accepted, credentials or a
     permission refused
make pf ends with 2 for all of these but 0: that is make's own. Its last line names the script's.
END
}

# say MESSAGE: in one line. What comes from a cluster is shown on a terminal: no
# control character gets there.
say() {
  local text="pf: $*"
  printf '%s\n' "${text//[! -~]/?}" >&2
}
hint() { say "hint: $*"; }
told=
told_at=0
# tell MESSAGE: says what is going on, but the same again only after 30 s. (The
# number of a port may differ.)
tell() {
  [ "${*//[0-9]/}" != "$told" ] || [ $((SECONDS - told_at)) -ge 30 ] || return 0
  told=${*//[0-9]/}
  told_at=$SECONDS
  say "$*"
}
misused() {
  say "$*"
  hint 'scripts/port-forward.sh --help lists flags and variables'
  exit 2
}

context=${CONTEXT:-} namespace=${NAMESPACE:-} target=${TARGET:-} port=${PORT:-4222} monitor=${MONITOR:-auto} patience=${WAIT:-0}
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help)
    usage
    exit 0
    ;;
  --monitor=*) monitor=${1#*=} ;;
  -m | --monitor) monitor=1 ;;
  --no-monitor) monitor=0 ;;
  --*=*)
    flag=${1%%=*} value=${1#*=}
    shift
    set -- "$flag" "$value" "$@"
    continue
    ;;
  -c | --context | -n | --namespace | -t | --target | -p | --port | -w | --wait)
    [ -n "${2:-}" ] || misused "$1: a value is missing"
    case $1 in
    -c | --context) context=$2 ;;
    -n | --namespace) namespace=$2 ;;
    -t | --target) target=$2 ;;
    -p | --port) port=$2 ;;
    -w | --wait) patience=$2 ;;
    esac
    shift
    ;;
  *) misused "\"$1\": there is no such flag" ;;
  esac
  shift
done

# numbers NAME SPEC DEFAULT: sets local_NAME and remote_NAME from LOCAL[:REMOTE].
numbers() {
  local near=${2%%:*} far=$3 number
  [ "$near" = "$2" ] || far=${2#*:}
  for number in "$near" "$far"; do
    case $number in
    '' | 0* | *[!0-9]* | ??????*) misused "\"$2\": a port is a number from 1 to 65535, two are LOCAL:REMOTE" ;;
    esac
    [ "$number" -le 65535 ] || misused "\"$2\": a port is a number from 1 to 65535, two are LOCAL:REMOTE"
  done
  eval "local_$1=$near remote_$1=$far"
}
numbers nats "$port" 4222
case $monitor in
0 | no | false | off) monitor=never && numbers monitor 8222 8222 ;;
auto | '') monitor=auto && numbers monitor 8222 8222 ;;
1 | yes | true | on) monitor=must && numbers monitor 8222 8222 ;;
*) numbers monitor "$monitor" 8222 && monitor=must ;;
esac
# shellcheck disable=SC2154 # set by numbers
[ "$monitor" = never ] || [ "$local_nats" != "$local_monitor" ] || misused "port $local_nats can't be that of NATS and of its monitoring"
case $patience in '' | *[!0-9]* | ??????*) misused "\"$patience\": the time to wait is a number of seconds" ;; esac
kind=
name=$target
case $target in
*/*)
  name=${target#*/}
  case ${target%%/*} in
  deployment | deployments | deploy | deployment.apps) kind=deployment ;;
  statefulset | statefulsets | sts | statefulset.apps) kind=statefulset ;;
  daemonset | daemonsets | ds | daemonset.apps) kind=daemonset ;;
  service | services | svc) kind=service ;;
  pod | pods | po) kind=pod ;;
  *) misused "\"$target\": its kind must be deployment, statefulset, daemonset, service or pod" ;;
  esac
  ;;
esac
case $namespace in -* | *[!a-z0-9-]*) misused "\"$namespace\" is no namespace in Kubernetes" ;; esac
case $name in */* | -* | *[!a-z0-9.-]*) misused "\"$target\" is no name in Kubernetes" ;; esac
[ -z "$target" ] || [ -n "$name" ] || misused "\"$target\" is no name in Kubernetes"

dir="${TMPDIR:-/tmp}/port-forward.$$.$RANDOM" # not of mktemp: it could be interrupted before its answer is here
mine=
tunnel=
# end PID…: ends jobs. The tunnel is a process group: kubectl may be a wrapper.
end() {
  local pid n
  for pid; do
    kill -TERM "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
  done
  for pid; do
    for ((n = 0; n < 20; n++)); do
      kill -0 "-$pid" 2>/dev/null || kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
}
# leave CODE: the way out. There is no trap on EXIT: a child that is ended before
# it became another program would run it, too.
leave() {
  trap '' INT TERM HUP PIPE
  set +m # or bash tells that a job ended
  # shellcheck disable=SC2046 # numbers
  end $(jobs -p)
  [ -z "$mine" ] || rm -rf "$dir"
  exit "$1"
}
trap 'say ended; leave 0' INT TERM
trap 'leave 0' HUP  # there is no terminal any more
trap 'leave 1' PIPE # nobody reads what it says
if [ -e "$dir" ] || ! { mine=yes && mkdir -m 700 "$dir"; }; then
  say "the folder $dir can't be made"
  leave 1
fi

# nap SECONDS: bash runs a trap at once only while it waits, hence the &.
nap() {
  sleep "$1" &
  wait $!
}
delay=500
# backoff LIMIT: waits, each time longer, up to LIMIT ms.
backoff() {
  [ "$delay" -le "$1" ] || delay=$1
  local ms=$((delay / 2 + RANDOM % (delay / 2))) seconds
  printf -v seconds '%d.%03d' $((ms / 1000)) $((ms % 1000))
  nap "$seconds"
  delay=$((delay * 2))
}

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/port-forward-kubectl.sh
. "$here/port-forward-kubectl.sh"
# shellcheck source=scripts/port-forward-find.sh
. "$here/port-forward-find.sh"
# shellcheck source=scripts/port-forward-pod.sh
. "$here/port-forward-pod.sh"
# shellcheck source=scripts/port-forward-tunnel.sh
. "$here/port-forward-tunnel.sh"

been_up=
since=$SECONDS # when NATS was there, or when it was first looked for
# impatient: whether NATS was away for longer than it may.
impatient() { [ "$patience" -gt 0 ] && [ $((SECONDS - since)) -ge "$patience" ]; }
# trouble CODE MESSAGE [HINT]: ends the script before anything was forwarded;
# later it is told, and things may mend.
trouble() {
  if [ -n "$been_up" ] && ! impatient; then
    tell "$2; trying again"
    return 1
  fi
  say "$2"
  [ -z "${3:-}" ] || hint "$3"
  leave "$1"
}

# run: in a function, so that bash has read all of it should the file change.
run() {
  begin
  silent='' # a pod that has no monitoring, though it says so
  while :; do
    if await_pod; then
      monitored=''
      case $monitor:$pod_ports in
      must:*) monitored=yes ;;
      auto:*"=$pod_monitor,"*) [ "$pod" = "$silent" ] || monitored=yes ;;
      esac
      if forward; then
        tell "NATS of pod $pod is at nats://127.0.0.1:$local_nats${monitored:+, its monitoring at http://127.0.0.1:$local_monitor}"
        [ -n "$been_up" ] || [ "$local_nats" = 4222 ] || say "publish and listen find it with --server nats://127.0.0.1:$local_nats (NATS_URL)"
        been_up=yes
        hold
        since=$SECONDS
        tell "lost pod $pod: $why"
        continue # at once: the next pod may be there
      fi
    fi
    backoff 10000
  done
}
run
