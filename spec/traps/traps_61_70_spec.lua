-- Traps 61 to 70 of a Linkis server, each shown to the client as the
-- server sets it; and that none of the seventy is missing.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local recording = require "spec.support.recording"
local taskclient = require "taskclient"
local wire = require "spec.support.wire"

local SECRET = "canary-jdbc-password"

describe("trap", function()
  local fs, client, box, mine
  setup(function()
    fs = fault.start()
    box = assert(require("taskclient.sandbox").start { admin = "hadoop" })
    mine = assert(taskclient.linkis { url = box.url, user = box.user, token = box.token })
  end)
  teardown(function()
    mine:close()
    box:stop()
    fs:stop()
  end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  local function run(spec)
    local job = assert(mine:submit(spec))
    return job, (job:wait { timeout = 60, poll = 0.1 })
  end

  it("61: an unknown engine is accepted, and fails as a job", function()
    local job, state = run(linkis.shell("x", { engine = "nosuch-9" }))
    assert.equals("failed", state)
    local err = assert(job:error())
    assert.equals(31002, err.code)
    assert.is_true(err.retryable)
    assert.matches("engine", err.hint)
  end)

  it("62: a shell job's last command decides; a loop is refused and leaves a row", function()
    local _, state = run(linkis.shell "echo a; ls /nosuch; echo b")
    assert.equals("succeeded", state)
    local job, err = mine:submit(linkis.shell "for i in 1 2; do echo $i; done")
    assert.is_nil(job)
    assert.same({ 50081, "rejected" }, { err.code, err.outcome })
    assert.matches("black list", err.hint)
    assert.equals("failed", (mine:attach(err.job_id):status()))
  end)

  it("63: jdbc rows end at 5000 without a word; the result says so", function()
    local SQL = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 6000) "
      .. "select i from n"
    local function set(engine, creator) -- IDE: a limit is added to the code (trap 30)
      local job = run { code = "select i from (" .. SQL .. ")", run_type = "sql",
        engine = engine, creator = creator }
      return assert(job:results())[1]
    end
    local jdbc = set("jdbc-4", "traps")
    assert.equals(5000, jdbc:count())
    assert.is_true(jdbc:capped())
    local spark = set("spark-3.2.1", "traps")
    assert.equals(6000, spark:count())
    assert.is_false(spark:capped())
    local ide = set("spark-3.2.1", "IDE")
    assert.equals(5000, ide:count())
    assert.is_true(ide:capped())
    -- what is counted decides, not what is likely
    fs:script { linkis.get { status = "Succeed", engineType = "jdbc",
      executeApplicationName = "jdbc" }, linkis.tree "_0.dolphin",
      linkis.ok("/fileInfo", { rowNumber = 4999 }) }
    assert.is_false(assert(client:attach(12):results())[1]:capped())
  end)

  it("64: large code may end the public service: the log tells who asks", function()
    local warned
    client = linkis.client(fs, { log = function(_, event)
      if event.what == "large_code" then warned = event end
    end })
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    assert(client:submit(linkis.shell(("x"):rep(49999))))
    assert.is_nil(warned)
    assert(client:submit(linkis.shell(("x"):rep(50000))))
    assert.equals(50000, warned.bytes)
    local code = "echo " .. ("word "):rep(20000)
    local job, state = run(linkis.shell(code))
    assert.equals("succeeded", state)
    assert.is_true(#assert(job:results()[1]:text()) >= 99999)
  end)

  it("65: rows of one second come in any order: pages repeat and skip some", function()
    local function page(...)
      local list = {}
      for i, id in ipairs { ... } do list[i] = { taskID = id } end
      return linkis.list(list, 5)
    end
    fs:script { { match = "pageNow=1&pageSize=2&", reply = page(5, 4) },
      { match = "pageNow=2&pageSize=2&", reply = page(4, 2) }, -- 3 was skipped
      { match = "pageNow=3&pageSize=2&", reply = page(1) },
      { match = "/list", reply = page(2, 5, 1, 3, 4) } }
    local seen = {}
    for record in client:list { page_size = 2 } do
      assert.is_nil(seen[record.taskID])
      seen[record.taskID] = true
    end
    for id = 1, 5 do assert.is_true(seen[id], "task " .. id) end
    -- a costTime of 0, whole seconds or null is never a reason to fail
    for _, cost in ipairs { 0, 1000, linkis.null } do
      fs:script { linkis.get { status = "Succeed", costTime = cost } }
      assert.equals("succeeded", (client:attach(12):wait { timeout = 5, poll = 0.02 }))
    end
    -- dates are cut to the second, as the server cuts what it compares them with
    fs:script { { match = "/list", reply = linkis.list {} } }
    linkis.all(client:list { since = 1795312234.9, before = 1795312299.9 })
    assert.matches("startDate=1795312234000&endDate=1795312299000", fs:requests("/list")[1].query)
  end)

  it("66: paramsJson holds passwords in clear, and is printed by nothing", function()
    local params = cjson.encode { configuration = { runtime = { ["jdbc.password"] = SECRET } } }
    local events = {}
    client = linkis.client(fs, { log = function(_, event) events[#events + 1] = event end })
    for _, name in ipairs { "paramsJson", "paramJson" } do
      local fields = { status = "Failed", [name] = params }
      fs:script { linkis.get(fields), linkis.open_log {}, { match = "/list",
        reply = linkis.list { fields } } }
      local job = client:attach(12)
      local info = assert(job:info())
      assert.equals(params, info[name]) -- there for who asks
      local err = assert(job:error())
      job:wait { timeout = 5, poll = 0.02 }
      local listed = tostring(client:list():read())
      assert.is_nil((tostring(info) .. tostring(job) .. listed .. wire.texts { err, events })
        :find(SECRET, 1, true))
      assert.is_truthy(tostring(info):find(name .. " = (hidden)", 1, true))
    end
    -- a reply that is cut behind it: the error shows how it began
    fs:script { { match = "/get", reply = fault.http(200,
      '{"status":0,"data":{"task":{"paramsJson":' .. cjson.encode(params) .. ',"tas') } }
    local _, err = client:attach(12):info()
    assert.equals("protocol", err.kind)
    assert.is_nil(wire.texts({ err, tostring(err) }):find(SECRET, 1, true))
    -- the gateway echoes what it cannot route
    fs:script { { match = "/list", reply = linkis.list {} }, { match = "/submit",
      reply = fault.linkis({ data = params }, { status = 1, message = "no " .. linkis.TOKEN }) } }
    _, err = client:submit(linkis.shell("x", { runtime = { ["jdbc.password"] = SECRET } }))
    assert.equals("rejected", err.outcome)
    assert.matches("^{.*\"message\"", err.body)
    assert.is_nil(wire.texts({ err, tostring(err), events }):find(SECRET, 1, true))
  end)

  it("67: a job that waits is Inited, one whose engine starts is Running", function()
    box:set { max_running = 1, engine_start = 1 }
    local first = assert(mine:submit(linkis.shell("sleep 60", { creator = "queue67" })))
    local second = assert(mine:submit(linkis.shell("sleep 1; echo ran",
      { creator = "queue67" })))
    local words = {}
    local state = second:wait { timeout = 0.5, poll = 0.05 }
    assert.is_nil(state)
    assert.same({ "queued", "Inited" }, { second:status() })
    assert.is_nil(assert(second:progress()).fraction)
    assert.equals("linkis job " .. second.id .. " (queued)", tostring(second))
    assert(first:abort())
    state = second:wait { timeout = 30, poll = 0.05, on_state = function(_, word)
      words[word] = true
    end }
    assert.equals("succeeded", state)
    assert.is_true(words.running)
    local cold = assert(mine:submit(linkis.shell("echo cold", { creator = "cold67" })))
    local cursor = cold:logs { follow = true, poll = 0.05, timeout = 20 }
    assert(cursor:read()) -- it has a log, it runs, and its engine is not there yet
    assert.equals("succeeded", (cold:wait { timeout = 30, poll = 0.05 }))
    box:set { max_running = 10, engine_start = 0 }
  end)

  it("68: a restarted entrance cancels without a code; a crashed one says Running", function()
    local job = assert(mine:submit(linkis.shell "sleep 60"))
    box:set { entrance_crash = true }
    local state, err = job:wait { timeout = 1, poll = 0.1 }
    assert.is_nil(state)
    assert.equals("timeout", err.kind)
    assert.is_nil(require("taskclient.state").ENDED[job:status()])
    box:set { entrance_crash = false }
    box:restart_entrance()
    assert.equals("cancelled", (job:wait { timeout = 20, poll = 0.1 }))
    err = assert(job:error())
    assert.is_nil(err.code)
    assert.matches("restarted", err.message)
    -- the restart has wiped the source; the key is found all the same
    assert.equals(job.id, assert(mine:reconcile(job.key)).id)
    assert.equals(job.id, assert(mine:submit(linkis.shell("sleep 60", { key = job.key }))).id)
  end)

  it("69: a token is tested where tokens count", function()
    fs:script { { match = "/list", reply = linkis.list {} },
      linkis.no("/user/", "login failed! reason: NonLoginException: no") }
    assert.equals("hadoop", (client:whoami()))
    assert.equals(0, #fs:requests "/user/")
    assert.matches("pageSize=1", fs:requests("/list")[1].query)
    fs:script { linkis.no("", "Token Authentication Failed", { status = -1, http = 401 }) }
    local name, err = client:whoami()
    assert.is_nil(name)
    assert.equals("auth", err.kind)
  end)

  it("70: doubled headers, odd dates, chunks and no length", function()
    local body = fault.envelope { task = linkis.record() }
    local head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
      .. ("Access-Control-Allow-Origin: *\r\n"
      .. "Date: Sunday, November 22, 2026 1:48:25 AM UTC\r\n"):rep(2)
      .. "Content-Type: application/json;charset=utf-8\r\n"
      .. "Set-Cookie: dataworkcloud_inner_request=false; Path=/; Max-Age=0\r\n\r\n"
    local chunks = head
    for at = 1, #body, 100 do
      local piece = body:sub(at, at + 99)
      chunks = chunks .. ("%x\r\n%s\r\n"):format(#piece, piece)
    end
    fs:script { { match = "/get", reply = chunks .. "0\r\n\r\n" } }
    for _ = 1, 3 do assert.equals("running", (client:attach(12):status())) end
    local asked = fs:requests "/get"
    assert.equals(asked[1].connection, asked[3].connection) -- it was kept
    -- a wait told as such a date is none at all
    fs:script { { match = "/get", times = 1, reply = fault.http(503, "", {
      "Retry-After: Sunday, November 22, 2026 1:48:25 AM UTC" }) }, linkis.get() }
    assert.equals("running", (client:attach(12):status()))
    fs:script { { match = "/get", { "read" }, { "send", "HTTP/1.1 200 OK\r\n"
      .. "Content-Type: application/json\r\nConnection: close\r\n\r\n" .. body }, { "fin" } } }
    assert.equals("running", (client:attach(12):status())) -- neither length nor chunks
  end)
end)

describe("the traps", function()
  it("are all there, each once", function()
    local found, last = {}, 70
    for path in io.popen("ls spec/traps/*_spec.lua"):lines() do
      local file = assert(io.open(path))
      for n in file:read("*a"):gmatch '\n  [id][te][%a]*%("(%d+): ' do
        n = tonumber(n)
        assert.is_nil(found[n], "trap " .. n .. " stands twice")
        found[n] = true
      end
      file:close()
    end
    local folder = recording.folder()
    local reference = folder and io.open(folder .. "/../reference/linkis-wire.md")
    if reference then
      local section = reference:read("*a"):match "\n## 8%..-\n## 9%."
      for n in section:gmatch "\n| (%d+) |" do last = math.max(last, tonumber(n)) end
      reference:close()
    end
    for n = 1, last do assert.is_true(found[n], "trap " .. n .. " has no spec") end
  end)
end)
