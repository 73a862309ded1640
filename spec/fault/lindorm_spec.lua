-- The replies that nobody documented, a create that is cut at any byte, and
-- changes whose end only info can tell (protocols L1, L2, L9).

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local TORTURE = os.getenv "TASKCLIENT_TORTURE"
local ID = "proc-91-ff383c616e5242888b398e51359c****"
local ON_WIRE = "/pro/proc/proc%-91%-ff383c616e5242888b398e51359c%*%*%*%*/"

local SAMPLE = [[{
"data": {
"checkJobs": Array,
"procId": "]] .. ID .. [[",
"state": "RUNNING",
"schemaJob": Object
},
"success": "true"
}]]
local HTML = "<!DOCTYPE html><html><head><title>Login</title></head><body>sign in</body></html>"
local JSON = { "Content-Type: application/json;charset=utf-8" }

local function json(body, status) return fault.http(status or 200, body, JSON) end
local function info(state, more)
  return json(('{"success":"true","data":{"procId":"x","state":"%s","stage":"S"%s}}')
    :format(state, more or ""))
end

local function spec(more)
  local given = { src = "hdfs", dst = "ld", reader = {}, writer = {}, instances = 1 }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

describe("a Lindorm client", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function new(more)
    local opts = { url = fs.url }
    for name, value in pairs(more or {}) do opts[name] = value end
    return assert(taskclient.lindorm(opts))
  end

  -- reply, kind, what the message holds
  local STRANGE = {
    { json '{"success":"false","message":"no quota"}', "service", "no quota" },
    { json '{"success":false,"message":"no quota"}', "service", "no quota" },
    { json '{"success":"false","message":null}', "service", "says no and gives no reason" },
    { json '{"success":"false"}', "service", "says no and gives no reason" },
    { json '{"success":"false","message":{"code":7}}', "service", '{"code":7}' },
    { json '{"success":"false","message":["a"]}', "service", '["a"]' },
    { json '{"success":1,"message":"x"}', "protocol", "JSON of another form" },
    { json '{"success":null,"message":"x"}', "protocol", "JSON of another form" },
    { json '{"success":"ok","message":"x"}', "protocol", "JSON of another form" },
    { json('{"success":"false","message":"no such process"}', 404), "service", "no such process" },
    { json('{"success":"false","message":"broken"}', 500), "service", "broken" },
    { json('{"success":"false","message":"no answer from upstream"}', 502), "http", "upstream" },
    { json('{"success":false,"message":"upstream timed out"}', 504), "http", "upstream" },
    { fault.boot(500, "/pro"), "http", "Internal Server Error" },
    { fault.http(500, HTML), "http", "HTML page" },
    { fault.http(404, "not here"), "http", "not here" },
    { fault.http(502, ""), "http", "HTTP 502" },
    { fault.http(401, ""), "auth", "HTTP 401" },
    { fault.http(200, HTML), "protocol", "HTML page" },
    { fault.http(200, ""), "protocol", "empty" },
    { fault.http(200, "ok"), "protocol", "plain text" },
    { json "[]", "protocol", "JSON of another form" },
    { json '{"success":"true"', "protocol", "cut off" },
    { json(SAMPLE), "protocol", "not valid JSON" },
    { fault.http(302, "", { "Location: http://127.0.0.1:1/login?next=/pro" }), "http",
      "redirect to http://127.0.0.1:1," },
    { fault.linkis { task = {} }, "protocol", "one of Linkis" },
  }

  it("says of each strange reply what it was, with its first bytes", function()
    local client = new()
    local job = client:attach(ID)
    for _, case in ipairs(STRANGE) do
      fs:script { { match = "/info ", reply = case[1] } }
      local value, err = client:call("info", { id = ID }, { retry = false })
      assert.is_nil(value)
      assert.equals(case[2], err.kind, case[1])
      assert.matches(case[3], err.message, 1, true)
      local body = case[1]:match "\r\n\r\n(.*)$"
      assert.equals(body ~= "" and body:sub(1, 200) or nil, err.body)
      fs:script { { match = "/info ", reply = info "RUNNING" } }
      assert.equals("running", (assert(job:status()))) -- the same client goes on
    end
  end)

  it("has a hint where a page or a redirect stands in the API's place", function()
    for _, reply in ipairs { fault.http(200, HTML),
      fault.http(302, "", { "Location: http://127.0.0.1:1/login" }) } do
      fs:script { { match = "/info ", reply = reply } }
      local _, err = new():call("info", { id = ID }, { retry = false })
      assert.matches("a login, or another server%? see option 'url'", tostring(err))
    end
  end)

  it("sends a create once, whatever strange reply it gets, and knows what it may conclude",
    function()
    local client = new()
    for _, case in ipairs(STRANGE) do
      fs:script { { match = "^POST", reply = case[1] } }
      local job, err = client:submit(spec())
      assert.is_nil(job)
      assert.equals(1, #fs:requests "^POST")
      local status = tonumber(case[1]:match "^HTTP/1.1 (%d+)")
      local no = case[2] == "service" or status == 401 or status == 404
      assert.equals(no and case[2] or "submit_unknown", err.kind, case[1])
      assert.equals(no and "rejected" or "unknown", err.outcome, case[1])
      if not no then assert.equals(case[2], err.cause.kind) end
    end
  end)

  it("prints what info tells, but for what is named like a password", function()
    fs:script { { match = "/info ",
      reply = info("RUNNING", ',"procConfig":{"jdbcPassword":"canary","src":"hdfs"}') } }
    local record = assert(new():attach(ID):info())
    assert.equals("canary", record.procConfig.jdbcPassword)
    assert.equals('{"procConfig":{"jdbcPassword":"***","src":"hdfs"},"procId":"x","stage":"S",'
      .. '"state":"RUNNING"}', tostring(record))
  end)

  it("takes no id from a yes that names none", function()
    local client = new()
    for _, body in ipairs { '{"success":"true"}', '{"success":"true","message":null}',
      '{"success":"true","message":""}', '{"success":"true","message":" "}',
      '{"success":"true","message":91}', '{"success":"true","message":{"id":"p"}}',
      '{"message":"proc-1"}' } do
      fs:script { { match = "^POST", reply = json(body) } }
      local job, err = client:submit(spec())
      assert.is_nil(job, body)
      assert.equals("submit_unknown", err.kind)
      assert.equals(body, err.body)
      assert.equals(1, #fs:requests "^POST")
    end
  end)

  it("knows a task again by whatever id the server gives, as one segment of a path", function()
    for id, on_wire in pairs { ["a/../b"] = "a%2F..%2Fb", ["a b?c#d"] = "a%20b%3Fc%23d",
      ["%2e\\"] = "%252e%5C", ["\228\184\173&+=;"] = "%E4%B8%AD%26%2B%3D%3B" } do
      fs:script {
        { match = "^POST", reply = json(('{"success":"true","message":"%s"}')
          :format((id:gsub("\\", "\\\\")))) },
        { match = "/info ", reply = info "RUNNING" },
      }
      local client = new()
      local job = assert(client:submit(spec()))
      assert.equals(id, job.id)
      assert.equals("running", (client:attach(job:handle()):status()))
      assert.equals("/pro/proc/" .. on_wire .. "/info", fs:requests("/info ")[1].path)
    end
  end)

  it("tells in words what came of a create's answer, for a name may stand in it", function()
    local body = ('{"success":"true","message":"%s"'):format(ID)
    fs:script { { match = "^POST", { "read" },
      { "send", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" .. body }, { "fin" } } }
    local _, err = new():submit(spec())
    assert.equals("submit_unknown", err.kind)
    assert.matches(ID, tostring(err), 1, true)
  end)

  it("takes no id that it could never ask for", function()
    for _, id in ipairs { "..", ".", ("x"):rep(513), "a\\nb" } do
      fs:script { { match = "^POST", reply = json(('{"success":"true","message":"%s"}')
        :format(id)) } }
      local job, err = new():submit(spec())
      assert.is_nil(job)
      assert.equals("submit_unknown", err.kind)
      assert.matches("^{\"success\":\"true\",\"message\":\"", err.body)
      assert.equals(200, err.http_status)
    end
  end)

  it("shows words that are numbers, and takes them in its table of states", function()
    fs:script { { match = "/info ", reply = json [[{"success":"true","data":{"state":3,"stage":7,
      "fullJobs":[{"jobName":12,"state":3}]}}]] } }
    assert.same({ "unknown", "3" }, { new():attach(ID):status() })
    local job = new { states = { ["3"] = "succeeded" } }:attach(ID)
    assert.same({ "succeeded", "3" }, { job:status() })
    assert.equals("7", job:progress().stage)
    local stage = job:stages()[1]
    assert.same({ "12", "3", "succeeded" }, { stage.name, stage.native, stage.state })
  end)

  it("takes success as text, in capitals, as boolean, and a record without it", function()
    local job = new():attach(ID)
    for _, success in ipairs { '"success":"true",', '"success":"TRUE",', '"success":true,', "" } do
      fs:script { { match = "/info ", reply = json(
        "{" .. success .. '"data":{"state":"RUNNING","procConfig":null}}') } }
      assert.equals("RUNNING", assert(job:info()).state)
      fs:script { { match = "/delete ", reply = json("{" .. success .. '"message":"ok"}') } }
      if success ~= "" then assert.is_true(job:delete()) end
    end
  end)

  it("sends the id as one segment in all paths, with a prefix, headers, cookies and credentials",
    function()
    fs:script {
      { match = "/info ", reply = info "FAILED" },
      { match = "/retry ", reply = json '{"success":"true","message":"ok"}' },
      { match = "/delete ", reply = json '{"success":"true","message":"ok"}' },
      { match = "^POST", reply = json(('{"success":"true","message":"%s"}'):format(ID)) },
    }
    local client = new { url = fs.url .. "/lts/", user = "bds", password = "pass word",
      headers = { ["X-Team"] = "nightly" }, cookies = { lang = "en", sid = "7" } }
    local job = assert(client:submit(spec()))
    assert.equals(ID, job.id)
    assert(job:info())
    assert(job:abort())
    assert(job:delete())
    fs:requests()
    local seen = {}
    for _, request in ipairs(fs:requests()) do
      assert.equals("Basic YmRzOnBhc3Mgd29yZA==", request.headers.authorization)
      assert.equals("nightly", request.headers["x-team"])
      assert.equals("lang=en; sid=7", request.headers.cookie)
      local name = request.path:match("^/lts" .. ON_WIRE .. "(%a+)$") or request.path
      seen[name] = (seen[name] or 0) + 1
    end
    assert.same({ ["/lts/pro/proc/bulkload/create"] = 1, info = 2, delete = 1 }, seen)
  end)

  it("says what may be in the way when nobody answers a connection", function()
    -- a full backlog drops what comes: the kernel answers nothing
    local child = process.start { "lua5.4", "-e", [[
      local uv = require "luv"
      local l = uv.new_tcp()
      l:bind("127.0.0.1", 0)
      l:listen(0, function() end)
      io.write(l:getsockname().port, "\n")
      io.flush()
      local fillers = {}
      for i = 1, 4 do
        fillers[i] = uv.new_tcp()
        fillers[i]:connect("127.0.0.1", l:getsockname().port, function() end)
      end
      local ends = uv.hrtime() + 20e9
      while uv.hrtime() < ends do uv.sleep(200) end]] }
    local port = wait.eventually(function() return child:out():match "^(%d+)\n" end)
    local client = new { url = "http://127.0.0.1:" .. port, connect_timeout = 0.2 }
    local job, err = client:submit(spec())
    local _, asked = client:attach(ID):info()
    child:signal "KILL"
    child:stop()
    assert.is_nil(job)
    assert.equals("timeout", err.kind)
    assert.equals("not_sent", err.outcome)
    for _, message in ipairs { err.message, asked.message } do
      assert.matches("IP allow list", message)
    end
  end)

  it("trusts the authority that it is told to trust, and nobody else", function()
    local tls = require "spec.support.tls"
    local ours = tls.authority()
    local url = ours:serve(ours:certificate "good")
    local job, err = new({ url = url }):submit(spec())
    local _, trusted = new({ url = url, ca_file = ours.ca }):call("info", { id = ID })
    ours:stop()
    assert.is_nil(job)
    assert.equals("tls", err.kind)
    assert.equals("not_sent", err.outcome)
    assert.not_equals("tls", trusted.kind) -- it answers, though not as an LTS does
  end)

  it("that was given too little time for a create does not know, and does not ask again", function()
    fs:script { default = { { "stall" } } }
    local job, err = new():submit(spec { timeout = 0.2 })
    assert.is_nil(job)
    assert.equals("submit_unknown", err.kind)
    assert.equals("timeout", err.cause.kind)
    assert.is_number(err.since)
    assert.equals(1, #fs:requests "^POST")
  end)
end)

describe("many loads of one client", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("are looked at side by side, each by one request, ends not again", function()
    fs:script {
      { match = "/p%-3/info ", reply = json '{"success":"false","message":"no such process"}' },
      { match = "/p%-4/info ", reply = fault.http(503, "") },
      { match = "/p%-5/info ", reply = info "SUCCEEDED" },
      { match = "/info ", { "read" }, { "wait", 100 }, { "send", info "RUNNING" } },
    }
    local client = assert(taskclient.lindorm { url = fs.url, max_connections = 30 })
    local jobs = {}
    for i = 1, 60 do jobs[i] = client:attach("p-" .. i) end
    local began = wait.now()
    local entries = assert(client:states(jobs))
    assert.is_true(wait.now() - began < 6) -- what 60 in a row take
    assert.equals(60, #entries)
    assert.equals("running", entries[60].state)
    assert.equals("service", entries[3].err.kind)
    assert.equals("p-3", entries[3].err.job_id)
    assert.is_true(entries[3].err.vanished)
    assert.equals(503, entries[4].err.http_status)
    assert.equals("succeeded", entries[5].state)
    assert.equals(60, #fs:requests "/info ")
    assert.equals("succeeded", assert(client:states { jobs[5], jobs[6] })[1].state)
    assert.equals(61, #fs:requests "/info ")
  end)
end)

describe("the client's time for a request", function()
  it("holds for looks at many loads too", function()
    local fs = fault.start()
    fs:script { default = { { "read" }, { "stall" } } }
    local client = assert(taskclient.lindorm { url = fs.url, timeout = 0.3 })
    local began = wait.now()
    local entries = client:states { client:attach "p-1", client:attach "p-2" }
    assert.is_true(wait.now() - began < 5)
    for i = 1, 2 do assert.equals("timeout", entries[i].err.kind) end
    fs:stop()
  end)
end)

describe("a create whose reply is cut", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local body = ('{"success":"true","message":"%s"}'):format(ID)
  local FRAMINGS = {
    length = json(body),
    chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n" .. ("%x\r\n%s\r\n0\r\n\r\n"):format(#body, body),
  }

  -- a client and a path of its own for each cut, all side by side
  local function submit_all(cuts, how)
    local results = {}
    taskclient.run(function()
      local tasks = {}
      for i, k in ipairs(cuts) do
        tasks[i] = taskclient.spawn(function()
          local client = assert(taskclient.lindorm { url = fs.url .. "/cut" .. k })
          local job, err = client:submit(spec { timeout = how == "stall" and 1 or 20 })
          results[k] = { job = job, err = err }
          client:close()
        end)
      end
      for _, task in ipairs(tasks) do taskclient.join(task) end
    end)
    return results
  end

  local function cut_group(cuts, how, reply)
    local script = {}
    for i, k in ipairs(cuts) do
      script[i] = { match = "^POST /cut" .. k .. "/",
        { "read" }, { "send", reply:sub(1, k) }, { how } }
    end
    fs:script(script)
    local results, seen = submit_all(cuts, how), {}
    for _, entry in ipairs(fs:requests "^POST") do
      local k = tonumber(entry.path:match "^/cut(%d+)/")
      seen[k] = (seen[k] or 0) + 1
    end
    local _, whole = reply:find("}", 1, true)
    for _, k in ipairs(cuts) do
      local job, err = results[k].job, results[k].err
      assert.equals(1, seen[k], "creates at the cut at " .. k)
      if job then
        assert.is_true(k >= whole, "cut at " .. k)
        assert.equals(ID, job.id)
      else
        assert.is_true(k < #reply, "cut at " .. k)
        assert.equals("submit_unknown", err.kind, "cut at " .. k)
        assert.equals("unknown", err.outcome)
      end
    end
  end

  for framing, reply in pairs(FRAMINGS) do
    for _, how in ipairs { "fin", "rst", "stall" } do
      it(("at any byte is one create, known as what it is: %s, %s"):format(framing, how), function()
        local cuts = {}
        for k = 0, #reply do
          local edge = k > #reply - #body - 12 and k % 4 == 0 or k > #reply - 12
          if TORTURE or k % 13 == 0 or edge then cuts[#cuts + 1] = k end
        end
        for from = 1, #cuts, 40 do
          local group = {}
          for i = from, math.min(from + 39, #cuts) do group[#group + 1] = cuts[i] end
          cut_group(group, how, reply)
        end
      end)
    end
  end
end)

describe("a change whose end is not known", function()
  local fs, client
  setup(function()
    fs = fault.start()
    client = assert(taskclient.lindorm { url = fs.url })
  end)
  teardown(function() fs:stop() end)

  local CUT = { { "read" }, { "rst" } }
  local NO = json '{"success":"false","message":"not now"}'
  local GONE = json '{"success":"false","message":"no such process"}'

  -- operation, info before, the change's reply (nil: cut), info after, what comes of it
  local CASES = {
    { "abort", "RUNNING", nil, "ABORTED", { killed = true, state = "cancelled", confirmed = true,
      native = "ABORTED" } },
    { "abort", "RUNNING", nil, "SUCCEEDED", { ended = true, state = "succeeded",
      native = "SUCCEEDED" } },
    { "abort", "RUNNING", NO, "SUCCEEDED", { ended = true, state = "succeeded",
      native = "SUCCEEDED" } },
    { "abort", "RUNNING", NO, "RUNNING", "rejected" },
    { "abort", "ABORTED", NO, "ABORTED", { ended = true, state = "cancelled",
      native = "ABORTED" } },
    { "retry", "FAILED", nil, "RUNNING", true },
    { "retry", "FAILED", nil, "SUCCEEDED", true },
    { "retry", "FAILED", NO, "FAILED", "rejected" },
    { "retry", "RUNNING", nil, "RUNNING", "unknown" },
    { "delete", nil, nil, GONE, true },
    { "delete", nil, NO, "RUNNING", "rejected" },
  }

  local function reply_of(what) return #what > 12 and what or info(what) end

  for _, case in ipairs(CASES) do
    local operation, before, reply, after, expected = case[1], case[2], case[3], case[4], case[5]
    local name = ("%s: %s, then %s, then %s"):format(operation, before or "unasked",
      reply and "a no" or "a cut line", #after > 12 and "no such process" or after)
    it("is settled by info: " .. name, function()
      local rule = reply and { match = "/" .. operation .. " ", reply = reply }
        or { match = "/" .. operation .. " ", CUT[1], CUT[2] }
      fs:script {
        rule, { match = "/info ", times = before and 1 or 0, reply = info(before or "") },
        { match = "/info ", reply = reply_of(after) },
      }
      local job = client:attach(ID)
      local value, err = job[operation](job)
      if type(expected) == "string" then
        assert.is_nil(value)
        assert.equals(expected, err.outcome)
        assert.equals(ID, err.job_id)
      else
        assert.same(expected, value)
      end
      assert.is_true(#fs:requests("/" .. operation .. " ") <= 1)
    end)
  end

  it("after a retry is waited for anew, though an end was seen before", function()
    local job = client:attach(ID)
    fs:script { { match = "/info ", reply = info "FAILED" } }
    assert.equals("failed", (job:wait { timeout = 5, poll = 0.05 }))
    fs:script {
      { match = "/retry ", reply = json '{"success":"true","message":"ok"}' },
      { match = "/info ", times = 3, reply = info "FAILED" }, -- the server takes its time
      { match = "/info ", times = 2, reply = info "RUNNING" },
      { match = "/info ", reply = info "SUCCEEDED" },
    }
    assert.is_true(assert(job:retry()))
    assert.equals("succeeded", (job:wait { timeout = 5, poll = 0.05 }))
  end)

  it("is not settled by a server that is unwell", function()
    for _, unwell in ipairs { json('{"success":"false","message":"switching"}', 503),
      json('{"success":"false","message":"broken"}', 500) } do
      fs:script {
        { match = "/delete ", CUT[1], CUT[2] },
        { match = "/abort ", reply = json '{"success":"true","message":"ok"}' },
        { match = "/info ", reply = unwell },
      }
      local job = client:attach(ID)
      local entry = job:poll()
      assert.is_nil(entry.err.vanished)
      local ok, err = job:delete()
      assert.is_nil(ok)
      assert.equals("unknown", err.outcome)
      assert.equals(1, #fs:requests "/delete ")
    end
  end)

  it("of an abort is asked for though the look before it fails, or takes too long", function()
    for _, look in ipairs { { reply = json('{"success":"false","message":"broken"}', 500) },
      { { "read" }, { "stall" } } } do
      look.match, look.times = "/info ", 1
      fs:script {
        { match = "/abort ", reply = json '{"success":"true","message":"ok"}' }, look,
        { match = "/info ", reply = info "ABORTED" },
      }
      assert.same({ killed = true, confirmed = true, state = "cancelled", native = "ABORTED" },
        client:attach(ID):abort())
    end
  end)

  it("is settled by a yes without a record too", function()
    for _, none in ipairs { '{"success":"true","data":null}', '{"success":true,"data":{}}',
      '{"success":"true"}', '{"success":"true","data":[]}' } do
      fs:script {
        { match = "/delete ", CUT[1], CUT[2] }, { match = "/info ", reply = json(none) },
      }
      local job = client:attach(ID)
      assert.is_true(job:delete())
      local state, err = job:status()
      assert.is_nil(state)
      assert.equals("protocol", err.kind)
      assert.is_true(err.vanished)
    end
  end)

  it("is not begun when info does not know the task", function()
    fs:script { { match = "/info ", reply = GONE } }
    for _, operation in ipairs { "abort", "retry" } do
      local job = client:attach(ID)
      local value, err = job[operation](job)
      assert.is_nil(value)
      assert.equals("service", err.kind)
      assert.equals("not_sent", err.outcome)
      assert.equals(0, #fs:requests("/" .. operation .. " "))
    end
  end)

  it("says where to look when the record does not tell why a load failed", function()
    for _, body in ipairs { '"FAILED"', '"FAILED","stage":null' } do
      fs:script { { match = "/info ", reply = json('{"success":"true","data":{"state":'
        .. body .. "}}") } }
      assert.equals("the load ended as FAILED; its log is in the LTS web page",
        client:attach(ID):error().message)
    end
    fs:script { { match = "/info ", reply = info "FAILED" } }
    assert.matches("as FAILED at the stage S; ", client:attach(ID):error().message)
  end)

  it("aborts though info is the published sample, which nobody can read", function()
    fs:script {
      { match = "/info ", times = 1, reply = json(SAMPLE) },
      { match = "/abort ", reply = json '{"success":"true","message":"ok"}' },
      { match = "/info ", reply = info "ABORTED" },
    }
    assert.is_true(assert(client:attach(ID):abort()).killed)
  end)
end)
