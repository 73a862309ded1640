-- Acting for others, and what a pinned version means: proxy users, the execute
-- user of an admin token, answers of old logins.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local taskclient = require "taskclient"

describe("acting for another user", function()
  local box
  setup(function()
    box = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" }, admin = "hadoop",
      tokens = { ["ADMIN-CODE"] = "*", PLAIN = "*" },
    })
  end)
  teardown(function() box:stop() end)

  it("is done by a proxy user's session", function()
    box:set { proxy_user = true }
    local client = assert(taskclient.linkis { url = box.url, user = "hadoop",
      password = "hadoop", proxy_user = "alice" })
    local job = assert(client:submit(linkis.shell "echo as alice"))
    box:expire_sessions() -- the new session is hers too
    local again = assert(client:submit(linkis.shell "echo as alice"))
    -- job history looks at the user who logged in, so an administrator sees them
    for _, id in ipairs { job.id, again.id } do
      assert.equals("alice", assert(client:attach(id):info()).executeUser)
    end
    box:set { proxy_user = false }
    local refused = assert(taskclient.linkis { url = box.url, user = "hadoop",
      password = "hadoop", proxy_user = "alice" })
    local none, err = refused:submit(linkis.shell())
    assert.is_nil(none)
    assert.same({ "auth", "not_sent" }, { err.kind, err.outcome })
    assert.has_error(function()
      taskclient.linkis { url = box.url, user = "hadoop", token = "PLAIN", proxy_user = "alice" }
    end)
  end)

  it("is done by execute_user beside an admin token", function()
    local client = assert(taskclient.linkis { url = box.url, user = "hadoop",
      token = "ADMIN-CODE", execute_user = "alice" })
    local job = assert(client:submit(linkis.shell "sleep 60"))
    local info = assert(job:info())
    assert.same({ "hadoop", "alice" }, { info.umUser, info.executeUser })
    assert.is_true(assert(job:abort()).killed)
    -- any other token submits as its own user, and says so by a clear error
    local plain = assert(taskclient.linkis { url = box.url, user = "hadoop", token = "PLAIN" })
    local none, err = plain:submit(linkis.shell("true", { execute_user = "alice" }))
    assert.is_nil(none)
    assert.same({ 50080, "rejected" }, { err.code, err.outcome })
    assert.matches("userCreator", err.hint)
  end)
end)

