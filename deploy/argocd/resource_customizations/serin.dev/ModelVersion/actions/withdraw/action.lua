if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["serin.dev/approved"] = nil
end
return obj
