-- The sub-jobs in an info reply, whatever their members are called; nothing of
-- their form is published (protocols L7). Never decides a task's end.

local each = require "taskclient.compat".each

local M = {}

-- kind of sub-job <- members of info, in lower case; the older API's among them
local KINDS = {
  { "schema", "schemajob", "schemajobs", "schemetasks" }, { "full", "fulljobs" },
  { "incr", "incrjobs", "inrcjobs" }, { "check", "checkjobs" },
  { "merge", "mergejobs", "mergetasks" }, { "bulkload", "bulkloadjobs" },
}
local NAMES = { "jobname", "taskname", "procid", "name" }
-- a task of the older API that was not needed
local SKIPPED = "skipped"

-- The same members by their names in lower case.
local function folded(t)
  local out = {}
  for name, value in each(t) do
    if type(name) == "string" then out[name:lower()] = value end
  end
  return out
end

--- A word of the server, which may be a number; nil for anything else.
---@param value any
---@return string|nil
function M.word(value)
  if type(value) == "string" then return value end
  return type(value) == "number" and tostring(value) or nil
end

local function first_word(members, names)
  for _, name in ipairs(names) do
    local word = M.word(members[name])
    if word then return word end
  end
end

local function stage_of(kind, raw, state_of)
  if type(raw) ~= "table" then return { kind = kind, raw = raw, state = "unknown" } end
  local members = folded(raw)
  local native = first_word(members, { "state", "status" })
  local skipped = native and native:lower() == SKIPPED
  return {
    kind = kind, name = first_word(members, NAMES), native = native, raw = raw,
    state = skipped and "succeeded" or state_of(native),
    table = first_word(members, { "table", "tablename" }),
  }
end

-- A list, or a single object, or nothing.
local function elements(value)
  if type(value) ~= "table" then return {} end
  if value[1] ~= nil then return value end
  return next(value) ~= nil and { value } or {}
end

--- The sub-jobs in the order of the kinds.
---@param info table
---@param state_of fun(native: any): string
---@return table[]
function M.list(info, state_of)
  local list, members = {}, folded(info)
  for _, kind in ipairs(KINDS) do
    for i = 2, #kind do
      for _, raw in ipairs(elements(members[kind[i]])) do
        list[#list + 1] = stage_of(kind[1], raw, state_of)
      end
    end
  end
  return list
end

--- The share of sub-jobs that are done; nil when nothing can be said.
---@param list table[] from `list`
---@return number|nil
function M.fraction(list)
  local done = 0
  for _, stage in ipairs(list) do
    if not stage.native then return nil end
    if stage.state == "succeeded" then done = done + 1 end
  end
  return #list > 0 and done / #list or nil
end

return M
