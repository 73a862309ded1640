-- Stopping Linkis jobs where execIDs lie: nothing but the task named is ever
-- stopped, and what is said is what happened.

local fast = require "spec.support.fast"
local taskclient = require "taskclient"

describe("abort", function()
  local box, client

  before_each(function()
    box = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" },
    })
    client = assert(taskclient.linkis { url = box.url, user = "alice", password = "alice" })
  end)
  after_each(function()
    client:close()
    box:stop()
  end)

  local function long()
    return assert(client:submit { code = "sleep 60", run_type = "shell", engine = "shell-1" })
  end

  local function is_running(job)
    local state = assert(job:status())
    return state == "running" or state == "queued"
  end

  it("never stops the newer job that has an old one's execID", function()
    local old = long()
    local exec = assert(old.exec_id)
    box:restart_entrance()
    local new = long()
    assert.equals(exec, new.exec_id)
    local what = assert(client:attach(old:handle()):abort())
    assert.is_true(what.ended)
    assert.equals("cancelled", what.state)
    assert.is_true(is_running(new))
    assert.is_true(assert(new:abort()).killed)
  end)

  it("stops many by one request, each with its own result", function()
    local jobs, kills = {}, 0
    for i = 1, 5 do jobs[i] = long() end
    jobs[6] = assert(client:submit { code = "echo", run_type = "shell", engine = "shell-1" })
    jobs[6]:wait { timeout = 30, poll = 0.1 }
    local results = assert(client:abort(jobs))
    for i = 1, 5 do
      assert.is_true(results[i].killed)
      assert.equals("cancelled", results[i].state)
      kills = kills + 1
    end
    assert.equals(5, kills)
    assert.is_true(results[6].ended)
    assert.equals("succeeded", results[6].state)
  end)

  it("stops a job that waits for its turn", function()
    box:set { max_running = 1 }
    local first, second = long(), long()
    local what = assert(second:abort())
    assert.is_true(what.killed)
    assert.equals("cancelled", what.state)
    assert.is_true(is_running(first))
    assert.is_true(assert(first:abort()).killed)
  end)

  local function memory_of(job)
    return assert(client:call("status", { id = job.exec_id })).status
  end

  it("kills again what goes on though history calls it cancelled", function()
    for early = 1, 2 do
      local job = long()
      box:set { kill_early = early }
      local what = assert(job:abort())
      assert.same({ true, true, "cancelled" }, { what.killed, what.confirmed, what.state })
      assert.equals("Cancelled", memory_of(job))
    end
  end)

  it("of many kills each again that goes on", function()
    local jobs = { long(), long(), long() }
    box:set { kill_early = 2 }
    for _, what in ipairs(assert(client:abort(jobs))) do
      assert.same({ true, true }, { what.killed, what.confirmed })
    end
    for _, job in ipairs(jobs) do assert.equals("Cancelled", memory_of(job)) end
  end)

  it("says that it is not confirmed where the task goes on for all that", function()
    local job = long()
    box:set { kill_early = 1000 }
    local what = fast.run(10, function() return assert(job:abort()) end)
    assert.same({ true, false, "cancelled" }, { what.killed, what.confirmed, what.state })
    -- the same call again is not answered from memory
    box:set { kill_early = 0 }
    what = assert(job:abort())
    assert.same({ true, true }, { what.killed, what.confirmed })
    assert.equals("Cancelled", memory_of(job))
  end)

  it("really sends where somebody else's kill was believed too early", function()
    local job = long()
    box:set { kill_early = 1 }
    assert(client:call("kill", { id = job.exec_id, taskID = job.id }))
    assert.equals("cancelled", (job:status()))
    assert.not_equals("Cancelled", memory_of(job))
    assert.is_true(assert(client:attach(job.id):abort()).confirmed)
    assert.equals("Cancelled", memory_of(job))
    -- and where both say the end, for the process may live all the same
    box:set { fail_match = "/kill$", boot_error = { code = 500, times = 1 } }
    assert.is_true(assert(job:abort()).ended)
    assert.equals("cancelled", (job:status()))
    assert(client:call("kill", { id = job.exec_id, taskID = job.id })) -- the fault was used up
  end)

  it("of another user's job does not find it", function()
    local job = long()
    box:set { users = { hadoop = "hadoop", alice = "alice", bob = "bob" } }
    local other = assert(taskclient.linkis { url = box.url, user = "bob", password = "bob" })
    local what, err = other:attach(job:handle()):abort()
    assert.is_nil(what)
    assert.equals("service", err.kind)
    assert.is_true(is_running(job))
  end)
end)

describe("a server built from the published page", function()
  local box, client

  setup(function()
    box = assert(require("taskclient.sandbox").start { version = "published" })
    client = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })
  end)
  teardown(function()
    client:close()
    box:stop()
  end)

  it("takes a submit, shows its states in capitals, ends it", function()
    local job = assert(client:submit { code = "echo x", run_type = "shell", engine = "shell-1" })
    assert.equals("number", type(job.id))
    assert.equals("succeeded", (job:wait { timeout = 30, poll = 0.1 }))
    assert.is_number(job:progress().fraction)
  end)

  it("stops a job by POST", function()
    local job = assert(client:submit { code = "sleep 60", run_type = "shell", engine = "shell-1" })
    local what, err = job:abort()
    assert.is_nil(err)
    assert.is_true(what.killed)
    assert.equals("cancelled", (job:status()))
  end)

  it("tells the code of a failure", function()
    local job = assert(client:submit { code = "exit 4", run_type = "shell", engine = "shell-1" })
    local state, _, err = job:wait { timeout = 30, poll = 0.1 }
    assert.equals("failed", state)
    assert.equals("service", err.kind)
  end)
end)
