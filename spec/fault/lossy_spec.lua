-- Characters that are none (F17): such a reply is refused, unless the client may lose them.

local fault = require "spec.support.fault"
local taskclient = require "taskclient"
local wire = require "spec.support.wire"

local BROKEN = "\239\191\189" -- U+FFFD

local REPLACED = {
  ["a\255b"] = "a" .. BROKEN .. "b", ["\237\160\128"] = BROKEN:rep(3), ["\226\130"] = BROKEN:rep(2),
  ["x\\ud800y"] = "x" .. BROKEN .. "y", ["\\uDFFF"] = BROKEN, ["\\udc00\\ud800"] = BROKEN:rep(2),
  ["\\ud83d\\ude00\\ud83d"] = "\240\159\152\128" .. BROKEN,
  ["\\ud83d\\ud83d\\ude00"] = BROKEN .. "\240\159\152\128",
  ["\\\\ud800\195\164\255"] = "\\ud800\195\164" .. BROKEN,
}

describe("a reply with broken characters", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function answer(text) fs:script { default = { { "read" }, { "send", text } } } end

  local function task(text)
    answer(fault.linkis('{"task":{"taskID":7,"status":"Running","errDesc":"' .. text .. '"}}'))
  end

  it("is refused, and the err says what would read it", function()
    for text in pairs(REPLACED) do
      task(text)
      local value, err = wire.read(wire.linkis(fs.url))
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.matches("lossy = true", err.message, 1, true)
    end
  end)

  it("is read with U+FFFD in their place by a lossy client", function()
    local client = wire.linkis(fs.url, { lossy = true })
    for text, read in pairs(REPLACED) do
      task(text)
      assert.equal(read, assert(wire.read(client)).task.errDesc)
    end
  end)

  it("keeps its error, code and kind too", function()
    answer(fault.http(200,
      '{"method":"m","status":1,"message":"errCode: 20301, bad \255","data":{}}'))
    local _, err = wire.read(wire.linkis(fs.url, { lossy = true }))
    assert.same({ "service", 20301 }, { err.kind, err.code })
    assert.matches("bad " .. BROKEN, err.message)
  end)

  it("is refused for what else is wrong with it", function()
    local client = wire.linkis(fs.url, { lossy = true })
    for _, body in ipairs {
      '{"method":"m","status":0,"data":{"a":"\255"', '["\255",]', '{"a":"\255\n"}',
      '{"status":0,"status":1,"message":"\\ud800","data":{}}',
    } do
      answer(fault.http(200, body))
      local value, err = wire.read(client)
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.is_nil(err.message:find("UTF-8", 1, true), err.message)
    end
  end)

  it("loses no row and no line beside them", function()
    local client = assert(taskclient.linkis { url = fs.url, user = "u", token = "t", lossy = true })
    fs:script {
      { match = "/openFile", reply = fault.linkis [=[{"type":"2","totalPage":1,"totalLine":2,
        "page":1, "totalColumn":1, "fileContent":[["whole"],["half \ud83d"]],
        "metadata":[{"columnName":"n","dataType":"string","comment":""}]}]=] },
      { match = "/getDirFileTrees", reply = fault.linkis [=[{"dirFileTrees":{"name":"7",
        "path":"file:///result/7","isLeaf":false,"children":[{"name":"_0.dolphin",
        "path":"file:///result/7/_0.dolphin","isLeaf":true,"children":null}]}}]=] },
      { match = "/openLog", reply = fault.linkis '{"log":["","","","first\\n\\udc80second"]}' },
      default = { { "read" }, { "send", fault.linkis { task = { taskID = 7, status = "Succeed",
        logPath = "file:///log/7.log",
        resultLocation = "file:///result/7" } } } },
    }
    local job, rows, lines = client:attach(7), {}, {}
    for row in assert(job:results())[1]:rows() do rows[#rows + 1] = row[1] end
    assert.same({ "whole", "half " .. BROKEN }, rows)
    for line in job:logs() do lines[#lines + 1] = line end
    assert.same({ "first", BROKEN .. "second" }, lines)
  end)
end)
