-- A change whose caller is stopped while it is on its way ends with an outcome and, a submit, with
-- its key: else nobody could say whether the task runs, nor find it.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local SPEC = { code = "select 1", run_type = "sql", engine = "spark-3.2.1" }
local LOGIN = {
  { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
  { match = "POST .*login", reply = fault.linkis { userName = "u" } },
}

local function spec(key)
  local copy = { key = key }
  for name, value in pairs(SPEC) do copy[name] = value end
  return copy
end

-- What a task's submit ends with that is cancelled as soon as the server has got this request.
local function cancelled_at(fs, client, pattern, given)
  local err
  taskclient.run(function()
    local task = taskclient.spawn(function() return client:submit(given) end)
    while #fs:requests(pattern) == 0 do taskclient.sleep(0.01) end
    task:cancel()
    local _
    _, err = taskclient.join(task)
  end)
  return err
end

describe("a submit whose task is cancelled", function()
  local fs, client, told
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    told = {}
    client = assert(taskclient.linkis { url = fs.url, user = "u", password = "p",
      log = function(_, event) if event.what == "cut_off" then told[#told + 1] = event end end })
  end)
  after_each(function() client:close() end)

  local function script(...)
    local rules = { ... }
    for _, rule in ipairs(LOGIN) do rules[#rules + 1] = rule end
    rules.default = { { "read" }, { "stall" } }
    fs:script(rules)
  end

  it("was not sent, where it has not come farther than its login", function()
    script { match = "publicKey", { "read" }, { "stall" } }
    local err = cancelled_at(fs, client, "publicKey", spec "of-mine")
    assert.same({ "interrupted", "not_sent", "of-mine" }, { err.kind, err.outcome, err.key })
    assert.equal(0, #fs:requests "/submit")
  end)

  it("was not sent, where its key is still looked for", function()
    script()
    local err = cancelled_at(fs, client, "/list", spec "of-mine")
    assert.same({ "interrupted", "not_sent", "of-mine" }, { err.kind, err.outcome, err.key })
    assert.equal(0, #fs:requests "/submit")
  end)

  it("is unknown, once it has left, and has the key that it was given", function()
    script()
    local err = cancelled_at(fs, client, "/submit", SPEC)
    assert.same({ "interrupted", "unknown" }, { err.kind, err.outcome })
    assert.truthy(fs:requests "/submit" [1].body:find(err.key, 1, true))
    assert.matches("key " .. err.key, tostring(err))
  end)

  it("is unknown, while it is looked for", function()
    script { match = "/submit", { "read" }, { "rst" } }
    local err = cancelled_at(fs, client, "/list", SPEC)
    assert.same({ "interrupted", "unknown" }, { err.kind, err.outcome })
    assert.truthy(fs:requests "/submit" [1].body:find(err.key, 1, true))
  end)

  it("is rejected, while the row of the refusal is looked for", function()
    script { match = "/submit", reply = fault.linkis(nil, { status = 1, http = 400,
      message = "no such engine" }) }
    local err = cancelled_at(fs, client, "/list", SPEC)
    assert.same({ "interrupted", "rejected" }, { err.kind, err.outcome })
    assert.truthy(err.key)
  end)

  it("leaves the next change of the same task its own end", function()
    script { match = "/kill", { "read" }, { "rst" } }
    taskclient.run(function()
      local task = taskclient.spawn(function()
        pcall(client.submit, client, spec "first")
        return client:call("kill", { id = "exec_1", taskID = 5 })
      end)
      if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then return task:cancel() end
      while #fs:requests "/list" == 0 do taskclient.sleep(0.01) end
      task:cancel()
      local _, err = taskclient.join(task)
      assert.same({ "network", "unknown" }, { err.kind, err.outcome })
      assert.is_nil(err.key)
    end)
    assert.equal(0, #told)
  end)

  it("is told of where the coroutine is dropped, with the id where the server gave one", function()
    fs:script {
      { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
      { match = "POST .*login", reply = fault.linkis { userName = "u" } },
      { match = "/submit", { "read" }, { "hold", "reply" },
        { "send", fault.linkis { taskID = 77, execID = "exec_77" } } },
    }
    local dropping = { name = "dropping", await = function() coroutine.yield() end,
      sleep = function() coroutine.yield() end }
    local dropped = assert(taskclient.linkis { url = fs.url, user = "u", password = "p",
      host = dropping, log = function(_, event)
        if event.what == "cut_off" then told[#told + 1] = event end
      end })
    local co = coroutine.create(function() return dropped:submit(SPEC) end)
    wait.eventually(function()
      assert(coroutine.resume(co))
      core.step(0.05)
      return #fs:requests "/submit" == 1
    end)
    co = nil -- luacheck: ignore 311
    wait.eventually(function()
      collectgarbage()
      return told[1]
    end)
    assert.same({ "submit", "unknown" }, { told[1].operation, told[1].outcome })
    assert.truthy(fs:requests "/submit" [1].body:find(told[1].key, 1, true))
    fs:release "reply"
    dropped:close()
  end)

  it("ends as unknown where its client is closed", function()
    script()
    local err
    taskclient.run(function()
      local task = taskclient.spawn(function() return client:submit(SPEC) end)
      while #fs:requests "/submit" == 0 do taskclient.sleep(0.01) end
      client:close()
      local _
      _, err = taskclient.join(task)
    end)
    assert.same({ "submit_unknown", "unknown" }, { err.kind, err.outcome })
    assert.truthy(fs:requests "/submit" [1].body:find(err.key, 1, true))
  end)

  it("was not sent where its client is closed in the login", function()
    script { match = "publicKey", { "read" }, { "stall" } }
    local err
    taskclient.run(function()
      local task = taskclient.spawn(function() return client:submit(spec "k") end)
      while #fs:requests "publicKey" == 0 do taskclient.sleep(0.01) end
      client:close()
      local _
      _, err = taskclient.join(task)
    end)
    assert.same({ "closed", "not_sent", "k" }, { err.kind, err.outcome, err.key })
  end)

  it("of a load has an outcome too", function()
    fs:script { default = { { "read" }, { "stall" } } }
    local lindorm = assert(taskclient.lindorm { url = fs.url })
    local err
    taskclient.run(function()
      local task = taskclient.spawn(function()
        return lindorm:submit { src = "a", dst = "b", reader = "{}", writer = "{}", instances = 1,
          file_type = "CSV" }
      end)
      while #fs:requests "POST" == 0 do taskclient.sleep(0.01) end
      task:cancel()
      local _
      _, err = taskclient.join(task)
    end)
    assert.same({ "interrupted", "unknown" }, { err.kind, err.outcome })
    lindorm:close()
  end)
end)

describe("a function of the user's", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("that is the log and raises loses no accepted job, whichever event it raises at", function()
    fs:script {
      { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
      { match = "POST .*login", reply = fault.linkis { userName = "u" } },
      { match = "/submit", reply = fault.linkis { taskID = 7, execID = "exec_7" } },
      { match = "/list", reply = fault.linkis { tasks = {}, totalPage = 0 } },
    }
    local stderr, lines = io.stderr, {}
    io.stderr = { -- luacheck: ignore 122
      write = function(_, ...) lines[#lines + 1] = table.concat { ... } end,
    }
    local events = 0
    local client = assert(taskclient.linkis { url = fs.url, user = "u", password = "p",
      log = function()
        events = events + 1
        error "disk full"
      end })
    local fine, job, err = pcall(client.submit, client, SPEC)
    io.stderr = stderr -- luacheck: ignore 122
    assert.is_true(fine, job)
    assert.is_nil(err)
    assert.equal(7, job.id)
    assert.is_true(events > 1)
    assert.equal(1, #lines) -- told once
    assert.matches("disk full", lines[1])
    client:close()
  end)

  it("that gives the password and raises is an err, and the submit was not sent", function()
    fs:script { { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } } }
    local client = assert(taskclient.linkis { url = fs.url, user = "u",
      password = function() error "the vault is sealed" end })
    local fine, job, err = pcall(client.submit, client, spec "k")
    assert.is_true(fine, job)
    assert.same({ "auth", "not_sent", "k" }, { err.kind, err.outcome, err.key })
    assert.matches("the vault is sealed", err.message)
    assert.is_nil(err.message:find("stack traceback", 1, true))
    client:close()
  end)

  it("that gives the password may wait, while others wait for the login", function()
    fs:script {
      { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
      { match = "POST .*login", reply = fault.linkis { userName = "u" } },
      { match = "/userInfo", reply = fault.linkis { userName = "u" } },
    }
    local asked = 0
    local client = assert(taskclient.linkis { url = fs.url, user = "u", password = function()
      asked = asked + 1
      taskclient.sleep(0.1)
      return "p"
    end })
    taskclient.run(function()
      local tasks = {}
      for i = 1, 20 do tasks[i] = taskclient.spawn(function() return client:whoami() end) end
      for _, task in ipairs(tasks) do assert.equal("u", taskclient.join(task)) end
    end)
    assert.equal(1, asked)
    assert.equal(1, #fs:requests "POST .*login")
    client:close()
  end)

  it("that gives the password and asks the same client is refused, and hangs nobody", function()
    fs:script { { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } } }
    local client, inner
    client = assert(taskclient.linkis { url = fs.url, user = "u", password = function()
      inner = select(2, client:whoami())
      return nil, "no"
    end })
    local _, err = client:whoami()
    assert.equal("auth", err.kind)
    assert.equal("interrupted", inner.kind)
    client:close()
  end)
end)
