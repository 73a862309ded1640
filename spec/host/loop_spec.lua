-- Our own loop with real transfers: cancellation in mid-call, tracebacks
-- across a wait, and 10,000 tasks that wait for 10,000 jobs.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local servers = require "spec.support.server"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local core = require "taskclient.core"

describe("taskclient.run", function()
  local fs, client
  setup(function()
    fs = fault.start()
    fs:script { default = { { "read" }, { "stall" } } }
    client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t" })
  end)
  teardown(function()
    client:close()
    fs:stop()
  end)

  it("cancels a task in the middle of a call, and gives the call up", function()
    local began = core.now()
    taskclient.run(function()
      local task = taskclient.spawn(function() return client:call("get", { id = "1" }) end)
      taskclient.sleep(0.1)
      assert.equal(1, core.active())
      task:cancel()
      local result, err = taskclient.join(task)
      assert.is_nil(result)
      assert.equal("interrupted", err.kind)
    end)
    assert.is_true(core.now() - began < 5)
    collectgarbage()
    collectgarbage()
    core.step(0)
    assert.equal(0, core.active())
  end)

  it("goes on beside a cursor that was made outside of it", function()
    local server = servers.linkis()
    local real = assert(taskclient.linkis { url = server.url, user = server.user,
      password = server.password })
    local job = assert(real:submit { code = "sleep 60", run_type = "shell", engine = "shell-1" })
    local cursor = taskclient.as_completed({ job }, { poll = 0.3, timeout = 0.8 })
    local ticks, err = 0, nil
    taskclient.run(function()
      local ticker = taskclient.spawn(function()
        while true do
          taskclient.sleep(0.02)
          ticks = ticks + 1
        end
      end)
      err = select(2, cursor:read())
      ticker:cancel()
    end)
    assert.equal("timeout", err.kind)
    assert.is_true(ticks > 5, ticks .. " ticks")
    job:abort()
    real:close()
  end)

  it("shows the way to an error behind a wait", function()
    local function deep_in_the_program()
      taskclient.sleep(0.01)
      error "a bug"
    end
    local ok, why = pcall(taskclient.run, function()
      local task = taskclient.spawn(function()
        deep_in_the_program()
        return true
      end)
      taskclient.join(task)
    end)
    assert.is_false(ok)
    assert.matches("a bug", why)
    assert.matches("deep_in_the_program", why)
  end)

  it("goes on with others while a server stalls", function()
    local turns = 0
    taskclient.run(function()
      local held = taskclient.spawn(function() return client:call("get", { id = "1" }) end)
      for _ = 1, 50 do
        taskclient.sleep(0.002)
        turns = turns + 1
      end
      held:cancel()
    end)
    assert.equal(50, turns)
  end)
end)

describe("10,000 tasks", function()
  local dir, stub, client

  setup(function()
    dir = process.tempdir()
    stub = assert(io.popen(("exec lua5.4 spec/support/task_stub.lua %s/port %s/tasks")
      :format(dir, dir), "w"))
    local port = wait.eventually(function()
      local file = io.open(dir .. "/port")
      local text = file and file:read "*l"
      if file then file:close() end
      return text
    end, 20, "the stub")
    client = assert(taskclient.linkis {
      url = "http://127.0.0.1:" .. port, user = "u", token = "T", max_connections = 16,
    })
  end)
  teardown(function()
    client:close()
    stub:close()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local function each(fn)
    taskclient.run(function()
      for i = 1, 10000 do taskclient.spawn(fn, i) end
    end)
  end

  it("submit 10,000 jobs and wait for them", function()
    local jobs, ended, began = {}, 0, os.clock()
    each(function(i)
      jobs[i] = assert(client:submit({ code = "job " .. i, run_type = "shell",
        engine = "shell-1" }, { adopt = false }))
    end)
    each(function(i)
      if jobs[i]:wait() == "succeeded" then ended = ended + 1 end
    end)
    assert.equal(10000, ended)
    assert.is_true(os.clock() - began < 30, "the cost grows with the number of tasks")
  end)
end)
