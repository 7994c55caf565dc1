-- A field of the spec: where Git says otherwise, the next sync takes it back.
obj.spec.rollout = obj.spec.rollout or {}
obj.spec.rollout.paused = true
return obj
