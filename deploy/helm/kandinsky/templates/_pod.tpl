{{/*
The pod of a component: (dict "root" $ "component" "api|worker|server" "command" "..." "pool" values-of-the-component "device" "..." "model" true).
*/}}
{{- define "kandinsky.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $pool := .pool -}}
{{- $gpus := int (dig "gpu" "count" 0 $pool) -}}
metadata:
  labels:
    {{- include "kandinsky.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with .poolName }}
    kandinsky/pool: {{ . }}
    {{- end }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "kandinsky.serviceAccount" $root }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ $pool.terminationGracePeriodSeconds }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with dig "runtimeClassName" "" $pool }}
  runtimeClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: kandinsky
      image: {{ include "kandinsky.image" . }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [{{ .command }}, --config, /etc/kandinsky/kandinsky.toml]
      env:
        {{- include "kandinsky.environment" . | nindent 8 }}
      ports:
        - name: http
          containerPort: 8080
      # A checkpoint takes minutes to load, and the first start of a machine longer.
      startupProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        failureThreshold: 180
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      # Whether the process answers, whatever becomes of what it needs.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources:
        requests:
          {{- toYaml $pool.resources.requests | nindent 10 }}
          {{- if $gpus }}
          {{ $pool.gpu.resource }}: {{ $gpus }}
          {{- end }}
        limits:
          {{- toYaml $pool.resources.limits | nindent 10 }}
          {{- if $gpus }}
          {{ $pool.gpu.resource }}: {{ $gpus }}
          {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: config, mountPath: /etc/kandinsky, readOnly: true}
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        {{- if ne $values.models.source "embedded" }}
        - {name: models, mountPath: /models, readOnly: true}
        {{- end }}
        {{- if $values.auth.existingSecret }}
        - {name: keys, mountPath: /run/secrets/kandinsky, readOnly: true}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "kandinsky.fullname" $root }}
    - name: data
      {{- if and (eq .component "server") $pool.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-data" (include "kandinsky.fullname" $root)) $pool.persistence.existingClaim }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - name: tmp
      emptyDir: {}
    {{- if ne $values.models.source "embedded" }}
    - name: models
      persistentVolumeClaim:
        claimName: {{ include "kandinsky.modelClaim" $root }}
        readOnly: true
    {{- end }}
    {{- if $values.auth.existingSecret }}
    - name: keys
      secret:
        secretName: {{ $values.auth.existingSecret }}
        defaultMode: 288
        items: [{key: {{ $values.auth.key }}, path: keys}]
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with dig "nodeSelector" dict $pool }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with dig "affinity" dict $pool }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $tolerations := dig "tolerations" list $pool }}
  {{- if and $gpus (not $tolerations) }}
  tolerations:
    - {key: {{ $pool.gpu.resource }}, operator: Exists, effect: NoSchedule}
  {{- else if $tolerations }}
  tolerations:
    {{- toYaml $tolerations | nindent 4 }}
  {{- end }}
  {{- if eq .component "api" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "kandinsky.selector" $root | nindent 10 }}
          app.kubernetes.io/component: api
  {{- end }}
{{- end -}}

{{/* What is secret, or of one component; everything else is in the ConfigMap. */}}
{{- define "kandinsky.environment" -}}
{{- $values := .root.Values -}}
- {name: HF_HOME, value: /models/huggingface}
{{- $server := dig "server" dict $values.config }}
{{- if not (hasKey $server "drain_grace_s") }}
{{- /* Of the time until the pod is killed, without the delay before the drain, and 15 s: the last step of what runs, putting jobs back, the
       last responses. */}}
{{- $delay := int (dig "shutdown_delay_s" 5 $server) }}
- {name: KANDINSKY__SERVER__DRAIN_GRACE_S, value: {{ max 0 (sub (int .pool.terminationGracePeriodSeconds) (add $delay 15)) | quote }}}
{{- end }}
{{- if .model }}
- {name: KANDINSKY__MODEL__DEVICE, value: {{ .pool.device | quote }}}
- {name: KANDINSKY__MODEL__DTYPE, value: {{ .pool.dtype | quote }}}
{{- end }}
{{- if $values.fleet.enabled }}
{{ include "kandinsky.secret" (list "KANDINSKY__STORE__URL" $values.database.existingSecret $values.database.key) }}
{{ include "kandinsky.secret" (list "KANDINSKY__BROKER__URL" $values.nats.existingSecret $values.nats.key) }}
{{- with $values.objectStore.existingSecret }}
{{ include "kandinsky.secret" (list "KANDINSKY__PICTURES__ACCESS_KEY_ID" . "access-key-id") }}
{{ include "kandinsky.secret" (list "KANDINSKY__PICTURES__SECRET_ACCESS_KEY" . "secret-access-key") }}
{{- end }}
{{- end }}
{{- with $values.auth.urlSecret.existingSecret }}
{{ include "kandinsky.secret" (list "KANDINSKY__AUTH__URL_SECRET" . $values.auth.urlSecret.key) }}
{{- end }}
{{- if ne .component "worker" }}
{{- /* Workers write webhooks to the database; servers of the API sign and deliver them. */}}
{{- with $values.webhooks.existingSecret }}
{{ include "kandinsky.secret" (list "KANDINSKY__WEBHOOKS__SECRET" . $values.webhooks.key) }}
{{- end }}
{{- end }}
{{- with $values.moderation.existingSecret }}
{{ include "kandinsky.secret" (list "KANDINSKY__MODERATION__REMOTE_KEY" . $values.moderation.key) }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A variable from a secret: (list NAME SECRET KEY). */}}
{{- define "kandinsky.secret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end -}}
