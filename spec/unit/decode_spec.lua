-- The JSON reader (core.decode) is RFC 8259 and nothing else: what it takes, what
-- it refuses, and that no digit and no byte changes on the way (F16 to F20).
-- The cases are our own, from the RFC; nst's JSONTestSuite is run where it lies
-- beside the checkout, or where TASKCLIENT_JSONTESTSUITE says.

local core = require "taskclient.core"

local SUITE = os.getenv "TASKCLIENT_JSONTESTSUITE" or "../shared/data/JSONTestSuite"
local WHOLE = math.type ~= nil -- this Lua has 64-bit integers
local null = core.null

local function refused(text, why)
  local value, err = core.decode(text)
  assert.is_nil(value, text)
  assert.equal("protocol", err.kind)
  if why then assert.truthy(err.message:find(why, 1, true), err.message) end
end

local function first(text) return assert(core.decode("[" .. text .. "]"))[1] end

describe("a JSON document", function()
  it("is any value, with white space around it", function()
    for text, value in pairs {
      ["null"] = null, ["true"] = true, [" false\n"] = false, ["\t0\r\n"] = 0, ['""'] = "",
      ['"a"'] = "a", ["[]"] = {}, ["{}"] = {}, [" [ 1 , 2 ] "] = { 1, 2 },
      ['{ "a" : { "" : [ ] } }'] = { a = { [""] = {} } }, ["[[[]],[]]"] = { { {} }, {} },
      ['{"a":null,"b":[null]}'] = { a = null, b = { null } },
    } do
      assert.same(value, (core.decode(text)), text)
    end
  end)

  it("is refused when anything else stands in it", function()
    for _, text in ipairs {
      "", " ", "[", "]", "{", "}", "[1,]", "[,1]", "[1 2]", "[1,,2]", "{,}", '{"a"}', '{"a":}',
      '{"a" 1}', '{"a":1,}', "{a:1}", "{1:2}", "{'a':1}", '{"a":1 "b":2}', "[1}", '{"a":1]',
      "[1]]", "[1][2]", "1 2", "[1]x", "x", "nul", "nulll", "True", "NaN", "-NaN", "Infinity",
      "-Infinity", "'a'", "[1]//", "/**/1", "#1", "[1]\0", "\0", "\v1", "\f1",
      "\194\160[]", "\226\129\160[]", '"a', '"', '"\\"', '"a"b', "<html>", "\1", "*",
    } do
      refused(text)
    end
  end)

  it("tells what is wrong, and where", function()
    refused('{"a":[1,2', "at byte 10: the text ends inside the document")
    refused("[1,x]", "at byte 4: not JSON")
    refused("\239\187\191[]", "byte order mark")
    refused("\255\254[\0]\0", "byte order mark")
    refused('["\255"]', "invalid UTF-8")
  end)

  it("is refused when it is cut anywhere", function()
    local text = '{"a":[1,-2.5e+3,"x\\u00e4\\ud83d\\ude00\195\164",true,false,null,{"b":{}}]}'
    assert(core.decode(text))
    for i = 0, #text - 1 do refused(text:sub(1, i), "the text ends inside the document") end
  end)

  it("keeps the last of two equal names", function()
    assert.same({ a = 3, b = 2 }, core.decode '{"a":1,"b":2,"\\u0061":3}')
  end)

  it("may be 128 levels deep", function()
    for open, close in pairs { ["["] = "]", ['{"a":'] = "}" } do
      local inner = open == "[" and "" or "1"
      assert(core.decode(open:rep(128) .. inner .. close:rep(128)))
      refused(open:rep(129) .. inner .. close:rep(129), "nested too deep")
      refused(open:rep(1000000), "nested too deep")
    end
  end)
end)

describe("a JSON string", function()
  it("means what its escapes say", function()
    for raw, text in pairs {
      ['\\"\\\\\\/\\b\\f\\n\\r\\t'] = '"\\/\b\f\n\r\t', ["\\u0000"] = "\0", ["a\\u0000b"] = "a\0b",
      ["\\u007f\\u0080\\u07ff\\u0800\\uffff"] = "\127\194\128\223\191\224\160\128\239\191\191",
      ["\\ud7ff\\ue000"] = "\237\159\191\238\128\128", ["\\uABcd"] = "\234\175\141",
      ["\\ud800\\udc00\\udbff\\udfff"] = "\240\144\128\128\244\143\191\191", ["\127"] = "\127",
      ["\\u0022\\u005C"] = '"\\',
    } do
      assert.equal(text, first('"' .. raw .. '"'))
      local long = ("x"):rep(600)
      assert.equal(long .. text .. long, first('"' .. long .. raw .. long .. '"'))
    end
  end)

  it("is refused with a half of a surrogate pair, an odd escape or a bare control", function()
    for _, raw in ipairs {
      "\\ud800", "\\udc00", "\\udfff\\ud800", "\\ud800\\ud800", "\\ud800x", "\\ud800\\n",
      "\\ud800\\u0041", "\\udbff\\ue000", "\\u", "\\u1", "\\u12", "\\u123", "\\u12g4", "\\u+123",
      "\\U0041", "\\a", "\\v", "\\0", "\\x41", "\\'", "\\\0", "\\\n", "\\",
    } do
      refused('["' .. raw .. '"]')
    end
    for byte = 0, 31 do
      refused('["' .. string.char(byte) .. '"]')
      refused('["' .. ("y"):rep(40) .. string.char(byte) .. '"]')
    end
  end)

  -- length of the character at i by the table of RFC 3629, nil: there is none
  local function character(text, i)
    local a, b, c, d = text:byte(i, i + 3)
    local function tail(x) return x and x >= 0x80 and x <= 0xBF end
    if a < 0x80 then return 1 end
    if a < 0xC2 or a > 0xF4 or not tail(b) then return nil end
    if a <= 0xDF then return 2 end
    if not tail(c) or (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F) then return nil end
    if a <= 0xEF then return 3 end
    return tail(d) and not (a == 0xF0 and b < 0x90) and not (a == 0xF4 and b > 0x8F) and 4 or nil
  end

  local function is_utf8(text)
    local i = 1
    while i <= #text do
      local length = character(text, i)
      if not length then return false end
      i = i + length
    end
    return true
  end

  it("is UTF-8, of which no byte changes, and nothing else", function()
    local edges = { 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0,
                    0xF4, 0xFF }
    local function check(...)
      local text = string.char(...)
      local expected = is_utf8(text) and text or nil
      if core.decode('"' .. text .. '"') ~= expected then assert.equal(expected, text) end
    end
    for a = 0x80, 0xFF do
      check(a)
      for b = 0x40, 0xFF do
        if b ~= 0x5C then check(a, b) end
        for _, c in ipairs(b ~= 0x5C and edges or {}) do
          check(a, b, c)
          if a >= 0xEF then for _, d in ipairs(edges) do check(a, b, c, d) end end
        end
      end
    end
    for _, wrong in ipairs { "\192\128", "\224\128\128", "\237\160\128", "\240\128\128\128",
      "\244\144\128\128", "\245\128\128\128", "\226\130", "\128" } do
      refused('["' .. wrong .. '"]')
      refused('{"' .. wrong .. '":1}')
    end
  end)
end)

