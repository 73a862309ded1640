-- The log cursor against servers built from the published page alone: arrays of
-- four, no openLog, no word on blank lines or on what fromLine is at the end. The
-- page leaves open how a server counts, so that each of these has its own way.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local logs = require "taskclient.linkis.logs.cursor"
local request = require "taskclient.rpc.request"

local EXEC = "030418IDEhivelocalhost010004:10087IDE_hadoop_21" -- the page's own sample

local clock = 1000

local function part(all, from, size)
  local lines = {}
  for i = from + 1, math.min(from + size, #all) do lines[#lines + 1] = all[i] end
  return lines
end

local function four(lines, ending)
  local text = table.concat(lines, "\n")
  return { "", "", "", #lines > 0 and text .. (ending or "") or text }
end

-- what a server says to (all lines, fromLine, size): log and fromLine
local WAYS = {
  ["as the page means it"] = function(all, from, size)
    local lines = part(all, from, size)
    return four(lines), from + #lines
  end,
  ["with a newline behind the last line"] = function(all, from, size)
    local lines = part(all, from, size)
    return four(lines, "\n"), from + #lines
  end,
  ["fromLine + size whatever there was"] = function(all, from, size)
    return four(part(all, from, size)), from + size
  end,
  ["the log's length as fromLine"] = function(all, from, size)
    return four(part(all, from, size)), #all
  end,
  ["fromLine as it was sent"] = function(all, from, size)
    return four(part(all, from, size)), from
  end,
  ["no fromLine"] = function(all, from, size) return four(part(all, from, size), "\n"), nil end,
  ["numbers as text, the log as one text"] = function(all, from, size)
    local lines = part(all, from, size)
    return table.concat(lines, "\n"), tostring(from + #lines)
  end,
  ["a hundred lines at most"] = function(all, from, size)
    local lines = part(all, from, math.min(size, 100))
    return four(lines), from + #lines
  end,
  ["the whole log each time"] = function(all) return four(all), #all end,
  ["the whole log each time, one further"] = function(all, from) return four(all), from + 1 end,
  ["the same page for ever"] = function(all, from) return four(all), from + 56 end,
}

local Server = {}
Server.__index = Server

local function new_server(way, total, step)
  return setmetatable({ way = way, total = total, step = step, all = {}, asked = 0 }, Server)
end

function Server:write(n)
  for i = #self.all + 1, math.min(#self.all + n, self.total) do
    self.all[i] = i % 7 == 3 and "" or "line " .. i
  end
  self.ended = #self.all == self.total
end

function Server:answer(operation, args)
  self.asked = self.asked + 1
  assert(self.asked < 2000, "asks for ever")
  local state = self.ended and "SUCCEED" or "RUNNING"
  if operation == "get" then return true, state, EXEC, "hdfs://x" end
  if operation ~= "log" then return nil, failure.new("http", "no", { http_status = 404 }) end
  local data = {}
  data.log, data.fromLine = self.way(self.all, args.fromLine, args.size)
  return data
end

local function open(server, opts)
  request.send = function(_, operation, args) return {}, server:answer(operation, args) end
  local host = { name = "spec", await = function() end }
  function host.sleep(seconds)
    clock = clock + seconds
    server:write(server.step)
  end
  local client = assert(core.client("linkis",
    { url = "http://127.0.0.1:9", fields = { host = host, service = "linkis" } }, {}))
  return logs.open(core.job(client, {}, { id = 12, client = client }), opts)
end

local function read_all(cursor, most)
  local lines = {}
  while true do
    local line, err = cursor:read()
    if not line then return lines, err end
    lines[#lines + 1] = line
    assert(#lines <= most, "gives lines for ever")
  end
end

local function sorted(lines)
  local copy = {}
  for i, line in ipairs(lines) do copy[i] = line end
  table.sort(copy)
  return copy
end

describe("job:logs with a server of the published page that says", function()
  local send, now
  setup(function()
    send, now = request.send, core.now
    core.now = function() return clock end
  end)
  teardown(function() request.send, core.now = send, now end)

  for name, way in pairs(WAYS) do
    it(name, function()
      for _, total in ipairs { 1, 30, 700, 5600 } do
        local server = new_server(way, total, 150)
        server:write(total)
        local lines, err = read_all(open(server), 2 * total)
        assert.is_nil(err)
        assert.are.same(server.all, lines)
        assert.is_true(server.asked < 10 + total / 50, server.asked)

        server = new_server(way, total, 150)
        lines, err = read_all(open(server, { follow = true }), 2 * total)
        assert.is_nil(err)
        assert.are.same(sorted(server.all), sorted(lines))
      end
    end)
  end

  it("that its cache is not ready: the live log is waited for", function()
    local server, refused = new_server(WAYS["as the page means it"], 400, 20), 0
    local answer = server.answer
    function server.answer(self, operation, args)
      if operation ~= "log" or refused == 8 then return answer(self, operation, args) end
      refused = refused + 1
      return nil, failure.new("service", "shared cache not ready", { code = 200 })
    end
    local cursor, live = open(server, { follow = true }), 0
    while cursor:read() do
      if not server.ended then live = live + 1 end
    end
    assert.is_true(live > 100, live)
  end)
end)
