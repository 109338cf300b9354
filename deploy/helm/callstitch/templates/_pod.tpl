{{/* A pod's template: (dict "root" $ "component" "dedupe" "args" list "own" values of the role "grace" seconds
     "probes" whether it lives on "config" name of the ConfigMap "mounts" list of {name, claim, path} "scratch" size of /tmp). */}}
{{- define "callstitch.pod" -}}
{{- $v := .root.Values -}}
metadata:
  annotations:
    {{- if $v.rollOnConfigChange }}
    checksum/config: {{ include "callstitch.toml" .root | sha256sum }}
    {{- end }}
    {{- with $v.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
  labels:
    {{- include "callstitch.labels" (dict "root" .root "component" .component) | nindent 4 }}
    {{- with $v.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ .serviceAccount | default (include "callstitch.serviceAccount" .root) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- if not .probes }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $v.runAsUser }}
    runAsGroup: {{ $v.runAsUser }}
    fsGroup: {{ $v.runAsUser }}
    seccompProfile: {type: RuntimeDefault}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if .probes }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "callstitch.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  {{- end }}
  containers:
    - name: callstitch
      image: {{ include "callstitch.image" (dict "root" .root "image" .own.image) }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        - {name: CALLSTITCH_CONFIG, value: /etc/callstitch/config/callstitch.toml}
        {{- range $name, $ref := $v.secrets.env }}
        - name: {{ $name }}
          valueFrom: {secretKeyRef: {name: {{ $ref.name }}, key: {{ $ref.key }}}}
        {{- end }}
        {{- with $v.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with $v.secrets.existingSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      {{- if .probes }}
      ports:
        {{- if eq .component "ingest" }}
        - {name: http, containerPort: 8080}
        {{- end }}
        - {name: admin, containerPort: 8081}
      startupProbe:            # without a broker it ends by itself with 69 after half a minute
        httpGet: {path: /livez, port: admin}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 45
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml (default (dict "periodSeconds" 5 "timeoutSeconds" 2 "failureThreshold" 2) .own.readiness) | nindent 8 }}
      {{- end }}
      resources: {{ toYaml (default $v.resources .own.resources) | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/callstitch/config, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if $v.secrets.files }}
        - {name: secrets, mountPath: /etc/callstitch/secrets, readOnly: true}
        {{- end }}
        {{- range .mounts }}
        - {name: {{ .name }}, mountPath: {{ .path }}}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ .config | default (include "callstitch.fullname" .root) }}}
    - name: tmp
      emptyDir: {sizeLimit: {{ .scratch | default "64Mi" }}}
    {{- with $v.secrets.files }}
    - name: secrets
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- range .mounts }}
    - name: {{ .name }}
      persistentVolumeClaim: {claimName: {{ .claim }}}
    {{- end }}
{{- end }}
