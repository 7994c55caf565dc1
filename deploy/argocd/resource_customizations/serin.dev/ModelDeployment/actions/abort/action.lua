-- An order names the revision that was seen, and counts once a value: two clicks on one screen are one order.
if obj.status ~= nil and obj.status.candidate ~= nil then
  obj.metadata.annotations = obj.metadata.annotations or {}
  obj.metadata.annotations["serin.dev/abort"] = obj.status.candidate.revision .. " " .. obj.metadata.resourceVersion
end
return obj
