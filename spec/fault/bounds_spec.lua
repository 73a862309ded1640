-- What a server sends cannot take more memory or time than it was given, and
-- the client works on afterwards (F12, F13, F14, F16).

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local unpack = table.unpack or unpack -- luacheck: ignore 113
local GOOD = fault.linkis { ok = true }
local MIB = 1024 * 1024

local function peak_rss() -- KiB; nil where /proc has none, or a sanitizer keeps what is freed
  local file = not os.getenv "ASAN_OPTIONS" and io.open "/proc/self/status"
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return tonumber(text:match "VmHWM:%s*(%d+)")
end

describe("a bounded client", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function() client = wire.linkis(fs.url, { max_body = 4 * MIB }) end)
  after_each(function() client:close() end)

  -- the fault, then a good reply: the same client must take it
  local function against(steps, kind, limit)
    fs:script { { times = 1, unpack(steps) },
                default = { { "read" }, { "send", GOOD } } }
    local before, started = peak_rss(), wait.now()
    local value, err = wire.read(client, { timeout = 20 })
    assert.is_nil(value)
    assert.equal(kind, err.kind, tostring(err.message))
    assert.is_true(wait.now() - started < (limit or 5))
    if before then
      local grown = peak_rss() - before
      assert.is_true(grown < (4 + 8) * 1024, "grew by " .. grown .. " KiB")
    end
    assert.is_true(assert(wire.read(client)).ok)
  end

  it("refuses an announced body over the limit at once", function()
    against({ { "read" }, { "send", "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n{" },
              { "stall" } }, "too_large", 2)
  end)

  it("names the limit, were it beyond 32 bits", function()
    local large = wire.linkis(fs.url, { max_body = 2 ^ 32 + 1 })
    fs:script { default = { { "read" }, { "send", "HTTP/1.1 200 OK\r\n"
      .. "Content-Length: 10737418240\r\n\r\n{" }, { "stall" } } }
    local _, err = wire.read(large)
    assert.equal("too_large", err.kind)
    assert.is_truthy(err.message:find("over 4294967297 bytes", 1, true))
  end)

  it("stops an endless body", function()
    against({ { "read" }, { "send", "HTTP/1.1 200 OK\r\n\r\n" },
              { "repeat", ("x"):rep(65536), 100000 } }, "too_large")
  end)

  it("stops an endless chunked body", function()
    against({ { "read" }, { "send", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
              { "repeat", "10000\r\n" .. (" "):rep(65536) .. "\r\n", 100000 } }, "too_large")
  end)

  it("stops a gzip bomb by what it unpacks to", function()
    local pipe = assert(io.popen("head -c 67108864 /dev/zero | gzip -9 | od -An -v -tx1", "r"))
    local bomb = pipe:read("*a"):gsub("%s+", ""):gsub("%x%x", function(x)
      return string.char(tonumber(x, 16))
    end)
    pipe:close()
    assert.is_true(#bomb > 60000 and #bomb < 100000)
    against({ { "read" }, { "send", fault.http(200, bomb, { "Content-Encoding: gzip" }) } },
      "too_large", 2)
    -- and by how much it was packed, long before the limit
    local large = wire.linkis(fs.url, { max_body = 2 ^ 30 })
    fs:script { default = { { "read" },
                            { "send", fault.http(200, bomb, { "Content-Encoding: gzip" }) } } }
    local _, err, call = wire.read(large)
    assert.equal("too_large", err.kind)
    assert.is_true(call:info().bytes < 2 ^ 25)
  end)

  it("reads gzip when it is honest, and refuses a broken one", function()
    local dir = process.tempdir()
    local file = assert(io.open(dir .. "/body", "wb"))
    file:write(fault.envelope { ok = true })
    file:close()
    os.execute("gzip " .. dir .. "/body")
    file = assert(io.open(dir .. "/body.gz", "rb"))
    local packed = file:read "*a"
    file:close()
    os.execute("rm -rf " .. dir)
    fs:script { default = { { "read" },
                            { "send", fault.http(200, packed, { "Content-Encoding: gzip" }) } } }
    assert.is_true(assert(wire.read(client)).ok)
    against({ { "read" }, { "send", fault.http(200, packed:sub(1, -12) .. ("\1"):rep(11),
                                               { "Content-Encoding: gzip" }) } }, "protocol")
  end)

  for name, body in pairs {
    ["arrays"] = ("["):rep(3000000),
    ["objects"] = ('{"a":'):rep(600000),
    ["data"] = '{"method":"/a","status":0,"message":"OK","data":' .. ("["):rep(1000)
      .. ("]"):rep(1000) .. "}",
  } do
    it("refuses JSON that is too deep: " .. name, function()
      against({ { "read" }, { "send", fault.http(200, body) } }, "protocol", 2)
    end)
  end

  it("stops a flood of headers", function()
    local steps = { { "read" }, { "send", "HTTP/1.1 200 OK\r\n" } }
    for i = 1, 4 do
      steps[#steps + 1] = { "repeat", "X-" .. i .. ": " .. ("y"):rep(8000) .. "\r\n", 2000 }
    end
    against(steps, "protocol")
  end)

  it("stops one endless header", function()
    against({ { "read" }, { "send", "HTTP/1.1 200 OK\r\nX: " },
              { "repeat", ("y"):rep(65536), 1000 } }, "protocol")
  end)

  it("stops a storm of interim replies", function()
    local interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    against({ { "read" }, { "repeat", interim:rep(1000), 10000 } }, "protocol")
  end)

  -- all that is neither header nor body, of a call that may rightly be silent for long
  local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
  local FLOODS = {
    ["a chunk's extension"] = { CHUNKED .. "\r\n5;", ("x"):rep(65536) },
    ["trailers"] = { CHUNKED .. "\r\n0\r\n", ("X-Y: z\r\n"):rep(8192) },
    ["a trailer"] = { CHUNKED .. "\r\n0\r\nX-Y: ", ("z"):rep(65536) },
    ["a chunk's length"] = { CHUNKED .. "\r\n", ("0"):rep(65536) },
    ["gzip that holds nothing"] = {
      CHUNKED .. "Content-Encoding: gzip\r\n\r\na\r\n\31\139\8\0\0\0\0\0\0\3\r\n",
      ("ff\r\n" .. ("\0\0\0\255\255"):rep(51) .. "\r\n"):rep(250) },
    ["interim replies"] = { "", ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(2000) },
    ["the status line"] = { "HTTP/1.1 200 ", ("O"):rep(65536) },
  }
  for name, flood in pairs(FLOODS) do
    it("is not kept busy by what has no end: " .. name, function()
      for _, ask in ipairs { wire.read, wire.submit } do
        fs:script { { times = 1, { "read" }, { "send", flood[1] },
                      { "repeat", flood[2], 1000000 } },
                    default = { { "read" }, { "send", GOOD } } }
        local value, err = ask(client, { timeout = 100 })
        assert.is_nil(value)
        assert.equal("protocol", err.kind, tostring(err.message))
        assert.equal(ask == wire.submit and "unknown" or nil, err.outcome)
        assert.is_true(assert(wire.read(client)).ok)
      end
    end)
  end

  it("takes what comes in single bytes, heard of at the end of a line only", function()
    local reply = "HTTP/1.1 200 OK\r\nX-Long: " .. ("y"):rep(2000) .. "\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n"
      .. ("%x;ext=%s\r\n"):format(#fault.envelope { ok = true }, ("e"):rep(500))
      .. fault.envelope { ok = true } .. "\r\n0\r\n\r\n"
    fs:script { default = { { "read" }, { "drip", reply, 1, 0 } } }
    assert.is_true(assert(wire.read(client)).ok)
  end)

  it("takes a few interim replies as they are meant", function()
    fs:script { default = { { "read" }, { "send", ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(3) },
                            { "send", GOOD } } }
    assert.is_true(assert(wire.read(client)).ok)
  end)

  for name, line in pairs {
    ["no HTTP at all"] = "SSH-2.0-OpenSSH_9.2\r\n",
    ["HTTP 0.9"] = '{"status":0}',
    ["a NUL in a header"] = "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    ["a status of two digits"] = "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
    ["a status of four digits"] = "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    ["a negative length"] = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    ["a bad chunk size"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    ["an unknown encoding"] = "HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 2"
      .. "\r\n\r\n{}",
  } do
    it("refuses " .. name, function()
      against({ { "read" }, { "send", line }, { "fin" } }, "protocol")
    end)
  end

  it("refuses 204 and 205 as answers to a read", function()
    for _, status in ipairs { 204, 205 } do
      against({ { "read" }, { "send", ("HTTP/1.1 %d None\r\n\r\n"):format(status) }, { "fin" } },
        "protocol")
    end
  end)
end)
