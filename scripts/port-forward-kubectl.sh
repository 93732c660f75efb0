# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with port-forward.sh
# Runs kubectl: shows at once what a credential plugin asks, and explains what
# goes wrong. A part of port-forward.sh, which reads it.

kube=(kubectl)
plugin='' # the program that gets the context's credentials

heard=''
heard_at=0
# quote LINE: shows what a credential plugin says, but the same again only after 30 s.
quote() {
  [ $((SECONDS - heard_at)) -lt 30 ] || heard=''
  case $'\n'$heard in *$'\n'"$1"$'\n'*) return ;; esac
  heard=${heard:0:20000}$1$'\n' heard_at=$SECONDS
  say "kubectl: ${1:0:2000}"
}
in_block='' # a complaint of several lines
# overhear: reads what came to kubectl's stderr. Its own complaints go to
# $dir/complaints; the rest is a credential plugin's, which may ask for something.
overhear() {
  local line
  while IFS= read -r line <&8 || [ -n "$line" ]; do
    case $in_block:$line in
    yes:' >') in_block='' ;;
    yes:* | :) ;;
    :[EWIF][0-9][0-9][0-9][0-9]\ *'err=<') in_block=yes ;;
    :[EWIF][0-9][0-9][0-9][0-9]\ * | :error:* | :'Error from server'* | :'Error in configuration'* | :'Unable to '* | :'The connection to the server'*)
      printf '%s\n' "$line" >>"$dir/complaints"
      ;;
    *) quote "$line" ;;
    esac
  done
}

# begin_kubectl ARG…: starts it, its output to $dir/answer.
begin_kubectl() {
  : >"$dir/answer"
  : >"$dir/errors"
  : >"$dir/complaints"
  in_block=''
  "${kube[@]}" "$@" </dev/null >>"$dir/answer" 2>>"$dir/errors" &
  begun=$SECONDS
  exec 8<"$dir/errors"
}
# overlong: says when kubectl, just begun, takes long, and fails when it takes too long.
overlong() {
  overhear
  [ $((SECONDS - begun)) -ge 5 ] || return 1
  tell "kubectl has no answer after $((SECONDS - begun)) s${plugin:+; the credential plugin $plugin may wait for you to log in}"
  impatient
}

# ask ARG…: asks the cluster. The answer is in $dir/answer, complaints in
# $dir/errors.
ask() {
  local n pid
  # What a plugin starts ends with it; but on a terminal, where it may ask, only the
  # script's own process group can read.
  [ -t 0 ] || set -m
  begin_kubectl --request-timeout=10s "$@"
  pid=$!
  set +m
  for ((n = 0; ; n++)); do
    kill -0 "$pid" 2>/dev/null || break
    if overlong; then
      end "$pid"
      echo "error: no answer within $patience s" >>"$dir/errors"
      break
    fi
    if [ $n -lt 20 ]; then nap 0.02; else nap 0.2; fi
  done
  wait "$pid"
  set -- $?
  overhear
  return "$1"
}

