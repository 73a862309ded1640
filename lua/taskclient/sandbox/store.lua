-- The state database as Lua 5.4 processes see it (supervisor, engine, control): luasql with bound
-- texts, JSON settings, transactions. Knows schema.lua's tables; decides nothing.

local cjson = require "cjson"
local schema = require "taskclient.sandbox.schema"

local M = {}

M.state_file = "state.sqlite"
M.data_file = "data.sqlite"

local Store = {}
Store.__index = Store

-- A NUL would end the text inside luasql.
local function literal(connection, value)
  if value == nil then return "NULL" end
  if type(value) == "number" then
    return math.type(value) == "integer" and tostring(value) or ("%.17g"):format(value)
  end
  if type(value) == "boolean" then return value and "1" or "0" end
  return "'" .. connection:escape((value:gsub("%z", "\u{FFFD}"))) .. "'"
end

---Opens a database file; creates nothing in it.
---@param path string
---@return table store
function M.open(path)
  local environment = require("luasql.sqlite3").sqlite3()
  local connection = assert(environment:connect(path))
  local store = setmetatable({ environment = environment, connection = connection }, Store)
  for _, pragma in ipairs(schema.pragmas) do store:rows(pragma) end
  return store
end

---The state database of a sandbox's folder, with its tables.
---@param dir string
---@return table store
function M.open_state(dir)
  local store = M.open(dir .. "/" .. M.state_file)
  for _, name in ipairs { "schema", "lindorm_schema" } do
    for _, statement in ipairs(require("taskclient.sandbox." .. name).ddl) do
      store:run(statement)
    end
  end
  return store
end

-- `?` stands for the next argument; a nil argument is SQL NULL.
local function fill(connection, sql, n, arguments)
  local i = 0
  local text = sql:gsub("%?", function()
    i = i + 1
    return literal(connection, arguments[i])
  end)
  assert(i == n, "wrong number of arguments for: " .. sql)
  return text
end

---Runs one statement.
---@return table|integer cursor of a query, or the number of rows changed
function Store:run(sql, ...)
  local n = select("#", ...)
  if n > 0 then sql = fill(self.connection, sql, n, { ... }) end
  local answer, reason = self.connection:execute(sql)
  if not answer then error(tostring(reason) .. " in: " .. sql:sub(1, 300), 0) end
  return answer
end

---All rows of a query, keyed by column name; NULL is an absent key.
function Store:rows(sql, ...)
  local cursor, rows = self:run(sql, ...), {}
  if type(cursor) == "number" then return rows end
  local row = cursor:fetch({}, "a")
  while row do
    rows[#rows + 1] = row
    row = cursor:fetch({}, "a")
  end
  cursor:close()
  return rows
end

function Store:row(sql, ...) return self:rows(sql, ...)[1] end

---Runs `work` in one transaction; an error rolls it back and goes on.
function Store:transaction(work, ...)
  self:run "BEGIN IMMEDIATE"
  local ok, reason = xpcall(work, debug.traceback, ...)
  self:run(ok and "COMMIT" or "ROLLBACK")
  if not ok then error(reason, 0) end
end

---Writes settings; init.lua has checked what users give.
---@param settings table<string, any>
function Store:set(settings)
  self:transaction(function()
    for name, value in pairs(settings) do
      self:run("INSERT OR REPLACE INTO setting(key, value) VALUES(?, ?)", name, cjson.encode(value))
    end
  end)
end

---All settings, the defaults included.
---@return table<string, any>
function Store:settings()
  local settings = setmetatable({}, { __index = M.defaults })
  for _, row in ipairs(self:rows "SELECT key, value FROM setting") do
    settings[row.key] = cjson.decode(row.value)
  end
  return settings
end

---Queues a command for the engine (schema.commands).
function Store:command(kind, task, args)
  args = args and cjson.encode(args)
  self:run("INSERT INTO command(kind, task, args) VALUES(?, ?, ?)", kind, task, args)
end

function Store:close()
  self.connection:close()
  self.environment:close()
end

M.defaults = {}
for _, part in ipairs { schema, (require "taskclient.sandbox.lindorm_schema") } do
  for name, value in pairs(part.settings) do M.defaults[name] = value end
end

return M
