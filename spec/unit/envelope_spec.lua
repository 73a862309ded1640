-- core.envelope: which shape a reply has, whether it is a yes, the code and the
-- data in it (protocols 1, protocols L2 and 9). Samples of our own, and the
-- recorded replies of a real server where they are at hand.

local core = require "taskclient.core"

local RECORDINGS = os.getenv "TASKCLIENT_RECORDINGS" or "../shared/recordings"

local function read(text, http) return core.envelope(text, http or 200) end

local function check(text, http, expected)
  local e = read(text, http)
  for name, value in pairs(expected) do
    assert.equal(value, e[name], ("%s of %s"):format(name, text:sub(1, 100)))
  end
  return e
end

local LOGIN = '{"method":null,"status":-1,"message":"not logged in","data":{}}'

describe("Linkis", function()
  it("says yes by status 0, whatever the HTTP code", function()
    check('{"method":"/api/x","status":0,"message":"OK","data":{"taskID":5}}', 200,
      { shape = "linkis", ok = true, status = 0, message = "OK", data = '{"taskID":5}', code = 0 })
    check('{"status":"0","message":null,"data":null}', 500, { shape = "linkis", ok = true,
      data = "null" })
    check('{"status":0,"message":"OK"}', 200, { shape = "linkis", ok = true, data = nil })
    check('{"data":[1,2],"status":0,"message":"OK"}', 200, { shape = "linkis", ok = true,
      data = "[1,2]" })
  end)

  it("says no inside an HTTP 200", function()
    check('{"method":"/x","status":1,"message":"Cannot find a service","data":{"data":null}}', 200,
      { shape = "linkis", ok = false, status = 1, login = false })
  end)

  it("knows a missing login by -1 or 401", function()
    check(LOGIN, 401, { ok = false, login = true })
    check(LOGIN, 200, { ok = false, login = true })
    check('{"method":null,"status":401,"message":"please login","data":{}}', 200,
      { ok = false, login = true })
    check('{"method":null,"status":401,"message":"please login","data":[]}', 200,
      { shape = "gateway", ok = false, login = true })
    check('{"status":1,"message":"x","data":{}}', 401, { login = true })
    check('{"status":0,"message":"x","data":{}}', 401, { ok = true, login = false })
    check("", 401, { login = true })
  end)

  it("says no where success says no, whatever the status", function()
    for _, no in ipairs { "false", '"false"', '"FALSE"', "null", "0", "{}" } do
      check('{"method":"/x","status":0,"success":' .. no .. ',"message":"no","data":{}}', 200,
        { ok = false })
    end
    check('{"method":"/x","status":0,"success":true,"message":"OK","data":{}}', 200, { ok = true })
    check('{"method":"/x","status":1,"success":true,"message":"no","data":{}}', 200, { ok = false })
  end)

  it("tells a warning from an error", function()
    check('{"status":4,"message":"Warning code(警告码): 52004, Warning message(警告信息): x.",'
      .. '"data":{}}', 206,
      { shape = "linkis", ok = false, warning = true, code = 52004 })
  end)

  it("is never a yes with a status that is no number", function()
    for _, status in ipairs { "null", "true", "{}", "[]", '"ok"', '""', "0.0", "0e0", "1e1",
      '"0x0"', "-0.0" } do
      local e = read('{"method":"/x","status":' .. status .. ',"message":"OK","data":{}}')
      assert.is_false(e.ok, status)
    end
  end)

  it("is never a yes when a name stands twice", function()
    for _, text in ipairs {
      '{"status":1,"status":0,"message":"OK","data":{}}', '{"status":0,"status":0,"data":{}}',
      [[{"status":0,"st\u0061tus":1,"data":{}}]], '{"status":0,"data":{},"data":{"taskID":1}}',
      '{"success":"false","success":"true","message":"x"}',
      '{"success":"true","message":"a","message":"b"}',
    } do
      check(text, 200, { shape = "broken", ok = false, fault = "a name stands twice" })
    end
    check('{"status":0,"other":1,"other":2,"data":{"a":1,"a":2}}', 200, { shape = "linkis",
      ok = true })
  end)
end)

