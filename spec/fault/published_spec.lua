-- Servers that others build from the published page alone differ in what the page
-- leaves open: how they refuse, what stands for an execID, what is not there.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"

describe("a server built from the page", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = assert(taskclient.linkis { url = fs.url, user = "hadoop" }) end)
  after_each(function() client:close() end)

  local PAGE = "<!DOCTYPE HTML><html><body>Not Found</body></html>"
  local STOPPED = linkis.ok("/status", { status = "CANCELLED" })
  local ABSENT = { -- how it says that there is no such address
    fault.http(404, PAGE), fault.http(404, ""), fault.http(404, '{"detail":"Not Found"}'),
    fault.linkis("{}", { status = 1, http = 404, message = "no such path" }),
    fault.linkis("{}", { status = 1, message = "Not Found" }),
  }

  it("may refuse a kill by GET in many ways; POST stops the job", function()
    local refusals = { fault.http(405, PAGE), fault.http(501, PAGE),
      fault.linkis("{}", { status = 1, http = 405, message = "no" }),
      fault.linkis("{}", { status = 1, message = "Request method 'GET' is not supported" }),
      fault.linkis("{}", { status = 1, http = 400, message = "Method Not Allowed" }) }
    for i = 1, 4 do refusals[#refusals + 1] = ABSENT[i] end
    for _, reply in ipairs(refusals) do
      client = assert(taskclient.linkis { url = fs.url, user = "hadoop" })
      fs:script { linkis.get({}, 1), linkis.get { status = "CANCELLED" }, STOPPED,
        { match = "^GET .*/kill", reply = reply }, linkis.ok "^POST .*/kill" }
      assert.is_true(assert(client:attach(12):abort()).killed)
      client:close()
    end
  end)

  it("may show another execID than the submit's, or none", function()
    local own = "030418IDEhivelocalhost010004:10087IDE_hadoop_21"
    local shown = { "execId-xxx", linkis.null, "" }
    for _, exec in ipairs(shown) do
      local fields = { strongerExecId = exec, execId = "exec-id-xxx" }
      fs:script { { match = "/submit", reply = linkis.accepted(12, own) }, linkis.get(fields, 1),
        linkis.get { status = "CANCELLED" }, STOPPED, linkis.ok "/kill" }
      local job = assert(client:submit(linkis.shell()))
      assert.is_true(assert(job:abort()).killed)
      assert.equals(1, #fs:requests(own .. "/kill"))

      fs:script { { match = "/submit", reply = linkis.accepted(12, own) },
        { match = "/log", times = 1, reply = linkis.log({ "one" }, 1) },
        linkis.get(fields), linkis.ok("/log", '{"log":"","fromLine":1}') }
      job = assert(client:submit(linkis.shell()))
      assert.equals("one", (job:logs():read()))
      assert.is_true(#fs:requests(own .. "/log") > 0)
    end
  end)

  it("may keep the whole execID in execId alone", function()
    local exec = "030418IDEhivelocalhost010004:10087IDE_hadoop_21"
    fs:script { linkis.get({ strongerExecId = linkis.null, execId = exec }, 1),
      linkis.get { status = "CANCELLED" }, STOPPED, linkis.ok "/kill" }
    assert.is_true(assert(client:attach(12):abort()).killed)
    assert.equals(1, #fs:requests(exec .. "/kill"))
  end)

  it("has no list: an unknown end stays so at once, and a key cannot be looked up", function()
    for _, absent in ipairs(ABSENT) do
      fs:script { { match = "/submit", { "read" }, { "fin" } },
        { match = "/list", reply = absent } }
      local job, err = client:submit(linkis.shell())
      assert.is_nil(job)
      assert.equals("submit_unknown", err.kind)
      assert.equals(1, #fs:requests "/submit")

      job, err = client:submit(linkis.shell("x", { key = "mine" }))
      assert.is_nil(job)
      assert.same({ "unsupported", "not_sent" }, { err.kind, err.outcome })
      assert.equals(1, #fs:requests "/submit")
      local record
      record, err = client:list({}):read()
      assert.is_nil(record)
      assert.equals("unsupported", err.kind)
      assert.matches("has no list", tostring(err))
      record, err = client:attach(12):retry()
      assert.is_nil(record)
      assert.equals("unsupported", err.kind)
    end
  end)

  it("has no list: states are asked one by one", function()
    for _, absent in ipairs(ABSENT) do
      client = assert(taskclient.linkis { url = fs.url, user = "hadoop" })
      fs:script { { match = "/list", reply = absent }, linkis.get { status = "SUCCEED" },
        linkis.get { taskID = 13, status = "FAILED" } }
      local states = assert(client:states { client:attach(12), client:attach(13) })
      assert.same({ "succeeded", "failed" }, { states[1].state, states[2].state })
      client:close()
    end
  end)

  it("says in its own words that there is no such task", function()
    local words = { "task 12 does not exist", "No such task", "The job was not found", "Not Found" }
    local replies = { fault.linkis('{"task":null}'),
      fault.linkis("{}", { status = 1, http = 404, message = "no such path" }) }
    for _, message in ipairs(words) do
      replies[#replies + 1] = fault.linkis("{}", { status = 1, message = message })
    end
    for _, reply in ipairs(replies) do
      fs:script { { match = "/get", reply = reply } }
      local _, err = client:attach(12):status()
      assert.is_true(err.vanished)
    end
    -- an address that something before the server does not know is no such word
    for _, reply in ipairs { fault.http(404, PAGE), fault.http(404, ""), fault.boot(404, "/get"),
      fault.http(404, '{"detail":"Not Found"}'), fault.http(401, PAGE), fault.http(302, "") } do
      fs:script { { match = "/get", reply = reply } }
      local _, err = client:attach(12):status()
      assert.is_nil(err.vanished)
    end
    -- nor is the server's trouble with its own tables
    fs:script { linkis.no("/get", "operation failed(操作失败)s！the reason(原因)：SQLException: "
      .. "table job_history does not exist") }
    assert.is_nil(select(2, client:attach(12):status()).vanished)
    -- a service that is away for now is no such word
    fs:script { linkis.no("/get", "errCode: 10050 ,desc: Application x does not exist any "
      .. "instances", { http = 200 }) }
    local _, err = client:attach(12):status()
    assert.is_nil(err.vanished)
  end)

  it("has no login: none is needed", function()
    for i = 1, 4 do
      client = linkis.client(fs, { password = "secret" })
      fs:script { { match = "/user/", reply = ABSENT[i] },
        { match = "/submit", reply = linkis.accepted() } }
      assert.equals(12, assert(client:submit(linkis.shell())).id)
      client:close()
    end
  end)

  it("knows no users: the label gets a name all the same", function()
    for i = 1, 4 do
      client = assert(taskclient.linkis { url = fs.url })
      fs:script { { match = "/user/", reply = ABSENT[i] },
        { match = "/submit", reply = linkis.accepted() } }
      assert.equals(12, assert(client:submit(linkis.shell())).id)
      local labels = linkis.body(fs:requests("/submit")[1]).labels
      assert.matches("^.+%-taskclient$", labels.userCreator)
      client:close()
    end
    -- one that does, and does not say who, is asked again another time
    client = assert(taskclient.linkis { url = fs.url })
    fs:script { { match = "/user/", reply = fault.http(503, "") } }
    local job, err = client:submit(linkis.shell())
    assert.is_nil(job)
    assert.same({ 503, "not_sent" }, { err.http_status, err.outcome })
  end)

  it("may have nothing to tell, and says so by null; what is no object never raises", function()
    for _, data in ipairs { "null", "{}", "[]", '"x"', "5", "true" } do
      local odd = fault.linkis(data)
      local function any(...)
        local rules = { ... }
        rules[#rules + 1] = { match = "", reply = odd }
        fs:script(rules)
        return linkis.client(fs, { password = "pw" })
      end
      local login = linkis.ok("/login", { userName = "hadoop" })
      local mine = any(login)
      for _, what in ipairs { "status", "info", "progress", "results" } do
        local job = mine:attach(12)
        local value, err = job[what](job)
        assert.is_nil(value, what)
        assert.equals("protocol", err.kind, what)
      end
      local record, err = mine:list({}):read()
      assert.is_nil(record)
      assert.equals("protocol", err.kind)
      assert(mine:states { mine:attach(12), mine:attach(13) } or true)
      local name
      name, err = mine:whoami()
      assert.is_nil(name)
      assert.equals("protocol", err.kind)
      mine = any(login, linkis.get())
      assert.equals("running", assert(mine:attach(12):progress()).state)
      mine = any(login, linkis.get({}, 1), linkis.get { status = "CANCELLED" }, STOPPED)
      assert.is_true(assert(mine:attach(12):abort()).killed)
    end
    fs:script { { match = "/user/", reply = fault.linkis "null" }, linkis.get() }
    assert.equals("running", (linkis.client(fs, { password = "pw" }):attach(12):status()))
  end)

  it("may say yes and hold no task: that is no log without lines", function()
    for _, follow in ipairs { false, true } do
      fs:script { linkis.ok("/jobhistory/", '{"task":null}') }
      local line, err = client:attach(12):logs({ follow = follow, timeout = 1 }):read()
      assert.is_nil(line)
      assert.equals(follow and "timeout" or "protocol", err.kind)
      assert.matches("the reply holds no task", tostring(err))
    end
  end)
end)

describe("a service that is away for now", function()
  it("is no server without list-taskids", function()
    local fs = fault.start()
    local client = linkis.client(fs)
    local jobs = { client:attach(12), client:attach(13) }
    fs:script { linkis.no("/jobhistory/", "errCode: 10050 ,desc: Application x does not exist any "
      .. "instances", { http = 200 }) }
    assert.is_nil((client:states(jobs)))
    fs:script { linkis.ok("/list%-taskids", '{"jobHistoryList":[]}') }
    assert(client:states(jobs))
    assert.equals(1, #fs:requests "/list%-taskids")
    client:close()
    fs:stop()
  end)
end)
