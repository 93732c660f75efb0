# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with port-forward.sh
# Finds what holds the pods of NATS in Kubernetes. A part of port-forward.sh, which
# reads it.

# One line for each object: kind, namespace, name, replicas, labels and the image of
# the first container, selector, ports of a Service, why it has no pod. Names and
# labels have no | and no line ends. A pod that another object made is none to find.
# shellcheck disable=SC2016 # the $ is the template's
objects='{{range .items}}{{if and (eq .kind "Pod") .metadata.ownerReferences}}Owned{{else}}{{.kind}}{{end}}|
{{- .metadata.namespace}}|{{.metadata.name}}|{{with .spec}}{{.replicas}}{{end}}|
{{- range $k, $v := .metadata.labels}},{{$k}}={{$v}}{{end}}
{{- with .spec.template}}{{with .metadata}}{{range $k, $v := .labels}},{{$k}}={{$v}}{{end}}{{end}}
{{- with .spec}}{{range $i, $c := .containers}}{{if not $i}},image={{$c.image}}{{end}}{{end}}{{end}}{{end}}
{{- with .spec}}{{range $i, $c := .containers}}{{if not $i}},image={{$c.image}}{{end}}{{end}}{{end}},|
{{- if eq .kind "Service"}}{{range $k, $v := .spec.selector}},{{$k}}={{$v}}{{end}}
{{- else}}{{with .spec}}{{with .selector}}{{range $k, $v := .matchLabels}},{{$k}}={{$v}}{{end}}
{{- range .matchExpressions}},{{if eq .operator "DoesNotExist"}}!{{end}}{{.key}}
{{- if eq .operator "In"}} in {{else if eq .operator "NotIn"}} notin {{end}}
{{- with .values}}({{range $i, $v := .}}{{if $i}},{{end}}{{$v}}{{end}}){{end}}{{end}}{{end}}{{end}}{{end}}|
{{- if eq .kind "Service"}}{{range .spec.ports}},{{.port}}={{.targetPort}}{{end}}{{end}},|
{{- with .status}}{{range .conditions}}{{if and (eq .type "ReplicaFailure") (eq .status "True")}}{{with .message}}{{printf "%q" .}}{{end}}{{end}}{{end}}{{end}}
{{- "\n"}}{{end}}'