describe("errors outside the envelope", function()
  it("of the gateway have data [] and the HTTP code as status", function()
    check('{"method":"/","data":[],"message":"Not Found","status":404}', 404,
      { shape = "gateway", ok = false, status = 404, message = "Not Found" })
    check('{"method":"/x","status":401,"message":"x","data":[ ]}', 401, { shape = "gateway",
      login = true })
  end)

  it("of Spring Boot have neither data nor message", function()
    check('{"timestamp":1795312104000,"status":405,"error":"Method Not Allowed","path":"/api/x"}',
      405,
      { shape = "boot", ok = false, status = 405, message = "Method Not Allowed" })
    check('{"timestamp":"2020","path":"/x","status":500,"error":"Internal Server Error",'
      .. '"message":"down",'
      .. '"requestId":"1"}', 200, { shape = "boot", ok = false, status = 500, message = "down" })
  end)
end)

describe("Lindorm", function()
  it("says yes by success, a boolean or its word", function()
    for _, word in ipairs { "true", '"true"', '"TRUE"', '"True"' } do
      check('{"success":' .. word .. ',"message":"proc-91-ff38"}', 200,
        { shape = "lindorm", ok = true, message = "proc-91-ff38" })
    end
    check('{"success":"true","data":{"state":"RUNNING"}}', 200,
      { shape = "lindorm", ok = true, data = '{"state":"RUNNING"}' })
  end)

  it("says no by the opposite", function()
    for _, word in ipairs { "false", '"false"', '"FALSE"' } do
      check('{"success":' .. word .. ',"message":"no"}', 200, { shape = "lindorm", ok = false,
        message = "no" })
    end
  end)

  it("says neither by anything else", function()
    for _, word in ipairs { "null", "1", '"1"', '"yes"', "{}", '"true "', '""' } do
      check('{"success":' .. word .. ',"message":"no"}', 200, { shape = "json", ok = false })
    end
  end)

  it("keeps a message that is no string", function()
    check('{"success":"false","message":{"a":1}}', 500, { ok = false, message = '{"a":1}' })
    check('{"success":"false","message":null}', 500, { ok = false, message = nil })
    check('{"success":"false"}', 200, { ok = false, message = nil })
  end)
end)

describe("other replies", function()
  it("are named", function()
    check("", 200, { shape = "empty", ok = false })
    check(" \r\n", 200, { shape = "empty", ok = false })
    check("<!DOCTYPE html><html></html>", 200, { shape = "html", ok = false })
    check("  <html>", 502, { shape = "html", ok = false })
    check("id,name\r\n1,a", 200, { shape = "text", ok = true, message = "id,name\r\n1,a" })
    check("Bad Gateway", 502, { shape = "text", ok = false })
    check("[1,2]", 200, { shape = "json", ok = true, data = "[1,2]" })
    check(' "ok" ', 200, { shape = "json", ok = true, data = '"ok"' })
    check('{"a":1}', 200, { shape = "json", ok = true, data = '{"a":1}' })
    check('{"data":{"a":1}}', 500, { shape = "json", ok = false, data = '{"a":1}' })
  end)

  it("in a stream may be an error inside a 200", function()
    check("error(错误):errCode: 80010 ,desc: x", 200, { shape = "text", ok = false,
      code = 80010 })
  end)

  it("that are no complete document are broken", function()
    check('{"status":0,"data":{}} x', 200, { shape = "broken", ok = false, fault = "not JSON",
      fault_at = 23 })
    check('{"status":0,"data":{}}{}', 200, { shape = "broken", ok = false })
    check('\239\187\191{"status":0,"data":{}}', 200,
      { shape = "broken", ok = false, fault = "the text begins with a byte order mark" })
    check('{"status":0,"data":' .. ("["):rep(200) .. ("]"):rep(200) .. "}", 200,
      { shape = "broken" })
    check('{"status":0,"data":{"a":"\255"}}', 200, { shape = "broken" })
  end)

  it("are broken when cut anywhere, never a yes", function()
    for _, whole in ipairs {
      '{"method":"/api/x","status":0,"message":"é\\u00e9","data":{"log":["a",null,true,-1.5e3]}}',
      '{"success":"true","message":"proc-91"}',
    } do
      assert.is_true(read(whole).ok)
      for i = 1, #whole - 1 do
        check(whole:sub(1, i), 200,
          { shape = "broken", ok = false, fault = "the text ends inside the document" })
      end
    end
  end)
end)

