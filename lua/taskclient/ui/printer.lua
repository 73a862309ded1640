-- printer.lua: a ready `log = function(level, event)` for clients: one readable
-- line per event. Knows the event's fields, which never hold a secret.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local options = require "taskclient.options"

local M = {}

local RANK = { debug = 1, info = 2, warn = 3, error = 4 }
local LONGEST = 2000 -- bytes of a value
local FIRST = { "operation", "job_id", "http_status", "seconds", "attempt", "delay" }

-- What a server says may hold commands for a terminal, and lines that look like another event.
local function one_line(value)
  return (core.clean(tostring(value), LONGEST):gsub("[\n\t]", " "))
end

local function shown(name, value)
  if type(value) == "number" and (name == "seconds" or name == "delay") then
    return string.format("%s=%.3f", name, value)
  end
  local text = one_line(value)
  return name .. "=" .. (text:find '[ ="]' and '"' .. text:gsub('"', '\\"') .. '"' or text)
end

local function fields(event)
  local list, seen = {}, { what = true }
  for _, name in ipairs(FIRST) do
    if event[name] ~= nil then list[#list + 1] = shown(name, event[name]) end
    seen[name] = true
  end
  local rest = {}
  for name in each(event) do
    if not seen[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do list[#list + 1] = shown(name, event[name]) end
  return table.concat(list, " ")
end

--- A printer of a client's events.
---@param opts? table level = "debug"|"info"|"warn"|"error" (least that is printed, default
---   "info"),
---  write = fun(line) (default to stderr; `function(line) bar:print(line) end` beside a bar)
---@return fun(level: string, event: table)
function M.new(opts)
  opts = options.check("printer", opts, { level = "string", write = "function" })
  local least = RANK[opts.level or "info"]
  if not least then
    options.raise("printer", options.unknown("level", opts.level,
      { "debug", "info", "warn", "error" }))
  end
  local write = opts.write or function(text) io.stderr:write(text, "\n") end
  return function(level, event)
    if (RANK[level] or 4) < least then return end
    write(string.format("%s %-5s %s %s", os.date("%H:%M:%S", math.floor(core.time())), level,
      one_line(event.what), fields(event)))
  end
end

return M
