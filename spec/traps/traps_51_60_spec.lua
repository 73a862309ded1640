-- Traps 51 to 60 of a Linkis server, each shown to the client as the
-- server sets it.

local cjson = require "cjson"
local core = require "taskclient.core"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local process = require "spec.support.process"
local taskclient = require "taskclient"
local wire = require "spec.support.wire"

local function counts(lines)
  local t = {}
  for _, line in ipairs(lines) do t[line] = (t[line] or 0) + 1 end
  return t
end

describe("trap", function()
  local fs, client, dir
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  local function sandbox(opts)
    local box = assert(require("taskclient.sandbox").start(opts or {}))
    return box, assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
  end

  it("51: download is a POST with a JSON body", function()
    fs:script { { match = "^POST .*/download", reply = fault.http(200, "bytes\0here",
      { "Content-Disposition: attachment;filename=x", "Content-Type: text/plain" }) },
      { match = "^GET", reply = fault.boot(405) } }
    local path = dir .. "/down"
    local body = assert(core.encode { path = "file:///tmp/x", charset = "utf-8" })
    assert.equals(10, (assert(client:call("download", { body = body }, { file = path }))))
    local request = fs:requests "/download"[1]
    assert.equals("POST", request.method)
    assert.equals("file:///tmp/x", linkis.body(request).path)
    assert.matches("\r\nContent%-Type: application/json", request.bytes)
  end)

  it("52: the server's token errors echo the token, ours do not", function()
    local events = {}
    client = linkis.client(fs, { log = function(_, event) events[#events + 1] = event end })
    local reply = ('{"method":"/api/rest_j/v1/jobhistory/list","status":-1,"message":"Token '
      .. "Authentication Failed, token: %s，tokenUser: hadoop, reason: errCode: 15206 ,desc: Failed "
      .. "to query token:%s data(Token:%s 数据查询失败), Caused by:LinkisException{errCode\\u003d"
      .. [[15204, desc\u003d\u0027Invalid Token(无效令牌)\u0027} ,ip: 127.0.0.1","data":{}}]])
      :gsub("%%s", linkis.TOKEN)
    fs:script { { match = "", reply = fault.http(401, reply) } }
    local data, err = client:call("list", {})
    assert.is_nil(data)
    assert.same({ "auth", 15204 }, { err.kind, err.code })
    local job, refused = client:submit(linkis.shell())
    assert.is_nil(job)
    assert.is_nil((wire.texts { err, refused, events, tostring(client), tostring(err) })
      :find(linkis.TOKEN, 1, true))
    assert.matches("15204", tostring(err))
    assert.matches("option 'token'", err.hint)
  end)

  it("53: the live log loses and doubles lines at each flush; the file is the truth", function()
    local box <close>, mine = sandbox { settings = { ring_size = 100, null_slots = true } }
    local job = assert(mine:submit(linkis.shell(
      "seq 1 1500 | while read i; do echo l$i; [ $((i % 100)) = 0 ] && sleep 0.1; done; true")))
    local lines = linkis.all(job:logs { follow = true, poll = 0.15, timeout = 60 })
    local file = assert(mine:call("openLog", { path = job:info().logPath })).log[4]
    local all = {}
    for line in file:gmatch "([^\n]*)\n" do all[#all + 1] = line end
    assert.same(counts(all), counts(lines))
    local doubled = 0
    for line, n in pairs(counts(lines)) do
      if n == 2 and line:find "^l%d+$" then doubled = doubled + 1 end
    end
    assert.is_true(doubled >= 5) -- as the file has them
    assert.is_not_nil(box)
  end)

  it("54: stamps are no order: lines stay in the file's", function()
    local file = { "2026-11-22 01:46:49.046 INFO late", "2026-11-22 01:46:48.046 INFO early",
      "2026-11-22 01:46:49.046 INFO late", "no stamp", "2026-11-22 01:46:47.046 INFO last" }
    fs:script { linkis.get { status = "Succeed" }, linkis.open_log(file) }
    assert.same(file, linkis.all(client:attach(12):logs()))
    fs:script { { match = "/log%?", reply = linkis.log({ "", table.unpack(file) }, 6) },
      linkis.get({}, 4), linkis.get { status = "Succeed" }, linkis.open_log(file) }
    assert.same(file, linkis.all(client:attach(12):logs { follow = true, poll = 0.02 }))
    fs:script { linkis.get({}, 4), linkis.get { status = "Succeed" }, linkis.open_log(file),
      { match = "/log%?", reply = linkis.log({ "", file[1], file[2] }, 3) } }
    local exact = client:attach(12):logs { follow = true, exact = true, poll = 0.02 }
    assert.same(file, linkis.all(exact))
  end)

  it("55: source values that are no text hang the server: all go out as text", function()
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    assert(client:submit(linkis.shell("x", { source = { n = 7, yes = true, f = 1.5,
      list = { 1, "a" }, object = { a = 1 }, none = taskclient.null, [1] = "one" } })))
    local source = linkis.body(fs:requests("/submit")[1]).source
    for name, value in pairs(source) do assert.equals("string", type(value), name) end
    assert.same({ "7", "true", "1.5", '[1,"a"]', '{"a":1}', "null", "one" }, { source.n, source.yes,
      source.f, source.list, source.object, source.none, source["1"] })
    assert.is_true(#source["taskclient.key"] >= 16)
  end)

  it("56: a taskID beside an execID guards nothing: history is asked around each", function()
    local theirs = { "2026-11-22 01:00:00.000 INFO Job with jobId : 99 and execID : x submitted ",
      "theirs" }
    -- the job ends while its page is on its way; the page is of the newer job
    fs:script { { match = "/log%?", reply = linkis.log({ "", table.unpack(theirs) }, 3) },
      linkis.get({}, 1), linkis.get { status = "Cancelled", strongerExecId = linkis.exec() },
      linkis.open_log { "mine" } }
    assert.same({ "mine" }, linkis.all(client:attach(12):logs { follow = true, poll = 0.02 }))
    -- fail-over: the task has another execID by now
    local moved = linkis.exec("taskclient_hadoop_shell_7", "127.0.0.1:9114")
    fs:script { linkis.get({ strongerExecId = moved }, 1), linkis.get { status = "Cancelled" },
      linkis.ok "/kill" }
    local handle = { service = "linkis", id = 12, exec_id = linkis.exec() }
    assert.is_true(assert(client:attach(handle):abort()).killed)
    assert.is_truthy(fs:requests("/kill")[1].path:find(moved, 1, true))
    assert.equals(#fs:requests "/entrance/", #fs:requests("/entrance/" .. moved:gsub("%-", "%%-")))
  end)

  it("beside 56: an execID that ends in the task's own id is not one yet", function()
    local early = linkis.exec "12"
    for _, own in ipairs { true, false } do -- the submit's reply has told the real one, or not
      fs:script { linkis.get({ strongerExecId = early, execId = "12" }, 1), linkis.get({}, 1),
        linkis.get { status = "Cancelled" }, linkis.ok "/kill", { match = "/submit",
          reply = linkis.accepted(12, linkis.exec()) } }
      local job = own and assert(client:submit(linkis.shell())) or client:attach(12)
      assert.is_true(assert(job:abort()).killed)
      assert.equals(1, #fs:requests "/kill")
      assert.is_truthy(fs:requests("/kill")[1].path:find(linkis.exec(), 1, true))
      assert.equals(0, #fs:requests(early:gsub("%-", "%%-") .. "/"))
    end
  end)

  it("beside 56: a task of the same id with another's key is not stopped", function()
    local function sourced(id, key)
      return { taskID = id, sourceJson = cjson.encode { ["taskclient.key"] = key } }
    end
    fs:script { linkis.get(sourced(12, "theirs")),
      { match = "/list%-taskids", reply = fault.http(404, "") } }
    local other = client:attach { service = "linkis", id = 12, key = "ours" }
    local what, err = other:abort()
    assert.is_nil(what)
    assert.same({ "service", "not_sent", 12 }, { err.kind, err.outcome, err.job_id })
    assert.matches("another one", err.message)
    local results = assert(client:abort { other, client:attach { service = "linkis", id = 12,
      key = "ours" } })
    for i = 1, 2 do assert.matches("another one", results[i].err.message) end
    assert.equals(0, #fs:requests "/kill")
  end)

  it("beside 57: what failed by a kill was killed, what failed by itself had ended", function()
    for code, killed in pairs { [31001] = true, [20011] = false } do
      fs:script { linkis.get({}, 1), linkis.get { status = "Failed", errCode = code },
        linkis.ok "/kill" }
      local what = assert(client:attach(12):abort())
      assert.same({ killed or nil, not killed or nil, "failed" },
        { what.killed, what.ended, what.state })
      assert.equals(killed or nil, what.confirmed)
    end
  end)

  it("a kill waits for an entrance that does not know yet what history shows", function()
    fs:script { linkis.get({ status = "Inited" }, 3), linkis.get { status = "Cancelled" },
      linkis.no("/log", "The job you just executed has ended", { times = 1 }),
      { match = "/log", reply = linkis.log({}, 0) }, linkis.ok "/kill" }
    assert.is_true(assert(client:attach(12):abort()).killed)
    assert.equals(2, #fs:requests "/log")
    assert.equals(1, #fs:requests "/kill")
  end)

  it("57: most failures have no errCode; the code is inside errDesc, or there is none", function()
    local CASES = {
      { linkis.null, "21304, Task is Failed,errorMsg: PythonExecuteError: errCode: 60002 ,desc: "
        .. "Traceback:\n  oops\n ,ip: 127.0.0.1 ,port: 46189 ,serviceKind: linkis-cg-engineconn",
        60002, "PythonExecuteError: Traceback:\n  oops" },
      { linkis.null, "21304, Task is Failed,errorMsg: Table 'x.y' doesn't exist", 21304,
        "Table 'x.y' doesn't exist" },
      { 43003, "语法错误", 43003, "语法错误" }, { "31002", "no engine", 31002, "no engine" },
      { linkis.null, linkis.null, nil, "the task failed" }, { 0, "", nil, "the task failed" },
    }
    for _, case in ipairs(CASES) do
      fs:script { linkis.get { status = "Failed", errCode = case[1], errDesc = case[2] },
        { match = "/openLog", reply = fault.linkis { log = { "ERROR a\nERROR b\n", "", "", "" } },
        } }
      local err = assert(client:attach(12):error())
      assert.same({ case[3], case[4], "service", 12 },
        { err.code, err.message, err.kind, err.job_id })
      assert.same({ "ERROR a", "ERROR b" }, err.log)
    end
  end)

  it("a failed job's ERROR lines are waited for where the file lacks its end", function()
    local head, last = "2026-11-22 01:02:03.002 INFO x", "2026-11-22 01:02:03.002 ERROR broken"
    local function file(text, times)
      return { match = "/openLog", times = times,
        reply = fault.linkis(cjson.encode { log = { "", "", "", text } }) }
    end
    fs:script { linkis.get { status = "Failed", errDesc = "no", updatedTime = core.time() * 1000 },
      { match = "/log", reply = linkis.log({ last }, 3) },
      file(head .. "\n", 1), file(head .. "\n" .. last .. "\n") }
    assert.same({ last }, assert(client:attach(12):error()).log)
    -- it has ended just now by the server's clock, and this machine's says another day
    local now = 1795312800
    local task = linkis.task { status = "Failed", errDesc = "no", updatedTime = now * 1000 }
    fs:script { { match = "/get", reply = (task:gsub("\r\n",
        "\r\nDate: Sunday, November 22, 2026 2:00:00 AM UTC\r\n", 1)) },
      { match = "/log", reply = linkis.log({ last }, 3) },
      file(head .. "\n", 1), file(head .. "\n" .. last .. "\n") }
    assert.same({ last }, assert(client:attach(12):error()).log)
  end)

  it("58: failed and killed jobs have results, and no log tells how many", function()
    local function empty(status)
      fs:script { linkis.get { status = status }, linkis.tree("_0.dolphin", "_1.dolphin"),
        { match = "_0.dolphin", reply = linkis.page { { "1", "a" } } },
        { match = "_1.dolphin", reply = linkis.page {} } }
      return assert(client:attach(12):results())
    end
    for _, status in ipairs { "Failed", "Cancelled" } do
      local sets = empty(status)
      assert.equals(2, #sets)
      assert.same({ { "1", "a" } }, linkis.all(sets[1]:rows()))
      assert.same({}, linkis.all(sets[2]:rows()))
      assert.equals(2, #sets[2]:columns())
    end
    fs:script { linkis.get { status = "Cancelled" }, linkis.tree "_0.dolphin",
      linkis.no("/openFile", "operation failed(操作失败)s！the reason(原因)：IOException: File header "
        .. "type must be dolphin, content: ") }
    local row, err = assert(client:attach(12):results())[1]:rows():read()
    assert.is_nil(row)
    assert.matches("empty", err.hint)
  end)

  it("59: results outside of one's folder are refused, unless they are put there", function()
    local box <close> = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" }, admin = "hadoop",
      settings = { owner_check = true } })
    local alice = assert(taskclient.linkis { url = box.url, user = "alice", password = "alice" })
    local job = assert(alice:submit(linkis.shell "echo mine"))
    job:wait { timeout = 30, poll = 0.1 }
    local sets, err = job:results()
    if sets then sets, err = sets[1]:text() end
    assert.is_nil(sets)
    assert.equals(80010, err.code)
    assert.matches("result_path", err.hint)
    local paths = {}
    for i = 1, 2 do
      job = assert(alice:submit(linkis.shell("echo mine " .. i,
        { result_path = "file:///tmp/linkis/alice/results" })))
      job:wait { timeout = 30, poll = 0.1 }
      assert.equals("mine " .. i, assert(assert(job:results())[1]:text()))
      paths[i] = job:info().resultLocation
    end
    assert.not_equals(paths[1], paths[2])
  end)

  it("60: a path without a scheme is refused, with what it needs", function()
    local box <close>, mine = sandbox()
    local data, err = mine:call("getDirFileTrees", { path = "/tmp/linkis" })
    assert.is_nil(data)
    assert.equals(80025, err.code)
    assert.matches("scheme", err.hint)
    assert.is_not_nil(box)
  end)
end)
