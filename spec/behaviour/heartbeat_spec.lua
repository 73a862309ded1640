-- Jobs of some creators are killed by the server unless somebody asks /status of them: whoever
-- holds such a job asks often enough, whatever else she does, and nobody asks of other jobs.

local fast = require "spec.support.fast"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local FACTOR = 20 -- the client's 10 s between two /status are half a second

describe("a job that lives by its /status", function()
  local box, client

  setup(function()
    box = assert(require("taskclient.sandbox").start { settings = { heartbeat_timeout = 1.5 } })
  end)
  teardown(function() box:stop() end)
  before_each(function()
    client = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })
  end)
  after_each(function() client:close() end)

  local function spec(creator)
    return { code = "echo one\nsleep 3\necho two", run_type = "shell", engine = "shell-1",
      creator = creator or "LINKISCLI" }
  end

  local function submit(creator) return assert(client:submit(spec(creator))) end

  it("is killed where nobody asks", function()
    local job = submit()
    client:close()
    client = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })
    -- job history alone is no sign of life, and asking it by another name holds no job
    wait.eventually(function()
      local record = assert(client:call("get", { id = job.id })).task
      return record.status == "Cancelled"
    end, 20, "the server to kill it")
  end)

  it("lives while its log is followed", function()
    local lines = fast.run(FACTOR, function()
      local lines, cursor = {}, submit():logs { follow = true }
      local line = cursor:read()
      while line do
        lines[#lines + 1] = line
        line = cursor:read()
      end
      return lines
    end)
    assert.matches("two", table.concat(lines, "\n"))
  end)

  it("lives through a long pause between two looks", function()
    local state = fast.run(FACTOR, function() return submit():wait { poll = 4 * FACTOR } end)
    assert.equal("succeeded", state)
  end)

  it("lives with others in as_completed, wait_all and submit_many", function()
    local ends = fast.run(FACTOR, function()
      local ends = {}
      local cursor = taskclient.as_completed({ submit(), submit "BdpClient" },
        { poll = 4 * FACTOR })
      local job, state = cursor:read()
      while job do
        ends[#ends + 1] = state
        job, state = cursor:read()
      end
      local jobs = {}
      for i = 1, 6 do jobs[i] = submit() end
      for _, ended in ipairs(assert(taskclient.wait_all(jobs, { poll = 4 * FACTOR }))) do
        ends[#ends + 1] = ended.state
      end
      local many = client:submit_many({ spec(), spec() }, { poll = 4 * FACTOR })
      assert(many:finish(function(ended) ends[#ends + 1] = ended.state end))
      return ends
    end)
    assert.equal(10, #ends)
    for _, state in ipairs(ends) do assert.equal("succeeded", state) end
  end)

  it("lives beside another wait, and under the eyes of two tasks", function()
    local states = {}
    fast.run(FACTOR, function()
      local job, other = submit(), submit "plain"
      taskclient.run(function()
        taskclient.spawn(function() states[1] = job:wait { poll = 4 * FACTOR } end)
        taskclient.spawn(function() states[2] = job:wait { poll = 5 * FACTOR } end)
        states[3] = other:wait { poll = 2 }
      end)
    end)
    assert.same({ "succeeded", "succeeded", "succeeded" }, states)
  end)
end)

describe("what /status costs", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function asked(creator)
    fs:script { linkis.get { requestApplicationName = creator },
      { match = "/list%-taskids", reply = fault.boot(404) },
      { match = "/status", reply = fault.linkis { status = "Running", execID = linkis.exec() } } }
    local client = linkis.client(fs)
    fast.run(FACTOR, function()
      client:attach(12):wait { timeout = 60, poll = 3 }
    end)
    client:close()
    return #fs:requests "/status"
  end

  it("is one request each ten seconds", function()
    local n = asked "LINKISCLI"
    assert.is_true(n >= 5 and n <= 8, n)
  end)

  it("is nothing for other creators", function() assert.equal(0, (asked "IDE")) end)
end)
