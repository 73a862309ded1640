-- Waiting on stand-ins and a clock that only sleeping moves.

local fakes = require "spec.support.workflow_fakes"

describe("waiting", function()
  local wait, watch, linkis, lindorm, server

  local function submit(client, n)
    local jobs = {}
    for i = 1, n do jobs[i] = assert(client:submit { code = "job " .. i }) end
    return jobs
  end

  before_each(function()
    fakes.install()
    wait = require "taskclient.workflow.wait"
    watch = require "taskclient.workflow.watch"
    server = fakes.server "linkis"
    linkis = fakes.client(server)
    lindorm = fakes.client(fakes.server "lindorm")
  end)

  it("gives the final state, the server's word, and why a job failed", function()
    server.plan = function(n) return n == 2 and { state = "failed", code = 60002 } or {} end
    local good, bad = linkis:submit {}, linkis:submit {}
    assert.are.same({ "succeeded", "Succeed" }, { wait.wait(good) })
    local state, native, err = wait.wait(bad)
    assert.are.equal("failed", state)
    assert.are.equal("Failed", native)
    assert.are.equal(60002, err.code)
  end)

  it("asks at 0.15 s growing to 10 s, ±20 %, by default", function()
    server.plan = function() return { run = 300 } end
    wait.wait(linkis:submit {})
    local gaps, plan = {}, 0.15
    for i = 2, #server.polls do gaps[i - 1] = server.polls[i].at - server.polls[i - 1].at end
    for _, gap in ipairs(gaps) do
      assert.is_true(gap >= plan * 0.79 and gap <= plan * 1.21, gap .. " for " .. plan)
      plan = math.min(10, plan * 1.6)
    end
    assert.is_true(#gaps < 55)
  end)

  it("sees the end of a short job soon", function()
    server.plan = function() return { queue = 0, run = 0.1 } end
    local began = fakes.clock
    assert.are.equal("succeeded", (wait.wait(linkis:submit {})))
    assert.is_true(fakes.clock - began < 0.3, "after " .. fakes.clock - began)
    assert.is_true(#server.polls <= 3)
  end)

  it("takes poll as a number and as a function", function()
    server.plan = function() return { run = 20 } end
    wait.wait(linkis:submit {}, { poll = 5 })
    assert.are.equal(6, #server.polls)
    server.polls = {}
    local seen = {}
    wait.wait(linkis:submit {}, { poll = function(attempt, elapsed)
      seen[attempt] = elapsed
      return attempt
    end })
    assert.are.same({ 0, 1, 3, 6, 10, 15, 21 }, seen)
  end)

  it("ends at the deadline with handles and leaves the job alone", function()
    server.plan = function() return { run = 1e5 } end
    local job = linkis:submit {}
    local before = fakes.clock
    local state, err = wait.wait(job, { timeout = 7 })
    assert.is_nil(state)
    assert.are.equal("timeout", err.kind)
    assert.are.same({ job:handle() }, err.handles)
    assert.are.equal(7, fakes.clock - before)
    assert.is_nil(server.tasks[job.id].killed)
    assert.are.equal("succeeded", (function()
      server.tasks[job.id].run = 1
      return (wait.wait(job))
    end)())
  end)

  it("looks once with timeout 0", function()
    local job = linkis:submit {}
    assert.are.equal("timeout", select(2, wait.wait(job, { timeout = 0 })).kind)
    fakes.clock = fakes.clock + 60
    assert.are.equal("succeeded", (wait.wait(job, { timeout = 0 })))
  end)

  it("is never ended by a transient error", function()
    local kinds, n = { "network", "timeout", "http", "protocol", "service" }, 0
    server.down = function()
      n = n + 1
      if n > 1 and n < 40 then return fakes.new_error(kinds[n % #kinds + 1], "no") end
    end
    assert.are.equal("succeeded", (wait.wait(linkis:submit {})))
    assert.is_true(n >= 40)
  end)

  it("is ended by a permanent one", function()
    for _, kind in ipairs { "auth", "closed", "unsupported" } do
      local job = linkis:submit {}
      server.down = fakes.new_error(kind, "no")
      local state, err = wait.wait(job)
      server.down = nil
      assert.is_nil(state)
      assert.are.equal(kind, err.kind)
    end
  end)

  it("soon believes that a task never was, and says how often it was told so", function()
    for _, poll in ipairs { false, 40, 0.01 } do
      local before = fakes.clock
      local state, err = wait.wait(linkis:attach(999), { poll = poll or nil })
      assert.is_nil(state)
      assert.is_true(err.vanished)
      local times, seconds = err.message:match "no such task; said (%d+) times in (%d+) s"
      assert.is_true(tonumber(times) >= 5 and tonumber(seconds) >= 10, err.message)
      assert.is_true(fakes.clock - before < 20, "after " .. fakes.clock - before)
    end
    local state, err = wait.wait(linkis:attach(999), { timeout = 3 })
    assert.is_nil(state)
    assert.are.equal("timeout", err.kind)
    assert.is_nil(err.message:find "goes on") -- it may never have been
  end)

  it("takes longer to believe it of one that was there, or that was submitted here", function()
    local seen = linkis:submit {}
    server.plan = function() return { run = 1e5 } end
    local jobs = { linkis:submit {}, seen, linkis:submit {} }
    jobs[3].handle = function() return { created = 1 } end
    assert.are.equal("timeout", select(2, wait.wait(jobs[1], { timeout = 3 })).kind)
    local at
    for i = 1, 3, 2 do
      local task = server.tasks[jobs[i].id]
      local before = fakes.clock
      server.tasks[jobs[i].id] = i == 1 and task or nil
      local state, err = wait.wait(jobs[i], { on_progress = i == 1 and function()
        server.tasks[jobs[i].id] = nil
      end or nil })
      assert.is_nil(state)
      assert.is_true(err.vanished)
      at = fakes.clock - before
      assert.is_true(at >= 60 and at < 120, "after " .. at)
    end
  end)

  it("begins to count anew when anything else is said of the task", function()
    local n = 0
    server.entry = function()
      n = n + 1
      if n % 4 == 0 then return { err = fakes.new_error("network", "gone") } end
      return { err = fakes.new_error("service", "no such task", { vanished = true }) }
    end
    local state, err = wait.wait(linkis:attach(999), { timeout = 600 })
    assert.is_nil(state)
    assert.are.equal("timeout", err.kind)
  end)

  it("outlives a refusal of a client that was let in before, ever more slowly", function()
    local job, times, first = linkis:submit {}, {}, fakes.clock
    server.down = function()
      if fakes.clock > first + 3600 then return nil end
      times[#times + 1] = fakes.clock
      return fakes.new_error("auth", "wrong user name or password", { answered_before = true })
    end
    assert.are.equal("succeeded", (wait.wait(job, { poll = 0.1 })))
    assert.is_true(#times > 8 and #times < 30, #times .. " attempts in an hour")
    for i = 3, 9 do
      assert.is_true(times[i] - times[i - 1] > 1.2 * (times[i - 1] - times[i - 2]))
    end
    server.down = nil
    job = linkis:submit {}
    server.down = fakes.new_error("tls", "expired", { retryable = false })
    assert.are.equal("tls", select(2, wait.wait(job)).kind)
    server.down.answered_before = true
    assert.are.equal("timeout", select(2, wait.wait(job, { timeout = 900 })).kind)
  end)

  it("ends when a secret that nothing can renew is refused over and over", function()
    local job, before = linkis:submit {}, fakes.clock
    server.down = fakes.new_error("auth", "the token has expired",
      { answered_before = true, standing = true })
    local state, err = wait.wait(job)
    assert.is_nil(state)
    assert.matches("the token has expired; said %d+ times in %d+ s", err.message)
    assert.is_true(fakes.clock - before >= 60 and fakes.clock - before < 180)
  end)

  it("says after minutes that nothing is heard, once for all jobs of a client", function()
    local jobs = submit(linkis, 3)
    local silent
    server.down = fakes.new_error("http", "moved", { http_status = 301 })
    local state, err = wait.wait_all(jobs, { timeout = 500,
      on_progress = function(_, progress) silent = progress.silent end })
    assert.is_nil(state)
    assert.are.equal("timeout", err.kind)
    local told = 0
    for _, event in ipairs(server.events) do told = told + (event == "warn no news" and 1 or 0) end
    assert.are.equal(2, told)
    assert.is_true(silent > 400)
  end)

  it("says so of a state too whose word nobody knows", function()
    server.entry = function() return { state = "unknown", native = "Paused" } end
    wait.wait(linkis:submit {}, { timeout = 150 })
    assert.are.same({ "warn no news" }, server.events)
    server.events = nil
    server.entry = function() return { state = "running", native = "Running" } end
    wait.wait(linkis:submit {}, { timeout = 1500 })
    assert.is_nil(server.events)
  end)

  it("gives each of many waits an err of its own", function()
    local shared, jobs = fakes.new_error("closed", "the client is closed"), submit(linkis, 2)
    server.down = shared
    local ends = assert(wait.wait_all(jobs))
    ends[1].err.mark = true
    assert.is_nil(ends[2].err.mark)
    assert.is_nil(shared.mark)
  end)

  it("asks servers to keep jobs alive however long its own looks are apart", function()
    server.plan = function() return { run = 100 } end
    local asked, last, longest = 0, fakes.clock, 0
    linkis.keep_alive = function()
      asked, longest, last = asked + 1, math.max(longest, fakes.clock - last), fakes.clock
      return 10
    end
    assert.are.equal("succeeded", (wait.wait(linkis:submit {}, { poll = 40 })))
    assert.is_true(asked >= 10)
    assert.is_true(longest <= 10)
    assert.is_true(#server.polls <= 4)
  end)

  it("never takes an unknown word or a regression for an end", function()
    local words = { "Running", "WaitForRetry", "SUCCEEDISH", "Inited", "Running" }
    local at, seen = 0, {}
    server.entry = function()
      at = at + 1
      if words[at] then return { state = at % 2 == 0 and "unknown" or "running",
        native = words[at] } end
    end
    local job = linkis:submit {}
    fakes.clock = fakes.clock + 100
    local state = wait.wait(job, { on_state = function(_, _,
      native) seen[#seen + 1] = native end })
    assert.are.equal("succeeded", state)
    words[#words + 1] = "Succeed"
    assert.are.same(words, seen)
  end)

  it("waits as long as a server asks for, with a cap", function()
    local job, n = linkis:submit {}, 0
    server.down = function()
      n = n + 1
      if n == 1 then return fakes.new_error("http", "slow down", { retry_after = 1e6 }) end
    end
    local before = fakes.clock
    wait.wait(job)
    assert.is_true(fakes.clock - before >= 60 and fakes.clock - before < 90)
  end)

  it("waits for all, of both servers, in one round per client", function()
    local jobs = submit(linkis, 95)
    for _, job in ipairs(submit(lindorm, 5)) do jobs[#jobs + 1] = job end
    server.rounds, server.requests = 0, 0
    local ends = assert(wait.wait_all(jobs))
    assert.are.equal(100, #ends)
    for i, ended in ipairs(ends) do
      assert.are.equal(jobs[i], ended.job)
      assert.are.equal("succeeded", ended.state)
    end
    assert.are.equal(server.rounds * 4, server.requests)
  end)

  it("gives what has ended when the deadline cuts a wait_all", function()
    server.plan = function(n) return { run = n == 1 and 1 or 1e5 } end
    local ends, err = wait.wait_all(submit(linkis, 3), { timeout = 30 })
    assert.is_nil(ends)
    assert.are.equal(2, #err.handles)
    assert.are.equal("succeeded", err.ends[1].state)
  end)

  it("waits for any", function()
    server.plan = function(n) return { run = n == 2 and 1 or 1e5 } end
    local jobs = submit(linkis, 3)
    local job, state = wait.wait_any(jobs)
    assert.are.equal(jobs[2], job)
    assert.are.equal("succeeded", state)
    assert.is_nil((wait.wait_any {}))
  end)

  it("gives jobs as they end", function()
    server.plan = function(n) return { run = 50 - 10 * n } end
    local order = {}
    for job, state in wait.as_completed(submit(linkis, 4)) do order[#order + 1] = job.id
      .. state end
    assert.are.same({ "4succeeded", "3succeeded", "2succeeded", "1succeeded" }, order)
    local cursor = wait.as_completed({ linkis:submit {} }, { timeout = 1 })
    assert.are.equal("timeout", select(2, cursor:read()).kind)
    assert.is_nil((cursor:read()))
  end)

  it("raises a timeout out of a for loop, as an err", function()
    local ok, err = pcall(function()
      for _ in wait.as_completed({ linkis:submit {} }, { timeout = 1 }) do error "not reached" end
    end)
    assert.is_false(ok)
    assert.are.equal("timeout", err.kind)
  end)

  it("asks for 10,000 jobs in at most N/30 requests a round", function()
    server.plan = function() return { run = 60 } end
    local jobs = submit(linkis, 10000)
    server.rounds, server.requests = 0, 0
    assert.are.equal(10000, #assert(wait.wait_all(jobs)))
    assert.is_true(server.requests <= server.rounds * 334)
    assert.is_true(server.rounds < 20)
  end)

  it("reports progress at every look, with what a bar needs", function()
    local seen = {}
    wait.wait(linkis:submit {}, { poll = 1, on_progress = function(_,
      p) seen[#seen + 1] = p end })
    assert.are.equal("queued", seen[1].state)
    assert.is_true(seen[3].fraction > 0 and seen[3].fraction < 1)
    local last = seen[#seen]
    assert.are.same({ "succeeded", 1, 1 }, { last.state, last.done, last.total })
  end)

  it("tells of an outage, beside what was known before it", function()
    local seen, n = {}, 0
    server.plan = function() return { run = 20 } end
    local job = linkis:submit {}
    server.down = function()
      n = n + 1
      if n == 1 or n > 5 and n < 9 then return fakes.new_error("network", "gone") end
    end
    assert.are.equal("succeeded", (wait.wait(job, { poll = 1,
      on_progress = function(_, p) seen[#seen + 1] = p end })))
    local told = {}
    for _, p in ipairs(seen) do
      if p.err then told[#told + 1] = p end
    end
    assert.are.equal(4, #told)
    assert.are.same({ "network", "unknown" }, { told[1].err.kind, told[1].state })
    assert.are.equal("running", told[2].state)
    assert.is_true(told[2].fraction > 0)
    assert.is_nil(seen[#seen].err)
  end)

  it("delivers every log line, in order, before the wait returns", function()
    local lines, seen = {}, {}
    for i = 1, 500 do lines[i] = "line " .. i end
    server.plan = function() return { run = 20, log = lines } end
    local states = {}
    wait.wait(linkis:submit {}, { on_log = function(_, line) seen[#seen + 1] = line end,
      on_state = function(_, state) states[#states + 1] = state .. " " .. #seen end })
    assert.are.same(lines, seen)
    assert.are.equal("succeeded 500", states[#states])
  end)

  it("waits although the log cannot be had, and says so", function()
    server.log_error = function() return fakes.new_error("network", "no log today") end
    local state, _, err = wait.wait(linkis:submit {}, { on_log = function() end })
    assert.are.equal("succeeded", state)
    assert.are.equal("no log today", err.message)
    assert.are.equal("succeeded", (wait.wait(lindorm:submit {}, { on_log = function() end })))
  end)

  it("stops at an error in a callback, with its traceback, not the job", function()
    local function trouble() error "in my callback" end
    local job = linkis:submit {}
    local ok, message = pcall(wait.wait, job, { on_progress = trouble })
    assert.is_false(ok)
    assert.matches("in my callback", message)
    assert.matches("workflow_wait_spec.lua", message)
    assert.matches("traceback", message)
    assert.is_nil(server.tasks[job.id].killed)
    local _, headings = message:gsub("stack traceback:", "")
    assert.are.equal(1, headings)
    local asked = #server.polls
    assert.are.equal("succeeded", (wait.wait(linkis:submit {})))
    assert.are.equal(1, server.polls[asked + 1].jobs) -- the other is no longer watched
    assert.are.equal("succeeded", (wait.wait(job)))
  end)

  it("ends a bar's line before anything else is written, however a wait ends", function()
    package.loaded["taskclient.ui.progress"] = nil
    local written
    local function bar()
      written = ""
      local stream = { flush = function() end, write = function(_, ...)
        written = written .. table.concat { ... }
      end }
      return require("taskclient.ui.progress").bar { stream = stream, width = 60 }
    end
    server.plan = function() return { run = 1e5 } end
    wait.wait(linkis:submit {}, { on_progress = bar(), timeout = 3 })
    assert.matches("running[^\n]*\n$", written)
    pcall(wait.wait, linkis:submit {}, { on_progress = bar(), on_state = function(_, state)
      if state == "running" then error "in my callback" end
    end })
    assert.matches("\n$", written)
    local cursor = wait.as_completed(submit(linkis, 2), { on_progress = bar(),
      on_interrupt = function() written = written .. "the list" end })
    fakes.interrupt = function() if #written > 0 then fakes.press_ctrl_c() end end
    assert.is_false(pcall(cursor.read, cursor))
    fakes.interrupt = nil
    assert.matches("jobs[^\n]*\nthe list$", written)
    local job = linkis:submit {}
    server.down = function() if #written > 0 then return fakes.new_error("auth", "no") end end
    wait.wait(job, { on_progress = bar() })
    assert.matches("\n$", written)
  end)

  it("takes empty lists, and a job given twice", function()
    assert.are.same({}, wait.wait_all {})
    assert.are.equal("closed", select(2, wait.wait_any {}).kind)
    assert.is_nil((wait.as_completed({}):read()))
    assert.are.equal(0, server.rounds)
    local job = linkis:submit {}
    local ends = assert(wait.wait_all { job, job })
    assert.are.same({ "succeeded", "succeeded" }, { ends[1].state, ends[2].state })
    local n = 0
    for _ in wait.as_completed { job, job, job } do n = n + 1 end
    assert.are.equal(3, n)
  end)

  it("gives the jobs of a closed client their error, the others their end", function()
    local gone, other = linkis:submit {}, lindorm:submit {}
    server.down = fakes.new_error("closed", "the client is closed")
    local ends = assert(wait.wait_all { gone, other })
    assert.is_nil(ends[1].state)
    assert.are.equal("closed", ends[1].err.kind)
    assert.are.equal("succeeded", ends[2].state)
    local job, state, _, err = wait.wait_any { gone, other }
    assert.are.equal(gone, job)
    assert.are.same({ nil, "closed" }, { state, err.kind })
  end)

  it("gives nothing new with timeout 0, for one, all and any", function()
    local jobs = submit(linkis, 3)
    assert.are.equal("timeout", select(2, wait.wait_any(jobs, { timeout = 0 })).kind)
    local _, err = wait.wait_all(jobs, { timeout = 0 })
    assert.are.same({ "timeout", 3 }, { err.kind, #err.handles })
    wait.wait_all(jobs)
    assert.are.equal(jobs[1], (wait.wait_any({ jobs[1] }, { timeout = 0 })))
    assert.are.equal(3, #assert(wait.wait_all(jobs, { timeout = 0 })))
  end)

  it("raises for options it does not know", function()
    local ok, message = pcall(wait.wait, linkis:submit {}, { time_out = 3 })
    assert.is_false(ok)
    assert.matches("timeout", message)
    assert.is_false(pcall(wait.wait, linkis:submit {}, { timeout = 0 / 0 }))
    ok, message = pcall(wait.wait, linkis:submit {}, { on_interrupt = "abrot" })
    assert.is_false(ok)
    assert.matches("abort", message)
    ok, message = pcall(wait.wait, linkis:submit {}, { poll = function() return "soon" end })
    assert.is_false(ok)
    assert.matches("'poll' must give seconds", message)
  end)

  describe("in coroutines", function()
    -- A scheduler of five lines: sleeping yields, the earliest sleeper goes on.
    local function run_all(tasks)
      local sleepers, real = {}, fakes.host.sleep
      fakes.host.sleep = function(s) coroutine.yield(fakes.clock + s) end
      local function resume(co)
        local ok, at = coroutine.resume(co)
        if not ok then error(debug.traceback(co, tostring(at)), 0) end
        if at then sleepers[#sleepers + 1] = { at = at, co = co, n = #sleepers } end
      end
      for _, fn in ipairs(tasks) do resume(coroutine.create(fn)) end
      while sleepers[1] do
        local first = 1
        for i, s in ipairs(sleepers) do if s.at < sleepers[first].at then first = i end end
        local s = table.remove(sleepers, first)
        fakes.clock = math.max(fakes.clock, s.at)
        resume(s.co)
      end
      fakes.host.sleep = real
    end

    it("keeps a deadline while another's round goes on, after one look at least", function()
      server.plan = function() return { run = 5 } end
      local jobs, began, slow = submit(linkis, 2), fakes.clock, true
      server.down = function() -- the first round hangs
        if not slow then return end
        slow = false
        fakes.host.sleep(50)
      end
      local waited
      run_all {
        function() assert.are.equal("succeeded", (wait.wait(jobs[1]))) end,
        function()
          local state, err = wait.wait(jobs[2], { timeout = 1 })
          assert.is_nil(state)
          assert.are.equal("timeout", err.kind)
          waited = fakes.clock - began
        end,
      }
      assert.is_true(waited < 3, waited .. " s")
    end)

    it("shares the rounds of a client", function()
      server.plan = function() return { run = 60 } end
      local tasks, ended = {}, 0
      for i, job in ipairs(submit(linkis, 300)) do
        tasks[i] = function()
          assert.are.equal("succeeded", (wait.wait(job)))
          ended = ended + 1
        end
      end
      server.requests, server.rounds = 0, 0
      run_all(tasks)
      assert.are.equal(300, ended)
      assert.is_true(server.requests < 20 * 10 + 300, "requests: " .. server.requests)
    end)
  end)

  it("comes back after ten minutes without a spike (F38)", function()
    local load = {}
    server.plan = function() return { run = 3000 } end
    local all = {}
    for i = 1, 100 do
      local client = fakes.client(server)
      all[i] = { client = client, watch = watch.new("wait", {}) }
      all[i].watch:add(client:submit {}, i)
    end
    -- each client is driven to its next look in the order of time
    local start = fakes.clock
    server.down = function()
      local second = math.floor(fakes.clock - start)
      load[second] = (load[second] or 0) + 1
      if second >= 300 and second < 900 then return fakes.new_error("network", "gone") end
    end
    while fakes.clock - start < 1500 do
      local first, at
      for _, one in ipairs(all) do
        local due = one.watch.items[1].due
        if not at or due < at then first, at = one, due end
      end
      fakes.clock = math.max(fakes.clock, at)
      first.watch:next(fakes.clock + 0.001)
      assert.is_true(fakes.clock >= at)
    end
    local function peak(from, to)
      local most = 0
      for s = from, to - 5 do
        local sum = 0
        for k = s, s + 4 do sum = sum + (load[k] or 0) end
        most = math.max(most, sum)
      end
      return most
    end
    assert.is_true(peak(900, 1000) <= 2 * peak(200, 300), peak(900, 1000) .. " of " .. peak(200,
      300))
    assert.is_true(peak(300, 900) <= 2 * peak(200, 300))
  end)
end)
