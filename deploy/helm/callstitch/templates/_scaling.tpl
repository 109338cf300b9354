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

{{/* Notifications or facts that a stage takes, a second. */}}
{{- define "callstitch.work" -}}
sum(rate(callstitch_stage_received_total{stage="{{ .stage }}"{{ with .selector }},{{ . }}{{ end }}}[1m]))
{{- end }}
