-- What the core is given may change under its hands: finalizers run whenever
-- Lua makes something, metamethods whenever it is asked. None of it may lead
-- the core to memory that is gone; `make sanitize` is the judge of that.

local core = require "taskclient.core"
local gc = require "spec.support.gc"

local URL = "http://127.0.0.1:9"

local function asked() error("a metamethod was asked", 0) end
local LIAR = { __index = asked, __newindex = asked, __len = asked }

local function liar(t) return setmetatable(t, LIAR) end

describe("a metamethod", function()
  it("is asked for none of what is given by name", function()
    local client = assert(core.client("linkis", liar { url = URL }, {}))
    assert.equal("", client:check("openFile", liar { path = "/a" }, liar { timeout = 1 }))
    assert(core.page('{"type":"2","metadata":[],"fileContent":[]}', liar {}))
    local path = os.tmpname()
    local writer = assert(core.writer(path, liar { overwrite = true }))
    assert(writer:columns(liar { liar { name = "a" } }))
    assert(writer:row(liar { "1" }))
    writer:discard()
    os.remove(path)
    assert(client:set_headers(liar { liar { "X-A", "1" } }))
    assert.is_userdata(core.picker(liar { "a.b" }))
  end)
end)

describe("a finalizer that changes", function()
  it("the paths of a picker finds them checked again", function()
    for moment = 1, 5 do
      local list = { "short", "b" }
      gc.nth(moment, function() list[1] = ("y"):rep(5000) end, function()
        pcall(core.picker, list)
      end)
    end
  end)

  it("a list of headers finds room for them", function()
    local client = assert(core.client("linkis", { url = URL }, {}))
    for moment = 1, 5 do
      local list = { { "X-1", "short" }, { "X-2", "short" } }
      gc.nth(moment, function() list[2] = { "X-2", ("y"):rep(20000) } end, function()
        client:set_headers(list)
      end)
    end
  end)
end)

describe("a proxy's address", function()
  for _, proxy in ipairs { "a@b://c", "@://", "http://@", "://:@", "u:p@", "a:b@c://d:e@f" } do
    it("of an odd form does no harm: " .. proxy, function()
      local client, err = core.client("linkis", { url = URL, proxy = proxy }, {})
      assert.is_true(client ~= nil or err.kind ~= nil)
    end)
  end
end)

describe("a time", function()
  it("beyond all ages is as good as for ever", function()
    assert(core.client("linkis", { url = URL, connect_timeout = 2 ^ 32 / 1000 }, {}))
    core.alarm(1e300)
    core.alarm()
  end)
end)