describe("a login", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local LIST = { match = "/list", reply = linkis.list {} }

  -- a client whose password comes from a vault, which is closed
  local function of_vault()
    fs:script { { match = "/publicKey", reply = fault.boot(404) },
      linkis.ok("/login", { userName = "hadoop" }), LIST }
    local vault = { closed = true }
    return linkis.client(fs, { timeout = 20, password = function()
      if vault.closed then error "the vault is closed" end
      return "pw"
    end }), vault
  end

  it("that an error of the caller's function has cut short is made anew", function()
    local client, vault = of_vault()
    local _, err = client:call("list", {})
    assert.equals("auth", err.kind)
    assert.matches("the vault is closed", err.message)
    vault.closed = false
    local cursor = client:list {}
    local started = core.now()
    assert.same({}, linkis.all(cursor))
    assert.is_true(core.now() - started < 100) -- the login was not waited for
    client:close()
  end)

  it("that was cut short in the main chunk is nothing for a task to wait for", function()
    local client, vault = of_vault()
    local function list() return client:call("list", {}) end
    assert.is_nil((list()))
    vault.closed = false
    local started = core.now()
    assert.is_table((taskclient.run(list)))
    assert.is_true(core.now() - started < 100)
    client:close()
  end)

  it("that raises fails all who waited for it, each in a value, and is made anew", function()
    fs:script { { match = "/publicKey", reply = fault.boot(404) },
      linkis.ok("/login", { userName = "hadoop" }), LIST }
    local closed = true
    local client = linkis.client(fs, { timeout = 20, password = function()
      taskclient.sleep(0.05)
      if closed then
        closed = false
        error "the vault is closed"
      end
      return "pw"
    end })
    local function list() return client:call("list", {}) end
    taskclient.run(function()
      local first, second = taskclient.spawn(list), taskclient.spawn(list)
      for _, task in ipairs { first, second } do
        local data, err = taskclient.join(task)
        assert.is_nil(data)
        assert.equals("auth", err.kind)
      end
      assert.is_table((list()))
    end)
    client:close()
  end)

  it("says why the caller's function had no password", function()
    fs:script { { match = "/publicKey", reply = fault.boot(404) }, LIST }
    local function sealed() return nil, "the vault is sealed" end
    local client = linkis.client(fs, { password = sealed })
    local _, err = client:call("list", {})
    assert.equals("auth", err.kind)
    assert.matches("password: the function gave no text: the vault is sealed", err.message)
    client:close()
  end)

  it("by a token that cannot be looked up for now is tried again", function()
    local away = "Token Authentication Failed, token: x，tokenUser: u, reason: errCode: %d ,desc: x"
    for _, code in ipairs { 15200, 15206 } do
      fs:script { linkis.no("/get", away:format(code), { status = -1, http = 401, times = 4 }),
        linkis.get { status = "Succeed" } }
      local client = linkis.client(fs)
      assert.equals("succeeded", (client:attach(12):wait { timeout = 20, poll = 0.01 }))
      fs:script { linkis.no("/get", away:format(code) .. " Caused by:X{errCode=15204, y}",
        { status = -1, http = 401 }) }
      local state, err = client:attach(12):wait { timeout = 20, poll = 0.01 }
      assert.is_nil(state)
      assert.same({ "auth", 15204 }, { err.kind, err.code })
      client:close()
    end
  end)

  it("whose reply is cut is sent again, and the submit behind it goes out once", function()
    local reply = fault.linkis({ userName = "hadoop" }, { headers = {
      "Set-Cookie: bdp-user-ticket-id=a; Path=/" } })
    fs:script { { match = "/publicKey", reply = fault.boot(404) },
      { match = "/login", times = 2, { "read" }, { "send", reply:sub(1, -9) }, { "rst" } },
      { match = "/login", reply = reply }, { match = "/submit", reply = linkis.accepted() } }
    local client = linkis.client(fs, { password = "pw" })
    assert(client:submit(linkis.shell()))
    assert.same({ 3, 1 }, { #fs:requests "/login", #fs:requests "/submit" })
    client:close()
  end)

  for name, steps in pairs {
    reset = { { "read" }, { "rst" } }, ["503"] = { { "read" }, { "send", fault.boot(503) } },
  } do
    it("that cannot be had for now ends no wait, and no log that is followed: " .. name, function()
      local function script()
        fs:script { { match = "/publicKey", reply = fault.boot(404) },
          { match = "/login", times = 4, steps[1], steps[2] },
          { match = "/login", reply = fault.linkis { userName = "hadoop" } },
          linkis.get { status = "Succeed" }, linkis.open_log { "a" } }
        return linkis.client(fs, { password = "pw" })
      end
      local client = script()
      assert.equals("succeeded", (client:attach(12):wait { timeout = 60, poll = 0.01 }))
      client:close()
      client = script()
      assert.same({ "a" }, linkis.all(client:attach(12):logs { follow = true, poll = 0.01 }))
      client:close()
    end)
  end

  it("that was made before is none to fail at", function()
    local cookie = { headers = { "Set-Cookie: bdp-user-ticket-id=a; Path=/" } }
    for _, reply in ipairs {
      fault.linkis({ redirectToIndex = true }, { status = 1, http = 400, headers = cookie.headers,
        message = "hadoopAlready logged in, please log out before signing in" }),
      fault.linkis({ userName = "hadoop" }, { headers = cookie.headers,
        message = "hadoop already logged in, please log out" }),
    } do
      fs:script { { match = "/publicKey", reply = fault.boot(404) },
        { match = "/login", reply = reply }, LIST,
        { match = "/submit", reply = linkis.accepted() } }
      local client = linkis.client(fs, { password = "pw" })
      assert(client:call("list", {}))
      assert(client:submit(linkis.shell()))
      assert.equals("hadoop-taskclient", linkis.body(fs:requests("/submit")[1]).labels.userCreator)
    end
  end)

  it("is made again before its time is over, by the server's rule", function()
    fs:script { linkis.ok("/publicKey", { enableLoginEncrypt = false }), LIST,
      { match = "/login", reply = fault.linkis({ userName = "hadoop", sessionTimeOut = 300 },
        { headers = { "Set-Cookie: linkis_user_session_ticket_id_v1=a; Path=/" } }) } }
    local client = linkis.client(fs, { password = "pw" })
    assert(client:call("list", {}))
    assert(client:call("list", {}))
    assert.equals(1, #fs:requests "/login")
    taskclient.sleep(0.31) -- the session's own time
    assert(client:call("list", {}))
    assert.equals(2, #fs:requests "/login")
  end)

  it("with an encrypted password asks for the key each time", function()
    local KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr3Vq0yj0vxkQ"
    fs:script { linkis.ok("/publicKey", { enableLoginEncrypt = true, publicKey = KEY }), LIST }
    local client = linkis.client(fs, { password = "canary-password" })
    local data, err = client:call("list", {})
    assert.is_nil(data)
    assert.matches("public key", err.message)
    assert.equals(0, #fs:requests "/login") -- never sent in the open instead
    assert.is_nil(tostring(err):find("canary", 1, true))
  end)

  it("with an encrypted password needs luaossl, and says so", function()
    fs:script { linkis.ok("/publicKey", { enableLoginEncrypt = true, publicKey = "MIIB" }), LIST }
    local loaded, preload = package.loaded["openssl.pkey"], package.preload["openssl.pkey"]
    package.loaded["openssl.pkey"] = nil
    package.preload["openssl.pkey"] = function() error "not found" end
    local data, err = linkis.client(fs, { password = "canary-password" }):call("list", {})
    package.loaded["openssl.pkey"], package.preload["openssl.pkey"] = loaded, preload
    assert.is_nil(data)
    assert.equals("unsupported", err.kind)
    assert.matches("lua%-luaossl", tostring(err))
    assert.is_false(err.retryable)
    assert.equals(0, #fs:requests "/login")
  end)
end)

describe("a pinned version", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("saves the client its first tries", function()
    fs:script { { match = "/execute", reply = linkis.accepted() }, linkis.get(),
      { match = "/list", reply = linkis.list { { taskID = 12 }, { taskID = 13 } } } }
    local client = linkis.client(fs, { version = "0.11" })
    local one = assert(client:submit(linkis.shell()))
    assert.equals(0, #fs:requests "/submit")
    local two = client:attach { id = 13, created = core.time() }
    assert.equals("running", assert(client:states { one, two })[2].state)
    assert.equals(0, #fs:requests "/list%-taskids")
    assert.has_error(function() linkis.client(fs, { version = "newest" }) end)
  end)

  -- a 0.x server: it has /execute, for POST alone, and no /submit
  local function old_server(absent)
    return { { match = "/submit", reply = absent },
      { match = "^GET .*/execute", reply = fault.boot(405) },
      { match = "/execute", reply = linkis.accepted() } }
  end

  local POST, ABSENT = "^POST .*", { fault.boot(404), fault.http(404, "<html>Error 404</html>"),
    fault.http(404, "") }

  it("is not needed: a server without /submit gets an /execute", function()
    for _, absent in ipairs(ABSENT) do
      local client = linkis.client(fs)
      fs:script(old_server(absent))
      assert.equals(12, assert(client:submit(linkis.shell())).id)
      assert.equals(12, assert(client:submit(linkis.shell())).id)
      assert.same({ 1, 2 }, { #fs:requests(POST .. "/submit"), #fs:requests(POST .. "/execute") })
      client:close()
      -- where neither is there the URL is wrong, and nothing is learnt from that
      client = linkis.client(fs)
      fs:script { { match = POST .. "/submit", times = 1, reply = absent },
        { match = POST .. "/submit", reply = linkis.accepted() },
        { match = "/submit", reply = absent }, { match = "/execute", reply = absent } }
      local job, err = client:submit(linkis.shell())
      assert.is_nil(job)
      assert.same({ "http", "submit", "rejected" }, { err.kind, err.operation, err.outcome })
      assert.equals(0, #fs:requests(POST .. "/execute"))
      assert.equals(12, assert(client:submit(linkis.shell())).id)
      client:close()
    end
    local client = linkis.client(fs) -- a server's own words are no such sign
    fs:script { { match = "/list", reply = linkis.list {} }, linkis.no("/submit", "no engine",
      { http = 404 }) }
    assert.is_nil((client:submit(linkis.shell())))
    assert.equals(0, #fs:requests "/execute")
    client:close()
  end)

  -- Whatever stands in place of the answer to a submit that was taken: a second POST under
  -- another name would run the work twice.
  local PAGES = { page = fault.http(404, "<html>404 page not found</html>"),
    none = fault.http(404, ""),
    foreign = fault.http(404, '{"code":404,"msg":"no route"}'),
    moved = fault.http(307, "", { "Location: /login" }), html = fault.http(200, "<html>hi</html>") }
  for name, page in pairs(PAGES) do
    it("does not make a second POST of a page in place of /submit: " .. name, function()
      local client = linkis.client(fs)
      fs:script { { match = POST .. "/submit", reply = page },
        { match = "^GET .*/submit", reply = fault.boot(405) }, -- it is there
        { match = "/list", times = 1, reply = linkis.list {} },
        { match = "/list", reply = linkis.list {
          { taskID = 31, sourceJson = '{"taskclient.key":"once"}' } } },
        { match = "/execute", reply = linkis.accepted(32) } }
      local job = assert(client:submit(linkis.shell("x", { key = "once" }), { adopt = false }))
      assert.equals(31, job.id)
      assert.same({ 1, 0 }, { #fs:requests(POST .. "/submit"), #fs:requests "/execute" })
      client:close()
    end)
  end

  it("does not take an ingress without a route for an old server", function()
    local client = linkis.client(fs)
    local page = fault.http(404, "<html>default backend - 404</html>")
    fs:script { { match = POST .. "/execute", reply = linkis.accepted(32) }, default = {
      { "read" }, { "send", page } } }
    local job, err = client:submit(linkis.shell())
    assert.is_nil(job)
    assert.same({ "http", "rejected" }, { err.kind, err.outcome })
    assert.equals(0, #fs:requests(POST .. "/execute"))
    client:close()
  end)

  it("knows what each brought", function()
    local fields = require("taskclient.linkis.version").fields
    assert.same({ null_exact = true, batch = "ids" }, fields "1.8.0")
    assert.same({ null_exact = true, batch = "list" }, fields "1.6")
    assert.same({ null_exact = false, batch = "list" }, fields "1.4")
    assert.same({ null_exact = false, batch = "list", no_resources = true,
      kill_jobs_plain = true }, fields "1.1.0")
    assert.is_true(fields "0.11".old)
    assert.is_nil(fields "published")
  end)
end)
