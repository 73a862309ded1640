-- The scheduler: tasks, timers, cancellation, errors, limits; no server needed.

local core = require "taskclient.core"
local new_error = require("taskclient.error").new
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local run, spawn, join, sleep = taskclient.run, taskclient.spawn, taskclient.join, taskclient.sleep

describe("taskclient.run", function()
  local stderr, said = io.stderr, nil

  -- luacheck: push ignore 122
  before_each(function()
    said = ""
    io.stderr = { write = function(_, ...) said = said .. table.concat { ... } end }
  end)
  after_each(function() io.stderr = stderr end)
  -- luacheck: pop

  it("gives what the function returns, and takes arguments", function()
    assert.same({ 1, nil, 3 }, { run(function(a, b, c) return a, b, c end, 1, nil, 3) })
  end)

  it("waits for every task", function()
    local ended = 0
    run(function()
      for _ = 1, 3 do
        spawn(function()
          sleep(0.01)
          ended = ended + 1
        end)
      end
    end)
    assert.equals(3, ended)
  end)

  it("runs timers by their time, equal ones in their order", function()
    local order = {}
    run(function()
      for _, s in ipairs { 0.03, 0.01, 0.02 } do
        spawn(function()
          sleep(s)
          order[#order + 1] = s
        end)
      end
    end)
    assert.same({ 0.01, 0.02, 0.03 }, order)
  end)

  it("lets tasks sleep at the same time", function()
    wait.within(2, function()
      run(function()
        for _ = 1, 50 do spawn(sleep, 0.05) end
      end)
    end)
  end)

  it("raises an error with the traceback of its own coroutine", function()
    local function broken() error "a bug" end
    local ok, message = pcall(run, function()
      local value = broken()
      return value
    end)
    assert.is_false(ok)
    assert.matches("a bug", message)
    assert.matches("broken", message)
  end)

  it("raises the error of a task that nobody joined", function()
    local ok, message = pcall(run, function()
      spawn(function() error("lost", 0) end)
      sleep(0.01)
    end)
    assert.is_false(ok)
    assert.matches("^lost", message)
  end)

  it("says so when every task waits for another", function()
    local ok, message = pcall(run, function()
      local a, b
      a = spawn(function() join(b) end)
      b = spawn(function() join(a) end)
      join(a)
    end)
    assert.is_false(ok)
    assert.matches("every task waits for another", message)
  end)

  it("ends all tasks when Ctrl-C is raised in one of them", function()
    local real, pressed = core.sigint, false
    core.sigint = function() return not pressed end -- as the stock interpreters have it
    local ended
    local ok, why = pcall(run, function()
      spawn(function()
        pressed = true
        error("script.lua:1: interrupted!", 0)
      end)
      spawn(function() ended = { pcall(sleep, 60) } end)
      sleep(60)
    end)
    core.sigint = real
    assert.is_false(ok)
    assert.matches("interrupted!$", why)
    if ended then -- Lua 5.1 has no pcall that waits
      assert.equals("interrupted", ended[2].kind)
    end
  end)

  it("takes a task's own text for no Ctrl-C", function()
    local slept
    local ok, why = pcall(run, function()
      spawn(function() error("script.lua:1: interrupted!", 0) end)
      sleep(0.02)
      slept = true
    end)
    assert.is_false(ok)
    assert.matches("interrupted!", why, 1, true)
    assert.is_true(slept)
  end)

  it("tells of its own function's failure while the tasks of that go on", function()
    local at
    assert.is_false(pcall(run, function()
      spawn(function()
        sleep(0.02)
        at = said
      end)
      error("early", 0)
    end))
    assert.matches("a task has failed, .*: early", at)
    said = ""
    assert.is_false(pcall(run, function() error("alone", 0) end))
    assert.equals("", said) -- raised at once
  end)

  it("tells of a task that has failed while the others go on", function()
    local at
    local ok, why = pcall(run, function()
      local joined = spawn(function() error(new_error("io", "joined in time"), 0) end)
      spawn(function() error("lost", 0) end)
      join(joined)
      sleep(0.01)
      at = said
    end)
    assert.is_false(ok)
    assert.matches("^lost", why)
    assert.matches("a task has failed, .*: lost", at)
    assert.is_nil(at:find("joined in time", 1, true))
    assert.equals(said, at) -- and once
  end)

  it("works again after an error, and inside of a task", function()
    pcall(run, function() error "x" end)
    assert.equals(7, run(function() return run(function() return 7 end) end))
  end)

  it("lets a task give way by a bare yield", function()
    local order = {}
    run(function()
      for _, name in ipairs { "a", "b" } do
        spawn(function()
          order[#order + 1] = name
          coroutine.yield()
          order[#order + 1] = name
        end)
      end
    end)
    assert.same({ "a", "b", "a", "b" }, order)
  end)

  it("carries 10,000 waiting tasks at a cost that does not grow with their number", function()
    local woken = 0
    local began = os.clock()
    run(function()
      for i = 1, 10000 do
        spawn(function()
          sleep(0.05 + i / 100000)
          woken = woken + 1
        end)
      end
    end)
    assert.equals(10000, woken)
    assert.is_true(os.clock() - began < 5)
  end)

  it("refuses what is no function", function()
    assert.has_error(function() run(1) end)
    assert.has_error(function() run(function() spawn(1) end) end)
    assert.has_error(function() spawn(print) end)
    assert.has_error(function() join(1) end)
  end)
end)

describe("taskclient.join", function()
  it("gives the task's results, also after its end and twice", function()
    run(function()
      local task = spawn(function() return 1, 2 end)
      assert.same({ 1, 2 }, { join(task) })
      assert.same({ 1, 2 }, { join(task) })
      assert.is_true(task:done())
    end)
  end)

  it("gives an err that was raised as nil, err", function()
    local failure = require "taskclient.error"
    run(function()
      local result, err = join(spawn(function() error(failure.new("io", "gone"), 0) end))
      assert.is_nil(result)
      assert.equals("io", err.kind)
      assert.is_string(err.traceback)
    end)
  end)

  it("raises any other error", function()
    local ok, message = pcall(run, function() join(spawn(function() error("bug", 0) end)) end)
    assert.is_false(ok)
    assert.matches("^bug", message)
  end)
end)

describe("task:cancel", function()
  it("ends a sleep with an err of kind interrupted", function()
    local began = core.now()
    run(function()
      local task = spawn(sleep, 60)
      sleep(0.01)
      task:cancel()
      local result, err = join(task)
      assert.is_nil(result)
      assert.equals("interrupted", err.kind)
    end)
    assert.is_true(core.now() - began < 5)
  end)

  it("lets the task wait again while it cleans up", function()
    local cleaned
    run(function()
      local task
      task = spawn(function()
        if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
          cleaned = true
          return sleep(60)
        end
        local ok = pcall(sleep, 60)
        sleep(0.01)
        cleaned = not ok
      end)
      sleep(0.01)
      task:cancel()
      task:cancel()
      join(task)
    end)
    assert.is_true(cleaned)
  end)

  it("does not begin a task that has not begun", function()
    local begun
    run(function()
      local task = spawn(function() begun = true end)
      task:cancel()
      local result, err = join(task)
      assert.is_nil(result)
      assert.equals("interrupted", err.kind)
    end)
    assert.is_nil(begun)
  end)

  it("ends the next wait of a task that cancels itself", function()
    local began = core.now()
    run(function()
      local task
      task = spawn(function()
        task:cancel()
        sleep(60)
      end)
      local _, err = join(task)
      assert.equals("interrupted", err.kind)
    end)
    assert.is_true(core.now() - began < 5)
  end)

  it("leaves a task that has ended as it is", function()
    run(function()
      local task = spawn(function() return 5 end)
      join(task)
      task:cancel()
      assert.equals(5, join(task))
    end)
  end)
end)

describe("taskclient.limit", function()
  it("lets at most n through at a time", function()
    local now, most, ended = 0, 0, 0
    run(function()
      local gate = taskclient.limit(3)
      for _ = 1, 10 do
        gate:spawn(function()
          now = now + 1
          most = math.max(most, now)
          sleep(0.005)
          now, ended = now - 1, ended + 1
        end)
      end
    end)
    assert.equals(3, most)
    assert.equals(10, ended)
  end)

  it("frees the place of a task that failed, and gives results by run", function()
    run(function()
      local gate = taskclient.limit(1)
      local task = gate:spawn(function() error(require("taskclient.error").new("io", "x"), 0) end)
      join(task)
      assert.equals(9, gate:run(function() return 9 end))
    end)
  end)

  it("gives a place to the next in line when the first was cancelled", function()
    for _, moment in ipairs { "while it waits", "when it is woken" } do
      assert.same({ "c", 1 }, { run(function()
        local gate = taskclient.limit(1)
        gate:spawn(function() sleep(0.02) end)
        local b = spawn(gate.run, gate, function() return "b" end)
        sleep(0)
        local c = spawn(gate.run, gate, function() return "c" end)
        sleep(0)
        if moment == "when it is woken" then
          local release = gate.waiters[1]
          gate.waiters[1] = function()
            local woken = release()
            b:cancel()
            return woken
          end
        else
          b:cancel()
        end
        assert.is_nil((join(b)))
        return join(c), gate.free
      end) }, moment)
    end
  end)

  it("keeps no place for what cannot be started", function()
    run(function()
      local gate = taskclient.limit(1)
      assert.has_error(function() gate:spawn "no function" end)
      assert.equals(1, gate:run(function() return 1 end))
    end)
  end)

  it("wants a whole number from 1", function()
    for _, n in ipairs { 0, -1, 1.5, "2", 0 / 0 } do
      assert.has_error(function() taskclient.limit(n) end)
    end
  end)
end)
