-- Durable runs on stand-ins: deaths at any byte of the journal, secrets, both servers.

local fakes = require "spec.support.workflow_fakes"

describe("a durable run", function()
  local runs, wait, server, linkis, lindorm, load_server

  local function crash() fakes.disk.locked = {} end
  local function text(path) return fakes.disk.files[path or "a.run"] end
  local function count(what)
    local n = 0
    for _ in text():gmatch('"what":"' .. what .. '"') do n = n + 1 end
    return n
  end

  before_each(function()
    fakes.install()
    runs = require "taskclient.run"
    wait = require "taskclient.workflow.wait"
    server, load_server = fakes.server "linkis", fakes.server "lindorm"
    linkis, lindorm = fakes.client(server), fakes.client(load_server)
  end)

  it("writes an intent to the disk before the submit goes out", function()
    local run = assert(runs.open "a.run")
    server.before_submit = function()
      assert.are.equal(1, count "intent")
      assert.are.equal(2, fakes.disk.syncs)
    end
    fakes.disk.syncs = 1
    local job = assert(run:submit("extract", linkis, { code = "select 1" }))
    assert.are.equal(1, job.id)
    assert.are.equal(1, server.submits)
    assert.is_nil(server.lookups)
  end)

  it("attaches to what exists after a crash, and submits nothing", function()
    assert(assert(runs.open "a.run"):submit("extract", linkis, { code = "x" }))
    crash()
    local job = assert(assert(runs.open "a.run"):submit("extract", linkis, { code = "x" }))
    assert.are.equal(1, job.id)
    assert.are.equal("succeeded", (wait.wait(job)))
    assert.are.equal(1, server.submits)
    assert.are.equal(1, count "ended")
  end)

  it("finds by its key a submit whose answer was lost", function()
    local run = assert(runs.open "a.run")
    server.after_submit = function() error "killed" end
    assert.is_false(pcall(run.submit, run, "extract", linkis, { code = "x" }))
    server.after_submit = nil
    crash()
    local job = assert(assert(runs.open "a.run"):submit("extract", linkis, { code = "x" }))
    assert.are.equal(1, job.id)
    assert.are.equal(1, server.submits)
  end)

  it("waits a moment for a task that a slow server makes after the crash", function()
    server.before_submit = function() error "killed" end
    assert.is_false(pcall(function() assert(runs.open "a.run"):submit("x", linkis,
      { code = "x" }) end))
    server.before_submit = nil
    crash()
    local looks = 0
    server.before_lookup = function(key)
      looks = looks + 1
      if looks == 5 then assert(linkis:submit({ code = "x", key = key }, { adopt = false })) end
    end
    assert.are.equal(1, assert(assert(runs.open "a.run"):submit("x", linkis, { code = "x" })).id)
    assert.are.equal(1, server.count)
  end)

  -- A run whose submit was cut off `age` seconds ago.
  local function cut(age)
    crash()
    server.before_submit = function() error "killed" end
    assert.is_false(pcall(function() assert(runs.open "a.run"):submit("x", linkis, {}) end))
    server.before_submit = nil
    crash()
    fakes.clock = fakes.clock + age
    return assert(runs.open "a.run"), fakes.clock
  end

  it("submits anew when the list has been fine for a minute since the cut", function()
    local run, since = cut(5)
    assert(run:submit("x", linkis, {}))
    assert.is_true(fakes.clock - since >= 55 and fakes.clock - since <= 60)
    assert.is_true(server.lookups < 25)
    assert.are.equal("warn looking for a cut submit", server.events[1])
  end)

  it("waits longer where the list has failed, or nobody has looked", function()
    local run, since = cut(300)
    assert(run:submit("x", linkis, {}))
    assert.is_true(fakes.clock - since >= 150 and fakes.clock - since <= 155)
    assert(run:forget "x")
    run, since = cut(0)
    server.down = function()
      if fakes.clock < since + 400 then return fakes.new_error("http", "sick") end
    end
    assert(run:submit("x", linkis, {}))
    assert.is_true(fakes.clock - since >= 550 and fakes.clock - since <= 560)
    assert.are.equal(2, server.count)
  end)

  it("finds a task that a sick server has held for a quarter of an hour", function()
    local run, since = cut(0)
    local key
    server.before_lookup = function(asked) key = asked end
    server.down = function()
      if fakes.clock < since + 900 then return fakes.new_error("http", "sick") end
    end
    fakes.on_sleep = function()
      if fakes.clock > since + 990 and server.count == 0 then linkis:submit { key = key } end
    end
    assert.are.equal(1, assert(run:submit("x", linkis, {})).id)
    assert.are.equal(1, server.count)
  end)

  it("looks once for a submit that was cut off long ago", function()
    local run, since = cut(1300)
    assert(run:submit("x", linkis, {}))
    assert.are.equal(since, fakes.clock)
  end)

  -- The machine's clock was set between the two processes. A look that believed it would be one
  -- look at a submit that a sick server still holds: its task would be made twice.
  for _, step in ipairs { 3600, -3600, 40 * 86400 } do
    it("looks as long as the server's clock asks, whatever became of ours: " .. step, function()
      local run, since = cut(0)
      fakes.wall = fakes.wall + step
      local key
      server.before_lookup = function(asked) key = asked end
      fakes.on_sleep = function()
        if fakes.clock > since + 20 and server.count == 0 then linkis:submit { key = key } end
      end
      local job = run:submit("x", linkis, {})
      fakes.wall = fakes.wall - step
      assert.are.equal(1, assert(job).id)
      assert.are.equal(1, server.count)
      assert.is_true(server.since <= 1767571200 + since)
    end)
  end

  it("relies on no time of its own where the server has told none", function()
    server.timeless = true
    local run, since = cut(0)
    server.timeless = nil
    assert(run:submit("x", linkis, {}))
    assert.is_true(fakes.clock - since >= 150) -- as where nobody has looked
    assert.is_true(server.since < 1767571200 + since - 86400)
  end)

  it("does not know when the list has failed for twenty minutes, or there is none", function()
    for _, kind in ipairs { "http", "unsupported" } do
      local run, since = cut(1)
      server.down = fakes.new_error(kind, "no list")
      local job, err = run:submit("x", linkis, {})
      assert.is_nil(job)
      assert.are.equal("submit_unknown", err.kind)
      assert.is_true(fakes.clock - since < (kind == "http" and 1210 or 1))
      server.down = nil
      assert.are.equal("unknown", run:steps()[1].state)
      assert(run:forget "x")
    end
    assert.are.equal(0, server.count)
  end)

  it("relies on the id where it is known, for a forced kill wipes the key", function()
    assert(assert(runs.open "a.run"):submit("x", linkis, {}))
    server.tasks[1].key = nil
    crash()
    assert.are.equal(1, assert(assert(runs.open "a.run"):submit("x", linkis, {})).id)
    assert.are.equal(1, server.submits)
  end)

  it("asks once for what a journal without its end has forgotten", function()
    local run = assert(runs.open "a.run")
    local whole
    for i = 1, 20 do
      assert(run:submit("x " .. i, linkis, {}))
      whole = whole or text()
    end
    crash()
    fakes.disk.files["a.run"] = whole
    run = assert(runs.open "a.run")
    for i = 1, 21 do assert.are.equal(i, assert(run:submit("x " .. i, linkis, {})).id) end
    assert.are.equal(1, server.lookups)
    assert.are.equal(21, server.submits)
  end)

  it("keeps a cut submit open while the server cannot be asked about it", function()
    server.after_submit = function() error "killed" end
    assert.is_false(pcall(function() assert(runs.open "a.run"):submit("x", linkis, {}) end))
    server.after_submit = nil
    for _, age in ipairs { 0, 100 } do
      crash()
      fakes.clock = fakes.clock + age
      server.down = fakes.new_error("network", "away", { outcome = "not_sent" })
      assert.is_nil((assert(runs.open "a.run"):submit("x", linkis, {})))
      server.down = nil
    end
    crash()
    assert.are.equal(1, assert(assert(runs.open "a.run"):submit("x", linkis, {})).id)
    assert.are.equal(1, server.submits)
  end)

  it("reports a Lindorm submit cut in its middle until the person decides", function()
    local run = assert(runs.open "a.run")
    load_server.after_submit = function() error "killed" end
    assert.is_false(pcall(run.submit, run, "load", lindorm, { src = "hdfs" }))
    load_server.after_submit = nil
    crash()
    run = assert(runs.open "a.run")
    local job, err = run:submit("load", lindorm, { src = "hdfs" })
    assert.is_nil(job)
    assert.are.equal("submit_unknown", err.kind)
    assert.matches("run:resolve", err.message)
    assert.are.equal(1, load_server.submits)
    assert(run:resolve("load", "proc-1"))
    assert.are.equal("proc-1", assert(run:submit("load", lindorm, { src = "hdfs" })).id)
    assert(run:forget "load")
    assert.are.equal("proc-2", assert(run:submit("load", lindorm, { src = "hdfs" })).id)
  end)

  it("submits a new Lindorm step in a continued run", function()
    assert(runs.open "a.run")
    crash()
    assert.are.equal("proc-1", assert(assert(runs.open "a.run"):submit("load", lindorm, {})).id)
  end)

  it("keeps an unknown answer of Lindorm as unknown", function()
    load_server.after_submit = function()
      return fakes.new_error("submit_unknown", "cut", { outcome = "unknown" })
    end
    local run = assert(runs.open "a.run")
    assert.are.equal("submit_unknown", select(2, run:submit("load", lindorm, {})).kind)
    crash()
    run = assert(runs.open "a.run")
    assert.are.equal("submit_unknown", select(2, run:submit("load", lindorm, {})).kind)
    assert.are.equal(1, load_server.submits)
    assert.are.equal("unknown", run:steps()[1].state)
  end)

  it("tries a refused submit again in the next run, under a new key", function()
    server.refuse = function() return fakes.new_error("service", "queue full",
      { outcome = "rejected" }) end
    local run = assert(runs.open "a.run")
    assert.is_nil((run:submit("x", linkis, {})))
    server.refuse = nil
    crash()
    assert(assert(runs.open "a.run"):submit("x", linkis, {}))
    assert.matches("%.2$", server.tasks[1].key)
  end)

  it("may be asked again for a submit that has failed", function()
    local run = assert(runs.open "a.run")
    server.down = fakes.new_error("network", "unreachable", { outcome = "not_sent" })
    for _ = 1, 2 do
      assert.are.equal("network", select(2, run:submit("x", linkis, { code = "x" })).kind)
    end
    server.down = nil
    local job = assert(run:submit("x", linkis, { code = "x" }))
    assert.is_false(pcall(run.submit, run, "x", linkis, { code = "x" }))
    load_server.after_submit = function()
      return fakes.new_error("network", "cut", { outcome = "unknown" })
    end
    assert(not run:submit("load", lindorm, {}))
    assert.are.equal("submit_unknown", select(2, run:submit("load", lindorm, {})).kind)
    assert.are.same({ 1, 1, 1 }, { job.id, server.submits, load_server.submits })
  end)

  it("remembers the value of a step", function()
    local calls = 0
    local function work()
      calls = calls + 1
      return { rows = 12, path = "orders.csv" }
    end
    local first = assert(assert(runs.open "a.run"):step("save", work))
    crash()
    local second = assert(assert(runs.open "a.run"):step("save", work))
    assert.are.same({ rows = 12, path = "orders.csv" }, first)
    assert.are.same(first, second)
    assert.are.equal(1, calls)
  end)

  it("does a step again that raised, gave nil and err, or did not end", function()
    local run = assert(runs.open "a.run")
    assert.is_false(pcall(run.step, run, "a", function() error "boom" end))
    assert.are.equal("no", select(2, run:step("b", function() return nil, "no" end)))
    assert.is_true(run:step("c", function() end))
    crash()
    run = assert(runs.open "a.run")
    assert.are.equal(1, run:step("a", function() return 1 end))
    assert.are.equal(2, run:step("b", function() return 2 end))
    assert.is_true(run:step("c", function() error "not again" end))
  end)

  it("writes down whatever an error or a log says", function()
    server.plan = function() return { state = "failed", log = { ("汉"):rep(200), "x\255" } } end
    local run = assert(runs.open "a.run")
    assert.are.equal("failed", (wait.wait(assert(run:submit("x", linkis, {})))))
    assert.is_false(pcall(run.step, run, "a", function() error("\255" .. ("ü"):rep(4000)) end))
    assert.is_false(pcall(run.step, run, "b", function() error({}) end))
    assert.is_false(pcall(run.step, run, "c", function() error() end))
    run:close()
    assert.is_truthy(runs.open "a.run")
    assert.matches(("汉"):rep(132) .. '","x%?"%]', text())
  end)

  it("refuses a value that JSON cannot hold", function()
    local run = assert(runs.open "a.run")
    local ok, message = pcall(run.step, run, "a", function() return print end)
    assert.is_false(ok)
    assert.matches("JSON", message)
    assert.are.equal("failed", run:steps()[1].state)
    assert.matches("a function has no JSON form", run:steps()[1].err.message)
  end)

  it("refuses a name used twice, showing both places", function()
    local run = assert(runs.open "a.run")
    run:step("a", function() end)
    local ok, message = pcall(run.step, run, "a", function() end)
    assert.is_false(ok)
    local _, places = message:gsub("workflow_run_spec.lua:%d+", "")
    assert.are.equal(2, places)
  end)

  it("refuses a spec changed under an old name, showing the difference", function()
    assert(assert(runs.open "a.run"):submit("x", linkis, { code = "select 1",
      variables = { day = "1" } }))
    crash()
    local run = assert(runs.open "a.run")
    local ok, message = pcall(run.submit, run, "x", linkis, { code = "select 1",
      variables = { day = "2" } })
    assert.is_false(ok)
    assert.matches("variables.day: was 1, is 2", message, 1, true)
  end)

  it("takes no task of another server for its own", function()
    linkis.url = "http://a"
    wait.wait(assert(assert(runs.open "a.run"):submit("x", linkis, { code = "x" })))
    crash()
    local other = fakes.client(fakes.server "linkis")
    other.url = "http://b"
    assert(other:submit { code = "a stranger's" })
    local many = require("taskclient.workflow.submit_many").submit_many
    local function tries(run)
      return { function() return run:submit("x", other, { code = "x" }) end, function()
        return many(other, { { code = "x" } }, { journal = run,
          name = function() return "x" end }):read()
      end }
    end
    for i = 1, 2 do
      local ok, message = pcall(tries(assert(runs.open "a.run"))[i])
      assert.is_false(ok)
      assert.matches("url: was http://a, is http://b\nto do it anew: run:forget", message, 1, true)
      crash()
    end
    assert.are.equal(1, other.server.submits)
    other.server = server -- the same, under another name
    for i = 1, 2 do
      assert.are.equal(1, assert(tries(assert(runs.open "a.run"))[i]()).id or 1)
      crash()
    end
    assert.are.equal(1, server.submits)
  end)

  it("refuses a step under the name of a job, and a job under that of a step", function()
    local run = assert(runs.open "a.run")
    wait.wait(assert(run:submit("x", linkis, { code = "select 1" })))
    assert(run:step("y", function() return 1 end))
    crash()
    run = assert(runs.open "a.run")
    local ok, message = pcall(run.step, run, "x", function() return 1 end)
    assert.is_false(ok)
    assert.matches("code: was select 1, is absent", message, 1, true)
    ok, message = pcall(run.submit, run, "y", linkis, { code = "select 1" })
    assert.is_false(ok)
    assert.matches("code: was absent, is select 1", message, 1, true)
    assert.are.equal(1, server.submits)
  end)

  it("never holds a secret, and a new password is no new spec", function()
    local function spec(word)
      return { code = "create user x identified by '" .. word .. "'",
        runtime = { ["jdbc.password"] = word,
        url = "jdbc:x://me:" .. word .. "@host/db" } }
    end
    local run = assert(runs.open "a.run")
    assert(run:submit("x", linkis, spec "hunter2"))
    assert.is_nil(text():find("hunter2", 1, true))
    crash()
    run = assert(runs.open "a.run")
    local same = spec "hunter2"
    same.runtime["jdbc.password"] = "other"
    assert(run:submit("x", linkis, same))
    linkis.redact = function(_, given) return (given:gsub("hunter2", "***")) end
    assert(run:submit("y", linkis, { code = "mysql -phunter2" }))
    assert.is_nil(text():find("hunter2", 1, true))
    crash()
    linkis.redact = nil -- not told yet what is secret
    assert(assert(runs.open "a.run"):submit("y", linkis, { code = "mysql -phunter2" }))
  end)

  it("hides what a log or an error says of a secret", function()
    server.plan = function()
      return { state = "failed", log = { "the client's own",
        ">> select 1; set password = 'canary one'", "key canary2",
        'fs.s3a.secret.key=canary3,x', [[{\"token\": \"canary4\", \"a\": 1}]],
        "--password canary5 -v; get jdbc:x://me:canary6@host/" } }
    end
    local run = assert(runs.open "a.run")
    wait.wait(assert(run:submit("x", linkis, { code = "load --token canary7 -v",
      runtime = { ["jdbc.pass"] = "canary2", sk = "canary8", apiKey = "canary9" } })))
    run:step("y", function() return nil, { message = "Authorization: Bearer canary10, no" } end)
    assert.is_nil(text():find("canary", 1, true))
    assert.matches("load --token *** -v", text(), 1, true)
    assert.matches([[>> select 1; set password = '***'","key ***","fs.s3a.secret.key=***,x"]],
      text(), 1, true)
    assert.matches([[--password *** -v; get jdbc:x://***@host/"]], text(), 1, true)
    assert.is_nil(text():find("the client's own", 1, true))
    pcall(run.step, run, "z", function() error("unexpected token in token.lua:7: not good", 0) end)
    assert.matches("unexpected token in token.lua:7: not good", text(), 1, true)
  end)

  it("hides numbers and short values, and the client's secrets in what a step says", function()
    server.plan = function()
      return { state = "failed", log = { "got 83749201 for q7z,", "taxq7zx q7zx 12 12" } }
    end
    local run = assert(runs.open "a.run")
    wait.wait(assert(run:submit("x", linkis, { runtime = { ["jdbc.password"] = 83749201,
      ["x.passwd"] = "q7z", ["pw"] = 12 } })))
    assert.matches('"log":["got *** for ***,","taxq7zx q7zx 12 12"]', text(), 1, true)
    run:step("y", function() return nil, "curl: the client's own is wrong" end)
    run:step("z", function() return nil, { message = "no", code = "the client's own" } end)
    assert.is_nil(text():find("the client's own", 1, true))
  end)

  it("hides a secret that goes over several lines of the log", function()
    server.plan = function()
      return { state = "failed", log = { "key is canary1", "canary2", "canary3 and", "the end" } }
    end
    local run = assert(runs.open "a.run")
    wait.wait(assert(run:submit("x", linkis, {
      startup = { private_key = "canary1\ncanary2\ncanary3" } })))
    assert.is_nil(text():find("canary", 1, true))
    assert.matches('"log":["key is *** and","the end"]', text(), 1, true)
  end)

  it("remembers nothing of a spec that could never go out", function()
    local run = assert(runs.open "a.run")
    local before, round = text(), {}
    round.round = round
    for _, spec in ipairs { round, { code = "\255" }, { code = print } } do
      assert.is_false(pcall(run.submit, run, "x", linkis, spec))
    end
    assert.is_false(pcall(run.submit, run, "x", {}))
    assert.is_false(pcall(run.submit, run, "\255", linkis, {}))
    assert.are.equal(before, text())
    assert(run:submit("x", linkis, { code = "mended" }))
  end)

  it("resolves only a submit that is not known, by an id", function()
    local run = assert(runs.open "a.run")
    assert(run:submit("x", linkis, {}))
    run:step("a", function() end)
    assert.are.equal("unsupported", select(2, run:resolve("x", 7)).kind)
    assert.are.equal("unsupported", select(2, run:resolve("a", 7)).kind)
    assert.is_false(pcall(run.resolve, run, "x"))
    assert.is_false(pcall(run.resolve, run, "x", {}))
  end)

  it("retries what has ended and refuses to retry what runs", function()
    server.plan = function(n) return { state = n == 1 and "failed" or "succeeded", log = { "a",
      "b" } } end
    local run = assert(runs.open "a.run")
    local job = assert(run:submit("x", linkis, {}))
    assert.are.equal("unsupported", select(2, run:retry "x").kind)
    assert.are.equal("failed", (wait.wait(job)))
    assert(run:retry "x")
    job = assert(run:submit("x", linkis, {}))
    assert.are.equal(2, job.id)
    assert.are.equal("succeeded", (wait.wait(job)))
    local step = run:steps()[1]
    assert.are.same({ "x", "job", "succeeded", 2 }, { step.name, step.kind, step.state,
      step.attempts })
    assert.matches('"log":["a","b"]', text(), 1, true)
    assert.are.equal("io", select(2, run:retry "nothing").kind)
  end)

  it("refuses before anything is submitted when the disk is full", function()
    local run = assert(runs.open "a.run")
    fakes.disk.full = true
    local job, err = run:submit("x", linkis, {})
    assert.is_nil(job)
    assert.are.equal("io", err.kind)
    assert.are.equal(0, server.requests)
    assert.is_nil((runs.open "b.run"))
    fakes.disk.full = false
    assert.are.equal("io", select(2, run:submit("y", linkis, {})).kind)
  end)

  it("is locked against a second run, and can be looked at meanwhile", function()
    local run = assert(runs.open "a.run")
    run:step("a", function() end)
    assert.are.equal("io", select(2, runs.open "a.run").kind)
    run:close()
    assert.are.equal("closed", select(2, run:submit("x", linkis, {})).kind)
    assert(runs.open "a.run")
  end)

  it("finds each flipped byte", function()
    local run = assert(runs.open "a.run")
    run:step("a", function() return "value" end)
    run:close()
    local good = text()
    for i = 1, #good do
      local flipped = good:sub(1, i - 1) .. string.char((good:byte(i) + 1) % 256)
        .. good:sub(i + 1)
      fakes.disk.files["a.run"] = flipped
      crash()
      local again, err = runs.open "a.run"
      if again then -- the last newline alone can be mended
        assert.are.equal(#good, i)
        assert.are.equal(good, text():sub(1, #good))
      else
        assert.are.equal("io", err.kind)
        assert.are.equal(flipped, text())
      end
    end
  end)

  it("does not touch a file that is no journal", function()
    for _, other in ipairs { "hello", "hello\n", '{"a":1}\n' } do
      fakes.disk.files["a.run"] = other
      crash()
      assert.are.equal("io", select(2, runs.open "a.run").kind)
      assert.are.equal(other, text())
    end
  end)

  -- The script a run is: jobs on both servers and steps.
  local function script()
    local run = assert(runs.open "a.run")
    local report = {}
    for i = 1, 3 do
      local job = assert(run:submit("extract " .. i, linkis, { code = "x" .. i }))
      report[#report + 1] = wait.wait(job) .. job.id
      report[#report + 1] = run:step("save " .. i, function() return "file" .. i end)
      local load, err = run:submit("load " .. i, lindorm, { src = "s" .. i })
      if not load then
        assert(err.kind == "submit_unknown")
        -- what a person does: looks whether it is there
        local found
        for id, task in pairs(load_server.tasks) do if task.spec.src == "s"
          .. i then found = id end end
        assert((found and run.resolve or run.forget)(run, "load " .. i, found))
        load = assert(run:submit("load " .. i, lindorm, { src = "s" .. i }))
      end
      report[#report + 1] = wait.wait(load) .. load.id
    end
    run:close()
    return report
  end

  it("does each thing once, wherever its journal is cut", function()
    local deaths, length = {}, 0
    -- what the servers had when the journal had so many bytes
    fakes.disk.on_write = function(line)
      length = length + #line
      deaths[#deaths + 1] = length
    end
    local whole = script()
    local total = length
    assert.are.equal(3, server.submits)
    for at = 1, total, os.getenv "TASKCLIENT_TORTURE" and 1 or 29 do
      fakes.install()
      runs, wait = require "taskclient.run", require "taskclient.workflow.wait"
      server, load_server = fakes.server "linkis", fakes.server "lindorm"
      linkis, lindorm = fakes.client(server), fakes.client(load_server)
      local written = 0
      fakes.disk.before_write = function(line)
        if written + #line < at then written = written + #line return end
        fakes.disk.files["a.run"] = fakes.disk.files["a.run"] .. line:sub(1, at - written)
        fakes.disk.before_write = nil
        crash()
        error("killed", 0)
      end
      local ok, why = pcall(script)
      -- times have more or fewer digits: the last cuts may come after the end
      assert.is_truthy(ok and at > total - 300 or not ok and why:find "^killed", tostring(why))
      fakes.disk.before_write = nil
      crash()
      assert.are.same(whole, script())
      assert.are.equal(3, server.submits)
      assert.are.equal(3, load_server.submits)
    end
  end)
end)
