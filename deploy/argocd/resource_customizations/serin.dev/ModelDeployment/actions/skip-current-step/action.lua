-- The order names the revision and the step that were seen; at another step it does nothing.
if obj.status ~= nil and obj.status.candidate ~= nil then
  local candidate = obj.status.candidate
  obj.metadata.annotations = obj.metadata.annotations or {}
  obj.metadata.annotations["serin.dev/skip"] =
    candidate.revision .. " " .. candidate.stepIndex .. " " .. obj.metadata.resourceVersion
end
return obj
