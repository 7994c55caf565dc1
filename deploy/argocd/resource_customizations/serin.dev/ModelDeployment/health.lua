-- Health of a ModelDeployment. Only what a script of argocd-cm may use: no string library.
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

-- A status that speaks of an older spec says nothing about this one.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waiting for the operator to look at this spec")
end

local stalled = condition("Stalled")
if holds(stalled) then
  -- The evidence is in and decides nothing: that is a question to a person, and no failure.
  if stalled.reason == "HorizonReached" then
    return health("Suspended", stalled.message)
  end
  return health("Degraded", stalled.message)
end

local reconciling = condition("Reconciling")
if holds(reconciling) then
  if reconciling.reason == "Paused" then
    return health("Suspended", reconciling.message)
  end
  return health("Progressing", reconciling.message)
end

-- It goes on serving, as taking it away would be an outage; but Git names what nobody should serve.
local revoked = condition("Revoked")
if holds(revoked) then
  return health("Degraded", revoked.message)
end

local ready = condition("Ready")
if holds(ready) then
  return health("Healthy", ready.message)
end
return health("Progressing", ready ~= nil and ready.message or "waiting for its pods")
