# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with port-forward.sh
# Finds NATS in Kubernetes. A part of port-forward.sh, which reads it: begin asks
# where to look, await_pod finds the pod to forward.

kube=(kubectl)

# ask ARG…: asks the cluster. The answer is in $dir/answer, a complaint in
# $dir/errors.
ask() {
  "${kube[@]}" --request-timeout=10s "$@" </dev/null >"$dir/answer" 2>"$dir/errors" &
  wait $!
}

# One line for each object: kind, name, replicas, labels, selector, ports of a
# Service. Names and labels have no | and no line ends.
# shellcheck disable=SC2016 # the $ is the template's
objects='{{range .items}}{{.kind}}|{{.metadata.namespace}}|{{.metadata.name}}|{{with .spec}}{{.replicas}}{{end}}|
{{- range $k, $v := .metadata.labels}},{{$k}}={{$v}}{{end}}
{{- with .spec.template}}{{range $k, $v := .metadata.labels}},{{$k}}={{$v}}{{end}}{{end}},|
{{- if eq .kind "Service"}}{{range $k, $v := .spec.selector}},{{$k}}={{$v}}{{end}}
{{- else}}{{range $k, $v := .spec.selector.matchLabels}},{{$k}}={{$v}}{{end}}
{{- range .spec.selector.matchExpressions}},{{if eq .operator "DoesNotExist"}}!{{end}}{{.key}}
{{- if eq .operator "In"}} in {{else if eq .operator "NotIn"}} notin {{end}}
{{- with .values}}({{range $i, $v := .}}{{if $i}},{{end}}{{$v}}{{end}}){{end}}{{end}}{{end}}|
{{- if eq .kind "Service"}}{{range .spec.ports}},{{.port}}={{.targetPort}}{{end}}{{end}},{{"\n"}}{{end}}'

# One line for each pod: name, when it was made, its phase, whether it is ready,
# its ports and arguments that are monitoring's, and why it is not ready.
pods='{{range .items}}{{.metadata.name}}|{{.metadata.creationTimestamp}}|
{{- if .metadata.deletionTimestamp}}Terminating{{else}}{{.status.phase}}{{end}}|
{{- range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}}|
{{- range .spec.containers}}{{range .ports}}{{.name}}={{.containerPort}},{{end}}
{{- range .args}}{{if eq . "MON" "-m=MON" "-http_port=MON" "--http_port=MON"}}=MON,{{end}}{{end}}
{{- range .command}}{{if eq . "MON" "-m=MON" "-http_port=MON" "--http_port=MON"}}=MON,{{end}}{{end}}{{end}}|
{{- range .status.conditions}}{{if and (eq .type "PodScheduled") (eq .status "False")}}{{with .message}}{{printf "%q" .}}{{end}}{{end}}{{end}}
{{- range .status.initContainerStatuses}}{{with .state.waiting}}{{with .reason}}{{printf "%q" .}}{{end}}{{with .message}}: {{printf "%q" .}}{{end}}{{end}}{{end}}
{{- range .status.containerStatuses}}{{with .state.waiting}}{{with .reason}}{{printf "%q" .}}{{end}}{{with .message}}: {{printf "%q" .}}{{end}}{{end}}
{{- with .state.terminated}}{{with .reason}}{{printf "%q" .}}{{end}}{{end}}{{end}}{{"\n"}}{{end}}'
pods=${pods//MON/$remote_monitor}

# explain: what kubectl's complaint means: sets problem, advice, and the exit
# code.
explain() {
  local errors
  complaint
  advice='' code=1
  IFS= read -r -d '' errors <"$dir/errors"
  case $errors in
  *'localhost:8080 was refused'* | *'no configuration has been provided'* | *'current-context'* | *'context was not found'* | *'cannot locate context'*)
    code=3
    problem="kubectl knows no context${context:+ \"$context\"}: $problem"
    advice=$("${kube[0]}" config get-contexts -o name 2>/dev/null </dev/null | printable | tr '\n' ' ')
    advice="${advice:+there are: ${advice% }; }choose one (kubectl config use-context NAME, or make pf CONTEXT=NAME), or start a cluster (minikube start, kind create cluster)"
    ;;
  *Forbidden* | *forbidden*)
    code=3
    problem="the cluster forbids it: $problem"
    advice="ask who runs the cluster for the right to get and list pods, deployments, statefulsets and services, and to create pods/portforward; TARGET=pod/NAME needs those for pods alone"
    ;;
  *Unauthorized* | *'must be logged in'* | *'asked for the client to provide credentials'* | *'getting credentials'*)
    code=3
    problem="the cluster refuses the credentials: $problem"
    advice="log in again, as you did to make the context (gcloud container clusters get-credentials, aws eks update-kubeconfig, az aks get-credentials, …)"
    ;;
  *'Unable to connect'* | *refused* | *timeout* | *'Timeout exceeded'* | *'timed out'* | *'no such host'* | *'no route to host'* | *unreachable* | *EOF* | *'connection reset'* | *x509* | *'connection lost'* | *'ServiceUnavailable'*)
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
  if ask config view --minify -o 'go-template={{index . "current-context"}}|{{range .contexts}}{{with .context.namespace}}{{.}}{{end}}{{end}}'; then
    IFS='|' read -r current space < <(printable <"$dir/answer")
  elif [ -n "$context" ] || ! ask version; then # in a pod, there is a cluster without a context
    explain
    trouble 3 "$problem" "$advice"
  fi
  namespace=${namespace:-${space:-default}}
  kube+=(--namespace "$namespace")
  say "looking for ${target:-NATS} in ${current:+context $current, }namespace $namespace"
}

