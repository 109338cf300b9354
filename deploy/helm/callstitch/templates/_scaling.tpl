{{/* Up at once and by as many as there are, down one pod a minute after the given seconds of less. */}}
{{- define "callstitch.behavior" -}}
behavior:
  scaleUp:
    stabilizationWindowSeconds: 0
    selectPolicy: Max
    policies:
      - {type: Percent, value: 100, periodSeconds: 15}
      - {type: Pods, value: 4, periodSeconds: 15}
  scaleDown:
    stabilizationWindowSeconds: {{ . }}
    selectPolicy: Max
    policies:
      - {type: Pods, value: 1, periodSeconds: 60}
{{- end }}

{{- define "callstitch.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "callstitch.labels" (dict "root" .root "component" .component) | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "callstitch.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* What arrives for a stage, a second, as whoever passes it on counts it: (dict "stage" "dedupe" "selector" ""). */}}
{{- define "callstitch.work" -}}
{{- if eq .stage "dedupe" -}}
sum(rate(callstitch_accepted_total{{ with .selector }}{{ printf "{%s}" . }}{{ end }}[1m]))
{{- else if eq .stage "correlate" -}}
sum(rate(callstitch_outputs_total{stage="dedupe",kind="fact"{{ with .selector }},{{ . }}{{ end }}}[1m]))
{{- else -}}
{{ fail (printf "stages.%s.autoscaling.work: nobody counts what arrives there; set it to 0" .stage) }}
{{- end -}}
{{- end }}

{{/* How late a stage is, while its own queue holds anything: an age is that of the whole way, so that one which its
     forerunner made asks for no pods here: (dict "stage" "fan_out.crm" "queue" "..." "selector" ""). */}}
{{- define "callstitch.age" -}}
{{- $with := "" }}{{ with .selector }}{{ $with = printf ",%s" . }}{{ end -}}
max(callstitch_oldest_age_seconds{stage="{{ .stage }}"{{ $with }}}) and on() max(callstitch_queue_messages{queue="{{ .queue }}"{{ $with }}}) > 16
{{- end }}
