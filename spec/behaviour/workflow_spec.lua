-- Waiting, many jobs and durable runs against a server that really runs them.

local process = require "spec.support.process"
local servers = require "spec.support.server"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local FAST = { poll = 0.1, timeout = 60 }

local function shell(code)
  return { code = code, run_type = "shell", engine = "shell-1" }
end

describe("workflow", function()
  local given, linkis, dir

  setup(function()
    given = servers.linkis()
    linkis = assert(taskclient.linkis { url = given.url, user = given.user,
      password = given.password })
    dir = process.tempdir()
  end)

  teardown(function()
    linkis:close()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  it("waits for one, all, any, and each as it ends", function()
    local good, bad = assert(linkis:submit(shell "echo a")), assert(linkis:submit(shell "exit 3"))
    assert.are.equal("succeeded", (good:wait(FAST)))
    local state, native, err = bad:wait(FAST)
    assert.are.same({ "failed", "Failed" }, { state, native })
    assert.are.equal("service", err.kind)
    local jobs = {}
    for i = 1, 4 do jobs[i] = assert(linkis:submit(shell("echo " .. i))) end
    for i, ended in ipairs(assert(taskclient.wait_all(jobs, FAST))) do
      assert.are.same({ jobs[i].id, "succeeded" }, { ended.job.id, ended.state })
    end
    assert.are.equal("succeeded", (select(2, taskclient.wait_any(jobs, FAST))))
    local seen = 0
    local ends = taskclient.as_completed(jobs, FAST)
    for _ = 1, 4 do
      local _, ended = ends:read()
      seen = seen + (ended == "succeeded" and 1 or 0)
    end
    assert.is_nil((ends:read()))
    assert.are.equal(4, seen)
  end)

  it("goes on for the others when a task that waits is cancelled", function()
    taskclient.run(function()
      local jobs = {}
      for i = 1, 2 do jobs[i] = assert(linkis:submit(shell "sleep 2")) end
      local states, tasks = {}, {}
      for i = 1, 4 do
        tasks[i] = taskclient.spawn(function() states[i] = jobs[i % 2 + 1]:wait(FAST) end)
      end
      taskclient.sleep(0.05)
      tasks[1]:cancel()
      tasks[2]:cancel()
      assert.are.equal("interrupted", select(2, taskclient.join(tasks[1])).kind)
      taskclient.join(tasks[2])
      taskclient.join(tasks[3])
      taskclient.join(tasks[4])
      assert.are.same({ nil, nil, "succeeded", "succeeded" }, states)
    end)
  end)

  it("leaves a job alone at the deadline; its handle finds it again", function()
    local job = assert(linkis:submit(shell "sleep 4"))
    local state, err = job:wait { timeout = 0.3, poll = 0.1 }
    assert.is_nil(state)
    assert.are.equal("timeout", err.kind)
    assert.are.equal("succeeded", (assert(linkis:attach(err.handles[1])):wait(FAST)))
  end)

  it("gives each line of the log before the wait returns", function()
    local job,
      seen = assert(linkis:submit(shell "for_each() { echo line-$1; }; for_each 1; for_each 2")),
      {}
    job:wait { poll = 0.1, timeout = 60, on_log = function(_, line)
      seen[#seen + 1] = line:match "line%-%d$"
    end }
    assert.are.same({ "line-1", "line-2" }, seen)
  end)

  it("submits many, at most so many at a time, and sums up", function()
    local function specs()
      for i = 1, 9 do coroutine.yield(shell(i == 5 and "exit 1" or "echo " .. i)) end
    end
    local states = {}
    local cursor = linkis:submit_many(coroutine.create(specs), { active = 3, poll = 0.1,
      timeout = 120, retry = 1 })
    local summary = assert(cursor:finish(function(ended) states[ended.index] = ended.state
      .. ended.attempts end))
    assert.are.equal("failed2", states[5])
    assert.are.same({ 9, 8, 1, 1 }, { summary.total, summary.succeeded, summary.failed,
      summary.retried })
  end)

  it("remembers jobs and steps in a run", function()
    local path = dir .. "/a.run"
    local run = assert(taskclient.journal(path))
    assert.are.equal("io", select(2, taskclient.journal(path)).kind)
    local job = assert(run:submit("hello", linkis, shell "echo hello"))
    assert.are.equal("succeeded", (job:wait(FAST)))
    assert.are.equal(1.5, run:step("sum", function() return 1.5 end))
    run:close()
    run = assert(taskclient.journal(path))
    assert.are.equal(job.id, assert(run:submit("hello", linkis, shell "echo hello")).id)
    assert.are.equal(1.5, run:step("sum", error))
    assert.has_error(function() run:submit("hello", linkis, shell "echo hello") end)
    local lindorm = assert(taskclient.lindorm { url = "http://127.0.0.1:1" })
    assert.has_error(function() run:submit("typo", linkis, { cod = "echo" }) end)
    assert.has_error(function() run:submit("typo", lindorm, { src = "hdfs" }) end)
    assert.are.equal(2, #run:steps())
    run:close()
    local look = assert(taskclient.journal(path, { read_only = true }))
    assert.matches("hello +succeeded", look:table())
    assert.are.equal("closed", select(2, look:submit("x", linkis, shell "echo")).kind)
  end)

  it("adopts by its key what was submitted before a crash", function()
    local path = dir .. "/b.run"
    local run = assert(taskclient.journal(path))
    local job = assert(run:submit("x", linkis, shell "echo once"))
    run:close()
    -- the journal as it was before the answer came
    local lines = {}
    for line in io.lines(path) do
      if not line:find '"accepted"' and not line:find '"closed"' then lines[#lines + 1] = line end
    end
    local file = assert(io.open(path, "w"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    run = assert(taskclient.journal(path))
    assert.are.equal(job.id, assert(run:submit("x", linkis, shell "echo once")).id)
    run:close()
  end)

  it("refuses to begin where nothing can be written", function()
    assert.are.equal("io", select(2, taskclient.journal "/proc/nothing.run").kind)
    assert.are.equal("io", select(2, taskclient.journal(dir, { read_only = true })).kind)
  end)

  local function script(text, env)
    local path = dir .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    env.LUA_PATH, env.LUA_CPATH = package.path, package.cpath
    env.TASKCLIENT_LINKIS_URL = env.TASKCLIENT_LINKIS_URL or given.url
    env.TASKCLIENT_LINKIS_USER = env.TASKCLIENT_LINKIS_USER or given.user
    env.TASKCLIENT_LINKIS_PASSWORD = env.TASKCLIENT_LINKIS_PASSWORD or given.password
    return process.start({ "lua5.4", path }, { env = env })
  end

  for _, form in ipairs { "%s", "taskclient.run(function() %s end)" } do
    it("says how to attach when Ctrl-C ends a wait, at once: " .. form, function()
      local child = script([[
        local taskclient = require "taskclient"
        local job = assert(assert(taskclient.linkis()):submit { code = "sleep 30",
          run_type = "shell", engine = "shell-1" })
        local function tell() print(job.id) io.stdout:flush() end
        ]] .. form:format "job:wait { poll = 0.1, on_progress = tell }", {})
      local id = wait.eventually(function() return child:out():match "(%d+)\n" end, 20,
        "the first look of the wait")
      local before = wait.now()
      child:signal "INT"
      child:wait(10)
      assert.is_true(wait.now() - before < 5) -- of the 30 that the job takes
      local said = child:err()
      child:stop()
      local job = assert(linkis:attach(tonumber(id)))
      assert.are_not.equal("cancelled", (job:status()))
      assert(job:abort())
      assert.matches("client:attach(" .. id .. ")", said, 1, true)
    end)
  end

  it("says which journal remembers the job when Ctrl-C ends a wait of a run's job", function()
    local path = dir .. "/interrupted.run"
    local child = script(([[
      local taskclient = require "taskclient"
      local run = assert(taskclient.journal %q)
      local job = assert(run:submit("x", assert(taskclient.linkis()), { code = "sleep 30",
        run_type = "shell", engine = "shell-1" }))
      job:wait { poll = 0.1, on_state = function() print(job.id) io.stdout:flush() end }
      ]]):format(path), {})
    local id = wait.eventually(function() return child:out():match "(%d+)\n" end, 20, "the wait")
    child:signal "INT"
    child:wait(10)
    local said = child:err()
    child:stop()
    assert(assert(linkis:attach(tonumber(id))):abort())
    assert.matches("client:attach(" .. id .. "), or start the script again: " .. path, said,
      1, true)
  end)

  local function tasks_of(box)
    local client = assert(taskclient.linkis { url = box.url, user = box.user,
      password = box.password })
    local n = 0
    for _ in client:list {} do n = n + 1 end
    client:close()
    return n
  end

  if servers.linkis().sandbox then
    it("outlives the server: killed in mid-wait and started again", function()
      local box = require("taskclient.sandbox")
      local own = assert(box.start())
      finally(function() own:stop() end)
      local client = assert(taskclient.linkis { url = own.url, user = own.user,
        password = own.password })
      local job = assert(client:submit(shell "sleep 3; echo done"))
      local polls = 0
      local state = job:wait { timeout = 60, poll = function(attempt)
        polls = attempt
        if attempt == 2 then own:kill_server() end
        if attempt == 5 then own:resume_server() end
        return 0.2
      end }
      assert.are.equal("succeeded", state)
      assert.is_true(polls >= 6)
      client:close()
    end)

    it("makes one task where the script dies while the server holds its submit", function()
      local box = require("taskclient.sandbox")
      local own = assert(box.start())
      finally(function() own:stop() end)
      own:set { submit_delay = 5 }
      local path = dir .. "/slow.run"
      local text = ([[
        local taskclient = require "taskclient"
        local run = assert(taskclient.journal %q)
        local job = assert(run:submit("x", assert(taskclient.linkis()), { code = "echo x",
          run_type = "shell", engine = "shell-1" }))
        print((job:wait { poll = 0.1 }))]]):format(path)
      local env = { TASKCLIENT_LINKIS_URL = own.url, TASKCLIENT_LINKIS_USER = own.user,
        TASKCLIENT_LINKIS_PASSWORD = own.password }
      local child = script(text, env)
      wait.eventually(function()
        local file = io.open(path)
        return file and file:read("*a"):find "sending"
      end, 20, "the submit")
      wait.nap(0.5) -- it is on its way; the server holds it for ten times as long
      child:signal "KILL"
      child:wait(10)
      child:stop()
      child = script(text, env)
      assert.are.equal(0, child:wait(90), child:err())
      assert.are.equal("succeeded\n", child:out())
      child:stop()
      assert.are.equal(1, tasks_of(own))
    end)

    it("the nightly example, killed at random, ends with everything done once", function()
      local box = require("taskclient.sandbox")
      local own = assert(box.start { lindorm = { sources = { landing = dir },
        create_tables = true } })
      finally(function() own:stop() end)
      local env = { LANDING = dir, LUA_PATH = package.path, LUA_CPATH = package.cpath,
        NO_COLOR = "1",
        TASKCLIENT_LINKIS_URL = own.url, TASKCLIENT_LINKIS_USER = own.user,
        TASKCLIENT_LINKIS_PASSWORD = own.password, TASKCLIENT_LINDORM_URL = own.lindorm_url }
      local deaths = os.getenv "TASKCLIENT_TORTURE" and 100 or 6
      math.randomseed(os.time())
      local journal = dir .. "/nightly-2026-01-05.run"
      local alive
      for _ = 1, deaths do
        local child = process.start({ "lua5.4", "examples/nightly.lua", "2026-01-05" },
          { env = env })
        wait.nap(0.02 + math.random() * 0.4)
        child:signal "KILL"
        child:wait(10)
        child:stop()
      end
      -- what a person does when a load was cut off in its middle
      local code, out, err
      for _ = 1, 2 do
        code, out, err = process.run({ "lua5.4", "examples/nightly.lua", "2026-01-05" },
          { env = env, timeout = 180 })
        alive = code == 0
        if alive or not err:find "run:resolve" then break end
        local run = assert(taskclient.journal(journal))
        assert(run:forget "load")
        run:close()
      end
      assert(alive, err)
      assert.matches("4 steps: 4 succeeded", out)
      assert.are.equal(1, tasks_of(own))
      assert.are.equal(1000, own:query("select count(*) from \"default.orders\"")[1][1])
    end)
  end
end)
