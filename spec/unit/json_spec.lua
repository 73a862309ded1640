-- JSON going out: what the core's strict reader reads back is what went in.

local core = require "taskclient.core"
local taskclient = require "taskclient"

local cjson = require "cjson"
local paths = require "spec.support.paths"

local encode = core.encode

-- What a script prints that runs in a Lua of its own, with such a cjson in place of the one
-- installed (Debian's knows no marks of arrays, OpenResty's does).
local function with_cjson(stand_in, script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(("package.cpath = %q\n"):format(package.cpath),
    "package.preload.cjson = function() ", stand_in, " end\n",
    "local core = require 'taskclient.core' ", script)
  file:close()
  local pipe = assert(io.popen(paths.lua .. " " .. path .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return text
end

describe("core.encode", function()
  it("keeps arrays, empty ones too, and objects apart", function()
    assert.equals('{"a":[],"b":{},"c":[1,2],"d":[[]]}',
      encode { a = core.array(), b = {}, c = { 1, 2 }, d = { core.array() } })
    assert.equals("[]", encode(taskclient.array()))
  end)

  it("writes equal values as equal text", function()
    local a, b = {}, {}
    for i = 1, 50 do a["k" .. i] = i end
    for i = 50, 1, -1 do b["k" .. i] = i end
    assert.equals(encode(a), encode(b))
  end)

  it("writes whole numbers exactly and doubles so that they come back", function()
    assert.equals("[9007199254740991,-1,4,0]", encode { 2 ^ 53 - 1, -1, 8 / 2, 0 })
    for _, n in ipairs { 0.1, 1 / 3, 1e300, 5e-324, 123456.789, 2 ^ 70, -1.5e-7 } do
      assert.equals(n, tonumber(encode(n)))
    end
    -- why it is not cjson.encode that makes what goes out
    assert.equals("0.33333333333333", cjson.encode(1 / 3))
    assert.not_equals("9007199254740991", cjson.encode(2 ^ 53 - 1))
    if math.maxinteger then
      assert.equals("[9223372036854775807]", encode { math.maxinteger })
    end
  end)

  it("writes null, booleans and any UTF-8", function()
    local text = 'ü 漢 😀 " \\ \n \0 \127'
    local back = core.decode(encode { n = core.null, t = true, f = false, s = text })
    assert.same({ n = core.null, t = true, f = false, s = text }, back)
    for byte = 0, 127 do
      local char = string.char(byte)
      assert.equals(char, core.decode(encode { char })[1])
    end
    assert.equals([["\u0000\n\u001f /[]\"\\"]], encode '\0\n\31 /[]"\\')
  end)

  local cycle = {}
  cycle.inner = { cycle }
  local deep = {}
  for _ = 1, 200 do deep = { deep } end
  local WRONG = {
    { { a = { 0 / 0 } }, "value.a%[1%]: .*nan" }, { { a = math.huge }, "value.a: .*inf" },
    { { f = print }, "value.f: a function" }, { cycle, "value.inner%[1%]: the table contains" },
    { deep, "too deep" }, { { 1, nil, 3 }, "holes" }, { { 1, a = 2 }, "an array with the key 'a'" },
    { { [true] = 1 }, "an? .*" }, { { [1.5] = 1 }, "fits no array" },
    { { a = "\255" }, "value.a: not UTF%-8 at byte 1" }, { { a = "x\237\160\128" }, "at byte 2" },
    { { ["\192\128"] = 1 }, "not UTF%-8" }, { coroutine.create(function() end), "thread" },
  }
  for i, case in ipairs(WRONG) do
    it("refuses, naming the place: case " .. i, function()
      local text, why = core.encode(case[1])
      assert.is_nil(text)
      assert.matches(case[2], why)
    end)
  end

  it("takes the same table twice where it is no cycle", function()
    local part = { 1 }
    assert.equals('{"a":[1],"b":[1]}', encode { a = part, b = part })
  end)

  it("gives back 2,000 random values", function()
    math.randomseed(7)
    local function any(depth)
      local kind = math.random(depth > 4 and 4 or 6)
      if kind == 1 then return math.random(-2 ^ 31, 2 ^ 31) end
      if kind == 2 then return math.random() end
      if kind == 3 then return math.random() < 0.5 end
      if kind == 4 then
        local chars = { "a", "&", "=", "+", "%", '"', "\\", "ü", "漢", "😀", "\n", " " }
        local out = {}
        for i = 1, math.random(0, 8) do out[i] = chars[math.random(#chars)] end
        return table.concat(out)
      end
      local t = {}
      if kind == 5 then
        for i = 1, math.random(0, 4) do t[i] = any(depth + 1) end
        return core.array(t)
      end
      for _ = 1, math.random(0, 4) do t["k" .. math.random(99)] = any(depth + 1) end
      return t
    end
    for _ = 1, 2000 do
      local value = any(0)
      local text = encode(value)
      assert.equals(text, encode((core.decode(text))))
    end
  end)

  it("has lua-cjson's null, and works without lua-cjson", function()
    assert.equals(cjson.null, taskclient.null)
    assert.equals('{"a":[],"b":null}', encode { a = taskclient.array(), b = cjson.null })
    assert.equals("[]", with_cjson("error 'none'", "io.write(core.encode(core.array()))"))
  end)

  it("takes the marks of a lua-cjson that has some, and gives them", function()
    local all = "return { array_mt = {}, empty_array_mt = {}, empty_array = io.stdout }"
    local script = [[local c = require "cjson"
      assert(core.array_mt == c.array_mt and getmetatable(core.decode "[]") == c.array_mt)
      io.write(core.encode { setmetatable({}, c.array_mt), setmetatable({}, c.empty_array_mt),
        core.array(), {} })]]
    assert.equals("[[],[],[],{}]", with_cjson(all, script))
    assert.equals("[[],[],[],{}]", with_cjson("return { empty_array_mt = {} }",
      (script:gsub("c%.array_mt", "c.empty_array_mt"))))
  end)
end)
