# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with port-forward.sh
# Chooses the pod to forward, and waits for it. A part of port-forward.sh, which
# reads it: await_pod.

# One line for each pod: name, when it was made, its phase, whether it is ready,
# whether its containers are, its owner, what a Deployment's ReplicaSet adds to its
# name, the image of the first container, ports and arguments that are monitoring's,
# and why it is not ready.
# shellcheck disable=SC2016 # the $ is the template's
pods='{{range .items}}{{.metadata.name}}|{{.metadata.creationTimestamp}}|
{{- if .metadata.deletionTimestamp}}Terminating{{else}}{{.status.phase}}{{end}}|
{{- range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}}|
{{- range .status.containerStatuses}}{{.ready}},{{end}}|
{{- range .metadata.ownerReferences}}{{if .controller}}{{.kind}}/{{.name}}{{end}}{{end}}|
{{- range $k, $v := .metadata.labels}}{{if eq $k "pod-template-hash"}}{{$v}}{{end}}{{end}}|
{{- range $i, $c := .spec.containers}}{{if not $i}}{{$c.image}}{{end}}{{end}}|
{{- range .spec.containers}}{{range .ports}}{{.name}}={{.containerPort}},{{end}}
{{- range .args}}{{if eq . "MON" "-m=MON" "-http_port=MON" "--http_port=MON"}}=MON,{{end}}{{end}}
{{- range .command}}{{if eq . "MON" "-m=MON" "-http_port=MON" "--http_port=MON"}}=MON,{{end}}{{end}}{{end}}|
{{- $many := false}}{{range $i, $c := .spec.containers}}{{if $i}}{{$many = true}}{{end}}{{end}}
{{- range .status.conditions}}{{if and (eq .type "PodScheduled") (eq .status "False")}}{{with .message}}{{printf "%q" .}}; {{end}}{{end}}{{end}}
{{- range .status.initContainerStatuses}}WHY{{end}}{{range .status.containerStatuses}}WHY{{end}}{{"\n"}}{{end}}'
# shellcheck disable=SC2016
why_not='{{$name := .name}}{{with .state.waiting}}{{with .reason}}{{if $many}}{{$name}}: {{end}}{{printf "%q" .}}{{end}}{{with .message}}: {{printf "%q" .}}{{end}}; {{end}}
{{- with .state.terminated}}{{if ne .reason "Completed"}}{{if $many}}{{$name}}: {{end}}{{printf "%q" .reason}}; {{end}}{{end}}'
pods=${pods//WHY/$why_not}
pods=${pods//MON/$remote_monitor}

# unquoted TEXT: sets text to what "…" of printf %q in it stand for; control
# characters stay as they are written there.
unquoted() {
  local slash=$'\\' quote='"' mark=$'\001' mark_two=$'\002'
  local two=$slash$slash quoted=$slash$quote
  text=${1//"$two"/$mark_two}
  text=${text//"$quoted"/$mark}
  text=${text//"$quote"/}
  text=${text//"$mark"/$quote}
  text=${text//"$mark_two"/$slash}
}

# ours OWNER HASH: whether a pod is of what was found: another object may select the
# same labels. A Deployment's ReplicaSet has its name and a hash; one that was
# adopted is asked for its owner.
ours() {
  local owner=''
  case $kind_found:$1 in
  service:* | pod:* | *: | statefulset:"StatefulSet/$name_found" | daemonset:"DaemonSet/$name_found") return 0 ;;
  deployment:"ReplicaSet/$name_found-$2") [ -z "$2" ] || return 0 ;;
  deployment:ReplicaSet/*[!a-z0-9.-]*) return 1 ;;
  deployment:ReplicaSet/*-"$2") [ -z "$2" ] || return 1 ;;
  esac
  case $kind_found:$1 in deployment:ReplicaSet/*) ;; *) return 1 ;; esac
  ask get "replicaset/${1#*/}" -o 'go-template={{range .metadata.ownerReferences}}{{if .controller}}{{.kind}}/{{.name}}{{end}}{{end}}' || return 1
  IFS= read -r owner <"$dir/answer"
  [ "$owner" = "Deployment/$name_found" ]
}

avoid='' # a pod that did not answer: another one is preferred
held=''  # the pod that was forwarded last, and when it was made
# pick: sets pod and pod_ports to the newest pod that is ready, or state to what
# keeps one from it. One whose readiness is not known, since the API server or its
# node was away, is better than none; so is the one that NATS answered in, until now.
pick() {
  local of=(--field-selector "metadata.name=$name_found") newest='' seen='' others=''
  local n made phase ready all owner hash image ports why rank age text
  [ "$kind_found" = pod ] || of=(--selector "$selector")
  pod='' state=''
  ask get pods "${of[@]}" -o "go-template=$pods" || {
    explain
    return 1
  }
  cp "$dir/answer" "$dir/pods"
  while IFS='|' read -r n made phase ready all owner hash image ports why; do
    case $n in '' | -* | *[!a-z0-9.-]*) continue ;; esac
    case $kind_found:$image in service:*/nats-box[:@]*) continue ;; esac
    ours "$owner" "$hash" || {
      others="it selects pod $n, which is of $owner"
      continue
    }
    rank=0
    case $phase:$ready:$all in
    Running:True:*) rank=2 ;;
    Running:False: | Running:False:*false*) [ "$held" != "$n=$made" ] || [ -n "$why" ] || [ "$silences" -gt 0 ] || rank=1 ;;
    Running:*) rank=1 ;;
    esac
    if [ $rank -gt 0 ]; then
      age=$rank.$made
      [ "$n" != "$avoid" ] || age=$rank. # older than any
      [[ $age < $newest ]] || pod=$n pod_made=$made pod_ports=",$ports" newest=$age
    elif [ -z "$seen" ] || { [ "$phase" != Terminating ] && [[ ! $made < $seen ]]; }; then
      seen=$made
      [ "$phase" != Running ] || phase='Running, but not ready'
      unquoted "${why%; }"
      state="pod $n is $phase${text:+ ($text)}"
    fi
  done <"$dir/pods"
  [ -n "$pod$state" ] || failure=${failure:-$others}
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
  local was=$delay
  delay=500
  while :; do
    # What was found last time may do: it saves a question.
    if [ -z "$kind_found" ] || ! pick || [ -z "$pod" ]; then
      if ! find_nats || ! pick_or_tell; then
        delay=$was
        return 1
      fi
    fi
    [ -z "$pod" ] || break
    ! impatient || trouble 1 "no pod was ready within $patience s: $state" "kubectl -n $namespace describe pods and kubectl -n $namespace logs tell more"
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
  if [ "$kind_found" = pod ]; then
    if [ -z "$been_up" ] || [ -z "$target" ]; then
      missing
      return
    fi
    state="there is no pod $name_found any more"
  elif [ "$replicas" = 0 ]; then
    state="$kind_found $name_found is scaled to 0; kubectl -n $namespace scale $kind_found/$name_found --replicas=1 starts one"
  else
    [ -n "$failure" ] || failed_event
    state="$kind_found $name_found has no pod${failure:+: ${failure:0:1000}}"
  fi
}

# failed_event: sets failure to why a StatefulSet or DaemonSet can't make a pod,
# which is told by an event alone, for an hour. It may be forbidden to see it.
failed_event() {
  local k line
  case $kind_found in statefulset) k=StatefulSet ;; daemonset) k=DaemonSet ;; *) return ;; esac
  ask get events --field-selector "involvedObject.kind=$k,involvedObject.name=$name_found,type=Warning" \
    -o 'go-template={{range .items}}{{if eq .reason "FailedCreate"}}{{printf "%q" .message}}{{"\n"}}{{end}}{{end}}' || return
  while IFS= read -r line; do
    unquoted "$line"
    failure=$text
  done <"$dir/answer"
}
