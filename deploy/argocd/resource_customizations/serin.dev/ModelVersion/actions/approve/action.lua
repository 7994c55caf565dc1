-- The value is a word for people. Who it was is in Argo CD's log and in the apiserver's audit log.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["serin.dev/approved"] = "in Argo CD"
return obj
