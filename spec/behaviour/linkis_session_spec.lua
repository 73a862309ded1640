-- Who we are: password, token, expiry, storms; and that no secret shows.

local servers = require "spec.support.server"
local taskclient = require "taskclient"

local function echo(client)
  return client:submit { code = "echo x", run_type = "shell", engine = "shell-1" }
end

describe("a Linkis session", function()
  local server
  setup(function() server = servers.linkis() end)

  it("is made at the first need, by password", function()
    if not server.password then return pending "no password for this server" end
    local client = assert(taskclient.linkis {
      url = server.url, user = server.user, password = server.password,
    })
    assert.is_false(client:has_session())
    assert.equals(server.user, assert(client:whoami()))
    assert.is_true(client:has_session())
    assert(client:logout())
    assert.is_false(client:has_session())
    assert(echo(client))
  end)

  it("may come from a function", function()
    if not server.password then return pending "no password for this server" end
    local asked = 0
    local client = assert(taskclient.linkis {
      url = server.url, user = server.user,
      password = function()
        asked = asked + 1
        return server.password
      end,
    })
    assert.equals(0, asked)
    assert(echo(client))
    assert.equals(1, asked)
  end)

  it("needs none with a token, which may come from a function", function()
    if not server.token then return pending "no token for this server" end
    for _, token in ipairs { server.token, function() return server.token end } do
      local client = assert(taskclient.linkis {
        url = server.url, user = server.user, token = token,
      })
      assert(echo(client))
      assert.is_false(client:has_session())
    end
  end)

  it("may be had for a token", function()
    if not server.token then return pending "no token for this server" end
    local client = assert(taskclient.linkis {
      url = server.url, user = server.user, token = server.token, token_login = true,
    })
    assert(echo(client))
    assert.is_true(client:has_session())
  end)

  it("is refused with kind auth, without showing the secret", function()
    for _, secret in ipairs { { password = "canary-secret" }, { token = "canary-secret" },
      { token = "canary-secret", token_login = true },
      { password = function() return "canary-secret" end } } do
      secret.url, secret.user = server.url, server.user
      local events = {}
      secret.log = function(_, event) events[#events + 1] = event end
      local client = assert(taskclient.linkis(secret))
      local _, err = client:list():read()
      assert.equals("auth", err.kind)
      local seen = {}
      local function walk(value)
        if type(value) == "table" and not seen[value] then
          seen[value] = true
          for name, inner in pairs(value) do
            walk(name)
            walk(inner)
          end
        end
        assert.is_nil(tostring(value):find("canary-secret", 1, true))
      end
      walk { err, events, tostring(client), require("taskclient.core").fields(client) }
    end
  end)

  it("needs a user beside a secret, and one secret only", function()
    servers.without_environment(function()
      assert.has_error(function() taskclient.linkis { url = server.url, token = "x" } end)
    end)
    assert.has_error(function()
      taskclient.linkis { url = server.url, user = "u", token = "x", password = "y" }
    end)
  end)
end)

describe("a Linkis session at its worst", function()
  local box
  setup(function() box = assert(require("taskclient.sandbox").start {}) end)
  teardown(function() box:stop() end)

  local function new(more)
    local options = { url = box.url, user = box.user, password = box.password }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(taskclient.linkis(options))
  end

  local function logins(client, levels)
    local n = 0
    for _, event in ipairs(levels) do n = n + (event.what == "login" and 1 or 0) end
    return n, client
  end

  it("is renewed out of sight when it has ended", function()
    local events = {}
    local client = new { log = function(_, event) events[#events + 1] = event end }
    local job = assert(echo(client))
    box:expire_sessions()
    assert(job:status())
    box:expire_sessions()
    assert(echo(client))
    assert.equals(3, (logins(client, events)))
  end)

  it("is renewed before its time, by the server's clock", function()
    local events = {}
    box:set { session_timeout = 1 }
    local client = new { log = function(_, event) events[#events + 1] = event end }
    assert(client:list():read())
    taskclient.sleep(1.1)
    assert(client:list():read())
    box:set { session_timeout = 3600 }
    assert.equals(2, (logins(client, events)))
    for _, event in ipairs(events) do assert.not_equals("failed", event.what) end
  end)

  it("is not made again and again where the server refuses each", function()
    local events = {}
    local client = new { log = function(_, event) events[#events + 1] = event end }
    assert(client:list():read())
    box:set { unauthorized = true }
    for _ = 1, 10 do
      local _, err = client:list():read()
      assert.equals("auth", err.kind)
    end
    box:set { unauthorized = false }
    assert.is_true((logins(client, events)) <= 4)
  end)

  it("is made once for many tasks at the same time", function()
    local events = {}
    local client = new { log = function(_, event) events[#events + 1] = event end }
    local done = 0
    taskclient.run(function()
      for _ = 1, 20 do
        taskclient.spawn(function()
          assert(client:call("list", { pageSize = 1 }))
          done = done + 1
        end)
      end
    end)
    assert.equals(20, done)
    assert.equals(1, (logins(client, events)))
  end)

  it("belongs to one client", function()
    local one, other = new(), new()
    assert(one:list():read())
    assert.is_false(other:has_session())
  end)

  it("has its password encrypted where the server wants that", function()
    box:set { rsa = true }
    local client = new()
    local ok, err = client:whoami()
    box:set { rsa = false }
    assert.equals(box.user, ok, err)
  end)
end)
