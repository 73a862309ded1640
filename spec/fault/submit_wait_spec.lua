-- What a submit waits for: a gateway without an entrance, a task whose submit was
-- cut, a full queue. It tells, and holds nobody else up.

local fast = require "spec.support.fast"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"

local NO_ROUTE = {
  [11011] = "errCode: 11011 ,desc: There are no services available in the registry ,ip: a",
  [11012] = "Cannot route to the corresponding service, errCode: 11012 ,desc: x ,ip: a",
  [10050] = "errCode: 10050 ,desc: Application linkis-cg-entrance does not exist any instances",
}
local FULL = "errCode: 12001 ,desc: The submitted job number exceeds the maximum ,ip: a"

describe("a submit waits", function()
  local fs, events
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() events = {} end)

  local function client_of(more)
    more = more or {}
    function more.log(level, event)
      events[#events + 1] = event
      event.level = level
    end
    return linkis.client(fs, more)
  end

  local function told(what)
    local list = {}
    for _, event in ipairs(events) do
      if event.what == what then list[#list + 1] = event end
    end
    return list
  end

  local function cut(times)
    return { match = "^POST .*/submit", times = times, { "read" }, { "rst" } }
  end

  for code, message in pairs(NO_ROUTE) do
    it("for a gateway to know an entrance: " .. code, function()
      fs:script { linkis.no("^POST .*/submit", message, { http = 200, times = 3 }),
        { match = "^POST .*/submit", reply = linkis.accepted(12) } }
      local job = fast.run(10, function() return assert(client_of():submit(linkis.shell())) end)
      assert.equal(12, job.id)
      assert.equal(4, #fs:requests "^POST .*/submit")
      assert.equal(3, #told "retry")
      local key = linkis.body(fs:requests("^POST")[1]).source["taskclient.key"]
      assert.equal(job.key, key)
    end)
  end

  it("for that no longer than it may, and says that nothing was sent", function()
    fs:script { linkis.no("^POST .*/submit", NO_ROUTE[11011], { http = 200 }) }
    local job, err = client_of():submit(linkis.shell("x", { timeout = 1 }))
    assert.is_nil(job)
    assert.same({ "not_sent", 11011, true }, { err.outcome, err.code, err.retryable })
    assert.is_string(err.key)
    assert.equal(0, #fs:requests "^GET")
  end)

  it("a minute where the spec names a route, which may be wrong", function()
    fs:script { linkis.no("^POST .*/submit", NO_ROUTE[11012], { http = 200 }) }
    local err, seconds
    fast.run(100, function()
      local core = require "taskclient.core"
      local began = core.now()
      err = select(2, client_of():submit(linkis.shell("x", { labels = { route = "et1" } })))
      seconds = core.now() - began
    end)
    assert.equal("not_sent", err.outcome)
    assert.is_true(seconds < 120, seconds)
  end)

  it("for a cut submit's task until the list has answered without it for minutes", function()
    fs:script { cut(), { match = "/list", reply = linkis.list {} } }
    local err, seconds
    fast.run(200, function()
      local core = require "taskclient.core"
      local began = core.now()
      err = select(2, client_of():submit(linkis.shell()))
      seconds = core.now() - began
    end)
    assert.same({ "submit_unknown", "unknown" }, { err.kind, err.outcome })
    assert.is_string(err.key)
    assert.is_true(seconds > 400 and seconds < 1000, seconds)
    assert.is_true(#told "reconcile" > 5)
    assert.equal(1, #fs:requests "^POST .*/submit")
  end)

  it("longer where the list does not answer", function()
    fs:script { cut(), { match = "/list", reply = fault.boot(500) } }
    local seconds
    fast.run(300, function()
      local core = require "taskclient.core"
      local began = core.now()
      client_of { submit_timeout = 900 }:submit(linkis.shell())
      seconds = core.now() - began
    end)
    assert.is_true(seconds > 800, seconds)
  end)

  local function statuses(...)
    local list = {}
    for _, id in ipairs { ... } do
      list[#list + 1] = { match = ("/jobhistory/%d/get"):format(id),
        reply = linkis.task { taskID = id, status = "Succeed" } }
    end
    return list
  end

  local function script(rules, more)
    for _, rule in ipairs(more) do rules[#rules + 1] = rule end
    fs:script(rules)
  end

  it("for a cut submit while the others of submit_many go on", function()
    script({ cut(1),
      { match = "^POST .*/submit", times = 1, reply = linkis.accepted(21) },
      { match = "^POST .*/submit", times = 1, reply = linkis.accepted(22) },
      { match = "/list.*taskIDs", reply = linkis.list {
        { taskID = 21, status = "Succeed" }, { taskID = 22, status = "Succeed" } } },
      { match = "/list", reply = linkis.list {} } }, statuses(21, 22))
    local client = client_of()
    local many = client:submit_many({ linkis.shell "1", linkis.shell "2", linkis.shell "3" },
      { poll = 0.05 })
    local first, second = assert(many:read()), assert(many:read())
    assert.same({ [2] = "succeeded", [3] = "succeeded" },
      { [first.index] = first.state, [second.index] = second.state })
    -- now the list shows the task
    local key = linkis.body(fs:requests("^POST .*/submit")[1]).source["taskclient.key"]
    script({ { match = "/list", reply = linkis.list { { taskID = 20, status = "Succeed",
      sourceJson = ('{"taskclient.key":"%s"}'):format(key) } } } }, statuses(20))
    local third = assert(many:read())
    assert.same({ 1, 20, "succeeded" }, { third.index, third.job.id, third.state })
    assert.is_nil((many:read()))
  end)

  it("and names what it could not find when submit_many's time is over", function()
    fs:script { cut(), { match = "/list", reply = linkis.list {} } }
    local many = client_of():submit_many({ linkis.shell "1" }, { timeout = 1 })
    local ended, err = many:read()
    assert.is_nil(ended)
    assert.equal("timeout", err.kind)
    assert.equal(1, err.unknown[1].index)
    assert.is_string(err.unknown[1].key)
  end)

  it("for room in a full queue, and takes no refused row for the task", function()
    script({ linkis.no("^POST .*/submit", FULL, { times = 3 }),
      { match = "^POST .*/submit", reply = linkis.accepted(31) },
      { match = "/list", reply = linkis.list {} } }, statuses(31))
    local client = client_of()
    local summary = fast.run(10, function()
      return assert(client:submit_many({ linkis.shell "1" }):finish())
    end)
    assert.same({ 1, 0, 0 }, { summary.succeeded, summary.not_submitted, summary.retried })
    assert.equal(4, #fs:requests "^POST .*/submit")
    assert.equal(3, #told "held back")
  end)

  it("for room under a key that was given, whose refused row is there", function()
    local row = { taskID = 30, status = "Failed", execId = require("cjson").null,
      sourceJson = '{"taskclient.key":"mine"}' }
    script({ { match = "/list", times = 1, reply = linkis.list {} },
      { match = "/list", reply = linkis.list { row } },
      linkis.no("^POST .*/submit", FULL, { times = 2 }),
      { match = "^POST .*/submit", reply = linkis.accepted(31) } }, statuses(30, 31))
    local ended = fast.run(10, function()
      return assert(client_of():submit_many({ linkis.shell("1", { key = "mine" }) }):read())
    end)
    assert.same({ 31, "succeeded" }, { ended.job.id, ended.state })
  end)

  it("and looks past the rows of earlier attempts when the last one was cut", function()
    local row = { taskID = 30, status = "Failed", execId = require("cjson").null,
      sourceJson = '{"taskclient.key":"mine"}' }
    local made = { taskID = 31, status = "Succeed", sourceJson = '{"taskclient.key":"mine"}' }
    script({ { match = "/list", times = 1, reply = linkis.list {} },
      { match = "/list", times = 2, reply = linkis.list { row } },
      { match = "/list", reply = linkis.list { made, row } },
      linkis.no("^POST .*/submit", FULL, { times = 1 }), cut() }, statuses(30, 31))
    local ended = fast.run(10, function()
      return assert(client_of():submit_many({ linkis.shell("1", { key = "mine" }) }):read())
    end)
    assert.same({ 31, "succeeded" }, { ended.job.id, ended.state })
  end)
end)
