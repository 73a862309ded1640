-- Each switch of the sandbox, thrown while it runs: what a server at its worst answers.

local cjson = require "cjson"
local http = require "spec.support.http"
local wait = require "spec.support.wait"

describe("the sandbox's switches:", function()
  local sandbox, ask

  local function submit(code, creator, opts)
    opts = opts or {}
    opts.body = http.submit_body(code, creator, opts.more)
    local status, reply = ask("POST", "entrance/submit", opts)
    return status, reply
  end

  local function ended(id)
    return wait.eventually(function()
      local _, reply = ask("GET", "jobhistory/" .. id .. "/get")
      local task = reply.data.task
      return (task.status == "Succeed" or task.status == "Failed" or task.status == "Cancelled")
        and task
    end, 20, "the end of task " .. id)
  end

  local function ran(code, creator)
    local _, reply = submit(code, creator)
    ended(reply.data.taskID)
    return reply.data.taskID, reply.data.execID
  end

  lazy_setup(function()
    sandbox = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" }, admin = "hadoop",
    })
    ask = http.speaker(sandbox)
  end)
  lazy_teardown(function() if sandbox then sandbox:stop() end end)

  local function login(user, password)
    local code, body, reply = ask("POST", "user/login", { token = false,
      body = { userName = user, password = password or user } })
    assert(reply, body)
    local lines = http.values(reply, "Set-Cookie")
    return code, body, (lines[#lines] or ""):match "^[^;]+", lines
  end

  local function with_cookie(cookie, target)
    return ask("GET", target or "jobhistory/list?pageSize=1", { token = false,
      headers = { Cookie = cookie } })
  end

  it("session expiry", function()
    local code, body, cookie = login "hadoop"
    assert.equal(200, code)
    assert.equal(3600000, body.data.sessionTimeOut)
    assert.equal(200, with_cookie(cookie))
    sandbox:set { session_timeout = 0.05 }
    wait.eventually(function() return with_cookie(cookie) == 401 end, 5, "the expiry")
    sandbox:set { session_timeout = 3600 }
    local _, _, fresh = login "hadoop"
    sandbox:expire_sessions()
    code, body = with_cookie(fresh)
    assert.equal(401, code)
    assert.equal(-1, body.status)
  end)

  it("a login of an ordinary user deletes old cookies first", function()
    local _, _, cookie, lines = login "alice"
    assert.equal(3, #lines)
    assert.is_truthy(lines[1]:find("Max-Age=0", 1, true))
    assert.equal(200, with_cookie(cookie))
  end)

  it("a 401 storm, counted", function()
    local _, _, cookie = login "hadoop"
    sandbox:set { unauthorized = 2 }
    assert.equal(401, with_cookie(cookie))
    assert.equal(401, with_cookie(cookie))
    assert.equal(200, with_cookie(cookie))
  end)

  it("encrypted logins", function()
    sandbox:set { rsa = true }
    local _, body = ask("GET", "user/publicKey", { token = false })
    assert.is_true(body.data.enableLoginEncrypt)
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write("-----BEGIN PUBLIC KEY-----\n", (body.data.publicKey:gsub(("."):rep(64), "%0\n")),
      "\n-----END PUBLIC KEY-----\n")
    file:close()
    local pipe = io.popen("printf %s hadoop | openssl pkeyutl -encrypt -pubin -inkey " .. name
      .. " -pkeyopt rsa_padding_mode:pkcs1 2>/dev/null | base64 -w0")
    local secret = pipe:read "*a"
    pipe:close()
    os.remove(name)
    local code, refused = login("hadoop", "hadoop")
    assert.equal(400, code)
    assert.is_truthy(refused.message:find("Password can not be blank", 1, true))
    if secret ~= "" then assert.equal(200, (login("hadoop", secret))) end
    sandbox:set { rsa = false }
  end)

  it("an entrance restart: jobs Cancelled, execIDs given out again", function()
    local _, first = submit("sleep 60", "RESTART")
    sandbox:restart_entrance()
    local task = ended(first.data.taskID)
    assert.equal("Cancelled", task.status)
    assert.equal(cjson.null, task.errCode)
    assert.is_truthy(task.errDesc:find("Entrance service restarted", 1, true))
    local code = ask("GET", "entrance/" .. first.data.execID .. "/log")
    assert.equal(400, code)
    local _, second = submit("sleep 60", "RESTART")
    assert.equal(first.data.execID, second.data.execID)
    local _, status = ask("GET", "entrance/" .. first.data.execID .. "/status?taskID="
      .. first.data.taskID)
    assert.is_true(status.data.status ~= "Cancelled")
    local _, killed = ask("GET", "entrance/" .. first.data.execID .. "/kill?taskID="
      .. first.data.taskID)
    assert.equal(0, killed.status)
    assert.equal("Cancelled", ended(second.data.taskID).status)
  end)

  it("eviction: the slot is empty, history knows", function()
    local id, exec = ran("true", "EVICT")
    sandbox:evict()
    local code, reply = ask("GET", "entrance/" .. exec .. "/status?taskID=" .. id)
    assert.equal(400, code)
    assert.is_truthy(reply.message:find("job is empty", 1, true))
    local _, forced = ask("GET", "entrance/" .. exec .. "/kill?taskID=" .. id)
    assert.is_truthy(forced.message:find("Forced Kill", 1, true))
    local _, history = ask("GET", "jobhistory/" .. id .. "/get")
    assert.equal("Succeed", history.data.task.status)
    assert.equal("null", history.data.task.sourceJson)
  end)

  it("failover: Inited by task id, no instance in history", function()
    local _, reply = submit("sleep 60", "FAILOVER")
    wait.eventually(function()
      local _, got = ask("GET", "jobhistory/" .. reply.data.taskID .. "/get")
      return got.data.task.status == "Running"
    end)
    sandbox:set { failover = true }
    local _, status = ask("GET", "entrance/" .. reply.data.taskID .. "/status")
    assert.equal("Inited", status.data.status)
    assert.equal("", status.data.execID)
    local _, log = ask("GET", "entrance/" .. reply.data.taskID .. "/log")
    assert.equal(cjson.null, log.data.log[1])
    local _, history = ask("GET", "jobhistory/" .. reply.data.taskID .. "/get")
    assert.equal("", history.data.task.instance)
    assert.is_truthy(history.data.task.strongerExecId:find "^exec_id018000")
    sandbox:set { failover = false }
    ask("GET", "entrance/" .. reply.data.execID .. "/kill")
  end)

  it("a lost submit reply: the task exists, with its key", function()
    sandbox:set { submit_lost = 1 }
    local code = submit("true", "LOST", { more = { source = { key = "k-lost" } } })
    assert.is_nil(code)
    local _, list = ask("GET", "jobhistory/list?creator=LOST")
    assert.equal(1, list.data.totalPage)
    assert.is_truthy(list.data.tasks[1].sourceJson:find("k-lost", 1, true))
    assert.equal(200, (submit("true", "LOST")))
  end)

  it("a slow submit", function()
    sandbox:set { submit_delay = 0.3 }
    local started = wait.now()
    assert.equal(200, (submit("true", "SLOW")))
    assert.is_true(wait.now() - started >= 0.3)
    sandbox:set { submit_delay = 0 }
  end)

  it("source values that are no text: a long wait, 20011, no row", function()
    sandbox:set { source_hang = 0.2 }
    local code, reply = submit("true", "ODD", { more = { source = { n = 7 } } })
    assert.equal(400, code)
    assert.equal(20011, reply.data.errorMsg.errCode)
    local _, list = ask("GET", "jobhistory/list?creator=ODD")
    assert.equal(0, list.data.totalPage)
  end)

  it("job history down", function()
    local _, exec = ran("true", "DOWN")
    sandbox:set { history_down = true, public_service_block = 0.1 }
    local code, reply = ask("GET", "jobhistory/1/get")
    assert.equal(200, code)
    assert.equal(1, reply.status)
    assert.is_truthy(reply.message:find("10050", 1, true))
    assert.equal(200, (ask("GET", "entrance/" .. exec .. "/status")))
    code, reply = ask("GET", "entrance/" .. exec .. "9999/status?taskID=1")
    assert.equal(400, code)
    assert.is_truthy(reply.message:find("UnknownHostException", 1, true))
    sandbox:set { history_down = false }
  end)

  it("errors of Boot, of the gateway, empty ones, by path and count", function()
    sandbox:set { fail_match = "jobhistory", boot_error = { code = 404, times = 1 } }
    local code, body = ask("GET", "jobhistory/1/get")
    assert.equal(404, code)
    assert.equal("Not Found", body.error)
    assert.is_nil(body.data)
    sandbox:set { gateway_error = { code = 500, times = 1 } }
    code, body = ask("GET", "jobhistory/1/get")
    assert.equal(500, code)
    assert.same({}, body.data)
    sandbox:set { empty_500 = { times = 1 } }
    code, body = ask("GET", "jobhistory/1/get")
    assert.equal(500, code)
    assert.equal("", body)
    sandbox:set { gateway_status1 = { code = 11011, times = 1 } }
    code, body = ask("GET", "jobhistory/1/get")
    assert.equal(200, code)
    assert.equal(1, body.status)
    assert.equal(200, (ask("GET", "jobhistory/1/get")))
    sandbox:set { fail_match = "." }
  end)

  it("a cut reply and a delayed one", function()
    local whole = select(3, ask("GET", "jobhistory/list?pageSize=1")).body
    sandbox:set { cut = { path = "list", after = 20, times = 1 } }
    local _, _, reply = ask("GET", "jobhistory/list?pageSize=1")
    assert.equal(whole:sub(1, 20), reply.body)
    local id = ran("seq 1 50", "CUT")
    local _, history = ask("GET", "jobhistory/" .. id .. "/get")
    local target = "filesystem/resultsetToExcel?path=" .. history.data.task.resultLocation
      .. "/1_0.dolphin"
    whole = select(3, ask("GET", target)).body
    sandbox:set { cut = { path = "resultsetToExcel", after = 30, times = 1 } }
    assert.equal(whole:sub(1, 30), select(3, ask("GET", target)).body)
    assert.equal(whole, select(3, ask("GET", target)).body)
    sandbox:set { delay = 0.2, cut = false }
    local started = wait.now()
    ask("GET", "jobhistory/list?pageSize=1")
    assert.is_true(wait.now() - started >= 0.2)
    sandbox:set { delay = 0 }
  end)

  it("wrong dates", function()
    local id = ran("true", "DATES")
    local _, before = ask("GET", "jobhistory/" .. id .. "/get")
    sandbox:set { wrong_dates = true }
    local _, after = ask("GET", "jobhistory/" .. id .. "/get")
    assert.equal(86400000, before.data.task.createdTime - after.data.task.createdTime)
    sandbox:set { wrong_dates = false }
  end)

  it("a small ring wraps, and a late log file", function()
    sandbox:set { ring_size = 50 }
    local _, exec = ran("seq -f l%.0f 1 200", "RING")
    local _, log = ask("GET", "entrance/" .. exec .. "/log?fromLine=1&size=-1&distinctLevel=false")
    local seen, twice = {}, 0
    for line in log.data.log:gmatch "[^\n]+" do
      if seen[line] and line:find "^l%d" then twice = twice + 1 end
      seen[line] = true
    end
    assert.is_true(twice >= 3)
    sandbox:set { ring_size = 500, log_file_delay = 60 }
    local id = ran("echo x", "RING")
    local _, history = ask("GET", "jobhistory/" .. id .. "/get")
    local target = "filesystem/openLog?path=" .. history.data.task.logPath
    local _, late = ask("GET", target)
    assert.equal("", late.data.log[4])
    sandbox:set { log_file_delay = 0 }
    _, late = ask("GET", target)
    assert.is_truthy(late.data.log[4]:find("\nx\n", 1, true))
  end)

  it("a full queue leaves a Failed row", function()
    sandbox:set { queue_full = true }
    local code, reply = submit("true", "FULL")
    assert.equal(400, code)
    assert.equal(12001, reply.data.errorMsg.errCode)
    sandbox:set { queue_full = false }
    local _, list = ask("GET", "jobhistory/list?creator=FULL")
    assert.equal("Failed", list.data.tasks[1].status)
  end)

  it("others' jobs: seen by administrators, killed only by their owners", function()
    local _, reply = ask("POST", "entrance/submit", { body = http.submit_body("sleep 60",
      "OTHER") })
    local code, body = ask("GET", "entrance/" .. reply.data.execID .. "/kill", { user = "alice" })
    assert.equal(400, code)
    assert.is_truthy(body.message:find("no permission", 1, true))
    assert.equal(400, (ask("GET", "jobhistory/" .. reply.data.taskID .. "/get",
      { user = "alice" })))
    local _, alices = ask("POST", "entrance/submit", { user = "alice",
      body = { executionContent = { code = "true", runType = "shell" },
        labels = { engineType = "shell-1" } } })
    assert.equal(200, (ask("GET", "jobhistory/" .. alices.data.taskID .. "/get")))
    sandbox:set { admin = "alice" }
    assert.equal(400, (ask("GET", "jobhistory/" .. alices.data.taskID .. "/get")))
    assert.equal(0, select(2, ask("GET", "entrance/" .. reply.data.execID .. "/kill",
      { user = "alice" })).status)
    sandbox:set { admin = "hadoop" }
  end)

  it("a proxy user acts in the entrance, the login user in job history", function()
    sandbox:set { proxy_user = true }
    local _, _, cookie = login "hadoop"
    assert.equal(200, (with_cookie(cookie, "user/proxy?proxyUser=alice")))
    local _, reply = ask("POST", "entrance/submit", { token = false, headers = { Cookie = cookie },
      body = { executionContent = { code = "true", runType = "shell" },
        labels = { engineType = "shell-1" } } })
    local _, history = ask("GET", "jobhistory/" .. reply.data.taskID .. "/get")
    assert.equal("alice", history.data.task.executeUser)
    sandbox:set { proxy_user = false }
  end)

  it("two entrances: killJobs hits the namesake", function()
    sandbox:set { entrances = { "127.0.0.1:9104", "127.0.0.1:9114" } }
    local by = {}
    wait.eventually(function()
      local _, reply = submit("sleep 60", "TWO")
      local instance, short = reply.data.execID:match "entrance([%d.]+:%d+)(.*)$"
      if short == "TWO_hadoop_shell_0" then by[instance] = reply.data end
      return by["127.0.0.1:9104"] and by["127.0.0.1:9114"]
    end, 20, "a job on each entrance")
    local near, far = by["127.0.0.1:9114"], by["127.0.0.1:9104"]
    local _, reply = ask("POST", "entrance/" .. near.execID .. "/killJobs",
      { body = { idList = { far.execID }, taskIDList = { far.taskID } } })
    assert.equal(0, reply.data.messages[1].status)
    assert.equal("Cancelled", ended(near.taskID).status)
    local _, history = ask("GET", "jobhistory/" .. far.taskID .. "/get")
    assert.is_true(history.data.task.status ~= "Cancelled")
    sandbox:set { entrances = { "127.0.0.1:9104" } }
    sandbox:restart_entrance()
  end)
end)
