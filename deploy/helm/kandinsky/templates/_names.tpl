{{/* Names and labels that all objects share. */}}

{{- define "kandinsky.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kandinsky.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "kandinsky.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "kandinsky.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kandinsky.selector" -}}
app.kubernetes.io/name: {{ include "kandinsky.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kandinsky.labels" -}}
{{ include "kandinsky.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kandinsky.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kandinsky.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Of a component: (dict "root" $ "device" "cpu"). */}}
{{- define "kandinsky.image" -}}
{{- $image := .root.Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- $tag := default .root.Chart.AppVersion $image.tag -}}
{{- printf "%s:%s%s" $image.repository $tag (ternary "-cuda" "" (and (not $image.tag) (hasPrefix "cuda" .device))) -}}
{{- end -}}
{{- end -}}

{{- define "kandinsky.modelClaim" -}}
{{- default (printf "%s-models" (include "kandinsky.fullname" .)) .Values.models.cache.existingClaim -}}
{{- end -}}

{{/* What a fleet cannot be without. */}}
{{- define "kandinsky.checkFleet" -}}
{{- if .Values.fleet.enabled -}}
{{- if not .Values.database.existingSecret -}}{{- fail "fleet.enabled needs database.existingSecret: a secret with PostgreSQL's address" -}}{{- end -}}
{{- if not .Values.nats.existingSecret -}}{{- fail "fleet.enabled needs nats.existingSecret: a secret with NATS' address" -}}{{- end -}}
{{- if not .Values.objectStore.bucket -}}{{- fail "fleet.enabled needs objectStore.bucket: where images are kept" -}}{{- end -}}
{{- if not .Values.auth.urlSecret.existingSecret -}}{{- fail "fleet.enabled needs auth.urlSecret.existingSecret: what one server signs, all others check" -}}{{- end -}}
{{- if and (dig "webhooks" "enabled" true .Values.config) (not .Values.webhooks.existingSecret) -}}{{- fail "fleet.enabled needs webhooks.existingSecret: all servers sign with one secret (or turn webhooks off: config.webhooks.enabled=false)" -}}{{- end -}}
{{- if not .Values.workers -}}{{- fail "fleet.enabled needs a pool in workers" -}}{{- end -}}
{{- end -}}
{{- if and (not .Values.auth.existingSecret) (not .Values.auth.allowAnonymous) -}}
{{- fail "name a secret with API keys in auth.existingSecret, or let clients in without one: auth.allowAnonymous=true" -}}
{{- end -}}
{{- end -}}
