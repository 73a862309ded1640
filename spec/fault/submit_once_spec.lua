-- One submit is one POST on the wire, whatever the connection does, and its
-- end says what is known of it (F1 to F4).

local fault = require "spec.support.fault"
local wire = require "spec.support.wire"

local TORTURE = os.getenv "TASKCLIENT_TORTURE"
local REPLY = fault.linkis(wire.ACCEPTED)

describe("a submit", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  it("is one POST, and gives the ids", function()
    fs:script { { match = "/submit", reply = REPLY } }
    local data = assert(wire.submit(wire.linkis(fs.url)))
    assert.equal(42, data.taskID)
    assert.equal(1, #fs:requests "^POST /api/rest_j/v1/entrance/submit HTTP/1.1$")
  end)

  it("of megabytes does not wait for a word of the server's", function()
    fs:script { { match = "/submit", reply = REPLY } }
    local client = wire.linkis(fs.url)
    assert(wire.call(client, "submit", { body = ('{"code":"%s"}'):format(("x"):rep(3000000)) }))
    assert.equal(1, #fs:requests "^POST")
    assert.is_nil(fs:requests()[1].headers.expect)
  end)

  it("never goes out on a connection that was used before", function()
    fs:script { { match = "/submit", reply = REPLY }, { match = "^GET", reply = fault.linkis {} } }
    local client = wire.linkis(fs.url)
    assert(wire.read(client))
    assert(wire.submit(client))
    assert(wire.submit(client))
    local posts = fs:requests "^POST"
    assert.equal(2, #posts)
    assert.equal(1, posts[1].request)
    assert.equal(1, posts[2].request)
  end)

  for _, how in ipairs { "fin", "rst" } do
    it("is one POST when the line dies before the first byte of the reply: " .. how, function()
      fs:script {
        { match = "^GET", reply = fault.linkis {} },
        { match = "^POST", { "read" }, { how } },
      }
      local client = wire.linkis(fs.url)
      assert(wire.read(client))
      local value, err = wire.submit(client)
      assert.is_nil(value)
      assert.equal("unknown", err.outcome)
      assert.equal(1, #fs:requests "^POST")
    end)

    it("is one POST when the kept connection dies with the next request: " .. how, function()
      fs:script {
        { match = "^GET", { "read" }, { "send", fault.linkis {} }, { "wait", 5 }, { how } },
        { match = "^POST", { "read" }, { how } },
      }
      local client = wire.linkis(fs.url)
      assert(wire.read(client))
      wire.submit(client)
      assert.equal(1, #fs:requests "^POST")
    end)
  end

  it("that no server heard is not_sent", function()
    local dead = fault.start()
    local url = dead.url
    dead:stop()
    local value, err = wire.submit(wire.linkis(url))
    assert.is_nil(value)
    assert.equal("network", err.kind)
    assert.equal("not_sent", err.outcome)
  end)

  it("is rejected by a complete no, unknown by anything less", function()
    local cases = {
      { fault.linkis(nil, { status = 1, http = 400, message = "no such engine" }), "rejected" },
      { fault.linkis(nil, { status = 1, message = "no such engine" }), "rejected" },
      { fault.linkis(nil, { status = -1, http = 401, message = "please login" }), "rejected" },
      { fault.http(429, "slow down"), "rejected" },
      { fault.http(408, "<html>timeout</html>"), "unknown" }, -- it may have been acted upon
      { fault.boot(408), "unknown" },
      { fault.linkis(nil, { status = 401, message = "please login" }), "rejected" },
      { fault.http(200, '{"status":0,"success":false,"message":"no","data":{"taskID":5}}'),
        "rejected" },
      { fault.boot(404, "/api/rest_j/v1/entrance/submit"), "rejected" },
      { fault.http(502, "<html>bad gateway</html>"), "unknown" },
      { fault.http(503, ""), "unknown" },
      { fault.boot(500), "unknown" },
      { fault.http(200, ""), "unknown" },
      { fault.http(200, "<html>login</html>"), "unknown" },
      { fault.http(200, '{"method":"/api","status":0,'), "unknown" },
      { fault.http(200, fault.envelope(wire.ACCEPTED) .. "x"), "unknown" },
    }
    for _, case in ipairs(cases) do
      fs:script { { match = "^POST", reply = case[1] } }
      local value, err = wire.submit(wire.linkis(fs.url))
      assert.is_nil(value, case[1])
      assert.equal(case[2], err.outcome, case[1])
      assert.is_false(err.retryable, case[1]) -- whatever may be done about it, not the same again
      assert.equal(1, #fs:requests "^POST")
    end
  end)

  it("that is cancelled in flight is unknown", function()
    fs:script { default = { { "stall" } } }
    local call = wire.start_submit(wire.linkis(fs.url))
    while #fs:requests "^POST" == 0 do wire.core.step(0.01) end
    call:cancel()
    wire.finish { call }
    local value, err = call:result()
    assert.is_nil(value)
    assert.equal("interrupted", err.kind)
    assert.equal("unknown", err.outcome)
  end)

  -- each cut has a client and a path of its own, so that all run side by side
  local function cut_all(cuts, how, script_of, check)
    local script, calls, clients = {}, {}, {}
    for i, k in ipairs(cuts) do script[i] = script_of(k, "^POST /cut" .. k .. "/") end
    fs:script(script)
    for i, k in ipairs(cuts) do
      clients[i] = wire.linkis(fs.url .. "/cut" .. k)
      calls[i] = wire.start_submit(clients[i], { timeout = how == "stall" and 1 or 20 })
    end
    wire.finish(calls)
    local seen = {}
    for _, entry in ipairs(fs:requests "^POST") do
      local k = tonumber(entry.path:match "^/cut(%d+)/")
      seen[k] = (seen[k] or 0) + 1
    end
    for i, k in ipairs(cuts) do
      local value, err = calls[i]:result()
      assert.equal(1, seen[k], "POSTs of the cut at " .. k)
      check(k, value, err)
      clients[i]:close()
    end
  end

  local function places(length)
    local cuts, stride = {}, TORTURE and 1 or 7
    for k = 0, length, stride do cuts[#cuts + 1] = k end
    for k = length - 3, length do if k % stride ~= 0 then cuts[#cuts + 1] = k end end
    return cuts
  end

  -- at most 40 at once: each is a connection of its own
  local function in_groups(cuts, fn)
    for from = 1, #cuts, 40 do
      local group = {}
      for i = from, math.min(from + 39, #cuts) do group[#group + 1] = cuts[i] end
      fn(group)
    end
  end

  local CHUNKED = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n" .. ("%x\r\n%s\r\n0\r\n\r\n"):format(#fault.envelope(wire.ACCEPTED),
    fault.envelope(wire.ACCEPTED))

  for framing, reply in pairs { length = REPLY, chunked = CHUNKED } do
    local _, whole = reply:find "}}" -- the document's last byte; a yes before it would be a guess
    for _, how in ipairs { "fin", "rst", "stall" } do
      it(("whose %s reply is cut at any byte by %s is unknown, never lost, never twice")
        :format(framing, how), function()
        in_groups(places(#reply), function(group)
          cut_all(group, how, function(k, match)
            return { match = match, { "read" }, { "send", reply:sub(1, k) }, { how } }
          end, function(k, value, err)
            if value then
              assert.is_true(k >= whole, "cut at " .. k)
              assert.equal(42, value.taskID)
            else
              assert.is_true(k < #reply, "cut at " .. k)
              assert.equal("unknown", err.outcome, "cut at " .. k)
            end
          end)
        end)
      end)
    end
  end

  for _, how in ipairs { "fin", "rst", "stall" } do
    it("whose request is cut at any byte by " .. how .. " is one POST at most", function()
      fs:script { { match = "/submit", reply = REPLY } }
      assert(wire.submit(wire.linkis(fs.url)))
      local length = #fs:requests("^POST")[1].bytes
      for _, k in ipairs(places(length - 1)) do
        if how ~= "stall" or TORTURE or k % 21 == 0 then
          fs:script { { accept = true, { "read", k }, { how } } }
          local client = wire.linkis(fs.url)
          local value, err = wire.submit(client, { timeout = how == "stall" and 0.2 or 20 })
          assert.is_nil(value)
          local posts = fs:requests()
          assert.is_true(#posts <= 1)
          if #posts > 0 then assert.equal("unknown", err.outcome, "cut at " .. k) end
          client:close()
        end
      end
    end)
  end
end)

describe("a Lindorm call that changes something", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local ARGS = {
    create = { src = "hdfs", dst = "ld", readerConfig = "{}", writerConfig = "{}", instances = 1 },
    abort = { id = "p-1" }, retry = { id = "p-1" }, delete = { id = "p-1" },
  }

  for operation, args in pairs(ARGS) do
    it("is one request when the line dies: " .. operation, function()
      fs:script {
        { match = "/info ", reply = fault.lindorm { data = { state = "RUNNING" } } },
        { match = "/" .. operation .. " ", { "read" }, { "rst" } },
      }
      local client = wire.lindorm(fs.url)
      wire.call(client, "info", { id = "p-1" })
      local value, err = wire.call(client, operation, args)
      assert.is_nil(value)
      assert.equal("unknown", err.outcome)
      assert.equal(1, #fs:requests("/" .. operation .. " "))
    end)
  end
end)
