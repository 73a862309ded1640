-- Deadlines hold whatever the server does, and no step blocks (F9, F11, F32, F33).

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local core = wire.core
local OVERSHOOT = 0.25 -- seconds past a deadline that are allowed

describe("a deadline", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local REPLY = fault.linkis { ok = true }
  local PHASES = {
    ["before the reply"] = { { "read" }, { "stall" } },
    ["within the status line"] = { { "read" }, { "send", "HTTP/1.1 20" }, { "stall" } },
    ["within the headers"] = { { "read" }, { "send", REPLY:sub(1, 40) }, { "stall" } },
    ["within the body"] = { { "read" }, { "send", REPLY:sub(1, -5) }, { "stall" } },
    ["a byte at a time in the headers"] = { { "read" }, { "drip", REPLY, 1, 30 } },
    ["a byte at a time in the body"] = {
      { "read" }, { "send", "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{" },
      { "drip", (" "):rep(9000), 1, 30 } },
    ["interim replies for ever"] = {
      { "read" }, { "drip", ("HTTP/1.1 102 Processing\r\n\r\n"):rep(500), 27, 30 } },
  }

  for name, steps in pairs(PHASES) do
    it("ends a call that stalls " .. name, function()
      fs:script { default = steps }
      local took = wait.within(0.4 + OVERSHOOT, function()
        local value, err = wire.read(wire.linkis(fs.url), { timeout = 0.4 })
        assert.is_nil(value)
        assert.equal("timeout", err.kind)
      end)
      assert.is_true(took >= 0.38, "took " .. took)
    end)
  end

  it("holds for each of many calls at once", function()
    fs:script { default = { { "stall" } } }
    local client = wire.linkis(fs.url)
    wait.within(0.5 + OVERSHOOT, function()
      local calls = {}
      for i = 1, 50 do calls[i] = client:start("get", { id = tostring(i) }, { timeout = 0.5 }) end
      wire.finish(calls)
      for _, call in ipairs(calls) do
        local _, err = call:result()
        assert.equal("timeout", err.kind)
      end
    end)
  end)

  it("of idleness ends a call, unless it may rightly be silent", function()
    fs:script { default = { { "read" }, { "stall" } } }
    local client, started = wire.linkis(fs.url, { idle_timeout = 1 }), wait.now()
    local idle = client:start("get", { id = "1" }, { timeout = 20 })
    local silent = client:start("status", { id = "exec_1" }, { timeout = 4 })
    wire.finish { idle }
    assert.equal("timeout", select(2, idle:result()).kind)
    assert.is_false(silent:done())
    wire.finish { silent }
    assert.is_true(wait.now() - started >= 3.98)
  end)

  it("of a submit leaves its outcome unknown", function()
    fs:script { default = { { "stall" } } }
    local value, err = wire.submit(wire.linkis(fs.url), { timeout = 0.3 })
    assert.is_nil(value)
    assert.equal("timeout", err.kind)
    assert.equal("unknown", err.outcome)
  end)

  it("of a host that never answers the connection is not_sent", function()
    -- a full backlog drops what comes: the kernel answers nothing
    local script = [[
      local uv = require "luv"
      local l = uv.new_tcp()
      l:bind("127.0.0.1", 0)
      l:listen(0, function() end)
      io.write(l:getsockname().port, "\n")
      io.flush()
      local fillers = {}
      for i = 1, 4 do
        fillers[i] = uv.new_tcp()
        fillers[i]:connect("127.0.0.1", l:getsockname().port, function() end)
      end
      local t = uv.new_timer()
      t:start(20000, 0, function() os.exit(0) end)
      while true do uv.sleep(1000) end]]
    local child = process.start { "lua5.4", "-e", script }
    local port = wait.eventually(function() return child:out():match "^(%d+)\n" end)
    local client = wire.linkis("http://127.0.0.1:" .. port, { connect_timeout = 0.3 })
    wait.within(0.3 + OVERSHOOT, function()
      local value, err = wire.submit(client, { timeout = 10 })
      assert.is_nil(value)
      assert.equal("timeout", err.kind)
      assert.equal("not_sent", err.outcome)
    end)
    child:signal "KILL"
    child:stop()
  end)

  -- it runs a thousand times too fast, or stands a day back
  for _, clock in ipairs { "+0 x1000", "-1d" } do
    it("and a wait heed no wall clock: " .. clock, function()
      if os.getenv "LD_PRELOAD" then return pending "faketime and a sanitizer both hang" end
      local task = fault.linkis { task = { taskID = 7, status = "Running" } }
      fs:script { { match = "/8/get", { "read" }, { "stall" } },
        default = { { "read" }, { "send", task } } }
      local function looks()
        local code, out, err = process.run({ "faketime", "-f", clock, "lua5.4", "-e", ([[
          local taskclient, core = require "taskclient", require "taskclient.core"
          local linkis = taskclient.linkis { url = "%s", user = "u", token = "t", timeout = 1 }
          local from = core.now()
          local _, stalled = linkis:call("get", { id = 8 }, { retry = false })
          local middle = core.now()
          local _, waited = linkis:attach(7):wait { timeout = 1, poll = 0.1 }
          print(stalled.kind, waited.kind, middle - from, core.now() - middle)]]):format(fs.url) },
          { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath,
            FAKETIME_DONT_FAKE_MONOTONIC = "1" } })
        assert.equal(0, code, err)
        local first, second = out:match "^timeout\ttimeout\t(%S+)\t(%S+)\n$"
        assert.is_string(first, out)
        first, second = tonumber(first), tonumber(second)
        assert.is_true(first > 0.95 and second > 0.95, out)
        return math.max(first, second)
      end
      wait.within(1 + OVERSHOOT, looks)
    end)
  end
