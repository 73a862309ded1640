-- Submitting to Linkis: what arrives, once, under a key; what is refused.

local servers = require "spec.support.server"
local taskclient = require "taskclient"
local core = require "taskclient.core"

describe("a Linkis submit", function()
  local client, server, listed

  -- a server built from the published page has no job list
  local function no_list()
    if listed == nil then
      local _, err = client:call("list", { pageSize = 1 })
      listed = not err or err.http_status ~= 404
    end
    if not listed then pending "this server has no job list" end
    return not listed
  end

  setup(function()
    server = servers.linkis()
    client = assert(taskclient.linkis {
      url = server.url, user = server.user, password = server.password,
      token = not server.password and server.token or nil,
    })
  end)
  teardown(function() client:close() end)

  local function spec(more)
    local full = { code = "echo once", run_type = "shell", engine = "shell-1" }
    for name, value in pairs(more or {}) do full[name] = value end
    return full
  end

  local function record_of(job)
    return assert(client:list { id = job.id }:read())
  end

  it("carries what the caller gave", function()
    if no_list() then return end
    local job = assert(client:submit(spec {
      variables = { day = "2026-01-05" }, creator = "nightly",
      startup = { ["x.cores"] = 4 }, runtime = { ["y.z"] = "ü&=+%" },
      source = { scriptPath = "a.sh", number = 5, yes = true, list = { 1, 2 } },
    }))
    local record = record_of(job)
    local params = assert(core.decode(record.paramsJson)).configuration
    assert.equals("ü&=+%", params.runtime["y.z"])
    assert.equals(4, tonumber(params.startup["x.cores"]))
    local source = assert(core.decode(record.sourceJson))
    assert.equals("a.sh", source.scriptPath)
    assert.equals("5", source.number)
    assert.equals("true", source.yes)
    assert.equals("[1,2]", source.list)
    assert.equals(job.key, source["taskclient.key"])
    assert.equals("nightly", record.requestApplicationName)
  end)

  it("is told to log, and so is each look, of less weight", function()
    local told = {}
    local loud = assert(taskclient.linkis {
      url = server.url, user = server.user, password = server.password,
      token = not server.password and server.token or nil,
      log = function(level, event)
        local name = event.what .. " " .. tostring(event.operation)
        told[name] = told[name] or { level = level, event = event }
      end,
    })
    assert(assert(loud:submit(spec())):wait { poll = 0.1 })
    loud:close()
    local submit = told["answered submit"] or told["answered execute"]
    assert.equals("info", submit.level)
    assert.equals(200, submit.event.http_status)
    assert.is_number(submit.event.seconds)
    assert.equals("debug", (told["answered get"] or told["answered status"]).level)
  end)

  it("has a creator whose SQL is not cut, where none is given", function()
    if no_list() then return end
    assert.equals("taskclient", record_of(assert(client:submit(spec()))).requestApplicationName)
  end)

  it("given the same key again is the same task", function()
    if no_list() then return end
    local key = "again " .. core.random(8) .. ' "ü"'
    local first = assert(client:submit(spec { key = key }))
    local second = assert(client:submit(spec { key = key, code = "echo other" }))
    assert.equals(first.id, second.id)
    assert.equals(key, second.key)
    assert.equals(first.id, assert(client:reconcile(key)).id)
    local third = assert(client:submit(spec { key = key }, { adopt = false }))
    assert.not_equals(first.id, third.id)
  end)

  it("is not found by a key that nobody used", function()
    if no_list() then return end
    local job, err = client:reconcile("nobody " .. core.random(8))
    assert.is_nil(job)
    assert.is_nil(err)
  end)

  it("that left a refused row says which", function()
    if no_list() then return end
    local job, err = client:submit(spec { code = "for i in 1 2; do echo $i; done" })
    assert.is_nil(job)
    assert.equals("service", err.kind)
    assert.equals("rejected", err.outcome)
    assert.equals(50081, err.code)
    assert.equals("failed", (client:attach(err.job_id):status()))
    assert.is_string(err.hint)
  end)

  it("for another user is refused by the server", function()
    local _, err = client:submit(spec { user = "somebody" })
    assert.equals(50080, err.code)
  end)

  it("has its own result folder", function()
    if no_list() then return end
    local job = assert(client:submit(spec { result_path = "file:///tmp/linkis/x/" }))
    local record = record_of(job)
    local runtime = core.decode(record.paramsJson).configuration.runtime
    assert.equals("file:///tmp/linkis/x/" .. job.key, runtime["wds.linkis.resultSet.store.path"])
  end)

  it("takes numbers and booleans for variables, which a server wants as texts", function()
    local job = assert(client:submit { code = "echo ${n} ${yes}", run_type = "shell",
      engine = "shell-1", variables = { n = 9007199254740991, yes = true } })
    assert.equals("succeeded", (job:wait { timeout = 120, poll = 0.2 }))
    if no_list() then return end
    local variable = core.decode(record_of(job).paramsJson).variable
    assert.same({ "9007199254740991", "true" }, { variable.n, variable.yes })
  end)

  it("is done anew by retry, under a new key", function()
    if no_list() then return end
    local job = assert(client:submit(spec { variables = { a = "1" } }))
    for _, old in ipairs { job, client:attach(job.id) } do
      local new = assert(old:retry())
      assert.not_equals(job.id, new.id)
      assert.not_equals(job.key, new.key)
      assert.equals("echo once", record_of(new).executionCode)
    end
  end)

  it("never sends what the client can refuse", function()
    local loop = {}
    loop.loop = loop
    local WRONG = {
      { {}, "field 'code' is missing" },
      { { code = "x", run_type = "sql" }, "'engine' is missing" },
      { spec { code = 5 }, "field 'code'" }, { spec { code = " \n" }, "blank" },
      { spec { cretor = "x" }, "did you mean 'creator'" }, { spec { creator = "a-b" }, "no '%-'" },
      { spec { timeout = 0 / 0 }, "field 'timeout'" }, { spec { timeout = -1 }, "field 'timeout'" },
      { spec { variables = "x" }, "field 'variables'" },
      { spec { runtime = loop }, "contains itself" },
      { spec { startup = { n = 1 / 0 } }, "startup.n" },
      { spec { source = { f = print } }, "source" },
      { spec { labels = { engineType = "x" } }, "there is the field 'engine'" },
      { spec { result_path = "/tmp/linkis/x" }, "field 'result_path': a path with its scheme" },
      { spec { labels = { "x" } }, "field 'labels': { name = value } expected, and 1 is no name" },
      { spec { variables = { "x" } }, "field 'variables': { name = value } expected" },
      { spec { key = "a\nb" }, "field 'key'" }, { spec { code = "\255" }, "not UTF%-8" },
      { "code", "table expected" },
    }
    for _, case in ipairs(WRONG) do
      local ok, message = pcall(function() client:submit(case[1]) end)
      assert.is_false(ok)
      assert.matches(case[2], message)
      assert.matches("linkis_submit_spec.lua:%d+: ", message)
    end
  end)
end)