describe("a JSON number", function()
  it("is refused in any other spelling", function()
    for _, text in ipairs {
      "+1", "-", "--1", "01", "-01", "00", "1.", ".1", "-.1", "1.e1", "1e", "1e+", "1E-", "1e1.5",
      "0x10", "1_000", "1 000", "1a", "1e1e1", "-a", "0e", "1.2.3", "\239\188\145", "2.e3", "0.e1",
    } do
      refused("[" .. text .. "]")
      refused(text)
    end
  end)

  it("without fraction is an exact integer, or its text", function()
    for _, text in ipairs { "0", "1", "-1", "9007199254740992", "-9007199254740992" } do
      assert.equal(tonumber(text), first(text))
    end
    for _, text in ipairs {
      "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808",
      "1152921504606846977",
    } do
      local value = first(text)
      assert.equal(WHOLE and "number" or "string", type(value))
      assert.equal(text, ("%s"):format(value))
    end
    for _, text in ipairs {
      "9223372036854775808", "-9223372036854775809", "18446744073709551616", ("9"):rep(400),
    } do
      assert.equal(text, first(text))
    end
    assert.equal(0, first "-0")
  end)

  it("with a fraction is the nearest double, and its text when there is none", function()
    for text, value in pairs {
      ["0.1"] = 0.1, ["1e2"] = 100, ["1E+2"] = 100, ["-2.5e-3"] = -0.0025, ["0.0"] = 0, ["0e9"] = 0,
      ["1e308"] = 1e308, ["1.7976931348623157e308"] = 1.7976931348623157e308, ["5e-324"] = 5e-324,
      ["1e-400"] = 0, ["123456789012345678901234567890.0"] = 123456789012345678901234567890.0,
      ["2.2250738585072011e-308"] = 2.2250738585072011e-308, ["1e22"] = 1e22, ["1e23"] = 1e23,
      ["9007199254740993.0"] = 9007199254740992.0, ["9007199254740995.0"] = 9007199254740996.0,
    } do
      assert.equal(value, first(text))
    end
    assert.equal(-math.huge, 1 / first "-0.0")
    for _, text in ipairs { "1e309", "-1e400", "1e99999999999999999999", "1.8e308" } do
      assert.equal(text, first(text))
    end
    -- a digit far behind decides a tie
    local tie = "9007199254740993." .. ("0"):rep(900)
    assert.equal(9007199254740992.0, first(tie .. "0"))
    assert.equal(9007199254740994.0, first(tie .. "1"))
    assert.equal("1" .. ("0"):rep(1000) .. ".5", first("1" .. ("0"):rep(1000) .. ".5"))
  end)

  it("comes back from 17 digits, whatever double it was", function()
    for _ = 1, 20000 do
      local value = (math.random() - 0.5) * 10 ^ math.random(-320, 308)
      local text = ("%.17g"):format(value)
      if text:find "[.e]" then assert.equal(value, first(text)) end
    end
  end)
end)

describe("JSONTestSuite", function()
  local function names(folder)
    local list, pipe = {}, io.popen("ls '" .. SUITE .. "/" .. folder .. "' 2>/dev/null")
    for name in pipe:lines() do list[#list + 1] = name end
    pipe:close()
    return list
  end

  it("is passed, all 283 that must be taken or refused", function()
    local list, seen = names "test_parsing", { y = 0, n = 0, i = 0 }
    if #list == 0 then return pending "the suite is not at hand" end
    for _, name in ipairs(list) do
      local file = assert(io.open(SUITE .. "/test_parsing/" .. name, "rb"))
      local kind, value = name:sub(1, 1), core.decode((file:read "*a"))
      file:close()
      seen[kind] = seen[kind] + 1
      if kind == "y" then assert.is_not_nil(value, name) end
      if kind == "n" then assert.is_nil(value, name) end
    end
    assert.same({ y = 95, n = 188, i = 35 }, seen)
  end)
end)
