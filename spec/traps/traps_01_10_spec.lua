-- Traps 1 to 10 of a Linkis server, each shown to the client as the
-- server sets it.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"

describe("trap", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  it("1: kill is GET, and POST only where GET is refused as a method", function()
    local function script(...)
      fs:script { linkis.get({}, 1), linkis.get { status = "Cancelled" }, ... }
    end
    script(linkis.ok("^GET .*/kill"))
    assert.is_true(assert(client:attach(12):abort()).killed)
    assert.equals(1, #fs:requests "/kill")

    script({ match = "^GET .*/kill", reply = fault.boot(405) }, linkis.ok("^POST .*/kill"))
    assert.is_true(assert(client:attach(12):abort()).killed)
    assert.same({ 1, 1 }, { #fs:requests "^GET .*/kill", #fs:requests "^POST .*/kill" })

    -- a refusal of any other kind is no reason to send another verb
    for _, reply in ipairs { fault.linkis("{}", { status = 1, http = 400, message = "no" }),
      fault.http(404, '{"method":"/x","status":404,"message":"Not Found","data":[]}'),
      fault.http(403, "forbidden") } do
      client = linkis.client(fs)
      fs:script { linkis.get(), { match = "/kill", reply = reply } }
      local what, err = client:attach(12):abort()
      assert.is_nil(what)
      assert.equals(12, err.job_id)
      assert.equals(0, #fs:requests "^POST .*/kill")
    end
  end)

  it("2: the body's status decides, not the HTTP code", function()
    fs:script { linkis.no("/get", "errCode: 10050 ,desc: Application x does not exist any "
      .. "instances ,ip: a ,port: 9001 ,serviceKind: gateway", { http = 200 }),
      linkis.no("/submit", "Cannot route to the corresponding service, errCode: 11012 ,desc",
        { http = 200 }), { match = "/list", reply = linkis.list {} } }
    local state, err = client:attach(12):status()
    assert.is_nil(state)
    assert.same({ "service", 10050 }, { err.kind, err.code })
    local job
    job, err = client:submit(linkis.shell(nil, { timeout = 0.2 }))
    assert.is_nil(job)
    assert.same({ "service", "not_sent", 11012 }, { err.kind, err.outcome, err.code })
    fs:script { linkis.no("/openFile", "Warning code(警告码): 52004, past the last column",
      { http = 206, status = 4 }) }
    local data
    data, err = client:call("openFile", { path = "file:///x.dolphin" })
    assert.is_nil(data)
    assert.same({ "service", 52004 }, { err.kind, err.code })
  end)

  it("3: not every reply is the envelope", function()
    local CASES = {
      { fault.boot(404), "http" }, { fault.boot(500), "http" }, { fault.http(500, ""), "http" },
      { fault.http(500, '{"method":"/x","status":500,"message":"Internal","data":[]}'), "http" },
      { fault.http(404, '{"method":"/x","status":404,"message":"Not Found","data":[]}'), "http" },
      { fault.http(200, ""), "protocol" }, { fault.http(200, "all fine"), "protocol" },
      { fault.http(200, "<html>log in</html>"), "protocol" },
      { fault.http(200, '{"method":"/x","status":0,"mess'), "protocol" },
    }
    for _, case in ipairs(CASES) do
      fs:script { { match = "/list", reply = case[1] } }
      local data, err = client:call("list", { pageSize = 1 }, { retry = false })
      assert.is_nil(data, case[1])
      assert.equals(case[2], err.kind, case[1])
      assert.is_string(err.message)
    end
  end)

  it("4: a POST without a body does nothing, and an empty 200 is no yes", function()
    fs:script { linkis.ok("/login", { userName = "hadoop" }), linkis.ok "/logout",
      linkis.ok("/publicKey", { enableLoginEncrypt = false }), linkis.ok("/list",
        '{"tasks":[],"totalPage":0}') }
    client = linkis.client(fs, { password = "secret" })
    assert(client:call("list", {}))
    assert(client:logout())
    for _, request in ipairs(fs:requests "^POST") do assert.is_true(#request.body >= 2) end
    assert.equals("{}", fs:requests("/logout")[1].body)

    local key = "empty-200"
    fs:script { { match = "/submit", reply = fault.http(200, "") },
      { match = "/list", reply = linkis.list { { taskID = 77,
        sourceJson = '{"taskclient.key":"empty-200"}' } } } }
    local job = assert(client:submit(linkis.shell("x", { key = key }), { adopt = false }))
    assert.equals(77, job.id)
    assert.equals(1, #fs:requests "/submit")
  end)

  it("5: the task id is a number or a text, as the server likes", function()
    for _, id in ipairs { 123, "123" } do
      fs:script { { match = "/submit", reply = linkis.accepted(id) }, linkis.get { taskID = 123 } }
      local job = assert(client:submit(linkis.shell()))
      assert.equals(123, job.id)
      assert.equals("running", (job:status()))
      assert.matches("/jobhistory/123/get", fs:requests("/get")[1].target)
      assert.equals("linkis job 123 (running, 0%)", tostring(job))
    end
    assert.equals(123, client:attach("123").id)
  end)

  it("6: execIDs are opaque, also those whose lengths are wrong", function()
    local IDS = { "030418IDEhivelocalhost010004:10087IDE_hadoop_21",
      "030415IDEhivelocalhost:10087IDE_hadoop_21", linkis.exec(),
      "exec_id018017linkis-cg-entrance127.0.0.1:9205IDE_hadoop_spark_2",
      linkis.exec("IDE_hadoop_spark_0", "bdp-a:9104_bdp-b:9104") }
    for _, exec in ipairs(IDS) do
      fs:script { { match = "/submit", reply = linkis.accepted(12, exec) },
        linkis.get({ strongerExecId = exec }, 1), linkis.get { status = "Cancelled" },
        linkis.ok "/kill" }
      local job = assert(client:submit(linkis.shell()))
      assert.is_true(assert(job:abort()).killed, exec)
      assert.equals("/api/rest_j/v1/entrance/" .. exec .. "/kill",
        fs:requests("/kill")[1].path)
    end
  end)

  it("7: an execID is given out again; the task id is what lasts", function()
    local box <close> = assert(require("taskclient.sandbox").start {})
    local mine = assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
    local old = assert(mine:submit(linkis.shell "echo old; sleep 60"))
    box:restart_entrance()
    local new = assert(mine:submit(linkis.shell "echo new; sleep 60"))
    assert.equals(old.exec_id, new.exec_id)
    local again = mine:attach(old:handle())
    assert.equals("cancelled", (again:wait { timeout = 20, poll = 0.1 }))
    assert.is_true(assert(again:abort()).ended)
    assert.is_nil(table.concat(linkis.all(again:logs()), "\n"):find("echo new", 1, true))
    assert.is_nil(require("taskclient.state").ENDED[new:status()])
    assert.is_true(assert(new:abort()).killed)
  end)

  it("8: a task id is no execID: the entrance is asked by execID alone", function()
    local box <close> = assert(require("taskclient.sandbox").start { version = "1.9" })
    local mine = assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
    local job = assert(mine:submit(linkis.shell "echo here; sleep 60"))
    local cursor = mine:attach(job.id):logs { follow = true, poll = 0.1, timeout = 20 }
    repeat local line = assert(cursor:read()) until line == "here"
    assert.equals(0, assert(job:progress()).fraction)
    assert.is_true(assert(mine:attach(job.id):abort()).killed)
    fs:script { linkis.get(), linkis.ok("/progress", { progress = 0.5 }) }
    assert.equals(0.5, assert(client:attach(12):progress()).fraction)
    assert.equals(0, #fs:requests "/entrance/%d")
  end)

  it("9: the colon of an execID goes out as it is", function()
    fs:script { linkis.get(), linkis.ok("/progress", { progress = 0.5 }), linkis.ok("/log",
      { log = "", fromLine = 0 }) }
    client:attach(12):progress()
    client:attach(12):logs():read()
    local asked = fs:requests "/entrance/"
    assert.is_true(#asked >= 2)
    for _, request in ipairs(asked) do
      assert.is_truthy(request.target:find("entrance127.0.0.1:9104taskclient", 1, true))
      assert.is_nil(request.target:find("%3A", 1, true))
    end
  end)

  it("10: a dead instance answers 500, then somebody else's job", function()
    local mine = { "2026-11-22 01:50:32.050 INFO Job with jobId : 12 and execID : a submitted ",
      "mine 1", "mine 2", "mine 3" }
    local theirs = { "2026-11-22 01:50:32.050 INFO Job with jobId : 99 and execID : a submitted ",
      "theirs 1", "theirs 2", "theirs 3", "theirs 4", "theirs 5" }
    fs:script {
      { match = "/log%?", times = 1, reply = linkis.log({ "", mine[1], mine[2] }, 3) },
      { match = "/log%?", times = 4, reply = fault.http(500, "") },
      { match = "/log%?fromLine=0", reply = linkis.log({ "", table.unpack(theirs) }, 7) },
      { match = "/log%?", reply = linkis.log(theirs, 7) },
      linkis.get({}, 9), linkis.get { status = "Succeed" }, linkis.open_log(mine),
    }
    local lines = linkis.all(client:attach(12):logs { follow = true, poll = 0.02, timeout = 30 })
    assert.same(mine, lines)
    assert.is_nil(table.concat(lines):find("theirs", 1, true))

    -- and a kill would stop that one
    local B = linkis.exec "taskclient_hadoop_shell_1"
    fs:script { { match = "/log%?", reply = linkis.log(theirs, 7) }, linkis.get(),
      linkis.get { taskID = 13, strongerExecId = B }, linkis.ok "/kill" }
    local what, err = client:attach(12):abort()
    assert.is_nil(what)
    assert.same({ "service", "not_sent", 12 }, { err.kind, err.outcome, err.job_id })
    for _, one in ipairs(assert(client:abort { client:attach(12), client:attach(13) })) do
      assert.equals("not_sent", one.err.outcome)
    end
    assert.equals(0, #fs:requests "/kill")
  end)
end)
