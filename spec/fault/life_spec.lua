-- Clients and calls that end in unusual ways: cancelled, collected, closed,
-- forked; and what two of them must not share. Against the fault server.

local fault = require "spec.support.fault"
local gc = require "spec.support.gc"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local core = wire.core
local GOOD = fault.linkis { ok = true }

local function step_until(fn, what)
  return wait.eventually(function()
    core.step(0.01)
    return fn()
  end, 10, what)
end

describe("a call in flight", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    collectgarbage()
    fs:script { default = { { "read" }, { "stall" } } }
  end)

  local function hung_up()
    for _, entry in ipairs(fs:journal()) do
      if entry.event == "fin" or entry.event == "close" then return true end
    end
  end

  it("that is collected is given up on the wire, and nobody hears of it", function()
    local client = wire.linkis(fs.url)
    local call = client:start("get", { id = "1" }) -- luacheck: ignore 231
    step_until(function() return #fs:requests() == 1 end, "the request")
    call = nil -- luacheck: ignore 231 311
    collectgarbage()
    collectgarbage()
    step_until(hung_up, "the end of the connection")
    assert.is_nil(core.step(0))
  end)

  it("that is cancelled says what may have been sent", function()
    local client = wire.linkis(fs.url)
    local submit = wire.start_submit(client)
    step_until(function() return #fs:requests() == 1 end, "the request")
    submit:cancel()
    local value, err = submit:result()
    assert.is_nil(value)
    assert.equal("interrupted", err.kind)
    assert.equal("unknown", err.outcome)
    assert.is_false(err.retryable)
    assert.equal(1, #fs:requests())
  end)

  it("ends as closed when its client is closed", function()
    local client = wire.linkis(fs.url)
    local calls = {}
    for i = 1, 20 do calls[i] = client:start("get", { id = tostring(i) }) end
    local submit = wire.start_submit(client)
    step_until(function() return #fs:requests() == 21 end, "the requests")
    client:close()
    local ended = core.step(0)
    assert.equal(21, #ended)
    for _, call in ipairs(calls) do assert.equal("closed", select(2, call:result()).kind) end
    assert.equal("unknown", select(2, submit:result()).outcome)
  end)

  it("waits its turn when there are too many, and its time runs", function()
    local client = wire.linkis(fs.url, { max_connections = 2 })
    local calls = {}
    for i = 1, 3 do
      calls[i] = client:start("get", { id = tostring(i) }, { timeout = i == 3 and 0.2 or 20 })
    end
    local waiting = client:start("submit", { body = "{}" }, { timeout = 0.2 })
    wire.finish { calls[3], waiting }
    assert.equal("timeout", select(2, calls[3]:result()).kind)
    assert.equal("not_sent", select(2, waiting:result()).outcome)
    assert.is_false(calls[1]:done())
    assert.equal(2, #fs:requests())
    local last = client:start("get", { id = "4" })
    calls[1]:cancel()
    step_until(function() return #fs:requests() == 3 end, "the next in line")
    last:cancel()
    calls[2]:cancel()
  end)

  it("does not start a collector that the user has stopped", function()
    fs:script { default = { { "read" }, { "send", fault.linkis { text = ("x"):rep(100000) } } } }
    local client = wire.linkis(fs.url)
    local kept = setmetatable({}, { __mode = "k" })
    collectgarbage()
    collectgarbage "stop"
    kept[{}] = true
    for _ = 1, 12 do assert(wire.read(client)) end
    for i = 1, 100000 do kept.last = { i } end
    kept.last = nil
    local still = next(kept) ~= nil
    collectgarbage "restart"
    assert.is_true(still)
    client:close()
  end)

  it("that ends at our own wish makes the descriptor readable", function()
    local fine, cqueues = pcall(require, "cqueues")
    if not fine then return pending "cqueues is not here" end
    local fd = core.fd()
    local function readable(timeout) -- a number tells that the time is over
      return type((cqueues.poll({ pollfd = fd, events = "r" }, timeout))) == "table"
    end
    for _, wish in ipairs { "cancel", "close" } do
      local client = wire.linkis(fs.url)
      local call = client:start("get", { id = "1" })
      step_until(function() return #fs:requests() > 0 end, "the request")
      while readable(0) do core.step(0) end
      if wish == "cancel" then call:cancel() else client:close() end
      assert.is_true(readable(0.05)) -- libcurl's own timers go off later
      assert.same({ call }, core.step(0))
      fs:script { default = { { "read" }, { "stall" } } }
    end
  end)

  it("may be closed while it is read, and is whole all the same", function()
    local client, path = wire.linkis(fs.url), os.tmpname()
    local data = { type = "2", metadata = { { columnName = "a", dataType = "string",
      comment = "\"" } }, fileContent = { { "1" }, { "x \" y" }, { "3" } } }
    fs:script { default = { { "read" }, { "send", fault.linkis(data) } } }
    local writer = assert(core.writer(path, { overwrite = true }))
    local seen = 0
    for read, check in pairs {
      [function(call) return call:result() end] = function(got) assert.same(data, got) end,
      [function(call) return call:page() end] = function(got)
        assert.same(data.fileContent, got.rows)
      end,
      [function(call) return writer:page(call) end] = function(got) assert.equal(3, got) end,
      [function(call) return call:info() end] = function(got)
        assert.equal(200, got.http_status)
      end,
    } do
      for _, moment in ipairs { 1, 2, 3, 5, 8, 13 } do
        local call, fine, got = client:start("openFile", { path = "/a" })
        wire.finish { call }
        gc.nth(moment, function() call:close() end, function() fine, got = pcall(read, call) end)
        if fine then
          seen = seen + 1
          check(got)
        else -- it was too early
          assert.truthy(tostring(got):find("collected", 1, true), got)
        end
      end
    end
    writer:discard()
    os.remove(path)
    assert.is_true(seen > 0)
  end)

  it("makes the descriptor readable when it is to be looked at", function()
    if not package.loaded.cqueues and not pcall(require, "cqueues") then
      pending "cqueues is not here"
      return
    end
    local cqueues = require "cqueues"
    local client = wire.linkis(fs.url)
    local fd = core.fd()
    while core.step(0) do end
    wait.within(4, function()
      local call = client:start("get", { id = "1" }, { timeout = 0.1 })
      while not call:done() do
        cqueues.poll({ pollfd = fd, events = "r" }, 5)
        core.step(0)
      end
      assert.equal("timeout", select(2, call:result()).kind)
    end)
    wait.within(4, function()
      core.alarm(0.05)
      cqueues.poll({ pollfd = fd, events = "r" }, 5)
    end)
    core.step(0)
  end)
end)

describe("a session", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local NAME = "linkis_user_session_ticket_id_v1"
  local LOGIN = fault.linkis({}, { headers = {
    "Set-Cookie: " .. NAME .. "=; Max-Age=0; Path=/",
    "Set-Cookie: " .. NAME .. "=; Max-Age=0; Path=/; Domain=elsewhere.example",
    "Set-Cookie: " .. NAME .. "=ab+c/d==; Path=/",
    "Set-Cookie: dataworkcloud_inner_request=false; Path=/; Max-Age=0",
  } })

  before_each(function()
    fs:script { { match = "/login", { "read" }, { "send", LOGIN } },
                default = { { "read" }, { "send", GOOD } } }
  end)

  local function cookie_of(entry) return entry.headers.cookie or entry.headers.Cookie end

  local function login(client)
    return wire.call(client, "login", { body = '{"userName":"hadoop","password":"x"}' })
  end

  it("is the last cookie set, byte for byte, and one client's own", function()
    local mine = core.client("linkis", { url = fs.url, session = true }, {})
    local yours = core.client("linkis", { url = fs.url, session = true }, {})
    assert.is_false(mine:has_session())
    assert(login(mine))
    assert.is_true(mine:has_session())
    assert.same({ NAME }, mine:session_cookies())
    assert.is_false(yours:has_session())
    assert(wire.read(mine))
    assert(wire.read(yours))
    local seen = fs:requests "/get"
    assert.equal(NAME .. "=ab+c/d==", cookie_of(seen[1]))
    assert.is_nil(cookie_of(seen[2]))
  end)

  it("is not kept where none is wanted, and can be forgotten", function()
    local token = wire.linkis(fs.url)
    assert(login(token))
    assert(wire.read(token))
    local client = core.client("linkis", { url = fs.url, session = true }, {})
    assert(login(client))
    client:forget_session()
    assert.is_false(client:has_session())
    assert(wire.read(client))
    for _, entry in ipairs(fs:requests "/get") do assert.is_nil(cookie_of(entry)) end
  end)

  it("never prints", function()
    local client = core.client("linkis", { url = fs.url, session = true }, {})
    fs:script {
      { match = "/login", { "read" }, { "send", (LOGIN:gsub("ab%+c/d==", "ticket-0123456789")) } },
      default = { { "read" }, { "send",
        fault.linkis({}, { status = 1, http = 400, message = "bad ticket-0123456789" }) } },
    }
    assert(login(client))
    local _, err = wire.read(client)
    assert.equal("service", err.kind)
    assert.is_nil(wire.texts(err):find("ticket-0123456789", 1, true))
  end)

  it("never prints, though it be new with each reply", function()
    local client = core.client("linkis", { url = fs.url, session = true }, {})
    for i = 1, 300 do
      local ticket = ("ticket-%08d"):format(i)
      fs:script { default = { { "read" }, { "send", fault.linkis({}, { status = 1,
        message = "bad " .. ticket, headers = { "Set-Cookie: lb=" .. ticket .. "; Path=/" } }) } } }
      local _, err = wire.read(client)
      assert.equal("get: bad ***", err.message)
    end
  end)

  it("has token headers only where they mean something", function()
    local client = wire.linkis(fs.url)
    assert(login(client))
    assert(wire.call(client, "token-login", {}))
    assert(wire.call(client, "heartbeat", {}))
    local seen = fs:requests()
    assert.is_nil(seen[1].bytes:find("Token-Code", 1, true))
    assert.truthy(seen[2].bytes:find("\r\nToken-Code: " .. wire.TOKEN .. "\r\n", 1, true))
    assert.truthy(seen[2].bytes:find("\r\n\r\n{}", 1, true))
    assert.is_nil(seen[3].bytes:find("Token-Code", 1, true))
  end)

  it("gets new headers while calls with the old ones are in flight", function()
    fs:script { { times = 1, { "read" }, { "hold", "gate" }, { "send", GOOD } },
                default = { { "read" }, { "send", GOOD } } }
    local client = wire.linkis(fs.url)
    local held = client:start("get", { id = "1" })
    step_until(function() return #fs:requests() == 1 end, "the request")
    for i = 1, 5 do client:set_headers { { "Token-Code", core.secret("fresh-" .. i) } } end
    assert(wire.read(client))
    fs:release "gate"
    wire.finish { held }
    assert.is_true(held:result().ok)
    client:set_headers {}
    assert(wire.read(client))
    local seen = fs:requests()
    assert.truthy(seen[2].bytes:find("Token-Code: fresh-5\r\n", 1, true))
    assert.is_nil(seen[3].bytes:find("Token-Code", 1, true))
    assert.equal("***", client:redact "fresh-3")
  end)
end)

describe("the verb", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("of a kill is GET, or POST with a body where that is asked", function()
    fs:script { default = { { "read" }, { "send", GOOD } } }
    local client = wire.linkis(fs.url)
    assert(wire.call(client, "kill", { id = "x", taskID = 5 }))
    assert(wire.call(client, "kill", { id = "x", taskID = 5 }, { method = "POST" }))
    assert(wire.call(client, "get", { id = "x" }))
    assert(wire.call(client, "killJobs", { body = "{}" }))
    assert(wire.call(client, "killJobs", { id = "y", body = "{}" }))
    local lines = {}
    for i, entry in ipairs(fs:requests()) do lines[i] = entry.method .. " " .. entry.target end
    local base = "/api/rest_j/v1/"
    assert.same({
      "GET " .. base .. "entrance/x/kill?taskID=5", "POST " .. base .. "entrance/x/kill?taskID=5",
      "GET " .. base .. "jobhistory/x/get", "POST " .. base .. "entrance/killJobs",
      "POST " .. base .. "entrance/y/killJobs",
    }, lines)
    assert.truthy(fs:requests()[2].bytes:find("\r\n\r\n{}", 1, true))
  end)

  it("and the base path follow the prefix of the URL", function()
    fs:script { default = { { "read" }, { "send", GOOD } } }
    for prefix, path in pairs {
      ["/gate/"] = "/gate/api/rest_j/v1/jobhistory/7/get",
      ["/gate/api/rest_j/v1"] = "/gate/api/rest_j/v1/jobhistory/7/get",
    } do
      fs:script { default = { { "read" }, { "send", GOOD } } }
      assert(wire.read(wire.linkis(fs.url .. prefix)))
      assert.equal(path, fs:requests()[1].target)
    end
  end)
end)

describe("a stream", function()
  local fs, dir
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local ATTACHED = { "Content-Disposition: attachment;filename=x.csv", "Content-Type: text/plain" }

  local function export(reply, opts)
    fs:script { default = { { "read" }, { "send", reply }, { "fin" } } }
    return wire.call(wire.linkis(fs.url), "resultsetToExcel", { path = "file:///r" }, opts)
  end

  local function files()
    local pipe = assert(io.popen("ls -A " .. process.quote(dir), "r"))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("goes into the file as it is, whatever its size", function()
    for _, size in ipairs { 0, 1, 4095, 4096, 4097, 16384, 300000 } do
      local body = ("0123456789abcdef"):rep(math.floor(size / 16) + 1):sub(1, size)
      local path = dir .. "/out-" .. size
      local bytes, err, call = export(fault.http(200, body, ATTACHED), { file = path })
      assert.equal(size, bytes, err and err.message)
      assert.equal(size, call:bytes())
      assert.is_true(call:info().framed)
      local file = assert(io.open(path, "rb"))
      assert.equal(body, file:read "*a")
      file:close()
      os.remove(path)
      assert.equal(body, (export(fault.http(200, body, ATTACHED))))
    end
    assert.equal("", files())
  end)

  it("that is none leaves no file behind", function()
    for name, reply in pairs {
      service = fault.http(200, "error(\233\148\153\232\175\175):errCode: 80011 ,desc: gone",
        { "Content-Type: text/plain;charset=utf-8" }),
      auth = fault.linkis({}, { http = 401, status = -1, message = "log in" }),
      http = fault.boot(400),
      protocol = fault.http(200, "<html>login</html>", { "Content-Type: text/html" }),
    } do
      local path = dir .. "/" .. name
      local value, err = export(reply, { file = path })
      assert.is_nil(value)
      assert.equal(name, err.kind, err.message)
      if name == "service" then assert.equal(80011, err.code) end
      assert.equal("", files())
    end
    local _, err = export(fault.http(200, ""), { file = dir .. "/empty" })
    assert.equal("protocol", err.kind)
    assert.equal("", files())
  end)

  it("that is cut leaves the old file as it was", function()
    local path = dir .. "/kept"
    local file = assert(io.open(path, "wb"))
    file:write "old"
    file:close()
    local refused, why =
      wire.linkis(fs.url):start("resultsetToExcel", { path = "x" }, { file = path })
    assert.is_nil(refused)
    assert.equal("io", why.kind)
    local cut = fault.http(200, ("x"):rep(50000), ATTACHED):sub(1, 30000)
    local value, err = export(cut, { file = path, overwrite = true })
    assert.is_nil(value)
    assert.equal("network", err.kind)
    file = assert(io.open(path, "rb"))
    assert.equal("old", file:read "*a")
    file:close()
    assert.equal("kept\n", files())
  end)
end)

-- There is no fork in Lua: LuaJIT's ffi has one.
local CHILD = [[
local ffi = require "ffi"
ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int);"
local core = require "taskclient.core"
local client = core.client("linkis", { url = arg[1], session = true }, {})
local function read(id)
  local call = assert(client:start("get", { id = id }))
  while not call:done() do core.step(0.1) end
  return call:result()
end
local flying = client:start("get", { id = "slow" })
assert(read "1")
local pid = ffi.C.fork()
if pid == 0 then
  local ok, why = pcall(function()
    assert(client:closed())
    local call, err = client:start("get", { id = "3" })
    assert(call == nil and err.kind == "closed" and err.message:find "parent process")
    assert(flying:done())
    assert(select(2, flying:result()).kind == "closed")
    flying:cancel()
    assert(core.active() == 0 and core.step(0) == nil)
    local own = assert(core.client("linkis", { url = arg[1] }, {}))
    local fresh = own:start("get", { id = "child" })
    while not fresh:done() do core.step(0.1) end
    assert(fresh:result())
    client, flying, fresh, own = nil, nil, nil, nil
    collectgarbage() collectgarbage()
  end)
  if not ok then io.stderr:write(tostring(why), "\n") end
  ffi.C._exit(ok and 0 or 3)
end
local status = ffi.new "int[1]"
ffi.C.waitpid(pid, status, 0)
assert(status[0] == 0, "the child failed")
assert(not flying:done())
assert(read "4")
print "whole"
]]

describe("a fork", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("leaves the parent's session unharmed, and closes the child's", function()
    local core_so = "build/luajit/taskclient/core.so"
    local file = io.open(core_so)
    if not file then
      pending "not built for LuaJIT"
      return
    end
    file:close()
    fs:script { { match = "/slow/", { "read" }, { "stall" } },
                default = { { "read" }, { "send", GOOD } } }
    local dir = process.tempdir()
    local script = assert(io.open(dir .. "/child.lua", "w"))
    script:write(CHILD)
    script:close()
    local code, out, err = process.run({ "luajit", dir .. "/child.lua", fs.url },
      { env = { LUA_CPATH = "build/luajit/?.so;;", LUA_PATH = "lua/?.lua;lua/?/init.lua;;" } })
    os.execute("rm -rf " .. process.quote(dir))
    assert.equal(0, code, err)
    assert.truthy(out:find("whole", 1, true))
    local connections = {}
    for _, entry in ipairs(fs:requests()) do
      connections[entry.target:match "jobhistory/(%w+)/"] = entry.connection
    end
    assert.equal(connections["1"], connections["4"])
    assert.are_not.equal(connections["1"], connections.child)
  end)
end)
