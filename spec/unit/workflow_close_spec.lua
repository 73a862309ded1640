-- What is closed by a function that it calls itself: a cursor, a client, a run. On stand-ins.

local fakes = require "spec.support.workflow_fakes"

describe("closing in the middle of a callback", function()
  local wait, submit_many, runs, linkis, server

  local function submit(n)
    local jobs = {}
    for i = 1, n do jobs[i] = assert(linkis:submit { code = "job " .. i }) end
    return jobs
  end

  before_each(function()
    fakes.install()
    wait = require "taskclient.workflow.wait"
    submit_many = require("taskclient.workflow.submit_many").submit_many
    runs = require "taskclient.run"
    server = fakes.server "linkis"
    linkis = fakes.client(server)
    server.plan = function() return { queue = 1, run = 5, log = { "a", "b", "c", "d" } } end
  end)

  for _, name in ipairs { "on_state", "on_progress", "on_log", "poll" } do
    it("leaves the jobs of a cursor alone, and calls nothing more: " .. name, function()
      local cursor
      local closed, after = false, nil
      local opts = { poll = 1 }
      for _, other in ipairs { "on_state", "on_progress", "on_log" } do
        opts[other] = function() if closed then after = after or other end end
      end
      local called = opts[name]
      opts[name] = function()
        if name ~= "poll" then called() end
        closed = true
        cursor:close()
        return 1
      end
      cursor = wait.as_completed(submit(3), opts)
      assert.is_nil((cursor:read()))
      assert.is_true(closed)
      assert.is_nil(after)
      assert.is_nil((cursor:read()))
      local rounds = server.rounds
      assert.are.equal("succeeded", (wait.wait(linkis:attach(1)))) -- others go on as before
      assert.is_true(server.rounds > rounds)
    end)
  end

  it("gives the end that was learned when the cursor is closed at it", function()
    local cursor
    cursor = wait.as_completed(submit(1), { on_state = function(_, state)
      if state == "succeeded" then cursor:close() end
    end })
    assert.are.equal(1, cursor:read().id)
    assert.is_nil((cursor:read()))
  end)

  it("submits nothing more of many", function()
    for _, name in ipairs { "on_state", "on_progress", "specs", "name", "when" } do
      server.submits, server.plan = 0, function()
        return { queue = 0, run = 1, state = "failed" }
      end
      fakes.disk.files, fakes.disk.locked = {}, {}
      local cursor, before
      local function close()
        before = before or server.submits
        cursor:close()
        return true
      end
      local i = 0
      local opts = { active = 4, journal = assert(runs.open "a.run") }
      opts[name] = close
      if name == "when" then opts.when, opts.retry = nil, { times = 3, when = close } end
      if name == "name" then opts.name = function(_, index) return close() and index .. "" end end
      local specs = function()
        i = i + 1
        if name == "specs" and i == 3 then close() end
        return { code = "job " .. i }
      end
      opts.specs = nil -- that one is called by its place
      cursor = submit_many(linkis, specs, opts)
      local ended
      repeat ended = cursor:read() until not ended
      assert.is_number(before, name)
      assert.is_true(server.submits <= before + (name == "specs" and 2 or 0), name)
      assert.is_true(i < 20, name)
    end
  end)

  it("ends the wait by the client's own error when the client is closed", function()
    local closed
    function linkis.close()
      closed = true
      server.down = fakes.new_error("closed", "the client is closed")
    end
    local state, err = wait.wait(submit(1)[1], { on_state = function() linkis:close() end })
    assert.is_true(closed)
    assert.is_nil(state)
    assert.are.equal("closed", err.kind)
  end)

  it("says that a run was closed inside of its own step or wait", function()
    local run = assert(runs.open "a.run")
    local value, err = run:step("a", function()
      run:close()
      return 1
    end)
    assert.is_nil(value)
    assert.are.equal("closed", err.kind)
    run = assert(runs.open "a.run") -- and can be opened again, where the step is still to be done
    assert.are.equal(2, run:step("a", function() return 2 end))
    local job = assert(run:submit("x", linkis, {}))
    assert.are.equal("succeeded", (wait.wait(job, { on_state = function() run:close() end })))
    run = assert(runs.open "a.run")
    assert.are.equal(job.id, assert(run:submit("x", linkis, {})).id)
    assert.are.equal("closed", select(2, submit_many(linkis, { {}, {} }, { journal = run,
      on_state = function() run:close() end, active = 1 }):finish()).kind)
  end)
end)
