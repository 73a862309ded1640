-- What a caller gets is hers: writing into it changes nothing that anybody else is given.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local taskclient = require "taskclient"

local function record(id, status)
  return { taskID = id, status = status, progress = "0.5", errDesc = "broken", errCode = 43003 }
end

describe("what a caller gets", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t" })
  end)
  after_each(function() client:close() end)

  it("is an entry of its own for each job, and each time that jobs stand in a list", function()
    fs:script {
      { match = "/list%-taskids", reply = fault.linkis { jobHistoryList = { record(1, "Running"),
        record(2, "Failed") } } },
      { match = "/1/get", reply = fault.linkis { task = record(1, "Running") } },
      { match = "/2/get", reply = fault.linkis { task = record(2, "Failed") } },
    }
    local a, b, twin = client:attach(1), client:attach(2), client:attach(1)
    local entries = assert(client:states { a, b, a, twin, b })
    for i, entry in ipairs(entries) do
      assert.is_nil(rawget(entry, "mine"))
      assert.is_nil(rawget(entry.info, "mine"))
      entry.mine, entry.info.mine, entry.info.status = i, i, "Nonsense"
    end
    assert.equal("failed", (b:status()))
    assert.is_nil(b:poll().mine)
    assert.is_nil(b:poll().info.mine)
    b:poll().state = "succeeded"
    assert.equal("failed", (b:status()))
    local info = assert(b:info())
    info.errDesc = "written over"
    assert.equal("broken", b:poll().info.errDesc)
  end)

  it("is an err of its own for each job of a look that failed", function()
    fs:script { default = { { "read" }, { "send", fault.http(500, "no") } } }
    local jobs = { client:attach(1), client:attach(2) }
    local ends = assert(taskclient.wait_all(jobs, { timeout = 60, poll = 0.01, on_progress =
      function(job, progress)
        if not progress.err then return end
        assert.is_nil(progress.err.mine)
        progress.err.mine = job.id
        client:close() -- the next look ends the wait
      end }))
    assert.not_equal(ends[1].err, ends[2].err)
    ends[1].err.key = "mine"
    assert.is_nil(ends[2].err.key)
  end)

  it("is an err of its own for each that waited for one login", function()
    fs:script {
      { match = "publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
      { match = "login", { "read" }, { "wait", 100 }, { "send",
        fault.linkis(nil, { status = 1, message = "wrong password", http = 400 }) } },
    }
    local events = {}
    local function log(_, event) events[#events + 1] = event.err end
    local wrong = assert(taskclient.linkis { url = fs.url, user = "u", password = "p", log = log })
    taskclient.run(function()
      local tasks, errs = {}, {}
      for i = 1, 3 do
        tasks[i] = taskclient.spawn(function()
          return wrong:submit { code = "x", run_type = "sql", engine = "spark-3",
            key = "key-" .. i }
        end)
      end
      tasks[4] = taskclient.spawn(function() return wrong:attach(9):status() end)
      for i, task in ipairs(tasks) do errs[i] = select(2, taskclient.join(task)) end
      for i = 1, 3 do
        assert.same({ "auth", "not_sent", "key-" .. i },
          { errs[i].kind, errs[i].outcome, errs[i].key })
      end
      assert.is_nil(errs[4].key)
      assert.is_nil(errs[4].outcome)
    end)
    assert.equal(1, #fs:requests "login")
    for _, err in ipairs(events) do assert.is_nil(err.key) end
    wrong:close()
  end)

  it("is a note of its own for each line, and columns that are no one else's", function()
    local follow = require "taskclient.linkis.logs.merge"
    local follower = follow.new {}
    follower:file("INFO a\nINFO b\n", true)
    local notes = {}
    repeat
      local line, note = follower:next()
      if line then
        assert.is_nil(note.seen)
        note.seen, notes[#notes + 1] = true, note
      end
    until not line and not follower:advance()
    assert.is_true(#notes >= 2)
  end)

  it("is an event of its own for the log, whatever the log writes into it", function()
    fs:script { default = { { "read" }, { "rst" } } }
    local noisy = assert(taskclient.linkis { url = fs.url, user = "u", token = "t",
      log = function(_, event) if event.err then event.err.outcome = "rejected" end end })
    local _, err = noisy:call("submit", { body = "{}" })
    assert.equal("unknown", err.outcome)
    noisy:close()
  end)

  it("is decoded anew where it is asked for again", function()
    fs:script { { match = "/1/get", reply = fault.linkis { task = record(1, "Running") } } }
    local job = client:attach(1)
    local one, two = assert(job:info()), assert(job:info())
    one.status = core.null
    assert.equal("Running", two.status)
    assert.equal("running", job:poll().state)
  end)
end)
