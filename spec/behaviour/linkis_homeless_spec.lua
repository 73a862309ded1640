-- Tasks whose entrance is gone: a clean stop, as at every upgrade, leaves what
-- was queued waiting for ever, without its source. A user is told, finds it by
-- its key, and can end it.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local NOTE = "its entrance is gone"

describe("a clean stop of the entrance", function()
  local box, client
  setup(function()
    box = assert(require("taskclient.sandbox").start { settings = { max_running = 1 } })
    client = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })
  end)
  teardown(function()
    client:close()
    box:stop()
  end)

  -- one at work, and so many that wait behind it
  local function crowd(n)
    local first = assert(client:submit(linkis.shell "sleep 60"))
    wait.eventually(function() return first:status() == "running" end)
    local waiting = {}
    for i = 1, n do waiting[i] = assert(client:submit(linkis.shell("true", { key = "w" .. i }))) end
    box:restart_entrance { clean = true }
    return first, waiting
  end

  it("hides no queued task from its key, and the task can be ended", function()
    local first, waiting = crowd(3)
    local job = waiting[1]
    assert.equals("cancelled", (first:wait { timeout = 30, poll = 0.1 }))
    local record = assert(job:info())
    assert.same({ "Inited", "", "null" }, { record.status, record.instance, record.sourceJson })
    assert.equals(job.id, assert(client:reconcile "w1").id)
    assert.equals(job.id, assert(client:submit(linkis.shell("true", { key = "w1" }))).id)
    assert.same({ w1 = job.id, w2 = waiting[2].id, w3 = waiting[3].id },
      assert(client:submitted "w"))
    -- wherever somebody looks, it is told that nobody works at it
    assert.same({ "queued", NOTE }, { assert(job:progress()).state, job:progress().note })
    assert.matches("%(queued, " .. NOTE .. "%)$", tostring(job))
    assert.equals(NOTE, assert(client:states { job, waiting[2] })[2].note)
    local told, seen = {}, {}
    local own = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password,
      log = function(_, event)
        if event.what == "note" then told[#told + 1] = event.message end
      end })
    local state, err = own:attach(job:handle()):wait { timeout = 0.5, poll = 0.1,
      on_progress = function(_, progress) seen[progress.note or ""] = true end }
    assert.is_nil(state)
    assert.equals("timeout", err.kind)
    assert.matches(NOTE, err.message)
    assert.matches("abort", err.hint)
    assert.same({ { NOTE }, { [NOTE] = true } }, { told, seen })
    own:close()
    local ends
    ends, err = taskclient.wait_all(waiting, { timeout = 0.2, poll = 0.1 })
    assert.is_nil(ends)
    assert.matches("of 3: " .. NOTE, err.message)
    -- and it can be ended, by its own id
    local what = assert(job:abort())
    assert.same({ true, true, true, "cancelled" }, { what.forced, what.confirmed,
      what.entrance_gone, what.state })
    assert.equals("cancelled", (job:wait { timeout = 30, poll = 0.1 }))
    for _, each in ipairs(assert(client:abort { waiting[2], waiting[3] })) do
      assert.same({ true, true, "cancelled" }, { each.forced, each.entrance_gone, each.state })
    end
    assert.matches("%(cancelled%)$", tostring(waiting[2]))
  end)
end)

describe("a task without an entrance", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function homeless(more)
    local fields = { status = "Inited", instance = "", execId = linkis.null,
      strongerExecId = "exec_id018000linkis-cg-entrancenull", sourceJson = "null" }
    for name, value in pairs(more or {}) do fields[name] = value end
    return fields
  end

  local FORCED = { match = "/kill", reply = fault.linkis({}, { message = "Forced Kill task" }) }

  it("is ended through a gateway that takes no task id in place of an execID", function()
    local client = linkis.client(fs)
    -- a short execID that is left must not be used: another entrance may have a namesake
    for _, stronger in ipairs { "exec_id018000linkis-cg-entrancenull",
      "exec_id018000linkis-cg-entrancetaskclient_hadoop_shell_0" } do
      fs:script { { match = "/get", times = 8, reply = linkis.task(homeless {
        strongerExecId = stronger }) },
        { match = "/12/kill", reply = fault.linkis({}, { status = 1,
          message = "StringIndexOutOfBoundsException: String index out of range: 6" }) }, FORCED,
        linkis.get(homeless { status = "Cancelled" }) }
      local what = assert(client:attach(12):abort())
      assert.same({ true, "cancelled" }, { what.forced, what.state })
      local kills = fs:requests "/kill"
      assert.equals(2, #kills)
      assert.matches("/exec_id018000linkis%-cg%-entrancenull/kill$", kills[2].path)
      assert.matches("taskID=12", kills[2].query)
    end
    client:close()
  end)

  it("is left alone while it may be on its way, and where it is another user's", function()
    local client = linkis.client(fs)
    fs:script { { match = "/get", times = 2, reply = linkis.task(homeless()) }, linkis.get({}, 3),
      linkis.ok "/kill", linkis.get { status = "Cancelled" } }
    assert.is_true(assert(client:attach(12):abort()).killed)
    for _, request in ipairs(fs:requests "/kill") do
      assert.matches("/" .. linkis.exec():gsub("%-", "%%-") .. "/kill", request.path)
    end
    fs:script { linkis.get(homeless { umUser = "alice" }), FORCED }
    local what, err = client:attach(12):abort()
    assert.is_nil(what)
    assert.same({ "service", "not_sent", 12 }, { err.kind, err.outcome, err.job_id })
    assert.matches("another user's", err.message)
    assert.equals(0, #fs:requests "/kill")
    client:close()
  end)

  it("is told of in the bar, and no more when it has ended", function()
    fs:script { { match = "/get", times = 3, reply = linkis.task(homeless()) },
      linkis.get(homeless { status = "Cancelled" }) }
    local client, out = linkis.client(fs), {}
    local stream = { write = function(self, ...)
      for _, text in ipairs { ... } do out[#out + 1] = text end
      return self
    end, flush = function() end }
    local job = client:attach(12)
    assert.equals("cancelled", (job:wait { timeout = 60, poll = 0.01,
      on_progress = taskclient.progress.bar { stream = stream } }))
    local text = table.concat(out)
    assert.matches("queued, " .. NOTE, text)
    assert.is_nil(text:find("cancelled, its", 1, true))
    client:close()
  end)
end)
