-- As if it had never been paused. A field of the spec: where Git says otherwise, the next sync takes it back.
if obj.spec.rollout ~= nil then
  obj.spec.rollout.paused = nil
end
return obj
