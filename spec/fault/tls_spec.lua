-- TLS is checked: who the server is, for which name, until when, how old the
-- protocol; and nothing is sent to a server that does not pass (F23).

local paths = require "spec.support.paths"
local process = require "spec.support.process"
local tls = require "spec.support.tls"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

describe("a TLS client", function()
  local ours, theirs
  setup(function() ours, theirs = tls.authority(), tls.authority() end)
  teardown(function()
    ours:stop()
    theirs:stop()
  end)

  it("reads from a server with a good certificate", function()
    local url = ours:serve(ours:certificate "good")
    local value, err = wire.read(wire.linkis(url, { ca_file = ours.ca }))
    assert(value, err)
    assert.is_true(value.ok)
  end)

  it("resumes its session where a call needs a connection of its own", function()
    local cert, key = ours:certificate("again", { names = "IP:127.0.0.1,DNS:localhost" })
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      local url = ours:serve(cert, key, { "-www", version })
      for _, place in ipairs { url, (url:gsub("127%.0%.0%.1", "localhost")) } do
        local client, said = wire.linkis(place, { ca_file = ours.ca }), {}
        for i = 1, 3 do
          local call = assert(client:start("get", { id = "7" }, { fresh = true }))
          wire.finish { call }
          said[i] = call:body():match "(%a+), TLSv1" or tostring(select(2, call:result()))
        end
        assert.same({ "New", "Reused", "Reused" }, said, place)
      end
    end
  end)

  local function refused(url, options)
    local value, err = wire.submit(wire.linkis(url, options))
    assert.is_nil(value)
    assert.equal("tls", err.kind, tostring(err.message))
    assert.equal("not_sent", err.outcome)
    return err
  end

  it("refuses an authority it does not know", function()
    local url = theirs:serve(theirs:certificate "stranger")
    refused(url, { ca_file = ours.ca })
    refused(url, {})
  end)

  it("refuses another host's certificate", function()
    refused(ours:serve(ours:certificate("other", { names = "DNS:other.example" })),
      { ca_file = ours.ca })
  end)

  it("refuses a name in the common name alone", function()
    refused(ours:serve(ours:certificate("127.0.0.1", { names = "DNS:x.example" })),
      { ca_file = ours.ca })
  end)

  it("refuses an expired certificate", function()
    local url = ours:serve(ours:certificate("old", { days = 0 })) -- good for this second
    wait.eventually(function()
      return not wire.read(wire.linkis(url, { ca_file = ours.ca }))
    end, 10, "its end")
    refused(url, { ca_file = ours.ca })
  end)

  it("refuses TLS 1.1", function()
    local cert, key = ours:certificate "ancient"
    local url = ours:serve(cert, key, { "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0" })
    refused(url, { ca_file = ours.ca })
  end)

  it("refuses TLS 1.1 also where the system would allow it", function()
    local cert, key = ours:certificate "allowed"
    local url = ours:serve(cert, key, { "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0" })
    local config = ours.dir .. "/weak.cnf"
    local file = assert(io.open(config, "w"))
    file:write("openssl_conf = start\n[start]\nssl_conf = ssl\n[ssl]\nsystem_default = weak\n"
      .. "[weak]\nMinProtocol = TLSv1.0\nCipherString = DEFAULT:@SECLEVEL=0\n")
    file:close()
    local code, out, err = process.run({ paths.lua, "-e", (
      "package.path = './lua/?.lua;./?.lua;' .. package.path "
      .. "package.cpath = './%s/%s/?.so;' .. package.cpath "
      .. "local wire = require 'spec.support.wire' "
      .. "local value, err = wire.read(wire.linkis('%s', { ca_file = '%s' })) "
      .. "print(value and 'connected' or err.kind)"):format(paths.build, paths.lua, url, ours.ca) },
      { env = { OPENSSL_CONF = config }, timeout = 30 })
    assert.equal(0, code, err)
    assert.equal("tls\n", out)
  end)

  it("speaks HTTP/1.1, though the server would rather do more", function()
    local cert, key = ours:certificate "modern"
    local url = ours:serve(cert, key, { "-alpn", "h2,http/1.1" })
    assert(wire.read(wire.linkis(url, { ca_file = ours.ca }), { timeout = 5 }))
  end)

  it("takes anybody's word only when told that it is insecure", function()
    local url = theirs:serve(theirs:certificate "anybody")
    assert(wire.read(wire.linkis(url, { insecure = true })))
  end)

  it("shows its own certificate where one is asked", function()
    local cert, key = ours:certificate "strict"
    local url = ours:serve(cert, key, { "-Verify", "1", "-CAfile", ours.ca,
                                        "-verify_return_error" })
    local value = wire.read(wire.linkis(url, { ca_file = ours.ca }))
    assert.is_nil(value)
    local mine, my_key = ours:certificate("me", { names = "DNS:me.example" })
    assert(wire.read(wire.linkis(url, { ca_file = ours.ca, cert = mine, key = my_key })))
  end)

  it("says which file it cannot use", function()
    local client, err = wire.core.client("linkis",
      { url = ours:serve(ours:certificate "unread"), ca_file = "/nonexistent/ca.pem" }, {})
    if client then err = select(2, wire.read(client)) end
    assert.truthy(tostring(err.message):find("ca.pem", 1, true), tostring(err.message))
  end)
end)
