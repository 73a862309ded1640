-- A reply that is not whole is never a success, however it was framed (F10).

local fault = require "spec.support.fault"
local wait = require "spec.support.wait"
local wire = require "spec.support.wire"

local TORTURE = os.getenv "TASKCLIENT_TORTURE"
local BODY = fault.envelope({ task = { taskID = 7, status = "Succeed" } }, { method = "/api/x" })
local OPENING = "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"

local function chunked(text)
  local half = math.floor(#text / 2)
  local out = {}
  for _, piece in ipairs { text:sub(1, half), text:sub(half + 1) } do
    out[#out + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
  end
  return table.concat(out) .. "0\r\n\r\n"
end

local FRAMINGS = {
  length = OPENING .. "Content-Length: " .. #BODY .. "\r\n\r\n" .. BODY,
  chunked = OPENING .. "Transfer-Encoding: chunked\r\n\r\n" .. chunked(BODY),
  close = OPENING .. "Connection: close\r\n\r\n" .. BODY,
}

describe("a read", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function read_all(script, prefixes, timeout)
    fs:script(script)
    local calls = {}
    for i, prefix in ipairs(prefixes) do
      calls[i] = wire.linkis(fs.url .. prefix):start("get", { id = "7" }, { timeout = timeout })
    end
    wire.finish(calls)
    return calls
  end

  local CUT = { network = true, protocol = true }
  local EXPECTED = { fin = CUT, rst = CUT, stall = { timeout = true } }

  for framing, reply in pairs(FRAMINGS) do
    -- a closed line ends the last framing, and no byte follows the document;
    -- of a chunked reply only the very last one, the LF, tells nothing new
    local whole = framing == "chunked" and #reply - 1 or #reply
    for _, how in ipairs { "fin", "rst", "stall" } do
      it(("cut at any byte is an error: %s, %s"):format(framing, how), function()
        for first = 0, #reply - 1, 120 do
          local script, prefixes, cuts = {}, {}, {}
          for k = first, math.min(first + 119, #reply - 1), TORTURE and 1 or 6 do
            cuts[#cuts + 1] = k
            prefixes[#cuts] = "/cut" .. k
            script[#cuts] = { match = "^GET /cut" .. k .. "/", { "read" },
                              { "send", reply:sub(1, k) }, { how } }
          end
          local calls = read_all(script, prefixes, how == "stall" and 0.5 or 10)
          for i, call in ipairs(calls) do
            local value, err = call:result()
            if value then
              assert.is_true(cuts[i] >= whole and how == "fin", framing .. " cut at " .. cuts[i])
              assert.equal(7, value.task.taskID)
            else
              assert.truthy(EXPECTED[how][err.kind], err.kind)
            end
          end
        end
      end)
    end

    it("is right when it is whole: " .. framing, function()
      fs:script { default = { { "read" }, { "send", reply },
                              framing == "close" and { "fin" } or nil } }
      local value = assert(wire.read(wire.linkis(fs.url)))
      assert.equal(7, value.task.taskID)
    end)

    it("is right when it comes byte by byte: " .. framing, function()
      fs:script { default = { { "read" }, { "drip", reply, 1, 0 },
                              framing == "close" and { "fin" } or nil } }
      local value = assert(wire.read(wire.linkis(fs.url)))
      assert.equal(7, value.task.taskID)
    end)
  end

  local NOT_WHOLE = {
    ["nothing at all"] = "",
    ["white space"] = " \r\n",
    ["half a document"] = BODY:sub(1, -2),
    ["two documents"] = BODY .. BODY,
    ["text behind the document"] = BODY .. "\nx",
    ["a NUL behind it"] = BODY .. "\0",
    ["a document without data or status"] = '{"a":1}',
    ["a JSON text"] = '"OK"',
    ["an empty object"] = "{}",
    ["an array"] = "[]",
    ["null"] = "null",
    ["two status members"] = '{"method":"/a","status":1,"status":0,"message":"OK","data":{}}',
    ["a byte order mark"] = "\239\187\191" .. BODY,
  }
  for name, body in pairs(NOT_WHOLE) do
    it("refuses " .. name .. " with HTTP 200", function()
      fs:script { default = { { "read" }, { "send", fault.http(200, body) } } }
      local value, err = wire.read(wire.linkis(fs.url))
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
    end)
  end

  -- libcurl believes the last one; whether a document is whole, it tells itself
  it("does not take a part for the whole when two lengths differ", function()
    for lengths, kind in pairs {
      [{ 5, #BODY }] = "whole", [{ #BODY, 5 }] = "protocol", [{ #BODY, #BODY + 5 }] = "network",
    } do
      local reply = OPENING .. ("Content-Length: %d\r\nContent-Length: %d\r\n\r\n")
        :format(lengths[1], lengths[2]) .. BODY
      fs:script { default = { { "read" }, { "send", reply }, { "fin" } } }
      local value, err = wire.read(wire.linkis(fs.url))
      assert.equal(kind, value and value.task.taskID == 7 and "whole" or err.kind)
    end
  end)

  -- rows tell nothing of the kind: then two lengths are an error
  it("does not save a download of two lengths", function()
    for second, expected in pairs { [5] = "protocol", [9] = true } do
      local path = os.tmpname()
      os.remove(path)
      fs:script { default = { { "read" }, { "send",
        "HTTP/1.1 200 OK\r\nContent-Disposition: attachment;filename=x.csv\r\n" ..
        "Content-Length: 9\r\nContent-Length: " .. second .. "\r\n\r\na,b\n1,2\n\n" },
        { "fin" } } }
      local value, err = wire.call(wire.linkis(fs.url), "resultsetToExcel",
        { path = "file:///x" }, { file = path })
      assert.equal(expected, err and err.kind or value == 9)
      assert.equal(expected == true, os.remove(path) == true)
    end
  end)

  for _, meanwhile in ipairs { "a failure elsewhere", "nothing else" } do
    it("is not what came unasked on an idle connection, after " .. meanwhile, function()
      local stale = fault.linkis { task = { taskID = 99 } }
      fs:script {
        { connection = 1, times = 1, { "read" }, { "send", FRAMINGS.length }, { "hold", "idle" },
          { "send", stale }, { "stall" } },
        { { "read" }, { "send", FRAMINGS.length } },
      }
      local client = wire.linkis(fs.url)
      assert(wire.read(client))
      if meanwhile == "a failure elsewhere" then
        assert.is_nil((wire.read(wire.linkis "http://127.0.0.1:1")))
      end
      fs:release "idle"
      wait.nap(0.05) -- on its way: nobody can tell when it is there
      assert.equal(7, assert(wire.read(client)).task.taskID)
      assert.equal(2, #fs:requests())
    end)
  end

  it("does not take bytes of one reply for the next", function()
    local long = FRAMINGS.length .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    fs:script {
      { times = 1, { "read" }, { "send", long } },
      { { "read" }, { "send", FRAMINGS.length } },
    }
    local client = wire.linkis(fs.url)
    assert(wire.read(client))
    local value = assert(wire.read(client))
    assert.equal(7, value.task.taskID)
  end)
end)