describe("a Linkis submit whose reply is lost", function()
  local box, client

  setup(function()
    box = assert(require("taskclient.sandbox").start {})
    client = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })
    assert(client:whoami())
  end)
  teardown(function()
    client:close()
    box:stop()
  end)

  local function count()
    local n, list = 0, client:list {}
    while list:read() do n = n + 1 end
    return n
  end

  it("is found by its key, and was sent once", function()
    local before = count()
    box:set { submit_lost = 1 }
    local job = assert(client:submit { code = "echo lost", run_type = "shell", engine = "shell-1" })
    assert.equals("succeeded", (job:wait { timeout = 30, poll = 0.1 }))
    assert.equals(before + 1, count())
  end)

  it("stays unknown, with its key, while the list is down too", function()
    box:set { submit_lost = 1, boot_error = 503, fail_match = "/jobhistory/" }
    local job, err = client:submit {
      code = "echo x", run_type = "shell", engine = "shell-1", timeout = 3,
    }
    box:set { boot_error = false, fail_match = "." }
    assert.is_nil(job)
    assert.equals("submit_unknown", err.kind)
    assert.equals("unknown", err.outcome)
    assert.is_not_nil(err.cause)
    assert.is_not_nil(client:reconcile(err.key, err.since))
  end)

  it("is never sent when the key given again cannot be looked up", function()
    box:set { boot_error = 503, fail_match = "/jobhistory/" }
    local job, err = client:submit { code = "echo x", run_type = "shell", engine = "shell-1",
      key = "k1", timeout = 5 }
    box:set { boot_error = false, fail_match = "." }
    assert.is_nil(job)
    assert.equals("not_sent", err.outcome)
    assert.is_nil((client:reconcile "k1"))
  end)
end)
