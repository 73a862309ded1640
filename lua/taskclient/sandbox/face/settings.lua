-- The switches of schema.settings as they stand now: read again whenever another
-- process has written to the file. `settings.name` reads, `settings.set` writes.

local cjson = require "cjson.safe"
local db = require "taskclient.sandbox.face.db"
local schema = require "taskclient.sandbox.schema"

local M, cache, version = {}, {}, nil

local function refresh()
  local now = db.row("PRAGMA data_version").data_version
  if now == version then return end
  version, cache = now, {}
  for _, row in ipairs(db.rows "SELECT key, value FROM setting") do
    cache[row.key] = cjson.decode(row.value)
  end
end

---Reads what others wrote; called once per request and after every sleep.
function M.refresh() refresh() end

---Changes a switch from the face: counters that run down.
function M.set(name, value)
  db.run("INSERT OR REPLACE INTO setting(key, value) VALUES(?, ?)", name, cjson.encode(value))
  cache[name] = value
end

---Takes one from a counter; true while it was above zero. `true` never runs out.
function M.take(name)
  local left = M[name]
  if type(left) == "number" and left > 0 then
    M.set(name, left - 1)
    return true
  end
  return left == true
end

return setmetatable(M, { __index = function(_, name)
  local value = cache[name]
  if value == nil then return schema.settings[name] end
  return value
end })
