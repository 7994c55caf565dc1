-- A run that is over is neither suspended nor resumed.
local over = obj.status ~= nil and obj.status.completion ~= nil
local suspended = obj.spec.suspend == true

local actions = {}
actions["suspend"] = { ["disabled"] = over or suspended }
actions["resume"] = { ["disabled"] = over or not suspended }
return actions
