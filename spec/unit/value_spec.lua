-- core.picker and core.pick: the few values that are wanted of a reply, found
-- in one pass, without a table; and what the core makes of misuse.

local core = require "taskclient.core"
local collector = require "spec.support.collector"

local function reply(data) return '{"status":0,"message":"OK","data":' .. data .. "}" end

local function pick(data, ...) return core.pick(reply(data), core.picker { ... }) end

local function raises(part, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(part, 1, true), err)
end

describe("a picker", function()
  it("gives one value a path, of any type", function()
    local data = '{"a":1,"b":"x","c":[1,2],"d":{"e":{"f":true}},"n":null,"g":1.5}'
    local ok, a, b, c, f, n, missing, g = pick(data, "a", "b", "c", "d.e.f", "n", "d.e.z", "g")
    assert.is_true(ok)
    assert.equal(1, a)
    assert.equal("x", b)
    assert.same({ 1, 2 }, c)
    assert.is_true(f)
    assert.equal(core.null, n)
    assert.is_nil(missing)
    assert.equal(1.5, g)
  end)

  it("gives a table and what is in it", function()
    local _, d, e = pick('{"x":0,"d":{"e":7,"f":[{}]},"y":0}', "d", "d.e")
    assert.same({ e = 7, f = { {} } }, d)
    assert.equal(7, e)
  end)

  it("counts a name that stands twice as absent", function()
    assert.same({ true }, { pick('{"a":1,"a":1}', "a") })
    assert.same({ true }, { pick('{"t":{"s":1},"t":{}}', "t.s") })
    assert.same({ true }, { pick([[{"a":1,"\u0061":2}]], "a") })
    assert.equal(3, select(3, pick('{"a":1,"a":2,"b":3}', "a", "b")))
  end)

  it("reads escaped names and values", function()
    local _, a, b = pick([[{"t\u0061sk":{"st\"at":"x\ny"},"caf\u00e9":2}]], 'task.st"at',
      "caf\195\169")
    assert.equal("x\ny", a)
    assert.equal(2, b)
  end)

  it("finds nothing in what is no object", function()
    for _, data in ipairs { "[1]", "1", '"a"', "null", "{}", '{"a":[{"b":1}]}', '{"a":"b"}' } do
      assert.is_nil(select(2, pick(data, "a.b")))
    end
  end)

  it("picks nothing from a no", function()
    assert.same({ false }, { core.pick('{"status":1,"message":"x","data":{"a":1}}',
      core.picker { "a" }) })
    assert.same({ false }, { core.pick('{"status":0,"data":{"a":1}', core.picker { "a" }) })
  end)

  it("agrees with decode on every member of a large object", function()
    local parts = {}
    for i = 1, 200 do parts[i] = ('"k%d":{"v":%d,"w":["%d"]}'):format(i, i, i) end
    local data = "{" .. table.concat(parts, ",") .. "}"
    for i = 1, 200, 13 do
      local _, v, w = pick(data, "k" .. i .. ".v", "k" .. i .. ".w")
      assert.equal(i, v)
      assert.same({ tostring(i) }, w)
    end
  end)

  -- members of every kind before, between and behind those that are wanted, whose names share
  -- their lengths and first letters with others
  local VALUES = { '"x"', '"a text of more than thirty-two plain bytes in all"', '"esc\\"aped"',
    "7", "-1.5e3", "null", "true", "false", "[]", '["p","q","r"]', '{"in":["s"],"status":1}',
    '"\195\169"' }
  local NAMES = { "status", "taskID", "umUser", "st", "statuses", "s", "progress", "instance",
    "requestApplicationName", "a name of more than thirty-two bytes in all", "na\\u006de" }

  local function object(seed)
    local parts, named = {}, {}
    for i = 1, #NAMES do
      local at = (i * 7 + seed) % #NAMES + 1
      if not named[at] and (seed + i) % 5 ~= 0 then
        named[at] = true
        parts[#parts + 1] = ('"%s":%s'):format(NAMES[at], VALUES[(seed * 3 + i * i) % #VALUES + 1])
      end
    end
    return "{" .. table.concat(parts, seed % 2 == 0 and "," or " , ") .. "}"
  end

  it("agrees with decode whatever stands beside what is wanted", function()
    for seed = 1, 400 do
      local data = ('{"z":[{"k":"v"}],"task":%s,"y":%s}'):format(object(seed), object(seed + 1))
      local whole = core.decode(data)
      local ok, status, progress, name, other = pick(data, "task.status", "task.progress",
        "task.name", "y.st")
      assert.is_true(ok)
      assert.same({ whole.task.status, whole.task.progress, whole.task.name, whole.y.st },
        { status, progress, name, other }, data)
    end
  end)

  it("takes no part of a reply for the whole", function()
    local text = reply(('{"task":%s}'):format(object(3)))
    local picker = core.picker { "task.status", "task.taskID" }
    for n = 0, #text - 1 do assert.is_false((core.pick(text:sub(1, n), picker))) end
    assert.is_true((core.pick(text, picker)))
  end)

  it("raises when it is made wrong", function()
    raises("table expected", core.picker, "a")
    raises("between 1 and 16", core.picker, {})
    local many = {}
    for i = 1, 17 do many[i] = "p" .. i end
    raises("between 1 and 16", core.picker, many)
    raises("strings", core.picker, { "a", 5 })
    for _, path in ipairs { "", ".", "a.", ".a", "a..b", "1.2.3.4.5.6.7.8.9" } do
      raises("names with single dots", core.picker, { path })
    end
    raises("picker", core.pick, "{}", {})
    raises("string expected", core.decode, nil)
  end)
end)

describe("values", function()
  it("keep an array's mark and null through any depth", function()
    local value = core.decode '{"a":[[],[[]],null]}'
    assert.equal(core.array_mt, getmetatable(value.a[1]))
    assert.equal(core.array_mt, getmetatable(value.a[2][1]))
    assert.equal(core.null, value.a[3])
  end)

  it("of arrays end where the array does, whatever comes behind", function()
    for n = 0, 40 do
      local texts = {}
      for i = 1, n do texts[i] = i % 9 == 0 and '{"o":"p"}' or ('"text %d"'):format(i) end
      local list = "[" .. table.concat(texts, ",") .. "]"
      local value = core.decode(('{"a":%s,"b":"behind","c":[%s,"last"]}'):format(list, list))
      assert.equal(n, #value.a)
      assert.equal("behind", value.b)
      assert.equal("last", value.c[2])
      for i = 1, n do assert.same(i % 9 == 0 and { o = "p" } or "text " .. i, value.c[1][i]) end
    end
  end)

  it("survive the collector at any moment", function()
    local parts = {}
    for i = 1, 300 do parts[i] = ('{"n":%d,"t":"%s\\n","l":[%d,null,[]]}'):format(i,
      ("x"):rep(i * 7), i) end
    local text = "[" .. table.concat(parts, ",") .. "]"
    local value = collector.eager(function() return core.decode(text) end)
    for i = 1, 300 do
      assert(value[i].n == i and #value[i].t == i * 7 + 1 and value[i].l[2] == core.null)
    end
  end)
end)
