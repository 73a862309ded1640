-- Traps 11 to 20 of a Linkis server, each shown to the client as the
-- server sets it.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"

local QUICK = { timeout = 30, poll = 0.05 }

describe("trap", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  local function status_of(fields)
    fs:script { linkis.get(fields) }
    return client:attach(12):status()
  end

  it("11: /status with a taskID may err, lie, or show a namesake", function()
    for _, lie in ipairs {
      linkis.no("/status", "ID The corresponding job is empty and cannot be obtained"),
      linkis.ok("/status", { status = "Cancelled", execID = linkis.exec() }),
      linkis.ok("/status", { status = "Succeed", execID = linkis.exec() }),
    } do
      fs:script { lie, linkis.get({}, 3), linkis.get { status = "Failed" } }
      local job = client:attach { id = 12, creator = "LINKISCLI" } -- so that /status is asked
      assert.equals("running", (job:status()))
      assert.equals("failed", (job:wait(QUICK)))
      assert.is_true(#fs:requests "/status" > 0)
    end
  end)

  it("12: history is the truth, before and after /status has spoken", function()
    fs:script { linkis.ok("/status", { status = "Succeed" }), linkis.get({}, 2),
      linkis.get { status = "Cancelled" } }
    local job = client:attach { id = 12, creator = "BdpClient" }
    local states = {}
    job:wait { timeout = 30, poll = 0.05, on_state = function(_, state)
      states[#states + 1] = state
    end }
    assert.equals("cancelled", states[#states])
    for _, state in ipairs(states) do assert.not_equals("succeeded", state) end
    local asked = #fs:journal()
    assert.equals("cancelled", (job:status())) -- it stays so, and nobody is asked
    assert.equals(asked, #fs:journal())
  end)

  it("13: WaitForRetry waits, Timeout is an end, a new word is none", function()
    assert.same({ "queued", "WaitForRetry" }, { status_of { status = "WaitForRetry" } })
    assert.same({ "failed", "Timeout" }, { status_of { status = "Timeout" } })
    assert.same({ "unknown", "Paused" }, { status_of { status = "Paused" } })
    fs:script { linkis.get({ status = "WaitForRetry" }, 1), linkis.get({ status = "Paused" }, 2),
      linkis.get { status = "Succeed" } }
    assert.equals("succeeded", (client:attach(12):wait(QUICK)))
  end)

  it("14: words, progress, dates and names as real servers or as the page has them", function()
    local real = { status = "Failed", progress = "0.1", createdTime = 1795312234000,
      errCode = 43003, errDesc = "syntax" }
    local page = { status = "FAILED", progress = "10%", createdTime = "2019-01-01 00:00:00",
      updatedTime = "2019-01-01 01:00:00", errorCode = 43003, errDesc = "syntax",
      paramJson = '{"p":"canary"}' }
    for _, fields in ipairs { real, page } do
      local record = linkis.record(fields)
      if fields == page then record.errCode, record.paramsJson = nil, nil end
      fs:script { { match = "/get", reply = fault.linkis { task = record } },
        linkis.open_log {} }
      local job = client:attach(12)
      assert.equals("failed", (job:status()))
      assert.equals(0.1, assert(job:progress()).fraction)
      local err = assert(job:error())
      assert.same({ 43003, "syntax" }, { err.code, err.message })
      assert.is_nil(tostring(job:info()):find("canary", 1, true))
    end
    fs:script { linkis.get { status = "SUCCEED" } }
    assert.equals("succeeded", (client:attach(12):status()))
  end)

  it("15: the log is an array, a text, null, or holds nulls", function()
    local replies = {
      fault.linkis '{"log":"","fromLine":1,"execID":"x"}',
      fault.linkis '{"log":null,"fromLine":1}',
      fault.linkis '{"log":[null,null,"fail-over","fail-over"],"fromLine":0,"execID":""}',
      fault.linkis('{"log":"","execID":"x","fromLine":1}', { status = 1, http = 400,
        message = "something went wrong" }),
      fault.linkis('{}', { status = 1, message = "shared cache not ready" }),
      fault.linkis '{"log":["","","one\\ntwo","one\\ntwo"],"fromLine":3,"execID":"x"}',
    }
    local rules = {}
    for i, reply in ipairs(replies) do rules[i] = { match = "/log", reply = reply, times = 1 } end
    rules[#rules + 1] = { match = "/log", reply = fault.linkis '{"log":"","fromLine":3}' }
    rules[#rules + 1] = linkis.get({}, 20)
    rules[#rules + 1] = linkis.get { status = "Succeed" }
    rules[#rules + 1] = linkis.open_log { "one", "two", "three" }
    fs:script(rules)
    assert.same({ "one", "two", "three" }, linkis.all(client:attach(12):logs {
      follow = true, poll = 0.02, timeout = 60 }))
  end)

  it("16: lines that are left out are counted, from 0 or from 1", function()
    local box <close> = assert(require("taskclient.sandbox").start {})
    local mine = assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
    local code = "seq 1 900 | while read i; do echo l$i; echo; echo; "
      .. "[ $((i % 90)) = 0 ] && sleep 0.05; done; true"
    for _, version in ipairs { "1.4", "1.8", "published" } do
      box:set { version = version }
      local job = assert(mine:submit(linkis.shell(code)))
      local seen, last = {}, 0
      for line in job:logs { follow = true, poll = 0.1, timeout = 60 } do
        local n = tonumber(line:match "^l(%d+)$")
        if n then seen[n] = (seen[n] or 0) + 1 end
        last = math.max(last, n or 0)
      end
      assert.equals(900, last, version)
      for i = 1, 900 do assert.is_not_nil(seen[i], version .. " lacks l" .. i) end
    end
  end)

  it("17: a line without a level has that of the line above it", function()
    local lines = { "2026-11-22 01:50:32.050 INFO begins", "plain",
      "2026-11-22 01:50:33.050 ERROR it broke", "  at a.b.c", "  at d.e.f",
      "2026-11-22 01:50:34.050 WARN goes on", "SYSTEM-ERROR out of memory" }
    local errors = { lines[3], lines[4], lines[5], lines[7] }
    fs:script { linkis.get { status = "Failed" }, linkis.open_log(lines) }
    local ended = client:attach(12)
    assert.same(errors, linkis.all(ended:logs { level = "error" }))
    fs:script { { match = "/log", reply = linkis.log({ "", table.unpack(lines) }, 9) },
      linkis.get({}, 4), linkis.get { status = "Failed" }, linkis.open_log(lines) }
    local live = client:attach(12):logs { follow = true, level = "error", poll = 0.02 }
    assert.same(errors, linkis.all(live))
  end)

  it("18: the log of an ended job is its file; /log may have forgotten it", function()
    fs:script { linkis.get { status = "Succeed" }, linkis.open_log { "a", "b" },
      linkis.no("/log", "The job you just executed has ended. (您刚执行的job已结束)") }
    assert.same({ "a", "b" }, linkis.all(client:attach(12):logs()))
    fs:script { linkis.get({}, 2), linkis.get { status = "Succeed" },
      linkis.open_log { "a", "b" }, linkis.no("/log", "The job you just executed has ended.") }
    assert.same({ "a", "b" }, linkis.all(client:attach(12):logs { follow = true, poll = 0.02 }))
  end)

  it("19: rows are read until a short page, whatever totals say", function()
    local function rows(first, last)
      local list = {}
      for i = first, last do list[#list + 1] = { tostring(i), "n" .. i } end
      return list
    end
    fs:script { linkis.get { status = "Succeed" }, linkis.tree "_0.dolphin",
      { match = "page=1&pageSize=4", reply = linkis.page(rows(1, 4), { totalLine = 4 }) },
      { match = "page=2&pageSize=4", reply = linkis.page(rows(5, 8), { totalPage = 1 }) },
      { match = "page=3&pageSize=4", reply = linkis.page(rows(9, 9), { totalLine = 1 }) },
      { match = "pageSize=20&", reply = linkis.page(rows(1, 9)) },
      linkis.ok("/fileInfo", { rowNumber = 9, colNumber = 2 }) }
    local rs = assert(client:attach(12):results())[1]
    assert.equals(9, #linkis.all(rs:rows { page_size = 4 }))
    assert.equals(9, rs:count())
    assert.matches("pageSize=%-1", fs:requests("/fileInfo")[1].query)
  end)

  it("a list leaves filters aside: a user without the view, runType on 1.8", function()
    local rows = linkis.list { { taskID = 5, umUser = "alice", runType = "jdbc" },
      { taskID = 4, runType = "jdbc" }, { taskID = 3, runType = "shell" } }
    for ids_of, opts in pairs { ["5"] = { user = "ALICE" }, ["54"] = { run_type = "jdbc" } } do
      fs:script { { match = "/list", reply = rows } }
      local found = ""
      for record in client:list(opts) do found = found .. record.taskID end
      assert.equals(ids_of, found)
      local asked = fs:requests "/list"
      assert.equals(opts.user ~= nil, asked[#asked].target:find "AdminView=true" ~= nil)
    end
  end)

  it("20: the list's totalPage is rows, and its last page comes for ever", function()
    local function some(...)
      local list = {}
      for i, id in ipairs { ... } do list[i] = { taskID = id } end
      return linkis.list(list, 5)
    end
    fs:script { { match = "pageNow=1&", reply = some(5, 4) },
      { match = "pageNow=2&", reply = some(3, 2) }, { match = "/list", reply = some(1) } }
    local ids = {}
    for record in client:list { page_size = 2 } do ids[#ids + 1] = record.taskID end
    assert.same({ 5, 4, 3, 2, 1 }, ids)
    assert.equals(3, #fs:requests "/list")
    for _, request in ipairs(fs:requests "/list") do
      assert.is_true(tonumber(request.query:match "pageSize=(%-?%d+)") > 0)
    end
    assert.has_error(function() client:list { page_size = 0 } end)
    ids = {} -- a page of fewer rows than were asked for is not the last one
    for record in client:list {} do ids[#ids + 1] = record.taskID end
    assert.same({ 5, 4, 3, 2, 1 }, ids)
  end)
end)
