-- An approval changes something only for a version that passed its evaluation. A revocation cannot be taken back and
-- needs a reason: there is no button for it.
local function is_true(kind)
  for _, c in ipairs(obj.status ~= nil and obj.status.conditions or {}) do
    if c.type == kind then
      return c.status == "True"
    end
  end
  return false
end

local annotations = obj.metadata.annotations or {}
local approved = annotations["serin.dev/approved"] ~= nil
local revoked = is_true("Revoked") or annotations["serin.dev/revoked"] ~= nil

local actions = {}
actions["approve"] = { ["disabled"] = approved or revoked or not is_true("Evaluated") }
actions["withdraw"] = { ["disabled"] = not approved, ["displayName"] = "Withdraw the approval" }
return actions
