-- A run by hand is held by nothing but a suspension and a run that goes on.
local suspended = obj.spec.suspend == true
local active = obj.status ~= nil and obj.status.active ~= nil

local actions = {}
actions["retrain"] = { ["disabled"] = suspended or active, ["displayName"] = "Train now" }
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }
return actions
