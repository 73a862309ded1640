-- The spec's end of the fault server.
--
--   local fs = fault.start()
--   fs:script {
--     { match = "^POST .*/submit", times = 1, { "read" }, { "send", bytes }, { "rst" } },
--     { match = "/history", reply = fault.linkis { task = … } },
--     { accept = true, connection = 2, { "read", 40 }, { "fin" } },
--     default = { { "stall" } },
--   }
--   fs:requests "^POST"   fs:journal()   fs:release "name"   fs:stop()
--
-- A rule: match (pattern on the request line), times, connection (counted from
-- the script call), accept (acts before anything is read). Its steps: read [k],
-- head, send bytes, repeat bytes n, drip bytes k ms, wait ms, hold name, stall,
-- fin, rst. After its steps the connection serves the next request.

local cjson = require "cjson"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}
local Server = {}
Server.__index = Server

-- ---- bytes -----------------------------------------------------------------

local REASON = { [200] = "OK", [302] = "Found", [307] = "Temporary Redirect",
                 [401] = "Unauthorized", [404] = "Not Found", [429] = "Too Many Requests",
                 [500] = "Internal Server Error", [503] = "Service Unavailable" }

---A whole HTTP/1.1 reply; headers is a list of lines or nil.
function M.http(status, body, headers)
  local lines = { ("HTTP/1.1 %d %s"):format(status, REASON[status] or "Status") }
  for _, line in ipairs(headers or {}) do lines[#lines + 1] = line end
  lines[#lines + 1] = "Content-Length: " .. #body
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function json(value)
  return type(value) == "string" and value or cjson.encode(value)
end

local JSON = "Content-Type: application/json;charset=UTF-8"

---The Linkis envelope as JSON text; data is a table or JSON text.
function M.envelope(data, opts)
  opts = opts or {}
  return ('{"method":%s,"status":%d,"message":%s,"data":%s}'):format(
    cjson.encode(opts.method or "/api/test"), opts.status or 0,
    cjson.encode(opts.message or "OK"), data and json(data) or "null")
end

---A Linkis reply. opts: status and message of the envelope, http, headers.
function M.linkis(data, opts)
  opts = opts or {}
  local headers = { JSON }
  for _, line in ipairs(opts.headers or {}) do headers[#headers + 1] = line end
  return M.http(opts.http or 200, M.envelope(data, opts), headers)
end

---A Lindorm reply: fields of the JSON object, success "true" unless given.
function M.lindorm(fields, opts)
  local body = { success = "true" }
  for name, value in pairs(fields or {}) do body[name] = value end
  return M.http(opts and opts.http or 200, cjson.encode(body), { JSON })
end

---Spring Boot's error body.
function M.boot(status, path)
  return M.http(status, cjson.encode {
    timestamp = "2026-01-05T10:00:00.000+00:00", status = status,
    error = REASON[status], path = path or "/",
  }, { JSON })
end

-- ---- the server process ----------------------------------------------------

local function literal(value)
  if type(value) == "string" then
    return (("%q"):format(value):gsub("\\\n", "\\n"):gsub("\r", "\\r"):gsub("%z", "\\0"))
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local out = {}
  for key, item in pairs(value) do
    out[#out + 1] = "[" .. literal(key) .. "]=" .. literal(item)
  end
  return "{" .. table.concat(out, ",") .. "}"
end

---Starts a server on a free loopback port.
function M.start()
  local dir = process.tempdir()
  local self = setmetatable({ dir = dir, commands = 0, offset = 0 }, Server)
  -- without the library of `make sanitize`, which is for whoever loads the core
  self.pipe = assert(io.popen((
    "exec env -u LD_PRELOAD lua5.4 spec/support/fault_server.lua %s/journal >%s/err 2>&1")
    :format(dir, dir), "w"))
  self.port = self:await(function(entry) return entry.event == "ready" and entry.port end)
  self.url = "http://127.0.0.1:" .. self.port
  return self
end

local function complete_lines(text)
  return text:match "^(.*\n)" or ""
end

---Every entry since the last script: event ("open" "request" "fin" "close"),
---connection, time (s), and of a request: request (its number on the
---connection), complete, bytes, method, target, path, query, headers, body.
function Server:journal()
  local entries = {}
  local file = io.open(self.dir .. "/journal", "rb")
  if not file then return entries end
  file:seek("set", self.offset)
  for line in complete_lines(file:read "*a"):gmatch "[^\n]+" do
    entries[#entries + 1] = (loadstring or load)(line)() -- luacheck: ignore 113
  end
  file:close()
  return entries
end

---The requests received, complete or cut, whose request line matches.
function Server:requests(pattern)
  local found = {}
  for _, entry in ipairs(self:journal()) do
    local line = entry.event == "request" and entry.bytes:match "^[^\r\n]*"
    if line and (not pattern or line:find(pattern)) then found[#found + 1] = entry end
  end
  return found
end

---Waits until test(entry) is true for an entry, and gives what it gave.
function Server:await(test, timeout)
  return wait.eventually(function()
    for _, entry in ipairs(self:journal()) do
      local value = test(entry)
      if value then return value end
    end
  end, timeout, "the fault server's journal entry (" .. self:errors() .. ")")
end

function Server:errors()
  local file = io.open(self.dir .. "/err", "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

function Server:command(name, value)
  self.commands = self.commands + 1
  local id = self.commands
  self.pipe:write(id, " ", name, " ", literal(value), "\n")
  self.pipe:flush()
  self:await(function(entry) return entry.event == "done" and entry.id == id end)
end

local function normal(rule)
  local steps = rule.reply and { { "read" }, { "send", rule.reply } } or {}
  for i, step in ipairs(rule) do steps[i] = step end
  return { match = rule.match, times = rule.times, connection = rule.connection,
           accept = rule.accept, steps = steps }
end

---Replaces the script; the journal and the connection count begin anew.
function Server:script(script)
  local sent = { default = script.default }
  for i, rule in ipairs(script) do sent[i] = normal(rule) end
  self:command("script", sent)
  local file = assert(io.open(self.dir .. "/journal", "rb"))
  self.offset = file:seek "end"
  file:close()
end

---Lets every connection held under that name go on.
function Server:release(name) self:command("release", name) end

function Server:stop()
  if not self.pipe then return end
  self.pipe:write("0 quit nil\n")
  self.pipe:close()
  self.pipe = nil
  local text = self:errors()
  os.execute("rm -rf " .. process.quote(self.dir))
  assert(text == "", text)
end

return M