# candidates KIND RULE: sets found to the lines of objects that RULE takes: by
# name=NAME, by a label by which NATS is known, or all.
candidates() {
  local line k ns n replicas labels rest
  found=''
  while IFS= read -r line; do
    IFS='|' read -r k ns n replicas labels rest <<<"$line"
    case $n in '' | -* | *[!a-z0-9.-]*) continue ;; esac
    case $ns in '' | -* | *[!a-z0-9-]*) continue ;; esac
    case $1:$k in
    workload:Deployment | workload:StatefulSet | workload:DaemonSet | service:Service | pod:Pod | any:*) ;;
    deployment:Deployment | statefulset:StatefulSet | daemonset:DaemonSet) ;;
    *) continue ;;
    esac
    case $2:$labels in
    "name=$n:"* | all:*) ;;
    *[=/]nats-box[,:@]*) continue ;; # a client
    app:*,app=nats,* | run:*,run=nats,* | stan:*,app=stan,*) ;;
    chart:*,app.kubernetes.io/name=nats,*) [ "${n%-headless}" = "$n" ] || continue ;;
    *) continue ;;
    esac
    found="$found${found:+$'\n'}$line"
  done <"$dir/objects"
}
# first_of KIND RULE…: sets found to what the first rule takes that takes any.
first_of() {
  local kind=$1 rule
  shift
  for rule; do
    candidates "$kind" "$rule"
    [ -z "$found" ] || return 0
  done
  return 1
}
# called KIND: sets called to what kubectl calls a kind.
called() {
  case $1 in
  Deployment) called=deployment ;;
  StatefulSet) called=statefulset ;;
  DaemonSet) called=daemonset ;;
  Service) called=service ;;
  *) called=pod ;;
  esac
}
# named LINES: sets names to what a reader calls objects.
named() {
  local k ns n rest
  names=''
  while IFS='|' read -r k ns n rest; do
    called "$k"
    [ -z "$n" ] || names="$names${names:+, }$called $n"
  done <<<"$1"
  [ ${#names} -le 600 ] || names="${names:0:600}..."
}

kind_found='' name_found='' selector='' replicas='' service_ports='' failure=''
# find_nats: sets these: what holds the pods.
find_nats() {
  local found='' answered=yes k ns labels text
  if [ "$kind" = pod ]; then
    kind_found=pod name_found=$name
    return 0
  fi
  ask get deployments,statefulsets,daemonsets,services -o "go-template=$objects" || answered=
  cp "$dir/answer" "$dir/objects"
  if [ -n "$name" ]; then
    for k in ${kind:-deployment statefulset daemonset service}; do
      ! first_of "$k" "name=$name" || break
    done
  else
    first_of deployment name=nats-depl || first_of workload app chart stan || first_of service app chart
  fi
  if [ -z "$found" ] && [ -z "$answered" ]; then
    explain
    trouble "$code" "$problem" "$advice"
    return
  elif [ -z "$found" ] && [ -n "$name" ] && [ -z "$kind" ]; then
    kind_found=pod name_found=$name # a bare name that nothing else has
    return 0
  elif [ -z "$found" ] && [ -z "$name" ] && ask get pods -o "go-template=$objects"; then
    cat "$dir/answer" >>"$dir/objects"
    first_of pod app run chart stan
  fi
  case $found in
  '')
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
  IFS='|' read -r k ns name_found replicas labels selector service_ports failure <<<"$found"
  called "$k"
  kind_found=$called
  selector=${selector#,}
  unquoted "$failure"
  failure=$text
  [ -n "$selector" ] || [ $kind_found = pod ] || {
    kind_found=''
    trouble 1 "$called $name_found selects no pods" 'choose the deployment or statefulset with TARGET=KIND/NAME'
    return
  }
}

# missing: tells what there is instead.
missing() {
  local found names there='' ns what="no NATS (Deployment nats-depl, label app=nats, or the official chart)"
  [ -z "$target" ] || what="no $target"
  what="$what is in namespace $namespace"
  if [ -n "$been_up" ]; then
    kind_found=''
    ! impatient || trouble 1 "$what any more"
    tell "$what any more; waiting for it"
    return 1
  fi
  if [ "$kind_found" = pod ]; then
    ask get pods -o "go-template=$objects"
    cat "$dir/answer" >>"$dir/objects"
  fi
  candidates any all
  [ "$kind_found" = pod ] || found=$(grep -v '^Owned|' <<<"$found")
  named "$found"
  if [ -z "$names" ] && ! ask get namespace "$namespace" -o name && grep -q NotFound "$dir/errors"; then
    trouble 1 "there is no namespace $namespace" 'kubectl get namespaces lists them; choose with make pf NAMESPACE=NAME'
  fi
  if [ -z "$name" ] && ask get deployments,statefulsets,daemonsets --all-namespaces -o "go-template=$objects"; then
    cp "$dir/answer" "$dir/objects"
    for ns in 'deployment name=nats-depl' 'workload app' 'workload chart' 'workload stan'; do
      candidates "${ns% *}" "${ns#* }"
      there="$there${found:+$found$'\n'}"
    done
    there=$(printf '%s' "$there" | cut -d '|' -f 2 | sort -u | tr '\n' ' ')
  fi
  say "$what"
  say "there is ${names:-nothing else}"
  if [ -n "$there" ]; then
    trouble 1 "but NATS is in other namespaces: $there" "make pf NAMESPACE=${there%% *}"
  fi
  hint 'install it (kubectl apply -f deploy/k8s/nats-streaming.yaml), or name it: make pf NAMESPACE=NAME TARGET=KIND/NAME'
  leave 1
}