# complaint: sets problem to what kubectl complained of last.
complaint() {
  local line
  overhear
  problem=''
  while IFS= read -r line; do
    case $line in [EWIF][0-9][0-9][0-9][0-9]\ *'.go:'*'] '*) line=${line#*'] '} ;; esac
    problem=${line#error: }
  done <"$dir/complaints"
  problem=${problem:0:1000}
}

# explain: what kubectl's complaint means: sets problem, advice, and the exit
# code.
explain() {
  local errors contexts
  complaint
  advice='' code=1
  IFS= read -r -d '' errors <"$dir/errors"
  case $errors in
  *'localhost:8080 was refused'* | *'no configuration has been provided'* | *'current-context'* | *'context was not found'* | *'cannot locate context'*)
    code=3
    problem="kubectl knows no context${context:+ \"$context\"}: $problem"
    contexts=$(kubectl config get-contexts -o name 2>/dev/null </dev/null | tr '\n' ' ')
    advice="${contexts:+there are: ${contexts% }; }choose one (kubectl config use-context NAME, or make pf CONTEXT=NAME), or start a cluster (minikube start, kind create cluster)"
    ;;
  *'no answer within'*)
    code=3
    problem="kubectl had no answer within $patience s"
    advice="${plugin:+log in first, so that the credential plugin $plugin need not ask; }is the cluster running, and the network or VPN up?"
    ;;
  *Forbidden* | *forbidden*)
    code=3
    problem="the cluster forbids it: $problem"
    advice="ask who runs the cluster for the right to list pods, deployments, statefulsets, daemonsets and services, to get pods, and to create pods/portforward; TARGET=pod/NAME needs those for pods alone"
    ;;
  *'getting credentials'* | *'auth plugin'* | *'Auth Provider'*)
    code=3
    while IFS= read -r errors; do # some plugins' words look like kubectl's own
      case $errors in [EWIF][0-9][0-9][0-9][0-9]\ * | *'getting credentials'*) ;; *) quote "$errors" ;; esac
    done <"$dir/complaints"
    problem="the credentials can't be had: $problem"
    advice="what the credential plugin ${plugin:+$plugin }says is above, if it says anything; kubectl get pods, at this terminal, runs it, too"
    ;;
  *Unauthorized* | *'must be logged in'* | *'asked for the client to provide credentials'* | *'remote error: tls: '*certificate*)
    code=3
    problem="the cluster refuses the credentials: $problem"
    advice="log in again, as you did to make the context (gcloud container clusters get-credentials, aws eks update-kubeconfig, az aks get-credentials)"
    ;;
  *x509* | *'failed to verify certificate'*)
    code=3
    problem="the cluster's certificate is not accepted: $problem"
    advice="something answers at the context's address, but the kubeconfig does not trust it: a cluster that was made anew (minikube update-context, kind export kubeconfig), another one at the same address, a proxy, or a clock that is wrong"
    ;;
  *'HTTP response to HTTPS client'* | *'does not look like a TLS handshake'*)
    code=3
    problem="what answers at the context's address is no Kubernetes: $problem"
    advice='kubectl config view --minify shows the address (server)'
    ;;
  *'Unable to connect'* | *refused* | *timeout* | *'Timeout exceeded'* | *'timed out'* | *'no such host'* | *'no route to host'* | *unreachable* | *EOF* | *'connection reset'* | *'connection lost'* | *'ServiceUnavailable'*)
    code=3
    problem="the cluster is not reachable: $problem"
    advice="is it running (minikube status, docker ps), and the network or VPN up? kubectl config current-context tells which one is meant"
    ;;
  esac
}

# begin: says where it looks, and whether kubectl is there at all.
begin() {
  command -v kubectl >/dev/null ||
    trouble 1 'no kubectl is on the PATH' 'install it (https://kubernetes.io/docs/tasks/tools), or, on Debian: apt-get install kubernetes-client'
  [ -z "$context" ] || kube+=(--context "$context")
  local current space
  if ask config view --minify -o 'go-template={{index . "current-context"}}|{{range .contexts}}{{with .context.namespace}}{{.}}{{end}}{{end}}|{{range .users}}{{with .user.exec}}{{.command}}{{end}}{{end}}'; then
    IFS='|' read -r current space plugin <"$dir/answer"
  elif [ -n "$context" ] || ! ask version; then # in a pod, there is a cluster without a context
    explain
    trouble 3 "$problem" "$advice"
  fi
  namespace=${namespace:-${space:-default}}
  case $namespace in -* | *[!a-z0-9-]*) trouble 3 "the context names \"$namespace\", which is no namespace in Kubernetes" 'choose one with make pf NAMESPACE=NAME' ;; esac
  kube+=(--namespace "$namespace")
  say "looking for ${target:-NATS} in ${current:+context $current, }namespace $namespace"
}
