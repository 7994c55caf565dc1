{{/* Exactly the verbs that the operator uses; none on Secrets. The same as in deploy/operator.yaml, which a test compares. */}}
{{- define "serin.rules" -}}
- apiGroups: [serin.dev]
  resources: [modeldeployments, retrainpolicies]
  verbs: [get, list, watch]
# A policy starts runs, and never changes or deletes one.
- apiGroups: [serin.dev]
  resources: [trainingruns]
  verbs: [get, list, watch, create]
# A version is made by its run and belongs to nobody; it is never deleted.
- apiGroups: [serin.dev]
  resources: [modelversions]
  verbs: [get, list, watch, create]
- apiGroups: [serin.dev]
  resources: [modeldeployments/status, trainingruns/status, modelversions/status, retrainpolicies/status]
  verbs: [patch]
# Only asked for where the OwnerReferencesPermissionEnforcement admission plugin is on (OpenShift).
- apiGroups: [serin.dev]
  resources: [modeldeployments/finalizers, trainingruns/finalizers, retrainpolicies/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# A Job is made once and never changed: a queue writes to it, too.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch]
{{- if not .Values.watchNamespace }}
# For the strategy Shadow: whether a gateway copies requests. A GatewayClass is in no namespace: with a Role alone
# `mirroringGateways` says it.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, gatewayclasses]
  verbs: [get]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* One of the replicas decides: it has this lease, and renews it. */}}
{{- define "serin.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "serin.name" . }}]
  verbs: [get, list, watch, patch]
# What is not there yet has no name that a rule could be bound to.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end -}}
