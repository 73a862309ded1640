-- Traps 41 to 50 of a Linkis server, each shown to the client as the
-- server sets it.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"

local TICKET = "linkis_user_session_ticket_id_v1"

describe("trap", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  it("41: a login beside a live cookie checks no password", function()
    local function login(name)
      return { match = "/login", times = 1, reply = fault.linkis({ userName = name },
        { headers = { "Set-Cookie: " .. TICKET .. "=" .. name .. "; Path=/" } }) }
    end
    fs:script { linkis.ok("/publicKey", { enableLoginEncrypt = false }), login "first",
      { match = "/list", times = 1, reply = linkis.list {} },
      linkis.no("/list", "not logged in", { status = -1, http = 401, times = 1 }),
      login "second", { match = "/list", reply = linkis.list {} } }
    client = linkis.client(fs, { password = "pw" })
    for _ = 1, 2 do assert(client:call("list", {})) end
    local logins = fs:requests "/login"
    assert.equals(2, #logins)
    for _, request in ipairs(logins) do
      assert.is_nil(request.bytes:find("\r\nCookie:", 1, true))
      assert.same({ userName = "hadoop", password = "pw" }, linkis.body(request))
    end
    -- badly encrypted is "blank": the key is asked for again at the next try
    fs:script { linkis.ok("/publicKey", { enableLoginEncrypt = false }),
      linkis.no("/login", "Password can not be blank(密码不能为空)") }
    client = linkis.client(fs, { password = "pw" })
    for _ = 1, 2 do
      local data, err = client:call("list", {})
      assert.is_nil(data)
      assert.equals("auth", err.kind)
    end
    assert.equals(2, #fs:requests "/publicKey")
  end)

  it("42: a forced kill changes the record alone, and only of our own task", function()
    fs:script { linkis.get({}, 1), linkis.get { status = "Cancelled", errCode = linkis.null },
      linkis.ok("/status", { status = "Running" }),
      { match = "/kill", reply = fault.linkis("{}", { message = "Forced Kill task (强制杀死)" }) } }
    local what = assert(client:attach(12):abort())
    assert.is_true(what.forced)
    assert.is_nil(what.killed)
    assert.equals("cancelled", what.state)
    -- without the task id a server can force nothing: somebody else's task goes without it
    fs:script { linkis.get({ umUser = "alice" }, 1), linkis.get({ umUser = "alice" }, 2),
      linkis.no("/kill", "Get job by ID error, kill failed.") }
    local done, err = client:attach(12):abort()
    assert.is_nil(done)
    assert.equals("service", err.kind)
    for _, request in ipairs(fs:requests "/kill") do assert.is_nil(request.query) end
  end)

  it("43: killing what has ended is a 400 with a stack, and no failure of abort", function()
    fs:script { linkis.get({}, 1), linkis.get { status = "Succeed" }, linkis.no("/kill",
      "An exception occurred while killing the job, kill failed with error:errCode: 20011",
      { data = { stack = ("at a.b.c\n"):rep(500) } }) }
    local what = assert(client:attach(12):abort())
    assert.same({ ended = true, state = "succeeded", native = "Succeed" }, what)
    fs:script { linkis.get { status = "Failed" } } -- known before: nothing is sent
    assert.is_true(assert(client:attach(12):abort()).ended)
    assert.equals(0, #fs:requests "/kill")
  end)

  describe("44: killJobs", function()
    local A, B = "127.0.0.1:9104", "127.0.0.1:9114"

    local function records(states)
      local list = {}
      for i, where in ipairs { A, A, B, B } do
        list[i] = require("cjson").encode(linkis.record { taskID = i, status = states[i],
          strongerExecId = linkis.exec("taskclient_hadoop_shell_" .. i, where) })
      end
      return fault.linkis('{"jobHistoryList":[' .. table.concat(list, ",") .. "]}")
    end

    local function jobs()
      local list = {}
      for i = 1, 4 do list[i] = client:attach(i) end
      return list
    end

    local function told(statuses)
      local messages = {}
      for i, status in ipairs(statuses) do
        messages[i] = { method = "/kill", status = status, data = {},
          message = status == 0 and "Successfully killed the job" or "kill failed" }
      end
      return fault.linkis({ messages = messages }, { message = "success" })
    end

    local RUNNING = { "Running", "Running", "Running", "Running" }
    local function ends(status)
      local rules = {}
      for i = 1, 4 do
        rules[i] = linkis.get { taskID = i, status = status[i] or status,
          strongerExecId = linkis.exec("taskclient_hadoop_shell_" .. i, i <= 2 and A or B) }
      end
      return table.unpack(rules)
    end

    it("goes to each entrance with its own jobs alone", function()
      fs:script { { match = "/list%-taskids", reply = records(RUNNING) },
        { match = "/killJobs", reply = told { 0, 0 } }, ends "Cancelled" }
      for _, what in ipairs(assert(client:abort(jobs()))) do assert.is_true(what.killed) end
      local sent = fs:requests "/killJobs"
      assert.equals(2, #sent)
      for i, where in ipairs { A, B } do
        local body = linkis.body(sent[i])
        assert.same({ i * 2 - 1, i * 2 }, body.taskIDList)
        assert.is_truthy(sent[i].path:find(where, 1, true))
        for _, exec in ipairs(body.idList) do assert.is_truthy(exec:find(where, 1, true)) end
      end
      assert.equals(0, #fs:requests "/kill[? ]")
    end)

    it("says success while members failed", function()
      fs:script { { match = "/list%-taskids", reply = records(RUNNING) },
        { match = "/killJobs", reply = told { 0, 1 } },
        linkis.no("/kill[? ]", "You have no permission to kill this job"),
        ends { "Cancelled", "Succeed", "Cancelled", "Running" } }
      local results = assert(client:abort(jobs()))
      assert.is_true(results[1].killed)
      assert.same({ true, "succeeded" }, { results[2].ended, results[2].state })
      assert.is_true(results[3].killed)
      assert.equals("service", results[4].err.kind)
    end)

    it("is ended by a foreign job, and the rest goes on one by one", function()
      fs:script { { match = "/list%-taskids", reply = records(RUNNING) },
        linkis.no("/killJobs", "You have no permission to kill this job, excecute by user:bob"),
        linkis.get({ taskID = 1, strongerExecId = linkis.exec("taskclient_hadoop_shell_1", A) }, 1),
        linkis.ok "/kill[? ]", ends "Cancelled" }
      for _, what in ipairs(assert(client:abort(jobs()))) do
        assert.is_true(what.killed or what.ended)
        assert.equals("cancelled", what.state)
      end
    end)

    it("has no id in its path on servers up to 1.1.0", function()
      fs:script { { match = "/list%-taskids", reply = records(RUNNING) },
        { match = "/entrance/exec.*/killJobs", reply = fault.boot(404) },
        { match = "/entrance/killJobs", reply = told { 0, 0 } }, ends "Cancelled" }
      for _, what in ipairs(assert(client:abort(jobs()))) do assert.is_true(what.killed) end
      assert.same({ 1, 2 }, { #fs:requests "/exec.*/killJobs", #fs:requests "/entrance/killJobs" })
    end)
  end)

  it("45: pause is a stub, and says so", function()
    fs:script { linkis.get(), { match = "/pause", reply = fault.linkis("{}",
      { message = "success to pause job" }) } }
    local ok, err = client:attach(12):pause()
    assert.is_nil(ok)
    assert.equals("unsupported", err.kind)
    assert.matches("does nothing", err.message)
    assert.equals(0, #fs:requests "/pause")
    assert.same({}, client:call("pause", { id = linkis.exec() }))
  end)

  it("46: an execID may end in null, lack its entrance, or be missing", function()
    for _, exec in ipairs { linkis.exec "null", "exec_id018000linkis-cg-entranceIDE_hadoop_spark_0",
      linkis.null, "" } do
      fs:script { linkis.get({ strongerExecId = exec }, 4), linkis.get { status = "Succeed",
        strongerExecId = exec }, linkis.open_log { "a" } }
      local job = client:attach(12)
      assert.equals("running", assert(job:progress()).state)
      assert.same({ "a" }, linkis.all(job:logs { follow = true, poll = 0.02, timeout = 20 }))
      assert.is_true(assert(job:abort()).ended)
      assert.equals(0, #fs:requests "/entrance/", tostring(exec))
    end
  end)

  it("47: the code stands in errorMsg, in the text, or inside another", function()
    local CASES = {
      { "error code(错误码): 80010, error message(错误信息): no.",
        { errorMsg = { errCode = 80010, desc = "no", level = 2 } }, 80010 },
      { "error code(错误码): 20007, error message(错误信息): blank.", {}, 20007 },
      { "errCode: 21304 ,desc: Invalid creator : a ,ip: b ,port: 1 ,serviceKind: ps", {}, 21304 },
      { "operation failed(操作失败)s！the reason(原因)：NullPointerException: null",
        { errorMsg = { errCode = 0 } }, nil },
      { "Token Authentication Failed, token: x, reason: errCode: 15206 ,desc: y Caused by:"
        .. "LinkisException{errCode=15204, desc='token is not valid'}", {}, 15204 },
    }
    for _, case in ipairs(CASES) do
      fs:script { linkis.no("/list", case[1], { data = case[2] }) }
      local data, err = client:call("list", {})
      assert.is_nil(data)
      assert.equals(case[3], err.code, case[1])
    end
  end)

  it("48: startTaskID is that task, not the first of those from it", function()
    local box <close> = assert(require("taskclient.sandbox").start {})
    local mine = assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
    local jobs = {}
    for i = 1, 3 do jobs[i] = assert(mine:submit(linkis.shell "sleep 60")) end
    local data = assert(mine:call("listundonetasks", { startTaskID = jobs[1].id }))
    assert.equals(1, #data.tasks)
    -- so what is open is told by the list, by state
    local open = linkis.all(mine:list { state = { "queued", "running" } })
    assert.equals(3, #open)
    assert(mine:abort(jobs))
  end)

  it("49: /get keeps the code back; the list has it, for a retry", function()
    fs:script { linkis.get { status = "Failed" },
      { match = "/list", reply = linkis.list { { executionCode = "echo again",
        labels = { "userCreator:hadoop-nightly", "engineType:shell-1", "codeType:shell" },
        requestApplicationName = "nightly", sourceJson = "null", paramsJson =
          '{"variable":{"a":"1"},"configuration":{"startup":{"jobId":"12","x":"y"},"runtime":'
          .. '{"jobId":"12","job":{"#rt_rs_store_path":"p"},"source":{"taskclient.key":"k1",'
          .. '"scriptPath":"s","requestIP":"::1"},"wds.linkis.resultSet.store.path":'
          .. '"file:///tmp/r/k1","u":"v"}}}' } } },
      { match = "/submit", reply = linkis.accepted(13) } }
    assert.equals(core.null, assert(client:attach(12):info()).executionCode)
    local again = assert(client:attach(12):retry())
    assert.equals(13, again.id)
    local body = linkis.body(fs:requests("/submit")[1])
    assert.equals("echo again", body.executionContent.code)
    assert.equals("hadoop-nightly", body.labels.userCreator)
    assert.same({ a = "1" }, body.params.variable)
    assert.same({ x = "y" }, body.params.configuration.startup)
    assert.same({ u = "v", ["wds.linkis.resultSet.store.path"] = "file:///tmp/r/" .. again.key,
      ["taskclient.key"] = again.key }, body.params.configuration.runtime)
    assert.equals("s", body.source.scriptPath)
    assert.not_equals("k1", again.key)
    -- a record that lacks what a submit needs, or a list that lacks the record
    for _, lacking in ipairs { { executionCode = linkis.null }, { executionCode = "" },
      { executionCode = "x", runType = linkis.null } } do
      fs:script { { match = "/list", reply = linkis.list { lacking } } }
      local job, err = client:attach(12):retry()
      assert.is_nil(job)
      assert.equals("unsupported", err.kind)
      assert.equals(0, #fs:requests "/submit")
    end
    fs:script { { match = "/list", reply = linkis.list {} } }
    local job, err = client:attach(12):retry()
    assert.is_nil(job)
    assert.same({ "service", 12 }, { err.kind, err.job_id })
  end)

  it("50: progress is a number, a text, 0, 1.0f, 10% or null", function()
    for native, fraction in pairs { ["0.4"] = 0.4, ['"0.4"'] = 0.4, ['"1.0f"'] = 1, ["0"] = 0,
      ['"40%"'] = 0.4, ['"1.0"'] = 1, null = false, ['"odd"'] = false, ["1.7"] = 1,
      ['"5.0E-4"'] = 5e-4 } do
      fs:script { { match = "/get", reply = fault.linkis(
        '{"task":{"taskID":12,"status":"Running","progress":' .. native .. "}}") } }
      local progress = assert(client:attach(12):progress())
      assert.equals(fraction or nil, progress.fraction, native)
      assert.matches("^linkis job 12", tostring(client:attach(12)))
    end
    fs:script { linkis.get(), linkis.ok("/progressWithResource",
      '{"progress":"0.5","execID":"","progressInfo":[{"id":"j","totalTasks":6,"runningTasks":0,'
      .. '"failedTasks":0,"succeedTasks":4}],"yarnMetrics":{"corePercent":0.02,"yarnResource":'
      .. '[{"queueMemory":9663676416,"queueCores":6,"queue":"default"}]}}') }
    local live = assert(client:attach(12):progress())
    assert.equals(0.5, live.fraction)
    assert.equals(4, live.stages[1].succeeded)
    assert.equals(9663676416, live.resources[1].memory)
    fs:script { linkis.get(), linkis.ok("/progressWithResource", '{"progress":0.5,"progressInfo":'
      .. '[null,{"id":"j"},5],"yarnMetrics":{"yarnResource":[null,{"queue":"q"}]}}') }
    live = assert(client:attach(12):progress())
    assert.same({ "j", "q" }, { live.stages[1].id, live.resources[1].queue })
  end)
end)
