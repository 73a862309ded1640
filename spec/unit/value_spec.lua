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
