-- submit_many on stand-ins: order, limits, retries, outages, deaths.

local fakes = require "spec.support.workflow_fakes"

describe("submit_many", function()
  local start, server, linkis

  local function specs(n)
    local list = {}
    for i = 1, n do list[i] = { code = "job " .. i } end
    return list
  end

  local function unfinished()
    local n = 0
    for _, task in pairs(server.tasks) do
      if fakes.clock < task.at + task.queue + task.run then n = n + 1 end
    end
    return n
  end

  before_each(function()
    fakes.install()
    start = require("taskclient.workflow.submit_many").submit_many
    server = fakes.server "linkis"
    linkis = fakes.client(server)
  end)

  it("keeps at most so many unfinished and gives the ends as they come", function()
    server.plan = function(n) return { run = (n * 7) % 5 } end
    local most, seen = 0, {}
    server.before_submit = function() most = math.max(most, unfinished() + 1) end
    for ended in start(linkis, specs(50), { active = 5 }) do seen[ended.index] = ended.state end
    assert.are.equal(50, #seen)
    assert.are.equal(5, most)
  end)

  it("takes an iterator and a coroutine, never ahead of need", function()
    local taken = 0
    local function produce()
      if taken < 12 then
        taken = taken + 1
        return { code = tostring(taken) }
      end
    end
    local cursor = start(linkis, produce, { active = 3 })
    assert.are.equal(0, taken)
    assert(cursor:read())
    assert.is_true(taken <= 5, "taken: " .. taken)
    assert.are.equal(12, cursor:finish().total)
    local co = coroutine.create(function() for i = 1, 4 do coroutine.yield { code = "c"
      .. i } end end)
    assert.are.equal(4, start(linkis, co):finish().succeeded)
  end)

  it("sums up", function()
    server.plan = function(n) return { state = n % 4 == 0 and "failed" or "succeeded" } end
    local summary = assert(start(linkis, specs(10)):finish())
    assert.are.same({ 10, 8, 2, 0, 0 }, { summary.total, summary.succeeded, summary.failed,
      summary.cancelled, summary.retried })
    assert.is_true(summary.seconds > 0)
  end)

  it("submits a failed job anew as often as told, with back-off", function()
    server.plan = function(n) return { state = n < 4 and "failed" or "succeeded" } end
    local times = {}
    server.before_submit = function() times[#times + 1] = fakes.clock end
    local ended = start(linkis, specs(1), { retry = 5 }):read()
    assert.are.same({ "succeeded", 4 }, { ended.state, ended.attempts })
    assert.is_true(times[4] - times[3] > times[2] - times[1])
    server.plan = function() return { state = "failed" } end
    ended = start(linkis, specs(1), { retry = 2 }):read()
    assert.are.same({ "failed", 3 }, { ended.state, ended.attempts })
  end)

  it("counts a job as done when no attempt is to follow", function()
    server.plan = function(n) return { state = n < 4 and "failed" or "succeeded", run = n } end
    local seen = {}
    start(linkis, specs(2), { retry = 1, on_progress = function(_, progress)
      if progress.state ~= "queued" and progress.state ~= "running" then
        seen[#seen + 1] = progress.done .. "/" .. progress.total
      end
    end }):finish()
    assert.are.same({ "0/2", "0/2", "1/2", "2/2" }, seen)
  end)

  it("retries by code, by kind and by function", function()
    server.plan = function(n) return { state = "failed", code = n } end
    assert.are.equal(1, start(linkis, specs(1), { retry = { times = 3,
      codes = { 99 } } }):read().attempts)
    assert.are.equal(2, start(linkis, specs(1), { retry = { times = 3,
      codes = { "2" } } }):read().attempts)
    assert.are.equal(4, start(linkis, specs(1), { retry = { times = 3,
      kinds = { "service" } } }):read().attempts)
    local rule = { times = 9, when = function(ended, attempts) return ended.err.code
      and attempts < 3 end }
    assert.are.equal(3, start(linkis, specs(1), { retry = rule }):read().attempts)
    assert.is_false(pcall(start, linkis, specs(1), { retry = { codes = { 1 } } }))
  end)

  it("stops on failure, and waits for what runs", function()
    server.plan = function(n) return { state = n == 3 and "failed" or "succeeded", run = n } end
    local cursor = start(linkis, specs(100), { active = 5, stop_on_failure = true })
    local summary = cursor:finish()
    assert.is_true(summary.stopped)
    assert.are.equal(1, summary.failed)
    assert.is_true(summary.total < 12)
    assert.are.equal(summary.total, summary.failed + summary.succeeded)
  end)

  it("submits nothing after a failure: no retry, none that was taken already", function()
    local last
    server.plan = function(_, spec)
      local n = tonumber(spec.code:match "%d+")
      return { state = n < 3 and "failed" or "succeeded", run = n == 1 and 20 or 1 }
    end
    server.before_submit = function() last = fakes.clock end
    local ends, cursor = {}, start(linkis, specs(9), { active = 2, stop_on_failure = true,
      retry = { times = 1, delay = 30 } })
    for ended in cursor do ends[#ends + 1] = ended.index .. ended.state .. ended.attempts end
    assert.are.same({ "2failed2", "1failed1" }, ends)
    assert.is_true(last < 1000 + fakes.clock)
    assert.are.equal(3, server.submits)
    server.refuse = function(spec)
      if spec.code == "job 2" then return fakes.new_error("service", "no",
        { outcome = "rejected" }) end
    end
    server.plan, server.submits = function() return {} end, 0
    local summary = start(linkis, specs(9), { active = 4, stop_on_failure = true }):finish()
    assert.are.same({ 4, 1, 3, 1 }, { summary.total, summary.succeeded, summary.not_submitted,
      server.submits })
  end)

  it("gives an end at once, and no timeout when all is done", function()
    server.refuse = function(spec)
      if spec.code == "job 2" then return fakes.new_error("service", "no",
        { outcome = "rejected" }) end
    end
    server.plan = function() return { run = 20 } end
    local before, cursor = fakes.clock, start(linkis, specs(2), { timeout = 60 })
    assert.are.equal(2, cursor:read().index)
    assert.are.equal(before, fakes.clock)
    assert.are.equal("succeeded", cursor:read().state)
    fakes.clock = fakes.clock + 60
    assert.are.same({}, { cursor:read() })
  end)

  it("says at the deadline that nothing could be submitted, and why", function()
    server.down = fakes.new_error("network", "unreachable", { outcome = "not_sent" })
    local _, err = start(linkis, specs(3), { timeout = 7 }):read()
    assert.are.equal("timeout", err.kind)
    assert.matches("to be submitted: 3; last error: network: unreachable", err.message, 1, true)
    assert.are.equal("network", err.cause.kind)
  end)

  it("takes whatever can be called for an iterator", function()
    local n = 0
    local some = setmetatable({}, { __call = function()
      n = n + 1
      return n < 4 and { code = "c" .. n } or nil
    end })
    assert.are.equal(3, start(linkis, some):finish().succeeded)
  end)

  it("says which spec it is that can never go out", function()
    local list = specs(3)
    list[2].source = { print }
    server.before_submit = function(spec) local text, why = require("taskclient.core").encode(spec)
      if not text then error(why, 0) end
    end
    local ok, why = pcall(function() return start(linkis, list):finish() end)
    assert.is_false(ok)
    assert.matches("^spec 2: .*JSON", why)
    local run = assert(require("taskclient.run").open "a.run")
    ok, why = pcall(function() return start(linkis, list, { journal = run }):finish() end)
    assert.is_false(ok)
    assert.matches("^spec 2: .*JSON", why)
  end)

  it("says what a journal is where it is given something else", function()
    for _, wrong in ipairs { "a.run", {}, 1, true } do
      local ok, why = pcall(start, linkis, specs(1), { journal = wrong })
      assert.is_false(ok)
      assert.matches("what taskclient.journal gives", why, 1, true)
    end
  end)

  it("begins no submit after the deadline", function()
    server.before_submit = function() fakes.clock = fakes.clock + 5 end
    server.plan = function() return { run = 1e5 } end
    local before = fakes.clock
    local _, err = start(linkis, specs(40), { timeout = 7 }):read()
    assert.are.same({ "timeout", 2 }, { err.kind, #err.handles })
    assert.are.equal(10, fakes.clock - before)
    server.refuse = function()
      fakes.clock = fakes.clock + 5
      return fakes.new_error("service", "no", { outcome = "rejected" })
    end
    local cursor = start(linkis, specs(3), { timeout = 7 })
    assert.are.same({ 1, 2 }, { cursor:read().index, cursor:read().index })
    assert.are.equal("timeout", select(2, cursor:read()).kind) -- the third
    server.refuse, server.plan = nil, function() return { queue = 0, run = 1, state = "failed" } end
    cursor = start(linkis, specs(3), { timeout = 7, stop_on_failure = true })
    assert.are.same({ "failed", "interrupted" }, { cursor:read().state, cursor:read().err.kind })
    assert.are.equal("timeout", select(2, cursor:read()).kind) -- the second
  end)

  it("waits as long as a server asks for before the next try, with a cap", function()
    local n, before = 0, fakes.clock
    server.refuse = function()
      n = n + 1
      if n == 1 then return fakes.new_error("http", "slow down", { outcome = "rejected",
        retry_after = 1e6 }) end
    end
    assert.are.equal(1, start(linkis, specs(1), { retry = 1 }):finish().succeeded)
    assert.is_true(fakes.clock - before >= 60 and fakes.clock - before < 80)
  end)

  it("tells a bar how many there are as soon as that is known", function()
    server.plan = function(n) return { state = n == 2 and "failed" or "succeeded" } end
    local function totals(list, opts)
      local seen, last = {}, nil
      opts.on_progress = function(_, progress)
        seen[tostring(progress.total)], last = true, progress.done
      end
      start(linkis, list, opts):finish()
      return seen, last
    end
    local seen, last = totals(specs(7), { active = 2, retry = 1 })
    assert.are.same({ { ["7"] = true }, 7 }, { seen, last })
    local list, i = specs(7), 0
    seen, last = totals(function() i = i + 1 return list[i] end, { active = 2 })
    assert.are.same({ { ["nil"] = true, ["7"] = true }, 7 }, { seen, last })
  end)

  it("goes on with the rest after an unknown submit", function()
    server.after_submit = function(spec)
      if spec.code == "job 2" then return fakes.new_error("submit_unknown", "cut",
        { outcome = "unknown" }) end
    end
    local seen = {}
    local summary = start(linkis, specs(4), { retry = 3 }):finish(function(ended)
      seen[ended.index] = ended.state or ended.err.kind
    end)
    assert.are.same({ "succeeded", "submit_unknown", "succeeded", "succeeded" }, seen)
    assert.are.equal(1, summary.unknown)
    assert.are.equal(4, server.submits)
  end)

  it("fails nobody while the server is away for ten minutes", function()
    local start_at = fakes.clock
    server.down = function()
      local age = fakes.clock - start_at
      if age > 5 and age < 605 then return fakes.new_error("network", "gone",
        { outcome = "not_sent" }) end
    end
    local summary = start(linkis, specs(60), { active = 10 }):finish()
    assert.are.equal(60, summary.succeeded)
    assert.are.equal(60, server.submits)
    assert.is_true(server.requests < 1200, "requests: " .. server.requests)
  end)

  it("ends with handles when the session is refused or time is up", function()
    server.plan = function() return { run = 1e5 } end
    server.refuse = function(spec) if spec.code == "job 3" then return fakes.new_error("auth",
      "no") end end
    local cursor = start(linkis, specs(5), { active = 2, timeout = 50 })
    local ended, err = cursor:read()
    assert.is_nil(ended)
    assert.are.equal("timeout", err.kind)
    assert.are.equal(2, #err.handles)
    assert.is_nil((cursor:read()))
    local _
    _, err = start(linkis, specs(5), { active = 5 }):finish()
    assert.are.equal("auth", err.kind)
  end)

  it("names the spec that is none", function()
    local ok, message = pcall(function() return start(linkis, { {}, 7 }):finish() end)
    assert.is_false(ok)
    assert.matches("spec 2", message)
    assert.is_false(pcall(start, linkis, 7))
    assert.is_false(pcall(start, linkis, {}, { activ = 7 }))
  end)

  it("keeps memory flat in the number of specs", function()
    server.plan = function() return { run = 0, queue = 0 } end
    server.after_submit = function(_, id) server.order[#server.order] = nil; server.done = id end
    local taken = 0
    local cursor = start(linkis, function()
      taken = taken + 1
      if taken <= 1e6 then return { code = "x" } end
    end, { active = 20, poll = 0.01 })
    local function use(n)
      for _ = 1, n do server.tasks[cursor:read().job.id] = nil end
      server.polls = {}
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local before = use(500)
    local after = use(3000)
    assert.is_true(after - before < 40, ("%.1f KiB more"):format(after - before))
    assert.is_true(taken < 3600)
  end)

  describe("with a journal", function()
    local runs
    before_each(function() runs = require "taskclient.run" end)

    local function open()
      fakes.disk.locked = {}
      return assert(runs.open "m.run")
    end

    it("groups the fsyncs of pending intents", function()
      fakes.disk.syncs = 0
      start(linkis, specs(40), { active = 20, journal = open() }):finish()
      assert.are.equal(40, server.submits)
      assert.is_true(fakes.disk.syncs < 12, "syncs: " .. fakes.disk.syncs)
    end)

    it("gives the same report after a death at any write, each task once", function()
      server.plan = function(_, spec)
        return { state = spec.code == "job 7" and "failed" or "succeeded", run = 2 }
      end
      local function report()
        local seen, run = {}, open()
        local summary = start(linkis, specs(12), { active = 4, journal = run,
          retry = 1 }):finish(function(ended)
          seen[ended.index] = ended.state .. ended.attempts .. ended.job.id
        end)
        run:close() -- or the collector does, and its write is counted or not
        return { #seen, summary.succeeded, summary.failed, summary.retried }
      end
      local writes = 0
      fakes.disk.on_write = function() writes = writes + 1 end
      local whole = report()
      assert.are.same({ 12, 11, 1, 1 }, whole)
      assert.are.equal(13, server.submits)
      for death = 2, writes do
        for _, moment in ipairs { "before_write", "on_write" } do
          fakes.disk.files, fakes.disk.on_write = {}, nil
          server.tasks, server.order, server.submits, server.count = {}, {}, 0, 0
          local n = 0
          fakes.disk[moment] = function()
            n = n + 1
            if n ~= death then return end
            fakes.disk.locked = {}
            error("killed", 0)
          end
          assert.is_false((pcall(report)))
          fakes.disk[moment] = nil
          assert.are.same(whole, report())
          assert.are.equal(13, server.submits)
        end
      end
    end)

    it("settles the jobs when Ctrl-C comes while an end is looked at", function()
      local left
      server.plan = function(n) return { run = 10 * n } end
      local cursor = start(linkis, specs(3), { on_interrupt = function(jobs) left = #jobs end })
      assert.is_false(pcall(cursor.finish, cursor, fakes.press_ctrl_c))
      fakes.ctrl_c = false
      assert.are.equal(2, left)
      assert.are.equal(3, server.submits)
    end)

    it("takes names from the caller", function()
      local run = open()
      start(linkis, specs(2), { journal = run, name = "part" }):finish()
      start(linkis, specs(1), { journal = run,
        name = function(spec) return spec.code end }):finish()
      local names = {}
      for i, step in ipairs(run:steps()) do names[i] = step.name end
      assert.are.same({ "part 1", "part 2", "job 1" }, names)
    end)
  end)
end)
