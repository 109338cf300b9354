{{- define "callstitch.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "callstitch.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of every object: (dict "root" $ "component" "dedupe"). */}}
{{- define "callstitch.labels" -}}
{{ include "callstitch.selector" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "callstitch.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "callstitch.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "image" .Values.ingest.image): a role may run another version than the rest, for an upgrade in steps. */}}
{{- define "callstitch.image" -}}
{{- $all := .root.Values.image -}}
{{- $own := (default dict .image).tag -}}
{{- if and $all.digest (not $own) }}{{ $all.repository }}@{{ $all.digest }}
{{- else }}{{ $all.repository }}:{{ default (default .root.Chart.AppVersion $all.tag) $own }}
{{- end }}
{{- end }}

{{/* What runs: a list of {name, component, stage, series (the label of its metrics), args, own, queues, sink}, as YAML. */}}
{{- define "callstitch.workers" -}}
{{- $root := . -}}
{{- $fullname := include "callstitch.fullname" . -}}
{{- range $stage, $row := .Values.stages }}
{{- if and $row.enabled (eq $stage "fan_out") }}
{{- range $sink := $root.Values.config.sink }}
{{- $own := mergeOverwrite (deepCopy (omit $row "sinks")) (deepCopy (default dict (get $row.sinks $sink.name))) }}
- name: {{ $fullname }}-fan-out-{{ $sink.name }}
  component: fan-out-{{ $sink.name }}
  stage: fan_out
  series: fan_out.{{ $sink.name }}
  args: [work, fan_out, --sink, {{ $sink.name | quote }}]
  queues: [callstitch.sink.{{ $sink.name }}.v1]
  own: {{ toJson $own }}
  sink: {{ toJson $sink }}
{{- end }}
{{- else if and $row.enabled (eq $stage "feed") }}
{{- $queues := include "callstitch.fed" $root | fromYamlArray }}
{{- if $queues }}
- name: {{ $fullname }}-feed
  component: feed
  stage: feed
  series: feed
  args: [work, feed]
  queues: {{ toJson $queues }}
  own: {{ toJson $row }}
{{- end }}
{{- else if $row.enabled }}
- name: {{ $fullname }}-{{ $stage | replace "_" "-" }}
  component: {{ $stage | replace "_" "-" }}
  stage: {{ $stage }}
  series: {{ $stage }}
  args: [work, {{ $stage }}]
  queues: {{ toJson $row.queues }}
  own: {{ toJson $row }}
{{- end }}
{{- end }}
{{- end }}

{{/* The queues from which downstream queues are fed: of those with a key that the stage `feed` has to see to. */}}
{{- define "callstitch.fed" -}}
{{- $keys := list "max_length" "max_age" "outcomes" "products" "fields" "drop" -}}
{{- range $queue := .Values.config.queue }}
{{- $fed := eq (default "" $queue.content) "binary" }}
{{- range $key := $keys }}{{ if get $queue $key }}{{ $fed = true }}{{ end }}{{ end }}
{{- if $fed }}
- callstitch.feed.{{ $queue.name }}.v1
{{- end }}
{{- end }}
{{- end }}

{{/* The file. Helm reads every number as a float: 10000.0 becomes 10000 again. */}}
{{- define "callstitch.toml" -}}
{{- $ingest := merge (dict "listen" "0.0.0.0:8080" "admin" "0.0.0.0:8081" "drain_delay" (printf "%ds" (int .Values.ingest.drainDelaySeconds))) (default dict .Values.config.ingest) -}}
{{- $config := merge (dict "ingest" $ingest) (deepCopy .Values.config) -}}
{{- range $key, $value := $config }}{{ if and (kindIs "slice" $value) (not $value) }}{{ $_ := unset $config $key }}{{ end }}{{ end -}}
{{ regexReplaceAll "(?m)^( *[A-Za-z0-9_\"-]+ = -?[0-9]+)\\.0$" (toToml $config) "${1}" }}
{{- end }}

{{/* A sink that writes a file, or a directory of recordings: one pod, which is stopped before the next one starts. */}}
{{- define "callstitch.single" -}}
{{- if or (eq (default "" (default dict .sink).kind) "jsonl") (and (eq .stage "fetch_recording") .root.Values.recordings.existingClaim) }}true{{ end }}
{{- end }}
