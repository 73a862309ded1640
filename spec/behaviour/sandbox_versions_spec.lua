-- What the sandbox's version profiles differ in (protocols 6), and the profile that is made of
-- the published page.

local cjson = require "cjson"
local http = require "spec.support.http"
local wait = require "spec.support.wait"

describe("the sandbox's version profiles:", function()
  local sandbox, ask

  lazy_setup(function()
    sandbox = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop" }, admin = "hadoop",
    })
    ask = http.speaker(sandbox)
  end)
  lazy_teardown(function() if sandbox then sandbox:stop() end end)

  local function ended(id)
    return wait.eventually(function()
      local _, reply = ask("GET", "jobhistory/" .. id .. "/get")
      local task = reply.data.task
      return task.status:lower():find "^succeed" and task
    end, 20, "the end of task " .. id)
  end

  local OLD = { executeApplicationName = "shell", requestApplicationName = "OLD",
    executionCode = "echo old", runType = "shell", params = {} }

  local function login_cookie()
    local _, body, reply = ask("POST", "user/login",
      { token = false, body = { userName = "hadoop", password = "hadoop" } })
    local lines = http.values(reply, "Set-Cookie")
    return lines[#lines]:match "^([^=]+)=", body.data
  end

  it("0.11: execute only, legacy execIDs, progress as a number", function()
    sandbox:set { version = "0.11" }
    assert.equal(404, (ask("POST", "entrance/submit", { body = http.submit_body "true" })))
    local code, reply = ask("POST", "entrance/execute", { body = OLD })
    assert.equal(200, code)
    assert.is_truthy(reply.data.execID:find "^030514OLDshell127.0.0.1:9104OLD_hadoop_shell_%d+$")
    local task = ended(reply.data.taskID)
    assert.equal("number", type(task.progress))
    assert.is_nil(task.labels)
    wait.eventually(function()
      local _, status = ask("GET", "entrance/" .. reply.data.execID .. "/status")
      return status.data.status == "Succeed"
    end)
    local _, log = ask("GET", "entrance/" .. reply.data.execID .. "/log?fromLine=0&size=1")
    assert.is_truthy(log.data.log[4]:find("substituting", 1, true))
    local name, data = login_cookie()
    assert.equal("bdp-user-ticket-id", name)
    assert.is_nil(data.sessionTimeOut)
    assert.equal(404, (ask("GET", "entrance/" .. reply.data.execID .. "/progressWithResource")))
  end)

  it("1.1: killJobs without an id, kill that needs its taskID", function()
    sandbox:set { version = "1.1" }
    local _, reply = ask("POST", "entrance/submit", { body = http.submit_body("sleep 60", "V11") })
    assert.equal(500, (ask("GET", "entrance/" .. reply.data.execID .. "/kill")))
    local code, killed = ask("POST", "entrance/killJobs",
      { body = { idList = { reply.data.execID }, taskIDList = { reply.data.taskID } } })
    assert.equal(200, code)
    assert.equal(0, killed.data.messages[1].status)
    assert.equal(404, (ask("POST", "entrance/" .. reply.data.execID .. "/killJobs",
      { body = { idList = {}, taskIDList = {} } })))
    assert.equal(404, (ask("GET", "jobhistory/listundone")))
  end)

  it("1.4: no task ids, no nullValue, Boot's own gateway errors", function()
    sandbox:set { version = "1.4" }
    local code, reply = ask("GET", "entrance/1/status")
    assert.equal(200, code)
    assert.equal(1, reply.status)
    assert.equal("linkis_user_session_ticket_id_v1", (login_cookie()))
    assert.equal(200, (ask("GET", "jobhistory/listundone")))
    assert.equal(404, (ask("GET", "jobhistory/list-taskids?taskID=1")))
    code, reply = ask("GET", "jobhistory/list", { token = "" })
    assert.equal(500, code)
    assert.is_nil(reply.data)
    assert.equal("number", type(reply.timestamp))
  end)

  it("1.6: task ids and nullValue, the code still in /get, no batch query", function()
    sandbox:set { version = "1.6" }
    local _, reply = ask("POST", "entrance/submit", { body = http.submit_body("echo x", "V16") })
    local task = ended(reply.data.taskID)
    assert.equal("echo x", task.executionCode)
    assert.equal("Succeed",
      select(2, ask("GET", "entrance/" .. reply.data.taskID .. "/status")).data.status)
    assert.equal(404, (ask("GET", "jobhistory/list-taskids?taskID=1")))
  end)

  it("1.8: the batch query; the code hidden", function()
    sandbox:set { version = "1.8" }
    local _, reply = ask("POST", "entrance/submit", { body = http.submit_body("echo x", "V18") })
    assert.equal(cjson.null, ended(reply.data.taskID).executionCode)
    local _, list = ask("GET", "jobhistory/list-taskids?taskID=" .. reply.data.taskID)
    assert.equal("echo x", list.data.jobHistoryList[1].executionCode)
  end)

  it("1.9: brief, no task ids, openLog by level", function()
    sandbox:set { version = "1.9" }
    local _, reply = ask("POST", "entrance/submit", { body = http.submit_body("echo x", "V19") })
    local id = reply.data.taskID
    local full = ended(id)
    local _, brief = ask("GET", "jobhistory/" .. id .. "/get?brief=true")
    assert.equal(cjson.null, brief.data.task.strongerExecId)
    assert.equal("Succeed", brief.data.task.status)
    assert.equal(1, select(2, ask("GET", "entrance/" .. id .. "/status")).status)
    local _, log = ask("GET", "filesystem/openLog?logLevel=error&path=" .. full.logPath)
    assert.same({ "", "", "", "" }, log.data.log)
  end)

  it("published: its ten operations, as the page prints them", function()
    sandbox:set { version = "published" }
    local code, reply = ask("POST", "entrance/submit",
      { body = http.submit_body "echo 1; sleep 60" })
    assert.equal(200, code)
    assert.equal("Request executed successfully", reply.message)
    assert.equal("string", type(reply.data.taskID))
    assert.is_truthy(reply.data.execID:find "^%d%d%d%d18.+localhost010004:10087SPEC_hadoop_%d+$")
    local to = "entrance/" .. reply.data.execID
    local _, status = ask("GET", to .. "/status")
    assert.equal(reply.data.execID, status.data.execID)
    local _, progress = ask("GET", to .. "/progressWithResource")
    assert.equal("number", type(progress.data.yarnMetrics.yarnResource[1].queueMemory))
    local _, log = ask("GET", to .. "/log?fromLine=0&size=2")
    assert.equal(2, log.data.fromLine)
    local refused, _, raw = ask("GET", to .. "/kill")
    assert.equal(405, refused)
    assert.equal("POST", http.values(raw, "Allow")[1])
    assert.equal(200, (ask("POST", to .. "/kill", { body = "{}" })))
    local _, history = ask("GET", "jobhistory/" .. reply.data.taskID .. "/get")
    local task = history.data.task
    assert.equal("CANCELLED", task.status)
    assert.equal("100%", task.progress)
    assert.equal(31001, task.errorCode)
    assert.is_nil(task.errCode)
    assert.equal("string", type(task.paramJson))
    assert.is_truthy(task.createdTime:find "^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$")
    assert.equal(404, (ask("GET", "jobhistory/list")))
    assert.equal(404, (ask("GET", "filesystem/openLog?path=file:///tmp/linkis/x.log")))
  end)
end)
