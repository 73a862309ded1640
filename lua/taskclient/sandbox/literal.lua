-- Plain data as Lua source text, to hand a table from one Lua process to another.
-- Knows tables, strings, numbers and booleans; runs on every Lua. Nothing else belongs here.

local each = require "taskclient.compat".each

local M = {}

local function scalar(value)
  if type(value) == "string" then return (string.format("%q", value):gsub("\\\n", "\\n")) end
  if type(value) == "number" and value % 1 == 0 and math.abs(value) < 2^53 then
    return string.format("%d", value)
  end
  return tostring(value)
end

local function write(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = scalar(value)
    return
  end
  out[#out + 1] = "{"
  for key, item in each(value) do
    out[#out + 1] = "[" .. scalar(key) .. "]="
    write(item, out)
    out[#out + 1] = ","
  end
  out[#out + 1] = "}"
end

---One line of Lua source that evaluates to `value`.
---@param value any table, string, number or boolean, nested as you like
---@return string
function M.encode(value)
  local out = { "return " }
  write(value, out)
  return table.concat(out)
end

---What `encode` wrote; nil when the text is anything else.
---@param text string
---@return any value, string? reason
function M.decode(text)
  local chunk, reason
  if _VERSION == "Lua 5.1" then
    chunk, reason = loadstring(text, "=data")
    if chunk then setfenv(chunk, {}) end
  else
    chunk, reason = load(text, "=data", "t", {})
  end
  if not chunk then return nil, reason end
  return chunk()
end

return M
