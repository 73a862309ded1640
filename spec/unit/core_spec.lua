-- The core's Lua surface without a server: what may be called how, what it
-- refuses, what it never shows, and the operation tables against the wire
-- reference. Knows doc/design.md section 2.

local core = require "taskclient.core"
local wait = require "spec.support.wait"

local NOBODY = "http://127.0.0.1:1" -- a port where nobody listens

local function client(options, class)
  local all = { url = NOBODY }
  for name, value in pairs(options or {}) do all[name] = value end
  return core.client("linkis", all, class or {})
end

-- the text of the error that fn raises
local function raised(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, "did not raise")
  return tostring(message)
end

local function holds(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

local function finish(call)
  local deadline = core.now() + 20
  while not call:done() do
    assert(core.now() < deadline)
    core.step(0.2)
  end
  return call:result()
end

describe("the operation table", function()
  -- name, verb, path, required parameters: protocols 2.2 and 3
  local LINKIS = {
    { "submit", "POST", "/entrance/submit" },
    { "execute", "POST", "/entrance/execute" },
    { "status", "GET", "/entrance/{id}/status", "id taskID" },
    { "log", "GET", "/entrance/{id}/log", "id fromLine size distinctLevel" },
    { "progress", "GET", "/entrance/{id}/progress", "id" },
    { "progressWithResource", "GET", "/entrance/{id}/progressWithResource", "id" },
    { "kill", "GET", "/entrance/{id}/kill", "id taskID" },
    { "killJobs", "POST", "/entrance/{id}/killJobs", "id" },
    { "pause", "GET", "/entrance/{id}/pause", "id" },
    { "taskinfo", "GET", "/entrance/operation/metrics/taskinfo", "user creator ecType instance" },
    { "runningtask", "GET", "/entrance/operation/metrics/runningtask", "instance" },
    { "get", "GET", "/jobhistory/{id}/get", "id brief" },
    { "list", "GET", "/jobhistory/list", "startDate endDate status pageNow pageSize taskID"
      .. " executeApplicationName creator proxyUser isAdminView isDeptView instance"
      .. " engineInstance runType" },
    { "list-taskids", "GET", "/jobhistory/list-taskids", "taskID" },
    { "listundonetasks", "GET", "/jobhistory/listundonetasks",
      "startDate endDate status pageNow pageSize startTaskID engineType creator" },
    { "listundone", "GET", "/jobhistory/listundone",
      "startDate endDate pageNow pageSize startTaskID engineType creator" },
    { "job-extra-info", "GET", "/jobhistory/job-extra-info", "jobId" },
    { "download-job-list", "GET", "/jobhistory/download-job-list", "startDate endDate status"
      .. " pageNow pageSize taskID executeApplicationName creator proxyUser isAdminView"
      .. " isDeptView instance engineInstance runType" },
    { "governanceStationAdmin", "GET", "/jobhistory/governanceStationAdmin" },
    { "taskCount", "GET", "/jobhistory/jobstatistics/taskCount",
      "startDate endDate executeApplicationName creator proxyUser" },
    { "engineCount", "GET", "/jobhistory/jobstatistics/engineCount",
      "startDate endDate executeApplicationName creator proxyUser" },
    { "getDirFileTrees", "GET", "/filesystem/getDirFileTrees", "path" },
    { "openFile", "GET", "/filesystem/openFile", "path page pageSize charset nullValue limitBytes"
      .. " limitColumnLength enableLimit columnPage columnPageSize maskedFieldNames"
      .. " truncateColumn" },
    { "fileInfo", "GET", "/filesystem/fileInfo", "path pageSize" },
    { "openLog", "GET", "/filesystem/openLog", "path proxyUser logLevel" },
    { "resultsetToExcel", "GET", "/filesystem/resultsetToExcel", "path outputFileType charset"
      .. " csvSeparator csvSeperator csvSeerator quoteRetouchEnable keepNewline nullValue limit"
      .. " outputFileName sheetName autoFormat maskedFieldNames" },
    { "resultsetsToExcel", "GET", "/filesystem/resultsetsToExcel",
      "path outputFileName nullValue limit autoFormat maskedFieldNames" },
    { "isExist", "GET", "/filesystem/isExist", "path" },
    { "createNewDir", "POST", "/filesystem/createNewDir" },
    { "createNewFile", "POST", "/filesystem/createNewFile" },
    { "download", "POST", "/filesystem/download" },
    { "deleteDirOrFile", "POST", "/filesystem/deleteDirOrFile" },
    { "rename", "POST", "/filesystem/rename" },
    { "move", "POST", "/filesystem/move" },
    { "getUserRootPath", "GET", "/filesystem/getUserRootPath", "pathType" },
    { "saveScript", "POST", "/filesystem/saveScript" },
    { "login", "POST", "/user/login" },
    { "logout", "POST", "/user/logout" },
    { "heartbeat", "GET", "/user/heartbeat" },
    { "userInfo", "GET", "/user/userInfo" },
    { "publicKey", "GET", "/user/publicKey" },
    { "token-login", "POST", "/user/token-login" },
    { "proxy", "GET", "/user/proxy", "proxyUser validationCode" },
    { "baseinfo", "GET", "/user/baseinfo" },
  }
  local LINDORM = {
    { "create", "POST", "/pro/proc/bulkload/create", "src dst readerConfig writerConfig"
      .. " driverSpec instances fileType sparkAdditionalParams extra" },
    { "info", "GET", "/pro/proc/{id}/info", "id" },
    { "abort", "GET", "/pro/proc/{id}/abort", "id" },
    { "retry", "GET", "/pro/proc/{id}/retry", "id" },
    { "delete", "GET", "/pro/proc/{id}/delete", "id" },
  }
  local CHANGES = "submit execute kill killJobs pause createNewDir createNewFile deleteDirOrFile"
    .. " rename move saveScript login logout token-login proxy create abort retry delete"

  local function names(row)
    local list = {}
    for i, param in ipairs(row.params) do list[i] = param.name end
    return table.concat(list, " ")
  end

  for service, rows in pairs { linkis = LINKIS, lindorm = LINDORM } do
    it("of " .. service .. " is the reference's", function()
      local table_of, count = core.operations(service), 0
      for _ in pairs(table_of) do count = count + 1 end
      assert.equal(#rows, count)
      for _, row in ipairs(rows) do
        local have = assert(table_of[row[1]], row[1])
        assert.equal(row[2], have.verb, row[1])
        assert.equal(row[3], have.path, row[1])
        assert.equal(row[4] or "", names(have), row[1])
        local changes = (" " .. CHANGES .. " "):find(" " .. row[1] .. " ", 1, true) ~= nil
        assert.equal(changes, have.changes, row[1])
      end
    end)
  end

  it("asks for NULL as it is, and gives a submit its time", function()
    local linkis = core.operations "linkis"
    for _, param in ipairs(linkis.openFile.params) do
      if param.name == "nullValue" then assert.equal("LINKIS_NULL", param.preset) end
    end
    assert.is_true(linkis.submit.timeout >= 1000 and linkis.submit.silent)
    assert.is_true(linkis.status.timeout > 195 and linkis.kill.timeout > 195)
    holds(raised(core.operations, "livy"), "livy")
  end)
end)

describe("a client", function()
  it("shows its fields, then its class, then the core's methods", function()
    local class = { greet = function(self) return "hello " .. self.name end, name = "class" }
    local c = client({ fields = { name = "field" } }, class)
    assert.equal("hello field", c:greet())
    assert.is_function(c.start)
    assert.is_nil(c.nothing)
    core.fields(c).name = nil
    assert.equal("hello class", c:greet())
  end)

  it("cannot be written to, and hides its metatable", function()
    local c = client()
    holds(raised(function() c.url = "x" end), "url")
    assert.is_false(getmetatable(c))
  end)

  it("prints what its class says", function()
    local class = { __tostring = function() return "it is me" end }
    assert.equal("it is me", tostring(client(nil, class)))
    assert.equal("string", type(tostring(client())))
  end)

  it("refuses wrong options, naming them", function()
    for part, options in pairs {
      ["did you mean 'password'"] = { passwort = "x" },
      ["'connect_timeout'"] = { connect_timeout = -1 },
      ["'idle_timeout'"] = { idle_timeout = 0 / 0 },
      ["'max_body'"] = { max_body = "much" },
      ["'session'"] = { session = 1 },
      ["'headers'"] = { headers = { "Token-Code: x" } },
      ["'fields'"] = { fields = 1 },
      ["'cookie'"] = { cookie = {} },
      ["'user'"] = { user = "a\0b" },
      ["header that the client sets itself"] = { headers = { { "Content-Length", "3" } } },
      ["empty header value"] = { headers = { { "Token-Code", "" } } },
    } do
      holds(raised(client, options), part)
    end
    holds(raised(core.client, "livy", { url = NOBODY }, {}), "livy")
    holds(raised(core.client, "linkis", { url = NOBODY }), "#3")
  end)

  it("refuses a URL whose path has dots that readers resolve in different ways", function()
    for _, path in ipairs { "/..", "/.", "/a/..", "/a/../b", "/./b", "/%2e%2E/b", "/a/.%2e",
      "/%2E" } do
      holds(raised(client, { url = NOBODY .. path }), "'..' and '.'")
    end
    for _, path in ipairs { "/a..b", "/...", "/.well-known/x", "/..x/y" } do
      assert(client { url = NOBODY .. path }):close()
    end
  end)

  it("knows this machine by its address, not by how a name begins", function()
    for _, host in ipairs { "localhost", "LocalHost", "127.0.0.1", "127.255.1.2", "127.1", "0x7f.1",
      "0177.0.0.1", "2130706433", "::1", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
      "[::FFFF:7f00:1]" } do
      assert.is_true(core.loopback(host), host)
    end
    for _, host in ipairs { "", "127.0.0.1.evil.com", "127.evil.example", "localhost.evil",
      "localhost.", "127.0.0.1.", "1.127.0.0", "128.0.0.1", "10.0.0.1", "0.0.0.0", "[::]", "[::2]",
      "[::ffff:10.0.0.1]", "[::ffff:128.0.0.1]", "[fe80::1]", "2130706432.1", "127.0.0.1\0.evil",
      "127.0.0.1 ", ("1"):rep(500), "[::1].evil", "[]" } do
      assert.is_false(core.loopback(host), host)
    end
  end)

  it("does not take an option that libcurl refuses for a matter of TLS", function()
    local c, err = client { user_agent = ("x"):rep(8000001) }
    assert.is_nil(c)
    assert.equal("unsupported", err.kind)
    holds(err.message, "user_agent")
  end)

  it("says which file it cannot read", function()
    for _, name in ipairs { "ca_file", "cert", "key" } do
      local c, err = client { [name] = "/nonexistent/x.pem" }
      assert.is_nil(c)
      assert.equal("io", err.kind)
      holds(err.message, "/nonexistent/x.pem")
      holds(err.message, name)
    end
  end)

  it("answers 'closed' once it is closed, as often as one likes", function()
    local c = client()
    c:close()
    c:close()
    assert.is_true(c:closed())
    local call, err = c:start("submit", { body = "{}" })
    assert.is_nil(call)
    assert.equal("closed", err.kind)
    assert.equal("not_sent", err.outcome)
    assert.is_nil(select(2, c:start("get", { id = "1" })).outcome)
    assert.is_false(c:has_session())
    assert.same({}, c:session_cookies())
    c:forget_session()
    assert.equal("closed", select(2, c:set_headers {}).kind)
  end)

  it("keeps two services apart", function()
    local c = core.client("lindorm", { url = NOBODY }, {})
    holds(raised(c.start, c, "submit", { body = "{}" }), "Lindorm")
    holds(raised(c.start, c, "inf", { id = "x" }), "did you mean 'info'")
  end)
end)

describe("start", function()
  local c
  setup(function() c = client() end)

  it("names the argument that is wrong", function()
    for part, args in pairs {
      ["'id' is missing"] = {}, ["did you mean 'taskID'"] = { id = "1", taskId = 1 },
      ["unknown argument 'x'"] = { id = "1", x = 1 },
      ["'taskID' is an integer"] = { id = "1", taskID = 1.5 },
      ["by name"] = { "1", id = "1" },
    } do
      holds(raised(c.start, c, "status", args), part)
    end
    holds(raised(c.start, c, "log", { id = "1", distinctLevel = "no" }),
      "'distinctLevel' is a boolean")
    holds(raised(c.start, c, "submit", {}), "'body' is missing")
    holds(raised(c.start, c, "submit", { body = "" }), "'body' is empty")
    holds(raised(c.start, c, "submit", { body = 1 }), "'body' is text")
    holds(raised(c.start, c, "get", { id = "1", body = "{}" }), "unknown argument 'body'")
    holds(raised(c.start, c, "openLog", { path = "a\0b" }), "NUL")
    holds(raised(c.start, c, "get", { id = "1", ["taskID\0x"] = 1 }), "unknown argument")
    holds(raised(c.start, c, "get\0x", { id = "1" }), "no operation")
    holds(raised(c.start, c, "get", 1), "table")
  end)

  it("takes further form fields, but none that has a place of its own", function()
    local lindorm = assert(core.client("lindorm", { url = NOBODY }, {}))
    local function create(extra)
      return lindorm:check("create", { src = "a", dst = "b", readerConfig = "{}",
                                       writerConfig = "{}", instances = 1, extra = extra })
    end
    holds(create { other = "x" }, "&other=x")
    for _, name in ipairs { "src", "dst", "readerConfig", "writerConfig", "driverSpec",
      "instances", "fileType", "sparkAdditionalParams", "extra" } do
      holds(raised(create, { [name] = "c" }), "which has a place of its own")
    end
  end)

  it("names the option that is wrong", function()
    for part, opts in pairs {
      ["did you mean 'timeout'"] = { timout = 1 }, ["'timeout'"] = { timeout = 0 },
      ["'max_body'"] = { max_body = 0 }, ["'fresh'"] = { fresh = 1 },
      ["'method'"] = { method = "PUT" }, ["sends no file"] = { file = "/tmp/x" },
      ["'overwrite'"] = { overwrite = "yes" }, ["unknown option"] = { ["timeout\0x"] = 1 },
    } do
      holds(raised(c.start, c, "get", { id = "1" }, opts), part)
    end
    assert.is_false(pcall(c.start, c, "get", { id = "1" }, { pick = {} }))
    holds(raised(c.start, c, "resultsetToExcel", { path = "x" }, { file = "a\0b" }), "'file'")
  end)

  it("takes ids and numbers as integers or digits, never as something near", function()
    for _, id in ipairs { "7", 7, 7.0 } do
      assert.equal("network", select(2, finish(c:start("get", { id = id }))).kind)
    end
    for _, id in ipairs { 7.5, 0 / 0, 1 / 0, true } do
      assert.is_false(pcall(c.start, c, "status", { id = "1", taskID = id }))
    end
    assert(c:start("status", { id = "1", taskID = "9223372036854775807" }))
  end)

  it("ends as not_sent where nobody listens", function()
    local value, err = finish(c:start("submit", { body = "{}" }))
    assert.is_nil(value)
    assert.equal("network", err.kind)
    assert.equal("not_sent", err.outcome)
    assert.equal("submit", err.operation)
    assert.is_true(err.retryable)
    holds(err.message, "127.0.0.1:1")
    assert.equal(core.error_mt, getmetatable(err))
  end)

  it("tells of a file it cannot write before anything is sent", function()
    local call, err = c:start("download", { body = "{}" }, { file = "/nonexistent/x" })
    assert.is_nil(call)
    assert.equal("io", err.kind)
  end)
end)

describe("a call", function()
  it("raises when asked too early, and says its operation", function()
    local call = client():start("get", { id = "1" })
    assert.equal("get", call.operation)
    if not call:done() then holds(raised(call.result, call), "in flight") end
    finish(call)
    assert.equal(false, call:info().sent)
    assert.equal("", call:body())
    holds(raised(function() call.operation = "x" end), "written")
    holds(tostring(call), "get")
  end)

  it("that is cancelled is listed by the next step", function()
    local c = client { url = "http://192.0.2.1" }
    local call = c:start("get", { id = "1" })
    call:cancel()
    call:cancel()
    assert.is_true(call:done())
    assert.is_true(core.active() >= 1)
    local ended = assert(core.step(0))
    local found = false
    for _, one in ipairs(ended) do found = found or one == call end
    assert.is_true(found)
    assert.truthy(({ interrupted = true, network = true })[select(2, call:result()).kind])
  end)

  it("keeps its client alive", function()
    local call = client():start("get", { id = "1" })
    collectgarbage()
    collectgarbage()
    assert.equal("network", select(2, finish(call)).kind)
  end)

  it("refuses to be another thing", function()
    local call = client():start("get", { id = "1" })
    for _, wrong in ipairs { {}, 1, io.stdout, client() } do
      assert.is_false(pcall(call.done, wrong))
      assert.is_false(pcall(call.result, wrong))
    end
    assert.is_false(pcall(client().start, call, "get", {}))
  end)
end)

describe("a redactor", function()
  local redact = core.redactor({ "S3/cr=t <&> \"q\\é", "hadoop", "not", "q7z", "1", "4711" },
    "hadoop")

  it("knows a secret as servers write it back", function()
    for _, text in ipairs {
      'S3/cr=t <&> "q\\é', "S3%2Fcr%3Dt%20%3C%26%3E%20%22q%5C%C3%A9",
      "s3:S3%2fcr%3dt+%3c%26%3e+%22q%5c%c3%a9", 'S3\\/cr=t <&> \\"q\\\\é',
      'S3/cr\\u003dt \\u003c\\u0026\\u003e \\"q\\\\\\u00e9',
      "S3/cr=t &lt;&amp;&gt; &quot;q\\é", "S3&#47;cr&#x3d;t &lt;&amp;&gt; &#34;q\\&#233;",
      "S3%252Fcr%253Dt%2520%253C%2526%253E%2520%2522q%255C%25C3%25A9",
      "S3/cr=t <&> \\x22q\\x5c\\xc3\\xa9", "S3/cr=t <&> \\u0022q\\u005c\\u00e9",
      "S3/cr=t &amp;lt;&amp;amp;&amp;gt; &amp;quot;q\\é",
    } do
      assert.is_truthy(redact("a " .. text .. " b"):find "^a [s3:]*%*%*%* b$", text)
    end
  end)

  it("reads a text once, whatever it is made of", function()
    local one, started = core.redactor { "S3cr3t-canary", "\\\\x", "pw" }, os.clock()
    for _, part in ipairs { "\\", "&", "&amp;", "&#", "%", "%25", "+", "\\u", "S3cr3t-canar" } do
      local text = part:rep(math.floor(1000000 / #part))
      assert.equal(text, one(text))
    end
    assert.is_true(os.clock() - started < 20) -- of the CPU; it was a quarter of an hour
    assert.equal(("\\"):rep(5) .. "***", one(("\\"):rep(20) .. "S3cr3t-canary"))
    assert.equal("&#xFFFFFFFF;", one "&#xFFFFFFFF;")
  end)

  it("leaves a sentence readable where a secret is one of its words", function()
    local said = "User hadoop is not allowed to use table q7zone 1 of 10, 24711"
    assert.equal(said, redact(said))
    assert.equal("got *** and *** at", redact "got q7z and 4711 at")
    assert.equal('{"password":"***","userName":"hadoop"}',
      redact '{"password":"hadoop","userName":"hadoop"}')
    assert.equal("token = ***", redact "token = not")
    assert.equal("-p*** x", redact "-pq7z x")
    assert.equal("redactor", tostring(redact))
  end)
end)

describe("secrets", function()
  it("print nothing and give their text to who asks", function()
    local secret = core.secret "hush"
    assert.equal("secret(***)", tostring(secret))
    assert.equal("hush", core.reveal(secret))
    assert.equal("plain", core.reveal "plain")
    assert.equal(secret, core.secret(secret))
    assert.is_false(getmetatable(secret))
    assert.is_false(pcall(core.reveal, 1))
    assert.is_false(pcall(function() return secret.text end))
  end)

  it("are taken out of text in every dress", function()
    local c = client {
      headers = { { "Token-Code", core.secret 'to"ken =1' } },
      user = "hadoop", password = "pass+word",
    }
    assert.equal("a *** b", c:redact 'a to"ken =1 b')
    assert.equal("a *** b", c:redact "a to%22ken%20%3D1 b")
    assert.equal('{"t":"***"}', c:redact '{"t":"to\\"ken =1"}')
    assert.equal('{"t":"***"}', c:redact '{"t":"to\\"ken \\u003d1"}')
    assert.equal("***", c:redact "dG8ia2VuID0x")
    assert.equal("Basic ***", c:redact "Basic aGFkb29wOnBhc3Mrd29yZA==")
    assert.equal("******", c:redact "pass+wordpass+word")
    c:hide "late one"
    c:hide(core.secret "later")
    assert.equal("*** ***", c:redact "late one later")
    assert.equal("nothing here", c:redact "nothing here")
  end)

  it("that are short go only where they stand alone", function()
    local c = client { user = "u", password = "ab" }
    assert.equal("cab *** drab", c:redact "cab ab drab")
  end)
end)

describe("a job", function()
  it("has fields and a class and is not written to", function()
    local c = client()
    local class = {
      twice = function(self) return self.id * 2 end,
      __tostring = function(self) return "job " .. self.id end,
    }
    local job = core.job(c, class, { id = 21 })
    assert.equal(42, job:twice())
    assert.equal("job 21", tostring(job))
    assert.equal(c, job.client)
    holds(raised(function() job.id = 1 end), "id")
    core.fields(job).id = 4
    assert.equal(8, job:twice())
    assert.is_false(pcall(core.job, job, class, {}))
    assert.is_false(pcall(core.fields, {}))
  end)
end)

describe("the loop", function()
  it("is one, though the module be loaded twice", function()
    local c, calls = client(), {}
    for i = 1, 40 do calls[i] = c:start("get", { id = tostring(i) }) end
    package.loaded["taskclient.core"] = nil
    local again = require "taskclient.core"
    package.loaded["taskclient.core"] = core
    assert.equal(core.fd(), again.fd())
    assert.equal(core.active(), again.active())
    local other = client():start("get", { id = "1" })
    for _, call in ipairs(calls) do call:cancel() end
    again.step(0)
    finish(other)
    assert.equal(0, again.active())
  end)

  it("waits no longer than told, and at most 0.2 s", function()
    for asked, most in pairs { [0] = 0.1, [0.05] = 0.15, [10] = 0.35 } do
      wait.within(most, function() core.step(asked) end)
    end
    assert.is_false(pcall(core.step, -1))
    assert.is_false(pcall(core.step, 0 / 0))
  end)

  it("has one descriptor", function()
    local fd = core.fd()
    assert.is_number(fd)
    assert.equal(fd, core.fd())
  end)

  it("makes random hex that differs", function()
    assert.truthy(core.random(16):match "^%x+$")
    assert.equal(32, #core.random(16))
    assert.are_not.equal(core.random(16), core.random(16))
    assert.is_false(pcall(core.random, 0))
    assert.is_false(pcall(core.random, 2000))
  end)

  it("counts what is in flight", function()
    collectgarbage()
    collectgarbage()
    while core.step(0) do end
    local before = core.active()
    local call = client():start("get", { id = "1" })
    assert.equal(before + 1, core.active())
    finish(call)
    while core.step(0) do end
    assert.equal(before, core.active())
  end)
end)
