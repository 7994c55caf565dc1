-- Health of a TrainingRun. A queued run is Progressing: a Suspended object would hold up a sync that waits for it.
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
local reconciling = condition("Reconciling")
if holds(reconciling) then
  if obj.status.phase == "Suspended" then
    return health("Suspended", reconciling.message)
  end
  return health("Progressing", reconciling.message)
end
local ready = condition("Ready")
if holds(ready) then
  return health("Healthy", ready.message)
end
return health("Progressing", ready ~= nil and ready.message or "")
