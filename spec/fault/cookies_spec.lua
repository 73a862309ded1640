-- A client's session: the cookies of its one server are kept and go back to it,
-- in whatever form a gateway or a proxy before it has dressed them; and no cache
-- on the way answers in the server's place.

local fault = require "spec.support.fault"
local wire = require "spec.support.wire"

local HOST = "http://linkis.example.org:9001"

describe("a session cookie", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  -- A client that comes to the server by a name, as behind a proxy: by a loopback address
  -- libcurl takes plain HTTP for secure.
  local function named(url)
    return wire.linkis(url or HOST, { session = true, proxy = fs.url })
  end

  local function reply_with(cookies)
    local lines = {}
    for i, cookie in ipairs(cookies) do lines[i] = "Set-Cookie: " .. cookie end
    return { { "read" }, { "send", fault.linkis({}, { headers = lines }) } }
  end

  -- The cookies of the second request, after a first one that was answered with these.
  local function sent_back(client, ...)
    local rules = { default = { { "read" }, { "send", fault.linkis {} } } }
    for i, cookies in ipairs { ... } do
      local rule = reply_with(cookies)
      rule.times = 1
      rules[i] = rule
    end
    fs:script(rules)
    for _ = 1, #rules do assert(wire.read(client)) end
    assert(wire.read(client))
    local requests = fs:requests()
    return requests[#requests].headers.cookie
  end

  for what, attributes in pairs {
    ["a plain one"] = "; Path=/; HttpOnly",
    ["Domain of the server's parent"] = "; Domain=.example.org; Path=/",
    ["Domain of the machine behind the proxy"] = "; Domain=gateway.internal; Path=/",
    ["Domain that is an address"] = "; Path=/; Domain=10.2.3.4",
    ["Domain that is a public suffix"] = "; Domain=.org; Path=/",
    ["Domain with a port"] = "; Domain=linkis.example.org:9001; Path=/",
    ["Secure, where TLS ended at a proxy"] = "; Path=/; Secure; HttpOnly; SameSite=None",
    ["Secure and a foreign Domain"] = "; secure;domain=.other.example;path=/",
    ["a path before a proxy's rewriting"] = "; Path=/dss/linkis",
    ["a foreign Domain without a path"] = "; Domain=other.example",
    ["a foreign Domain and an age"] = "; Domain=other.example; Max-Age=7200; Path=/",
    ["a foreign Domain and a date"] =
      "; Domain=other.example; Expires=Wed, 01 Jan 2200 10:00:00 GMT; Path=/",
    ["a date that is none"] = "; Domain=other.example; Expires=tomorrow; Path=/",
  } do
    it("goes back to the client's only server: " .. what, function()
      local client = named()
      assert.equal("ticket=canary==", sent_back(client, { "ticket=canary==" .. attributes }))
      assert.is_true(client:has_session())
      assert.equal("ticket", client:session_cookies()[1])
      client:forget_session()
      assert.is_false(client:has_session())
      client:close()
    end)
  end

  it("is replaced by the next one, and never sent twice", function()
    local client = named()
    local foreign = "; Domain=other.example; Secure; Path=/"
    assert.equal("ticket=second", sent_back(client, { "ticket=first" .. foreign },
      { "ticket=second" .. foreign }))
    client:close()
  end)

  for what, ending in pairs {
    ["an age"] = "; Max-Age=0", ["a date"] = "; Expires=Thu, 01 Jan 1970 00:00:10 GMT",
  } do
    it("ends when the server ends it by " .. what, function()
      local client = named()
      local foreign = "; Domain=other.example; Path=/"
      assert.is_nil(sent_back(client, { "ticket=first" .. foreign },
        { "ticket=" .. foreign .. ending }))
      assert.is_false(client:has_session())
      client:close()
    end)
  end

  it("of a part of the API goes to that part alone, as it says", function()
    local client = named()
    assert.equal("a=1", sent_back(client, {
      "a=1; Domain=x.example; Path=/api/rest_j/v1/jobhistory",
      "b=2; Domain=x.example; Path=/api/rest_j/v1/filesystem",
    }))
    client:close()
  end)

  it("does not leave by an address of its own either", function()
    fs:script { default = reply_with { "ticket=canary; Domain=other.example; Path=/" } }
    local client = wire.linkis(fs.url, { session = true })
    assert(wire.read(client))
    assert(wire.read(client))
    assert.equal("ticket=canary", fs:requests()[2].headers.cookie)
    client:close()
  end)

  for what, cookie in pairs {
    ["a name for TLS alone"] = "__Secure-ticket=1; Secure; Path=/",
    ["a name for one host with TLS"] = "__Host-ticket=1; Secure; Path=/",
    ["too much text"] = "ticket=" .. ("x"):rep(9000) .. "; Path=/",
  } do
    it("that cannot be kept is named where the login is missed: " .. what, function()
      local rule = reply_with { cookie }
      rule.times = 1
      fs:script { rule, default = { { "read" }, { "send", fault.linkis(nil,
        { status = -1, http = 401, message = "please login" }) } } }
      local client = named()
      assert(wire.read(client))
      local _, err = wire.read(client)
      assert.equal("auth", err.kind)
      local name = cookie:match "^[^=]+"
      assert.truthy(err.message:find("cookie '" .. name .. "' could not be kept", 1, true),
        err.message)
      client:forget_session()
      _, err = wire.read(client)
      assert.is_nil(err.message:find("cookie", 1, true))
      client:close()
    end)
  end

  it("is not shown, however it was dressed", function()
    local client = named()
    sent_back(client, { "ticket=canary-cookie-1234; Domain=other.example; Secure" })
    assert.is_nil(client:redact("a canary-cookie-1234 b"):find("canary", 1, true))
    client:close()
  end)

  it("of odd forms does no harm", function()
    local client = named()
    sent_back(client, { "", "=", ";", "a", "=x; Domain=y", "a=\tb; Domain=z",
      "b=" .. ("x"):rep(5000),
      "c=" .. ("y"):rep(9000) .. "; Domain=q.example", "d=1; Path", "e=1; Path=; Max-Age=;Expires=",
      "f=1; Expires=" .. ("z"):rep(200), ("g"):rep(4000) .. "=1; Domain=w.example", "h=1;;;;",
      "i=1; Max-Age=99999999999999999999; Domain=w.example" })
    assert(wire.read(client))
    client:close()
  end)
end)

describe("a cache on the way", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("is told with every request to ask the server", function()
    fs:script { default = { { "read" }, { "send", fault.linkis(wire.ACCEPTED) } } }
    local client = wire.linkis(fs.url)
    assert(wire.read(client))
    assert(wire.submit(client))
    assert(wire.call(client, "userInfo"))
    client:close()
    local lindorm = wire.lindorm(fs.url)
    wire.call(lindorm, "info", { id = "p" })
    wire.call(lindorm, "create", { src = "a", dst = "b", readerConfig = "{}", writerConfig = "{}",
                                   instances = 1 })
    lindorm:close()
    assert.equal(5, #fs:requests())
    for _, request in ipairs(fs:requests()) do
      local _, count = request.bytes:lower():gsub("\r\ncache%-control: no%-cache\r\n", "")
      assert.equal(1, count, request.bytes)
    end
  end)

  it("hears the user's own word instead, where there is one", function()
    fs:script { default = { { "read" }, { "send", fault.linkis {} } } }
    local client = wire.linkis(fs.url, { headers = { { "cache-control", "max-age=3" } } })
    assert(wire.read(client))
    assert.equal("max-age=3", fs:requests()[1].headers["cache-control"])
    local _, count = fs:requests()[1].bytes:lower():gsub("cache%-control", "")
    assert.equal(1, count)
    client:close()
  end)
end)
