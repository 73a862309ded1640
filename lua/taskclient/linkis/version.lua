-- What a pinned server version means (protocols 6). Without one the client
-- finds out what a server can do by what it answers. Knows numbers; asks nobody.

local each = require "taskclient.compat".each

local M = {}

-- below this version -> what the client takes for granted
local BELOW = {
  { { 1, 0, 0 }, { old = true } },
  { { 1, 1, 1 }, { no_resources = true, kill_jobs_plain = true } },
  { { 1, 5, 0 }, { null_exact = false } },
  { { 1, 7, 0 }, { batch = "list" } },
}
local NEWEST = { null_exact = true, batch = "ids" }

local function parse(text)
  local major, minor, patch = text:match "^v?(%d+)%.(%d+)%.?(%d*)$"
  return major and { tonumber(major), tonumber(minor), tonumber(patch) or 0 }
end

local function is_below(version, limit)
  for i = 1, 3 do
    if version[i] ~= limit[i] then return version[i] < limit[i] end
  end
  return false
end

--- The client's fields for a version such as "1.4" or "1.8.0"; nil: not a version.
---@param text string
---@return table|nil
function M.fields(text)
  local version, fields = parse(text), {}
  if not version then return nil end
  for name, value in each(NEWEST) do fields[name] = value end
  for _, row in ipairs(BELOW) do
    if is_below(version, row[1]) then
      for name, value in each(row[2]) do fields[name] = value end
    end
  end
  return fields
end

return M
