-- Health of a RetrainPolicy. A run that goes on, or failed, is an object of its own: the policy does what it is for.
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

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waiting for the operator to look at this spec")
end
local stalled = condition("Stalled")
if holds(stalled) then
  return health("Degraded", stalled.message)
end
local ready = condition("Ready")
if obj.status.phase == "Suspended" then
  return health("Suspended", ready ~= nil and ready.message or "")
end
if holds(ready) then
  return health("Healthy", ready.message)
end
return health("Progressing", ready ~= nil and ready.message or "")