describe("codes", function()
  local function code(message, data)
    return read('{"status":1,"message":"' .. message .. '","data":' .. (data or "{}") .. "}",
      400).code
  end

  it("are found wherever they hide", function()
    assert.equal(80010, code "error code(错误码): 80010, error message(错误信息): x.")
    assert.equal(80010, code [[error code(\u9519\u8bef\u7801): 80010, error]])
    assert.equal(21304, code "errCode: 21304 ,desc: x ,ip: 1 ,port: 9104")
    assert.equal(11002, code "login failed! reason: NonLoginException: errCode: 11002 ,desc: x")
    assert.equal(10900, code "Error Code：10900")
    assert.equal(0, code "error code(错误码): none")
    assert.equal(0, code "no number 12345 here")
    assert.equal(0, code "errCode: 99999999999999999999")
    assert.equal(7, code "errCode: x errCode: 7")
  end)

  it("are data.errorMsg.errCode first of all", function()
    assert.equal(80025, code("the path should contain schema",
      '{"errorMsg":{"level":2,"errCode":80025}}'))
    assert.equal(5, code("errCode: 6 ,desc", '{"stack":{"errCode":9},"errorMsg":{"errCode":"5"}}'))
    assert.equal(6, code("errCode: 6 ,desc", '{"errorMsg":{"errCode":0}}'))
    assert.equal(6, code("errCode: 6 ,desc", '{"errorMsg":null}'))
  end)

  it("are the cause's where a cause is told", function()
    assert.equal(15204, code([[reason: errCode: 15206 ,desc: Failed(x), Caused by:LinkisException]]
      .. [[{errCode\u003d15204, desc\u003d\u0027x\u0027} ,ip: y]]))
    assert.equal(3, code "errCode: 1 Caused by: errCode: 2 caused by x, Caused by: errCode=3")
    assert.equal(2, code "errCode: 1 Caused by: errCode: 2, Caused by: nothing")
  end)

  it("are not looked for in a yes", function()
    check('{"status":0,"message":"errCode: 5","data":{}}', 200, { ok = true, code = 0 })
  end)

  it("take no time to look for, however the text is made", function()
    local from = os.clock()
    for _, part in ipairs { "error code(", "caused by", "errCode: ", "errCode:x Caused by (",
      "e" } do
      read('{"status":1,"message":"' .. part:rep(200000) .. '","data":{}}')
    end
    assert(os.clock() - from < 1)
  end)
end)

describe("recorded replies", function()
  -- the body lines of all recordings, with their HTTP code
  local function replies()
    local list = {}
    local pipe = io.popen("ls " .. RECORDINGS .. "/*.txt 2>/dev/null")
    for path in pipe:lines() do
      local http, inside
      for line in io.lines(path) do
        if line:find "^<%-%-" then inside = true elseif line:find "^%-%->" then inside = false end
        http = tonumber(line:match "^HTTP/%S+ (%d+)") or http
        if inside and line:find "^{.*}$" then list[#list + 1] = { line, http } end
      end
    end
    pipe:close()
    return list
  end

  it("are read as they were meant", function()
    local list = replies()
    if #list == 0 then return pending "the recordings are not at hand" end
    local seen = { linkis = 0, gateway = 0, boot = 0, json = 0 }
    for _, reply in ipairs(list) do
      local e = read(reply[1], reply[2])
      seen[e.shape] = assert(seen[e.shape], e.shape .. ": " .. reply[1]) + 1
      if e.shape == "linkis" then
        assert.equal(reply[1]:match '"status":(%-?%d+)', tostring(e.status))
        assert.equal(e.status == 0, e.ok)
        if reply[2] >= 400 then assert.is_false(e.ok) end
        assert.equal(reply[2] == 401 or e.status == -1, e.login)
      else
        assert.is_false(e.ok)
      end
    end
    assert(seen.linkis > 300 and seen.gateway > 3 and seen.boot > 3)
  end)

  it("cut short are never a yes", function()
    local list = replies()
    if #list == 0 then return pending "the recordings are not at hand" end
    for i = 1, #list, 10 do
      local text = list[i][1]:sub(1, 2000)
      for n = 1, #text - 1, 7 do assert.is_false(read(text:sub(1, n)).ok) end
    end
  end)
end)
