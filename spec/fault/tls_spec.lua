-- TLS is checked: who the server is, for which name, until when, how old the
-- protocol; and nothing is sent to a server that does not pass (F23).

local tls = require "spec.support.tls"
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
    refused(ours:serve(ours:certificate("old", { days = -1 })), { ca_file = ours.ca })
  end)

  it("refuses TLS 1.1", function()
    local cert, key = ours:certificate "ancient"
    local url = ours:serve(cert, key, { "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0" })
    refused(url, { ca_file = ours.ca })
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
