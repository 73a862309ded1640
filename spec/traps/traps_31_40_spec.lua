-- Traps 31 to 40 of a Linkis server, each shown to the client as the
-- server sets it.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local core = require "taskclient.core"
local taskclient = require "taskclient"

local TICKET = "linkis_user_session_ticket_id_v1"

describe("trap", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  -- a login that gives the cookies, in order
  local function login(cookies, data, times)
    local headers = {}
    for i, cookie in ipairs(cookies) do headers[i] = "Set-Cookie: " .. cookie end
    return { match = "/login", times = times, reply = fault.linkis(data
      or { userName = "hadoop", sessionTimeOut = 3600000 }, { headers = headers }) }
  end

  local KEY = linkis.ok("/publicKey", { enableLoginEncrypt = false })
  local NOBODY = linkis.no("", "You are not logged in", { status = -1, http = 401 })
  local LIST = { match = "/list", reply = linkis.list {} }

  local function by_password()
    client = linkis.client(fs, { password = "pw" })
    return client
  end

  it("31: the label's user is the one who runs it, spelled as the server does", function()
    fs:script { KEY, login({ TICKET .. "=t; Path=/" }, { userName = "hadoop" }),
      { match = "/submit", reply = linkis.accepted() } }
    client = linkis.client(fs, { user = "HADOOP", password = "pw" })
    assert(client:submit(linkis.shell("x", { creator = "nightly" })))
    assert.equals("hadoop-nightly", linkis.body(fs:requests("/submit")[1]).labels.userCreator)
    for _, creator in ipairs { "a-b", "a b", "a\tb" } do
      assert.has_error(function() client:submit(linkis.shell("x", { creator = creator })) end)
    end
    assert.has_error(function() linkis.client(fs, { creator = "a-b" }) end)
    fs:script { { match = "/submit", reply = fault.linkis('{"errorMsg":{"errCode":50079}}',
      { status = 1, http = 400, message = "UserCreatorLabel must be need" }) }, LIST }
    local _, err = linkis.client(fs, { user = "a-b" }):submit(linkis.shell())
    assert.equals(50079, err.code)
    assert.matches("'%-'", err.hint)
  end)

  it("a list by creator finds no task whose label has another name, or creator, in it", function()
    local found = linkis.list { { taskID = 9, sourceJson = '{"taskclient.key":"k"}' } }
    for _, other in ipairs { {}, { user = "HADOOP" }, { execute_user = "alice" } } do
      fs:script { { match = "/list.*creator=", reply = linkis.list {} },
        { match = "/list", reply = found }, { match = "/submit", reply = linkis.accepted(10) } }
      local spec = linkis.shell("echo once", { key = "k", creator = "c" })
      for name, value in pairs(other) do spec[name] = value end
      assert.equals(9, assert(client:submit(spec)).id)
    end
  end)

  it("32: labels go out as an object, never as a list", function()
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    assert(client:submit(linkis.shell("x", { labels = {} })))
    assert(client:submit(linkis.shell("x", { labels = { route = "a" } })))
    for _, request in ipairs(fs:requests "/submit") do
      assert.matches('"labels":{', request.body)
      assert.equals("shell-1", linkis.body(request).labels.engineType)
      assert.matches('"variable":{}', request.body) -- empty ones too
    end
    assert.has_error(function() client:submit(linkis.shell("x", { labels = { "route:a" } })) end)
  end)

  it("33: a refused submit has left a Failed row, which is named", function()
    fs:script { linkis.no("/submit", "Shell code contains blacklisted code",
      { data = '{"errorMsg":{"errCode":50081}}' }),
      { match = "/list", reply = linkis.list { { taskID = 40, status = "Failed" },
        { taskID = 41, status = "Failed", sourceJson = '{"taskclient.key":"k1"}' } } } }
    local job, err = client:submit(linkis.shell("for", { key = "k1" }), { adopt = false })
    assert.is_nil(job)
    assert.same({ "service", "rejected", 50081, 41, "k1" },
      { err.kind, err.outcome, err.code, err.job_id, err.key })
    fs:script { linkis.no("/submit", "labels is null", { data = '{"errorMsg":{"errCode":20008}}' }),
      LIST }
    job, err = client:submit(linkis.shell()) -- refused before there was a row
    assert.is_nil(job)
    assert.is_nil(err.job_id)
  end)

  it("34: a sick server holds a submit longer than any other call may take", function()
    fs:script { { match = "/submit", { "read" }, { "hold", "submit" },
      { "send", linkis.accepted() } }, { match = "/list", { "stall" } } }
    client = linkis.client(fs, { timeout = 0.2 })
    local data, err = client:call("list", {}, { retry = false })
    assert.is_nil(data)
    assert.equals("timeout", err.kind)
    local ended
    taskclient.run(function()
      taskclient.spawn(function() ended = assert(client:submit(linkis.shell())) end)
      taskclient.sleep(0.5) -- well over the client's own timeout
      assert.is_nil(ended)
      fs:release "submit"
    end)
    assert.equals(12, ended.id)
    assert.equals(1, #fs:requests "/submit")
    assert.is_true(core.operations("linkis").submit.timeout >= 1200)
  end)

  it("35: a heart-beat creator's jobs are kept alive by /status, others are let be", function()
    for creator, wanted in pairs { LINKISCLI = true, linkiscli = true, BdpClient = true,
      taskclient = false, nightly = false } do
      fs:script { linkis.get({}, 3), linkis.get { status = "Succeed" },
        linkis.ok("/status", { status = "Running" }) }
      client:attach({ id = 12, creator = creator }):wait { timeout = 20, poll = 0.02 }
      local beats = fs:requests "/status"
      assert.equals(wanted, #beats > 0, creator)
      for _, beat in ipairs(beats) do assert.matches("taskID=12", beat.query) end
    end
  end)

  it("36: token headers go out by their exact names, never empty, never as cookies", function()
    fs:script { LIST }
    assert(client:call("list", {}))
    local bytes = fs:requests("/list")[1].bytes
    assert.matches("\r\nToken%-Code: canary%-5b1d%-token\r\n", bytes)
    assert.matches("\r\nToken%-User: hadoop\r\n", bytes)
    assert.is_nil(bytes:lower():find("\r\ncookie:", 1, true))
    assert.matches("^GET %S+ HTTP/1%.1\r\n", bytes)
    assert.has_error(function() linkis.client(fs, { token = "" }) end)
    assert.has_error(function() linkis.client(fs, { user = "" }) end)
    for _, text in ipairs { "", "code\n" } do
      local odd = linkis.client(fs, { token = function() return text end })
      fs:script { LIST }
      local data, err = odd:call("list", {})
      assert.is_nil(data)
      assert.equals("auth", err.kind)
      assert.equals(0, #fs:requests())
    end
  end)

  it("37: a cookie never stands beside a token", function()
    fs:script { { match = "/list", reply = fault.linkis('{"tasks":[],"totalPage":0}',
      { headers = { "Set-Cookie: " .. TICKET .. "=other; Path=/" } }) } }
    for _ = 1, 3 do assert(client:call("list", {})) end
    for _, request in ipairs(fs:requests "/list") do
      assert.is_nil(request.bytes:lower():find("\r\ncookie:", 1, true))
    end
    fs:script { KEY, login { TICKET .. "=t; Path=/" }, LIST }
    by_password():call("list", {})
    for _, request in ipairs(fs:requests()) do
      assert.is_nil(request.bytes:find("Token-", 1, true))
    end
  end)

  it("38: deletions of a cookie may stand before it, and after it in other replies", function()
    fs:script { KEY, login { TICKET .. "=; Max-Age=0; Path=/; Domain=127.0.0.1",
      TICKET .. "=; Max-Age=0; Path=/", TICKET .. "=ab+/cd==; Path=/" },
      { match = "/list", reply = fault.linkis('{"tasks":[],"totalPage":0}', { headers = {
        "Set-Cookie: dataworkcloud_inner_request=false; Path=/; Max-Age=0" } }) } }
    by_password()
    for _ = 1, 3 do assert(client:call("list", {})) end
    assert.equals(1, #fs:requests "/login")
    for _, request in ipairs(fs:requests "/list") do
      assert.matches("\r\nCookie: " .. TICKET .. "=ab%+/cd==\r\n", request.bytes)
    end
    -- the old name of servers up to 1.1.0
    fs:script { KEY, login { "bdp-user-ticket-id=old; Path=/" }, LIST }
    assert(by_password():call("list", {}))
    assert.matches("\r\nCookie: bdp%-user%-ticket%-id=old\r\n", fs:requests("/list")[1].bytes)
  end)

  it("39: 401 leads to one new login, and a storm of them to none", function()
    fs:script { KEY, login { TICKET .. "=t; Path=/" }, { match = "/list", times = 1,
      reply = NOBODY.reply }, LIST }
    assert(by_password():call("list", {}))
    assert.same({ 2, 2 }, { #fs:requests "/login", #fs:requests "/list" })
    fs:script { KEY, login { TICKET .. "=t; Path=/" }, { match = "/list", reply = NOBODY.reply } }
    by_password()
    for _ = 1, 20 do
      local data, err = client:call("list", {})
      assert.is_nil(data)
      assert.equals("auth", err.kind)
    end
    assert.is_true(#fs:requests "/login" <= 4)
    fs:script { NOBODY } -- a token is not tried again at all
    client = linkis.client(fs)
    local _, err = client:call("list", {})
    assert.equals("auth", err.kind)
    assert.equals(1, #fs:requests())
  end)

  it("40: userInfo says by a 400 that the session has ended", function()
    local ENDED = "login failed! reason: LoginExpireException: errCode: 11004 ,desc: expired"
    fs:script { KEY, login { TICKET .. "=t; Path=/" },
      linkis.no("/userInfo", ENDED, { times = 1 }), linkis.ok("/userInfo", { userName = "me" }),
      { match = "/heartbeat", times = 1, reply = NOBODY.reply }, linkis.ok "/heartbeat" }
    assert.equals("me", (assert(by_password():whoami())))
    assert.equals(2, #fs:requests "/login")
  end)
end)
