-- Another word than before starts one run, and ends a stop; two clicks on one screen are one word.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["serin.dev/retrain"] = "argo-cd-" .. obj.metadata.resourceVersion
return obj