# candidates KIND RULE: sets found to the lines of objects that RULE takes: by
# name=NAME, by the label app or that of the chart, or all.
candidates() {
  local line k ns n replicas labels rest
  found=''
  while IFS= read -r line; do
    IFS='|' read -r k ns n replicas labels rest <<<"$line"
    case $n in '' | *[!a-z0-9.-]*) continue ;; esac
    case $1:$k in workload:Deployment | workload:StatefulSet | deployment:Deployment | statefulset:StatefulSet | service:Service | any:*) ;; *) continue ;; esac
    case $2:$labels in
    "name=$n:"*) ;;
    app:*,app=nats,*) ;;
    chart:*,app.kubernetes.io/component=nats-box,*) continue ;;
    chart:*,app.kubernetes.io/name=nats,*) [ "${n%-headless}" = "$n" ] || continue ;;
    all:*) ;;
    *) continue ;;
    esac
    found="$found${found:+$'\n'}$line"
  done <"$dir/objects"
}
# named LINES: sets names to what a reader calls objects.
named() {
  local k ns n rest
  names=''
  while IFS='|' read -r k ns n rest; do
    case $k in Deployment) k=deployment ;; StatefulSet) k=statefulset ;; Service) k=service ;; *) k=pod ;; esac
    case $n in '' | *[!a-z0-9.-]*) ;; *) names="$names${names:+, }$k $n" ;; esac
  done <<<"$1"
  [ ${#names} -le 600 ] || names="${names:0:600}…"
}

kind_found='' name_found='' selector='' replicas='' service_ports=''
# find_nats: sets these: what holds the pods.
find_nats() {
  local found='' answered=yes rule k ns labels
  [ "$kind" != pod ] || return 0
  ask get deployments,statefulsets,services -o "go-template=$objects" || answered=
  cp "$dir/answer" "$dir/objects"
  if [ -n "$name" ]; then
    for k in ${kind:-deployment statefulset service}; do
      candidates "$k" "name=$name"
      [ -z "$found" ] || break
    done
  else
    for rule in 'deployment name=nats-depl' 'workload app' 'workload chart' 'service app' 'service chart'; do
      candidates "${rule% *}" "${rule#* }"
      [ -z "$found" ] || break
    done
  fi
  case $found in
  '')
    if [ -z "$answered" ]; then
      explain
      trouble "$code" "$problem" "$advice"
      return
    fi
    if [ -n "$name" ] && [ -z "$kind$been_up" ]; then
      kind=pod # a bare name that nothing else has
      return 0
    fi
    missing
    return
    ;;
  *$'\n'*)
    named "$found"
    found=${names%%,*}
    trouble 2 "several could be NATS: $names" "choose with make pf TARGET=KIND/NAME, such as TARGET=${found/ //}"
    return
    ;;
  esac
  IFS='|' read -r k ns name_found replicas labels selector service_ports <<<"$found"
  named "$found"
  kind_found=${names% *}
  selector=${selector#,}
  [ -n "$selector" ] || {
    trouble 1 "$kind_found $name_found selects no pods" 'choose the deployment or statefulset with TARGET=KIND/NAME'
    return
  }
}

