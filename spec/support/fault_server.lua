-- The fault server: a byte-exact HTTP peer, its own process (lua5.4 and luv).
-- Commands come as lines on standard input, the journal goes to a file; it ends
-- when standard input does. Knows HTTP framing and nothing of the two servers.
-- spec/support/fault.lua says how scripts look.

local uv = require "luv"

local journal = assert(io.open(arg[1], "wb"))
journal:setvbuf "full"

local rules, released, connections = {}, {}, 0
local fallback = { { "read" }, { "send", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" } }
local waiting = {} -- name of a hold -> coroutines

local function literal(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n") or tostring(value)
  end
  local out = {}
  for key, item in pairs(value) do
    out[#out + 1] = ("[%s]=%s"):format(literal(key), literal(item))
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function record(entry)
  entry.time = uv.hrtime() / 1e9
  journal:write("return ", literal(entry), "\n")
  journal:flush()
end

-- ---- one connection --------------------------------------------------------

local Connection = {}
Connection.__index = Connection

local function resume(self, ...)
  local co = self.co
  if not co or coroutine.status(co) ~= "suspended" then return end
  local ok, err = coroutine.resume(co, ...)
  if not ok then
    io.stderr:write(debug.traceback(co, tostring(err)), "\n")
    self:close("error")
  end
end

-- Make a waker, hand it to whatever ends the wait, then suspend. A waker works
-- once and only for the wait it was made for.
local function suspend(self)
  self.turn = self.turn + 1
  return coroutine.yield()
end

local function waker(self)
  local turn = self.turn + 1
  return function(...)
    if self.turn == turn then
      self.turn = turn + 1
      resume(self, ...)
    end
  end
end

local function pause(self, ms)
  local timer = uv.new_timer()
  local wake = waker(self)
  timer:start(ms, 0, function()
    timer:close()
    wake()
  end)
  suspend(self)
end

local function more(self) -- false once the peer has closed
  if self.eof then return false end
  self.on_data = waker(self)
  suspend(self)
  return true
end

local function head_end(data)
  local _, at = data:find("\r\n\r\n", 1, true)
  return at
end

local function body_end(data, at)
  local head = data:sub(1, at):lower()
  local length = tonumber(head:match "\r\ncontent%-length:%s*(%d+)" or "")
  if length then return #data >= at + length and at + length end
  if head:find("\r\ntransfer%-encoding:%s*chunked") then
    local _, stop = data:find("\r\n0\r\n\r\n", at - 1, true)
    return stop
  end
  return at
end

-- How many bytes the request at the front takes, nil while it is incomplete.
local function whole(data)
  local at = head_end(data)
  return at and body_end(data, at) or nil
end

local function headers_of(head)
  local headers = {}
  for name, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    headers[name:lower()] = value
  end
  return headers
end

-- The journal's entry of the request bytes seen so far, complete or cut.
local function note_request(self, bytes, complete)
  if self.noted or #bytes == 0 then return end
  self.noted = true
  local at = head_end(bytes)
  local method, target = bytes:match "^(%S+) (%S+) HTTP/1%.[01]\r\n"
  record {
    event = "request", connection = self.number, request = self.requests, complete = complete,
    bytes = bytes, method = method, target = target, path = target and target:match "^[^?]*",
    query = target and target:match "%?(.*)$", headers = headers_of(at and bytes:sub(1, at) or ""),
    body = at and bytes:sub(at + 1) or nil,
  }
end

function Connection:close(by)
  if self.closed then return end
  self.closed = true
  note_request(self, self.data, false)
  record { event = "close", connection = self.number, by = by }
  if not self.socket:is_closing() then self.socket:close() end
end

local function write(self, bytes)
  if self.closed then return end
  local wake = waker(self)
  local ok = self.socket:write(bytes, function(err)
    if err then self:close("peer") end
    wake()
  end)
  if ok then suspend(self) end
end

-- ---- steps -----------------------------------------------------------------

local steps = {}

-- all of the request, or its first k bytes (0: none)
function steps.read(self, k)
  while k and #self.data < k or not k and not whole(self.data) do
    if not more(self) then return self:close("peer") end
  end
  if not k then note_request(self, self.data:sub(1, whole(self.data)), true) end
end

function steps.head(self)
  while not head_end(self.data) do
    if not more(self) then return self:close("peer") end
  end
end

function steps.send(self, bytes) write(self, bytes) end

steps["repeat"] = function(self, bytes, count)
  for _ = 1, count do
    if self.closed then return end
    write(self, bytes)
  end
end

-- bytes in pieces of k, ms apart
function steps.drip(self, bytes, k, ms)
  for at = 1, #bytes, k do
    if self.closed or self.eof then return end
    write(self, bytes:sub(at, at + k - 1))
    pause(self, ms)
  end
end

function steps.wait(self, ms) pause(self, ms) end

function steps.hold(self, name)
  if released[name] then return end
  waiting[name] = waiting[name] or {}
  table.insert(waiting[name], waker(self))
  suspend(self)
end

-- until the peer closes; what it sends meanwhile is read and forgotten
function steps.stall(self)
  note_request(self, self.data, whole(self.data) ~= nil)
  while more(self) do end -- luacheck: ignore 542
  self:close("peer")
end

-- a graceful end: FIN, then whatever the peer still sends is read
function steps.fin(self)
  if self.closed then return end
  note_request(self, self.data, whole(self.data) ~= nil)
  self.socket:shutdown(waker(self))
  suspend(self)
  record { event = "fin", connection = self.number }
  steps.stall(self)
end

function steps.rst(self)
  if self.closed then return end
  note_request(self, self.data, whole(self.data) ~= nil)
  self.closed = true
  record { event = "close", connection = self.number, by = "rst" }
  self.socket:close_reset()
end

-- ---- choosing a script -----------------------------------------------------

local function usable(rule, self, accept)
  return (rule.accept or false) == accept
    and (not rule.connection or rule.connection == self.number)
    and (not rule.times or rule.times > 0)
end

local function choose(self, accept, line)
  for _, rule in ipairs(rules) do
    if usable(rule, self, accept) and (accept or not rule.match or line:find(rule.match)) then
      if rule.times then rule.times = rule.times - 1 end
      return rule.steps
    end
  end
  return not accept and fallback or nil
end

local function perform(self, list)
  for _, step in ipairs(list) do
    if self.closed then return end
    steps[step[1]](self, table.unpack(step, 2))
  end
end

local function next_request(self)
  self.requests = self.requests + 1
  self.noted = false
  while not head_end(self.data) do
    if not more(self) then return self:close("peer") end
  end
  perform(self, choose(self, false, self.data:match "^[^\r\n]*"))
  if self.closed then return end
  steps.read(self)
  if not self.closed then self.data = self.data:sub(whole(self.data) + 1) end
end

local function serve(self)
  local early = choose(self, true)
  if early then
    self.requests = 1
    perform(self, early)
    if not self.closed and whole(self.data) then self.data = self.data:sub(whole(self.data) + 1) end
  end
  while not self.closed do next_request(self) end
end

local function on_read(self, err, data)
  if data then self.data = self.data .. data end
  if err or not data then self.eof = true end
  local wake = self.on_data
  self.on_data = nil
  if wake then wake() end
end

local function accept(listener)
  local socket = uv.new_tcp()
  listener:accept(socket)
  socket:nodelay(true)
  connections = connections + 1
  local self = setmetatable({ socket = socket, number = connections, data = "", requests = 0,
                              turn = 0 }, Connection)
  record { event = "open", connection = self.number }
  socket:read_start(function(err, data) on_read(self, err, data) end)
  self.co = coroutine.create(serve)
  resume(self, self)
end

-- ---- commands --------------------------------------------------------------

local commands = {}

function commands.script(script)
  rules, released, connections = script, {}, 0
  if script.default then fallback = script.default end
end

function commands.release(name)
  released[name] = true
  local list = waiting[name] or {}
  waiting[name] = nil
  for _, wake in ipairs(list) do wake() end
end

-- the state is not closed: luv would still call back into it
function commands.quit() os.exit(0) end

local pending = ""

local function on_command(err, data)
  if err or not data then os.exit(0) end
  pending = pending .. data
  local lines, rest = pending:match "^(.*\n)([^\n]*)$"
  if not lines then return end
  pending = rest
  for line in lines:gmatch "[^\n]+" do
    local id, name, value = line:match "^(%d+) (%S+) (.*)$"
    commands[name](load("return " .. value, "=command", "t", {})())
    record { event = "done", id = tonumber(id) }
  end
end

uv.new_signal():start("sigpipe", function() end) -- or a peer that has left ends us

local listener = uv.new_tcp()
assert(listener:bind("127.0.0.1", 0))
assert(listener:listen(512, function(err) if not err then accept(listener) end end))
local input = uv.new_pipe(false)
input:open(0)
input:read_start(on_command)
record { event = "ready", port = listener:getsockname().port, pid = uv.os_getpid() }
uv.run()
