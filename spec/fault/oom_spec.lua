-- Memory that runs out at any allocation, in Lua or in C, once or for good:
-- nothing crashes, hangs or stays behind, and no submit goes out twice (F42,
-- F43). A sample here; every allocation with TASKCLIENT_TORTURE=1.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local process = require "spec.support.process"
local tls = require "spec.support.tls"

local FOLDER = "file:///result/12"
local SAMPLE = 25 -- runs each
local TORTURE = os.getenv "TASKCLIENT_TORTURE"
local HOST = (os.getenv "TASKCLIENT_BUILD" or "build") .. "/oom"

local EXEC = "exec_id018017linkis-cg-entrance127.0.0.1:9104IDE_hadoop_sql_1"

local function data(value) return fault.linkis((cjson.encode(value):gsub("\\/", "/"))) end

local RULES = {
  { match = "/user/login", reply = fault.linkis({}, {
    headers = { "Set-Cookie: linkis_user_session_ticket_id_v1=abc123; Path=/" } }) },
  { match = "/submit", reply = data { execID = EXEC, taskID = 12 } },
  { match = "/jobhistory/13/get", reply = fault.http(200, "<html>please log in</html>") },
  { match = "/jobhistory/%d+/get", reply = data { task = {
    taskID = 12, status = "Succeed", progress = "1.0", resultLocation = FOLDER,
    logPath = "file:///log/12.log", strongerExecId = EXEC, umUser = "hadoop",
    createdTime = 1795312297000, executeApplicationName = "spark" } } },
  { match = "/list", reply = data { totalPage = 1, tasks = {
    { taskID = 12, status = "Succeed", sourceJson = '{"taskclient.key":"k"}' } } } },
  { match = "/openLog", reply = data { log = { "", "", "",
    "2026-01-05 10:00:00.000 INFO one\n2026-01-05 10:00:00.001 INFO two\n" } } },
  { match = "/getDirFileTrees", reply = data { dirFileTrees = {
    name = "12", path = FOLDER, isLeaf = false, children = { {
      name = "_0.dolphin", path = FOLDER .. "/_0.dolphin", isLeaf = true } } } } },
  { match = "/openFile", reply = fault.linkis('{"type":"2","totalPage":0,"totalLine":2,"page":1,'
    .. '"totalColumn":2,"metadata":[{"columnName":"id","comment":"","dataType":"bigint"},'
    .. '{"columnName":"name","comment":"","dataType":"string"}],'
    .. '"fileContent":[["1","a \\"b\\""],["2","LINKIS_NULL"]]}') },
  { match = "/pro/proc/", reply = fault.lindorm { data = { procId = "proc-1",
    procType = "SPARK_BULKLOAD", state = "SUCCESS" } } },
  default = { { "read" }, { "send", fault.linkis {} } },
}

describe("memory that runs out", function()
  local fs, dir, ours, theirs
  setup(function()
    fs, dir, ours, theirs = fault.start(), process.tempdir(), tls.authority(), tls.authority()
  end)
  teardown(function()
    fs:stop()
    ours:stop()
    theirs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local environment = { LUA_PATH = package.path, LUA_CPATH = package.cpath }

  local function run(where, how, first, stride, most, session)
    local argv = { HOST, where, how, tostring(first), tostring(stride), tostring(most) }
    for _, word in ipairs(session) do argv[#argv + 1] = word end
    local code, out, err = process.run(argv, { env = environment, timeout = 3000 })
    assert.equal(0, code, out .. err)
    return tonumber(out:match "runs (%d+), failed 0\n"), out
  end

  -- how many there are, by the number a run without failure counts
  local function count(where, session)
    fs:script(RULES)
    local _, out = run(where, "once", 1000000000, 1, 1, session)
    return assert(tonumber(out:match "allocations (%d+)"))
  end

  local function day() return { "spec/support/oom_session.lua", fs.url, dir } end

  for _, where in ipairs { "lua", "c" } do
    for _, how in ipairs { "once", "sticky" } do
      it(("does no harm: %s, %s"):format(where, how), function()
        local all = count(where, day())
        assert.is_true(all > 100)
        local stride = TORTURE and 1 or math.ceil(all / SAMPLE)
        fs:script(RULES)
        local runs = run(where, how, math.random(stride), stride, all, day())
        assert.is_true(runs >= all / stride - 2, runs .. " runs")
        local submits = #fs:requests "^POST .*/submit"
        assert.is_true(submits <= runs + 2, submits .. " submits in " .. runs .. " runs")
      end)
    end
  end

  -- in OpenSSL too, which keeps blocks of its own
  for _, how in ipairs { "once", "sticky" } do
    it("makes no wrong certificate a right one: " .. how, function()
      local session = { "spec/support/oom_tls_session.lua", ours.ca,
        ours:serve(ours:certificate("good-" .. how)),
        ours:serve(ours:certificate("other-" .. how, { names = "DNS:other.example" })),
        theirs:serve(theirs:certificate("stranger-" .. how)) }
      environment.OOM_KEPT = "1"
      finally(function() environment.OOM_KEPT = nil end)
      local all = count("c", session)
      assert.is_true(all > 1000)
      local stride = TORTURE and 1 or math.ceil(all / SAMPLE)
      assert.is_true(run("c", how, math.random(stride), stride, all, session) >= all / stride - 2)
    end)
  end
end)