# missing: tells what there is instead.
missing() {
  local found names there='' what="no NATS (Deployment nats-depl, label app=nats, or the official chart)"
  [ -z "$target" ] || what="no $target"
  what="$what is in namespace $namespace"
  if [ -n "$been_up" ]; then
    tell "$what any more; waiting for it"
    return 1
  fi
  if [ "$kind" = pod ]; then
    ask get pods -o 'go-template={{range .items}}Pod||{{.metadata.name}}{{"\n"}}{{end}}'
    named "$(cat "$dir/objects" "$dir/answer" 2>/dev/null)"
  else
    candidates any all
    named "$found"
  fi
  if [ -z "$names" ] && ! ask get namespace "$namespace" -o name && grep -q NotFound "$dir/errors"; then
    trouble 1 "there is no namespace $namespace" 'kubectl get namespaces lists them; choose with make pf NAMESPACE=NAME'
  fi
  if [ -z "$name" ] && ask get deployments,statefulsets --all-namespaces -o "go-template=$objects"; then
    cp "$dir/answer" "$dir/objects"
    for rule in 'deployment name=nats-depl' 'workload app' 'workload chart'; do
      candidates "${rule% *}" "${rule#* }"
      there="$there${found:+$'\n'}$found"
    done
    there=$(printf '%s' "$there" | cut -d '|' -f 2 | sort -u | printable | tr '\n' ' ')
    there=${there# }
  fi
  say "$what"
  say "there is ${names:-nothing else}"
  if [ -n "$there" ]; then
    trouble 1 "but NATS is in other namespaces: $there" "make pf NAMESPACE=${there%% *}"
  fi
  hint 'install it (kubectl apply -f deploy/k8s/nats-streaming.yaml), or name it: make pf NAMESPACE=NAME TARGET=KIND/NAME'
  leave 1
}

avoid='' # a pod that did not answer: another one is preferred
# pick: sets pod and pod_ports to the newest pod that is ready, or state to what
# keeps one from it.
pick() {
  local of=(--field-selector "metadata.name=$name") n made phase ready ports why newest='' seen=''
  [ "$kind" = pod ] || of=(--selector "$selector")
  pod='' state=''
  ask get pods "${of[@]}" -o "go-template=$pods" || {
    explain
    return 1
  }
  printable <"$dir/answer" >"$dir/printable"
  while IFS='|' read -r n made phase ready ports why; do
    case $n in '' | *[!a-z0-9.-]*) continue ;; esac
    why=${why//\"/}
    if [ "$phase:$ready" = Running:True ]; then
      [ "$n" != "$avoid" ] || made='' # older than any
      [[ $made < $newest ]] || pod=$n pod_ports=",$ports" newest=$made
    elif [ -z "$seen" ] || { [ "$phase" != Terminating ] && [[ ! $made < $seen ]]; }; then
      seen=$made
      [ "$phase" != Running ] || phase='Running, but not ready'
      state="pod $n is $phase${why:+ ($why)}"
    fi
  done <"$dir/printable"
  return 0
}

# port_of PORT VARIABLE: sets it to the pod's port. A Service may give it another
# number, or a name.
port_of() {
  local to=$1 rest=${service_ports#*,"$1"=}
  [ "$rest" = "$service_ports" ] || to=${rest%%,*}
  case $to in
  *[!0-9]*)
    rest=${pod_ports#*,"$to"=}
    to=$1
    [ "$rest" = "$pod_ports" ] || to=${rest%%,*}
    ;;
  esac
  printf -v "$2" '%s' "$to"
}

# await_pod: finds NATS and waits until a pod of it is ready. It fails after
# trouble that was told.
await_pod() {
  local since=$SECONDS was=$delay
  delay=500
  while :; do
    # What was found last time may do: it saves a question.
    if [ -z "$selector" ] || ! pick || [ -z "$pod" ]; then
      if ! find_nats || ! pick_or_tell; then
        delay=$was
        return 1
      fi
    fi
    [ -z "$pod" ] || break
    if [ "$patience" -gt 0 ] && [ $((SECONDS - since)) -ge "$patience" ]; then
      been_up=
      trouble 1 "no pod was ready within $patience s: $state" "kubectl -n $namespace describe pods and kubectl -n $namespace logs tell more"
    fi
    tell "waiting: $state"
    backoff 2000
  done
  delay=$was
  port_of "$remote_nats" pod_nats
  port_of "$remote_monitor" pod_monitor
  case $service_ports in *",$remote_monitor="*) pod_ports="$pod_ports=$pod_monitor," ;; esac
}

# pick_or_tell: picks a pod, or says why there is none.
pick_or_tell() {
  pick || {
    trouble "$code" "$problem" "$advice"
    return
  }
  [ -z "$pod$state" ] || return 0
  if [ "$kind" = pod ]; then
    [ -n "$been_up" ] || missing
    state="there is no pod $name any more"
  elif [ "$replicas" = 0 ]; then
    state="$kind_found $name_found is scaled to 0; kubectl -n $namespace scale $kind_found/$name_found --replicas=1 starts one"
  else
    state="$kind_found $name_found has no pod"
  fi
}
