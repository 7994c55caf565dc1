-- What a person may decide now. Everything else is shown and disabled.
local status = obj.status or {}
local candidate = status.candidate
local paused = obj.spec.rollout ~= nil and obj.spec.rollout.paused == true

-- What was revoked is not tried again, whoever asks.
local function rejected()
  for _, c in ipairs(status.conditions or {}) do
    if c.type == "Stalled" and c.status == "True" and c.reason == "Rejected" then
      return status.lastFailed ~= nil and status.lastFailed.reason ~= "VersionRevoked"
    end
  end
  return status.channel ~= nil and status.channel.bars ~= nil and status.channel.bars[1] ~= nil
end

-- At the last step only a promotion is left, unless the step itself waits for a person.
local function skippable()
  if candidate == nil or candidate.phase ~= "Canary" or candidate.skippedStep == candidate.stepIndex then
    return false
  end
  local steps = status.resolved ~= nil and status.resolved.steps or {}
  local step = steps[candidate.stepIndex]
  return step ~= nil and (steps[candidate.stepIndex + 1] ~= nil or step.pause == true)
end

local actions = {}
actions["promote-full"] = {
  ["disabled"] = candidate == nil or candidate.takesOver ~= nil,
  ["displayName"] = "Promote now",
}
actions["abort"] = {
  ["disabled"] = candidate == nil or candidate.phase == "Retreating",
  ["displayName"] = "Send back",
}
actions["skip-current-step"] = { ["disabled"] = not skippable(), ["displayName"] = "Skip this step" }
actions["retry"] = { ["disabled"] = not rejected(), ["displayName"] = "Try the rejected version again" }
actions["pause"] = { ["disabled"] = paused }
actions["resume"] = { ["disabled"] = not paused }
return actions