end)

-- Whatever has to be asked on the way: the login and its key, who one is, a look for a key, for
-- the tasks of a run that is continued, for a log, for a page.
describe("the deadline of a public call", function()
  local taskclient, fs, dir = require "taskclient", nil, nil
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local SPEC = { code = "x", run_type = "sql", engine = "spark-3.2.1" }
  local LIMIT = { timeout = 0.3 }
  local CALLS = {
    call = function(client) return client:call("get", { id = "7" }, LIMIT) end,
    ["job:wait"] = function(client) return client:attach(7):wait(LIMIT) end,
    wait_all = function(client) return taskclient.wait_all({ client:attach(7) }, LIMIT) end,
    wait_any = function(client) return taskclient.wait_any({ client:attach(7) }, LIMIT) end,
    as_completed = function(client)
      return taskclient.as_completed({ client:attach(7) }, LIMIT):read()
    end,
    logs = function(client) return client:attach(7):logs(LIMIT):read() end,
    submit_many = function(client) return client:submit_many({ SPEC }, LIMIT):read() end,
    ["submit_many of a run"] = function(client)
      local run = assert(taskclient.journal(dir .. "/new.run"))
      local cursor = client:submit_many({ SPEC }, { journal = run, timeout = 0.3 })
      local ended, err = cursor:read()
      run:close()
      os.remove(dir .. "/new.run")
      return ended, err
    end,
  }

  local function in_time(name, call, client)
    wait.within(0.3 + 0.5 + OVERSHOOT, function() -- a wait's first look has half a second
      local value, err = call(client)
      assert.is_nil(value, name)
      assert.equal("timeout", type(err) == "table" and err.kind, name)
    end)
  end

  it("holds for the login, too", function()
    fs:script { default = { { "stall" } } }
    for name, call in pairs(CALLS) do
      local client = assert(taskclient.linkis { url = fs.url, user = "u", password = "p" })
      in_time(name, call, client)
      client:close()
    end
    assert.equal(0, #fs:requests "/submit")
  end)

  it("holds for what is asked behind the login", function()
    fs:script { { match = "/publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
      { match = "/login", reply = fault.linkis({ userName = "u" }, {
        headers = { "Set-Cookie: linkis_user_session_ticket_id_v1=t; Path=/" } }) },
      default = { { "stall" } } }
    for name, call in pairs(CALLS) do
      if not name:find "^submit_many" then
        local client = assert(taskclient.linkis { url = fs.url, user = "u", password = "p" })
        in_time(name, call, client)
        client:close()
      end
    end
  end)

  it("holds for the look at the tasks of a run that is continued", function()
    local client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t" })
    for _, sent in ipairs { false, true } do
      local path = dir .. "/continued.run"
      local run = assert(taskclient.journal(path))
      fs:script { default = { { "read" }, { "send", fault.http(405, "") } },
        { match = "/submit", { "read" }, sent and { "send", fault.linkis { taskID = 9 } }
          or { "rst" } } } -- cut off: its task is looked for
      local many = client:submit_many({ SPEC }, { journal = run, timeout = 0.3 })
      many:read()
      run:close()
      fs:script { default = { { "stall" } } }
      in_time("continued", function()
        local again = assert(taskclient.journal(path))
        local ended, err = client:submit_many({ SPEC, SPEC }, { journal = again, timeout = 0.3 })
          :read()
        again:close()
        return ended, err
      end)
      os.remove(path)
    end
    assert.equal(0, #fs:requests "/submit")
    client:close()
  end)

  it("cuts a submit of submit_many off, which is found by its key", function()
    local key
    fs:script { default = { { "read" }, { "stall" } } }
    local client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t",
      log = function(_, note)
        if note.what ~= "reconcile" then return end
        local source
        source, key = fs:requests("/submit")[1].body:match '({"taskclient%.key":"([^"]+)"})'
        fs:script { { match = "/list", reply = fault.linkis { totalPage = 1, tasks = { {
          taskID = 9, status = "Running", sourceJson = source } } } }, default = { { "stall" } } }
      end })
    local _, err = client:submit_many({ SPEC }, { timeout = 0.5 }):read()
    assert.equal("timeout", err.kind)
    assert.is_string(key)
    assert.same({ 9, key }, { err.handles[1].id, err.handles[1].key })
    client:close()
  end)

  it("leaves a load of Lindorm its own time, for nothing could find it", function()
    fs:script { { match = "/create", { "read" }, { "wait", 700 },
      { "send", fault.http(200, '{"success":"true","message":"p1"}') } },
      default = { { "stall" } } }
    local client = assert(taskclient.lindorm { url = fs.url })
    local load = { src = "hdfs", dst = "ld", reader = {}, writer = {}, instances = 1 }
    local _, err = client:submit_many({ load }, { timeout = 0.3 }):read()
    assert.equal("timeout", err.kind)
    assert.equal("p1", err.handles[1].id)
    client:close()
  end)
end)

describe("a step", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("waits no longer than it is told, nor than 0.2 s", function()
    fs:script { default = { { "stall" } } }
    local call = wire.linkis(fs.url):start("get", { id = "1" }, { timeout = 20 })
    while #fs:requests() == 0 do core.step(0.01) end
    for _, ask in ipairs { 0, 0.05, 5 } do
      wait.within(math.min(ask, 0.2) + 0.1, function() core.step(ask) end)
    end
    call:cancel()
    wire.finish { call }
  end)

  it("never blocks while another call stalls", function()
    fs:script {
      { match = "/slow/", { "read" }, { "send", "HTTP/1.1 200 OK\r\n\r\n" },
        { "drip", (" "):rep(4000), 1, 20 } },
      default = { { "read" }, { "send", fault.linkis { ok = true } } },
    }
    local slow = wire.linkis(fs.url .. "/slow"):start("get", { id = "1" }, { timeout = 20 })
    local client = wire.linkis(fs.url)
    wait.within(5, function()
      for _ = 1, 200 do assert(wire.read(client)) end
    end)
    assert.is_false(slow:done())
    slow:cancel()
    wire.finish { slow }
  end)
end)

describe("Retry-After", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local CASES = {
    { "0", 0 }, { "1", 1 }, { "120", 120 }, { "1000000000", 1000000000 },
    { "-1", nil }, { "1.5", nil }, { "soon", nil }, { "", nil }, { ("9"):rep(40), nil },
    { ("x"):rep(5000), nil }, { "Thu, 01 Jan 1970 00:00:10 GMT", 0 }, { "12 apples", nil },
  }
  for _, case in ipairs(CASES) do
    it("is read as a server may write it: " .. case[1]:sub(1, 30), function()
      fs:script { default = { { "read" }, { "send",
        fault.http(503, "busy", { "Retry-After: " .. case[1] }) } } }
      local value, err = wire.read(wire.linkis(fs.url))
      assert.is_nil(value)
      assert.equal(503, err.http_status)
      assert.equal(case[2], err.retry_after)
    end)
  end

  it("is not slept for at length within a call, whatever its deadline", function()
    fs:script { default = { { "read" }, { "send",
      fault.http(429, "busy", { "Retry-After: 1800" }) } } }
    local client = assert(require("taskclient").linkis { url = fs.url, user = "u", token = "T" })
    local started = wait.now()
    local _, err = client:call("get", { id = "7" }, { timeout = 3600 })
    assert.are.same({ 429, 1800 }, { err.http_status, err.retry_after })
    assert.is_true(wait.now() - started < 30)
    client:close()
  end)

  it("is read as a date", function()
    local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60)
    fs:script { default = { { "read" }, { "send",
      fault.http(429, "busy", { "Retry-After: " .. date }) } } }
    local _, err = wire.read(wire.linkis(fs.url))
    assert.is_true(err.retry_after > 55 and err.retry_after <= 60, tostring(err.retry_after))
  end)
end)
