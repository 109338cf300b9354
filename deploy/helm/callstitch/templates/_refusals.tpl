{{/* What cannot run is refused while it is rendered, with the reason; values.schema.json has the shapes. */}}
{{- define "callstitch.refusals" -}}
{{- $v := .Values -}}
{{- $config := $v.config -}}
{{- include "callstitch.clear" (dict "at" "config" "value" $config) -}}
{{- $broker := default "" $config.broker -}}
{{- $env := $v.secrets.env -}}
{{- if not (or $broker (hasKey $env "CALLSTITCH_BROKER")) }}{{ fail "config.broker is missing: amqp://user@host/vhost, or CALLSTITCH_BROKER under secrets.env" }}{{ end -}}
{{- if and $broker (not (regexMatch "^amqps?://" $broker)) }}{{ fail "config.broker must be amqp:// or amqps://: the embedded broker is one process, and this chart runs many" }}{{ end -}}
{{- $store := default "" $config.store -}}
{{- if hasPrefix "sqlite:" $store }}{{ fail "config.store must be postgresql://: on sqlite dedupe, correlate and park are one process each on one machine, so no pod of them could be added, moved or replaced without a gap" }}{{ end -}}
{{- if and $store (not (regexMatch "^postgres(ql)?://" $store)) }}{{ fail "config.store must be postgresql://" }}{{ end -}}
{{- if not (or $store (hasKey $env "CALLSTITCH_STORE")) }}{{ fail "the store is missing: config.store without a password, or CALLSTITCH_STORE: {name: SECRET, key: KEY} under secrets.env" }}{{ end -}}
{{- range $what, $url := dict "config.broker" $broker "config.store" $store -}}
{{- if regexMatch "^[a-z]+://[^@/]*:[^@/]*@" $url }}{{ fail (printf "%s holds a password: it would stand in a ConfigMap; put the URL, or CALLSTITCH_BROKER_PASSWORD, into a Secret" $what) }}{{ end -}}
{{- end -}}
{{- $objects := default "" $config.objects -}}
{{- if $v.stages.fetch_recording.enabled -}}
{{- if and (not (hasPrefix "s3://" $objects)) (not (hasKey $env "CALLSTITCH_OBJECTS")) -}}
{{- if not (and $v.recordings.existingClaim (hasPrefix "file:/var/lib/callstitch/recordings" $objects)) }}{{ fail "config.objects must be s3://..., or file:/var/lib/callstitch/recordings with recordings.existingClaim; or set stages.fetch_recording.enabled=false" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $config.rule (not $v.stages.decide.enabled) }}{{ fail "config.rule has rules, and nobody to answer by them: stages.decide.enabled=true" }}{{ end -}}
{{- $probe := $v.ingest.readiness -}}
{{- if le (int $v.ingest.drainDelaySeconds) (add (mul (int $probe.periodSeconds) (int $probe.failureThreshold)) (int $probe.timeoutSeconds) | int) }}{{ fail "ingest.drainDelaySeconds must be longer than ingest.readiness takes to see a 503 (periodSeconds x failureThreshold + timeoutSeconds)" }}{{ end -}}
{{- $names := list -}}
{{- range $sink := $config.sink -}}
{{- $names = append $names $sink.name -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $sink.name) }}{{ fail (printf "sink %s: Kubernetes wants a name that begins and ends with a letter or a digit" $sink.name) }}{{ end -}}
{{- if eq $sink.kind "jsonl" -}}
{{- $own := default dict (get $v.stages.fan_out.sinks $sink.name) -}}
{{- if not (and $own.existingClaim (hasPrefix (printf "/var/lib/callstitch/%s/" $sink.name) (default "" $sink.path))) }}{{ fail (printf "sink %s writes a file: set stages.fan_out.sinks.%s.existingClaim, and its path below /var/lib/callstitch/%s/" $sink.name $sink.name $sink.name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name := keys $v.stages.fan_out.sinks -}}
{{- if not (has $name $names) }}{{ fail (printf "stages.fan_out.sinks.%s: the config has no sink of that name" $name) }}{{ end -}}
{{- end -}}
{{- range $worker := include "callstitch.workers" . | fromYamlArray -}}
{{- if gt (len $worker.name) 54 }}{{ fail (printf "%s is too long a name for what KEDA makes of it (54 characters): set fullnameOverride" $worker.name) }}{{ end -}}
{{- end -}}
{{- range $stage := list "dedupe" "correlate" "park" -}}
{{- if lt (int (get $v.stages $stage).autoscaling.minReplicas) 1 }}{{ fail (printf "stages.%s.autoscaling.minReplicas must be 1 at least: it has deadlines to keep while its queue is empty" $stage) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* A key that is named like a secret holds a reference, wherever it stands. */}}
{{- define "callstitch.clear" -}}
{{- $at := .at -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- if and (regexMatch "(^|_)(secrets?|tokens?|passwords?|token_key|push_url)$" $key) (not (kindIs "map" $value)) -}}
{{- range $one := (kindIs "slice" $value | ternary $value (list $value)) -}}
{{- if not (regexMatch "^(env|file):" (toString $one)) }}{{ fail (printf "%s.%s holds a secret in clear: write env:NAME or file:PATH" $at $key) }}{{ end -}}
{{- end -}}
{{- else -}}
{{- include "callstitch.clear" (dict "at" (printf "%s.%s" $at $key) "value" $value) -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $one := .value }}{{ include "callstitch.clear" (dict "at" $at "value" $one) }}{{ end -}}
{{- end -}}
{{- end }}
