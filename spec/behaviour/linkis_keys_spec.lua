-- A task is found by its key whatever this machine's clock says, and "there is
-- none" is never said because of it: a user would have her work done twice.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local process = require "spec.support.process"
local taskclient = require "taskclient"
local wire = require "spec.support.wire"

local NOW = 1795312800 -- the server's clock
local DATE = "Date: Sunday, November 22, 2026 2:00:00 AM UTC"

describe("the Date of a reply", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local EAST = 14 * 3600 -- a zone's name may mean any zone: the earliest moment counts
  local CASES = {
    { { "Sunday, November 22, 2026 2:00:00 AM UTC" }, NOW },
    { { "Sunday, November 22, 2026 at 2:00:00 AM Coordinated Universal Time" }, NOW },
    { { "Sunday, November 22, 2026, 2:00:00\226\128\175PM UTC" }, NOW + 12 * 3600 },
    { { "Sunday, November 22, 2026 12:00:00 AM GMT" }, NOW - 2 * 3600 },
    { { "Sunday, November 22, 2026 12:00:00 PM GMT" }, NOW + 10 * 3600 },
    { { "Sun, 22 Nov 2026 02:00:00 GMT" }, NOW },
    { { "Sunday, 22 November 2026 10:00:00 GMT+08:00" }, NOW },
    { { "Sun, 22 Nov 2026 02:00:00 +0530" }, NOW - 5.5 * 3600 },
    { { "Sunday, November 22, 2026 10:00:00 AM CST" }, NOW + 8 * 3600 - EAST },
    { { "Sunday, November 22, 2026 2:00:00 AM" }, NOW - EAST },
    { { "Sunday, November 22, 2026 2:00:00 AM UTC", "Sun, 22 Nov 2026 01:59:59 GMT" }, NOW - 1 },
    { { "yesterday", "Sun, 22 Nov 2026 02:00:00 GMT" }, NOW },
    { { "Sun, 29 Feb 2028 00:00:00 GMT" }, 1835395200 },
    { { "Sunday, 22-Nov-26 02:00:00 GMT" }, NOW }, { { "Sun Nov 22 02:00:00 2026" }, NOW - EAST },
    { { "sun, 22 NOV 2026 02:00:00 gmt" }, NOW }, { { "Sunday, 22 Sept 2026 02:00:00 GMT" },
      NOW - 61 * 86400 }, { { "mardi 22 novembre 2026 02:00:00 GMT" } },
    { { "Sun, 22 Marble 2026 02:00:00 GMT" } }, { { "Sun, 22 No 2026 02:00:00 GMT" } },
    { { "" } }, { { "soon" } }, { { "0" } }, { { "Sun, 22 Foo 2026 02:00:00 GMT" } },
    { { "Sun, 32 Nov 2026 02:00:00 GMT" } }, { { "Sun, 22 Nov 2026 25:00:00 GMT" } },
    { { "Sun, 22 Nov 2026 02:61:00 GMT" } }, { { "99999999999999999999:1:1" } },
    { { "2026-11-22T02:00:00Z" } }, { { ("1 "):rep(4000) } }, { { ("November "):rep(50) } }, { {} },
  }
  for _, case in ipairs(CASES) do
    it("is the server's time: " .. tostring(case[1][1]):sub(1, 50), function()
      local headers = {}
      for i, date in ipairs(case[1]) do headers[i] = "Date: " .. date end
      fs:script { default = { { "read" }, { "send", fault.linkis({}, { headers = headers }) } } }
      local data, err, call = wire.call(wire.linkis(fs.url), "get", { id = "7" })
      assert.is_nil(err)
      assert.is_table(data)
      assert.equals(case[2], call:date())
      assert.equals(case[2], call:info().date)
    end)
  end

  it("is what a Retry-After is compared with", function()
    fs:script { default = { { "read" }, { "send", fault.http(429, "busy", {
      "Date: Sun, 22 Nov 2026 02:00:00 GMT", "Retry-After: Sun, 22 Nov 2026 02:00:30 GMT" }) } } }
    local _, err = wire.call(wire.linkis(fs.url), "get", { id = "7" })
    assert.equals(30, err.retry_after) -- this machine's clock says another year
  end)

  it("is known to the client from then on", function()
    fs:script { default = { { "read" }, { "send", fault.linkis({ tasks = { {} } },
      { headers = { DATE } }) } } }
    local client = linkis.client(fs)
    assert.is_nil(client:server_time())
    local time = client:server_time(true)
    assert.is_true(time >= NOW and time < NOW + 60)
    assert.equals(1, #fs:requests())
    client:close()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    client = linkis.client(fs)
    for _ = 1, 3 do assert.is_nil((client:server_time(true))) end -- where none is told
    assert.equals(1, #fs:requests())
    client:close()
  end)
end)

describe("a task's key", function()
  local fs, time
  setup(function() fs, time = fault.start(), core.time end)
  before_each(function() core.time = time end)
  teardown(function()
    core.time = time
    fs:stop()
  end)

  local function row(id, age, key, more)
    local fields = { taskID = id, createdTime = (NOW - age) * 1000,
      sourceJson = key and ('{"taskclient.key":"%s"}'):format(key) or "{}" }
    for name, value in pairs(more or {}) do fields[name] = value end
    return fields
  end

  local function page(rows, total, date)
    local reply = linkis.list(rows, total)
    return date == false and reply or (reply:gsub("\r\n", "\r\n" .. (date or DATE) .. "\r\n", 1))
  end

  -- so many tasks of others, `age` seconds old at first and each a second older
  local function rows(first, n, age)
    local list = {}
    for i = 0, n - 1 do list[#list + 1] = row(first - i, age + i) end
    return list
  end

  local function listed() return #fs:requests "/jobhistory/list%?" end

  local LOST = { match = "/submit", { "read" }, { "rst" } }
  local SHIFTS = { 3600, -3600, 90000, -90000, 1e9 }

  for _, shift in ipairs(SHIFTS) do
    it("is found by a clock that is " .. shift .. " s ahead", function()
      core.time = function() return NOW + shift + (time() - time()) end
      fs:script { LOST, { match = "startDate=17953[1-9]", reply = page {} }, -- later than the task
        { match = "startDate=179[6-9]", reply = page {} },
        { match = "startDate=2", reply = page {} },
        { match = "/list", reply = page { row(12, 2, "k") } } }
      local client = linkis.client(fs)
      local job = assert(client:submit(linkis.shell("x", { key = "k" }), { adopt = false }))
      assert.equals(12, job.id)
      assert.equals(12, assert(client:reconcile("k")).id)
      assert.equals(12, assert(client:reconcile("k", core.time() - 60)).id)
      assert.same({ k = 12 }, assert(client:submitted("k", core.time() - 60)))
      assert.equals(12, assert(client:submit(linkis.shell("x", { key = "k" }))).id)
      assert.equals(1, #fs:requests "/submit")
      client:close()
    end)

    it("is found though the clock steps in the middle, by " .. shift .. " s", function()
      local now = NOW
      core.time = function() return now end
      fs:script { LOST, { match = "startDate=17953[1-9]", reply = page {} },
        { match = "startDate=179[6-9]", reply = page {} },
        { match = "startDate=2", reply = page {} },
        { match = "/list", times = 1, reply = page {} },
        { match = "/list", reply = page { row(12, 2, "k") } } }
      local client = linkis.client(fs, { log = function(_, event)
        if event.what == "reconcile" then now = now + shift end
      end })
      assert.equals(12, assert(client:submit(linkis.shell("x", { key = "k" }),
        { adopt = false })).id)
      client:close()
    end)
  end

  it("is found where no reply tells the time, or a false one", function()
    for _, date in ipairs { false, "Date: Sun, 22 Nov 2037 02:00:00 GMT",
      "Date: Thu, 01 Jan 1970 00:00:00 GMT" } do
      fs:script { LOST, { match = "startDate=21", reply = page({}, 0, date) },
        { match = "/list", reply = page({ row(12, 2, "k") }, 1, date) } }
      local client = linkis.client(fs)
      assert.equals(12, assert(client:submit(linkis.shell("x", { key = "k" }),
        { adopt = false })).id)
      assert.equals(12, assert(client:reconcile("k", time() - 60)).id)
      client:close()
    end
  end)

  it("is looked for as far back as it may stand, and no further", function()
    fs:script { { match = "pageNow=1&", reply = page(rows(900, 100, 0), 300) },
      { match = "pageNow=2&", reply = page(rows(800, 100, 80000), 300) },
      { match = "pageNow=3&", reply = page({ row(700, 86400, "k"), row(699, 99999) }, 300) },
      { match = "/list", reply = fault.http(500, "further than a day") } }
    core.time = function() return NOW end
    local client = linkis.client(fs)
    assert.equals(700, assert(client:reconcile("k")).id)
    local none, err = client:reconcile("k", NOW - 60) -- the second page proves that there is none
    assert.is_nil(none)
    assert.is_nil(err)
    assert.equals(5, listed())
    client:close()
  end)

  it("is looked for to the end of a list that is not newest first", function()
    fs:script { { match = "pageNow=1&", reply = page(
        { row(1, 90000), row(2, 80000) }, 3) },
      { match = "pageNow=2&", reply = page({ row(3, 2, "k") }, 3) } }
    local client = linkis.client(fs)
    assert.equals(3, assert(client:reconcile("k", NOW - 60)).id)
    client:close()
  end)

  it("is not missed for a row from the future, nor for rows without a time", function()
    fs:script { { match = "pageNow=1&", reply = page({ row(90, -99999), row(89, 2) }, 3) },
      { match = "pageNow=2&", reply = page({ row(88, 3, "k") }, 3) } }
    local client = linkis.client(fs)
    assert.equals(88, assert(client:reconcile("k", NOW - 60)).id)
    fs:script { { match = "pageNow=1&", reply = page({ row(90, 0, nil, { createdTime = "today" }),
        row(89, 0, nil, { createdTime = linkis.null }) }, 3) },
      { match = "pageNow=2&", reply = page({ row(88, 3, "k") }, 3) } }
    assert.equals(88, assert(client:reconcile("k", NOW - 60)).id)
    client:close()
  end)

  it("is not missed where pages of one second skip rows", function()
    local twice = rows(900, 100, 0)
    local second = rows(850, 99, 80000) -- its first ones have come before, in place of the task
    for i = 1, 51 do second[i].createdTime = twice[i].createdTime end
    second[#second + 1] = row(700, 99999)
    local whole = rows(900, 100, 0)
    whole[#whole + 1] = row(650, 120, "k")
    fs:script { { match = "pageNow=1&pageSize=100&", reply = page(twice, 5000) },
      { match = "pageNow=2&pageSize=100&", reply = page(second, 5000) },
      { match = "pageNow=1&pageSize=", reply = page(whole, 101) } }
    local client = linkis.client(fs)
    assert.equals(650, assert(client:reconcile("k", NOW - 60)).id)
    client:close()
  end)

  it("is not missed where the server counts pages, not rows", function()
    fs:script { { match = "pageNow=1&", reply = page(rows(900, 100, 0), 2) },
      { match = "pageNow=2&", reply = page({ row(700, 200, "k") }, 2) } }
    local client = linkis.client(fs)
    assert.equals(700, assert(client:reconcile("k")).id)
    fs:script { { match = "/list", reply = page(rows(900, 100, 0), 2) } } -- the last page for ever
    assert.is_nil((client:reconcile("k")))
    assert.equals(2, listed())
    client:close()
  end)

  it("stands where a clean stop of the entrance leaves it", function()
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    local client = linkis.client(fs)
    local job = assert(client:submit(linkis.shell("x", { runtime = { a = "b" } })))
    local body = linkis.body(fs:requests("/submit")[1])
    assert.same({ a = "b", ["taskclient.key"] = job.key }, body.params.configuration.runtime)
    assert.same({ ["taskclient.key"] = job.key }, body.source)
    -- source and the copy among the parameters are gone
    local params = '{"configuration":{"runtime":{"a":"b","taskclient.key":"%s"}}}'
    for _, name in ipairs { "paramsJson", "paramJson" } do
      local wiped = row(12, 2, nil, { sourceJson = linkis.null, instance = "", status = "Inited",
        paramsJson = linkis.null, executionCode = "x" })
      wiped[name] = params:format(job.key)
      fs:script { { match = "/list", reply = page { wiped } },
        { match = "/submit", reply = linkis.accepted(13) } }
      assert.equals(12, assert(client:reconcile(job.key)).id)
      assert.equals(12, assert(client:submit(linkis.shell("x", { key = job.key }))).id)
      assert.same({ [job.key] = 12 }, assert(client:submitted(job.key:sub(1, 4))))
      -- and a new task made of the record has a key of its own
      local again = assert(client:attach(12):retry())
      local runtime = linkis.body(fs:requests("/submit")[1]).params.configuration.runtime
      assert.same({ a = "b", ["taskclient.key"] = again.key }, runtime)
      assert.not_equals(job.key, again.key)
    end
    client:close()
  end)

  it("stands there in a 0.x body too", function()
    fs:script { { match = "/execute", reply = linkis.accepted() } }
    local client = linkis.client(fs, { version = "0.11" })
    local job = assert(client:submit(linkis.shell()))
    local body = linkis.body(fs:requests("/execute")[1])
    assert.equals(job.key, body.params.configuration.runtime["taskclient.key"])
    client:close()
  end)

  it("used by several at one moment gives all of them the first task, and says so", function()
    for _, case in ipairs {
      { own = 12, list = { row(12, 1, "k"), row(11, 1, "k") }, id = 11, others = { 12 } },
      { own = 12, list = { row(13, 1, "k"), row(12, 1, "k"), row(14, 1, "k") }, id = 12,
        others = { 13, 14 } },
      { own = 12, list = { row(11, 1, "k") }, id = 11, others = { 12 } }, -- ours is not shown yet
      { own = 12, list = { row(12, 1, "k") }, id = 12 },
      { own = 12, list = { row(12, 1, "k"), -- what a refused submit has left is no task
        row(11, 1, "k", { status = "Failed", execId = linkis.null }) }, id = 12 },
      { own = 12, list = {}, id = 12 },
    } do
      local told = {}
      fs:script { { match = "/list", times = 1, reply = page { row(9, 1) } },
        { match = "/submit", reply = linkis.accepted(case.own) },
        { match = "/list", reply = page(case.list) } }
      local client = linkis.client(fs, { log = function(level, event)
        if event.what == "duplicates" then told[#told + 1] = { level, event.duplicates } end
      end })
      local job = assert(client:submit(linkis.shell("x", { key = "k" })))
      assert.equals(case.id, job.id)
      assert.same(case.others, job.duplicates)
      assert.same(case.others and { { "warn", table.concat(case.others, ", ") } } or {}, told)
      assert.equals(0, #fs:requests "/kill") -- nobody's work is stopped unasked
      client:close()
    end
  end)

  it("that is found later names the others too", function()
    fs:script { { match = "/list", reply = page { row(13, 1, "k"), row(11, 9, "k"),
      row(12, 5, "k") } } }
    local client = linkis.client(fs)
    for _, job in ipairs { assert(client:reconcile "k"),
      assert(client:submit(linkis.shell("x", { key = "k" }))) } do
      assert.equals(11, job.id)
      assert.same({ 12, 13 }, job.duplicates)
    end
    assert.equals(0, #fs:requests "/submit")
    client:close()
  end)

  it("that nobody else can have used costs no look", function()
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    local client = linkis.client(fs)
    assert(client:submit(linkis.shell()))
    assert(client:submit(linkis.shell("x", { key = "k" }), { adopt = false }))
    assert.equals(0, listed())
    client:close()
  end)

  it("that cannot be looked up after the submit loses no job", function()
    fs:script { { match = "/list", times = 1, reply = page {} },
      { match = "/submit", reply = linkis.accepted(12) },
      { match = "/list", reply = fault.http(403, "no") } }
    local client = linkis.client(fs)
    local job = assert(client:submit(linkis.shell("x", { key = "k" })))
    assert.equals(12, job.id)
    assert.is_nil(job.duplicates)
    client:close()
  end)
end)

describe("a code that the server keeps in a file", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("is not submitted by its name", function()
    local client = linkis.client(fs)
    for code, kept in pairs {
      ["hdfs:///tmp/linkis/2026-11-22/hadoop/4711.txt;0#61234"] = true,
      ["file:///tmp/a b/query.txt;61234#50000"] = false, -- no path of the server's has blanks
      ["s3://bucket/x;0#50000"] = true, ["select 1;0#5"] = false,
      ["echo hdfs:///a;0#5"] = false, ["hdfs:///a;0#5\necho"] = false,
    } do
      fs:script { { match = "/list", reply = linkis.list { { executionCode = code } } },
        { match = "/submit", reply = linkis.accepted(13) } }
      local job, err = client:attach(12):retry()
      assert.equals(kept and 0 or 1, #fs:requests "/submit", code)
      if kept then
        assert.is_nil(job)
        assert.same({ "unsupported", "not_sent", 12 }, { err.kind, err.outcome, err.job_id })
        assert.matches("kept in a file", err.message)
        assert.matches("client:submit", err.hint)
      end
    end
    client:close()
  end)
end)

-- A process that dies in a submit which arrived, and the one that is started in its place.
describe("a run on a machine with a wrong clock", function()
  local box
  setup(function() box = assert(require("taskclient.sandbox").start()) end)
  teardown(function() box:stop() end)

  local SCRIPT = [[
    local taskclient = require "taskclient"
    local client = assert(taskclient.linkis { url = "%s", user = "%s", password = "%s",
      log = function(_, event) if event.what == "reconcile" and %s then os.exit(9) end end })
    local run = assert(taskclient.journal("%s", { settle = 1 }))
    print(assert(run:submit("load", client, { code = "echo once", run_type = "shell",
      engine = "shell-1" })).id)]]

  local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"

  local function start(clock, path, dies)
    return process.run({ "faketime", "-f", clock, lua, "-e", SCRIPT:format(box.url, box.user,
      box.password, tostring(dies), path) }, { env = { LUA_PATH = package.path,
      LUA_CPATH = package.cpath, FAKETIME_DONT_FAKE_MONOTONIC = "1" } })
  end

  for _, clocks in ipairs { { "+30m", "+30m" }, { "-30m", "-30m" }, { "+2h", "+0" },
    { "-2h", "+0" }, { "+0", "+30m" }, { "+0", "-3d" } } do
    local name = table.concat(clocks, ", then ")
    it("submits once: " .. name, function()
      if os.getenv "LD_PRELOAD" then return pending "faketime and a sanitizer both hang" end
      local path = os.tmpname()
      os.remove(path)
      box:set { submit_lost = 1 }
      local code, out, err = start(clocks[1], path, true)
      assert.equals(9, code, out .. err)
      code, out, err = start(clocks[2], path, false)
      assert.equals(0, code, err)
      local client = assert(taskclient.linkis { url = box.url, user = box.user,
        password = box.password })
      local newest = assert(client:list({}):read())
      assert.equals(newest.taskID, tonumber(out))
      local n = 0
      for _ in pairs(assert(client:submitted(""))) do n = n + 1 end
      box.submitted = (box.submitted or 0) + 1
      assert.equals(box.submitted, n)
      client:close()
      os.remove(path)
    end)
  end
end)
