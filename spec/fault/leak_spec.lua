-- Secrets go to the one server they are meant for and into no text (F22, F29,
-- F30): not along a redirect, not to a proxy or file the environment names.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wire = require "spec.support.wire"
local paths = { build = os.getenv "TASKCLIENT_BUILD" or "build" }

describe("a secret", function()
  local fs, trap
  setup(function() fs, trap = fault.start(), fault.start() end)
  teardown(function()
    fs:stop()
    trap:stop()
  end)
  before_each(function() trap:script {} end)

  local function opened() -- connections the trap has seen
    local n = 0
    for _, entry in ipairs(trap:journal()) do
      if entry.event == "open" then n = n + 1 end
    end
    return n
  end

  for _, status in ipairs { 301, 302, 303, 307, 308 } do
    it("does not follow a redirect " .. status, function()
      local to = "Location: " .. trap.url .. "/steal?canary-query=1"
      fs:script { default = { { "read" }, { "send", fault.http(status, "", { to }) } } }
      local client = wire.linkis(fs.url)
      for _, ask in ipairs { wire.read, wire.submit } do
        local value, err = ask(client)
        assert.is_nil(value)
        assert.equal(status, err.http_status)
        assert.is_nil(wire.texts(err):find("canary-query", 1, true))
      end
      assert.equal(2, #fs:requests())
      assert.equal(0, opened())
    end)
  end

  -- another process: the environment is read when libcurl starts
  local function elsewhere(code, env)
    local lua = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d.%d"
    local head = ("package.path = './lua/?.lua;./?.lua;' .. package.path "
      .. "package.cpath = './%s/%s/?.so;' .. package.cpath "
      .. "local wire = require 'spec.support.wire' local url = '%s' ")
      :format(paths.build, lua, fs.url)
    return process.run({ lua, "-e", head .. code }, { env = env, timeout = 30 })
  end

  it("does not go to a proxy of the environment", function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local code, _, err = elsewhere("assert(wire.read(wire.linkis(url)))", {
      http_proxy = trap.url, HTTP_PROXY = trap.url, all_proxy = trap.url, ALL_PROXY = trap.url,
      https_proxy = trap.url, no_proxy = false, NO_PROXY = false,
    })
    assert.equal(0, code, err)
    assert.equal(1, #fs:requests())
    assert.equal(0, opened())
  end)

  it("goes through a proxy only when told", function()
    trap:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local client = wire.linkis("http://gateway.invalid:9001", { proxy = trap.url })
    assert(wire.read(client))
    assert.equal(1, #trap:requests "^GET http://gateway.invalid:9001/api")
  end)

  it("is not taken from .netrc", function()
    local home = process.tempdir()
    local file = assert(io.open(home .. "/.netrc", "w"))
    file:write "machine 127.0.0.1 login canary password canary\n"
    file:close()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local code, _, err = elsewhere("assert(wire.read(wire.linkis(url)))", {
      HOME = home, NETRC = home .. "/.netrc",
    })
    os.execute("rm -rf " .. process.quote(home))
    assert.equal(0, code, err)
    assert.is_nil(fs:requests()[1].headers.authorization)
  end)

  it("goes out as it is, once, under its exact name", function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    assert(wire.read(wire.linkis(fs.url)))
    local request = fs:requests()[1]
    assert.truthy(request.bytes:find("\r\nToken-Code: " .. wire.TOKEN .. "\r\n", 1, true))
    assert.truthy(request.bytes:find("\r\nToken-User: hadoop\r\n", 1, true))
    assert.is_nil(request.headers.expect)
    assert.is_nil(request.headers.cookie)
    assert.equal("gzip", request.headers["accept-encoding"])
  end)

  it("that the server echoes is not in the error", function()
    local echo = "Token " .. wire.TOKEN .. " is not legal, password " .. wire.PASSWORD
    local replies = {
      fault.linkis(nil, { status = -1, http = 401, message = echo }),
      fault.linkis(nil, { status = 1, http = 200, message = echo }),
      fault.http(500, "<html>" .. echo .. "</html>"),
      fault.http(200, '{"method":"' .. echo),
      fault.http(302, "", { "Location: http://x/" .. wire.TOKEN }),
      "HTTP/1.1 500 " .. wire.TOKEN .. "\r\nContent-Length: 0\r\n\r\n",
    }
    for _, reply in ipairs(replies) do
      fs:script { default = { { "read" }, { "send", reply } } }
      local client = wire.linkis(fs.url, { user = "hadoop",
                                           password = wire.core.secret(wire.PASSWORD) })
      local value, err, call = wire.read(client)
      assert.is_nil(value)
      local text = wire.texts(err) .. wire.texts(call:info()) .. tostring(client) .. tostring(call)
      assert.is_nil(text:find("canary", 1, true), text)
    end
  end)

  it("prints as stars", function()
    local secret = wire.core.secret(wire.TOKEN)
    assert.equal("secret(***)", tostring(secret))
    assert.equal(wire.TOKEN, wire.core.reveal(secret))
  end)
end)
