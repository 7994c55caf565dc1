-- Health of a ModelVersion: a record. Whether it passed an evaluation is for those who serve it.
local function condition(kind)
  if obj.status == nil or obj.status.conditions == nil then
    return nil
  end
  for _, c in ipairs(obj.status.conditions) do
    if c.type == kind then
      return c
    end
  end
  return nil
end

local function holds(c)
  return c ~= nil and c.status == "True"
end

local function health(status, message)
  return { status = status, message = message or "" }
end

local revoked = condition("Revoked")
if holds(revoked) then
  return health("Degraded", "revoked: " .. (revoked.message or ""))
end
local stalled = condition("Stalled")
if holds(stalled) then
  return health("Degraded", stalled.message)
end
local ready = condition("Ready")
if holds(ready) then
  return health("Healthy", ready.message)
end
return health("Progressing", "waiting for the operator to look at it")
