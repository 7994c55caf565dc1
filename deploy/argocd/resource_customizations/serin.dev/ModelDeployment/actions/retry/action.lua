-- What was rejected last: by the spec, or by a channel's bar, which may be from before this object was made.
local last = obj.status ~= nil and obj.status.lastFailed or nil
if obj.status ~= nil and obj.status.channel ~= nil then
  for _, bar in ipairs(obj.status.channel.bars or {}) do
    if last == nil or bar.at > last.at then
      last = bar
    end
  end
end
if last ~= nil then
  obj.metadata.annotations = obj.metadata.annotations or {}
  obj.metadata.annotations["serin.dev/retry"] = last.revision .. " " .. obj.metadata.resourceVersion
end
return obj
