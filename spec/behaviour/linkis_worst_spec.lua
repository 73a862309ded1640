-- A job's life while the server is at its worst: the user of the client notices
-- nothing, or is told what is so.

local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

describe("while the server", function()
  local box, client

  setup(function()
    box = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" }, admin = "hadoop" })
    client = assert(taskclient.linkis { url = box.url, user = "alice", password = "alice" })
    assert(client:whoami())
  end)
  teardown(function()
    client:close()
    box:stop()
  end)

  local function shell(code, creator)
    return assert(client:submit(linkis.shell(code, { creator = creator })))
  end

  local function running(job)
    wait.eventually(function() return job:status() == "running" end, 20, "a running job")
    return job
  end

  local function file_of(job)
    local lines = {}
    local data = assert(client:call("openLog", { path = assert(job:info()).logPath }))
    for line in data.log[4]:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    table.sort(lines)
    return lines
  end

  -- Starts a job of some lines, throws `switches` while its log is followed, takes
  -- them back a little later.
  local function follow_through(switches, back)
    local job = shell("seq 1 20 | while read i; do echo l$i; sleep 0.05; done; true")
    local lines, state = {}, nil
    taskclient.run(function()
      taskclient.spawn(function()
        for line in job:logs { follow = true, poll = 0.1, timeout = 60 } do
          lines[#lines + 1] = line
        end
      end)
      taskclient.spawn(function()
        taskclient.sleep(0.2)
        box:set(switches)
        taskclient.sleep(0.6)
        box:set(back)
      end)
      state = job:wait { timeout = 60, poll = 0.1 }
    end)
    table.sort(lines)
    assert.same(file_of(job), lines)
    return state
  end

  it("has lost its job history, waits and logs go on", function()
    assert.equals("succeeded", follow_through(
      { history_down = true, public_service_block = 0.1 }, { history_down = false }))
  end)

  it("answers Boot errors, data:[], empty 500 or HTTP 200 with status 1", function()
    for name, value in pairs { boot_error = { code = 500, times = 6 },
      gateway_error = { code = 500, times = 6 }, empty_500 = { times = 6 },
      gateway_status1 = { code = 11011, times = 4 } } do
      assert.equals("succeeded", follow_through({ [name] = value }, { [name] = false }), name)
    end
  end)

  it("cuts its replies", function()
    assert.equals("succeeded", follow_through(
      { cut = { path = "/get", after = 200, times = 6 } }, { cut = false }))
    local job = shell "seq 1 2000"
    job:wait { timeout = 30, poll = 0.1 }
    local rs = assert(job:results())[1]
    box:set { cut = { path = "openFile", after = 3000, times = 3 } }
    local n = 0
    for row in rs:rows { page_size = 500 } do
      n = n + 1
      assert(row[1] == tostring(n))
    end
    box:set { cut = false }
    assert.equals(2000, n)
  end)

  it("refuses every session for a while", function()
    assert.equals("succeeded", follow_through({ unauthorized = 1 }, { unauthorized = false }))
  end)

  it("moves its jobs to another entrance", function()
    assert.equals("succeeded", follow_through({ failover = true }, { failover = false }))
    local job = running(shell "sleep 60")
    box:set { failover = true }
    assert.is_not_nil(tostring(job))
    local entry = job:poll()
    assert.is_nil(entry.exec)
    assert.equals("running", assert(job:progress()).state)
    box:set { failover = false }
    assert.is_true(assert(job:abort()).killed)
  end)

  it("is gone and comes back", function()
    local job = shell "sleep 1; echo survived"
    local state
    box:kill_server()
    local alone, err = client:attach(job.id):status()
    assert.is_nil(alone)
    assert.equals("network", err.kind)
    taskclient.run(function()
      taskclient.spawn(function()
        taskclient.sleep(0.5)
        box:resume_server()
      end)
      state = job:wait { timeout = 60, poll = 0.2 }
    end)
    assert.equals("succeeded", state)
    assert.equals("survived", assert(job:results())[1]:text())
  end)

  it("restarts its entrance, a follower ends with the file", function()
    local job = running(shell "seq 1 30; sleep 60")
    local lines, state = {}, nil
    taskclient.run(function()
      taskclient.spawn(function()
        for line in job:logs { follow = true, poll = 0.1, timeout = 60 } do
          lines[#lines + 1] = line
        end
      end)
      taskclient.spawn(function()
        taskclient.sleep(0.5)
        box:restart_entrance()
      end)
      state = job:wait { timeout = 60, poll = 0.1 }
    end)
    assert.equals("cancelled", state)
    table.sort(lines)
    assert.same(file_of(job), lines)
    assert.equals(job.id, assert(client:reconcile(job.key)).id) -- though its source is gone
  end)

  it("has forgotten an ended job, log, results and states remain", function()
    local job = shell "echo kept"
    job:wait { timeout = 30, poll = 0.1 }
    box:evict()
    local again = client:attach(job:handle())
    assert.equals("succeeded", (again:status()))
    assert.is_true(#linkis.all(again:logs()) > 5)
    assert.equals("kept", assert(again:results())[1]:text())
    assert.is_true(assert(again:abort()).ended)
  end)

  it("lets a stranger force a kill, the end is seen and the key found", function()
    local job = running(shell "sleep 30")
    local stranger = assert(taskclient.linkis { url = box.url, user = "hadoop",
      password = "hadoop" })
    local exec = job.exec_id:gsub("_(%d+)$", "_4711")
    assert(stranger:call("kill", { id = exec, taskID = job.id }))
    assert.equals("cancelled", (job:wait { timeout = 20, poll = 0.1 }))
    assert.equals("null", assert(client:attach(job.id):info()).sourceJson)
    assert.equals(job.id, assert(client:reconcile(job.key)).id)
    assert.equals(job.id, assert(client:submit(linkis.shell("sleep 30", { key = job.key }))).id)
  end)

  it("tells wrong dates, a lost submit is found all the same", function()
    box:set { wrong_dates = true, submit_lost = 1 }
    local job = shell "true"
    box:set { wrong_dates = false }
    assert.equals("succeeded", (job:wait { timeout = 30, poll = 0.1 }))
  end)

  it("is slow to submit and full", function()
    box:set { submit_delay = 1 }
    local quick = assert(taskclient.linkis { url = box.url, user = "alice", password = "alice",
      timeout = 0.5 })
    assert(quick:submit(linkis.shell "true"))
    box:set { submit_delay = 0, queue_full = true }
    local job, err = client:submit(linkis.shell "true")
    box:set { queue_full = false }
    assert.is_nil(job)
    assert.same({ 12001, "rejected" }, { err.code, err.outcome })
    assert.equals("failed", (client:attach(err.job_id):status()))
    assert.matches("queue", err.hint)
  end)

  it("stops jobs of two entrances, each at its own", function()
    box:set { entrances = { "127.0.0.1:9104", "127.0.0.1:9114" } }
    local jobs, places = {}, {}
    wait.eventually(function()
      jobs[#jobs + 1] = shell("sleep 60", "pair")
      places[jobs[#jobs].exec_id:match "entrance([%d.]+:%d+)"] = true
      return #jobs >= 4 and places["127.0.0.1:9104"] and places["127.0.0.1:9114"]
    end, 30, "jobs at both entrances")
    local spared = shell("sleep 60", "spared")
    for _, what in ipairs(assert(client:abort(jobs))) do
      assert.is_true(what.killed)
      assert.equals("cancelled", what.state)
    end
    assert.is_nil(require("taskclient.state").ENDED[spared:status()])
    assert.is_true(assert(spared:abort()).killed)
    box:set { entrances = { "127.0.0.1:9104" } }
  end)
end)
